/** The use case: what is wanted → what the stores have → one archive. */

import { LIMITS, type ReadAt } from "../archives/archive.ts";
import { LOCK_FILE } from "../archives/names.ts";
import { needsOf } from "../archives/needs/charm.ts";
import { mayNameSnaps } from "../archives/needs/files.ts";
import type { SecretKey } from "../archives/signature.ts";
import { zipFiles, zipTexts } from "../archives/zip.ts";
import { ARCHITECTURES as BASE_ARCHITECTURES } from "../catalog/base.ts";
import { type NeedingCharm, showNeed } from "../catalog/lacking.ts";
import { imageBlob, MAX_IMAGE_BLOB, readImageBlob } from "../catalog/registry.ts";
import { ARCHITECTURES } from "../catalog/snap.ts";
import { sumsOf } from "../digest.ts";
import { Failure, reason } from "../errors.ts";
import { mapBounded } from "../parallel.ts";
import { valueOf } from "../schema.ts";
import { utf8 } from "../text.ts";
import { type ArchiveForm, type ArchiveOutput, ArchiveWriter, type FetchProgress } from "./archivewriter.ts";
import {
  charmFile,
  type FailedPackage,
  type LockedPackage,
  type PackagePlan,
  type PlannedPackage,
  planLockedPackage,
  planPackage,
} from "./charmplan.ts";
import type { HttpClient } from "./client.ts";
import { snapClosure } from "./closure.ts";
import type { Inventory } from "./inventory.ts";
import { type ExportLock, formatLock } from "./lock.ts";
import { type PackedPackage, packPackage, packSnap, resourceFile } from "./pack.ts";
import { type Addition, charmsOfBundle, type ExportRequest, type PackageRequest, type Selection, type SnapRequest } from "./sitefile.ts";
import { AssertionFetcher, mergedSnaps, type PlannedSnap, planLockedSnap, planSnap } from "./snapplan.ts";
import type { Upstream, UpstreamResource } from "./upstream.ts";

export interface ExportOptions {
  readonly upstream: Upstream;
  readonly client: HttpClient;
  readonly request: ExportRequest;
  /** in place of the wish: what an earlier export took */
  readonly lock?: ExportLock;
  /** what the other side has already */
  readonly inventory?: Inventory;
  readonly without: ReadonlySet<Addition>;
  /** whether what is needed besides is looked for; a documented archive holds what was named, and the charms of bundles */
  readonly closure: boolean;
  readonly form: ArchiveForm;
  readonly failFast: boolean;
  /** downloads at once */
  readonly parallel: number;
  readonly key?: SecretKey;
  /** milliseconds */
  readonly now: number;
  /** the file that the wish was read from, if it goes along */
  readonly siteFile?: string;
  /** where the archive is written; `rest`: the same without what failed */
  readonly openOutput: (which: "all" | "rest") => Promise<ArchiveOutput>;
  /** what a person should know as it happens */
  readonly onNote: (text: string) => void;
  readonly onFetch?: (label: string, size: number) => FetchProgress;
}

/** An image that the charms need, with the credentials that the store gave for it. */
export interface ExportedImage {
  readonly charm: string;
  readonly resource: string;
  readonly revision: number;
  /** upstream's */
  readonly reference: string;
  /** in the local registry */
  readonly path: string;
  readonly username: string;
  readonly password: string;
}

export interface ExportResult {
  readonly packages: readonly PlannedPackage[];
  readonly snaps: readonly PlannedSnap[];
  readonly failed: readonly FailedPackage[];
  readonly notes: readonly string[];
  readonly images: readonly ExportedImage[];
  readonly lock: string;
  /** which of the archives that were opened it is in; undefined: nothing could be had */
  readonly which: "all" | "rest" | undefined;
  /** bytes of the archive */
  readonly length: number;
  /** bytes that came over the network */
  readonly fetched: number;
}

const PARALLEL_ASKING = 8;

/** Writes an archive of all that is wanted and can be had. Throws where nothing is wanted, or at the first failure where that is asked. */
export async function exportAll(options: ExportOptions): Promise<ExportResult> {
  return new Export(options).run();
}

/** What would be taken, without any file being fetched: what `exportAll` begins with. */
export async function resolveBundleYaml(upstream: Upstream, remote: HttpClient, wish: PackageRequest): Promise<string> {
  const { planned, failed: lost } = await planPackage(upstream, wish.name, [wish]);
  const [bundle] = planned?.revisions.toReversed() ?? [];
  if (!planned || !bundle) throw lost[0]?.failure ?? new Failure("failed", `cannot export ${wish.name}`);
  if (planned.type !== "bundle") throw notABundle(planned.name);
  return bundleText(remote, planned.name, bundle);
}

function notABundle(name: string): Failure {
  return new Failure("usage", `${name} is a charm, not a bundle`, { next: "chp export charms takes charms, in a file that names them" });
}

/** Everything that a store lists. Architectures that it has nothing for cost a question each. */
export async function requestEverything(
  upstream: Upstream,
  { channels = "all", systems = "all", architectures }: Selection,
): Promise<ExportRequest> {
  const packages = await upstream.charmNames();
  const names = new Set<string>();
  const machines = architectures ?? ARCHITECTURES;
  for (const machine of machines) for (const name of await upstream.snapNames(machine)) names.add(name);
  const wishOf = (name: string) => ({
    name,
    channels,
    systems,
    architectures: architectures ?? [...new Set([...BASE_ARCHITECTURES, ...ARCHITECTURES])],
    resources: {},
    allResources: true as const,
    paths: {},
  });
  const of = (type: string) => packages.filter((one) => one.type === type).map(({ name }) => wishOf(name));
  return {
    charms: of("charm"),
    bundles: of("bundle"),
    snaps: [...names].toSorted().map((name) => ({ name, channels, architectures: machines })),
    without: [],
    mirror: true,
    notes: [],
  };
}

/** Where assertions of no snap lie in an archive. */
const ASSERTIONS_FILE = "assertions.assert";

class Export {
  readonly #options: ExportOptions;
  readonly #lost: FailedPackage[] = [];
  readonly #notes: string[] = [];
  readonly #images = new Map<string, Map<string, Uint8Array>>();
  readonly #credentials: ExportedImage[] = [];
  readonly #assertions: AssertionFetcher;
  #isSnapStoreSilent = false;
  #isBegun = false;

  constructor(options: ExportOptions) {
    this.#options = options;
    this.#assertions = new AssertionFetcher(options.upstream);
    for (const text of options.request.notes) this.#note(text);
  }

  async run(): Promise<ExportResult> {
    const { lock, request: wish, form, ...options } = this.#options;
    const packages = await this.#withImages(lock ? await this.#lockedPackages(lock) : await this.#packages(), lock);
    const named = lock ? await this.#lockedSnaps(lock) : await this.#snaps(wish.snaps);
    if (packages.length + named.length === 0) return this.#nothing();
    this.#begin();
    const work = await options.openOutput("all");
    const writer = new ArchiveWriter({
      output: work,
      form,
      client: options.client,
      parallel: options.parallel,
      ...(options.onFetch && { onFetch: options.onFetch }),
    });
    const packed = new Map<PlannedPackage | PlannedSnap, PackedPackage>();
    for (const pkg of packages) packed.set(pkg, packPackage(pkg, await this.#partsOf(pkg)));
    // A lock has them by name, and makes the same archive; the documented ones have them as they were named.
    const inOrder = [...packed.values()];
    await this.#bring(writer, form === "site" ? inOrder.toSorted((a, b) => (a.name < b.name ? -1 : 1)) : inOrder);
    const isThere = (one: PlannedPackage | PlannedSnap) => !this.#broken.has(packed.get(one) ?? NONE);
    const added = options.closure && !lock ? await this.#closure(writer, packages.filter(isThere), named, packed) : [];
    const snaps = mergedSnaps([...named, ...added]);
    for (const snap of snaps) packed.set(snap, packSnap(snap, options.inventory));
    await this.#bring(
      writer,
      snaps.flatMap((snap) => packed.get(snap) ?? []),
    );

    const whole = { packages: packages.filter(isThere), snaps: snaps.filter(isThere) };
    if (whole.packages.length + whole.snaps.length === 0) return this.#nothing(writer.fetched);
    const lockText = formatLock(whole.packages, whole.snaps, this.#images);
    const assertions = wish.mirror && !lock ? await options.upstream.otherAssertions() : "";
    const texts = [
      ...(assertions === "" ? [] : [{ path: ASSERTIONS_FILE, content: Buffer.from(assertions) }]),
      ...(options.siteFile === undefined ? [] : [{ path: "bundle.yaml", content: Buffer.from(options.siteFile) }]),
      { path: LOCK_FILE, content: Buffer.from(lockText) },
    ];
    const finished =
      this.#broken.size === 0
        ? { length: await writer.finish(texts, options.key, options.now), which: "all" as const }
        : await this.#rest(
            writer,
            [...whole.packages, ...whole.snaps].flatMap((one) => packed.get(one) ?? []),
            texts,
          );
    return {
      ...whole,
      failed: this.#lost,
      notes: this.#notes,
      images: this.#credentials.filter((image) => whole.packages.some((pkg) => pkg.name === image.charm)),
      lock: lockText,
      ...finished,
      fetched: writer.fetched,
    };
  }

  readonly #broken = new Set<PackedPackage>();

  async #bring(writer: ArchiveWriter, packed: readonly PackedPackage[]): Promise<void> {
    for (const { packed: one, failure } of await writer.add(packed, { failFast: this.#options.failFast })) {
      this.#broken.add(one);
      this.#lost.push({ name: one.name, failure });
    }
  }

  /** Another archive, of what came whole; its bytes are copied from the first, which a later run goes on with. */
  async #rest(
    from: ArchiveWriter,
    packed: readonly PackedPackage[],
    texts: Parameters<ArchiveWriter["finish"]>[0],
  ): Promise<Pick<ExportResult, "which" | "length">> {
    const { form, client: remote, parallel, key, now, openOutput: open } = this.#options;
    const work = await open("rest");
    const writer = new ArchiveWriter({ output: work, form, client: remote, parallel });
    await writer.add(
      packed.map((one) => from.contentsOf(one)),
      { failFast: true },
    );
    return { length: await writer.finish(texts, key, now), which: "rest" };
  }

  #note(text: string): void {
    if (this.#notes.includes(text)) return;
    this.#notes.push(text);
    this.#options.onNote(text);
  }

  /** A name that is wrong is told of before anything is fetched, not hours later; where nothing is left, that is the error. */
  #begin(): void {
    this.#isBegun = true;
    for (const { failure } of this.#lost) this.#options.onNote(failure.message);
  }

  #lose(lost: FailedPackage): void {
    if (this.#options.failFast) throw lost.failure;
    this.#lost.push(lost);
    if (this.#isBegun) this.#options.onNote(lost.failure.message);
  }

  /** Where nothing can be had. */
  #nothing(fetched = 0): ExportResult {
    if (this.#lost.length === 0) throw new Failure("usage", "there is nothing to export");
    return { packages: [], snaps: [], failed: this.#lost, notes: this.#notes, images: [], lock: "", which: undefined, length: 0, fetched };
  }

  /* -- charms and bundles -- */

  async #packages(): Promise<PlannedPackage[]> {
    const { request: wish, without, form } = this.#options;
    const bundles = await this.#plan(wish.bundles);
    // A manifest may mix the two up and still says what is wanted; a command that takes one bundle was mistyped.
    const [charm] = form === "documented" ? bundles.filter((one) => one.type !== "bundle") : [];
    if (charm) throw notABundle(charm.name);
    const inside: PackageRequest[] = [];
    for (const wished of without.has("bundle-charms") ? [] : wish.bundles) {
      const bundle = bundles.find(({ type, name }) => type === "bundle" && name === wished.name);
      for (const revision of bundle?.revisions ?? []) inside.push(...(await this.#inside(wished, revision)));
    }
    const charms = await this.#plan([...wish.charms, ...inside]);
    const wrong = [
      ...bundles.filter((one) => one.type !== "bundle"),
      ...charms.filter((one) => one.type !== "charm" && wish.charms.some(({ name }) => name === one.name)),
    ];
    for (const { name, type } of wrong) this.#note(`${name} is a ${type}: it was taken as that`);
    return mergedByName([...bundles, ...charms]);
  }

  async #inside(bundle: PackageRequest, revision: PlannedPackage["revisions"][number]): Promise<readonly PackageRequest[]> {
    const { name } = bundle;
    try {
      const text = await bundleText(this.#options.client, name, revision);
      const { charms, notes } = charmsOfBundle(text, `bundle.yaml of ${name}`, bundle, `bundle ${name} ${revision.revision} names it`);
      for (const note of notes) this.#note(note);
      return charms;
    } catch (error) {
      if (!(error instanceof Failure) || error.kind === "interrupted") throw error;
      this.#lose({ name: `the charms of ${name}`, failure: error });
      return [];
    }
  }

  async #plan(wishes: readonly PackageRequest[]): Promise<PlannedPackage[]> {
    const names = [...new Set(wishes.map((one) => one.name))];
    const plans = await mapBounded(names, PARALLEL_ASKING, (name) =>
      planPackage(
        this.#options.upstream,
        name,
        wishes.filter((one) => one.name === name),
      ),
    );
    return this.#taken(plans);
  }

  async #lockedPackages({ packages }: ExportLock): Promise<PlannedPackage[]> {
    return this.#taken(await mapBounded(packages, PARALLEL_ASKING, (one) => planLockedPackage(this.#options.upstream, one)));
  }

  #taken(plans: readonly PackagePlan[]): PlannedPackage[] {
    return plans.flatMap(({ planned, failed: lost, notes }) => {
      for (const note of notes) this.#note(note);
      for (const one of lost) this.#lose(one);
      // A documented archive adds nothing but the charms of a bundle, which its lines name as they come.
      if (this.#options.form === "site")
        for (const why of planned?.reasons ?? []) this.#note(`adding ${planned?.type} ${planned?.name}: ${why}`);
      return planned ?? [];
    });
  }

  /** Those whose images could be read. An image's blob goes along without credentials. */
  async #withImages(packages: readonly PlannedPackage[], lock: ExportLock | undefined): Promise<PlannedPackage[]> {
    const found = await mapBounded(packages, PARALLEL_ASKING, async (pkg) => {
      try {
        const lacking = Object.keys(pkg.paths).filter((name) => !pkg.resources.some((one) => one.name === name));
        if (lacking.length > 0) this.#note(`${pkg.name} has no resource ${lacking.join(", ")}, whose path was given`);
        const locked = lock?.packages.find((one) => one.name === pkg.name);
        for (const resource of pkg.resources) if (resource.type === "oci-image") await this.#image(pkg, resource, locked);
        return [pkg];
      } catch (error) {
        if (!(error instanceof Failure) || error.kind === "interrupted") throw error;
        this.#lose({ name: pkg.name, failure: error });
        return [];
      }
    });
    return found.flat();
  }

  async #image(pkg: PlannedPackage, resource: UpstreamResource, locked: LockedPackage | undefined): Promise<void> {
    const { name, revision } = resource;
    const what = `the resource ${name} ${revision} of ${pkg.name}`;
    const file = resourceFile(resource);
    if (file.size > MAX_IMAGE_BLOB) throw new Failure("failed", `cannot export ${pkg.name}: ${what} is larger than an image's blob`);
    const image = readImageBlob(await this.#options.client.bytes(what, file));
    if (!image) throw new Failure("failed", `cannot export ${pkg.name}: ${what} names no image`);
    const blob = imageBlob(image.reference);
    const before = locked?.resources[`${name}_${revision}`];
    if (before !== undefined && sumsOf(blob)["sha-256"] !== before)
      throw new Failure("failed", `cannot export ${pkg.name} as locked: ${what} names another image now, ${image.reference}`);
    const images = this.#images.get(pkg.name) ?? new Map<string, Uint8Array>();
    this.#images.set(pkg.name, images.set(`${name}_${revision}`, blob));
    const path = valueOf(pkg.paths, name) ?? "";
    if (path !== "") this.#note(`Overriding ${name} with local registry subpath.`);
    this.#credentials.push({ charm: pkg.name, resource: name, revision, path, ...image });
  }

  async #partsOf(pkg: PlannedPackage) {
    const publisher = publisherOf(pkg);
    const account = publisher === undefined || this.#isSnapStoreSilent ? undefined : await this.#accountOf(publisher, pkg.name);
    return { images: this.#images.get(pkg.name) ?? new Map<string, Uint8Array>(), account, inventory: this.#options.inventory };
  }

  /** Who a publisher is, is good to know and needed by nobody: Charmhub's replies tell it as well. */
  async #accountOf(id: string, name: string): Promise<string | undefined> {
    try {
      const text = await this.#assertions.account(id);
      if (text === undefined) this.#note(`the Snap Store has no account assertion of ${id}, the publisher of ${name}`);
      return text;
    } catch (error) {
      if (!(error instanceof Failure) || error.kind === "interrupted") throw error;
      this.#isSnapStoreSilent = true;
      this.#note(`account assertions of publishers were left out: ${reason(error)}`);
      return undefined;
    }
  }

  /* -- snaps -- */

  async #snaps(wishes: readonly SnapRequest[]): Promise<PlannedSnap[]> {
    const names = [...new Set(wishes.map((one) => one.name))];
    const plans = await mapBounded(names, PARALLEL_ASKING, (name) =>
      planSnap(
        this.#options.upstream,
        name,
        wishes.filter((one) => one.name === name),
        this.#assertions,
      ),
    );
    return plans.flatMap(({ planned, failed: lost }) => {
      for (const one of lost) this.#lose(one);
      for (const why of planned?.reasons ?? []) this.#note(`adding snap ${planned?.name}: ${why}`);
      return planned ?? [];
    });
  }

  async #lockedSnaps({ snaps }: ExportLock): Promise<PlannedSnap[]> {
    const plans = await mapBounded(snaps, PARALLEL_ASKING, (one) => planLockedSnap(this.#options.upstream, one, this.#assertions));
    return plans.flatMap(({ planned, failed: lost }) => {
      for (const one of lost) this.#lose(one);
      return planned ?? [];
    });
  }

  /** What the charms and snaps need besides. */
  async #closure(
    writer: ArchiveWriter,
    packages: readonly PlannedPackage[],
    named: readonly PlannedSnap[],
    packed: ReadonlyMap<PlannedPackage | PlannedSnap, PackedPackage>,
  ): Promise<PlannedSnap[]> {
    const { request: wish, without, upstream } = this.#options;
    const needers: NeedingCharm[] = [];
    for (const pkg of packages) needers.push(await this.#needer(writer, pkg, packed.get(pkg)));
    const architectures = [...new Set([...wish.charms, ...wish.bundles, ...wish.snaps].flatMap((one) => one.architectures))];
    return snapClosure(
      { needers, named, architectures, without },
      {
        plan: (one) => planSnap(upstream, one.name, [one], this.#assertions),
        onAdded: (need) =>
          this.#note(`adding snap ${showNeed(need)}: ${need.sure === "likely" ? "likely " : ""}needed by ${need.by.join(", ")}`),
        onUnavailable: (need, lost) => {
          const isLikely = need.sure === "likely";
          const needs = `${need.by.join(", ")} ${isLikely ? "seems to install" : "needs"} the snap ${showNeed(need)}`;
          // What a charm only seems to install may be no snap at all, and a mirror may lack what its packages need.
          if (isLikely || wish.mirror) this.#note(`${needs}, which was not to be had: ${lost[0]?.failure.message}`);
          else for (const one of lost) this.#lose(one);
        },
      },
    );
  }

  async #needer(writer: ArchiveWriter, pkg: PlannedPackage, packed: PackedPackage | undefined): Promise<NeedingCharm> {
    const revisions: NeedingCharm["revisions"][number][] = [];
    for (const { revision, bases } of pkg.type === "charm" ? pkg.revisions : []) {
      const zip =
        packed && packed.files.some((file) => file.path === `${pkg.name}_${revision}.charm`)
          ? writer.read(packed, `${pkg.name}_${revision}.charm`)
          : undefined;
      const snaps = zip ? needsOf(await zipTexts(await atHand(zip), mayNameSnaps, LIMITS)) : [];
      revisions.push({ revision, snaps, bases: bases.filter((base) => base !== null) });
    }
    return { name: pkg.name, revisions, releases: pkg.releases };
  }
}

const NONE: PackedPackage = { name: "", type: "charm", files: [] };
/** bytes of a zip; a larger one is read in the places where something is needed of it */
const MAX_READ_AT_ONCE = 2 ** 20;

async function atHand(from: ReadAt): Promise<ReadAt> {
  if (from.size > MAX_READ_AT_ONCE) return from;
  const whole = await from.bytes(0, from.size);
  return { size: from.size, bytes: async (start, end) => whole.subarray(start, end) };
}

async function bundleText(remote: HttpClient, name: string, revision: PlannedPackage["revisions"][number]): Promise<string> {
  const told = revision["bundle-yaml"];
  if (told) return told;
  const zip = await remote.bytes(`the bundle ${name} ${revision.revision}`, charmFile(revision));
  const found = await zipFiles(
    { size: zip.byteLength, bytes: async (start, end) => zip.subarray(start, end) },
    new Map([["bundle.yaml", "needed"]]),
  );
  const bytes = found.get("bundle.yaml");
  if (!bytes) throw new Failure("failed", `cannot export ${name}: there is no bundle.yaml in its revision ${revision.revision}`);
  return utf8(bytes, `bundle.yaml of ${name} ${revision.revision}`);
}

function publisherOf({ info, revisions }: PlannedPackage): string | undefined {
  for (const from of [info.result, revisions[0]]) {
    const publisher = from?.["publisher"];
    if (typeof publisher !== "object" || publisher === null || !("id" in publisher)) continue;
    if (typeof publisher.id === "string" && publisher.id !== "") return publisher.id;
  }
  return undefined;
}

function mergedByName(packages: readonly PlannedPackage[]): PlannedPackage[] {
  return [...new Map(packages.map((one) => [one.name, one])).values()];
}
