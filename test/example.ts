/**
 * Writes the example exports that `make run` imports: `bun test/example.ts FOLDER`. The charms are real but for their
 * code, from test/fixtures; the same sources give the same bytes.
 */

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { base, exportOf, type Files, imageBlob, type PackageSpec, type ReleaseSpec, zipOf } from "./build.ts";

const FIXTURES = join(import.meta.dir, "fixtures");
const CANONICAL = { id: "canonical", username: "canonical", "display-name": "Canonical", validation: "verified" };

function texts(folder: string): Files {
  const path = join(FIXTURES, folder);
  return Object.fromEntries(readdirSync(path).map((name) => [name, readFileSync(join(path, name))]));
}

/** A charm of the fixtures, with one zip a revision and one image blob a resource revision. */
function charm(name: string, id: string, releases: readonly ReleaseSpec[]): PackageSpec {
  const files = texts(`charms/${name}`);
  const metadata = Bun.YAML.parse(Buffer.from(files["metadata.yaml"] ?? "").toString()) as { summary?: string };
  const summary = metadata.summary?.trim() ?? name;
  const revisions = [...new Set(releases.map((r) => r.revision))];
  const pins = releases.flatMap((r) => Object.entries(r.resources ?? {}));
  return {
    name,
    id,
    type: "charm",
    publisher: CANONICAL,
    result: { summary, description: summary, license: "Apache-2.0", "store-url": `https://charmhub.io/${name}` },
    defaultTrack: releases[0]?.channel.split("/")[0] ?? "latest",
    revisions: Object.fromEntries(
      revisions.map((r) => [
        r,
        zipOf({ ...files, "src/charm.py": `# ${name} revision ${r}\n`, dispatch: "#!/bin/sh\nexec ./src/charm.py\n" }),
      ]),
    ),
    bases: Object.fromEntries(releases.map((r) => [r.revision, r.base ? [r.base] : []])),
    resources: Object.fromEntries(
      pins.map(([resource]) => {
        const all = pins.filter(([other]) => other === resource).map(([, revision]) => revision);
        const digest = (revision: number) => new Bun.CryptoHasher("sha256").update(`${id}/${resource}/${revision}`).digest("hex");
        const blob = (revision: number) =>
          imageBlob(`registry.jujucharms.com/charm/${id.toLowerCase()}/${resource}@sha256:${digest(revision)}`);
        return [resource, { type: "oci-image" as const, revisions: Object.fromEntries(all.map((revision) => [revision, blob(revision)])) }];
      }),
    ),
    releases,
  };
}

const [focal, jammy, jammyArm] = [base("amd64", "20.04"), base("amd64", "22.04"), base("arm64", "22.04")];
const one = (channel: string, revision: number, resources: Readonly<Record<string, number>> = {}) => [
  { channel, base: focal, revision, resources },
];

const CHARMS = [
  charm("postgresql-k8s", "y2vuZHGLElMmdfcL4q1zJayL9utaheIa", [
    { channel: "14/stable", base: jammy, revision: 960, resources: { "postgresql-image": 208 } },
    { channel: "14/stable", base: jammyArm, revision: 959, resources: { "postgresql-image": 208 } },
    { channel: "14/edge", base: jammy, revision: 965, resources: { "postgresql-image": 209 } },
  ]),
  charm("kafka", "xGnQVEPTiWMqvbCZyLJJDRGoFoXHqyGj", [{ channel: "3/stable", base: jammy, revision: 195 }]),
];

const COS_LITE = [
  charm("traefik-k8s", "rzqCWh3aV1kOJHDpbXRCnYfWzHGbsAXR", one("1/stable", 232, { "traefik-image": 160 })),
  charm("alertmanager-k8s", "LPPkLqsYPtAvXVHAGBbPGNZkMvTQXgfE", one("1/stable", 158, { "alertmanager-image": 97 })),
  charm("prometheus-k8s", "bDpVPPvKrTcPUUbTgcVYsNRJRUERKMhJ", one("1/stable", 234, { "prometheus-image": 151 })),
  charm("grafana-k8s", "NFAUbxQrwPWJkVqsSdsDWwsbXFgAvJPV", one("1/stable", 149, { "grafana-image": 69 })),
  charm("catalogue-k8s", "OAHnyFCjFJQWXnbPTsNjYrYpXSwiNbGy", one("1/stable", 82, { "catalogue-image": 36 })),
  charm("loki-k8s", "bTsbkXcGvDNjNvbWwmWAxLQkdxXVHTFm", one("1/stable", 190, { "loki-image": 98, "node-exporter-image": 3 })),
];

const bundle = texts("bundles/cos-lite");
const bundleYaml = Buffer.from(bundle["bundle.yaml"] ?? "").toString();
const BUNDLE: PackageSpec = {
  name: "cos-lite",
  id: "bvyhVGZ0Ve0VDqYpUKcFmtTLfcLLnnfr",
  type: "bundle",
  publisher: CANONICAL,
  result: { summary: "COS Lite: an observability stack for Kubernetes" },
  defaultTrack: "1",
  revisions: { 11: zipOf(bundle) },
  releases: [{ channel: "1/stable", base: null, revision: 11 }],
};

/** File name → bytes. */
export const EXAMPLE: Readonly<Record<string, Uint8Array>> = {
  "charms-export-20261101T120000.tar.gz": exportOf(
    CHARMS,
    "applications:\n  postgresql:\n    charm: postgresql-k8s\n  kafka:\n    charm: kafka\n",
  ),
  "cos-lite-20261101T120000.tar.gz": exportOf([BUNDLE, ...COS_LITE], bundleYaml),
};

if (import.meta.main) {
  const folder = process.argv[2];
  if (folder === undefined) throw new Error("bun test/example.ts FOLDER");
  mkdirSync(folder, { recursive: true });
  for (const [name, content] of Object.entries(EXAMPLE)) writeFileSync(join(folder, name), content);
}
