import { expect, test } from "bun:test";
import { LIMITS } from "../../src/archives/archive.ts";
import { Failure } from "../../src/errors.ts";
import { importSources } from "../../src/import/import.ts";
import { Memory } from "../../store/memory.ts";
import { blobSizes, Quota } from "../../store/quota.ts";
import { Store } from "../../store/store.ts";
import { base, charmZip, exportOf, imageBlob, type PackageSpec } from "../build.ts";
import { thorough } from "../thorough.ts";

const jammy = base("amd64", "22.04");
const MIB = 2 ** 20;

/** A package with a file and an image, whose stored text is not that of the export. */
function spec(name: string, size: number): PackageSpec {
  const resources = { image: { type: "oci-image" }, data: { type: "file", filename: "data" } } as const;
  return {
    name,
    id: name.padEnd(32, "x"),
    type: "charm",
    revisions: { 1: charmZip({ name, revision: 1, bases: [jammy], resources }) },
    bases: { 1: [jammy] },
    resources: {
      image: { type: "oci-image", revisions: { 1: imageBlob(`registry.example/${name}@sha256:00`) } },
      data: { type: "file", filename: "data", revisions: { 1: Buffer.alloc(size, name) } },
    },
    releases: [{ channel: "latest/stable", base: jammy, revision: 1, resources: { image: 1, data: 1 } }],
  };
}

const FIRST = exportOf([spec("first", 3000)]);
const SECOND = exportOf([spec("second", 5000)]);
const LARGE = exportOf([spec("large", 2 * MIB), spec("larger", 2 * MIB + 1)]);

async function importInto(storage: Memory, bytes: Uint8Array, quota?: number) {
  const store = await Store.openOrCreate(storage);
  if (quota !== undefined) store.quota = await Quota.of(storage, quota);
  const source = {
    name: "e.tar.gz",
    size: bytes.byteLength,
    open: async function* () {
      for (let at = 0; at < bytes.byteLength; at += 50_000) yield bytes.subarray(at, at + 50_000);
    },
  };
  return importSources(store, [source], {
    command: "import",
    channels: "apply",
    dryRun: false,
    now: "2026-05-01T00:00:00Z",
    limits: LIMITS,
  });
}

async function usedIn(storage: Memory): Promise<number> {
  return [...(await blobSizes(storage)).values()].reduce((sum, size) => sum + size, 0);
}

/** The numbers of its generations, and how much is staged and not committed. */
const stateOf = async (storage: Memory) => [(await storage.list("catalog/")).length, (await storage.staged()).length];

async function refusal(work: Promise<unknown>): Promise<Failure> {
  const error = await work.then(
    () => new Error("it was not refused"),
    (thrown: unknown) => thrown,
  );
  if (error instanceof Failure && error.kind === "too-large") return error;
  throw error;
}

async function stored(...exports: readonly Uint8Array[]): Promise<Memory> {
  const storage = new Memory();
  for (const bytes of exports) await importInto(storage, bytes);
  return storage;
}

test.each([["small", FIRST], ...(thorough ? [["large", LARGE] as const] : [])])(
  "what is stored already is imported again at a full quota, and over it: %s",
  async (_, bytes) => {
    const storage = await stored(bytes);
    for (const quota of [await usedIn(storage), 1]) expect(await importInto(storage, bytes, quota)).toMatchObject({ generation: null });
  },
);

test("a store is filled to the last byte of its quota and not beyond, and what is refused leaves nothing staged or published", async () => {
  const full = await usedIn(await stored(FIRST, SECOND));
  const storage = await stored(FIRST);
  const used = await usedIn(storage);
  for (const quota of thorough ? [1, used, used + 4000] : [used]) {
    const { message, next, exit } = await refusal(importInto(storage.copy(), SECOND, quota));
    expect([message, next, exit]).toEqual([expect.stringContaining(`may have ${quota} bytes`), expect.stringContaining("store-quota"), 3]);
  }
  for (const [quota, before] of [
    [used + 4000, used],
    [full - 1, undefined],
  ] as const) {
    const copy = storage.copy();
    await refusal(importInto(copy, SECOND, quota));
    expect(await stateOf(copy)).toEqual([1, 0]);
    if (before !== undefined) expect(await usedIn(copy)).toBe(before);
  }
  expect(await importInto(storage, SECOND, full)).toMatchObject({ generation: 2 });
  expect(await usedIn(storage)).toBe(full);
});

test("an endless file ends soon after the quota", async () => {
  const storage = await stored(FIRST);
  const store = await Store.open(storage);
  store.quota = await Quota.of(storage, (await usedIn(storage)) + MIB);
  let given = 0;
  const endless = async function* () {
    for (const chunk = new Uint8Array(MIB / 8); given < 8 * MIB; given += chunk.byteLength) yield chunk;
  };
  await refusal(store.ingest(endless()));
  expect(given).toBeLessThanOrEqual(2 * MIB + 3000 + MIB / 8);
  expect(await storage.staged()).toEqual([]);
  // So do many that are small.
  const blobs = async () => {
    for (given = 0; given < 8 * MIB; given += 10_000) await store.ingestBytes(Buffer.from(String(given).padEnd(10_000)));
  };
  await refusal(blobs());
  expect(given).toBeLessThanOrEqual(2 * MIB + 3000 + 10_000);
});

test("a blob that is staged twice or discarded counts once or not at all", async () => {
  const storage = await stored(FIRST);
  const store = await Store.open(storage);
  store.quota = await Quota.of(storage, (await usedIn(storage)) + MIB);
  const text = new Uint8Array(MIB * 0.8);
  const [one, two] = [await store.ingestBytes(text), await store.ingestBytes(text)];
  await refusal(store.ingestBytes(new Uint8Array(MIB * 1.5)));
  await one.discard();
  await one.discard();
  await refusal(store.ingestBytes(new Uint8Array(MIB * 1.5)));
  await two.discard();
  await (await store.ingestBytes(new Uint8Array(MIB * 1.5))).discard();
});

test("imports at once that each would fit and together would not: the store never exceeds its quota with what it publishes", async () => {
  const storage = await stored(FIRST);
  const one = await usedIn(await stored(FIRST, SECOND));
  const other = exportOf([spec("third", 5000)]);
  const done = await Promise.allSettled([importInto(storage, SECOND, one + 1000), importInto(storage, other, one + 1000)]);
  const published = done.filter(({ status }) => status === "fulfilled").length;
  expect(published).toBeLessThan(2);
  for (const end of done) if (end.status === "rejected") expect(end.reason).toMatchObject({ kind: "too-large" });
  expect(await stateOf(storage)).toEqual([1 + published, 0]);
});
