/** What stands in an archive of a charm, a bundle or a snap: the writer's side of transfer.ts, snapexport.ts and metadata.ts. */

import type { ReadAt } from "../archives/archive.ts";
import { type NamedFacts, readSnapYaml } from "../archives/snapyaml.ts";
import { fullChannel } from "../catalog/channel.ts";
import { TEXTS } from "../catalog/package.ts";
import { shortChannel } from "../catalog/snap.ts";
import { ALGORITHMS, sumsOf } from "../digest.ts";
import { charmFile, type PlannedPackage, type PlannedRelease } from "./charmplan.ts";
import type { UpstreamFile } from "./client.ts";
import type { Inventory } from "./inventory.ts";
import { type PlannedSnap, snapFile } from "./snapplan.ts";
import type { UpstreamCharm, UpstreamResource, UpstreamSnap } from "./upstream.ts";

/** A file of an archive: bytes at hand, such as are fetched into it, or such as lie in another archive. */
export interface PackedFile {
  /** below its package */
  readonly path: string;
  readonly content: Uint8Array | UpstreamFile | ReadAt;
  /** what is told of it as it comes, in words; files of one label are told of together */
  readonly label?: string;
}

/** The files of one package. */
export interface PackedPackage {
  readonly name: string;
  readonly type: "charm" | "bundle" | "snap";
  readonly files: readonly PackedFile[];
}

/** What is known of a charm besides its plan. */
export interface CharmExtras {
  /** `NAME_REVISION` of an oci-image to its blob, without credentials */
  readonly images: ReadonlyMap<string, Uint8Array>;
  /** the publisher's account assertion, with the keys that signed it */
  readonly account: string | undefined;
  /** what the other side has already */
  readonly inventory: Inventory | undefined;
}

export function resourceFile({ download }: UpstreamResource): UpstreamFile {
  return { url: download.url, size: download.size, algorithm: "sha-256", digest: download["hash-sha-256"] };
}

/** A file to fetch, where the other side does not have it. */
function fetchedUnlessIn(inventory: Inventory | undefined) {
  return (path: string, file: UpstreamFile, label: string): PackedFile[] =>
    inventory?.has(file.algorithm, file.digest) ? [] : [{ path, content: file, label }];
}

export function packPackage(planned: PlannedPackage, { images, account, inventory }: CharmExtras): PackedPackage {
  const { name, type, revisions, resources } = planned;
  const fetched = fetchedUnlessIn(inventory);
  const channelOf = (revision: number) => {
    const channel = planned.releases.find((one) => one.revision === revision)?.channel;
    if (channel === undefined) return "in no channel";
    // As documented: in full where a file names the charm, by the store's short name where a bundle does.
    const full = planned.type === "bundle" || planned.reasons.length > 0 ? fullChannel(channel, "latest") : undefined;
    return full ? shortChannel(full) : channel;
  };
  const files: PackedFile[] = [
    ...revisions.flatMap((one) =>
      fetched(`${name}_${one.revision}.${type}`, charmFile(one), `${name} revision ${one.revision} (${channelOf(one.revision)})`),
    ),
    { path: "metadata.json", content: Buffer.from(`${JSON.stringify(metadataOf(planned, images), null, 1)}\n`) },
    ...(account === undefined ? [] : [{ path: `${name}_publisher_account.assert`, content: Buffer.from(account) }]),
    ...resources.flatMap((one): PackedFile[] => {
      const path = `resources/${name}.${one.name}_${one.revision}`;
      const image = images.get(`${one.name}_${one.revision}`);
      const label = `resources for ${name}`;
      if (!image) return fetched(path, resourceFile(one), label);
      return inventory?.has("sha-256", sumsOf(image)["sha-256"]) ? [] : [{ path, content: image, label }];
    }),
  ];
  return { name, type, files };
}

/**
 * The info reply, its channel map cut to what was taken, and under `chp` what an importer needs besides: see `OwnSchema` of
 * metadata.ts. Nothing in it moves as upstream's channels do, nor names a server, so that a lock gives the same bytes again.
 */
function metadataOf(planned: PlannedPackage, images: ReadonlyMap<string, Uint8Array>): unknown {
  const { type, info, defaultTrack, releases, revisions, paths } = planned;
  // Of a bundle it is what its newest revision names, and whoever serves it finds the ids among what it holds.
  const { "contains-charms": contained, ...result } = info.result ?? {};
  const resources = new Map(
    planned.resources.map((one) => {
      const key = `${one.name}_${one.revision}`;
      const image = images.get(key);
      return [key, { ...picked(one, RESOURCE_KEYS), download: image ? sumsAsTold(image) : withoutUrl(one.download) }];
    }),
  );
  const rowOf = ({ channel, base, revision, releasedAt }: PlannedRelease, keys: readonly string[]) => {
    const { track = "latest", risk = "stable" } = fullChannel(channel, "latest") ?? {};
    const charm = revisions.find((one) => one.revision === revision);
    return {
      channel: { name: channel, track, risk, base, "released-at": releasedAt ?? null },
      revision: charm ? toldOf(charm, keys) : { revision },
    };
  };
  const first = releases.find((one) => fullChannel(one.channel, "latest")?.track === defaultTrack) ?? releases[0];
  const pinned = Object.entries(first?.resources ?? {});
  return {
    ...info,
    result: type === "charm" && contained !== undefined ? { ...result, "contains-charms": contained } : result,
    "default-track": defaultTrack,
    "default-release": first && {
      ...rowOf(first, REVISION_KEYS),
      resources: pinned.flatMap(([name, pin]) => resources.get(`${name}_${pin}`) ?? []),
    },
    "channel-map": releases.map((release) => rowOf(release, ROW_KEYS)),
    chp: {
      format: 1,
      releases: releases.map(({ channel, base, revision, releasedAt, resources: pins }) => ({
        channel,
        base,
        revision,
        ...(releasedAt !== undefined && { "released-at": releasedAt }),
        resources: pins,
      })),
      revisions: revisions.map((one) => toldOf(one, REVISION_KEYS)),
      resources: [...resources.values()],
      ...(Object.keys(paths).length > 0 && { paths }),
    },
  };
}

const RESOURCE_KEYS = ["name", "revision", "type", "filename", "description", "created-at"];
const ROW_KEYS = ["revision", "version", "created-at", "bases", "attributes"];
const REVISION_KEYS = [...ROW_KEYS, ...TEXTS];

function toldOf(charm: UpstreamCharm, keys: readonly string[]): Record<string, unknown> {
  return { ...picked(charm, keys), download: withoutUrl(charm.download) };
}

function picked(from: Readonly<Record<string, unknown>>, keys: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(keys.flatMap((key) => (from[key] === undefined ? [] : [[key, from[key]]])));
}

function withoutUrl(download: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(download).filter(([key]) => key !== "url"));
}

function sumsAsTold(bytes: Uint8Array): Record<string, unknown> {
  const sums = sumsOf(bytes, ALGORITHMS);
  return { size: sums.size, ...Object.fromEntries(ALGORITHMS.map((algorithm) => [`hash-${algorithm}`, sums[algorithm]])) };
}

/* ---- snaps ---- */

export function packSnap(planned: PlannedSnap, inventory: Inventory | undefined): PackedPackage {
  const { name, revisions, assertions } = planned;
  const fetched = fetchedUnlessIn(inventory);
  const placeOf = ({ revision, architectures }: UpstreamSnap) => {
    const release = planned.releases.find((one) => one.revision === revision);
    return release ? `${release.channel} ${release.architecture}` : (architectures ?? []).join(", ");
  };
  const components = new Map(
    revisions.flatMap((one) =>
      (one.resources ?? []).map((component) => [`${name}+${component.name}_${component.revision}.comp`, snapFile(component)]),
    ),
  );
  return {
    name,
    type: "snap",
    files: [
      ...revisions.flatMap((one) =>
        fetched(`${name}_${one.revision}.snap`, snapFile(one), `${name} revision ${one.revision} (${placeOf(one)})`),
      ),
      ...revisions.map((one) => ({ path: `${name}_${one.revision}.assert`, content: Buffer.from(assertions.get(one.revision) ?? "") })),
      ...[...components].flatMap(([path, file]) => fetched(path, file, `components of ${name}`)),
      { path: "channel-map.json", content: Buffer.from(`${JSON.stringify(channelMapOf(planned), null, 1)}\n`) },
    ],
  };
}

const FACT_KEYS = ["version", "type", "base", "confinement", "architectures", "epoch", "created-at"];

/** The shape of the store's info reply, its channel map cut to what was taken; under `chp` what an importer needs besides. */
function channelMapOf({ name, id, info, defaultTrack, releases, revisions }: PlannedSnap): unknown {
  return {
    name,
    "snap-id": id,
    "default-track": defaultTrack,
    snap: { name, "snap-id": id, ...detailsOf(info?.snap ?? {}, revisions) },
    "channel-map": releases.map(({ channel, architecture, revision, releasedAt }) => {
      const full = fullChannel(channel, "latest") ?? { track: "latest", risk: "stable" as const };
      const snap = revisions.find((one) => one.revision === revision);
      return {
        channel: {
          architecture,
          name: shortChannel(full),
          track: full.track,
          risk: full.risk,
          ...(releasedAt !== undefined && { "released-at": releasedAt }),
        },
        revision,
        ...picked(snap ?? {}, FACT_KEYS),
      };
    }),
    chp: { format: 1, revisions: revisions.map((one) => picked(one, ["revision", ...FACT_KEYS, "snap-yaml"])) },
  };
}

/** What a snap.yaml says of the same, as a store shows it. */
const OWN: Readonly<Record<string, (yaml: NamedFacts) => unknown>> = {
  title: (yaml) => yaml.title ?? yaml.name,
  summary: (yaml) => yaml.summary ?? "",
  description: (yaml) => yaml.description ?? "",
  license: (yaml) => yaml.license ?? "",
  contact: (yaml) => yaml.contact ?? "",
  website: (yaml) => yaml.website ?? null,
  links: (yaml) => yaml.links,
};

/** What the store says over the snap.yaml of its revisions: what only repeats that is left out, so that each keeps its own. */
function detailsOf(told: Readonly<Record<string, unknown>>, revisions: readonly UpstreamSnap[]): Record<string, unknown> {
  const yamls = revisions.map((one) =>
    one["snap-yaml"] ? readSnapYaml(one["snap-yaml"], `snap.yaml of ${one.name} ${one.revision}`) : undefined,
  );
  const [newest] = revisions.toReversed();
  const shown = { ...newest, ...told };
  const over = Object.entries(OWN).flatMap(([key, own]) => {
    const repeats = revisions.every((one, i) => {
      const yaml = yamls[i];
      return yaml && JSON.stringify(one[key] ?? own(yaml)) === JSON.stringify(own(yaml));
    });
    return repeats || shown[key] === undefined ? [] : [[key, shown[key]]];
  });
  return { ...Object.fromEntries(over), ...picked(shown, ["store-url", "categories", "store"]) };
}
