/** What controller36 must be answered: cases by hand, sums and rows from what was exported. */

import { bytesOf, type PackageSpec } from "../build.ts";
import { FIRST, SECOND } from "./world.ts";

export const REGISTRY = { domain: "registry.example:5000", username: "puller", password: "pull-only" };

export interface Asked {
  readonly name: string;
  readonly arch?: string;
  readonly channel?: string;
  readonly base?: string;
  readonly revision?: number;
}

/** revision, the channel that Juju goes on to track, the base that it takes */
type Gives = readonly [number, string, string?];

const RESOLVE: readonly (readonly [Asked, Gives])[] = [
  // By channel without a base: the hub suggests bases, Juju takes the first and asks again.
  [{ name: "acme-web" }, [31, "2/stable", "24.04"]],
  [{ name: "acme-web", channel: "stable" }, [31, "2/stable", "24.04"]],
  [{ name: "acme-web", channel: "2/stable" }, [31, "2/stable", "24.04"]],
  [{ name: "acme-web", channel: "edge" }, [33, "2/edge", "24.04"]],
  [{ name: "acme-web", channel: "1/beta" }, [12, "1/beta", "22.04"]],
  [{ name: "acme-web", channel: "1/edge" }, [12, "1/beta", "22.04"]],
  [{ name: "acme-web", channel: "latest/stable" }, [7, "latest/stable", "20.04"]],
  [{ name: "tiny" }, [5, "latest/stable", "22.04"]],
  [{ name: "acme-db" }, [20, "14/stable", "24.04"]],
  [{ name: "juju-controller", channel: "3.6/stable" }, [116, "3.6/stable", "24.04"]],
  // With a base; closed risks and unknown branches fall back to the next safer release on that base.
  [{ name: "acme-web", base: "24.04" }, [31, "2/stable", "24.04"]],
  [{ name: "acme-web", base: "22.04" }, [30, "2/stable", "22.04"]],
  [{ name: "acme-web", channel: "2/candidate", base: "24.04" }, [31, "2/stable", "24.04"]],
  [{ name: "acme-web", channel: "beta", base: "24.04" }, [31, "2/stable", "24.04"]],
  [{ name: "acme-web", channel: "2/edge", base: "22.04" }, [30, "2/stable", "22.04"]],
  [{ name: "acme-web", channel: "2/edge/hotfix", base: "24.04" }, [33, "2/edge", "24.04"]],
  // Other architectures.
  [{ name: "acme-web", arch: "arm64" }, [32, "2/stable", "24.04"]],
  [{ name: "acme-web", arch: "arm64", channel: "2/edge" }, [32, "2/stable", "24.04"]],
  [{ name: "acme-web", arch: "s390x", channel: "latest/stable" }, [8, "latest/stable", "20.04"]],
  [{ name: "tiny", arch: "arm64", base: "22.04" }, [5, "latest/stable", "22.04"]],
  // By revision and channel: Juju keeps the channel as it was asked for.
  [{ name: "acme-web", channel: "2/stable", revision: 31 }, [31, "2/stable", "24.04"]],
  [{ name: "acme-web", channel: "2/stable", base: "22.04", revision: 30 }, [30, "2/stable", "22.04"]],
  [{ name: "acme-web", channel: "2/stable", revision: 29 }, [29, "2/stable", "22.04"]],
  [{ name: "acme-web", channel: "latest/stable", arch: "s390x", revision: 8 }, [8, "latest/stable", "20.04"]],
  // Bundles, which are asked for with and without a base.
  [{ name: "acme-stack" }, [3, "latest/stable"]],
  [{ name: "acme-stack", channel: "latest/edge", base: "24.04" }, [3, "latest/stable"]],
  [{ name: "acme-stack", revision: 3 }, [3, "latest/stable"]],
];

const LISTED = "available releases are";

const REFUSE: readonly (readonly [Asked, ...string[]])[] = [
  [{ name: "no-such-charm" }, "resolving error", "not found"],
  [{ name: "no-such-charm", revision: 1 }, "resolving error", "not found"],
  [{ name: "acme-web", channel: "9/stable" }, 'for channel "9/stable"', LISTED, 'channel "2/stable"', "ubuntu@24.04"],
  [{ name: "acme-web", channel: "9/stable", base: "24.04" }, 'for channel "9/stable"', LISTED, 'channel "2/stable"', "ubuntu@24.04"],
  [{ name: "acme-web", channel: "1/stable" }, 'for channel "1/stable"', LISTED, 'channel "1/beta"', "ubuntu@22.04"],
  [{ name: "acme-web", channel: "9/edge/hotfix" }, "ambiguous arch"],
  [{ name: "acme-web", base: "18.04" }, "default channel", LISTED, "ubuntu@22.04"],
  [{ name: "acme-web", channel: "2/stable", base: "18.04" }, LISTED, 'channel "2/stable"', "ubuntu@22.04"],
  [{ name: "acme-web", channel: "2/stable", arch: "s390x" }, 'for channel "2/stable"', LISTED, 'channel "latest/stable"', "ubuntu@20.04"],
  [{ name: "acme-web", arch: "riscv64" }, "not found", "riscv64"],
  [{ name: "acme-web", revision: 900 }, "not found", LISTED, 'channel "2/stable"'],
  [{ name: "acme-web", channel: "2/stable", revision: 900 }, 'for channel "2/stable"', LISTED],
  [{ name: "acme-stack", channel: "9/stable" }, 'not found for channel "9/stable"'],
  [{ name: "acme-stack", revision: 900 }, "not found"],
];

/** what an application tracks, the revision that it runs, what it is to be offered */
type Update = readonly [Asked, number, Gives];

const NOBLE = { name: "acme-web", channel: "2/stable", base: "24.04" };

const UPDATES: readonly Update[] = [
  [NOBLE, 31, [31, "2/stable"]],
  [NOBLE, 29, [31, "2/stable"]],
  [NOBLE, -1, [31, "2/stable"]],
  [NOBLE, 7777, [31, "2/stable"]],
  [{ ...NOBLE, channel: "2/beta" }, 30, [31, "2/stable"]],
  [{ ...NOBLE, base: "22.04" }, 29, [30, "2/stable"]],
  [{ ...NOBLE, arch: "arm64" }, 32, [32, "2/stable"]],
  [{ name: "acme-web", base: "24.04" }, 30, [31, "2/stable"]],
  [{ name: "acme-web", channel: "latest/stable", base: "20.04" }, 6, [7, "latest/stable"]],
  [{ name: "acme-db", channel: "14/edge", base: "24.04" }, 20, [25, "14/edge"]],
  [{ name: "tiny", channel: "latest/stable", base: "22.04", arch: "arm64" }, 5, [5, "latest/stable"]],
];

const PINNED: readonly (readonly [string, number])[] = [
  ...[1, 2, 3, 4, 5].map((revision) => ["site", revision] as const),
  ...[10, 11, 12].map((revision) => ["web-image", revision] as const),
];

/** After the second export. */
const RESOLVE_LATER: typeof RESOLVE = [
  [{ name: "acme-web" }, [34, "2/stable", "24.04"]],
  [{ name: "acme-web", channel: "2/stable", revision: 31 }, [31, "2/stable", "24.04"]],
  [{ name: "acme-web", base: "22.04" }, [30, "2/stable", "22.04"]],
  [{ name: "acme-db" }, [20, "14/stable", "24.04"]],
];

const UPDATES_LATER: readonly Update[] = [
  [NOBLE, 31, [34, "2/stable"]],
  [NOBLE, 34, [34, "2/stable"]],
  [{ ...NOBLE, base: "22.04" }, 30, [30, "2/stable"]],
  [{ name: "acme-db", channel: "14/stable", base: "24.04" }, 20, [20, "14/stable"]],
];

/** While an override holds what the second export moved. */
const UPDATES_HELD: readonly Update[] = [
  [NOBLE, 31, [31, "2/stable"]],
  [NOBLE, 34, [31, "2/stable"]],
  [{ ...NOBLE, channel: "2/beta" }, 30, [31, "2/stable"]],
  [{ ...NOBLE, base: "22.04" }, 30, [30, "2/stable"]],
];

/** What the hub holds when both are imported: the channels of the later, the revisions of both. */
function both(earlier: readonly PackageSpec[], later: readonly PackageSpec[]): readonly PackageSpec[] {
  const newer = new Map(later.map((spec) => [spec.name, spec]));
  return earlier.map((old) => {
    const spec = newer.get(old.name);
    if (!spec) return old;
    const resources = Object.entries(spec.resources ?? {}).map(
      ([name, r]) => [name, { ...r, revisions: { ...old.resources?.[name]?.revisions, ...r.revisions } }] as const,
    );
    return { ...spec, revisions: { ...old.revisions, ...spec.revisions }, resources: Object.fromEntries(resources) };
  });
}

function expectation(
  packages: readonly PackageSpec[],
  resolve: typeof RESOLVE,
  updates: readonly Update[],
  refuse: typeof REFUSE = [],
  pinned: typeof PINNED = [],
): object {
  const as = (asked: Asked, [revision, channel, base = asked.base]: Gives) => {
    const arch = asked.arch ?? "amd64";
    const releases = [...packages, ...FIRST].filter(({ name }) => name === asked.name).flatMap((spec) => spec.releases);
    const row = releases.find(
      (r) => r.revision === revision && r.channel === channel && r.base?.channel === base && r.base?.architecture === arch,
    );
    return { ...asked, arch, gives: { revision, channel, base, resources: row?.resources ?? {} } };
  };
  return {
    packages: packages.map(seen),
    resolve: resolve.map(([asked, gives]) => as(asked, gives)),
    refuse: refuse.map(([asked, ...says]) => ({ arch: "amd64", ...asked, says })),
    pins: pinned.map(([resource, revision]) => ({ ...as(NOBLE, [31, "2/stable"]), resource, pinned: revision })),
    updates: updates.map(([asked, installed, gives]) => ({ ...as(asked, gives), installed })),
    registry: REGISTRY,
  };
}

function seen(spec: PackageSpec): object {
  const content = (bytes: string | Uint8Array) => ({ size: bytesOf(bytes).byteLength, sha256: sha256(bytes) });
  const map = <T, U>(record: Readonly<Record<string, T>>, change: (value: T, key: string) => U) =>
    Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value, key)]));
  return {
    name: spec.name,
    type: spec.type,
    id: spec.id,
    publisher: spec.publisher?.["display-name"],
    firstTrack: spec.defaultTrack,
    rows: spec.releases.map(({ channel, base, revision }) => ({ channel, base: base?.channel, arch: base?.architecture, revision })),
    archives: map(spec.revisions, content),
    resources: map(spec.resources ?? {}, ({ type, revisions }) => ({
      type,
      revisions: map(revisions, (bytes) => (type === "file" ? content(bytes) : { image: here(bytes) })),
    })),
  };
}

/** An exported image, as it is to be pulled from the local registry. */
function here(blob: string | Uint8Array): string {
  const { ImageName: name } = JSON.parse(Buffer.from(bytesOf(blob)).toString()) as { ImageName: string };
  return name.replace(/^[^/]*/, REGISTRY.domain);
}

export function sha256(bytes: string | Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
}

export const EXPECT_FIRST: object = expectation(FIRST, RESOLVE, UPDATES, REFUSE, PINNED);

export const EXPECT_LATER: object = expectation(both(FIRST, SECOND), RESOLVE_LATER, UPDATES_LATER);

/** What was had of the first export by its channels is had so again; refusals list its channels. */
export const EXPECT_HELD: object = expectation(
  both(FIRST, SECOND).map((spec) => ({ ...spec, releases: FIRST.find(({ name }) => name === spec.name)?.releases ?? [] })),
  RESOLVE,
  UPDATES_HELD,
  REFUSE,
);
