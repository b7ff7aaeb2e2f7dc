/** The files of a charm, a bundle or a snap in an archive, in the layout that `src/import` reads. */

import type { ReadAt } from "../archives/archive.ts";
import { readSnapYaml, type SnapYamlFacts } from "../archives/snapyaml.ts";
import { type FullChannel, fullChannel } from "../catalog/channel.ts";
import { TEXTS } from "../catalog/package.ts";
import { shortChannel } from "../catalog/snap.ts";
import { ALGORITHMS, sumsOf } from "../digest.ts";
import type { UpstreamFile } from "./client.ts";
import type { Inventory } from "./inventory.ts";
import type { PlannedPackage, PlannedRelease, PlannedSnap } from "./plan.ts";
import { charmhubFile, snapStoreFile, type UpstreamCharm, type UpstreamSnap } from "./upstream.ts";

/** The folder of an archive that has agents, and below it what upstream's paths are. */
export const AGENTS_FOLDER = "agents";

/** A file of an archive: bytes in memory, a file to download, or bytes of another archive. */
export interface PackedFile {
  /** below its package */
  readonly path: string;
  readonly content: Uint8Array | UpstreamFile | ReadAt;
  /** what it is in reports of progress, in words; files of the same label are reported together */
  readonly label?: string;
}

/** The files of one package, or of an image: see `packImages`. */
export interface PackedPackage {
  readonly name: string;
  readonly type: "charm" | "bundle" | "snap" | "image" | "agent";
  readonly files: readonly PackedFile[];
}

/** Content of a charm's archive that is not in its plan. */
export interface CharmExtras {
  /** `NAME_REVISION` of an oci-image to its blob, without credentials */
  readonly images: ReadonlyMap<string, Uint8Array>;
  /** the publisher's account assertion, with the keys that signed it */
  readonly account: string | undefined;
  /** files that the other side already has */
  readonly inventory: Inventory | undefined;
}

/** A file to download; none if the other side has it. */
export function downloadUnlessIn(inventory: Inventory | undefined) {
  return (path: string, file: UpstreamFile, label: string): PackedFile[] =>
    inventory?.has(file.algorithm, file.digest) ? [] : [{ path, content: file, label }];
}

export function packPackage(planned: PlannedPackage, { images, account, inventory }: CharmExtras): PackedPackage {
  const { name, type, releases, revisions, resources } = planned;
  const download = downloadUnlessIn(inventory);
  const channelText = (revision: number) => {
    const channel = releases.find((release) => release.revision === revision)?.channel;
    if (channel === undefined) return "in no channel";
    // As documented: in full where a file names the charm, by the store's short name where a bundle does.
    return type === "bundle" || planned.reasons.length > 0 ? shortChannel(splitChannel(channel)) : channel;
  };
  const files: PackedFile[] = [
    ...revisions.flatMap((charm) => {
      const { revision } = charm;
      return download(`${name}_${revision}.${type}`, charmhubFile(charm), `${name} revision ${revision} (${channelText(revision)})`);
    }),
    { path: "metadata.json", content: jsonFile(charmMetadata(planned, images)) },
    ...(account === undefined ? [] : [{ path: `${name}_publisher_account.assert`, content: Buffer.from(account) }]),
    ...resources.flatMap((resource): PackedFile[] => {
      const key = `${resource.name}_${resource.revision}`;
      const path = `resources/${name}.${key}`;
      const image = images.get(key);
      const label = `resources for ${name}`;
      if (!image) return download(path, charmhubFile(resource), label);
      return inventory?.has("sha-256", sumsOf(image)["sha-256"]) ? [] : [{ path, content: image, label }];
    }),
  ];
  return { name, type, files };
}

function jsonFile(value: unknown): Uint8Array {
  return Buffer.from(`${JSON.stringify(value, null, 1)}\n`);
}

/** A channel of a plan, which is in full. */
function splitChannel(channel: string): FullChannel {
  return fullChannel(channel, "latest") ?? { track: "latest", risk: "stable" };
}

/**
 * The info reply, its channel map cut to what was taken, and under `chp` what an importer needs besides: see `OwnSchema` of
 * metadata.ts. Nothing in it changes when upstream releases something, nor names a server, so that a lock gives the same bytes again.
 */
function charmMetadata(planned: PlannedPackage, images: ReadonlyMap<string, Uint8Array>): unknown {
  const { type, info, defaultTrack, releases, revisions, paths } = planned;
  // Of a bundle it is what its newest revision names, and whoever serves it finds the ids in its own store.
  const { "contains-charms": contained, ...result } = info.result ?? {};
  const resources = new Map(
    planned.resources.map((resource) => {
      const key = `${resource.name}_${resource.revision}`;
      const image = images.get(key);
      return [key, { ...pick(resource, RESOURCE_KEYS), download: image ? downloadOfImage(image) : withoutUrl(resource.download) }];
    }),
  );
  const rowOf = ({ channel, base, revision, releasedAt }: PlannedRelease, keys: readonly string[]) => {
    const { track, risk } = splitChannel(channel);
    const charm = revisions.find((candidate) => candidate.revision === revision);
    return {
      channel: { name: channel, track, risk, base, "released-at": releasedAt ?? null },
      revision: charm ? revisionFields(charm, keys) : { revision },
    };
  };
  const first = releases.find((release) => splitChannel(release.channel).track === defaultTrack) ?? releases[0];
  const pins = Object.entries(first?.resources ?? {});
  return {
    ...info,
    result: type === "charm" && contained !== undefined ? { ...result, "contains-charms": contained } : result,
    "default-track": defaultTrack,
    "default-release": first && {
      ...rowOf(first, REVISION_KEYS),
      resources: pins.flatMap(([name, pin]) => resources.get(`${name}_${pin}`) ?? []),
    },
    "channel-map": releases.map((release) => rowOf(release, ROW_KEYS)),
    chp: {
      format: 1,
      releases: releases.map(({ channel, base, revision, releasedAt, resources: released }) => ({
        channel,
        base,
        revision,
        ...(releasedAt !== undefined && { "released-at": releasedAt }),
        resources: released,
      })),
      revisions: revisions.map((charm) => revisionFields(charm, REVISION_KEYS)),
      resources: [...resources.values()],
      ...(Object.keys(paths).length > 0 && { paths }),
    },
  };
}

const RESOURCE_KEYS = ["name", "revision", "type", "filename", "description", "created-at"];
const ROW_KEYS = ["revision", "version", "created-at", "bases", "attributes"];
const REVISION_KEYS = [...ROW_KEYS, ...TEXTS];

function revisionFields(charm: UpstreamCharm, keys: readonly string[]): Record<string, unknown> {
  return { ...pick(charm, keys), download: withoutUrl(charm.download) };
}

function pick(from: Readonly<Record<string, unknown>>, keys: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(keys.flatMap((key) => (from[key] === undefined ? [] : [[key, from[key]]])));
}

function withoutUrl(download: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(download).filter(([key]) => key !== "url"));
}

/** Size and digests of an image's blob in the fields of a `download`. */
function downloadOfImage(bytes: Uint8Array): Record<string, unknown> {
  const sums = sumsOf(bytes, ALGORITHMS);
  return { size: sums.size, ...Object.fromEntries(ALGORITHMS.map((algorithm) => [`hash-${algorithm}`, sums[algorithm]])) };
}

/* ---- snaps ---- */

export function packSnap(planned: PlannedSnap, inventory: Inventory | undefined): PackedPackage {
  const { name, releases, revisions, assertions } = planned;
  const download = downloadUnlessIn(inventory);
  const placeText = ({ revision, architectures }: UpstreamSnap) => {
    const release = releases.find((candidate) => candidate.revision === revision);
    return release ? `${release.channel} ${release.architecture}` : (architectures ?? []).join(", ");
  };
  const components = new Map(
    revisions.flatMap((snap) =>
      (snap.resources ?? []).map((component) => [`${name}+${component.name}_${component.revision}.comp`, snapStoreFile(component)]),
    ),
  );
  return {
    name,
    type: "snap",
    files: [
      ...revisions.flatMap((snap) => {
        const { revision } = snap;
        return download(`${name}_${revision}.snap`, snapStoreFile(snap), `${name} revision ${revision} (${placeText(snap)})`);
      }),
      ...revisions.map(({ revision }) => ({ path: `${name}_${revision}.assert`, content: Buffer.from(assertions.get(revision) ?? "") })),
      ...[...components].flatMap(([path, file]) => download(path, file, `components of ${name}`)),
      { path: "channel-map.json", content: jsonFile(snapChannelMap(planned)) },
    ],
  };
}

const FACT_KEYS = ["version", "type", "base", "confinement", "architectures", "epoch", "created-at"];

/** The shape of the store's info reply, its channel map cut to what was taken; under `chp` what an importer needs besides. */
function snapChannelMap({ name, id, info, defaultTrack, releases, revisions }: PlannedSnap): unknown {
  return {
    name,
    "snap-id": id,
    "default-track": defaultTrack,
    snap: { name, "snap-id": id, ...storeTexts(info?.snap ?? {}, revisions) },
    "channel-map": releases.map(({ channel, architecture, revision, releasedAt }) => {
      const full = splitChannel(channel);
      const snap = revisions.find((candidate) => candidate.revision === revision);
      return {
        channel: {
          architecture,
          name: shortChannel(full),
          track: full.track,
          risk: full.risk,
          ...(releasedAt !== undefined && { "released-at": releasedAt }),
        },
        revision,
        ...pick(snap ?? {}, FACT_KEYS),
      };
    }),
    chp: { format: 1, revisions: revisions.map((snap) => pick(snap, ["revision", ...FACT_KEYS, "snap-yaml"])) },
  };
}

/** The texts that a store takes from snap.yaml if the publisher set none. */
const TEXTS_OF_YAML: Readonly<Record<string, (yaml: SnapYamlFacts) => unknown>> = {
  title: (yaml) => yaml.title ?? yaml.name,
  summary: (yaml) => yaml.summary ?? "",
  description: (yaml) => yaml.description ?? "",
  license: (yaml) => yaml.license ?? "",
  contact: (yaml) => yaml.contact ?? "",
  website: (yaml) => yaml.website ?? null,
  links: (yaml) => yaml.links,
};

/** The store's own texts of a snap: those that only repeat each revision's snap.yaml are left out, so that each keeps its own. */
function storeTexts(details: Readonly<Record<string, unknown>>, revisions: readonly UpstreamSnap[]): Record<string, unknown> {
  const yamls = revisions.map((snap) =>
    snap["snap-yaml"] ? readSnapYaml(snap["snap-yaml"], `snap.yaml of ${snap.name} ${snap.revision}`) : undefined,
  );
  const [newest] = revisions.toReversed();
  const shown = { ...newest, ...details };
  const texts = Object.entries(TEXTS_OF_YAML).flatMap(([key, textOf]) => {
    const isRepeated = revisions.every((snap, i) => {
      const yaml = yamls[i];
      return yaml && JSON.stringify(snap[key] ?? textOf(yaml)) === JSON.stringify(textOf(yaml));
    });
    return isRepeated || shown[key] === undefined ? [] : [[key, shown[key]]];
  });
  return { ...Object.fromEntries(texts), ...pick(shown, ["store-url", "categories", "store"]) };
}
