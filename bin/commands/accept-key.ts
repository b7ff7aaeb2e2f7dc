import { readFile } from "node:fs/promises";
import { keyLine, type PublicKey, readPublicKey } from "../../src/archives/signature.ts";
import { shellQuote } from "../../src/catalog/images.ts";
import { readUntil } from "../../src/catalog/override.ts";
import { Failure, printable, reason, refused } from "../../src/errors.ts";
import { ACCEPTED_KEYS, findSetting, readSettings } from "../../src/settings/config.ts";
import { type CommonOptions, type Io, note, printJson, printTable, storeFlag } from "../machine/io.ts";
import { openOrCreateStore, openStore } from "../machine/openstore.ts";
import { acceptedKeys, changeSettings, keysOf } from "../machine/settings.ts";
import { defineCommand, type Register, SETTINGS_EXITS } from "./command.ts";
import type { FlagValues } from "./flags.ts";

const TAKES = ["removeKey", "keyUntil"] as const;
type AcceptFlags = FlagValues<typeof TAKES>;

const ACCEPT_EXITS = `0 done, 1 failed, 2 usage, 3 a key was refused and nothing changed, 10 no store, ${SETTINGS_EXITS}`;

export const acceptKeyCommand: Register = (program, io) => {
  defineCommand(program, "accept-key", "Trust signing keys: import then requires their signature", ACCEPT_EXITS, TAKES)
    .argument("[key...]", "public keys to accept: files as chp keygen and minisign write them, or their second lines; nothing to list them")
    .addHelpText("after", EXAMPLES)
    .action((given: string[], options: AcceptFlags) => runAcceptKey(given, options, io));
};

const EXAMPLES = `
Examples:
  chp accept-key site.key.pub
  chp accept-key                                  lists the trusted keys
  chp accept-key site.key.pub --until 2027-06-30
  chp accept-key new.key.pub --remove 62196CEF1DA5E212`;

const ID_LENGTH = 16;
/** The second line of a public key's file. */
const KEY_TEXT = /^RW[A-Za-z0-9+/]{54}$/;

export async function runAcceptKey(given: readonly string[], options: AcceptFlags, io: Io): Promise<void> {
  const until = options.until === undefined ? undefined : readUntil(options.until, Date.now());
  if (until !== undefined && given.length === 0)
    throw new Failure("usage", "--until is the end of the keys that are given with it", { next: "chp accept-key FILE.pub --until DATE" });
  const keys = (await Promise.all(given.map(readKeyOrFile))).map((key) => ({ ...key, ...(until !== undefined && { until }) }));
  const removed = options.remove ?? [];
  const isChange = keys.length + removed.length > 0;
  const store = await (keys.length > 0 ? openOrCreateStore : openStore)(options, io);
  if (!isChange) return printKeys(await acceptedKeys(store, io), options, io);
  let before: readonly PublicKey[] = [];
  let after: readonly PublicKey[] = [];
  await changeSettings(
    store,
    (config) => {
      before = keysOf(readSettings({ environment: {}, file: config }));
      after = changedKeys(before, keys, removed);
      return [{ setting: findSetting(ACCEPTED_KEYS), value: after.length === 0 ? undefined : after.map(keyLine) }];
    },
    Date.now(),
  );
  printKeys(after, options, io);
  note(`undo: chp config ${shellQuote(`${ACCEPTED_KEYS}=${before.map(keyLine).join(",")}`)}${storeFlag(options)}`, options, io);
  note(after.length === 0 ? "signatures are no longer required" : "chp import requires a signature of one of these keys", options, io);
  if (io.environment["CHP_ACCEPTED_KEYS"]) note("CHP_ACCEPTED_KEYS is set here, and wins over what the store says", options, io);
}

function changedKeys(before: readonly PublicKey[], added: readonly PublicKey[], removed: readonly string[]): PublicKey[] {
  const ids = removed.map((id) => id.toUpperCase().padStart(ID_LENGTH, "0")); // minisign prints no leading zeros
  for (const [i, id] of removed.entries())
    if (!before.some((key) => key.id === ids[i]))
      throw new Failure("not-found", `key ${printable(id, 50)} is not a trusted key, so it can't be removed`, {
        next: "chp accept-key lists the trusted keys",
      });
  const after = new Map(before.filter(({ id }) => !ids.includes(id)).map((key) => [key.id, key]));
  for (const key of added) {
    const other = after.get(key.id);
    if (other && other.text !== key.text)
      throw refused(`another key is trusted as ${key.id} already`, { next: `chp accept-key --remove ${key.id}` });
    after.set(key.id, key);
  }
  return [...after.values()];
}

function printKeys(keys: readonly PublicKey[], options: CommonOptions, io: Io): void {
  const rows = keys.map(({ id, comment, text, until = "" }) => [id, comment, text, until]);
  if (options.json) return printJson(keys, io);
  if (rows.length === 0) note("no key is trusted, so signatures are not required", options, io);
  else printTable(["ID", "COMMENT", "KEY", "UNTIL"], rows, io);
}

async function readKeyOrFile(given: string): Promise<PublicKey> {
  if (KEY_TEXT.test(given)) return readPublicKey(given, "it");
  const text = await readFile(given, "utf8").catch((error: unknown) => {
    throw new Failure("usage", `cannot read ${printable(given)}: ${printable(reason(error).split(",")[0] ?? "", 200)}`, { cause: error });
  });
  return readPublicKey(text, printable(given));
}
