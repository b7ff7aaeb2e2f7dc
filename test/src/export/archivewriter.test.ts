import { describe, expect, test } from "bun:test";
import { files, showLocation } from "../../../src/archives/archive.ts";
import type { Piece } from "../../../src/archives/tarball.ts";
import { sumsOf } from "../../../src/digest.ts";
import { Failure } from "../../../src/errors.ts";
import { type ArchiveForm, type ArchiveOutput, ArchiveWriter, type FetchProgress } from "../../../src/export/archivewriter.ts";
import { HttpClient } from "../../../src/export/client.ts";
import type { PackedFile, PackedPackage } from "../../../src/export/pack.ts";

const MIB = 2 ** 20;

/** An unfinished archive in memory, which another writer goes on with. */
class Memory implements ArchiveOutput {
  room = new Uint8Array(40 * MIB);
  reserved = 0;
  readonly journal = new Map<string, number>();
  /** called before anything is written */
  before: (at: number) => void = () => {};

  async reserve(length: number): Promise<void> {
    this.reserved = length;
  }

  async write(at: number, bytes: Uint8Array): Promise<void> {
    this.before(at);
    this.room.set(bytes, at);
  }

  async bytes(start: number, end: number): Promise<Uint8Array> {
    return this.room.slice(start, end);
  }

  #key = ({ path, offset }: Piece, digest: string) => `${path} ${offset} ${digest}`;

  resumableBytes(piece: Piece, digest: string): number {
    return this.journal.get(this.#key(piece, digest)) ?? 0;
  }

  async recordWritten(piece: Piece, digest: string, bytes: number): Promise<void> {
    this.journal.set(this.#key(piece, digest), bytes);
  }

  /** What is kept of the file at the end of that path. */
  keptOf(path: string): number | undefined {
    return [...this.journal].find(([key]) => key.split(" ")[0]?.endsWith(path))?.[1];
  }
}

/** Bytes of a download: `big` has several MiB. */
function contentOf(name: string): Buffer {
  return Buffer.alloc(name.startsWith("big") ? 5 * MIB + 1 : 3000, `${name} `);
}

function fetched(name: string): PackedFile {
  const bytes = contentOf(name);
  const content = {
    url: `http://hub.test/${name}`,
    size: bytes.byteLength,
    algorithm: "sha-256",
    digest: sumsOf(bytes)["sha-256"],
  } as const;
  return { path: name, content, label: name };
}

function packed(name: string, ...names: string[]): PackedPackage {
  return { name, type: "charm", files: [{ path: "metadata.json", content: Buffer.from(`{"name":"${name}"}`) }, ...names.map(fetched)] };
}

type Serve = (name: string, from: number, signal: AbortSignal) => Response | Promise<Response> | undefined;

/** A server that has them all, but for what `serve` answers in its place. */
function remoteOf(serve: Serve = () => undefined, signal?: AbortSignal) {
  const asked: [name: string, from: number][] = [];
  const remote = new HttpClient({
    transport: async (url, request) => {
      const name = url.replace("http://hub.test/", "");
      const from = Number(/\d+/.exec(request.headers?.["Range"] ?? "0")?.[0]);
      asked.push([name, from]);
      return (await serve(name, from, request.signal)) ?? whole(name, from);
    },
    sleep: async () => {},
    ...(signal && { signal }),
  });
  return { remote, asked };
}

function whole(name: string, from = 0): Response {
  return new Response(new Uint8Array(contentOf(name).subarray(from)), {
    status: from > 0 ? 206 : 200,
    headers: from > 0 ? { "Content-Range": `bytes ${from}-/*` } : {},
  });
}

/** The first bytes of it, then nothing until it is not wanted any more. */
function stalling(name: string, bytes: number, signal: AbortSignal): Response {
  return new Response(
    new ReadableStream({
      start(controller) {
        for (let at = 0; at < bytes; at += 2 ** 16)
          controller.enqueue(new Uint8Array(contentOf(name).subarray(at, Math.min(bytes, at + 2 ** 16))));
        signal.addEventListener("abort", () => controller.error(signal.reason), { once: true });
      },
    }),
  );
}

const writerOf = (
  work: ArchiveOutput,
  remote: HttpClient,
  form: ArchiveForm = "documented",
  onFetch?: (label: string, size: number) => FetchProgress,
) => new ArchiveWriter({ output: work, client: remote, form, parallel: 3, ...(onFetch && { onFetch }) });

/** What the importer finds: path → bytes. */
async function imported(work: Memory, length: number): Promise<Record<string, Buffer>> {
  const chunks = (async function* () {
    yield work.room.subarray(0, length);
  })();
  const found: Record<string, Buffer> = {};
  for await (const file of files({ name: "in", chunks }, () => false)) {
    const parts: Uint8Array[] = [];
    for await (const part of file.bytes.chunks()) parts.push(new Uint8Array(part));
    found[showLocation(file).replace("in: ", "").replaceAll(": ", "/")] = Buffer.concat(parts);
  }
  return found;
}

const [DB, WEB] = [packed("db", "big-db", "small-db"), packed("web", "small-web")];

describe.each([
  ["documented", "db.tar.gz/", "web.tar.gz/"],
  ["site", "charms/db/", "charms/web/"],
] as const)("a %s archive", (form, db, web) => {
  test("holds what came, what was at hand, and the sums of all", async () => {
    const work = new Memory();
    const { remote } = remoteOf();
    const writer = writerOf(work, remote, form);
    expect(await writer.add([DB])).toEqual([]);
    expect(await writer.add([WEB])).toEqual([]);
    const length = await writer.finish([{ path: "bundle.yaml", content: Buffer.from("a: 1\n") }], undefined, 0);
    expect(work.reserved).toBeLessThanOrEqual(length);
    const found = await imported(work, length);
    const expected: Record<string, Buffer> = {
      [`${db}metadata.json`]: Buffer.from('{"name":"db"}'),
      [`${db}big-db`]: contentOf("big-db"),
      [`${db}small-db`]: contentOf("small-db"),
      [`${web}metadata.json`]: Buffer.from('{"name":"web"}'),
      [`${web}small-web`]: contentOf("small-web"),
      "bundle.yaml": Buffer.from("a: 1\n"),
    };
    const { SHA256SUMS: sums, ...rest } = found;
    expect(Object.keys(rest).toSorted()).toEqual(Object.keys(expected).toSorted());
    for (const [path, bytes] of Object.entries(expected)) expect([path, rest[path]?.equals(bytes)]).toEqual([path, true]);
    const lines = Object.entries(expected).map(([path, bytes]) => `${sumsOf(bytes)["sha-256"]}  ${path}`);
    expect(sums?.toString().trimEnd().split("\n").toSorted()).toEqual(lines.toSorted());
    expect(writer.fetched).toBe(5 * MIB + 1 + 6000);
  });
});

/** It gives the first bytes of `big-db` and ends, each time. */
const short: Serve = (name) => (name === "big-db" ? new Response(new Uint8Array(contentOf(name).subarray(0, 4 * MIB + 5))) : undefined);
/** No answer before something of `big-db` is there. */
const late = (work: Memory, status: number) => async () => {
  while ((work.keptOf("big-db") ?? 0) < MIB) await Bun.sleep(1);
  return new Response("", { status });
};

async function failureOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => new Error("it worked"),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof Failure)) throw error;
  return `${error.kind}: ${error.message}`;
}

describe("what came", () => {
  test("is taken over by the next writer, which fetches the rest alone and writes the same bytes", async () => {
    const [work, undisturbed] = [new Memory(), new Memory()];
    const broken = await writerOf(work, remoteOf(short).remote).add([DB, WEB]);
    expect(broken.map(({ packed: { name }, failure }) => [name, failure.message])).toEqual([
      ["db", `cannot fetch big-db: http://hub.test/big-db: it ended after ${4 * MIB + 5} of ${5 * MIB + 1} bytes, in 6 tries`],
    ]);
    const next = remoteOf();
    const writer = writerOf(work, next.remote);
    expect(await writer.add([DB, WEB])).toEqual([]);
    expect(next.asked).toEqual([["big-db", 4 * MIB + 5]]);
    expect(writer.fetched).toBe(MIB - 4);
    const length = await writer.finish([], undefined, 0);
    const other = writerOf(undisturbed, remoteOf().remote);
    await other.add([DB, WEB]);
    expect(await other.finish([], undefined, 0)).toBe(length);
    expect(Buffer.compare(work.room.subarray(0, length), undisturbed.room.subarray(0, length))).toBe(0);
  });

  test("is fetched again where it was spoiled", async () => {
    const work = new Memory();
    await writerOf(work, remoteOf(short).remote).add([DB]);
    work.room.fill(0, MIB, MIB + 1);
    const next = remoteOf();
    expect(await writerOf(work, next.remote).add([DB])).toEqual([]);
    expect(next.asked).toEqual([
      ["big-db", 4 * MIB + 5],
      ["big-db", 0],
    ]);
  });

  test("is forgotten where it is wrong twice", async () => {
    const work = new Memory();
    const wrong = remoteOf((name) => (name === "big-db" ? new Response(new Uint8Array(contentOf("big-xx"))) : undefined));
    const [broken] = await writerOf(work, wrong.remote).add([DB]);
    expect(broken?.failure.message).toStartWith("cannot fetch big-db: http://hub.test/big-db: its sha-256 is ");
    expect([work.keptOf("big-db"), work.keptOf("small-db")]).toEqual([0, 3000]);
  });

  test.each([
    ["a failure, where one is enough", { failFast: true }, 404, "not-found: cannot fetch missing: http://hub.test/missing: status 404"],
    ["a disk that is full", {}, 200, "failed: the disk is full"],
  ])("is kept by those that %s ends", async (_, options, status, said) => {
    const work = new Memory();
    const server = remoteOf((name, _from, signal) => {
      if (name === "big-db") return stalling(name, 4 * MIB + 5, signal);
      if (name !== "missing") return undefined;
      return late(work, status)().then((reply) => {
        if (status === 404) return reply;
        work.before = () => {
          throw new Failure("failed", "the disk is full");
        };
        return whole(name);
      });
    });
    expect(await failureOf(writerOf(work, server.remote).add([DB, packed("bad", "missing")], options))).toBe(said);
    expect(work.keptOf("big-db")).toBeGreaterThanOrEqual(MIB);
  });

  test("is kept by an interruption", async () => {
    const work = new Memory();
    const ending = new AbortController();
    const server = remoteOf((name, _from, signal) => {
      if (name === "big-db") return stalling(name, 4 * MIB + 5, signal);
      return name === "small-web" ? late(work, 503)().finally(() => ending.abort()) : undefined;
    }, ending.signal);
    expect(await failureOf(writerOf(work, server.remote).add([DB, WEB]))).toBe("interrupted: interrupted");
    expect(work.keptOf("big-db")).toBe(4 * MIB + 5);
  });
});

test("what is copied is there when it has ended, and what cannot be read is its failure", async () => {
  const work = new Memory();
  const bytes = contentOf("big-local");
  const local = (read: (start: number, end: number) => Promise<Uint8Array>): PackedPackage => ({
    name: "local",
    type: "charm",
    files: [{ path: "local", content: { size: bytes.byteLength, bytes: read } }],
  });
  const slow = async (start: number, end: number) => {
    await Bun.sleep(1);
    return bytes.subarray(start, end);
  };
  await writerOf(work, remoteOf().remote, "site").add([local(slow)]);
  expect(Buffer.from(work.room).includes(bytes)).toBe(true);
  const unreadable = () => Promise.reject(new Failure("failed", "EIO"));
  expect(await failureOf(writerOf(work, remoteOf().remote, "site").add([local(unreadable)]))).toBe("failed: EIO");
});

test("one report a label: what came, what was of no use, and whether all of it is there", async () => {
  const reports: Record<string, (number | boolean)[]> = {};
  const server = remoteOf((name, from) => {
    if (name === "small-web" && server.asked.filter(([one]) => one === name).length === 1) return new Response(new Uint8Array(3000));
    return name === "missing" || from > 0 ? new Response("", { status: 404 }) : undefined;
  });
  const writer = writerOf(new Memory(), server.remote, "site", (label, size) => {
    const told: (number | boolean)[] = [size];
    reports[label] = told;
    return { advance: (bytes) => void told.push(bytes), end: (isWhole) => void told.push(isWhole) };
  });
  const broken = await writer.add([packed("bad", "missing", "small-a", "small-b", "small-c", "small-d"), WEB]);
  expect(broken.map((one) => one.packed.name)).toEqual(["bad"]);
  const sums = Object.fromEntries(
    Object.entries(reports).map(([label, told]) => [
      label,
      [told[0], told.slice(1, -1).reduce<number>((sum, one) => sum + Number(one), 0), told.at(-1)],
    ]),
  );
  expect(sums["missing"]).toEqual([contentOf("missing").byteLength, 0, false]);
  expect(sums["small-web"]).toEqual([3000, 3000, true]);
  expect(reports["small-web"]).toContain(-3000);
  // What is not begun of a package that is broken is not fetched at all.
  expect(sums["small-d"]).toEqual([3000, 0, false]);
  expect(server.asked.map(([name]) => name)).not.toContain("small-d");
});
