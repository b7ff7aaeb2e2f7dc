/** Which files of a charm may name snaps. */

import { printable } from "../../errors.ts";

const KIB = 1024;
export const REFRESH_VERSIONS = "refresh_versions.toml";
export const METADATA = "metadata.yaml";

/** No real charm has more; the rest is left out. */
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
export const MAX_COMMAND = 4 * KIB;

export type Language = "python" | "shell" | "script" | "json" | "yaml" | "toml";

interface SourceLimits {
  readonly language: Language;
  /** bytes of one file */
  readonly size: number;
  /** characters of all that are read: a token of Python takes much memory, and the parser of YAML more than linear time */
  readonly all: number;
}

const PYTHON_FILE: SourceLimits = { language: "python", size: 512 * KIB, all: 4096 * KIB };
const YAML_FILE: SourceLimits = { language: "yaml", size: 32 * KIB, all: 128 * KIB };
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

/** Folders of what a charm does not run itself: other projects' code, tests, texts. Those with a leading dot are such too. */
const FOREIGN_FOLDERS = new Set(
  `venv env node_modules site-packages wheelhouse __pycache__ tests test testing docs doc examples terraform operator_libs_linux
  grafana_dashboards prometheus_alert_rules loki_alert_rules alert_rules dashboards`.split(/\s+/),
);
/** Files of the tools that build and test a charm: the snaps that they name are for the builder's machine. */
const FOREIGN_FILES =
  /^(?:(?:charmcraft|snapcraft|spread|concierge.*|manifest|config|actions|bundle|pyproject|poetry)\.(?:ya?ml|toml|json)|(?:conftest|setup|test_.*|.*_test)\.py)$/;

export function limitsFor(path: string): SourceLimits | undefined {
  const folders = path.split("/");
  const file = folders.pop() ?? "";
  const dot = file.lastIndexOf(".");
  if (dot >= 0) return LIMITS_BY_EXTENSION.get(file.slice(dot + 1));
  return folders.length === 1 && SCRIPT_FOLDERS.has(folders[0] ?? "") ? SCRIPT : undefined;
}

/** Whether a file of a charm's zip may name snaps: its path and size, in bytes, alone decide. */
export function mayNameSnaps(path: string, size: number): boolean {
  const found = limitsFor(path);
  if (!found || size > found.size || path.length > MAX_PATH || printable(path) !== path) return false;
  const folders = path.split("/");
  const file = folders.pop() ?? "";
  return !FOREIGN_FILES.test(file) && !folders.some((folder) => folder.startsWith(".") || FOREIGN_FOLDERS.has(folder));
}
