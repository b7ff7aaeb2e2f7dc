import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { catalogue, writeExport } from "../bench/exports.ts";
import {
  base,
  bundleZip,
  charmZip,
  exportOf,
  type Files,
  imageBlob,
  membersOf,
  metadataOf,
  type PackageSpec,
  packageFiles,
  tarEntry,
  tarOf,
  tgzOf,
  zipOf,
} from "../build.ts";
import { COMMAND, chp, type Done, here, spawn, tempFolder } from "./chp.ts";

const jammy = base("amd64", "22.04");

function demo(revision = 7, channel = "14/stable"): PackageSpec {
  const zip = charmZip({
    name: "demo",
    revision,
    bases: [jammy],
    resources: { "demo-image": { type: "oci-image" }, data: { type: "file", filename: "data.bin" } },
  });
  return {
    name: "demo",
    id: "DemoDemoDemoDemoDemoDemoDemoDemo",
    type: "charm",
    revisions: { [revision]: zip },
    bases: { [revision]: [jammy] },
    resources: {
      "demo-image": { type: "oci-image", revisions: { 3: imageBlob("registry.example/charm/demo/demo-image@sha256:00") } },
      data: { type: "file", filename: "data.bin", revisions: { 1: "some data" } },
    },
    releases: [{ channel, base: jammy, revision, resources: { "demo-image": 3, data: 1 } }],
  };
}

function write(folder: string, files: Files): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
}

const listed = async (store: string) =>
  JSON.parse((await here(["list", "--store", store, "--json"])).out) as { name: string; revisions: number[]; channels: string[] }[];

/** Frames of a few bytes, of a block and of many, with blocks that a compressor keeps as they are. */
function inFrames(bytes: Uint8Array): Uint8Array {
  const frames: Uint8Array[] = [];
  for (let at = 0, size = 1; at < bytes.byteLength; at += size, size = (size * 7) % 300_007)
    frames.push(Bun.zstdCompressSync(bytes.subarray(at, at + size), { level: 1 + (size % 3) }));
  return Buffer.concat(frames);
}

const INPUTS: readonly { readonly what: string; readonly files: Files; readonly args: readonly string[]; readonly input?: Uint8Array }[] = [
  { what: "an export", files: { "e.tar.gz": exportOf([demo()]) }, args: ["e.tar.gz"] },
  { what: "an export of a gzip member a file", files: { "e.tar.gz": await membersOf([demo()]) }, args: ["e.tar.gz"] },
  { what: "one inner archive", files: { "demo.tar.gz": tgzOf(packageFiles(demo())) }, args: ["demo.tar.gz"] },
  { what: "a plain tar with a top folder", files: { "e.tar": tarOf({ "top/demo.tar.gz": tgzOf(packageFiles(demo())) }) }, args: ["e.tar"] },
  {
    what: "a tar drawn as in the documents",
    files: { "e.tar": tarOf(Object.fromEntries(Object.entries(packageFiles(demo())).map(([n, c]) => [`./demo.tar.gz/${n}`, c]))) },
    args: ["e.tar"],
  },
  {
    what: "zstd",
    files: { "e.tar.zst": Bun.zstdCompressSync(tarOf({ "demo.tar.gz": tgzOf(packageFiles(demo())) })) },
    args: ["e.tar.zst"],
  },
  { what: "zstd of many frames", files: { "e.tar.zst": inFrames(exportOf([demo()])) }, args: ["e.tar.zst"] },
  {
    what: "a folder of these",
    files: { "usb/e.tar.gz": exportOf([demo()]), "usb/._e.tar.gz": "litter", "usb/.DS_Store": "litter" },
    args: ["usb"],
  },
  {
    what: "an unpacked folder",
    files: Object.fromEntries(Object.entries(packageFiles(demo())).map(([n, c]) => [`usb/demo/${n}`, c])),
    args: ["usb"],
  },
  { what: "standard input", files: {}, args: ["-"], input: exportOf([demo()]) },
];

test.each(INPUTS)("imports $what", async ({ files, args, input }) => {
  using folder = tempFolder();
  write(folder.path, files);
  const done = await chp(["import", "--store", "store", ...args], { cwd: folder.path, ...(input && { input }) });
  expect(done.err).toMatch(/^next: chp serve( --store \S+)?, or chp list( --store \S+)? to see what is stored\n$/);
  expect(done.code).toBe(0);
  expect(await listed(join(folder.path, "store"))).toMatchObject([{ name: "demo", revisions: [7], channels: ["14/stable"] }]);
  expect(readdirSync(join(folder.path, "store", "tmp"))).toEqual([]);
});

test("a lone charm brings the resources beside it", async () => {
  using folder = tempFolder();
  const spec = demo();
  write(folder.path, {
    "demo_r9.charm": spec.revisions[7] ?? "",
    "resource_data_r4_data.bin": "four",
    "resources/demo.demo-image_2": imageBlob("reg.example/x@sha256:00"),
  });
  const done = await here(["import", "--store", "store", "--channel", "edge", "demo_r9.charm"], { cwd: folder.path });
  expect(done.code).toBe(0);
  expect(done.out).toContain("rebuilt from the charm itself, on latest/edge");
  const shown = JSON.parse((await here(["show", "demo", "--json", "--store", "store"], { cwd: folder.path })).out);
  expect(shown).toMatchObject({
    revisions: [{ revision: 9 }],
    releases: [{ channel: "latest/edge", base: jammy, revision: 9, resources: { data: 4, "demo-image": 2 } }],
  });
  expect(shown.origins).toMatchObject([
    { generation: 1, files: ["demo_r9.charm", "resource_data_r4_data.bin", "resources/demo.demo-image_2"] },
  ]);
});

test("a frame of ten bytes does not get the two gigabytes that it asks for", async () => {
  using folder = tempFolder();
  write(folder.path, { "e.tar.zst": Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0, 21 << 3, 1, 0, 0, 0) });
  const { done, mib } = await measured(["import", "--store", "store", "e.tar.zst"], folder.path);
  expect(done.err).toContain("e.tar.zst: a zstd frame needs a window of 2147483648 bytes; the limit is 134217728\n  compress it again");
  expect(done.code).toBe(3);
  expect(mib).toBeWithin(1, 256);
});

test("an import of thousands of charms takes little more memory than it keeps", async () => {
  using folder = tempFolder();
  await writeExport(join(folder.path, "many.tar.gz"), catalogue(0, 300, 20));
  // They are far more alike than real ones, so they unpack to more.
  const { done, mib } = await measured(["import", "--quiet", "--max-ratio", "4000", "--store", "store", "many.tar.gz"], folder.path);
  expect(done.err).toBe("");
  expect(done.code).toBe(0);
  const isBun = COMMAND.length === 1;
  expect(mib).toBeWithin(1, isBun ? 180 : 400);
});

/** Runs it; `mib`: the most memory that it took. */
async function measured(args: readonly string[], cwd: string): Promise<{ done: Done; mib: number }> {
  // A process begins with the peak of the one that starts it, which is small here.
  const measure =
    "const child = Bun.spawn(process.argv.slice(1), { stdio: ['ignore', 'ignore', 'inherit'] }); await child.exited; console.log(child.resourceUsage().maxRSS); process.exit(child.exitCode)";
  const done = await chp(["-e", measure, ...COMMAND, ...args], { cwd, command: [process.execPath] });
  return { done, mib: Number(done.out) / 2 ** 20 };
}

test("what came in before is known; what changed is told, channel by channel", async () => {
  using folder = tempFolder();
  write(folder.path, { "1.tar.gz": exportOf([demo(7)]), "2.tar.gz": exportOf([demo(8)]) });
  const run = (...args: string[]) => here([...args, "--store", "store"], { cwd: folder.path });
  expect((await run("import", "1.tar.gz")).out).toContain("14/stable ubuntu@22.04 amd64: opened at 7");
  expect((await run("import", "1.tar.gz")).out).toContain("nothing changed: everything was already present");
  expect((await run("import", "--dry-run", "2.tar.gz")).out).toContain("14/stable ubuntu@22.04 amd64: 7 → 8");
  const kept = await run("push-charms", "2.tar.gz");
  expect(kept.out).toContain("its channel map was kept");
  expect(kept.out).toContain("channels of stored packages were kept");
  expect(await listed(join(folder.path, "store"))).toMatchObject([{ revisions: [8, 7] }]);
  expect((await run("push-charms", "2.tar.gz", "--push-channel-map")).out).toContain("7 → 8");
  const log = JSON.parse((await run("log", "--json")).out);
  expect(log).toMatchObject([
    { number: 3, parent: 2, command: "push-charms", changed: { demo: { revisions: [], channels: 1 } } },
    { number: 2, command: "push-charms", changed: { demo: { revisions: [8], channels: 0 } } },
    { number: 1, command: "import", sources: [{ name: "1.tar.gz" }], changed: { demo: { revisions: [7], channels: 1 } } },
  ]);
});

test("a dry run makes nothing, not even the store", async () => {
  using folder = tempFolder();
  write(folder.path, { "e.tar.gz": exportOf([demo()]) });
  const done = await here(["import", "--dry-run", "--store", "store", "e.tar.gz"], { cwd: folder.path });
  expect([done.code, done.out]).toEqual([0, expect.stringContaining("dry run: 1 package would change")]);
  expect(readdirSync(folder.path)).toEqual(["e.tar.gz"]);
});

test("long output reaches a slow reader whole, and one that has seen enough is no error", async () => {
  using folder = tempFolder();
  const zip = (name: string) => charmZip({ name, revision: 1, bases: [jammy] });
  write(folder.path, Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`usb/charm-${i}/charm-${i}_1.charm`, zip(`charm-${i}`)])));
  expect((await chp(["import", "--store", "store", "usb"], { cwd: folder.path })).code).toBe(0);
  const piped = (command: string) =>
    Bun.spawnSync(["bash", "-c", `"$@" list --json --store store | ${command}; exit "\${PIPESTATUS[0]}"`, "-", ...COMMAND], {
      cwd: folder.path,
    });
  const slow = piped("(sleep 0.3; cat)");
  expect([slow.exitCode, JSON.parse(slow.stdout.toString()).length, slow.stdout.byteLength > 2 ** 16]).toEqual([0, 400, true]);
  const short = piped("head -n 1");
  expect([short.exitCode, short.stdout.toString(), short.stderr.toString()]).toEqual([0, "[\n", ""]);
});

test("a reader that is gone changes neither what is done nor the exit code", async () => {
  using folder = tempFolder();
  write(folder.path, { "e.tar.gz": exportOf([demo()]), "bad.tar.gz": exportOf([demo()]).subarray(0, 500) });
  // Both outputs go to a process that has ended.
  const script = 'exec > >(exit 0) 2> >(exit 0); sleep 0.2; "$@"';
  const unread = (file: string) => {
    const env = { ...process.env, HOME: folder.path, XDG_DATA_HOME: folder.path, CHP_STORE: "store" };
    return Bun.spawnSync(["bash", "-c", script, "-", ...COMMAND, "import", file], { cwd: folder.path, env }).exitCode;
  };
  expect([unread("bad.tar.gz"), unread("e.tar.gz")]).toEqual([3, 0]);
  expect(await listed(join(folder.path, "store"))).toMatchObject([{ name: "demo" }]);
});

test("a store that lies in an imported folder is left alone", async () => {
  using folder = tempFolder();
  write(folder.path, { "e.tar.gz": exportOf([demo()]) });
  for (const _ of [1, 2]) expect((await here(["import", "--store", "store", "."], { cwd: folder.path })).code).toBe(0);
  const log = JSON.parse((await here(["log", "--json", "--store", "store"], { cwd: folder.path })).out);
  expect(log).toMatchObject([{ number: 1, sources: [{ name: "e.tar.gz" }] }]);
});

test("says what is missing", async () => {
  using folder = tempFolder();
  const bundle: PackageSpec = {
    name: "stack",
    id: "StackStackStackStackStackStackSt",
    type: "bundle",
    revisions: { 3: bundleZip("applications:\n  a:\n    charm: demo\n  b:\n    charm: absent\n") },
    releases: [{ channel: "latest/stable", base: null, revision: 3 }],
  };
  const spec = { ...demo(), resources: {}, releases: [...demo().releases, { channel: "14/edge", base: jammy, revision: 99 }] };
  write(folder.path, { "e.tar.gz": exportOf([spec, bundle]) });
  const report = JSON.parse((await here(["import", "--json", "--store", "store", "e.tar.gz"], { cwd: folder.path })).out);
  expect(report.missing.charms).toEqual([{ bundle: "stack", charm: "absent" }]);
  expect(report.missing.resources).toEqual([
    { charm: "demo", resource: "demo-image", revision: null },
    { charm: "demo", resource: "data", revision: null },
  ]);
  expect(report.missing.revisions).toEqual([{ name: "demo", channel: "14/edge", base: jammy, revision: 99 }]);
});

const good = packageFiles(demo());
const inner = (files: Files) => tgzOf({ "demo.tar.gz": tgzOf(files) });
const metadata = metadataOf(demo()) as { "channel-map": { revision: { revision: unknown } }[] };

const REFUSED: readonly { readonly what: string; readonly file: Uint8Array; readonly says: readonly string[] }[] = [
  { what: "a cut archive", file: exportOf([demo()]).subarray(0, 500), says: ["e.tar.gz", "cut short or corrupt"] },
  {
    what: "a digest that differs",
    file: inner({ ...good, "resources/demo.data_1": "other data" }),
    says: ["demo.tar.gz: resources/demo.data_1", "metadata.json says"],
  },
  {
    what: "a link",
    file: tgzOf([tarEntry("demo.tar.gz", tgzOf(good)), tarEntry("x", "", { type: "SymbolicLink", linkpath: "/etc/passwd" })]),
    says: ["e.tar.gz", "x is a symbolic link"],
  },
  {
    what: "a path that points outside the archive",
    file: tgzOf([tarEntry("../evil", "x"), tarEntry("demo.tar.gz", tgzOf(good))]),
    says: ["../evil points outside the archive"],
  },
  { what: "an absolute path", file: tgzOf([tarEntry("/etc/evil", "x")]), says: ["/etc/evil is absolute"] },
  {
    what: "a revision that is no number",
    file: inner({
      ...good,
      "metadata.json": JSON.stringify({
        ...metadata,
        "channel-map": metadata["channel-map"].map((r) => ({ ...r, revision: { ...r.revision, revision: -1 } })),
      }),
    }),
    says: ["metadata.json", "channel-map.0.revision.revision", "negative"],
  },
  {
    what: "a charm without a name",
    file: inner({ "demo_7.charm": zipOf({ "metadata.yaml": "summary: x\n" }) }),
    says: ["demo_7.charm", "has no name"],
  },
  { what: "a name with a slash", file: inner({ "demo_7.charm": zipOf({ "metadata.yaml": "name: a/b\n" }) }), says: ["a/b is not a name"] },
  {
    what: "a YAML bomb",
    file: inner({
      "demo_7.charm": zipOf({
        "metadata.yaml": `name: demo\na: &a [1,1,1,1,1,1,1,1,1]\n${"bcdefgh"
          .split("")
          .map((c, i) => `${c}: &${c} [${Array(9).fill(`*${"abcdefgh"[i]}`).join()}]\n`)
          .join("")}`,
      }),
    }),
    says: ["metadata.yaml", "cannot be read"],
  },
];

test.each(REFUSED)("refuses $what: exit 3, named, nothing published", async ({ file, says }) => {
  using folder = tempFolder();
  write(folder.path, { "first.tar.gz": exportOf([demo(6)]), "e.tar.gz": file, "good.tar.gz": exportOf([demo(8)]) });
  const run = (...args: string[]) => here([...args, "--store", "store"], { cwd: folder.path });
  await run("import", "first.tar.gz");
  const before = (await run("list", "--json")).out;
  const done = await run("import", "good.tar.gz", "e.tar.gz");
  expect(done.out).toBe("");
  for (const words of says) expect(done.err).toContain(words);
  expect(done.err).not.toMatch(/\n\s+at /);
  expect(done.code).toBe(3);
  expect((await run("list", "--json")).out).toBe(before);
  expect(readdirSync(join(folder.path, "store", "tmp"))).toEqual([]);
  expect(readdirSync(folder.path).toSorted()).toEqual(["e.tar.gz", "first.tar.gz", "good.tar.gz", "store"]);
});

test.each([
  {
    what: "text",
    file: tgzOf({ "readme.txt": "hello" }),
    says: "there is no charm, bundle, snap, image, agent or assertion in e.tar.gz.*readme.txt",
  },
  { what: "zeros", file: Buffer.alloc(4096), says: "e.tar.gz: it is no tar, although it says so" },
  { what: "nothing", file: Buffer.alloc(0), says: "e.tar.gz: it is no tar, although it says so" },
])("a file that holds only $what is refused", async ({ file, says }) => {
  using folder = tempFolder();
  write(folder.path, { "e.tar.gz": file });
  const done = await here(["import", "--store", "store", "e.tar.gz"], { cwd: folder.path });
  expect([done.code, done.err]).toEqual([3, expect.stringMatching(new RegExp(says))]);
});

test("the same revision with other bytes is refused with both digests", async () => {
  using folder = tempFolder();
  const other = { ...demo(7), revisions: { 7: charmZip({ name: "demo", revision: 70, bases: [jammy] }) } };
  write(folder.path, { "1.tar.gz": exportOf([demo(7)]), "2.tar.gz": exportOf([other]) });
  await here(["import", "--store", "store", "1.tar.gz"], { cwd: folder.path });
  const done = await here(["import", "--store", "store", "2.tar.gz"], { cwd: folder.path });
  expect(done.code).toBe(3);
  expect(done.err).toMatch(/demo revision 7 differs from the stored revision: sha256 [0-9a-f]{64} is stored, [0-9a-f]{64} was given/);
});

test("a gzip bomb is refused before it fills anything", async () => {
  using folder = tempFolder();
  write(folder.path, { "e.tar.gz": gzipSync(tarOf({ "resources/demo.data_1": Buffer.alloc(64 * 2 ** 20) }), { level: 9 }) });
  const done = await here(["import", "--store", "store", "e.tar.gz"], { cwd: folder.path });
  expect([done.code, done.err]).toEqual([3, expect.stringContaining("--max-ratio")]);
});

const USAGE: readonly { readonly what: string; readonly args: readonly string[]; readonly code: number; readonly says: string }[] = [
  { what: "an unknown command", args: ["imprt"], code: 2, says: "unknown command 'imprt'\n  Did you mean import? chp --help" },
  { what: "an unknown option", args: ["import", "--chanel", "x", "y"], code: 2, says: "--channel" },
  { what: "no file", args: ["import"], code: 2, says: "missing required argument 'file'" },
  { what: "a file that is not there", args: ["import", "absent.tar.gz"], code: 2, says: "cannot read absent.tar.gz" },
  { what: "a channel that is none", args: ["import", "--channel", "a/b/c/d", "x"], code: 2, says: "--channel: a/b/c/d is not a channel" },
  { what: "no store", args: ["list"], code: 10, says: "there is no store in" },
  { what: "a package that is not stored", args: ["show", "absent"], code: 10, says: "there is no store in" },
  { what: "an unknown setting", args: ["config", "public-ulr=http://x"], code: 2, says: "did you mean public-url?" },
  { what: "a bad address", args: ["serve", "--listen", "nowhere"], code: 2, says: "--listen: nowhere is not HOST:PORT" },
];

test.each(USAGE)("$what ends with its exit code and words", async ({ args, code, says }) => {
  using folder = tempFolder();
  const done = await chp([...args, ...(args[0] === "imprt" ? [] : ["--store", "store"])], { cwd: folder.path });
  expect([done.code, done.err]).toEqual([code, expect.stringContaining(says)]);
  expect(existsSync(join(folder.path, "store"))).toBe(false);
});

test("a store of a newer format is left alone", async () => {
  using folder = tempFolder();
  write(folder.path, { "store/format.json": '{"format": 3}\n', "e.tar.gz": exportOf([demo()]) });
  for (const args of [["list"], ["import", "e.tar.gz"], ["serve", "--listen", "127.0.0.1:0"]])
    expect(await chp([...args, "--store", "store"], { cwd: folder.path })).toMatchObject({
      code: 11,
      err: expect.stringContaining("format 3"),
    });
  expect(readdirSync(join(folder.path, "store"))).toEqual(["format.json"]);
});

test("Ctrl-C while waiting for standard input publishes nothing: exit 130", async () => {
  using folder = tempFolder();
  const process = spawn(["import", "--store", join(folder.path, "store"), "-"], { input: "pipe" });
  while (!existsSync(join(folder.path, "store", "format.json"))) await Bun.sleep(5);
  process.kill("SIGINT");
  expect(await process.exited).toBe(130);
});

test.skipIf(process.getuid?.() !== 0)(
  "run as root, what is made belongs to the owner of the store's folder, whatever the umask",
  async () => {
    using folder = tempFolder();
    write(folder.path, { "e.tar.gz": exportOf([demo()]) });
    mkdirSync(join(folder.path, "store"));
    const { chownSync } = await import("node:fs");
    chownSync(join(folder.path, "store"), 65534, 65534);
    const before = process.umask(0o077);
    try {
      await chp(["import", "--store", "store", "e.tar.gz"], { cwd: folder.path });
    } finally {
      process.umask(before);
    }
    const all = readdirSync(join(folder.path, "store"), { recursive: true, encoding: "utf8" }).map(
      (name) => [name, statSync(join(folder.path, "store", name))] as const,
    );
    expect(all.length).toBeGreaterThan(10);
    for (const [name, stat] of all) expect([name, stat.uid, stat.mode & 0o444]).toEqual([name, 65534, 0o444]);
  },
);

test.skipIf(!existsSync("/dev/full"))("a full disk behind standard output is said as that", async () => {
  const [exit, err] = await inShell("config --store $STORE >/dev/full");
  expect([exit, err]).toEqual([
    1,
    "chp: cannot write to standard output: no space is left there\n  free some space, or name another place\n",
  ]);
  const [, json] = await inShell("config --store $STORE -o json >/dev/full");
  expect(JSON.parse(json)).toMatchObject({ kind: "failed", exit: 1 });
  const [, usage] = await inShell("list --nope -o json");
  expect(JSON.parse(usage)).toMatchObject({ kind: "usage", exit: 2 });
});

async function inShell(line: string): Promise<[exit: number, err: string]> {
  using folder = tempFolder();
  const store = join(folder.path, "store");
  expect((await here(["config", "--store", store, "public-url=http://a.lan"])).code).toBe(0);
  const done = Bun.spawnSync(["bash", "-c", `"$@" ${line}`, "-", ...COMMAND], { env: { PATH: process.env["PATH"] ?? "", STORE: store } });
  return [done.exitCode, done.stderr.toString()];
}
