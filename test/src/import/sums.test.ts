import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { files as filesOf } from "../../../src/archives/archive.ts";
import { classify } from "../../../src/archives/names.ts";
import { formatSums, sign } from "../../../src/archives/signature.ts";
import { parseAssertions } from "../../../src/assertions/text.ts";
import { sumsOf } from "../../../src/digest.ts";
import { Failure, type FailureKind } from "../../../src/errors.ts";
import { type ImportOptions } from "../../../src/import/import.ts";
import { Store } from "../../../store/store.ts";
import {
  base,
  bytesOf,
  charmZip,
  type Files,
  imageBlob,
  metadataOf,
  type PackageSpec,
  packageFiles,
  tarEntry,
  tarOf,
  tgzOf,
} from "../../build.ts";
import { carried, leavesOf, packed, SIGNED_AT, sealOf, sumsText, type Tree, testKey } from "../../carried.ts";
import { failureOf, importInto, newStore } from "../../importing.ts";
import { ROOT, SNAP_WORLD } from "../../snapworld.ts";
import { exhaustive, longTest, runs } from "../../thorough.ts";

const JAMMY = base("amd64", "22.04");
const KAFKA: PackageSpec = {
  name: "kafka",
  id: "IDkafka",
  type: "charm",
  revisions: {
    195: charmZip({
      name: "kafka",
      revision: 195,
      bases: [JAMMY],
      resources: { "kafka-image": { type: "oci-image" }, data: { type: "file", filename: "data.tgz" } },
    }),
  },
  resources: {
    "kafka-image": { type: "oci-image", revisions: { 3: imageBlob("registry.jujucharms.com/charm/idkafka/kafka-image@sha256:abc") } },
    data: { type: "file", filename: "data.tgz", revisions: { 4: tgzOf({ "inside/SHA256SUMS": "of somebody else" }) } },
  },
  releases: [{ channel: "3/stable", base: JAMMY, revision: 195, resources: { "kafka-image": 3, data: 4 } }],
};
const ZINC: PackageSpec = {
  name: "zinc",
  id: "IDzinc",
  type: "charm",
  revisions: { 2: charmZip({ name: "zinc", revision: 2, bases: [JAMMY] }) },
  releases: [{ channel: "latest/stable", base: JAMMY, revision: 2 }],
};

const TREE: Tree = {
  "bundle.yaml": "applications: {}\n",
  "kafka.tar.gz": packageFiles(KAFKA),
  "zinc.tar.gz": packageFiles(ZINC),
};
const SITE = testKey("site");
const OTHER = testKey("other");

interface Given extends Partial<ImportOptions> {
  readonly store?: Store;
}

async function load(sources: Files, { store, ...options }: Given = {}) {
  const into = store ?? (await newStore());
  const report = await importInto(into, sources, { command: "test", ...options });
  return { store: into, report };
}

async function refusalOf(sources: Files, options: Given = {}, kind: FailureKind = "refused"): Promise<string> {
  const store = await newStore();
  const error = await failureOf(load(sources, { ...options, store }), kind);
  expect([await store.generationNumbers(), (await store.snapshot()).names]).toEqual([[], []]);
  expect(await store.storage.list("blobs/")).toEqual([]);
  return error.message;
}

/** The files of a folder, as the sources that they are. */
function folder(name: string, files: Files): Files {
  return Object.fromEntries(Object.entries(files).map(([path, content]) => [`${name}/${path}`, content]));
}

const names = async (store: Store) => (await store.snapshot()).names;
const signersOf = ({ key, at = "chp export of 2026-04-26T16:31:15Z" }: { key: typeof SITE; at?: string }) => [
  { key: key.accepted.id, name: key.accepted.comment, comment: at },
];

describe("what is listed is taken in", () => {
  const seal = Object.entries(sealOf(TREE));
  const files = Object.entries(packed(TREE));

  test.each<[string, Files]>([
    ["the list first", { "site.tar": tarOf(Object.fromEntries([...seal, ...files])) }],
    ["the list last", { "site.tar": tarOf(Object.fromEntries([...files, ...seal])) }],
    ["the list in between, compressed", { "site.tar.gz": tgzOf(Object.fromEntries([...files.slice(0, 2), ...seal, ...files.slice(2)])) }],
    ["under a top folder", { "site.tar": tarOf(folder("./site", Object.fromEntries([...seal, ...files]))) }],
    ["a folder that it was unpacked into", folder("usb", Object.fromEntries([...files, ...seal]))],
    [
      "a folder where nested archives are folders, too",
      folder("usb", { ...Object.fromEntries(leavesOf(TREE)), ...Object.fromEntries(seal) }),
    ],
    [
      "what macOS leaves beside it",
      { "site.tar": tarOf([...[...seal, ...files].map(([p, c]) => tarEntry(p, c)), tarEntry("._x", "litter")]) },
    ],
  ])("%s", async (_, sources) => {
    const { store, report } = await load(sources);
    expect([await names(store), report.ignored.filter((one) => one.includes("SHA256SUMS"))]).toEqual([["kafka", "zinc"], []]);
    expect(report.sources.every((one) => one.signers === undefined && one.unsigned === undefined)).toBe(true);
  });

  test("a list beside archives may list these as they are", async () => {
    const archives = {
      "a.tar.gz": tgzOf(packed({ "kafka.tar.gz": packageFiles(KAFKA) })),
      "b.tar": tarOf(carried({ "zinc.tar.gz": packageFiles(ZINC) })),
    };
    const sums = sumsText(archives);
    expect(await names((await load(folder("usb", { ...archives, SHA256SUMS: sums }))).store)).toEqual(["kafka", "zinc"]);
    expect(await refusalOf(folder("usb", { ...archives, SHA256SUMS: sums, "c.tar": tarOf({ "a.txt": "a" }) }))).toStartWith(
      "usb/c.tar: a.txt is not listed in usb/SHA256SUMS",
    );
    const other = sumsOf(Buffer.from("x"))["sha-256"];
    expect(await refusalOf(folder("usb", { ...archives, SHA256SUMS: sums.replace(/\S+ {2}b/, `${other}  b`) }))).toStartWith(
      "usb/b.tar: its sha256 is ",
    );
  });

  test("a list is of its own folder alone", async () => {
    const { store } = await load({
      ...folder("one", carried({ "kafka.tar.gz": packageFiles(KAFKA) })),
      "zinc_2.charm": ZINC.revisions[2] ?? "",
    });
    expect(await names(store)).toEqual(["kafka", "zinc"]);
  });

  test("an image is compared as it lies there, and kept without its credentials", async () => {
    const { store } = await load({ "site.tar": tarOf(carried(TREE)) });
    const image = (await (await store.snapshot()).package("kafka"))?.resources.find((r) => r.name === "kafka-image")?.revisions[0];
    const bytes = image && (await (await store.blob(image.blob))?.bytes());
    expect(Buffer.from(bytes ?? "").toString()).toBe('{"ImageName":"registry.jujucharms.com/charm/idkafka/kafka-image@sha256:abc"}');
    expect(sumsText(TREE)).not.toContain(image?.blob ?? "");
  });
});

// Signs a world of snaps.
longTest("snaps and components are stored against the list by what was hashed on their way in", async () => {
  const trust = parseAssertions(Buffer.from(ROOT), "root.assert");
  const sums: { path: string; sha256: string }[] = [];
  const chunks = async function* () {
    yield SNAP_WORLD;
  };
  for await (const file of filesOf({ name: "snaps.tar.gz", chunks: chunks() }, () => false)) {
    const bytes = await file.bytes.whole(SNAP_WORLD.byteLength, file.path);
    sums.push({ path: [...file.containers, file.path].join("/"), sha256: sumsOf(bytes)["sha-256"] });
  }
  const given = (list: string) => folder("usb", { "snaps.tar.gz": SNAP_WORLD, SHA256SUMS: list });
  const { store } = await load(given(formatSums(sums)), { trust });
  expect((await store.snapshot()).snapNames).toContain("hello");
  for (const path of ["snaps.tar.gz/hello.tar.gz/hello_7.snap", "snaps.tar.gz/all1.tar.gz/all1_1.assert"]) {
    const wrong = sums.map((one) => (one.path === path ? { path, sha256: "0".repeat(64) } : one));
    expect(await refusalOf(given(formatSums(wrong)), { trust })).toStartWith(`usb/${path.replaceAll("/", ": ")}: its sha256 is `);
  }
});

describe("what differs from its list is refused, named, and nothing is published", () => {
  // As the archive and as the folder that it was unpacked into, the list before the files and after them.
  const forms: readonly (readonly [string, (files: Files, seal: Files) => Files, (path: string) => string])[] = [
    ["an archive, the list first", (files, seal) => ({ "site.tar": tarOf({ ...seal, ...files }) }), (path) => `site.tar: ${path}`],
    ["an archive, the list last", (files, seal) => ({ "site.tar": tarOf({ ...files, ...seal }) }), (path) => `site.tar: ${path}`],
    ["a folder", (files, seal) => folder("usb", { ...files, ...seal }), (path) => `usb/${path}`],
  ];

  describe.each(forms)("%s", (_, form, place) => {
    const where = (path: string) => place(path.replace(".tar.gz/", ".tar.gz: "));

    test.each([...leavesOf(TREE).keys()].filter((path) => !path.endsWith("metadata.json")))("other bytes: %s", async (path) => {
      const wrong = edited(TREE, path, (content) => Buffer.concat([bytesOf(content), Buffer.from("\n")]));
      const message = await refusalOf(form(packed(wrong), sealOf(TREE)));
      expect(message).toStartWith(`${where(path)}: its sha256 is `);
      expect(message).toContain(sumsOf(leavesOf(TREE).get(path) ?? new Uint8Array())["sha-256"]);
    });

    test("other bytes that are right JSON", async () => {
      const metadata = JSON.stringify({ ...metadataOf(KAFKA), more: 1 });
      const message = await refusalOf(form(packed(edited(TREE, "kafka.tar.gz/metadata.json", () => metadata)), sealOf(TREE)));
      expect(message).toStartWith(`${where("kafka.tar.gz/metadata.json")}: its sha256 is `);
    });

    test("listed, and not there", async () => {
      const without = edited(TREE, "kafka.tar.gz/metadata.json", () => undefined);
      expect(await refusalOf(form(packed(without), sealOf(TREE)))).toBe(
        `${place("SHA256SUMS")} lists kafka.tar.gz/metadata.json, which is not there`,
      );
    });

    test("there, and not listed", async () => {
      for (const [path, content] of [
        ["evil_1.charm", charmZip({ name: "evil", revision: 1, bases: [JAMMY] })],
        ["notes.txt", "nothing that is used"],
        ["zinc.tar.gz/SHA256SUMS", sumsText(packageFiles(ZINC))],
      ] as const) {
        const more = path.includes("/")
          ? { ...TREE, "zinc.tar.gz": { ...packageFiles(ZINC), SHA256SUMS: content } }
          : { ...TREE, [path]: content };
        expect(await refusalOf(form(packed(more), sealOf(TREE)))).toBe(`${where(path)} is not listed in ${place("SHA256SUMS")}`);
      }
    });

    test("a list that is none, and a signature of no list", async () => {
      expect(await refusalOf(form(packed(TREE), { SHA256SUMS: "hello\n" }))).toStartWith(
        `${place("SHA256SUMS")}: it has a line 1 that is not a sha256`,
      );
      expect(await refusalOf(form(packed(TREE), { SHA256SUMS: Buffer.from([0xff, 0xfe]) }))).toBe(
        `${place("SHA256SUMS")}: it is not UTF-8 text`,
      );
      const { "SHA256SUMS.minisig": signature = "" } = sealOf(TREE, SITE);
      expect(await refusalOf(form(packed(TREE), { "SHA256SUMS.minisig": signature }))).toBe(
        `${place("SHA256SUMS.minisig")} has no SHA256SUMS beside it`,
      );
      expect(await refusalOf(form(packed(TREE), { ...sealOf(TREE), "SHA256SUMS.minisig": "x" }))).toBe(
        `${place("SHA256SUMS.minisig")} is not a signature as chp or minisign writes it`,
      );
    });
  });

  test("a file that stands for another of the same path", async () => {
    const twice = { ...carried(TREE), "kafka.tar.gz/metadata.json": JSON.stringify(metadataOf(KAFKA)) };
    expect(await refusalOf({ "site.tar": tarOf(twice) })).toMatch(/kafka\.tar\.gz.*metadata\.json is there twice$/);
  });

  test("files that changed places", async () => {
    const { "zinc.tar.gz": zinc, "kafka.tar.gz": kafka } = packed(TREE);
    expect(await refusalOf({ "site.tar": tarOf({ ...carried(TREE), "zinc.tar.gz": kafka ?? "", "kafka.tar.gz": zinc ?? "" }) })).toContain(
      "is not listed",
    );
  });
});

describe("where keys are accepted", () => {
  const accepted = [OTHER.accepted, SITE.accepted];

  test.each<[string, Files, string[]]>([
    ["an archive", { "site.tar": tarOf(carried(TREE, SITE)) }, ["site.tar"]],
    ["standard input", { "-": tgzOf(carried(TREE, SITE)) }, ["-"]],
    [
      "a folder",
      folder("usb", carried(TREE, SITE)),
      ["usb/SHA256SUMS", "usb/SHA256SUMS.minisig", "usb/bundle.yaml", "usb/kafka.tar.gz", "usb/zinc.tar.gz"],
    ],
  ])("%s that one of them signed is taken in, and it is told", async (_, sources, told) => {
    const { store, report } = await load(sources, { accepted });
    expect(report.sources.map(({ name, signers }) => [name, signers])).toEqual(told.map((name) => [name, signersOf({ key: SITE })]));
    expect(report.notes.filter((note) => note.includes("sign"))).toEqual([]);
    expect((await store.generation(1))?.sources).toEqual(report.sources);
  });

  test("what chp has no use for need not be signed, and is still no part of a list", async () => {
    const beside = { "images.sh": "skopeo copy …", "notes.yaml": "a: 1" };
    const { report } = await load({ "out/site.tar": tarOf(carried(TREE, SITE)), ...folder("out", beside) }, { accepted });
    expect(report.sources.map(({ signers, unsigned }) => [signers?.[0]?.name, unsigned])).toEqual([
      ["site", undefined],
      [undefined, undefined],
      [undefined, undefined],
    ]);
    expect(await refusalOf(folder("usb", { ...carried(TREE, SITE), ...beside }), { accepted })).toContain("usb/images.sh is not listed");
    expect(await refusalOf(folder("out", beside), { accepted })).toContain("there is no charm, bundle, snap, image, agent or assertion");
  });

  test("what each of two keys signed", async () => {
    const two = {
      "a.tar": tarOf(carried({ "kafka.tar.gz": packageFiles(KAFKA) }, SITE)),
      "b.tar": tarOf(carried({ "zinc.tar.gz": packageFiles(ZINC) }, OTHER)),
    };
    const { report } = await load(two, { accepted });
    expect(report.sources.map(({ signers }) => signers)).toEqual([signersOf({ key: SITE }), signersOf({ key: OTHER })]);
    const together = await load({ "ab.tar": tarOf(two) }, { accepted });
    expect(together.report.sources.map(({ signers }) => signers)).toEqual([[...signersOf({ key: SITE }), ...signersOf({ key: OTHER })]]);
  });

  const signed = carried(TREE, SITE);
  const zinc = ZINC.revisions[2] ?? "";
  const { "SHA256SUMS.minisig": signature = "", ...listed } = signed;
  const ofOther = { ...listed, "SHA256SUMS.minisig": sealOf(TREE, OTHER)["SHA256SUMS.minisig"] ?? "" };
  const UNSIGNED: readonly (readonly [what: string, sources: Files, name: string, lacks: string])[] = [
    ["a lone charm", { "zinc_2.charm": zinc }, "zinc_2.charm", "it came without a SHA256SUMS"],
    ["an archive without a list", { "x.tar": tarOf(packed(TREE)) }, "x.tar", "it came without a SHA256SUMS"],
    ["standard input without a list", { "-": tgzOf(packed(TREE)) }, "-", "it came without a SHA256SUMS"],
    ["a list that nobody signed", { "x.tar": tarOf(listed) }, "x.tar", "it has no SHA256SUMS.minisig"],
    ["a folder that nobody signed", folder("usb", listed), "usb/SHA256SUMS", "it has no SHA256SUMS.minisig"],
    ["a charm beside a signed folder", { ...folder("usb", signed), "zinc_2.charm": zinc }, "zinc_2.charm", "it came without a SHA256SUMS"],
    [
      "one file of a signed folder",
      { "usb/zinc.tar.gz": packed(TREE)["zinc.tar.gz"] ?? "" },
      "usb/zinc.tar.gz",
      "it came without a SHA256SUMS",
    ],
    [
      "a signed archive inside one that is not",
      { "x.tar": tarOf({ "site.tar": tarOf(signed), "zinc_2.charm": zinc }) },
      "x.tar",
      "it came without a SHA256SUMS",
    ],
    [
      "the signature of a key that is not trusted",
      { "x.tar": tarOf(signed) },
      "x.tar",
      `its SHA256SUMS.minisig is by key ${SITE.accepted.id}, which is not trusted`,
    ],
  ];

  test.each(UNSIGNED)("%s is refused", async (_, sources, name, lacks) => {
    const known = lacks.includes("not trusted") ? [OTHER.accepted] : accepted;
    expect(await refusalOf(sources, { accepted: known })).toBe(`${name} is not signed by a trusted key: ${lacks}`);
  });

  test.each(UNSIGNED)("%s is taken in with --allow-unsigned, loudly", async (_, sources, name, lacks) => {
    const known = lacks.includes("not trusted") ? [OTHER.accepted] : accepted;
    const { store, report } = await load(sources, { accepted: known, allowUnsigned: true });
    expect(report.notes).toContain(`UNSIGNED: ${name} was imported as it is: ${lacks}`);
    expect(report.sources.find((one) => one.name === name)).toMatchObject({ unsigned: true });
    expect((await store.generation(1))?.sources).toEqual(report.sources);
  });

  test("a signature that is wrong is refused, whatever is allowed", async () => {
    const [first = "", second = "", ...rest] = signature.toString().split("\n");
    const bytes = Buffer.from(second, "base64");
    bytes[20] = (bytes[20] ?? 0) ^ 1;
    const wrong = { ...listed, "SHA256SUMS.minisig": [first, bytes.toString("base64"), ...rest].join("\n") };
    const ofAnother = { ...listed, "SHA256SUMS.minisig": sign("", SITE.secret, { now: SIGNED_AT }) };
    for (const files of [wrong, ofAnother])
      for (const allowUnsigned of [false, true])
        expect(await refusalOf({ "x.tar": tarOf(files) }, { accepted, allowUnsigned })).toBe(
          `x.tar: SHA256SUMS.minisig is wrong: key ${SITE.accepted.id} did not sign this SHA256SUMS`,
        );
  });

  test("a list that somebody mended after it was signed is refused, whatever is allowed", async () => {
    const more = { ...TREE, "evil_1.charm": charmZip({ name: "evil", revision: 1, bases: [JAMMY] }) };
    const mended = { ...packed(more), ...sealOf(more), "SHA256SUMS.minisig": signature };
    expect(await refusalOf({ "x.tar": tarOf(mended) }, { accepted, allowUnsigned: true })).toContain("did not sign this SHA256SUMS");
    expect(await refusalOf({ "x.tar": tarOf({ ...signed, "evil.txt": "" }) }, { accepted, allowUnsigned: true })).toContain(
      "is not listed",
    );
  });

  test("an older one is imported where that is allowed, and told", async () => {
    const [earlier, later] = [SIGNED_AT - 60_000, SIGNED_AT].map((now) => ({ "x.tar": tarOf(carried(TREE, SITE, now)) }));
    const { store } = await load(later ?? {}, { accepted });
    const failure = await failureOf(load(earlier ?? {}, { accepted, store }));
    expect(failure.message).toContain(`x.tar was signed at 2026-04-26T16:30:15Z, and the newest by key ${SITE.accepted.id}`);
    expect(failure.next).toContain("--allow-older imports it as it is");
    const { report } = await load(earlier ?? {}, { accepted, store, allowOlder: true });
    expect(report.notes).toContain(`OLDER: ${failure.message}`);
  });

  test("signed by another than the accepted one", async () => {
    expect(await refusalOf({ "x.tar": tarOf(ofOther) }, { accepted: [SITE.accepted] })).toContain(
      `by key ${OTHER.accepted.id}, which is not trusted`,
    );
  });

  test("where none is, a signature is told to be unchecked, and nothing is asked", async () => {
    const { report } = await load({ "x.tar": tarOf(signed) });
    expect(report.notes[0]).toBe(
      `the signature by key ${SITE.accepted.id} was not checked, since that key is not trusted; chp accept-key FILE.pub trusts it`,
    );
    expect(report.sources.map(({ signers, unsigned }) => [signers, unsigned])).toEqual([[undefined, undefined]]);
  });

  test("a dry run refuses and tells the same", async () => {
    expect(await refusalOf({ "zinc_2.charm": zinc }, { accepted, dryRun: true })).toContain("is not signed");
    expect((await load({ "x.tar": tarOf(signed) }, { accepted, dryRun: true })).report.sources[0]?.signers).toEqual(
      signersOf({ key: SITE }),
    );
  });
});

test("whatever is changed of a signed archive, nothing is published", async () => {
  const tree = { "zinc.tar": packageFiles(ZINC), "bundle.yaml": "applications: {}\n" };
  const tar = tarOf({ ...sealOf(tree, SITE), ...tree, "zinc.tar": tarOf(tree["zinc.tar"]) });
  const plain = await load({ "x.tar": tar }, { accepted: [SITE.accepted] });
  const expected = await (await plain.store.snapshot()).package("zinc");
  let refusals = 0;
  await fc.assert(
    fc.asyncProperty(fc.nat(tar.byteLength - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
      const changed = Buffer.from(tar);
      changed[at] = (changed[at] ?? 0) ^ flip;
      const store = await newStore();
      try {
        await load({ "x.tar": changed }, { store, accepted: [SITE.accepted] });
        // Only what means nothing may differ: times, owners, padding, the untrusted comment.
        expect(await (await store.snapshot()).package("zinc")).toEqual(expected);
      } catch (error) {
        if (!(error instanceof Failure) || error.kind !== "refused") throw error;
        refusals += 1;
        expect(await names(store)).toEqual([]);
      }
    }),
    { numRuns: runs(400) },
  );
  if (exhaustive) expect(refusals).toBeGreaterThan(100);
});

test.each([
  ["SHA256SUMS", true],
  ["site/SHA256SUMS.minisig", true],
  ["SHA256SUMS.txt", false],
  ["xSHA256SUMS", false],
  ["resources/SHA256SUMS", false],
])("%s is a list or its signature: %s", (path, is) => {
  expect(classify(path) === "checksums").toBe(is);
});

/** The tree with one leaf changed; undefined: taken out. */
function edited(tree: Tree, path: string, edit: (content: string | Uint8Array) => string | Uint8Array | undefined): Tree {
  return Object.fromEntries(
    Object.entries(tree).flatMap(([name, content]): [string, Tree[string]][] => {
      if (typeof content !== "string" && !(content instanceof Uint8Array))
        return path.startsWith(`${name}/`) ? [[name, edited(content, path.slice(name.length + 1), edit)]] : [[name, content]];
      const after = name === path ? edit(content) : content;
      return after === undefined ? [] : [[name, after]];
    }),
  );
}
