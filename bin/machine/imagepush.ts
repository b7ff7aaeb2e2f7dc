/**
 * Images that clients push into the store of a server. Uploads are staged under its lease; a whole blob is committed at once, which keeps it
 * from gc for a day, and waits for its manifest. What a killed server leaves ends with its lease.
 */

import type { ImagePush, ImageUpload, PushEnd, PushedManifest } from "../../handlers/call.ts";
import { MAX_IMAGE_MANIFEST } from "../../src/archives/imagemanifest.ts";
import { type Digest, digestText } from "../../src/digest.ts";
import { Failure } from "../../src/errors.ts";
import { mergePushed, readPushed } from "../../src/import/imagepush.ts";
import { STORE_QUOTA } from "../../src/settings/config.ts";
import type { Token } from "../../src/settings/token.ts";
import type { IncomingBlob } from "../../store/ingest.ts";
import { endLeases } from "../../store/lease.ts";
import { Quota } from "../../store/quota.ts";
import type { Store } from "../../store/store.ts";
import { Turns, writingInto } from "./serverwrites.ts";

/** uploads of one token at once */
const MAX_UPLOADS = 32;
/** blobs that wait for a manifest, of all tokens */
const MAX_WAITING = 50_000;
/** milliseconds without a byte after which an upload ends */
const UPLOAD_LIFE = 60 * 60 * 1000;
/** milliseconds that a blob waits for its manifest, well within the day for which gc leaves it alone */
const WAITING_LIFE = 12 * 60 * 60 * 1000;
const SWEEP_INTERVAL = 60_000;

/** Bytes. */
export interface PushLimits {
  /** of one blob */
  readonly maxSize: number;
  /** of all blobs of the store; undefined: no bound */
  readonly quota: number | undefined;
}

export interface PushDeps {
  readonly tokens: () => Promise<readonly Token[]>;
  readonly limits: () => Promise<PushLimits>;
  /** milliseconds since 1970 */
  readonly now?: () => number;
}

/** Reads them out of the settings of a store. */
export function limitsIn(settings: ReadonlyMap<string, { readonly values: readonly string[] }>): PushLimits {
  const quota = settings.get(STORE_QUOTA)?.values[0];
  return { maxSize: Number(settings.get("registry.push.max-size")?.values[0]), quota: quota === undefined ? undefined : Number(quota) };
}

interface OpenUpload extends ImageUpload {
  readonly name: string;
  readonly by: string;
  isBusy: boolean;
  /** time of its last request */
  used: number;
}

export class StorePush implements ImagePush {
  readonly maxManifest = MAX_IMAGE_MANIFEST;
  readonly tokens: () => Promise<readonly Token[]>;
  readonly #store: Store;
  readonly #limits: PushDeps["limits"];
  readonly #now: () => number;
  readonly #uploads = new Map<string, OpenUpload>();
  /** by the names of repositories */
  readonly #waiting = new Map<string, Map<Digest, { readonly size: number; readonly until: number }>>();
  /** uploads of each token, those that just begin included */
  readonly #counts = new Map<string, number>();
  /** bytes of all open uploads */
  #staged = 0;
  /** blobs are measured and committed one by one: two at once could exceed the quota together */
  readonly #turns = new Turns();
  readonly #sweeper: ReturnType<typeof setInterval>;

  constructor(store: Store, { tokens, limits, now = Date.now }: PushDeps) {
    this.#store = store;
    this.tokens = tokens;
    this.#limits = limits;
    this.#now = now;
    this.#sweeper = setInterval(() => void this.sweep().catch(() => {}), SWEEP_INTERVAL);
    this.#sweeper.unref();
  }

  async begin(name: string, by: string): Promise<string> {
    const count = this.#counts.get(by) ?? 0;
    if (count >= MAX_UPLOADS) throw new Failure("too-many", `the token ${by} has ${MAX_UPLOADS} uploads open already`);
    this.#counts.set(by, count + 1);
    try {
      if (this.#uploads.size === 0) await writingInto(this.#store, async () => void (await endLeases(this.#store.storage)));
      const { maxSize, quota: bytes } = await this.#limits();
      const quota = bytes === undefined ? undefined : await Quota.of(this.#store.storage, bytes);
      const { incoming, release } = await writingInto(this.#store, () => this.#stage(quota));
      const id = crypto.randomUUID();
      this.#uploads.set(id, this.#uploadOf({ id, name, by, maxSize, quota, incoming, release }));
      return id;
    } catch (error) {
      this.#count(by, -1);
      throw error;
    }
  }

  /** A stage, under a lease until `release` is called. */
  #stage(quota: Quota | undefined): Promise<{ readonly incoming: IncomingBlob; readonly release: () => void }> {
    return new Promise((resolve, reject) => {
      this.#store
        .leased(async () => {
          const incoming = await this.#store.begin(quota);
          await new Promise<void>((release) => resolve({ incoming, release }));
        })
        .catch(reject);
    });
  }

  #uploadOf({
    id,
    name,
    by,
    maxSize,
    quota,
    incoming,
    release,
  }: {
    readonly id: string;
    readonly name: string;
    readonly by: string;
    readonly maxSize: number;
    readonly quota: Quota | undefined;
    readonly incoming: IncomingBlob;
    readonly release: () => void;
  }): OpenUpload {
    const over = () => {
      if (!this.#uploads.delete(id)) return;
      this.#count(by, -1);
      this.#staged -= upload.size;
      release();
    };
    const upload = {
      name,
      by,
      isBusy: false,
      used: this.#now(),
      size: 0,
      write: async (chunk: Uint8Array) => {
        try {
          if (upload.size + chunk.byteLength > maxSize)
            throw new Failure(
              "too-large",
              `a blob that is pushed may have ${maxSize} bytes: chp config registry.push.max-size=SIZE allows more`,
            );
          upload.size += chunk.byteLength;
          this.#staged += chunk.byteLength;
          quota?.writing(this.#staged);
          await incoming.write(chunk);
        } catch (error) {
          await upload.cancel();
          throw error;
        }
      },
      end: async (digest: Digest) => {
        try {
          const blob = await incoming.end();
          const isRight = blob.sums["sha-256"] === digest;
          if (isRight) {
            await this.#turns.take(async () => {
              await quota?.check([blob.sums]);
              await blob.commit();
            });
            this.mount(name, digest, blob.sums.size);
          }
          await blob.discard();
          return isRight;
        } finally {
          await upload.cancel();
        }
      },
      cancel: async () => {
        try {
          await incoming.discard();
        } finally {
          over(); // what could not be deleted ends with the lease
        }
      },
    };
    return upload;
  }

  use<T>(id: string, name: string, by: string, work: (upload: ImageUpload) => Promise<T>): Promise<T> | undefined {
    const upload = this.#uploads.get(id);
    if (!upload || upload.name !== name || upload.by !== by) return undefined;
    if (upload.isBusy) throw new Failure("too-many", "another request has this upload");
    upload.isBusy = true;
    return work(upload).finally(() => {
      upload.isBusy = false;
      upload.used = this.#now();
    });
  }

  waiting(name: string, digest: Digest): number | undefined {
    return this.#waiting.get(name)?.get(digest)?.size;
  }

  mount(name: string, digest: Digest, size: number): void {
    const all = [...this.#waiting.values()].reduce((sum, { size: some }) => sum + some, 0);
    if (all >= MAX_WAITING) throw new Failure("too-many", `${all} blobs wait for their manifests already`);
    const blobs = this.#waiting.get(name) ?? new Map();
    this.#waiting.set(name, blobs.set(digest, { size, until: this.#now() + WAITING_LIFE }));
  }

  async publish({ name, tag, mediaType, bytes }: PushedManifest, by: string): Promise<PushEnd> {
    const manifest = readPushed(bytes, mediaType);
    const { digest, subject } = manifest;
    const store = this.#store;
    const { quota: bound } = await this.#limits();
    const parts = {
      uploaded: (named: Digest) => this.waiting(name, named),
      has: async (named: Digest) => (await store.blob(named)) !== undefined,
    };
    const published = await writingInto(store, () =>
      store.leased(async () => {
        const staged = await store.ingestBytes(bytes);
        try {
          if (bound !== undefined) await (await Quota.of(store.storage, bound)).check([staged.sums]);
          const command = `push ${name}${tag === undefined ? `@${digestText(digest)}` : `:${tag}`} by token ${by}`;
          return await store.publish(new Date(this.#now()).toISOString(), async (base) => {
            const merged = await mergePushed(manifest, { name, tag }, base, parts);
            const change = { command, sources: [] };
            if ("missing" in merged) return { draft: { ...change, sections: {}, blobs: [] }, result: merged.missing };
            const { draft: images, required } = merged;
            return { draft: { ...change, sections: { images }, blobs: [staged], required }, result: undefined };
          });
        } finally {
          await staged.discard();
        }
      }),
    );
    if (published.result !== undefined) return { missing: published.result };
    for (const blob of manifest.blobs) this.#named(name, blob.digest);
    return { digest, ...(subject !== undefined && { subject }), generation: published.generation?.number };
  }

  /** A manifest of the repository names it now. */
  #named(name: string, digest: Digest): void {
    const blobs = this.#waiting.get(name);
    blobs?.delete(digest);
    if (blobs?.size === 0) this.#waiting.delete(name);
  }

  /** Ends uploads that nobody writes any more, and forgets blobs whose manifest did not come: gc frees them. */
  async sweep(): Promise<void> {
    const now = this.#now();
    for (const [name, blobs] of this.#waiting) for (const [digest, { until }] of blobs) if (until <= now) this.#named(name, digest);
    for (const upload of this.#uploads.values()) if (!upload.isBusy && upload.used + UPLOAD_LIFE <= now) await upload.cancel();
  }

  /** Ends all uploads. */
  async close(): Promise<void> {
    clearInterval(this.#sweeper);
    for (const upload of this.#uploads.values()) await upload.cancel();
  }

  #count(by: string, change: number): void {
    const count = (this.#counts.get(by) ?? 0) + change;
    if (count > 0) this.#counts.set(by, count);
    else this.#counts.delete(by);
  }
}
