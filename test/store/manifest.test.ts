import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import type { Index } from "../../src/catalog/generation-types.ts";
import type { Digest } from "../../src/digest.ts";
import type { Failure } from "../../src/errors.ts";
import { check } from "../../store/check.ts";
import { jsonBytes } from "../../store/json.ts";
import { generationKey } from "../../store/keys.ts";
import { type Manifests, manifestProblem } from "../../store/manifest.ts";
import { Memory } from "../../store/memory.ts";
import { Store } from "../../store/store.ts";
import { archiveOf, catalogues, importBytes } from "../catalogue.ts";
import { generationFile } from "../generations.ts";
import { bothWorlds, importSnapWorld } from "../snapworld.ts";
import { runs, thorough } from "../thorough.ts";
import { importWorld } from "../world.ts";

type Json = Record<string, unknown>;

async function world(): Promise<Store> {
  return Store.open(await bothWorlds());
}

/** Every manifest and list of the newest generation. */
async function manifestsOf(store: Store): Promise<{ section: keyof Manifests; name: string; digest: Digest }[]> {
  const { packages, snaps, assertions } = (await store.snapshot()).index;
  return [
    ...Object.entries(packages).map(([name, [digest]]) => ({ section: "packages" as const, name, digest })),
    ...Object.entries(snaps).map(([name, [digest]]) => ({ section: "snaps" as const, name, digest })),
    ...(assertions === undefined ? [] : [{ section: "assertions" as const, name: "", digest: assertions }]),
  ];
}

async function put(store: Store, value: unknown): Promise<Digest> {
  const blob = await store.ingestBytes(jsonBytes(value));
  await blob.commit();
  return blob.sums["sha-256"];
}

/** Publishes, as another chp may, a generation whose manifest in a section has other content under a digest that is right. */
async function replace(store: Store, section: keyof Manifests, name: string, edit: (manifest: never) => unknown): Promise<Digest> {
  const { generation, index } = await store.snapshot();
  if (!generation) throw new Error("nothing was published");
  const found = section === "assertions" ? index.assertions : index[section][name]?.[0];
  const digest = await put(store, edit(JSON.parse(await store.text(found as Digest)) as never));
  const [, ...ids] = section === "assertions" ? [] : (index[section][name] ?? []);
  const changed = section === "assertions" ? digest : { ...index[section], [name]: [digest, ...ids] };
  const next: Index = { ...index, [section]: changed };
  const number = generation.number + 1;
  await store.storage.create(
    generationKey(number),
    generationFile({ ...generation, number, parent: generation.number, parentDigest: generation.sha256, index: await put(store, next) }),
  );
  return digest;
}

const failureOf = (work: Promise<unknown>): Promise<Failure> =>
  work.then(
    () => Promise.reject(new Error("it did not fail")),
    (error: Failure) => error,
  );

/** A copy with one value replaced; undefined deletes the field. */
function edited(value: unknown, path: readonly (string | number)[], to: unknown): unknown {
  const [first, ...rest] = path;
  if (first === undefined) return to;
  if (Array.isArray(value)) return value.map((item: unknown, i) => (i === first ? edited(item, rest, to) : item));
  const object = value as Json;
  return { ...object, [first]: edited(object[first], rest, to) };
}

/** Paths of all values below one, itself included. */
function* paths(value: unknown, path: readonly (string | number)[] = []): Generator<readonly (string | number)[]> {
  yield path;
  if (Array.isArray(value)) for (const [i, item] of value.entries()) yield* paths(item, [...path, i]);
  else if (typeof value === "object" && value !== null) for (const [key, item] of Object.entries(value)) yield* paths(item, [...path, key]);
}

/** What is kept as it came, and not read by chp. */
const FREE = /^details\.(links|unlisted|website|bugs-url|deployable-on|contains-charms)\b/;

describe("a manifest of a wrong shape", () => {
  test("is found whatever value of it is of another type", async () => {
    const store = await world();
    let [count, seen] = [0, 0];
    for (const { section, digest } of await manifestsOf(store)) {
      const value: unknown = JSON.parse(await store.text(digest));
      expect(manifestProblem(section, value)).toBeUndefined();
      for (const path of paths(value)) {
        const dotted = path.join(".");
        if (section === "packages" && FREE.test(dotted)) continue;
        if (!thorough && (seen += 1) % 31 !== 0) continue;
        const current = path.reduce((at: unknown, key) => (at as Json)[key], value);
        const other = typeof current === "object" ? 7 : {};
        expect([dotted, manifestProblem(section, edited(value, path, other))]).toEqual([dotted, expect.stringContaining(dotted)]);
        count += 1;
      }
    }
    expect(count).toBeGreaterThan(thorough ? 1000 : 30);
  });

  test.each<[keyof Manifests, string, (manifest: Json) => unknown, string]>([
    ["packages", "tiny", () => [], "is not a manifest of a charm or bundle: "],
    ["packages", "tiny", ({ revisions: _revisions, ...rest }) => rest, "is not a manifest of a charm or bundle: revisions is missing"],
    ["packages", "tiny", (pkg) => ({ ...pkg, type: "snap" }), "is not a manifest of a charm or bundle: type is not charm or bundle"],
    [
      "packages",
      "tiny",
      (pkg) => edited(pkg, ["revisions", 0, "blob"], "../../etc/passwd"),
      "is not a manifest of a charm or bundle: revisions.0.blob is not a sha256",
    ],
    ["snaps", "hello", (snap) => ({ ...snap, pairs: {} }), "is not a manifest of a snap: pairs is not a list"],
    ["assertions", "", () => ({}), "is not a list of assertions: "],
  ])("of %s %s is corrupt, its field is named, and verify tells of it", async (section, name, edit, problem) => {
    const store = await world();
    const digest = await replace(store, section, name, edit);
    const failure = await failureOf(store.manifest(section, digest));
    expect(failure).toMatchObject({ kind: "corrupt", next: expect.stringContaining("import the file again that chp verify names") });
    expect(failure.message).toStartWith(`blob ${digest} in memory ${problem}`);
    const { findings } = await check(store, { dryRun: false });
    expect(findings).toEqual([
      expect.objectContaining({ severity: "damage", digest, current: true, problem: expect.stringContaining(problem) }),
    ]);
    expect(await store.blob(digest)).toBeDefined();
  });

  test("is left out by readers, and the same import mends it", async () => {
    const store = await world();
    await replace(store, "packages", "tiny", (pkg: Json) => ({ ...pkg, revisions: {} }));
    await replace(store, "snaps", "hello", (snap: Json) => ({ ...snap, name: undefined }));
    await replace(store, "assertions", "", () => [{}]);
    const fresh = await Store.open(store.storage);
    const damaged = await fresh.snapshot();
    expect((await damaged.unreadable()).map(({ section, name }) => [section, name])).toEqual([
      ["packages", "tiny"],
      ["snaps", "hello"],
    ]);
    expect((await damaged.packages()).map(({ name }) => name)).not.toContain("tiny");
    expect((await damaged.assertions()).others).toEqual([]);

    const [charms, snaps] = [await importWorld(fresh), await importSnapWorld(fresh)];
    expect([...charms.notes, ...snaps.notes].filter((note) => note.includes("could not be read"))).toHaveLength(3);
    const mended = await fresh.snapshot();
    const sound = await (await world()).snapshot();
    expect(await mended.unreadable()).toEqual([]);
    expect(await mended.package("tiny")).toEqual(await sound.package("tiny"));
    expect(await mended.snap("hello")).toEqual(await sound.snap("hello"));
    expect((await mended.assertions()).others).toEqual((await sound.assertions()).others);
    // A list that only old generations name is reported, and is no damage.
    const { findings } = await check(fresh, { dryRun: false });
    expect(findings.map(({ severity, current }) => [severity, current])).toEqual(findings.map(() => ["warning", false]));
    expect(findings).toHaveLength(3);
  });
});

test("fields that another chp wrote are kept, at every place, through a read and a change", async () => {
  const store = await world();
  const withMore = (text: string): Json => {
    const manifest: Json = JSON.parse(text);
    const lists = ["revisions", "resources", "components", "releases", "history"].flatMap((list) => (manifest[list] ?? []) as Json[]);
    for (const object of [manifest, manifest["details"] as Json, ...lists]) object["future"] = { constructor: [1, null, { x: true }] };
    return manifest;
  };
  for (const { section, name, digest } of await manifestsOf(store)) {
    if (section === "assertions") continue;
    const grown = withMore(await store.text(digest));
    const stored = await replace(store, section, name, () => grown);
    expect(await store.manifest(section, stored)).toEqual(grown as never);
    expect(store.digestOf(await store.manifest(section, stored))).toBe(stored);
    await new Promise((resolve) => void setImmediate(resolve));
  }
});

test("reading and writing a manifest does not change its digest", async () => {
  await fc.assert(
    fc.asyncProperty(catalogues, async (catalogue) => {
      const store = await Store.openOrCreate(new Memory());
      await importBytes(store, archiveOf(catalogue));
      for (const { section, digest } of await manifestsOf(store))
        expect(store.digestOf(await store.manifest(section, digest))).toBe(digest);
    }),
    { numRuns: runs(20) },
  );
});
