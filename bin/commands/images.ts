import { isOfResource, type NeededImage, neededImages, showNeededBy } from "../../src/catalog/images.ts";
import { skopeoScript } from "../../src/catalog/imagescript.ts";
import { imageNotes, type StoredImage, StoredImages, storedImageOf } from "../../src/catalog/imagesources.ts";
import type { ImagePresence } from "../../src/catalog/readiness.ts";
import { localReference, pathOfReference, type Registry, splitPath } from "../../src/catalog/registry.ts";
import { type Repository, storedImage } from "../../src/catalog/repository.ts";
import { type Digest, digestText } from "../../src/digest.ts";
import { Failure, printable } from "../../src/errors.ts";
import type { Store } from "../../store/store.ts";
import { count, type Io, note, printJson, printTable } from "../machine/io.ts";
import { openStore } from "../machine/openstore.ts";
import { askRegistry, NOT_ASKED } from "../machine/registryclient.ts";
import { imageSetup, loadSettings, registryOf, usedRegistry } from "../machine/settings.ts";
import { trustedCertificates } from "../machine/tls.ts";
import { defineCommand, EXITS, failIfListed, type Register } from "./command.ts";
import type { FlagValues } from "./flags.ts";

const TAKES = ["script", "missing", "offlineRegistry", "exitCode"] as const;
type ImagesFlags = FlagValues<typeof TAKES>;

export const imagesCommand: Register = (program, io) => {
  defineCommand(
    program,
    "images",
    "List the stored container images and those that charms need, and where they are pulled from",
    EXITS,
    TAKES,
  )
    .addHelpText("after", EXAMPLES)
    .action((options: ImagesFlags) => runImages(options, io));
};

const EXAMPLES = `
NEEDED BY says which resource of a charm names the image, or which of its files: a list of images, an option, a manifest.
PULLED FROM is where Juju sends its machines, and for what a file names the registry that is named there: chp where it has the image and is the registry (chp config registry), the
registry that proxy.oci-registry.domain names, or upstream. That registry is asked by digest, with the login that Juju gets.

Examples:
  chp images
  chp images --missing --exit-code
  chp images --missing --script skopeo > images.sh
  sh images.sh fetch       on the connected side, into images/
  sh images.sh push        where the registry is, with images/ beside it`;

const TOOL = "skopeo";

/** An image that a charm needs, or one that is stored and that none needs. */
interface ListedImage extends Omit<NeededImage, "upstream"> {
  /** null: no charm needs it */
  readonly upstream: string | null;
  /** what chp has of it; undefined: nothing that can be pulled */
  readonly stored: StoredImage | undefined;
  readonly registry: ImagePresence;
  readonly pulledFrom: "chp" | "registry" | "upstream";
}

export async function runImages(options: ImagesFlags, io: Io): Promise<void> {
  if (options.script !== undefined && options.script !== TOOL)
    throw new Failure("usage", `--script takes ${TOOL}, not ${printable(options.script, 50)}`);
  const store = await openStore(options, io);
  const asks = !options.offline && (options.script === undefined || options.missing === true);
  const { needed, others, registry, failure, notes } = await listImages(store, asks, io);
  if (failure !== undefined)
    note(`the registry ${registry?.domain} cannot be asked: ${printable(failure)}; chp doctor shows more`, options, io);
  for (const text of notes) note(text, options, io);
  const missing = needed.filter(isMissing);
  const wanted = options.missing ? missing : options.script ? needed.filter(({ stored }) => !stored) : [...needed, ...others];
  if (options.script)
    io.out(
      skopeoScript(
        wanted.map((image) => ({ ...image, upstream: referenceOf(image) })),
        registry,
      ),
    );
  else printImages(wanted, { needed: needed.length, isRegistryDown: failure !== undefined }, options, io);
  if (asks && !options.json && options.script === undefined && missing.length > 0)
    note("next: chp images --missing --script skopeo > images.sh, and run it on both sides", options, io);
  failIfListed(wanted.length, "image", options);
}

/** Whether it can be pulled from nowhere here, as far as is known. */
export function isMissing({ stored, registry }: Pick<ListedImage, "stored" | "registry">): boolean {
  return !stored && registry.presence !== "present";
}

interface Listing {
  /** how many the stored charms need */
  readonly needed: number;
  /** that it is was said above */
  readonly isRegistryDown: boolean;
}

function printImages(wanted: readonly ListedImage[], { needed, isRegistryDown }: Listing, options: ImagesFlags, io: Io): void {
  if (options.json) return printJson(wanted.map(toJson), io);
  if (wanted.length === 0) {
    const all = needed === 0 ? "no stored charm needs an image" : `no image is missing: all ${count(needed, "image")} can be pulled here`;
    return note(all, options, io);
  }
  const rows = wanted.map((image) => [
    io.terminal.out ? referenceOf(image).replace(/(@sha256:[0-9a-f]{12})[0-9a-f]{52}$/, "$1…") : referenceOf(image),
    showStored(image),
    showSource(isRegistryDown && io.terminal.out ? { ...image, registry: { presence: image.registry.presence } } : image),
    image.neededBy.map(showNeededBy).join("; "),
  ]);
  printTable(["REFERENCE", "IN CHP", "PULLED FROM", "NEEDED BY"], rows, io, [0, 3, 2, 1]);
}

function referenceOf({ upstream, path }: ListedImage): string {
  return upstream ?? path;
}

function showStored({ stored }: ListedImage): string {
  if (!stored) return "missing";
  return stored.architectures.length === 0 ? "yes" : stored.architectures.join(", ");
}

function showSource({ pulledFrom, registry, stored }: Pick<ListedImage, "pulledFrom" | "registry" | "stored">): string {
  if (pulledFrom === "chp") return stored?.complete ? "chp" : "chp, else upstream";
  return pulledFrom === "registry" && registry.presence !== "present" ? `registry: ${showPresence(registry)}` : pulledFrom;
}

export interface FoundImages {
  /** sorted by upstream's reference */
  readonly needed: readonly ListedImage[];
  /** stored images that no charm needs, by tag, or by digest where they have none */
  readonly others: readonly ListedImage[];
  /** the configured registry besides chp */
  readonly registry: Registry | undefined;
  /** why that could not be asked */
  readonly failure: string | undefined;
  /** what keeps charms from images that are here, or are to be */
  readonly notes: readonly string[];
}

/** All images that charms need or that are stored. `asks`: whether the configured registry is asked which it has. */
export async function listImages(store: Store, asks: boolean, io: Io): Promise<FoundImages> {
  const settings = await loadSettings(store, { environment: io.environment });
  const registry = registryOf(settings);
  const used = usedRegistry(settings);
  const snapshot = await store.snapshot();
  const [packages, repositories] = [await snapshot.packages(), await snapshot.repositories()];
  const all = neededImages(packages, registry);
  const answers = asks && registry ? await askRegistry(registry, all, { trusted: await trustedCertificates(store, settings) }) : undefined;
  const stored = new StoredImages(repositories);
  const needed = all.map((image, i): ListedImage => {
    const found = stored.find(image.upstream);
    const here = found && used?.own ? localReference({ reference: image.upstream, path: image.path }, used) : undefined;
    return {
      ...image,
      local: here ?? image.local,
      stored: found,
      registry: answers?.images[i] ?? NOT_ASKED,
      pulledFrom: !image.neededBy.some(isOfResource) ? "upstream" : registry ? "registry" : here === undefined ? "upstream" : "chp",
    };
  });
  const elsewhere = needed.filter((image) => image.stored && image.registry.presence === "absent");
  const ofFiles = needed.filter((image) => !isMissing(image) && !image.neededBy.some(isOfResource));
  return {
    needed,
    others: repositories.flatMap((repository) => otherImages(repository, all, used)),
    registry,
    failure: answers?.failure?.message,
    notes: [
      ...imageNotes(imageSetup(settings), packages, repositories),
      ...(ofFiles.length === 0
        ? []
        : [
            `${count(ofFiles.length, "image")} that files of charms name ${ofFiles.length === 1 ? "is" : "are"} here, and nodes ask the registry that is named there; next: chp help images says how to send them here`,
          ]),
      ...(elsewhere.length === 0
        ? []
        : [
            `${count(elsewhere.length, "image")} of charms ${elsewhere.length === 1 ? "is" : "are"} in chp, but Juju is sent to ${registry?.domain}, which does not have them; next: chp config proxy.oci-registry.domain= to use chp, or push them there`,
          ]),
    ],
  };
}
export function showPresence({ presence, why }: ImagePresence): string {
  const word = { present: "yes", absent: "no", different: "another image has that tag", unknown: "unknown", "not asked": "not asked" }[
    presence
  ];
  return why === undefined ? word : `${word}: ${why}`;
}

/** The images of a repository that no charm needs: by tag, or by digest where no tag and no index names them. */
function otherImages(repository: Repository, needed: readonly NeededImage[], used: Registry | undefined): ListedImage[] {
  const { name, tags, manifests } = repository;
  const known = needed.flatMap(({ upstream }) => (splitPath(pathOfReference(upstream)).name === name ? [upstream] : []));
  const digests = new Set(known.flatMap((reference) => storedImage(repository, reference) ?? []));
  const inner = new Set([...manifests.flatMap((index) => (index.manifests ?? []).map((listed) => listed.digest)), ...Object.values(tags)]);
  const loose = manifests.filter(({ digest, subject }) => subject === undefined && !inner.has(digest) && !digests.has(digest));
  const paths: [path: string, digest: Digest][] = [
    ...Object.entries(tags).flatMap(([tag, digest]): [string, Digest][] => (digests.has(digest) ? [] : [[`${name}:${tag}`, digest]])),
    ...loose.map(({ digest }): [string, Digest] => [`${name}@${digestText(digest)}`, digest]),
  ];
  return paths.map(([path, digest]) => ({
    upstream: null,
    path,
    local: used?.own ? `${used.domain}/${path}` : null,
    digest: digestText(digest),
    neededBy: [],
    stored: storedImageOf(repository, digest),
    registry: NOT_ASKED,
    pulledFrom: "chp",
  }));
}

function toJson({ upstream, local, path, digest, neededBy, stored, registry, pulledFrom }: ListedImage) {
  const here = stored ? { architectures: stored.architectures, complete: stored.complete } : null;
  const why = registry.why !== undefined && { why: registry.why };
  return { upstream, local, path, digest, neededBy, stored: here, pulledFrom, registry: registry.presence, ...why };
}
