/** Images travel in the archive: what is fetched of a registry, how, and what is made of it. In this process. */

import { describe, expect, test } from "bun:test";
import { WorkFolder } from "../../../bin/machine/workfolder.ts";
import { files } from "../../../src/archives/archive.ts";
import { readLock } from "../../../src/archives/lock.ts";
import { isResource } from "../../../src/archives/names.ts";
import { sumsOf } from "../../../src/digest.ts";
import { Failure } from "../../../src/errors.ts";
import { HttpClient, type Transport } from "../../../src/export/client.ts";
import { type ExportOptions, type ExportResult, exportAll, planExport } from "../../../src/export/export.ts";
import { readInventory } from "../../../src/export/inventory.ts";
import { readSiteFile } from "../../../src/export/sitefile.ts";
import { Upstream } from "../../../src/export/upstream.ts";
import {
  attestationOf,
  charmhubOf,
  imageOf,
  indexOf,
  type Login,
  type RegistryOptions,
  type TestImage,
  TestRegistry,
  tampered,
  transportTo,
} from "../../registry.ts";
import { tempFolder } from "../../temp.ts";

const LOGIN: Login = { username: "docker-registry", password: "the-password-of-charmhub" };
const CHARMHUB = "charmhub.test";
const NOBLE = "bases: noble\n";

/** Two layers that both images have, one of its own each. */
const SHARED = "a layer that several images have".repeat(100);
const AMD64 = imageOf({ layers: [SHARED, "a tool"] });
const ARM64 = imageOf({ architecture: "arm64", layers: [SHARED, "a tool on arm"] });
const KAFKA = indexOf([AMD64, ARM64, attestationOf(AMD64), attestationOf(ARM64)]);
const SINGLE = imageOf({ layers: [SHARED, "another tool"], docker: true });

interface Scene {
  readonly registry: TestRegistry;
  readonly transport: Transport;
}

/** A Charmhub whose charm `kafka` has an index and `zinc` a single image, in a registry with bearer tokens. */
async function scene(
  options: RegistryOptions = {},
  charms: (registry: TestRegistry) => Parameters<typeof charmhubOf>[0] = defaultCharms,
): Promise<Scene> {
  const registry = new TestRegistry({ login: LOGIN, ...options });
  const app = await charmhubOf(charms(registry), () => registry.login, `https://${CHARMHUB}`);
  return { registry, transport: transportTo({ [CHARMHUB]: app, [registry.host]: registry, [registry.blobHost]: registry }) };
}

function defaultCharms(registry: TestRegistry) {
  return {
    kafka: { "kafka-image": registry.push("charm/kafka/kafka-image", KAFKA) },
    zinc: { "zinc-image": registry.push("charm/zinc/zinc-image", SINGLE) },
  };
}

const SITE = `${NOBLE}charms: [kafka, zinc]\n`;

interface Made extends ExportResult {
  /** path → content of the archive */
  readonly content: ReadonlyMap<string, Uint8Array>;
  readonly notes: readonly string[];
  readonly bytes: Uint8Array;
}

function optionsOf(transport: Transport, site: string, more: Partial<ExportOptions> = {}): Omit<ExportOptions, "openOutput"> {
  const client = new HttpClient({ transport, sleep: async () => {} });
  const request = readSiteFile(site, "site.yaml");
  return {
    upstream: new Upstream({ charmhub: `https://${CHARMHUB}`, snapstore: `https://${CHARMHUB}`, agents: `https://${CHARMHUB}` }, client),
    client,
    request,
    without: new Set([...request.without, "snapd"]),
    closure: false,
    form: "site",
    failFast: false,
    parallel: 3,
    now: 0,
    onNote: () => {},
    ...more,
  };
}

/** Exports into a work folder, as the command does. */
async function exported({ transport }: Scene, site = SITE, more: Partial<ExportOptions> = {}, folder?: string): Promise<Made> {
  using own = tempFolder();
  const place = folder ?? own.path;
  const works = new Map<string, WorkFolder>();
  try {
    const done = await exportAll({
      ...optionsOf(transport, site, more),
      openOutput: async (which) => {
        const work = await WorkFolder.open(place, `0123456789abcde${which === "all" ? "f" : "0"}`);
        works.set(which, work);
        return work;
      },
    });
    const [path = ""] = (await works.get(done.which ?? "")?.finish("site.tar", done.length)) ?? [];
    works.delete(done.which ?? "");
    const bytes = path === "" ? new Uint8Array() : await Bun.file(path).bytes();
    return { ...done, bytes, content: await contentsOf(bytes) };
  } finally {
    for (const work of works.values()) await work.close();
  }
}

async function contentsOf(bytes: Uint8Array): Promise<Map<string, Uint8Array>> {
  const found = new Map<string, Uint8Array>();
  const chunks = async function* () {
    yield bytes;
  };
  for await (const file of files({ name: "site.tar", chunks: chunks() }, isResource)) {
    expect(found.has(file.path)).toBe(false);
    found.set(file.path, await file.bytes.whole(2 ** 26, "it"));
  }
  return found;
}

const blobPath = (digest: string) => `images/blobs/sha256/${digest}`;

/** Digests of the blobs in an archive. */
function blobsIn({ content }: Made): string[] {
  const paths = [...content.keys()].filter((path) => path.startsWith("images/blobs/"));
  for (const path of paths) expect(blobPath(sumsOf(content.get(path) ?? new Uint8Array())["sha-256"])).toBe(path);
  return paths.map((path) => path.slice(path.lastIndexOf("/") + 1)).toSorted();
}

function digestsOf(...images: readonly TestImage[]): string[] {
  return [...new Set(images.flatMap((image) => [...image.manifests.keys(), ...image.blobs.keys()]))].toSorted();
}

const textIn = ({ content }: Made, path: string) => Buffer.from(content.get(path) ?? []).toString();
const indexIn = (made: Made) => JSON.parse(textIn(made, "images/index.json"));
const lost = ({ failed }: Pick<ExportResult, "failed">) => failed.map(({ name, failure }) => `${name}: ${failure.message}`);

describe("an archive with images", () => {
  test("has one layout, with the same digests, each blob once, an index whole and of the site's architectures", async () => {
    const there = await scene();
    const notes: string[] = [];
    const made = await exported(there, SITE, { onNote: (text) => notes.push(text) });
    expect(lost(made)).toEqual([]);
    expect(blobsIn(made)).toEqual([...new Set([KAFKA.digest, ...digestsOf(AMD64, SINGLE)])].toSorted());
    expect(made.content.get(blobPath(KAFKA.digest))).toEqual(new Uint8Array(KAFKA.bytes));
    expect(JSON.parse(textIn(made, "images/oci-layout"))).toEqual({ imageLayoutVersion: "1.0.0" });
    expect(indexIn(made)).toEqual({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.index.v1+json",
      manifests: [
        [KAFKA, `registry.test/charm/kafka/kafka-image@sha256:${KAFKA.digest}`] as const,
        [SINGLE, `registry.test/charm/zinc/zinc-image@sha256:${SINGLE.digest}`] as const,
      ].map(([image, reference]) => ({
        mediaType: image.mediaType,
        digest: `sha256:${image.digest}`,
        size: image.bytes.byteLength,
        annotations: { "org.opencontainers.image.ref.name": reference },
      })),
    });
    expect(textIn(made, "SHA256SUMS")).toContain(`${KAFKA.digest}  ${blobPath(KAFKA.digest)}\n`);
    expect(made.imagesLeft).toEqual([]);
    expect(notes.filter((one) => one.startsWith("adding image"))).toEqual([
      `adding image registry.test/charm/kafka/kafka-image@sha256:${KAFKA.digest} (5.6 KiB): kafka, resource kafka-image`,
      `adding image registry.test/charm/zinc/zinc-image@sha256:${SINGLE.digest} (4.0 KiB): zinc, resource zinc-image`,
    ]);
    // The layer that both have was asked for once.
    const layer = sumsOf(Buffer.from(SHARED))["sha-256"];
    expect(there.registry.asked.filter(({ path, status }) => path.endsWith(layer) && status === 200)).toHaveLength(1);
    expect((await exported(there)).bytes).toEqual(made.bytes);
  });

  test("shows credentials to the registry and its token server alone, and keeps none", async () => {
    const there = await scene();
    const made = await exported(there);
    const { asked, blobHost } = there.registry;
    const storage = asked.filter(({ host }) => host === blobHost);
    expect([storage.length > 0, storage.filter(({ authorization }) => authorization !== "")]).toEqual([true, []]);
    expect(
      [...made.content].filter(([, bytes]) => /the-password-of|secret-token|docker-registry/.test(Buffer.from(bytes).toString())),
    ).toEqual([]);
    expect(`${JSON.stringify([made.notes, made.images])}${made.lock}`).not.toMatch(/the-password-of|secret-token/);
    expect(asked.filter(({ path, authorization }) => path !== "/token" && authorization.startsWith("Basic"))).toEqual([]);
  });

  test("has all architectures that are asked for, artifacts and indexes in indexes, as they are", async () => {
    const artifact = imageOf({ artifactType: "application/vnd.acme.sbom", layers: ["what it is made of"], subject: AMD64 });
    const windows = imageOf({ architecture: "riscv64", layers: ["not asked for"] });
    const nested = indexOf([indexOf([AMD64, artifact]), ARM64, windows], { docker: true });
    const there = await scene({}, (registry) => ({ kafka: { "kafka-image": registry.push("kafka", nested, "1.2") } }));
    const made = await exported(there, `${NOBLE}architectures: [amd64, arm64]\ncharms: [kafka]\n`);
    expect(blobsIn(made)).toEqual([...new Set([nested.digest, ...digestsOf(indexOf([AMD64, artifact]), ARM64)])].toSorted());
  });

  test("takes images by name, for whoever may read them, with the login that the operator has", async () => {
    const there = await scene({}, (registry) => ({ plain: {}, ...(registry.push("juju/jujud-operator", SINGLE, "3.6.11") && {}) }));
    const asked: string[] = [];
    const loginOf = (repository: string) => {
      asked.push(repository);
      return LOGIN;
    };
    const site = "images: [registry.test/juju/jujud-operator:3.6.11]\n";
    const made = await exported(there, site, { registries: { loginOf } });
    expect([lost(made), indexIn(made).manifests.length, asked]).toEqual([[], 1, ["registry.test/juju/jujud-operator"]]);
    const refusedOnes = await exported(there, site);
    expect(lost(refusedOnes)).toEqual([
      "registry.test/juju/jujud-operator:3.6.11: cannot read juju/jujud-operator: https://registry.test/v2/: it wants a login",
    ]);
  });

  test("has no images where they are left out, and the lock is one of format 1", async () => {
    const there = await scene();
    const made = await exported(there, `${SITE}without: [images]\n`);
    expect([[...made.content.keys()].filter((path) => path.startsWith("images/")), JSON.parse(made.lock).format]).toEqual([[], 1]);
    expect(made.imagesLeft.map(({ neededBy }) => neededBy?.charm)).toEqual(["kafka", "zinc"]);
    expect(there.registry.asked).toEqual([]);
    // That is what an earlier lock names, whatever the charms have.
    const locked = await exported(there, SITE, { lock: readLock(made.lock, "site.lock"), failFast: true });
    expect([locked.lock, locked.images, locked.imagesLeft.length]).toEqual([made.lock, [], 2]);
  });

  test("lacks what the other side has, and its manifests never", async () => {
    const have = sumsOf(Buffer.from(SHARED))["sha-256"];
    const inventory = readInventory(
      JSON.stringify({ format: 1, charms: { x: { revisions: { 1: `sha-256:${have}` } } }, bundles: {}, snaps: {} }),
      "have.json",
    );
    const there = await scene();
    const made = await exported(there, SITE, { inventory });
    const all = [...new Set([KAFKA.digest, ...digestsOf(AMD64, SINGLE)])].toSorted();
    expect(blobsIn(made)).toEqual(all.filter((digest) => digest !== have));
    expect(there.registry.asked.filter(({ path }) => path.endsWith(have))).toEqual([]);
  });

  test("is planned from manifests alone", async () => {
    const there = await scene();
    const plan = await planExport({
      ...optionsOf(there.transport, SITE),
      openOutput: () => Promise.reject(new Error("a plan writes nothing")),
    });
    const images = plan.packages.filter(({ type }) => type === "image");
    const sizeOf = (image: TestImage) => [...image.blobs.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
    expect(images.map(({ name, size, reasons }) => [name.split("@")[0], size, reasons])).toEqual([
      ["registry.test/charm/kafka/kafka-image", sizeOf(AMD64), ["kafka, resource kafka-image"]],
      ["registry.test/charm/zinc/zinc-image", sizeOf(SINGLE) - SHARED.length, ["zinc, resource zinc-image"]],
    ]);
    expect(there.registry.blobRequests()).toEqual([]);
  });
});

describe("a lock", () => {
  test("names digests, and what it names is fetched by them after the tag has moved", async () => {
    const there = await scene({}, (registry) => ({ kafka: { "kafka-image": registry.push("kafka", KAFKA, "stable") } }));
    const site = `${NOBLE}charms: [kafka]\n`;
    const made = await exported(there, site);
    const lock = readLock(made.lock, "site.lock");
    expect([JSON.parse(made.lock).format, lock.images]).toEqual([2, [{ reference: "registry.test/kafka:stable", digest: KAFKA.digest }]]);
    there.registry.push("kafka", SINGLE, "stable");
    there.registry.asked.length = 0;
    const again = await exported(there, site, { lock, failFast: true });
    expect(again.bytes).toEqual(made.bytes);
    expect(there.registry.asked.filter(({ path }) => path.endsWith("/stable"))).toEqual([]);
    expect((await exported(there, site)).images.map(({ digest }) => digest)).toEqual([SINGLE.digest]);
  });

  test("whose image is gone, or is named with two digests, fails", async () => {
    const there = await scene();
    const { lock: text } = await exported(there);
    const gone = (from: string) => text.replace(from, from.replace(KAFKA.digest, "0".repeat(64)));
    const failing = (lock: string) => exported(there, SITE, { lock: readLock(lock, "site.lock"), failFast: true }).catch(String);
    expect(await failing(gone(`"digest": "${KAFKA.digest}"`))).toEndWith(
      `has the digest sha256:${KAFKA.digest}, and its lock says sha256:${"0".repeat(64)}`,
    );
    there.registry.faults = [{ path: "/kafka-image/manifests/", status: 404 }];
    expect(await failing(text)).toMatch(/cannot fetch the image registry\.test\/charm\/kafka\/kafka-image@sha256:.*status 404/);
  });
});

describe("tokens and logins", () => {
  test.each<[string, RegistryOptions]>([
    ["tokens that are good for one request", { tokenUses: 1 }],
    ["tokens that are good for three", { tokenUses: 3 }],
    ["Basic authentication", { challenge: "basic" }],
    ["no authentication", { challenge: "none" }],
    ["payloads without a redirect", { blobHost: null }],
  ])("%s", async (_, options) => {
    const there = await scene(options);
    const made = await exported(there);
    expect([lost(made), made.images.length]).toEqual([[], 2]);
  });

  test("one token serves a repository as long as it is good", async () => {
    const there = await scene();
    await exported(there);
    expect(there.registry.asked.filter(({ path }) => path === "/token")).toHaveLength(2);
  });

  test("a token that ends in the middle of a download: a new one, and on from there", async () => {
    const there = await scene({ tokenUses: 3, blobHost: null });
    const layer = sumsOf(Buffer.from(SHARED))["sha-256"];
    there.registry.faults = [{ path: layer, cut: 1000, times: 2 }];
    const made = await exported(there, SITE, { parallel: 1 });
    const parts = there.registry.asked.filter(({ path, sent }) => path.endsWith(layer) && sent > 0);
    expect([lost(made), parts.map(({ from }) => from)]).toEqual([[], [0, 1000, 2000]]);
    expect(there.registry.asked.some(({ path, status }) => path.endsWith(layer) && status === 401)).toBe(true);
  });

  test("an expired login: Charmhub is asked for another, once", async () => {
    const there = await scene({ tokenUses: 1 });
    const { registry } = there;
    // It is another from the first payload on.
    const transport: Transport = async (url, request) => {
      if (url.includes("/blobs/")) registry.login = { username: "docker-registry", password: "the-password-of-later" };
      return there.transport(url, request);
    };
    const made = await exported({ registry, transport });
    expect([lost(made), made.images.length]).toEqual([[], 2]);
  });

  test("a login that is refused for good is named", async () => {
    const there = await scene();
    there.registry.login = undefined;
    const made = await exported({
      ...there,
      transport: (url, request) => {
        if (url.includes("registry.test")) there.registry.login = { username: "other", password: "unknown" };
        else there.registry.login = LOGIN;
        return there.transport(url, request);
      },
    });
    expect(lost(made)[0]).toBe(
      `registry.test/charm/kafka/kafka-image@sha256:${KAFKA.digest}: cannot read charm/kafka/kafka-image: https://registry.test/v2/: it refuses the login`,
    );
    expect(made.packages.map(({ name }) => name)).toEqual(["kafka", "zinc"]);
  });
});

test("a mirror leaves to the script what its registries lack, and says why; a store that lacks it needs no words", async () => {
  const there = await scene();
  there.registry.faults = [{ path: "/kafka-image/manifests/", status: 404 }];
  const notes: string[] = [];
  const onNote = (text: string) => void notes.push(text);
  const request = readSiteFile(SITE, "site.yaml");
  for (const more of [{ request: { ...request, mirror: true as const } }, { registries: { mayLack: true } }]) {
    const made = await exported(there, SITE, { ...more, onNote });
    expect([lost(made), made.images.length, made.imagesLeft.length]).toEqual([[], 1, 1]);
  }
  expect(notes.filter((text) => text.includes("status 404") && text.includes("image"))).toHaveLength(1);
  expect(
    lost(await exported(there, `${SITE}images: ["registry.test/charm/kafka/kafka-image:1"]\n`, { registries: { mayLack: true } })),
  ).toHaveLength(1);
});

describe("what goes wrong", () => {
  test("broken connections, and a registry that wants it slower", async () => {
    const there = await scene();
    there.registry.faults = [
      { path: "/manifests/", status: 429, headers: { "Retry-After": "1" }, times: 2 },
      { path: "/storage/", cut: 1000, times: 2 },
      { path: "/blobs/", status: 503, times: 2 },
      { path: "/token", status: 500, times: 1 },
    ];
    const made = await exported(there);
    expect([lost(made), made.images.length]).toEqual([[], 2]);
  });

  const layer = (image: TestImage, at: number) => [...image.blobs.keys()][at] ?? "";
  test.each<[string, string, RegExp]>([
    ["an index", KAFKA.digest, /kafka-image: its sha-256 is [0-9a-f]{64}, but it should be/],
    ["a manifest", AMD64.digest, /kafka-image: its sha-256 is [0-9a-f]{64}, but it should be/],
    ["a config", layer(AMD64, 0), /its sha-256 is [0-9a-f]{64}, but the store said/],
    ["a layer", layer(AMD64, 2), /its sha-256 is [0-9a-f]{64}, but the store said/],
  ])("%s with other bytes is refused by name; the rest is there", async (_, digest, why) => {
    const there = await scene();
    there.registry.faults = [{ path: digest, change: tampered }];
    const made = await exported(there);
    const [failure = "", ...more] = lost(made).map((text) => text.replaceAll(/@sha256:[0-9a-f]{64}/g, "").replace(/: https:\S+:/, ":"));
    expect([more, made.packages.map(({ name }) => name)]).toEqual([[], ["kafka", "zinc"]]);
    expect(failure).toMatch(
      /^registry\.test\/charm\/kafka\/kafka-image: cannot fetch (the )?image registry\.test\/charm\/kafka\/kafka-image/,
    );
    expect(failure).toMatch(why);
    expect(blobsIn(made)).toEqual(digestsOf(SINGLE));
    const storage = there.registry.asked.filter(({ path }) => path.startsWith("/storage/")).map(({ path }) => path);
    expect(storage.filter((path, i) => storage.indexOf(path) !== i && !path.endsWith(digest))).toEqual([]);
    expect(made.imagesLeft.map(({ neededBy }) => neededBy?.charm)).toEqual(["kafka"]);
    expect(readLock(made.lock, "site.lock").images.map(({ digest: locked }) => locked)).toEqual([SINGLE.digest as string]);
  });

  test("a layer that two images have costs both, one of one only that one", async () => {
    const there = await scene();
    const shared = sumsOf(Buffer.from(SHARED))["sha-256"];
    there.registry.faults = [{ path: shared, change: tampered }];
    const made = await exported(there);
    expect([
      made.failed.length,
      made.images,
      made.packages.length,
      [...made.content.keys()].filter((path) => path.startsWith("images/")),
    ]).toEqual([2, [], 2, []]);
  });

  test("other sizes than are said", async () => {
    const there = await scene();
    there.registry.faults = [
      { path: AMD64.digest, change: (bytes) => Buffer.concat([bytes, Buffer.from("\n")]) },
      { path: `/storage/charm/zinc/zinc-image/sha256:${layer(SINGLE, 2)}`, change: (bytes) => bytes.subarray(1) },
    ];
    const made = await exported(there);
    expect(lost(made).map((text) => text.slice(text.lastIndexOf(": ") + 2))).toEqual([
      `it has ${AMD64.bytes.byteLength + 1} bytes, but the index said ${AMD64.bytes.byteLength}`,
      "it has 11 bytes, but the store said 12, in 6 tries",
    ]);
    expect(made.images).toEqual([]);
  });

  test.each<[string, (registry: TestRegistry) => string, string]>([
    [
      "no image for the architecture",
      (registry) => registry.push("a", indexOf([ARM64]), "1"),
      "the image registry.test/a:1 is not there for amd64",
    ],
    [
      "indexes too deep in each other",
      (registry) => registry.push("a", indexOf([indexOf([indexOf([indexOf([AMD64])])])].map((one) => one)), "1"),
      "the image registry.test/a:1: more than 3 indexes lie in each other",
    ],
    ["no reference", () => "UPPER@x", "UPPER@x is not the reference of an image"],
    [
      "a host that is not there",
      () => "gone.test/a:1",
      "cannot fetch the image gone.test/a:1: https://gone.test/v2/a/manifests/1: host name not found, in 6 tries",
    ],
  ])("%s", async (_, referenceOf, why) => {
    const there = await scene({}, (registry) => ({ kafka: { "kafka-image": referenceOf(registry) } }));
    const made = await exported(there, `${NOBLE}charms: [kafka]\n`);
    expect([lost(made).map((text) => text.slice(text.indexOf(": ") + 2)), made.packages.length, made.imagesLeft.length]).toEqual([
      [why],
      1,
      1,
    ]);
  });

  test("an architecture that an image does not have is named with those that it has", async () => {
    const there = await scene({}, (registry) => ({
      kafka: { "kafka-image": registry.push("a", indexOf([ARM64, attestationOf(ARM64)]), "1") },
    }));
    const { failed } = await exported(there, `${NOBLE}charms: [kafka]\n`);
    expect(failed.map(({ failure }) => failure.next)).toEqual(["it is there for arm64"]);
  });

  test("a host that does not answer is not waited for again for each image", async () => {
    const there = await scene();
    let asked = 0;
    const transport: Transport = (url, request) => {
      if (url.includes("gone.test")) asked += 1;
      return there.transport(url, request);
    };
    const names = Array.from({ length: 20 }, (_, i) => `gone.test/a:${i}`);
    const made = await exported({ ...there, transport }, `${SITE}images: [${names.map((name) => `"${name}"`).join()}]\n`);
    expect([made.failed.length, made.images.length]).toEqual([20, 2]);
    expect(asked).toBeLessThanOrEqual(8 * 6);
    expect(lost(made).at(-1)).toEndWith("https://gone.test does not answer");
  });

  test("an image that says another size of a blob than one before it", async () => {
    const there = await scene({ challenge: "none" });
    const lying = Buffer.from(
      Buffer.from(SINGLE.bytes)
        .toString()
        .replace(`"size": ${SHARED.length}`, `"size": ${SHARED.length + 1}`),
    );
    const digest = sumsOf(lying)["sha-256"];
    const reference = there.registry.push(
      "z",
      { ...SINGLE, digest, bytes: lying, manifests: new Map([[digest, { ...SINGLE, digest, bytes: lying }]]) },
      "1",
    );
    const made = await exported(there, `${SITE}images: ["${reference}"]\n`);
    expect([lost(made), made.images.length]).toEqual([
      [
        `${reference}: cannot export ${reference}: it says that sha256:${sumsOf(Buffer.from(SHARED))["sha-256"]} has ${SHARED.length + 1} bytes, and it has ${SHARED.length}`,
      ],
      2,
    ]);
  });

  test("what was fetched before an interruption is not fetched again", async () => {
    using folder = tempFolder();
    const layers = [0, 1, 2].map((n) => Buffer.alloc(200_000, `layer ${n}`));
    const there = await scene({}, (registry) => ({ kafka: { "kafka-image": registry.push("kafka", imageOf({ layers }), "1") } }));
    const site = `${NOBLE}charms: [kafka]\n`;
    const last = sumsOf(layers[2] ?? new Uint8Array())["sha-256"];
    there.registry.faults = [{ path: `/storage/kafka/sha256:${last}`, stall: 70_000, times: 1 }];
    const stop = new AbortController();
    const client = new HttpClient({ transport: there.transport, signal: stop.signal, sleep: async () => {} });
    let fetched = 0;
    const whole = imageOf({ layers });
    const size = [...whole.blobs.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
    const first = exported(
      there,
      site,
      {
        client,
        onFetch: (label) => ({
          advance: (bytes) => {
            fetched += label.startsWith("image ") ? bytes : 0;
            if (fetched === size - 130_000) stop.abort();
          },
          end: () => {},
        }),
      },
      folder.path,
    );
    const failure = await first.catch((error: unknown) => error);
    expect(failure instanceof Failure && failure.kind).toBe("interrupted");
    const made = await exported(there, site, {}, folder.path);
    expect([lost(made), blobsIn(made), there.registry.sentBytes]).toEqual([[], digestsOf(whole), size]);
  });
});

describe("images that charms' files name", () => {
  const LISTED = imageOf({ layers: [SHARED, "a listed tool"] });
  const OPTION = imageOf({ layers: [SHARED, "an option's tool"] });
  const POD = imageOf({ layers: [SHARED, "a pod's tool"] });

  /** katib lists one image, has one as an option, and one in a manifest; `gone`: those that the registry does not have. */
  async function named({ gone = [] }: { readonly gone?: readonly string[] } = {}): Promise<Scene> {
    const registry = new TestRegistry({});
    const push = (name: string, image: TestImage) =>
      gone.includes(name) ? `${registry.host}/k/${name}:v1` : registry.push(`k/${name}`, image, "v1");
    const kafka = registry.push("charm/kafka/kafka-image", KAFKA);
    const inCharm = {
      katib: {
        "src/default-custom-images.json": JSON.stringify({ suggestion: push("listed", LISTED), same: kafka }),
        "config.yaml": `options:\n  proxy-image: {type: string, default: "${push("option", OPTION)}"}\n`,
        "upstream/a.yaml": `kind: Pod\nspec:\n- image: ${push("pod", POD)}\n`,
      },
    };
    const app = await charmhubOf({ katib: {}, kafka: { "kafka-image": kafka } }, () => undefined, `https://${CHARMHUB}`, inCharm);
    return { registry, transport: transportTo({ [CHARMHUB]: app, [registry.host]: registry, [registry.blobHost]: registry }) };
  }
  const KATIB = `${NOBLE}charms: [kafka, katib]\n`;
  const namesOf = (made: Made) =>
    indexIn(made).manifests.map((one: { annotations: Record<string, string> }) => Object.values(one.annotations)[0]?.replace(/@.*/, ""));
  const ALL = [
    "registry.test/charm/kafka/kafka-image",
    "registry.test/k/listed:v1",
    "registry.test/k/option:v1",
    "registry.test/k/pod:v1",
  ] as const;

  test("are taken by tag, kept with tag and digest, and say who names them", async () => {
    const notes: string[] = [];
    const made = await exported(await named(), KATIB, { onNote: (text) => notes.push(text) });
    expect(lost(made)).toEqual([]);
    expect(namesOf(made)).toEqual(ALL);
    expect(made.images.map(({ reference, neededBy }) => [reference.replace(/@.*/, ""), neededBy])).toEqual([
      [
        ALL[0],
        [
          { charm: "kafka", resource: "kafka-image", revision: 7 },
          { charm: "katib", file: "src/default-custom-images.json", revision: 1, sure: "certain" },
        ],
      ],
      [ALL[1], [{ charm: "katib", file: "src/default-custom-images.json", revision: 1, sure: "certain" }]],
      [ALL[2], [{ charm: "katib", file: "config.yaml", revision: 1, sure: "certain" }]],
      [ALL[3], [{ charm: "katib", file: "upstream/a.yaml", revision: 1, sure: "likely" }]],
    ]);
    expect(notes).toContain(`adding image ${ALL[3]} (4.0 KiB): katib, upstream/a.yaml`);
    const lock = readLock(made.lock, "site.lock");
    expect(lock.images.map(({ digest }) => digest)).toEqual([KAFKA, LISTED, OPTION, POD].map(({ digest }) => digest as never));
  });

  test("are in the plan, by parts of the charms", async () => {
    const there = await named();
    const asked: string[] = [];
    const transport: Transport = (url, request) => {
      if (url.includes("/download/")) asked.push(request.headers?.["Range"] ?? "all");
      return there.transport(url, request);
    };
    const openOutput = () => Promise.reject(new Error("a plan writes nothing"));
    const plan = await planExport({ ...optionsOf(transport, KATIB), openOutput });
    expect(plan.packages.filter(({ type }) => type === "image").map(({ name, reasons }) => [name.replace(/@.*/, ""), reasons])).toEqual([
      [ALL[0], ["kafka, resource kafka-image", "katib, src/default-custom-images.json"]],
      [ALL[1], ["katib, src/default-custom-images.json"]],
      [ALL[2], ["katib, config.yaml"]],
      [ALL[3], ["katib, upstream/a.yaml"]],
    ]);
    expect(there.registry.blobRequests()).toEqual([]);
    // One is the blob of the resource, which says what its image is.
    expect(asked.filter((range) => range !== "all").length).toBe(2);
    expect(asked.filter((range) => range === "all")).toHaveLength(1);
  });

  test.each<[string, () => Response]>([
    ["a refusal", () => new Response("no", { status: 403 })],
    ["fewer bytes", () => new Response("PK", { status: 206 })],
    ["more bytes", () => new Response(new Uint8Array(2 ** 21), { status: 200 })],
  ])("a plan says of whose files it could read no parts: %s", async (_, answer) => {
    const there = await named();
    const transport: Transport = (url, request) => (request.headers?.["Range"] ? Promise.resolve(answer()) : there.transport(url, request));
    const plan = await planExport({ ...optionsOf(transport, KATIB), openOutput: () => Promise.reject(new Error("none")) });
    expect(plan.notes.join("\n")).toContain(
      "the snaps and images that files of katib name are not in this plan: cannot fetch parts of katib_1.charm",
    );
    expect(plan.packages.filter(({ type }) => type === "image")).toHaveLength(1);
  });

  test("the lock takes them again, by digest, to the same bytes", async () => {
    const there = await named();
    const made = await exported(there, KATIB);
    there.registry.push("k/listed", POD, "v1"); // the tag moves
    const again = await exported(there, KATIB, { lock: readLock(made.lock, "site.lock") });
    expect(lost(again)).toEqual([]);
    expect(again.bytes).toEqual(made.bytes);
  });

  test.each<[string, readonly string[]]>([
    ["file-images", ALL.slice(0, 1)],
    ["likely", ALL.slice(0, 3)],
  ])("without: [%s] leaves some to the script", async (word, taken) => {
    const made = await exported(await named(), `${KATIB}without: [${word}]\n`);
    expect(namesOf(made)).toEqual(taken);
    expect([...new Set(made.imagesLeft.map(({ reference }) => reference))].toSorted()).toEqual(ALL.slice(taken.length));
  });

  test("without: [charm-images] leaves all to the script", async () => {
    const made = await exported(await named(), `${KATIB}without: [charm-images]\n`);
    const left = made.imagesLeft.map(({ reference }) => reference.replace(/@.*/, ""));
    expect([...new Set(left)].toSorted()).toEqual(ALL.toSorted());
  });

  test("of those that are gone the certain ones are failures, and the charm is there", async () => {
    const notes: string[] = [];
    const made = await exported(await named({ gone: ["listed", "pod"] }), KATIB, { onNote: (text) => notes.push(text) });
    expect(made.failed.map(({ name }) => name)).toEqual([ALL[1]]);
    expect(namesOf(made)).toEqual([ALL[0], ALL[2]]);
    expect(made.packages.map(({ name }) => name)).toEqual(["kafka", "katib"]);
    expect(notes.filter((text) => text.includes("not available")).join("\n")).toMatch(
      /^charm katib 1, upstream\/a.yaml \(likely\): not available: cannot fetch the image registry.test\/k\/pod:v1/,
    );
    expect(made.imagesLeft.map(({ reference }) => reference)).toEqual([ALL[1], ALL[3]]);
  });
});
