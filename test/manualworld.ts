/** The packages that the manual's examples name, in a store inside and in one outside, with the files that its command lines read. */

import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AGENT_SIGNER, AGENT_WORLD, AGENTS } from "./agentworld.ts";
import { base, bundleZip, charmZip, exportOf, imageBlob, type PackageSpec, tarOf } from "./build.ts";
import { layoutOf } from "./layouts.ts";
import { runProgram } from "./program.ts";
import { imageOf, TestRegistry } from "./registry.ts";
import { exportOfSnaps, PUBLISHER, SIGNED_ROOT, type SnapSpec, signed } from "./signedsnaps.ts";

const PLACES = ["amd64", "arm64"].flatMap((architecture) => ["22.04", "24.04"].map((channel) => base(architecture, channel)));

/** Where the images of the charms outside are; whoever exports must be told that it has no TLS. */
/** Of all files that share this module: it ends with the process. */
export const REGISTRY = TestRegistry.start({ blobHost: null });
const IMAGE = imageOf();

interface Charm {
  /** channel to the revision that is released there */
  readonly channels: Readonly<Record<string, number>>;
  readonly revisions: readonly number[];
  readonly image?: string;
  /** what refresh_versions.toml says that it installs */
  readonly installs?: string;
  /** the repository of an image that a file of it names */
  readonly lists?: string;
}

function charm(name: string, { channels, revisions, image, installs, lists }: Charm): PackageSpec {
  const resources = image === undefined ? {} : { [image]: { type: "oci-image" as const } };
  const files = {
    ...(installs !== undefined && { "refresh_versions.toml": `charm_major = 1\nworkload = "1"\n[snap]\nname = "${installs}"\n` }),
    ...(lists !== undefined && { "src/images.json": JSON.stringify([REGISTRY.push(lists, IMAGE, "1")]) }),
  };
  return {
    name,
    id: `ID${name}`,
    type: "charm",
    publisher: PUBLISHER,
    defaultTrack: Object.keys(channels)[0]?.split("/")[0] ?? "latest",
    revisions: Object.fromEntries(revisions.map((one) => [one, charmZip({ name, revision: one, bases: PLACES, resources, files })])),
    bases: Object.fromEntries(revisions.map((one) => [one, PLACES])),
    resources:
      image === undefined ? {} : { [image]: { type: "oci-image", revisions: { 3: imageBlob(REGISTRY.push(`${name}/${image}`, IMAGE)) } } },
    releases: Object.entries(channels).flatMap(([channel, revision]) =>
      PLACES.map((place) => ({ channel, base: place, revision, ...(image !== undefined && { resources: { [image]: 3 } }) })),
    ),
  };
}

const PACKAGES: readonly PackageSpec[] = [
  charm("postgresql-k8s", { channels: { "14/stable": 987, "14/edge": 990 }, revisions: [381, 987, 990], image: "postgresql-image" }),
  charm("kafka", { channels: { "3/stable": 200 }, revisions: [195, 200], installs: "charmed-kafka" }),
  charm("grafana-k8s", { channels: { "latest/stable": 105 }, revisions: [105], lists: "grafana/plugin" }),
  charm("juju-controller", { channels: { "3.6/stable": 12 }, revisions: [12] }),
  {
    name: "cos-lite",
    id: "IDcos-lite",
    type: "bundle",
    publisher: PUBLISHER,
    revisions: { 11: bundleZip("name: cos-lite\napplications:\n  grafana: {charm: grafana-k8s, channel: latest/stable}\n") },
    releases: [{ channel: "latest/stable", base: null, revision: 11 }],
  },
];

function snap(name: string, channel: string, yaml: SnapSpec["yaml"] = { base: "core22" }): SnapSpec {
  return { name, yaml, revisions: { 1: ["amd64"], 2: ["arm64"] }, channels: { [channel]: { amd64: 1, arm64: 2 } } };
}

const SNAPS: readonly SnapSpec[] = [
  snap("jq", "latest/stable"),
  snap("charmed-kafka", "latest/stable"),
  { ...snap("juju-db", "4.4.30/stable"), channels: { "4.4.30/stable": { amd64: 1, arm64: 2 }, "4.4/stable": { amd64: 1, arm64: 2 } } },
  snap("core", "latest/stable", { type: "os" }),
  snap("snapd", "latest/stable", { type: "snapd" }),
  ...["core20", "core22", "core24"].map((name) => snap(name, "latest/stable", { type: "base" })),
];

/** Makes it in a folder: `store`, `root.assert`, and the files that the manual names, `site.yaml` with this text. */
export async function makeManualWorld(folder: string, siteFile: string): Promise<void> {
  const at = (...names: string[]) => join(folder, ...names);
  mkdirSync(at("media", "usb"), { recursive: true });
  const [charms, snaps] = [exportOf(PACKAGES), exportOfSnaps(SNAPS.map(signed))];
  writeFileSync(at("root.assert"), SIGNED_ROOT);
  writeFileSync(at("site.yaml"), siteFile);
  writeFileSync(at("images.yaml"), "region: R\nendpoint: https://keystone.lan/v3\narch: amd64\nimages: [{id: a1, base: noble}]\n");
  writeFileSync(at("media", "usb", "snaps.tar.gz"), snaps);
  for (const name of ["charms-export-20260426T163115.tar.gz", "site-20260426T163115.tar", join("media", "usb", "charms.tar.gz")])
    writeFileSync(at(name), charms);
  const images = ["ghcr.io/juju/juju-db:4.4.30", REGISTRY.push("postgresql-k8s/postgresql-image", IMAGE)].map((name) => ({
    image: IMAGE,
    name,
  }));
  writeFileSync(at("media", "usb", "images.tar"), tarOf(layoutOf(images)));
  writeFileSync(at("streams.asc"), AGENT_SIGNER.file);
  writeFileSync(at("agents.tar"), AGENT_WORLD);
  writeFileSync(at("juju-3.6.11-linux-amd64.tgz"), AGENTS.find(({ version }) => version === "3.6.11")?.bytes ?? "");
  for (const what of [at("media", "usb"), at("agents.tar")]) {
    const done = await runProgram([
      "import",
      "--store",
      at("store"),
      "--trust",
      at("root.assert"),
      "--streams-key",
      at("streams.asc"),
      what,
    ]);
    if (done.code !== 0) throw new Error(done.err);
  }
  cpSync(at("store"), at("outside"), { recursive: true });
  writeFileSync(at("have.json"), (await runProgram(["inventory", "--store", at("store")])).out);
  await runProgram(["config", "public-url=http://127.0.0.1:1", "--store", at("store")]);
}

/** Serves a store in this process until the signal comes. Returns the server's URL. */
export async function serveStore(store: string, signal: AbortSignal): Promise<string> {
  const printed = Promise.withResolvers<string>();
  const ended = runProgram(["serve", "--store", store, "--listen", "127.0.0.1:0"], {}, "chp", signal, { out: printed.resolve });
  const first = await Promise.race([printed.promise, ended]);
  if (typeof first !== "string") throw new Error(first.err);
  return first.trim();
}
