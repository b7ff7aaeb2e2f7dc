/** An id belongs to one name: clients refresh by id, so who has another's id would be installed in its place. */

import { refused } from "../errors.ts";

/** By name a digest, which does not matter here, then the ids, as an index has them. */
type Rows = Readonly<Record<string, readonly [unknown, ...string[]]>>;

/** An id that several packages have, as their present or a former one. */
export interface SharedId {
  readonly id: string;
  /** sorted */
  readonly names: readonly string[];
}

export function sharedIds(rows: Rows): SharedId[] {
  const owners = new Map<string, Set<string>>();
  for (const [name, [, ...ids]] of Object.entries(rows)) for (const id of ids) owners.set(id, (owners.get(id) ?? new Set()).add(name));
  return [...owners].filter(([, names]) => names.size > 1).map(([id, names]) => ({ id, names: [...names].toSorted() }));
}

/** Throws a `refused` failure if a package of `changed` has an id of another of `rows`, which have the changed ones already. */
export function checkIds(rows: Rows, changed: ReadonlySet<string>): void {
  for (const { id, names } of sharedIds(rows)) {
    const name = names.find((candidate) => changed.has(candidate));
    const other = names.find((candidate) => candidate !== name);
    if (name === undefined || other === undefined) continue;
    throw refused(`${name} has the id ${id}, which belongs to ${other}`, {
      next: `an id belongs to one name; if upstream renamed the package, chp import --renamed OLD=NEW with ${names.join(" and ")} says so`,
    });
  }
}
