/** What commands say of a change: what it was, how it is undone, and what to type next. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { exportOf, type PackageSpec } from "../../build.ts";
import { SPEC } from "../../hostile/demo.ts";
import { runProgram } from "../../program.ts";
import { tempFolder } from "../../temp.ts";

const folder = tempFolder();
const at = (name: string) => join(folder.path, name);
const store = at("store");
const run = (...args: string[]) => runProgram([...args, "--store", store]);
const CHANGED: PackageSpec = { ...SPEC, result: { summary: "Another summary" } };

beforeAll(async () => {
  writeFileSync(at("e.tar.gz"), exportOf([SPEC]));
  writeFileSync(at("changed.tar.gz"), exportOf([CHANGED]));
  const done = await run("import", at("e.tar.gz"));
  expect([done.code, done.err]).toEqual([0, `next: chp serve --store ${store}, or chp list --store ${store} to see what is stored\n`]);
});
afterAll(() => folder[Symbol.dispose]());

test("a package of which only metadata changed says what, in the report of the import and in diff", async () => {
  const done = await run("import", at("changed.tar.gz"));
  expect(done.out).toContain("  note: only metadata changed: details.summary\n");
  expect((await run("diff", "1")).out).toBe("demo: charm, changed\n  metadata  details.summary\n");
  expect(JSON.parse((await run("diff", "1", "--json")).out).packages).toMatchObject([{ name: "demo", metadata: ["details.summary"] }]);
  expect((await run("import", "--dry-run", at("e.tar.gz"))).out).toContain("  note: only metadata changed\n");
});

describe("config", () => {
  const quiet = (...args: string[]) => run("config", ...args);

  test("says what is set now, when it takes effect, and how it is undone", async () => {
    const done = await quiet("public-url=https://hub.lan", "proxy.oci-registry.domain=r.lan:5000");
    expect(done.err.split("\n")).toEqual([
      "public-url = https://hub.lan (restart chp serve to apply)",
      "proxy.oci-registry.domain = r.lan:5000 (a running chp serve applies it within a second)",
      `undo: chp config 'public-url=' 'proxy.oci-registry.domain=' --store ${store}`,
      "",
    ]);
    const same = await quiet("public-url=https://hub.lan");
    expect([same.code, same.err]).toEqual([0, "nothing changed: it was set so already\n"]);
  });

  test("undoes a secret that was not set, and names one whose former value is lost", async () => {
    const set = await quiet("proxy.oci-registry.username=bot", "proxy.oci-registry.password=hush");
    expect(set.err).toContain(`undo: chp config 'proxy.oci-registry.username=' 'proxy.oci-registry.password=' --store ${store}\n`);
    const unset = await quiet("proxy.oci-registry.password=");
    expect(unset.err).toContain("proxy.oci-registry.password = (not set)");
    expect(unset.err).toContain("not undone by that: the former proxy.oci-registry.password is not kept; set it again");
    expect(unset.err).not.toContain("undo:");
    for (const { err, out } of [set, unset]) expect(err + out).not.toContain("hush");
  });

  test("prints the change as JSON", async () => {
    const done = await quiet("public-url=https://two.lan", "proxy.oci-registry.password=hush", "--json");
    expect(JSON.parse(done.out)).toEqual({
      changes: [
        { key: "public-url", from: "https://hub.lan", to: "https://two.lan", applies: "restart chp serve to apply" },
        {
          key: "proxy.oci-registry.password",
          from: null,
          to: "(set, not shown)",
          applies: "a running chp serve applies it within a second",
        },
      ],
      undo: `chp config 'public-url=https://hub.lan' 'proxy.oci-registry.password=' --store ${store}`,
      lost: [],
    });
    expect(done.err).toBe("");
  });

  test("takes a size as other commands do", async () => {
    expect((await quiet("remote-import.max-size=10G")).code).toBe(0);
    expect((await quiet("remote-import.max-size")).out).toBe(`${10 * 2 ** 30}\n`);
    expect(await quiet("remote-import.max-size=much")).toMatchObject({ code: 2 });
    expect((await quiet("remote-import.max-size=much")).err).toContain("much is not a number of at least 1, or a size like 500G");
  });
});

describe("token --out", () => {
  test("writes the token into a file that its owner alone may read, and prints it nowhere", async () => {
    const file = at("host.token");
    const done = await run("token", "host", "--out", file);
    const token = readFileSync(file, "utf8").trim();
    expect([done.code, done.out, statSync(file).mode & 0o777]).toEqual([0, `${file}\n`, 0o600]);
    expect(token.length).toBeGreaterThan(20);
    expect(done.err).not.toContain(token);
    expect((await run("token", "--list")).out).toContain("host\timport\t");
  });

  test("makes no token where the file cannot be made, and no file where the token cannot", async () => {
    const taken = at("host.token");
    const before = readFileSync(taken, "utf8");
    const done = await run("token", "other", "--out", taken);
    expect([done.code, done.err]).toEqual([2, expect.stringContaining("there is a file of that name")]);
    expect(readFileSync(taken, "utf8")).toBe(before);
    expect((await run("token", "--list")).out).not.toContain("other");
    expect((await run("token", "host", "--out", at("again.token"))).code).toBe(2);
    expect(readdirSync(folder.path)).not.toContain("again.token");
    expect((await run("token", "--list", "--out", at("x"))).code).toBe(2);
  });
});

test("token --may says what a new token may do; without it, it may import", async () => {
  const pusher = await run("token", "pusher", "--may", "push");
  expect([pusher.code, pusher.err]).toEqual([0, expect.stringContaining("registry.push=on")]);
  expect(pusher.err).not.toContain("chp import --to");
  const both = await run("token", "both", "--may", "push,import", "--json");
  expect(JSON.parse(both.out)).toMatchObject({ may: ["import", "push"] });
  const listed = (await run("token", "--list")).out;
  for (const row of ["both\timport,push\t", "pusher\tpush\t"]) expect(listed).toContain(row);
  expect(await run("token", "other", "--may", "everything")).toMatchObject({
    code: 2,
    err: expect.stringContaining("not one of import, push"),
  });
  expect((await run("token", "--list", "--may", "push")).code).toBe(2);
  expect((await run("status")).out).not.toContain("pusher");
});

test("a restored store is served by naming it", async () => {
  expect((await run("backup", at("backup"))).code).toBe(0);
  mkdirSync(at("copy"));
  const done = await runProgram(["restore", at("backup"), "--store", at("copy")]);
  expect([done.code, done.err]).toEqual([0, expect.stringContaining(`next: chp serve --store ${at("copy")}\n`)]);
});
