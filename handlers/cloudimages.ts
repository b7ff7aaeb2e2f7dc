/** Image metadata: which system images the site's clouds have, for bootstraps on OpenStack and the like. */

import { cloudImagesFile } from "../src/wire/cloudimages.ts";
import { URLS } from "../src/wire/urls.ts";
import type { Deps } from "./call.ts";
import { replyWith } from "./replies.ts";
import { type Api, get } from "./routes.ts";

export function cloudImageRoutes({ cloudImages }: Pick<Deps, "cloudImages">): Api {
  const file = get(URLS.cloudImages, async (c) => {
    const { file: name = "" } = URLS.cloudImages.parse(c.req) ?? {};
    const text = cloudImagesFile((await cloudImages?.()) ?? [], name);
    return text === undefined ? undefined : replyWith(text);
  });
  return { dialect: "charmhub", routes: [file] };
}
