/** What commands say of images that are stored, and do with them. */

import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { charmZip, type Files, imageBlob, packageFiles, tarOf } from "../../build.ts";
import { below, type ListedImage, layoutOf } from "../../layouts.ts";
import { runProgram } from "../../program.ts";
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
