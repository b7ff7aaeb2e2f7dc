/** The registry over stored images, and which references charms get of it. */

import { beforeAll, describe, expect, test } from "bun:test";
import { createApp } from "../../handlers/app.ts";
import { ownRegistry, type Registries, readImageBlob } from "../../src/catalog/registry.ts";
import { sumsOf } from "../../src/digest.ts";
import type { Store } from "../../store/store.ts";
import { charmZip, type Files, imageBlob, packageFiles, tarOf } from "../build.ts";
import { importInto, newStore } from "../importing.ts";
import { below, type ListedImage, layoutOf } from "../layouts.ts";
import { imageOf, indexOf, type TestImage } from "../registry.ts";
import { NOBLE, NOBLE_ARM } from "../world.ts";

const AMD = imageOf({ layers: ["base", "amd"] });
const ARM = imageOf({ architecture: "arm64", layers: ["base", "arm"] });
const BOTH = indexOf([AMD, ARM]);
const SIGNATURE = imageOf({ artifactType: "application/vnd.dev.cosign.artifact.sig.v1+json", layers: ["signed"], subject: BOTH });
const KAFKA = `registry.test/charm/abc/kafka-image@sha256:${BOTH.digest}`;
const LOGIN = { username: "puller", password: "s3cret" };

const charmFiles = (path?: string): Files => ({
  ...below(
    "charms/kafka",
    packageFiles({
      type: "charm",
      name: "kafka",
      id: "IDKAFKA",
      revisions: { 1: charmZip({ name: "kafka", revision: 1, bases: [NOBLE, NOBLE_ARM], resources: { image: { type: "oci-image" } } }) },
      resources: { image: { type: "oci-image", revisions: { 1: imageBlob(KAFKA) } } },
      releases: [NOBLE, NOBLE_ARM].map((base) => ({ channel: "latest/stable", base, revision: 1, resources: { image: 1 } })),
    }),
  ),
  ...(path !== undefined && {
    "bundle.yaml": `applications:\n  kafka:\n    charm: kafka\n    channel: latest/stable\n    resources:\n      image: ${path}\n`,
  }),
});

function appOf(store: Store, registries: Registries = { current: undefined, former: [] }) {
  const { fetch } = createApp({ store, config: { publicUrl: "https://hub.test:8443" }, log: () => {}, registries: () => registries });
  return (path: string, init: RequestInit = {}) => fetch(new Request(`https://hub.test:8443${path}`, init));
}

async function storeWith(images: readonly ListedImage[], more: Files = {}, without: readonly TestImage[] = []): Promise<Store> {
  const store = await newStore();
  await importInto(store, {
    "site.tar": tarOf({
      ...more,
      ...below(
        "images",
        layoutOf(
          images,
          without.map(({ digest }) => digest),
        ),
      ),
    }),
  });
  return store;
}

describe("a client of the registry", () => {
  let ask: ReturnType<typeof appOf>;
  beforeAll(async () => {
    ask = appOf(
      await storeWith([
        { image: BOTH, name: "r.test/team/app:1" },
        { image: AMD, name: "r.test/team/app:2" },
        { image: ARM, name: "r.test/team/app:3" },
        { image: SIGNATURE, name: `r.test/team/app@sha256:${SIGNATURE.digest}` },
      ]),
    );
  });
  const errorOf = async (reply: Response) => [reply.status, ((await reply.json()) as { errors: { code: string }[] }).errors[0]?.code];

  // Juju's bootstrap on Kubernetes asks without the slash.
  test.each(["/v2/", "/v2"])("learns that there is one, at %s", async (path) => {
    const reply = await ask(path);
    expect([reply.status, reply.headers.get("Docker-Distribution-Api-Version")]).toEqual([200, "registry/2.0"]);
  });

  test.each(["*/*", "application/json", undefined])("gets a manifest as it is, whatever it accepts: %p", async (accept) => {
    for (const reference of ["1", `sha256:${BOTH.digest}`]) {
      const reply = await ask(`/v2/team/app/manifests/${reference}`, accept === undefined ? {} : { headers: { Accept: accept } });
      expect(reply.status).toBe(200);
      expect(reply.headers.get("Content-Type")).toBe(BOTH.mediaType);
      expect(reply.headers.get("Docker-Content-Digest")).toBe(`sha256:${BOTH.digest}`);
      expect(sumsOf(new Uint8Array(await reply.arrayBuffer()))["sha-256"]).toBe(BOTH.digest);
    }
  });

  test("may keep what a digest names, and asks again for a tag", async () => {
    expect((await ask(`/v2/team/app/manifests/sha256:${BOTH.digest}`)).headers.get("Cache-Control")).toContain("immutable");
    expect((await ask("/v2/team/app/manifests/1")).headers.get("Cache-Control")).toBe("no-cache");
  });

  test("gets blobs whole, in parts, and their size alone", async () => {
    for (const [digest, bytes] of BOTH.blobs) {
      const path = `/v2/team/app/blobs/sha256:${digest}`;
      const whole = await ask(path);
      expect(whole.headers.get("Docker-Content-Digest")).toBe(`sha256:${digest}`);
      expect(new Uint8Array(await whole.arrayBuffer())).toEqual(new Uint8Array(bytes));
      const part = await ask(path, { headers: { Range: "bytes=1-" } });
      expect([part.status, part.headers.get("Content-Range")]).toEqual([206, `bytes 1-${bytes.byteLength - 1}/${bytes.byteLength}`]);
      const head = await ask(path, { method: "HEAD" });
      expect([head.status, head.headers.get("Content-Length"), await head.text()]).toEqual([200, String(bytes.byteLength), ""]);
    }
  });

  test("pages through tags and repositories", async () => {
    const first = await ask("/v2/team/app/tags/list?n=2");
    expect(await first.json()).toEqual({ name: "team/app", tags: ["1", "2"] });
    expect(first.headers.get("Link")).toBe('</v2/team/app/tags/list?n=2&last=2>; rel="next"');
    const second = await ask("/v2/team/app/tags/list?n=2&last=2");
    expect([await second.json(), second.headers.get("Link")]).toEqual([{ name: "team/app", tags: ["3"] }, null]);
    expect(await (await ask("/v2/team/app/tags/list")).json()).toEqual({ name: "team/app", tags: ["1", "2", "3"] });
    expect(await (await ask("/v2/team/app/tags/list?n=0")).json()).toEqual({ name: "team/app", tags: [] });
    expect(await (await ask("/v2/_catalog")).json()).toEqual({ repositories: ["team/app"] });
    expect(await errorOf(await ask("/v2/team/app/tags/list?n=x"))).toEqual([400, "PAGINATION_NUMBER_INVALID"]);
  });

  test("gets what refers to an image, all or of one type", async () => {
    const reply = await ask(`/v2/team/app/referrers/sha256:${BOTH.digest}`);
    expect(reply.headers.get("Content-Type")).toBe("application/vnd.oci.image.index.v1+json");
    const { manifests } = (await reply.json()) as { manifests: { digest: string; artifactType: string }[] };
    expect(manifests.map(({ digest }) => digest)).toEqual([`sha256:${SIGNATURE.digest}`]);
    const none = await ask(`/v2/team/app/referrers/sha256:${BOTH.digest}?artifactType=a/b`);
    expect([none.headers.get("OCI-Filters-Applied"), ((await none.json()) as { manifests: [] }).manifests]).toEqual(["artifactType", []]);
    expect(await (await ask(`/v2/team/app/referrers/sha256:${"0".repeat(64)}`)).json()).toMatchObject({ manifests: [] });
  });

  test.each<[string, string, number, string]>([
    ["an unknown repository", "/v2/nope/manifests/1", 404, "NAME_UNKNOWN"],
    ["an unknown tag", "/v2/team/app/manifests/9", 404, "MANIFEST_UNKNOWN"],
    ["an unknown digest", `/v2/team/app/manifests/sha256:${"0".repeat(64)}`, 404, "MANIFEST_UNKNOWN"],
    ["a digest that is none", "/v2/team/app/manifests/sha256:0", 400, "DIGEST_INVALID"],
    ["an unknown blob", `/v2/team/app/blobs/sha256:${"0".repeat(64)}`, 404, "BLOB_UNKNOWN"],
    ["a blob that is no digest", "/v2/team/app/blobs/latest", 400, "DIGEST_INVALID"],
  ])("is told of %s", async (_, path, status, code) => {
    expect(await errorOf(await ask(path))).toEqual([status, code]);
  });

  test.each(["POST", "PUT", "PATCH", "DELETE"])("may not write: %s", async (method) => {
    for (const path of ["/v2/team/app/blobs/uploads/", "/v2/team/app/manifests/1"])
      expect(await errorOf(await ask(path, { method }))).toEqual([405, "UNSUPPORTED"]);
  });

  test("gets no blob of another repository", async () => {
    const store = await storeWith([
      { image: AMD, name: "one/app:1" },
      { image: imageOf({ layers: ["else"] }), name: "two/app:1" },
    ]);
    const [layer = ""] = [...AMD.blobs.keys()].slice(-1);
    const both = await Promise.all(["one", "two"].map(async (name) => appOf(store)(`/v2/${name}/app/blobs/sha256:${layer}`)));
    expect(both.map(({ status }) => status)).toEqual([200, 404]);
  });

  test("is none of the other APIs below /v2/", async () => {
    const reply = await ask("/v2/charms/nope");
    expect(reply.status).toBe(404);
    expect(await reply.json()).toHaveProperty("error-list");
  });
});

describe("a login", () => {
  const header = (text: string) => ({ headers: { Authorization: `Basic ${Buffer.from(text).toString("base64")}` } });

  test("is needed where one is set, and says how", async () => {
    const ask = appOf(await storeWith([{ image: AMD, name: "team/app:1" }]), { current: undefined, former: [], login: LOGIN });
    for (const path of ["/v2/", "/v2/team/app/manifests/1", "/v2/nope/tags/list", "/v2/_catalog"]) {
      for (const init of [
        {},
        header("puller:wrong"),
        header("s3cret"),
        header("puller:s3cret2"),
        { headers: { Authorization: "Bearer s3cret" } },
      ]) {
        const reply = await ask(path, init);
        expect([reply.status, reply.headers.get("WWW-Authenticate")]).toEqual([401, 'Basic realm="chp"']);
        expect(reply.headers.get("Docker-Distribution-Api-Version")).toBe("registry/2.0");
        expect(await reply.json()).toMatchObject({ errors: [{ code: "UNAUTHORIZED" }] });
      }
    }
    expect((await ask("/v2/team/app/manifests/1", header("puller:s3cret"))).status).toBe(200);
    expect((await ask("/v2/charms/find")).status).toBe(200);
  });
});

describe("the references that Juju gets", () => {
  const own: Registries = { current: ownRegistry("https://hub.test:8443", "auto", LOGIN), former: [], login: LOGIN };
  const UPSTREAM = { reference: KAFKA, username: "", password: "" };
  const HERE = { reference: `hub.test:8443/charm/abc/kafka-image@sha256:${BOTH.digest}`, ...LOGIN };
  const body = (architecture: string) =>
    JSON.stringify({
      context: [],
      actions: [
        {
          "instance-key": "a",
          action: "install",
          name: "kafka",
          channel: "latest/stable",
          base: { name: "ubuntu", channel: "24.04", architecture },
        },
      ],
    });

  /** The blob of the image as a client of that architecture gets it, held against what the reply says of it. */
  async function imageFor(ask: ReturnType<typeof appOf>, architecture: string) {
    const reply = await ask("/v2/charms/refresh", {
      method: "POST",
      body: body(architecture),
      headers: { "Content-Type": "application/json" },
    });
    const { results } = (await reply.json()) as { results: { charm: { resources: { download: Record<string, string | number> }[] } }[] };
    const download = results[0]?.charm.resources[0]?.download ?? {};
    const url = new URL(String(download["url"]));
    const bytes = new Uint8Array(await (await ask(url.pathname + url.search)).arrayBuffer());
    const sums = sumsOf(bytes, ["sha-256", "sha-384", "sha-512", "sha3-384"]);
    for (const algorithm of ["sha-256", "sha-384", "sha-512", "sha3-384"] as const)
      expect(download[`hash-${algorithm}`]).toBe(sums[algorithm] ?? "");
    expect(download["size"]).toBe(sums.size);
    return readImageBlob(bytes);
  }

  test("are chp's own for an image that is stored, with the login", async () => {
    const ask = appOf(await storeWith([{ image: BOTH, name: KAFKA }], charmFiles()), own);
    expect(await imageFor(ask, "amd64")).toEqual(HERE);
    expect(
      (
        await ask(`/v2/charm/abc/kafka-image/manifests/sha256:${BOTH.digest}`, {
          headers: { Authorization: `Basic ${btoa("puller:s3cret")}` },
        })
      ).status,
    ).toBe(200);
  });

  test("are upstream's where the image is missing", async () => {
    expect(await imageFor(appOf(await storeWith([{ image: AMD, name: "team/app:1" }], charmFiles()), own), "amd64")).toEqual(UPSTREAM);
  });

  test("go by architecture: what is stored of one is no answer to another", async () => {
    const ask = appOf(await storeWith([{ image: BOTH, name: KAFKA }], charmFiles(), [ARM]), own);
    expect([await imageFor(ask, "amd64"), await imageFor(ask, "arm64")]).toEqual([HERE, UPSTREAM]);
  });

  test("change with the import that brings the image", async () => {
    const store = await newStore();
    await importInto(store, { "charm.tar": tarOf(charmFiles()) });
    const ask = appOf(store, own);
    expect(await imageFor(ask, "amd64")).toEqual(UPSTREAM);
    await importInto(store, { "images.tar": tarOf(layoutOf([{ image: BOTH, name: KAFKA }])) });
    expect(await imageFor(ask, "amd64")).toEqual(HERE);
  });

  test("are those of a registry that is set, with the path that was chosen; chp answers that path too", async () => {
    const store = await storeWith([{ image: BOTH, name: KAFKA }], charmFiles("mirror/kafka:3"));
    const outside = { domain: "registry.lan:5000", ...LOGIN };
    expect(await imageFor(appOf(store, { current: outside, former: [] }), "amd64")).toMatchObject({
      reference: "registry.lan:5000/mirror/kafka:3",
    });
    const ask = appOf(store);
    for (const path of [
      "mirror/kafka/manifests/3",
      `mirror/kafka/manifests/sha256:${BOTH.digest}`,
      `mirror/kafka/blobs/sha256:${[...AMD.blobs.keys()][0]}`,
    ])
      expect([path, (await ask(`/v2/${path}`)).status]).toEqual([path, 200]);
    expect((await ask("/v2/mirror/kafka/manifests/4")).status).toBe(404);
  });

  test("of an earlier public URL can still be downloaded", async () => {
    const store = await storeWith([{ image: BOTH, name: KAFKA }], charmFiles());
    const reply = await appOf(store, own)("/v2/charms/resources/kafka/image/revisions");
    const { revisions } = (await reply.json()) as { revisions: { download: { url: string } }[] };
    const url = new URL(String(revisions[0]?.download.url));
    const moved: Registries = { current: ownRegistry("https://new.test", "auto", LOGIN), former: own.current ? [own.current] : [] };
    const bytes = await (await appOf(store, moved)(url.pathname + url.search)).text();
    expect(readImageBlob(Buffer.from(bytes))).toEqual(HERE);
  });
});

test.each<[string | undefined, "auto" | "on" | "off", string | undefined]>([
  ["https://hub.test:8443", "auto", "hub.test:8443"],
  ["https://hub.test", "auto", "hub.test"],
  ["http://hub.test:8080", "auto", undefined],
  ["http://hub.test:8080", "on", "hub.test:8080"],
  ["https://[fd00::1]:8443", "auto", "[fd00::1]:8443"],
  ["https://hub.test/store", "auto", undefined],
  ["https://hub.test/store", "on", undefined],
  [undefined, "on", undefined],
  ["https://hub.test", "off", undefined],
])("a public URL %p with registry=%s makes chp the registry %p", (url, mode, domain) => {
  expect(ownRegistry(url, mode, LOGIN)?.domain).toBe(domain);
});
