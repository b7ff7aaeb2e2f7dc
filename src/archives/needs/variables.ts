/** The variables of a charm's Python files: which of them describe snaps by their names, and what they stand for. */

import { asArchitecture, asRevision, asRiskyChannel, asSnapName, isSame, type Literal, type SnapPin } from "./literals.ts";
import type { PythonClass, PythonSource } from "./pythonsource.ts";
import { MAX_ARCHITECTURES, MAX_CLASSES, MAX_DEFINITIONS, MAX_DEPTH, MAX_ITEMS, MAX_STEPS } from "./sourcefiles.ts";

/** `SNAPS`, `SNAP_PACKAGES`, `VAULT_SNAP_REVISION`, `_grafana_agent_snaps`; what comes before it distinguishes several snaps. */
export const SNAP_VARIABLE = /^(?:(.*?)_)?snaps?(?:[_-](?:packages?|revisions?|revs?|versions?|maps?|list|specs?|pins?|info))?$/i;
const SNAP_NAME_VARIABLE = /^(?:(.*?)_)?snap(?:_name)?$/i;
const SNAP_CHANNEL_VARIABLE = /^(?:(.*?)_)?snap_channel$/i;
const REVISION_VARIABLE = /(?:^|_)rev(?:ision)?s?$/i;
const MAX_VARIABLE = 200;

/** The part of a variable before `SNAP`, as names are compared: `_grafana_agent_snaps` → `GRAFANA_AGENT`. */
export function prefixOf(variable: string, pattern: RegExp): string | undefined {
  if (variable.length > MAX_VARIABLE) return undefined;
  const match = pattern.exec(variable.replace(/^_+/, ""));
  return match ? (match[1] ?? "").toUpperCase() : undefined;
}

/** Whether a variable holds revisions by its name: `VAULT_SNAP_REVISION`, `REVS`. */
export function namesRevision(variable: string): boolean {
  return REVISION_VARIABLE.test(variable.slice(-MAX_VARIABLE));
}

/** The names and channels that the variables of a file give, by the part of the variable before `SNAP`. */
interface Siblings {
  readonly names: Map<string, Set<string>>;
  readonly channels: Map<string, Set<string>>;
}

/** The only text of a set; undefined where it has none, or several. */
export function only(texts: ReadonlySet<string> | undefined): string | undefined {
  return texts?.size === 1 ? [...texts][0] : undefined;
}

/** A class, and the file that it is in. */
interface PlacedClass extends PythonClass {
  readonly path: string;
}

/** The variables of all Python files of one charm. Values are resolved only after the last file was added. */
export class Variables {
  /** by path */
  readonly files = new Map<string, PythonSource>();
  readonly #resolved = new Map<string, Literal>();
  /** constants of all files, for those that import them */
  readonly #constants = new Map<string, { readonly path: string; readonly value: Literal }[]>();
  readonly #siblings = new Map<string, Siblings>();
  /** by name; of several with one name each is taken for the other */
  readonly #classes = new Map<string, PlacedClass[]>();
  /** by the name of a class that they derive from */
  readonly #derived = new Map<string, PlacedClass[]>();
  /** defaults of the charm's options, by name */
  readonly #options: ReadonlyMap<string, Literal>;
  #steps = 0;

  /** `options`: the defaults of the charm's options, by name */
  constructor(options: ReadonlyMap<string, Literal> = new Map()) {
    this.#options = options;
  }

  add(path: string, file: PythonSource): void {
    this.files.set(path, file);
    for (const [name, values] of file.definitions)
      if (/^_*[A-Z][A-Z0-9_]*$/.test(name))
        for (const value of values) {
          const all = this.#constants.get(name) ?? [];
          if (all.length <= MAX_DEFINITIONS) all.push({ path, value });
          this.#constants.set(name, all);
        }
    for (const one of file.classes) {
      if (one.name === "") continue;
      const placed = { ...one, path };
      for (const [map, key] of [[this.#classes, one.name] as const, ...one.bases.map((base) => [this.#derived, base] as const)]) {
        const all = map.get(key) ?? [];
        if (all.length < MAX_CLASSES) all.push(placed);
        map.set(key, all);
      }
    }
  }

  /** The literal that a value stands for; undefined where there is none, or several. */
  resolve(value: Literal, path: string, depth = 0): Literal {
    this.#steps += 1;
    if (this.#steps > MAX_STEPS || depth > MAX_DEPTH) return undefined;
    if (typeof value === "object" && "option" in value) return this.#options.get(value.option);
    if (typeof value !== "object" || !("ref" in value)) return value;
    if (value.ref.length > MAX_VARIABLE) return undefined;
    const key = JSON.stringify([path, value.ref]);
    if (this.#resolved.has(key)) return this.#resolved.get(key);
    this.#resolved.set(key, undefined); // a name that stands for itself
    const own = this.files.get(path)?.definitions.get(value.ref);
    const all = own?.map((definition) => ({ path, value: definition })) ?? this.#constants.get(value.ref) ?? [];
    const [first, ...more] = all
      .slice(0, MAX_DEFINITIONS + 1)
      .map((definition) => this.resolve(definition.value, definition.path, depth + 1));
    const found = all.length <= MAX_DEFINITIONS && more.every((other) => isSame(other, first)) ? first : undefined;
    this.#resolved.set(key, found);
    return found;
  }

  /**
   * What a value may stand for: of a variable of loops any item of these, of an attribute what it is in each class that may have it;
   * of anything else its one value. `at`: the class that the value is read in
   */
  choices(value: Literal, path: string, at?: PythonClass): Literal[] {
    if (typeof value !== "object" || !("ref" in value)) return [this.resolve(value, path)];
    if (value.own && at) return this.#lineage(at, path).map((one) => this.#attribute(one, value.ref, 0));
    const own = this.files.get(path)?.definitions.get(value.ref) ?? [];
    const lists = own.map((one) => (typeof one === "object" && "each" in one ? this.resolve(one.each, path) : undefined));
    if (lists.length === 0 || !lists.every((list) => typeof list === "object" && "list" in list)) return [this.resolve(value, path)];
    const items = lists.flatMap((list) => (typeof list === "object" && "list" in list ? list.list.slice(0, MAX_ITEMS) : []));
    return items.map((item) => this.resolve(item, path));
  }

  /** A class and those that derive from it, whose objects run its methods. */
  #lineage(first: PythonClass, path: string): PlacedClass[] {
    const found: PlacedClass[] = [{ ...first, path }];
    const names = new Set([first.name]);
    for (let i = 0; i < found.length && found.length < MAX_CLASSES; i += 1)
      for (const derived of this.#derived.get(found[i]?.name ?? "") ?? []) {
        this.#steps += 1;
        if (names.has(derived.name)) continue;
        names.add(derived.name);
        found.push(derived);
      }
    return found;
  }

  /** The value that an attribute has in the objects of a class: its own, else that of what it derives from. */
  #attribute(of: PlacedClass, name: string, depth: number): Literal {
    if (depth > MAX_DEPTH) return undefined;
    const seen = new Set<string>();
    const left: PlacedClass[] = [of];
    for (let one = left.shift(); one; one = left.shift()) {
      const { path } = one;
      this.#steps += 1;
      if (seen.has(one.name) || seen.size >= MAX_CLASSES || this.#steps > MAX_STEPS) continue;
      seen.add(one.name);
      const [value, ...others] = one.attributes.get(name) ?? [];
      if (one.attributes.has(name)) {
        if (others.some((other) => !isSame(other, value))) return undefined;
        const isOwn = typeof value === "object" && "ref" in value && value.own;
        return isOwn ? this.#attribute(of, value.ref, depth + 1) : this.resolve(value, path, depth + 1);
      }
      left.push(...one.bases.flatMap((base) => this.#classes.get(base)?.slice(0, MAX_DEFINITIONS) ?? []));
    }
    return undefined;
  }

  /** The name and the channel that `PREFIX_SNAP_NAME` and `PREFIX_SNAP_CHANNEL` give in a file, by prefix. */
  siblings(path: string): Siblings {
    const before = this.#siblings.get(path);
    if (before) return before;
    const found: Siblings = { names: new Map(), channels: new Map() };
    const note = (map: Map<string, Set<string>>, prefix: string | undefined, text: string | undefined) => {
      if (prefix !== undefined && text !== undefined) map.set(prefix, (map.get(prefix) ?? new Set()).add(text));
    };
    for (const [variable, values] of this.files.get(path)?.definitions ?? [])
      for (const value of values) {
        note(found.names, prefixOf(variable, SNAP_NAME_VARIABLE), asSnapName(this.resolve(value, path)));
        note(found.channels, prefixOf(variable, SNAP_CHANNEL_VARIABLE), asRiskyChannel(this.resolve(value, path)));
      }
    this.#siblings.set(path, found);
    return found;
  }

  /** `51`, `"51"`, `{"x86_64": 51}` or `{("strict", "amd64"): 51}`; undefined where it is none of these. */
  revisions(given: Literal, path: string): SnapPin[] | undefined {
    const value = this.resolve(given, path);
    const revision = asRevision(value);
    if (revision !== undefined) return [{ revision }];
    if (typeof value !== "object" || !("map" in value) || value.map.length === 0 || value.map.length > MAX_ARCHITECTURES) return undefined;
    const pins = value.map.map(([key, inner]) => ({ architecture: asArchitecture(key), revision: asRevision(this.resolve(inner, path)) }));
    return pins.every((pin) => pin.architecture !== undefined && pin.revision !== undefined) ? pins : undefined;
  }

  /** The default of an option. */
  option(name: string): Literal {
    return this.#options.get(name);
  }

  /** The words of a command line, each resolved; numbers as text. */
  words(list: readonly Literal[], path: string): Literal[] {
    return list.slice(0, 100).map((word) => {
      const value = this.resolve(word, path);
      return typeof value === "number" ? String(value) : value;
    });
  }
}
