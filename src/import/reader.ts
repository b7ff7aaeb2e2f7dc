/**
 * The export formats: files of an archive → packages. Layout: contract of the exporters, told in store/README.md.
 *
 * Files are sorted into groups, one a folder of an archive; a group holds the charms of one inner NAME.tar.gz with its
 * metadata.json, resources and assertion, in any order. What a group means is worked out when all of it was read.
 */

import { type ArchiveFile, type Limits, located, place, type ReadAt } from "../archives/archive.ts";
import {
  type BundleFacts,
  type CharmFacts,
  type DeclaredResource as CharmResource,
  ownBases,
  readBundle,
  readManifest,
  readMetadata,
} from "../archives/charm.ts";
import { type Declaration, type DeclaredSums, readDeclaration } from "../archives/metadata.ts";
import { isLitter, isResourcePath, isSquashfs, isZip, LOCK_FILE } from "../archives/names.ts";
import { needsOf } from "../archives/needs/charm.ts";
import { mayNameSnaps } from "../archives/needs/files.ts";
import { zipFiles, zipTexts } from "../archives/zip.ts";
import { type Base, compareBases, expandAny } from "../catalog/base.ts";
import { formatChannel, fullChannel } from "../catalog/channel.ts";
import type { Need } from "../catalog/need.ts";
import {
  type Details,
  type Incoming,
  type IncomingRelease,
  mintId,
  type Resource,
  type ResourceRevision,
  type Revision,
  type TextName,
  UNNUMBERED,
} from "../catalog/package.ts";
import { imageBlob, MAX_IMAGE_BLOB, pathOfReference, readImageBlob, registryOfReference } from "../catalog/registry.ts";
import { ALGORITHMS, type Algorithm, type Digest, type Sums, sumsOf } from "../digest.ts";
import { printable, reason, refused } from "../errors.ts";
import { valueOf } from "../schema.ts";
import { readYaml, utf8 } from "../text.ts";
import { isRegistration, SnapReader, type SnapReading, type SnapReadOptions } from "./snapreader.ts";

/** A blob that was read, with its bytes still at hand. */
export interface Staged {
  readonly sums: Sums;
  bytes(start: number, end: number): Promise<Uint8Array>;
  discard(): Promise<void>;
}

/** Where the bytes of an archive go: the store's staging area. */
export interface Ingest<S extends Staged> {
  ingest(chunks: AsyncIterable<Uint8Array>, also?: readonly Algorithm[]): Promise<S>;
  ingestBytes(bytes: Uint8Array, also?: readonly Algorithm[]): Promise<S>;
}

export interface ReadOptions {
  /** for packages that come without a metadata.json */
  readonly channel?: string;
  /** for a lone charm or bundle whose file name has none */
  readonly revision?: number;
  /** RFC 3339; for releases of which no time is known */
  readonly now: string;
  readonly limits: Limits;
  /** see `SnapReadOptions` */
  readonly unsquash?: SnapReadOptions["unsquash"];
}

/** What was found in the files of one import. */
export interface Reading<S extends Staged> {
  readonly packages: readonly Incoming[];
  readonly snaps: SnapReading;
  /** all blobs that the packages and snaps name */
  readonly blobs: readonly S[];
  /** what the operator should know, in words */
  readonly notes: readonly string[];
  /** files that are none of chp's business */
  readonly ignored: readonly string[];
}

const NAME = /^[a-zA-Z0-9](?:[a-zA-Z0-9._+-]{0,126}[a-zA-Z0-9])?$/;
const ID = /^[a-zA-Z0-9][a-zA-Z0-9_-]{0,127}$/;
const RESOURCE_NAME = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,126}$/;
const ALL_SUMS: readonly Algorithm[] = ALGORITHMS;
const MAX_NESTING = 100;
/** Bytes of a zip; a larger one is read in the dozen places where something is needed of it. */
const MAX_READ_AT_ONCE = 2 ** 20;

interface Package<S> {
  readonly file: Located;
  readonly staged: S;
}

interface Located {
  readonly containers: readonly string[];
  readonly path: string;
}

interface Group<S> {
  readonly key: string;
  readonly where: string;
  readonly zips: Package<S>[];
  readonly resources: Package<S>[];
  declaration?: Declaration;
  metadataNote?: string;
  readonly assertions: { readonly where: string; readonly bytes: Uint8Array }[];
  bundle?: BundleFacts;
}

/** Sorts the files of one import; `finish` says what they mean. */
export class ExportReader<S extends Staged> {
  readonly #store: Ingest<S>;
  readonly #options: ReadOptions;
  readonly #snaps: SnapReader;
  readonly #groups = new Map<string, Group<S>>();
  readonly #staged: S[] = [];
  readonly #texts = new Set<Digest>();
  readonly #notes: string[] = [];
  readonly #ignored: string[] = [];

  constructor(store: Ingest<S>, options: ReadOptions) {
    this.#store = store;
    this.#options = options;
    const keeper = {
      stage: async (chunks: AsyncIterable<Uint8Array>, also: readonly Algorithm[]) => readAt(await this.#stage(chunks, also)),
      keep: (bytes: Uint8Array) => this.#keep(bytes),
    };
    this.#snaps = new SnapReader(keeper, { limits: options.limits, ...(options.unsquash && { unsquash: options.unsquash }) });
  }

  /** Takes in one file; its bytes are read now. Gives the sums of one that was staged as it is. */
  async add(file: ArchiveFile): Promise<Sums | undefined> {
    try {
      return await this.#add(file);
    } catch (error) {
      throw located(error, file);
    }
  }

  /** How many files were of no use so far. */
  get ignored(): number {
    return this.#ignored.length;
  }

  /** Forgets everything that was staged and is not committed. */
  async discard(): Promise<void> {
    await Promise.all(this.#staged.map((staged) => staged.discard()));
  }

  async #add(file: ArchiveFile): Promise<Sums | undefined> {
    if (isLitter(file.path) || file.path === LOCK_FILE) return undefined;
    const at = { containers: file.containers, path: file.path }; // what is kept of a file must not keep its reader and buffers
    const group = this.#group(at);
    const name = file.path.split("/").at(-1) ?? "";
    const { json, text } = this.#options.limits;
    if (isResourcePath(file.path)) {
      const staged = await this.#stage(file.bytes.chunks(), ALL_SUMS);
      group.resources.push({ file: at, staged });
      return staged.sums;
    }
    const head = await file.bytes.peek(64);
    const start = Buffer.from(head).toString("latin1");
    if (isSquashfs(head)) return this.#snaps.image(file, group.key);
    if (isZip(head)) {
      const staged = await this.#stage(file.bytes.chunks());
      group.zips.push({ file: at, staged });
      return staged.sums;
    }
    if (/\.(snap|comp)$/.test(name)) throw refused("it is not a squashfs, so it is neither a snap nor a component");
    else if (start.startsWith("type: ") || name.endsWith(".assert"))
      group.assertions.push({ where: place(file), bytes: await file.bytes.whole(json, "it") });
    else if (isRegistration(file.path)) this.#snaps.registration(await file.bytes.whole(json, "it"), place(file), group.key);
    else if (/\.(charm|bundle)$/.test(name)) throw refused("it is not a zip, so it is neither a charm nor a bundle");
    else if (name === "metadata.json" || /^\s*[{[]/.test(start)) this.#metadata(group, file, await file.bytes.whole(json, "it"));
    else if (/\.ya?ml$/.test(name)) this.#bundleYaml(group, file, await file.bytes.whole(text, "it"));
    else this.#ignored.push(place(file));
    return undefined;
  }

  #group({ containers, path }: Located): Group<S> {
    const folder = path.split("/").slice(0, -1);
    if (folder.at(-1) === "resources") folder.pop();
    const key = JSON.stringify([containers, folder]);
    const group: Group<S> = this.#groups.get(key) ?? {
      key,
      where: printable([...containers, ...(folder.length > 0 ? [folder.join("/")] : [])].join(": ")) || "this folder",
      zips: [],
      resources: [],
      assertions: [],
    };
    this.#groups.set(key, group);
    return group;
  }

  async #stage(chunks: AsyncIterable<Uint8Array>, also: readonly Algorithm[] = []): Promise<S> {
    const staged = await this.#store.ingest(chunks, also);
    this.#staged.push(staged);
    return staged;
  }

  #text(text: string): Promise<Digest> {
    return this.#keep(Buffer.from(text));
  }

  /** Stages what is small; what many revisions share is staged once. */
  async #keep(bytes: Uint8Array): Promise<Digest> {
    const digest = sumsOf(bytes)["sha-256"];
    if (this.#texts.has(digest)) return digest;
    this.#texts.add(digest);
    this.#staged.push(await this.#store.ingestBytes(bytes));
    return digest;
  }

  #metadata(group: Group<S>, file: ArchiveFile, bytes: Uint8Array): void {
    if (nesting(bytes) > MAX_NESTING) throw refused(`it is nested more than ${MAX_NESTING} deep`);
    const isOurs = file.path.split("/").at(-1) === "metadata.json";
    let value: unknown;
    try {
      value = JSON.parse(utf8(bytes, "it"));
    } catch (error) {
      if (isOurs) group.metadataNote = `${place(file)} cannot be read (${printable(reason(error), 200)})`;
      else this.#ignored.push(place(file));
      return;
    }
    if (this.#snaps.declares(value, file, group.key)) return;
    const declaration = readDeclaration(value, place(file));
    if (declaration) {
      checkName(declaration.name);
      if (declaration.id !== undefined && !ID.test(declaration.id)) throw refused(`${printable(declaration.id, 200)} is not a package id`);
      group.declaration = declaration;
    } else if (isOurs) group.metadataNote = `${place(file)} has no shape that chp knows`;
    else this.#ignored.push(place(file));
  }

  #bundleYaml(group: Group<S>, file: ArchiveFile, bytes: Uint8Array): void {
    const text = utf8(bytes, "it");
    const facts = readBundle(text, "it");
    if (facts.charms.length > 0) group.bundle = facts;
    else if (this.#snaps.declares(readYaml(text, "it"), file, group.key)) return;
    // What an export was asked for goes along with it; there is nothing in it to import.
    else if (file.path !== "bundle.yaml") this.#ignored.push(place(file));
  }

  /** The packages that the files hold. Throws a `refused` failure where they contradict themselves. */
  async finish(): Promise<Reading<S>> {
    const subpaths = new Map<string, ReadonlyMap<string, string>>();
    for (const { bundle } of this.#groups.values()) {
      for (const [charm, resources] of bundle?.overrides ?? []) subpaths.set(charm, resources);
    }
    const packages: Incoming[] = [];
    for (const group of this.#groups.values()) {
      packages.push(...(await this.#packages(group, subpaths)));
      for (const one of group.assertions)
        if (isPublishers(one, group)) this.#snaps.publisher(one.bytes, one.where, group.key);
        else this.#snaps.assertions(one.bytes, one.where, group.key);
    }
    return { packages, snaps: await this.#snaps.finish(), blobs: this.#staged, notes: this.#notes, ignored: this.#ignored };
  }

  async #packages(group: Group<S>, subpaths: ReadonlyMap<string, ReadonlyMap<string, string>>): Promise<Incoming[]> {
    const found = new Map<string, Unpacked<S>[]>();
    for (const zip of group.zips) {
      const unpacked = await this.#unpack(zip, group).catch((error: unknown) => {
        throw located(error, zip.file);
      });
      found.set(unpacked.name, [...(found.get(unpacked.name) ?? []), unpacked]);
    }
    const { declaration } = group;
    if (declaration && found.size > 0 && !found.has(declaration.name))
      throw refused(`${group.where}: metadata.json is of ${declaration.name}, but the archive holds ${[...found.keys()].join(", ")}`);
    if (declaration && found.size === 0) found.set(declaration.name, []);
    this.#unclaimed(group, found);
    const all: Incoming[] = [];
    for (const [name, zips] of found) {
      const declared = declaration?.name === name ? declaration : undefined;
      if (!declared) this.#notes.push(this.#rebuilt(group, name));
      all.push(await this.#assemble(group, name, zips, declared, subpaths.get(name) ?? new Map()));
    }
    return all;
  }

  #rebuilt(group: Group<S>, name: string): string {
    const why = group.metadataNote ?? `${group.where} has no metadata.json`;
    return `${why}: ${name} was rebuilt from the charm itself, on ${this.#channel()}`;
  }

  #channel(): string {
    const text = this.#options.channel ?? "stable";
    const channel = fullChannel(text, "latest");
    if (!channel) throw refused(`${printable(text, 100)} is not a channel`);
    return formatChannel(channel);
  }

  /** Reads what stands in the zip of a charm or bundle. */
  async #unpack(zip: Package<S>, group: Group<S>): Promise<Unpacked<S>> {
    const { staged } = zip;
    const { size } = staged.sums;
    const whole = size <= MAX_READ_AT_ONCE ? await staged.bytes(0, size) : undefined;
    const access: ReadAt = { size, bytes: async (start, end) => whole?.subarray(start, end) ?? staged.bytes(start, end) };
    const inside = await zipFiles(access, ZIP_FILES, this.#options.limits);
    const read = (name: string) => {
      const bytes = inside.get(name);
      return bytes && utf8(bytes, `${name} in its zip`);
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
      const facts = readMetadata(metadata, "metadata.yaml in its zip");
      const manifest = read("manifest.yaml");
      return {
        ...zip,
        name: checkName(facts.name),
        texts,
        charm: facts,
        snaps: needsOf(await zipTexts(access, mayNameSnaps, this.#options.limits)),
        manifest: manifest === undefined ? [] : readManifest(manifest, "manifest.yaml in its zip"),
      };
    }
    if (bundleYaml === undefined) throw refused("its zip has neither metadata.yaml nor bundle.yaml, so it is neither a charm nor a bundle");
    const facts = readBundle(bundleYaml, "bundle.yaml in its zip");
    const name = group.declaration?.name ?? (facts.name || nameOf(zip.file));
    return { ...zip, name: checkName(name), texts, bundle: facts, snaps: [], manifest: [] };
  }

  async #assemble(
    group: Group<S>,
    name: string,
    zips: readonly Unpacked<S>[],
    declared: Declaration | undefined,
    subpaths: ReadonlyMap<string, string>,
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
          `${group.where}: revision ${revision.revision} of ${name} is in it twice, with other bytes: sha256 ${before.blob} and ${revision.blob}`,
        );
      revisions.set(revision.revision, revision);
      manifests.set(revision.revision, zip.manifest);
    }
    const [newest] = [...revisions.values()].toSorted((a, b) => b.revision - a.revision);
    const facts = zips.find((zip) => zip.staged.sums["sha-256"] === newest?.blob) ?? zips[0];
    const resources = await this.#resources(group, name, zips, declared, subpaths);
    const id = declared?.id ?? imageId(resources) ?? mintId(name);
    const rows = declared
      ? declaredReleases(declared, type, revisions, manifests, this.#options.now)
      : this.#rebuiltReleases(type, revisions);
    for (const r of revisions.values())
      if (!rows.some((row) => row.revision === r.revision))
        this.#notes.push(`${name} revision ${r.revision} is in no channel; it can be had by number`);
    const account = group.assertions.findLast((one) => isPublishers(one, group));
    const assertion = account && utf8(account.bytes, account.where);
    const publisherAssertion = assertion === undefined ? undefined : await this.#text(assertion);
    return {
      type,
      name,
      id,
      declared: declared?.id !== undefined,
      details: details(declared, facts, assertion),
      ...(declared?.defaultTrack !== undefined && { declaredTrack: declared.defaultTrack }),
      revisions: [...revisions.values()],
      resources,
      releases: rows,
      ...(publisherAssertion && { publisherAssertion }),
    };
  }

  async #revision(zip: Unpacked<S>, declared: Declaration | undefined, others: ReadonlyMap<number, Revision>): Promise<Revision> {
    const { sums } = zip.staged;
    const inName = revisionOf(zip.file.path);
    const byHash = declared?.revisions.find((r) => r.sums["sha-256"] === sums["sha-256"])?.revision;
    const only = declared?.revisions.length === 1 ? declared.revisions[0]?.revision : undefined;
    const revision = (declared ? undefined : this.#options.revision) ?? inName ?? byHash ?? only ?? unnumbered(sums["sha-256"], others);
    if (!Number.isSafeInteger(revision)) throw refused("the revision in its name is not a number that can be kept");
    const told = declared?.revisions.find((r) => r.revision === revision);
    compareSums(sums, told?.sums ?? {});
    const ownTexts = zip.texts;
    const texts: Partial<Record<TextName, Digest>> = {};
    for (const [name, text] of Object.entries({ ...told?.texts, ...ownTexts })) texts[name as TextName] = await this.#text(text);
    const manifest = zip.charm ? ownBases(zip.manifest, zip.charm.series) : [];
    const bases = told && told.bases.length > 0 ? expandAny(told.bases, zip.manifest.length > 0 ? zip.manifest : manifest) : manifest;
    return {
      revision,
      version: told?.version ?? String(revision),
      createdAt: told?.createdAt ?? this.#options.now,
      bases: zip.charm ? bases.toSorted(compareBases("24.04")) : [],
      blob: sums["sha-256"],
      size: sums.size,
      texts,
      resources: zip.charm?.resources.map((r) => r.name) ?? [],
      charms: zip.bundle?.charms ?? [],
      relations: zip.charm?.relations ?? {},
      subordinate: zip.charm?.subordinate ?? false,
      ...(told?.attributes && { attributes: told.attributes }),
      ...(zip.snaps.length > 0 && { snaps: zip.snaps }),
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

  /** Names the resource files that belong to no charm of their group. */
  #unclaimed(group: Group<S>, found: ReadonlyMap<string, readonly Unpacked<S>[]>): void {
    for (const { file } of group.resources) {
      const owners = [...found].filter(([name, zips]) => resourceOf(file.path, name, declaredNames(zips, group)));
      if (owners.length === 0) this.#notes.push(`${place(file)} is a resource of no charm that is beside it; it was left out`);
      if (owners.length > 1)
        throw refused(
          `${place(file)}: ${owners.map(([name]) => name).join(" and ")} declare that resource; name the file CHARM.RESOURCE_REVISION`,
        );
    }
  }

  async #resources(
    group: Group<S>,
    charm: string,
    zips: readonly Unpacked<S>[],
    declared: Declaration | undefined,
    subpaths: ReadonlyMap<string, string>,
  ): Promise<Resource[]> {
    const metas = new Map(zips.flatMap((zip) => zip.charm?.resources ?? []).map((r) => [r.name, r]));
    const found = new Map<string, ResourceRevision[]>();
    for (const one of group.resources) {
      const owned = resourceOf(one.file.path, charm, declaredNames(zips, group));
      if (!owned) continue;
      const resource = await this.#resource(
        one,
        owned,
        metas.get(owned.name),
        declared,
        subpaths.get(owned.name) ?? valueOf(declared?.paths ?? {}, owned.name),
      ).catch((error: unknown) => {
        throw located(error, one.file);
      });
      const list = found.get(owned.name) ?? [];
      if (list.some((r) => r.revision === resource.revision))
        throw refused(`${place(one.file)}: resource ${owned.name} revision ${resource.revision} is in the archive twice`);
      found.set(owned.name, [...list, resource]);
    }
    return [...found].map(([name, list]) => ({ name, revisions: list.toSorted((a, b) => b.revision - a.revision) }));
  }

  async #resource(
    { staged }: Package<S>,
    { name, revision }: Owned,
    meta: CharmResource | undefined,
    declared: Declaration | undefined,
    subpath: string | undefined,
  ): Promise<ResourceRevision> {
    if (!RESOURCE_NAME.test(name)) throw refused(`${printable(name, 100)} is not a name of a resource`);
    if (!Number.isSafeInteger(revision)) throw refused("the revision in its name is not a number that can be kept");
    const told = declared?.resources.find((r) => r.name === name && r.revision === revision);
    const type = told?.type ?? meta?.type ?? ((await readImage(staged)) ? "oci-image" : "file");
    const common = {
      revision,
      type,
      filename: type === "file" ? told?.filename || meta?.filename || "" : "",
      description: told?.description || meta?.description || "",
      createdAt: told?.createdAt ?? this.#options.now,
    };
    if (type === "file") {
      compareSums(staged.sums, told?.sums ?? {});
      return { ...common, ...blobOf(staged.sums) };
    }
    const reference = await readImage(staged);
    if (reference === undefined) throw refused(`${name} is an oci-image, but the file names no image`);
    // An exporter may have put the operator's own path into the blob: then it is no longer what upstream hashed.
    if (subpath === undefined && registryOfReference(reference) !== undefined) compareSums(staged.sums, told?.sums ?? {});
    // Upstream's credentials end here.
    const blob = await this.#store.ingestBytes(imageBlob(reference), ALL_SUMS);
    this.#staged.splice(this.#staged.indexOf(staged), 1, blob);
    await staged.discard();
    return { ...common, ...blobOf(blob.sums), image: { reference, path: subpath ?? pathOfReference(reference) } };
  }
}

function readAt(staged: Staged): ReadAt & Pick<Staged, "sums"> {
  return { sums: staged.sums, size: staged.sums.size, bytes: (start, end) => staged.bytes(start, end) };
}

interface Unpacked<S> extends Package<S> {
  readonly name: string;
  readonly texts: Partial<Record<TextName, string>>;
  readonly charm?: CharmFacts;
  readonly bundle?: BundleFacts;
  readonly snaps: readonly Need[];
  readonly manifest: readonly Base[];
}

const TEXT_FILES: Readonly<Record<TextName, string>> = {
  "metadata-yaml": "metadata.yaml",
  "config-yaml": "config.yaml",
  "actions-yaml": "actions.yaml",
  "bundle-yaml": "bundle.yaml",
  "readme-md": "README.md",
};

const ZIP_FILES: ReadonlyMap<string, "needed" | "optional"> = new Map([
  ["metadata.yaml", "needed"],
  ["bundle.yaml", "needed"],
  ["manifest.yaml", "needed"],
  ["charmcraft.yaml", "optional"],
  ["config.yaml", "needed"],
  ["actions.yaml", "needed"],
  ["README.md", "optional"],
]);

function checkName(name: string): string {
  if (!NAME.test(name)) throw refused(`${printable(name, 200)} is not a name of a charm or bundle`);
  return name;
}

/** A number below 0 that no other build has; the same bytes keep theirs. */
function unnumbered(blob: Digest, others: ReadonlyMap<number, Revision>): number {
  const same = [...others.values()].find((r) => r.revision < 0 && r.blob === blob);
  return same?.revision ?? Math.min(UNNUMBERED + 1, ...others.keys()) - 1;
}

/** `kafka_195.charm`, `kafka_r195.charm` → 195. */
function revisionOf(path: string): number | undefined {
  const match = /_r?(\d+)\.[a-z]+$/.exec(path);
  return match ? Number(match[1]) : undefined;
}

/** The name of a bundle that does not say it: of its file, `cos-lite_11.bundle`, else of the archive around it. */
function nameOf({ containers, path }: Located): string {
  const base = (text: string) => text.split("/").at(-1) ?? "";
  const own = base(path).replace(/(_r?\d+)?\.[a-z]+$/, "");
  const around = base(containers.at(-1) ?? "").replace(/(-\d{8}T\d{6})?\.(tar|tgz)?(\.?(gz|zst))?$/, "");
  return own !== "" && own !== "bundle" ? own : around;
}

interface Owned {
  readonly name: string;
  readonly revision: number;
}

function declaredNames(zips: readonly { readonly charm?: CharmFacts }[], group: { readonly declaration?: Declaration }): Set<string> {
  return new Set([...zips.flatMap((zip) => zip.charm?.resources ?? []), ...(group.declaration?.resources ?? [])].map((r) => r.name));
}

/** Which resource of `charm` a file is: `CHARM.RESOURCE_REV`, or `resource_RESOURCE_rREV[_FILE]` as `juju download` writes it. */
function resourceOf(path: string, charm: string, names: ReadonlySet<string>): Owned | undefined {
  const file = path.split("/").at(-1) ?? "";
  const exported = file.startsWith(`${charm}.`) ? /^(.+)_(\d+)$/.exec(file.slice(charm.length + 1)) : null;
  if (exported) return { name: exported[1] ?? "", revision: Number(exported[2]) };
  const downloaded = /^resource_(.+?)_r(\d+)(_.*)?$/.exec(file);
  return downloaded && names.has(downloaded[1] ?? "") ? { name: downloaded[1] ?? "", revision: Number(downloaded[2]) } : undefined;
}

/** How deep the brackets of a JSON text are nested: what is too deep for the stack is not given to the parser. */
function nesting(json: Uint8Array): number {
  const [quote, backslash] = [0x22, 0x5c];
  let [depth, deepest, quoted] = [0, 0, false];
  for (let i = 0; i < json.byteLength; i += 1) {
    const byte = json[i] ?? 0;
    if (quoted && byte === backslash) i += 1;
    else if (byte === quote) quoted = !quoted;
    else if (!quoted && (byte === 0x5b || byte === 0x7b)) deepest = Math.max(deepest, (depth += 1));
    else if (!quoted && (byte === 0x5d || byte === 0x7d)) depth -= 1;
  }
  return deepest;
}

function compareSums(sums: Sums, told: DeclaredSums): void {
  if (told.size !== undefined && told.size !== sums.size) throw refused(`it has ${sums.size} bytes, but metadata.json says ${told.size}`);
  for (const algorithm of ALGORITHMS) {
    const [is, should] = [sums[algorithm], told[algorithm]];
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

function details(
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
  // The same keys in the same order whether the zip came along or is held already.
  return { ...declared?.details, ...own, ...declared?.details, ...(publisher && { publisher }) };
}

/** Whether a file of assertions is the account of a charm's publisher, which lies beside it; everything else is for snapd. */
function isPublishers(
  { bytes }: { readonly bytes: Uint8Array },
  { zips, declaration }: { readonly zips: readonly unknown[]; readonly declaration?: Declaration },
): boolean {
  return (
    (zips.length > 0 || declaration !== undefined) && Buffer.from(bytes.subarray(0, 64)).toString("latin1").startsWith("type: account\n")
  );
}

/** The publisher of an account assertion's headers. */
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

/** The id that stands in the upstream path of a k8s charm's image: `charm/ID/RESOURCE@sha256:…`. */
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
