/** What an operator meets who gives a command the wrong file or folder, or the same one twice. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { base, charmZip, exportOf, imageBlob, type PackageSpec } from "../../build.ts";
import { SPEC } from "../../hostile/demo.ts";
import { runProgram } from "../../program.ts";
import { tempFolder } from "../../temp.ts";

const folder = tempFolder();
const at = (name: string) => join(folder.path, name);
const store = at("store");
const NAME = SPEC.name;

beforeAll(async () => {
  writeFileSync(at("e.tar.gz"), exportOf([SPEC]));
  writeFileSync(at("notes.txt"), "nothing to import");
  for (const name of ["empty", "home"]) mkdirSync(at(name));
  writeFileSync(at("home/letter.txt"), "mine");
  expect(await runProgram(["import", "--store", store, at("e.tar.gz")])).toMatchObject({ code: 0 });
});
afterAll(() => folder[Symbol.dispose]());

describe("an import", () => {
  test("of what is stored says so, in these words", async () => {
    const { out } = await runProgram(["import", "--store", store, at("e.tar.gz")]);
    expect(out).toMatch(new RegExp(`^${NAME}: charm, already present\\n  revisions  \\d+ already present`));
    expect(out).not.toMatch(/\bknown\b/);
  });

  test.each([
    [["empty"], "there is no file to import in EMPTY"],
    [["-"], "there is nothing to import: standard input is empty"],
    [["notes.txt"], "there is no charm, bundle, snap, image, agent or assertion in NOTES.TXT"],
  ])("of %j names what was given", async (given, message) => {
    const paths = given.map((name) => (name === "-" ? name : at(name)));
    const run = await runProgram(["import", "--store", store, ...paths]);
    const named = (text: string) => text.replace(/[A-Z]{4,}[.A-Z]*/, (name) => at(name.toLowerCase()));
    expect([run.code, run.err.split("\n").at(-2)]).toEqual([3, `chp: ${named(message)}`]);
  });

  test("puts no store into a folder with other files", async () => {
    const run = await runProgram(["import", "--store", at("home"), at("e.tar.gz")]);
    expect(run).toMatchObject({ code: 2, err: `chp: ${at("home")} is not a store, and has other files, like letter.txt\n` });
    expect(readdirSync(at("home"))).toEqual(["letter.txt"]);
  });
});

describe("--exit-code", () => {
  beforeAll(async () => {
    const jammy = base("amd64", "22.04");
    const files = {
      "refresh_versions.toml": 'charm_major = 1\nworkload = "14"\n[snap]\nname = "needed"\n[snap.revisions]\nx86_64 = "96"\n',
    };
    const spec: PackageSpec = {
      ...SPEC,
      revisions: { 7: charmZip({ name: NAME, revision: 7, bases: [jammy], files, resources: { img: { type: "oci-image" } } }) },
      resources: { img: { type: "oci-image", revisions: { 1: imageBlob(`registry.lan/demo/img@sha256:${"8".repeat(64)}`) } } },
      releases: [{ channel: "14/stable", base: jammy, revision: 7, resources: { img: 1 } }],
    };
    writeFileSync(at("needy.tar.gz"), exportOf([spec]));
    expect(await runProgram(["import", "--store", at("needy"), at("needy.tar.gz")])).toMatchObject({ code: 0 });
  });

  test.each([
    ["missing", [], "1 snap is listed"],
    ["missing", ["--json"], "1 snap is listed"],
    ["missing", ["--yaml"], "1 snap is listed"],
    ["images", [], "1 image is listed"],
    ["images", ["--json"], "1 image is listed"],
    ["images", ["--missing", "--script", "skopeo"], "1 image is listed"],
  ])("of %s %j is 1 where something is listed, which is printed", async (command, flags, message) => {
    const args = [command, ...flags, "--store", at("needy")];
    const [plain, done] = [await runProgram(args), await runProgram([...args, "--exit-code"])];
    expect(done).toEqual({ code: 1, out: plain.out, err: `${plain.err}chp: ${message}\n` });
    expect([plain.code, plain.out === ""]).toEqual([0, false]);
    expect(await runProgram([command, ...flags, "--exit-code", "--store", store])).toMatchObject({ code: 0 });
  });
});

test("a release that begins a track says so", async () => {
  const args = ["release", NAME, "7", "99/stable", "--store", store];
  expect((await runProgram(args)).out).toContain(`${NAME}: 99 is a new track\n`);
});

test("list shows the packages that are named, and the nearest where there is none", async () => {
  expect((await runProgram(["list", NAME, "--store", store])).out).toStartWith(`${NAME}\tcharm\t`);
  expect(await runProgram(["list", `${NAME}x`, "--store", store])).toMatchObject({
    code: 1,
    next: expect.stringContaining(`did you mean ${NAME}?`),
  });
});

test("a backup by hard links says what it does not protect against", async () => {
  const { err } = await runProgram(["backup", at("backup"), "--store", store]);
  expect(err).toContain("hard links are the same files on the same disk: they do not protect against damage to it\n");
});

describe("an export", () => {
  const run = (...args: string[]) => runProgram(["export", ...args, "--store", at("two"), "--export-dir", at("out"), "--base", "22.04"]);
  beforeAll(async () => {
    const jammy = base("amd64", "22.04");
    const other = {
      ...SPEC,
      name: "other",
      id: "OtherOtherOtherOtherOtherOtherOt",
      revisions: { 7: charmZip({ name: "other", revision: 7, bases: [jammy] }) },
    };
    const named = (spec: PackageSpec): PackageSpec => ({
      ...spec,
      publisher: { id: "nobody", username: "nobody", "display-name": "N", validation: "unproven" },
    });
    writeFileSync(
      at("two.tar.gz"),
      exportOf([SPEC, { ...other, resources: {}, releases: [{ channel: "14/stable", base: jammy, revision: 7 }] }].map(named)),
    );
    expect(await runProgram(["import", "--store", at("two"), at("two.tar.gz")])).toMatchObject({ code: 0 });
  });

  test("names the entry of an unknown key, and the key that was probably meant", async () => {
    writeFileSync(at("wrong.yaml"), "charms: [{name: kafka-k8s, architecture: amd64}]\n");
    expect(await run("-f", at("wrong.yaml"))).toMatchObject({
      code: 2,
      err: `chp: ${at("wrong.yaml")}: charms.0: unknown key architecture of kafka-k8s\n`,
      next: "did you mean architectures? chp help site-file lists the keys",
    });
  });

  test("says of a publisher once that it has no assertion", async () => {
    const { code, err } = await run("charms", NAME, "other");
    expect(code).toBe(0);
    expect(err.split("\n").filter((line) => line.includes("no account assertion"))).toEqual([
      "the Snap Store has no account assertion of the publisher nobody; no client needs it",
    ]);
  });

  test("names what is missing once, with the reason, and no flag that its command does not have", async () => {
    writeFileSync(at("site.yaml"), `charms: [${NAME}, {name: other, channel: 15/stable}]\nsnaps: [gone]\nwithout: [snapd]\n`);
    const done = await run("-f", at("site.yaml"));
    expect(done.code).toBe(4);
    expect(done.err.split("\n").filter((line) => line.startsWith("not exported: "))).toEqual([
      "not exported: other: it has no release in 15/stable for amd64",
      "not exported: gone: from stable for amd64: No snap with the given name was found in the store.",
    ]);
    expect(done.next).toBe("upstream does not offer these: correct the site file, or remove them from it");
  });
});

test("the list of pushed snaps does not call a store of charms empty", async () => {
  expect((await runProgram(["list-pushed-snaps", "--store", store])).err).toBe("no snap is stored; next: chp import FILE\n");
});

test("doctor is for people in a pipe, too", async () => {
  expect((await runProgram(["doctor", "--offline", "--store", store])).out).toMatch(/^ok {2,}snaps: /m);
});

test("help as JSON lists commands and topics", async () => {
  const { commands, topics } = JSON.parse((await runProgram(["help", "--json"])).out);
  expect(commands).toContainEqual({ name: "list", aliases: ["ls"], summary: "List the stored charms, bundles, snaps, images and agents" });
  expect(topics).toContainEqual({ name: "exit-codes", title: "Exit codes" });
});
