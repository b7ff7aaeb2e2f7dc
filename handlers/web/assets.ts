/** The files of the pages: one stylesheet, one script and their mark. Their names hold their digest, so they are cached forever. */

import { sumsOf } from "../../src/digest.ts";
import { PAGE_URLS } from "../../src/wire/urls.ts";
import script from "./assets/copy.js" with { type: "text" };
import picture from "./assets/mark.svg" with { type: "text" };
import stylesheet from "./assets/style.css" with { type: "text" };

export interface Asset {
  /** below the server's address */
  readonly path: string;
  readonly type: string;
  readonly text: string;
}

function asset(stem: string, extension: string, type: string, text: string): Asset {
  const file = `${stem}-${sumsOf(Buffer.from(text))["sha-256"].slice(0, 16)}.${extension}`;
  return { path: PAGE_URLS.asset.build({ file }), type: `${type}; charset=utf-8`, text };
}

export const STYLE = asset("style", "css", "text/css", stylesheet);
export const SCRIPT = asset("copy", "js", "text/javascript", script);

export const MARK = asset("mark", "svg", "image/svg+xml", picture);

export const ASSETS: ReadonlyMap<string, Asset> = new Map(
  [STYLE, SCRIPT, MARK].map((one) => [one.path.slice(one.path.lastIndexOf("/") + 1), one]),
);
