/** Health for people and probes, and requests for things that are not stored. */

import { VERSION } from "../src/version.ts";
import { URLS } from "../src/wire/urls.ts";
import type { Deps, HandlerDeps } from "./call.ts";
import type { MissingRequests } from "./missingrequests.ts";
import { type Api, get } from "./routes.ts";

export function statusRoutes(storage: Deps["store"], { store }: HandlerDeps, missing: MissingRequests): Api {
  const check = get(URLS.check, async (c) => {
    const snapshot = await store.snapshot();
    return c.json({
      status: "ok",
      version: VERSION,
      generation: snapshot.number,
      packages: snapshot.names.length,
      snaps: snapshot.snapNames.length,
      repositories: snapshot.of.repositoryNames.length,
      ...(storage.lags && {
        storage: storage.away ? { state: "away", since: new Date(storage.away.since).toISOString() } : { state: "ok" },
      }),
    });
  });
  return { dialect: "charmhub", routes: [check, get(URLS.missing, (c) => c.json({ missing: missing.all }))] };
}
