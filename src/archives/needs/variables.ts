/** The variables of a charm's Python files: which of them describe snaps by their names, and what they stand for. */

import { asArchitecture, asRevision, asRiskyChannel, asSnapName, isSame, type Literal, type SnapPin } from "./literals.ts";
import type { PythonSource } from "./pythonsource.ts";
import { MAX_ARCHITECTURES, MAX_DEFINITIONS, MAX_DEPTH, MAX_STEPS } from "./sourcefiles.ts";

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

/** The variables of all Python files of one charm. Values are resolved only after the last file was added. */
export class Variables {
  /** by path */
  readonly files = new Map<string, PythonSource>();
  readonly #resolved = new Map<string, Literal>();
  /** constants of all files, for those that import them */
  readonly #constants = new Map<string, { readonly path: string; readonly value: Literal }[]>();
  readonly #siblings = new Map<string, Siblings>();
  #steps = 0;

  add(path: string, file: PythonSource): void {
    this.files.set(path, file);
    for (const [name, values] of file.definitions)
      if (/^_*[A-Z][A-Z0-9_]*$/.test(name))
        for (const value of values) {
          const all = this.#constants.get(name) ?? [];
          if (all.length <= MAX_DEFINITIONS) all.push({ path, value });
          this.#constants.set(name, all);
        }
  }

  /** The literal that a value stands for; undefined where there is none, or several. */
  resolve(value: Literal, path: string, depth = 0): Literal {
    this.#steps += 1;
    if (this.#steps > MAX_STEPS || depth > MAX_DEPTH) return undefined;
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

  /** The words of a command line, each resolved; numbers as text. */
  words(list: readonly Literal[], path: string): Literal[] {
    return list.slice(0, 100).map((word) => {
      const value = this.resolve(word, path);
      return typeof value === "number" ? String(value) : value;
    });
  }
}
