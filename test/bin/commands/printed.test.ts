/** What commands print that others read on: sizes, scripts, what to do on each machine. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { completionScript } from "../../../bin/commands/completion.ts";
import { byteSize, wholeNumber } from "../../../bin/commands/values.ts";
import { createAuthority, issueServer } from "../../../src/settings/authority.ts";
import { Memory } from "../../../store/memory.ts";
import { Store } from "../../../store/store.ts";
import { runProgram } from "../../program.ts";
import { IMAGES, ROOT, SNAP_WORLD } from "../../snapworld.ts";
import { tempFolder } from "../../temp.ts";
import { webApp } from "../../web.ts";
import { WORLD } from "../../world.ts";

const folder = tempFolder();
const at = (name: string) => join(folder.path, name);
afterAll(() => folder[Symbol.dispose]());

const json = async (...args: string[]) => {
  // Status asks for a server, and there may be one of somebody else at the usual address.
  const done = await runProgram([...args, "--store", at("store"), "--json"], { CHP_LISTEN: "127.0.0.1:9" });
  expect([done.code, done.err]).toEqual([0, ""]);
  return JSON.parse(done.out);
};

beforeAll(async () => {
  writeFileSync(at("snaps.tar.gz"), SNAP_WORLD);
  writeFileSync(at("world.tar.gz"), WORLD);
  writeFileSync(at("root.assert"), ROOT);
  const words = ["import", "--store", at("store"), "--trust", at("root.assert"), "--allow-unverified"];
  expect(await runProgram([...words, at("snaps.tar.gz"), at("world.tar.gz")])).toMatchObject({ code: 0 });
});

test("the size of a snap is that of all its files, and the size of the store that of all packages", async () => {
  const hello = Object.entries(IMAGES).filter(([name]) => /^hello[_+]/.test(name));
  expect(hello.length).toBeGreaterThan(2); // revisions and components
  const packages = (await json("list")) as { name: string; type: string; size: number }[];
  expect(packages.find(({ name, type }) => name === "hello" && type !== "charm")?.size).toBe(
    hello.reduce((sum, [, bytes]) => sum + bytes.byteLength, 0),
  );
  const { size, charms, bundles, snaps } = await json("status");
  expect(size).toBe(packages.reduce((sum, one) => sum + one.size, 0));
  const counted = (isOf: (type: string) => boolean) => packages.filter(({ type }) => isOf(type)).length;
  expect([charms, bundles, snaps]).toEqual([
    counted((type) => type === "charm"),
    counted((type) => type === "bundle"),
    counted((type) => type !== "charm" && type !== "bundle"),
  ]);
});

test.each(["bash", "zsh", "fish"] as const)("completion %s prints the script, or has it in a field", async (shell) => {
  const { code, out } = await runProgram(["completion", shell]);
  expect([code, out]).toEqual([0, completionScript(shell)]);
  expect(out).toContain("chp");
  expect(JSON.parse((await runProgram(["completion", shell, "--json"])).out)).toEqual({ shell, script: out });
});

test("a flag takes the least value that it says it takes, and none below", () => {
  for (const [read, least, below] of [
    [byteSize(2 ** 20), "1M", "1048575"],
    [byteSize(1), "1", "0"],
  ] as const) {
    expect(read(least, "--chunk")).toBeGreaterThan(0);
    expect(() => read(below, "--chunk")).toThrow("--chunk takes a size of at least");
  }
  expect(wholeNumber(2)("2", "--jobs")).toBe(2);
  expect(() => wholeNumber(2)("1", "--jobs")).toThrow("--jobs takes a whole number of at least 2, not 1");
});

test("where the public URL has TLS, machines are told to trust its certificate first; else there is nothing to trust", async () => {
  const store = await Store.openOrCreate(new Memory());
  const authority = await createAuthority("site CA", Date.now());
  const { certificate } = await issueServer(authority, ["hub.lan"], Date.now());
  await store.settings.change(["tls"], () => ({ tls: { certificate, authority: authority.certificate, names: ["hub.lan"] } }));
  const [pem = ""] = authority.certificate.split("\n").slice(1);
  const said = async (publicUrl: string) =>
    (await webApp(store, { publicUrl, settings: { "tls-listen": "127.0.0.1:8443" } }).ask("/_setup")).text;
  const secure = await said("https://hub.lan:8443");
  expect(secure).toContain("Whatever talks to this store has to trust its certificate");
  expect(secure).toContain(pem);
  const plain = await said("http://hub.lan:8080");
  expect(plain).not.toContain("Whatever talks to this store has to trust its certificate");
  expect(plain).not.toContain(pem);
});
