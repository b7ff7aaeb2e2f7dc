/** From one store to the next by the executable: what is exported and imported again is served alike. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { archiveOf, growing, type Question, questions, ROOT_TEXT } from "../catalogue.ts";
import { expectAlike, readReply } from "../replies.ts";
import { ROOT, SNAP_WORLD } from "../snapworld.ts";
import { WORLD } from "../world.ts";
import { chp, here, type Served, serve, tempFolder } from "./chp.ts";

const folder = tempFolder();
const at = (...names: string[]) => join(folder.path, ...names);
const served: Served[] = [];

afterAll(async () => {
  for (const one of served) await one.stop();
  folder[Symbol.dispose]();
});

/** What a command that works prints. */
const runner =
  (how: typeof here) =>
  async (...args: string[]): Promise<string> => {
    const done = await how(args, { cwd: folder.path });
    if (done.code !== 0) throw new Error(`chp ${args.join(" ")}: exit ${done.code}: ${done.err}`);
    return done.out;
  };
const run = runner(here);
const byExecutable = runner(chp);

function write(name: string, content: string | Uint8Array): string {
  writeFileSync(at(name), content);
  return name;
}

async function start(store: string): Promise<Served> {
  const one = await serve(at(store));
  served.push(one);
  return one;
}

/** The only file that an export left in a folder of its own, and its sha256. */
function archiveIn(exportDir: string): { readonly path: string; readonly sha256: string } {
  const [name, ...more] = readdirSync(at(exportDir)).filter((one) => /\.tar(\.gz)?$/.test(one));
  expect(more).toEqual([]);
  const path = join(exportDir, name ?? "");
  return {
    path,
    sha256: createHash("sha256")
      .update(readFileSync(at(path)))
      .digest("hex"),
  };
}

async function exported(exportDir: string, ...args: string[]): Promise<ReturnType<typeof archiveIn>> {
  await byExecutable("export", ...args, "--export-dir", exportDir);
  return archiveIn(exportDir);
}

function asking({ url }: Served) {
  return async ({ path, ...request }: Question) => readReply(await fetch(`${url}${path}`, { ...request, decompress: false }), url);
}

/** Something of everything. */
const STORES = fc
  .sample(growing, { seed: 2026, numRuns: 500 })
  .find(({ before: { charms, bundles, snaps } }) => charms.length === 3 && bundles.length === 2 && snaps.length === 3);

describe("a whole store", () => {
  let a: Served;
  let b: Served;

  beforeAll(async () => {
    if (!STORES) throw new Error("no such catalogue was made");
    write("root.assert", ROOT_TEXT);
    await run("import", "--store", "a", "--trust", "root.assert", write("before.tar.gz", archiveOf(STORES.before)));
    a = await start("a");
    const { path } = await exported("over-http", "--all", "--without", "images", "--charmhub-url", a.url);
    await byExecutable("import", "--store", "b", "--trust", "root.assert", path);
    b = await start("b");
  });

  test("is served alike by the next one", async () => {
    await expectAlike(asking(a), asking(b), questions(STORES?.before ?? NOTHING));
  });

  test("gives the same archive over HTTP, from its folder, and again from the next one", async () => {
    const { sha256 } = archiveIn("over-http");
    expect((await exported("from-folder", "--all", "--store", "a")).sha256).toBe(sha256);
    expect((await exported("again", "--all", "--without", "images", "--charmhub-url", a.url, "--parallel", "1")).sha256).toBe(sha256);
    expect((await exported("from-next", "--all", "--store", "b")).sha256).toBe(sha256);
  });

  test("is made alike again by what came since", async () => {
    write("have.json", await run("inventory", "--store", "b"));
    await run("import", "--store", "a", write("after.tar.gz", archiveOf(STORES?.after ?? NOTHING)));
    const since = await exported("since", "--all", "--without", "images", "--charmhub-url", a.url, "--since", "have.json");
    const before = JSON.parse(await run("status", "--store", "b", "--json"));
    await run("import", "--store", "b", since.path);
    expect(JSON.parse(await run("status", "--store", "b", "--json")).generation).not.toEqual(before.generation);
    await expectAlike(asking(a), asking(b), questions(STORES?.after ?? NOTHING));
  });
});

const NOTHING = { charms: [], bundles: [], snaps: [] };

describe("the worlds of the conformance cases", () => {
  let world: Served;

  beforeAll(async () => {
    write("trusted.assert", ROOT);
    await run("import", "--store", "world", "--trust", "trusted.assert", write("world.tar.gz", WORLD), write("snaps.tar.gz", SNAP_WORLD));
    world = await start("world");
  });

  const site =
    "charms: [{name: acme-db, channels: [14/stable, 14/edge]}]\nbundles: [acme-stack]\nsnaps: [{name: hello, channels: [stable, edge]}]\nwithout: [images]\n";

  test("a lock gives the same archive again after the channels moved, and fails where a revision is gone", async () => {
    write("site.yaml", site);
    const first = await exported("site", "-f", "site.yaml", "--charmhub-url", world.url);
    await run("release", "--store", "world", "acme-db", "25", "14/stable");
    await run("release", "--store", "world", "hello", "6", "latest/stable");
    const moved = await exported("moved", "-f", write("moved.yaml", site), "--charmhub-url", world.url);
    const again = await exported("locked", "-f", "site.yaml", "--locked", "--charmhub-url", world.url);
    expect([again.sha256 === first.sha256, moved.sha256 === first.sha256]).toEqual([true, false]);
    await run("rollback", "--store", "world", "1");

    const lock = JSON.parse(readFileSync(at("site.lock"), "utf8"));
    const charm = lock.packages.find((one: { name: string }) => one.name === "acme-db");
    const failing = async (change: object) => {
      const packages = lock.packages.map((one: object) => (one === charm ? { ...charm, ...change } : one));
      write("changed.lock", JSON.stringify({ ...lock, packages }));
      const { code, err } = await chp(
        ["export", "-f", "site.yaml", "--locked", "changed.lock", "--charmhub-url", world.url, "--export-dir", "failing"],
        { cwd: folder.path },
      );
      expect(readdirSync(at("failing")).filter((one) => one.includes(".tar"))).toEqual([]);
      return [code, err];
    };
    const [row] = charm.releases;
    expect(await failing({ releases: [{ ...row, revision: 99 }] })).toEqual([
      1,
      expect.stringContaining("cannot export acme-db as locked: revision 99 is not offered any more"),
    ]);
    expect(await failing({ revisions: { ...charm.revisions, [row.revision]: "0".repeat(64) } })).toEqual([
      1,
      expect.stringContaining(
        `cannot export acme-db as locked: revision ${row.revision} has the sha256 ${charm.revisions[row.revision]} upstream, and ${"0".repeat(64)} in the lock`,
      ),
    ]);
    expect(await failing({ resources: { ...charm.resources, "acme-file_4": "0".repeat(64) } })).toEqual([
      1,
      expect.stringContaining("cannot export acme-db as locked: resource acme-file 4 has the sha256"),
    ]);
    expect(readdirSync(at("failing")).filter((one) => one.includes(".tar"))).toEqual([]);
  });

  test.each<[string, string[]]>([
    ["charms", ["charms", "acme.yaml"]],
    ["bundle", ["bundle", "acme-stack"]],
    ["snaps", ["snaps", "hello", "dtrack", "--channel", "edge"]],
  ])("export %s: what it took is served alike", async (form, args) => {
    write("acme.yaml", "applications:\n  db: {charm: acme-db, channel: 14/edge}\n  tiny: {charm: tiny}\n");
    const { archives } = JSON.parse(await run("export", ...args, "--charmhub-url", world.url, "--export-dir", `form-${form}`, "--json"));
    const paths: string[] = archives.flatMap((one: { paths: string[] }) => one.paths);
    await run("import", "--store", `of-${form}`, "--trust", "trusted.assert", ...paths);
    const next = await start(`of-${form}`);
    const packages: Taken[] = archives.flatMap((one: { packages: Taken[]; snaps: Taken[] }) => [
      ...one.packages,
      ...one.snaps.map((snap) => ({ ...snap, type: "snap" })),
    ]);
    expect(packages.map(({ name }) => name).toSorted()).toEqual(
      { charms: ["acme-db", "tiny"], bundle: ["acme-db", "acme-stack", "tiny"], snaps: ["dtrack", "hello"] }[form] ?? [],
    );
    await expectAlike(asking(world), asking(next), packages.flatMap(takenQuestions));
    const files = packages.flatMap(({ type, id, revisions }) =>
      revisions.map((number) =>
        type === "snap" ? `/api/v1/snaps/download/${id}_${number}.snap` : `/api/v1/charms/download/${id}_${number}.${type}`,
      ),
    );
    const statuses = await Promise.all(files.map(async (path) => (await fetch(`${next.url}${path}`, { method: "HEAD" })).status));
    expect(statuses).toEqual(files.map(() => 200));
  });
});

/** As --json tells of a package. */
interface Taken {
  readonly name: string;
  readonly id: string;
  readonly type: string;
  readonly revisions: readonly number[];
  readonly releases: readonly {
    readonly channel: string;
    readonly base?: { readonly architecture: string } | null;
    readonly architecture?: string;
    readonly revision: number;
  }[];
}

/** What a client asks for to get one of the releases that were taken. */
function takenQuestions({ name, type, id, revisions, releases }: Taken): Question[] {
  const url = type === "snap" ? "/v2/snaps/refresh" : "/v2/charms/refresh";
  const rows = releases.map(({ channel, base, architecture }, i) => ({
    action: { action: "download", "instance-key": `${i}`, name, channel, ...(type !== "snap" && { base: base ?? null }) },
    architecture: architecture ?? "amd64",
  }));
  const numbers = revisions.map((revision, i) => ({
    action: { action: "download", "instance-key": `r${i}`, name, revision, ...(type !== "snap" && { base: null }) },
    architecture: "amd64",
  }));
  const headers = (architecture: string) => ({
    "Content-Type": "application/json",
    "Snap-Device-Architecture": architecture,
    "Snap-Device-Series": "16",
  });
  return [
    ...[...rows, ...numbers].map(({ action, architecture }) => ({
      method: "POST" as const,
      path: url,
      headers: headers(architecture),
      body: JSON.stringify({ context: [], actions: [action] }),
    })),
    ...revisions.map((number) => ({
      method: "GET" as const,
      path: type === "snap" ? `/api/v1/snaps/download/${id}_${number}.snap` : `/api/v1/charms/download/${id}_${number}.${type}`,
      headers: {},
    })),
  ];
}
