/** What an export adds to what was named, and that nothing is missing on the other side. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Disk } from "../../../store/fs.ts";
import { Store } from "../../../store/store.ts";
import { AGENT_SIGNER, AGENT_WORLD } from "../../agentworld.ts";
import { base, bundleZip, charmZip, exportOf, type Files, imageBlob, type PackageSpec, type TestBase } from "../../build.ts";
import { type Run, runProgram } from "../../program.ts";
import { exportOfSnaps, PUBLISHER, SIGNED_ROOT, type SnapSpec, signed } from "../../signedsnaps.ts";
import { tempFolder } from "../../temp.ts";

/* ---- what is outside ---- */

const JAMMY = base("amd64", "22.04");
const NOBLE = base("amd64", "24.04");
const NOBLE_ARM = base("arm64", "24.04");

interface CharmSpec {
  readonly files?: Files;
  readonly on?: readonly TestBase[];
  readonly channel?: string;
  readonly revisions?: readonly number[];
}

/** The newest of the revisions is released. */
function charm(name: string, { files = {}, on = [NOBLE], channel = "latest/stable", revisions = [1] }: CharmSpec = {}): PackageSpec {
  const newest = Math.max(...revisions);
  return {
    name,
    id: `ID${name}`,
    type: "charm",
    publisher: PUBLISHER,
    defaultTrack: channel.split("/")[0] ?? "latest",
    revisions: Object.fromEntries(revisions.map((one) => [one, charmZip({ name, revision: one, bases: on, files })])),
    bases: Object.fromEntries(revisions.map((one) => [one, on])),
    releases: on.map((one) => ({ channel, base: one, revision: newest })),
  };
}

/** The texts of a real charm. */
function texts(name: string): Files {
  const folder = join(import.meta.dir, "../../fixtures/charms", name);
  return Object.fromEntries(readdirSync(folder).map((file) => [file, readFileSync(join(folder, file))]));
}

const DB_VERSIONS = 'charm_major = 1\nworkload = "14"\n[snap]\nname = "charmed-db"\n[snap.revisions]\nx86_64 = "96"\naarch64 = "97"\n';
const SEEMS = 'from charms.operator_libs_linux.v2 import snap\nsnap.add("jq", channel="latest/edge")\nsnap.add("no-such-thing")\n';

const CANONICAL = { id: "canonical", username: "canonical", "display-name": "Canonical", validation: "verified" };

const PACKAGES: readonly PackageSpec[] = [
  charm("kafka", { files: texts("kafka"), revisions: [195], channel: "4/stable" }),
  charm("db", { files: { "refresh_versions.toml": DB_VERSIONS, "src/charm.py": SEEMS }, on: [NOBLE, NOBLE_ARM] }),
  charm("hopeless", { files: { "refresh_versions.toml": DB_VERSIONS.replace("charmed-db", "gone").replace("97", "98") } }),
  charm("plain", { on: [JAMMY], revisions: [3, 4] }),
  ...["official", "official-too"].map((name) => ({ ...charm(name), publisher: CANONICAL })),
  charm("juju-controller", { channel: "3.6/stable", on: [NOBLE, NOBLE_ARM, JAMMY, base("arm64", "22.04")] }),
  {
    name: "stack",
    id: "IDstack",
    type: "bundle",
    publisher: PUBLISHER,
    revisions: {
      3: bundleZip("name: stack\ndefault-base: ubuntu@24.04\napplications:\n  k: {charm: kafka, channel: 4/stable}\n  p: {charm: plain}\n"),
    },
    releases: [{ channel: "latest/stable", base: null, revision: 3 }],
  },
  {
    name: "odd",
    id: "IDodd",
    type: "bundle",
    publisher: PUBLISHER,
    revisions: { 1: bundleZip("applications:\n  a: {charm: plain, series: hirsute7}\n") },
    releases: [{ channel: "latest/stable", base: null, revision: 1 }],
  },
  {
    ...charm("pinned", { on: [NOBLE] }),
    revisions: Object.fromEntries(
      [1, 2].map((one) => [one, charmZip({ name: "pinned", revision: one, bases: [NOBLE], resources: { image: { type: "oci-image" } } })]),
    ),
    bases: { 1: [NOBLE], 2: [NOBLE] },
    resources: {
      image: {
        type: "oci-image",
        revisions: Object.fromEntries([5, 6, 7].map((one) => [one, imageBlob(`r.test/charm/x/image@sha256:${String(one).repeat(64)}`)])),
      },
    },
    releases: [{ channel: "latest/stable", base: NOBLE, revision: 2, resources: { image: 7 } }],
  },
];

const BOTH = (amd64: number, arm64: number) => ({ revisions: { [amd64]: ["amd64"], [arm64]: ["arm64"] }, on: { amd64, arm64 } });

function snap(name: string, { revisions, on }: ReturnType<typeof BOTH>, yaml: SnapSpec["yaml"], channel = "latest/stable"): SnapSpec {
  return { name, revisions, channels: { [channel]: on }, yaml: { ...yaml } };
}

const CONTENT = { "kafka-libs": { interface: "content", content: "libs", target: "$SNAP/libs", "default-provider": "kafka-libs" } };
const SNAPS: readonly SnapSpec[] = [
  {
    name: "charmed-kafka",
    revisions: { 69: ["amd64"], 70: ["amd64"] },
    channels: { "4/edge": { amd64: 70 } },
    yaml: { base: "core24", plugs: CONTENT },
  },
  snap("kafka-libs", BOTH(11, 12), { base: "core20" }),
  snap("charmed-db", BOTH(96, 97), { base: "core22" }, "14/stable"),
  {
    name: "jq",
    revisions: { 6: ["amd64"], 7: ["amd64"] },
    channels: { "latest/stable": { amd64: 6 }, "latest/edge": { amd64: 7 } },
    yaml: {},
  },
  {
    ...snap("juju-db", BOTH(30, 31), { base: "core20" }),
    channels: { "4.4/stable": { amd64: 30, arm64: 31 }, "4.4.30/stable": { amd64: 30, arm64: 31 } },
  },
  ...["core20", "core22", "core24"].map((name) => snap(name, BOTH(Number(name.slice(4)), Number(name.slice(4)) + 100), { type: "base" })),
  snap("core", BOTH(16, 116), { type: "os" }),
  snap("snapd", BOTH(200, 300), { type: "snapd" }),
];

/* ---- how it is run ---- */

const folder = tempFolder();
const at = (...names: string[]) => join(folder.path, ...names);
const OUTSIDE = at("outside");

beforeAll(async () => {
  mkdirSync(at("given"));
  writeFileSync(at("given", "charms.tar.gz"), exportOf(PACKAGES));
  writeFileSync(at("given", "snaps.tar.gz"), exportOfSnaps(SNAPS.map(signed)));
  writeFileSync(at("root.assert"), SIGNED_ROOT);
  writeFileSync(at("streams.asc"), AGENT_SIGNER.file);
  writeFileSync(join(at("given"), "agents.tar"), AGENT_WORLD);
  const trusted = ["--trust", at("root.assert"), "--streams-key", at("streams.asc")];
  const done = await runProgram(["import", "--store", OUTSIDE, ...trusted, at("given")]);
  expect(done.code).toBe(0);
});

afterAll(() => folder[Symbol.dispose]());

/** An object of what a command prints as JSON. */
type Told = Readonly<Record<string, unknown>>;
const namesOf = (all: readonly Told[]) => all.map((one) => String(one["name"]));
const check = (one: Told) => String(one["check"]);

let sites = 0;

interface Site extends Run {
  /** of the archive */
  readonly path: string;
  readonly snaps: readonly string[];
  readonly packages: readonly string[];
  readonly notes: readonly string[];
  readonly lost: readonly string[];
}

/** Exports a site from the store outside. */
async function site(manifest: string, ...flags: readonly string[]): Promise<Site> {
  sites += 1;
  const where = at(`site${sites}`);
  mkdirSync(where);
  writeFileSync(join(where, "site.yaml"), manifest);
  const done = await runProgram(["export", "-f", join(where, "site.yaml"), "--store", OUTSIDE, "--export-dir", where, "--json", ...flags]);
  const { archives = [] } = JSON.parse(done.out || "{}");
  const [one] = archives;
  const shown = (all: readonly { name: string; revisions: readonly number[] }[] = []) =>
    all.map(({ name, revisions }) => `${name} ${revisions.join(",")}`);
  return {
    ...done,
    path: one?.paths[0] ?? "",
    snaps: shown(one?.snaps),
    packages: shown(one?.packages),
    notes: one?.notes ?? [],
    lost: one?.lost.map((lost: { error: string }) => lost.error) ?? [],
  };
}

/** Imports it into an empty store, which is removed afterwards. */
async function inside(path: string, work: (store: string) => Promise<void>): Promise<void> {
  const store = tempFolder();
  try {
    const trusted = ["--trust", at("root.assert"), "--streams-key", at("streams.asc")];
    const done = await runProgram(["import", "--store", store.path, ...trusted, path]);
    expect(done.code).toBe(0);
    await work(store.path);
  } finally {
    store[Symbol.dispose]();
  }
}

const missing = async (store: string): Promise<string[]> =>
  JSON.parse((await runProgram(["missing", "--json", "--store", store])).out).map((one: Told) => [one["sure"], one["name"]].join(" "));

const KAFKA = ["charmed-kafka 69", "core20 20", "core24 24", "kafka-libs 11", "snapd 200"];
const BY_KAFKA = "charm kafka 195 (refresh_versions.toml)";

test("store-admin leaves its archives in its documented folder", async () => {
  const home = at("home");
  const environment = { HOME: home };
  const done = await runProgram(["export", "charms", "plain", "--store", OUTSIDE], environment, "store-admin");
  expect([done.code, done.out]).toEqual([0, expect.stringContaining(`: ${home}/snap/store-admin/common/export/charms-export-`)]);
  expect((await runProgram(["export", "--help"], environment, "store-admin")).out).toContain("~/snap/store-admin/common/export");
  expect((await runProgram(["export", "--help"], environment)).out).not.toContain("store-admin/common");
});

test("a charm of a publisher that every client has built in comes with that account, without a word", async () => {
  const done = await site("charms: [official, official-too]\nbases: ubuntu@24.04\n");
  expect([done.code, done.packages, done.notes]).toEqual([0, ["official 1", "official-too 1"], []]);
  await inside(done.path, async (path) => {
    const store = await Store.open(new Disk(path));
    for (const name of ["official", "official-too"]) {
      const digest = (await (await store.snapshot()).package(name))?.publisherAssertion;
      const text = digest && Buffer.from((await (await store.blob(digest))?.bytes()) ?? []).toString();
      expect(text?.trimEnd()).toBe(
        readFileSync(join(import.meta.dir, "../../fixtures/assertions/account.canonical.trusted.assert"), "utf8").trimEnd(),
      );
    }
  });
});

describe("an architecture that a charm never had", () => {
  const NOTE = "plain has no release for arm64 in any channel: it is exported without";
  const SITE = "bases: ubuntu@22.04\nwithout: [snapd]\narchitectures: [amd64, arm64]\n";

  test("is a note, and the export is complete, with its lock", async () => {
    const done = await site(`${SITE}charms: [plain]\n`);
    expect([done.code, done.packages, done.lost]).toEqual([0, ["plain 4"], []]);
    expect(done.notes).toContain(NOTE);
    expect(readdirSync(join(done.path, ".."))).toContain("site.lock");
  });

  test.each([
    ["the charm's own entry names it", `${SITE}charms: [{name: plain, architectures: [amd64, arm64]}]\n`, 4],
    ["it is the only one", "bases: ubuntu@22.04\narch: arm64\ncharms: [plain]\n", 1],
  ])("is missing where %s", async (_, manifest, code) => {
    const done = await site(manifest);
    expect(done.code).toBe(code);
    expect(done.notes).not.toContain(NOTE);
    expect(done.err).toContain("it has no release in latest/stable for arm64");
  });
});

describe("the closure", () => {
  test("of a real charm: its snap by number, that snap's base and content, their base, snapd; each once, with its reason", async () => {
    const done = await site("charms: [kafka]\nbases: ubuntu@24.04\n");
    expect([done.code, done.packages, done.snaps]).toEqual([0, ["kafka 195"], KAFKA]);
    expect(done.notes.toSorted()).toEqual([
      `adding snap charmed-kafka revision 69 amd64: needed by ${BY_KAFKA}`,
      "adding snap core20 amd64: needed by base of kafka-libs",
      "adding snap core24 amd64: needed by base of charmed-kafka",
      "adding snap kafka-libs amd64: needed by default provider of charmed-kafka",
      "adding snap snapd amd64: needed by every machine that installs a snap",
    ]);
    for (const note of done.notes) expect(done.err.split(`${note}\n`)).toHaveLength(2);
    await inside(done.path, async (store) => {
      expect(await missing(store)).toEqual([]);
      const { out } = await runProgram(["doctor", "--offline", "--json", "--store", store]);
      const found = JSON.parse(out || "{}").findings.filter((one: Told) => check(one) === "snaps");
      expect(found).toEqual([]);
    });
  });

  test.each<[string, string[], string[]]>([
    ["charm-snaps", ["charm-snaps"], []],
    ["bases", ["bases"], ["charmed-kafka 69", "kafka-libs 11", "snapd 200"]],
    ["providers", ["providers"], ["charmed-kafka 69", "core24 24", "snapd 200"]],
    ["snapd", ["snapd"], ["charmed-kafka 69", "core20 20", "core24 24", "kafka-libs 11"]],
    ["likely, of which it has none", ["likely"], KAFKA],
    ["several", ["bases", "providers,snapd"], ["charmed-kafka 69"]],
  ])("without %s", async (_, without, snaps) => {
    const done = await site("charms: [kafka]\nbases: ubuntu@24.04\n", ...without.flatMap((one) => ["--without", one]));
    expect([done.code, done.snaps]).toEqual([0, snaps]);
  });

  test("switched off in the manifest, and in the environment", async () => {
    expect((await site("charms: [kafka]\nbases: noble\nwithout: charm-snaps\n")).snaps).toEqual([]);
    const where = at("environment");
    mkdirSync(where);
    writeFileSync(join(where, "site.yaml"), "charms: [kafka]\nbases: noble\n");
    const args = ["export", "-f", join(where, "site.yaml"), "--store", OUTSIDE, "--export-dir", where, "--json"];
    const done = await runProgram(args, { CHP_WITHOUT: "bases,providers,snapd" });
    expect(namesOf(JSON.parse(done.out).archives[0].snaps)).toEqual(["charmed-kafka"]);
    expect(await runProgram([...args, "--without", "everything"])).toMatchObject({ code: 2 });
  });

  test("on several architectures: a revision each, and what these need there", async () => {
    const done = await site("charms: [db]\nbases: noble\narchitectures: [amd64, arm64]\nwithout: [likely]\n");
    expect([done.code, done.snaps]).toEqual([0, ["charmed-db 96,97", "core22 22,122", "snapd 200,300"]]);
    expect(done.notes).toContain("adding snap charmed-db revision 97 arm64: needed by charm db 1 (refresh_versions.toml)");
    await inside(done.path, async (store) => expect(await missing(store)).toEqual(["likely jq", "likely no-such-thing"]));
    expect((await site("charms: [db]\nbases: noble\narch: arm64\nwithout: [likely]\n")).snaps).toEqual([
      "charmed-db 97",
      "core22 122",
      "snapd 300",
    ]);
  });

  test("what is needed on one architecture is not looked for on the others", async () => {
    // jq, kafka's snap and what they run on are there for amd64 alone; the site has machines of both.
    const done = await site(
      "charms: [{name: kafka, arch: amd64}]\nsnaps: [{name: jq, arch: amd64}, {name: kafka-libs, arch: arm64}]\nbases: noble\n",
    );
    expect([done.code, done.lost]).toEqual([0, []]);
    expect(done.snaps).toEqual(["charmed-kafka 69", "core 16", "core20 20,120", "core24 24", "jq 6", "kafka-libs 11,12", "snapd 200,300"]);
  });

  test("likely ones come along where they are, and are a note where they are not", async () => {
    const done = await site("charms: [db]\nbases: noble\n");
    expect([done.code, done.lost]).toEqual([0, []]);
    expect(done.snaps).toEqual(["charmed-db 96", "core 16", "core22 22", "jq 7", "snapd 200"]);
    expect(done.notes).toContain("adding snap jq latest/edge: likely needed by charm db 1 (src/charm.py)");
    expect(done.notes).toContainEqual(
      expect.stringMatching(
        /^charm db 1 \(src\/charm\.py\) seems to install the snap no-such-thing, which is not available: cannot export the snap no-such-thing from stable for amd64: /,
      ),
    );
    await inside(done.path, async (store) => expect(await missing(store)).toEqual(["likely no-such-thing"]));
  });

  test("a certain one that is not to be had is exit 4, and the rest is there", async () => {
    const done = await site("charms: [hopeless, kafka]\nbases: noble\n");
    expect([done.code, done.packages, done.snaps]).toEqual([4, ["hopeless 1", "kafka 195"], KAFKA]);
    expect(done.lost).toEqual([expect.stringMatching(/^cannot export the snap gone revision 96 for amd64: ./)]);
    expect(done.err).toContain("chp: not exported completely: gone; the archive contains the rest\n");
    expect(done.path).not.toBe("");
    // A lock of an incomplete export would make the next one leave out the rest without a word.
    const lock = join(done.path, "..", "site.lock");
    expect([existsSync(lock), done.err]).toEqual([false, expect.stringContaining(`${lock} was not written: the export is incomplete`)]);
    const fast = await site("charms: [hopeless, kafka]\nbases: noble\n", "--fail-fast");
    expect([fast.code, fast.path]).toEqual([1, ""]);
  });

  test("of charms inside bundles", async () => {
    const done = await site("bundles: [stack]\n");
    expect([done.code, done.packages, done.snaps]).toEqual([0, ["stack 3", "kafka 195", "plain 4"], KAFKA]);
    expect(done.notes).toContain("adding charm kafka: bundle stack 3 names it");
    expect(done.notes).toContain("adding charm plain: bundle stack 3 names it");
    await inside(done.path, async (store) => expect(await missing(store)).toEqual([]));
    const alone = await site("bundles: [stack]\n", "--without", "bundle-charms");
    expect([alone.packages, alone.snaps]).toEqual([["stack 3"], []]);
  });

  test("a charm of a bundle that is named as well is no addition", async () => {
    const done = await site("bundles: [stack]\ncharms: [{name: plain, revision: 3}]\nwithout: charm-snaps\n");
    expect(done.packages.toSorted()).toEqual(["kafka 195", "plain 3,4", "stack 3"]);
    expect(done.notes.filter((one) => one.includes("charm plain"))).toEqual([]);
  });

  test("a snap that is named and needed is packed once, with the channel that was named", async () => {
    const done = await site(
      "charms: [kafka]\nbases: noble\nsnaps: [{name: charmed-kafka, revision: 69, channel: 4/stable}, {name: charmed-kafka, channel: 4/edge}]\n",
    );
    expect([done.code, done.snaps]).toEqual([0, KAFKA.map((one) => one.replace("69", "69,70"))]);
    expect(done.notes.filter((one) => one.includes("snap charmed-kafka"))).toEqual([]);
    const [{ snaps }] = JSON.parse(done.out).archives;
    expect(snaps[0].releases.map((one: Told) => [one["channel"], one["revision"]])).toEqual([
      ["4/edge", 70],
      ["4/stable", 69],
    ]);
  });

  test("what Juju needs to bootstrap, on both bases", async () => {
    const done = await site('essentials: {juju: "3.6"}\n', "--streams-key", at("streams.asc"));
    expect([done.code, done.packages]).toEqual([0, ["juju-controller 1"]]);
    expect(done.snaps).toEqual(["core 16", "core20 20", "juju-db 30", "snapd 200"]);
    expect(done.notes).toContain("adding charm juju-controller: Juju 3.6 bootstraps with it");
    expect(done.notes).toContain("adding snap juju-db: essential for Juju 3.6: controllers on machines keep their state in it");
    // 3.6.11 needs the same, which is said once.
    expect(done.notes.filter((note: string) => / (core|snapd): essential/.test(note))).toEqual([
      "adding snap core: essential for Juju 3.6: old snaps run on it",
      "adding snap snapd: essential for Juju 3.6: every machine with a snap needs it",
    ]);
    await inside(done.path, async (store) => {
      expect(await missing(store)).toEqual([]);
      const { out } = await runProgram(["doctor", "--juju", "3.6", "--cloud", "lxd", "--offline", "--json", "--store", store]);
      const isOurs = (one: Told) => ["juju", "snaps", "charms", "resources"].includes(check(one));
      expect(JSON.parse(out).findings.filter(isOurs)).toEqual([]);
      const listed = JSON.parse((await runProgram(["list", "juju-3.6.11", "--json", "--store", store])).out);
      expect(listed).toEqual([expect.objectContaining({ type: "agent", architectures: ["amd64"], unverified: [] })]);
    });
  });
});

describe("what is not what it was named", () => {
  test("a charm among the bundles, which is taken as that", async () => {
    const done = await site("bundles: [{name: kafka, bases: noble}]\ncharms: [stack]\nwithout: charm-snaps\n");
    expect([done.code, done.packages.toSorted()]).toEqual([0, ["kafka 195", "stack 3"]]);
    expect(done.notes).toContain("kafka is a charm: it was taken as that");
    expect(done.notes).toContain("stack is a bundle: it was taken as that");
  });

  test.each([[["--only-print-yaml"]], [[]]])("a charm in place of the one bundle, with %p", async (flags) => {
    const where = at(`mistyped${flags.length}`);
    const command = ["export", "bundle", "kafka", "--base", "noble", "--store", OUTSIDE, "--export-dir", where];
    const { code, out, err, next } = await runProgram([...command, ...flags]);
    expect([code, out, err]).toEqual([2, "", "chp: kafka is a charm, not a bundle\n"]);
    expect(next).toBe("chp export charms takes charms, in a file that names them");
    expect(readdirSync(where)).toEqual([]);
  });

  test("a file in place of the folder that archives go to", async () => {
    writeFileSync(at("file"), "");
    const { code, err } = await runProgram(["export", "bundle", "stack", "--store", OUTSIDE, "--export-dir", at("file", "out")]);
    expect([code, err]).toEqual([1, expect.stringMatching(/^chp: cannot write .*file\/out: .*\n$/)]);
  });

  test("a manifest without a lock, told to keep to it", async () => {
    writeFileSync(at("unlocked.yaml"), "charms: [plain]\n");
    const { code, err, next } = await runProgram(["export", "-f", at("unlocked.yaml"), "--locked", "--store", OUTSIDE]);
    expect([code, err]).toEqual([2, expect.stringContaining(`cannot read ${at("unlocked.lock")}: `)]);
    expect(next).toBe("an export of it without --locked writes its lock");
  });

  test("a lock that names what is no longer there: nothing is exported, as the rest would not be what was locked", async () => {
    const done = await site("charms: [plain, kafka]\nbases: noble\n");
    expect(done.code).toBe(0);
    const where = join(done.path, "..");
    const lock = JSON.parse(readFileSync(join(where, "site.lock"), "utf8"));
    const kafka = lock.packages.find((one: Told) => one["name"] === "kafka");
    kafka.revisions = { 999: kafka.revisions[195] };
    for (const release of kafka.releases) release.revision = 999;
    writeFileSync(join(where, "site.lock"), JSON.stringify(lock));
    const args = ["export", "-f", join(where, "site.yaml"), "--store", OUTSIDE, "--export-dir", where, "--locked", "--json"];
    const again = await runProgram(args);
    const why = "chp: cannot export kafka as locked: revision 999 is not offered any more (Revision 999 was not found in the Store.)\n";
    expect([again.code, again.out, again.err]).toEqual([1, "", why]);
  });

  test("a bundle that names what cannot be read costs its charms alone", async () => {
    const done = await site("bundles: [odd, stack]\nwithout: charm-snaps\n");
    expect([done.code, done.packages]).toEqual([4, ["odd 1", "stack 3", "kafka 195", "plain 4"]]);
    expect(done.lost).toEqual(["bundle.yaml of odd: applications.a: hirsute7 is neither a base like ubuntu@24.04 nor a series like jammy"]);
    expect(done.err).toContain("chp: not exported completely: the charms of odd; ");
  });

  test("a path for a resource that the charm does not have", async () => {
    const done = await site("charms: [{name: pinned, resources: {imgae: a/b, image: c/d}}]\nbases: noble\n");
    expect(done.notes).toEqual(["pinned has no resource imgae, whose path was given", "Overriding image with local registry subpath."]);
  });
});

describe("pins", () => {
  test("a charm's and a resource's revision stand in the channel after import", async () => {
    const done = await site(
      "charms: [{name: pinned, revision: 1, channel: chp/edge, resources: {image: 6}}, {name: pinned, resources: {image: 5}}]\nbases: noble\n",
    );
    expect([done.code, done.packages]).toEqual([0, ["pinned 1,2"]]);
    await inside(done.path, async (store) => {
      const pkg = JSON.parse((await runProgram(["show", "--json", "--store", store, "pinned"])).out);
      const rows = pkg.releases.map(({ channel, revision, resources }: Told) => [channel, revision, resources]);
      expect(rows.toSorted()).toEqual([
        ["chp/edge", 1, { image: 6 }],
        ["latest/stable", 2, { image: 5 }],
      ]);
    });
  });

  test("everything that a store lists", async () => {
    const where = at("all");
    const done = await runProgram([
      "export",
      "--all",
      "--store",
      OUTSIDE,
      "--streams-key",
      at("streams.asc"),
      "--export-dir",
      where,
      "--json",
    ]);
    expect(done.code).toBe(0);
    const [{ packages, snaps, paths }] = JSON.parse(done.out).archives;
    expect(namesOf(packages).toSorted()).toEqual(PACKAGES.map((one) => one.name).toSorted());
    expect(namesOf(snaps)).toEqual(
      SNAPS.filter((one) => one.channels)
        .map((one) => one.name)
        .toSorted(),
    );
    const rows = async (store: string) =>
      JSON.parse((await runProgram(["list", "--json", "--store", store])).out)
        .map((one: Told) => JSON.stringify([one["name"], one["channels"]]))
        .toSorted();
    await inside(paths[0], async (store) => expect(await rows(store)).toEqual(await rows(OUTSIDE)));
  });
});

describe("export charms", () => {
  const charms = async (given: readonly string[]) => {
    const to = at(`charms-${given.join("-").replaceAll("/", "")}`);
    mkdirSync(to);
    const done = await runProgram(["export", "charms", ...given, "--store", OUTSIDE, "--export-dir", to, "--json", "--base", "noble"]);
    const [archive] = JSON.parse(done.out || '{"archives":[]}').archives;
    return { code: done.code, err: done.err, next: done.next, names: namesOf(archive?.packages ?? []) };
  };

  test("takes names", async () => {
    expect(await charms(["kafka", "plain"])).toMatchObject({ code: 0, names: ["kafka", "plain"] });
    expect(await charms(["kafka"])).toMatchObject({ code: 0, names: ["kafka"] });
  });

  test("takes one file, whatever its name looks like", async () => {
    writeFileSync(at("list.yaml"), "charms: [plain]\n");
    expect(await charms([at("list.yaml")])).toMatchObject({ code: 0, names: ["plain"] });
    expect(await charms([at("list.yaml"), "kafka"])).toMatchObject({ code: 2, err: "chp: name charms, or one file of them\n" });
  });
});

describe("--dry-run", () => {
  test("lists what would be taken, its size and why, downloads nothing and writes nothing", async () => {
    const [done, dry] = [await site("charms: [plain]\nsnaps: [jq]\n"), await site("charms: [plain]\nsnaps: [jq]\n", "--dry-run")];
    const { packages, size } = JSON.parse(dry.out);
    expect([
      dry.code,
      packages.map((each: { type: string; name: string; revisions: number[] }) => `${each.type} ${each.name} ${each.revisions.join()}`),
    ]).toEqual([0, [...done.packages.map((text) => `charm ${text}`), ...done.snaps.map((text) => `snap ${text}`)]]);
    expect(packages.filter(({ reasons }: { reasons: string[] }) => reasons.length > 0)).not.toEqual([]);
    expect(size).toBe(JSON.parse(done.out).archives[0].fetched);
    expect(dry.err).toContain(" to download; nothing was downloaded\nnot listed: snaps that charms install");
    expect(readdirSync(at(`site${sites}`))).toEqual(["site.yaml"]);
  });

  test("names what is missing upstream, exit 4", async () => {
    const dry = await site("charms: [nowhere, plain]\n", "--dry-run");
    expect([dry.code, JSON.parse(dry.out).lost.map(({ name }: { name: string }) => name)]).toEqual([4, ["nowhere"]]);
  });
});
