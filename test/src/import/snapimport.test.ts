import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { parseAssertions } from "../../../src/assertions/text.ts";
import { CANONICAL_ROOTS } from "../../../src/assertions/verify.ts";
import type { Snap } from "../../../src/catalog/snap.ts";
import { channelMapOf } from "../../../src/catalog/snapresolve.ts";
import { Failure } from "../../../src/errors.ts";
import { type ImportOptions, type ImportReport } from "../../../src/import/import.ts";
import { Memory } from "../../../store/memory.ts";
import { Store } from "../../../store/store.ts";
import { base, charmZip, type Files, type PackageSpec, packageFiles, tarOf, tgzOf } from "../../build.ts";
import { importInto, newStore } from "../../importing.ts";
import {
  account,
  accountKey,
  type Headers,
  rootOf,
  type Signatory,
  snapDeclaration,
  snapResourcePair,
  snapResourceRevision,
  snapRevision,
  storeAssertion,
  testKey,
  validationSet,
} from "../../signer.ts";
import { squashfs } from "../../squashfs.ts";

const ROOT = rootOf("testroot");
const STORE: Signatory = { account: ROOT.account, key: testKey("store") };
const DEV = "devdevdevdevdevdevdevdevdevdev12";
const HELLO = "snapidsnapidsnapidsnapidsnapid01";
const OTHER = "snapidsnapidsnapidsnapidsnapid02";

const STORE_KEY = accountKey(ROOT, STORE.key, { "account-id": ROOT.account, name: "store" });
const accountOf = (more: Headers = {}) => account(STORE, { "account-id": DEV, username: "dev", "display-name": "Dev", ...more });
const ACCOUNT = accountOf();

const declarationOf = (more: Headers = {}) =>
  snapDeclaration(STORE, { "snap-id": HELLO, "snap-name": "hello", "publisher-id": DEV, ...more });

function image(revision: number, more = ""): Uint8Array {
  return squashfs({
    "meta/snap.yaml": `name: hello\nversion: "1.${revision}"\nbase: core22\narchitectures: [amd64]\napps: {hello: {command: bin/hello}}\n${more}`,
    "bin/hello": `echo ${revision}`,
  });
}

const sha3 = (bytes: Uint8Array) => createHash("sha3-384").update(bytes).digest("base64url");

function revisionOf(bytes: Uint8Array, revision: number, more: Headers = {}): string {
  return snapRevision(STORE, {
    "snap-sha3-384": sha3(bytes),
    "snap-id": HELLO,
    "snap-size": bytes.byteLength,
    "snap-revision": revision,
    "developer-id": DEV,
    ...more,
  });
}

const stream = (...texts: string[]) => texts.join("\n");

/** What `snap download hello` leaves. */
function pair(revision: number, bytes = image(revision), more: readonly string[] = []): Files {
  return {
    [`hello_${revision}.snap`]: bytes,
    [`hello_${revision}.assert`]: stream(STORE_KEY, ACCOUNT, declarationOf(), revisionOf(bytes, revision), ...more),
  };
}

const COMPONENT = squashfs({ "meta/component.yaml": "component: hello+extra\ntype: standard\nversion: '2'\n" });
const COMPONENT_ASSERTIONS = [
  snapResourceRevision(STORE, {
    "snap-id": HELLO,
    "resource-name": "extra",
    "resource-sha3-384": sha3(COMPONENT),
    "resource-size": COMPONENT.byteLength,
    "resource-revision": 7,
    "developer-id": DEV,
  }),
  snapResourcePair(STORE, {
    "snap-id": HELLO,
    "resource-name": "extra",
    "resource-revision": 7,
    "snap-revision": 6,
    "developer-id": DEV,
  }),
];

type Options = Partial<ImportOptions> & { readonly name?: string; readonly files?: boolean };

function importFiles(store: Store, content: Files | Uint8Array, { name = "export.tar.gz", ...more }: Options = {}): Promise<ImportReport> {
  const trust = parseAssertions(Buffer.from(ROOT.trust), "root");
  return importInto(
    store,
    { [name]: content instanceof Uint8Array ? content : tgzOf(content) },
    { trust, now: "2026-06-01T00:00:00Z", ...more },
  );
}

async function refusal(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof Failure) return `${error.kind}: ${error.message}`;
    throw error;
  }
  return "it was imported";
}

async function heldAfter(content: Files | Uint8Array, options: Options = {}): Promise<Snap> {
  const store = await newStore();
  await importFiles(store, content, options);
  const snap = await (await store.snapshot()).snap("hello");
  if (!snap) throw new Error("hello is not stored");
  return snap;
}

const rows = (snap: Snap) => snap.releases.map((r) => `${r.channel} ${r.architecture} ${r.revision}`);

test("a component that calls itself otherwise than its assertion is refused", async () => {
  const other = squashfs({ "meta/component.yaml": "component: hello+other\ntype: standard\nversion: '2'\n" });
  const asserted = snapResourceRevision(STORE, {
    "snap-id": HELLO,
    "resource-name": "extra",
    "resource-sha3-384": sha3(other),
    "resource-size": other.byteLength,
    "resource-revision": 7,
    "developer-id": DEV,
  });
  const files = { ...pair(6, image(6), [asserted, ...COMPONENT_ASSERTIONS.slice(1)]), "hello+extra_7.comp": other };
  expect(await refusal(importFiles(await newStore(), files))).toContain(
    "refused: export.tar.gz: hello+extra_7.comp: its component.yaml says other, but its assertion says extra",
  );
});

describe("a pair", () => {
  test("is matched by digest, whatever its files are called", async () => {
    const bytes = image(5);
    const snap = await heldAfter({ "deep/a.snap": bytes, b: stream(revisionOf(bytes, 5), declarationOf(), ACCOUNT, STORE_KEY) });
    expect(snap).toMatchObject({ type: "snap", name: "hello", id: HELLO, defaultTrack: "latest", publisher: { id: DEV, username: "dev" } });
    expect(snap.revisions).toMatchObject([
      { revision: 5, version: "1.5", base: "core22", architectures: ["amd64"], size: bytes.byteLength },
    ]);
    expect(rows(snap)).toEqual(["latest/stable amd64 5"]);
  });

  test("goes to --channel, and says so where none was named", async () => {
    const store = await newStore();
    const { snaps } = await importFiles(store, pair(5));
    expect(snaps[0]?.notes).toContain("no channel map of hello was found, so it was released to latest/stable; --channel names another");
    const snap = await heldAfter(pair(5), { channel: "2.0/edge" });
    expect(rows(snap)).toEqual(["2.0/edge amd64 5"]);
  });

  test("twice changes nothing", async () => {
    const store = await newStore();
    await importFiles(store, pair(5));
    const again = await importFiles(store, pair(5), { now: "2026-07-01T00:00:00Z" });
    expect(again.generation).toBeNull();
    expect(again.snaps[0]?.state).toBe("known");
    expect(again.assertions).toEqual({ new: 0, known: 4 });
  });

  test("may come in two parts: assertions first, the snap later", async () => {
    const store = await newStore();
    const bytes = image(5);
    const first = await importFiles(store, { "hello_5.assert": pair(5, bytes)["hello_5.assert"] ?? "" });
    expect(first.notes).toEqual(["revision 5 of snap hello is asserted, but no such snap is in the archive"]);
    await importFiles(store, { "hello_5.snap": bytes });
    expect((await (await store.snapshot()).snap("hello"))?.revisions).toHaveLength(1);
    expect(await refusal(importFiles(store, { "hello_6.snap": image(6) }))).toContain("no snap-revision assertion names its bytes");
  });

  test("a later one adds its revision and moves the channel", async () => {
    const store = await newStore();
    await importFiles(store, pair(5));
    const { snaps } = await importFiles(store, pair(6));
    expect(snaps[0]?.channels).toEqual([{ channel: "latest/stable", architecture: "amd64", from: 5, to: 6 }]);
    const kept = await importFiles(store, pair(7), { channels: "keep" });
    expect(kept.snaps[0]?.channels).toEqual([]);
    expect((await (await store.snapshot()).snap("hello"))?.revisions.map((r) => r.revision)).toEqual([7, 6, 5]);
  });

  test("a new account assertion changes the publisher of what is stored", async () => {
    const store = await newStore();
    await importFiles(store, pair(5));
    await importFiles(store, { "account.assert": accountOf({ revision: 1, "display-name": "Acme Corp", validation: "verified" }) });
    expect((await (await store.snapshot()).snap("hello"))?.publisher).toEqual({
      id: DEV,
      username: "dev",
      "display-name": "Acme Corp",
      validation: "verified",
    });
  });

  test("a new declaration renames it", async () => {
    const store = await newStore();
    await importFiles(store, pair(5));
    await importFiles(store, { "a.assert": declarationOf({ revision: 1, "snap-name": "hello-new" }) });
    const snapshot = await store.snapshot();
    expect(snapshot.snapNames).toEqual(["hello-new"]);
    expect((await snapshot.snapById(HELLO))?.name).toBe("hello-new");
    expect(await snapshot.snap("hello")).toBeUndefined();
  });

  test("every revision and format of an assertion is kept, of two signatures the first", async () => {
    const store = await newStore();
    const [first, second] = [declarationOf({ format: 5, revision: 8 }), declarationOf({ format: 6, revision: 9 })];
    const bytes = image(5);
    await importFiles(store, { "a.snap": bytes, "a.assert": stream(STORE_KEY, ACCOUNT, first, second, revisionOf(bytes, 5)) });
    const held = await (await store.snapshot()).assertions();
    expect(held.newest("snap-declaration", ["16", HELLO])?.text).toBe(second);
    expect(held.newest("snap-declaration", ["16", HELLO], 5)?.text).toBe(first);
    expect(held.newest("snap-declaration", ["16", HELLO], 4)).toBeUndefined();
  });
});

describe("channels", () => {
  const two = { ...pair(5), ...pair(6) };
  const info = (map: readonly unknown[]) =>
    JSON.stringify({ name: "hello", "snap-id": HELLO, "default-track": null, snap: { title: "Hi" }, "channel-map": map });
  const row = (track: string, risk: string, revision: number, name = `${track}/${risk}`) => ({
    channel: { architecture: "amd64", name, risk, track, "released-at": "2026-01-01T00:00:00Z" },
    revision,
    "created-at": "2025-01-01T00:00:00Z",
  });

  test.each<[string, string, string, string[]]>([
    ["an info reply", "x.json", info([row("latest", "stable", 5), row("2.0", "edge", 6)]), ["latest/stable amd64 5", "2.0/edge amd64 6"]],
    ["a branch", "x.json", info([row("latest", "edge", 6, "edge/fix")]), ["latest/edge/fix amd64 6"]],
    ["a map", "channels.json", '{"latest/stable": 5, "edge": 6}', ["latest/stable amd64 5", "latest/edge amd64 6"]],
    ["a map by name", "channels.json", '{"hello": {"beta": 6}}', ["latest/beta amd64 6"]],
    ["a yaml", "snaps.yaml", "packages:\n  - {name: hello, revision: 5, push_channel: chp_14/edge}\n", ["chp_14/edge amd64 5"]],
  ])("as %s", async (_, file, content, expected) => {
    const snap = await heldAfter({ ...two, [file]: content });
    expect(rows(snap)).toEqual(expected);
    expect(snap.revisions.map((r) => r.revision)).toEqual([6, 5]);
  });

  test("details, times and what is not stored of the info reply", async () => {
    const store = await newStore();
    const { missing, snaps } = await importFiles(store, {
      ...two,
      "x.json": info([row("latest", "stable", 5), row("latest", "edge", 99)]),
    });
    expect(missing.snapRevisions).toEqual([{ name: "hello", channel: "latest/edge", architecture: "amd64", revision: 99 }]);
    expect(snaps[0]?.notes).toContain("revision 6 is in no channel; it can be installed by its number");
    const snap = await (await store.snapshot()).snap("hello");
    expect(snap?.details.title).toBe("Hi");
    expect(snap?.revisions.find((r) => r.revision === 5)?.createdAt).toBe("2025-01-01T00:00:00Z");
  });

  test("a nameless map beside two snaps is refused", async () => {
    const bytes = squashfs({ "meta/snap.yaml": "name: other\n" });
    const other = {
      "other_1.snap": bytes,
      "other_1.assert": stream(
        STORE_KEY,
        ACCOUNT,
        snapDeclaration(STORE, { "snap-id": OTHER, "snap-name": "other", "publisher-id": DEV }),
        revisionOf(bytes, 1, { "snap-id": OTHER }),
      ),
    };
    expect(await refusal(importFiles(await newStore(), { ...pair(5), ...other, "channels.json": '{"latest/stable": 5}' }))).toContain(
      "it does not say of which snap it is, and hello, other lie beside it",
    );
    const apart = { "hello.tar.gz": tgzOf({ ...pair(5), "channels.json": '{"latest/edge": 5}' }), "other.tar": tarOf(other) };
    expect(rows(await heldAfter(apart))).toEqual(["latest/edge amd64 5"]);
  });

  test("of another id than the assertions is refused", async () => {
    const wrong = JSON.stringify({ name: "hello", "snap-id": OTHER, snap: {}, "channel-map": [row("latest", "stable", 5)] });
    expect(await refusal(importFiles(await newStore(), { ...pair(5), "x.json": wrong }))).toContain(`gives hello the snap id ${OTHER}`);
  });
});

/** Each revision on its own architecture, the one for all released after the first. */
describe("one for all architectures", () => {
  const anywhere = (revision: number, architecture: string) =>
    squashfs({ "meta/snap.yaml": `name: hello\nversion: "1.${revision}"\nbase: bare\narchitectures: [${architecture}]\n` });
  const at = (releases: Readonly<Record<string, readonly [number, string]>>) =>
    JSON.stringify({
      name: "hello",
      channels: Object.entries(releases).map(([architecture, [revision, day]]) => ({
        channel: "stable",
        architecture,
        revision,
        "released-at": `2026-01-${day}T00:00:00Z`,
      })),
    });
  const five = { ...pair(5, anywhere(5, "amd64")), "map5.json": at({ amd64: [5, "05"] }) };
  const ten = { ...pair(10, anywhere(10, "all")), "map10.json": at({ all: [10, "10"] }) };
  const eleven = { ...pair(11, anywhere(11, "arm64")), "map11.json": at({ arm64: [11, "11"] }) };
  const channels = (report: ImportReport) =>
    report.snaps[0]?.channels.map(({ channel, architecture, from, to }) => `${channel} ${architecture}: ${from} → ${to}`);

  test("takes every architecture, and a later one of one architecture that alone", async () => {
    const store = await newStore();
    const map = async () => {
      const snap = await (await store.snapshot()).snap("hello");
      return snap && [rows(snap), ["amd64", "arm64", "riscv64"].map((one) => channelMapOf(snap, one).map((row) => row.revision))];
    };
    await importFiles(store, five);
    expect(channels(await importFiles(store, ten))).toEqual(["latest/stable all: null → 10", "latest/stable amd64: 5 → null"]);
    expect(await map()).toEqual([["latest/stable all 10"], [[10], [10], [10]]]);
    expect(channels(await importFiles(store, eleven))).toEqual(["latest/stable arm64: null → 11"]);
    expect(await map()).toEqual([
      ["latest/stable all 10", "latest/stable arm64 11"],
      [[10], [11], [10]],
    ]);
  });

  test("in one archive as well, in every order of its files", async () => {
    const both = Object.entries({ ...five, ...ten, ...eleven });
    for (const files of [both, both.toReversed()]) {
      const snap = await heldAfter(Object.fromEntries(files));
      expect(rows(snap)).toEqual(["latest/stable all 10", "latest/stable arm64 11"]);
      expect(snap.history.map((row) => `${row.architecture} ${row.revision}`)).toEqual(["amd64 5"]);
    }
  });

  test("tells what machines lose that go to it", async () => {
    const store = await newStore();
    await importFiles(store, {
      ...pair(6, image(6, "components: {extra: {type: standard}}\n"), COMPONENT_ASSERTIONS),
      "e.comp": COMPONENT,
    });
    const { snaps } = await importFiles(store, ten);
    expect(snaps[0]?.notes).toContain("latest/stable amd64: revision 10 comes without the component extra, which revision 6 has");
  });
});

describe("components", () => {
  const six = image(6, "components: {extra: {type: standard}}\n");

  test("are matched by their assertions and belong to their pair", async () => {
    const snap = await heldAfter({ ...pair(6, six, COMPONENT_ASSERTIONS), "hello+extra_7.comp": COMPONENT });
    expect(snap.components).toMatchObject([{ name: "extra", revisions: [{ revision: 7, type: "standard", version: "2" }] }]);
    expect(snap.pairs).toEqual([{ component: "extra", componentRevision: 7, revision: 6 }]);
  });

  test("that are missing are told", async () => {
    const { snaps } = await importFiles(await newStore(), pair(6, six));
    expect(snaps[0]?.notes).toContain("revision 6 declares the component extra, which was not in the archive");
  });

  test("may come later, and not without their snap", async () => {
    const store = await newStore();
    const later = { "c.comp": COMPONENT, "c.assert": stream(...COMPONENT_ASSERTIONS) };
    const lonely = { ...later, "c.assert": stream(STORE_KEY, ACCOUNT, declarationOf(), ...COMPONENT_ASSERTIONS) };
    expect(await refusal(importFiles(store, lonely))).toContain("components of snap hello, but no such snap");
    const nameless = { "c.comp": COMPONENT, "c.assert": stream(STORE_KEY, ACCOUNT, ...COMPONENT_ASSERTIONS) };
    expect(await refusal(importFiles(store, nameless, { allowUnverified: true }))).toContain(
      `the archive has components of snap ${HELLO}, but no such snap, and the store has none`,
    );
    await importFiles(store, pair(6, six));
    const report = await importFiles(store, later);
    expect(report.snaps[0]?.components.new).toEqual(["extra_7"]);
  });
});

test("--keep-channels keeps the channels of stored snaps, and takes those of new ones", async () => {
  const store = await newStore();
  await importFiles(store, pair(5), { channels: "keep" });
  await importFiles(store, pair(6), { channels: "keep" });
  const snap = await (await store.snapshot()).snap("hello");
  expect([snap && rows(snap), snap?.revisions.map(({ revision }) => revision)]).toEqual([["latest/stable amd64 5"], [6, 5]]);
});

describe("what contradicts what is stored is refused", () => {
  const resized = snapResourceRevision(STORE, {
    "snap-id": HELLO,
    "resource-name": "extra",
    "resource-sha3-384": sha3(COMPONENT),
    "resource-size": COMPONENT.byteLength + 1,
    "resource-revision": 7,
    "developer-id": DEV,
  });

  test("a component of another size than its assertion says", async () => {
    const six = image(6, "components: {extra: {type: standard}}\n");
    const [, ...others] = COMPONENT_ASSERTIONS;
    const files = { ...pair(6, six, [resized, ...others]), "hello+extra_7.comp": COMPONENT };
    expect(await refusal(importFiles(await newStore(), files))).toMatch(
      new RegExp(`it has ${COMPONENT.byteLength} bytes, but its assertion says ${COMPONENT.byteLength + 1}$`),
    );
  });

  test("a component without assertions, whatever is allowed", async () => {
    const files = { ...pair(6, image(6, "components: {extra: {type: standard}}\n")), "hello+extra_7.comp": COMPONENT };
    expect(await refusal(importFiles(await newStore(), files, { allowUnverified: true }))).toContain(
      "a component without assertions cannot be imported",
    );
  });

  const otherId = (id: string, bytes: Uint8Array, revision: number) =>
    stream(STORE_KEY, ACCOUNT, declarationOf({ "snap-id": id }), revisionOf(bytes, revision, { "snap-id": id }));

  test("a snap of the name of a stored one under another id", async () => {
    const store = await newStore();
    await importFiles(store, pair(5));
    const files = { "hello_6.snap": image(6), "hello_6.assert": otherId(OTHER, image(6), 6) };
    expect(await refusal(importFiles(store, files))).toBe(
      `refused: hello has the snap id ${HELLO} in the store and ${OTHER} in the archive`,
    );
  });

  test("two snaps of one name in an archive", async () => {
    const files = { ...pair(5), "more/hello_6.snap": image(6), "more/hello_6.assert": otherId(OTHER, image(6), 6) };
    expect(await refusal(importFiles(await newStore(), files))).toMatch(
      new RegExp(`^refused: hello has the snap ids (${HELLO} and ${OTHER}|${OTHER} and ${HELLO}) in the archive$`),
    );
  });
});

describe("what does not verify is refused", () => {
  const good = pair(5);
  const bytes = image(5);
  const withAssert = (text: string, of = bytes): Files => ({ "hello_5.snap": of, "hello_5.assert": text });
  const evil: Signatory = { account: "evil", key: testKey("evil") };

  test.each<[string, Files, Options, RegExp]>([
    ["without the root", good, { trust: [] }, /hello_5\.assert: the assertion account-key\/.* does not verify/],
    ["a snap without assertions", { "hello_5.snap": bytes }, {}, /no snap-revision assertion names its bytes \(sha3-384 [0-9a-f]{96}\)/],
    ["other bytes", withAssert(String(good["hello_5.assert"]), image(6)), {}, /no snap-revision assertion names its bytes/],
    [
      "another size",
      withAssert(stream(STORE_KEY, ACCOUNT, declarationOf(), revisionOf(bytes, 5, { "snap-size": 1 }))),
      {},
      /it has \d+ bytes, but its assertion says 1$/,
    ],
    [
      "another name",
      withAssert(stream(STORE_KEY, ACCOUNT, declarationOf({ "snap-name": "other" }), revisionOf(bytes, 5))),
      {},
      /its snap\.yaml says hello, but its declaration says other/,
    ],
    [
      "a revoked snap",
      withAssert(stream(STORE_KEY, ACCOUNT, declarationOf({ "snap-name": "" }), revisionOf(bytes, 5))),
      {},
      /it was revoked/,
    ],
    [
      "no declaration",
      withAssert(stream(STORE_KEY, ACCOUNT, revisionOf(bytes, 5))),
      {},
      /snap-revision\/.* does not verify: .*declaration/,
    ],
    ["no account", withAssert(stream(STORE_KEY, declarationOf(), revisionOf(bytes, 5))), {}, /does not verify: .*account/],
    ["a foreign key", withAssert(stream(STORE_KEY, ACCOUNT, declarationOf(), snapRevision(evil, {}))), {}, /./],
    ["an empty file", { ...good, "x.assert": "" }, {}, /x\.assert.*empty/],
    ["a file that is no assertion", { ...good, "x.assert": "hello\n" }, {}, /x\.assert/],
    ["binary", { ...good, "x.assert": new Uint8Array([0, 1, 2, 255]) }, {}, /x\.assert/],
    ["no squashfs", { "a.snap": "hello" }, {}, /a\.snap: it is not a squashfs/],
    [
      "a squashfs of something else",
      { "a.snap": squashfs({ "etc/passwd": "root" }) },
      {},
      /it has neither meta\/snap\.yaml nor meta\/component\.yaml/,
    ],
    ["a cut squashfs", { "a.snap": bytes.subarray(0, 200) }, {}, /a\.snap: it is corrupt: it is cut short/],
  ])("%s", async (_, files, options, message) => {
    const store = await newStore();
    const told = await refusal(importFiles(store, files, options));
    expect(told).toMatch(message);
    expect(told).toStartWith("refused: export.tar.gz");
    expect((await store.snapshot()).number).toBe(0);
  });

  test("nothing that concerns anyone", async () => {
    expect(await refusal(importFiles(await newStore(), { "README.md": "hello" }))).toContain(
      "there is no charm, bundle, snap, image, agent or assertion",
    );
  });

  test("the same revision with other bytes", async () => {
    const store = await newStore();
    await importFiles(store, pair(5));
    const other = image(5, "title: Other\n");
    expect(await refusal(importFiles(store, pair(5, other)))).toMatch(/hello revision 5 differs from the stored revision/);
  });

  test("a provenance that the declaration does not allow, and one that it does", async () => {
    const own = image(5, "provenance: factory\n");
    const brandKey = accountKey(STORE, testKey("dev"), { "account-id": DEV, name: "default" });
    const dev: Signatory = { account: DEV, key: testKey("dev") };
    const revision = snapRevision(dev, {
      "snap-sha3-384": sha3(own),
      "snap-id": HELLO,
      "snap-size": own.byteLength,
      "snap-revision": 5,
      "developer-id": DEV,
      provenance: "factory",
    });
    const allowing = declarationOf({ "revision-authority": [{ "account-id": DEV, provenance: ["factory"] }] });
    const files = (declaration: string) => withAssert(stream(STORE_KEY, ACCOUNT, brandKey, declaration, revision), own);
    expect(await refusal(importFiles(await newStore(), files(declarationOf())))).toMatch(/snap-revision\/.* does not verify/);
    expect((await heldAfter(files(allowing))).revisions).toMatchObject([{ revision: 5, provenance: "factory" }]);
    const plain = withAssert(stream(STORE_KEY, ACCOUNT, declarationOf(), revisionOf(own, 5)), own);
    expect(await refusal(importFiles(await newStore(), plain))).toContain(
      "its snap.yaml has the provenance factory, but its assertion global-upload",
    );
  });
});

describe("--allow-unverified", () => {
  test("takes in what does not verify, and marks it", async () => {
    const store = await newStore();
    const { snaps } = await importFiles(store, pair(5), { trust: [], allowUnverified: true });
    expect(snaps[0]?.unverified).toMatchObject([{ revision: 5 }]);
    const snapshot = await store.snapshot();
    expect((await snapshot.snap("hello"))?.assertions.every((one) => one.unverified !== undefined)).toBeTrue();
    const held = await snapshot.assertions();
    expect(held.verified("snap-declaration", ["16", HELLO])).toEqual([]);
    // Nothing is verified by it: what comes later is refused as before.
    expect(await refusal(importFiles(store, pair(6), { trust: [] }))).toContain("does not verify");
    // The same, verified, takes the mark away.
    await importFiles(store, pair(5));
    expect((await (await store.snapshot()).snap("hello"))?.revisions[0]?.unverified).toBeUndefined();
  });

  test("takes in a snap without any assertion by what its name says", async () => {
    const snap = await heldAfter({ "hello_5.snap": image(5) }, { allowUnverified: true });
    expect(snap.revisions).toMatchObject([{ revision: 5, unverified: "no snap-revision assertion names its bytes" }]);
    expect(snap.id).toMatch(/^[A-Za-z0-9]{32}$/);
    expect(await refusal(importFiles(await newStore(), { "hello.snap": image(5) }, { allowUnverified: true }))).toContain(
      "its file name no revision",
    );
  });

  test("and by the id that the export gives its name, whatever it says of others, in any order", async () => {
    const info = (name: string, id: string) => JSON.stringify({ name, "snap-id": id, "channel-map": [] });
    for (const [first, second] of [
      ["a", "b"],
      ["b", "a"],
    ]) {
      const files = { [`${first}.json`]: info("hello", HELLO), [`${second}.json`]: info("other", OTHER), "hello_5.snap": image(5) };
      expect((await heldAfter(files, { allowUnverified: true })).id).toBe(HELLO);
    }
  });
});

describe("an image that chp can't read", () => {
  const YAML = `name: hello\nversion: "9"\nbase: core24\ndescription: |\n${"  the same again and again\n".repeat(50)}`;
  const unreadable = Buffer.from(squashfs({ "meta/snap.yaml": YAML }));
  unreadable.writeUInt16LE(2, 20); // says that it is compressed with lzma
  const files = pair(5, unreadable);
  const result = { result: "download", name: "hello", "snap-id": HELLO, "effective-channel": "edge" };

  test("is told by the export's own snap-yaml", async () => {
    const told = JSON.stringify({ results: [{ ...result, snap: { revision: 5, "snap-yaml": YAML } }] });
    expect(await heldAfter({ ...files, "x.json": told })).toMatchObject({ revisions: [{ version: "9", base: "core24" }] });
  });

  test("or by what the reply shows of it", async () => {
    const snap = {
      revision: 5,
      version: "9",
      base: "core24",
      architectures: ["arm64"],
      epoch: { read: [1], write: [1] },
      confinement: "classic",
    };
    expect(await heldAfter({ ...files, "x.json": JSON.stringify({ ...result, snap }) })).toMatchObject({
      revisions: [{ version: "9", base: "core24", architectures: ["arm64"], epoch: { read: [1], write: [1] }, confinement: "classic" }],
    });
  });

  test("or read by a tool", async () => {
    const asked: string[] = [];
    const unsquash = async ({ size }: { readonly size: number }, path: string) => {
      asked.push(`${size} ${path}`);
      return Buffer.from(YAML);
    };
    expect(await heldAfter(files, { unsquash })).toMatchObject({ revisions: [{ version: "9" }] });
    expect(asked).toEqual([`${unreadable.byteLength} meta/snap.yaml`]);
  });

  test("else refused by name", async () => {
    const told = await refusal(importFiles(await newStore(), files, { unsquash: async () => undefined }));
    expect(told).toBe("refused: export.tar.gz: hello_5.snap: its squashfs is compressed with lzma, which can't be read here");
  });
});

describe("assertions of a store", () => {
  const STORE_ASSERTION = storeAssertion(STORE, { store: "acmestore", "operator-id": DEV, url: "http://hub.lan" });
  const bundle = (assertion: string) =>
    Buffer.from(
      JSON.stringify({ domain: "hub.lan", private_key: "SECRET-KEY", public_key: "x", store_id: "acmestore", store_assertion: assertion }),
    ).toString("base64");

  test.each<[string, Files]>([
    ["proxy.assert", { "offline-snap-store/proxy.assert": stream(STORE_KEY, ACCOUNT, STORE_ASSERTION) }],
    ["registration_bundle.b64", { "a.assert": stream(STORE_KEY, ACCOUNT), "registration_bundle.b64": bundle(STORE_ASSERTION) }],
    [
      "one in base64",
      { "a.assert": stream(STORE_KEY, ACCOUNT), "registration_bundle.b64": bundle(Buffer.from(STORE_ASSERTION).toString("base64")) },
    ],
  ])("come by %s, without its key", async (_, files) => {
    const storage = new Memory();
    const store = await Store.openOrCreate(storage);
    await importFiles(store, { ...files, "install.sh": "#!/bin/sh\n" });
    expect((await (await store.snapshot()).assertions()).newest("store", ["acmestore"])?.text).toBe(STORE_ASSERTION);
    for (const folder of ["blobs/sha256/", "catalog/"])
      for (const key of await storage.list(folder))
        expect(Buffer.from((await (await storage.open(key))?.bytes()) ?? "").toString()).not.toContain("SECRET-KEY");
  });

  test.each(["not base64 at all!", Buffer.from("{}").toString("base64"), Buffer.from("[]").toString("base64")])(
    "%s is refused",
    async (text) => {
      expect(await refusal(importFiles(await newStore(), { "registration_bundle.b64": text }))).toContain("registration_bundle.b64");
    },
  );

  test("a bundle for a registration without the assertion of the store is refused", async () => {
    expect(await refusal(importFiles(await newStore(), { ...pair(5), "registration_bundle.b64": bundle("") }))).toContain(
      "registration_bundle.b64: it has no store_assertion",
    );
  });

  test("a brand store's export is for its devices", async () => {
    const snap = await heldAfter(pair(5), { name: "store-export-acmestore-20260426T163115.tar.gz" });
    expect(snap.store).toBe("acmestore");
  });
});

test("a validation set is kept by sequence", async () => {
  const store = await newStore();
  const dev: Signatory = { account: DEV, key: testKey("dev") };
  const key = accountKey(STORE, dev.key, { "account-id": DEV, name: "default" });
  const set = (sequence: number) =>
    validationSet(dev, { name: "nightly", sequence, snaps: [{ name: "hello", id: HELLO, presence: "optional" }] });
  await importFiles(store, { "a.assert": stream(STORE_KEY, ACCOUNT, key, set(1), set(3), set(2)) });
  const held = await (await store.snapshot()).assertions();
  expect(held.latest("validation-set", ["16", DEV, "nightly"])?.key.at(-1)).toBe("3");
  expect(held.newest("validation-set", ["16", DEV, "nightly", "2"])?.text).toBe(set(2));
});

test("snaps and charms of one name live side by side, and both are told", async () => {
  const store = await newStore();
  const report = await importFiles(store, { ...pair(5) });
  expect(report.missing.snaps.map((one) => `${one.name} ${one.by.join()}`)).toEqual([
    "core22 base of hello",
    "snapd every machine that installs a snap",
  ]);
  expect((await store.snapshot()).generation).toMatchObject({
    snaps: { hello: { revisions: [5], channels: 1 } },
    assertions: 4,
    changed: {},
  });
});

describe("the account of a charm's publisher", () => {
  const TINY: PackageSpec = {
    name: "tiny",
    id: "IDtiny",
    type: "charm",
    revisions: { 5: charmZip({ name: "tiny", revision: 5, bases: [base("amd64", "22.04")] }) },
    releases: [{ channel: "latest/stable", base: base("amd64", "22.04"), revision: 5 }],
  };
  const files = packageFiles(TINY);
  const beside = (text: string): Files => ({ ...files, "tiny_publisher_account.assert": text });
  const held = async (store: Store) => (await (await store.snapshot()).assertions()).versions("account", [DEV]).map(({ text }) => text);

  test("is kept and served where it verifies", async () => {
    const store = await Store.openOrCreate(new Memory());
    const report = await importFiles(store, beside(stream(ACCOUNT, STORE_KEY)));
    expect([await held(store), report.assertions]).toEqual([[ACCOUNT], { new: 2, known: 0 }]);
    expect((await importFiles(store, beside(stream(ACCOUNT, STORE_KEY)))).generation).toBeNull();
  });

  test.each<[string, string]>([
    ["without its key", ACCOUNT],
    ["signed by nobody who is trusted", account({ account: "other", key: testKey("other") }, { "account-id": DEV })],
    ["with another name in it", stream(ACCOUNT.replace("username: dev", "username: root"), STORE_KEY)],
    ["no assertion at all", "type: account\nauthority-id: canonical\naccount-id: aCmE\n\nsignature\n"],
  ])("is no reason to refuse the charm: %s", async (_, text) => {
    const store = await Store.openOrCreate(new Memory());
    const report = await importFiles(store, beside(text), { allowUnverified: true });
    expect([await held(store), report.packages.map(({ name, state }) => `${name} ${state}`)]).toEqual([[], ["tiny new"]]);
  });

  test("that every client has built in is kept beside the charm, and another one in its place is nobody's", async () => {
    const stored = async (store: Store) => (await (await store.snapshot()).assertions()).versions("account", ["canonical"]);
    const store = await newStore();
    const { notes } = await importFiles(store, beside(CANONICAL_ROOTS[0]?.text ?? ""));
    expect([await stored(store), notes]).toEqual([[], []]);
    expect((await (await store.snapshot()).package("tiny"))?.publisherAssertion).toBeString();
    const forged = account(STORE, { "account-id": "canonical", username: "root", revision: 9 });
    await importFiles(store, beside(stream(forged, STORE_KEY)), { allowUnverified: true });
    expect(await stored(store)).toEqual([]);
  });

  test("is taken without the charm's bytes, which the store has already", async () => {
    const store = await Store.openOrCreate(new Memory());
    await importFiles(store, files);
    const { "tiny_5.charm": _, ...rest } = beside(ACCOUNT);
    const report = await importFiles(store, rest);
    expect([await held(store), report.packages.map(({ name, state }) => `${name} ${state}`)]).toEqual([[], ["tiny changed"]]);
  });
});
