/** The container images of an export: which ones, what of them is packed, and the image layout that they become. */

import { IMAGES_FOLDER, LAYOUT_FILE, LAYOUT_TEXT, layoutBlobPath, REF_NAME } from "../archives/imagemanifest.ts";
import type { ExportLock, LockedPackage } from "../archives/lock.ts";
import { parseImageReference } from "../catalog/imagereference.ts";
import { isOfResource, type NeededBy, type NeededByResource, showNeededBy } from "../catalog/images.ts";
import type { ImageNeed } from "../catalog/need.ts";
import { imageBlob, MAX_IMAGE_BLOB, pathOfReference, readImageBlob } from "../catalog/registry.ts";
import { type Digest, digestText, sumsOf } from "../digest.ts";
import { Failure, printable, refused } from "../errors.ts";
import { mapBounded } from "../parallel.ts";
import { ownValue } from "../schema.ts";
import { compareText, showSize } from "../text.ts";
import type { ImageLogin } from "./challenge.ts";
import type { HttpClient } from "./client.ts";
import { type FoundImage, ImageRegistries, type ImageRegistryOptions, type WantedImage } from "./imageregistry.ts";
import type { Inventory } from "./inventory.ts";
import { downloadUnlessIn, type PackedFile, type PackedPackage } from "./pack.ts";
import { type FailedPackage, failuresOf, type PlannedContent, type PlannedPackage } from "./plan.ts";
import type { ExportRequest } from "./sitefile.ts";
import { charmhubFile, type Upstream, type UpstreamResource } from "./upstream.ts";

/** An image that a charm needs, with the credentials that the store gave for it, or that was requested. */
export interface NamedImage extends ImageLogin {
  /** upstream's */
  readonly reference: string;
  /** in the local registry */
  readonly path: string;
  /** undefined: it was requested, or is of Juju itself */
  readonly neededBy?: NeededBy;
  /** why it is taken though neither a charm needs it nor somebody named it */
  readonly reason?: string;
  /** upstream may lack it, which is noted and fails nothing */
  readonly mayLack?: true;
  /** whether the archive is not to take it for this charm */
  readonly isLeftOut?: true;
}

/** An image whose manifests were read. */
export interface PlannedImage extends FoundImage {
  /** bytes of all that it is made of */
  readonly size: number;
  readonly neededBy: readonly NeededBy[];
  /** further reasons */
  readonly reasons: readonly string[];
}

/** How the registries are reached. */
export interface RegistrySettings extends Pick<ImageRegistryOptions, "plainHosts" | "loginOf"> {
  /** whether upstream is a store that may lack images of its charms, which are left to the script then */
  readonly mayLack?: boolean;
}

export interface ExportImagesOptions {
  readonly upstream: Upstream;
  readonly client: HttpClient;
  readonly request: ExportRequest;
  readonly lock: ExportLock | undefined;
  /** files that the other side already has */
  readonly inventory: Inventory | undefined;
  /** whether the archive takes images */
  readonly isTaken: boolean;
  /** whether it takes those of charms that are not requested besides */
  readonly takesOfCharms: boolean;
  /** whether it takes one that a charm's file names */
  readonly isNamedTaken: (need: ImageNeed) => boolean;
  readonly registries: RegistrySettings;
  readonly onNote: (text: string) => void;
}

/** images whose manifests are read at once */
const PARALLEL = 8;
const LEFT_OUT = { isLeftOut: true } as const;

export class ExportImages {
  readonly #options: ExportImagesOptions;
  readonly #blobs = new Map<string, Map<string, Uint8Array>>();
  readonly #named: NamedImage[] = [];
  /** references whose manifests were asked for */
  readonly #asked = new Set<string>();
  #planned: readonly PlannedImage[] = [];
  /** the files of all that were planned; `name`: the first image that has it */
  #files: ReadonlyMap<Digest, PackedPackage> = new Map();
  /** files that could not be downloaded */
  readonly #lost = new Set<Digest>();

  constructor(options: ExportImagesOptions) {
    this.#options = options;
    for (const reference of options.request.images?.references ?? [])
      this.#named.push({ reference, path: pathOfReference(reference), username: "", password: "" });
  }

  /** Blobs of oci-images without credentials: package → `NAME_REVISION` → bytes. */
  get blobs(): ReadonlyMap<string, ReadonlyMap<string, Uint8Array>> {
    return this.#blobs;
  }

  /** Takes an image of Juju itself. */
  want(reference: string, reason: string, mayLack: boolean): void {
    const text = parseImageReference(reference)?.text ?? reference;
    const path = pathOfReference(text);
    this.#named.push({ reference: text, path, username: "", password: "", reason, ...(mayLack && { mayLack: true as const }) });
  }

  /** Reads the blob of an oci-image resource. Throws a failure that names the package. */
  async readBlob(pkg: PlannedPackage, resource: UpstreamResource, locked: LockedPackage | undefined): Promise<void> {
    const { name, revision } = resource;
    const what = `the resource ${name} ${revision} of ${pkg.name}`;
    const image = await this.#fetchBlob(pkg.name, what, resource);
    const blob = imageBlob(image.reference);
    const before = locked?.resources[`${name}_${revision}`];
    if (before !== undefined && sumsOf(blob)["sha-256"] !== before)
      throw new Failure("failed", `cannot export ${pkg.name} as locked: ${what} names another image now, ${image.reference}`);
    const blobs = this.#blobs.get(pkg.name) ?? new Map<string, Uint8Array>();
    this.#blobs.set(pkg.name, blobs.set(`${name}_${revision}`, blob));
    const path = ownValue(pkg.paths, name) ?? "";
    if (path !== "") this.#options.onNote(`Overriding ${name} with local registry subpath.`);
    const neededBy = { charm: pkg.name, resource: name, revision };
    this.#named.push({ ...image, path: path || pathOfReference(image.reference), neededBy, ...(!this.#options.takesOfCharms && LEFT_OUT) });
  }

  async #fetchBlob(charm: string, what: string, resource: UpstreamResource) {
    const file = charmhubFile(resource);
    if (file.size > MAX_IMAGE_BLOB) throw new Failure("failed", `cannot export ${charm}: ${what} is larger than an image's blob`);
    const image = readImageBlob(await this.#options.client.bytes(what, file));
    if (!image) throw new Failure("failed", `cannot export ${charm}: ${what} names no image`);
    return image;
  }

  /** Takes note of the images that the files of a charm's revision name; `plan` reads them. */
  addNamed(charm: string, revision: number, needs: readonly ImageNeed[]): void {
    for (const need of needs) {
      const { reference, where: file, sure } = need;
      this.#named.push({
        reference,
        path: pathOfReference(reference),
        username: "",
        password: "",
        neededBy: { charm, file, revision, sure },
        ...(!this.#options.isNamedTaken(need) && LEFT_OUT),
      });
    }
  }

  /**
   * Reads the manifests of the images that are taken and were not asked for yet: of a lock those that it names. Gives those that are not
   * available.
   */
  async plan(): Promise<FailedPackage[]> {
    const { lock, request, isTaken, registries, client, onNote } = this.#options;
    if (!isTaken || !request.images) return [];
    const readers = new ImageRegistries({ client, architectures: request.images.architectures, ...registries });
    const all: readonly WantedImage[] = lock
      ? lock.images.map(({ reference, digest }) => ({ reference, digest: digest as Digest }))
      : [...new Set(this.#named.flatMap((image) => (image.isLeftOut ? [] : image.reference)))].map((reference) => ({
          reference,
        }));
    const fresh = all.filter(({ reference }) => !this.#asked.has(reference));
    for (const { reference } of fresh) this.#asked.add(reference);
    const failed: FailedPackage[] = [];
    const planned = await mapBounded(fresh, PARALLEL, async (wanted) => {
      const named = this.#naming(wanted.reference);
      const found: PlannedImage[] = [];
      const failures = await failuresOf(wanted.reference, async () => {
        const image = await readers.read({ ...wanted, ...this.#loginOf(named) });
        const reasons = [...new Set(named.flatMap(({ reason }) => reason ?? []))];
        found.push({ ...image, size: sizeOf(image), neededBy: usersOf(named), reasons });
      });
      // The report counts what a store lacks; that anything else is missing, an operator wants to know why.
      const isOfCharms = !lock && named.every(({ neededBy }) => neededBy);
      const isLikely = isOfCharms && named.every(({ neededBy }) => neededBy && !isOfResource(neededBy) && neededBy.sure === "likely");
      for (const lost of failures)
        if (named.length > 0 && named.every(({ mayLack }) => mayLack) && lost.failure.kind === "not-found") onNote(lost.failure.message);
        else if (isLikely) onNote(`${usersOf(named).map(showNeededBy).join(", ")}: not available: ${lost.failure.message}`);
        else if (!isOfCharms || !(request.mirror || (registries.mayLack && lost.failure.kind === "not-found"))) failed.push(lost);
        else if (!registries.mayLack) onNote(lost.failure.message);
      return found;
    });
    const known = new Set(this.#planned.map(({ reference }) => reference));
    // An image of a resource may be named by a file too, which is read later.
    const before = this.#planned.map((image) => ({ ...image, neededBy: usersOf(this.#naming(image.reference)) }));
    const sorted = [...before, ...planned.flat()].toSorted((a, b) => compareText(a.reference, b.reference));
    const contradicting = contradictions(sorted);
    this.#planned = sorted.filter(({ reference }) => !contradicting.some(({ name }) => name === reference));
    this.#files = filesOf(this.#planned, this.#options.inventory);
    for (const image of this.#planned)
      if (!known.has(image.reference) && reasonsOf(image).length > 0)
        onNote(`adding image ${image.reference} (${showSize(image.size)}): ${reasonsOf(image).join("; ")}`);
    return [...failed, ...contradicting];
  }

  #naming(image: string): NamedImage[] {
    return this.#named.filter(({ reference }) => reference === image);
  }

  #loginOf(named: readonly NamedImage[]): Pick<WantedImage, "login" | "renewLogin"> {
    const owner = named.find(({ password }) => password !== "");
    if (!owner?.neededBy || !isOfResource(owner.neededBy)) return {};
    const { neededBy, reference } = owner;
    return { login: owner, renewLogin: () => this.#freshLogin(neededBy, reference) };
  }

  /** The login that Charmhub gives now. */
  async #freshLogin({ charm, resource, revision }: NeededByResource, reference: string): Promise<ImageLogin | undefined> {
    const all = await this.#options.upstream.resourceRevisions(charm, resource);
    const found = all.find((one) => one.revision === revision);
    const image = found && (await this.#fetchBlob(charm, `the resource ${resource} ${revision} of ${charm}`, found));
    return image?.reference === reference ? image : undefined;
  }

  /** What the images add to the downloads: a file of several images is counted once. */
  contents(): PlannedContent[] {
    const all = this.packed();
    return this.#planned.map((image) => {
      const files = all.flatMap((one) => (one.name === image.reference ? one.files : []));
      const size = files.reduce((sum, { content }) => sum + ("url" in content ? content.size : 0), 0);
      return { type: "image", name: image.reference, revisions: [], size, reasons: reasonsOf(image) };
    });
  }

  /** The files of the images that are complete, each once, in a fixed order. Each is packed as one, so that one alone can fail. */
  packed(): PackedPackage[] {
    const needed = new Set(this.complete.flatMap(({ manifests, blobs }) => [...manifests.keys(), ...blobs.keys()]));
    return [...this.#files].flatMap(([digest, file]) => (needed.has(digest) ? [file] : []));
  }

  /** Takes note that a file could not be downloaded. Gives the images that are lost by it. */
  lose(file: PackedPackage): string[] {
    const before = this.complete;
    for (const [digest, one] of this.#files) if (one === file) this.#lost.add(digest);
    const left = new Set(this.complete);
    return before.flatMap((image) => (left.has(image) ? [] : [image.reference]));
  }

  /** The images that were planned, without those of which a file could not be downloaded. */
  get complete(): readonly PlannedImage[] {
    return this.#planned.filter(({ blobs }) => ![...blobs.keys()].some((digest) => this.#lost.has(digest)));
  }

  /** The images that are not in the archive, of these charms and of those that were requested. */
  left(charms: readonly PlannedPackage[]): NamedImage[] {
    const taken = new Set(this.complete.map(({ reference }) => reference));
    return this.#named.filter(
      ({ reference, neededBy }) => !taken.has(reference) && (!neededBy || charms.some(({ name }) => name === neededBy.charm)),
    );
  }

  /** The files of the image layout besides its blobs; none where the archive has no images. */
  layout(): { readonly path: string; readonly content: Uint8Array }[] {
    const images = this.complete;
    if (images.length === 0) return [];
    const index = {
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.index.v1+json",
      manifests: images.map(({ reference, mediaType, digest, manifests }) => ({
        mediaType,
        digest: digestText(digest),
        size: manifests.get(digest)?.byteLength ?? 0,
        annotations: { [REF_NAME]: reference },
      })),
    };
    return [
      { path: `${IMAGES_FOLDER}/${LAYOUT_FILE}`, content: Buffer.from(LAYOUT_TEXT) },
      { path: `${IMAGES_FOLDER}/index.json`, content: Buffer.from(`${JSON.stringify(index, null, 1)}\n`) },
    ];
  }
}

/** In a fixed order: charms are planned side by side. */
function usersOf(named: readonly NamedImage[]): NeededBy[] {
  const order = (user: NeededBy) => `${user.charm} ${isOfResource(user) ? user.resource : user.file}`;
  return named.flatMap(({ neededBy }) => neededBy ?? []).toSorted((a, b) => compareText(order(a), order(b)) || a.revision - b.revision);
}

/** Manifests, and of configs and layers those that the other side does not have. */
function filesOf(images: readonly PlannedImage[], inventory: Inventory | undefined): Map<Digest, PackedPackage> {
  const download = downloadUnlessIn(inventory);
  const all = new Map<Digest, PackedPackage>();
  for (const { reference, manifests, blobs } of images) {
    const add = (digest: Digest, [file]: readonly PackedFile[]) => {
      if (file && !all.has(digest)) all.set(digest, { name: reference, type: "image", files: [file] });
    };
    for (const [digest, content] of manifests) add(digest, [{ path: layoutBlobPath(digest), content }]);
    for (const [digest, file] of blobs) add(digest, download(layoutBlobPath(digest), file, `image ${printable(reference, 300)}`));
  }
  return all;
}

function sizeOf({ manifests, blobs }: FoundImage): number {
  const sizes = [...[...manifests.values()].map((bytes) => bytes.byteLength), ...[...blobs.values()].map(({ size }) => size)];
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** Images that say another size of a file than its bytes have, or than an image before them says. */
function contradictions(images: readonly PlannedImage[]): FailedPackage[] {
  const sizes = new Map(images.flatMap(({ manifests }) => [...manifests].map(([digest, bytes]) => [digest, bytes.byteLength])));
  return images.flatMap(({ reference, blobs }) => {
    const wrong = [...blobs].find(([digest, { size }]) => (sizes.get(digest) ?? size) !== size);
    for (const [digest, { size }] of wrong ? [] : blobs) sizes.set(digest, size);
    if (!wrong) return [];
    const [digest, { size }] = wrong;
    const why = `cannot export ${reference}: it says that ${digestText(digest)} has ${size} bytes, and it has ${sizes.get(digest)}`;
    return [{ name: reference, failure: refused(why) }];
  });
}

/** `kafka, resource kafka-image`, `katib-controller, src/images.json`; none of an image that was requested */
function reasonsOf({ neededBy, reasons }: PlannedImage): string[] {
  const users = neededBy.map((user) => `${user.charm}, ${isOfResource(user) ? `resource ${user.resource}` : user.file}`);
  return [...new Set([...users, ...reasons])];
}
