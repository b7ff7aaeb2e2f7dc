/** Exports: plans what is requested from what upstream has, and writes one archive. */

import type { ReadAt } from "../archives/archive.ts";
import type { ExportLock } from "../archives/lock.ts";
import { LOCK_FILE } from "../archives/names.ts";
import { needsOf } from "../archives/needs/needs.ts";
import type { SecretKey } from "../archives/signature.ts";
import { charmTexts, zipFiles } from "../archives/zip.ts";
import { bootstrapNeeds, charmBaseImage, controllerImages, readJuju, showImage } from "../catalog/bootstrap.ts";
import type { ImageNeed } from "../catalog/need.ts";
import { pathOfReference } from "../catalog/registry.ts";
import { type NeedingCharm, showNeed } from "../catalog/snapneeds.ts";
import type { BeginSums } from "../digest.ts";
import { Failure, reason } from "../errors.ts";
import { mapBounded } from "../parallel.ts";
import { utf8 } from "../text.ts";
import { type ArchiveForm, type ArchiveOutput, ArchiveWriter, type FetchProgress, readerOf } from "./archivewriter.ts";
import { AssertionFetcher, builtInAccount } from "./assertionfetcher.ts";
import { planLockedPackage, planPackage } from "./charmplan.ts";
import type { HttpClient } from "./client.ts";
import { snapClosure } from "./closure.ts";
import { type AgentSettings, ExportAgents, type PlannedAgents } from "./exportagents.ts";
import { ExportImages, type NamedImage, type PlannedImage, type RegistrySettings } from "./exportimages.ts";
import type { Inventory } from "./inventory.ts";
import { formatLock } from "./lock.ts";
import { type CharmExtras, type PackedPackage, packPackage, packSnap } from "./pack.ts";
import { type FailedPackage, failuresOf, type Plan, type PlannedContent, type PlannedPackage, type PlannedSnap } from "./plan.ts";
import { remoteParts } from "./remoteparts.ts";
import { type Addition, charmsOfBundle, type ExportRequest, essentialSnaps, type PackageRequest, type SnapRequest } from "./sitefile.ts";
import { mergeSnapPlans, planLockedSnap, planSnap } from "./snapplan.ts";
import { charmhubFile, type Upstream } from "./upstream.ts";

export interface ExportOptions {
  readonly upstream: Upstream;
  readonly client: HttpClient;
  readonly request: ExportRequest;
  /** what an earlier export took; replaces the request */
  readonly lock?: ExportLock;
  /** files that the other side already has */
  readonly inventory?: Inventory;
  readonly without: ReadonlySet<Addition>;
  /** whether needed packages are added; without it an archive has what was named, and the charms of bundles */
  readonly closure: boolean;
  readonly form: ArchiveForm;
  readonly registries?: RegistrySettings;
  /** undefined: no agents are taken */
  readonly agents?: AgentSettings;
  readonly failFast: boolean;
  /** downloads at once */
  readonly parallel: number;
  /** where files are hashed; in this thread by default */
  readonly sums?: BeginSums;
  readonly key?: SecretKey;
  /** milliseconds */
  readonly now: number;
  /** text of the site file that the request was read from, if the archive is to contain it */
  readonly siteFile?: string;
  /** where the archive is written; `rest`: the same without the packages that failed */
  readonly openOutput: (which: "all" | "rest") => Promise<ArchiveOutput>;
  /** called with notes for the operator as they come up */
  readonly onNote: (text: string) => void;
  readonly onFetch?: (label: string, size: number) => FetchProgress;
}

export interface ExportResult {
  readonly packages: readonly PlannedPackage[];
  readonly snaps: readonly PlannedSnap[];
  readonly failed: readonly FailedPackage[];
  readonly notes: readonly string[];
  /** in the archive */
  readonly images: readonly PlannedImage[];
  readonly agents: readonly PlannedAgents[];
  /** those that are not in the archive, with the credentials that the store gave for them */
  readonly imagesLeft: readonly NamedImage[];
  readonly lock: string;
  /** the opened output that has the archive; undefined: nothing was available */
  readonly which: "all" | "rest" | undefined;
  /** bytes of the archive */
  readonly length: number;
  /** downloaded bytes */
  readonly fetched: number;
}

/** What an export would take, and why. Shape of `chp export --dry-run --json`. */
export interface ExportPlan {
  readonly packages: readonly PlannedContent[];
  /** bytes that would be downloaded */
  readonly size: number;
  readonly failed: readonly FailedPackage[];
  readonly notes: readonly string[];
}

/** packages that are planned at once */
const PARALLEL_PLANS = 8;

/** Writes an archive of everything requested that is available. Throws if nothing is requested, or, with `failFast`, the first failure. */
export async function exportAll(options: ExportOptions): Promise<ExportResult> {
  return new Export(options).run();
}

/** The plan of the same export. Downloads no charm or snap whole; what charms need is read from parts of their files. */
export async function planExport(options: ExportOptions): Promise<ExportPlan> {
  return new Export(options).plan();
}

/** The bundle.yaml of the newest revision that the request selects. Throws a `usage` failure where it is of a charm. */
export async function resolveBundleYaml(upstream: Upstream, client: HttpClient, request: PackageRequest): Promise<string> {
  const { planned, failed } = await planPackage(upstream, request.name, [request]);
  const [bundle] = planned?.revisions.toReversed() ?? [];
  if (!planned || !bundle) throw failed[0]?.failure ?? new Failure("failed", `cannot export ${request.name}`);
  if (planned.type !== "bundle") throw notABundle(planned.name);
  return bundleYaml(client, planned.name, bundle);
}

function notABundle(name: string): Failure {
  return new Failure("usage", `${name} is a charm, not a bundle`, { next: "chp export charms takes charms, in a file that names them" });
}

/** The file of an archive with the assertions that belong to no snap. */
const ASSERTIONS_FILE = "assertions.assert";

class Export {
  readonly #options: ExportOptions;
  readonly #failed: FailedPackage[] = [];
  readonly #notes: string[] = [];
  readonly #images: ExportImages;
  readonly #agents: ExportAgents | undefined;
  readonly #assertions: AssertionFetcher;
  /** packages, and files of images, with a failed download */
  readonly #incomplete = new Set<PackedPackage>();
  #isSnapStoreUnavailable = false;
  #isDownloading = false;

  constructor(options: ExportOptions) {
    this.#options = options;
    const { upstream, client, request, lock, inventory, registries = {}, without } = options;
    this.#assertions = new AssertionFetcher(upstream);
    const isTaken = !without.has("images");
    this.#images = new ExportImages({
      upstream,
      client,
      request,
      lock,
      inventory,
      isTaken,
      takesOfCharms: !without.has("charm-images"),
      isNamedTaken: ({ sure }) =>
        !without.has("charm-images") && !without.has("file-images") && (sure === "certain" || !without.has("likely")),
      registries,
      onNote: (text) => this.#note(text),
    });
    this.#agents =
      options.agents &&
      new ExportAgents({ ...options.agents, client, request: request.agents, lock, inventory, onNote: (text) => this.#note(text) });
    for (const text of request.notes) this.#note(text);
  }

  async plan(): Promise<ExportPlan> {
    const { lock, closure, inventory, request } = this.#options;
    const { packages, requested } = await this.#requested();
    const needs = lock || !(closure || request.images) ? [] : await this.#remoteNeeds(packages);
    await this.#takeNamedImages(needs);
    const charms = needs.map(({ charm }) => charm);
    const added = closure && !lock ? await this.#closure(charms, requested) : [];
    const contentOf = (planned: PlannedPackage | PlannedSnap, { name, type, files }: PackedPackage): PlannedContent => ({
      type,
      name,
      revisions: planned.revisions.map(({ revision }) => revision),
      size: files.reduce((sum, { content }) => sum + ("url" in content ? content.size : 0), 0),
      reasons: planned.reasons,
    });
    const extras = (pkg: PlannedPackage) => ({ images: this.#blobsOf(pkg), account: undefined, inventory });
    const all = [
      ...packages.map((pkg) => contentOf(pkg, packPackage(pkg, extras(pkg)))),
      ...mergeSnapPlans([...requested, ...added]).map((snap) => contentOf(snap, packSnap(snap, inventory))),
      ...this.#images.contents(),
      ...(this.#takesAgents ? (this.#agents?.contents() ?? []) : []),
    ];
    return { packages: all, size: all.reduce((sum, { size }) => sum + size, 0), failed: this.#failed, notes: this.#notes };
  }

  /** What is requested by name, and the charms of bundles; the images of all are planned. */
  async #requested(): Promise<{ readonly packages: PlannedPackage[]; readonly requested: PlannedSnap[] }> {
    const { lock, request } = this.#options;
    const packages = await this.#withImages(lock ? await this.#lockedPackages(lock) : await this.#packages(), lock);
    const isNeeded = this.#takesAgents || !this.#options.without.has("images"); // images are of the same versions
    if (isNeeded) this.#fail((await this.#agents?.plan()) ?? []);
    const requested = lock ? await this.#lockedSnaps(lock) : await this.#snaps([...request.snaps, ...this.#essentialSnaps()]);
    if (!lock) this.#controllerImages(packages);
    this.#fail(await this.#images.plan());
    return { packages, requested };
  }

  /** What the exact versions need besides what was requested for what the site file says of them. */
  #essentialSnaps(): SnapRequest[] {
    const { agents, snaps } = this.#options.request;
    if (!agents || agents.versions === "all") return [];
    const known = new Set(
      snaps.flatMap(({ name, channels }) => (channels === "all" ? [] : channels.map((channel) => `${name} ${channel}`))),
    );
    return (this.#agents?.essentials ?? [])
      .flatMap((version) => essentialSnaps(version, agents.architectures))
      .filter(({ name, channels }) => channels !== "all" && !channels.every((channel) => known.has(`${name} ${channel}`)));
  }

  get #takesAgents(): boolean {
    return !this.#options.without.has("agents");
  }

  /** The agents that are in the archive. */
  get #taken(): readonly PlannedAgents[] {
    return this.#takesAgents ? (this.#agents?.complete ?? []) : [];
  }

  /** The images of a controller of each version, and what charms of the bases that are taken run in on Kubernetes. */
  #controllerImages(packages: readonly PlannedPackage[]): void {
    const { request, registries } = this.#options;
    if (!request.agents || request.agents.versions === "all" || !this.#agents) return;
    const bases = new Map(
      packages.flatMap(({ type, releases }) =>
        type === "charm" ? releases.flatMap(({ base }) => (base ? [[`${base.name} ${base.channel}`, base] as const] : [])) : [],
      ),
    );
    for (const text of this.#agents.essentials) {
      const version = readJuju(text);
      const { imageRepository } = bootstrapNeeds(version);
      const { registry } = this.#agents;
      const isElsewhere = registry !== undefined && !registries?.mayLack; // a store inside this process answers for every registry
      const repository = isElsewhere ? `${registry}/${pathOfReference(imageRepository)}` : imageRepository;
      const why = `Juju ${text} bootstraps on Kubernetes with it`;
      // A store that was made without them lacks them.
      for (const image of controllerImages(version)) this.#images.want(`${repository}/${showImage(image)}`, why, registry !== undefined);
      for (const base of bases.values())
        this.#images.want(
          `${repository}/${showImage(charmBaseImage(base))}`,
          `charms on ${base.name}@${base.channel} run in it on Kubernetes`,
          true,
        );
    }
  }

  async run(): Promise<ExportResult> {
    const { lock, request, form, ...options } = this.#options;
    const { packages, requested } = await this.#requested();
    if (packages.length + requested.length + this.#images.complete.length + this.#taken.length === 0) return this.#emptyResult();
    this.#startDownloads();
    const writer = new ArchiveWriter({
      output: await options.openOutput("all"),
      form,
      client: options.client,
      parallel: options.parallel,
      ...(options.sums && { sums: options.sums }),
      ...(options.onFetch && { onFetch: options.onFetch }),
    });
    const packed = new Map<PlannedPackage | PlannedSnap, PackedPackage>();
    for (const pkg of packages) packed.set(pkg, packPackage(pkg, await this.#charmExtras(pkg)));
    // A lock lists packages by name and makes the same archive; the documented archives have them as they were named.
    const inOrder = [...packed.values()];
    await this.#download(writer, [
      ...(form === "site" ? inOrder.toSorted((a, b) => (a.name < b.name ? -1 : 1)) : inOrder),
      ...(this.#takesAgents ? (this.#agents?.packed() ?? []) : []),
    ]);
    const isComplete = (planned: PlannedPackage | PlannedSnap) => !this.#incomplete.has(packed.get(planned) ?? NO_PACKAGE);
    const needs = await needsOfAll(packages.filter(isComplete), (pkg, path) => fileOf(writer, packed.get(pkg), path));
    await this.#takeNamedImages(needs);
    await this.#download(writer, this.#images.packed());
    const added =
      options.closure && !lock
        ? await this.#closure(
            needs.map(({ charm }) => charm),
            requested,
          )
        : [];
    const snaps = mergeSnapPlans([...requested, ...added]);
    for (const snap of snaps) packed.set(snap, packSnap(snap, options.inventory));
    const packedSnaps = snaps.flatMap((snap) => packed.get(snap) ?? []);
    await this.#download(writer, packedSnaps);

    const complete = {
      packages: packages.filter(isComplete),
      snaps: snaps.filter(isComplete),
      images: this.#images.complete,
      agents: this.#taken,
    };
    if (Object.values(complete).every((all) => all.length === 0)) return this.#emptyResult(writer.fetched);
    const lockText = formatLock(
      complete.packages,
      complete.snaps,
      this.#images.blobs,
      complete.images,
      this.#takesAgents ? this.#agents?.locked() : undefined,
    );
    const assertions = request.mirror && !lock ? await options.upstream.otherAssertions() : "";
    const texts = [
      ...(assertions === "" ? [] : [{ path: ASSERTIONS_FILE, content: Buffer.from(assertions) }]),
      ...(options.siteFile === undefined ? [] : [{ path: "bundle.yaml", content: Buffer.from(options.siteFile) }]),
      { path: LOCK_FILE, content: Buffer.from(lockText) },
      ...this.#images.layout(),
      ...(this.#takesAgents ? (this.#agents?.texts() ?? []) : []),
    ];
    const packedComplete = [
      ...[...complete.packages, ...complete.snaps].flatMap((planned) => packed.get(planned) ?? []),
      ...this.#images.packed(),
      ...(this.#takesAgents ? (this.#agents?.packed() ?? []) : []),
    ];
    const finished =
      this.#incomplete.size === 0
        ? { length: await writer.finish(texts, options.key, options.now), which: "all" as const }
        : await this.#writeRest(writer, packedComplete, texts);
    return {
      ...complete,
      failed: this.#failed,
      notes: this.#notes,
      imagesLeft: this.#images.left(complete.packages),
      lock: lockText,
      ...finished,
      fetched: writer.fetched,
    };
  }

  /** What charms need by the parts of their files that say it, where upstream sends parts. */
  async #remoteNeeds(packages: readonly PlannedPackage[]): Promise<NeedsOfCharm[]> {
    const { client, inventory } = this.#options;
    const open: OpenCharm = (pkg, path) => {
      const packed = packPackage(pkg, { images: this.#blobsOf(pkg), account: undefined, inventory });
      const revision = pkg.revisions.find((one) => path === `${pkg.name}_${one.revision}.charm`);
      if (!revision || !packed.files.some((file) => file.path === path)) return undefined;
      return remoteParts(client, `parts of ${path}`, charmhubFile(revision));
    };
    return mapBounded(packages, PARALLEL_PLANS, async (pkg) => {
      try {
        return await readNeeds(pkg, open);
      } catch (error) {
        if (!(error instanceof Failure) || error.kind === "interrupted") throw error;
        this.#note(`the snaps and images that files of ${pkg.name} name are not in this plan: ${reason(error)}`);
        return { charm: neededBases(pkg), images: [] };
      }
    });
  }

  /** Adds the images that the files of charms name. */
  async #takeNamedImages(needs: readonly NeedsOfCharm[]): Promise<void> {
    for (const { charm, images } of needs) for (const [revision, named] of images) this.#images.addNamed(charm.name, revision, named);
    this.#fail(await this.#images.plan());
  }

  async #download(writer: ArchiveWriter, packages: readonly PackedPackage[]): Promise<void> {
    for (const { packed, failure } of await writer.add(packages, { failFast: this.#options.failFast })) {
      this.#incomplete.add(packed);
      if (packed.type === "agent") this.#agents?.lose(packed);
      const lost = packed.type === "image" ? this.#images.lose(packed) : [packed.name];
      this.#failed.push(...lost.map((name) => ({ name, failure })));
    }
  }

  /** Writes another archive, of the complete packages; their bytes are copied from the first, which a later run resumes. */
  async #writeRest(
    from: ArchiveWriter,
    complete: readonly PackedPackage[],
    texts: Parameters<ArchiveWriter["finish"]>[0],
  ): Promise<Pick<ExportResult, "which" | "length">> {
    const { form, client, parallel, key, now, openOutput, sums } = this.#options;
    const writer = new ArchiveWriter({ output: await openOutput("rest"), form, client, parallel, ...(sums && { sums }) });
    await writer.add(
      complete.map((packed) => from.contentsOf(packed)),
      { failFast: true },
    );
    return { length: await writer.finish(texts, key, now), which: "rest" };
  }

  #note(text: string): void {
    if (this.#notes.includes(text)) return;
    this.#notes.push(text);
    this.#options.onNote(text);
  }

  /** Reports failures so far before the downloads, which may take hours; if nothing is available, they are thrown instead. */
  #startDownloads(): void {
    this.#isDownloading = true;
    for (const { failure } of this.#failed) this.#options.onNote(failure.message);
  }

  #fail(failed: readonly FailedPackage[]): void {
    const [first] = failed;
    if (first && this.#options.failFast) throw first.failure;
    this.#failed.push(...failed);
    if (this.#isDownloading) for (const { failure } of failed) this.#options.onNote(failure.message);
  }

  /** The result if nothing is available. */
  #emptyResult(fetched = 0): ExportResult {
    if (this.#failed.length === 0) throw new Failure("usage", "there is nothing to export");
    const [failed, notes] = [this.#failed, this.#notes];
    return {
      packages: [],
      snaps: [],
      failed,
      notes,
      images: [],
      agents: [],
      imagesLeft: [],
      lock: "",
      which: undefined,
      length: 0,
      fetched,
    };
  }

  /** Reports the failures and additions of plans, and returns what they take. */
  #accept<T extends PlannedPackage | PlannedSnap>(plans: readonly Plan<T>[]): T[] {
    return plans.flatMap(({ planned, failed, notes }) => {
      for (const note of notes) this.#note(note);
      this.#fail(failed);
      if (!planned) return [];
      const type = "type" in planned ? planned.type : "snap";
      // A documented archive adds no charms but those of a bundle, and these are listed as they are downloaded.
      if (type === "snap" || this.#options.form === "site")
        for (const why of planned.reasons) this.#note(`adding ${type} ${planned.name}: ${why}`);
      return planned;
    });
  }

  /* -- charms and bundles -- */

  async #packages(): Promise<PlannedPackage[]> {
    const { request, without, form } = this.#options;
    const bundles = await this.#plan(request.bundles);
    // A site file may mix the two up, and what it requests is still clear; a command that takes one bundle was mistyped.
    const [charm] = form === "documented" ? bundles.filter((pkg) => pkg.type !== "bundle") : [];
    if (charm) throw notABundle(charm.name);
    const ofBundles: PackageRequest[] = [];
    for (const bundleRequest of without.has("bundle-charms") ? [] : request.bundles) {
      const bundle = bundles.find(({ type, name }) => type === "bundle" && name === bundleRequest.name);
      for (const revision of bundle?.revisions ?? []) ofBundles.push(...(await this.#charmsOfBundle(bundleRequest, revision)));
    }
    const charms = await this.#plan([...request.charms, ...ofBundles]);
    const mixedUp = [
      ...bundles.filter((pkg) => pkg.type !== "bundle"),
      ...charms.filter((pkg) => pkg.type !== "charm" && request.charms.some(({ name }) => name === pkg.name)),
    ];
    for (const { name, type } of mixedUp) this.#note(`${name} is a ${type}: it was taken as that`);
    return [...new Map([...bundles, ...charms].map((pkg) => [pkg.name, pkg])).values()];
  }

  async #charmsOfBundle(bundle: PackageRequest, revision: PlannedPackage["revisions"][number]): Promise<PackageRequest[]> {
    const { name } = bundle;
    const requests: PackageRequest[] = [];
    const failed = await failuresOf(`the charms of ${name}`, async () => {
      const text = await bundleYaml(this.#options.client, name, revision);
      const { charms, notes } = charmsOfBundle(text, `bundle.yaml of ${name}`, bundle, `bundle ${name} ${revision.revision} names it`);
      for (const note of notes) this.#note(note);
      requests.push(...charms);
    });
    this.#fail(failed);
    return requests;
  }

  async #plan(requests: readonly PackageRequest[]): Promise<PlannedPackage[]> {
    return this.#accept(await planEach(requests, (name, own) => planPackage(this.#options.upstream, name, own)));
  }

  async #lockedPackages({ packages }: ExportLock): Promise<PlannedPackage[]> {
    return this.#accept(await mapBounded(packages, PARALLEL_PLANS, (locked) => planLockedPackage(this.#options.upstream, locked)));
  }

  /** The packages whose images could be read. The archive contains their blobs without credentials. */
  async #withImages(packages: readonly PlannedPackage[], lock: ExportLock | undefined): Promise<PlannedPackage[]> {
    const found = await mapBounded(packages, PARALLEL_PLANS, async (pkg) => {
      const failed = await failuresOf(pkg.name, async () => {
        const unknown = Object.keys(pkg.paths).filter((name) => !pkg.resources.some((resource) => resource.name === name));
        if (unknown.length > 0) this.#note(`${pkg.name} has no resource ${unknown.join(", ")}, whose path was given`);
        const locked = lock?.packages.find(({ name }) => name === pkg.name);
        for (const resource of pkg.resources) if (resource.type === "oci-image") await this.#images.readBlob(pkg, resource, locked);
      });
      this.#fail(failed);
      return failed.length === 0 ? [pkg] : [];
    });
    return found.flat();
  }

  #blobsOf({ name }: PlannedPackage): CharmExtras["images"] {
    return this.#images.blobs.get(name) ?? new Map();
  }

  async #charmExtras(pkg: PlannedPackage): Promise<CharmExtras> {
    const publisher = publisherId(pkg);
    const account = publisher === undefined ? undefined : await this.#accountAssertion(publisher);
    return { images: this.#blobsOf(pkg), account, inventory: this.#options.inventory };
  }

  /** The publisher's assertion; no client needs it, since Charmhub's replies name the publisher too, so it may be missing. */
  async #accountAssertion(id: string): Promise<string | undefined> {
    if (this.#isSnapStoreUnavailable) return builtInAccount(id);
    try {
      const text = await this.#assertions.account(id);
      if (text === undefined) this.#note(`the Snap Store has no account assertion of the publisher ${id}; no client needs it`);
      return text;
    } catch (error) {
      if (!(error instanceof Failure) || error.kind === "interrupted") throw error;
      this.#isSnapStoreUnavailable = true;
      this.#note(`account assertions of publishers were left out: ${reason(error)}`);
      return undefined;
    }
  }

  /* -- snaps -- */

  async #snaps(requests: readonly SnapRequest[]): Promise<PlannedSnap[]> {
    const { upstream } = this.#options;
    const plans = await planEach(requests, async (name, own) => {
      const plan = await planSnap(upstream, name, own, this.#assertions);
      if (!own.every(({ mayLack }) => mayLack)) return plan;
      return { ...plan, failed: [], notes: [...plan.notes, ...plan.failed.map(({ failure }) => failure.message)] };
    });
    return this.#accept(plans);
  }

  async #lockedSnaps({ snaps }: ExportLock): Promise<PlannedSnap[]> {
    const { upstream } = this.#options;
    return this.#accept(await mapBounded(snaps, PARALLEL_PLANS, (locked) => planLockedSnap(upstream, locked, this.#assertions)));
  }

  /** The further snaps that the charms and the requested snaps need. */
  async #closure(charms: readonly NeedingCharm[], requested: readonly PlannedSnap[]): Promise<PlannedSnap[]> {
    const { request, without, upstream } = this.#options;
    const requests = [...request.charms, ...request.bundles, ...request.snaps];
    const architectures = [...new Set(requests.flatMap((entry) => entry.architectures))];
    return snapClosure(
      { charms, requested, architectures, without },
      {
        plan: (snap) => planSnap(upstream, snap.name, [snap], this.#assertions),
        onAdded: (need) =>
          this.#note(`adding snap ${showNeed(need)}: ${need.sure === "likely" ? "likely " : ""}needed by ${need.by.join(", ")}`),
        onUnavailable: (need, failed) => {
          const isLikely = need.sure === "likely";
          const needs = `${need.by.join(", ")} ${isLikely ? "seems to install" : "needs"} the snap ${showNeed(need)}`;
          // What a charm only seems to install may be no snap at all, and a mirror may not have what its packages need.
          if (isLikely || request.mirror) this.#note(`${needs}, which is not available: ${failed[0]?.failure.message}`);
          else this.#fail(failed);
        },
      },
    );
  }
}

/** One plan for each name, made of all requests of it. */
function planEach<R extends { readonly name: string }, T>(
  requests: readonly R[],
  plan: (name: string, requests: readonly R[]) => Promise<Plan<T>>,
): Promise<Plan<T>[]> {
  const names = [...new Set(requests.map((request) => request.name))];
  const requestsOf = (name: string) => requests.filter((request) => request.name === name);
  return mapBounded(names, PARALLEL_PLANS, (name) => plan(name, requestsOf(name)));
}

/** What a charm needs by the files of its revisions. */
interface NeedsOfCharm {
  readonly charm: NeedingCharm;
  readonly images: readonly (readonly [revision: number, images: readonly ImageNeed[]])[];
}

/** Opens a revision's file; undefined: it cannot be read here. */
type OpenCharm = (pkg: PlannedPackage, path: string) => ReadAt | undefined;

/** One charm after the other: their files are in memory meanwhile. */
async function needsOfAll(packages: readonly PlannedPackage[], open: OpenCharm): Promise<NeedsOfCharm[]> {
  const charms: NeedsOfCharm[] = [];
  for (const pkg of packages) charms.push(await readNeeds(pkg, open));
  return charms;
}

/** A charm without the snaps that it needs: only its download shows them. */
function neededBases({ name, type, revisions, releases }: PlannedPackage): NeedingCharm {
  const known = type === "charm" ? revisions : [];
  return {
    name,
    revisions: known.map(({ revision, bases }) => ({ revision, snaps: [], bases: bases.filter((base) => base !== null) })),
    releases,
  };
}

/** What the revisions of a charm need. */
async function readNeeds(pkg: PlannedPackage, open: OpenCharm): Promise<NeedsOfCharm> {
  const revisions: NeedingCharm["revisions"][number][] = [];
  const found: NeedsOfCharm["images"][number][] = [];
  for (const { revision, bases } of pkg.type === "charm" ? pkg.revisions : []) {
    const zip = open(pkg, `${pkg.name}_${revision}.charm`);
    const { snaps, images } = needsOf(zip ? await charmTexts(await inMemoryIfSmall(zip)) : new Map());
    revisions.push({ revision, snaps, bases: bases.filter((base) => base !== null) });
    found.push([revision, images]);
  }
  return { charm: { name: pkg.name, revisions, releases: pkg.releases }, images: found };
}

/** A file that was downloaded, where it is in the archive. */
function fileOf(writer: ArchiveWriter, packed: PackedPackage | undefined, path: string): ReadAt | undefined {
  return packed?.files.some((file) => file.path === path) ? writer.read(packed, path) : undefined;
}

const NO_PACKAGE: PackedPackage = { name: "", type: "charm", files: [] };
/** bytes of a zip; of a larger one only the parts that are needed are read */
const MAX_IN_MEMORY = 2 ** 20;

async function inMemoryIfSmall(from: ReadAt): Promise<ReadAt> {
  if (from.size > MAX_IN_MEMORY) return from;
  return readerOf(await from.bytes(0, from.size));
}

/** The bundle.yaml of a revision: upstream's reply has it, or its file. */
async function bundleYaml(client: HttpClient, name: string, revision: PlannedPackage["revisions"][number]): Promise<string> {
  const inReply = revision["bundle-yaml"];
  if (inReply) return inReply;
  const zip = await client.bytes(`the bundle ${name} ${revision.revision}`, charmhubFile(revision));
  const found = await zipFiles(readerOf(zip), new Map([["bundle.yaml", "needed"]]));
  const bytes = found.get("bundle.yaml");
  if (!bytes) throw new Failure("failed", `cannot export ${name}: there is no bundle.yaml in its revision ${revision.revision}`);
  return utf8(bytes, `bundle.yaml of ${name} ${revision.revision}`);
}

function publisherId({ info, revisions }: PlannedPackage): string | undefined {
  for (const from of [info.result, revisions[0]]) {
    const publisher = from?.["publisher"];
    if (typeof publisher !== "object" || publisher === null || !("id" in publisher)) continue;
    if (typeof publisher.id === "string" && publisher.id !== "") return publisher.id;
  }
  return undefined;
}
