/** The settings of a store as they lie on the disk. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Tests name the fields that they look at. */
type Any = ReturnType<typeof JSON.parse>;

export interface StoredSettings {
  /** the path of the newest settings */
  readonly file: string;
  readonly documents: Readonly<Record<string, Any>>;
  /** the path of each secret document, and what is in it */
  readonly secrets: Readonly<Record<string, { readonly file: string; readonly value: Any }>>;
}

export function storedSettings(store: string): StoredSettings {
  const file = join(store, "settings", readdirSync(join(store, "settings")).toSorted().at(-1) ?? "");
  const { documents, secrets } = JSON.parse(readFileSync(file, "utf8"));
  const read = ([name, { file: key }]: [string, Any]) =>
    [name, { file: join(store, key), value: JSON.parse(readFileSync(join(store, key), "utf8")).value }] as const;
  return { file, documents, secrets: Object.fromEntries(Object.entries<Any>(secrets).map(read)) };
}
