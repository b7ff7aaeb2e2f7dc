import { type NeededImage, neededImages, showNeededBy, skopeoScript } from "../../src/catalog/images.ts";
import type { ImagePresence } from "../../src/catalog/readiness.ts";
import type { Registry } from "../../src/catalog/registry.ts";
import { Failure, printable } from "../../src/errors.ts";
import { count, type Io, note, printJson, printTable } from "../machine/io.ts";
import { openStore } from "../machine/openstore.ts";
import { askRegistry, NOT_ASKED } from "../machine/registryclient.ts";
import { loadSettings, registryOf } from "../machine/settings.ts";
import { trustedCertificates } from "../machine/tls.ts";
import { defineCommand, EXITS, failIfListed, type Register } from "./command.ts";
import type { FlagValues } from "./flags.ts";

const TAKES = ["script", "missing", "offlineRegistry", "exitCode"] as const;
type ImagesFlags = FlagValues<typeof TAKES>;

export const imagesCommand: Register = (program, io) => {
  defineCommand(
    program,
    "images",
    "List the container images that the stored charms need, and whether the local registry has them",
    EXITS,
    TAKES,
  )
    .addHelpText("after", EXAMPLES)
    .action((options: ImagesFlags) => runImages(options, io));
};

const EXAMPLES = `
The registry is what proxy.oci-registry.domain names; it is asked by digest, with the login that Juju gets.

Examples:
  chp images
  chp images --missing --exit-code
  chp images --missing --script skopeo > images.sh
  sh images.sh fetch       on the connected side, into images/
  sh images.sh push        where the registry is, with images/ beside it`;

const TOOL = "skopeo";

export async function runImages(options: ImagesFlags, io: Io): Promise<void> {
  if (options.script !== undefined && options.script !== TOOL)
    throw new Failure("usage", `--script takes ${TOOL}, not ${printable(options.script, 50)}`);
  const store = await openStore(options, io);
  const settings = await loadSettings(store, { environment: io.environment });
  const registry = registryOf(settings);
  const needed = neededImages(await (await store.snapshot()).packages(), registry);
  const asks = registry !== undefined && !options.offline && (options.script === undefined || options.missing === true);
  const answers = asks ? await askRegistry(registry, needed, { trusted: await trustedCertificates(store, settings) }) : undefined;
  const all = needed.map((image, i) => ({ ...image, registry: answers?.images[i] ?? NOT_ASKED }));
  const wanted = all.filter((image) => !options.missing || image.registry.presence !== "present");
  if (answers?.failure)
    note(`the registry ${registry?.domain} cannot be asked: ${printable(answers.failure.message)}; chp doctor shows more`, options, io);
  if (registry === undefined && needed.length > 0)
    note("no local registry is set; next: chp config proxy.oci-registry.domain=HOST:PORT", options, io);
  printImages(wanted, needed.length, registry, options, io);
  if (asks && !options.json && options.script === undefined && all.some((image) => image.registry.presence !== "present"))
    note("next: chp images --missing --script skopeo > images.sh, and run it on both sides", options, io);
  failIfListed(wanted.length, "image", options);
}

type ListedImage = NeededImage & { readonly registry: ImagePresence };

/** `needed`: how many the stored charms need. */
function printImages(wanted: readonly ListedImage[], needed: number, registry: Registry | undefined, options: ImagesFlags, io: Io): void {
  if (options.script) return io.out(skopeoScript(wanted, registry));
  if (options.json) return printJson(wanted.map(toJson), io);
  if (wanted.length === 0)
    return note(needed === 0 ? "no stored charm needs an image" : `the registry has all ${count(needed, "image")}`, options, io);
  printTable(
    ["UPSTREAM", "LOCAL", "DIGEST", "IN REGISTRY", "NEEDED BY"],
    wanted.map((image) => [
      image.upstream,
      image.local ?? "no registry is set",
      image.digest ?? "none",
      showPresence(image.registry),
      image.neededBy.map(showNeededBy).join("; "),
    ]),
    io,
  );
}

export function showPresence({ presence, why }: ImagePresence): string {
  const word = { present: "yes", absent: "no", different: "another image has that tag", unknown: "unknown", "not asked": "not asked" }[
    presence
  ];
  return why === undefined ? word : `${word}: ${why}`;
}

function toJson({ upstream, local, path, digest, neededBy, registry }: ListedImage) {
  return { upstream, local, path, digest, neededBy, registry: registry.presence, ...(registry.why !== undefined && { why: registry.why }) };
}
