/** Blobs by digest, manifests, and generations that name them. Format: store/README.md. */

import { newestOf, signedTimes } from "../src/catalog/freshness.ts";
import type { Drafted, Generation, Index, Published, RepairedEntry, SignedTimes, StagedBlob } from "../src/catalog/generation-types.ts";
import { SECTIONS, type SectionName, type Sections } from "../src/catalog/sections.ts";
import type { StoredAssertion } from "../src/catalog/snap.ts";
import { type Algorithm, type Digest, sumsOf } from "../src/digest.ts";
import { Failure, isCorrupt, publishedButFailed, undefinedIfCorrupt } from "../src/errors.ts";
import { mapBounded } from "../src/parallel.ts";
import { tryJson } from "../src/text.ts";
import { Slices } from "../src/turns.ts";
import { VERSION } from "../src/version.ts";
import { isReadError, undefinedIfMissing } from "./diskerrors.ts";
import { formatBytes, indexText, parseGeneration, parseIndex, raiseFormat, readFormat } from "./generation.ts";
import { beginIngest, type IncomingBlob, ingest } from "./ingest.ts";
import { jsonBytes } from "./json.ts";
import { hasToBeginAnew, type Keeper, keeperOf } from "./keeper.ts";
import { blobKey, CATALOG, FORMAT, FORMAT_KEY, generationKey, generationNumber } from "./keys.ts";
import { type Listing, listingProblem, type Manifests, manifestProblem } from "./manifest.ts";
import { dependencies } from "./named.ts";
import { EMPTY_INDEX, indexAfter, isUnchanged, manifestsIn, sizesIn, sumsIn, talliesOf } from "./nextindex.ts";
import type { Quota } from "./quota.ts";
import { blobsOf } from "./reach.ts";
import { Runs } from "./runs.ts";
import { isAway } from "./s3errors.ts";
import { type StoreKey, seal } from "./sealed.ts";
import { Settings } from "./settings.ts";
import { type ReadEarlier, Snapshot } from "./snapshot.ts";
import { type CreateOptions, readObject, type Storage, type StoredObject, stageIsGone } from "./storage.ts";
import { openTrashed } from "./trash.ts";

const LISTING_INTERVAL = 1000;
/** the same where a listing is a request: a look for the next number is enough meanwhile */
const RELIST = 30_000;
/** commits at once where each is a request */
const PARALLEL = 16;
const MAX_ATTEMPTS = 1000;
const IMPORT_AGAIN = "import the file again that chp verify names";

/** What the last listing of the generations led to. */
interface Current {
  /** the newest generation that can be read */
  readonly snapshot: Snapshot;
  /** number of the newest generation, readable or not; 0: none */
  readonly newest: number;
  /** why that generation cannot be read: it is `corrupt` or `store-too-new` */
  readonly damage: Failure | undefined;
}

export class Store {
  readonly storage: Storage;
  readonly settings: Settings;
  /** how imports and verifications ended */
  readonly runs: Runs;
  /** The key that signs what is published, read when it is needed; undefined: none is set. */
  key: () => Promise<StoreKey | undefined> = async () => undefined;
  /** Bounds what is ingested and published; undefined: no bound. */
  quota: Quota | undefined;
  /** Replaced whole: a snapshot never goes with the number of another listing. */
  #current: Current;
  /** when the last listing of the generations began, by performance.now() */
  #listed = 0;
  #refreshing: Promise<void> | undefined;
  /** where a look is a request: when the last one began, by performance.now(), and one that runs */
  #looked = 0;
  #looking: Promise<Snapshot> | undefined;
  /** since when the storage is out of reach, in milliseconds since 1970, and why */
  #away: { readonly since: number; readonly why: Failure } | undefined;
  /** whether this turn of the event loop has checked that the snapshot is the newest */
  #fresh = false;
  /** whether the store exists in a format that this chp reads */
  #known = false;
  readonly #keeper: Keeper;

  private constructor(storage: Storage) {
    this.storage = storage;
    this.settings = new Settings(storage);
    this.runs = new Runs(storage);
    this.#keeper = keeperOf(storage);
    this.#current = { snapshot: new Snapshot(this, undefined, EMPTY_INDEX), newest: 0, damage: undefined };
  }

  /** Opens a store. Fails with `no-store` or `store-too-new`. */
  static async open(storage: Storage): Promise<Store> {
    const store = await Store.openOrAwait(storage);
    if (store.#known) return store;
    throw new Failure("no-store", `there is no store in ${storage.place}`, {
      next: "chp import FILE makes one; or name another with --store DIR",
    });
  }

  /** Opens a store that may not exist yet: it is empty until an import creates it. Writes nothing. */
  static async openOrAwait(storage: Storage): Promise<Store> {
    const store = new Store(storage);
    store.#known = (await readFormat(storage)) !== undefined;
    return store;
  }

  /** False until the store of `openOrAwait` is created. */
  get exists(): boolean {
    return this.#known;
  }

  /** Opens a store, and creates it first if it does not exist. */
  static async openOrCreate(storage: Storage & { prepare?(): Promise<void> }): Promise<Store> {
    if (!(await storage.open(FORMAT_KEY))) {
      await storage.prepare?.();
      await storage.create(FORMAT_KEY, formatBytes());
    }
    return Store.open(storage);
  }

  /**
   * The newest generation, as of this turn of the event loop: a request sees what was published before it came in, and
   * what this process published at once. Without a promise while nothing new is published.
   */
  snapshot(): Snapshot | Promise<Snapshot> {
    const { snapshot, newest } = this.#current;
    if (this.#fresh) return snapshot;
    if (this.storage.lag !== undefined) return this.#lagging(this.storage.lag);
    if (this.#listed === 0 || performance.now() - this.#listed >= LISTING_INTERVAL) return this.#refresh();
    const isNewest = this.#isNewest(newest);
    if (isNewest === false) return this.#refresh();
    if (isNewest !== true) return isNewest.then((is) => (is ? this.#current.snapshot : this.#refresh()));
    this.#fresh = true;
    setImmediate(() => (this.#fresh = false));
    return snapshot;
  }

  /** The newest generation as it was within the lag; what is known, where the storage is out of reach. */
  #lagging(lag: number): Snapshot | Promise<Snapshot> {
    const { snapshot } = this.#current;
    if (this.#listed !== 0 && performance.now() - this.#looked < lag) return snapshot;
    const look = this.#look();
    if (!this.#away || this.#listed === 0) return look;
    look.catch(() => {});
    return snapshot; // it came when the last look had failed: nobody waits for the next one
  }

  #look(): Promise<Snapshot> {
    if (!this.#looking) {
      const looking = this.#lookOnce().finally(() => {
        if (this.#looking === looking) this.#looking = undefined;
      });
      this.#looking = looking;
    }
    return this.#looking;
  }

  async #lookOnce(): Promise<Snapshot> {
    const began = performance.now();
    try {
      const isListed = this.#listed !== 0 && began - this.#listed < RELIST;
      if (!isListed || (await this.storage.has(generationKey(this.#current.newest + 1)))) await this.#list();
      this.#away = undefined;
    } catch (error) {
      if (!isAway(error) || this.#listed === 0) throw error;
      this.#away ??= { since: Date.now(), why: error };
    }
    this.#looked = Math.max(this.#looked, began);
    return this.#current.snapshot;
  }

  /** Whether a request may see an older generation than one that another process published before it came. */
  get lags(): boolean {
    return this.storage.lag !== undefined;
  }

  /** Whether a look that begins now finds a newer generation than `seen`; never where every request looks anyway. */
  async isBehind(seen: Snapshot): Promise<boolean> {
    if (this.storage.lag === undefined || this.#away) return false;
    await this.#looking; // it may have begun before
    return (await this.#look()).number > seen.number;
  }

  /** Since when the storage is out of reach, so that only what is in memory is served; undefined: it is not. */
  get away(): { readonly since: number; readonly why: Failure } | undefined {
    return this.#away;
  }

  /** gc removes a generation only after newer ones, of which it may have removed the next as well. */
  #isNewest(newest: number): boolean | Promise<boolean> {
    const next = this.storage.has(generationKey(newest + 1));
    const own = newest === 0 || this.storage.has(generationKey(newest));
    if (typeof next === "boolean" && typeof own === "boolean") return own && !next;
    return Promise.all([next, own]).then(([isNext, isOwn]) => isOwn && !isNext);
  }

  /** Lists the generations. Callers that come during a listing wait for it and check again: it may have begun before the last publish. */
  async #refresh(): Promise<Snapshot> {
    if (this.#refreshing) {
      await this.#refreshing;
      return this.snapshot();
    }
    this.#refreshing = this.#list().finally(() => (this.#refreshing = undefined));
    await this.#refreshing;
    return this.#current.snapshot;
  }

  async #list(): Promise<void> {
    const began = performance.now();
    const numbers = await this.generationNumbers();
    const { snapshot } = this.#current;
    if (!this.#known && numbers.length > 0) this.#known = (await readFormat(this.storage)) !== undefined;
    const found = await this.#newestReadable(numbers, snapshot);
    if (found.newest < this.#current.newest && this.storage.lag !== undefined) return; // another look was faster
    this.#current = found;
    this.#listed = began;
  }

  /**
   * Where the newest generation cannot be read or has a newer format, the one before it is served. Fails with `corrupt` or
   * `store-too-new` where none can be read.
   */
  async #newestReadable(numbers: readonly number[], served: Snapshot): Promise<Current> {
    const newest = numbers.at(-1) ?? 0;
    let damage: Failure | undefined;
    for (const number of numbers.toReversed()) {
      if (number === served.number) return { snapshot: served, newest, damage };
      try {
        const generation = await this.generation(number);
        if (generation) return { snapshot: new Snapshot(this, generation, await this.index(generation), served), newest, damage };
      } catch (error) {
        if (!isCorrupt(error) && !isNewer(error)) throw error;
        damage = isNewer(error) ? error : (damage ?? error);
        continue;
      }
      // Pruned since it was listed, which happens only after newer ones are published.
      const later = await this.generationNumbers();
      if ((later.at(-1) ?? 0) > newest) return this.#newestReadable(later, served);
    }
    if (damage) throw damage;
    return { snapshot: served, newest, damage };
  }

  /** Why an earlier generation is served instead of the newest; undefined: the newest is served. */
  get damage(): Failure | undefined {
    return this.#current.damage;
  }

  /**
   * `base` with every unreadable manifest replaced by the newest earlier version that is readable, so that an import can be
   * merged into it. `onRepair` is called for each replacement.
   */
  withRepairs(base: Snapshot, onRepair: (replaced: RepairedEntry) => void): Snapshot {
    const { generation, index } = base;
    if (!generation) return base;
    const readEarlier: ReadEarlier = async (section, name, digestOf) => {
      const since: string[] = [];
      for (const number of (await this.generationNumbers()).filter((known) => known <= generation.number).toReversed()) {
        const earlier = await undefinedIfCorrupt(this.generation(number));
        const named = earlier && (await undefinedIfCorrupt(this.index(earlier)));
        const digest = named && digestOf(named);
        const manifest = digest && (await undefinedIfCorrupt(this.manifest(section, digest)));
        if (manifest) {
          onRepair({ section, name, generation: number, since });
          return manifest;
        }
        if (earlier && isChangedBy(earlier, section, name)) since.unshift(...earlier.sources.map((source) => source.name));
      }
      onRepair({ section, name, generation: 0, since });
      return undefined;
    };
    return new Snapshot(this, generation, index, base, readEarlier);
  }

  /** The newest signed time of each key, as of `base`. Of one that an older version made, by the sources of the generations up to it. */
  async signedTimes({ number, generation }: Pick<Snapshot, "number" | "generation">): Promise<SignedTimes> {
    if (generation === undefined) return {};
    if (generation.signed) return generation.signed;
    const times: SignedTimes[] = [];
    for (const earlier of (await this.generationNumbers()).filter((known) => known <= number)) {
      const found = await undefinedIfCorrupt(this.generation(earlier));
      if (found) times.push(found.signed ?? {}, signedTimes(found.sources, Date.parse(found.time)));
    }
    return newestOf(...times);
  }

  /** Makes the next `snapshot` list the generations. */
  #expire(): void {
    this.#listed = 0;
    this.#fresh = false;
    this.#looking = undefined;
  }

  /** An earlier generation; 0 is the empty store before the first. Undefined: it was pruned, or never existed. */
  async snapshotAt(number: number): Promise<Snapshot | undefined> {
    if (number === 0) return (await this.generation(1)) && new Snapshot(this, undefined, EMPTY_INDEX);
    const generation = await this.generation(number);
    return generation && new Snapshot(this, generation, await this.index(generation));
  }

  /** Numbers of the stored generations, oldest first. */
  async generationNumbers(): Promise<number[]> {
    const keys = await this.storage.list(CATALOG);
    return keys.flatMap((key) => generationNumber(key) ?? []).toSorted((a, b) => a - b);
  }

  async generation(number: number): Promise<Generation | undefined> {
    const object = await this.storage.open(generationKey(number));
    if (!object) return undefined;
    const bytes = await undefinedIfMissing(readObject(object, `generation ${number} in ${this.storage.place}`)); // gc may have pruned it since
    return bytes && parseGeneration(number, bytes, this.storage);
  }

  /** Every generation that can be read, oldest first. */
  async history(): Promise<Generation[]> {
    const read = (await this.generationNumbers()).map((number) =>
      this.generation(number).catch((error: unknown) => {
        if (!isCorrupt(error) && !isNewer(error)) throw error;
        return undefined;
      }),
    );
    return (await Promise.all(read)).filter((generation) => generation !== undefined);
  }

  /** Which manifests a generation names. Fails with `corrupt`. */
  async index(generation: Generation): Promise<Index> {
    return parseIndex(generation, await this.#json(generation.index), this.storage);
  }

  /** The manifest or list of assertions with this digest. Fails with `corrupt`; the cause says what is wrong with the blob. */
  async manifest<S extends keyof Manifests>(section: S, digest: Digest): Promise<Manifests[S]> {
    const value = await this.#json(digest);
    const problem = manifestProblem(section, value);
    if (problem !== undefined) throw this.#malformed(digest, problem);
    return value as Manifests[S];
  }

  /** What a manifest of a section that this chp does not know names, by the `blobs` that each has. Fails with `corrupt`. */
  async listed(digest: Digest): Promise<Listing["blobs"]> {
    const value = await this.#json(digest);
    const problem = listingProblem(value);
    if (problem !== undefined) throw this.#malformed(digest, problem);
    return (value as Listing).blobs;
  }

  /** Undefined: the blob is missing. */
  async blob(digest: Digest): Promise<StoredObject | undefined> {
    const object = await this.storage.open(blobKey(digest));
    return object ?? (this.storage.prepareRemoval ? undefined : openTrashed(this.storage, digest));
  }

  has(digest: Digest): boolean | Promise<boolean> {
    return this.storage.has(blobKey(digest));
  }

  /** The text of a blob, its content checked against the digest. Fails with `corrupt`, with `next` as the next step. */
  async text(digest: Digest, next = "import the file again that contained it"): Promise<string> {
    const read = async () => {
      const object = await this.blob(digest);
      return object && readObject(object, `blob ${digest} in ${this.storage.place}`);
    };
    const bytes = await read().catch(read); // gc may have moved it to the trash since it was opened
    if (bytes && sumsOf(bytes)["sha-256"] === digest) return new TextDecoder().decode(bytes);
    const what = bytes ? "content does not match its checksum" : "is missing";
    throw new Failure("corrupt", `blob ${digest} in ${this.storage.place} ${what}`, { next });
  }

  async #json(digest: Digest): Promise<unknown> {
    const value = tryJson(await this.text(digest, `${IMPORT_AGAIN}, or put that file back from a copy of the store`));
    if (value === undefined) throw this.#malformed(digest, "is not JSON");
    return value;
  }

  #malformed(digest: Digest, problem: string): Failure {
    return new Failure("corrupt", `blob ${digest} in ${this.storage.place} ${problem}`, { next: IMPORT_AGAIN, cause: new Error(problem) });
  }

  /** The digest under which a manifest is stored. */
  digestOf(manifest: Sections[SectionName] | readonly StoredAssertion[]): Digest {
    return sumsOf(jsonBytes(manifest))["sha-256"];
  }

  /** Runs `work` under a lease (lease.ts): what it stages and reads stays until it ends. Nested and concurrent calls share one. */
  leased<T>(work: () => Promise<T>): Promise<T> {
    return this.#keeper.during(work);
  }

  /** Of work that runs in `leased`; undefined: none does, or the storage needs no leases. */
  get leaseId(): string | undefined {
    return this.#keeper.lease;
  }

  /** What a timer does. */
  renewLease(): Promise<void> {
    return this.#keeper.renew();
  }

  /** Begins a blob that comes in by and by, in work of `leased`. `quota`: in place of the store's own. */
  begin(quota = this.quota): Promise<IncomingBlob> {
    return beginIngest(this.storage, { also: [], lease: this.#keeper.lease, quota });
  }

  /** Stages a stream and hashes it on the way; `also`: digests besides sha256; `size`: its bytes, as far as known. */
  ingest(chunks: AsyncIterable<Uint8Array>, also: readonly Algorithm[] = [], size?: number): Promise<StagedBlob> {
    return ingest(this.storage, chunks, { also, lease: this.#keeper.lease, quota: this.quota, size });
  }

  ingestBytes(bytes: Uint8Array, also: readonly Algorithm[] = []): Promise<StagedBlob> {
    const { byteLength: size } = bytes;
    return ingest(this.storage, bytes, { also, lease: this.#keeper.lease, quota: this.quota, size });
  }

  /**
   * Publishes one generation. `draft` is called with the newest snapshot, and called again with a newer one if another
   * process published in between, so that both changes take effect. A draft that changes no package creates no generation;
   * its blobs are stored all the same, which repairs missing ones. `result` is that of the published draft. Fails with
   * `conflict` for an exclusive draft, or after `MAX_ATTEMPTS`.
   */
  publish<T>(time: string, draft: (base: Snapshot) => Promise<Drafted<T>>): Promise<Published<T>> {
    return this.leased(() => this.#publish(time, draft));
  }

  /**
   * Creates a generation as another store has it, in work of `leased`. `digests`: all that it names; `newest`: the number of that before it here.
   * `again`: something of it may have been deleted meanwhile, and is to be stored first. Fails with `conflict` where another was published.
   */
  async adopt(number: number, bytes: Uint8Array, digests: readonly Digest[], newest: number): Promise<"done" | "again"> {
    if (await this.#keeper.save(digests)) return "again";
    const { lease } = this.#keeper;
    let isGone = false;
    const lastLook = async () => {
      isGone = (await this.#keeper.lastLook(digests, newest)).size > 0;
      if (isGone) throw stageIsGone(this.storage.place);
    };
    try {
      const outcome = await this.#create(number, bytes, { ...(lease && { lease }), lastLook });
      if (outcome === "begin anew") return "again";
      if (!outcome) throw cameBetween(number);
    } catch (error) {
      if (isGone) return "again";
      throw error;
    }
    this.#expire();
    await this.#keeper.created(digests);
    return "done";
  }

  async #publish<T>(time: string, draft: (base: Snapshot) => Promise<Drafted<T>>): Promise<Published<T>> {
    let first: number | undefined;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      this.#expire();
      await this.snapshot();
      await this.#checkWritable();
      // A reader of this process may replace #current while the draft is made: the number has to follow this base.
      const { snapshot: base, newest, damage } = this.#current;
      first ??= base.number;
      if (isReadError(damage)) throw damage; // it may be whole: what it has is not to be published over
      const { draft: change, result } = await draft(base);
      const sizes = sizesIn(change);
      if (this.quota) await this.quota.check(sumsIn(change));
      const slices = new Slices();
      await mapBounded(change.blobs, this.storage.lag === undefined ? 1 : PARALLEL, async (blob) => {
        await slices.step();
        const { "sha-256": digest } = blob.sums;
        return blob.commit({ size: sizes.get(digest), what: `blob ${digest}` });
      });
      const known = await this.signedTimes(base);
      const signed = newestOf(known, change.signed ?? {});
      const isSignedLater = Object.entries(signed).some(([key, at]) => known[key] !== at);
      if (isUnchanged(change) && !isSignedLater) return { generation: undefined, result };
      const number = Math.max(base.number, newest) + 1;
      const index = await indexAfter(base.index, change, (manifest) => this.#put(manifest));
      const { command, sources, required = [], assertions } = change;
      const record = {
        format: FORMAT,
        number,
        parent: base.number,
        ...(base.generation && { parentDigest: base.generation.sha256 }),
        time,
        tool: `chp ${VERSION}`,
        command,
        sources,
        ...talliesOf(change),
        assertions: assertions?.added ?? 0,
        signed,
        index: await this.#put(indexText(index)),
      };
      const bytes = seal(record, await this.key());
      const named = dependencies(record.index, index, change);
      const brought = [record.index, ...change.blobs.map((blob) => blob.sums["sha-256"]), ...manifestsIn(index, change)];
      const all = [...new Set([...named, ...brought])];
      if (change.exclusive && first !== base.number) throw cameBetween(base.number);
      if (await this.#keeper.save(all)) {
        for (const blob of change.blobs) blob.mayBeGone();
        continue;
      }
      const lastLook = async () => {
        const missing = await this.#keeper.lastLook(all, number - 1);
        if (brought.some((digest) => missing.has(digest))) throw stageIsGone(this.storage.place);
        const gone = required.find((digest) => missing.has(digest));
        if (gone) throw deletedMeanwhile(gone);
        await this.#checkNamed(named.filter((digest) => missing.has(digest)));
        await this.quota?.check([]);
      };
      const { lease } = this.#keeper;
      await raiseFormat(this.storage); // durable before the link
      const outcome = await this.#create(number, bytes, { ...(lease && { lease }), needs: required.map(blobKey), lastLook });
      if (outcome === "begin anew") continue;
      if (outcome) {
        this.#expire();
        await this.#keeper.created(named).catch((error: unknown) => {
          throw publishedButFailed(number, error);
        });
        return { generation: parseGeneration(number, bytes, this.storage), result };
      }
      if (change.exclusive) throw cameBetween(number);
    }
    throw new Failure("conflict", `cannot publish: ${MAX_ATTEMPTS} other generations came in between`);
  }

  /**
   * Of blobs that are missing: fails where one is not damage of a generation that is there, but was deleted since the generation was pruned that
   * named it. Under a lease no gc does that.
   */
  async #checkNamed(missing: readonly Digest[]): Promise<void> {
    if (missing.length === 0 || !this.storage.prepareRemoval) return;
    const seen = new Set<Digest>();
    for (const generation of await this.history())
      for await (const _ of blobsOf(this, generation, { seen, unreadable: () => {} })) continue;
    const gone = missing.find((digest) => !seen.has(digest));
    if (gone !== undefined) throw deletedMeanwhile(gone);
  }

  /** Fails with `store-too-new`: what a newer chp wrote is neither merged with nor numbered past. */
  async #checkWritable(): Promise<void> {
    await readFormat(this.storage);
    const { damage } = this.#current;
    if (damage && isNewer(damage)) throw damage;
  }

  async #create(number: number, bytes: Uint8Array, how: CreateOptions): Promise<boolean | "begin anew"> {
    try {
      return await this.storage.create(generationKey(number), bytes, how);
    } catch (error) {
      if (hasToBeginAnew(error)) return "begin anew";
      if (!(error instanceof Failure && error.kind === "published")) throw error;
      this.#expire();
      throw publishedButFailed(number, error);
    }
  }

  async #put(value: unknown): Promise<Digest> {
    const blob = await this.ingestBytes(jsonBytes(value));
    try {
      await blob.commit();
    } finally {
      await blob.discard();
    }
    return blob.sums["sha-256"];
  }
}

function deletedMeanwhile(digest: Digest): Failure {
  return new Failure("failed", `blob ${digest} was deleted meanwhile by chp gc`, {
    next: "run the same command again; nothing was published",
  });
}

function cameBetween(number: number): Failure {
  return new Failure("conflict", `generation ${number} came in between, so nothing was changed`, {
    next: "look at what it did with chp log, and run the command again",
  });
}

function isNewer(error: unknown): error is Failure {
  return error instanceof Failure && error.kind === "store-too-new";
}

function isChangedBy(generation: Generation, section: RepairedEntry["section"], name: string): boolean {
  if (section === "assertions") return generation.assertions > 0;
  return Object.hasOwn(generation[SECTIONS[section].tally] ?? {}, name);
}
