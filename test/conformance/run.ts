/** Runs the cases against a server: in this process by inprocess.test.ts, the executable and others by e2e/conformance.test.ts. */

import { afterAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { connect, type Socket } from "node:net";
import { unzipSync } from "fflate";
import * as agents from "./agents.ts";
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
import * as overrides from "./overrides.ts";
import * as pages from "./pages.ts";
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

export const FAMILIES: readonly Family[] = [
  {
    name: "Charmhub",
    cases: charmhub.CASES,
    count: 101,
    everywhere: charmhub.EVERYWHERE,
    headers: { Accept: "application/json", "Content-Type": "application/json", "User-Agent": "Juju/3.6.28" },
    digest: "hash-sha-256",
  },
  { name: "Snap Store", cases: snapstore.CASES, count: 108, everywhere: snapstore.EVERYWHERE, headers: {}, digest: "sha3-384" },
  { name: "agent streams", cases: agents.CASES, count: 12, everywhere: agents.EVERYWHERE, headers: {}, digest: "hash-sha-256" },
  { name: "pages", cases: pages.CASES, count: 10, everywhere: {}, headers: pages.BROWSER, digest: "hash-sha-256" },
  { name: "Overrides API", cases: overrides.CASES, count: 11, everywhere: {}, headers: {}, digest: "sha3-384" },
];

export interface Sent {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** A running server. */
export interface Hub {
  /** where paths of the cases begin */
  readonly origin: string;
  /** texts of tokens, by what they may do */
  readonly tokens?: Readonly<Record<string, string>>;
  ask(sent: Sent): Promise<Response>;
  /** the same twice on one connection, the second after the first reply */
  askAgain?(sent: Sent): Promise<Response[]>;
  restart?(): Promise<void>;
  setRegistry?(login: Login): Promise<void>;
  stop?(): Promise<void>;
}

export interface Target {
  readonly name: string;
  /** why it cannot be run here */
  readonly skip?: string;
  /** what it cannot set up, and why */
  readonly lacks: Readonly<Partial<Record<keyof Setup, string>>>;
  /** numbers of a family's cases that it cannot answer, and why */
  readonly exempt?: Readonly<Record<string, Readonly<Record<number, string>>>>;
  start(setup: Setup): Promise<Hub>;
}

export const ORIGIN = "http://hub.test";

/* ---- requests ---- */

/** The bytes as they come, and no redirect followed. */
export function overHttp(sent: Sent): Promise<Response> {
  return fetch(sent.url, { ...initOf(sent), decompress: false, redirect: "manual", tls: { rejectUnauthorized: false } });
}

/** A body of bytes, since one of text would bring a Content-Type that nobody asked for. */
export function initOf({ method, headers, body }: Sent) {
  return { method, headers, ...(body !== undefined && { body: Buffer.from(body) }) };
}

export async function onOneConnection({ url, method, headers, body = "" }: Sent): Promise<Response[]> {
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
      end(() => resolve(new Response(new Uint8Array(body), { status: Number(start.split(" ")[1]), headers })));
    });
  });
}

/* ---- steps ---- */

function sentOf(ask: Ask, family: Family, hub: Hub, seen: Seen): Sent {
  const { method = "GET", path, headers = {} } = ask;
  const url = typeof path === "string" ? `${hub.origin}${path}` : String(lookUp(seen, path.from));
  const body = ask.bodyOf ? ask.bodyOf(seen) : ask.body;
  const named = Object.entries(headers).map(([name, value]) => [name, value.replace(/\{(\w+)\}/, (_, right) => hub.tokens?.[right] ?? "")]);
  const own: Record<string, string> = Object.fromEntries(named);
  return {
    url,
    method,
    headers: typeof path === "string" ? { ...family.headers, ...own } : own,
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

function reasonToSkip({ skip, setup = {}, id }: Case, family: Family, target: Target): string | undefined {
  return skip ?? target.exempt?.[family.name]?.[id] ?? Object.entries(target.lacks).find(([what]) => Object.hasOwn(setup, what))?.[1];
}

export function runCases(target: Target): void {
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
