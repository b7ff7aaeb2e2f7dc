/** Settings as YAML, for `chp config --export-yaml` and `--import-yaml`, which also reads files of the documented system. */

import { isMap, isScalar, isSeq, type Node, parseDocument, stringify } from "yaml";
import { printable, refused } from "../../src/errors.ts";
import { SETTINGS, type SettingValue } from "../../src/settings/config.ts";
import { whyUnsupported } from "../../src/settings/documented.ts";

const HEAD = "# Settings of chp; chp config --import-yaml FILE sets them.\n";

/** All set values. Secrets appear only as a comment with their name. */
export function settingsYaml(settings: ReadonlyMap<string, SettingValue>): string {
  const parts = SETTINGS.flatMap(({ key, twin, secret, many, setBy }) => {
    const found = settings.get(key);
    if (!found || found.source === "default") return [];
    if (setBy !== undefined) return [`# ${key} is set by ${setBy}: it is not in this file\n`];
    if (secret) return [`# ${key} is set, and a secret: it is not in this file\n`];
    const from = found.source === "environment" ? `# from ${twin} of the environment\n` : "";
    return [`${from}${stringify({ [key]: many ? found.values : found.values[0] }, { lineWidth: 0 })}`];
  });
  return `${HEAD}${parts.join("")}`;
}

export interface YamlSettings {
  /** `KEY=VALUE`, an empty value unsets */
  readonly texts: readonly string[];
  /** documented settings that chp does not have */
  readonly leftOut: readonly { readonly key: string; readonly why: string }[];
}

/** Keys may be dotted or nested. Fails with `refused`; `file`: for messages. */
export function readSettingsYaml(text: string, file: string): YamlSettings {
  const wrong = (why: string) => refused(`${printable(file)}: ${printable(why, 300)}`);
  const parsed = parseDocument(text, { logLevel: "silent" });
  const [error] = parsed.errors;
  if (error) throw wrong(error.message.split("\n")[0] ?? "it is not YAML");
  const found = new Map<string, string>();
  const walk = (node: unknown, path: string): void => {
    if (isMap(node)) {
      for (const { key, value } of node.items) {
        if (!isScalar(key)) throw wrong(`a key below ${path || "the top"} is not text`);
        walk(value, path === "" ? spelled(key) : `${path}.${spelled(key)}`);
      }
    } else if (path === "") throw wrong("it is not a mapping of settings to their values");
    else if (found.has(path)) throw wrong(`${path} is there twice`);
    else if (isSeq(node) && SETTINGS.some(({ key, many }) => key === path && !many)) throw wrong(`${path} takes one value`);
    else
      found.set(
        path,
        yamlText(node, () => wrong(`${path} is neither text nor a list of texts`)),
      );
  };
  walk(parsed.contents, "");
  const all = [...found].map(([key, value]) => ({ key, value, why: whyLeftOut(key) }));
  return {
    texts: all.flatMap(({ key, value, why }) => (why === undefined ? [`${key}=${value}`] : [])),
    leftOut: all.flatMap(({ key, why }) => (why === undefined ? [] : [{ key, why }])),
  };
}

function whyLeftOut(key: string): string | undefined {
  const setBy = SETTINGS.find((setting) => setting.key === key)?.setBy;
  return setBy === undefined ? whyUnsupported(key) : `${setBy} sets it`;
}

function yamlText(node: unknown, wrong: () => Error): string {
  if (node === null) return "";
  if (isScalar(node)) return node.value === null ? "" : spelled(node);
  if (!isSeq(node)) throw wrong();
  return node.items
    .map((item) => {
      if (!isScalar(item) || item.value === null) throw wrong();
      return spelled(item);
    })
    .join(",");
}

/** A scalar as it is written in the file: a password 0123 is no number. */
function spelled(node: Node): string {
  if (!isScalar(node)) return "";
  return typeof node.value === "string" ? node.value : (node.source ?? String(node.value));
}
