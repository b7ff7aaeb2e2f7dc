/** Everything that a bootstrap of some versions of Juju fetches, small, as the files that `chp import` takes. */

import { bootstrapNeeds, controllerImages, readJuju, showImage } from "../src/catalog/bootstrap.ts";
import { base, charmZip, exportOf, tarOf } from "./build.ts";
import { layoutOf } from "./layouts.ts";
import { imageOf, indexOf } from "./registry.ts";
import { exportOfSnaps, SIGNED_ROOT, type SnapSpec, signed } from "./signedsnaps.ts";
import { streamsFiles, streamsSigner, testAgents } from "./streams.ts";

const ARCHITECTURES = ["amd64", "arm64"];
const SIGNER = streamsSigner("a");

/** Keys of the things in it: `agent 3.6.11`, `charm 3.6/stable`, `snap juju-db 4.4/stable`, `image ghcr.io/juju/juju-db:4.4`. */
export function bootstrapThings(versions: readonly string[]): string[] {
  const all = versions.map(readJuju);
  const things = all.flatMap((version) => {
    const { charm, snaps, imageRepository } = bootstrapNeeds(version);
    return [
      `agent ${version.text}`,
      ...(charm ? [`charm ${charm.channel}`] : []),
      ...snaps.map(({ name, channel }) => `snap ${name} ${channel}`),
      ...controllerImages(version).map((image) => `image ${imageRepository}/${showImage(image)}`),
    ];
  });
  return [...new Set([...things, "snap core20 latest/stable"])];
}

/** The files by name; `root.assert` is for --trust, `streams.asc` for --streams-key. */
export function bootstrapFiles(things: readonly string[]): Record<string, string | Uint8Array> {
  const namesOf = (kind: string) => things.flatMap((thing) => (thing.startsWith(`${kind} `) ? [thing.slice(kind.length + 1)] : []));
  const agents = namesOf("agent");
  const channels = namesOf("charm");
  const images = namesOf("image");
  const places = ARCHITECTURES.flatMap((architecture) => ["22.04", "24.04"].map((channel) => base(architecture, channel)));
  const channelsOfSnaps = new Map<string, string[]>();
  for (const thing of namesOf("snap")) {
    const [name = "", channel = ""] = thing.split(" ");
    channelsOfSnaps.set(name, [...(channelsOfSnaps.get(name) ?? []), channel]);
  }
  const snap = (name: string, ofSnap: readonly string[]): SnapSpec => ({
    name,
    yaml:
      name === "core" ? { type: "os" } : name === "snapd" ? { type: "snapd" } : name === "core20" ? { type: "base" } : { base: "core20" },
    revisions: { 1: ["amd64"], 2: ["arm64"] },
    channels: Object.fromEntries(ofSnap.map((channel) => [channel, { amd64: 1, arm64: 2 }])),
  });
  const controller = {
    name: "juju-controller",
    id: "IDjuju-controller",
    type: "charm" as const,
    defaultTrack: channels[0]?.split("/")[0] ?? "latest",
    revisions: { 12: charmZip({ name: "juju-controller", revision: 12, bases: places }) },
    bases: { 12: places },
    resources: {},
    releases: channels.flatMap((channel) => places.map((place) => ({ channel, base: place, revision: 12 }))),
  };
  // Of Docker's types, as upstream's are: the registry client of 3.6.11 takes no index of OCI.
  const parts = ARCHITECTURES.map((architecture) => imageOf({ architecture, docker: true, files: { "etc/made-for": architecture } }));
  const streams = Object.fromEntries([...streamsFiles(testAgents(agents), SIGNER)].map(([path, bytes]) => [`agents/${path}`, bytes]));
  return {
    "root.assert": SIGNED_ROOT,
    "streams.asc": SIGNER.file,
    ...(agents.length > 0 && { "agents.tar": tarOf(streams) }),
    ...(channels.length > 0 && { "charms.tar.gz": exportOf([controller]) }),
    ...(channelsOfSnaps.size > 0 && {
      "snaps.tar.gz": exportOfSnaps([...channelsOfSnaps].map(([name, ofSnap]) => signed(snap(name, ofSnap)))),
    }),
    ...(images.length > 0 && { "images.tar": tarOf(layoutOf(images.map((name) => ({ image: indexOf(parts, { docker: true }), name })))) }),
  };
}
