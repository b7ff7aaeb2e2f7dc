/** What an operator sees of keys, of older archives, and of a repair. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { base, charmZip, type PackageSpec, packageFiles, tarOf } from "../../build.ts";
import { carried, testKey } from "../../carried.ts";
import { runProgram } from "../../program.ts";
import { tempFolder } from "../../temp.ts";

const folder = tempFolder();
afterAll(() => folder[Symbol.dispose]());
const at = (...names: string[]) => join(folder.path, ...names);
const SITE = testKey("site");
const ENDED = testKey("ended");
const DAY = 86_400_000;
const today = Date.now();

const run = (...args: string[]) => runProgram([...args, "--store", at("store")]);

function archive(name: string, revision: number, signedAt: number): void {
  const spec: PackageSpec = {
    name: "demo",
    id: "IDdemo",
    type: "charm",
    revisions: { [revision]: charmZip({ name: "demo", revision, bases: [base("amd64", "22.04")] }) },
    releases: [{ channel: "latest/stable", base: base("amd64", "22.04"), revision, releasedAt: `2026-03-01T00:00:0${revision}Z` }],
  };
  writeFileSync(at(name), tarOf(carried({ "demo.tar.gz": packageFiles(spec) }, SITE, signedAt)));
}

beforeAll(async () => {
  for (const [name, key] of [
    ["site.pub", SITE],
    ["ended.pub", ENDED],
  ] as const)
    writeFileSync(at(name), key.texts.public);
  archive("old.tar", 1, today - 20 * DAY);
  archive("new.tar", 2, today - 12 * DAY - 1000);
});

test("a key with an end, the age of the newest archive, an older one, and a repair from it", async () => {
  const soon = new Date(today + 10 * DAY).toISOString().slice(0, 10);
  const accepted = await run("accept-key", at("site.pub"), "--until", soon);
  expect([accepted.code, accepted.out]).toEqual([0, expect.stringContaining(`${soon}T23:59:59Z`)]);
  expect(JSON.parse((await run("accept-key", "--json")).out)).toMatchObject([{ id: SITE.accepted.id, until: `${soon}T23:59:59Z` }]);
  expect(await run("accept-key", "--until", soon)).toMatchObject({ code: 2, next: "chp accept-key FILE.pub --until DATE" });
  expect(await run("accept-key", at("site.pub"), "--until", "2020-01-01")).toMatchObject({ code: 2 });

  expect((await run("import", at("old.tar"))).code).toBe(0);
  expect((await run("import", at("new.tar"))).code).toBe(0);
  const status = (await run("status")).out;
  expect(status).toContain(`imports what is signed by: ${SITE.accepted.id} (site), until ${soon}T23:59:59Z\n`);
  expect(status).toMatch(new RegExp(`newest archive by ${SITE.accepted.id} \\(site\\): \\S+Z, 12 days old\n`));
  expect(status).toContain(`note: the key ${SITE.accepted.id} (site) ends at ${soon}T23:59:59Z\n`);
  const doctor = JSON.parse((await run("doctor", "--offline", "--json")).out);
  expect(doctor.passed).toContainEqual({ check: "archives", state: "ok", what: expect.stringContaining("12 days old") });
  expect(doctor.findings).toContainEqual(expect.objectContaining({ check: "archives", what: expect.stringContaining("ends at") }));

  const older = await run("import", at("old.tar"));
  expect(older).toMatchObject({ code: 3, next: expect.stringContaining("--allow-older imports it as it is") });
  expect(older.err).toContain("old.tar was signed at");

  const { charms } = JSON.parse((await run("inventory")).out);
  const digest = charms.demo.revisions[1].slice("sha-256:".length);
  const files = readdirSync(at("store"), { recursive: true }).map(String);
  rmSync(at("store", files.find((path) => path.endsWith(digest)) ?? ""));
  const damaged = await run("verify");
  expect([damaged.code, damaged.out]).toEqual([13, expect.stringContaining(`chp import --repair '${at("old.tar")}' (sha256 `)]);
  expect(await run("import", "--repair", "--to", "https://hub.test", at("old.tar"))).toMatchObject({ code: 2 });
  expect((await run("import", "--repair", "--dry-run", at("old.tar"))).out).toContain("would be restored");
  const repaired = await run("import", "--repair", at("old.tar"));
  expect([repaired.code, repaired.out]).toEqual([0, expect.stringContaining("restored: charm demo revision 1\n1 file, ")]);
  expect((await run("verify", "--read-data")).code).toBe(0);
  expect((await run("import", "--repair", at("old.tar"))).out).toBe("nothing of it is lost here\n");
  expect(JSON.parse((await run("log", "--json")).out)).toHaveLength(2);

  expect((await run("import", "--allow-older", at("old.tar"))).out).toContain("OLDER: ");
});
