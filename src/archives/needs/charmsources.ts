/** The files of a charm that may name snaps and images, each read once, within bounds for all of them together. */

import { parse as parseToml } from "smol-toml";
import * as v from "valibot";
import { isObject } from "../../schema.ts";
import { compareText } from "../../text.ts";
import { readYaml } from "../../yaml.ts";
import { type Literal, literalOf } from "./literals.ts";
import { PythonSource } from "./pythonsource.ts";
import {
  CONFIG,
  type Language,
  libraryOf,
  limitsFor,
  MAX_ALL_TOKENS,
  MAX_CONFIG,
  MAX_DEPTH,
  MAX_IMPORTS,
  MAX_ITEMS,
  MAX_LINE,
  METADATA,
  mayNameNeeds,
  REFRESH_VERSIONS,
} from "./sourcefiles.ts";
import { Variables } from "./variables.ts";

/** What a charm's config.yaml says of an option. */
export interface CharmOption {
  readonly default: Literal;
  readonly description: string;
}

export interface SourceText {
  readonly path: string;
  readonly text: string;
}

const Assuming = v.object({ assumes: v.pipe(v.array(v.unknown()), v.includes("k8s-api")) });

function optionsOf(config: unknown): ReadonlyMap<string, CharmOption> {
  const options = isObject(config) ? config["options"] : undefined;
  return new Map(
    Object.entries(isObject(options) ? options : {}).map(([name, option]) => {
      const { default: value, description } = isObject(option) ? option : {};
      return [name, { default: literalOf(value), description: typeof description === "string" ? description : "" }];
    }),
  );
}

/** `default-images.json`, `images.yaml` */
const IMAGES_FILE = /(?:^|[-_./])images?(?:[-_.][^/]*)?$/i;

/** Files that `mayNameNeeds` rejects are not read. Never throws. */
export class CharmSources {
  readonly options: ReadonlyMap<string, CharmOption>;
  readonly variables: Variables;
  /** by a shell */
  readonly scripts: SourceText[] = [];
  /** JSON, YAML and TOML that may be about snaps */
  readonly snapData: { readonly path: string; readonly value: Literal }[] = [];
  /** JSON and YAML that is a list of images by its name */
  readonly imageData: { readonly path: string; readonly value: Literal }[] = [];
  /** what may be manifests of Kubernetes, templates among them */
  readonly manifests: SourceText[] = [];
  /** Whether it is deployed on Kubernetes alone, where there is no snapd. */
  readonly isOnKubernetes: boolean;
  readonly refreshVersions: unknown;
  readonly #spent = new Map<Language, number>();
  readonly #parsed = new Map<Language, number>();
  readonly #scanned = new Map<Language, number>();
  /** names in the imports of the charm's own code, which may use the code of others and say nothing of snaps itself */
  readonly #imported = new Set<string>();
  /** tokens of Python that may still be read */
  #tokens = MAX_ALL_TOKENS;

  constructor(files: ReadonlyMap<string, string>) {
    const sorted = [...files].filter(([path, text]) => mayNameNeeds(path, text.length)).toSorted(([a], [b]) => compareText(a, b));
    const text = (path: string) => sorted.find(([name]) => name === path)?.[1];
    const [metadata, config, versions] = [text(METADATA), text(CONFIG), text(REFRESH_VERSIONS)];
    this.isOnKubernetes = metadata !== undefined && mayAssume(metadata) && v.is(Assuming, dataOf(METADATA, metadata, "yaml"));
    this.refreshVersions = versions === undefined ? undefined : dataOf(REFRESH_VERSIONS, versions, "toml");
    this.options = config !== undefined && mayParseConfig(config) ? optionsOf(dataOf(CONFIG, config, "yaml")) : new Map();
    this.variables = new Variables(new Map([...this.options].map(([name, option]) => [name, option.default])));
    for (const [path, content] of sorted) this.#read(path, content);
  }

  #read(path: string, text: string): void {
    const limits = limitsFor(path);
    if (!limits || path === REFRESH_VERSIONS || path === METADATA || path === CONFIG) return;
    const { language, all, parsed } = limits;
    const isAboutSnaps = /snap|revision/i.test(text) || /snap|revision/i.test(path);
    const isAboutImages = /image/i.test(text) || /image/i.test(path);
    if (language === "python" && libraryOf(path) === undefined && spend(this.#scanned, language, text.length, all))
      for (const name of importedNames(text)) this.#imported.add(name);
    if ((!isAboutSnaps && !isAboutImages) || !spend(this.#spent, language, text.length, all)) return;
    const script = language === "script" ? /^#!.*?\b(python|(?:ba|da)?sh)/.exec(text)?.[1] : undefined;
    if (language === "python" || script === "python") this.#python(path, text);
    else if (language === "shell" || script !== undefined) this.scripts.push({ path, text });
    if (language === "template" || language === "yaml" || language === "json") this.manifests.push({ path, text });
    if (language !== "yaml" && language !== "json" && language !== "toml") return;
    const isList = IMAGES_FILE.test(path.replace(/\.\w+$/, ""));
    if (!isAboutSnaps && !isList) return;
    if (parsed && (text.length > parsed.size || !spend(this.#parsed, language, text.length, parsed.all))) return;
    const value = literalOf(dataOf(path, text, language));
    if (isAboutSnaps) this.snapData.push({ path, value });
    if (isList) this.imageData.push({ path, value });
  }

  #python(path: string, text: string): void {
    const file = new PythonSource(text, this.#tokens);
    this.#tokens -= file.tokens.length;
    this.variables.add(path, file);
  }

  /** The packages of charms' shared code that the charm uses, by what its own code names, and they name. */
  usedLibraries(): ReadonlySet<string> {
    const packages = new Map<string, PythonSource[]>();
    for (const [path, file] of this.variables.files) {
      const library = libraryOf(path);
      if (library !== undefined) packages.set(library, [...(packages.get(library) ?? []), file].slice(0, MAX_ITEMS));
    }
    const used = new Set([...packages.keys()].filter((name) => this.#imported.has(name)));
    for (const library of used)
      for (const file of packages.get(library) ?? [])
        for (const { kind, text } of file.tokens) if (kind === "name" && packages.has(text)) used.add(text);
    return used;
  }
}

/** Whether a metadata.yaml is parsed: few assume anything, and it is parsed for itself already. A backslash may write any character. */
function mayAssume(text: string): boolean {
  return text.includes("k8s-api") || text.includes("\\");
}

/** Whether a config.yaml is parsed: most have no option of a snap or an image, and some are long. */
function mayParseConfig(text: string): boolean {
  return text.length <= MAX_CONFIG && /snap|image/i.test(text);
}

/** The words of the lines that begin with `import` or `from`, and of the brackets that they open. Linear in the text's length. */
function importedNames(text: string): string[] {
  const names: string[] = [];
  let isOpen = false;
  for (const line of text.split("\n")) {
    if (!isOpen && !/^[ \t]*(?:import|from)[ \t]/.test(line)) continue;
    if (names.length < MAX_IMPORTS) names.push(...(line.slice(0, MAX_LINE).match(/[A-Za-z_]\w*/g) ?? []));
    isOpen = (isOpen || line.includes("(")) && !line.includes(")");
  }
  return names;
}

/** Counts, and whether there is enough left. */
function spend(counts: Map<Language, number>, language: Language, length: number, most: number): boolean {
  const spent = (counts.get(language) ?? 0) + length;
  if (spent > most) return false;
  counts.set(language, spent);
  return true;
}

/** The value of a JSON, YAML or TOML text; undefined if it is not valid. */
function dataOf(path: string, text: string, language: Language): unknown {
  try {
    if (language === "json") return JSON.parse(text);
    return language === "toml" ? parseToml(text, { maxDepth: MAX_DEPTH }) : readYaml(text, path);
  } catch {
    return undefined;
  }
}
