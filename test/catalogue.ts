/** Random catalogues: what a store may hold that came with one import, and everything that can be asked of it. */

import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { parseAssertions } from "../src/assertions/text.ts";
import { ASSERTION_TYPES } from "../src/assertions/types.ts";
import { sameBase } from "../src/catalog/base.ts";
import { ARCHITECTURES } from "../src/catalog/snap.ts";
import { type ImportReport } from "../src/import/import.ts";
import type { Store } from "../store/store.ts";
import { base, bundleZip, charmZip, downloadOf, type Files, imageBlob, type TestBase, tgzOf } from "./build.ts";
import { importInto } from "./importing.ts";
import {
  account,
  accountKey,
  rootOf,
  type Signatory,
  snapDeclaration,
  snapResourcePair,
  snapResourceRevision,
  snapRevision,
  testKey,
} from "./signer.ts";
import { squashfs } from "./squashfs.ts";

export interface Catalogue {
  readonly charms: readonly CharmModel[];
  readonly bundles: readonly BundleModel[];
  readonly snaps: readonly SnapModel[];
}

/** JSON values, with their keys in the order that they stand in. */
type Told = Readonly<Record<string, unknown>>;

interface RowModel {
  readonly channel: string;
  readonly base: TestBase | null;
  readonly revision: number;
  readonly releasedAt: string | undefined;
  readonly pins: Readonly<Record<string, number>>;
}

interface RevisionModel {
  readonly revision: number;
  /** what its manifest says */
  readonly bases: readonly TestBase[];
  /** what the metadata.json says of that */
  readonly toldBases: readonly TestBase[];
  /** of its zip */
  readonly files: Files;
  /** names of resources */
  readonly declares: readonly string[];
  /** what the metadata.json says besides: version, times, attributes, texts */
  readonly told: Told;
}

interface ResourceModel {
  readonly name: string;
  readonly type: "file" | "oci-image";
  readonly told: Told;
  readonly revisions: readonly number[];
}

interface PackageModel {
  readonly name: string;
  readonly id: string;
  readonly details: Told;
  readonly defaultTrack: string;
  readonly rows: readonly RowModel[];
}

interface CharmModel extends PackageModel {
  /** what lies beside it of its publisher: the account's assertion, and the key that signed that */
  readonly account: "none" | "alone" | "with its key";
  readonly revisions: readonly RevisionModel[];
  readonly resources: readonly ResourceModel[];
}

interface BundleModel extends PackageModel {
  /** revision → bundle.yaml */
  readonly yamls: ReadonlyMap<number, string>;
}

interface SnapRevisionModel {
  readonly revision: number;
  readonly architectures: readonly string[];
  /** lines of its snap.yaml */
  readonly lines: readonly string[];
  readonly hasIcon: boolean;
  readonly createdAt: string | undefined;
  /** component → the revision that it was published with */
  readonly components: Readonly<Record<string, number>>;
}

export interface SnapModel {
  readonly name: string;
  readonly id: string;
  readonly publisher: string;
  readonly details: Told;
  readonly defaultTrack: string | null;
  /** of its declaration, oldest first */
  readonly formats: readonly number[];
  readonly revisions: readonly SnapRevisionModel[];
  readonly rows: readonly {
    readonly channel: string;
    readonly architecture: string;
    readonly revision: number;
    readonly releasedAt: string | undefined;
  }[];
}

/* ---- words ---- */

function idOf(name: string): string {
  return createHash("sha256")
    .update(name)
    .digest("base64")
    .replace(/[^A-Za-z0-9]/g, "")
    .slice(0, 32);
}

function accountId(name: string): string {
  return idOf(`account ${name}`);
}

const TRACKS = ["latest", "14", "3.x", "alpha"];
const RISKS = ["stable", "candidate", "beta", "edge"];
const BASES = [
  base("amd64", "24.04"),
  base("arm64", "24.04"),
  base("amd64", "22.04"),
  base("s390x", "22.04"),
  base("amd64", "20.04"),
  base("amd64", "9", "centos"),
  base("armhf", "22.04"),
];
/** What the public store writes where any will do. */
const ANY_BASES = [base("all", "22.04"), base("amd64", "all", "all"), base("all", "all", "all")];
const TIMES = [
  "2026-03-01T09:30:00.000000+00:00",
  "2026-02-28T08:00:00.123456",
  "2025-12-31T23:59:59Z",
  "2024-02-29T00:00:00+02:00",
  "2026-01-01 10:00:00",
  undefined,
];
const RESOURCES = ["image", "data-file", "b.c", "constructor"];
const FEW_ARCHITECTURES = ["amd64", "arm64", "s390x"];
const CATEGORIES = ["databases", "devices", "featured"];
const INTERFACES = ["pgsql", "http"];

const time = fc.constantFrom(...TIMES);
const anyText = fc.oneof(
  fc.constantFrom("", "Acme", "line\nline  \n", "  à la “carte” ☃ 𝄞 ", '"quoted" \\ <b>', "https://acme.test/x"),
  fc.string({ unit: "grapheme", maxLength: 12 }),
);

/** An object of some of these keys, in any order. */
function some<T>(values: Readonly<Record<string, fc.Arbitrary<T>>>): fc.Arbitrary<Readonly<Record<string, T>>> {
  return fc
    .shuffledSubarray(Object.keys(values))
    .chain((keys) => fc.tuple(...keys.map((key) => values[key] as fc.Arbitrary<T>)).map((all) => keys.map((key, i) => [key, all[i] as T])))
    .map((entries) => Object.fromEntries(entries));
}

const numbers = (most: number, maxLength: number) =>
  fc.uniqueArray(fc.integer({ min: 1, max: most }), { minLength: 1, maxLength }).map((all) => all.toSorted((a, b) => a - b));
/** one of `all`, by a number that does not depend on how many there are */
const at = <T>(all: readonly T[], pick: number): T => all[pick % all.length] as T;
const pick = fc.nat({ max: 11 });

/* ---- charms and bundles ---- */

const categories = fc.uniqueArray(fc.constantFrom(...CATEGORIES), { maxLength: 2 });
const publisher = some<unknown>({
  id: fc.constantFrom("acme", "other").map(accountId),
  username: fc.constantFrom("acme", "other"),
  "display-name": anyText,
  validation: fc.constantFrom("unproven", "verified", "partner"),
  "odd key": anyText,
  // Juju cannot decode what is no string, so it is dropped when it comes in.
  number: fc.constant(3),
});

const details = some<unknown>({
  title: anyText,
  summary: anyText,
  description: anyText,
  license: anyText,
  "store-url": anyText,
  website: anyText,
  "bugs-url": anyText,
  links: some<unknown>({ 2: fc.constant(["b"]), 1: fc.constant(["a"]), docs: fc.array(anyText, { maxLength: 2 }) }),
  unlisted: fc.boolean(),
  "deployable-on": fc.subarray(["kubernetes", "machine"]),
  "contains-charms": fc.constant([{ name: "x" }]),
  "no such key": anyText,
  publisher,
  categories: categories.map((names) => names.map((name) => ({ featured: name.length % 2 === 0, name }))),
});

const charmRevision = fc.record({
  on: fc.subarray(BASES, { minLength: 1 }),
  any: fc.option(fc.constantFrom(...ANY_BASES), { freq: 4 }),
  files: some({
    "config.yaml": fc.constantFrom("options: {}\n", "{}\n", "options:\n  port: {type: int, default: 5}\n"),
    "actions.yaml": fc.constantFrom("", "backup: {description: writes}\n"),
    "README.md": anyText,
  }),
  declares: fc.subarray(RESOURCES),
  told: some<unknown>({
    version: anyText,
    "created-at": time,
    attributes: some({ language: anyText, framework: anyText, 1: anyText }),
    "readme-md": anyText,
    "actions-yaml": fc.constant("told: {}\n"),
  }),
});

const place = fc.record({ track: pick, risk: pick, on: pick, what: pick, time, pins: fc.array(pick, { minLength: 4, maxLength: 4 }) });
const places = fc.array(place, { minLength: 1, maxLength: 8 });

const charm = fc
  .record({
    name: fc.constantFrom("acme-db", "tiny", "x1-k8s", "constructor"),
    account: fc.constantFrom<CharmModel["account"]>("none", "alone", "with its key"),
    details,
    trackOrder: fc.shuffledSubarray(TRACKS, { minLength: 1 }),
    defaultTrack: pick,
    numbers: numbers(40, 4),
    revisions: fc.array(charmRevision, { minLength: 4, maxLength: 4 }),
    resources: fc.tuple(
      ...RESOURCES.map((name) =>
        fc.record({
          name: fc.constant(name),
          type: fc.constantFrom("file" as const, "oci-image" as const),
          told: some<unknown>({ description: anyText, filename: anyText, "created-at": time }),
          revisions: numbers(20, 3),
        }),
      ),
    ),
    places,
  })
  .map((given): CharmModel => {
    const { name, trackOrder } = given;
    const all = given.numbers.map((number, i): RevisionModel => {
      const { on, any, files, declares, told } = at(given.revisions, i);
      return { revision: number, bases: on, files, declares, told, toldBases: any ? [any] : on };
    });
    const rows = new Map<string, RowModel>();
    for (const { track, risk, on, what, time: releasedAt, pins } of given.places) {
      const { revision: number, toldBases, declares } = at(all, what);
      const channel = `${at(trackOrder, track)}/${at(RISKS, risk)}`;
      // What a row leaves unpinned is filled by the store, and looks like a pin from outside.
      const pinned = given.resources.filter((one, i) => declares.includes(one.name) || (pins[i] ?? 0) > 8);
      const row = {
        channel,
        base: at(toldBases, on),
        revision: number,
        releasedAt,
        pins: Object.fromEntries(pinned.map((one, i) => [one.name, at(one.revisions, pins[i] ?? 0)])),
      };
      const key = [channel, JSON.stringify(row.base)];
      // A base `all` meets every other, and of two rows that meet one is history, which nobody sees from outside.
      const meets = [...rows].some(([other, { base: its }]) => other.startsWith(`${channel} `) && (isAny(row.base) || isAny(its)));
      if (!meets && !rows.has(key.join(" "))) rows.set(key.join(" "), row);
    }
    // Nothing lists what is in no channel and is pinned by none: it can be had by who knows its number.
    const revisions = all.filter((one) => [...rows.values()].some((row) => row.revision === one.revision));
    const known = new Set([...revisions.flatMap((one) => one.declares), ...[...rows.values()].flatMap((row) => Object.keys(row.pins))]);
    return {
      name,
      id: idOf(name),
      account: given.account,
      details: given.details,
      defaultTrack: at(trackOrder, given.defaultTrack),
      rows: [...rows.values()],
      revisions,
      resources: given.resources.filter((one) => known.has(one.name)),
    };
  });

function isAny(on: TestBase | null): boolean {
  return on !== null && Object.values(on).includes("all");
}

const bundle = fc
  .record({
    name: fc.constantFrom("stack", "cos-lite"),
    details,
    trackOrder: fc.shuffledSubarray(TRACKS, { minLength: 1 }),
    defaultTrack: pick,
    numbers: numbers(9, 3),
    charms: fc.array(fc.constantFrom("acme-db", "tiny", "constructor", "not-held"), { minLength: 1, maxLength: 3 }),
    places,
  })
  .map((given): BundleModel => {
    const rows = new Map<string, RowModel>();
    for (const { track, risk, what, time: releasedAt } of given.places) {
      const channel = `${at(given.trackOrder, track)}/${at(RISKS, risk)}`;
      rows.set(channel, { channel, base: null, revision: at(given.numbers, what), releasedAt, pins: {} });
    }
    const released = given.numbers.filter((number) => [...rows.values()].some((row) => row.revision === number));
    const yamlOf = (number: number) => {
      const applications = given.charms.map(
        (name, i) => `  a${i}:\n    charm: ${name}\n    channel: ${at(TRACKS, i)}/stable\n    num_units: 1\n`,
      );
      return `name: ${given.name}\ndescription: revision ${number}\napplications:\n${applications.join("")}`;
    };
    return {
      name: given.name,
      id: idOf(given.name),
      details: given.details,
      defaultTrack: at(given.trackOrder, given.defaultTrack),
      rows: [...rows.values()],
      yamls: new Map(released.map((number) => [number, yamlOf(number)])),
    };
  });

/* ---- snaps ---- */

const word = fc.constantFrom("Acme", "says hello", "a: b", "MIT", "https://acme.test/");

const snapRevisionOf = fc.record({
  architectures: fc.oneof(fc.subarray(FEW_ARCHITECTURES, { minLength: 1 }), fc.constant(["all"])),
  facts: some<unknown>({
    title: word,
    summary: word,
    description: word,
    license: word,
    contact: fc.oneof(word, fc.constant(["mailto:a@acme.test", "b"])),
    website: word,
    links: fc.constant({ docs: ["https://acme.test/docs"], contact: ["c"] }),
    base: fc.constantFrom("core22", "bare"),
    type: fc.constantFrom("app", "base", "gadget", "kernel", "os", "snapd"),
    confinement: fc.constantFrom("strict", "classic", "devmode"),
    epoch: fc.constantFrom<unknown>("1*", "2", { read: [1, 2], write: [2] }),
    plugs: fc.constant({ themes: { interface: "content", "default-provider": "gtk-common-themes:x" } }),
    version: fc.constantFrom("1.10", "2"),
  }),
  apps: fc.subarray(["hello", "world"]),
  hasIcon: fc.boolean(),
  createdAt: time,
  components: fc.subarray(["extra", "debug"]),
  pairs: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
});

const snapDetails = some<unknown>({
  title: anyText,
  summary: anyText,
  description: anyText,
  license: anyText,
  contact: anyText,
  website: fc.oneof(anyText, fc.constant(null)),
  "store-url": anyText,
  links: fc.constantFrom({}, { contact: ["mailto:told@acme.test"], 7: ["x"] }),
  categories: categories.map((names) => names.map((name) => ({ name, featured: name.length % 2 === 0 }))),
  media: fc.constant([{ type: "icon", url: "https://media.internet.test/x.png" }]),
});

const snap = fc
  .record({
    name: fc.constantFrom("hello", "core22", "snapd", "dtrack"),
    publisher: fc.constantFrom("acme", "other"),
    details: snapDetails,
    trackOrder: fc.shuffledSubarray(TRACKS, { minLength: 1 }),
    defaultTrack: fc.option(pick),
    formats: fc.subarray([0, 2, 5, 6], { minLength: 1 }),
    numbers: numbers(90, 4),
    revisions: fc.array(snapRevisionOf, { minLength: 4, maxLength: 4 }),
    places: fc.array(place, { minLength: 1, maxLength: 12 }),
  })
  .map((given): SnapModel => {
    const all = given.numbers.map((number, i): SnapRevisionModel => {
      const { architectures, facts, apps, hasIcon, createdAt, components, pairs } = at(given.revisions, i);
      const more = {
        ...facts,
        ...(apps.length > 0 && {
          apps: Object.fromEntries(apps.map((app) => [app, { command: `bin/${app}`, "common-id": `test.${app}` }])),
        }),
        ...(components.length > 0 && { components: Object.fromEntries(components.map((one) => [one, { type: "standard" }])) }),
      };
      return {
        revision: number,
        architectures,
        lines: Object.entries(more).map(([key, value]) => `${key}: ${JSON.stringify(value)}`),
        hasIcon,
        createdAt,
        components: Object.fromEntries(components.map((one, j) => [one, pairs[j] ?? 1])),
      };
    });
    const rows = new Map<string, SnapModel["rows"][number]>();
    for (const { track, risk, on, what, time: releasedAt } of given.places) {
      const { revision: number, architectures } = at(all, what);
      const channel = `${at(given.trackOrder, track)}/${at(RISKS, risk)}`;
      const architecture = at(architectures.includes("all") ? ["all", "all", "all", ...ARCHITECTURES] : architectures, on);
      rows.set(`${channel} ${architecture}`, { channel, architecture, revision: number, releasedAt });
    }
    return {
      name: given.name,
      id: idOf(`snap ${given.name}`),
      publisher: given.publisher,
      details: given.details,
      defaultTrack: given.defaultTrack === null ? null : at(given.trackOrder, given.defaultTrack),
      formats: given.formats,
      // As with charms: what is in no channel can be had by its number alone.
      revisions: all.filter((one) => shownRevisions([...rows.values()]).has(one.revision)),
      rows: [...rows.values()],
    };
  });

/** Those that a machine of some architecture can be told of: of its own row and the one of all the later, at equal times its own. */
function shownRevisions(rows: SnapModel["rows"]): Set<number> {
  const channels = new Set(rows.map((row) => row.channel));
  const shown = [...channels].flatMap((channel) =>
    ARCHITECTURES.flatMap((machine) => {
      const of = (architecture: string) => rows.find((row) => row.channel === channel && row.architecture === architecture);
      const [own, all] = [of(machine), of("all")];
      return (own && all && releaseTime(own) < releaseTime(all) ? all : (own ?? all))?.revision ?? [];
    }),
  );
  return new Set(shown);
}

/** Milliseconds; what has no time is released when it is imported, after all others. */
function releaseTime({ releasedAt: text }: Pick<RowModel, "releasedAt">): number {
  if (text === undefined) return Number.POSITIVE_INFINITY;
  return Date.parse(/(?:Z|[+-]\d\d:\d\d)$/.test(text) ? text : `${text.replace(" ", "T")}Z`);
}

/** Something of anything. */
export const catalogues: fc.Arbitrary<Catalogue> = fc
  .record({
    charms: fc.uniqueArray(charm, { maxLength: 3, selector: (one) => one.name }),
    bundles: fc.uniqueArray(bundle, { maxLength: 2, selector: (one) => one.name }),
    snaps: fc.uniqueArray(snap, { maxLength: 3, selector: (one) => one.name }),
  })
  .filter(({ charms, bundles, snaps }) => charms.length + bundles.length + snaps.length > 0);

type Row = Pick<RowModel, "channel" | "revision">;

/**
 * A store as it was at first, and as it is after more came: rows were added, and of the first ones some moved. What a row
 * pins is declared by its charm: of a file that both sides have nothing is told again. And what is said of a package as a
 * whole stays, since that is always what is said of it today.
 */
export const growing: fc.Arbitrary<{ readonly before: Catalogue; readonly after: Catalogue }> = fc
  .tuple(catalogues, fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }))
  .map(([catalogue, there]) => {
    const described = <M extends PackageModel>(model: M) => ({ ...model, details: { ...DESCRIBED, ...model.details } });
    const after = {
      ...catalogue,
      charms: catalogue.charms.map(withDeclaredPins).map(described),
      bundles: catalogue.bundles.map(described),
    };
    return { before: earlier(after, (row) => there[row] ?? false), after };
  });

const DESCRIBED = { title: "A title", summary: "A summary", description: "A description" };

function withDeclaredPins(model: CharmModel): CharmModel {
  const rows = model.rows.map((row) => {
    const declares = model.revisions.find((one) => one.revision === row.revision)?.declares ?? [];
    return { ...row, pins: Object.fromEntries(Object.entries(row.pins).filter(([name]) => declares.includes(name))) };
  });
  const known = new Set(model.revisions.flatMap((one) => one.declares));
  return { ...model, rows, resources: model.resources.filter((one) => known.has(one.name)) };
}

function earlier({ charms, bundles, snaps }: Catalogue, isThere: (row: number) => boolean): Catalogue {
  const kept = <R extends Row>(rows: readonly R[]) => rows.filter((_, i) => isThere(i) || i === 0);
  return {
    charms: charms.map((model) => {
      const runs = (number: number, on: TestBase | null) =>
        model.revisions.some((one) => one.revision === number && one.toldBases.some((own) => sameBase(own, on)));
      const rows = moved(kept(model.rows), (row, other) => row.base !== null && !isAny(row.base) && runs(other.revision, row.base));
      const pinned = (name: string, number: number) => rows.some((row) => row.pins[name] === number);
      const resources = model.resources.map((one) => ({ ...one, revisions: one.revisions.filter((number) => pinned(one.name, number)) }));
      return { ...model, rows, revisions: model.revisions.filter(isReleased(rows)), resources };
    }),
    bundles: bundles.map((model) => {
      const rows = moved(kept(model.rows), () => true);
      return { ...model, rows, yamls: new Map([...model.yamls].filter(([revision]) => isReleased(rows)({ revision }))) };
    }),
    snaps: snaps.map((model) => {
      const rows = kept(model.rows);
      const shown = shownRevisions(rows);
      return { ...model, rows, revisions: model.revisions.filter((one) => shown.has(one.revision)) };
    }),
  };
}

/** Every second row with what stands in another that suits it. */
function moved(rows: readonly RowModel[], suits: (row: RowModel, other: RowModel) => boolean): RowModel[] {
  return rows.map((row, i) => {
    const other = i % 2 === 1 ? rows.find((one) => one.revision !== row.revision && suits(row, one)) : undefined;
    return other ? { ...row, revision: other.revision, pins: other.pins } : row;
  });
}

function isReleased(rows: readonly Row[]): (one: Pick<Row, "revision">) => boolean {
  return ({ revision: number }) => rows.some((row) => row.revision === number);
}

/* ---- as an export that another exporter made ---- */

function contentOf({ name, type }: ResourceModel, charmName: string, number: number): string {
  const digest = createHash("sha256").update(`${charmName} ${name} ${number}`).digest("hex");
  if (type === "file") return `${name} ${number} of ${charmName}\n`;
  return imageBlob(`${number % 2 === 0 ? "registry.test:5000/" : ""}charm/${idOf(charmName).toLowerCase()}/${name}@sha256:${digest}`);
}

function infoRow({ channel, base: on, revision: number, releasedAt }: RowModel, told: Told, zip: Uint8Array) {
  const [track, risk] = channel.split("/");
  return {
    channel: { name: channel, track, risk, base: on, ...(releasedAt !== undefined && { "released-at": releasedAt }) },
    revision: { revision: number, ...told, download: downloadOf(zip) },
  };
}

function infoOf(model: PackageModel, type: "charm" | "bundle", rows: readonly (ReturnType<typeof infoRow> & { resources?: unknown })[]) {
  const first = rows.find((row) => row.channel.track === model.defaultTrack);
  const { name, id, details: result } = model;
  return JSON.stringify({ type, id, name, result, "channel-map": rows, ...(first && { "default-release": first }) });
}

export function charmFiles(model: CharmModel): Files {
  const zips = new Map(
    model.revisions.map(({ revision: number, bases, files, declares }) => {
      const declared = model.resources.filter((one) => declares.includes(one.name));
      const resources = Object.fromEntries(
        declared.map((one) => [one.name, { type: one.type, ...(one.type === "file" && { filename: `${one.name}.bin` }) }]),
      );
      return [number, charmZip({ name: model.name, revision: number, bases, resources, files })];
    }),
  );
  const rows = model.rows.map((row) => {
    const { toldBases: bases, told } = model.revisions.find((one) => one.revision === row.revision) ?? { toldBases: [], told: {} };
    return {
      ...infoRow(row, { ...told, bases }, zips.get(row.revision) ?? new Uint8Array()),
      resources: Object.entries(row.pins).flatMap(([name, pin]) => {
        const resource = model.resources.find((one) => one.name === name);
        return resource
          ? [{ name, type: resource.type, revision: pin, ...resource.told, download: downloadOf(contentOf(resource, model.name, pin)) }]
          : [];
      }),
    };
  });
  return {
    ...Object.fromEntries([...zips].map(([number, zip]) => [`${model.name}_${number}.charm`, zip])),
    "metadata.json": infoOf(model, "charm", rows),
    ...publisherFile(model),
    ...Object.fromEntries(
      model.resources.flatMap((one) =>
        one.revisions.map((number) => [`resources/${model.name}.${one.name}_${number}`, contentOf(one, model.name, number)]),
      ),
    ),
  };
}

/** Nothing leads to an account whose id the store does not tell. */
function publisherFile({ name, account: how, details: { publisher: told } }: CharmModel): Files {
  const id = told === undefined ? accountId("acme") : (told as Told)["id"];
  const owner = ["acme", "other"].find((one) => accountId(one) === id);
  if (how === "none" || owner === undefined) return {};
  return { [`${name}_publisher_account.assert`]: [accountOf(owner), ...(how === "alone" ? [] : [STORE_KEY])].join("\n") };
}

function bundleFiles(model: BundleModel): Files {
  const zips = new Map([...model.yamls].map(([number, yaml]) => [number, bundleZip(yaml)]));
  const rows = model.rows.map((row) => infoRow(row, {}, zips.get(row.revision) ?? new Uint8Array()));
  return {
    ...Object.fromEntries([...zips].map(([number, zip]) => [`${model.name}_${number}.bundle`, zip])),
    "metadata.json": infoOf(model, "bundle", rows),
  };
}

const ROOT = rootOf("testroot");
const STORE: Signatory = { account: ROOT.account, key: testKey("store of testroot") };
const STORE_KEY = accountKey(ROOT, STORE.key, { "account-id": ROOT.account, name: "store" });
const signed = new Map<string, string>();

/** The same assertion is signed once. */
function once(make: (by: Signatory, headers: Told) => string, headers: Told): string {
  const key = JSON.stringify([make.name, String(make), headers]);
  const text = signed.get(key) ?? make(STORE, headers);
  signed.set(key, text);
  return text;
}

/** What is trusted besides Canonical's root. */
export const ROOT_TEXT: string = ROOT.trust;
const TRUSTED = parseAssertions(Buffer.from(ROOT_TEXT), "root");

function accountOf(name: string): string {
  const more = name === "acme" ? { validation: "verified", "display-name": "Acme – ☃" } : {};
  return once(account, { "account-id": accountId(name), username: name, ...more });
}

/** The account of a publisher, and its own key. */
export const ACME: string = accountId("acme");
export const ACME_KEY: string = [
  STORE_KEY,
  accountOf("acme"),
  accountKey(STORE, testKey("acme"), { "account-id": ACME, name: "default" }),
].join("\n");

const sha3 = (bytes: Uint8Array) => createHash("sha3-384").update(bytes).digest("base64url");

function snapImage({ name }: SnapModel, { revision: number, architectures, lines, hasIcon }: SnapRevisionModel): Uint8Array {
  const yaml = [`name: ${name}`, `architectures: ${JSON.stringify(architectures)}`, ...lines, `x-revision: ${number}`, ""].join("\n");
  return squashfs({ "meta/snap.yaml": yaml, ...(hasIcon && { "meta/gui/icon.png": `icon ${name} ${number}` }) });
}

function componentImage({ name }: SnapModel, component: string, number: number): Uint8Array {
  const lines = [`component: ${name}+${component}`, "type: standard", `version: '${number}'`, `description: ${component} ☃`, ""];
  return squashfs({ "meta/component.yaml": lines.join("\n"), data: `${number}` });
}

function declarations(model: SnapModel): string[] {
  return model.formats.map((format, i) =>
    once(snapDeclaration, {
      "snap-id": model.id,
      "snap-name": model.name,
      "publisher-id": accountId(model.publisher),
      revision: i,
      format,
      ...(format > 2 && { aliases: [{ name: `a${format}`, target: "hello" }] }),
    }),
  );
}

export function snapFiles(model: SnapModel): Files {
  const of = { "snap-id": model.id, "developer-id": accountId(model.publisher) };
  const files: Record<string, string | Uint8Array> = {};
  for (const one of model.revisions) {
    const image = snapImage(model, one);
    const { revision: number } = one;
    const texts = [
      STORE_KEY,
      accountOf(model.publisher),
      ...declarations(model),
      once(snapRevision, { ...of, "snap-sha3-384": sha3(image), "snap-size": image.byteLength, "snap-revision": number }),
    ];
    for (const [component, revisionOf] of Object.entries(one.components)) {
      const bytes = componentImage(model, component, revisionOf);
      const ofComponent = { ...of, "resource-name": component, "resource-revision": revisionOf };
      texts.push(
        once(snapResourceRevision, { ...ofComponent, "resource-sha3-384": sha3(bytes), "resource-size": bytes.byteLength }),
        once(snapResourcePair, { ...ofComponent, "snap-revision": number }),
      );
      files[`${model.name}+${component}_${revisionOf}.comp`] = bytes;
    }
    files[`${model.name}_${number}.snap`] = image;
    files[`${model.name}_${number}.assert`] = texts.join("\n");
  }
  const rows = model.rows.map(({ channel, architecture, revision: number, releasedAt }) => {
    const [track, risk] = channel.split("/");
    const createdAt = model.revisions.find((one) => one.revision === number)?.createdAt;
    return {
      channel: { architecture, name: channel, track, risk, ...(releasedAt !== undefined && { "released-at": releasedAt }) },
      revision: number,
      ...(createdAt !== undefined && { "created-at": createdAt }),
    };
  });
  const { name, id } = model;
  const info = {
    name,
    "snap-id": id,
    "default-track": model.defaultTrack,
    snap: { ...model.details, name },
    "channel-map": rows,
    ...(rows.length === 0 && { chp: { format: 1, revisions: [] } }),
  };
  return { ...files, "channel-map.json": JSON.stringify(info) };
}

export function archiveOf({ charms, bundles, snaps }: Catalogue): Uint8Array {
  return tgzOf(
    Object.fromEntries([
      ...charms.map((one) => [`${one.name}.tar.gz`, tgzOf(charmFiles(one))]),
      ...bundles.map((one) => [`${one.name}.tar.gz`, tgzOf(bundleFiles(one))]),
      ...snaps.map((one) => [`snap-${one.name}.tar.gz`, tgzOf(snapFiles(one))]),
    ]),
  );
}

export function importBytes(store: Store, bytes: Uint8Array, now = "2026-06-01T00:00:00Z"): Promise<ImportReport> {
  return importInto(store, { "export.tar": bytes }, { trust: TRUSTED, now });
}

/* ---- everything that can be asked ---- */

export interface Question {
  readonly method: "GET" | "HEAD" | "POST";
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

const AGENTS = ["Juju/2.9.52", "Juju/3.6.11", "Juju/4.0.1"];

function get(path: string, query: Readonly<Record<string, string>> = {}, headers: Question["headers"] = {}): Question {
  const all = new URLSearchParams(query).toString();
  return { method: "GET", path: `${path}${all && `?${all}`}`, headers };
}

function post(path: string, body: unknown, headers: Question["headers"] = {}): Question {
  return { method: "POST", path, headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(body) };
}

/** As a whole, in part, and its head. */
function download(path: string): Question[] {
  return [get(path), get(path, {}, { Range: "bytes=5-9" }), { method: "HEAD", path, headers: {} }];
}

const INFO = ["result", "default-release", "default-release.resources", "default-release.revision", "channel-map"];
/** Every risk of its tracks and of one that it lacks, and what is spelled in other ways. */
function channelsOf(...models: readonly { readonly rows: readonly { readonly channel: string }[] }[]): string[] {
  const tracks = new Set([...models.flatMap(({ rows }) => rows.map(({ channel }) => channel.split("/")[0])), "no-such"]);
  return [...[...tracks].flatMap((track) => RISKS.map((risk) => `${track}/${risk}`)), "stable", "edge", "14", "latest/edge/fix"];
}

/** Every question whose answer the catalogue bears on, and some that are refused. */
export function questions(catalogue: Catalogue): Question[] {
  return [...charmQuestions(catalogue), ...snapQuestions(catalogue)];
}

function charmQuestions({ charms, bundles }: Catalogue): Question[] {
  const all: readonly PackageModel[] = [...charms, ...bundles];
  const names = [...all.map((one) => one.name), "no-such"];
  const info = names.flatMap((name) => [
    get(`/v2/charms/info/${name}`),
    ...["result.links,channel-map.revision.version,default-release.channel", INFO.join()].map((fields) =>
      get(`/v2/charms/info/${name}`, { fields }),
    ),
    ...channelsOf(...all).map((channel) => get(`/v2/charms/info/${name}`, { fields: INFO.join(), channel })),
  ]);
  const find = [
    {},
    ...["acme", "tiny stack", "says", "☃"].map((q) => ({ q })),
    ...["charm", "bundle"].map((type) => ({ type })),
    ...CATEGORIES.map((category) => ({ category })),
    ...channelsOf(...all).map((channel) => ({ channel })),
    ...["Acme", "other"].map((one) => ({ publisher: one })),
    ...INTERFACES.flatMap((one) => [{ "relation-provides": one }, { "relation-requires": one }]),
  ].map((query) => get("/v2/charms/find", { fields: INFO.join(), ...query }));
  const resources = charms.flatMap(({ name, id, resources: held }) =>
    [...held.map((one) => one.name), "no-such"].flatMap((resource) => [
      get(`/v2/charms/resources/${name}/${resource}/revisions`),
      ...(held.find((one) => one.name === resource)?.revisions ?? [7]).flatMap((number) =>
        download(`/api/v1/resources/download/charm_${id}.${resource}_${number}`),
      ),
    ]),
  );
  const files = [
    ...charms.flatMap(({ id, revisions }) => revisions.map((one) => `${id}_${one.revision}.charm`)),
    ...bundles.flatMap(({ id, yamls }) => [...yamls.keys()].map((number) => `${id}_${number}.bundle`)),
    "nobody_1.charm",
  ].flatMap((file) => download(`/api/v1/charms/download/${file}`));
  const refresh = all.map((one, nth) => {
    const { actions, context } = refreshOf(one, charms[nth]);
    const fields = ["bases", "config-yaml", "download", "resources", "revision", "version", "readme-md"];
    return post("/v2/charms/refresh", { context, actions, ...(nth % 3 === 1 && { fields }) }, { "User-Agent": at(AGENTS, nth) });
  });
  return [...info, ...find, ...resources, ...files, ...refresh];
}

function refreshOf(model: PackageModel, of: CharmModel | undefined): { readonly actions: object[]; readonly context: object[] } {
  const channels = channelsOf(model);
  const used = BASES.filter((one) => model.rows.some((row) => row.base && (isAny(row.base) || sameBase(row.base, one))));
  const asked = [...used, base("riscv64", "24.04"), base("amd64", "NA", "NA"), null];
  const revisions = [...new Set(model.rows.map((row) => row.revision)), 99];
  const actions: object[] = [];
  const context: object[] = [];
  const ask = (action: object) => {
    const key = String(actions.length);
    // By name and by id in turns.
    const who = actions.length % 2 === 0 ? { name: model.name } : { id: model.id };
    actions.push({ action: actions.length % 3 === 0 ? "download" : "install", "instance-key": key, ...who, ...action });
  };
  for (const channel of channels)
    for (const on of asked) {
      ask({ channel, base: on });
      const key = `context ${context.length}`;
      context.push({ "instance-key": key, id: model.id, revision: revisions[0] ?? 1, base: on, "tracking-channel": channel });
      actions.push({ action: "refresh", "instance-key": key, id: model.id });
    }
  for (const revision of revisions) {
    ask({ revision, base: null });
    for (const on of asked) ask({ revision, base: on });
    for (const channel of channels) ask({ revision, channel, base: null });
    for (const resource of of?.resources ?? [])
      for (const number of [...resource.revisions, -1, 99])
        ask({ revision, base: null, "resource-revisions": [{ name: resource.name, revision: number }] });
  }
  return { actions, context };
}

function snapQuestions({ charms, snaps }: Catalogue): Question[] {
  const names = [...snaps.map((one) => one.name), "no-such"];
  const fields = ["channel-map", "snap-yaml,resources,channel-map"];
  const machines = [...FEW_ARCHITECTURES, "riscv64"];
  const perMachine = machines.flatMap((architecture) => {
    const headers = { "Snap-Device-Architecture": architecture, "Snap-Device-Series": "16" };
    const finding = [
      {},
      ...["hello", "acme", "says hello"].map((q) => ({ q })),
      ...[...CATEGORIES, "no-such"].map((category) => ({ category })),
      ...channelsOf(...snaps).map((channel) => ({ channel })),
      ...["test.hello", "test.world"].map((id) => ({ "common-id": id })),
      { name: "hel" },
      { confinement: "strict,classic" },
    ];
    return [
      ...names.flatMap((name) => fields.map((one) => get(`/v2/snaps/info/${name}`, { architecture, fields: one }, headers))),
      ...finding.map((query) => get("/v2/snaps/find", { architecture, ...query }, headers)),
      get("/api/v1/snaps/names", { confinement: "strict,classic" }, { "X-Ubuntu-Architecture": architecture }),
      ...["snap-yaml,resources,revision", "revision"].map((one) =>
        post("/v2/snaps/refresh", { ...snapRefresh(snaps), fields: one.split(",") }, headers),
      ),
    ];
  });
  const files = snaps.flatMap((model) => [
    ...model.revisions.flatMap((one) => [
      ...download(`/api/v1/snaps/download/${model.id}_${one.revision}.snap`),
      get(`/api/v1/snaps/icons/${model.id}_${one.revision}.png`),
      ...Object.entries(one.components).flatMap(([name, number]) => download(`/api/v1/snaps/download/${model.id}.${name}_${number}.comp`)),
    ]),
    get(`/api/v1/snaps/download/${model.id}_99.snap`),
  ]);
  return [
    ...perMachine,
    ...files,
    get("/v2/snaps/categories"),
    get("/api/v1/snaps/sections"),
    get("/v2/auth/store/assertions"),
    ...assertionQuestions(charms, snaps),
  ];
}

function snapRefresh(snaps: readonly SnapModel[]): { readonly actions: object[]; readonly context: object[] } {
  const actions: object[] = [];
  const context: object[] = [];
  for (const model of snaps) {
    const { name, id, revisions } = model;
    const key = () => String(actions.length);
    for (const channel of channelsOf(model)) {
      for (const action of ["install", "download"]) actions.push({ action, "instance-key": key(), name, channel });
      for (const epoch of [
        { read: [0], write: [0] },
        { read: [1, 2], write: [2] },
      ]) {
        context.push({ "instance-key": key(), "snap-id": id, revision: revisions[0]?.revision ?? 1, "tracking-channel": channel, epoch });
        actions.push({ action: "refresh", "instance-key": key(), "snap-id": id });
      }
    }
    for (const { revision: number } of [...revisions, { revision: 99 }]) {
      actions.push({ action: "download", "instance-key": key(), name, revision: number });
      actions.push({ action: "install", "instance-key": key(), name, revision: number, channel: "14/edge" });
    }
  }
  return { actions, context };
}

function assertionQuestions(charms: readonly CharmModel[], snaps: readonly SnapModel[]): Question[] {
  const texts = [...charms.map(publisherFile), ...snaps.map(snapFiles)].flatMap((files) =>
    Object.entries(files).flatMap(([name, text]) => (name.endsWith(".assert") ? [text] : [])),
  );
  const held = texts.flatMap((one) => parseAssertions(Buffer.from(one as string), "assertions"));
  const keys = new Map([...TRUSTED, ...held].map(({ type, key }) => [`${type}/${key.map(encodeURIComponent).join("/")}`, { type, key }]));
  const wanted = [...keys.values()].map(({ type, key }) => ({ type, "primary-key": key }));
  const newer = wanted.map((one) => ({ ...one, "if-newer-than": 0 }));
  const fetches = [{}, { "snap-declaration": 2 }, { "snap-declaration": 5, "account-key": 1 }, { "snap-declaration": 6 }].map((formats) =>
    post("/v2/snaps/refresh", {
      context: [],
      actions: [wanted, newer].map((assertions, i) => ({ action: "fetch-assertions", key: `g${i}`, assertions })),
      "assertion-max-formats": formats,
    }),
  );
  const formats = (type: string) =>
    Array.from({ length: (ASSERTION_TYPES.get(type)?.maxFormat ?? 0) + 1 }, (_, i) => ({ "max-format": String(i) }));
  return [
    ...fetches,
    ...[...keys].flatMap(([path, { type }]) => [{}, ...formats(type)].map((query) => get(`/v2/assertions/${path}`, query))),
  ];
}
