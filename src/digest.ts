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

/** Computes size and digests of a stream in one pass over its bytes. */
export class Summer {
  #size = 0;
  readonly #hashes: Map<Algorithm, Hash>;

  /** `also`: what to compute besides sha-256. */
  constructor(also: readonly Algorithm[] = []) {
    this.#hashes = new Map(
      [...new Set<Algorithm>(["sha-256", ...also])].map((algorithm) => [algorithm, createHash(NODE_NAMES[algorithm])]),
    );
  }

  update(chunk: Uint8Array): void {
    this.#size += chunk.byteLength;
    for (const hash of this.#hashes.values()) hash.update(chunk);
  }

  get size(): number {
    return this.#size;
  }

  /** Size and digests of all bytes; call once, after the last update. */
  sums(): Sums {
    const digests = Object.fromEntries([...this.#hashes].map(([algorithm, hash]) => [algorithm, hash.digest("hex")]));
    return { size: this.#size, ...(digests as { "sha-256": Digest }) };
  }
}

/** Size and digests of bytes in memory. `also`: what to compute besides sha-256. */
export function sumsOf(bytes: Uint8Array, also: readonly Algorithm[] = []): Sums {
  const summer = new Summer(also);
  summer.update(bytes);
  return summer.sums();
}
