/** Exports from servers that break, stall, lie and lead astray: everything arrives right, or fails with its reason. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createApp } from "../../../handlers/app.ts";
import { LIMITS } from "../../../src/archives/archive.ts";
import { importSources } from "../../../src/import/import.ts";
import { createAuthority, issueServer } from "../../../src/settings/authority.ts";
import { Memory } from "../../../store/memory.ts";
import { Store } from "../../../store/store.ts";
import { peakMemory } from "../../bench/processes.ts";
import { type App, BrokenUpstream, type Fault, type Rule } from "../../brokenupstream.ts";
import { base, charmZip, exportOf, type PackageSpec } from "../../build.ts";
import { importSnapWorld } from "../../snapworld.ts";
import { exhaustive, runs } from "../../thorough.ts";
import { chp, type Done, here, type RunOptions, serve, spawn, tempFolder } from "../chp.ts";

const MIB = 2 ** 20;
const JAMMY = base("amd64", "22.04");

/** Bytes that differ from name to name, and are there at once. */
function content(name: string, size: number): Uint8Array {
  return Buffer.concat([Buffer.from(name), Buffer.alloc(Math.max(0, size - name.length), `${name} `)]);
}

/** A charm with a file of `size` bytes beside it. */
function spec(name: string, size: number): PackageSpec {
  return {
    name,
    id: idOf(name),
    type: "charm",
    revisions: { 1: charmZip({ name, revision: 1, bases: [JAMMY], resources: { data: { type: "file", filename: "data" } } }) },
    bases: { 1: [JAMMY] },
    resources: { data: { type: "file", filename: "data", revisions: { 1: content(name, size) } } },
    releases: [{ channel: "latest/stable", base: JAMMY, revision: 1, resources: { data: 1 } }],
  };
}

function idOf(name: string): string {
  return name.replaceAll("-", "").padEnd(32, "x");
}

/** The end of the path that the file beside a charm is downloaded from. */
function fileOf(name: string): string {
  return `charm_${idOf(name)}.data_1`;
}

async function appOf(specs: readonly PackageSpec[]): Promise<App> {
  const store = await Store.openOrCreate(new Memory());
  const archive = exportOf(specs);
  const source = {
    name: "world.tar.gz",
    size: archive.byteLength,
    open: async function* () {
      yield archive;
    },
  };
  const command = "import world.tar.gz";
  await importSources(store, [source], { command, channels: "apply", dryRun: false, now: "2026-03-02T00:00:00Z", limits: LIMITS });
  return createApp({ store, config: {}, log: () => {} });
}

const folder = tempFolder();
afterAll(() => folder[Symbol.dispose]());
let folders = 0;

/** One `chp export charms` of these. */
interface Exporting {
  readonly names: readonly string[];
  readonly from: string;
  /** the same for a run that goes on */
  readonly to?: string;
  readonly args?: readonly string[];
}

/** Bytes that have a place on the disk, of all files in a folder's folders. */
function writtenIn(path: string): number {
  const all = readdirSync(path, { recursive: true, withFileTypes: true }).filter((one) => one.isFile());
  return all.reduce(
    (sum, { parentPath, name }) => sum + (statSync(join(parentPath, name), { throwIfNoEntry: false })?.blocks ?? 0) * 512,
    0,
  );
}

function freshFolder(): string {
  folders += 1;
  const path = join(folder.path, `out-${folders}`);
  mkdirSync(path);
  return path;
}

function argumentsOf({ names, from, to = freshFolder(), args = [] }: Exporting): { args: string[]; to: string } {
  const manifest = `${to}.yaml`;
  writeFileSync(manifest, JSON.stringify({ applications: Object.fromEntries(names.map((name) => [name, { charm: name }])) }));
  return { args: ["export", "charms", manifest, "--charmhub-url", from, "--export-dir", to, ...args], to };
}

async function exported(what: Exporting, options: RunOptions = {}): Promise<Done & { to: string }> {
  const { args, to } = argumentsOf(what);
  return { ...(await chp(args, options)), to };
}

/** The one archive of a folder. */
function archiveIn(path: string): Buffer {
  const names = readdirSync(path).filter((name) => name.endsWith(".tar.gz"));
  expect(names).toHaveLength(1);
  return readFileSync(join(path, names[0] ?? ""));
}

const leftIn = (path: string) => readdirSync(path).filter((name) => name.startsWith(".chp-export-"));

const json = (value: unknown) => ({ body: JSON.stringify(value) });
const storeError = (message: string) => json({ "error-list": [{ code: "x", message }] });
const HTML = { headers: { "Content-Type": "text/html" }, body: "<html>Sorry</html>" };

/* ---- everything arrives right ---- */

const SIZE = 300_000;

/** name of a charm → what goes wrong with its file, request by request, and from where it is asked for */
const PASSING: Readonly<Record<string, readonly [faults: readonly Fault[], from: readonly number[] | "any"]>> = {
  "all-well": [[], [0]],
  "cut-at-once": [[{ cut: 0 }], [0, 0]],
  "cut-later": [[{ cut: 100_000 }, { cut: 100_000 }], "any"],
  refused: [[{ refuse: true }], [0, 0]],
  "too-many": [[{ status: 429, headers: { "Retry-After": "0" }, ...storeError("slow down") }, { cut: 100_000 }], "any"],
  unavailable: [
    [
      { status: 503, body: HTML.body, headers: { "Retry-After": "0" } },
      { status: 502, ...HTML },
    ],
    [0, 0, 0],
  ],
  "wrong-once": [[{ flip: 1000 }], [0, 0]],
  "wrong-after-a-break": [[{ cut: 100_000, flip: 1000 }], "any"],
  longer: [[{ extra: 5000 }], [0]],
  "longer-in-chunks": [[{ framing: "close", extra: 5000 }], [0]],
  "told-longer": [[{ headers: { "Content-Length": "300001" } }], [0, 0]],
  "without-a-length": [[{ framing: "chunked" }], [0]],
  "without-an-end": [[{ framing: "close", cut: 100_000 }], [0, 100_000]],
  "cut-in-chunks": [[{ framing: "chunked", cut: 100_000 }], "any"],
  "ranges-ignored": [
    [{ framing: "close", cut: 100_000 }, { ignoreRange: true }],
    [0, 100_000],
  ],
  "ranges-refused": [
    [{ framing: "close", cut: 100_000 }, { status: 416 }],
    [0, 100_000, 0],
  ],
  "another-range": [
    [{ framing: "close", cut: 100_000 }, { from: 200_000 }],
    [0, 100_000, 0],
  ],
  "an-earlier-range": [
    [{ framing: "close", cut: 100_000 }, { from: 50_000 }],
    [0, 100_000],
  ],
  slow: [[{ drip: [50_000, 20] }], [0]],
  "login-page": [[{ ...HTML }], [0, 0]],
  "led-on": [[{ status: 302, headers: { Location: "/elsewhere?signature=secret" } }], [0]],
  "led-away": [[{ status: 307, headers: { Location: "CDN/elsewhere?signature=secret" } }], [0]],
};

/** What goes wrong before: the first reply for a charm of that name, which has nothing else to suffer. */
const PASSING_INFO: Readonly<Record<string, Rule["fault"]>> = {
  "info-cut": { cut: 40 },
  "info-half": { framing: "close", cut: 40 },
  "info-busy": { status: 500, headers: { "Retry-After": "0" }, body: HTML.body },
  "info-refused": { refuse: true },
  "info-led-on": ({ path }) => ({ status: 301, headers: { Location: `${path}&again` } }),
};

const names = [...Object.keys(PASSING), ...Object.keys(PASSING_INFO)];
const lead = (url: URL, name: string) => (url.pathname === "/elsewhere" ? `/api/v1/resources/download/${fileOf(name)}` : undefined);

/** One address for all: replies name it, and so do archives. */
let upstream: BrokenUpstream;
let cdn: BrokenUpstream;
let undisturbed: Buffer;

beforeAll(async () => {
  const app = await appOf(names.map((name) => spec(name, SIZE)));
  upstream = await BrokenUpstream.start(elsewhere(app, "led-on"));
  cdn = await BrokenUpstream.start(elsewhere(app, "led-away"));
  const done = await exported({ names, from: upstream.url });
  expect(done).toMatchObject({ code: 0 });
  undisturbed = archiveIn(done.to);
});

beforeEach(() => {
  for (const one of [upstream, cdn]) [one.rules, one.asked.length] = [[], 0];
});

afterAll(() => Promise.all([upstream, cdn].map((one) => one[Symbol.asyncDispose]())));

/** The same app, where a redirected download lies at another address. */
function elsewhere(app: App, name: string): App {
  return {
    fetch: (request) => {
      const path = lead(new URL(request.url), name);
      return app.fetch(path === undefined ? request : new Request(new URL(path, request.url), request));
    },
  };
}

test("gets everything right from a server that breaks, stalls, lies and leads astray", async () => {
  upstream.rules = [
    ...Object.entries(PASSING).flatMap(([name, [faults]]): Rule[] =>
      faults.map((fault) => {
        const to = fault.headers?.["Location"]?.replace("CDN", cdn.url);
        return { path: fileOf(name), times: 1, fault: to === undefined ? fault : { ...fault, headers: { Location: to } } };
      }),
    ),
    ...Object.entries(PASSING_INFO).map(([name, fault]) => ({ path: `/info/${name}?`, times: 1, fault })),
  ];
  const done = await exported({ names, from: upstream.url, args: ["--parallel", "8"] });
  expect([done.err, done.code]).toEqual([expect.any(String), 0]);
  expect(archiveIn(done.to).equals(undisturbed)).toBe(true);
  expect(leftIn(done.to)).toEqual([]);
  expect(done.err + done.out).not.toContain("secret");
  for (const [name, [, from]] of Object.entries(PASSING)) {
    const asked = upstream.downloads(fileOf(name)).map((one) => one.from);
    if (from === "any") expect([name, asked.length]).toEqual([name, expect.any(Number)]);
    else expect([name, asked.slice(0, from.length)]).toEqual([name, name.startsWith("led-") ? [0] : [...from]]);
  }
  expect(cdn.asked.map(({ path }) => path)).toEqual(["/elsewhere?signature=secret"]);
  expect(upstream.rules.map(({ times }) => times)).toEqual(upstream.rules.map(() => 0));
});

test("says of all that cannot be had why, and from where; the rest is exported", async () => {
  const lost: Readonly<Record<string, readonly [rule: Rule, why: string]>> = {
    "cut-at-once": [{ path: fileOf("cut-at-once"), fault: { cut: 0 } }, "the connection broke, in 6 tries"],
    "cut-later": [
      { path: fileOf("cut-later"), fault: { ignoreRange: true, framing: "close", cut: 99_999 } },
      "it ended after 99999 of 300000 bytes, in 6 tries",
    ],
    "wrong-once": [{ path: fileOf("wrong-once"), fault: { flip: 1000 } }, "its sha-256 is "],
    longer: [
      { path: fileOf("longer"), fault: { headers: { "Content-Length": "300001" }, extra: 1 } },
      "it has 300001 bytes, but the store said 300000, in 6 tries",
    ],
    "too-many": [
      { path: fileOf("too-many"), fault: { status: 429, headers: { "Retry-After": "0" }, ...storeError("slow\u001bdown") } },
      "status 429 (slow\\u{1b}down), in 6 tries",
    ],
    unavailable: [
      { path: fileOf("unavailable"), fault: { status: 503, body: HTML.body, headers: { "Retry-After": "0" } } },
      "status 503, in 6 tries",
    ],
    "led-on": [
      { path: fileOf("led-on"), fault: { status: 302, headers: { Location: "?signature=secret" } } },
      "after 10 redirects there is another",
    ],
    "led-away": [
      { path: fileOf("led-away"), fault: { status: 302, headers: { Location: "file:///etc/passwd" } } },
      "not a URL that begins with http:// or https://",
    ],
    refused: [{ path: fileOf("refused"), fault: { status: 403, ...storeError("not for you") } }, "status 403 (not for you)"],
    "info-half": [
      { path: "/info/info-half?", fault: json({ type: "cart", id: "x", name: "x" }) },
      "the reply has no shape that is known: type: ",
    ],
    "info-busy": [{ path: "/info/info-busy?", fault: HTML }, "the reply is not JSON"],
    "info-refused": [{ path: "/info/info-refused?", fault: { status: 404, ...storeError("no such charm") } }, "status 404 (no such charm)"],
  };
  upstream.rules = Object.values(lost).map(([rule]) => rule);
  const done = await exported({ names, from: upstream.url, args: ["--parallel", "8", "--json"] });
  expect([done.err, done.code]).toEqual([expect.any(String), 4]);
  const [told] = JSON.parse(done.out).archives;
  expect(told.lost.map((one: { name: string }) => one.name).toSorted()).toEqual(Object.keys(lost).toSorted());
  for (const { name, error, url, status } of told.lost) {
    expect([name, error]).toEqual([name, expect.stringContaining(`: ${url}: ${lost[name]?.[1]}`)]);
    if (lost[name]?.[1].startsWith("status")) expect(error).toContain(`: status ${status}`);
  }
  expect(told.packages.map((one: { name: string }) => one.name).toSorted()).toEqual(names.filter((name) => !(name in lost)).toSorted());
  expect(told.kept).toEqual([{ bytes: expect.any(Number), folder: join(done.to, leftIn(done.to)[0] ?? "") }]);
  expect(JSON.parse(done.err.trimEnd().split("\n").at(-1) ?? "")).toMatchObject({
    kind: "partly",
    exit: 4,
    error: expect.stringMatching(/^not exported completely: .*; the archive contains the rest; \d.* are kept in /),
    next: expect.stringContaining("run the same command again"),
  });
  expect(done.err + done.out).not.toContain("secret");
  archiveIn(done.to);
});

/* ---- what came already is not fetched again ---- */

const LARGE = ["big-one", "big-two", "big-three"];
const SMALL = ["a", "b", "c", "d", "e", "f"].map((letter) => `small-${letter}`);
const BROKEN = "small-c";
const LARGE_SIZE = 16 * MIB;
/** Where a large one may stop: the journal has a line for each 8 MiB. */
const HALF = 9 * MIB;

describe("an export that breaks off", () => {
  let large: BrokenUpstream;
  let whole: Buffer;
  const all = [...LARGE, ...SMALL];

  beforeAll(async () => {
    large = await BrokenUpstream.start(
      await appOf([...LARGE.map((name) => spec(name, LARGE_SIZE)), ...SMALL.map((name) => spec(name, MIB))]),
    );
    const done = await exported({ names: all, from: large.url });
    expect(done).toMatchObject({ code: 0 });
    whole = archiveIn(done.to);
  });

  beforeEach(() => {
    [large.rules, large.asked.length] = [[], 0];
  });

  afterAll(() => large[Symbol.asyncDispose]());

  /** The end of a download's path → bytes that the journal says are there, and its size. */
  function journalled(to: string): Map<string, readonly [kept: number, size: number]> {
    const kept = new Map<string, readonly [number, number]>();
    for (const work of leftIn(to)) {
      const path = join(to, work, "journal");
      for (const line of existsSync(path) ? readFileSync(path, "utf8").split("\n") : [])
        try {
          const { piece, kept: bytes } = JSON.parse(line);
          const [, name = "", file = ""] = /^(.+)\.tar\.gz\/(?:resources\/)?\1[._](.+)$/.exec(piece[0]) ?? [];
          kept.set(file === "1.charm" ? `${idOf(name)}_${file}` : `charm_${idOf(name)}.${file}`, [bytes, piece[3]]);
        } catch {
          // no line of a payload, or one that the kill cut
        }
    }
    return kept;
  }

  /** Downloads that were asked for although their journal says that those bytes are there. */
  function fetchedAgain(before: ReadonlyMap<string, readonly [kept: number, size: number]>): unknown[] {
    return large.downloads().flatMap(({ path, from }) => {
      const [kept, size] = before.get(path.replace(/.*\//, "")) ?? [0, Infinity];
      return from < kept || kept === size ? [{ path, from, kept }] : [];
    });
  }

  const sent = () => large.downloads().reduce((sum, one) => sum + one.sent, 0);

  /**
   * When a run is to be killed. The first: once a part of a file is journalled. Some later ones while they start and plan, most after some of 54 MiB
   * came; the last is left alone, as one that is killed may get no further.
   */
  function moment(kills: number, to: string): () => boolean {
    if (kills === 0) return () => [...journalled(to).values()].some(([kept, size]) => kept > 0 && kept < size);
    if (kills === 30) return () => false;
    const [until, enough] = [performance.now() + Math.random() * 300, Math.random() * 48 * MIB];
    return Math.random() < 0.2 ? () => performance.now() > until : () => sent() > enough;
  }

  test("by SIGKILL at any moment goes on to the same bytes and fetches nothing again that was journalled", async () => {
    let [to, resumed, ended] = [freshFolder(), 0, 0];
    for (let kills = 0; kills < runs(30) || ended === 0; ) {
      const before = journalled(to);
      [large.rules, large.asked.length] = [[{ path: "/download/", fault: { drip: [128 * 1024, 2] } }], 0];
      const { args } = argumentsOf({ names: all, from: large.url, to, args: ["--parallel", "3"] });
      const run = spawn(args);
      const isDue = moment(kills, to);
      const look = setInterval(() => {
        if (isDue()) run.kill("SIGKILL");
      }, 1);
      const [code, err] = await Promise.all([run.exited, new Response(run.stderr).text()]);
      clearInterval(look);
      expect([err, fetchedAgain(before)]).toEqual([err, []]);
      resumed += large.downloads().filter(({ from }) => from > 0).length;
      if (code === 0) {
        expect(archiveIn(to).equals(whole)).toBe(true);
        expect(leftIn(to)).toEqual([]);
        to = freshFolder();
        ended += 1;
      } else {
        expect([err, code]).toEqual([err, 137]);
        kills += 1;
      }
    }
    expect(resumed).toBeGreaterThan(0);
  });

  test.each(["SIGINT", "SIGTERM"] as const)("by %s is exit 130, says what is kept, and goes on from there", async (signal) => {
    const to = freshFolder();
    large.rules = LARGE.map((name) => ({ path: fileOf(name), fault: { stall: HALF + 77 } }));
    const { args } = argumentsOf({ names: all, from: large.url, to, args: ["--parallel", "3"] });
    const run = spawn(args);
    const stalled = () => LARGE.every((name) => large.downloads(fileOf(name)).some((one) => one.sent === HALF + 77));
    // Until what was sent has come: all but a last block, which is written when it is full.
    const isComing = () => !stalled() || writtenIn(to) < LARGE.length * (HALF - 65_536);
    while (isComing() && run.exitCode === null) await Bun.sleep(10);
    run.kill(signal);
    const [code, err] = await Promise.all([run.exited, new Response(run.stderr).text()]);
    const [work = ""] = leftIn(to);
    expect([code, err]).toEqual([130, expect.stringContaining("chp: interrupted; ")]);
    expect(Number(/interrupted; ([\d.]+) MiB/.exec(err)?.[1])).toBeGreaterThan(26.7);
    expect(err).toEndWith(` MiB are kept in ${join(to, work)}\n  run the same command again: it resumes from there\n`);
    [large.rules, large.asked.length] = [[], 0];
    expect(await exported({ names: all, from: large.url, to })).toMatchObject({ code: 0 });
    // What lies in a buffer of the system when a process ends is lost.
    for (const name of LARGE) expect(large.downloads(fileOf(name)).map(({ from }) => from > 8 * MIB)).toEqual([true]);
    expect(archiveIn(to).equals(whole)).toBe(true);
  });

  test("by what cannot be had is exit 4: the rest can be imported, and the next run fetches only what is missing", async () => {
    const to = freshFolder();
    const site = join(folder.path, "site.yaml");
    writeFileSync(site, JSON.stringify({ charms: all, architectures: ["amd64"] }));
    const args = ["export", "-f", site, "--charmhub-url", large.url, "--export-dir", to];
    large.rules = [{ path: fileOf(BROKEN), fault: { status: 403 } }];
    const partly = await chp(args);
    expect([partly.err, partly.code]).toEqual([
      expect.stringContaining(`not exported: ${BROKEN}: cannot fetch resources for ${BROKEN}: ${large.url}/`),
      4,
    ]);
    expect(partly.err).toContain(`chp: not exported completely: ${BROKEN}; the archive contains the rest; 5`);
    expect(partly.err).toEndWith("  run the same command again: it resumes, and fetches only the rest\n");
    expect(existsSync(`${site.slice(0, -5)}.lock`)).toBe(false);
    const [archive = ""] = readdirSync(to).filter((name) => name.endsWith(".tar"));
    expect(partly.out).toBe(`Successfully exported to: ${join(to, archive)}\n`);

    const unpacked = freshFolder();
    const system = (...command: string[]) => Bun.spawnSync(command, { cwd: unpacked, stdout: "pipe", stderr: "pipe" });
    expect(system("tar", "xf", join(to, archive)).exitCode).toBe(0);
    const sums = system("sha256sum", "--check", "--strict", "SHA256SUMS");
    expect([sums.exitCode, sums.stdout.toString()]).toEqual([0, expect.not.stringContaining(BROKEN)]);
    const store = join(folder.path, "partly");
    expect(await chp(["import", "--store", store, join(to, archive)])).toMatchObject({ code: 0 });
    const listed = JSON.parse((await chp(["list", "--store", store, "--json"])).out);
    expect(listed.map((one: { name: string }) => one.name)).toEqual(all.filter((name) => name !== BROKEN).toSorted());

    [large.rules, large.asked.length] = [[], 0];
    const mended = await chp([...args, "--json"]);
    expect([mended.err, mended.code]).toEqual([expect.any(String), 0]);
    expect(large.downloads().map(({ path, from }) => [path.replace(/.*\//, ""), from])).toEqual([[fileOf(BROKEN), 0]]);
    expect(JSON.parse(mended.out).archives[0]).toMatchObject({ fetched: MIB, lost: [], kept: [] });
    expect(leftIn(to)).toEqual([]);
    expect(await chp(["import", "--store", store, ...JSON.parse(mended.out).archives[0].paths])).toMatchObject({ code: 0 });
  });

  test("at the first failure, where that is asked, gives up what runs and keeps it", async () => {
    const to = freshFolder();
    large.rules = [
      { path: fileOf("big-one"), fault: { stall: HALF } },
      // Its body lasts until the other has something to keep.
      { path: fileOf("big-two"), fault: { status: 404, body: "slow".repeat(10), drip: [1, 25] } },
    ];
    const done = await exported({ names: ["big-one", "big-two"], from: large.url, to, args: ["--fail-fast"] });
    expect([done.out, done.code]).toEqual(["", 1]);
    expect(done.err).toMatch(/^chp: cannot fetch resources for big-two: .*: status 404; (8|9)\.\d MiB are kept in .*\n {2}run the same/m);
    expect(leftIn(to)).toHaveLength(1);
  });
});

/* ---- ways to a server ---- */

describe("the way to a server", () => {
  const ca = join(folder.path, "authority.crt");
  let secure: BrokenUpstream;
  let proxy: string;

  beforeAll(async () => {
    const authority = await createAuthority("an authority of a site", Date.now());
    const { certificate, key } = await issueServer(authority, ["hub.test", "localhost", "127.0.0.1"], Date.now());
    writeFileSync(ca, authority.certificate);
    secure = await BrokenUpstream.start(await appOf([spec("kafka", 100_000)]), { tls: { cert: certificate, key } });
    proxy = secure.url.replace("//", "//me:secret@");
  });

  beforeEach(() => {
    [secure.rules, secure.asked.length, secure.connects.length] = [[], 0, 0];
  });

  afterAll(() => secure[Symbol.asyncDispose]());

  const LOGIN = `Basic ${Buffer.from("me:secret").toString("base64")}`;
  const seen = () => ({
    secure: [...new Set(secure.asked.map((one) => one.secure))],
    absolute: [...new Set(secure.asked.map((one) => one.absolute))],
    hosts: [...new Set(secure.asked.map((one) => one.host))],
    connects: [...new Set(secure.connects.map(({ host }) => host))],
    logins: [...new Set([...secure.connects, ...secure.asked].map(({ headers }) => headers.get("proxy-authorization")))],
  });

  const run = (from: string, env: Readonly<Record<string, string>> = {}, ...args: string[]) =>
    exported({ names: ["kafka"], from, args }, { env });

  test("an authority is trusted by --ca, CHP_CA or SSL_CERT_FILE, and else none but the known", async () => {
    const untrusted = await run(secure.secureUrl);
    expect([untrusted.code, untrusted.err]).toEqual([
      1,
      `chp: cannot fetch metadata of kafka: ${secure.secureUrl}/v2/charms/info/kafka: unable to verify the first certificate\n` +
        "  name the authority that issued its certificate with --ca FILE\n",
    ]);
    expect(await run(secure.secureUrl, {}, "--ca", ca)).toMatchObject({ code: 0 });
    expect(await run(secure.secureUrl, { CHP_CA: ca })).toMatchObject({ code: 0 });
    expect(await run(secure.secureUrl, { SSL_CERT_FILE: ca })).toMatchObject({ code: 0 });
    expect(seen()).toMatchObject({ secure: [true], absolute: [false] });
  });

  test("a certificate for another name is refused", async () => {
    const done = await run("https://other.test", { HTTPS_PROXY: secure.url }, "--ca", ca);
    expect([done.code, done.err]).toEqual([1, expect.stringMatching(/other\.test\/v2\/charms\/info\/kafka: .*(altname|certificate)/i)]);
    expect(done.err).not.toContain("retrying");
    expect(seen()).toMatchObject({ connects: ["other.test:443"], secure: [] });
  });

  test("HTTPS goes through the proxy by CONNECT, HTTP by whole URLs, with the proxy's login, which is never shown", async () => {
    const env = { HTTP_PROXY: proxy, HTTPS_PROXY: proxy };
    const byTls = await run("https://hub.test", env, "--ca", ca);
    expect(byTls).toMatchObject({ code: 0 });
    expect(seen()).toEqual({ secure: [true], absolute: [false], hosts: ["hub.test"], connects: ["hub.test:443"], logins: [LOGIN, null] });
    [secure.asked.length, secure.connects.length] = [0, 0];
    const plain = await run("http://hub.test", env);
    expect(plain).toMatchObject({ code: 0 });
    expect(seen()).toEqual({ secure: [false], absolute: [true], hosts: ["hub.test"], connects: [], logins: [LOGIN] });
    expect(byTls.out + byTls.err + plain.out + plain.err).not.toContain("secret");
  });

  test("a proxy may be named without its protocol, in lower case, and NO_PROXY leaves hosts out", async () => {
    const bare = secure.url.replace("http://", "");
    expect(await run("http://hub.test", { http_proxy: bare })).toMatchObject({ code: 0 });
    expect(seen()).toMatchObject({ absolute: [true], logins: [null] });
    secure.asked.length = 0;
    expect(await run(secure.url, { HTTP_PROXY: "http://127.0.0.1:1", NO_PROXY: "other.test,127.0.0.1" })).toMatchObject({ code: 0 });
    expect(seen()).toMatchObject({ absolute: [false] });
  });

  test("a proxy that wants a login, and one of another kind, is told of", async () => {
    secure.rules = [{ path: "/", fault: { status: 407, body: "who are you?" } }];
    const refused = await run("http://hub.test", { HTTP_PROXY: secure.url });
    expect([refused.code, refused.err]).toEqual([
      1,
      expect.stringMatching(/ \(?407\)?\n {2}the proxy wants a login: HTTPS_PROXY=http:\/\/USER:PASSWORD@/),
    ]);
    const odd = await run("http://hub.test", { HTTP_PROXY: "socks5://me:secret@127.0.0.1:1" });
    expect([odd.code, odd.err]).toEqual([2, "chp: HTTP_PROXY names no proxy of the form http://HOST:PORT\n"]);
  });
});

// It hashes a gigabyte: for .ci/run.
test.skipIf(process.platform !== "linux" || !exhaustive)(
  "an export of some hundred MiB takes no more memory than one of a few",
  async () => {
    const parts = ["a", "b", "c"].map((letter) => `huge-${letter}`);
    const file = join(folder.path, "huge.tar.gz");
    const store = join(folder.path, "huge");
    writeFileSync(file, exportOf([...parts.map((name) => spec(name, 70 * MIB)), spec("tiny-one", 1000)]));
    expect(await here(["import", "--store", store, "--max-ratio", "10000", file])).toMatchObject({ code: 0 });
    const served = await serve(store);
    const peakOf = async (charms: readonly string[]) => {
      const run = spawn(argumentsOf({ names: charms, from: served.url, args: ["--parallel", "3"] }).args);
      // What the system tells of an ended process includes the one that started it.
      let peak = 0;
      const look = setInterval(() => (peak = Math.max(peak, peakMemory(run.pid))), 5);
      const code = await run.exited;
      clearInterval(look);
      expect(code).toBe(0);
      return peak;
    };
    const [few, many] = [await peakOf(["tiny-one"]), await peakOf(parts)];
    expect(few).toBeGreaterThan(0);
    expect(many).toBeLessThan(few + 100 * MIB);
    expect(await served.stop()).toBe(0);
  },
);

describe("snaps", () => {
  let snaps: BrokenUpstream;

  beforeAll(async () => {
    const store = await Store.openOrCreate(new Memory());
    await importSnapWorld(store);
    snaps = await BrokenUpstream.start(createApp({ store, config: {}, log: () => {} }));
  });

  beforeEach(() => {
    [snaps.rules, snaps.asked.length] = [[], 0];
  });

  afterAll(() => snaps[Symbol.asyncDispose]());

  const run = (to: string, ...args: string[]) =>
    chp(["export", "snaps", "all1", "classy", "hello", "--charmhub-url", snaps.url, "--export-dir", to, ...args]);

  test("one that cannot be had is exit 4, and the others are there and told", async () => {
    const to = freshFolder();
    snaps.rules = [
      { path: /download.*classy|cL7bNm3vXz9kWj1rTy5hPd8sFf2gKa6Q.*\.snap/, fault: { status: 403, ...storeError("not for you") } },
    ];
    const done = await run(to, "--channel", "candidate", "--quiet");
    expect([done.code, done.out]).toEqual([4, expect.stringMatching(/^Successfully exported snaps:\nall1: \S+\nhello: \S+\n$/)]);
    expect(done.err).toMatch(
      /^not exported: classy: cannot fetch classy revision 4 \(.*\): http.*: status 403 \(not for you\)\nchp: not exported completely: classy; the archive contains the rest/,
    );
    snaps.rules = [];
    expect(await run(to, "--channel", "candidate")).toMatchObject({ code: 0 });
  });

  test("a wrong digest of a snap and a broken assertion are told of as well", async () => {
    snaps.rules = [
      { path: /\.snap/, fault: { flip: 100 } },
      { path: "/v2/assertions/", fault: { body: "type: account\n" } },
    ];
    const done = await run(freshFolder(), "--channel", "candidate", "--quiet");
    expect([done.code, done.err]).toEqual([1, expect.stringContaining("chp: nothing could be exported of all1, classy, hello\n")]);
  });
});

test("an address that is no store's is told of at once", async () => {
  upstream.rules = [{ path: "/", fault: HTML }];
  const done = await exported({ names: ["all-well"], from: upstream.url });
  expect([done.code, done.err, readdirSync(done.to)]).toEqual([
    1,
    `chp: cannot fetch metadata of all-well: ${upstream.url}/v2/charms/info/all-well: the reply is not JSON\n  is that the address of a Charmhub or Snap Store?\n`,
    [],
  ]);
});
