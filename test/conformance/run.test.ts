/**
 * Runs the cases against the application in this process, the executable (dist/chp, or what CHP_EXECUTABLE names), the
 * same over a store that was exported from the first one's and imported again, and the server that CHP_URL names, which
 * must hold the packages of test/world.ts and the snaps of test/snapworld.ts.
 */

import { afterAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { unzipSync } from "fflate";
import { createApp } from "../../handlers/app.ts";
import { Memory } from "../../store/memory.ts";
import { Store } from "../../store/store.ts";
import { importSnapWorld, ROOT, SNAP_WORLD, STORE_STREAM } from "../snapworld.ts";
import { importWorld, WORLD } from "../world.ts";
import * as charmhub from "./charmhub.ts";
import {
  type Ask,
  type Case,
  everywhere,
  type Login,
  lookUp,
  mismatches,
  type Pattern,
  type Seen,
  type Setup,
  type Step,
} from "./match.ts";
import * as snapstore from "./snapstore.ts";

/** An API with its cases. */
interface Family {
  readonly name: string;
  readonly cases: readonly Case[];
  readonly count: number;
  /** what holds for a key of this name wherever it stands in a reply */
  readonly everywhere: Readonly<Record<string, Pattern>>;
  /** sent with every request that names its path */
  readonly headers: Readonly<Record<string, string>>;
  /** what every promise of a file has */
  readonly digest: keyof typeof DIGESTS;
}

const DIGESTS = {
  "hash-sha-256": "sha256",
  "hash-sha-384": "sha384",
  "hash-sha-512": "sha512",
  "hash-sha3-384": "sha3-384",
  "sha3-384": "sha3-384",
};

const FAMILIES: readonly Family[] = [
  {
    name: "Charmhub",
    cases: charmhub.CASES,
    count: 98,
    everywhere: charmhub.EVERYWHERE,
    headers: { Accept: "application/json", "Content-Type": "application/json", "User-Agent": "Juju/3.6.28" },
    digest: "hash-sha-256",
  },
  { name: "Snap Store", cases: snapstore.CASES, count: 108, everywhere: snapstore.EVERYWHERE, headers: {}, digest: "sha3-384" },
];

interface Sent {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** A running server. */
interface Hub {
  /** where paths of the cases begin */
  readonly origin: string;
  ask(sent: Sent): Promise<Response>;
  /** the same twice on one connection, the second after the first reply */
  askAgain?(sent: Sent): Promise<Response[]>;
  restart?(): Promise<void>;
  setRegistry?(login: Login): Promise<void>;
  stop?(): Promise<void>;
}

interface Target {
  readonly name: string;
  /** why it cannot be run here */
  readonly skip?: string;
  /** what it cannot set up, and why */
  readonly lacks: Readonly<Partial<Record<keyof Setup, string>>>;
  /** numbers of a family's cases that it cannot answer, and why */
  readonly exempt?: Readonly<Record<string, Readonly<Record<number, string>>>>;
  start(setup: Setup): Promise<Hub>;
}

const ORIGIN = "http://hub.test";

/* ---- targets ---- */

const inProcess: Target = {
  name: "in process",
  lacks: { socket: "there is no connection" },
  start: async ({ publicUrl, registry, brokenStore, empty }) => {
    const storage = new Memory();
    const world = await Store.openOrCreate(storage);
    if (!empty) {
      await importWorld(world);
      await importSnapWorld(world);
    }
    const broken = { snapshot: () => Promise.reject(new Error("broken on purpose")), blob: async () => undefined, text: async () => "" };
    let registries: { current: Login | undefined; former: readonly Login[] } = { current: registry, former: [] };
    const start = async () =>
      createApp({
        store: brokenStore ? broken : await Store.open(storage),
        config: publicUrl === undefined ? {} : { publicUrl },
        log: () => {},
        registries: () => registries,
      });
    let app = await start();
    return {
      origin: ORIGIN,
      ask: async (sent) => app.fetch(new Request(sent.url, initOf(sent))),
      restart: async () => {
        app = await start();
      },
      setRegistry: async (login) => {
        registries = { current: login, former: registries.current ? [registries.current] : [] };
      },
    };
  },
};

const EXECUTABLE = process.env["CHP_EXECUTABLE"] ?? "dist/chp";
const built = existsSync(EXECUTABLE.split(" ").at(-1) ?? "");

async function startExecutable({ publicUrl, registry, empty }: Setup, isCarried: boolean): Promise<Hub> {
  const { chp, serve, tempFolder } = await import("../e2e/chp.ts");
  const folder = tempFolder();
  let store = join(folder.path, "store");
  const run = async (...args: string[]) => {
    const done = await chp([...args, ...(args.includes("--charmhub-url") ? [] : ["--store", store])]);
    if (done.code !== 0) throw new Error(`chp ${args.join(" ")}: exit ${done.code}: ${done.err}`);
  };
  const config = (login: Login) => run("config", ...Object.entries(login).map(([key, value]) => `proxy.oci-registry.${key}=${value}`));
  const file = (name: string, content: string | Uint8Array) => {
    writeFileSync(join(folder.path, name), content);
    return join(folder.path, name);
  };
  if (!empty) {
    await run("import", file("world.tar.gz", WORLD));
    await run("import", "--trust", file("root.assert", ROOT), file("snaps.tar.gz", SNAP_WORLD));
  }
  if (isCarried) {
    const first = await serve(store);
    try {
      await run("export", "--all", "--charmhub-url", first.url, "--export-dir", join(folder.path, "export"));
    } finally {
      await first.stop();
    }
    store = join(folder.path, "next");
    await run("import", "--trust", join(folder.path, "root.assert"), join(folder.path, "export"));
    // What names a store's own address is its operator's to import.
    await run("import", file("store.assert", STORE_STREAM.join("\n")));
  }
  if (registry) await config(registry);
  const start = () => serve(store, publicUrl === undefined ? [] : ["--public-url", publicUrl]);
  let served = await start();
  // What a name server would do.
  const located = (sent: Sent) => ({ ...sent, url: sent.url.replace(ORIGIN, served.url) });
  return {
    origin: ORIGIN,
    ask: (sent) => overHttp(located(sent)),
    askAgain: (sent) => onOneConnection(located(sent)),
    restart: async () => {
      await served.stop();
      served = await start();
    },
    setRegistry: async (login) => {
      await config(login);
      await Bun.sleep(1100); // a running server looks once a second
    },
    stop: async () => {
      await served.stop();
      folder[Symbol.dispose]();
    },
  };
}

const unlessBuilt = built ? {} : { skip: `${EXECUTABLE} is not built` };

const executable: Target = {
  name: EXECUTABLE,
  ...unlessBuilt,
  lacks: { brokenStore: "nothing breaks its store" },
  start: (setup) => startExecutable(setup, false),
};

const carried: Target = {
  name: `${EXECUTABLE}, exported and imported again`,
  ...unlessBuilt,
  lacks: { brokenStore: "nothing breaks its store", empty: "there is nothing to export" },
  exempt: {
    "Snap Store": {
      7: "no reply lists branches, so they are exported where they are named",
      32: "no reply lists revisions that are in no channel, so they are exported where they are named",
      34: "no reply lists branches, so they are exported where they are named",
    },
  },
  start: (setup) => startExecutable(setup, true),
};

const given = process.env["CHP_URL"]?.replace(/\/+$/, "");

const remote: Target = {
  name: given ?? "CHP_URL",
  ...(given === undefined && { skip: "CHP_URL names no hub" }),
  lacks: {
    ...Object.fromEntries(["publicUrl", "registry", "restart", "brokenStore", "empty"].map((one) => [one, "it is not ours to set up"])),
    ...(given?.startsWith("https:") && { socket: "it speaks TLS" }),
  },
  start: async () => ({ origin: given ?? "", ask: overHttp, askAgain: onOneConnection }),
};

/** The bytes as they come, and no redirect followed. */
function overHttp(sent: Sent): Promise<Response> {
  return fetch(sent.url, { ...initOf(sent), decompress: false, redirect: "manual" });
}

/** A body of bytes, since one of text would bring a Content-Type that nobody asked for. */
function initOf({ method, headers, body }: Sent) {
  return { method, headers, ...(body !== undefined && { body: Buffer.from(body) }) };
}

async function onOneConnection({ url, method, headers, body = "" }: Sent): Promise<Response[]> {
  const { hostname, port, host, pathname, search } = new URL(url);
  const lines = Object.entries({ Host: host, ...headers, "Content-Length": String(Buffer.byteLength(body)) }).map(([k, v]) => `${k}: ${v}`);
  const socket = connect(Number(port || 80), hostname);
  try {
    const replies: Response[] = [];
    for (let i = 0; i < 2; i += 1) {
      socket.write(`${method} ${pathname}${search} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n${body}`);
      replies.push(await readReply(socket));
    }
    return replies;
  } finally {
    socket.destroy();
  }
}

function readReply(socket: Socket): Promise<Response> {
  return new Promise((resolve, reject) => {
    let bytes = Buffer.alloc(0);
    const end = (finish: () => void) => {
      socket.removeAllListeners();
      socket.on("error", () => {});
      finish();
    };
    socket.on("error", (error) => end(() => reject(error)));
    socket.on("close", () => end(() => reject(new Error(`the connection was closed after ${bytes.byteLength} bytes`))));
    socket.on("data", (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      const [head = "", ...more] = bytes.toString("latin1").split("\r\n\r\n");
      const [start = "", ...fields] = head.split("\r\n");
      const headers = new Headers(fields.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]));
      const body = bytes.subarray(Buffer.byteLength(head) + 4);
      if (more.length === 0 || body.byteLength < Number(headers.get("Content-Length") ?? Number.POSITIVE_INFINITY)) return;
      end(() => resolve(new Response(Uint8Array.from(body), { status: Number(start.split(" ")[1]), headers })));
    });
  });
}

/* ---- steps ---- */

function sentOf(ask: Ask, family: Family, hub: Hub, seen: Seen): Sent {
  const { method = "GET", path, headers = {} } = ask;
  const url = typeof path === "string" ? `${hub.origin}${path}` : String(lookUp(seen, path.from));
  const body = ask.bodyOf ? ask.bodyOf(seen) : ask.body;
  return {
    url,
    method,
    headers: typeof path === "string" ? { ...family.headers, ...headers } : headers,
    ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
  };
}

async function runCase({ steps }: Case, family: Family, hub: Hub): Promise<void> {
  const seen: unknown[] = [];
  for (const [i, step] of steps.entries()) {
    if (step.before === "restart") await hub.restart?.();
    else if (step.before) await hub.setRegistry?.(step.before.registry);
    const sent = sentOf(step.ask, family, hub, seen);
    const replies =
      step.twice === "on one connection"
        ? ((await hub.askAgain?.(sent)) ?? [])
        : await Promise.all(Array.from({ length: step.twice ? 2 : 1 }, () => hub.ask(sent)));
    for (const reply of replies) {
      if (step.hangUp) {
        await hangUp(reply);
        continue;
      }
      const { json, problems } = await examine(step, family, reply, seen);
      expect(problems, `step ${i}: ${sent.method} ${sent.url}\n${sent.body?.slice(0, 2000) ?? ""}`).toEqual([]);
      seen[i] = json;
    }
  }
}

async function hangUp({ body }: Response): Promise<void> {
  const reader = body?.getReader();
  await reader?.read();
  await reader?.cancel();
}

async function examine(
  step: Step,
  family: Family,
  reply: Response,
  seen: Seen,
): Promise<{ readonly json?: unknown; readonly problems: readonly string[] }> {
  const bytes = Buffer.from(await reply.arrayBuffer());
  const wanted = [step.status ?? 200].flat();
  const problems = [
    ...(wanted.includes(reply.status)
      ? []
      : [`status: expected ${wanted.join(" or ")}, got ${reply.status}: ${bytes.toString("utf8", 0, 300)}`]),
    ...headerProblems(reply, { location: null, "snap-store-version": null, ...step.headers }),
    ...(step.text === undefined ? [] : mismatches(step.text, bytes.toString("utf8"), seen, "body")),
    ...(step.bytes === undefined || bytes.equals(step.bytes)
      ? []
      : [`body: expected other ${step.bytes.byteLength} bytes, got ${bytes.byteLength}`]),
  ];
  if (step.file) return { problems: [...problems, ...fileProblems(step.file, family.digest, reply, bytes, seen)] };
  if (step.json === undefined) return { problems };
  try {
    const json: unknown = JSON.parse(bytes.toString("utf8"));
    const types = headerProblems(reply, { "content-type": step.headers?.["content-type"] ?? "application/json" });
    return { json, problems: [...problems, ...types, ...mismatches(step.json, json, seen), ...everywhere(family.everywhere, json)] };
  } catch (error) {
    return { problems: [...problems, `${String(error)}: ${bytes.toString("utf8", 0, 300)}`] };
  }
}

function fileProblems(
  { told, zip, json }: NonNullable<Step["file"]>,
  digest: Family["digest"],
  reply: Response,
  bytes: Buffer,
  seen: Seen,
): readonly string[] {
  const promise = Object(lookUp(seen, told)) as Record<string, unknown>;
  const digests = Object.entries(DIGESTS).filter(([name]) => name === digest || promise[name] !== undefined);
  const is = {
    size: bytes.byteLength,
    ...Object.fromEntries(digests.map(([name, kind]) => [name, createHash(kind).update(bytes).digest("hex")])),
  };
  return [
    ...headerProblems(reply, { "content-length": String(bytes.byteLength), "transfer-encoding": null, "content-encoding": null }),
    ...mismatches(is, promise, seen, told),
    ...(zip && !Bun.deepEquals(Object.keys(unzipSync(bytes)).toSorted(), zip.toSorted()) ? [`zip: expected ${zip.join(", ")}`] : []),
    ...(json === undefined ? [] : mismatches(json, JSON.parse(bytes.toString("utf8")), seen, "file")),
  ];
}

/** null: not there. */
function headerProblems({ headers }: Response, wanted: Readonly<Record<string, string | null>>): readonly string[] {
  return Object.entries(wanted).flatMap(([name, value]) =>
    headers.get(name) === value ? [] : [`${name}: expected ${value ?? "nothing"}, got ${headers.get(name) ?? "nothing"}`],
  );
}

/* ---- all cases × all targets ---- */

for (const { name, cases, count } of FAMILIES)
  test(`the table has all ${count} cases of the ${name}`, () => {
    expect([...new Set(cases.map(({ id }) => id))]).toEqual(Array.from({ length: count }, (_, i) => i + 1));
  });

function reasonToSkip({ skip, setup = {}, id }: Case, family: Family, target: Target): string | undefined {
  return skip ?? target.exempt?.[family.name]?.[id] ?? Object.entries(target.lacks).find(([what]) => Object.hasOwn(setup, what))?.[1];
}

for (const target of [inProcess, executable, carried, remote]) {
  describe(target.name, () => {
    let shared: Promise<Hub> | undefined;
    afterAll(async () => (await shared)?.stop?.());
    if (target.skip !== undefined) {
      test.skip(`all cases: ${target.skip}`, () => {});
      return;
    }
    for (const family of FAMILIES) {
      describe(family.name, () => {
        for (const one of family.cases) {
          const title = `${one.id}. ${one.title}`;
          const why = reasonToSkip(one, family, target);
          if (why !== undefined) {
            test.skip(`${title}: ${why}`, () => {});
            continue;
          }
          test(title, async () => {
            const own = one.setup && (await target.start(one.setup));
            try {
              await runCase(one, family, own ?? (await (shared ??= target.start({}))));
            } finally {
              await own?.stop?.();
            }
          });
        }
      });
    }
  });
}
