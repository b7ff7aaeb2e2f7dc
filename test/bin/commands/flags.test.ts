/** The table of flags: no flag beside it, and each read in the one order. */

import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { FLAGS, type Flag, type FlagId, REMOTE_OPTIONS } from "../../../bin/commands/flags.ts";
import { addFlags, FlagOption, readFlags } from "../../../bin/commands/options.ts";
import { createProgram } from "../../../bin/commands/program.ts";
import { showSize } from "../../../bin/machine/io.ts";
import { ARCHIVE_LIMITS, archiveCap, findSetting, SETTINGS } from "../../../src/settings/config.ts";
import { runProgram, SILENT_IO } from "../../program.ts";
import { tempFolder } from "../../temp.ts";

const table = Object.entries(FLAGS) as [FlagId, Flag][];
const byTwin = table.filter(([, flag]) => flag.twin !== undefined && !flag.isSetting);

function under(command: Command): Command[] {
  return [command, ...command.commands.flatMap(under)];
}

const programs = (["chp", "snap-store-proxy", "store-admin"] as const).map((name) => createProgram(SILENT_IO, name));
const commands = programs.flatMap(under);

/** The value of a flag that a command gets. */
function read(id: FlagId, words: readonly string[], environment: Readonly<Record<string, string>>): unknown {
  let options: Record<string, unknown> = {};
  const command = addFlags(new Command("test").exitOverride(), [id]);
  command.hook("preAction", (_, self) => readFlags(self, environment)).action((all: Record<string, unknown>) => void (options = all));
  command.parse(words, { from: "user" });
  return options[command.options[0]?.attributeName() ?? ""];
}

/** Two values of it, as they are typed, and what they are read as. */
function samples({ argument, parse, many }: Flag): [text: string, value: unknown][] {
  if (argument === undefined) return [["1", true]];
  if (many === "commas")
    return [
      ["a,b", ["a", "b"]],
      ["c", ["c"]],
    ];
  return ["8M", "7", "warn", "error"].flatMap((text): [string, unknown][] => {
    try {
      return [[text, parse ? parse(text, "it") : text]];
    } catch {
      return [];
    }
  });
}

test("every flag of every command is in the table, and every flag of the table is a command's", () => {
  const used = new Set<Flag>();
  for (const command of commands)
    for (const option of command.options)
      if (option instanceof FlagOption) used.add(option.flag);
      else expect([command.name(), option.long]).toEqual([command.name(), "--version"]);
  const known: ReadonlySet<Flag> = new Set(table.map(([, flag]) => flag));
  expect([...used].filter((flag) => !known.has(flag))).toEqual([]);
  expect(table.filter(([, flag]) => !used.has(flag)).map(([id]) => id)).toEqual([]);
});

test("help tells of each twin and each default", () => {
  // Where a form of export has its own words for what the table tells of another.
  const elsewhere: readonly FlagId[] = ["channelsOfBundle", "channelsOfSnaps"];
  for (const [id, { twin, help, default: value, argument }] of table) {
    if (twin !== undefined && !elsewhere.includes(id)) expect(help).toContain(`(${twin}`);
    if (value !== undefined && argument !== "DIR")
      expect(help).toContain(`default: ${argument === "SIZE" ? showSize(Number(value)) : JSON.stringify(value)})`);
  }
});

test("the settings that serve takes are those that have a flag", () => {
  const serve = programs[0]?.commands.find((one) => one.name() === "serve");
  const own = serve?.options.flatMap((one) => (one instanceof FlagOption && one.flag.isSetting ? [one.flag.name] : []));
  expect(own).toEqual(SETTINGS.filter((one) => one.flag).map((one) => one.key));
});

test("there are twins to test", () => {
  const twins = new Set(byTwin.map(([, flag]) => flag.twin ?? ""));
  const expected = [
    "CHARMHUB_URL",
    "CHP_AGENTS_URL",
    "CHP_ARCH",
    "CHP_BASE",
    "CHP_CA",
    "CHP_CACHE",
    "CHP_CACHE_SIZE",
    "CHP_CHANNEL",
    "CHP_CHUNK",
    "CHP_EXPORT_DIR",
    "CHP_FAIL_FAST",
    "CHP_INSECURE_REGISTRY",
    "CHP_LOG_LEVEL",
    "CHP_PARALLEL",
    "CHP_QUIET",
    "CHP_REGISTRY_AUTH",
    "CHP_SERIES",
    "CHP_SIGN",
    "CHP_SINCE",
    "CHP_SNAPSTORE_URL",
    "CHP_REDIRECT",
    "CHP_STORE",
    "CHP_STREAMS_KEY",
    "CHP_TOKEN_FILE",
    "CHP_WITHOUT",
  ];
  expect(twins).toEqual(new Set(expected));
});

describe.each(byTwin)("%s", (id, flag) => {
  const { name, twin = "", argument } = flag;
  const [[text, value] = ["", undefined], [other, otherValue] = [text, value]] = samples(flag);

  test("its twin stands for it", () => {
    expect(read(id, [], { [twin]: text })).toEqual(value);
    expect(read(id, [], { [twin]: "" })).toEqual(flag.default);
    expect(read(id, [], {})).toEqual(flag.default);
  });

  test("what is typed wins over the twin", () => {
    const words = argument === undefined ? [`--${name}`] : [`--${name}`, other];
    expect(read(id, words, { [twin]: argument === undefined ? "no" : text })).toEqual(argument === undefined ? true : otherValue);
    if (argument === undefined) for (const off of ["0", "false", "No"]) expect(read(id, [], { [twin]: off })).toBe(false);
  });
});

test("a twin that cannot be read is named", () => {
  expect(() => read("parallel", [], { CHP_PARALLEL: "many" })).toThrow("CHP_PARALLEL takes a whole number of at least 1, not many");
  expect(() => read("parallel", ["--parallel", "0"], {})).toThrow("--parallel takes a whole number of at least 1, not 0");
});

test("nothing that names files or a store of the server comes from another machine", () => {
  const names = REMOTE_OPTIONS.map((one) => one.name);
  for (const never of ["store", "trust", "to", "token-file", "ca", "body-mark", "allow-unsigned"]) expect(names).not.toContain(never);
  expect(names).toHaveLength(14);
});

/* ---- in whole commands ---- */

const folder = tempFolder();
const at = (...names: string[]) => join(folder.path, ...names);
afterAll(() => folder[Symbol.dispose]());

test("CHP_STORE and CHP_QUIET hold for a whole command, and what to type next does not repeat the environment", async () => {
  const [typed, other] = [at("typed"), at("other")];
  const made = await runProgram(["config", "--store", typed, "public-url=http://a.lan"]);
  expect([made.code, made.err]).toEqual([0, expect.stringContaining(`undo: chp config 'public-url=' --store ${typed}\n`)]);
  const found = await runProgram(["config", "public-url"], { CHP_STORE: typed });
  expect([found.code, found.out]).toEqual([0, "http://a.lan\n"]);
  const named = await runProgram(["config", "public-url=http://b.lan"], { CHP_STORE: typed });
  expect(named.err).toMatch(/^undo: chp config \S*public-url=http:..a.lan\S*$/m);
  const quiet = await runProgram(["config", "--store", other, "public-url=http://c.lan"], { CHP_STORE: typed, CHP_QUIET: "1" });
  expect([quiet.code, quiet.err]).toEqual([0, ""]);
  expect((await runProgram(["config", "public-url"], { CHP_STORE: other })).out).toBe("http://c.lan\n");
});

test("an import into another machine takes no --store, and does not mind CHP_STORE", async () => {
  const words = ["import", "--to", "https://127.0.0.1:1", "-"];
  const typed = await runProgram([...words, "--store", at("typed")]);
  expect([typed.code, typed.err]).toEqual([2, "chp: --to and --store are two places: give one of them\n"]);
  const set = await runProgram(words, { CHP_STORE: at("typed") });
  expect([set.code, set.err]).toEqual([2, expect.stringContaining("--to needs a token")]);
});

test("the token itself wins over CHP_TOKEN_FILE, and loses against --token-file", async () => {
  const words = ["import", "--to", "https://127.0.0.1:1", "-"];
  const file = at("no-token");
  const both = { CHP_TOKEN: "not a token", CHP_TOKEN_FILE: file };
  expect((await runProgram(words, both)).err).toContain("CHP_TOKEN does not hold a token");
  expect((await runProgram(words, { CHP_TOKEN_FILE: file })).err).toContain(`cannot read ${file}, the token`);
  expect((await runProgram([...words, "--token-file", file], both)).err).toContain(`cannot read ${file}, the token`);
});

test("an export takes no store of the environment, and its archives go where CHP_EXPORT_DIR says", async () => {
  expect(read("exportedStore", [], { CHP_STORE: at("typed") })).toBeUndefined();
  mkdirSync(at("out"));
  const done = await runProgram(["export", "snaps", "hello", "--store", at("typed")], { CHP_EXPORT_DIR: at("out", "made") });
  expect([done.code, done.err]).toEqual([1, expect.stringContaining("cannot export the snap hello from stable for amd64: No snap")]);
  expect(readdirSync(at("out"))).toEqual(["made"]);
});

test("each limit that an import may be given from another machine has a cap there, with the same default", () => {
  const limits = Object.values<Flag>(FLAGS).filter((flag) => flag.isRemote && typeof flag.default === "number");
  expect(limits.map((flag) => `${flag.name} ${String(flag.default)}`)).toEqual(
    ARCHIVE_LIMITS.map(([name]) => `${name} ${findSetting(archiveCap(name)).fallback?.join()}`),
  );
});
