import { readFile } from "node:fs/promises";
import { shellQuote } from "../../src/catalog/images.ts";
import { Failure, printable, reason, refused } from "../../src/errors.ts";
import { findSetting, IMAGE_METADATA, readSettings, SETTINGS, type Setting, type SettingValue } from "../../src/settings/config.ts";
import { PROXY_DOMAIN, replaceHost, urlHost } from "../../src/settings/documented.ts";
import { type CommonOptions, type Io, note, printJson, printTable, storeFlag } from "../machine/io.ts";
import { openOrCreateStore, openStore } from "../machine/openstore.ts";
import { changeSettings, loadSettings, readChanges, type SettingChange } from "../machine/settings.ts";
import { readSettingsYaml, settingsYaml } from "../machine/settingsyaml.ts";
import { defineCommand, type Register, SETTINGS_EXITS } from "./command.ts";
import type { FlagValues } from "./flags.ts";

const TAKES = ["exportYaml", "importYaml"] as const;
type ConfigFlags = FlagValues<typeof TAKES>;

const CONFIG_EXITS = `0 done, 1 failed, 2 usage, 3 the file was refused and nothing changed, 10 no store, ${SETTINGS_EXITS}`;

export const configCommand: Register = (program, io) => {
  defineCommand(program, "config", "Show and change settings", CONFIG_EXITS, TAKES)
    .argument("[setting...]", "KEY to show one, KEY=VALUE to set it, KEY=@FILE where it is a text, KEY= to unset it; nothing to show all")
    .addHelpText(
      "after",
      `\nSettings:\n${[...SETTINGS, DOMAIN].map(({ key, twin, about }) => `  ${key.padEnd(26)}  ${about}${twin ? ` (${twin})` : ""}`).join("\n")}\n${EXAMPLES}`,
    )
    .action((given: string[], options: ConfigFlags) => runConfig(given, options, io));
};

const DOMAIN = { key: PROXY_DOMAIN, twin: "", about: "the host of public-url, whose protocol, port and path stay" };

const EXAMPLES = `
A flag wins over the environment, that over the store, that over the default: SOURCE says which one it was.

Examples:
  chp config public-url=https://hub.lan
  chp config proxy.oci-registry.domain=registry.lan:5000
  chp config image-metadata=@images.yaml
  chp config --export-yaml > chp.yaml     then, elsewhere: chp config --import-yaml chp.yaml`;

export async function runConfig(given: readonly string[], options: ConfigFlags, io: Io): Promise<void> {
  const { exportYaml, importYaml } = options;
  if ([exportYaml, importYaml !== undefined, given.length > 0].filter(Boolean).length > 1)
    throw new Failure("usage", "--export-yaml, --import-yaml and settings exclude each other");
  if (exportYaml && options.json)
    throw new Failure("usage", "--export-yaml prints YAML, so it takes no --json", { next: "chp config --json" });
  if (exportYaml) return io.out(settingsYaml(await settingsOf(options, io)));
  if (importYaml !== undefined) return runImportYaml(importYaml === true ? "-" : importYaml, options, io);
  const keys = given.filter((text) => !text.includes("=")).map((key) => (key === PROXY_DOMAIN ? key : findSetting(key).key));
  const changes = await Promise.all(given.filter((text) => text.includes("=")).map((text) => withFile(text, io)));
  if (changes.length > 0) {
    checkTexts(changes);
    await saveChanges(changes, options, io);
  }
  if (changes.length > 0 && (keys.length === 0 || options.json)) return;
  printSettings(keys, await settingsOf(options, io), options, io);
}

/** `KEY=TEXT` for a `KEY=@FILE` of a setting that is a text of many lines. */
async function withFile(change: string, io: Io): Promise<string> {
  const [, key = "", file] = /^([^=]*)=@(.+)$/s.exec(change) ?? [];
  if (file === undefined || !SETTINGS.some((setting) => setting.key === key && setting.isText)) return change;
  return `${key}=${await readYamlText(file, io)}`;
}

async function settingsOf(options: CommonOptions, io: Io): Promise<Map<string, SettingValue>> {
  return loadSettings(await openStore(options, io), { environment: io.environment });
}

function printSettings(keys: readonly string[], settings: ReadonlyMap<string, SettingValue>, options: CommonOptions, io: Io): void {
  const rows = SETTINGS.filter(({ key }) => keys.length === 0 || keys.includes(key)).map(
    ({ key, secret, setBy, isText, show: render = unchanged }) => {
      const found = settings.get(key);
      const shown = (setBy !== undefined || isText) && keys.length > 0 ? unchanged : render;
      return {
        key,
        value: found && secret ? "(set, not shown)" : (found?.values.map(shown).join(",") ?? null),
        source: found?.source ?? null,
      };
    },
  );
  if (keys.includes(PROXY_DOMAIN)) {
    const url = settings.get("public-url");
    rows.push({ key: PROXY_DOMAIN, value: url ? urlHost(url.values[0] ?? "") : null, source: url?.source ?? null });
  }
  if (options.json) return printJson(rows, io);
  // Newlines are printed: PEM has them.
  if (keys.length > 0)
    return io.out(
      rows
        .map(
          ({ value }) =>
            `${(value ?? "")
              .split("\n")
              .map((line) => printable(line))
              .join("\n")}\n`,
        )
        .join(""),
    );
  printTable(
    ["KEY", "VALUE", "SOURCE"],
    rows.map(({ key, value, source }) => [key, value ?? "", source ?? "not set"]),
    io,
  );
}

function unchanged(text: string): string {
  return text;
}

const DOMAIN_IS = `${PROXY_DOMAIN}=`;

/** Fails with `usage` for an invalid `KEY=VALUE`, before a store is created. */
function checkTexts(texts: readonly string[]): void {
  if (texts.some((text) => text.startsWith(DOMAIN_IS)) && texts.some((text) => text.startsWith("public-url=")))
    throw new Failure("usage", `${PROXY_DOMAIN} is the host of public-url: give one of them`);
  readChanges(texts.map((text) => translate(text, new Map())));
}

async function saveChanges(texts: readonly string[], options: ConfigFlags, io: Io): Promise<void> {
  const store = await openOrCreateStore(options, io);
  let changes: readonly SettingChange[] = [];
  const before = await changeSettings(
    store,
    (config) => {
      const settings = readSettings({ environment: io.environment, file: config });
      changes = readChanges(texts.map((text) => translate(text, settings)));
      return changes;
    },
    Date.now(),
  );
  const made = changes.flatMap(({ setting, value }) => {
    const [from, to] = [before[setting.key], value].map((side) => settingText(side));
    return from === to ? [] : [{ setting, from: from ?? "", to: to ?? "" }];
  });
  // The value of a secret is kept nowhere: what replaced one can't be undone by a command line.
  const lost = made.filter(({ setting, from }) => setting.secret && from !== "").map(({ setting }) => setting.key);
  const undoing = made.flatMap(({ setting, from }) => (lost.includes(setting.key) ? [] : [shellQuote(`${setting.key}=${from}`)]));
  const undo = undoing.length === 0 ? null : `chp config ${undoing.join(" ")}${storeFlag(options)}`;
  if (options.json && options.importYaml === undefined)
    printJson(
      {
        changes: made.map(({ setting, from, to }) => ({
          key: setting.key,
          from: shownValue(setting, from),
          to: shownValue(setting, to),
          applies: appliesWhen(setting.key),
        })),
        undo,
        lost,
      },
      io,
    );
  else if (made.length === 0) note("nothing changed: it was set so already", options, io);
  for (const { setting, to } of options.json ? [] : made)
    note(`${setting.key} = ${printable(shownValue(setting, to) ?? "(not set)")} (${appliesWhen(setting.key)})`, options, io);
  if (options.json) return;
  if (undo !== null) note(`undo: ${undo}`, options, io);
  for (const key of lost) note(`not undone by that: the former ${key} is not kept; set it again with chp config ${key}=…`, options, io);
}

/** As it may be printed; null: it is not set. */
function shownValue({ secret, show = unchanged, many }: Setting, text: string): string | null {
  if (text === "") return null;
  if (secret) return "(set, not shown)";
  return (many ? text.split(",") : [text]).map(show).join(",");
}

/** When a change of a setting takes effect, in words. */
function appliesWhen(key: string): string {
  if (/^(proxy\.oci-)?registry\b/.test(key) || key === IMAGE_METADATA) return "a running chp serve applies it within a second";
  if (key === "accepted-keys" || key === "trusted-roots") return "applies to the next import";
  return key === "store-key" ? "applies to the next change of the store" : "restart chp serve to apply";
}

/** A stored value in the form of the command line; empty: not set. */
function settingText(value: unknown): string {
  return (Array.isArray(value) ? value : [value]).filter((item) => typeof item === "string").join();
}

/** Translates the documented domain setting to public-url. */
function translate(text: string, settings: ReadonlyMap<string, SettingValue>): string {
  if (!text.startsWith(DOMAIN_IS)) return text;
  const domain = text.slice(DOMAIN_IS.length);
  return domain === ""
    ? "public-url="
    : `public-url=${replaceHost(domain, settings.get("public-url")?.values[0] ?? listeningUrl(settings))}`;
}

/** A URL for the first listening address, HTTPS before HTTP. */
function listeningUrl(settings: ReadonlyMap<string, SettingValue>): string {
  const tls = settings.get("tls-listen")?.values[0];
  const port = (tls ?? settings.get("listen")?.values[0] ?? "80").split(":").at(-1);
  return `${tls === undefined ? "http" : "https"}://host${port === "0" ? "" : `:${port}`}`;
}

const YAML_LIMIT = 2 ** 20;

async function runImportYaml(file: string, options: ConfigFlags, io: Io): Promise<void> {
  const name = file === "-" ? "standard input" : file;
  const { texts, leftOut } = readSettingsYaml(await readYamlText(file, io), name);
  const mistakes = texts.flatMap(mistakesOf);
  if (mistakes.length > 0) throw refused(`${printable(name)}: ${mistakes.join("; ")}`, { next: "nothing was changed" });
  try {
    checkTexts(texts);
  } catch (error) {
    throw refused(`${printable(name)}: ${reason(error)}`, { cause: error });
  }
  if (texts.length > 0) await saveChanges(texts, options, io);
  const states = texts.map((text) => ({ key: text.slice(0, text.indexOf("=")), state: text.endsWith("=") ? "unset" : "set" }));
  if (options.json) return printJson({ settings: states, leftOut }, io);
  io.out(states.map(({ key, state }) => `${state} ${printable(key)}\n`).join(""));
  for (const { key, why } of leftOut) note(`left out ${printable(key)}: ${why}`, options, io);
}

function mistakesOf(text: string): string[] {
  try {
    readChanges([translate(text, new Map())]);
    return [];
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return [error.next === undefined ? error.message : `${error.message} (${error.next})`];
  }
}

async function readYamlText(file: string, io: Io): Promise<string> {
  if (file !== "-")
    return readFile(file, "utf8").catch((error: unknown) => {
      throw new Failure("usage", `cannot read ${printable(file)}: ${reason(error).split(",")[0]}`, { cause: error });
    });
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of io.input()) {
    chunks.push(chunk);
    size += chunk.byteLength;
    if (size > YAML_LIMIT) throw refused("standard input: it is too large for a file of settings");
  }
  return Buffer.concat(chunks).toString();
}
