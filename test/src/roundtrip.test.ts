import { expect, test } from "bun:test";
import fc from "fast-check";
import { createApp } from "../../handlers/app.ts";
import type { Work } from "../../src/archivewriter.ts";
import { OWN_ADDRESS, storeTransport } from "../../src/commands/transport.ts";
import { type Exported, type ExportOptions, everything, exportAll } from "../../src/export.ts";
import type { Defaults } from "../../src/manifest.ts";
import { Remote, type Transport } from "../../src/remote.ts";
import { Upstream } from "../../src/upstream.ts";
import { Memory } from "../../store/memory.ts";
import { Store } from "../../store/store.ts";
import { archiveOf, type Catalogue, catalogues, importBytes, type Question, questions } from "../catalogue.ts";

const ORIGIN = "http://hub.test";

/** An archive in memory. */
function workInMemory(): Work & { readonly whole: (length: number) => Uint8Array } {
  let bytes = Buffer.alloc(0);
  const reserve = async (length: number) => {
    if (length > bytes.byteLength) bytes = Buffer.concat([bytes, Buffer.alloc(length * 2 - bytes.byteLength)]);
  };
  return {
    reserve,
    kept: () => 0,
    keep: async () => {},
    write: async (at, chunk) => {
      await reserve(at + chunk.byteLength);
      bytes.set(chunk, at);
    },
    bytes: async (start, end) => bytes.subarray(start, end),
    whole: (length) => Uint8Array.from(bytes.subarray(0, length)),
  };
}

interface Made extends Exported {
  readonly bytes: Uint8Array;
}

async function exported(transport: Transport, address: string, more: Partial<ExportOptions> = {}, given: Defaults = {}): Promise<Made> {
  const remote = new Remote({ transport, sleep: async () => {} });
  const upstream = new Upstream({ charmhub: address, snapstore: address }, remote);
  const works = new Map<string, ReturnType<typeof workInMemory>>();
  const done = await exportAll({
    upstream,
    remote,
    wish: more.wish ?? (await everything(upstream, given)),
    without: new Set(["bundle-charms"]),
    closure: false,
    form: "site",
    failFast: false,
    parallel: 2,
    now: 0,
    open: async (which) => {
      const work = workInMemory();
      works.set(which, work);
      return work;
    },
    note: () => {},
    ...more,
  });
  return { ...done, bytes: works.get(done.which ?? "")?.whole(done.length) ?? new Uint8Array() };
}

async function storeOf(bytes: Uint8Array): Promise<Store> {
  const store = await Store.openOrCreate(new Memory());
  await importBytes(store, bytes);
  return store;
}

function appOf(store: Store) {
  return createApp({ store, config: {}, log: () => {} });
}

interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

async function reply(app: ReturnType<typeof appOf>, { method, path, headers, body }: Question): Promise<Reply> {
  const response = await app.fetch(new Request(`${ORIGIN}${path}`, { method, headers, ...(body !== undefined && { body }) }));
  const kept = [...response.headers].filter(([name]) => name !== "x-request-id" && name !== "date" && name !== "last-modified");
  return {
    status: response.status,
    headers: Object.fromEntries(kept),
    body: Buffer.from(await response.arrayBuffer()).toString("latin1"),
  };
}

/** Asks both everything; what a text is compared as, is its bytes. */
async function expectEqual(a: Store, b: Store, asked: readonly Question[]): Promise<void> {
  const [first, second] = [appOf(a), appOf(b)];
  for (const question of asked) {
    const [x, y] = [await reply(first, question), await reply(second, question)];
    if (x.body !== y.body || x.status !== y.status || JSON.stringify(x.headers) !== JSON.stringify(y.headers))
      expect({ question: told(question), ...readable(y) }).toEqual({ question: told(question), ...readable(x) });
  }
}

function told({ method, path, headers }: Question): string {
  return `${method} ${path} ${JSON.stringify(headers)}`;
}

/** JSON as a value, so that a difference can be seen; as text besides, for the order of its keys. */
function readable({ status, headers, body }: Reply): object {
  try {
    return { status, headers, value: JSON.parse(Buffer.from(body, "latin1").toString()), body };
  } catch {
    return { status, headers, body };
  }
}

function isEmpty({ charms, bundles, snaps }: Catalogue): boolean {
  return charms.length + bundles.length + snaps.length === 0;
}

test("what was exported from a store and imported again is served alike to the byte", async () => {
  await fc.assert(
    fc.asyncProperty(catalogues, async (catalogue) => {
      fc.pre(!isEmpty(catalogue));
      const a = await storeOf(archiveOf(catalogue));
      const made = await exported(storeTransport(a), OWN_ADDRESS);
      expect(made.lost).toEqual([]);
      await expectEqual(a, await storeOf(made.bytes), questions(catalogue));
    }),
    { numRuns: Number(process.env["RUNS"] ?? 60), endOnFailure: true },
  );
});
