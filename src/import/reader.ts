/**
 * Reads the files of one import: classifies each, reads or stages it, and groups files that belong together. charmreader.ts and
 * snapreader.ts interpret the groups after the last file, since the files of a group come in any order.
 */

import { type ArchiveFile, type Budget, ByteReader, type FileLocation, located, locationParts, showLocation } from "../archives/archive.ts";
import { bundleOf } from "../archives/charm.ts";
import { type Declaration, readDeclaration } from "../archives/metadata.ts";
import { classify, type FileKind, HEAD_SIZE } from "../archives/names.ts";
import { type ReadText, readHere } from "../archives/readers.ts";
import type { Incoming } from "../catalog/package.ts";
import { ALGORITHMS, Summer, type Sums } from "../digest.ts";
import { printable, reason, refused } from "../errors.ts";
import { utf8 } from "../text.ts";
import { type CharmGroup, CharmReader, type CharmReadOptions, checkName, isPublisherAccount } from "./charmreader.ts";
import { SnapReader, type SnapReading, type SnapReadOptions } from "./snapreader.ts";
import { type Ingest, type Staged, Staging } from "./staging.ts";

export type ReadOptions = CharmReadOptions & Pick<SnapReadOptions, "unsquash">;

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
  /** all blobs that the packages and snaps name */
  readonly blobs: readonly S[];
  /** notes for the operator */
  readonly notes: readonly string[];
}

const ID = /^[a-zA-Z0-9][a-zA-Z0-9_-]{0,127}$/;
const MAX_NESTING = 100;

type Writable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] ? E[] : T[K] };

/** A group while files are added to it. */
interface OpenGroup<S> extends Writable<CharmGroup<S>> {
  /** equal for files of the same folder */
  readonly key: string;
  /** charm name to resource name to the path of its image in the local registry, of a bundle.yaml */
  imagePaths?: ReadonlyMap<string, ReadonlyMap<string, string>>;
}

/** Reads the files of one import one after the other; `finish` returns their content. */
export class ExportReader<S extends Staged> {
  readonly #staging: Staging<S>;
  readonly #budget: Budget;
  readonly #parse: ReadText;
  readonly #charms: CharmReader<S>;
  readonly #snaps: SnapReader;
  readonly #groups = new Map<string, OpenGroup<S>>();

  constructor(store: Ingest<S>, options: ReadOptions) {
    this.#staging = new Staging(store, options.budget);
    this.#budget = options.budget;
    this.#parse = options.read ?? readHere;
    this.#charms = new CharmReader(this.#staging, options);
    this.#snaps = new SnapReader(this.#staging, options);
  }

  /** Reads one file, at once. Throws a `refused` failure that names it. */
  async add(file: ArchiveFile): Promise<FileOutcome> {
    try {
      return await this.#add(file);
    } catch (error) {
      throw located(error, file);
    }
  }

  /** Discards everything that was staged and is not committed. */
  async discard(): Promise<void> {
    await this.#staging.discard();
  }

  async #add(file: ArchiveFile): Promise<FileOutcome> {
    const kind = classify(file.path, await file.bytes.peek(HEAD_SIZE));
    const location = { containers: file.containers, path: file.path }; // a stored reference to a file must not keep its reader and buffers alive
    switch (kind) {
      case "resource": {
        const staged = await this.#staging.stage(file.bytes.chunks(), ALGORITHMS);
        this.#group(location).resources.push({ file: location, staged });
        return { kind: "staged", sums: staged.sums };
      }
      case "zip": {
        const staged = await this.#staging.stage(file.bytes.chunks());
        this.#group(location).zips.push({ file: location, staged });
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
    const summer = new Summer();
    const bytes = new ByteReader(
      (async function* () {
        for await (const chunk of file.bytes.chunks()) {
          summer.update(chunk);
          yield chunk;
        }
      })(),
    );
    const handled = await this.#read({ ...file, bytes }, kind);
    await bytes.drain();
    return { ...handled, sums: summer.sums() };
  }

  async #read(file: ArchiveFile, kind: FileKind): Promise<Handled> {
    const { json, text } = this.#budget.limits;
    const kept = async (limit: number) => {
      const bytes = await file.bytes.whole(limit, "it");
      this.#budget.spend("kept", bytes.byteLength);
      return bytes;
    };
    if (kind === "litter" || kind === "lock") return { kind: "read" };
    if (kind === "checksums") return { kind, bytes: await kept(json) };
    const group = this.#group(file);
    switch (kind) {
      case "snap":
        throw refused("it is not a squashfs, so it is neither a snap nor a component");
      case "charm":
        throw refused("it is not a zip, so it is neither a charm nor a bundle");
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

  #group({ containers, path }: FileLocation): OpenGroup<S> {
    const folder = path.split("/").slice(0, -1);
    if (folder.at(-1) === "resources") folder.pop();
    const key = JSON.stringify([containers, folder]);
    const at = [...containers, folder.join("/")].filter((part) => part !== "");
    const group: OpenGroup<S> = this.#groups.get(key) ?? {
      key,
      at: at.length > 0 ? at : ["this folder"],
      zips: [],
      resources: [],
      assertions: [],
    };
    this.#groups.set(key, group);
    return group;
  }

  /** Whether chp uses the JSON file. */
  #readJson(group: OpenGroup<S>, file: ArchiveFile, bytes: Uint8Array): boolean {
    if (nesting(bytes) > MAX_NESTING) throw refused(`it is nested more than ${MAX_NESTING} deep`);
    this.#budget.parse("json", bytes);
    const isMetadata = file.path.split("/").at(-1) === "metadata.json";
    let value: unknown;
    try {
      value = JSON.parse(utf8(bytes, "it"));
    } catch (error) {
      if (isMetadata) group.metadataNote = `${showLocation(file)} cannot be read (${printable(reason(error), 200)})`;
      return isMetadata;
    }
    if (this.#snaps.declares(value, file, group.key)) return true;
    const declaration = readDeclaration(value, locationParts(file));
    if (declaration) group.declaration = checkedDeclaration(declaration);
    else if (isMetadata) group.metadataNote = `${showLocation(file)} has no shape that chp knows`;
    return isMetadata || declaration !== undefined;
  }

  /** Whether chp uses the YAML file. */
  async #readYaml(group: OpenGroup<S>, file: ArchiveFile, bytes: Uint8Array): Promise<boolean> {
    this.#budget.parse("yaml", bytes);
    const documents = await this.#parse("yaml", utf8(bytes, "it"), "it");
    const { charms, overrides } = bundleOf(documents);
    if (charms.length > 0) {
      group.imagePaths = overrides;
      return true;
    }
    // A bundle.yaml without charms is the request of an export; there is nothing in it to import.
    return this.#snaps.declares(documents[0], file, group.key) || file.path === "bundle.yaml";
  }

  /** The content of the files. Throws a `refused` failure if they contradict each other. */
  async finish(): Promise<Reading<S>> {
    const imagePaths = new Map([...this.#groups.values()].flatMap((group) => [...(group.imagePaths ?? [])]));
    const packages: Incoming[] = [];
    for (const group of this.#groups.values()) {
      packages.push(...(await this.#charms.read(group, imagePaths)));
      for (const { bytes, at } of group.assertions)
        if (isPublisherAccount(bytes, group)) this.#snaps.publisher(bytes, at, group.key);
        else this.#snaps.assertions(bytes, at, group.key);
    }
    const snaps = await this.#snaps.finish();
    return { packages, snaps, blobs: this.#staging.blobs, notes: this.#charms.notes };
  }
}

function checkedDeclaration(declaration: Declaration): Declaration {
  checkName(declaration.name);
  const { id } = declaration;
  if (id !== undefined && !ID.test(id)) throw refused(`${printable(id, 200)} is not a package id`);
  return declaration;
}

/** How deep the brackets of a JSON text are nested: text that would overflow the stack is not parsed. */
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
