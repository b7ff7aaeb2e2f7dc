/** JSON texts that are built once: the same for every request but for the address of this server. */

/** Stands for this server's public URL while a text is built; nobody can import it. */
export const ORIGIN = `origin:${crypto.randomUUID()}`;

/** A JSON text with a hole wherever the public URL belongs. */
export class Template {
  readonly #parts: readonly string[];
  #rendered: { readonly origin: string; readonly bytes: Uint8Array<ArrayBuffer> } | undefined;

  constructor(value: unknown) {
    this.#parts = JSON.stringify(value).split(ORIGIN);
  }

  /** The text in UTF-8. `origin`: the public URL, without a trailing slash; nearly all clients use the same. */
  render(origin: string): Uint8Array<ArrayBuffer> {
    if (this.#rendered?.origin !== origin) this.#rendered = { origin, bytes: Buffer.from(this.#parts.join(origin)) };
    return this.#rendered.bytes;
  }

  /** bytes, about: the text and what was rendered last */
  get size(): number {
    return 2 * this.#parts.reduce((sum, part) => sum + part.length, 0);
  }
}

/** JSON put together from texts and rendered templates. */
export function concatJson(parts: readonly (string | Uint8Array)[]): Uint8Array<ArrayBuffer> {
  return Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : part)));
}

/** Keeps the most recently used templates within a number of bytes. */
export class TemplateCache {
  readonly #limit: number;
  readonly #kept = new Map<string, Template>();
  readonly #serials = new WeakMap<object, number>();
  #serial = 0;
  #size = 0;

  constructor(limit = 64 * 2 ** 20) {
    this.#limit = limit;
  }

  /** The template of `owner` (an immutable object) and `key`; `build` is asked where it is not kept. Nothing is not kept. */
  get<T extends Template | undefined>(owner: object, key: string, build: () => Promise<T>): T | Template | Promise<T | Template> {
    const name = `${this.#serialOf(owner)} ${key}`;
    const found = this.#kept.get(name);
    if (!found) return build().then((template) => (template ? this.#put(name, template) : template));
    this.#kept.delete(name);
    this.#kept.set(name, found);
    return found;
  }

  #put(name: string, template: Template): Template {
    // Names count too: a client can make them up.
    if (!this.#kept.has(name)) this.#size += template.size + name.length;
    this.#kept.set(name, template);
    for (const [oldest, { size }] of this.#kept) {
      if (this.#size <= this.#limit) break;
      this.#kept.delete(oldest);
      this.#size -= size + oldest.length;
    }
    return template;
  }

  #serialOf(owner: object): number {
    const known = this.#serials.get(owner);
    if (known !== undefined) return known;
    this.#serial += 1;
    this.#serials.set(owner, this.#serial);
    return this.#serial;
  }
}
