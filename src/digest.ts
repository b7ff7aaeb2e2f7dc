import { createHash, type Hash } from "node:crypto";

/** A sha256 in 64 lower-case hex digits: the name of a blob. */
export type Digest = string & { readonly __digest: unique symbol };

/** Digest algorithms, as the replies of the stores name them: `hash-sha-256`. */
export type Algorithm = "sha-256" | "sha-384" | "sha-512" | "sha3-384";

const NODE_NAMES: Record<Algorithm, string> = { "sha-256": "sha256", "sha-384": "sha384", "sha-512": "sha512", "sha3-384": "sha3-384" };

export const ALGORITHMS = Object.keys(NODE_NAMES) as readonly Algorithm[];

/** Size in bytes and the requested digests of some bytes, in lower-case hex; sha-256 is always there. */
export interface Sums extends Partial<Record<Algorithm, string>> {
  readonly size: number;
  readonly "sha-256": Digest;
}

export function isDigest(text: string): text is Digest {
  return /^[0-9a-f]{64}$/.test(text);
}

/** `sha256:…`, as registries and images write a digest. */
export function digestText(digest: Digest): string {
  return `sha256:${digest}`;
}

/** `sha256:3fa9c2d1e0b4…`, for people who compare it with another. */
export function shortDigest(digest: Digest): string {
  return `sha256:${digest.slice(0, 12)}…`;
}

/** The digest that `sha256:…` names; undefined: it names none, or is of another algorithm. */
export function parseDigestText(text: string): Digest | undefined {
  const hex = text.startsWith("sha256:") ? text.slice("sha256:".length) : "";
  return isDigest(hex) ? hex : undefined;
}

/** Size and digests of a stream, wherever they are computed. */
export interface StreamSums {
  /** bytes so far */
  readonly size: number;
  /** Takes the next bytes, which may be reused once the result has resolved; undefined: at once. */
  update(chunk: Uint8Array): Promise<void> | undefined;
  /** Of all bytes; once, after the last update. */
  sums(): Sums | Promise<Sums>;
  /** To be called where the stream ends early: nothing goes on for it afterwards. */
  discard(): void;
}

/** Begins the digests of a stream. `also`: what to compute besides sha-256; `size`: how many bytes it will have, as far as known. */
export type BeginSums = (also?: readonly Algorithm[], size?: number) => StreamSums;

/** Begins them in this thread. */
export const sumsHere: BeginSums = (also) => new Summer(also);

/** Digests of bytes that come in by and by, in this thread. */
export class Hasher {
  #size = 0;
  readonly #hashes: Map<Algorithm, Hash>;

  constructor(algorithms: readonly Algorithm[]) {
    this.#hashes = new Map([...new Set(algorithms)].map((algorithm) => [algorithm, createHash(NODE_NAMES[algorithm])]));
  }

  update(chunk: Uint8Array): undefined {
    this.#size += chunk.byteLength;
    for (const hash of this.#hashes.values()) hash.update(chunk);
  }

  get size(): number {
    return this.#size;
  }

  /** In lower-case hex; once, after the last update. */
  digests(): Partial<Record<Algorithm, string>> {
    const digests = Object.fromEntries([...this.#hashes].map(([algorithm, hash]) => [algorithm, hash.digest("hex")]));
    this.discard();
    return digests;
  }

  /** Gives its memory up, which no collector counts. */
  discard(): void {
    this.#hashes.clear();
  }
}

/** Computes size and digests of a stream in one pass over its bytes, in this thread. */
export class Summer extends Hasher implements StreamSums {
  /** `also`: what to compute besides sha-256. */
  constructor(also: readonly Algorithm[] = []) {
    super(["sha-256", ...also]);
  }

  sums(): Sums {
    return { size: this.size, ...(this.digests() as { "sha-256": Digest }) };
  }
}

/** Size and digests of bytes in memory. `also`: what to compute besides sha-256. */
export function sumsOf(bytes: Uint8Array, also: readonly Algorithm[] = []): Sums {
  const summer = new Summer(also);
  summer.update(bytes);
  return summer.sums();
}
