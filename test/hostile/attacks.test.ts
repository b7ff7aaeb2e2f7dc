/** The attacks on updates that The Update Framework lists, by its names, against what is carried to a store: each is refused or reported. */

import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { publishChange } from "../../bin/commands/changing.ts";
import { createApp } from "../../handlers/app.ts";
import { LIMITS } from "../../src/archives/archive.ts";
import { keyLine, readKeyLine } from "../../src/archives/signature.ts";
import { changeDraft, rollbackTo } from "../../src/catalog/drafts.ts";
import { newestOf, showAge, signedTime } from "../../src/catalog/freshness.ts";
import type { ImportOptions, ImportReport } from "../../src/import/import.ts";
import { sized } from "../../src/import/remoteprotocol.ts";
import { repairFrom } from "../../src/import/repair.ts";
import { check, lostBlobs } from "../../store/check.ts";
import { blobKey, generationKey } from "../../store/keys.ts";
import { LostLists } from "../../store/lostlists.ts";
import type { Memory } from "../../store/memory.ts";
import { Store } from "../../store/store.ts";
import { base, charmZip, type Files, type PackageSpec, packageFiles, tarOf } from "../build.ts";
import { carried, leavesOf, sealOf, type Tree, testKey } from "../carried.ts";
import { failureOf, importInto, newStore, sourceOf } from "../importing.ts";
import { signComment } from "../minisign.ts";
import { runs } from "../thorough.ts";

const JAMMY = base("amd64", "22.04");
const SITE = testKey("site");
const OTHER = testKey("other");
const NOW = "2026-05-01T00:00:00Z";
const at = (day: number) => Date.parse("2026-04-01T00:00:00Z") + day * 86_400_000;

function charm(name: string, revision: number, id = `ID${name}`): PackageSpec {
  return {
    name,
    id,
    type: "charm",
    revisions: { [revision]: charmZip({ name, revision, bases: [JAMMY] }) },
    releases: [{ channel: "latest/stable", base: JAMMY, revision, releasedAt: `2026-03-01T00:00:0${revision}Z` }],
  };
}

const treeOf = (...specs: readonly PackageSpec[]): Tree =>
  Object.fromEntries(specs.map((spec) => [`${spec.name}.tar.gz`, packageFiles(spec)]));

/** An archive that was signed on that day of April. */
const signed = (day: number, specs: readonly PackageSpec[], key = SITE): Files => ({
  "site.tar": tarOf(carried(treeOf(...specs), key, at(day))),
});

const load = (store: Store, sources: Files, options: Partial<ImportOptions> = {}): Promise<ImportReport> =>
  importInto(store, sources, { accepted: [SITE.accepted], now: NOW, ...options });

async function storeOf(...imports: readonly Files[]): Promise<Store> {
  const store = await newStore();
  for (const sources of imports) await load(store, sources);
  return store;
}

const released = async (store: Store, name = "demo") =>
  (await (await store.snapshot()).package(name))?.releases.map(({ channel, revision }) => `${channel} ${revision}`);
const remembered = async (store: Store) => (await store.snapshot()).generation?.signed;
const ID = SITE.accepted.id;

const OLD = signed(1, [charm("demo", 1)]);
const NEW = signed(3, [charm("demo", 3)]);

test("arbitrary software installation: what no accepted key signed is refused", async () => {
  const store = await newStore();
  for (const sources of [signed(3, [charm("evil", 1)], OTHER), { "site.tar": tarOf(packageFiles(charm("evil", 1))) }])
    expect((await failureOf(load(store, sources))).message).toContain("is not signed by a trusted key");
  expect(await store.generationNumbers()).toEqual([]);
});

describe("rollback: an older archive that was signed as well", () => {
  test("is refused, and says what to do", async () => {
    const store = await storeOf(NEW);
    const failure = await failureOf(load(store, OLD));
    expect(failure.message).toBe(
      `site.tar was signed at 2026-04-02T00:00:00Z, and the newest by key ${ID} (site) here is of 2026-04-04T00:00:00Z`,
    );
    expect([failure.exit, failure.next]).toMatchObject([3, expect.stringContaining("--allow-older")]);
    expect(await released(store)).toEqual(["latest/stable 3"]);
    expect((await failureOf(load(store, OLD, { dryRun: true }))).message).toBe(failure.message);
  });

  test("is imported with --allow-older, which is noted and lowers nothing", async () => {
    const store = await storeOf(NEW);
    const { notes } = await load(store, OLD, { allowOlder: true });
    expect(notes.filter((note) => note.startsWith("OLDER: site.tar was signed at"))).toHaveLength(1);
    expect(await remembered(store)).toEqual({ [ID]: "2026-04-04T00:00:00Z" });
    await failureOf(load(store, OLD));
  });

  test("is refused after a rollback, a removal and other changes, too", async () => {
    const store = await storeOf(signed(1, [charm("demo", 1)]), NEW);
    const then = await store.snapshotAt(1);
    if (!then) throw new Error("generation 1 is not there");
    await publishChange(store, NOW, async (newest) => {
      const { updates, dropped } = await rollbackTo(then, newest);
      return { draft: changeDraft("rollback 1", updates, dropped), result: 0 };
    });
    expect(await released(store)).toEqual(["latest/stable 1"]);
    await failureOf(load(store, OLD));
    expect((await load(store, NEW)).generation).toBe(4);
  });

  test("counts by key, and the same archive again is none", async () => {
    const store = await storeOf(NEW);
    expect((await load(store, NEW)).generation).toBeNull();
    const accepted = [SITE.accepted, OTHER.accepted];
    expect((await load(store, signed(1, [charm("zinc", 1)], OTHER), { accepted })).generation).toBe(2);
    expect(await remembered(store)).toEqual({ [ID]: "2026-04-04T00:00:00Z", [OTHER.accepted.id]: "2026-04-02T00:00:00Z" });
    await failureOf(load(store, signed(0, [charm("zinc", 1)], OTHER), { accepted }));
  });

  test("does not matter inside of a newer one, whose signature vouches for it", async () => {
    const store = await storeOf(NEW);
    const tree = treeOf(charm("zinc", 1));
    const inner = carried(tree, SITE, at(1));
    const whole: Tree = { "old.tar": { ...sealOf(tree, SITE, at(1)), ...tree } };
    expect((await failureOf(load(store, { "old.tar": tarOf(inner) }))).message).toContain("was signed at 2026-04-02T00:00:00Z");
    expect((await failureOf(load(store, { "any.tar": tarOf({ "old.tar": tarOf(inner) }) }))).message).toContain("was signed at");
    expect((await load(store, { "site.tar": tarOf(carried(whole, SITE, at(5))) })).generation).toBe(2);
  });

  test("one without a time is older than any with one", async () => {
    const tree = treeOf(charm("demo", 1));
    const { "SHA256SUMS.minisig": signature = "", ...rest } = carried(tree, SITE, at(1));
    const without = { ...rest, "SHA256SUMS.minisig": signComment(String(signature), SITE, "no time in here") };
    const store = await newStore();
    expect((await load(store, { "site.tar": tarOf(without) })).generation).toBe(1);
    await load(store, NEW);
    expect((await failureOf(load(store, { "site.tar": tarOf(without) }))).message).toContain("site.tar does not say when it was signed");
    const dated = {
      ...rest,
      "SHA256SUMS.minisig": signComment(String(signature), SITE, `timestamp:${at(9) / 1000}\tfile:SHA256SUMS\thashed`),
    };
    await load(store, { "site.tar": tarOf(dated) });
    expect(await remembered(store)).toEqual({ [ID]: "2026-04-10T00:00:00Z" });
  });

  test("is known in a store of an older version, by what its generations say", async () => {
    const store = await storeOf(NEW, signed(4, [charm("zinc", 1)]));
    for (const number of [1, 2]) {
      const { signed: _, sha256: _own, parentDigest: _parent, ...before } = (await store.generation(number)) ?? {};
      const memory = store.storage as Memory;
      const stage = await memory.stage("immutable");
      await stage.write(Buffer.from(JSON.stringify({ ...before, format: 1 })));
      await stage.end();
      await stage.commit(generationKey(number));
    }
    const opened = await Store.open(store.storage);
    expect(await opened.signedTimes(await opened.snapshot())).toEqual({ [ID]: "2026-04-05T00:00:00Z" });
    await failureOf(load(opened, OLD));
  });

  test("whatever is imported in whatever order, what is remembered never goes back, and nothing older is released", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(9), { minLength: 2, maxLength: 6 }), async (days) => {
        const store = await newStore();
        let newest = -1;
        for (const day of days) {
          const done = await load(store, signed(day, [charm("demo", day)])).catch((error: unknown) => {
            expect(error).toMatchObject({ kind: "refused" });
          });
          expect(done !== undefined).toBe(day >= newest);
          newest = Math.max(newest, day);
          expect(await released(store)).toEqual([`latest/stable ${newest}`]);
        }
      }),
      { numRuns: runs(100) },
    );
  });
});

describe("fast-forward: an archive that says it is of a later time", () => {
  test("is reported, and keeps none after it out", async () => {
    const store = await newStore();
    const { notes } = await load(store, signed(4000, [charm("demo", 1)]));
    expect(notes.join()).toContain(`was signed at 2037-03-14T00:00:00Z, and it is ${NOW} here: that time is not remembered`);
    expect(await remembered(store)).toEqual({});
    expect((await load(store, NEW)).generation).toBe(2);
    expect(await released(store)).toEqual(["latest/stable 3"]);
  });

  test("and a key that is replaced begins anew", async () => {
    const store = await storeOf(NEW);
    expect((await load(store, signed(0, [charm("demo", 4)], OTHER), { accepted: [OTHER.accepted] })).generation).toBe(2);
  });
});

describe("indefinite freeze: nothing newer comes", () => {
  test("the age of the newest archive is a metric, and its text counts days", async () => {
    const store = await storeOf(OLD, signed(2, [charm("demo", 1)]));
    expect(await remembered(store)).toEqual({ [ID]: "2026-04-03T00:00:00Z" }); // nothing else was new in the second
    const app = createApp({ store, config: {}, log: () => {} });
    const text = await (await app.fetch(new Request("http://hub.test/metrics"))).text();
    expect(text).toContain(`chp_newest_archive_timestamp_seconds{key="${ID}"} ${at(2) / 1000}\n`);
    expect(showAge("2026-04-03T00:00:00Z", at(14) + 5)).toBe("2026-04-03T00:00:00Z, 12 days old");
    expect(showAge("2026-04-03T00:00:00Z", at(3))).toBe("2026-04-03T00:00:00Z, a day old");
    expect(showAge("2026-04-03T00:00:00Z", at(1))).toBe("2026-04-03T00:00:00Z, which is to come by the clock here");
  });

  test("a key has an end, after which nothing that it signed is accepted", async () => {
    const until = (day: number) => [{ ...SITE.accepted, until: new Date(at(day)).toISOString() }];
    expect((await load(await newStore(), NEW, { accepted: until(40) })).generation).toBe(1);
    for (const [accepted, now] of [
      [until(20), NOW],
      [until(2), "2026-04-01T00:00:00Z"], // whatever the clock here says, it was signed after the end
    ] as const)
      expect((await failureOf(load(await newStore(), NEW, { accepted, now }))).message).toContain("which was trusted until 2026-04-");
    const [key = SITE.accepted] = until(20);
    expect(readKeyLine(keyLine(key), "it")).toEqual(key);
    expect(readKeyLine(keyLine({ ...SITE.accepted, comment: "until=2099-01-01 x" }), "it")).not.toHaveProperty("until");
    expect(() => readKeyLine(`${SITE.accepted.text} until=never x`, "it")).toThrow("ends at no time");
  });
});

describe("endless data", () => {
  test("of an archive ends at its limits", async () => {
    const zeros = tarOf({ "a.bin": new Uint8Array(2 ** 20), "b.bin": new Uint8Array(2 ** 20) });
    const failure = await failureOf(
      load(await newStore(), { "z.tar.gz": Bun.gzipSync(Buffer.from(zeros)) }, { limits: { ...LIMITS, size: 2 ** 20 } }),
    );
    expect(failure.message).toContain("it unpacks to more than 1048576 bytes");
  });

  test("of a file ends at the size that it had", async () => {
    const endless = {
      ...sourceOf("a", "x"),
      size: 1,
      open: async function* () {
        for (;;) yield new Uint8Array(10);
      },
    };
    const read = async () => {
      for await (const _ of sized(endless));
    };
    expect((await failureOf(read(), "failed")).message).toContain("changed while it was read");
  });
});

test("slow retrieval: a source that is cut off in the middle publishes nothing", async () => {
  const bytes = Buffer.from(NEW["site.tar"] ?? "");
  const store = await newStore();
  for (const length of [600, 5000, bytes.byteLength - 1024 - 1])
    expect((await failureOf(load(store, { "site.tar": bytes.subarray(0, length) }))).message).toContain("cut short");
  expect(await store.generationNumbers()).toEqual([]);
});

test("extraneous dependencies: what lies beside the signed files is refused", async () => {
  const more = {
    ...carried(treeOf(charm("demo", 3)), SITE, at(3)),
    "evil_1.charm": charmZip({ name: "evil", revision: 1, bases: [JAMMY] }),
  };
  expect((await failureOf(load(await newStore(), { "site.tar": tarOf(more) }))).message).toContain("evil_1.charm is not listed in");
});

test("mix-and-match: files of two archives of one key do not make a third", async () => {
  const [one, two] = [treeOf(charm("demo", 1), charm("zinc", 1)), treeOf(charm("demo", 3), charm("zinc", 3))];
  const mixed = { ...carried(two, SITE, at(3)), "zinc.tar.gz": carried(one)["zinc.tar.gz"] ?? "" };
  expect((await failureOf(load(await newStore(), { "site.tar": tarOf(mixed) }))).message).toContain("zinc.tar.gz");
  const { SHA256SUMS: list = "" } = carried(one);
  expect(
    (await failureOf(load(await newStore(), { "site.tar": tarOf({ ...carried(two, SITE, at(3)), SHA256SUMS: list }) }))).message,
  ).not.toBe("");
});

test("wrong software installation: a charm under another's name or id", async () => {
  const store = await storeOf(NEW);
  expect((await failureOf(load(store, signed(4, [charm("evil", 1, "IDdemo")])))).message).toContain("which belongs to demo");
  const { "demo_1.charm": bytes = "" } = packageFiles(charm("demo", 1));
  const swapped: Tree = { "zinc.tar.gz": { ...packageFiles(charm("zinc", 1)), "zinc_1.charm": bytes } };
  expect((await failureOf(load(store, { "site.tar": tarOf(carried(swapped, SITE, at(4))) }))).message).toContain("zinc");
});

test("malicious mirrors preventing updates: a file that is left out or changed is named, and whole archives still come in", async () => {
  const store = await newStore();
  const whole = carried(treeOf(charm("demo", 3), charm("zinc", 3)), SITE, at(3));
  const { "zinc.tar.gz": _, ...less } = whole;
  expect((await failureOf(load(store, { "site.tar": tarOf(less) }))).message).toContain("lists zinc.tar.gz/");
  expect((await load(store, { "site.tar": tarOf(whole) })).generation).toBe(1);
});

test("vulnerability to key compromises: a key that is accepted no more signs nothing, and no key signs for another", async () => {
  const store = await storeOf(NEW);
  expect((await failureOf(load(store, signed(9, [charm("demo", 4)]), { accepted: [OTHER.accepted] }))).message).toContain(
    "which is not trusted",
  );
  const forged = carried(treeOf(charm("demo", 4)), OTHER, at(9));
  const claimed = { ...OTHER.accepted, id: ID };
  expect((await failureOf(load(store, { "site.tar": tarOf(forged) }, { accepted: [claimed] }))).message).toContain("is not signed by");
});

describe("an older archive restores what is lost, and changes nothing else", () => {
  const options: ImportOptions = { command: "import --repair", channels: "keep", dryRun: false, now: NOW, limits: LIMITS };

  test("missing and damaged files alike, whoever signed them", async () => {
    const store = await storeOf(OLD, NEW);
    const before = await (await store.snapshot()).package("demo");
    const memory = store.storage as Memory;
    const digests = (before?.revisions ?? []).flatMap(({ blob, texts }) => [blob, ...Object.values(texts)]);
    const [first, second] = [before?.revisions.at(-1)?.blob, before?.revisions.at(-1)?.texts["metadata-yaml"]];
    if (!first || !second) throw new Error("the charm has no blobs");
    await memory.move(blobKey(first), "quarantine/x");
    const stage = await memory.stage("immutable");
    await stage.write(Buffer.from("damaged"));
    await stage.end();
    await stage.commit(blobKey(second));
    expect((await check(store, { dryRun: true })).findings.map(({ repair }) => repair)).toEqual(
      expect.arrayContaining([expect.stringMatching(/^chp import --repair 'site\.tar' \(sha256 [0-9a-f]{64}\)$/)]),
    );
    const sources = Object.entries({ ...OLD, "leaf.tar": tarOf(Object.fromEntries(leavesOf(treeOf(charm("other", 1))))) });
    const run = (more: Partial<ImportOptions> = {}) =>
      LostLists.of(store).then((lists) =>
        repairFrom(
          store,
          sources.map(([name, bytes]) => sourceOf(name, bytes)),
          { blobs: (all) => lostBlobs(store, all, { dryRun: false }), lists },
          { ...options, ...more },
        ),
      );
    expect((await run({ dryRun: true })).restored).toHaveLength(2);
    expect((await run()).restored.map(({ digest }) => digest).toSorted()).toEqual([first, second].toSorted());
    expect((await run()).restored).toEqual([]);
    expect((await check(store, { dryRun: true, readData: { part: 1, of: 1 } })).findings).toEqual([]);
    expect([await store.generationNumbers(), await (await store.snapshot()).package("demo")]).toEqual([[1, 2], before]);
    for (const digest of digests) expect(await store.has(digest)).toBe(true);
    expect(await memory.list("tmp/")).toEqual([]);
  });
});

test("times are read as minisign and chp write them, and compared as texts", () => {
  expect(signedTime("chp export of 2026-04-26T16:31:15Z")).toBe("2026-04-26T16:31:15Z");
  expect(signedTime("timestamp:1777221075\tfile:SHA256SUMS\thashed")).toBe("2026-04-26T16:31:15Z");
  for (const text of [
    "",
    "chp export of yesterday",
    "chp export of 2026-13-01T00:00:00Z",
    "timestamp:x",
    "xtimestamp:1",
    "timestamp:99999999999999",
  ])
    expect(signedTime(text)).toBeUndefined();
  expect(newestOf({ a: "2026-01-01T00:00:00Z" }, { a: "2025-01-01T00:00:00Z", b: "2024-01-01T00:00:00Z" })).toEqual({
    a: "2026-01-01T00:00:00Z",
    b: "2024-01-01T00:00:00Z",
  });
});
