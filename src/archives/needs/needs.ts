/** What a charm needs besides itself, as far as its files show. */

import type { CharmNeeds } from "../../catalog/need.ts";
import { CharmSources } from "./charmsources.ts";
import { imagesOf } from "./imagefinder.ts";
import { snapsOf } from "./snapfinder.ts";

/** What the files of a charm name; those that `mayNameNeeds` rejects are not read. Never throws. */
export function needsOf(files: ReadonlyMap<string, string>): CharmNeeds {
  const sources = new CharmSources(files);
  return { snaps: snapsOf(sources), images: imagesOf(sources) };
}
