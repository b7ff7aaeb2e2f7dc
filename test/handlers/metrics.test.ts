/** What the metrics say of the store and its machine, and what a scrape costs. */

import { expect, test } from "bun:test";
import { createApp } from "../../handlers/app.ts";
import type { Vitals } from "../../handlers/call.ts";
import { changeDraft } from "../../src/catalog/drafts.ts";
import { setOverride } from "../../src/catalog/override.ts";
import { Failure } from "../../src/errors.ts";
import { blobBytes } from "../../store/quota.ts";
import { Store } from "../../store/store.ts";
import { bothWorlds } from "../snapworld.ts";

const END = Date.UTC(2027, 0, 1);

async function served(over: Partial<Vitals> = {}) {
  const memory = await bothWorlds();
  const store = await Store.open(memory);
  const calls = { storeBytes: 0, opened: 0 };
  const lines: { message: string }[] = [];
  const vitals: Vitals = {
    certificateEnd: () => END,
    disk: async () => ({ size: 1000, free: 250 }),
    storeBytes: () => {
      calls.storeBytes += 1;
      return blobBytes(memory);
    },
    lastRuns: () => store.runs.last(),
    ...over,
  };
  const clock = { now: Date.now() };
  const app = createApp({ store, config: {}, log: (line) => void lines.push(line), vitals, clock: () => clock.now });
  const ask = async (path: string, init?: RequestInit) => (await app.fetch(new Request(`http://hub.test${path}`, init))).text();
  const values = async () => {
    const text = await ask("/metrics");
    const all = [...text.matchAll(/^([a-z_]+(?:\{[^}]*\})?) (\S+)$/gm)].map(([, name = "", value]) => [name, Number(value)] as const);
    expect(new Map(all).size).toBe(all.length); // Prometheus refuses a scrape that has a series twice
    return new Map(all);
  };
  /** after what is measured beside the requests */
  const measured = async () => {
    for (;;) {
      const found = await values();
      if (found.has('chp_damaged_items{found="serving"}')) return found;
      await Bun.sleep(1);
    }
  };
  return { memory, store, ask, values, measured, calls, lines, clock };
}

test("they say what the store holds and what its machine has left", async () => {
  const { measured, store, memory } = await served();
  const snapshot = await store.snapshot();
  const found = await measured();
  expect(Object.fromEntries(found)).toMatchObject({
    chp_generation: snapshot.number,
    chp_generation_timestamp_seconds: (snapshot.time ?? 0) / 1000,
    chp_packages: snapshot.names.length,
    chp_snaps: snapshot.snapNames.length,
    chp_overrides: 0,
    'chp_damaged_items{found="serving"}': 0,
    chp_store_bytes: await blobBytes(memory),
    chp_disk_bytes: 1000,
    chp_disk_free_bytes: 250,
    chp_certificate_expiry_timestamp_seconds: END / 1000,
  });
  for (const never of ["chp_last_import_failed", "chp_last_import_timestamp_seconds", "chp_last_verify_timestamp_seconds"])
    expect(found.has(never)).toBe(false);
});

test("the last import and verification are seen at the next scrape", async () => {
  const { values, store } = await served();
  const at = (second: number) => new Date(second * 1000).toISOString();
  await store.runs.importEnded("", { ended: at(1000), generation: 1 });
  expect(Object.fromEntries(await values())).toMatchObject({
    chp_last_import_failed: 0,
    chp_last_import_timestamp_seconds: 1000,
    chp_last_successful_import_timestamp_seconds: 1000,
  });
  await store.runs.importEnded("", { ended: at(2000), failed: "refused" });
  await store.runs.verified({ ended: at(3000), damaged: 4 });
  expect(Object.fromEntries(await values())).toMatchObject({
    chp_last_import_failed: 1,
    chp_last_import_timestamp_seconds: 2000,
    chp_last_successful_import_timestamp_seconds: 1000,
    chp_last_verify_timestamp_seconds: 3000,
    'chp_damaged_items{found="verify"}': 4,
  });
});

test("the store is walked once a generation, however often it is scraped, and no scrape waits for it", async () => {
  let release = () => {};
  const walking = new Promise<void>((resolve) => (release = resolve));
  let walks = 0;
  const { values, measured } = await served({
    storeBytes: async () => {
      walks += 1;
      await walking;
      return 42;
    },
  });
  for (let i = 0; i < 20; i += 1) expect((await values()).has("chp_store_bytes")).toBe(false);
  await Promise.resolve();
  release();
  expect((await measured()).get("chp_store_bytes")).toBe(42);
  for (let i = 0; i < 20; i += 1) await values();
  expect(walks).toBe(1);
});

test("a new generation is measured anew, and an override counts until it ends", async () => {
  const { values, measured, store, clock, calls } = await served();
  await measured();
  const until = new Date(clock.now + 3_600_000).toISOString();
  await store.publish(new Date().toISOString(), async (base) => {
    const [name = ""] = base.names;
    const before = await base.package(name);
    const [row] = before?.releases ?? [];
    if (!before || !row) throw new Error("there is a package with a release");
    const after = setOverride(before, row.revision, row.channel, {}, { reason: "pinned", until }, until);
    return { draft: changeDraft("override", [{ before, after }]), result: undefined };
  });
  for (;;) {
    const found = await values();
    if ((found.get("chp_overrides") ?? 0) > 0) break;
    await Bun.sleep(1);
  }
  expect(calls.storeBytes).toBe(2);
  clock.now += 3_600_001;
  expect((await values()).get("chp_overrides")).toBe(0); // by the clock alone
  expect(calls.storeBytes).toBe(2);
});

test("what cannot be read is left out, and hides nothing else", async () => {
  const fails = async () => {
    throw new Failure("failed", "the disk says no");
  };
  const { measured, lines } = await served({ disk: fails, storeBytes: fails, lastRuns: fails });
  const found = await measured();
  expect(found.has("chp_disk_free_bytes")).toBe(false);
  expect(found.has("chp_store_bytes")).toBe(false);
  expect(found.get("chp_generation")).toBeGreaterThan(0);
  expect(lines.filter(({ message }) => message === "the bytes of the store cannot be counted")).toHaveLength(1);
});

test("requests that fail are counted by kind, and caches by what they had", async () => {
  const { ask, values } = await served();
  const before = await values();
  for (let i = 0; i < 3; i += 1) await ask("/v2/charms/refresh", { method: "POST", body: "[" });
  await ask("/v2/charms/info/nope");
  for (let i = 0; i < 4; i += 1) await ask("/v2/charms/find?q=");
  const found = await values();
  const grown = (name: string) => (found.get(name) ?? 0) - (before.get(name) ?? 0);
  expect(grown('chp_failed_requests_total{kind="malformed"}')).toBe(3);
  expect(grown('chp_failed_requests_total{kind="not-found"}')).toBe(1);
  expect(grown('chp_failed_requests_total{kind="internal"}')).toBe(0);
  expect(grown('chp_missing_requests_total{type="charm"}')).toBe(1);
  expect(grown('chp_cache_requests_total{cache="replies",result="miss"}')).toBe(1);
  expect(grown('chp_cache_requests_total{cache="replies",result="hit"}')).toBe(3);
});
