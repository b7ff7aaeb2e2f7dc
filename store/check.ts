/** Finds damaged and missing parts of a store. Imports and servers may run at the same time: what a generation names is stored before it. */

import type { AgentRelease } from "../src/catalog/agents.ts";
import { showBase } from "../src/catalog/base.ts";
import type { OverrideTerms } from "../src/catalog/channelmap.ts";
import type { Generation, SourceRecord } from "../src/catalog/generation-types.ts";
import { sharedIds } from "../src/catalog/identity.ts";
import { shellQuote } from "../src/catalog/images.ts";
import { findResource, findRevision, type Package } from "../src/catalog/package.ts";
import { blobSize, findManifest, type Repository } from "../src/catalog/repository.ts";
import { type OfEach, SECTION_NAMES, type SectionName, type Sections } from "../src/catalog/sections.ts";
import { findComponent, findSnapRevision, type Snap } from "../src/catalog/snap.ts";
import { type BeginSums, type Digest, digestText, isDigest, sumsHere } from "../src/digest.ts";
import { type Failure, isCorrupt, reason } from "../src/errors.ts";
import { chainOf, type Link } from "./chain.ts";
import { isReadError } from "./diskerrors.ts";
import { jsonBytes } from "./json.ts";
import { BLOB_FOLDERS, BLOBS, blobDigest, blobKey, generationKey, QUARANTINE, quarantineKey, SECRETS, SETTINGS } from "./keys.ts";
import type { BlobReference, BlobRole } from "./named.ts";
import { blobSizes } from "./quota.ts";
import { blobsOf } from "./reach.ts";
import { readPieces, type Storage, type StoredObject } from "./storage.ts";
import type { Store } from "./store.ts";

/** blobs that name other blobs */
export const LISTS: ReadonlySet<BlobRole["kind"]> = new Set(["index", "manifest", "assertions"]);
const MISSING = "is missing";
/** concurrent readers: one reads the disk while another hashes */
const READERS = 2;

/** Which payloads are read: the `part`-th of `of` equal shares, or a random sample of about `percent`. */
export type ReadData = { readonly part: number; readonly of: number } | { readonly percent: number };

export interface CheckOptions {
  readonly readData?: ReadData;
  /** whether damaged files are left where they are */
  readonly dryRun: boolean;
  readonly signal?: AbortSignal;
  /** where blobs are hashed; in this thread by default */
  readonly sums?: BeginSums;
  /** what is wrong with the signature of each generation, if anything */
  signatures?(links: readonly Link[]): Promise<readonly { readonly problem?: string }[] | undefined>;
  /** `bytes`: hashed so far; `what`: the key that is being read; `size`: bytes of all that will be, undefined: not known yet */
  onProgress?(bytes: number, what: string, size: number | undefined): void;
}

export interface Finding {
  /** damage: a blob or reference that has changed or is gone; warning: something that was never stored, or is unusual */
  readonly severity: "damage" | "warning";
  /** what it is about: `charm kafka revision 195` */
  readonly what: readonly string[];
  /** what is wrong with it: `is missing` */
  readonly problem: string;
  readonly digest?: Digest;
  /** whether the newest generation names it; otherwise only older generations do, or none */
  readonly current: boolean;
  /** the generation that added it and its files: to be imported again */
  readonly from?: { readonly generation: number; readonly sources: readonly SourceRecord[] };
  /** where the damaged file is now */
  readonly movedTo?: string;
  readonly repair: string;
}

export interface CheckReport {
  readonly findings: readonly Finding[];
  readonly generations: number;
  /** whether some of them have a newer format, so that they were not looked at */
  readonly hasNewer: boolean;
  /** named by the generations */
  readonly blobs: number;
  /** read and hashed */
  readonly read: { readonly blobs: number; readonly bytes: number };
}

/** Checks format, generations, indexes, manifests, texts and the sizes of payloads; with `readData` also the content of payloads. */
export async function check(store: Store, options: CheckOptions): Promise<CheckReport> {
  return new Check(store, options).run();
}

interface Bad {
  readonly digest: Digest;
  readonly problem: string;
  /** `other`: the content does not match the digest; `malformed`: it matches, but is no valid list */
  readonly state: "missing" | "unreadable" | "other" | "malformed";
}

/**
 * Of these digests those that a generation names and that are missing or damaged, with what they are. Payloads and texts only. Unless `dryRun`, those
 * that are damaged are replaced when they are stored next.
 */
export async function lostBlobs(
  store: Store,
  candidates: ReadonlySet<Digest>,
  { dryRun }: { readonly dryRun: boolean },
): Promise<Map<Digest, string>> {
  const named = new Map<Digest, string>();
  const seen = new Set<Digest>();
  for (const number of await store.generationNumbers()) {
    const generation = await store.generation(number).catch((error: unknown) => {
      if (!isCorrupt(error)) throw error;
      return undefined;
    });
    if (!generation) continue;
    for await (const { digest, what } of blobsOf(store, generation, { seen, unreadable: () => {} }))
      if (candidates.has(digest)) named.set(digest, showRole(what));
  }
  for (const digest of named.keys())
    if (await isWhole(store, digest)) named.delete(digest);
    else if (!dryRun && store.storage.prepareRemoval && (await store.has(digest))) await noteDamaged(store.storage, digest);
  return named;
}

/**
 * In a bucket a removal could hit what an import has just sent, so a damaged blob stays. The next import, repair or copy sends what has a note,
 * whatever is there.
 */
async function noteDamaged(storage: Storage, digest: Digest): Promise<void> {
  await storage.create(quarantineKey(digest), jsonBytes({}));
}

/** Whether the blob is stored, and its content what its digest says. */
export async function isWhole(store: Store, digest: Digest): Promise<boolean> {
  return (await sumOf(await store.storage.open(blobKey(digest)), () => {}).catch(() => undefined)) === digest;
}

/** The sha256 of an object; undefined: it does not exist. */
async function sumOf(
  object: StoredObject | undefined,
  onRead: (chunk: Uint8Array) => void,
  begin: BeginSums = sumsHere,
): Promise<Digest | undefined> {
  if (!object) return undefined;
  const hashed = begin([], object.size);
  try {
    for await (const chunk of readPieces(object)) {
      await hashed.update(chunk);
      onRead(chunk);
    }
    return (await hashed.sums())["sha-256"];
  } finally {
    hashed.discard();
  }
}

class Check {
  readonly #store: Store;
  readonly #options: CheckOptions;
  readonly #findings: Finding[] = [];
  readonly #bad = new Map<Digest, Bad>();
  readonly #hashed = new Set<Digest>();
  readonly #read = { blobs: 0, bytes: 0 };
  /** of all that is read; undefined: not known yet */
  #size: number | undefined;

  constructor(store: Store, options: CheckOptions) {
    this.#store = store;
    this.#options = options;
  }

  async run(): Promise<CheckReport> {
    const links = await chainOf(this.#store);
    const generations = await this.#generations(links);
    const seen = new Set<Digest>();
    // Oldest first: the first generation that names a blob is the one that added it.
    for (const generation of generations)
      for await (const named of blobsOf(this.#store, generation, { seen, unreadable: this.#malformed.bind(this) })) await this.#blob(named);
    const newest = generations.at(-1);
    if (this.#options.readData) await this.#payloads(this.#options.readData, seen);
    if (this.#bad.size > 0) await this.#reportBad(generations);
    if (newest) await this.#semantics(newest);
    await this.#config();
    if (this.#store.storage.prepareRemoval && !this.#options.dryRun) await this.#forgetMended();
    const hasNewer = links.some(({ failure }) => failure?.kind === "store-too-new");
    return { findings: this.#findings, generations: links.length, hasNewer, blobs: seen.size, read: this.#read };
  }

  /** The readable ones. */
  async #generations(links: readonly Link[]): Promise<Generation[]> {
    const newest = links.at(-1);
    const signatures = await this.#options.signatures?.(links);
    for (const [i, link] of links.entries()) {
      const { number, generation, failure, problems, skipped } = link;
      const what = [`generation ${number}`];
      const unsigned = signatures?.[i]?.problem;
      if (skipped.length > 0)
        this.#addWarning(
          `generation ${number}`,
          `does not follow from ${skipped.join(" and ")}, which could not be read then`,
          "nothing is to be done",
        );
      if (unsigned !== undefined) this.#addDamage(what, unsigned, link === newest);
      if (generation) for (const problem of problems) this.#addDamage(what, problem, link === newest);
      else if (isCorrupt(failure)) await this.#unreadable(what, number, { isNewest: link === newest, mayBeWhole: isReadError(failure) });
      else this.#addWarning(`generation ${number}`, "has a newer format than this chp reads", "run chp verify of the chp that wrote it");
    }
    return links.flatMap(({ generation }) => generation ?? []);
  }

  async #unreadable(
    what: readonly string[],
    number: number,
    how: { readonly isNewest: boolean; readonly mayBeWhole: boolean },
  ): Promise<void> {
    const { isNewest, mayBeWhole } = how;
    // The newest stays: its number must not be used again while a server may have seen it. So does what the disk may read next time.
    const movedTo = isNewest || mayBeWhole || this.#options.dryRun ? undefined : `${QUARANTINE}${String(number)}.json`;
    if (movedTo !== undefined) {
      await this.#store.storage.move(generationKey(number), movedTo);
      await this.#store.storage.flush();
    }
    const repair = mayBeWhole
      ? "look at the system's log (dmesg), repair or replace the disk, and run chp verify again"
      : isNewest
        ? "import again what came last, then chp verify moves it aside"
        : "nothing is lost but this step of the history; a copy of the store has it";
    this.#findings.push({
      severity: "damage",
      what,
      problem: "cannot be read",
      current: isNewest,
      repair,
      ...(movedTo !== undefined && { movedTo }),
    });
  }

  #addDamage(what: readonly string[], problem: string, current: boolean): void {
    this.#findings.push({ severity: "damage", what, problem, current, repair: "put that file back from a copy of the store" });
  }

  #addWarning(what: string, problem: string, repair: string): void {
    this.#findings.push({ severity: "warning", what: [what], problem, current: true, repair });
  }

  /** Checks the size of a blob; a blob whose size is not recorded is small, and is hashed. */
  async #blob({ digest, size, what }: BlobReference): Promise<void> {
    this.#stopIfAsked();
    const object = await this.#store.blob(digest);
    if (!object) this.#bad.set(digest, { digest, problem: MISSING, state: "missing" });
    else if (((object.mode ?? 0) & 0o222) !== 0) this.#addWarning(showRole(what), "the file is writable", `chmod 0444 ${blobKey(digest)}`);
    if (!object) return;
    if (size === undefined) await this.#hash(digest);
    else if (object.size !== size)
      this.#bad.set(digest, { digest, problem: `has ${object.size} bytes instead of ${size}`, state: "other" });
    // `blobsOf` reads indexes and manifests; this list it does not read.
    if (what.kind === "assertions" && what.package === undefined && !this.#bad.has(digest))
      await this.#store.manifest("assertions", digest).catch((error: unknown) => {
        if (!isCorrupt(error)) throw error;
        this.#malformed({ digest, what }, error);
      });
  }

  /** Called by `blobsOf` for a list that it cannot read; a wrong digest is already recorded. */
  #malformed({ digest }: BlobReference, { cause, message }: Failure): void {
    if (!this.#bad.has(digest))
      this.#bad.set(digest, { digest, problem: cause === undefined ? message : reason(cause), state: "malformed" });
  }

  async #payloads(which: ReadData, named: ReadonlySet<Digest>): Promise<void> {
    const isWanted = (digest: Digest) => !this.#hashed.has(digest) && !this.#bad.has(digest) && isChosen(digest, which);
    if (this.#options.onProgress) {
      const sizes = [...(await blobSizes(this.#store.storage))].filter(([digest]) => isWanted(digest));
      this.#size = sizes.reduce((sum, [, size]) => sum + size, this.#read.bytes);
    }
    const reading = new Set<Promise<void>>();
    for await (const digest of storedBlobs(this.#store.storage)) {
      if (!isWanted(digest)) continue;
      const work = this.#hash(digest, named.has(digest)).then(() => void reading.delete(work));
      work.catch(() => {}); // one that failed stays among them, and is thrown below
      reading.add(work);
      if (reading.size >= READERS) await Promise.race(reading);
    }
    await Promise.all(reading);
  }

  async #hash(digest: Digest, named = true): Promise<void> {
    this.#hashed.add(digest);
    try {
      const sum = await this.#sum(blobKey(digest));
      if (sum !== undefined && sum !== digest)
        this.#bad.set(digest, { digest, problem: "content does not match its checksum", state: "other" });
      else if (sum === undefined) await this.#findMoved(digest, named);
    } catch (error) {
      this.#stopIfAsked();
      if (!(await this.#store.has(digest))) return this.#findMoved(digest, named);
      this.#bad.set(digest, { digest, problem: `cannot be read: ${reason(error).split(",")[0]}`, state: "unreadable" });
    }
  }

  /** Of a blob that is not in its place: gc may have moved it. */
  async #findMoved(digest: Digest, named: boolean): Promise<void> {
    if (named && !(await this.#store.blob(digest))) this.#bad.set(digest, { digest, problem: MISSING, state: "missing" });
  }

  /** The sha256 of an object; undefined: it does not exist. */
  async #sum(key: string): Promise<string | undefined> {
    const object = await this.#store.storage.open(key);
    this.#stopIfAsked();
    const onRead = (chunk: Uint8Array) => {
      this.#stopIfAsked();
      this.#read.bytes += chunk.byteLength;
      this.#options.onProgress?.(this.#read.bytes, key, this.#size);
    };
    const sum = await sumOf(object, onRead, this.#options.sums);
    if (object) this.#read.blobs += 1;
    return sum;
  }

  /** Adds a finding for each bad blob, with everything that names it and the generation that added it. */
  async #reportBad(generations: readonly Generation[]): Promise<void> {
    const origins = new Map<Digest, Generation>();
    const named = new Map<Digest, Set<string>>();
    const [current, payloads] = [new Set<Digest>(), new Set<Digest>()];
    for (const generation of generations) {
      if (!(await this.#store.storage.has(generationKey(generation.number)))) continue; // gc pruned it meanwhile
      for await (const { digest, what } of blobsOf(this.#store, generation, { unreadable: () => {} })) {
        if (!this.#bad.has(digest)) continue;
        if (!origins.has(digest)) origins.set(digest, generation);
        named.set(digest, (named.get(digest) ?? new Set()).add(showRole(what)));
        if (generation === generations.at(-1)) current.add(digest);
        if (!LISTS.has(what.kind)) payloads.add(digest);
      }
    }
    for (const { digest, problem, state } of this.#bad.values()) {
      if (state === "missing" && !named.has(digest)) continue; // gc deleted it with the generations that named it
      const movedTo = state === "other" && !this.#options.dryRun ? await this.#quarantine(digest) : undefined;
      if (movedTo === "whole") continue; // an import put it back meanwhile
      const origin = origins.get(digest);
      const from = origin && { generation: origin.number, sources: origin.sources };
      // Without it a step of the history is lost, and nothing else.
      const past = (state === "missing" || state === "malformed") && !current.has(digest) && !payloads.has(digest);
      this.#findings.push({
        severity: past ? "warning" : "damage",
        what: [...(named.get(digest) ?? ["a blob that nothing names"])],
        problem,
        digest,
        current: current.has(digest),
        ...(from && { from }),
        ...(movedTo !== undefined && { movedTo }),
        repair:
          past && state === "malformed"
            ? "nothing is lost but this step of the history"
            : repairOf(origin, current.has(digest), payloads.has(digest) ? "payload" : state === "malformed" ? undefined : "list"),
      });
    }
  }

  /** Moves a damaged blob to the quarantine, or notes it. `whole`: an import had replaced it meanwhile, so it was moved back. */
  async #quarantine(digest: Digest): Promise<string | undefined> {
    const { storage } = this.#store;
    const to = quarantineKey(digest);
    if (storage.prepareRemoval) {
      await noteDamaged(storage, digest);
      if ((await this.#sum(blobKey(digest))) !== digest) return undefined;
      await storage.remove(to);
      return "whole";
    }
    if (!(await storage.move(blobKey(digest), to))) return undefined;
    const whole = (await this.#sum(to)) === digest;
    if (whole) await storage.move(to, blobKey(digest));
    await storage.flush();
    return whole ? "whole" : to;
  }

  /** Removes notes of blobs that are whole again. */
  async #forgetMended(): Promise<void> {
    for (const key of await this.#store.storage.list(QUARANTINE)) {
      const digest = key.slice(QUARANTINE.length);
      if (isDigest(digest) && this.#hashed.has(digest) && !this.#bad.has(digest)) await this.#store.storage.remove(key);
    }
  }

  /** Checks what the manifests of the newest generation say; one manifest at a time is in memory. */
  async #semantics(generation: Generation): Promise<void> {
    const index = await this.#store.index(generation).catch(() => undefined);
    if (!index) return;
    for (const section of SECTION_NAMES) {
      const shared = sharedIds(index[section]).map(
        ({ id, names }): Finding => ({
          severity: "damage",
          what: names,
          problem: `have the same id ${id}, so clients of one may get another`,
          current: true,
          repair: `find out whose id it is, and take the others away: chp remove ${names.at(-1)} --apply`,
        }),
      );
      this.#findings.push(...shared);
      for (const [digest] of Object.values(index[section])) {
        const manifest = this.#bad.has(digest) ? undefined : await this.#store.manifest(section, digest).catch(() => undefined);
        if (manifest) this.#findings.push(...problemsOf(section, manifest));
      }
    }
  }

  /** Settings and secrets. */
  async #config(): Promise<void> {
    for (const problem of await this.#store.settings.problems()) this.#addDamage([SETTINGS.slice(0, -1)], problem, true);
    for (const key of await this.#store.storage.list(SECRETS)) {
      const object = await this.#store.storage.open(key);
      if (((object?.mode ?? 0) & 0o077) !== 0) this.#addWarning(key, "others can read it", `chmod 0600 ${key}`);
    }
  }

  #stopIfAsked(): void {
    this.#options.signal?.throwIfAborted();
  }
}

/** All that are in their place. */
async function* storedBlobs(storage: Storage): AsyncGenerator<Digest> {
  const keys = async function* () {
    if (storage.walk) for await (const { key } of storage.walk(BLOBS)) yield key;
    else for (const folder of BLOB_FOLDERS) yield* await storage.list(folder);
  };
  for await (const key of keys()) {
    const digest = blobDigest(key);
    if (digest !== undefined) yield digest;
  }
}

function isChosen(digest: Digest, which: ReadData): boolean {
  if ("percent" in which) return Math.random() * 100 < which.percent;
  return Number.parseInt(digest.slice(0, 8), 16) % which.of === which.part - 1;
}

/** `restorable`: what `chp import --repair` can restore; undefined: nothing of it. */
function repairOf(origin: Generation | undefined, current: boolean, restorable: "payload" | "list" | undefined): string {
  if (!origin) return "nothing needs it";
  if (restorable && origin.sources.length > 0) {
    const files = origin.sources.map(({ name, sha256 }) => `${shellQuote(name)} (sha256 ${sha256})`).join(" and ");
    const otherwise = restorable === "list" && current ? "; where that does not restore it, import it again without --repair" : "";
    return `chp import --repair ${files}${otherwise}`;
  }
  if (!current) return `only the history before now names it, since generation ${origin.number}: put it back from a copy of the store`;
  if (origin.sources.length === 0) return "put it back from a copy of the store";
  return `import again ${origin.sources.map(({ name, sha256 }) => `${name} (sha256 ${sha256})`).join(" and ")}`;
}

const SECTION_WORDS: OfEach<string> = { packages: "", snaps: "snap ", images: "the images ", agents: "the agents " };

/** `resource data revision 3 of kafka` */
export function showRole({ kind, package: pkg, revision, part }: BlobRole): string {
  const of = pkg ? ` of ${SECTION_WORDS[pkg.section]}${pkg.name}` : "";
  const number = revision === undefined ? "" : ` revision ${revision}`;
  if (kind === "charm" || kind === "bundle" || kind === "snap") return `${kind} ${pkg?.name ?? ""}${number}`;
  if (kind === "resource" || kind === "component") return `${kind} ${part ?? ""}${number}${of}`;
  if (kind === "agent") return `agent ${pkg?.name ?? ""} for ${part ?? ""}`;
  if (kind === "streams") return `signed text of the agents ${pkg?.name ?? ""}`;
  if (kind === "image") return `blob of the images ${pkg?.name ?? ""}`;
  if (kind === "blob" || (kind === "manifest" && part !== undefined)) return `${kind} of section ${part ?? ""}`;
  if (kind === "text" || kind === "icon") return `${part ?? "icon"}${of}${number}`;
  return `${kind}${of}`;
}

type AddProblem = (problem: string, repair: string, severity?: Finding["severity"]) => void;

function findingsOf(what: string, find: (odd: AddProblem) => void): Finding[] {
  const found = new Map<string, Finding>();
  find((problem, repair, severity = "warning") => found.set(problem, { severity, what: [what], problem, current: true, repair }));
  return [...found.values()];
}

/** The released rows, and the rows of overrides with a channel that says so. */
function rowsAndOverrides<R extends { readonly channel: string }>(
  { releases, overrides = [] }: { readonly releases: readonly R[]; readonly overrides?: readonly (R & OverrideTerms)[] },
  odd: AddProblem,
): R[] {
  for (const { channel, until } of overrides)
    if (until !== undefined && Number.isNaN(Date.parse(until)))
      odd(`the override of ${channel} ends at no time that can be read`, "chp end-override takes it away", "damage");
  return [...releases, ...overrides.map((row) => ({ ...row, channel: `the override of ${row.channel}` }))];
}

function packageProblems(pkg: Package): Finding[] {
  return findingsOf(`${pkg.type} ${pkg.name}`, (odd) => {
    const rows = rowsAndOverrides(pkg, odd);
    for (const { channel, base, revision, resources } of rows) {
      if (!findRevision(pkg, revision)) odd(`${channel} has revision ${revision}, which is not stored`, "import that revision", "damage");
      if (base && [base.name, base.channel, base.architecture].includes("all"))
        odd(`${channel} is for ${showBase(base)}, which Juju never matches`, "import again what contains that charm");
      for (const [name, pin] of Object.entries(resources))
        if (!findResource(pkg, name, pin))
          odd(`${channel} has resource ${name} revision ${pin}, which is not stored`, "import that resource", "damage");
    }
    const released = new Set(rows.map((row) => row.revision));
    for (const { revision, resources } of pkg.revisions)
      for (const name of resources)
        if (released.has(revision) && !findResource(pkg, name))
          odd(`no revision of its resource ${name} is stored`, "import an export that contains it");
  });
}

function repositoryProblems(repository: Repository): Finding[] {
  return findingsOf(`the images ${repository.name}`, (odd) => {
    for (const [tag, digest] of Object.entries(repository.tags))
      if (!findManifest(repository, digest))
        odd(`tag ${tag} names ${digestText(digest)}, which is not stored`, "import that image", "damage");
    for (const { digest, blobs = [] } of repository.manifests)
      for (const blob of [digest, ...blobs])
        if (blobSize(repository, blob) === undefined)
          odd(`manifest ${digestText(digest)} names ${digestText(blob)}, which is not listed`, "import that image again", "damage");
  });
}

function snapProblems(snap: Snap): Finding[] {
  return findingsOf(`snap ${snap.name}`, (odd) => {
    for (const { channel, architecture, revision } of rowsAndOverrides(snap, odd))
      if (!findSnapRevision(snap, revision))
        odd(`${channel} ${architecture} has revision ${revision}, which is not stored`, "import that revision", "damage");
    const has = (type: string, test: (key: readonly string[]) => boolean) =>
      snap.assertions.some((assertion) => assertion.type === type && test(assertion.key));
    if (!has("snap-declaration", () => true) && snap.revisions.some((r) => r.unverified === undefined))
      odd("its snap-declaration is missing", "import its .assert file");
    for (const r of snap.revisions) {
      const digest = Buffer.from(r["sha3-384"], "hex").toString("base64url");
      if (r.unverified === undefined && !has("snap-revision", ([key]) => key === digest))
        odd(`the snap-revision of revision ${r.revision} is not stored`, "import its .assert file");
    }
    for (const { component, componentRevision, revision } of snap.pairs)
      if (findSnapRevision(snap, revision) && !findComponent(snap, component, componentRevision))
        odd(`component ${component} revision ${componentRevision} of revision ${revision} is not stored`, "import that component");
  });
}

function agentProblems({ name, agents, blobs }: AgentRelease): Finding[] {
  const listed = new Set(blobs.map(({ digest }) => digest));
  return findingsOf(`the agents ${name}`, (odd) => {
    for (const { architecture, blob, signed } of agents)
      for (const digest of [blob, ...(signed ? [signed.index.digest, signed.products.digest] : [])])
        if (!listed.has(digest))
          odd(`the one for ${architecture} names ${digestText(digest)}, which is not listed`, "import it again", "damage");
  });
}

const PROBLEMS: { readonly [S in SectionName]: (manifest: Sections[S]) => Finding[] } = {
  packages: packageProblems,
  snaps: snapProblems,
  images: repositoryProblems,
  agents: agentProblems,
};

function problemsOf<S extends SectionName>(section: S, manifest: Sections[S]): Finding[] {
  return PROBLEMS[section](manifest);
}
