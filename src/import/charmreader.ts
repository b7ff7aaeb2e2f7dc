/**
 * Charms and bundles of an import: from the files of one group, staged or read already, to packages. Layout: store/README.md,
 * "What an export looks like".
 */

import { type Budget, type FileLocation, located, locationParts, type ReadAt, showLocation } from "../archives/archive.ts";
import { type BundleFacts, type CharmFacts, type CharmResource, ownBases } from "../archives/charm.ts";
import type { Declaration, DeclaredSums } from "../archives/metadata.ts";
import { CONFIG } from "../archives/needs/sourcefiles.ts";
import { type ReadText, readHere, remembering } from "../archives/readers.ts";
import { charmFiles, LastZip, type Wanted, type ZipContent } from "../archives/zip.ts";
import { type Base, compareBases, expandAny } from "../catalog/base.ts";
import { formatChannel, fullChannel } from "../catalog/channel.ts";
import { unreleasedNote } from "../catalog/channelmap.ts";
import type { CharmNeeds } from "../catalog/need.ts";
import {
  type Details,
  type Incoming,
  type IncomingRelease,
  isResourceName,
  mintId,
  type Resource,
  type ResourceRevision,
  type Revision,
  type TextName,
  UNNUMBERED,
} from "../catalog/package.ts";
import { imageBlob, MAX_IMAGE_BLOB, pathOfReference, readImageBlob, registryOfReference } from "../catalog/registry.ts";
import { ALGORITHMS, type Digest, type Sums } from "../digest.ts";
import { joinLocation, printable, refused } from "../errors.ts";
import { ownValue } from "../schema.ts";
import { utf8 } from "../text.ts";
import type { Staged, Staging } from "./staging.ts";

export interface CharmReadOptions {
  /** for packages that come without a metadata.json */
  readonly channel?: string;
  /** for a lone charm or bundle whose file name has none */
  readonly revision?: number;
  /** RFC 3339; for releases of which no time is known */
  readonly now: string;
  readonly budget: Budget;
  /** runs parsers; in this thread by default */
  readonly read?: ReadText;
}

/** A file and its bytes, which are in the staging area. */
export interface StagedFile<S> {
  readonly file: FileLocation;
  readonly staged: S;
}

/** A charm or bundle, with what was read of its zip, or why that failed: what is wrong with its bytes is better said by their checksums. */
interface StagedZip<S> extends StagedFile<S> {
  readonly inside: CharmContent | { readonly failure: unknown };
}

/** The files of one folder, or of one archive: the charms of one inner NAME.tar.gz with their resources and metadata. */
export interface CharmGroup<S> {
  /** the archives and the folder, as `Failure.at` has them */
  readonly at: readonly string[];
  /** charms and bundles */
  readonly zips: readonly StagedZip<S>[];
  readonly resources: readonly StagedFile<S>[];
  /** the content of its metadata.json */
  readonly declaration?: Declaration;
  /** files of assertions */
  readonly assertions: readonly { readonly at: readonly string[]; readonly bytes: Uint8Array }[];
}

const NAME = /^[a-zA-Z0-9](?:[a-zA-Z0-9._+-]{0,126}[a-zA-Z0-9])?$/;
/** Bytes of what was read of the texts of charms, and is remembered. */
const REMEMBERED = 8 * 2 ** 20;
/** Bytes of a zip that is read from memory; of a larger one only the needed parts are read. */
export const MAX_READ_AT_ONCE = 2 ** 20;

/** Assembles packages; `notes` are for the operator. */
export class CharmReader<S extends Staged> {
  readonly notes: string[] = [];
  readonly #staging: Staging<S>;
  readonly #options: CharmReadOptions;
  readonly #parse: ReadText;
  readonly #last = new LastZip();
  /** what was read of the last zip; undefined: that failed */
  #lastContent: CharmContent | undefined;

  readonly #lastTexts = new Map<TextName, { readonly text: string; readonly digest: Digest }>();

  constructor(staging: Staging<S>, options: CharmReadOptions) {
    this.#staging = staging;
    this.#options = options;
    this.#parse = remembering(options.read ?? readHere, REMEMBERED);
  }

  /**
   * The charms and bundles of a group. `imagePaths`: charm name to resource name to the path of its image in the local
   * registry. Throws a `refused` failure where files contradict each other.
   */
  async read(group: CharmGroup<S>, imagePaths: ReadonlyMap<string, ReadonlyMap<string, string>>): Promise<Incoming[]> {
    const found = new Map<string, Unpacked<S>[]>();
    for (const zip of group.zips) {
      const unpacked = named(zip, group);
      found.set(unpacked.name, [...(found.get(unpacked.name) ?? []), unpacked]);
    }
    const { declaration } = group;
    if (declaration && found.size > 0 && !found.has(declaration.name))
      throw refused(`metadata.json is of ${declaration.name}, but the archive holds ${[...found.keys()].join(", ")}`, { at: group.at });
    if (declaration && found.size === 0) found.set(declaration.name, []);
    this.#noteUnclaimed(group, found);
    const all: Incoming[] = [];
    for (const [name, zips] of found) {
      const declared = declaration?.name === name ? declaration : undefined;
      if (!declared) this.notes.push(this.#rebuilt(group, name));
      all.push(await this.#assemble(group, name, zips, declared, imagePaths.get(name) ?? new Map()));
    }
    return all;
  }

  #rebuilt(group: CharmGroup<S>, name: string): string {
    return `${joinLocation(group.at)} has no metadata.json: ${name} was rebuilt from the charm itself, on ${this.#channel()}`;
  }

  #channel(): string {
    const text = this.#options.channel ?? "stable";
    const channel = fullChannel(text, "latest");
    if (!channel) throw refused(`${printable(text, 100)} is not a channel`);
    return formatChannel(channel);
  }

  /** Reads what an import needs of the zip of a charm or bundle, and stages its texts. `known`: those of its group so far, which count once. */
  async unpack(zip: ReadAt, known: Set<Digest>): Promise<StagedZip<S>["inside"]> {
    const before = this.#lastContent;
    this.#lastContent = undefined;
    let read: ReadContent;
    try {
      const { files, texts } = await charmFiles(zip, ZIP_FILES, this.#options.budget, this.#last);
      if (before && zip.whole && this.#last.isSame) return (this.#lastContent = before);
      read = await this.#read(files, texts);
    } catch (failure) {
      if (this.#options.budget.isExceeded) throw failure;
      return { failure };
    }
    // What fails here is no fault of the zip.
    const texts: Partial<Record<TextName, Digest>> = {};
    for (const [name, text] of Object.entries(read.texts)) {
      const digest = await this.#stageText(name as TextName, text);
      texts[name as TextName] = digest;
      if (known.has(digest)) continue;
      known.add(digest);
      this.#options.budget.spend("kept", text.length);
    }
    return (this.#lastContent = { ...read, texts });
  }

  /** Stages a text, which the last one of its name mostly is. */
  async #stageText(name: TextName, text: string): Promise<Digest> {
    const last = this.#lastTexts.get(name);
    if (last?.text === text) return last.digest;
    const digest = await this.#staging.stageSmall(text);
    this.#lastTexts.set(name, { text, digest });
    return digest;
  }

  async #read(files: ReadonlyMap<string, ZipContent>, sources: ReadonlyMap<string, string>): Promise<ReadContent> {
    const { budget } = this.#options;
    const parse = this.#parse;
    const read = (name: string) => {
      const content = files.get(name);
      return content && (content.text ?? utf8(content.bytes, `${name} in its zip`));
    };
    const metadata = read("metadata.yaml") ?? read("charmcraft.yaml");
    const bundleYaml = read("bundle.yaml");
    const texts: Partial<Record<TextName, string>> = Object.fromEntries(
      Object.entries(TEXT_FILES).flatMap(([name, file]) => {
        const text = name === "metadata-yaml" ? metadata : name === "bundle-yaml" && metadata !== undefined ? undefined : read(file);
        return text === undefined ? [] : [[name, text]];
      }),
    );
    if (metadata !== undefined) {
      budget.parse("yaml", metadata);
      const charm = await parse("metadata", metadata, "metadata.yaml in its zip");
      const manifest = read("manifest.yaml");
      if (manifest !== undefined) budget.parse("yaml", manifest);
      for (const [path, text] of sources) budget.parse(path === CONFIG ? "yaml" : "code", text);
      return {
        texts,
        charm,
        needs: await parse("needs", sources),
        manifest: manifest === undefined ? [] : await parse("manifest", manifest, "manifest.yaml in its zip"),
      };
    }
    if (bundleYaml === undefined) throw refused("its zip has neither metadata.yaml nor bundle.yaml, so it is neither a charm nor a bundle");
    budget.parse("yaml", bundleYaml);
    return { texts, bundle: await parse("bundle", bundleYaml, "bundle.yaml in its zip"), needs: NO_NEEDS, manifest: [] };
  }

  async #assemble(
    group: CharmGroup<S>,
    name: string,
    zips: readonly Unpacked<S>[],
    declared: Declaration | undefined,
    imagePaths: ReadonlyMap<string, string>,
  ): Promise<Incoming> {
    const type = zips.some((zip) => zip.bundle) || (zips.length === 0 && declared?.type === "bundle") ? "bundle" : "charm";
    const revisions = new Map<number, Revision>();
    const manifests = new Map<number, readonly Base[]>();
    for (const zip of zips) {
      const revision = await this.#revision(zip, declared, revisions).catch((error: unknown) => {
        throw located(error, zip.file);
      });
      const before = revisions.get(revision.revision);
      if (before && before.blob !== revision.blob)
        throw refused(
          `revision ${revision.revision} of ${name} is in it twice, with different content: sha256 ${before.blob} and ${revision.blob}`,
          { at: group.at },
        );
      revisions.set(revision.revision, revision);
      manifests.set(revision.revision, zip.manifest);
    }
    const [newest] = [...revisions.values()].toSorted((a, b) => b.revision - a.revision);
    const facts = zips.find((zip) => zip.staged.sums["sha-256"] === newest?.blob) ?? zips[0];
    const resources = await this.#resources(group, name, zips, declared, imagePaths);
    const id = declared?.id ?? imageId(resources) ?? mintId(name);
    const rows = declared
      ? declaredReleases(declared, type, revisions, manifests, this.#options.now)
      : this.#rebuiltReleases(type, revisions);
    const released = new Set(rows.map((row) => row.revision));
    const unreleased = [...revisions.keys()].filter((revision) => !released.has(revision));
    this.notes.push(...unreleasedNote(unreleased, `${name} `));
    const account = group.assertions.findLast((file) => isPublisherAccount(file.bytes, group));
    const assertion = account && utf8(account.bytes, joinLocation(account.at));
    const publisherAssertion = assertion === undefined ? undefined : await this.#staging.stageSmall(assertion);
    return {
      type,
      name,
      id,
      declared: declared?.id !== undefined,
      details: packageDetails(declared, facts, assertion),
      ...(declared?.defaultTrack !== undefined && { declaredTrack: declared.defaultTrack }),
      revisions: [...revisions.values()],
      resources,
      releases: rows,
      ...(publisherAssertion && { publisherAssertion }),
    };
  }

  async #revision(zip: Unpacked<S>, declared: Declaration | undefined, others: ReadonlyMap<number, Revision>): Promise<Revision> {
    const { sums } = zip.staged;
    const inName = revisionInName(zip.file.path);
    const byHash = revisionOfBytes(declared?.revisions ?? [], sums, inName);
    const only = declared?.revisions.length === 1 ? declared.revisions[0]?.revision : undefined;
    const revision = (declared ? undefined : this.#options.revision) ?? inName ?? byHash ?? only ?? unnumbered(sums["sha-256"], others);
    if (!Number.isSafeInteger(revision)) throw refused("the revision in its name is not a number that can be kept");
    const stated = declared?.revisions.find((r) => r.revision === revision);
    compareSums(sums, stated?.sums ?? {});
    const texts: Partial<Record<TextName, Digest>> = {};
    for (const [name, text] of Object.entries({ ...stated?.texts, ...zip.texts })) {
      const own = zip.texts[name as TextName];
      texts[name as TextName] = own ?? (await this.#staging.stageSmall(text));
    }
    const manifest = zip.charm ? ownBases(zip.manifest, zip.charm.series) : [];
    const bases = stated && stated.bases.length > 0 ? expandAny(stated.bases, zip.manifest.length > 0 ? zip.manifest : manifest) : manifest;
    return {
      revision,
      version: stated?.version ?? String(revision),
      createdAt: stated?.createdAt ?? this.#options.now,
      bases: zip.charm ? bases.toSorted(compareBases("24.04")) : [],
      blob: sums["sha-256"],
      size: sums.size,
      texts,
      resources: zip.charm?.resources.map((r) => r.name) ?? [],
      charms: zip.bundle?.charms ?? [],
      relations: zip.charm?.relations ?? {},
      subordinate: zip.charm?.subordinate ?? false,
      ...(stated?.attributes && { attributes: stated.attributes }),
      ...(zip.needs.snaps.length > 0 && { snaps: zip.needs.snaps }),
      ...(zip.needs.images.length > 0 && { images: zip.needs.images }),
    };
  }

  /** Without a metadata.json: every base gets the highest revision that runs on it. */
  #rebuiltReleases(type: Incoming["type"], revisions: ReadonlyMap<number, Revision>): IncomingRelease[] {
    const rows = new Map<string, IncomingRelease>();
    for (const r of [...revisions.values()].toSorted((a, b) => a.revision - b.revision)) {
      for (const base of type === "bundle" ? [null] : r.bases)
        rows.set(JSON.stringify(base), { channel: this.#channel(), base, revision: r.revision, releasedAt: this.#options.now });
    }
    return [...rows.values()];
  }

  /** Notes the resource files that belong to no charm of their group. Throws where one may belong to several. */
  #noteUnclaimed(group: CharmGroup<S>, found: ReadonlyMap<string, readonly Unpacked<S>[]>): void {
    for (const { file } of group.resources) {
      const owners = [...found].filter(([name, zips]) => resourceOf(file.path, name, resourceNames(zips, group)));
      if (owners.length === 0) this.notes.push(`${showLocation(file)} is a resource of no charm that is beside it; it was left out`);
      if (owners.length > 1)
        throw refused(`${owners.map(([name]) => name).join(" and ")} declare that resource; name the file CHARM.RESOURCE_REVISION`, {
          at: locationParts(file),
        });
    }
  }

  async #resources(
    group: CharmGroup<S>,
    charm: string,
    zips: readonly Unpacked<S>[],
    declared: Declaration | undefined,
    imagePaths: ReadonlyMap<string, string>,
  ): Promise<Resource[]> {
    const metas = new Map(zips.flatMap((zip) => zip.charm?.resources ?? []).map((r) => [r.name, r]));
    const found = new Map<string, ResourceRevision[]>();
    for (const file of group.resources) {
      const owned = resourceOf(file.file.path, charm, resourceNames(zips, group));
      if (!owned) continue;
      const resource = await this.#resource(
        file,
        owned,
        metas.get(owned.name),
        declared,
        imagePaths.get(owned.name) || ownValue(declared?.paths ?? {}, owned.name) || undefined, // an empty one names none
      ).catch((error: unknown) => {
        throw located(error, file.file);
      });
      const list = found.get(owned.name) ?? [];
      if (list.some((r) => r.revision === resource.revision))
        throw refused(`resource ${owned.name} revision ${resource.revision} is in the archive twice`, { at: locationParts(file.file) });
      found.set(owned.name, [...list, resource]);
    }
    return [...found].map(([name, list]) => ({ name, revisions: list.toSorted((a, b) => b.revision - a.revision) }));
  }

  async #resource(
    { staged }: StagedFile<S>,
    { name, revision }: ResourceFileName,
    meta: CharmResource | undefined,
    declared: Declaration | undefined,
    imagePath: string | undefined,
  ): Promise<ResourceRevision> {
    if (!isResourceName(name)) throw refused(`${printable(name, 100)} is not a name of a resource`);
    if (!Number.isSafeInteger(revision)) throw refused("the revision in its name is not a number that can be kept");
    const sameName = declared?.resources.filter((r) => r.name === name) ?? [];
    revisionOfBytes(sameName, staged.sums, revision);
    const stated = sameName.find((r) => r.revision === revision);
    const type = stated?.type ?? meta?.type ?? ((await readImage(staged)) ? "oci-image" : "file");
    const common = {
      revision,
      type,
      filename: type === "file" ? stated?.filename || meta?.filename || "" : "",
      description: stated?.description || meta?.description || "",
      createdAt: stated?.createdAt ?? this.#options.now,
    };
    if (type === "file") {
      compareSums(staged.sums, stated?.sums ?? {});
      return { ...common, ...blobOf(staged.sums) };
    }
    const reference = await readImage(staged);
    if (reference === undefined) throw refused(`${name} is an oci-image, but the file names no image`);
    // An exporter may have put the operator's own path into the blob: then it is no longer what upstream hashed.
    if (imagePath === undefined && registryOfReference(reference) !== undefined) compareSums(staged.sums, stated?.sums ?? {});
    // Upstream's credentials end here.
    const blob = await this.#staging.replace(staged, imageBlob(reference), ALGORITHMS);
    return { ...common, ...blobOf(blob.sums), image: { reference, path: imagePath ?? pathOfReference(reference) } };
  }
}

/** What an import needs of the zip of a charm or bundle. */
interface CharmContent {
  readonly texts: Partial<Record<TextName, Digest>>;
  readonly charm?: CharmFacts;
  readonly bundle?: BundleFacts;
  readonly needs: CharmNeeds;
  readonly manifest: readonly Base[];
}

/** The same, before its texts are staged. */
type ReadContent = Omit<CharmContent, "texts"> & { readonly texts: Partial<Record<TextName, string>> };

/** A charm or bundle with the facts in its zip. */
interface Unpacked<S> extends StagedFile<S>, CharmContent {
  readonly name: string;
}

/** Throws where its zip could not be read, or has no valid name. */
function named<S>({ file, staged, inside }: StagedZip<S>, { declaration }: CharmGroup<S>): Unpacked<S> {
  try {
    if ("failure" in inside) throw inside.failure;
    const name = inside.charm?.name ?? declaration?.name ?? (inside.bundle?.name || bundleNameOf(file));
    return { file, staged, ...inside, name: checkName(name) };
  } catch (error) {
    throw located(error, file);
  }
}

const NO_NEEDS: CharmNeeds = { snaps: [], images: [] };

const TEXT_FILES: Readonly<Record<TextName, string>> = {
  "metadata-yaml": "metadata.yaml",
  "config-yaml": "config.yaml",
  "actions-yaml": "actions.yaml",
  "bundle-yaml": "bundle.yaml",
  "readme-md": "README.md",
};

const ZIP_FILES: Wanted = new Map([
  ["metadata.yaml", "needed"],
  ["bundle.yaml", "needed"],
  ["manifest.yaml", "needed"],
  ["charmcraft.yaml", "optional"],
  ["config.yaml", "needed"],
  ["actions.yaml", "needed"],
  ["README.md", "optional"],
]);

/** Returns the name. Throws a `refused` failure if it is not a valid name of a charm or bundle. */
export function checkName(name: string): string {
  if (!NAME.test(name)) throw refused(`${printable(name, 200)} is not a name of a charm or bundle`);
  return name;
}

/** A number below 0 that no other build has; the same bytes keep theirs. */
function unnumbered(blob: Digest, others: ReadonlyMap<number, Revision>): number {
  const same = [...others.values()].find((r) => r.revision < 0 && r.blob === blob);
  return same?.revision ?? Math.min(UNNUMBERED + 1, ...others.keys()) - 1;
}

/** `kafka_195.charm`, `kafka_r195.charm` → 195. */
function revisionInName(path: string): number | undefined {
  const match = /_r?(\d+)\.[a-z]+$/.exec(path);
  return match ? Number(match[1]) : undefined;
}

/** The revision that has these bytes by the metadata.json. Throws a `refused` failure if the file name says that they are of another. */
function revisionOfBytes(
  declared: readonly { readonly revision: number; readonly sums: DeclaredSums }[],
  sums: Sums,
  inName: number | undefined,
): number | undefined {
  const [first, ...others] = declared.filter((r) => r.sums["sha-256"] === sums["sha-256"]).map((r) => r.revision);
  if (first !== undefined && inName !== undefined && ![first, ...others].includes(inName))
    throw refused(`its name says revision ${inName}, but metadata.json says that its sha256 is of revision ${first}`);
  return first;
}

/** The name of a bundle without a name in it: that of its file, `cos-lite_11.bundle`, else of the archive or folder around it. */
function bundleNameOf(file: FileLocation): string {
  const [around = "", base = ""] = ["", ...locationParts(file).join("/").split("/")].slice(-2);
  const own = base.replace(/(_r?\d+)?\.[a-z]+$/, "");
  return own !== "" && own !== "bundle" ? own : around.replace(/(-\d{8}T\d{6})?\.(tar|tgz)?(\.?(gz|zst))?$/, "");
}

/** The parts of a resource file's name. */
interface ResourceFileName {
  readonly name: string;
  readonly revision: number;
}

function resourceNames(zips: readonly { readonly charm?: CharmFacts }[], group: { readonly declaration?: Declaration }): Set<string> {
  return new Set([...zips.flatMap((zip) => zip.charm?.resources ?? []), ...(group.declaration?.resources ?? [])].map((r) => r.name));
}

/** Which resource of `charm` a file is: `CHARM.RESOURCE_REV`, or `resource_RESOURCE_rREV[_FILE]` as `juju download` writes it. */
function resourceOf(path: string, charm: string, names: ReadonlySet<string>): ResourceFileName | undefined {
  const file = path.split("/").at(-1) ?? "";
  const exported = file.startsWith(`${charm}.`) ? /^(.+)_(\d+)$/.exec(file.slice(charm.length + 1)) : null;
  if (exported) return { name: exported[1] ?? "", revision: Number(exported[2]) };
  const downloaded = /^resource_(.+?)_r(\d+)(_.*)?$/.exec(file);
  return downloaded && names.has(downloaded[1] ?? "") ? { name: downloaded[1] ?? "", revision: Number(downloaded[2]) } : undefined;
}

function compareSums(sums: Sums, stated: DeclaredSums): void {
  if (stated.size !== undefined && stated.size !== sums.size)
    throw refused(`it has ${sums.size} bytes, but metadata.json says ${stated.size}`);
  for (const algorithm of ALGORITHMS) {
    const [is, should] = [sums[algorithm], stated[algorithm]];
    if (is !== undefined && should !== undefined && is !== should)
      throw refused(`its ${algorithm} is ${is}, but metadata.json says ${should}`);
  }
}

function blobOf(sums: Sums): Pick<ResourceRevision, "blob" | "size" | "digests"> {
  const [a = "", b = "", c = ""] = [sums["sha-384"], sums["sha-512"], sums["sha3-384"]];
  return { blob: sums["sha-256"], size: sums.size, digests: { "sha-384": a, "sha-512": b, "sha3-384": c } };
}

function declaredReleases(
  declared: Declaration,
  type: Incoming["type"],
  revisions: ReadonlyMap<number, Revision>,
  manifests: ReadonlyMap<number, readonly Base[]>,
  now: string,
): IncomingRelease[] {
  return declared.rows.flatMap((row): IncomingRelease[] => {
    const { channel, revision, resources } = row;
    const common = { channel, revision, releasedAt: row.releasedAt ?? now, ...(resources && { resources }) };
    if (type === "bundle") return [{ ...common, base: null }];
    const own = manifests.get(revision) ?? [];
    const known = own.length > 0 ? own : (revisions.get(revision)?.bases ?? []);
    const bases = row.base ? expandAny([row.base], known) : (revisions.get(revision)?.bases ?? []);
    return bases.map((base) => ({ ...common, base }));
  });
}

function packageDetails(
  declared: Declaration | undefined,
  zip: { charm?: CharmFacts; bundle?: BundleFacts } | undefined,
  assertion: string | undefined,
): Details {
  const facts = zip?.charm ?? zip?.bundle;
  const title = zip?.charm?.title;
  const publisher = declared?.details.publisher ?? publisherOf(assertion);
  const own = {
    ...(title && { title }),
    ...(facts?.summary && { summary: facts.summary }),
    ...(facts?.description && { description: facts.description }),
  };
  // The same keys in the same order whether the zip came along or is stored already.
  return { ...declared?.details, ...own, ...declared?.details, ...(publisher && { publisher }) };
}

/** Whether a file of assertions is the account of the publisher of a charm in the same group; everything else is for snapd. */
export function isPublisherAccount(bytes: Uint8Array, { zips, declaration }: Pick<CharmGroup<unknown>, "zips" | "declaration">): boolean {
  return (
    (zips.length > 0 || declaration !== undefined) && Buffer.from(bytes.subarray(0, 64)).toString("latin1").startsWith("type: account\n")
  );
}

/** The publisher in the headers of an account assertion. */
function publisherOf(assertion: string | undefined): Record<string, string> | undefined {
  const header = (name: string) => new RegExp(`^${name}: (.+)$`, "m").exec(assertion?.split("\n\n")[0] ?? "")?.[1];
  const [id, username, display, validation] = [header("account-id"), header("username"), header("display-name"), header("validation")];
  if (header("type") !== "account" || id === undefined) return undefined;
  return {
    id,
    username: username ?? id,
    "display-name": display ?? username ?? id,
    validation: validation === "certified" ? "verified" : (validation ?? "unproven"),
  };
}

/** The charm id in the upstream path of a k8s charm's image: `charm/ID/RESOURCE@sha256:…`. */
function imageId(resources: readonly Resource[]): string | undefined {
  for (const { revisions } of resources) {
    for (const { image } of revisions) {
      const id = /^[^/]+\/charm\/([a-zA-Z0-9]+)\//.exec(image?.reference ?? "")?.[1];
      if (id !== undefined) return id;
    }
  }
  return undefined;
}

/** The image that an oci-image blob names; undefined where it names none. */
async function readImage(staged: Staged): Promise<string | undefined> {
  if (staged.sums.size > MAX_IMAGE_BLOB) return undefined;
  return readImageBlob(await staged.bytes(0, staged.sums.size))?.reference;
}
