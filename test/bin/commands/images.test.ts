/** What commands say of images that are stored, and do with them. */

import { afterAll, beforeEach, describe, expect, spyOn, test } from "bun:test";
import { chmodSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runImages } from "../../../bin/commands/images.ts";
import { readInventory } from "../../../src/export/inventory.ts";
import { Store } from "../../../store/store.ts";
import { charmZip, type Files, imageBlob, packageFiles, tarOf } from "../../build.ts";
import { fakeRegistry } from "../../fakeregistry.ts";
import { below, type ListedImage, layoutOf } from "../../layouts.ts";
import { runProgram, SILENT_IO } from "../../program.ts";
import { attestationOf, imageOf, indexOf, type TestImage } from "../../registry.ts";
import { tempFolder } from "../../temp.ts";
import { NOBLE } from "../../world.ts";

const AMD = imageOf({ layers: ["base", "amd"] });
const ARM = imageOf({ architecture: "arm64", layers: ["base", "arm"] });
const BOTH = indexOf([AMD, ARM, attestationOf(AMD)]);
const NEXT = indexOf([imageOf({ layers: ["base", "next"] })]);
const REPOSITORY = "charm/abc/kafka-image";
const upstream = (image: TestImage) => `registry.test/${REPOSITORY}@sha256:${image.digest}`;
const short = (image: TestImage) => `sha256:${image.digest.slice(0, 12)}…`;

/** Resource 1 is BOTH, and 2 is NEXT. */
const CHARM: Files = below(
  "charms/kafka",
  packageFiles({
    type: "charm",
    name: "kafka",
    id: "IDKAFKA",
    revisions: { 1: charmZip({ name: "kafka", revision: 1, bases: [NOBLE], resources: { image: { type: "oci-image" } } }) },
    resources: { image: { type: "oci-image", revisions: { 1: imageBlob(upstream(BOTH)), 2: imageBlob(upstream(NEXT)) } } },
    releases: [{ channel: "latest/stable", base: NOBLE, revision: 1, resources: { image: 1 } }],
  }),
);
const images = (listed: readonly ListedImage[], without: readonly TestImage[] = []): Files =>
  below(
    "images",
    layoutOf(
      listed,
      without.map(({ digest }) => digest),
    ),
  );

const folder = tempFolder();
afterAll(() => folder[Symbol.dispose]());
const store = join(folder.path, "store");
beforeEach(() => rmSync(store, { recursive: true, force: true }));

const run = (...args: string[]) => runProgram([...args, "--store", store]);
const done = async (...args: string[]) => {
  const { code, out, err } = await run(...args);
  expect([code, code === 0 ? "" : err]).toEqual([0, ""]);
  return out;
};
const json = async (...args: string[]) => JSON.parse(await done(...args, "--json"));
const file = (files: Files, name = "site.tar") => {
  writeFileSync(join(folder.path, name), tarOf(files));
  return join(folder.path, name);
};
const bring = (files: Files, ...args: string[]) => done("import", file(files), ...args);
const app = (image: TestImage, tag = "1.2") => images([{ image, name: `team/app:${tag}` }]);

describe("the report of an import", () => {
  test("says what is new, where a tag moved, and what was there", async () => {
    expect(await bring(app(BOTH))).toBe(
      `team/app: images, new\n  1.2: new\n  manifests  4 new\n  architectures  amd64, arm64\n\n` +
        `generation 1: 1 repository of images changed, 1009 B new, 0 B already present\nundo: chp rollback 0 --store ${store}\n`.replace(
          "1009 B",
          (await run("du")).out.match(/image: (.*) in /)?.[1] ?? "",
        ),
    );
    const moved = await bring(app(NEXT));
    expect(moved).toContain(
      `team/app: images, changed\n  1.2: ${short(BOTH)} → ${short(NEXT)}\n  manifests  2 new\n  architectures  amd64\n`,
    );
    const again = await bring(app(NEXT));
    expect(again).toContain("team/app: images, already present\n  manifests  2 already present\n");
    expect(again).toContain("nothing changed: everything was already present");
    expect(await done("log")).toContain("1 repository of images");
  });

  test("counts packages and images, and says which images are missing", async () => {
    const out = await bring({ ...CHARM, ...images([{ image: BOTH, name: upstream(BOTH) }]) });
    expect(out).toContain("generation 1: 1 package and 1 repository of images changed, ");
    expect(out).toContain(`missing\n  image ${upstream(NEXT)}, needed by charm kafka, resource image 2\n`);
    const dry = await done("import", "--dry-run", file(app(AMD), "dry.tar"));
    expect(dry).toContain("dry run: 1 repository of images would change, ");
  });

  test("an image without a name is called what --image-name says", async () => {
    const nameless = images([{ image: AMD }]);
    const refused = await run("import", file(nameless));
    expect([refused.code, refused.next]).toEqual([3, "say what it is with --image-name NAME:TAG"]);
    expect(await bring(nameless, "--image-name", "team/app:2")).toContain("team/app: images, new\n  2: new\n");
  });
});

describe("charms are pointed at chp", () => {
  const HERE = `hub.lan:8443`;
  const both = images([{ image: BOTH, name: upstream(BOTH) }]);

  test("and the report names the references and the undo, once", async () => {
    await bring(CHARM);
    await done("config", `public-url=https://${HERE}`);
    const report = await json("import", file(both));
    expect(report.pulledFromHere).toEqual([
      {
        charm: "kafka",
        resource: "image",
        revision: 1,
        upstream: upstream(BOTH),
        here: `${HERE}/${REPOSITORY}@sha256:${BOTH.digest}`,
        architectures: null,
      },
    ]);
    expect((await json("import", file(app(AMD), "other.tar"))).pulledFromHere).toEqual([]);
    const out = await bring(images([{ image: NEXT, name: upstream(NEXT) }]));
    expect(out).toContain(
      `images\n  kafka, resource image 2: ${upstream(NEXT)} is now pulled from ${HERE}\n  undo: chp config registry=off --store ${store}\n`,
    );
    expect(out).not.toContain("registry is set");
  });

  test("for the architectures that are stored", async () => {
    await bring(CHARM);
    await done("config", `public-url=https://${HERE}`);
    const out = await bring(images([{ image: BOTH, name: upstream(BOTH) }], [ARM]));
    expect(out).toContain(`${upstream(BOTH)} is now pulled from ${HERE} (for amd64)\n`);
  });

  test.each([
    ["no public URL", [], "no public URL says where it is; next: chp config public-url=https://HOST:PORT"],
    [
      "http",
      ["public-url=http://hub.lan:8080"],
      "its public URL is not https; next: chp config public-url=https://HOST:PORT, or chp config registry=on",
    ],
    ["a path", ["public-url=https://hub.lan/chp"], "its public URL has a path"],
    ["a path, though on", ["public-url=https://hub.lan/chp", "registry=on"], "its public URL has a path"],
    ["http and on", ["public-url=http://hub.lan:8080", "registry=on"], undefined],
    ["off", ["public-url=https://hub.lan", "registry=off"], undefined],
    ["another registry", ["proxy.oci-registry.domain=r.lan:5000"], undefined],
  ])("or the note says why not: %s", async (_, settings, says) => {
    await bring(CHARM);
    if (settings.length > 0) await done("config", ...settings);
    const out = await bring({
      ...both,
      ...images([
        { image: BOTH, name: upstream(BOTH) },
        { image: NEXT, name: upstream(NEXT) },
      ]),
    });
    const notes = [out, await done("status")];
    for (const text of notes) {
      expect(text).not.toContain("no local registry is set");
      if (says === undefined) expect(text).not.toContain("does not pull them");
      else expect(text).toContain(`images of charms are stored, but Juju does not pull them from chp: ${says}`);
    }
  });

  test("no registry is set and images are missing: that is said, and only then", async () => {
    expect(await bring(CHARM)).toContain("no local registry is set: Juju is sent to the upstream registry for images that are not stored");
    expect(await bring(app(AMD))).toContain("no local registry is set");
    await done("config", "proxy.oci-registry.domain=r.lan:5000");
    expect(await bring(app(ARM))).not.toContain("no local registry is set");
  });
});

describe("what follows from an import is asked of what it brought", () => {
  const charm = (name: string): Files =>
    below(
      `charms/${name}`,
      packageFiles({
        type: "charm",
        name,
        id: `ID${name}`,
        revisions: { 1: charmZip({ name, revision: 1, bases: [NOBLE] }) },
        releases: [{ channel: "latest/stable", base: NOBLE, revision: 1 }],
      }),
    );

  test("a store without images is not read for it", async () => {
    await bring(Object.assign({}, ...["a", "b", "c", "d"].map((name) => charm(`stored-${name}`))));
    const read = spyOn(Store.prototype, "manifest");
    try {
      await bring(charm("another"));
      expect(read).not.toHaveBeenCalled();
      await bring(CHARM);
      expect(read).not.toHaveBeenCalled();
      await bring(charm("stored-a"));
      expect(read).toHaveBeenCalledTimes(1);
    } finally {
      read.mockRestore();
    }
  });

  test("where images come, all charms are asked, in a dry run too", async () => {
    await bring(CHARM);
    const other = file(images([{ image: NEXT, name: "registry.test/team/other:1" }]), "other.tar");
    for (const args of [["--dry-run"], []])
      expect((await json("import", ...args, other)).notes).toEqual([expect.stringContaining("no local registry is set")]);
  });

  test("a dry run says of images what the import will", async () => {
    const notes = async (...args: string[]) => (await json("import", ...args, file(CHARM))).notes;
    const first = await notes("--dry-run");
    expect(first).toEqual([expect.stringContaining("no local registry is set")]);
    expect(await notes()).toEqual(first);
  });
});

describe("images that files of a charm name", () => {
  const LISTED = "ghcr.io/k/listed:v1";
  const POD = "quay.io/k/pod:v2";
  const KATIB: Files = below(
    "charms/katib",
    packageFiles({
      type: "charm",
      name: "katib",
      id: "IDKATIB",
      revisions: {
        3: charmZip({
          name: "katib",
          revision: 3,
          bases: [NOBLE],
          files: { "src/images.json": JSON.stringify([LISTED]), "src/pod.yaml": `kind: Pod\nspec:\n- image: ${POD}\n` },
        }),
      },
      releases: [{ channel: "latest/stable", base: NOBLE, revision: 3 }],
    }),
  );
  const listed = images([{ image: BOTH, name: LISTED }]);
  const [FILE, LIKELY] = ["charm katib 3, src/images.json", "charm katib 3, src/pod.yaml (likely)"];

  test("are listed with their origin, and are in the script", async () => {
    await bring(KATIB);
    expect(await done("images")).toMatch(new RegExp(`^${LISTED}\\s+missing\\s+upstream\\s+${FILE}$`, "m"));
    expect((await json("images")).map((image: Record<string, unknown>) => [image["upstream"], image["path"], image["neededBy"]])).toEqual([
      [LISTED, "k/listed:v1", [{ charm: "katib", file: "src/images.json", revision: 3, sure: "certain" }]],
      [POD, "k/pod:v2", [{ charm: "katib", file: "src/pod.yaml", revision: 3, sure: "likely" }]],
    ]);
    const script = await done("images", "--missing", "--script", "skopeo");
    for (const text of [`docker://${LISTED}`, `docker://${POD}`, FILE, LIKELY]) expect(script).toContain(text);
    expect(await done("missing")).toMatch(new RegExp(`^${LISTED}\\s.*certain\\s+no\\s+${FILE}$`, "m"));
    expect((await done("missing")).split("\n").find((line) => line.startsWith(POD))).toMatch(/\slikely\s+no\s/);
    expect(await done("show", "katib")).toContain(`names images:\n  ${LISTED}  certain  ${FILE}\n  ${POD}  likely  ${LIKELY}\n`);
  });

  test("are served by tag, and the operator is sent to the page that says how nodes find them", async () => {
    await bring(KATIB);
    await done("config", "public-url=https://hub.lan:8443");
    await bring(listed);
    const { out, err } = await run("images");
    expect(out).toMatch(new RegExp(`^${LISTED}\\s+amd64, arm64\\s+upstream`, "m"));
    expect(err).toContain(
      "1 image that files of charms name is here, and nodes ask the registry that is named there; next: chp help images",
    );
    expect((await json("images")).map(({ local, pulledFrom }: Record<string, unknown>) => [local, pulledFrom])).toEqual([
      ["hub.lan:8443/k/listed:v1", "upstream"],
      [null, "upstream"],
    ]);
    expect(await done("show", "k/listed")).toContain(`${FILE}: ${LISTED}`);
  });

  test("no note says that Juju is sent anywhere for them", async () => {
    expect(await bring(KATIB)).not.toContain("no local registry is set");
    expect((await run("doctor", "--offline")).out).not.toContain("Juju is sent upstream");
  });

  test("are not removed without --force, while the charm is released", async () => {
    await bring({ ...KATIB, ...listed });
    const plan = join(folder.path, "plan.json");
    await done("remove", "k/listed:v1", "--plan", plan);
    const refused = await run("remove", "--apply", plan);
    expect([refused.code === 0, refused.err]).toEqual([false, expect.stringContaining(`${FILE} names it`)]);
    expect((await run("remove", "--apply", plan, "--force")).code).toBe(0);
  });
});

describe("images are removed", () => {
  const plan = join(folder.path, "plan.json");
  const remove = async (what: string, ...flags: string[]) => {
    await done("remove", what, "--plan", plan);
    return run("remove", "--apply", plan, ...flags);
  };
  const manifests = async (name: string) => (await json("show", name)).manifests.map(({ digest }: { digest: string }) => digest);

  test("by their tag, with the manifests and blobs that nothing else names", async () => {
    await bring(
      images([
        { image: BOTH, name: "team/app:1" },
        { image: indexOf([AMD]), name: "team/app:2" },
        { image: ARM, name: "team/app:3" },
      ]),
    );
    expect(await done("remove", "team/app:1", "--plan", plan)).toBe(
      `would remove images team/app:1\nnothing was changed; next: chp remove --apply ${plan}\n`,
    );
    const applied = await done("remove", "--apply", plan);
    expect(applied).toBe(
      `team/app:1: removed, was ${short(BOTH)}\nteam/app: images, changed: 2 manifests removed\n` +
        `generation 2: 1 repository of images changed\nundo: chp rollback 1 --store ${store}\n`,
    );
    expect(await manifests("team/app")).toEqual([AMD.digest, indexOf([AMD]).digest, ARM.digest].toSorted());
    expect(await json("list")).toMatchObject([{ name: "team/app", tags: { 2: indexOf([AMD]).digest, 3: ARM.digest } }]);
    expect((await run("verify")).code).toBe(0);
    expect((await remove("team/app:2")).code).toBe(0);
    expect(await manifests("team/app")).toEqual([ARM.digest]);
    expect((await remove("team/app:3")).out).toContain("team/app: images, removed: 1 manifest removed\n");
    expect(await json("list")).toEqual([]);
    expect(await done("rollback", "1")).toContain(`team/app:1: new, ${short(BOTH)}\n`);
  });

  test("with the signatures that refer to them", async () => {
    const signature = imageOf({ artifactType: "application/vnd.test.signature", layers: ["signed"], subject: AMD });
    const listed = [AMD, ARM].map((image, i) => ({ image, name: `team/app:${i}` }));
    await bring(images([...listed, { image: signature, name: `team/app@sha256:${signature.digest}` }]));
    expect(await manifests("team/app")).toContain(signature.digest);
    expect((await remove("team/app:0")).out).toContain("2 manifests removed");
    expect(await manifests("team/app")).toEqual([ARM.digest]);
  });

  test("not where a release of a charm needs them, unless forced; manifests that charms name stay", async () => {
    await bring({
      ...CHARM,
      ...images([
        { image: BOTH, name: upstream(BOTH) },
        { image: NEXT, name: `${REPOSITORY}:next` },
        { image: BOTH, name: `${REPOSITORY}:both` },
      ]),
    });
    const needs = "charm kafka needs it: latest/stable ubuntu@24.04 amd64 releases its resource image 1";
    for (const what of [REPOSITORY, `${REPOSITORY}@sha256:${BOTH.digest}`, `${REPOSITORY}@sha256:${ARM.digest}`, upstream(AMD)]) {
      const refused = await remove(what);
      expect([refused.code, refused.err]).toEqual([3, expect.stringContaining(needs)]);
    }
    expect((await run("remove", `${REPOSITORY}@sha256:${ARM.digest}`)).out).toContain(`used: the index sha256:${BOTH.digest} lists it\n`);
    expect((await remove(`${REPOSITORY}:both`)).code).toBe(0);
    expect(await manifests(REPOSITORY)).toHaveLength(6);
    // resource 2 is not released, but names the manifest
    expect((await remove(`${REPOSITORY}:next`)).code).toBe(0);
    expect(await manifests(REPOSITORY)).toHaveLength(6);
    expect((await remove(`${REPOSITORY}@sha256:${NEXT.digest}`)).code).toBe(0);
    expect(await manifests(REPOSITORY)).toHaveLength(4);
    expect((await remove(REPOSITORY, "--force")).code).toBe(0);
    expect((await json("list")).map(({ type }: { type: string }) => type)).toEqual(["charm"]);
  });

  test("and what is not stored is said, with the name that was meant", async () => {
    await bring(app(AMD));
    expect((await run("remove", "team/ap:1.2")).next).toBe("did you mean team/app? chp images lists what is stored");
    expect(await run("remove", "team/app:9")).toMatchObject({ code: 1, next: "chp show team/app lists what is" });
    await bring(app(ARM));
    await done("remove", "team/app:1.2", "--plan", plan);
    await bring(app(NEXT));
    expect((await run("remove", "--apply", plan)).code).toBe(12);
  });
});

describe("a rollback", () => {
  test("gives the tags of that generation back, and newer manifests stay by their digest", async () => {
    await bring(app(BOTH, "1"));
    await bring({ ...app(NEXT, "1") });
    await bring(images([{ image: ARM, name: "team/new:1" }]));
    const report = await json("rollback", "1");
    expect(report.images).toEqual([
      {
        name: "team/app",
        state: "changed",
        tags: [{ tag: "1", from: NEXT.digest, to: BOTH.digest }],
        manifests: { added: [], removed: [] },
      },
      { name: "team/new", state: "changed", tags: [{ tag: "1", from: ARM.digest, to: null }], manifests: { added: [], removed: [] } },
    ]);
    expect(await json("list")).toMatchObject([
      { name: "team/app", tags: { 1: BOTH.digest } },
      { name: "team/new", tags: {} },
    ]);
    expect((await json("show", "team/new")).manifests).toHaveLength(1);
    const out = await done("rollback", "3");
    expect(out).toContain(`team/app:1: ${short(BOTH)} → ${short(NEXT)}\nteam/new:1: new, ${short(ARM)}\n`);
    expect(out).toContain("generation 5: 2 repositories of images changed\n");
  });
});

describe("what is stored is shown", () => {
  const world = () =>
    bring({
      ...CHARM,
      ...images([
        { image: BOTH, name: upstream(BOTH) },
        { image: NEXT, name: "team/app:1" },
      ]),
    });

  test("by list, show, du, diff, log and status", async () => {
    await world();
    const rows = (await done("list")).split("\n").map((line) => line.split("\t"));
    expect(rows.map(([name, type, , tags, architectures]) => [name, type, tags, architectures]).slice(0, 3)).toEqual([
      ["kafka", "charm", "latest/stable", "1"],
      [REPOSITORY, "image", "", "amd64 arm64"],
      ["team/app", "image", "1", "amd64"],
    ]);
    const shown = await done("show", `hub.lan:8443/${REPOSITORY}`);
    expect(shown).toContain(`${REPOSITORY}: images\nsize: `);
    expect(shown).toMatch(new RegExp(`\n  linux/arm64  \\d+ B  sha256:${ARM.digest}\n`));
    expect(shown).toMatch(new RegExp(`\n  index  .* sha256:${BOTH.digest}\n`));
    expect(shown).toContain(`\n  charm kafka, resource image 1: ${upstream(BOTH)}\n`);
    expect(shown).toMatch(/came from:\n {2}generation 1, .*, .*site\.tar\n/);
    expect(await done("show", "--type", "image", "team/app")).toContain(`tags:\n  1  sha256:${NEXT.digest}\n`);
    expect((await run("show", "team/none")).err).toContain("no images named team/none are stored");
    expect(await done("du")).toMatch(/team\/app\timage\t[^\t]+\t[^\t]+\n/);
    expect((await json("du")).packages.map(({ type }: { type: string }) => type).toSorted()).toEqual(["charm", "image", "image"]);
    await bring(app(ARM, "1"));
    await bring(images([{ image: ARM, name: "team/new:1" }]));
    expect(await done("diff", "1")).toBe(
      `team/app: images, changed\n  1: ${short(NEXT)} → ${short(ARM)}\n  manifests  +1\n` +
        `team/new: images, added\n  1: none → ${short(ARM)}\n  manifests  +1\n`,
    );
    expect((await json("diff", "3", "2")).images).toMatchObject([{ name: "team/new", state: "removed" }]);
    expect(await done("log")).toContain(", 1 package and 2 repositories of images, ".slice(2));
    expect(await done("status")).toContain("stored: 1 charm, 0 bundles, 0 snaps, 3 repositories of images, 1 revision, ");
  });

  test("completion knows their names, where a command takes them", async () => {
    await world();
    const words = async (...typed: string[]) => (await runProgram(["__complete", "--", ...typed], { CHP_STORE: store })).out.split("\n");
    expect(await words("remove", "te")).toEqual(["team/app", ""]);
    expect(await words("release", "te")).toEqual([""]);
    expect(await words("import", "--image")).toEqual(["--image-name", ""]);
  });

  test("the inventory lists their blobs, and an older one is read without them", async () => {
    await world();
    const inventory = JSON.parse(await done("inventory"));
    expect(inventory.format).toBe(1);
    expect(inventory.images["team/app"]).toEqual(
      [...NEXT.manifests.keys(), ...NEXT.blobs.keys()].toSorted().map((digest) => `sha-256:${digest}`),
    );
    const [layer = ""] = [...ARM.blobs.keys()];
    expect(readInventory(JSON.stringify(inventory), "it").has("sha-256", layer)).toBe(true);
    const { images: _, ...older } = inventory;
    expect(readInventory(JSON.stringify(older), "it").has("sha-256", layer)).toBe(false);
  });
});

describe("chp images and chp missing", () => {
  const lines = async (...args: string[]) => (await done(...args)).split("\n").filter((line) => line !== "");
  const needed = (n: number) => `charm kafka, resource image ${n}`;
  const [both, next] = [upstream(BOTH), upstream(NEXT)].toSorted() as [string, string];
  const row = (reference: string, stored: string, from: string) =>
    [reference, stored, from, needed(reference === upstream(BOTH) ? 1 : 2)].join("\t");

  test("say where each image is pulled from, and what is stored besides", async () => {
    await bring({
      ...CHARM,
      ...images([
        { image: BOTH, name: upstream(BOTH) },
        { image: ARM, name: `${REPOSITORY}:arm` },
        { image: AMD, name: "team/app:1" },
      ]),
    });
    const rows = (from: string) =>
      [both, next].map((one) => (one === upstream(BOTH) ? row(one, "amd64, arm64", from) : row(one, "missing", "upstream")));
    const others = [`${REPOSITORY}:arm\tarm64\tchp\t`, `team/app:1\tamd64\tchp\t`].map((line) => line.trimEnd());
    expect(await lines("images")).toEqual([...rows("upstream"), ...others]);
    await done("config", "public-url=https://hub.lan");
    expect(await lines("images")).toEqual([...rows("chp"), ...others]);
    expect(await lines("images", "--missing")).toEqual([row(upstream(NEXT), "missing", "upstream")]);
    const [first] = (await json("images")).filter((one: { upstream: string }) => one.upstream === upstream(BOTH));
    expect(first).toMatchObject({
      local: `hub.lan/${REPOSITORY}@sha256:${BOTH.digest}`,
      stored: { architectures: ["amd64", "arm64"], complete: true },
      pulledFrom: "chp",
      registry: "not asked",
    });
    const script = await done("images", "--script", "skopeo");
    expect([script.includes(NEXT.digest), script.includes(BOTH.digest)]).toEqual([true, false]);
    expect(await json("missing")).toEqual([{ image: upstream(NEXT), neededBy: [{ charm: "kafka", resource: "image", revision: 2 }] }]);
    expect(await lines("missing")).toEqual([`${upstream(NEXT)}\t\t\t\tcertain\tno\t${needed(2)}`]);
    for (const command of [["missing"], ["images", "--missing"]])
      expect(await run(...command, "--exit-code")).toMatchObject({ code: 1, err: expect.stringContaining("1 image is listed") });
    await bring(images([{ image: NEXT, name: upstream(NEXT) }]));
    expect((await run("images", "--missing", "--exit-code")).code).toBe(0);
    expect((await run("missing", "--exit-code")).code).toBe(0);
    expect((await run("missing")).err).toBe("nothing is missing: all 0 snaps and 2 images that are known to be needed are here\n");
    expect((await run("images", "--missing")).err).toBe("no image is missing: all 2 images can be pulled here\n");
  });

  test("an image of one architecture is pulled here by that alone", async () => {
    await bring({ ...CHARM, ...images([{ image: BOTH, name: upstream(BOTH) }], [ARM]) });
    await done("config", "public-url=https://hub.lan");
    expect(await lines("images")).toContain(row(upstream(BOTH), "amd64", "chp, else upstream"));
  });

  test("what is here and not in the registry that wins is told", async () => {
    await using present = fakeRegistry({ manifests: {} });
    await bring({ ...CHARM, ...images([{ image: BOTH, name: upstream(BOTH) }]) });
    await done("config", `proxy.oci-registry.domain=${present.domain}`, "public-url=https://hub.lan");
    expect(await lines("images")).toContain(row(upstream(BOTH), "amd64, arm64", "registry: no"));
    expect((await run("images")).err).toContain(
      `1 image of charms is in chp, but Juju is sent to ${present.domain}, which does not have them; next: chp config`,
    );
    expect(await lines("images", "--missing")).toEqual([row(upstream(NEXT), "missing", "registry: no")]);
    expect(await lines("images", "--offline")).toContain(row(upstream(NEXT), "missing", "registry: not asked"));
  });

  test("the table fits the terminal, and names and digests can be told apart", async () => {
    const many = indexOf(["amd64", "arm64", "armhf", "ppc64el", "riscv64", "s390x"].map((architecture) => imageOf({ architecture })));
    await bring({
      ...CHARM,
      ...images([
        { image: BOTH, name: upstream(BOTH) },
        { image: many, name: "team/of/many/architectures:1.2.3" },
      ]),
    });
    // Why it cannot be asked is a long text in each row.
    await done("config", "proxy.oci-registry.domain=registry.of.a.site.with.a.long.name.invalid:5000");
    for (const columns of [60, 80, 100, 200]) {
      let shown = "";
      const io = { ...SILENT_IO, out: (text: string) => void (shown += text), terminal: { out: true, err: false, columns } };
      await runImages({ store, quiet: true }, io);
      const [heading = "", ...rows] = shown.trimEnd().split("\n");
      expect(heading).toMatch(/^REFERENCE +IN CHP +PULLED FROM +NEEDED BY$/);
      expect(rows).toHaveLength(3);
      expect(rows.filter((line) => line.length > columns)).toEqual([]);
      expect(new Set(rows).size).toBe(3);
    }
  });
});

describe("the store is kept", () => {
  test("a damaged layer is named with its images, and the same import again repairs it", async () => {
    await bring(app(AMD));
    const [layer = ""] = [...AMD.blobs.keys()];
    const path = join(store, "blobs/sha256", layer.slice(0, 2), layer);
    chmodSync(path, 0o644);
    writeFileSync(path, "damaged");
    const found = await run("verify");
    expect([found.code, found.out]).toEqual([13, expect.stringContaining("DAMAGED  blob of the images team/app: has 7 bytes")]);
    await bring(app(AMD));
    expect((await run("verify", "--read-data")).code).toBe(0);
  });

  test("a backup that is restored has them, and gc takes what only a forgotten generation names", async () => {
    await bring(app(BOTH));
    const [backup, restored] = [join(folder.path, "backup"), join(folder.path, "restored")];
    await done("backup", backup);
    expect((await runProgram(["restore", backup, "--store", restored, "--quiet"])).code).toBe(0);
    expect(JSON.parse((await runProgram(["list", "--json", "--store", restored])).out)).toEqual(await json("list"));
    expect((await runProgram(["verify", "--read-data", "--store", restored])).code).toBe(0);
    await bring(app(ARM, "other"));
    await done("remove", "team/app:1.2", "--plan", join(folder.path, "gc.json"));
    await done("remove", "--apply", join(folder.path, "gc.json"));
    const [before] = (await json("du")).kinds.filter(({ kind }: { kind: string }) => kind === "image");
    const freed = await done("gc", "--keep-generations", "1", "--keep-days", "0", "--older-than", "0");
    expect(freed).not.toBe("");
    const { history, kinds } = await json("du");
    expect([history, kinds.find(({ kind }: { kind: string }) => kind === "image")]).toEqual([0, before]);
    expect((await run("verify", "--read-data")).code).toBe(0);
  });
});
