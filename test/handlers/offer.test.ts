/** Overrides in what is answered: as if what they hold were released, until they end. */

import { describe, expect, test } from "bun:test";
import { findPackage, publishChange } from "../../bin/commands/changing.ts";
import { createApp } from "../../handlers/app.ts";
import { release, type StoredPackage } from "../../src/catalog/change.ts";
import { changeDraft } from "../../src/catalog/drafts.ts";
import { setOverride } from "../../src/catalog/override.ts";
import { Store } from "../../store/store.ts";
import { bothWorlds } from "../snapworld.ts";
import { sample, thorough } from "../thorough.ts";
import { FOCAL, IDA, JAMMY, JAMMY_ARM, NOBLE, NOBLE_ARM } from "../world.ts";

const SET = "2026-04-01T00:00:00.000Z";
const END = "2026-05-01T00:00:00Z";
const [BEFORE, AFTER] = [Date.parse(END) - 1, Date.parse(END)];

async function served(...changes: readonly { readonly name: string; readonly work: (held: StoredPackage) => StoredPackage }[]) {
  const store = await Store.open(await bothWorlds());
  for (const { name, work } of changes)
    await publishChange(store, SET, async (base) => {
      const held = await findPackage(base, name, false);
      return { draft: changeDraft("test", [{ before: held, after: work(held) }]), result: undefined };
    });
  let now = BEFORE;
  const app = createApp({ store, config: {}, log: () => {}, clock: () => now });
  const ask = async (path: string, body?: unknown) => {
    const init = { headers: { "User-Agent": "Juju/3.6.11", "Snap-Device-Series": "16", "Snap-Device-Architecture": "amd64" } };
    const post = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
    const reply = await app.fetch(new Request(new URL(path, "http://hub.test"), { ...init, ...post }));
    return `${reply.status} ${await reply.text()}`;
  };
  return { store, replies: () => repliesOf(ask), ask, at: (time: number) => void (now = time) };
}

const CHARMS = ["acme-db", "tiny", "acme-stack", "juju-controller"];
const SNAPS = ["hello", "all1", "dtrack", "epochal"];
const CHANNELS = [
  "stable",
  "edge",
  "candidate",
  "14/stable",
  "14/edge",
  "14/beta",
  "14/candidate/fix",
  "2/stable",
  "1/candidate",
  "latest/edge",
];
const NOTHING_KNOWN = { name: "NA", channel: "NA", architecture: "amd64" };
const BASES = thorough ? [FOCAL, JAMMY, JAMMY_ARM, NOBLE, NOBLE_ARM, NOTHING_KNOWN] : [JAMMY_ARM, NOBLE];

/** What a channel map decides of any reply. */
async function repliesOf(ask: (path: string, body?: unknown) => Promise<string>): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  const get = async (path: string) => (found[path] = await ask(path));
  for (const name of CHARMS) {
    await get(`/v2/charms/info/${name}?fields=channel-map,default-release,default-release.revision.metadata-yaml,result`);
    await get(`/v2/charms/info/${name}?fields=channel-map&channel=stable`);
    for (const base of BASES) {
      const actions = [
        ...CHANNELS.map((channel) => ({ action: "install", "instance-key": channel, name, channel, base })),
        ...[10, 18, 20, 25].map((revision) => ({ action: "install", "instance-key": `${revision}`, name, revision, base: null })),
        ...[18, 20, 25].map((revision) => ({
          action: "download",
          "instance-key": `at ${revision}`,
          name,
          revision,
          channel: "14/stable",
          base,
        })),
      ];
      found[`${name} on ${JSON.stringify(base)}`] = await ask("/v2/charms/refresh", { context: [], actions });
    }
  }
  // The check of a controller, for an application that runs what the channel may have been moved away from.
  const context = CHANNELS.map((channel) => ({ "instance-key": channel, id: IDA, revision: 20, base: NOBLE, "tracking-channel": channel }));
  const checks = CHANNELS.map((channel) => ({ action: "refresh", "instance-key": channel, id: IDA }));
  found["revision check"] = await ask("/v2/charms/refresh", { context, actions: checks });
  await get("/v2/charms/find?fields=default-release.revision.revision,default-release.channel");
  await get("/v2/charms/find?channel=14/edge&fields=default-release.channel");
  await get("/v2/charms/resources/acme-db/acme-image/revisions");
  for (const name of SNAPS) {
    const installs = [...CHANNELS, "latest/stable", "2.0/edge", "3/stable", "3/candidate"].map((channel) => ({
      action: "install",
      "instance-key": channel,
      name,
      channel,
    }));
    found[name] = await ask("/v2/snaps/refresh", { context: [], actions: installs, fields: ["revision", "version", "resources"] });
    for (const architecture of ["amd64", "arm64"]) await get(`/v2/snaps/info/${name}?architecture=${architecture}`);
    const id = /"snap-id":"([^"]+)"/.exec(found[name] ?? "")?.[1];
    const installed = {
      "snap-id": id,
      "instance-key": "k",
      revision: 6,
      "tracking-channel": "latest/stable",
      epoch: { read: [0], write: [0] },
    };
    found[`${name} installed`] = await ask("/v2/snaps/refresh", {
      context: [installed],
      actions: [{ action: "refresh", "instance-key": "k", "snap-id": id }],
      fields: ["revision", "version"],
    });
  }
  for (const path of ["/v2/snaps/find?q=hello", "/v2/snaps/find?channel=edge", "/api/v1/snaps/names", "/api/v1/snaps/sections"])
    await get(path);
  return found;
}

const WHERE = {};
const CASES = [
  ["an older revision of a charm", "acme-db", 20, "14/edge"],
  ["a newer one", "acme-db", 25, "14/stable"],
  ["what the channel has already", "acme-db", 20, "14/stable"],
  ["a track that is not open", "acme-db", 18, "2/stable"],
  ["a branch", "acme-db", 10, "14/candidate/fix"],
  ["the default track of another charm", "juju-controller", 116, "4.1/stable"],
  ["a charm on several architectures", "tiny", 5, "latest/edge"],
  ["a bundle", "acme-stack", 3, "1/candidate"],
  ["an older revision of a snap", "hello", 5, "edge"],
  ["a newer one of a snap", "hello", 9, "latest/stable"],
  ["a snap's track", "hello", 7, "2.0/edge"],
  ["the default track of a snap", "dtrack", 20, "3/stable"],
  ["a snap for every architecture", "all1", 1, "edge"],
  ["a revision that reads other data", "epochal", 1, "stable"],
] as const;

describe("an override", () => {
  /** the replies where there is none */
  const withoutAny = served().then(({ replies }) => replies());

  test.each(sample(CASES))("is answered as if it were released: %s", async (_, name, revision, channel) => {
    const held = await served({ name, work: (one) => setOverride(one, revision, channel, WHERE, { reason: "why" }, SET) });
    const released = await served({ name, work: (one) => release(one, revision, channel, WHERE, SET) });
    const replies = await held.replies();
    expect(replies).toEqual(await released.replies());
    const without = await withoutAny;
    if (`${name} ${channel}` === "acme-db 14/stable" && revision === 20) expect(replies).toEqual(without);
    else expect(replies).not.toEqual(without);
  });

  test("does not end by a clock that is far off, and does not come back by one", async () => {
    const hold = { reason: "why", until: END };
    const name = "acme-db";
    const { store, ask, at } = await served({ name, work: (one) => setOverride(one, 20, "14/edge", WHERE, hold, SET) });
    const info = () => ask(`/v2/charms/info/${name}?fields=channel-map`);
    const during = await info();
    for (const wrong of [Date.parse("2099-01-01"), 0]) {
      at(wrong);
      expect(await info()).toBe(during);
    }
    at(AFTER);
    const ended = await info();
    expect(ended).not.toBe(during);
    await publishChange(store, "2026-06-01T00:00:00.000Z", async (base) => {
      const held = await findPackage(base, "tiny", false);
      return { draft: changeDraft("test", [{ before: held, after: { ...held, chosenTrack: "2" } }]), result: undefined };
    });
    for (const wrong of [0, Date.parse("2099-01-01")]) {
      at(wrong);
      expect(await info()).toBe(ended);
    }
  });

  test.each(sample(CASES))("ends without a restart and without a generation: %s", async (_, name, revision, channel) => {
    const hold = { reason: "why", until: END };
    const { store, replies, at } = await served({ name, work: (one) => setOverride(one, revision, channel, WHERE, hold, SET) });
    const during = await replies();
    expect(await replies()).toEqual(during); // from what is kept of them
    at(AFTER);
    const without = await withoutAny;
    expect(await replies()).toEqual(without);
    expect(await replies()).toEqual(without);
    expect(await store.generationNumbers()).toEqual([1, 2, 3]);
  });

  test("ends for whom asks for the first time, and each by its own end", async () => {
    const hold = (until: string) => ({ reason: "why", until });
    const work = (one: StoredPackage) =>
      setOverride(setOverride(one, 18, "3/stable", WHERE, hold(END), SET), 20, "4/stable", WHERE, hold("2026-06-01T00:00:00Z"), SET);
    const { ask, at } = await served({ name: "acme-db", work });
    const tracks = async () => {
      const reply = await ask("/v2/charms/info/acme-db?fields=channel-map.channel.track");
      return ["14", "latest", "3", "4"].filter((track) => reply.includes(`"track":"${track}"`));
    };
    at(AFTER);
    expect(await tracks()).toEqual(["14", "latest", "4"]);
    at(Date.parse("2026-06-01T00:00:00Z"));
    expect(await tracks()).toEqual(["14", "latest"]);
    at(BEFORE); // a clock that was set right
    expect(await tracks()).toEqual(["14", "latest", "3", "4"]);
  });

  test("holds what is imported and released below it", async () => {
    const { replies, at, store } = await served({
      name: "acme-db",
      work: (one) => setOverride(one, 20, "14/stable", WHERE, { reason: "why", until: END }, SET),
    });
    const before = await replies();
    await publishChange(store, SET, async (base) => {
      const held = await findPackage(base, "acme-db", false);
      const after = release(held, 25, "14/stable", WHERE, SET);
      return { draft: changeDraft("test", [{ before: held, after }]), result: undefined };
    });
    await new Promise((resolve) => void setImmediate(resolve));
    const below = await replies();
    const byNumber = (one: Record<string, string>) =>
      Object.fromEntries(
        Object.entries(one).map(([key, text]) => [key, text.replace(/"instance-key":"at 25".*?(?="instance-key"|$)/g, "")]),
      );
    expect(byNumber(below)).toEqual(byNumber(before));
    at(AFTER);
    const released = await served({ name: "acme-db", work: (one) => release(one, 25, "14/stable", WHERE, SET) });
    expect(await replies()).toEqual(await released.replies());
  });
});
