/** The index of the next generation, and the blobs that a draft brings for it. */

import type { ChangeDraft, Generation, Index, SectionDraft } from "../src/catalog/generation-types.ts";
import { checkIds } from "../src/catalog/identity.ts";
import { idsOf, ofEach, type Rows, SECTION_NAMES, SECTIONS, type SectionName } from "../src/catalog/sections.ts";
import { type Digest, type Sums, sumsOf } from "../src/digest.ts";
import { jsonBytes } from "./json.ts";
import { blobsOfDraft } from "./named.ts";

export const EMPTY_INDEX: Index = ofEach<Index>(() => ({}));

/** Whether a draft changes nothing that a generation has. */
export function isUnchanged(draft: ChangeDraft): boolean {
  const isSame = (section: SectionName) => {
    const { changed, dropped = [] } = sectionOf(draft, section);
    return changed.length + dropped.length === 0;
  };
  return SECTION_NAMES.every(isSame) && !draft.assertions?.others;
}

/** The index after a draft over the one before it; `put` stores a manifest. Fails with `refused` where an id would have two names. */
export async function indexAfter(before: Index, draft: ChangeDraft, put: (manifest: unknown) => Promise<Digest>): Promise<Index> {
  const rowsAfter = async (section: SectionName): Promise<Rows> => {
    const { changed, dropped = [] } = sectionOf(draft, section);
    const rows = new Map(Object.entries(before[section]));
    for (const name of dropped) rows.delete(name);
    for (const manifest of changed) rows.set(manifest.name, [await put(manifest), ...idsOf(section, manifest)]);
    const sorted = Object.fromEntries([...rows].toSorted(([a], [b]) => (a < b ? -1 : 1)));
    checkIds(sorted, new Set(changed.map(({ name }) => name)));
    return sorted;
  };
  const after = new Map<SectionName, Rows>();
  for (const section of SECTION_NAMES) after.set(section, await rowsAfter(section));
  const assertions = draft.assertions?.others ? await put(draft.assertions.others) : before.assertions;
  return { ...before, ...Object.fromEntries(after), ...(assertions && { assertions }) };
}

/** What a generation records of a draft, by the fields of its file. */
export function talliesOf(draft: ChangeDraft): Pick<Generation, (typeof SECTIONS)[SectionName]["tally"]> {
  const tallies = SECTION_NAMES.flatMap((section) => {
    const { tally } = sectionOf(draft, section);
    const { always, tally: field } = SECTIONS[section];
    return always || Object.keys(tally).length > 0 ? [[field, tally]] : [];
  });
  return Object.fromEntries(tallies);
}

/** Digests of the manifests and the list of assertions that a draft has written. */
export function manifestsIn(index: Index, draft: ChangeDraft): Digest[] {
  const rows = SECTION_NAMES.flatMap((section) => sectionOf(draft, section).changed.map(({ name }) => index[section][name]));
  return [...rows.flatMap((row) => row?.[0] ?? []), ...(draft.assertions?.others && index.assertions ? [index.assertions] : [])];
}

/** Of all that a draft brings, stored already or not, but for its index. */
export function sumsIn(draft: ChangeDraft): Sums[] {
  const { others } = draft.assertions ?? {};
  const manifests = [...SECTION_NAMES.flatMap((section): unknown[] => [...sectionOf(draft, section).changed]), ...(others ? [others] : [])];
  return [...draft.blobs.map((blob) => blob.sums), ...manifests.map((manifest) => sumsOf(jsonBytes(manifest)))];
}

/** Sizes in bytes of the blobs that the changed manifests name; texts have none. */
export function sizesIn(draft: ChangeDraft): Map<Digest, number> {
  const sizes = new Map<Digest, number>();
  for (const { digest, size } of blobsOfDraft(draft)) if (size !== undefined) sizes.set(digest, size);
  return sizes;
}

function sectionOf<S extends SectionName>({ sections }: ChangeDraft, section: S): SectionDraft<S> {
  return sections[section] ?? { changed: [], tally: {} };
}
