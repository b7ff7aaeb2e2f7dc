import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { LockedSnap } from "../../../src/archives/lock.ts";
import { AssertionFetcher } from "../../../src/export/assertionfetcher.ts";
import { HttpClient } from "../../../src/export/client.ts";
import type { Plan, PlannedSnap } from "../../../src/export/plan.ts";
import type { SnapRequest } from "../../../src/export/sitefile.ts";
import { planLockedSnap, planSnap } from "../../../src/export/snapplan.ts";
import { Upstream } from "../../../src/export/upstream.ts";
import { type Answering, actionsOf, CHARMHUB, type FakeUpstream, fakeUpstream, refreshReply, SNAPSTORE } from "../../fakeupstream.ts";
import { assertionsOf, type SignedSnap, type SnapSpec, signed } from "../../signedsnaps.ts";

const recorded = (name: string) => JSON.parse(readFileSync(join(import.meta.dir, "../../fixtures/snaps", name), "utf8"));
const assertion = (name: string) => readFileSync(join(import.meta.dir, "../../fixtures/assertions", `${name}.assert`), "utf8");

const KAFKA = signed({
  name: "charmed-kafka",
  yaml: { base: "core22" },
  revisions: { 34: ["amd64"], 35: ["arm64"], 40: ["amd64"], 41: ["arm64"], 50: ["all"] },
  channels: { "3/stable": { amd64: 34, arm64: 35 }, "3/edge": { amd64: 40, arm64: 41 }, "latest/stable": { all: 50 } },
  defaultTrack: "3",
});

/** A row that serves an architecture, with the risks that are safer than the one asked for. */
function found({ channels = {} }: SnapSpec, track: string, risk: string, machine: string) {
  const risks = ["stable", "candidate", "beta", "edge"];
  for (const one of risks.slice(0, risks.indexOf(risk) + 1).toReversed()) {
    const revision = channels[`${track}/${one}`]?.[machine] ?? channels[`${track}/${one}`]?.["all"];
    if (revision !== undefined) return { channel: `${track}/${one}`, revision };
  }
  return undefined;
}

/** As the public store answers: short names of channels, default tracks for those who know them. */
function store(snap: SignedSnap = KAFKA): FakeUpstream {
  const texts = assertionsOf([snap]);
  const short = (channel: string) => channel.replace(/^latest\//, "");
  const answering: Answering = (asked) => {
    const { url, headers } = asked;
    const machine = headers.get("Snap-Device-Architecture") ?? "";
    const path = url.pathname.replace("/v2/assertions/", "");
    if (path !== url.pathname) return texts.get(path);
    if (url.pathname === `/v2/snaps/info/${snap.name}`) {
      const rows = Object.entries(snap.channels ?? {}).flatMap(([channel, revisions]) => {
        const [track, risk] = channel.split("/");
        const revision = revisions[machine] ?? revisions["all"];
        return revision === undefined ? [] : [{ channel: { architecture: machine, name: short(channel), track, risk }, revision }];
      });
      return rows.length === 0
        ? 404
        : { name: snap.name, "snap-id": snap.id, "default-track": snap.defaultTrack ?? null, snap: {}, "channel-map": rows };
    }
    if (url.pathname !== "/v2/snaps/refresh") return undefined;
    return refreshReply(asked, (action) => {
      const { channel = "stable", revision: wanted } = action as { channel?: string; revision?: number };
      const [first = "", second] = channel.split("/");
      const redirect = second === undefined && snap.defaultTrack !== undefined ? snap.defaultTrack : undefined;
      const row =
        wanted === undefined
          ? found(snap, second === undefined ? (redirect ?? "latest") : first, second ?? first, machine)
          : { revision: wanted, channel: undefined };
      const one = snap.signed.find(
        ({ revision, architectures }) => revision === row?.revision && ["all", machine].some((a) => architectures.includes(a)),
      );
      if (!one || !row) return { result: "error", error: { code: "revision-not-found", message: "No revision was found." } };
      return {
        result: "download",
        name: snap.name,
        "snap-id": snap.id,
        ...(row.channel !== undefined && { "effective-channel": short(row.channel) }),
        ...(redirect !== undefined && wanted === undefined && { "redirect-channel": `${redirect}/${first}` }),
        "released-at": "2026-03-01T09:30:00.000000+00:00",
        snap: {
          name: snap.name,
          "snap-id": snap.id,
          revision: one.revision,
          architectures: one.architectures,
          "snap-yaml": one.yaml,
          download: { url: `https://snaps.test/${one.revision}`, size: one.image.byteLength, "sha3-384": one.digest, deltas: [] },
        },
      };
    });
  };
  return fakeUpstream(answering);
}

function wish(more: Partial<SnapRequest> = {}): SnapRequest {
  return { name: KAFKA.name, channels: [], architectures: ["amd64"], ...more };
}

async function plan(upstream: FakeUpstream, ...wishes: Partial<SnapRequest>[]): Promise<Plan<PlannedSnap>> {
  return planSnap(upstream.upstream, KAFKA.name, wishes.map(wish), new AssertionFetcher(upstream.upstream));
}

const shown = ({ planned }: Plan<PlannedSnap>) =>
  (planned?.releases ?? []).map((one) => `${one.channel} ${one.architecture} ${one.revision}`);
const revisions = ({ planned }: Plan<PlannedSnap>) => (planned?.revisions ?? []).map((one) => one.revision);
const failures = ({ failed: lost }: Plan<PlannedSnap>) => lost.map(({ failure }) => failure.message);

describe("what is taken of a snap", () => {
  test.each<[string, Partial<SnapRequest>[], string[], number[]]>([
    ["the default track's stable", [{}], ["3/stable amd64 34"], [34]],
    ["a risk of it, from where it is open", [{ channels: ["beta"] }], ["3/stable amd64 34"], [34]],
    ["an explicit latest is that", [{ channels: ["latest/edge"] }], ["latest/stable amd64 50"], [50]],
    [
      "channels and architectures",
      [{ channels: ["3/stable", "3/edge"], architectures: ["amd64", "arm64"] }],
      ["3/edge amd64 40", "3/edge arm64 41", "3/stable amd64 34", "3/stable arm64 35"],
      [34, 35, 40, 41],
    ],
    ["a revision goes where it is said", [{ revision: 40, channels: ["chp_3/edge"] }], ["chp_3/edge amd64 40"], [40]],
    ["or into no channel", [{ revision: 40 }], [], [40]],
    [
      "a revision is of the architecture that it is built for",
      [{ revision: 35, channels: ["3/stable"], architectures: ["amd64", "arm64"] }],
      ["3/stable arm64 35"],
      [35],
    ],
    [
      "a channel, and a revision in its place: the first has it",
      [{ revision: 40, channels: ["3/stable"] }, { channels: ["3/stable"] }],
      ["3/stable amd64 40"],
      [34, 40],
    ],
    ["wished twice, taken once", [{ channels: ["3/stable"] }, { revision: 34 }, {}], ["3/stable amd64 34"], [34]],
    [
      "everything",
      [{ channels: "all", architectures: ["amd64", "arm64", "s390x"] }],
      [
        "3/edge amd64 40",
        "3/edge arm64 41",
        "3/stable amd64 34",
        "3/stable arm64 35",
        "latest/stable amd64 50",
        "latest/stable arm64 50",
        "latest/stable s390x 50",
      ],
      [34, 35, 40, 41, 50],
    ],
  ])("%s", async (_, wishes, releases, numbers) => {
    const done = await plan(store(), ...wishes);
    expect([failures(done), shown(done), revisions(done)]).toEqual([[], releases, numbers]);
  });

  test.each<[string, Partial<SnapRequest>[], string[], string[]]>([
    [
      "a revision that is nowhere",
      [{ revision: 9, architectures: ["amd64", "arm64"] }],
      [],
      [
        "cannot export the snap charmed-kafka revision 9 for amd64: No revision was found.",
        "cannot export the snap charmed-kafka revision 9 for arm64: No revision was found.",
      ],
    ],
    [
      "an architecture that a channel lacks",
      [{ architectures: ["amd64", "s390x"] }],
      ["3/stable amd64 34"],
      ["cannot export the snap charmed-kafka from stable for s390x: No revision was found."],
    ],
    [
      "a track that it does not have",
      [{ channels: ["9/stable"] }, {}],
      ["3/stable amd64 34"],
      ["cannot export the snap charmed-kafka from 9/stable for amd64: No revision was found."],
    ],
  ])("%s is told, and the rest is taken", async (_, wishes, releases, messages) => {
    const done = await plan(store(), ...wishes);
    expect([shown(done), failures(done)]).toEqual([releases, messages]);
  });

  test("another snap in its place is refused", async () => {
    const go = fakeUpstream((asked) =>
      asked.method === "POST" ? refreshReply(asked, () => recorded("refresh-install-go.json").results[0]) : undefined,
    );
    expect(failures(await plan(go, {}))).toEqual(["cannot export the snap charmed-kafka: the store says go in its place"]);
  });
});

describe("assertions", () => {
  test("come with all that they need, dependencies first, each asked for once and a root's never", async () => {
    const upstream = store();
    const done = await plan(upstream, { channels: "all" });
    const types = [...(done.planned?.assertions ?? [])].map(([revision, text]) => [
      revision,
      [...text.matchAll(/^type: (.*)$/gm)].map(([, type]) => type),
    ]);
    const chain = ["account-key", "account", "account-key", "account", "snap-declaration", "snap-revision"];
    expect(types).toEqual([34, 40, 50].map((revision) => [revision, chain]));
    const asked = upstream.asked
      .map(({ url }) => url.pathname)
      .filter((path) => path.startsWith("/v2/assertions/") && !path.includes("snap-declaration"));
    expect(new Set(asked).size).toBe(asked.length);
    expect(asked.filter((path) => path.includes("canonical"))).toEqual([]);
  });

  test("of a real snap, as far as they are public: what lacks is named", async () => {
    const texts: Record<string, string> = {
      "snap-revision": assertion("snap-revision.word-salad-7"),
      "snap-declaration": assertion("snap-declaration.word-salad"),
      account: assertion("account.popey"),
    };
    const upstream = fakeUpstream(({ url }) => texts[url.pathname.split("/")[3] ?? ""]);
    const snap = recorded("refresh-install-go.json").results[0].snap;
    const work = new AssertionFetcher(upstream.upstream).streamOf({ ...snap, name: "word-salad", revision: 7, resources: [] });
    expect(work).rejects.toThrow(
      "cannot export the snap word-salad revision 7: the store has no assertion account-key/BWDEoaqyr25nF5SNCvEv2v7QnM9QsfCc0PBMYD_i2NGSQ32EF2d4D0hqUel3m8ul, without which no machine takes it",
    );
    await work.catch(() => {});
    expect(upstream.asked.map(({ url }) => `${url.pathname.split("/")[3]}${url.search}`)).toEqual([
      "snap-revision?max-format=0",
      "snap-declaration?max-format=7",
      "account?max-format=0",
      "account-key?max-format=1",
    ]);
  });

  test("a publisher's account comes with the keys that signed it, as far as the store has them", async () => {
    const alone = fakeUpstream(({ url }) => (url.pathname.split("/")[3] === "account" ? assertion("account.popey") : 404));
    expect(await new AssertionFetcher(alone.upstream).account("popey")).toBe(assertion("account.popey"));
    expect(alone.asked.map(({ url }) => url.pathname.split("/")[3])).toEqual(["account", "account-key"]);
    expect(await new AssertionFetcher(fakeUpstream(() => 404).upstream).account("popey")).toBeUndefined();
  });

  describe("of a publisher that every client has built in", () => {
    const CANONICAL = assertion("account.canonical.trusted");
    // As a store that has a later revision of it would answer.
    const later = CANONICAL.replace("account-id:", "revision: 7\naccount-id:");
    const ask = async (answer: string | number, id = "canonical") => {
      const { upstream, asked } = fakeUpstream(() => answer);
      const fetcher = new AssertionFetcher(upstream);
      const texts = [await fetcher.account(id), await fetcher.account(id)];
      expect(texts[0]).toBe(texts[1]);
      return { text: texts[0], asked: asked.map(({ url }) => url.pathname) };
    };

    test("is asked for, and comes without the root key", async () => {
      expect(await ask(later)).toEqual({ text: later, asked: ["/v2/assertions/account/canonical"] });
    });

    test.each([404, 403, 503])("is the built-in one where the store answers %d", async (status) => {
      const { text, asked } = await ask(status);
      expect(text?.trimEnd()).toBe(CANONICAL.trimEnd());
      expect(new Set(asked)).toEqual(new Set(["/v2/assertions/account/canonical"]));
      expect((await ask(status, "generic")).text).toStartWith("type: account\nauthority-id: canonical\naccount-id: generic\n");
    });

    test("a store that cannot be asked for others is a failure", async () => {
      expect(ask(503, "popey")).rejects.toThrow();
    });

    test("an interruption is one", async () => {
      const remote = new HttpClient({ transport: () => Promise.reject(new Error("gone")), signal: AbortSignal.abort() });
      const upstream = new Upstream({ charmhub: CHARMHUB, snapstore: SNAPSTORE, agents: SNAPSTORE }, remote);
      expect(new AssertionFetcher(upstream).account("canonical")).rejects.toThrow("interrupted");
    });
  });
});

describe("a lock", () => {
  const [first] = KAFKA.signed;
  const locked: LockedSnap = {
    name: KAFKA.name,
    id: KAFKA.id,
    defaultTrack: null,
    releases: [{ channel: "3/stable", architecture: "amd64", revision: 34, releasedAt: undefined }],
    revisions: {
      34: { digest: first?.digest ?? "", architecture: "amd64", components: {} },
      50: { digest: KAFKA.signed[4]?.digest ?? "", architecture: "all", components: {} },
    },
  };
  const follow = (one: LockedSnap, upstream = store()) => planLockedSnap(upstream.upstream, one, new AssertionFetcher(upstream.upstream));

  test("is followed by number, whatever the channels have now", async () => {
    const upstream = store({ ...KAFKA, channels: {} });
    const done = await follow(locked, upstream);
    expect([failures(done), shown(done), revisions(done)]).toEqual([[], ["3/stable amd64 34"], [34, 50]]);
    const actions = upstream.asked.filter((one) => one.method === "POST").flatMap(actionsOf);
    expect(actions.map(({ channel, revision }) => [channel, revision])).toEqual([
      [undefined, 34],
      [undefined, 50],
    ]);
  });

  test.each<[string, Partial<LockedSnap>, string]>([
    [
      "another id",
      { id: "x".repeat(32) },
      `cannot export charmed-kafka as locked: its snap id is ${KAFKA.id} upstream, and ${"x".repeat(32)} in the lock`,
    ],
    [
      "other bytes",
      { revisions: { 34: { digest: "0".repeat(96), architecture: "amd64", components: {} } } },
      `cannot export charmed-kafka as locked: revision 34 has the sha3-384 ${first?.digest} upstream, and ${"0".repeat(96)} in the lock`,
    ],
    [
      "a revision that is gone",
      { revisions: { 9: { digest: "0".repeat(96), architecture: "amd64", components: {} } } },
      "cannot export the snap charmed-kafka revision 9 for amd64: No revision was found.",
    ],
  ])("that upstream does not fulfil: %s", async (_, change, message) => {
    const done = await follow({ ...locked, ...change });
    expect(done.planned).toBeUndefined();
    expect(new Set(failures(done))).toContain(message);
  });
});
