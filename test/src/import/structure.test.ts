/** A signature covers paths and bytes: what is packed, what is a folder, and the order of the files mean nothing. */

import { beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import * as fc from "fast-check";
import { files as filesOf, LIMITS, pathInSource } from "../../../src/archives/archive.ts";
import { LOCK_FILE } from "../../../src/archives/names.ts";
import { type PublicKey, readPublicKey, SIGNATURE_FILE, SUMS_FILE } from "../../../src/archives/signature.ts";
import { parseAssertions } from "../../../src/assertions/text.ts";
import { sumsOf } from "../../../src/digest.ts";
import type { ImportOptions } from "../../../src/import/import.ts";
import type { Store } from "../../../store/store.ts";
import { base, bundleZip, charmZip, type Files, imageBlob, metadataOf, type PackageSpec, packageFiles, tarOf, tgzOf } from "../../build.ts";
import { carried, leavesOf, packed, sealOf, type Tree, testKey } from "../../carried.ts";
import { failureOf, importInto, newStore } from "../../importing.ts";
import { SIGNED_ROOT } from "../../signedsnaps.ts";
import { runs } from "../../thorough.ts";

const EXPORTS = join(import.meta.dir, "../../fixtures/exports");
const TRUST = parseAssertions(Buffer.from(SIGNED_ROOT), "root");
const exported = (name: string) => readFileSync(join(EXPORTS, name));
const CHP_KEY = readPublicKey(exported("site.key.pub").toString("utf8"), "site.key.pub");
const SITE = testKey("site");

async function load(store: Store, sources: Files, accepted: readonly PublicKey[], options: Partial<ImportOptions> = {}) {
  return importInto(store, sources, { trust: TRUST, now: "2026-05-01T00:00:00Z", accepted, ...options });
}

/** The digest of all that a new store holds after the import. */
async function indexOf(sources: Files, accepted: readonly PublicKey[] = [SITE.accepted]): Promise<string> {
  const store = await newStore();
  await load(store, sources, accepted);
  return String((await store.snapshot()).generation?.index);
}

const refusalOf = async (sources: Files, accepted: readonly PublicKey[] = [SITE.accepted]) =>
  (await failureOf(load(await newStore(), sources, accepted))).message;

/* ---- archives of earlier versions ---- */

describe("archives that chp wrote before locks were read are imported as they were", () => {
  test.each([
    ["bundle.tar.gz", "b1364672baf73c2526611ce96ee0e218000e4be0b8533c2534c58de6a165f9e7"],
    ["charms.tar.gz", "7e5565385d0adae0747df9f0db5bb94aef19bc4bed288e6279d369e206369074"],
    ["mirror.tar.gz", "4f52f37f8b32c63117ac512c7929762ab9f385049f0a427a0000419b0ae64f29"],
    ["site.tar.gz", "499c7418a4735a49154595bbc332239bde19913b70572c7ac140abf4c219e005"],
    ["snap.tar.gz", "3dad216db1ace7c2169582cf31f93105301fb2146ed6a4b9fda2ee0189fbdb84"],
  ])("%s", async (name, index) => {
    expect(await indexOf({ [name]: exported(name) }, [CHP_KEY])).toBe(index);
  });

  test("one of --since, whose lock names more than is packed", async () => {
    const store = await newStore();
    await load(store, { "before.tar.gz": exported("before.tar.gz") }, []);
    await load(store, { "since.tar.gz": exported("since.tar.gz") }, [CHP_KEY]);
    expect((await store.snapshot()).generation?.index).toBe("4f52f37f8b32c63117ac512c7929762ab9f385049f0a427a0000419b0ae64f29" as never);
  });
});

/* ---- the same files, packed in another way ---- */

interface Leaf {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** One way of packing: after which parts of a path an archive begins, by leaf; which archives and files are compressed. */
interface Packing {
  readonly leaves: readonly Leaf[];
  readonly cuts: readonly number[];
  readonly compressed: readonly boolean[];
}

const COMPRESSIONS = [(bytes: Uint8Array) => bytes, (bytes: Uint8Array) => gzipSync(bytes, { level: 1 }), Bun.zstdCompressSync] as const;

function pack({ leaves, cuts, compressed }: Packing): Uint8Array {
  let asked = 0;
  const bit = () => compressed[(asked += 1) % compressed.length] === true;
  const build = (all: readonly { readonly parts: readonly string[]; readonly bytes: Uint8Array; readonly cut: number }[]): Uint8Array => {
    const entries = new Map<string, Uint8Array>();
    const inside = new Map<string, (typeof all)[number][]>();
    for (const { parts, bytes, cut } of all) {
      const at = parts.findIndex((_, i) => i < parts.length - 1 && ((cut >> i) & 1) === 1);
      if (at < 0) entries.set(parts.join("/"), bit() && bit() && bit() ? gzipSync(bytes) : bytes);
      else {
        const folder = parts.slice(0, at + 1).join("/");
        const rest = { parts: parts.slice(at + 1), bytes, cut: cut >> (at + 1) };
        inside.set(folder, [...(inside.get(folder) ?? []), rest]);
        entries.set(folder, new Uint8Array());
      }
    }
    for (const [folder, rest] of inside) entries.set(folder, (COMPRESSIONS[bit() ? (bit() ? 1 : 2) : 0] ?? COMPRESSIONS[0])(build(rest)));
    return tarOf(Object.fromEntries(entries));
  };
  return build(leaves.map(({ path, bytes }, i) => ({ parts: path.split("/"), bytes, cut: cuts[i] ?? 0 })));
}

/** Any order; each folder an archive, or not, or both. */
function packings(leaves: readonly Leaf[]): fc.Arbitrary<Packing> {
  const each = { minLength: leaves.length, maxLength: leaves.length };
  const cuts = fc.oneof(
    fc.array(fc.constantFrom(0, 0, 1, 2, 3, 4, 7), each),
    fc.nat(7).map((all) => leaves.map(() => all)),
  );
  return fc.record({
    leaves: fc.shuffledSubarray([...leaves], each),
    cuts,
    compressed: fc.array(fc.boolean(), { minLength: 7, maxLength: 31 }),
  });
}

async function leavesIn(name: string): Promise<Leaf[]> {
  const found: Leaf[] = [];
  const chunks = async function* () {
    yield exported(name);
  };
  for await (const file of filesOf({ name, chunks: chunks() }, (path) => /\.(charm|bundle|snap)$|_\d+$/.test(path)))
    found.push({ path: pathInSource(file), bytes: await file.bytes.whole(LIMITS.json, "it") });
  return found;
}

const JAMMY = base("amd64", "22.04");
const DEMO: PackageSpec = {
  name: "demo",
  id: "IDdemo",
  type: "charm",
  revisions: Object.fromEntries(
    [6, 7].map((revision) => [
      revision,
      charmZip({
        name: "demo",
        revision,
        bases: [JAMMY],
        resources: { image: { type: "oci-image" }, data: { type: "file", filename: "d" } },
      }),
    ]),
  ),
  resources: {
    image: { type: "oci-image", revisions: { 1: imageBlob("registry.test/charm/demo/image@sha256:00") } },
    data: { type: "file", filename: "d", revisions: { 1: tgzOf({ x: "of somebody else" }) } },
  },
  releases: [{ channel: "latest/edge", base: JAMMY, revision: 7, resources: { image: 1, data: 1 } }],
};
const OTHER = { ...DEMO, revisions: { 7: DEMO.revisions[7] ?? new Uint8Array() }, resources: {} };
const STACK: PackageSpec = {
  name: "stack",
  id: "IDstack",
  type: "bundle",
  revisions: { 3: bundleZip("applications:\n  demo:\n    charm: demo\n") },
  releases: [{ channel: "latest/candidate", base: null, revision: 3 }],
};
/** As another exporter may lay it out: no lock, two archives of one package, JSON and YAML that say different things. */
const TREE: Tree = {
  charms: {
    demo: { ...packageFiles(DEMO), "aside.json": JSON.stringify({ name: "demo", id: "IDdemo", revision: 6, channel: "latest/beta" }) },
    again: packageFiles(OTHER, metadataOf({ ...OTHER, result: { title: "another" } })),
    "bundle.yaml": "applications:\n  d: {charm: demo, resources: {image: near/demo}}\n",
  },
  "stack.tar.gz": packageFiles(STACK),
  "bundle.yaml": "applications:\n  d: {charm: demo, resources: {image: far/demo}}\n",
  built: {
    "own.charm": charmZip({ name: "own", revision: 1, bases: [JAMMY] }),
    "new.charm": charmZip({ name: "own", revision: 2, bases: [JAMMY] }),
  },
};

const asLeaves = (tree: Tree): Leaf[] => [...leavesOf(tree)].map(([path, bytes]) => ({ path, bytes }));

describe("every re-nesting and re-ordering of the same paths and bytes gives the same, or is refused", () => {
  const accepted = [SITE.accepted, CHP_KEY];
  let site: Leaf[] = [];
  beforeAll(async () => {
    site = await leavesIn("site.tar.gz");
  });

  async function holds(leaves: readonly Leaf[], options: readonly PublicKey[], count: number): Promise<void> {
    const flat = await indexOf({ "any.tar": tarOf(Object.fromEntries(leaves.map(({ path, bytes }) => [path, bytes]))) }, options);
    let same = 0;
    await fc.assert(
      fc.asyncProperty(packings(leaves), async (packing) => {
        const store = await newStore();
        const failure = await load(store, { "any.tar": pack(packing) }, options).then(
          () => undefined,
          (error: unknown) => error,
        );
        if (failure === undefined) {
          same += 1;
          expect(String((await store.snapshot()).generation?.index)).toBe(flat);
        } else expect(failure).toMatchObject({ kind: "refused" });
      }),
      { numRuns: count },
    );
    // A run of a few may meet refusals alone.
    if (count >= 20) expect(same).toBeGreaterThan(0);
  }

  test("of an archive that chp wrote", async () => {
    expect(site).toHaveLength(25);
    await holds(site, accepted, runs(150));
  });
  test("of a signed one without a lock", () => holds(asLeaves({ ...TREE, ...sealOf(TREE, SITE) }), accepted, runs(150)));
  test("of one that nobody signed", () => holds(asLeaves(TREE), [], runs(150)));
});

test("a folder that was packed again keeps its metadata.json: an edge revision stays in edge", async () => {
  const { "charms/demo/metadata.json": metadata = "", ...rest } = Object.fromEntries(leavesOf({ charms: { demo: packageFiles(DEMO) } }));
  const tree = { ...rest, "charms/demo/metadata.json": metadata };
  const store = await newStore();
  await load(store, { "site.tar": tarOf({ ...sealOf(tree, SITE), ...rest, "charms/demo": tarOf({ "metadata.json": metadata }) }) }, [
    SITE.accepted,
  ]);
  const releases = (await (await store.snapshot()).package("demo"))?.releases;
  expect(releases?.map(({ channel, revision }) => [channel, revision])).toEqual([["latest/edge", 7]]);
});

/* ---- the lock ---- */

describe("what lies beside a lock is what it says", () => {
  const sha256 = (bytes: string | Uint8Array) => sumsOf(Buffer.from(bytes))["sha-256"];
  const demoFiles = packageFiles(DEMO);
  const locked = {
    name: "demo",
    id: "IDdemo",
    defaultTrack: "latest",
    releases: [{ channel: "latest/edge", base: JAMMY, revision: 7, resources: { image: 1, data: 1 } }],
    revisions: Object.fromEntries(Object.entries(DEMO.revisions).map(([number, zip]) => [number, sha256(zip)])),
    attributes: {},
    resources: {
      image_1: sha256(JSON.stringify({ ImageName: "registry.test/charm/demo/image@sha256:00" })),
      data_1: sha256(DEMO.resources?.["data"]?.revisions[1] ?? ""),
    },
    paths: {},
  };
  const withLock = (packages: readonly unknown[], files: Tree = { charms: { demo: demoFiles } }, snaps: readonly unknown[] = []): Tree => ({
    ...files,
    [LOCK_FILE]: JSON.stringify({ format: 1, packages, snaps }),
  });
  const signed = (tree: Tree): Files => ({ "site.tar": tarOf(carried(tree, SITE)) });

  test("or names more than is packed", async () => {
    const more = {
      ...locked,
      revisions: { ...locked.revisions, 9: "0".repeat(64) },
      resources: { ...locked.resources, data_2: "0".repeat(64) },
    };
    const other = { ...locked, name: "other", id: "IDother" };
    expect(await indexOf(signed(withLock([more, other])))).toBe(await indexOf(signed({ charms: { demo: demoFiles } })));
  });

  test.each<[string, readonly unknown[], string]>([
    ["a package that it does not name", [], "does not name demo"],
    ["another id", [{ ...locked, id: "IDother" }], "says that the id of demo is IDother, and here it is IDdemo"],
    ["another revision", [{ ...locked, revisions: { 7: locked.revisions[7] } }], "names no such revision 6 of demo"],
    [
      "other bytes of a revision",
      [{ ...locked, revisions: { ...locked.revisions, 7: "0".repeat(64) } }],
      "names no such revision 7 of demo",
    ],
    [
      "another resource",
      [{ ...locked, resources: { image_1: locked.resources.image_1 } }],
      "names no such revision 1 of the resource data of demo",
    ],
    ["another release", [{ ...locked, releases: [{ ...locked.releases[0], channel: "latest/stable" }] }], "names other releases of demo"],
    ["a release more", [{ ...locked, releases: [] }], "names other releases of demo"],
    ["other resources of a release", [{ ...locked, releases: [{ ...locked.releases[0], resources: {} }] }], "names other releases of demo"],
  ])("%s is refused", async (_, packages, why) => {
    expect(await refusalOf(signed(withLock(packages)))).toBe(`site.tar: charms: demo: export.lock.json ${why}`);
  });

  test("a metadata.json that does not lie beside its charm is refused", async () => {
    const { "metadata.json": metadata = "", ...rest } = demoFiles;
    const apart = withLock([locked], { charms: { demo: rest, elsewhere: { "metadata.json": metadata } } });
    expect(await refusalOf(signed(apart))).toBe(
      "site.tar: charms: demo: export.lock.json names demo, whose metadata.json is not beside it",
    );
  });

  test("a lock that cannot be read is refused, and one of another folder does not matter", async () => {
    expect(await refusalOf(signed({ ...withLock([locked]), [LOCK_FILE]: "{" }))).toBe(
      "site.tar: export.lock.json: it is not JSON, so it is no lock of an export",
    );
    const beside = { site: withLock([locked]), more: packageFiles(STACK) };
    expect(await indexOf(signed(beside))).toBe(await indexOf(signed({ site: { charms: { demo: demoFiles } }, more: packageFiles(STACK) })));
  });

  test("images go by the lock, whatever a bundle.yaml says", async () => {
    const yaml = { "bundle.yaml": "applications:\n  d: {charm: demo, resources: {image: elsewhere/image}}\n" };
    const pathOf = async (tree: Tree) => {
      const store = await newStore();
      await load(store, signed(tree), [SITE.accepted]);
      return (await (await store.snapshot()).package("demo"))?.resources.find(({ name }) => name === "image")?.revisions[0]?.image?.path;
    };
    expect(await pathOf({ charms: { demo: demoFiles }, ...yaml })).toBe("elsewhere/image");
    expect(await pathOf(withLock([locked], { charms: { demo: demoFiles }, ...yaml }))).toBe("charm/demo/image@sha256:00");
    expect(await pathOf(withLock([{ ...locked, paths: { image: "mine/image" } }], { charms: { demo: demoFiles }, ...yaml }))).toBe(
      "mine/image",
    );
    // An empty path names none: the image would be at the registry's own address.
    const empty = { "bundle.yaml": 'applications:\n  d: {charm: demo, resources: {image: ""}}\n' };
    expect(await pathOf({ charms: { demo: demoFiles }, ...empty })).toBe("charm/demo/image@sha256:00");
    expect(await pathOf(withLock([{ ...locked, paths: { image: "" } }], { charms: { demo: demoFiles } }))).toBe(
      "charm/demo/image@sha256:00",
    );
  });

  describe("snaps", () => {
    let leaves: Leaf[] = [];
    beforeAll(async () => {
      leaves = (await leavesIn("snap.tar.gz")).filter(({ path }) => path !== SUMS_FILE && path !== SIGNATURE_FILE);
    });
    const snapTree = (change: (lock: { snaps: Record<string, unknown>[] }) => unknown): Tree =>
      Object.fromEntries(
        leaves.map(({ path, bytes }) => [
          path,
          path === LOCK_FILE ? JSON.stringify(change(JSON.parse(Buffer.from(bytes).toString()))) : bytes,
        ]),
      );
    const inSnap = (change: (snap: Record<string, unknown>) => unknown) =>
      snapTree((lock) => ({ ...lock, snaps: lock.snaps.map((snap) => change(snap)) }));

    test.each<[string, () => Tree, string]>([
      ["a snap that it does not name", () => snapTree((lock) => ({ ...lock, snaps: [] })), "does not name jq"],
      ["another id", () => inSnap((snap) => ({ ...snap, id: "other" })), "does not name jq"],
      [
        "a release that it does not name",
        () => inSnap((snap) => ({ ...snap, releases: [] })),
        "names no release of jq revision 6 in latest/stable",
      ],
      [
        "releases that are missing",
        () => {
          const { "channel-map.json": _, ...rest } = snapTree((lock) => lock);
          return rest;
        },
        "names other releases of jq than its channel-map.json",
      ],
      ["other bytes", () => inSnap((snap) => ({ ...snap, revisions: {} })), "names no such snap"],
    ])("%s is refused", async (_, tree, why) => {
      expect(await refusalOf(signed(tree()))).toEndWith(`: export.lock.json ${why}`);
    });

    test("the name of an archive makes nobody's snaps a brand store's", async () => {
      const store = await newStore();
      await load(store, { "store-export-Evil-20260426T163115.tar": tarOf(packed(snapTree((lock) => lock))) }, []);
      expect((await (await store.snapshot()).snap("jq"))?.store).toBeUndefined();
    });
  });
});
