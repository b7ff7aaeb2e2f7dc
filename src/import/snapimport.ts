/** From the files of an import to snaps: every assertion is verified, every image matched with its own. Rules: contract/snapd.md §6.3, §8. */

import type { DeclaredSnap } from "../archives/snapmetadata.ts";
import { type Assertion, header, keyText, optionalHeader } from "../assertions/assertion.ts";
import { type Trust, verifyAll } from "../assertions/verify.ts";
import { sameManifest } from "../catalog/change.ts";
import { formatChannel, fullChannel } from "../catalog/channel.ts";
import { type OverrideFacts, overridesOver } from "../catalog/override.ts";
import { mintId } from "../catalog/package.ts";
import {
  ANY_ARCHITECTURE,
  type ComponentRevision,
  findSnapRevision,
  type IncomingSnap,
  mergeAssertions,
  mergeSnap,
  type Pair,
  runsOn,
  type Snap,
  type SnapChange,
  type SnapPublisher,
  type SnapRelease,
  type SnapRevision,
  type StoredAssertion,
  snapChanges,
} from "../catalog/snap.ts";
import { printable, refused } from "../errors.ts";
import type { SnapImage, SnapReading } from "./snapreader.ts";

export interface SnapImportOptions {
  readonly trust: Trust;
  /** those of the roots that clients do not have compiled in */
  readonly roots: readonly Assertion[];
  readonly allowUnverified: boolean;
  /** where snaps are released of which no channel map is found */
  readonly channel?: string;
  readonly policy: "apply" | "keep";
  /** RFC 3339 */
  readonly now: string;
}

/** What is held before the import. */
export interface SnapBase {
  snapById(id: string): Promise<Snap | undefined>;
  snap(name: string): Promise<Snap | undefined>;
  snaps(): Promise<readonly Snap[]>;
  /** every held assertion of a primary key */
  assertions(type: string, key: readonly string[]): readonly Assertion[];
  /** those that belong to no held snap */
  readonly otherAssertions: readonly StoredAssertion[];
}

export interface SnapReport {
  readonly name: string;
  readonly type: "snap";
  readonly id: string;
  readonly state: "new" | "changed" | "known";
  readonly defaultTrack: string;
  readonly revisions: { readonly new: readonly number[]; readonly known: readonly number[] };
  /** `NAME_REVISION` */
  readonly components: { readonly new: readonly string[]; readonly known: readonly string[] };
  readonly channels: readonly SnapChange[];
  /** in force over channels that moved, so that these are not offered */
  readonly overrides: readonly OverrideFacts[];
  /** held revisions whose assertions do not verify */
  readonly unverified: readonly { readonly revision: number; readonly reason: string }[];
  readonly notes: readonly string[];
}

export interface ImportedSnaps {
  readonly reports: readonly SnapReport[];
  /** every snap that the archive holds something of */
  readonly after: readonly Snap[];
  readonly changed: readonly Snap[];
  /** names under which a snap was held that has another now */
  readonly renamed: readonly string[];
  /** undefined: nothing changed */
  readonly otherAssertions?: readonly StoredAssertion[];
  readonly assertions: { readonly new: number; readonly known: number };
  /** rows not published: their revision is neither in the archive nor in the store */
  readonly dropped: readonly ({ readonly name: string } & Omit<SnapRelease, "releasedAt">)[];
  readonly notes: readonly string[];
}

/** What the store holds after the snaps and assertions of an import. Throws a `refused` failure where one does not verify. */
export async function importSnaps(reading: SnapReading, base: SnapBase, options: SnapImportOptions): Promise<ImportedSnaps> {
  const declared = named(reading);
  const accepted = accept(reading, base, options);
  const known = new KnownAssertions(accepted, base);
  const drafts = new Map<string, SnapBuilder>();
  const draftOf: BuilderOf = (id, name = "") => {
    const draft = drafts.get(id) ?? new SnapBuilder(id, name);
    drafts.set(id, draft);
    draft.name ||= name;
    return draft;
  };
  for (const image of reading.images) placeImage(image, known, options, reading, draftOf);
  for (const one of accepted) {
    const owner = ownerOf(one.assertion);
    if (owner !== undefined && (drafts.has(owner) || (await base.snapById(owner)))) draftOf(owner).assertions.push(stored(one));
  }
  await republish(accepted, base, draftOf);

  const reports: SnapReport[] = [];
  const changed: Snap[] = [];
  const renamed: string[] = [];
  const dropped: ImportedSnaps["dropped"][number][] = [];
  const after = new Map<string, Snap>();
  for (const draft of drafts.values()) {
    const held = await base.snapById(draft.id);
    const { snap: incoming, notes } = finish(draft, held, known, { declared, stores: reading.stores }, options);
    const { name } = incoming;
    const other = await base.snap(name);
    if (other && other.id !== draft.id) throw refused(`${name} has the snap id ${other.id} in the store and ${draft.id} in the archive`);
    const merged = mergeSnap(held, incoming, options.policy);
    after.set(draft.id, merged.snap);
    const one = report(merged.snap, held, { given: incoming, notes: [...notes, ...merged.notes], now: options.now });
    reports.push(one);
    if (one.state !== "known") changed.push(merged.snap);
    if (held && held.name !== name) renamed.push(held.name);
    dropped.push(...merged.dropped.map(({ channel, architecture, revision }) => ({ name, channel, architecture, revision })));
  }
  const others = accepted.filter(({ assertion }) => !drafts.has(ownerOf(assertion) ?? "")).map(stored);
  const roots = accepted.length > 0 ? options.roots.map((assertion) => stored({ assertion })) : [];
  const otherAssertions = mergeAssertions(base.otherAssertions, [...roots, ...others]);
  const fresh = accepted.filter(({ assertion }) => !isHeld(assertion, base)).length;
  return {
    reports: reports.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    after: [...after.values()],
    changed,
    renamed,
    ...(JSON.stringify(otherAssertions) !== JSON.stringify(base.otherAssertions) && { otherAssertions }),
    assertions: { new: fresh, known: accepted.length - fresh },
    dropped,
    notes: accepted.flatMap(({ assertion }) => lonely(assertion, after, known)),
  };
}

/** An assertion of a revision whose snap never came. */
function lonely(assertion: Assertion, after: ReadonlyMap<string, Snap>, known: KnownAssertions): string[] {
  if (assertion.type !== "snap-revision") return [];
  const [id, number] = [header(assertion, "snap-id"), header(assertion, "snap-revision")];
  if (after.get(id)?.revisions.some((r) => r.revision === Number(number))) return [];
  return [`revision ${number} of snap ${known.nameOf(id)} is asserted, but no such snap is in the archive`];
}

/* ---- trust ---- */

interface Accepted {
  readonly assertion: Assertion;
  /** why it does not verify; absent: it does */
  readonly unverified?: string;
}

function accept(reading: SnapReading, base: SnapBase, { trust, allowUnverified, now }: SnapImportOptions): Accepted[] {
  const places = new Map([...reading.assertions, ...reading.publishers].map(({ value, at }) => [value, at]));
  const find = (type: string, key: readonly string[]) => base.assertions(type, key)[0];
  const given = reading.assertions.map(({ value }) => value);
  const publishers = reading.publishers.map(({ value }) => value);
  const { verified, refused: all } = verifyAll([...given, ...publishers], { trust, find, now: new Date(now) });
  const wrong = all.filter(({ assertion }) => !publishers.includes(assertion));
  const [first] = wrong;
  if (first && !allowUnverified) {
    const { assertion, reason } = first;
    throw refused(`${describe(assertion)} does not verify: ${reason}`, {
      at: places.get(assertion) ?? ["it"],
      next: "name the root that you trust with --trust FILE, or take it in as it is with --allow-unverified",
    });
  }
  return [...verified.map((assertion) => ({ assertion })), ...wrong.map(({ assertion, reason }) => ({ assertion, unverified: reason }))];
}

function describe(assertion: Assertion): string {
  return printable(`the assertion ${keyText(assertion.type, assertion.key)}`, 300);
}

/** The snap that an assertion is of; undefined where it is of none. */
export function ownerOf(assertion: Pick<Assertion, "type" | "key" | "headers">): string | undefined {
  switch (assertion.type) {
    case "snap-declaration":
      return assertion.key[1];
    case "snap-resource-revision":
    case "snap-resource-pair":
      return assertion.key[0];
    case "snap-revision": {
      const id = assertion.headers.get("snap-id");
      return typeof id === "string" ? id : undefined;
    }
    default:
      return undefined;
  }
}

function stored({ assertion, unverified }: Accepted): StoredAssertion {
  const { type, key, revision, format, text } = assertion;
  return { type, key, revision, format, text, ...(unverified !== undefined && { unverified }) };
}

function isHeld(assertion: Assertion, base: SnapBase): boolean {
  return base
    .assertions(assertion.type, assertion.key)
    .some((one) => one.revision === assertion.revision && one.format === assertion.format);
}

/** All that is known after the import: what came, and what is held. */
class KnownAssertions {
  readonly #accepted: readonly Accepted[];
  readonly #base: SnapBase;
  readonly #byKey = new Map<string, Accepted[]>();
  /** by the first part of its key, which is the digest */
  readonly #byDigest = new Map<string, Accepted>();

  constructor(accepted: readonly Accepted[], base: SnapBase) {
    this.#accepted = accepted;
    this.#base = base;
    for (const one of accepted) {
      const { type, key } = one.assertion;
      const name = keyText(type, key);
      this.#byKey.set(name, [...(this.#byKey.get(name) ?? []), one]);
      const digest = type === "snap-revision" ? key[0] : type === "snap-resource-revision" ? key[2] : undefined;
      if (digest !== undefined && !this.#byDigest.has(`${type} ${digest}`)) this.#byDigest.set(`${type} ${digest}`, one);
    }
  }

  /** The newest of a primary key. */
  newest(type: string, key: readonly string[]): Accepted | undefined {
    const held = this.#base.assertions(type, key).map((assertion) => ({ assertion }));
    const all: Accepted[] = [...(this.#byKey.get(keyText(type, key)) ?? []), ...held];
    return all.toSorted((a, b) => b.assertion.revision - a.assertion.revision)[0];
  }

  /** The assertion that names these bytes. */
  ofBytes(type: "snap-revision" | "snap-resource-revision", sha3: string): Accepted | undefined {
    const digest = Buffer.from(sha3, "hex").toString("base64url");
    const found = this.#byDigest.get(`${type} ${digest}`);
    if (found || type === "snap-resource-revision") return found;
    const [held] = this.#base.assertions(type, [digest]);
    return held && { assertion: held };
  }

  /** What came of the pairs of a snap. */
  pairs(id: string): Pair[] {
    return this.#accepted.flatMap(({ assertion: { type, key } }) => {
      const [owner, component = "", componentRevision, revision] = key;
      if (type !== "snap-resource-pair" || owner !== id) return [];
      return [{ component, componentRevision: Number(componentRevision), revision: Number(revision) }];
    });
  }

  /** The name that the newest declaration gives; its id where there is none. */
  nameOf(id: string): string {
    const declaration = this.newest("snap-declaration", ["16", id])?.assertion;
    return (declaration && optionalHeader(declaration, "snap-name")) || id;
  }

  publisher(id: string): SnapPublisher {
    const account = this.newest("account", [id])?.assertion;
    const username = (account && optionalHeader(account, "username")) || id;
    const validation = account && optionalHeader(account, "validation");
    return {
      id,
      username,
      "display-name": (account && optionalHeader(account, "display-name")) || username,
      validation: VALIDATIONS.get(validation ?? "") ?? "unproven",
    };
  }
}

const VALIDATIONS: ReadonlyMap<string, SnapPublisher["validation"]> = new Map([
  ["certified", "verified"],
  ["verified", "verified"],
  ["starred", "starred"],
]);

/* ---- images ---- */

/** One snap while it is put together. */
class SnapBuilder {
  readonly revisions: SnapRevision[] = [];
  readonly components = new Map<string, ComponentRevision[]>();
  readonly assertions: StoredAssertion[] = [];
  /** what lies beside its images */
  readonly groups = new Set<string>();
  readonly id: string;
  /** what its images say */
  name: string;

  constructor(id: string, name: string) {
    this.id = id;
    this.name = name;
  }
}

type BuilderOf = (id: string, name?: string) => SnapBuilder;

function placeImage(image: SnapImage, known: KnownAssertions, options: SnapImportOptions, reading: SnapReading, draftOf: BuilderOf): void {
  const sha3 = image.sums["sha3-384"] ?? "";
  const { content, at } = image;
  const type = content.kind === "snap" ? "snap-revision" : "snap-resource-revision";
  const asserted = known.ofBytes(type, sha3);
  if (asserted && content.kind === "snap") placeSnap(image, content, asserted, known, draftOf);
  else if (asserted && content.kind === "component") placeComponent(image, content, asserted, options, draftOf);
  else if (options.allowUnverified) placeUnasserted(image, reading, options, draftOf);
  else
    throw refused(`no ${type} assertion names its bytes (sha3-384 ${sha3})`, {
      at,
      next: "import its .assert file together with it, or take it in as it is with --allow-unverified",
    });
}

function placeSnap(
  image: SnapImage,
  content: SnapContent,
  { assertion, unverified }: Accepted,
  known: KnownAssertions,
  draftOf: BuilderOf,
): void {
  const { at } = image;
  const id = header(assertion, "snap-id");
  checkSize(image, header(assertion, "snap-size"));
  const declaration = known.newest("snap-declaration", ["16", id])?.assertion;
  if (declaration && !optionalHeader(declaration, "snap-name"))
    throw refused(`the declaration of snap ${id} names no snap any more: it was revoked`, { at });
  const name = declaration ? header(declaration, "snap-name") : content.name;
  if (content.name !== name) throw refused(`its snap.yaml says ${content.name}, but its declaration says ${name}`, { at });
  const [is, should] = [content.provenance ?? GLOBAL, optionalHeader(assertion, "provenance") ?? GLOBAL];
  if (is !== should) throw refused(`its snap.yaml has the provenance ${is}, but its assertion ${should}`, { at });
  const draft = draftOf(id, name);
  draft.groups.add(image.group);
  draft.revisions.push(
    snapRevision(image, content, Number(header(assertion, "snap-revision")), header(assertion, "timestamp"), unverified),
  );
}

const GLOBAL = "global-upload";

function placeComponent(
  image: SnapImage,
  content: ComponentContent,
  { assertion, unverified }: Accepted,
  { now }: SnapImportOptions,
  draftOf: BuilderOf,
): void {
  const [id = "", name = ""] = assertion.key;
  checkSize(image, header(assertion, "resource-size"));
  if (content.name !== name) throw refused(`its component.yaml says ${content.name}, but its assertion says ${name}`, { at: image.at });
  const { components } = draftOf(id);
  const { type, version, description } = content;
  const revision = Number(header(assertion, "resource-revision"));
  const createdAt = optionalHeader(assertion, "timestamp") ?? now;
  components.set(name, [
    ...(components.get(name) ?? []),
    { revision, type, version, description, createdAt, ...assertedOf(image, unverified) },
  ]);
}

/** Without any assertion: what the file name and the export's JSON say is believed, since the operator asked for it. */
function placeUnasserted(image: SnapImage, reading: SnapReading, { now }: SnapImportOptions, draftOf: BuilderOf): void {
  const { at, content } = image;
  if (content.kind === "component") throw refused("a component without assertions can't be taken in", { at });
  const number = Number(/_(\d+)\.snap$/.exec(image.path)?.[1]);
  if (!Number.isSafeInteger(number) || number < 1)
    throw refused("it has no assertion, and its file name no revision", { at, next: `name it ${content.name}_REVISION.snap` });
  const told = reading.declared.find(({ value }) => value.name === content.name && value.id !== undefined);
  const draft = draftOf(told?.value.id ?? mintId(`snap ${content.name}`), content.name);
  draft.groups.add(image.group);
  draft.revisions.push(snapRevision(image, content, number, now, "no snap-revision assertion names its bytes"));
}

type SnapContent = Extract<SnapImage["content"], { kind: "snap" }>;
type ComponentContent = Extract<SnapImage["content"], { kind: "component" }>;

function checkSize(image: SnapImage, told: string): void {
  if (Number(told) !== image.sums.size)
    throw refused(`it has ${image.sums.size} bytes, but its assertion says ${printable(told, 50)}`, { at: image.at });
}

function assertedOf({ sums }: SnapImage, unverified: string | undefined) {
  const { size, "sha-256": blob, "sha3-384": sha3 = "" } = sums;
  return { blob, size, "sha3-384": sha3, ...(unverified !== undefined && { unverified }) };
}

function snapRevision(image: SnapImage, content: SnapContent, revision: number, createdAt: string, unverified?: string): SnapRevision {
  const { kind: _kind, name: _name, ...facts } = content;
  return { revision, createdAt, ...facts, ...assertedOf(image, unverified) };
}

/* ---- channels ---- */

interface DeclaredSnaps extends Pick<SnapReading, "stores"> {
  readonly declared: readonly NamedDeclaration[];
}

function finish(
  draft: SnapBuilder,
  held: Snap | undefined,
  known: KnownAssertions,
  { declared, stores }: DeclaredSnaps,
  options: SnapImportOptions,
): FinishedSnap {
  const { id, assertions } = draft;
  const declaration = known.newest("snap-declaration", ["16", id])?.assertion;
  const name = (declaration && optionalHeader(declaration, "snap-name")) || draft.name || held?.name;
  if (name === undefined || (!held && draft.revisions.length === 0))
    throw refused(`the archive has components of snap ${name ?? id}, but no such snap, and the store holds none`);
  const own = declared.filter((one) => one.name === name || one.value.id === id);
  for (const { at, value } of own)
    if (value.id !== undefined && value.id !== id)
      throw refused(`it gives ${name} the snap id ${value.id}, but its assertions say ${id}`, { at });
  const told = own.map(({ value }) => value);
  const notes: string[] = [];
  const revisions = draft.revisions.map((one) => ({ ...one, createdAt: timeOf(told, one) }));
  const brand = told.find((one) => one.store !== undefined)?.store ?? brandOf(draft, stores);
  const track = told.find((one) => one.defaultTrack !== undefined)?.defaultTrack;
  const snap: IncomingSnap = {
    name,
    id,
    publisher: declaration ? known.publisher(header(declaration, "publisher-id")) : (held?.publisher ?? UNVERIFIED_PUBLISHER),
    details: Object.assign({}, ...told.map((one) => one.details)),
    ...(track !== undefined && { defaultTrack: track }),
    ...(draft.revisions.length > 0 && { store: brand ?? null }),
    revisions,
    components: [...draft.components].map(([component, list]) => ({ name: component, revisions: list })),
    pairs: known.pairs(id),
    releases: releasesOf(name, revisions, told, held, options, notes),
    assertions,
  };
  return { snap, notes };
}

interface FinishedSnap {
  readonly snap: IncomingSnap;
  readonly notes: readonly string[];
}

const UNVERIFIED_PUBLISHER: SnapPublisher = {
  id: "unverified",
  username: "unverified",
  "display-name": "unverified",
  validation: "unproven",
};

function timeOf(told: readonly DeclaredSnap[], { revision, createdAt: asserted }: SnapRevision): string {
  const found = told.flatMap((one) => one.revisions).find((one) => one.revision === revision && one.createdAt !== undefined);
  return found?.createdAt ?? asserted;
}

function brandOf(draft: SnapBuilder, stores: SnapReading["stores"]): string | undefined {
  for (const group of draft.groups) {
    const found = stores.get(group);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The rows that the archive tells; where it tells none, its revisions go to the operator's channel, or to latest/stable. */
function releasesOf(
  name: string,
  revisions: readonly SnapRevision[],
  told: readonly DeclaredSnap[],
  held: Snap | undefined,
  options: SnapImportOptions,
  notes: string[],
): SnapRelease[] {
  const rows = new Map<string, SnapRelease>();
  const put = (row: SnapRelease) => rows.set(`${row.channel} ${row.architecture}`, row);
  for (const { channel, architecture, revision, releasedAt = options.now } of told.flatMap((one) => one.rows)) {
    const runs = revisions.find((r) => r.revision === revision) ?? (held && findSnapRevision(held, revision));
    const wanted = architecture === undefined ? (runs?.architectures ?? [ANY_ARCHITECTURE]) : [architecture];
    for (const one of wanted) {
      if (!runs || one === ANY_ARCHITECTURE || runsOn(runs, one)) put({ channel, architecture: one, revision, releasedAt });
      else notes.push(`${channel} ${one} was not released: revision ${revision} runs on ${runs.architectures.join(", ")} only`);
    }
  }
  if (rows.size === 0 && revisions.length > 0 && !told.some((one) => one.whole)) {
    const channel = channelFor(options);
    for (const { architectures, revision } of revisions.toSorted((a, b) => a.revision - b.revision))
      for (const architecture of architectures) put({ channel, architecture, revision, releasedAt: options.now });
    if (options.channel === undefined)
      notes.push(`no channel map of ${name} was found, so it was released to ${channel}; --channel names another`);
  }
  const released = new Set([...rows.values()].map((row) => row.revision));
  for (const { revision } of revisions)
    if (!released.has(revision)) notes.push(`revision ${revision} is in no channel; it can be had by number`);
  return [...rows.values()];
}

function channelFor({ channel: text = "stable" }: SnapImportOptions): string {
  const channel = fullChannel(text, "latest");
  if (!channel) throw refused(`${printable(text, 100)} is not a channel`);
  return formatChannel(channel);
}

/** Held snaps of an account of which a newer assertion came. */
async function republish(accepted: readonly Accepted[], base: SnapBase, draftOf: BuilderOf): Promise<void> {
  const accounts = new Set(
    accepted.filter(({ assertion }) => assertion.type === "account" && !isHeld(assertion, base)).map(({ assertion }) => assertion.key[0]),
  );
  if (accounts.size === 0) return;
  for (const snap of await base.snaps()) if (accounts.has(snap.publisher.id)) draftOf(snap.id, snap.name);
}

interface NamedDeclaration {
  readonly at: readonly string[];
  readonly name: string | undefined;
  readonly value: DeclaredSnap;
}

/** A nameless channel map is of the only snap beside it, else of the only one at all. */
function named({ declared, images }: SnapReading): NamedDeclaration[] {
  const snaps = images.flatMap(({ group, content }) => (content.kind === "snap" ? [{ group, name: content.name }] : []));
  return declared.map(({ at, group, value }) => {
    if (value.name !== undefined || value.id !== undefined) return { at, name: value.name, value };
    const beside = snaps.filter((one) => one.group === group);
    const names = new Set((beside.length > 0 ? beside : snaps).map((one) => one.name));
    if (names.size > 1) throw refused(`it does not say of which snap it is, and ${[...names].join(", ")} lie beside it`, { at });
    return { at, name: [...names][0], value };
  });
}

function report(
  snap: Snap,
  held: Snap | undefined,
  { given, notes, now }: { readonly given: IncomingSnap; readonly notes: readonly string[]; readonly now: string },
): SnapReport {
  const channels = snapChanges(held, snap);
  const hadRevisions = new Set(held?.revisions.map((r) => r.revision));
  const hadComponents = new Set(held?.components.flatMap((c) => c.revisions.map((r) => `${c.name}_${r.revision}`)));
  const revisions = given.revisions.map((r) => r.revision).toSorted((a, b) => a - b);
  const components = given.components.flatMap((c) => c.revisions.map((r) => `${c.name}_${r.revision}`)).toSorted();
  return {
    name: snap.name,
    type: "snap",
    id: snap.id,
    state: held === undefined ? "new" : sameManifest(held, snap) ? "known" : "changed",
    defaultTrack: snap.defaultTrack,
    revisions: { new: revisions.filter((r) => !hadRevisions.has(r)), known: revisions.filter((r) => hadRevisions.has(r)) },
    components: { new: components.filter((c) => !hadComponents.has(c)), known: components.filter((c) => hadComponents.has(c)) },
    channels,
    overrides: overridesOver(snap, channels, Date.parse(now)),
    unverified: snap.revisions.flatMap(({ revision, unverified: reason }) => (reason === undefined ? [] : [{ revision, reason }])),
    notes: [...new Set(notes)],
  };
}
