/**
 * Reads the files of one import: classifies each, reads or stages it, and groups files that belong together. charmreader.ts and
 * snapreader.ts interpret the groups after the last file, since the files of a group come in any order.
 */

import { type ArchiveFile, type Budget, ByteReader, type FileLocation, located, locationParts, pathInSource } from "../archives/archive.ts";
import { bundleOf } from "../archives/charm.ts";
import { readLock } from "../archives/lock.ts";
import { type Declaration, readDeclaration } from "../archives/metadata.ts";
import { classify, type FileKind, HEAD_SIZE, isGzip } from "../archives/names.ts";
import { type ReadText, readHere } from "../archives/readers.ts";
import type { Incoming } from "../catalog/package.ts";
import { ALGORITHMS, type BeginSums, type Digest, type Sums, sumsHere } from "../digest.ts";
import { printable, reason, refused } from "../errors.ts";
import { compareText, utf8 } from "../text.ts";
import { Slices } from "../turns.ts";
import { AgentReader, type AgentReading, type AgentReadOptions } from "./agentreader.ts";
import { type CharmGroup, CharmReader, type CharmReadOptions, checkName, isPublisherAccount, MAX_READ_AT_ONCE } from "./charmreader.ts";
import { ImageReader, type ImageReading } from "./imagereader.ts";
import { jsonText } from "./jsontext.ts";
import { checkAgents, checkImages, checkPackage, checkSnaps, type FoundLock, imagePathsOf, isBelow, lockOf } from "./locked.ts";
import { SnapReader, type SnapReading, type SnapReadOptions } from "./snapreader.ts";
import type { Staged, Staging } from "./staging.ts";

export type ReadOptions = CharmReadOptions &
  Pick<SnapReadOptions, "unsquash"> &
  AgentReadOptions & {
    /** where files are hashed that are not stored; in this thread by default */
    readonly sums?: BeginSums;
  };

/** How a file was handled, and its checksums. */
export type FileOutcome = Handled & { readonly sums: Sums };

/**
 * `staged`: it goes into the store as it is. `read`: its content was read. `ignored`: chp does not use it. `checksums`: a
 * SHA256SUMS or its signature, which the caller checks the import against.
 */
type Handled = { readonly kind: "staged" | "read" | "ignored" } | { readonly kind: "checksums"; readonly bytes: Uint8Array };

/** The content of the files of one import. */
export interface Reading<S extends Staged> {
  readonly packages: readonly Incoming[];
  readonly snaps: SnapReading;
  readonly images: ImageReading;
  readonly agents: AgentReading;
  /** all blobs that these name */
  readonly blobs: readonly S[];
  /** notes for the operator */
  readonly notes: readonly string[];
}

const ID = /^[a-zA-Z0-9][a-zA-Z0-9_-]{0,127}$/;
/** Groups that are read between two turns of the event loop. */
const GROUPS = 16;
const LEAVE_OUT = "get it again from where it was made, or leave it out: what it says is then made of the files beside it";

type Writable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] ? E[] : T[K] };

/** A group while files are added to it. */
interface OpenGroup<S> extends Omit<Writable<CharmGroup<S>>, "declaration"> {
  /** the folder of its files, the archives on the way included */
  readonly key: string;
  /** the archive that was given and holds it; of files that were given as they are their folder */
  readonly source: string;
  /** what its JSON files declare of a package, by their paths */
  readonly declarations: Map<string, Declaration>;
  /** of its charms and bundles, each counted once */
  readonly texts: Set<Digest>;
}

/** Charm name to resource name to the path of its image in the local registry, of a bundle.yaml. */
type ImagePaths = ReadonlyMap<string, ReadonlyMap<string, string>>;

/** Reads the files of one import one after the other; `finish` returns their content. */
export class ExportReader<S extends Staged> {
  readonly #staging: Staging<S>;
  readonly #budget: Budget;
  readonly #parse: ReadText;
  readonly #sums: BeginSums;
  readonly #charms: CharmReader<S>;
  readonly #snaps: SnapReader;
  readonly #images: ImageReader<S>;
  readonly #agents: AgentReader<S>;
  readonly #groups = new Map<string, OpenGroup<S>>();
  readonly #imagePaths: { readonly folder: string; readonly at: readonly string[]; readonly paths: ImagePaths }[] = [];
  readonly #locks: FoundLock[] = [];
  /** what is refused only after the lists of checksums were compared, which say better what is wrong with it */
  readonly #unreadable: unknown[] = [];

  /** `staging`: of this import alone; its creator discards what is not committed. */
  constructor(staging: Staging<S>, options: ReadOptions) {
    this.#staging = staging;
    this.#budget = options.budget;
    this.#parse = options.read ?? readHere;
    this.#sums = options.sums ?? sumsHere;
    this.#charms = new CharmReader(this.#staging, options);
    this.#snaps = new SnapReader(this.#staging, options);
    this.#images = new ImageReader(this.#staging, options.budget);
    this.#agents = new AgentReader(this.#staging, options);
  }

  /** Reads one file, at once. Throws a `refused` failure that names it. */
  async add(file: ArchiveFile): Promise<FileOutcome> {
    try {
      return await this.#add(file);
    } catch (error) {
      throw located(error, file);
    }
  }

  async #add(file: ArchiveFile): Promise<FileOutcome> {
    const kind = file.kind ?? classify(pathInSource(file), await file.bytes.peek(HEAD_SIZE));
    const location = { containers: file.containers, path: file.path }; // a stored reference to a file must not keep its reader and buffers alive
    switch (kind) {
      case "resource": {
        const staged = await this.#staging.stage(file, ALGORITHMS);
        this.#group(location).resources.push({ file: location, staged });
        return { kind: "staged", sums: staged.sums };
      }
      case "zip": {
        const group = this.#group(location);
        const { staged, access } = await this.#staging.stageToRead(file, MAX_READ_AT_ONCE);
        group.zips.push({ file: location, staged, inside: await this.#charms.unpack(access, group.texts) });
        return { kind: "staged", sums: staged.sums };
      }
      case "image-blob": {
        const staged = await this.#staging.stage(file);
        const { sums } = staged;
        await this.#images.blob(location, staged);
        return { kind: "staged", sums };
      }
      case "agent": {
        if (!isGzip(await file.bytes.peek(HEAD_SIZE)))
          throw refused("it is not gzip, so it is no agent of Juju: it is empty, cut short or damaged");
        const staged = await this.#staging.stage(file);
        this.#agents.agent(location, folderOf(file), staged);
        return { kind: "staged", sums: staged.sums };
      }
      case "squashfs":
        return { kind: "staged", sums: await this.#snaps.image(file, this.#group(location).key) };
      default:
        return this.#summed(file, kind);
    }
  }

  /** Reads a file that is not stored. */
  async #summed(file: ArchiveFile, kind: FileKind): Promise<FileOutcome> {
    const hashed = this.#sums([], file.size);
    const bytes = new ByteReader(
      (async function* () {
        for await (const chunk of file.bytes.chunks()) {
          await hashed.update(chunk);
          yield chunk;
        }
      })(),
    );
    try {
      const handled = await this.#read({ ...file, bytes }, kind);
      await bytes.drain();
      return { ...handled, sums: await hashed.sums() };
    } catch (error) {
      hashed.discard();
      throw error;
    }
  }

  async #read(file: ArchiveFile, kind: FileKind): Promise<Handled> {
    const { json, text } = this.#budget.limits;
    const kept = async (limit: number) => {
      const bytes = await file.bytes.whole(limit, "it");
      this.#budget.spend("kept", bytes.byteLength);
      return bytes;
    };
    if (kind === "litter") return { kind: "read" };
    if (kind === "lock") {
      const lock = readLock(jsonText(await kept(json), this.#budget), locationParts(file));
      this.#locks.push({ folder: folderOf(file), lock, imagePaths: imagePathsOf(lock) });
      return { kind: "read" };
    }
    if (kind === "signed-text") {
      this.#agents.text({ containers: file.containers, path: file.path }, await kept(json));
      return { kind: "read" };
    }
    if (kind === "checksums") return { kind, bytes: await kept(json) };
    if (kind === "image-layout" || kind === "image-folder") {
      if (kind === "image-layout") this.#images.layout(folderOf(file), locationParts(file), await kept(text));
      else this.#images.folder(folderOf(file), locationParts(file));
      return { kind: "read" };
    }
    const group = this.#group(file);
    switch (kind) {
      case "snap":
        throw refused("it is not a squashfs, so it is neither a snap nor a component");
      case "charm":
        throw refused("it is not a zip, so it is neither a charm nor a bundle");
      case "compressed":
        if (file.compressed) return { kind: "ignored" };
        throw refused("it is not compressed, although its name says so: it is empty, cut short or damaged");
      case "archive":
        throw refused("it is no tar, although it says so: it is empty, cut short or damaged", {
          next: "get it again from where it was made; what gzip and zstd did not compress has to be unpacked first",
        });
      case "assertions":
        group.assertions.push({ at: locationParts(file), bytes: await kept(json) });
        return { kind: "read" };
      case "registration":
        this.#snaps.registration(await kept(json), locationParts(file), group.key);
        return { kind: "read" };
      case "json":
        return { kind: this.#readJson(group, file, await kept(json)) ? "read" : "ignored" };
      case "yaml":
        return { kind: (await this.#readYaml(group, file, await kept(text))) ? "read" : "ignored" };
      default:
        return { kind: "ignored" };
    }
  }

  #group(file: FileLocation): OpenGroup<S> {
    const { containers, path } = file;
    const key = folderOf(file).replace(/(^|\/)resources$/, "");
    const inside = path.split("/").slice(0, -1).join("/");
    const at = [...containers, inside.replace(/(^|\/)resources$/, "")].filter((part) => part !== "");
    const group: OpenGroup<S> = this.#groups.get(key) ?? {
      key,
      source: containers[0] ?? key,
      at: at.length > 0 ? at : ["this folder"],
      zips: [],
      resources: [],
      assertions: [],
      declarations: new Map(),
      texts: new Set(),
    };
    this.#groups.set(key, group);
    return group;
  }

  /** In the order of the sources, and within a source by path: the order of the files in it means nothing. */
  #ordered(): OpenGroup<S>[] {
    const numbers = new Map<string, number>();
    for (const { source } of this.#groups.values()) if (!numbers.has(source)) numbers.set(source, numbers.size);
    const numberOf = ({ source }: OpenGroup<S>) => numbers.get(source) ?? 0;
    return [...this.#groups.values()].toSorted((a, b) => numberOf(a) - numberOf(b) || compareText(a.key, b.key));
  }

  /** Whether chp uses the JSON file. */
  #readJson(group: OpenGroup<S>, file: ArchiveFile, bytes: Uint8Array): boolean {
    const text = jsonText(bytes, this.#budget);
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      if (!file.path.endsWith(".json")) return false;
      this.#unreadable.push(located(refused(`it is not JSON (${printable(reason(error), 200)})`, { next: LEAVE_OUT }), file));
      return true;
    }
    if (this.#images.lists(value, file, folderOf(file), bytes)) return true;
    if (this.#snaps.declares(value, file, group.key)) return true;
    const declaration = readDeclaration(value, locationParts(file));
    if (declaration) group.declarations.set(locationParts(file).join("/"), checkedDeclaration(declaration));
    else if (file.path.split("/").at(-1) !== "metadata.json") return false;
    else this.#unreadable.push(located(refused("it has no shape that chp knows", { next: LEAVE_OUT }), file));
    return true;
  }

  /** Whether chp uses the YAML file. */
  async #readYaml(group: OpenGroup<S>, file: ArchiveFile, bytes: Uint8Array): Promise<boolean> {
    this.#budget.parse("yaml", bytes);
    const documents = await this.#parse("yaml", utf8(bytes, "it"), "it");
    const { charms, overrides } = bundleOf(documents);
    if (charms.length > 0) {
      this.#imagePaths.push({ folder: folderOf(file), at: locationParts(file), paths: overrides });
      return true;
    }
    // A bundle.yaml without charms is the request of an export; there is nothing in it to import.
    return this.#snaps.declares(documents[0], file, group.key) || file.path === "bundle.yaml";
  }

  /** The content of the files, once. Throws a `refused` failure if they contradict each other. */
  async finish(): Promise<Reading<S>> {
    for (const failure of this.#unreadable) throw failure;
    const packages: Incoming[] = [];
    const left = this.#ordered();
    const keys = left.map(({ key }) => key);
    this.#groups.clear();
    left.reverse();
    const slices = new Slices(GROUPS);
    // What a package is made of takes more memory than the package: it is given up group by group.
    for (let opened = left.pop(); opened; opened = left.pop()) {
      const group = this.#closed(opened);
      const lock = this.#lockOf(opened.key);
      const found = await this.#charms.read(group, lock?.imagePaths ?? this.#imagePathsIn(opened.key));
      if (lock) for (const incoming of found) checkPackage(lock, incoming, group, this.#budget);
      packages.push(...found);
      await slices.step();
      for (const { bytes, at } of group.assertions)
        if (isPublisherAccount(bytes, group)) this.#snaps.publisher(bytes, at, opened.key);
        else this.#snaps.assertions(bytes, at, opened.key);
    }
    const snaps = await this.#snaps.finish();
    for (const lock of this.#locks) checkSnaps(lock, snaps, this.#budget);
    const images = await this.#images.finish();
    for (const lock of this.#locks) checkImages(lock, images, this.#budget);
    const agents = await this.#agents.finish();
    for (const lock of this.#locks) checkAgents(lock, agents, this.#budget);
    return {
      packages,
      snaps: this.#sorted(snaps, keys),
      images,
      agents,
      blobs: this.#staging.blobs,
      notes: [...this.#charms.notes, ...agents.notes],
    };
  }

  /** The group with its files in their order, and with the one declaration that counts. */
  #closed({ declarations, ...group }: OpenGroup<S>): CharmGroup<S> {
    const paths = [...declarations.keys()].toSorted(compareText);
    const path = paths.find((name) => name.endsWith("/metadata.json")) ?? paths[0] ?? "";
    const declaration = declarations.get(path);
    return {
      ...group,
      zips: byPath(group.zips, ({ file }) => locationParts(file)),
      resources: byPath(group.resources, ({ file }) => locationParts(file)),
      assertions: byPath(group.assertions, ({ at }) => at),
      ...(declaration && { declaration }),
    };
  }

  #lockOf(folder: string): FoundLock | undefined {
    this.#budget.compare(this.#locks.length, [folder]);
    return lockOf(folder, this.#locks);
  }

  /** What the bundle.yaml files of a folder, and of those that it lies in, say of images; the nearest wins. */
  #imagePathsIn(folder: string): ImagePaths {
    this.#budget.compare(this.#imagePaths.length, [folder]);
    const above = byPath(
      this.#imagePaths.filter((found) => isBelow(folder, found.folder)),
      ({ at }) => at,
    );
    const named = above.reduce((sum, { paths }) => sum + paths.size, 0);
    this.#budget.compare(5 * named, [folder]); // a copy takes longer than a comparison
    return new Map(above.toSorted((a, b) => a.folder.length - b.folder.length).flatMap(({ paths }) => [...paths]));
  }

  /** `groups`: their keys, in their order */
  #sorted({ stores, ...found }: SnapReading, groups: readonly string[]): SnapReading {
    const numbers = new Map(groups.map((key, i) => [key, i]));
    const numberOf = ({ group }: { readonly group: string }) => numbers.get(group) ?? 0;
    const sorted = <T extends { readonly at: readonly string[]; readonly group: string }>(all: readonly T[]) =>
      byPath(all, ({ at }) => at).toSorted((a, b) => numberOf(a) - numberOf(b));
    return {
      images: sorted(found.images),
      assertions: sorted(found.assertions),
      publishers: sorted(found.publishers),
      declared: sorted(found.declared),
      // An export of chp says itself of which store a snap is; the name of an archive is covered by no signature.
      stores: new Map([...stores].filter(([folder]) => !this.#lockOf(folder))),
    };
  }
}

/** The folder of a file, the archives on the way included. */
function folderOf(file: FileLocation): string {
  return locationParts(file).join("/").split("/").slice(0, -1).join("/");
}

function byPath<T>(all: readonly T[], at: (one: T) => readonly string[]): T[] {
  const keyed = all.map((one) => ({ one, path: at(one).join("/") }));
  return keyed.toSorted((a, b) => compareText(a.path, b.path)).map(({ one }) => one);
}

function checkedDeclaration(declaration: Declaration): Declaration {
  checkName(declaration.name);
  const { id } = declaration;
  if (id !== undefined && !ID.test(id)) throw refused(`${printable(id, 200)} is not a package id`);
  return declaration;
}
