/** What is exported for the clients: the conformance cases' packages, and a charm with everything that a release can be. */

import { base, charmZip, exportOf, imageBlob, type PackageSpec, type ReleaseSpec, type TestBase } from "../build.ts";
import { ACME, FOCAL, JAMMY, NOBLE, NOBLE_ARM, PACKAGES } from "../world.ts";

const IBM_Z = base("s390x", "20.04");
const ID = "Qw8nZt4vRk2yLm6xHb3cJf9pSd5gTa7E";
const DECLARED = { site: { type: "file", filename: "site.tar" }, "web-image": { type: "oci-image" } } as const;

const imageOf = (revision: number) =>
  imageBlob(`registry.jujucharms.com/charm/${ID.toLowerCase()}/web-image@sha256:${String(revision % 10).repeat(64)}`);

function web(releases: readonly ReleaseSpec[], unreleased: Readonly<Record<number, TestBase>>, sites: readonly number[]): PackageSpec {
  const bases: Record<number, TestBase[]> = {};
  for (const { revision, base: on } of releases) if (on) bases[revision] = [...(bases[revision] ?? []), on];
  for (const [revision, on] of Object.entries(unreleased)) bases[Number(revision)] = [on];
  const zip = (revision: number) =>
    charmZip({
      name: "acme-web",
      revision,
      bases: bases[revision] ?? [],
      resources: DECLARED,
      files: { "config.yaml": "options:\n  port:\n    type: int\n    default: 80\n", "src/charm.py": `# ${revision}\n` },
    });
  const images = releases.map(({ resources }) => resources?.["web-image"] ?? 0);
  return {
    name: "acme-web",
    id: ID,
    type: "charm",
    publisher: ACME,
    defaultTrack: "2",
    revisions: Object.fromEntries(Object.keys(bases).map((revision) => [revision, zip(Number(revision))])),
    bases,
    resources: {
      site: { ...DECLARED.site, revisions: Object.fromEntries(sites.map((n) => [n, `site ${n}\n`.repeat(50_000)])) },
      "web-image": {
        ...DECLARED["web-image"],
        revisions: Object.fromEntries(images.map((n) => [n, imageOf(n)])),
      },
    },
    releases,
  };
}

const release = (channel: string, on: TestBase, revision: number, site: number, image: number): ReleaseSpec => ({
  channel,
  base: on,
  revision,
  resources: { site, "web-image": image },
});

// 2/candidate, 2/beta and 1/stable are closed; the default track is not the first; revision 29 and site 3 are in no channel.
const RELEASES = [
  release("latest/stable", FOCAL, 7, 1, 10),
  release("latest/stable", IBM_Z, 8, 1, 10),
  release("1/beta", JAMMY, 12, 2, 10),
  release("2/stable", JAMMY, 30, 4, 11),
  release("2/stable", NOBLE_ARM, 32, 4, 11),
  release("2/edge", NOBLE, 33, 5, 12),
];

export const FIRST: readonly PackageSpec[] = [
  ...PACKAGES,
  web([...RELEASES, release("2/stable", NOBLE, 31, 4, 11)], { 29: JAMMY }, [1, 2, 3, 4, 5]),
];

/** The next export: 2/stable has a new revision for 24.04, with a new site. */
export const SECOND: readonly PackageSpec[] = [web([...RELEASES, release("2/stable", NOBLE, 34, 6, 12)], {}, [1, 2, 4, 5, 6])];

export const EXPORTS: Readonly<Record<string, Uint8Array>> = {
  "first-20260301T120000.tar.gz": exportOf(FIRST),
  "second-20260401T120000.tar.gz": exportOf(SECOND),
};
