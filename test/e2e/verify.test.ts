/** What damage to the store does: named by verify, served around, mended by the same import. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { createApp } from "../../handlers/app.ts";
import { Disk } from "../../store/fs.ts";
import { blobKey } from "../../store/keys.ts";
import type { BlobReference, BlobRole } from "../../store/named.ts";
import { blobsOf } from "../../store/reach.ts";
import { Store } from "../../store/store.ts";
import { type Run, runProgram } from "../program.ts";
import { HELLO, ROOT, SNAP_WORLD, SNAPD } from "../snapworld.ts";
import { storedSettings } from "../storedsettings.ts";
import { exhaustive, runs } from "../thorough.ts";
import { WORLD } from "../world.ts";
import { chp, serve, tempFolder } from "./chp.ts";

const folder = tempFolder();
const at = (name: string) => join(folder.path, name);
let named: readonly BlobReference[];

beforeAll(async () => {
  writeFileSync(at("root.assert"), ROOT);
  writeFileSync(at("charms.tar.gz"), WORLD);
  writeFileSync(at("snaps.tar.gz"), SNAP_WORLD);
  expect((await importAgain("clean", "charms")).code).toBe(0);
  expect((await importAgain("clean", "snaps")).code).toBe(0);
  const store = await Store.open(new Disk(at("clean")));
  const { generation } = await store.snapshot();
  if (!generation) throw new Error("nothing was imported");
  named = await Array.fromAsync(blobsOf(store, generation));
});

afterAll(() => folder[Symbol.dispose]());

const importAgain = (store: string, what: string, run: Runner = chp) =>
  run(["import", "--store", at(store), "--trust", at("root.assert"), at(`${what}.tar.gz`)]);

const verify = (store: string, ...args: string[]) => chp(verifying(store, ...args));

/** The same in this process, for what is tried many times. */
const verifyHere = (store: string, ...args: string[]) => runProgram(verifying(store, ...args));
const verifying = (store: string, ...args: string[]) => ["verify", "--store", at(store), "--quiet", ...args];

type Runner = (args: readonly string[]) => Promise<Run>;

const HARM = {
  "a flipped bit": (path: string) => {
    const bytes = readFileSync(path);
    const middle = bytes.byteLength >> 1;
    bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
    writeFileSync(path, bytes);
  },
  "a truncated file": (path: string) => writeFileSync(path, readFileSync(path).subarray(0, -1)),
  "a deleted file": (path: string) => rmSync(path),
} as const;

const KINDS: Readonly<Record<string, { what: Partial<BlobRole>; name?: string; from: "charms" | "snaps" }>> = {
  "the charm tiny revision 5": { what: { kind: "charm" }, name: "tiny", from: "charms" },
  "a resource of acme-db": { what: { kind: "resource", part: "acme-file" }, name: "acme-db", from: "charms" },
  "metadata-yaml of tiny": { what: { kind: "text", part: "metadata-yaml" }, name: "tiny", from: "charms" },
  "the manifest of tiny": { what: { kind: "manifest" }, name: "tiny", from: "charms" },
  "the manifest of acme-db": { what: { kind: "manifest" }, name: "acme-db", from: "charms" },
  "a snap": { what: { kind: "snap" }, name: "snapd", from: "snaps" },
  "the snap.yaml of snapd": { what: { kind: "text" }, name: "snapd", from: "snaps" },
  "the manifest of the snap snapd": { what: { kind: "manifest" }, name: "snapd", from: "snaps" },
  "the list of assertions": { what: { kind: "assertions" }, from: "snaps" },
  "the index": { what: { kind: "index" }, from: "snaps" },
};

function pathOf(store: string, { what, name }: { what: Partial<BlobRole>; name?: string }): { path: string; digest: string } {
  const found = named.find(
    (one) => one.what.kind === what.kind && (what.part === undefined || one.what.part === what.part) && one.what.package?.name === name,
  );
  if (!found) throw new Error(`nothing is ${JSON.stringify(what)}`);
  return { path: join(at(store), blobKey(found.digest)), digest: found.digest };
}

interface Hub {
  readonly request: (path: string, init?: RequestInit) => Promise<Response>;
  readonly stop: () => Promise<unknown>;
}

async function executable(store: string): Promise<Hub> {
  const served = await serve(store);
  return { request: (path, init) => fetch(`${served.url}${path}`, init), stop: () => served.stop() };
}

async function inProcess(store: string): Promise<Hub> {
  const app = createApp({ store: await Store.open(new Disk(store)), config: {}, log: () => {} });
  return { request: async (path, init) => app.fetch(new Request(`http://hub.test${path}`, init)), stop: async () => {} };
}

/** Everything that a store serves of what is not damaged; undefined where a question fails. */
async function ask({ request }: Hub): Promise<Record<string, unknown>> {
  const post = (path: string, body: unknown) =>
    request(path, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
  const base = { name: "ubuntu", channel: "22.04", architecture: "amd64" };
  const install = (name: string) => ({ action: "install", "instance-key": name, name, channel: "stable", base });
  const refresh = await post("/v2/charms/refresh", {
    context: [],
    actions: ["tiny", "juju-controller", "acme-db"].map(install),
    fields: ["name", "metadata-yaml"],
  });
  const snaps = await post("/v2/snaps/refresh", {
    context: [],
    actions: ["hello", "snapd"].map((name) => ({ action: "install", "instance-key": name, name, channel: "stable" })),
    fields: ["snap-yaml", "version"],
  });
  const results = async (reply: Response) => {
    const { results: all } = (await reply.json()) as { results: { "instance-key": string; result: string }[] };
    return Object.fromEntries(all.map((one) => [one["instance-key"], one.result]));
  };
  const status = async (path: string) => (await request(path)).status;
  return {
    refresh: refresh.status === 200 ? await results(refresh) : refresh.status,
    snaps: snaps.status === 200 ? await results(snaps) : snaps.status,
    find: await status("/v2/charms/find?q="),
    findSnaps: await status("/v2/snaps/find?q="),
    "juju-controller": await status("/v2/charms/info/juju-controller?fields=channel-map"),
    hello: await status("/v2/snaps/info/hello"),
    declaration: await status(`/v2/assertions/snap-declaration/16/${HELLO}`),
    health: await status("/_status/check"),
  };
}

const WHOLE = {
  refresh: { tiny: "install", "juju-controller": "install", "acme-db": "install" },
  snaps: { hello: "install", snapd: "install" },
  find: 200,
  findSnaps: 200,
  "juju-controller": 200,
  hello: 200,
  declaration: 200,
  health: 200,
};

/** `make test` does one of the harms to each kind. */
const HARMS = Object.entries(HARM);

describe.each(Object.entries(KINDS).map(([name, kind], i) => [name, kind, i] as const))("%s", (_, kind, i) => {
  test.each(exhaustive ? HARMS : HARMS.slice(i % HARMS.length).slice(0, 1))(
    "%s is named, served around and mended by the same import",
    async (harm, damage) => {
      const store = "damaged";
      rmSync(at(store), { recursive: true, force: true });
      cpSync(at("clean"), at(store), { recursive: true });
      const { path, digest } = pathOf(store, kind);
      chmodSync(path, 0o644);
      damage(path);

      // A server that was started on the damaged store, with nothing in memory: the executable for one kind, which takes longer.
      const served = await (kind.what.kind === "charm" ? executable : inProcess)(at(store));
      try {
        const isIndex = kind.what.kind === "index";
        const answers = await ask(served);
        const own = kind.name ?? "";
        const hit = kind.what.kind === "manifest" || kind.what.kind === "text" ? "error" : "install";
        if (isIndex)
          expect(answers).toMatchObject({ refresh: WHOLE.refresh, find: 200, findSnaps: 200, "juju-controller": 200, health: 200 });
        else
          expect(answers).toEqual({
            ...WHOLE,
            refresh: { ...WHOLE.refresh, ...(own in WHOLE.refresh && { [own]: hit }) },
            snaps: { ...WHOLE.snaps, ...(own in WHOLE.snaps && { [own]: hit }) },
          });

        const dry = await verifyHere(store, "--read-data", "--dry-run", "--json");
        expect([dry.code, JSON.parse(dry.out).findings.filter((one: { severity: string }) => one.severity === "damage")]).toEqual([
          13,
          [expect.objectContaining({ digest, current: true })],
        ]);
        const found = await verifyHere(store, "--read-data");
        expect([found.code, found.out]).toEqual([13, expect.stringContaining(digest)]);
        expect(found.out).toMatch(new RegExp(`(import again|chp import --repair) '?${at(`${kind.from}.tar.gz`)}'? \\(sha256 `));
        expect(found.out.includes("moved to quarantine/")).toBe(harm !== "a deleted file");
        if (harm !== "a deleted file") expect(readdirSync(join(at(store), "quarantine"))).toEqual([digest]);

        expect((await importAgain(store, kind.from, runProgram)).code).toBe(0);
        const clean = await verifyHere(store, "--read-data");
        expect([clean.code, clean.out]).toEqual([0, expect.stringContaining("no damage")]);
        expect(await ask(served)).toEqual(WHOLE);
        expect((await served.request(`/api/v1/snaps/download/${SNAPD}_19.snap`)).status).toBe(200);
      } finally {
        await served.stop();
      }
    },
  );
});

test("a clean store is clean, also by parts and by chance; payloads are read only where that is asked for", async () => {
  for (const args of [[], ["--read-data"], ["--read-data=1/2"], ["--read-data=2/2"], ["--read-data=50%"]])
    expect([args, (await verifyHere("clean", ...args)).code]).toEqual([args, 0]);
  const [all, first, second, none] = await Promise.all(
    [["--read-data"], ["--read-data=1/2"], ["--read-data=2/2"], []].map(
      async (args) => JSON.parse((await verifyHere("clean", "--json", ...args)).out).read.blobs as number,
    ),
  );
  expect((first ?? 0) + (second ?? 0)).toBe((all ?? 0) + (none ?? 0));
  expect(none).toBeLessThan(all ?? 0);
});

test.each(["0/2", "3/2", "1/0", "101%", "0%", "x", "-1%"])("--read-data=%s is a usage error", async (text) => {
  const done = await verifyHere("clean", `--read-data=${text}`);
  expect([done.code, done.err]).toEqual([2, expect.stringContaining("--read-data takes n/t")]);
});

test("list and status tell what can be read, and fail with 13 for what is left out", async () => {
  rmSync(at("listed"), { recursive: true, force: true });
  cpSync(at("clean"), at("listed"), { recursive: true });
  rmSync(pathOf("listed", { what: { kind: "manifest" }, name: "tiny" }).path);
  for (const command of ["list", "status"]) {
    const done = await chp([command, "--store", at("listed"), "--json"]);
    expect([done.code, done.err]).toEqual([13, expect.stringContaining("left out: tiny")]);
    expect(JSON.parse(done.out)).toBeTruthy();
  }
});

test("nothing is reported, and nothing lost, while imports run", async () => {
  rmSync(at("busy"), { recursive: true, force: true });
  cpSync(at("clean"), at("busy"), { recursive: true });
  const state = { importing: true, checked: 0 };
  const imports = (async () => {
    for (let i = 0; i < runs(3); i += 1) for (const what of ["charms", "snaps"]) expect((await importAgain("busy", what)).code).toBe(0);
    state.importing = false;
  })();
  while (state.importing) {
    const done = await verify("busy", "--read-data");
    expect([done.code, done.out]).toEqual([0, expect.stringContaining("no damage")]);
    state.checked += 1;
  }
  await imports;
  expect(state.checked).toBeGreaterThan(0);
  expect((await verify("busy", "--read-data")).code).toBe(0);
});

test("a secret that others may read, and a blob that may be written to, are told of", async () => {
  rmSync(at("modes"), { recursive: true, force: true });
  cpSync(at("clean"), at("modes"), { recursive: true });
  const session = storedSettings(at("modes")).secrets["session"]?.file ?? "";
  chmodSync(session, 0o644);
  chmodSync(pathOf("modes", { what: { kind: "charm" }, name: "tiny" }).path, 0o664);
  const done = await verifyHere("modes");
  expect([done.code, done.out]).toEqual([0, expect.stringContaining(`warning  ${relative(at("modes"), session)}: others can read it`)]);
  expect(done.out).toContain("warning  charm tiny revision 5: the file is writable");
});

test("a release without its revision is damage, a declared resource that is not stored is missing", async () => {
  const made = {
    name: "odd",
    id: "ODD",
    type: "charm" as const,
    formerIds: [],
    declared: true,
    details: {},
    defaultTrack: "latest",
    history: [],
  };
  rmSync(at("odd"), { recursive: true, force: true });
  cpSync(at("clean"), at("odd"), { recursive: true });
  const store = await Store.open(new Disk(at("odd")));
  const tiny = await (await store.snapshot()).package("tiny");
  const [revision] = tiny?.revisions ?? [];
  if (!revision) throw new Error("tiny is not stored");
  const row = (number: number, channel: string, pins = {}) => ({
    channel,
    base: { name: "ubuntu", channel: "22.04", architecture: channel.startsWith("any") ? "all" : "amd64" },
    revision: number,
    releasedAt: revision.createdAt,
    resources: pins,
  });
  const odd = {
    ...made,
    revisions: [{ ...revision, resources: ["data"] }],
    resources: [],
    releases: [row(revision.revision, "latest/stable", { data: 3 }), row(77, "latest/edge"), row(revision.revision, "any/stable")],
    overrides: [{ ...row(78, "latest/beta"), reason: "why", until: "whenever" }],
  };
  const draft = { command: "test", sources: [], sections: { packages: { changed: [odd], tally: {} } }, blobs: [] };
  await store.publish("2026-05-01T00:00:00Z", async () => ({ draft, result: undefined }));
  const done = await verifyHere("odd");
  expect(done.code).toBe(13);
  expect(done.out).toContain("DAMAGED  charm odd: latest/edge has revision 77, which is not stored");
  expect(done.out).toContain("DAMAGED  charm odd: latest/stable has resource data revision 3, which is not stored");
  expect(done.out).toContain("DAMAGED  charm odd: the override of latest/beta has revision 78, which is not stored");
  expect(done.out).toContain("DAMAGED  charm odd: the override of latest/beta ends at no time that can be read");
  expect(done.out).toContain("warning  charm odd: any/stable is for ubuntu@22.04 all, which Juju never matches");
  expect(done.out).toContain("warning  charm odd: no revision of its resource data is stored");
});

test("a generation that cannot be read is named, and moved aside once it is not the newest", async () => {
  rmSync(at("history"), { recursive: true, force: true });
  cpSync(at("clean"), at("history"), { recursive: true });
  const path = join(at("history"), "catalog", "0000000002.json");
  chmodSync(path, 0o644);
  writeFileSync(path, "{");
  const first = await verifyHere("history");
  expect([first.code, first.out]).toEqual([13, expect.stringContaining("generation 2: cannot be read")]);
  expect((await importAgain("history", "snaps")).code).toBe(0);
  const second = await verify("history");
  expect([second.code, second.out]).toEqual([13, expect.stringContaining("moved to quarantine/2.json")]);
  expect((await verifyHere("history")).code).toBe(0);
});
