/** JSON texts that are built once: only the address of this server differs between requests. */

import { ByteCache, type CacheUse } from "../cache.ts";

/** Stands for this server's public URL while a text is built; nobody can import it. */
export const ORIGIN = `origin:${crypto.randomUUID()}`;

/** What is made for one reply is text; what is kept for many is bytes, so that nothing of it is encoded again. */
export type Part = string | Uint8Array<ArrayBuffer>;

/** An element of a reply: parts that follow each other. */
export interface Piece {
  readonly parts: readonly Part[];
  /** bytes */
  readonly size: number;
}

export function pieceOf(text: string): Piece {
  return { parts: [text], size: Buffer.byteLength(text) };
}

/** Elements of a JSON list, with commas between them. */
export function separated(elements: readonly Part[]): Part[] {
  return elements.flatMap((element, i) => (i === 0 ? [element] : [",", element]));
}

const ENCODER = new TextEncoder();
/** Bytes of the longest usual public URL, a Host with scheme and port. */
const LONG_ORIGIN = 270;

/** A JSON text with a hole wherever the public URL belongs: once it was asked for, as bytes with the URL that was asked for last. */
export class Template {
  /** bytes before each hole in the text without URLs */
  readonly #holes: readonly number[];
  /** bytes of the text without URLs */
  readonly #length: number;
  #kept: readonly string[] | { readonly origin: string; readonly bytes: Uint8Array<ArrayBuffer> };

  constructor(value: unknown) {
    const parts = JSON.stringify(value).split(ORIGIN);
    const ends: number[] = [];
    this.#length = parts.reduce((at, part) => {
      const end = at + Buffer.byteLength(part);
      ends.push(end);
      return end;
    }, 0);
    this.#holes = ends.slice(0, -1);
    this.#kept = parts;
  }

  /** UTF-8, which is shared. `origin`: the public URL, without a trailing slash; nearly all clients use the same. */
  bytes(origin: string): Uint8Array<ArrayBuffer> {
    if ("origin" in this.#kept && this.#kept.origin === origin) return this.#kept.bytes;
    const bytes = "origin" in this.#kept ? this.#moved(this.#kept, origin) : ENCODER.encode(this.#kept.join(origin));
    this.#kept = { origin, bytes };
    return bytes;
  }

  /** The same with another URL, since the text is not kept. */
  #moved(before: { readonly origin: string; readonly bytes: Uint8Array }, origin: string): Uint8Array<ArrayBuffer> {
    const [length, url] = [Buffer.byteLength(before.origin), ENCODER.encode(origin)];
    const bytes = new Uint8Array(this.#length + this.#holes.length * url.byteLength);
    let [from, to] = [0, 0];
    for (const [i, hole] of this.#holes.entries()) {
      const end = hole + i * length;
      bytes.set(before.bytes.subarray(from, end), to);
      to += end - from;
      bytes.set(url, to);
      to += url.byteLength;
      from = end + length;
    }
    bytes.set(before.bytes.subarray(from), to);
    return bytes;
  }

  /** bytes, about: with the longest URL, as it may be asked for later */
  get size(): number {
    return this.#length + LONG_ORIGIN * this.#holes.length;
  }
}

/** Templates by owner, the immutable object that they describe, and a key. */
export class TemplateCache {
  readonly #cache: ByteCache<Template>;
  readonly #building = new Map<string, Promise<Template>>();
  readonly #serials = new WeakMap<object, number>();
  #serial = 0;

  constructor(use?: CacheUse, limit = 64 * 2 ** 20) {
    this.#cache = new ByteCache(limit, use);
  }

  /** The template of `owner` and `key`; if it is not cached it is built, once for all requests that wait for it. */
  get(owner: object, key: string, build: () => Promise<Template>): Template | Promise<Template> {
    const name = `${this.#serialOf(owner)} ${key}`;
    return this.#cache.get(name) ?? this.#building.get(name) ?? this.#build(name, build);
  }

  #build(name: string, build: () => Promise<Template>): Promise<Template> {
    const building = build()
      .then((template) => {
        this.#cache.set(name, template, template.size);
        return template;
      })
      .finally(() => this.#building.delete(name));
    this.#building.set(name, building);
    return building;
  }

  #serialOf(owner: object): number {
    const known = this.#serials.get(owner);
    if (known !== undefined) return known;
    this.#serial += 1;
    this.#serials.set(owner, this.#serial);
    return this.#serial;
  }
}
