/** JSON texts that are built once: the same for every request but for the address of this server. */

/** Stands for this server's public URL while a text is built; nobody can import it. */
export const ORIGIN = `origin:${crypto.randomUUID()}`;

/** A JSON text with a hole wherever the public URL belongs. */
export class Template {
  readonly #parts: readonly string[];

  constructor(value: unknown) {
    this.#parts = JSON.stringify(value).split(ORIGIN);
  }

  /** `origin`: the public URL, without a trailing slash. */
  render(origin: string): string {
    return this.#parts.join(origin);
  }

  /** characters, about a byte each */
  get size(): number {
    return this.#parts.reduce((sum, part) => sum + part.length, 0);
  }
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

  /** The template of `owner` (an immutable object) and `key`; `build` is asked where it is not kept. */
  get(owner: object, key: string, build: () => Promise<Template>): Template | Promise<Template> {
    const name = `${this.#serialOf(owner)} ${key}`;
    const found = this.#kept.get(name);
    if (!found) return build().then((template) => this.#put(name, template));
    this.#kept.delete(name);
    this.#kept.set(name, found);
    return found;
  }

  #put(name: string, template: Template): Template {
    this.#size += template.size - (this.#kept.get(name)?.size ?? 0);
    this.#kept.set(name, template);
    for (const [oldest, { size }] of this.#kept) {
      if (this.#size <= this.#limit) break;
      this.#kept.delete(oldest);
      this.#size -= size;
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
