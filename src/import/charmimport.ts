/** Merges the charms and bundles of an import into the stored packages. */

import { sameManifest } from "../catalog/change.ts";
import { type ChannelPolicy, changes, type RowChange } from "../catalog/channelmap.ts";
import type { CatalogView } from "../catalog/generation-types.ts";
import { checkIds } from "../catalog/identity.ts";
import { type OverrideFacts, overridesOver } from "../catalog/override.ts";
import {
  type Incoming,
  type IncomingRelease,
  mergePackage,
  numbered,
  PACKAGE_RULES,
  type Package,
  type PackageType,
  type Release,
} from "../catalog/package.ts";
import { printable, refused } from "../errors.ts";
import { mapInSlices } from "../turns.ts";

export interface PackageReport {
  readonly name: string;
  readonly type: PackageType;
  readonly id: string;
  readonly state: "new" | "changed" | "known";
  readonly defaultTrack: string;
  readonly revisions: { readonly new: readonly number[]; readonly known: readonly number[] };
  readonly resources: { readonly new: readonly string[]; readonly known: readonly string[] };
  readonly channels: readonly RowChange<Pick<Release, "base">>[];
  /** overrides in force on channels that moved: their revisions are served instead */
  readonly overrides: readonly OverrideFacts[];
  readonly notes: readonly string[];
}

/** What charms and bundles of an import name and neither it nor the store has. */
export interface MissingOfCharms {
  /** charms that a bundle names and that are not in the store */
  readonly charms: readonly { readonly bundle: string; readonly charm: string }[];
  /** resources that a charm declares or a release pins and that are not in the store; `revision` null: any */
  readonly resources: readonly { readonly charm: string; readonly resource: string; readonly revision: number | null }[];
  /** rows of a channel map whose revision is neither in the archive nor in the store: not published */
  readonly revisions: readonly {
    readonly name: string;
    readonly channel: string;
    readonly base: IncomingRelease["base"];
    readonly revision: number;
  }[];
}

export interface ImportedCharms {
  readonly reports: readonly PackageReport[];
  readonly missing: MissingOfCharms;
  readonly changed: readonly Package[];
  /** every package that the archives have a part of, as it is after the import */
  readonly after: readonly Package[];
  /** former names of renamed packages */
  readonly dropped: readonly string[];
}

interface CharmImportOptions {
  readonly channels: ChannelPolicy;
  /** RFC 3339 */
  readonly now: string;
  /** new name to the stored one */
  readonly renamed?: ReadonlyMap<string, string>;
}

/** Packages that are merged between two turns of the event loop. */
const SLICE = 16;

/** The packages of the archives, each merged into what `base` stores of it. */
export async function importCharms(
  incoming: readonly Incoming[],
  base: Pick<CatalogView, "package" | "index">,
  { channels: policy, now, renamed = new Map() }: CharmImportOptions,
): Promise<ImportedCharms> {
  const before = new Map<string, Package | undefined>();
  const given = new Map<string, Incoming[]>();
  for (const one of incoming) {
    const { name } = one;
    if (!before.has(name)) before.set(name, await storedUnder(name, base, renamed.get(name)));
    const archives = given.get(name) ?? [];
    const known = [...(before.get(name)?.revisions ?? []), ...archives.flatMap(({ revisions }) => revisions)];
    given.set(name, [...archives, numbered({ revisions: known }, one)]);
  }
  const merged = await mapInSlices(given, SLICE, ([name, archives]) => mergePackage(before.get(name), archives, policy));
  const after = new Map(merged.map(({ package: pkg }) => [pkg.name, pkg]));
  const empty = [...after.values()].find((pkg) => pkg.revisions.length === 0);
  if (empty) throw refused(`${empty.name}: the archive has its metadata.json, but no charm or bundle of it`);
  const isRenamed = (name: string) => renamed.has(name) && !Object.hasOwn(base.index.packages, name);
  const formerNames = [...after.keys()].filter(isRenamed).flatMap((name) => renamed.get(name) ?? []);
  const others = Object.entries(base.index.packages).filter(([name]) => !formerNames.includes(name));
  const rows = [...after.values()].map(({ name, id, formerIds }) => [name, [undefined, id, ...formerIds]] as const);
  checkIds(Object.fromEntries([...others, ...rows]), new Set(after.keys()));

  const reports = await mapInSlices(merged, SLICE, ({ package: pkg, notes }) =>
    packageReport(pkg, before.get(pkg.name), { given: given.get(pkg.name) ?? [], notes, now }),
  );
  const isStored = async (name: string) => after.has(name) || (await base.package(name)) !== undefined;
  const charms: MissingOfCharms["charms"][number][] = [];
  for (const pkg of after.values())
    for (const charm of pkg.revisions[0]?.charms ?? []) if (!(await isStored(charm))) charms.push({ bundle: pkg.name, charm });
  const undeclared = [...after.values()].flatMap((pkg) =>
    unstoredResources(pkg).map((resource) => ({ charm: pkg.name, resource, revision: null })),
  );
  const missingPins = merged.flatMap(({ package: { name }, missingResources }) =>
    missingResources.map((pin) => ({ charm: name, resource: pin.name, revision: pin.revision })),
  );
  const revisions = merged.flatMap(({ package: { name }, dropped }) =>
    dropped.map(({ channel, base: on, revision }) => ({ name, channel, base: on, revision })),
  );
  return {
    reports,
    missing: {
      charms,
      resources: [
        ...undeclared,
        ...missingPins.filter((pin) => !undeclared.some((missing) => missing.charm === pin.charm && missing.resource === pin.resource)),
      ],
      revisions,
    },
    after: [...after.values()],
    changed: [...after.values()].filter((pkg) => isRenamed(pkg.name) || !sameManifest(before.get(pkg.name), pkg)),
    dropped: formerNames,
  };
}

/** What is stored of a package; of one that was renamed what is stored under its former name. Throws a `refused` failure. */
async function storedUnder(name: string, base: Pick<CatalogView, "package">, former: string | undefined): Promise<Package | undefined> {
  const stored = await base.package(name);
  if (former === undefined || stored) return stored;
  const before = await base.package(former);
  if (!before) throw refused(`${printable(former, 100)} is not stored, so it can't have been renamed to ${name}`, { next: "chp list" });
  return { ...before, name };
}

function packageReport(
  pkg: Package,
  before: Package | undefined,
  { given, notes, now }: { readonly given: readonly Incoming[]; readonly notes: readonly string[]; readonly now: string },
): PackageReport {
  const channels = changes(PACKAGE_RULES, before, pkg);
  const storedRevisions = new Set(before?.revisions.map((r) => r.revision));
  const storedResources = new Set(before?.resources.flatMap((r) => r.revisions.map((resource) => `${r.name}_${resource.revision}`)));
  const revisions = [...new Set(given.flatMap((incoming) => incoming.revisions.map((r) => r.revision)))].toSorted((a, b) => a - b);
  const resources = [
    ...new Set(given.flatMap((incoming) => incoming.resources.flatMap((r) => r.revisions.map((rev) => `${r.name}_${rev.revision}`)))),
  ].toSorted();
  return {
    name: pkg.name,
    type: pkg.type,
    id: pkg.id,
    state: before === undefined ? "new" : sameManifest(before, pkg) ? "known" : "changed",
    defaultTrack: pkg.defaultTrack,
    revisions: { new: revisions.filter((r) => !storedRevisions.has(r)), known: revisions.filter((r) => storedRevisions.has(r)) },
    resources: { new: resources.filter((r) => !storedResources.has(r)), known: resources.filter((r) => storedResources.has(r)) },
    channels,
    overrides: overridesOver(pkg, channels, Date.parse(now)),
    notes,
  };
}

/** Resources that the newest revision declares and of which no revision is stored. */
function unstoredResources(pkg: Package): string[] {
  const stored = new Set(pkg.resources.map((r) => r.name));
  return (pkg.revisions[0]?.resources ?? []).filter((name) => !stored.has(name));
}
