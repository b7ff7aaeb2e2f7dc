/** Which files of a charm may name snaps and images. */

import { printable } from "../../errors.ts";

const KIB = 1024;
export const REFRESH_VERSIONS = "refresh_versions.toml";
export const METADATA = "metadata.yaml";

export const CONFIG = "config.yaml";

/** snaps, and images; no real charm has more; the rest is left out */
export const MAX_NEEDS = 200;
/** findings before duplicates are removed */
export const MAX_FINDINGS = 2000;
const MAX_PATH = 500;
/** values that are resolved for one charm: names that stand for names must not multiply */
export const MAX_STEPS = 500_000;
export const MAX_DEPTH = 16;
/** tokens of a Python file, of about 100 bytes each in memory; the longest of real charms has a third */
export const MAX_TOKENS = 200_000;
/** the same of all Python files of a charm, which are in memory together: about 3 MB of ordinary Python */
export const MAX_ALL_TOKENS = 500_000;
/** entries of a map from architectures to revisions */
export const MAX_ARCHITECTURES = 100;
export const MAX_DEFINITIONS = 16;
/** classes that derive from one, and those that it derives from */
export const MAX_CLASSES = 100;
/** items of a list that a loop runs over */
export const MAX_ITEMS = 100;
export const MAX_COMMAND = 4 * KIB;
/** names in the imports of a Python file */
export const MAX_IMPORTS = 2000;
/** characters of a line */
export const MAX_LINE = 500;

/** `template`: of YAML, which is no YAML */
export type Language = "python" | "shell" | "script" | "json" | "yaml" | "toml" | "template";

interface SourceLimits {
  readonly language: Language;
  /** bytes of one file */
  readonly size: number;
  /** characters of all that are read: a token of Python takes much memory */
  readonly all: number;
  /** characters that are parsed, of one file and of all: the parser of YAML takes more than linear time; absent: as above */
  readonly parsed?: { readonly size: number; readonly all: number };
}

const PYTHON_FILE: SourceLimits = { language: "python", size: 512 * KIB, all: 4096 * KIB };
const LINES = { size: 512 * KIB, all: 4096 * KIB };
const YAML_FILE: SourceLimits = { language: "yaml", ...LINES, parsed: { size: 32 * KIB, all: 128 * KIB } };
const TEMPLATE: SourceLimits = { language: "template", ...LINES };
/** characters of config.yaml */
export const MAX_CONFIG = 64 * KIB;
const DATA = { size: 128 * KIB, all: 1024 * KIB };
const LIMITS_BY_EXTENSION: ReadonlyMap<string, SourceLimits> = new Map([
  ["py", PYTHON_FILE],
  ["sh", { language: "shell", size: 256 * KIB, all: 4096 * KIB }],
  ["json", { language: "json", ...DATA }],
  ["yaml", YAML_FILE],
  ["yml", YAML_FILE],
  ["toml", { language: "toml", ...DATA }],
]);
/** its first line says what it is written in */
const SCRIPT: SourceLimits = { language: "script", size: 256 * KIB, all: 4096 * KIB };
const SCRIPT_FOLDERS = new Set(["hooks", "actions", "scripts", "bin", "files"]);

/** The end of the names of templates. */
const TEMPLATE_NAME = /\.(?:ya?ml)\.(?:j2|jinja2?|tmpl|template)$/;

/** Folders of what a charm does not run itself: other projects' code, tests, texts. Those with a leading dot are such too. */
const FOREIGN_FOLDERS = new Set(
  `venv env node_modules site-packages wheelhouse __pycache__ tests test testing docs doc examples terraform operator_libs_linux
  grafana_dashboards prometheus_alert_rules loki_alert_rules alert_rules dashboards`.split(/\s+/),
);
/** Files of the tools that build and test a charm: the snaps that they name are for the builder's machine. */
const FOREIGN_FILES =
  /^(?:(?:charmcraft|snapcraft|spread|concierge.*|manifest|actions|bundle|pyproject|poetry)\.(?:ya?ml|toml|json)|(?:conftest|setup|test_.*|.*_test)\.py)$/;

/** Where a charm has the packages of others: a virtual environment, in either of its layouts, and what is in a wheel. */
const PACKAGES = /^(?:venv\/(?:lib\/python3\.\d+\/site-packages\/)?|wheelhouse\/[^/]+\.whl\/)(.+)$/;
/** Packages of which each folder is a package of its own. */
const NAMESPACES = new Set(["charms", "charmlibs"]);
/** Packages of the shared code of charms, which installs snaps for them. */
const LIBRARY = /^\w*(?:charm|single_kernel)\w*$/;
/** Those that install whatever they are given, with examples in their texts. */
const TOOLS = new Set(["charmhelpers", "charmlibs/snap", "charmcraft", "charms/operator_libs_linux"]);

/** The package of charms' shared code that a path is in, by its last name; undefined: it is in none. */
export function libraryOf(path: string): string | undefined {
  const [top = "", next = ""] = PACKAGES.exec(path)?.[1]?.replace(/\.py$/, "").split("/") ?? [];
  const isSpace = NAMESPACES.has(top);
  const name = isSpace ? next : top;
  if (TOOLS.has(isSpace ? `${top}/${next}` : top) || !/^\w+$/.test(name)) return undefined;
  return isSpace || LIBRARY.test(top) ? name : undefined;
}

/** Whether a file of a charm's zip is a wheel of charms' shared code: its path alone decides. */
export function isLibraryWheel(path: string): boolean {
  const name = /^wheelhouse\/([\w.]+)-[^/]+\.whl$/.exec(path)?.[1]?.replaceAll(".", "_");
  return name !== undefined && LIBRARY.test(name) && !TOOLS.has(name) && !TOOLS.has(name.replace("_", "/"));
}

export function limitsFor(path: string): SourceLimits | undefined {
  const folders = path.split("/");
  const file = folders.pop() ?? "";
  if (TEMPLATE_NAME.test(file)) return TEMPLATE;
  const dot = file.lastIndexOf(".");
  if (dot >= 0) return LIMITS_BY_EXTENSION.get(file.slice(dot + 1));
  return folders.length === 1 && SCRIPT_FOLDERS.has(folders[0] ?? "") ? SCRIPT : undefined;
}

/** Whether a file of a charm's zip may name snaps or images: its path and size, in bytes, alone decide. */
export function mayNameNeeds(path: string, size: number): boolean {
  const found = limitsFor(path);
  if (!found || size > found.size || path.length > MAX_PATH || printable(path) !== path) return false;
  const inPackages = PACKAGES.exec(path)?.[1];
  if (inPackages !== undefined && (found.language !== "python" || libraryOf(path) === undefined)) return false;
  const folders = (inPackages ?? path).split("/");
  const file = folders.pop() ?? "";
  if (file === CONFIG) return folders.length === 0;
  return !FOREIGN_FILES.test(file) && !folders.some((folder) => folder.startsWith(".") || FOREIGN_FOLDERS.has(folder));
}
