import { describe, expect, test } from "bun:test";
import { rollBack } from "../../../src/catalog/change.ts";
import type { Package } from "../../../src/catalog/package.ts";
import { imageBlob } from "../../../src/catalog/registry.ts";
import type { Snap } from "../../../src/catalog/snap.ts";
import { type Digest, sumsOf } from "../../../src/digest.ts";
import { Failure } from "../../../src/errors.ts";
import { formatInventory, readInventory } from "../../../src/export/inventory.ts";
import { blobKey } from "../../../store/keys.ts";
import { blobsOf } from "../../../store/reach.ts";
import { Store } from "../../../store/store.ts";
import { bothWorlds } from "../../snapworld.ts";
import { longTest } from "../../thorough.ts";
import { PACKAGES } from "../../world.ts";

async function worlds(): Promise<Store> {
  return Store.open(await bothWorlds());
}

async function inventoryOf(store: Store): Promise<string> {
  const snapshot = await store.snapshot();
  const isHeld = async (blob: Parameters<Store["blob"]>[0], size: number) => (await store.blob(blob))?.size === size;
  return formatInventory(await snapshot.packages(), await snapshot.snaps(), isHeld);
}

const all = async () => true;
const ACME = PACKAGES[0]?.resources?.["acme-image"]?.revisions[7]?.toString() ?? "";

describe("what is stored", () => {
  test("is found by every digest that an exporter knows it by, and nothing else is", async () => {
    const store = await worlds();
    const inventory = readInventory(await inventoryOf(store), "have.json");
    const snapshot = await store.snapshot();
    const counted = new Map<string, number>();
    if (!snapshot.generation) throw new Error("nothing was imported");
    for await (const { digest, what } of blobsOf(store, snapshot.generation)) {
      const isPayload = ["charm", "bundle", "snap", "resource", "component"].includes(what.kind);
      expect([what, inventory.has("sha-256", digest)]).toEqual([what, isPayload]);
      counted.set(what.kind, (counted.get(what.kind) ?? 0) + 1);
      const bytes = await (await store.blob(digest))?.bytes();
      const sha3 = sumsOf(bytes ?? new Uint8Array(), ["sha3-384"])["sha3-384"] ?? "";
      expect([what, inventory.has("sha3-384", sha3)]).toEqual([what, what.kind === "snap" || what.kind === "component"]);
    }
    for (const kind of ["charm", "bundle", "snap", "resource", "component"])
      expect([kind, counted.get(kind)]).not.toEqual([kind, undefined]);
    expect(inventory.has("sha-256", "0".repeat(64))).toBe(false);
  });

  test("an image is known by what it is without credentials, not by what upstream sent", async () => {
    const inventory = readInventory(await inventoryOf(await worlds()), "have.json");
    const { ImageName } = JSON.parse(ACME) as { ImageName: string };
    expect(inventory.has("sha-256", sumsOf(imageBlob(ImageName))["sha-256"])).toBe(true);
    expect(inventory.has("sha-256", sumsOf(Buffer.from(ACME))["sha-256"])).toBe(false);
  });

  test("what is had by its number alone is stored; what is lost or cut short is not", async () => {
    const store = await worlds();
    const held = await (await store.snapshot()).package("acme-db");
    if (!held) throw new Error("acme-db is not stored");
    const back = rollBack(undefined, held);
    expect(back.revisions.every((r) => r.aside)).toBe(true);
    const text = await formatInventory([back], [], all);
    for (const { blob } of [...held.revisions, ...held.resources.flatMap((r) => r.revisions)])
      expect(readInventory(text, "it").has("sha-256", blob)).toBe(true);

    const [first, second, third] = held.revisions;
    if (!first || !second || !third) throw new Error("acme-db has too few revisions");
    await store.storage.remove(blobKey(first.blob));
    await store.storage.remove(blobKey(second.blob));
    await store.storage.create(blobKey(second.blob), Buffer.from("cut"));
    const left = readInventory(await inventoryOf(store), "it");
    expect([first, second, third].map(({ blob }) => left.has("sha-256", blob))).toEqual([false, false, true]);
  });
});

test("it is the same for the same holdings, sorted, and tells nothing else", async () => {
  const store = await worlds();
  const text = await inventoryOf(store);
  const snapshot = await store.snapshot();
  const [packages, snaps] = [await snapshot.packages(), await snapshot.snaps()];
  const turned = <T extends { readonly revisions: readonly unknown[] }>(one: T) => ({ ...one, revisions: one.revisions.toReversed() });
  expect(await formatInventory(packages.map(turned).toReversed(), snaps.map(turned).toReversed(), all)).toBe(text);
  const value = JSON.parse(text);
  expect(Object.keys(value)).toEqual(["format", "charms", "bundles", "snaps"]);
  expect(Object.keys(value.charms)).toEqual(["acme-db", "juju-controller", "tiny"]);
  expect(Object.keys(value.charms["acme-db"].revisions)).toEqual(["10", "18", "20", "21", "25"]);
  expect(Object.keys(value.charms["acme-db"].resources["acme-image"])).toEqual(["3", "4", "5", "6", "7", "8", "9"]);
  expect(value.bundles["acme-stack"]).toEqual({ revisions: { 3: expect.stringMatching(/^sha-256:[0-9a-f]{64}$/) } });
  expect(value.snaps.hello.revisions["7"]).toMatch(/^sha-256:[0-9a-f]{64} sha3-384:[0-9a-f]{96}$/);
  expect(text).not.toMatch(/stable|edge|20\d\d-|upstream-secret-token|registry/);
});

// The packages take long to make.
longTest("1,000 packages of 20 revisions are a few MB", async () => {
  const digest = sumsOf(Buffer.from("x"))["sha-256"];
  const revisions = Array.from({ length: 20 }, (_, i) => ({ revision: i + 1, blob: digest, size: 1, "sha3-384": "a".repeat(96) }));
  const names = Array.from({ length: 500 }, (_, i) => `package-number-${i}`);
  const charms = names.map((name) => ({ type: "charm", name, revisions, resources: [] }) as unknown as Package);
  const snaps = names.map((name) => ({ type: "snap", name, revisions, components: [] }) as unknown as Snap);
  expect(Buffer.byteLength(await formatInventory(charms, snaps, all))).toBeLessThan(5 * 2 ** 20);
});

describe("what is no inventory is refused, and the field is named", () => {
  const right = { format: 1, charms: { kafka: { revisions: { 195: `sha-256:${"a".repeat(64)}` } } }, bundles: {}, snaps: {} };
  const withSnaps = (snaps: unknown) => ({ ...right, snaps });

  test("the right one is taken, also with what a later chp adds", () => {
    const inventory = readInventory(JSON.stringify({ ...right, more: 1 }), "it");
    expect([inventory.has("sha-256", "a".repeat(64)), inventory.has("sha3-384", "a".repeat(64))]).toEqual([true, false]);
  });

  test.each<[string, unknown, string]>([
    ["a list", [], "it: "],
    ["another format", { ...right, format: 2 }, "it: format is not 1, which this chp reads"],
    ["no bundles", { ...right, bundles: undefined }, "it: bundles is missing"],
    ["a list of snaps", withSnaps([]), "it: snaps is not a map by name"],
    ["a number for a revision", { ...right, charms: { kafka: { revisions: { 195: 7 } } } }, "it: charms.kafka.revisions.195 is not text"],
    [
      "a digest that is none",
      withSnaps({ core22: { revisions: {}, components: { constructor: { 3: "sha-256:abc" } } } }),
      "it: snaps.core22.components.constructor.3 is not sha-256:HEX or sha-256:HEX sha3-384:HEX",
    ],
  ])("%s", (_, value, message) => {
    expect(refusalOf(JSON.stringify(value))).toStartWith(message);
  });

  test("text that is no JSON", () => {
    expect(refusalOf("hello")).toBe("it is not JSON");
  });

  function refusalOf(text: string): string {
    try {
      readInventory(text, "it");
    } catch (error) {
      if (error instanceof Failure && error.kind === "refused") return error.message;
      throw error;
    }
    throw new Error("it was not refused");
  }
});

test("what images are made of is a section of its own, where there are any", async () => {
  const [a, b, gone] = ["a", "b", "c"].map((one) => sumsOf(Buffer.from(one))["sha-256"]) as [Digest, Digest, Digest];
  const blobs = [a, b, gone].map((digest) => ({ digest, size: 1 }));
  const text = await formatInventory([], [], async (blob) => blob !== gone, {
    repositories: [{ name: "juju/juju-db", tags: {}, manifests: [], blobs }],
  });
  expect(JSON.parse(text)).toEqual({
    format: 1,
    charms: {},
    bundles: {},
    snaps: {},
    images: { "juju/juju-db": [`sha-256:${a}`, `sha-256:${b}`] },
  });
  const inventory = readInventory(text, "have.json");
  expect([a, b, gone].map((digest) => inventory.has("sha-256", digest))).toEqual([true, true, false]);
});
