/** What an operator requests of an export: a site file, a bundle.yaml, or the documented YAML of charms and of snaps. */

import * as v from "valibot";
import { charmName } from "../archives/charm.ts";
import { parseSystem, type System } from "../catalog/base.ts";
import { bootstrapNeeds, parseJuju, readJuju } from "../catalog/bootstrap.ts";
import { parseChannel } from "../catalog/channel.ts";
import { parseImageReference } from "../catalog/imagereference.ts";
import { checkArchitecture } from "../catalog/snap.ts";
import { Failure, printable } from "../errors.ts";
import { mapByName } from "../schema.ts";
import { nearestWord } from "../text.ts";
import { readYamls, YAML_LIMITS } from "../yaml.ts";

/** Everything that a store has of a package: its channels, or its bases. */
export type All = "all";

/** A request of a charm or bundle. */
export interface PackageRequest {
  readonly name: string;
  /** as written; none: the default track's stable */
  readonly channels: readonly string[] | All;
  readonly systems: readonly System[] | All;
  /** dpkg names */
  readonly architectures: readonly string[];
  /** whether its own entry names them: then it must have each of them */
  readonly needsArchitectures?: true;
  /** whether its own entry names them: then `revision` is released on these alone */
  readonly needsSystems?: true;
  readonly revision?: number;
  /** whether `revision` is taken along without a release */
  readonly isUnreleased?: true;
  /** resource name to the revision to take in place of the released one */
  readonly resources: Readonly<Record<string, number>>;
  /** resources that `revision` is taken without */
  readonly absentResources?: readonly string[];
  /** whether every revision of its resources is taken, released or not */
  readonly allResources?: true;
  /** resource name to the path of its image in the local registry */
  readonly paths: Readonly<Record<string, string>>;
  /** why it is taken although it was not requested */
  readonly reason?: string;
}

/** A request of a snap. */
export interface SnapRequest {
  /** upstream may have none of it yet, which is noted and fails nothing */
  readonly mayLack?: true;
  readonly name: string;
  /** as written; none: stable of the default track, or with a revision no channel at all */
  readonly channels: readonly string[] | All;
  readonly architectures: readonly string[];
  readonly revision?: number;
  /** why it is taken although it was not requested */
  readonly reason?: string;
}

/** What an export adds to what was requested, unless the operator leaves it out. */
export const ADDITIONS = {
  "bundle-charms": "the charms of bundles",
  "charm-snaps": "the snaps that charms install",
  likely: "snaps and images that a charm's code only seems to need",
  bases: "the bases of snaps",
  providers: "the default providers of content plugs",
  snapd: "snapd, which every machine with a snap needs",
  images: "container images: those that charms need, those that are named, and those of Juju's controllers",
  "charm-images": "of these, those of charms, unless they are named too",
  "file-images": "of these, those that charms name in their files, and not by a resource",
  agents: "Juju's agents of the versions in essentials and in agents",
} as const;
export type Addition = keyof typeof ADDITIONS;

export function isAddition(text: string): text is Addition {
  return Object.hasOwn(ADDITIONS, text);
}

/** Which container images are taken besides those of charms' resources, and of which architectures all of them. */
export interface ImageRequest {
  /** in full, as `parseImageReference` gives them */
  readonly references: readonly string[];
  /** dpkg names */
  readonly architectures: readonly string[];
}

/** Juju's agents of a version. */
export interface AgentVersion {
  /** as written: `3.6` means its newest patch */
  readonly version: string;
  /** dpkg names */
  readonly architectures: readonly string[];
  /** whether all that a bootstrap of it downloads is requested too */
  readonly isEssential?: true;
}

/** Juju's agents, of which versions. */
export interface AgentRequest {
  /** or all that a store has */
  readonly versions: readonly AgentVersion[] | All;
  /** dpkg names: those of the site */
  readonly architectures: readonly string[];
}

/** Everything that is requested of one export. */
export interface ExportRequest {
  readonly charms: readonly PackageRequest[];
  readonly bundles: readonly PackageRequest[];
  readonly snaps: readonly SnapRequest[];
  /** undefined: the archive takes none */
  readonly images?: ImageRequest;
  /** undefined: the archive takes none */
  readonly agents?: AgentRequest;
  readonly without: readonly Addition[];
  /** whether it is all that a store lists: what that needs besides is added as far as the store has it, and so are assertions of no snap */
  readonly mirror?: true;
  /** notes about requests that cannot be exported */
  readonly notes: readonly string[];
}

/** Which releases of a package to take. Of a whole file: the defaults of its entries. */
export interface Selection {
  readonly channels?: readonly string[] | All;
  readonly systems?: readonly System[] | All;
  readonly architectures?: readonly string[];
}

/** The documented defaults of the exporter that these files were made for. */
const DOCUMENTED_DEFAULTS: Required<Selection> = {
  channels: [],
  systems: [{ name: "ubuntu", channel: "22.04" }],
  architectures: ["amd64"],
};

/* ---- schemas: every scalar is read as text, so that 1.10 stays 1.10 ---- */

const Word = v.pipe(v.string("is not a word"), v.nonEmpty("is empty"));
const Words = v.union(
  [
    v.pipe(v.array(Word), v.minLength(1, "is empty")),
    v.pipe(
      Word,
      v.transform((word) => [word]),
    ),
  ],
  "is neither a word nor a list of words",
);
const Revision = v.pipe(v.string("is not a number"), v.regex(/^\d{1,15}$/, "is not a whole number"), v.transform(Number));

const CHANNEL_AND_BASE_FIELDS = {
  channel: v.optional(Words),
  channels: v.optional(Words),
  base: v.optional(Words),
  bases: v.optional(Words),
  series: v.optional(Words),
};
const ARCHITECTURE_FIELDS = { arch: v.optional(Words), architectures: v.optional(Words) };
const PackageEntry = v.strictObject({
  name: Word,
  ...CHANNEL_AND_BASE_FIELDS,
  ...ARCHITECTURE_FIELDS,
  revision: v.optional(Revision),
  resources: v.optional(
    mapByName(
      v.union(
        [Word, v.strictObject({ revision: v.optional(Word), path: v.optional(Word) })],
        "is neither a word nor a map of revision and path",
      ),
    ),
    {},
  ),
});
/** A `push_channel` is the documented word for the channel that a revision goes to. */
const SnapEntry = v.strictObject({
  name: Word,
  channel: v.optional(Words),
  channels: v.optional(Words),
  push_channel: v.optional(Words),
  ...ARCHITECTURE_FIELDS,
  revision: v.optional(Revision),
});
/** Any bundle is a valid site file: its other keys are ignored. */
const ApplicationSchema = v.looseObject({
  charm: Word,
  channel: v.optional(Words),
  base: v.optional(Words),
  series: v.optional(Words),
  revision: v.optional(Revision),
  resources: v.fallback(mapByName(v.string()), {}),
  constraints: v.fallback(v.string(), ""),
  to: v.fallback(v.optional(Words), undefined),
});
const isJuju = (word: string) => parseJuju(word) !== undefined;
/** Agents alone, for controllers that are there already. */
const AgentEntry = v.strictObject({ version: v.pipe(Word, v.check(isJuju, "is not a version of Juju, like 3.6")), ...ARCHITECTURE_FIELDS });
const List = v.optional(v.array(v.unknown(), "is not a list"), []);
const SITE_FIELDS = {
  ...CHANNEL_AND_BASE_FIELDS,
  ...ARCHITECTURE_FIELDS,
  charms: List,
  bundles: List,
  snaps: List,
  packages: List,
  images: v.optional(Words),
  agents: List,
  essentials: v.optional(v.strictObject({ juju: v.pipe(Words, v.everyItem(isJuju, "is not a version of Juju, like 3.6")) })),
  without: v.optional(Words),
};
const SiteSchema = v.strictObject(SITE_FIELDS);
const Applications = v.optional(mapByName(v.unknown()), {});
const BundleSchema = v.looseObject({
  ...SITE_FIELDS,
  applications: Applications,
  services: Applications,
  "default-base": v.optional(Words),
  machines: v.fallback(mapByName(v.fallback(v.looseObject({ base: v.optional(Words), series: v.optional(Words) }), {})), {}),
});
type Machines = v.InferOutput<typeof BundleSchema>["machines"];
type SelectionFields = Partial<
  Record<keyof typeof CHANNEL_AND_BASE_FIELDS | keyof typeof ARCHITECTURE_FIELDS | "push_channel", readonly string[] | undefined>
>;

/* ---- reading ---- */

/**
 * Reads a site file. `what` names it in errors. The fields of an entry win over `given`, that over the file's own defaults, these
 * over `fallback`. Throws a `usage` failure that names the entry and the field.
 */
export function readSiteFile(text: string, what: string, given: Selection = {}, fallback: Selection = {}): ExportRequest {
  const value = mergeDocuments(text, what);
  const none = { applications: {}, services: {}, machines: {}, "default-base": undefined };
  const site = isBundle(value) ? checkEntry(BundleSchema, withoutBlanks(value), what) : { ...checkEntry(SiteSchema, value, what), ...none };
  const base = site.base ?? site["default-base"];
  const defaults = { ...DOCUMENTED_DEFAULTS, ...fallback, ...readSelection({ ...site, base }, what), ...given };
  const applications = Object.entries({ ...site.services, ...site.applications });
  const notes: string[] = [];
  const charms = [
    ...applications.flatMap(([name, entry]) =>
      readApplication(entry, `${what}: applications.${printable(name, 100)}`, { defaults, machines: site.machines, notes }),
    ),
    ...site.charms.map((entry, i) => readPackageEntry(entry, `${what}: charms.${i}`, defaults)),
    ...(site.essentials?.juju.flatMap((juju) => controllerCharms(juju, defaults.architectures)) ?? []),
  ];
  const bundles = site.bundles.map((entry, i) => readPackageEntry(entry, `${what}: bundles.${i}`, defaults));
  const snaps = [
    ...site.snaps.map((entry, i) => readSnapEntry(entry, `${what}: snaps.${i}`, defaults)),
    ...site.packages.map((entry, i) => readSnapEntry(entry, `${what}: packages.${i}`, defaults)),
    ...(site.essentials?.juju.flatMap((juju) => essentialSnaps(juju, defaults.architectures)) ?? []),
  ];
  const references = (site.images ?? []).map((reference) => readReference(reference, what));
  const versions = [
    ...[...new Set(site.essentials?.juju)].map((version) => ({
      version,
      architectures: defaults.architectures,
      isEssential: true as const,
    })),
    ...site.agents.map((entry, i) => readAgentEntry(entry, `${what}: agents.${i}`, defaults)),
  ];
  if (charms.length + bundles.length + snaps.length + references.length + versions.length + notes.length === 0)
    invalid(what, "it names nothing to export", "name applications, charms, bundles, snaps, images, agents or essentials in it");
  const without = (site.without ?? []).map((word) =>
    isAddition(word)
      ? word
      : invalid(what, `without: unknown addition ${printable(word, 50)}; it takes ${Object.keys(ADDITIONS).join(", ")}`),
  );
  const architectures = new Set([defaults, ...charms, ...bundles].flatMap((entry) => entry.architectures));
  return {
    charms,
    bundles,
    snaps,
    ...(versions.length > 0 && { agents: { versions, architectures: defaults.architectures } }),
    images: { references: [...new Set(references)], architectures: [...architectures] },
    without,
    notes,
  };
}

function readAgentEntry(value: unknown, what: string, defaults: Required<Selection>): AgentVersion {
  const { version, ...fields } = checkEntry(AgentEntry, typeof value === "string" ? { version: value } : value, what);
  return { version, architectures: readSelection(fields, what).architectures ?? defaults.architectures };
}

function readReference(text: string, what: string): string {
  const reference = parseImageReference(text);
  return reference
    ? reference.text
    : invalid(what, `images: ${printable(text, 200)} is not the reference of an image, like ghcr.io/juju/jujud-operator:3.6.11`);
}

/** Requests of the charms of a bundle.yaml; where it names no base itself, those of the request of the bundle hold. */
export function charmsOfBundle(
  text: string,
  what: string,
  bundle: PackageRequest,
  reason: string,
): Pick<ExportRequest, "charms" | "notes"> {
  const { charms, notes } = readSiteFile(text, what, { architectures: bundle.architectures }, { systems: bundle.systems });
  return { charms: charms.map((charm) => ({ ...charm, reason })), notes };
}

/** It is the operator's own, and chp inventory --manifest writes about 70 tokens for a release. */
const SITE_LIMITS = { ...YAML_LIMITS, tokens: 5_000_000 };

/** The value of all documents of the file: those after the first are overlays of a bundle, merged as Juju merges them. */
function mergeDocuments(text: string, what: string): unknown {
  const [first = {}, ...overlays] = readYamls(text, what, "failsafe", SITE_LIMITS).filter((document) => document !== "");
  if (!isMapping(first)) invalid(what, "it is not a map of keys to what they say");
  if (overlays.length === 0) return first;
  if (!isBundle(first)) invalid(what, "it has several documents, which only a bundle with overlays has");
  const applications = new Map(applicationsOf(first));
  for (const [name, entry] of overlays.flatMap(applicationsOf))
    if (isMapping(entry)) applications.set(name, { ...mappingOrEmpty(applications.get(name)), ...entry });
    else applications.delete(name);
  return { ...first, services: {}, applications: Object.fromEntries(applications) };
}

function applicationsOf(value: unknown): [string, unknown][] {
  const { services, applications } = mappingOrEmpty(value);
  return Object.entries({ ...mappingOrEmpty(services), ...mappingOrEmpty(applications) });
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function mappingOrEmpty(value: unknown): Record<string, unknown> {
  return isMapping(value) ? value : {};
}

function isBundle(value: unknown): value is Record<string, unknown> {
  return isMapping(value) && ("applications" in value || "services" in value);
}

/** The keys of a bundle that have a value; in YAML one without a value is blank text here. */
function withoutBlanks(value: unknown): unknown {
  return isMapping(value) ? Object.fromEntries(Object.entries(value).filter(([, field]) => field !== "")) : value;
}

interface BundleContext {
  readonly defaults: Required<Selection>;
  readonly machines: Machines;
  readonly notes: string[];
}

function readApplication(value: unknown, what: string, { defaults, machines, notes }: BundleContext): PackageRequest[] {
  const entry = checkEntry(ApplicationSchema, withoutBlanks(value), what);
  const name = charmName(entry.charm);
  if (name === undefined) {
    notes.push(`${what}: ${printable(entry.charm, 200)} is a charm of yours, not of a store; chp import imports it where it is built`);
    return [];
  }
  const arch = /(?:^|\s)arch=(\S+)/.exec(entry.constraints)?.[1];
  const { channel, revision, resources: given } = entry;
  const resources = Object.fromEntries(Object.entries(given).map(([resource, word]) => [resource, readResource(word, what)]));
  const id = entry.to?.map((place) => place.split(":").at(-1) ?? "").find((machine) => Object.hasOwn(machines, machine));
  const { base, series } = entry.base || entry.series || id === undefined ? entry : (machines[id] ?? entry);
  return [
    packageRequest(name, { channel, base, series, ...(arch !== undefined && { arch: [arch] }) }, { revision, resources }, what, defaults),
  ];
}

function readPackageEntry(value: unknown, what: string, defaults: Required<Selection>): PackageRequest {
  const { name, revision, resources: given, ...fields } = checkEntry(PackageEntry, expandName(value), what);
  const resources = Object.fromEntries(Object.entries(given).map(([resource, said]) => [resource, readResource(said, what)]));
  const isUnreleased = namesNone(fields);
  if (isUnreleased && revision === undefined) invalid(what, `channels: ${NONE} is for a revision, which it does not name`);
  if (!isUnreleased) return packageRequest(name, fields, { revision, resources }, what, defaults);
  const { channel: _, channels: __, ...others } = fields;
  return { ...packageRequest(name, others, { revision, resources }, what, defaults), channels: [], isUnreleased };
}

/** In place of a channel or of the revision of a resource. */
const NONE = "none";

function namesNone({ channel, channels }: SelectionFields): boolean {
  return (channels ?? channel)?.join(" ") === NONE;
}

/** What an entry says of a resource; a `revision` of null: it is taken without. */
interface ResourceWish {
  readonly revision?: number | null;
  readonly path?: string;
}

/** A number is a revision; other text is the path of its image in the local registry. */
function readResource(
  said: string | { readonly revision?: string | undefined; readonly path?: string | undefined },
  what: string,
): ResourceWish {
  const isRevision = (word: string) => /^\d{1,15}$/.test(word);
  if (typeof said === "string") return isRevision(said) ? { revision: Number(said) } : { path: said };
  const { revision, path } = said;
  if (revision !== undefined && revision !== NONE && !isRevision(revision))
    invalid(what, `resources: ${printable(revision, 100)} is neither a revision nor ${NONE}`);
  return {
    ...(revision !== undefined && { revision: revision === NONE ? null : Number(revision) }),
    ...(path !== undefined && { path }),
  };
}

function packageRequest(
  name: string,
  fields: SelectionFields,
  { revision, resources }: { readonly revision?: number | undefined; readonly resources: Readonly<Record<string, ResourceWish>> },
  what: string,
  defaults: Required<Selection>,
): PackageRequest {
  const entries = Object.entries(resources);
  const selection = readSelection(fields, what);
  const absentResources = entries.flatMap(([resource, wish]) => (wish.revision === null ? [resource] : []));
  return {
    name: checkPackageName(name, what),
    ...defaults,
    ...selection,
    ...(selection.architectures && { needsArchitectures: true }),
    ...(selection.systems && { needsSystems: true }),
    ...(revision !== undefined && { revision }),
    ...(absentResources.length > 0 && { absentResources }),
    resources: Object.fromEntries(
      entries.flatMap(([resource, wish]) => (typeof wish.revision === "number" ? [[resource, wish.revision]] : [])),
    ),
    paths: Object.fromEntries(entries.flatMap(([resource, { path }]) => (path === undefined ? [] : [[resource, path]]))),
  };
}

function readSnapEntry(value: unknown, what: string, defaults: Required<Selection>): SnapRequest {
  const { name, revision, ...given } = checkEntry(SnapEntry, expandName(value), what);
  if (namesNone(given) && revision === undefined) invalid(what, `channels: ${NONE} is for a revision, which it does not name`);
  const fields = namesNone(given) ? { ...given, channel: undefined, channels: undefined } : given;
  const { channels, architectures } = readSelection(fields, what);
  const defaultChannels = revision === undefined ? defaults.channels : [];
  return {
    name: checkPackageName(name, what),
    channels: channels ?? defaultChannels,
    architectures: architectures ?? defaults.architectures,
    ...(revision !== undefined && { revision }),
  };
}

function expandName(value: unknown): unknown {
  return typeof value === "string" ? { name: value } : value;
}

/** Reads the flags or keys that name channels, bases and architectures. Throws a `usage` failure. */
export function readSelection(fields: SelectionFields, what: string): Selection {
  const channels = [fields.channels, fields.channel, fields.push_channel].find((words) => words !== undefined);
  const systems = [fields.bases, fields.base, fields.series].find((words) => words !== undefined);
  const architectures = fields.architectures ?? fields.arch;
  for (const word of channels ?? []) if (word !== "all" && !parseChannel(word)) invalid(what, `${printable(word, 100)} is not a channel`);
  for (const word of architectures ?? []) checkArchitecture(word, what);
  return {
    ...(channels && { channels: channels.includes("all") ? "all" : channels }),
    ...(systems && {
      systems: systems.includes("all")
        ? "all"
        : systems.map(
            (word) =>
              parseSystem(word) ?? invalid(what, `${printable(word, 50)} is neither a base like ubuntu@24.04 nor a series like jammy`),
          ),
    }),
    ...(architectures && { architectures }),
  };
}

const NAME = /^[a-zA-Z0-9](?:[a-zA-Z0-9._+-]{0,126}[a-zA-Z0-9])?$/;

function checkPackageName(name: string, what: string): string {
  return NAME.test(name) ? name : invalid(what, `${printable(name, 100)} is not a name of a charm, bundle or snap`);
}

function checkEntry<T extends v.GenericSchema>(schema: T, value: unknown, what: string): v.InferOutput<T> {
  const parsed = v.safeParse(schema, value, { abortEarly: true });
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  const path = v.getDotPath(issue);
  const field = path === null ? "" : `${printable(path, 100)} `;
  if (issue.type === "strict_object" && issue.expected === "never") return unknownKey(schema, value, what, field.trim());
  return invalid(
    what,
    `${field}${issue.received === "undefined" ? "is missing" : issue.message.startsWith("is ") ? issue.message : "is not what it should be"}`,
  );
}

/** Names the entry as well, since a list is long, and the key that was probably meant. */
function unknownKey(schema: v.GenericSchema, value: unknown, what: string, key: string): never {
  const name = isMapping(value) && typeof value["name"] === "string" ? ` of ${printable(value["name"], 100)}` : "";
  const meant = "entries" in schema ? nearestWord(key, Object.keys(schema.entries as object)) : undefined;
  const next = "chp help site-file lists the keys";
  return invalid(what, `unknown key ${key}${name}`, meant === undefined ? next : `did you mean ${meant}? ${next}`);
}

function invalid(what: string, why: string, next = "chp help export shows what such a file may say"): never {
  throw new Failure("usage", `${what}: ${why}`, { next });
}

/* ---- what Juju itself needs: `essentials` ---- */

function controllerCharms(juju: string, architectures: readonly string[]): PackageRequest[] {
  const { charm } = bootstrapNeeds(readJuju(juju));
  if (!charm) return [];
  const { name, channel, systems } = charm;
  return [{ name, channels: [channel], systems, architectures, resources: {}, paths: {}, reason: `Juju ${juju} bootstraps with it` }];
}

/** The snaps of controllers of that Juju: `3.6`, or an exact version. */
export function essentialSnaps(juju: string, architectures: readonly string[]): SnapRequest[] {
  return bootstrapNeeds(readJuju(juju)).snaps.map(({ name, channel, reason, sure }) => ({
    name,
    channels: [channel],
    architectures,
    reason: `essential for Juju ${juju}: ${reason}`,
    ...(sure === "likely" && { mayLack: true as const }),
  }));
}
