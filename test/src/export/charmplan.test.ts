import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { LockedPackage } from "../../../src/archives/lock.ts";
import { type Base, baseKey, sameBase } from "../../../src/catalog/base.ts";
import { planLockedPackage, planPackage } from "../../../src/export/charmplan.ts";
import { upstreamReleases } from "../../../src/export/charmreleases.ts";
import type { Plan, PlannedPackage } from "../../../src/export/plan.ts";
import type { PackageRequest } from "../../../src/export/sitefile.ts";
import { type Asked, actionsOf, type FakeUpstream, fakeUpstream, refreshReply } from "../../fakeupstream.ts";

const recorded = (name: string) => JSON.parse(readFileSync(join(import.meta.dir, "../../fixtures/charmhub", `${name}.json`), "utf8"));
const NAME = "postgresql-k8s";
const INFO = recorded("info-postgresql-k8s");
const [SUCCESS] = recorded("refresh-install-postgresql-k8s-arm64").results;
const [NO_CHANNEL] = recorded("refresh-error-revision-not-found-by-channel").results;
const [NO_REVISION] = recorded("refresh-error-revision-not-found-by-revision").results;
const [NO_BASE] = recorded("refresh-error-invalid-charm-base").results;
const [IMAGE] = SUCCESS.charm.resources;

interface Row {
  readonly channel: string;
  readonly base: Base | null;
  readonly revision: number;
}

interface RecordedRow {
  readonly channel: { readonly name: string; readonly base: Base };
  readonly revision: { readonly revision: number };
}

const ROWS: readonly Row[] = INFO["channel-map"].map(({ channel, revision }: RecordedRow) => ({
  channel: channel.name,
  base: channel.base,
  revision: revision.revision,
}));

/** What the image's revision is that was released with a revision of the charm. */
const pinOf = (revision: number) => (revision < 900 ? 19 : 200 + (revision % 10));

function charmOf(revision: number, pins: Readonly<Record<string, number>>) {
  const bases = ROWS.filter((row) => row.revision === revision).flatMap((row) => row.base ?? []);
  const resources = Object.entries(pins).map(([name, pin]) => ({ ...IMAGE, name, revision: pin }));
  const unique = [...new Map(bases.map((one) => [baseKey(one), one])).values()];
  return { ...SUCCESS.charm, revision, version: String(revision), bases: unique, resources };
}

/** As the public store answers: a base that is not known is an error, a revision comes without resources but those asked for. */
function answer(action: Readonly<Record<string, unknown>>, rows: readonly Row[] = ROWS): object {
  const { channel, revision, base } = action as { channel?: string; revision?: number; base: Base | null };
  if (revision !== undefined) {
    if (!rows.some((row) => row.revision === revision) && revision !== 900) return NO_REVISION;
    const pinned = (action["resource-revisions"] ?? []) as { name: string; revision: number }[];
    const known = pinned.filter((one) => one.name === "postgresql-image" && one.revision < 300);
    const charm = charmOf(revision, Object.fromEntries(known.map((one) => [one.name, one.revision])));
    return { ...SUCCESS, "effective-channel": undefined, charm: revision === 900 ? { ...charm, bases: charmOf(960, {}).bases } : charm };
  }
  if (!base || base.name === "NA" || base.name === "all") return NO_BASE;
  const row = rows.find((one) => one.channel === channel && sameBase(one.base, base));
  return row
    ? { ...SUCCESS, "effective-channel": channel, charm: charmOf(row.revision, { "postgresql-image": pinOf(row.revision) }) }
    : NO_CHANNEL;
}

function store(info: object = INFO, answering: typeof answer = answer): FakeUpstream {
  return fakeUpstream((asked: Asked) => {
    if (asked.url.pathname === `/v2/charms/info/${NAME}`) return info;
    if (asked.url.pathname.endsWith("/revisions")) return { revisions: [{ ...IMAGE, revision: 209 }, IMAGE] };
    return asked.url.pathname === "/v2/charms/refresh" ? refreshReply(asked, answering) : undefined;
  });
}

const SYSTEM = { jammy: { name: "ubuntu", channel: "22.04" }, noble: { name: "ubuntu", channel: "24.04" } };

function wish(more: Partial<PackageRequest> = {}): PackageRequest {
  return { name: NAME, channels: [], systems: [SYSTEM.jammy], architectures: ["amd64"], resources: {}, paths: {}, ...more };
}

/** `14/stable 22.04/amd64 960 postgresql-image=200` */
function shown({ planned }: Plan<PlannedPackage>): string[] {
  return (planned?.releases ?? []).map(({ channel, base, revision, resources }) =>
    [
      channel,
      base ? `${base.channel}/${base.architecture}` : "-",
      revision,
      ...Object.entries(resources).map(([name, pin]) => `${name}=${pin}`),
    ].join(" "),
  );
}

const failures = ({ failed: lost }: Plan<PlannedPackage>) => lost.map(({ failure }) => failure.message);

describe("releases", () => {
  test.each<[string, Partial<PackageRequest>, string[], string[]]>([
    [
      "the default track's stable, on the nearest LTS",
      {},
      ["16/stable 24.04/amd64 957"],
      ["postgresql-k8s has no release for ubuntu@22.04 in 16/stable: the one for ubuntu@24.04 amd64 was taken"],
    ],
    ["the base that is asked for", { systems: [SYSTEM.noble] }, ["16/stable 24.04/amd64 957"], []],
    ["a channel with its track", { channels: ["14/stable"] }, ["14/stable 22.04/amd64 960"], []],
    ["a risk alone, of the default track", { channels: ["edge"], systems: [SYSTEM.noble] }, ["16/edge 24.04/amd64 969"], []],
    ["a track alone", { channels: ["14"] }, ["14/stable 22.04/amd64 960"], []],
    [
      "latest, named",
      { channels: ["latest/stable"] },
      ["latest/stable 20.04/amd64 20"],
      ["postgresql-k8s has no release for ubuntu@22.04 in latest/stable: the one for ubuntu@20.04 amd64 was taken"],
    ],
    ["a closed risk, from a safer one", { channels: ["latest/edge"], systems: "all" }, ["latest/stable 20.04/amd64 20"], []],
    [
      "several channels and architectures",
      { channels: ["14/stable", "14/edge"], architectures: ["amd64", "arm64"] },
      ["14/stable 22.04/amd64 960", "14/stable 22.04/arm64 959", "14/edge 22.04/amd64 971", "14/edge 22.04/arm64 972"],
      [],
    ],
    [
      "several bases",
      { channels: ["14/stable", "16/stable"], systems: [SYSTEM.noble, SYSTEM.jammy] },
      ["16/stable 24.04/amd64 957", "14/stable 22.04/amd64 960"],
      [
        "postgresql-k8s has no release for ubuntu@24.04 in 14/stable: the one for ubuntu@22.04 amd64 was taken",
        "postgresql-k8s has no release for ubuntu@22.04 in 16/stable: the one for ubuntu@24.04 amd64 was taken",
      ],
    ],
    ["all bases", { systems: "all" }, ["16/stable 24.04/amd64 957"], []],
    [
      "all channels of an architecture and a base",
      { channels: "all", architectures: ["arm64"] },
      ["14/stable 22.04/arm64 959", "14/candidate 22.04/arm64 959", "14/beta 22.04/arm64 959", "14/edge 22.04/arm64 972"],
      [],
    ],
  ])("%s", async (_, more, releases, notes) => {
    const plan = await planPackage(store().upstream, NAME, [wish(more)]);
    expect(failures(plan)).toEqual([]);
    expect(shown(plan)).toEqual(releases.map((one) => `${one} postgresql-image=${pinOf(Number(one.split(" ")[2]))}`));
    expect(plan.notes).toEqual(notes);
  });

  test("everything: one row each, as the store has them", async () => {
    const plan = await planPackage(store().upstream, NAME, [wish({ channels: "all", systems: "all", architectures: ["amd64", "arm64"] })]);
    const rows = (all: readonly Row[]) => all.map((one) => `${one.channel} ${baseKey(one.base)} ${one.revision}`).toSorted();
    expect(rows(plan.planned?.releases ?? [])).toEqual(rows(ROWS));
    expect(plan.planned?.revisions.map((one) => one.revision)).toEqual([20, 957, 958, 959, 960, 969, 970, 971, 972]);
  });

  test("never without a base, and never of another store's id", async () => {
    const { upstream, asked } = store();
    await planPackage(upstream, NAME, [wish({ systems: "all", channels: "all" })]);
    const actions = asked.filter((one) => one.method === "POST").flatMap(actionsOf);
    expect(actions.filter((one) => one["base"] === null || JSON.stringify(one["base"]).includes('"all"'))).toEqual([]);
    const other = store({ ...INFO, id: "another" });
    expect(failures(await planPackage(other.upstream, NAME, [wish()]))).toEqual([
      `cannot export ${NAME}: the store says ${NAME} with the id ${INFO.id} in its place`,
    ]);
  });

  test.each<[string, Partial<PackageRequest>, string]>([
    ["an unknown track", { channels: ["9/stable"] }, "cannot export postgresql-k8s: it has no release in 9/stable for amd64"],
    [
      "an architecture that it is not for",
      { architectures: ["s390x"] },
      "cannot export postgresql-k8s: it has no release in 16/stable for s390x",
    ],
    [
      "no architecture at all",
      { channels: "all", architectures: ["s390x"] },
      "cannot export postgresql-k8s: it has no release in any channel for s390x",
    ],
  ])("%s is told, with what there is", async (_, more, message) => {
    const plan = await planPackage(store().upstream, NAME, [wish(more)]);
    expect([plan.planned, failures(plan)]).toEqual([undefined, [message]]);
    expect(plan.failed[0]?.failure.next).toBe(
      "its channels are 16/stable, 16/candidate, 16/beta, 16/edge, latest/stable, 14/stable, 14/candidate, 14/beta, 14/edge",
    );
  });

  test("what one wish lacks, the others do not lose", async () => {
    const plan = await planPackage(store().upstream, NAME, [
      wish({ revision: 5 }),
      wish({ channels: ["14/stable"], architectures: ["amd64", "s390x"], needsArchitectures: true }),
      wish({ channels: ["14/edge"], resources: { "postgresql-image": 999 } }),
    ]);
    expect(shown(plan)).toEqual(["14/stable 22.04/amd64 960 postgresql-image=200"]);
    expect(failures(plan)).toEqual([
      "cannot export postgresql-k8s revision 5: Revision 900 for ubuntu#22.04#amd64 was not found in the Store.",
      "cannot export postgresql-k8s: it has no release in 14/stable for s390x",
      "cannot export postgresql-k8s with postgresql-image 999: the store has no such revision of that resource",
    ]);
  });

  test("a store that knows nothing of it", async () => {
    const plan = await planPackage(fakeUpstream(() => 404).upstream, "nope", [wish()]);
    expect([plan.planned, plan.failed.map(({ failure }) => failure.kind)]).toEqual([undefined, ["not-found"]]);
  });

  test("a revision that is there anyway is taken on the other bases of its channel, one that would be fetched is not", async () => {
    const base = (channel: string) => ({ name: "ubuntu", channel, architecture: "amd64" });
    const rows = [
      { channel: "14/stable", base: base("22.04"), revision: 960 },
      { channel: "14/stable", base: base("24.04"), revision: 960 },
      { channel: "14/stable", base: base("20.04"), revision: 971 },
    ];
    const map = rows.map((row) => ({
      channel: { name: row.channel, track: "14", risk: "stable", base: row.base },
      revision: { revision: row.revision },
    }));
    const { upstream } = store({ ...INFO, "channel-map": map }, (action) => answer(action, rows));
    const plan = await planPackage(upstream, NAME, [wish({ channels: ["14/stable"] })]);
    expect(shown(plan)).toEqual(["14/stable 22.04/amd64 960 postgresql-image=200", "14/stable 24.04/amd64 960 postgresql-image=200"]);
  });

  test("a row for all architectures is asked for by one that is wished", async () => {
    const any = { name: "ubuntu", channel: "22.04", architecture: "all" };
    const map = [{ channel: { name: "14/stable", track: "14", risk: "stable", base: any }, revision: { revision: 960 } }];
    const arm = { ...any, architecture: "arm64" };
    const { upstream } = store({ ...INFO, "channel-map": map }, (action) =>
      answer(action, [{ channel: "14/stable", base: arm, revision: 960 }]),
    );
    const plan = await planPackage(upstream, NAME, [wish({ channels: ["14"], architectures: ["arm64", "amd64"] })]);
    expect(failures(plan)).toEqual([]);
    expect(plan.planned?.releases.map((one) => one.base)).toEqual([any]);
  });

  test("a branch stands in no channel map: the answer tells whether there is one", async () => {
    const effective = (channel: string) => {
      const { upstream } = store(INFO, () => ({ ...SUCCESS, "effective-channel": channel, charm: charmOf(971, {}) }));
      return planPackage(upstream, NAME, [wish({ channels: ["14/edge/fix"] })]);
    };
    expect(shown(await effective("14/edge/fix"))).toEqual(["14/edge/fix 22.04/amd64 971"]);
    expect(shown(await effective("14/edge"))).toEqual(["14/edge 22.04/amd64 971"]);
    expect(failures(await planPackage(store().upstream, NAME, [wish({ channels: ["14/edge/fix"] })]))).toEqual([
      expect.stringMatching(/^cannot export postgresql-k8s from 14\/edge\/fix for ubuntu@22.04 amd64: ./),
    ]);
  });

  test("a bundle has no base, whatever its rows say", async () => {
    const any = { name: "all", channel: "all", architecture: "all" };
    const rows = ["stable", "edge"].map((risk) => ({
      channel: { name: `latest/${risk}`, track: "latest", risk, base: any },
      revision: { revision: 3 },
    }));
    const info = { type: "bundle", id: SUCCESS.charm.id, name: NAME, "channel-map": rows };
    const { upstream, asked } = store(info, ({ channel }) => ({
      ...SUCCESS,
      "effective-channel": channel,
      charm: { ...SUCCESS.charm, type: "bundle", revision: 3, bases: [null], resources: null },
    }));
    expect(shown(await planPackage(upstream, NAME, [wish({ channels: ["candidate"], systems: "all" })]))).toEqual(["latest/stable - 3"]);
    expect(
      asked
        .filter((one) => one.method === "POST")
        .flatMap(actionsOf)
        .map((one) => one["base"]),
    ).toEqual([null]);
  });
});

test("the channel map of a store that leaves the track out is that of latest", () => {
  const at = (channel: object) => ({ "channel-map": [{ channel: { base: null, ...channel }, revision: { revision: 1 } }] }) as never;
  const channels = (channel: object) => upstreamReleases(at(channel)).map((release) => release.channel);
  for (const track of ["", null, undefined]) expect(channels({ name: "stable", track, risk: "stable" })).toEqual(["latest/stable"]);
  expect(channels({ name: "2/edge/fix", track: "2", risk: "edge" })).toEqual(["2/edge/fix"]);
  expect(channels({ name: "2/nightly", track: "2", risk: "nightly" })).toEqual([]);
});

describe("pins", () => {
  test.each<[string, Partial<PackageRequest>, string[]]>([
    [
      "a revision goes to the default track's stable",
      { revision: 960, systems: [SYSTEM.noble] },
      ["16/stable 22.04/amd64 960 postgresql-image=207"],
    ],
    [
      "or to the channels that are named",
      { revision: 960, channels: ["14/stable", "chp/edge"] },
      ["14/stable 22.04/amd64 960 postgresql-image=200", "chp/edge 22.04/amd64 960 postgresql-image=200"],
    ],
    [
      "one of no channel, with its resource",
      { revision: 900, channels: ["14/stable"], resources: { "postgresql-image": 42 } },
      ["14/stable 22.04/amd64 900 postgresql-image=42"],
    ],
    [
      "a resource alone",
      { channels: ["14/stable"], resources: { "postgresql-image": 7 } },
      ["14/stable 22.04/amd64 960 postgresql-image=7"],
    ],
    [
      "the resource that is released anyway",
      { channels: ["14/stable"], resources: { "postgresql-image": 200 } },
      ["14/stable 22.04/amd64 960 postgresql-image=200"],
    ],
  ])("%s", async (_, more, releases) => {
    const plan = await planPackage(store().upstream, NAME, [wish(more)]);
    expect([failures(plan), shown(plan)]).toEqual([[], releases]);
  });

  test("of several resources the one that is named, and the others as they are released", async () => {
    const both = (action: Readonly<Record<string, unknown>>) => {
      const pinned = (action["resource-revisions"] ?? []) as { name: string; revision: number }[];
      const pins =
        action["revision"] === undefined
          ? { "postgresql-image": 200, config: 5 }
          : Object.fromEntries(pinned.map(({ name, revision }) => [name, revision]));
      return { ...SUCCESS, ...(action["revision"] === undefined && { "effective-channel": action["channel"] }), charm: charmOf(960, pins) };
    };
    const plan = await planPackage(store(INFO, both).upstream, NAME, [wish({ channels: ["14/stable"], resources: { config: 3 } })]);
    expect([failures(plan), shown(plan)]).toEqual([[], ["14/stable 22.04/amd64 960 postgresql-image=200 config=3"]]);
  });

  test("a resource of a track that is not there is the newest", async () => {
    const plan = await planPackage(store().upstream, NAME, [wish({ revision: 960, channels: ["9/stable"] })]);
    expect(shown(plan)).toEqual(["9/stable 22.04/amd64 960 postgresql-image=209"]);
  });

  test.each<[string, Partial<PackageRequest>, string]>([
    [
      "a revision that is not there",
      { revision: 5 },
      "cannot export postgresql-k8s revision 5: Revision 900 for ubuntu#22.04#amd64 was not found in the Store.",
    ],
    ["one of another architecture", { revision: 959 }, "cannot export postgresql-k8s revision 959: it does not run on amd64"],
    [
      "a resource revision that the store leaves out",
      { revision: 960, resources: { "postgresql-image": 999 } },
      "cannot export postgresql-k8s with postgresql-image 999: the store has no such revision of that resource",
    ],
    [
      "a resource that the charm does not have",
      { channels: ["14"], resources: { other: 1 } },
      "cannot export postgresql-k8s with other 1: the store has no such revision of that resource",
    ],
  ])("%s", async (_, more, message) => {
    const plan = await planPackage(store().upstream, NAME, [wish(more)]);
    expect([plan.planned, failures(plan)]).toEqual([undefined, [message]]);
  });

  test("reasons are told where nobody named it", async () => {
    const reasonsOf = async (...reasons: (string | undefined)[]) => {
      const wishes = reasons.map((reason) => wish(reason === undefined ? {} : { reason }));
      return (await planPackage(store().upstream, NAME, wishes)).planned?.reasons;
    };
    expect(await reasonsOf("bundle a names it", "bundle b names it", "bundle a names it")).toEqual([
      "bundle a names it",
      "bundle b names it",
    ]);
    expect(await reasonsOf("bundle a names it", undefined)).toEqual([]);
  });
});

describe("a lock", () => {
  const locked: LockedPackage = {
    name: NAME,
    id: INFO.id,
    defaultTrack: "14",
    releases: [
      {
        channel: "14/stable",
        base: { name: "ubuntu", channel: "22.04", architecture: "amd64" },
        revision: 960,
        releasedAt: "2026-01-01T00:00:00Z",
        resources: { "postgresql-image": 200 },
      },
    ],
    revisions: { 960: SUCCESS.charm.download["hash-sha-256"] },
    attributes: {},
    resources: { "postgresql-image_200": "0".repeat(64) },
    paths: { "postgresql-image": "postgres:local" },
  };

  test("is followed, whatever the channels have now", async () => {
    const { upstream, asked } = store({ ...INFO, "channel-map": [] });
    const plan = await planLockedPackage(upstream, locked);
    expect([failures(plan), shown(plan), plan.planned?.paths]).toEqual([
      [],
      ["14/stable 22.04/amd64 960 postgresql-image=200"],
      locked.paths,
    ]);
    expect(plan.planned?.releases).toEqual(locked.releases);
    expect(asked.filter((one) => one.method === "POST").flatMap(actionsOf)).toEqual([
      {
        action: "download",
        "instance-key": "download-0",
        name: NAME,
        revision: 960,
        base: null,
        "resource-revisions": [{ name: "postgresql-image", revision: 200 }],
      },
    ]);
  });

  test.each<[string, Partial<LockedPackage>, string]>([
    ["another id", { id: "other" }, `its id is ${INFO.id} upstream, and other in the lock`],
    [
      "a revision that is gone",
      { releases: locked.releases.map((one) => ({ ...one, revision: 5 })) },
      "revision 5 is not offered any more (Revision 900 for ubuntu#22.04#amd64 was not found in the Store.)",
    ],
    [
      "other bytes",
      { revisions: { 960: "1".repeat(64) } },
      `revision 960 has the sha256 ${SUCCESS.charm.download["hash-sha-256"]} upstream, and ${"1".repeat(64)} in the lock`,
    ],
    [
      "a resource that is gone",
      { releases: locked.releases.map((one) => ({ ...one, resources: { "postgresql-image": 999 } })) },
      "resource postgresql-image 999 is not offered any more",
    ],
  ])("that upstream does not fulfil: %s", async (_, change, why) => {
    const plan = await planLockedPackage(store().upstream, { ...locked, ...change });
    expect([plan.planned, failures(plan)]).toEqual([undefined, [`cannot export ${NAME} as locked: ${why}`]]);
    expect(plan.failed[0]?.failure.next).toBe("export without --locked to take what upstream has now");
  });

  test("of a file's resource with other bytes", async () => {
    const file = { ...IMAGE, type: "file", filename: "a.bin", revision: 200 };
    const { upstream } = store(INFO, () => ({ ...SUCCESS, charm: { ...charmOf(960, {}), resources: [file] } }));
    expect(failures(await planLockedPackage(upstream, locked))).toEqual([
      `cannot export ${NAME} as locked: resource postgresql-image 200 has the sha256 ${file.download["hash-sha-256"]} upstream, and ${"0".repeat(64)} in the lock`,
    ]);
  });
});
