/** The Overrides API by the executable, with curl, as scripts of the Enterprise Store use it. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT, SNAP_WORLD } from "../snapworld.ts";
import { chp, here, logged, type Served, serve, tempFolder } from "./chp.ts";

const folder = tempFolder();
const at = (name: string) => join(folder.path, name);
const STORE = at("store");
let served: Served;
let token = "";

const run = async (...args: string[]) => {
  const done = await here([...args, "--store", STORE]);
  expect([args[0], done.code, done.code === 0 ? "" : done.err]).toEqual([args[0], 0, ""]);
  return done.out;
};

/** Lists, sets and takes away, as an operator's script does; the answers go to files beside it. */
const SCRIPT = `#!/bin/bash
set -euo pipefail
API=$HUB/v2/metadata/overrides
TOKEN=$(cat "$TOKEN_FILE")
call() { curl -sS --noproxy '*' --fail-with-body --cacert ca.crt -H "Authorization: Bearer $TOKEN" -H 'X-Ubuntu-Series: 16' "$@"; }
case $1 in
  list) call "$API/$2" ;;
  set)
    printf '[{"snap_name": "%s", "revision": %s, "channel": "%s", "series": "16"}]' "$2" "$4" "$3" |
      call -H 'Content-Type: application/json' -d @- "$API"
    ;;
  from) call -H 'Content-Type: application/json' -d "@$2" "$API" ;;
esac
`;

beforeAll(async () => {
  writeFileSync(at("root.assert"), ROOT);
  writeFileSync(at("snaps.tar.gz"), SNAP_WORLD);
  writeFileSync(at("overrides.sh"), SCRIPT);
  chmodSync(at("overrides.sh"), 0o755);
  await run("import", "--trust", at("root.assert"), at("snaps.tar.gz"));
  await run("import-certificate", "--selfsigned");
  writeFileSync(at("ca.crt"), await run("config", "proxy.tls.cert"));
  await run("token", "night-job", "--may", "overrides", "--out", at("night-job.token"));
  token = readFileSync(at("night-job.token"), "utf8").trim();
  served = await serve(STORE, ["--tls-listen", "127.0.0.1:0"]);
});

afterAll(async () => {
  expect(await served.stop()).toBe(0);
  folder[Symbol.dispose]();
});

function spawnScript(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const { PATH = "" } = process.env;
  return Bun.spawn(["./overrides.sh", ...args], {
    cwd: folder.path,
    env: { PATH, HUB: served.urls[1] ?? "", TOKEN_FILE: at("night-job.token"), ...env },
    stdout: "pipe",
    stderr: "pipe",
  });
}

async function script(...args: string[]) {
  const child = spawnScript(args);
  const [out, err, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
  return { code, out, err, json: code === 0 ? JSON.parse(out) : undefined };
}

const generations = async () => JSON.parse(await run("log", "--json")) as { number: number; command: string }[];
const facts = async () => JSON.parse(await run("overrides", "--json")) as { revision: number; reason: string; without: number | null }[];

test("a script lists, sets and takes away, and each request is one generation with its undo in the log", async () => {
  expect((await script("list", "hello")).json).toEqual({ overrides: [] });
  const before = (await generations())[0]?.number ?? 0;
  const set = await script("set", "hello", "stable", "6");
  expect(set.json.overrides).toMatchObject([
    { snap_name: "hello", revision: 6, upstream_revision: 5, channel: "stable", architecture: "amd64" },
  ]);
  expect((await script("list", "hello")).json).toEqual(set.json);
  expect(await facts()).toMatchObject([{ revision: 6, without: 5, reason: "Overrides API, token night-job" }]);
  expect((await generations())[0]).toMatchObject({ number: before + 1, command: "override by token night-job: hello stable=6" });
  await logged(served, "overrides were set");
  const line =
    served
      .log()
      .split("\n")
      .find((text) => text.includes("overrides were set")) ?? "{}";
  const { undo } = JSON.parse(line);
  expect(undo).toBe(`chp rollback ${before} --store ${STORE}`);
  // What the log says is what takes it back, while it serves.
  expect((await here(undo.split(" ").slice(1))).code).toBe(0);
  expect((await script("list", "hello")).json).toEqual({ overrides: [] });
  await script("set", "hello", "stable", "7");
  expect((await script("set", "hello", "stable", "null")).json.overrides).toMatchObject([{ revision: null, upstream_revision: 5 }]);
  expect(await facts()).toEqual([]);
});

test("a file of many is set whole or not at all, and curl fails with what is wrong", async () => {
  const wish = (snap_name: string, channel: string, revision: number) => ({ snap_name, revision, channel, series: "16" });
  const right = [wish("hello", "stable", 6), wish("hello", "stable", 8), wish("all1", "edge", 1)];
  const before = await generations();
  writeFileSync(at("wrong.json"), JSON.stringify([...right, wish("hello", "edge", 99)]));
  const refused = await script("from", "wrong.json");
  expect([refused.code, JSON.parse(refused.out)["error-list"][0].message]).toEqual([22, "revision 99 of hello is not stored"]);
  expect(await generations()).toEqual(before);
  writeFileSync(at("right.json"), JSON.stringify(right));
  expect((await script("from", "right.json")).json.overrides).toHaveLength(3);
  expect(await generations()).toHaveLength(before.length + 1);
});

test("two scripts at once, and an operator beside them: all of it takes effect", async () => {
  const before = (await generations()).length;
  const scripts = ["stable/a", "stable/b", "stable/c", "stable/d"].map((channel, i) =>
    script("set", "hello", channel, String(5 + (i % 2))),
  );
  const held = chp(["override", "all1", "1", "latest/beta", "--reason", "by hand", "--store", STORE]);
  expect((await Promise.all(scripts)).map(({ code }) => code)).toEqual([0, 0, 0, 0]);
  // An operator's change is not merged: where another came in between, it says so.
  const byHand = [0, 12].indexOf((await held).code);
  expect(byHand).not.toBe(-1);
  expect(await generations()).toHaveLength(before + 4 + (byHand === 0 ? 1 : 0));
  const rows = (await script("list", "hello")).json.overrides as { channel: string }[];
  expect(rows.map(({ channel }) => channel)).toEqual(expect.arrayContaining(["stable/a", "stable/b", "stable/c", "stable/d"]));
});

test("its token ends with it, and stands in no log", async () => {
  await run("token", "night-job", "--revoke");
  expect((await script("list", "hello")).code).toBe(22);
  await run("token", "other", "--may", "overrides");
  const refused = await script("list", "hello");
  expect([refused.code, JSON.parse(refused.out)["error-list"][0]]).toEqual([
    22,
    { code: "unauthorized", message: "the token is not known", next: expect.stringContaining("chp token NAME --may overrides makes one") },
  ]);
  await logged(served, "an override was not admitted");
  for (const text of [served.log(), await run("log"), await run("log", "--json"), await run("overrides")])
    expect(text).not.toContain(token);
});
