import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readPublicKey, readSecretKey, sign, verify } from "../../../src/archives/signature.ts";
import { runProgram } from "../../program.ts";
import { tempFolder } from "../../temp.ts";

const keygen = (...args: string[]) => runProgram(["keygen", ...args, "--quiet"]);

test("a secret key that stands alone, since a keygen was broken off, gets its public key; nothing is written over", async () => {
  using folder = tempFolder();
  const file = join(folder.path, "site.key");
  expect(await keygen(file, "--comment", "site")).toMatchObject({ code: 0 });
  const [secret, publicKey] = [readFileSync(file, "utf8"), readFileSync(`${file}.pub`, "utf8")];
  expect([statSync(file).mode & 0o777, readdirSync(folder.path).toSorted()]).toEqual([0o600, ["site.key", "site.key.pub"]]);
  expect(await keygen(file)).toMatchObject({ code: 2 });
  rmSync(`${file}.pub`);
  expect(await keygen(file, "--comment", "site")).toMatchObject({ code: 0 });
  expect([readFileSync(file, "utf8"), readFileSync(`${file}.pub`, "utf8")]).toEqual([secret, publicKey]);
  const signature = sign("sums", readSecretKey(secret, "it"), { now: 0 });
  expect(verify("sums", signature, [readPublicKey(publicKey, "it")]).key.comment).toBe("site");
});

test.each<[string, (file: string) => void]>([
  ["another file of that name", (file) => writeFileSync(file, "mine")],
  ["a folder of that name", (file) => mkdirSync(file)],
  ["a public key whose secret is elsewhere", (file) => writeFileSync(`${file}.pub`, "mine")],
])("%s is left as it is", async (_, make) => {
  using folder = tempFolder();
  const file = join(folder.path, "site.key");
  make(file);
  const before = readdirSync(folder.path);
  expect(await keygen(file)).toMatchObject({ code: 2, err: expect.stringContaining("exists already, and a key is never overwritten") });
  expect(readdirSync(folder.path)).toEqual(before);
});

test("a folder that can't be written to is named, and nothing is left in it", async () => {
  using folder = tempFolder();
  expect(await keygen(join(folder.path, "nowhere", "site.key"))).toMatchObject({ code: 1, err: expect.stringContaining("cannot write") });
  expect(readdirSync(folder.path)).toEqual([]);
});
