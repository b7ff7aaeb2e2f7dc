/** What is not there is exit code 1, whatever command names it. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { exportOf } from "../../build.ts";
import { SPEC } from "../../hostile/demo.ts";
import { runProgram } from "../../program.ts";
import { tempFolder } from "../../temp.ts";

const folder = tempFolder();
const store = join(folder.path, "store");

beforeAll(async () => {
  const file = join(folder.path, "e.tar.gz");
  writeFileSync(file, exportOf([SPEC]));
  mkdirSync(join(folder.path, "empty"));
  expect(await runProgram(["import", "--store", store, file])).toMatchObject({ code: 0 });
});
afterAll(() => folder[Symbol.dispose]());

const NAME = SPEC.name;

test.each<string[]>([
  ["show", "nope"],
  ["release", "nope", "1", "latest/stable"],
  ["release", NAME, "999", "latest/stable"],
  ["close", "nope", "latest/stable"],
  ["close", NAME, "99/stable"],
  ["default-track", NAME, "99"],
  ["override", NAME, "999", "latest/stable", "--reason", "x"],
  ["end-override", NAME, "latest/stable"],
  ["remove", "nope"],
  ["rollback", "99"],
  ["diff", "99"],
  ["accept-key", "--remove", "0123456789ABCDEF"],
  ["token", "--revoke", "nope"],
  ["restore", join(folder.path, "empty")],
])("%s %s …", async (...args) => {
  const to = args[0] === "restore" ? join(folder.path, "restored") : store;
  const done = await runProgram([...args, "--store", to]);
  expect([done.code, done.err, done.next]).toEqual([1, expect.stringMatching(/^chp: /), expect.any(String)]);
});

test("a key that is not trusted is named as it was typed", async () => {
  expect((await runProgram(["accept-key", "--remove", "xyz", "--store", store])).err).toBe(
    "chp: key xyz is not a trusted key, so it can't be removed\n",
  );
});
