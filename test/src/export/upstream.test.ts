/** Recorded replies of the public stores, and what the exporter asks them with. */

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "../../../src/errors.ts";
import { Unavailable } from "../../../src/export/client.ts";
import { type Answering, actionsOf, CHARMHUB, fakeUpstream, refreshReply, SNAPSTORE } from "../../fakeupstream.ts";

const text = (path: string) => readFileSync(join(import.meta.dir, "../../fixtures", path), "utf8");
const recorded = (path: string) => JSON.parse(text(path));
/** The recorded result, for every action. */
const always = (path: string): Answering => {
  const [result] = recorded(path).results;
  return (asked) => refreshReply(asked, () => result);
};

const JAMMY_ARM = { name: "ubuntu", channel: "22.04", architecture: "arm64" };

async function failure(work: Promise<unknown>): Promise<Failure> {
  const error = await work.then(
    () => undefined,
    (one: unknown) => one,
  );
  if (error instanceof Failure) return error;
  throw new Error(`it did not fail as it should: ${String(error)}`);
}

describe("Charmhub", () => {
  test("info: 17 rows, asked for with coarse fields that the store knows", async () => {
    const { upstream, asked } = fakeUpstream(() => recorded("charmhub/info-postgresql-k8s.json"));
    const info = await upstream.info("postgresql-k8s");
    expect(info).toMatchObject({ type: "charm", name: "postgresql-k8s", "default-release": { channel: { track: "16" } } });
    expect(info["channel-map"]).toHaveLength(17);
    expect(asked.map(({ method, url }) => `${method} ${url}`)).toEqual([
      `GET ${CHARMHUB}/v2/charms/info/postgresql-k8s?fields=result%2Cdefault-release%2Cdefault-release.resources%2Cdefault-release.revision%2Cchannel-map`,
    ]);
    expect(asked[0]?.headers.get("Accept")).toBe("application/json");
  });

  test.each(["mock-sample_package_detail.json", "info-fields-default-release-bundle-cos-lite.json"])("info: %s", async (file) => {
    const reply = recorded(`charmhub/${file}`);
    // An excerpt has no channel of the release; a whole reply always does.
    if (!reply["channel-map"]) delete reply["default-release"];
    const info = await fakeUpstream(() => reply).upstream.info("x");
    expect(JSON.parse(JSON.stringify(info))).toMatchObject(reply);
  });

  test("info: what it does not know is not found, and told with its URL", async () => {
    const error = await failure(fakeUpstream(() => 404).upstream.info("no/such"));
    expect(error.kind).toBe("not-found");
    expect(error.message).toBe(
      `cannot fetch metadata of no/such: ${CHARMHUB}/v2/charms/info/no%2Fsuch: status 404 (no /v2/charms/info/no%2Fsuch)`,
    );
  });

  test("refresh: one download action a query, by channel with a base, by revision with none", async () => {
    const { upstream, asked } = fakeUpstream(always("charmhub/refresh-install-postgresql-k8s-arm64.json"));
    await upstream.charms([
      { name: "postgresql-k8s", channel: "14/stable", base: JAMMY_ARM },
      { name: "postgresql-k8s", revision: 959, base: null },
      { name: "postgresql-k8s", revision: 959, base: null, resources: { "postgresql-image": 207 } },
    ]);
    const [request] = asked;
    expect([request?.method, String(request?.url)]).toEqual(["POST", `${CHARMHUB}/v2/charms/refresh`]);
    expect(request?.headers.get("Content-Type")).toBe("application/json");
    expect(request?.body).toEqual({
      context: [],
      actions: [
        { action: "download", "instance-key": "download-0", name: "postgresql-k8s", channel: "14/stable", base: JAMMY_ARM },
        { action: "download", "instance-key": "download-1", name: "postgresql-k8s", revision: 959, base: null },
        {
          action: "download",
          "instance-key": "download-2",
          name: "postgresql-k8s",
          revision: 959,
          base: null,
          "resource-revisions": [{ name: "postgresql-image", revision: 207 }],
        },
      ],
    });
  });

  test("refresh: a success, in whatever order, with all that the store sends", async () => {
    const { upstream } = fakeUpstream((asked) => {
      const reply = always("charmhub/refresh-install-postgresql-k8s-arm64.json")(asked) as { results: object[] };
      return { ...reply, results: reply.results.toReversed() };
    });
    const query = { name: "postgresql-k8s", channel: "14/stable", base: JAMMY_ARM };
    const [first, second] = await upstream.charms([query, query]);
    expect(first).toEqual({
      ok: { ...recorded("charmhub/refresh-install-postgresql-k8s-arm64.json").results[0], "instance-key": "download-0" },
    });
    expect(second).toMatchObject({ ok: { "instance-key": "download-1", "effective-channel": "14/stable" } });
  });

  test.each([
    ["invalid-charm-base", "Instance key 'k1' invalid 'base' in 'install' for charm_id="],
    ["missing-charm-base", "Instance key 'k1' missing required field 'base'"],
    ["name-not-found", "The Charm with the given name was not found in the Store."],
    ["revision-not-found-by-revision", "Revision 900 for ubuntu#22.04#amd64 was not found in the Store."],
    ["revision-not-found-by-channel", ""],
  ])("refresh: the error %s is an answer", async (name, message) => {
    const file = `charmhub/refresh-error-${name}.json`;
    const [answer] = await fakeUpstream(always(file)).upstream.charms([{ name: "x", channel: "stable", base: JAMMY_ARM }]);
    expect(answer).toEqual({ error: recorded(file).results[0].error });
    expect(answer && "error" in answer && answer.error.message).toStartWith(message);
  });

  test("refresh: many queries go in several requests, and every one has its answer", async () => {
    const [result] = recorded("charmhub/refresh-install-postgresql-k8s-arm64.json").results;
    const { upstream, asked } = fakeUpstream((one) =>
      refreshReply(one, (action) => ({ ...result, charm: { ...result.charm, revision: action["revision"] } })),
    );
    const revisions = Array.from({ length: 90 }, (_, i) => i);
    const answers = await upstream.charms(revisions.map((revision) => ({ name: "x", revision, base: null })));
    expect(answers.map((one) => "ok" in one && one.ok.charm.revision)).toEqual(revisions);
    expect(asked.map((one) => actionsOf(one).length)).toEqual([40, 40, 10]);
  });

  const { charm: whole } = recorded("charmhub/refresh-install-postgresql-k8s-arm64.json").results[0];
  const withDownload = (change: object) => ({ charm: { ...whole, download: { ...whole.download, ...change } } });

  test.each<[string, object, string]>([
    ["a missing result", { "instance-key": "other" }, "the reply has no result for it"],
    ["a charm without a digest", withDownload({ "hash-sha-256": undefined }), "charm.download.hash-sha-256"],
    ["a digest in upper case", withDownload({ "hash-sha-256": "A".repeat(64) }), "is no digest in lower-case hex"],
    ["a URL that is none", withDownload({ url: "/api/v1/x.charm" }), "charm.download.url: is no URL"],
    ["a revision that is text", { charm: { ...whole, revision: "959" } }, "charm.revision"],
  ])("refresh: %s is refused, and the field named", async (_, change, why) => {
    const { upstream } = fakeUpstream(() => ({ results: [{ "instance-key": "download-0", charm: whole, ...change }] }));
    const error = await failure(upstream.charms([{ name: "postgresql-k8s", revision: 959, base: null }]));
    expect(error).toBeInstanceOf(Unavailable);
    expect(error.message).toStartWith(`cannot resolve postgresql-k8s: ${CHARMHUB}/v2/charms/refresh: `);
    expect(error.message).toContain(why);
  });

  test("another server than a store says so", async () => {
    const error = await failure(fakeUpstream(() => "<html>").upstream.info("x"));
    expect([error.message, error.next]).toEqual([
      `cannot fetch metadata of x: ${CHARMHUB}/v2/charms/info/x: the reply is not JSON`,
      "is that the address of a Charmhub or Snap Store?",
    ]);
  });
});

describe("the Snap Store", () => {
  test("refresh: asked as snapd asks", async () => {
    const { upstream, asked } = fakeUpstream(always("snaps/refresh-install-go.json"));
    const [answer] = await upstream.snaps([{ name: "go", channel: "stable" }], "amd64");
    expect(answer).toEqual({
      ok: { ...recorded("snaps/refresh-install-go.json").results[0], "instance-key": "download-0", snap: expect.any(Object) },
    });
    expect(answer && "ok" in answer && answer.ok.snap).toMatchObject(recorded("snaps/refresh-install-go.json").results[0].snap);
    const [request] = asked;
    expect([request?.method, String(request?.url)]).toEqual(["POST", `${SNAPSTORE}/v2/snaps/refresh`]);
    const headers = ["Snap-Device-Series", "Snap-Device-Architecture", "Snap-Device-Capabilities", "Content-Type", "Accept"];
    expect(headers.map((name) => request?.headers.get(name))).toEqual([
      "16",
      "amd64",
      "default-tracks",
      "application/json",
      "application/json",
    ]);
    const { fields, ...body } = request?.body ?? {};
    expect(body).toEqual({
      context: [],
      actions: [{ action: "download", "instance-key": "download-0", name: "go", channel: "stable", epoch: null }],
    });
    // No other names than snapd's: the store refuses what it does not know.
    expect((fields as string[]).toSorted()).toEqual(SNAPD_FIELDS.toSorted());
  });

  test("refresh: by revision there is no channel", async () => {
    const { upstream, asked } = fakeUpstream(always("snaps/refresh-install-go.json"));
    await upstream.snaps([{ name: "go", revision: 10660 }], "s390x");
    expect(asked[0] && actionsOf(asked[0])).toEqual([
      { action: "download", "instance-key": "download-0", name: "go", revision: 10660, epoch: null },
    ]);
    expect(asked[0]?.headers.get("Snap-Device-Architecture")).toBe("s390x");
  });

  test.each(["details_v2.coreStoreJSON.json", "details_v2.thingyStoreJSON.json"])("the widest set of fields: %s", async (file) => {
    const snap = recorded(`snaps/${file}`);
    const { upstream } = fakeUpstream((asked) => refreshReply(asked, () => ({ result: "download", name: snap.name, snap })));
    const [answer] = await upstream.snaps([{ name: snap.name }], "amd64");
    expect(answer).toMatchObject({ ok: { snap: { name: snap.name, revision: snap.revision, download: { size: snap.download.size } } } });
  });

  test.each<[string, string, string, number]>([
    ["info-go.excerpt.json", "go", "Md1HBASHzP4i0bniScAjXGnOII9cEK6e", 6],
    ["info-hello-world.snapd-test.json", "hello-world", "buPKUD3TKqCOgLEjjHx5kSiCpIs5cMuQ", 4],
  ])("info: %s, with short names of channels", async (file, name, id, rows) => {
    // The excerpt of go has its rows alone.
    const { upstream, asked } = fakeUpstream(() => ({ name, "snap-id": id, ...recorded(`snaps/${file}`) }));
    const info = await upstream.snapInfo(name, "arm64");
    expect([info.name, info["snap-id"], info["channel-map"]?.length]).toEqual([name, id, rows]);
    expect(info["channel-map"]?.[0]?.channel).toMatchObject({ name: "stable", track: "latest", risk: "stable" });
    const [{ url, headers } = { url: new URL("http://x"), headers: new Headers() }] = asked;
    expect([url.pathname, url.searchParams.get("architecture"), headers.get("Snap-Device-Series")]).toEqual([
      `/v2/snaps/info/${name}`,
      "arm64",
      "16",
    ]);
    const known = [...SNAPD_FIELDS, "channel-map"];
    expect(
      url.searchParams
        .get("fields")
        ?.split(",")
        .filter((one) => !known.includes(one)),
    ).toEqual([]);
  });

  test("assertions: by their key, escaped, up to a format", async () => {
    const assertion = text("assertions/snap-revision.word-salad-7.assert");
    const { upstream, asked } = fakeUpstream(({ url }) => (url.pathname.includes("snap-revision") ? assertion : undefined));
    expect(await upstream.assertion("snap-revision", ["v0QSLRBEj2jM"], 0)).toBe(assertion);
    expect(await upstream.assertion("serial", ["brand", "we ird%/x?y"])).toBeUndefined();
    expect(asked.map(({ url }) => `${url.pathname}${url.search}`)).toEqual([
      "/v2/assertions/snap-revision/v0QSLRBEj2jM?max-format=0",
      "/v2/assertions/serial/brand/we%20ird%25%2Fx%3Fy",
    ]);
    expect(asked[0]?.headers.get("Accept")).toBe("application/x.ubuntu.assertion");
  });
});

/** What snapd 2.77 asks for, without what chp has no use for. */
const SNAPD_FIELDS =
  "architectures,base,confinement,links,contact,created-at,description,download,epoch,license,name,prices,private,publisher,revision,snap-id,snap-yaml,summary,title,type,version,website,store-url,media,common-ids,categories,resources".split(
    ",",
  );
