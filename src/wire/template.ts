/** JSON texts that are built once: only the address of this server differs between requests. */

import { ByteCache, type CacheUse } from "../cache.ts";

/** Stands for this server's public URL while a text is built; nobody can import it. */
export const ORIGIN = `origin:${crypto.randomUUID()}`;

/** A part of a reply. */
export interface Piece {
  readonly text: string;
  /** bytes */
  readonly size: number;
}

export function pieceOf(text: string): Piece {
  return { text, size: Buffer.byteLength(text) };
}

/** A JSON text with a hole wherever the public URL belongs. */
export class Template {
  readonly #parts: readonly string[];
  #rendered: { readonly origin: string; readonly piece: Piece } | undefined;

  constructor(value: unknown) {
    this.#parts = JSON.stringify(value).split(ORIGIN);
  }

  /** `origin`: the public URL, without a trailing slash; nearly all clients use the same. */
  render(origin: string): string {
    return this.piece(origin).text;
  }

  piece(origin: string): Piece {
    if (this.#rendered?.origin !== origin) this.#rendered = { origin, piece: pieceOf(this.#parts.join(origin)) };
    return this.#rendered.piece;
  }

  /** bytes, about: the text and what was rendered last */
  get size(): number {
    return 2 * this.#parts.reduce((sum, part) => sum + part.length, 0);
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
