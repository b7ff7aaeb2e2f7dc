/** What is carried from one side to the other: signed, split, and only what is missing. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { partName, partSumsName } from "../../src/archives/parts.ts";
import { formatSums, readPublicKey, readSecretKey } from "../../src/archives/signature.ts";
import { sumsOf } from "../../src/digest.ts";
import { readInventory } from "../../src/export/inventory.ts";
import { type Files, packageFiles, tarOf, tgzOf } from "../build.ts";
import { carried, packed, type TestKey, type Tree, testKey } from "../carried.ts";
import { PACKAGES, WORLD } from "../world.ts";
import { chp, type Done, here, serve, tempFolder } from "./chp.ts";

const folder = tempFolder();
const at = (...names: string[]) => join(folder.path, ...names);
type Options = Parameters<typeof here>[1];
const run = (args: readonly string[], options: Options = {}): Promise<Done> => here(args, { cwd: folder.path, ...options });
const byExecutable = (args: readonly string[]): Promise<Done> => chp(args, { cwd: folder.path });
const [DB, TINY] = PACKAGES;
if (!DB || !TINY) throw new Error("the world is empty");
const TREE: Tree = { "acme-db.tar.gz": packageFiles(DB), "tiny.tar.gz": packageFiles(TINY) };
const SMALL: Tree = { "tiny.tar.gz": packageFiles(TINY) };

function write(files: Files): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(at(name, ".."), { recursive: true });
    writeFileSync(at(name), content);
  }
}

/** The parts of a file, with the list of their digests. */
function split(name: string, bytes: Uint8Array, count: number): Record<string, string | Uint8Array> {
  const size = Math.ceil(bytes.byteLength / count);
  const parts = Array.from({ length: count }, (_, i) => [partName(name, i + 1, count), bytes.subarray(i * size, (i + 1) * size)] as const);
  const sums = formatSums(parts.map(([path, part]) => ({ path, sha256: sumsOf(part)["sha-256"] })));
  return { ...Object.fromEntries(parts), [partSumsName(name)]: sums };
}

let key: TestKey;
let keyId: string;

beforeAll(async () => {
  const made = await byExecutable(["keygen", "site.key", "--comment", "site"]);
  expect([made.code, made.out]).toEqual([0, expect.stringMatching(/^key: [0-9A-F]{16}\nsecret: site.key .*\npublic: site.key.pub\n$/)]);
  const texts = { secret: readFileSync(at("site.key"), "utf8"), public: readFileSync(at("site.key.pub"), "utf8") };
  key = { secret: readSecretKey(texts.secret, "it"), accepted: readPublicKey(texts.public, "it"), texts };
  keyId = key.accepted.id;
  write({
    "site.tar": tarOf(carried(TREE, key)),
    "plain.tar": tarOf(packed(SMALL)),
    "other.tar": tarOf(carried(SMALL, testKey("other"))),
    "tiny_5.charm": TINY.revisions[5] ?? "",
  });
});

afterAll(() => folder[Symbol.dispose]());

describe("keys", () => {
  test("the secret key is readable by its owner alone, nothing of it is printed, and nothing is overwritten", async () => {
    expect([statSync(at("site.key")).mode & 0o777, statSync(at("site.key.pub")).mode & 0o777]).toEqual([0o600, 0o644]);
    const before = key.texts;
    const again = await run(["keygen", "site.key"]);
    expect([again.code, again.err]).toEqual([2, expect.stringContaining("site.key.pub exists already, and a key is never overwritten")]);
    write({ half: "mine" });
    expect((await run(["keygen", "half"])).code).toBe(2);
    expect([readFileSync(at("half"), "utf8"), await Bun.file(at("half.pub")).exists()]).toEqual(["mine", false]);
    expect(readFileSync(at("site.key"), "utf8")).toBe(before.secret);
    const other = await run(["keygen", "other.key", "--json"]);
    const [, secret = ""] = readFileSync(at("other.key"), "utf8").split("\n");
    expect(JSON.parse(other.out)).toMatchObject({ comment: "other.key", secret: "other.key", public: "other.key.pub" });
    expect(other.out + other.err).not.toContain(secret.slice(0, 40));
    expect((await run(["keygen", "nowhere/x"])).code).toBe(1);
    expect((await run(["keygen", "x", "--comment", "a,b"])).code).toBe(2);
  });

  test("are accepted, listed and removed, and each step tells the way back", async () => {
    const step = (...args: string[]) => run(["accept-key", "--store", "keys", ...args]);
    expect((await step()).code).toBe(10);
    const first = await step("site.key.pub");
    expect([first.code, first.out]).toEqual([0, `${keyId}\tsite\t${key.accepted.text}\n`]);
    expect(first.err).toBe("undo: chp config 'accepted-keys=' --store keys\nchp import requires a signature of one of these keys\n");
    const other = testKey("by hand");
    expect((await step(other.accepted.text)).out).toContain(`${other.accepted.id}\t\t${other.accepted.text}\n`);
    expect((await run(["config", "--store", "keys", "accepted-keys"])).out).toBe(`${keyId} (site),${other.accepted.id}\n`);
    expect((await run(["status", "--store", "keys"])).out).toContain(`imports what is signed by: ${keyId} (site)\n`);
    const removed = await step("--remove", keyId.toLowerCase().replace(/^0+/, ""));
    expect(removed.out).toBe(`${other.accepted.id}\t\t${other.accepted.text}\n`);
    const undo = /^undo: chp config '(.*)' --store keys$/m.exec(removed.err)?.[1] ?? "";
    expect((await run(["config", "--store", "keys", undo])).code).toBe(0);
    expect(JSON.parse((await step("--json")).out)).toEqual([key.accepted, { ...other.accepted, comment: "" }]);
    const wrong = await step("--remove", "F".repeat(16));
    expect([wrong.code, wrong.err]).toEqual([
      1,
      expect.stringContaining("key FFFFFFFFFFFFFFFF is not a trusted key, so it can't be removed"),
    ]);
    const secret = await step("site.key");
    expect([secret.code, secret.err]).toEqual([3, expect.stringContaining("site.key is a secret key, which must never leave its machine")]);
    expect((await step("nothing.pub")).code).toBe(2);
    const yaml = await run(["config", "--store", "keys", "--export-yaml"]);
    write({ "keys.yaml": yaml.out });
    expect((await run(["config", "--store", "copy", "--import-yaml", "keys.yaml"])).code).toBe(0);
    expect(JSON.parse((await run(["accept-key", "--store", "copy", "--json"])).out)).toEqual([
      key.accepted,
      { ...other.accepted, comment: "" },
    ]);
  });
});

describe("where a key is accepted", () => {
  const imported = (...args: string[]) => run(["import", "--store", "signed", ...args]);
  beforeAll(async () => {
    expect((await run(["accept-key", "--store", "signed", "site.key.pub"])).code).toBe(0);
  });

  test("what it did not sign is refused, with the next step", async () => {
    for (const [file, lacks] of [
      ["plain.tar", "it came without a SHA256SUMS"],
      ["tiny_5.charm", "it came without a SHA256SUMS"],
      ["other.tar", "its SHA256SUMS.minisig is by key "],
    ] as const) {
      const done = await imported(file);
      expect([file, done.code, done.out]).toEqual([file, 3, ""]);
      expect(done.err).toStartWith(`chp: ${file} is not signed by a trusted key: ${lacks}`);
      expect(done.err).toContain(
        `trusted: ${keyId} (site); chp accept-key FILE.pub trusts one more, --allow-unsigned imports this as it is`,
      );
    }
    const piped = await run(["import", "--store", "signed", "-"], { input: tgzOf(packed(SMALL)) });
    expect([piped.code, piped.err]).toEqual([3, expect.stringContaining("chp: - is not signed")]);
    const pushed = await run(["push-charms", "--store", "signed", "plain.tar"]);
    expect([pushed.code, (await run(["log", "--store", "signed"])).out]).toEqual([3, ""]);
  });

  test("what it signed is taken in, out of a file, a folder or a pipe, and the log tells", async () => {
    const by = `signed by ${keyId} (site)`;
    const done = await imported("site.tar");
    expect([done.code, done.out]).toEqual([0, expect.stringContaining(`site.tar: ${by}, chp export of 2026-04-26T16:31:15Z\n`)]);
    expect((await run(["log", "--store", "signed"])).out).toMatch(
      new RegExp(`  site.tar  .* sha256 [0-9a-f]{64}  ${by.replace(/[()]/g, "\\$&")}\n`),
    );
    write(Object.fromEntries(Object.entries(carried(TREE, key)).map(([name, content]) => [`unpacked/${name}`, content])));
    for (const [cwd, ...args] of [
      [at(), "unpacked"],
      [at("unpacked"), "."],
      [at("unpacked"), ...Object.keys(carried(TREE, key)), "../site.tar"],
    ] as const) {
      const fromFolder = await run(["import", "--store", at("signed"), "--json", ...args], { cwd });
      expect([args, fromFolder.code, fromFolder.err]).toEqual([args, 0, expect.stringMatching(/^next: chp list --store \S+\n$/)]);
      for (const source of JSON.parse(fromFolder.out).sources) expect(source).toMatchObject({ signers: [{ key: keyId }] });
    }
    expect((await imported("unpacked/tiny.tar.gz")).code).toBe(3);
    const piped = await run(["import", "--store", "signed", "--json", "-"], { input: tarOf(carried(TREE, key)) });
    expect(JSON.parse(piped.out).sources).toMatchObject([{ name: "-", signers: [{ key: keyId, name: "site" }] }]);
  });

  test("--allow-unsigned takes one in as it is, and the log tells", async () => {
    const done = await run(["import", "--store", "loud", "--allow-unsigned", "plain.tar"], {
      env: { CHP_ACCEPTED_KEYS: key.accepted.text },
    });
    expect([done.code, done.out]).toEqual([
      0,
      expect.stringContaining("  UNSIGNED: plain.tar was imported as it is: it came without a SHA256SUMS\n"),
    ]);
    expect((await run(["log", "--store", "loud"])).out).toMatch(/ {2}plain\.tar {2}.* {2}UNSIGNED\n/);
    expect(JSON.parse((await run(["log", "--store", "loud", "--json"])).out)[0].sources[0].unsigned).toBe(true);
  });

  test("what was changed after it was signed is refused with its name, whatever is allowed", async () => {
    const files = carried(TREE, key);
    const changed = { ...files, "tiny.tar.gz": tgzOf({ ...packageFiles(TINY), "metadata.json": "{}" }) };
    write({ "changed.tar": tarOf(changed), ...Object.fromEntries(Object.entries(changed).map(([n, c]) => [`changed/${n}`, c])) });
    for (const [source, where] of [
      ["changed.tar", "changed.tar: tiny.tar.gz: metadata.json: its sha256 is "],
      ["changed", "changed/tiny.tar.gz: metadata.json: its sha256 is "],
    ] as const) {
      const done = await run(["import", "--store", "fresh", "--allow-unsigned", source]);
      expect([done.code, done.err]).toEqual([3, expect.stringContaining(`chp: ${where}`)]);
      expect(done.err).toContain("get it again from where it was made");
      expect((await run(["list", "--store", "fresh"])).out).toBe("");
    }
  });
});

describe("parts", () => {
  const whole = tarOf(packed(TREE));
  const names = Object.keys(split("site.tar", whole, 3)).slice(0, 3);
  const under = (name: string, files: Files) =>
    write(Object.fromEntries(Object.entries(files).map(([one, content]) => [`${name}/${one}`, content])));

  test.each<[string, (name: string) => string[]]>([
    ["in any order", (name) => names.toReversed().map((part) => `${name}/${part}`)],
    ["found in a folder", (name) => [name]],
    ["one of them, the others beside it", (name) => [`${name}/${names[1]}`]],
    ["as a shell names them, the list of digests among them", (name) => [...names, "site.tar.sha256"].map((part) => `${name}/${part}`)],
  ])("%s are one source", async (what, args) => {
    const name = what.replaceAll(/\W/g, "");
    under(name, split("site.tar", whole, 3));
    const done = await run(["import", "--store", `of-${name}`, "--json", ...args(name)]);
    expect([done.code, done.err]).toEqual([0, expect.stringMatching(/^next: chp serve .*, or chp list .*to see what is stored\n$/)]);
    const { sources, ignored } = JSON.parse(done.out);
    expect(sources).toEqual([{ name: `${name}/site.tar`, size: whole.byteLength, sha256: sumsOf(whole)["sha-256"] }]);
    expect(ignored).toEqual([]);
  });

  test("may lie in several folders, a medium each, and without a list", async () => {
    const { [names[0] ?? ""]: first = "", [names[1] ?? ""]: second = "", [names[2] ?? ""]: third = "" } = split("site.tar", whole, 3);
    write({ [`usb1/${names[0]}`]: first, [`usb2/${names[1]}`]: second, [`usb2/${names[2]}`]: third });
    const done = await run(["import", "--store", "media", "usb2", `usb1/${names[0]}`]);
    expect([done.code, done.out]).toEqual([0, expect.stringContaining("acme-db: charm, new")]);
    const lone = await run(["import", "--store", "none", "usb2"]);
    expect([lone.code, lone.err]).toEqual([
      3,
      "chp: usb2/site.tar.2of3 is one of 3 parts; missing: site.tar.1of3\n  put all parts into one folder, or name each of them; nothing was read\n",
    ]);
  });

  test("of two archives at once", async () => {
    under("both", { ...split("site.tar", whole, 3), ...split("small.tar", tarOf(packed(SMALL)), 12) });
    const done = await run(["import", "--store", "both-of-them", "--json", "both"]);
    expect([done.code, JSON.parse(done.out).sources.map((one: { name: string }) => one.name)]).toEqual([
      0,
      ["both/site.tar", "both/small.tar"],
    ]);
  });

  test("that are missing are named", async () => {
    const { [names[0] ?? ""]: first = "" } = split("site.tar", whole, 3);
    write({ [`lone/${names[0]}`]: first, "many/x.tar.0001of2000": "x" });
    const lone = await run(["import", "--store", "none", "lone"]);
    expect([lone.code, lone.err]).toEqual([
      3,
      expect.stringContaining("lone/site.tar.1of3 is one of 3 parts; missing: site.tar.2of3, site.tar.3of3\n"),
    ]);
    expect((await run(["import", "--store", "none", "many"])).err).toContain("x.tar.0006of2000 and 1994 more");
    expect(await Bun.file(at("none", "format.json")).exists()).toBe(false);
  });

  test("that are wrong are named, wherever in the archive that is", async () => {
    const right = split("site.tar", whole, 3);
    for (const [i, name] of names.entries()) {
      for (const place of [0, 0.5, 1]) {
        const bytes = Buffer.from(right[name] ?? "");
        const index = Math.min(bytes.byteLength - 1, Math.floor(bytes.byteLength * place));
        bytes[index] = (bytes[index] ?? 0) ^ 0x55;
        under(`wrong${i}${place}`, { ...right, [name]: bytes });
        const done = await run(["import", "--store", "wrong", `wrong${i}${place}`]);
        expect([name, place, done.code]).toEqual([name, place, 3]);
        expect(done.err).toStartWith(
          `chp: wrong${i}${place}/${name}: its sha256 is ${sumsOf(bytes)["sha-256"]}, but wrong${i}${place}/site.tar.sha256 says `,
        );
      }
    }
    expect((await run(["list", "--store", "wrong"])).out).toBe("");
  });

  test("twice, or beside the whole, or not in their list, are refused", async () => {
    const parts = split("site.tar", whole, 3);
    const [first = ""] = names;
    under("twice", parts);
    under("again", { [first]: parts[first] ?? "" });
    const twice = await run(["import", "--store", "none", "twice", "again"]);
    expect([twice.code, twice.err]).toEqual([2, expect.stringContaining("twice/site.tar.1of3 and again/site.tar.1of3 are the same part")]);
    under("beside", { ...parts, "site.tar": whole });
    const beside = await run(["import", "--store", "none", "beside"]);
    expect([beside.code, beside.err]).toEqual([2, expect.stringContaining("beside/site.tar is there whole and in parts")]);
    under("short", { ...parts, "site.tar.sha256": `${"a".repeat(64)}  ${first}\n` });
    const short = await run(["import", "--store", "none", "short"]);
    expect([short.code, short.err]).toEqual([3, expect.stringContaining("short/site.tar.sha256 does not list site.tar.2of3")]);
  });

  test("of a signed archive", async () => {
    under("signed-parts", split("site.tar", tarOf(carried(TREE, key)), 7));
    const env = { CHP_ACCEPTED_KEYS: key.accepted.text };
    const done = await run(["import", "--store", "signed-in-parts", "signed-parts"], { env });
    expect([done.code, done.out]).toEqual([0, expect.stringContaining(`signed-parts/site.tar: signed by ${keyId}, `)]);
  });
});

test("an inventory lists what is stored, the same each time, and what is damaged is not stored", async () => {
  expect((await run(["inventory", "--store", "stock"])).code).toBe(10);
  expect((await run(["import", "--store", "stock", "plain.tar"])).code).toBe(0);
  const done = await run(["inventory", "--store", "stock"]);
  expect([done.code, done.err]).toEqual([0, "1 package; on the connected side: chp export … --since FILE packs what is not in it\n"]);
  const digest = sumsOf(TINY.revisions[5] ?? new Uint8Array())["sha-256"];
  expect(JSON.parse(done.out)).toEqual({
    format: 1,
    charms: { tiny: { revisions: { 5: `sha-256:${digest}` }, resources: {} } },
    bundles: {},
    snaps: {},
  });
  expect(readInventory(done.out, "have.json").has("sha-256", digest)).toBe(true);
  expect((await run(["inventory", "--store", "stock", "--json", "--quiet"])).out).toBe(done.out);
  expect(
    (await run(["config", "--store", "stock", "proxy.oci-registry.domain=reg.lan:5000", "proxy.oci-registry.password=hidden"])).code,
  ).toBe(0);
  expect((await run(["inventory", "--store", "stock"])).out).toBe(done.out);
});

test("archives whose list nobody wrote for chp: what sha256sum made of a folder", async () => {
  write({ "made/plain.tar": tarOf(packed(SMALL)) });
  const { exitCode } = Bun.spawnSync(["sh", "-c", "sha256sum -- *.tar > SHA256SUMS"], { cwd: at("made") });
  expect([exitCode, (await run(["import", "--store", "made-store", "made"])).code]).toEqual([0, 0]);
});

test("what chp exports is signed, split, taken in as such, and exported no second time", async () => {
  write({ "world.tar.gz": WORLD, "site.yaml": "charms:\n  - name: acme-db\n  - name: tiny\nwithout: [images]\n" });
  expect((await byExecutable(["import", "--store", "upstream", "world.tar.gz"])).code).toBe(0);
  expect((await byExecutable(["accept-key", "--store", "inside", "site.key.pub"])).code).toBe(0);
  const upstream = await serve(at("upstream"));
  try {
    const exported = (into: string, ...args: string[]) =>
      byExecutable([
        "export",
        "-f",
        "site.yaml",
        "--charmhub-url",
        upstream.url,
        "--snapstore-url",
        upstream.url,
        "--sign",
        "site.key",
        "--export-dir",
        into,
        ...args,
      ]);
    const first = await exported("out", "--chunk", "1M");
    expect([first.code, first.out]).toEqual([0, expect.stringMatching(/site-\d{8}T\d{6}\.tar\.1of\d\n/)]);
    const done = await byExecutable(["import", "--store", "inside", "--json", "out"]);
    const archives = JSON.parse(done.out).sources.filter((one: { name: string }) => one.name.endsWith(".tar"));
    expect(archives).toMatchObject([{ signers: [{ key: keyId, name: "site" }] }]);
    const have = (await byExecutable(["inventory", "--store", "inside"])).out;
    write({ "have.json": have });
    expect((await exported("more", "--since", "have.json")).code).toBe(0);
    const [archive = ""] = readdirSync(at("more")).filter((name) => name.endsWith(".tar"));
    const listed = Bun.spawnSync(["tar", "tf", at("more", archive)]).stdout.toString();
    expect([listed.includes("metadata.json"), listed.includes("SHA256SUMS.minisig"), /\.charm|resources\//.test(listed)]).toEqual([
      true,
      true,
      false,
    ]);
    const again = await byExecutable(["import", "--store", "inside", join("more", archive)]);
    expect([again.code, again.out]).toEqual([0, expect.stringContaining("nothing changed: everything was already present")]);
    expect((await byExecutable(["inventory", "--store", "inside"])).out).toBe(have);
  } finally {
    await upstream.stop();
  }
});

const lacks = Bun.which("minisign") === null;

test.skipIf(lacks)(`an archive is checked without chp${lacks ? " (left out: there is no minisign)" : ""}`, () => {
  const script = `set -e
    mkdir byhand && cd byhand && tar xf ../site.tar
    minisign -V -p ../site.key.pub -m SHA256SUMS
    for inner in *.tar.gz; do mkdir x && tar xzf "$inner" -C x && rm "$inner" && mv x "$inner"; done
    sha256sum --strict --quiet -c SHA256SUMS`;
  const { exitCode, stdout, stderr } = Bun.spawnSync(["sh", "-c", script], { cwd: folder.path });
  expect([exitCode, stdout.toString(), stderr.toString()]).toEqual([0, expect.stringContaining("chp export of 2026-04-26T16:31:15Z"), ""]);
});

test("parts are joined without chp", () => {
  write(Object.fromEntries(Object.entries(split("site.tar", tarOf(packed(TREE)), 11)).map(([name, content]) => [`cat/${name}`, content])));
  const { exitCode } = Bun.spawnSync(
    ["sh", "-c", "cat site.tar.*of11 > site.tar && sha256sum --strict --quiet -c site.tar.sha256 && tar tf site.tar"],
    {
      cwd: at("cat"),
    },
  );
  expect([exitCode, sumsOf(readFileSync(at("cat", "site.tar")))]).toEqual([0, sumsOf(tarOf(packed(TREE)))]);
});
