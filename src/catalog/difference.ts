/** What differs between two manifests of one package, in the words of its fields. */

import { isObject } from "../schema.ts";
import type { StoredPackage } from "./change.ts";

/** What identifies an element of a list; elements that only one side has are counted elsewhere. */
const KEYS = ["revision", "name", "channel", "base", "architecture", "type", "key"];

/**
 * The fields that both have and that differ: `details.summary`, `releases.released-at`. Not listed: revisions, resources, components and
 * releases that only one of them has, and which revision a release names.
 */
export function differingFields(before: StoredPackage, after: StoredPackage): string[] {
  const found = new Set<string>();
  compare(before, after, "", found);
  for (const shown of ["releases.revision", "history", "overrides"]) found.delete(shown);
  return [...found].toSorted();
}

function compare(before: unknown, after: unknown, path: string, found: Set<string>): void {
  if (Object.is(before, after)) return;
  if (Array.isArray(before) && Array.isArray(after)) compareLists(before, after, path, found);
  else if (isObject(before) && isObject(after))
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)]))
      compare(before[key], after[key], `${path === "" ? "" : `${path}.`}${kebab(key)}`, found);
  else found.add(path);
}

function kebab(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function compareLists(before: readonly unknown[], after: readonly unknown[], path: string, found: Set<string>): void {
  if (![...before, ...after].every(isObject)) {
    if (JSON.stringify(before) !== JSON.stringify(after)) found.add(path);
    return;
  }
  if (path === "history" || path === "overrides") return;
  const isRow = path === "releases";
  const keyOf = (item: unknown) =>
    JSON.stringify(isObject(item) ? KEYS.filter((key) => !isRow || key !== "revision").map((key) => item[key]) : item);
  const old = new Map(before.map((item) => [keyOf(item), item]));
  for (const item of after) if (old.has(keyOf(item))) compare(old.get(keyOf(item)), item, path, found);
  const isListed = /^(releases|revisions|(resources|components)(\.revisions)?)$/.test(path);
  const only = after.length !== before.length || after.some((item) => !old.has(keyOf(item)));
  if (only && !isListed) found.add(path);
}
