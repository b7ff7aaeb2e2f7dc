/** What each command says where it is used wrongly: the message, the exit code, and the next thing to type where there is one. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Disk } from "../../../store/fs.ts";
import { blobKey, generationKey } from "../../../store/keys.ts";
import { Store } from "../../../store/store.ts";
import { exportOf, tarOf } from "../../build.ts";
import { testKey } from "../../carried.ts";
import { SPEC } from "../../hostile/demo.ts";
import { layoutOf } from "../../layouts.ts";
import { runProgram } from "../../program.ts";
import { imageOf } from "../../registry.ts";
import { tempFolder } from "../../temp.ts";

const folder = tempFolder();
afterAll(() => folder[Symbol.dispose]());
const at = (...names: string[]) => join(folder.path, ...names);
const store = at("store");
const E = at("e.tar.gz");

beforeAll(async () => {
  writeFileSync(at("e.tar.gz"), exportOf([SPEC]));
  writeFileSync(at("empty.pub"), "");
  mkdirSync(at("nothing"));
  expect(await runProgram(["import", "--store", store, at("e.tar.gz")])).toMatchObject({ code: 0 });
});

/** What a command says; what it writes into a store of its own. */
async function said(...args: string[]) {
  const run = await runProgram([...args, "--store", store, "--quiet"]);
  return {
    code: run.code,
    message: run.err
      .split("\n")
      .at(-2)
      ?.replace(/^chp: /, "")
      .replaceAll(folder.path, "…"),
    next: run.next,
  };
}

describe("usage", () => {
  const rows: readonly (readonly [args: string[], message: string, next?: string])[] = [
    [
      ["accept-key", "--until", "2030-01-01"],
      "--until is the end of the keys that are given with it",
      "chp accept-key FILE.pub --until DATE",
    ],
    [["doctor", "--cloud", "lxd"], "--cloud says where the Juju of --juju bootstraps", "give --juju VERSION with it"],
    [["export"], "say what is wanted: -f FILE, or --all", "chp help export shows what a file may say"],
    [["export", "-f", "x.yaml", "--all"], "say what is wanted: -f FILE, or --all", "chp help export shows what a file may say"],
    [["export", "snaps"], "name snaps, or a file of them with --from-yaml FILE"],
    [["images", "--script", "docker"], "--script takes skopeo, not docker"],
    [["import-certificate", "--selfsigned", "--cert", "a"], "--selfsigned makes both: it takes no --cert and no --key"],
    [["import-certificate", "--name", "hub.lan"], "--name is for --selfsigned; a certificate that is given has its names"],
    [["import-certificate", "--key", "a"], "--cert and --key come together", "or give both on standard input"],
    [["import-certificate", "--cert", "a"], "--cert and --key come together", "or give both on standard input"],
    [["import", "--renamed", "a", E], "--renamed takes OLD=NEW, not a", "chp list shows what is stored"],
    [["import", "--renamed", "a=b=c", E], "--renamed takes OLD=NEW, not a=b=c", "chp list shows what is stored"],
    [["inventory", "--manifest", "--json"], "--manifest prints YAML, and no JSON"],
    [["juju-config", "--juju", "3.6"], "--juju says which Juju bootstraps", "give --bootstrap or --cloud KIND with it"],
    [["log", "--key", "x.pub"], "--key is for --verify"],
    [["show", "demo", "--type", "deb"], "--type takes charm, bundle, snap, image, agent, not deb"],
    [["token", "--list", "usb"], "--list takes no name and nothing else"],
    [["token", "--list", "--revoke"], "--list takes no name and nothing else"],
    [["token", "--revoke"], "--revoke takes the name of a token and nothing else", "chp token --list shows them"],
    [["token", "usb", "--revoke", "--may", "push"], "--revoke takes the name of a token and nothing else", "chp token --list shows them"],
    [["token", "--may", "push"], "--may is for a new token, which needs a name"],
    [["token", "usb", "--until", "soon"], "--until: soon is neither a day (2026-12-31) nor a time of RFC 3339"],
    [
      ["serve", "--tls-listen", "127.0.0.1:0"],
      "--tls-listen needs a certificate",
      "chp import-certificate --selfsigned makes one; or name files with --tls-cert FILE --tls-key FILE",
    ],
    [["serve", "--tls-listen", "127.0.0.1:0", "--tls-cert", "a"], "--tls-cert needs --tls-key FILE"],
    [["serve", "--tls-listen", "127.0.0.1:0", "--tls-key", "a"], "--tls-key needs --tls-cert FILE"],
    [["import", "/dev/null"], "/dev/null is neither a file nor a folder"],
  ];
  test.each(rows.map(([args, message, next]) => [args, { code: 2, message, next }] as const))("%j", async (args, expected) => {
    expect(await said(...args)).toEqual(expected);
  });

  test.each([[""], [" "], ["a,b"], ["a\nb"], ["x".repeat(101)]])("keygen --comment %j", async (comment) => {
    expect(await runProgram(["keygen", at("new.key"), "--comment", comment])).toMatchObject({
      code: 2,
      err: "chp: --comment takes a line of at most 100 characters, without a comma\n",
    });
    expect(readdirSync(folder.path)).not.toContain("new.key");
  });

  test.each([[["remove"]], [["remove", "demo", "--apply", "plan"]]])("%j", async (args) => {
    expect(await said(...args)).toMatchObject({ code: 2, message: "name what to remove, or a plan with --apply" });
  });

  test("import --repair has nothing to do with another machine", async () => {
    expect(await said("import", "--repair", "--to", "https://hub.lan", at("e.tar.gz"))).toMatchObject({
      code: 2,
      message: "--repair is for the store here, so it takes no --to",
    });
  });

  test.each([
    ["--allow-unsigned", "required signatures are decided"],
    ["--allow-older", "older archives are allowed"],
  ])("import --to decides nothing of the other store: %s", async (flag, why) => {
    const run = await runProgram(["import", flag, "--to", "https://hub.lan", at("e.tar.gz")], { CHP_TOKEN: "t" });
    expect([run.code, run.err]).toEqual([2, `chp: ${flag} cannot be used with --to: ${why} on the machine of the store\n`]);
  });

  test("a setting that a command of its own sets", async () => {
    expect(await said("config", "proxy.tls.cert=x")).toEqual({
      code: 2,
      message: "proxy.tls.cert is not set by chp config",
      next: "chp import-certificate sets it",
    });
  });
});

describe("what is not there", () => {
  test.each([
    [["restore", "…/nothing"], 1, "there is no backup in …/nothing", "name the folder that chp backup wrote"],
    [["juju-config"], 1, "set a public URL first: a Juju model keeps this address permanently", expect.stringContaining("public-url")],
  ])("%j", async (args, code, message, next) => {
    expect(await said(...args.map((arg) => arg.replace("…", folder.path)))).toEqual({ code, message, next });
  });
});

test("a token of a name that is taken", async () => {
  const token = () => runProgram(["token", "usb", "--out", at(`${crypto.randomUUID()}.token`), "--store", at("tokens")]);
  expect(await runProgram(["import", "--store", at("tokens"), at("e.tar.gz")])).toMatchObject({ code: 0 });
  expect(await token()).toMatchObject({ code: 0 });
  expect(await token()).toMatchObject({
    code: 2,
    err: expect.stringContaining("there is a token named usb already, and its secret is not kept"),
  });
});

test("another key of the id of a trusted one is not taken in its place", async () => {
  const [own, other] = [testKey("site").texts.public, testKey("other").texts.public];
  const id = Buffer.from(own.split("\n")[1] ?? "", "base64").subarray(2, 10);
  const forged = Buffer.from(other.split("\n")[1] ?? "", "base64");
  id.copy(forged, 2);
  writeFileSync(at("own.pub"), own);
  writeFileSync(at("forged.pub"), `untrusted comment: forged\n${forged.toString("base64")}\n`);
  cpSync(store, at("keys"), { recursive: true });
  const accept = (file: string) => runProgram(["accept-key", at(file), "--store", at("keys"), "--quiet"]);
  expect(await accept("own.pub")).toMatchObject({ code: 0 });
  const { code, err, next } = await accept("forged.pub");
  expect([code, err]).toEqual([3, expect.stringMatching(/^chp: another key is trusted as [0-9A-F]{16} already\n$/)]);
  expect(next).toStartWith("chp accept-key --remove ");
});

test("a name that a package and images have, says which one is meant", async () => {
  const image = imageOf({ layers: ["base"] });
  writeFileSync(at("image.tar"), tarOf(layoutOf([{ image, name: `${SPEC.name}:1` }])));
  cpSync(store, at("both"), { recursive: true });
  expect(await runProgram(["import", "--store", at("both"), at("image.tar")])).toMatchObject({ code: 0 });
  expect(await runProgram(["remove", SPEC.name, "--store", at("both")])).toMatchObject({
    code: 2,
    err: expect.stringContaining(`${SPEC.name} is a package and a repository of images`),
  });
});

test("what is left out of an export is one of those that can be", async () => {
  writeFileSync(at("site.yaml"), `charms: [${SPEC.name}]\n`);
  expect(await said("export", "-f", at("site.yaml"), "--without", "everything", "--dry-run")).toMatchObject({
    code: 2,
    message: "--without does not know everything",
  });
});

test("a verification that is ended says what it did not see", async () => {
  const ended = new AbortController();
  ended.abort();
  expect(await runProgram(["verify", "--store", store], {}, "chp", ended.signal)).toMatchObject({
    err: expect.stringContaining("interrupted: what was not checked yet may be damaged"),
  });
});

describe("a store that is damaged", () => {
  const damaged = async (damage: (copy: Store, path: string) => Promise<void>) => {
    const path = at(crypto.randomUUID());
    cpSync(store, path, { recursive: true });
    await damage(await Store.open(new Disk(path)), path);
    return path;
  };

  test("lists the rest, and says what is left out", async () => {
    const path = await damaged(async (copy, place) => {
      const [digest] = (await copy.snapshot()).index.packages[SPEC.name] ?? [];
      rmSync(join(place, digest ? blobKey(digest) : "none"));
    });
    expect(await runProgram(["list", "--store", path])).toMatchObject({
      code: 13,
      err: expect.stringContaining(`chp: left out: ${SPEC.name}: not readable`),
    });
  });

  test("or that an older generation was read", async () => {
    const path = await damaged(async (_copy, place) => {
      const first = readFileSync(join(place, generationKey(1)));
      writeFileSync(join(place, generationKey(2)), first.subarray(10));
    });
    expect(await runProgram(["list", "--store", path])).toMatchObject({
      code: 13,
      err: expect.stringContaining("chp: an older generation was read: "),
    });
  });
});

test("the key of a store that cannot be read is named, and nothing is published unsigned", async () => {
  const path = at("signed");
  cpSync(store, path, { recursive: true });
  const key = at("gone.key");
  expect(await runProgram(["keygen", key, "--quiet"])).toMatchObject({ code: 0 });
  expect(await runProgram(["config", `store-key=${key}`, "--store", path])).toMatchObject({ code: 0 });
  rmSync(key);
  expect(await runProgram(["close", SPEC.name, "14/stable", "--store", path])).toMatchObject({
    code: 1,
    err: expect.stringContaining(`cannot read ${key}, the store key: `),
  });
  expect(readdirSync(join(path, "catalog"))).toHaveLength(1);
});

test("two stores, where neither is named", async () => {
  mkdirSync(at("home/.local/share/chp"), { recursive: true });
  const run = await runProgram(["list"], { HOME: at("home") });
  // Only a machine that has the system's store too has the question.
  expect(run.err).toContain(
    run.code === 2 ? "there are stores in /var/lib/chp and in " : `using the store in ${at("home")}/.local/share/chp`,
  );
});
