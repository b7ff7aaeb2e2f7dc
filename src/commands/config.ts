import { checkSetting, readSettings, SETTINGS, settingOf } from "../config.ts";
import { printable } from "../errors.ts";
import {
  type CommonOptions,
  define,
  EXITS,
  type Io,
  note,
  openOrCreateStore,
  openStore,
  printJson,
  printTable,
  type Register,
} from "./command.ts";

export const configCommand: Register = (program, io) => {
  define(program, "config", "show and change settings", EXITS)
    .argument("[setting...]", "KEY to show one, KEY=VALUE to set it, KEY= to unset it; nothing to show all")
    .addHelpText("after", `\nSettings:\n${SETTINGS.map(({ key, twin, about }) => `  ${key.padEnd(12)}  ${about} (${twin})`).join("\n")}`)
    .action((given: string[], options: CommonOptions) => runConfig(given, options, io));
};

export async function runConfig(given: readonly string[], options: CommonOptions, io: Io): Promise<void> {
  const changes = given.filter((one) => one.includes("="));
  const asked = given.filter((one) => !one.includes("=")).map((key) => settingOf(key).key);
  if (changes.length > 0) await change(changes, options, io);
  if (changes.length > 0 && asked.length === 0) return;
  const store = await openStore(options, io);
  const settings = readSettings({ environment: io.environment, file: await store.config() });
  const wanted = SETTINGS.filter(({ key }) => asked.length === 0 || asked.includes(key)).map(({ key }) => ({
    key,
    value: settings.get(key)?.values.join(",") ?? null,
    source: settings.get(key)?.source ?? null,
  }));
  if (options.json) return printJson(wanted, io);
  if (asked.length > 0) return io.out(wanted.map(({ value }) => `${printable(value ?? "")}\n`).join(""));
  printTable(
    ["KEY", "VALUE", "SOURCE"],
    wanted.map(({ key, value, source }) => [key, value ?? "", source ?? "not set"]),
    io,
  );
}

async function change(changes: readonly string[], options: CommonOptions, io: Io): Promise<void> {
  const pairs = changes.map((text) => {
    const at = text.indexOf("=");
    const setting = settingOf(text.slice(0, at));
    const value = text.slice(at + 1);
    return [setting.key, value === "" ? undefined : checkSetting(setting, value)] as const;
  });
  const store = await openOrCreateStore(options, io);
  const config = new Map(Object.entries(await store.config()));
  for (const [key, value] of pairs) {
    if (value === undefined) config.delete(key);
    else config.set(key, value);
  }
  await store.writeConfig(Object.fromEntries(config));
  note("saved; a running chp serve reads it when it is started again", options, io);
}
