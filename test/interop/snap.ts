/** The world that snapd's clients meet, and the real snap command against it. */

import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Done, tempFolder } from "../e2e/chp.ts";
import { squashfs } from "../squashfs.ts";
import { noise } from "../world.ts";
import type { Check } from "./cli.ts";
import { sha256 } from "./expect.ts";

interface SnapSpec {
  readonly name: string;
  readonly id: string;
  /** what its snap.yaml says besides, by revision; an empty text: nothing */
  readonly revisions: Readonly<Record<number, string>>;
  readonly yaml: string;
  readonly channels: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly "default-track"?: string;
  readonly store?: string;
  readonly categories?: readonly { readonly name: string }[];
  /** bytes that do not compress */
  readonly size?: number;
}

const AMD64 = "architectures: [amd64]";
const ARM64 = "architectures: [arm64]";
const ALL = "architectures: [all]";
const STRICT = "base: core22\nconfinement: strict";

const app = (name: string) => `${STRICT}\napps:\n  ${name}:\n    command: bin/${name}\n    plugs: [network]`;
const id = (name: string) => name.replaceAll("-", "").padEnd(32, "0InteropSnapOfTheAcmeCompanyInc0");

/** snapd lets the snap with this id alone have the slots that snapd itself has. */
const SNAPD = "PMrrV4ml8uWuEUDBT8dSGnKUYbevVhc4";

/** What is asked of it stands in snapd/*.go. */
export const SNAPS: readonly SnapSpec[] = [
  {
    name: "hello",
    id: id("hello"),
    yaml: `summary: Greets people\n${app("hello")}\n  world:\n    command: bin/world`,
    // 4 is in no channel; 10 can't read what 5 stores, 11 can.
    revisions: { 4: AMD64, 5: AMD64, 6: AMD64, 7: AMD64, 8: ARM64, 9: AMD64, 10: `${AMD64}\nepoch: 1`, 11: `${AMD64}\nepoch: 1*` },
    channels: {
      "latest/stable": { amd64: 5, arm64: 8 },
      "latest/edge": { amd64: 6 },
      "latest/edge/fix": { amd64: 9 },
      "2.0/stable": { amd64: 7 },
      "3.0/stable": { amd64: 10 },
      "3.0/edge": { amd64: 11 },
    },
  },
  {
    name: "all1",
    id: id("all1"),
    yaml: app("all1"),
    revisions: { 3: ALL, 4: ALL },
    channels: { "latest/stable": { all: 3 }, "latest/beta": { all: 4 } },
    categories: [{ name: "games" }],
  },
  {
    name: "tracked",
    id: id("tracked"),
    yaml: app("tracked"),
    revisions: { 1: AMD64, 2: AMD64, 3: AMD64 },
    channels: { "latest/stable": { amd64: 1 }, "3/stable": { amd64: 2 }, "3/edge": { amd64: 3 } },
    "default-track": "3",
  },
  {
    name: "editor",
    id: id("editor"),
    yaml: "base: core22\nconfinement: classic\napps:\n  editor:\n    command: bin/editor\n    plugs: [network]\n    common-id: org.example.editor",
    revisions: { 1: AMD64 },
    channels: { "latest/stable": { amd64: 1 } },
    categories: [{ name: "featured" }],
  },
  { name: "snapd", id: SNAPD, yaml: "type: snapd", revisions: { 1: AMD64 }, channels: { "latest/stable": { amd64: 1 } } },
  { name: "core22", id: id("core22"), yaml: "type: base", revisions: { 1: ALL }, channels: { "latest/stable": { all: 1 } } },
  {
    name: "kern",
    id: id("kern"),
    yaml: "type: kernel",
    revisions: { 1: AMD64 },
    channels: { "22/stable": { amd64: 1 } },
    "default-track": "22",
  },
  {
    name: "acme-own",
    id: id("acme-own"),
    yaml: `provenance: acme-build\n${app("acme-own")}`,
    revisions: { 1: AMD64 },
    channels: { "latest/stable": { amd64: 1 } },
  },
  { name: "big", id: id("big"), yaml: app("big"), revisions: { 1: AMD64 }, channels: { "latest/stable": { amd64: 1 } }, size: 3 * 2 ** 20 },
  {
    name: "branded",
    id: id("branded"),
    yaml: app("branded"),
    revisions: { 1: AMD64 },
    channels: { "latest/stable": { amd64: 1 } },
    store: "acme-store",
  },
];

/** The next import: a new revision of hello in stable. */
export const SNAPS_LATER: readonly SnapSpec[] = SNAPS.filter(({ name }) => name === "hello").map((hello) => ({
  ...hello,
  revisions: { 12: AMD64 },
  channels: { "latest/stable": { amd64: 12 } },
}));

/** `NAME_REVISION.snap`, and `NAME.json` with its channel map; snapd/sign.go adds the assertions. */
export function writeSnaps(folder: string, snaps: readonly SnapSpec[]): void {
  for (const { name, yaml, revisions, size, channels, id: snapId, ...rest } of snaps) {
    const head = { name, "snap-id": snapId, "channel-map": channels, ...rest };
    writeFileSync(join(folder, `${name}.json`), JSON.stringify(head));
    const commands = [...yaml.matchAll(/command: (.*)/g)].map(([, file = ""]) => [file, "#!/bin/sh\n"] as const);
    const more = { ...Object.fromEntries(commands), ...(size !== undefined && { data: noise(size) }) };
    const summary = yaml.includes("summary:") ? "" : `summary: What ${name} is\n`;
    for (const [revision, own] of Object.entries(revisions)) {
      const text = `name: ${name}\nversion: "1.${revision}"\n${summary}description: A test\nlicense: MIT\n${yaml}\n${own}\n`;
      writeFileSync(join(folder, `${name}_${revision}.snap`), squashfs({ "meta/snap.yaml": text, ...more }));
    }
  }
}

const HELLO = id("hello");

/** arguments, the file that must be there, whose bytes it must have, the architecture that is asked for */
const DOWNLOADS: readonly (readonly [args: string, file: string, of?: string, architecture?: string])[] = [
  ["hello", "hello_5.snap"],
  ["hello --stable", "hello_5.snap"],
  ["hello --candidate", "hello_5.snap"],
  ["hello --edge", "hello_6.snap"],
  ["hello --channel=2.0/beta", "hello_7.snap"],
  ["hello --channel=latest/edge/fix", "hello_9.snap"],
  ["hello --revision=4", "hello_4.snap"],
  ["hello --basename=mine", "mine.snap", "hello_5.snap"],
  ["hello", "hello_8.snap", "hello_8.snap", "arm64"],
  ["tracked", "tracked_2.snap"],
  ["tracked --edge", "tracked_3.snap"],
  ["all1 --edge", "all1_4.snap"],
  ["core22", "core22_1.snap"],
  ["big", "big_1.snap"],
];

const REFUSALS: readonly (readonly [string, string])[] = [
  ["download no-such-snap", 'cannot download snap "no-such-snap": snap not found'],
  ["download hello --channel=9.9/stable", "no snap revision available as specified"],
  ["download hello --revision=900", "no snap revision available as specified"],
  ["download branded", "snap not found"],
  ["known --remote account account-id=nobody", "not found"],
  ["known --remote snap-declaration series=16 snap-id=unknownunknownunknownunknown0001", "not found"],
  ["known --remote validation-set series=16 account-id=acme-inc name=fleet sequence=9", "not found"],
];

const KNOWN: readonly (readonly [string, string])[] = [
  ["account account-id=acme-inc", "display-name: Acme Inc."],
  [`snap-declaration series=16 snap-id=${HELLO}`, "snap-name: hello"],
  ["model series=16 brand-id=acme-inc model=box", "store: acme-store"],
  ["store store=acme-store", "operator-id: acme-inc"],
  ["validation-set series=16 account-id=acme-inc name=fleet sequence=2", "sequence: 2"],
  ["system-user brand-id=acme-inc email=ops+1@acme.example", "username: ops"],
];

/** What a stock snapd says of assertions below the test root; its files are whole by then. */
const UNTRUSTED = /cannot fetch snap signatures\/assertions: .*account \(testrootorg\)/;

export interface SnapCommand {
  /** how it is called in what is printed */
  readonly name: string;
  readonly executable: string;
  /** whether it was built with the test root */
  readonly trusts: boolean;
}

/** `snap download` and `snap known --remote` of one snap command, against the store at `url`, which holds `world`. */
export async function snapCommands({ name, executable, trusts }: SnapCommand, url: string, world: string, check: Check): Promise<void> {
  const run = async (line: string, cwd: string, more: Readonly<Record<string, string>> = {}): Promise<Done> => {
    const { PATH = "" } = process.env;
    // Below a root of its own it finds no snapd of this machine to ask instead.
    const env = { HOME: cwd, PATH, SNAPPY_GLOBAL_ROOT: cwd, SNAPPY_FORCE_API_URL: url, SNAPPY_FORCE_SAS_URL: url, ...more };
    const child = Bun.spawn([executable, ...line.split(" ")], { cwd, env, stdout: "pipe", stderr: "pipe" });
    const [out, err, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
    return { code, out, err };
  };
  const downloaded = ({ code, err }: Done): void => {
    if (trusts ? code !== 0 : code !== 1 || !UNTRUSTED.test(err)) throw new Error(`exit ${code}: ${err.trim()}`);
  };
  const sameBytes = (file: string, of: string): void => {
    if (sha256(readFileSync(file)) !== sha256(readFileSync(join(world, of)))) throw new Error(`${file} has other bytes than ${of}`);
  };

  for (const [args, file, of = file, architecture] of DOWNLOADS) {
    await check(`${name} download ${args}${architecture ? ` on ${architecture}` : ""}`, async () => {
      using folder = tempFolder();
      downloaded(await run(`download ${args}`, folder.path, architecture ? { UBUNTU_STORE_ARCH: architecture } : {}));
      sameBytes(join(folder.path, file), of);
      if (trusts) typesOf(join(folder.path, file.replace(/\.snap$/, ".assert")));
    });
  }
  for (const [what, start] of [
    ["the rest", (bytes: Uint8Array) => bytes.subarray(0, bytes.byteLength >> 1)],
    ["all again, since what is there is torn", (bytes: Uint8Array) => new Uint8Array(bytes.byteLength >> 1)],
  ] as const) {
    await check(`${name} download big, ${what}`, async () => {
      using folder = tempFolder();
      writeFileSync(join(folder.path, "big_1.snap.partial"), start(readFileSync(join(world, "big_1.snap"))));
      downloaded(await run("download big", folder.path));
      sameBytes(join(folder.path, "big_1.snap"), "big_1.snap");
    });
  }
  await check(`${name} download big, which is there already`, async () => {
    using folder = tempFolder();
    const file = join(folder.path, "big_1.snap");
    writeFileSync(file, readFileSync(join(world, "big_1.snap")));
    const before = statSync(file).mtimeMs;
    downloaded(await run("download big", folder.path));
    if (statSync(file).mtimeMs !== before) throw new Error("it was downloaded again");
  });
  for (const [line, says] of REFUSALS) {
    await check(`${name} ${line}`, async () => {
      using folder = tempFolder();
      const { code, err } = await run(line, folder.path);
      if (code !== 1 || !err.includes(says)) throw new Error(`exit ${code}: ${err.trim()}`);
      const [left] = readdirSync(folder.path).filter((file) => file.endsWith(".snap"));
      if (left !== undefined) throw new Error(`${left} was left`);
    });
  }
  for (const [args, says] of KNOWN) {
    await check(`${name} known --remote ${args}`, async () => {
      using folder = tempFolder();
      const { code, out, err } = await run(`known --remote ${args}`, folder.path);
      if (code !== 0 || !out.includes(`\n${says}\n`)) throw new Error(`exit ${code}: ${err.trim()} ${out}`);
      if (!readdirSync(world).some((file) => file.endsWith(".assert") && readFileSync(join(world, file), "utf8").includes(out.trimEnd())))
        throw new Error("no file of the import holds these very bytes");
    });
  }
}

/** The chain that `snap ack` takes, in its order. */
function typesOf(file: string): void {
  const types = [...readFileSync(file, "utf8").matchAll(/^type: (.*)$/gm)].map(([, type]) => type).join(" ");
  if (types !== "account-key account snap-declaration snap-revision") throw new Error(`${file} holds ${types}`);
}
