import { SETTINGS, settingOf } from "../config.ts";
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
import { changeSettings, loadSettings, readChanges } from "./settings.ts";

export const configCommand: Register = (program, io) => {
  define(program, "config", "show and change settings", EXITS)
    .argument("[setting...]", "KEY to show one, KEY=VALUE to set it, KEY= to unset it; nothing to show all")
    .addHelpText(
      "after",
      `\nSettings:\n${SETTINGS.map(({ key, twin, about }) => `  ${key.padEnd(26)}  ${about}${twin && ` (${twin})`}`).join("\n")}`,
    )
    .action((given: string[], options: CommonOptions) => runConfig(given, options, io));
};

export async function runConfig(given: readonly string[], options: CommonOptions, io: Io): Promise<void> {
  const changes = readChanges(given.filter((one) => one.includes("=")));
  const asked = given.filter((one) => !one.includes("=")).map((key) => settingOf(key).key);
  if (changes.length > 0) {
    await changeSettings(await openOrCreateStore(options, io), changes, Date.now());
    note("saved; a running chp serve sees proxy.oci-registry.* within a second, and the rest when it is started again", options, io);
  }
  if (changes.length > 0 && asked.length === 0) return;
  const store = await openStore(options, io);
  const settings = await loadSettings(store, { environment: io.environment });
  const wanted = SETTINGS.filter(({ key }) => asked.length === 0 || asked.includes(key)).map(
    ({ key, secret, setBy, show = (text) => text }) => {
      const found = settings.get(key);
      return {
        key,
        value:
          found && secret
            ? "(set, not shown)"
            : (found?.values.map(setBy !== undefined && asked.length > 0 ? String : show).join(",") ?? null),
        source: found?.source ?? null,
      };
    },
  );
  if (options.json) return printJson(wanted, io);
  // Lines are shown as lines: PEM has them.
  if (asked.length > 0)
    return io.out(
      wanted
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
    wanted.map(({ key, value, source }) => [key, value ?? "", source ?? "not set"]),
    io,
  );
}
