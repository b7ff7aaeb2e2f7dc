/** Reads the files of an import that are about snaps: images, assertions, channel maps. snapimport.ts puts them together. */

import * as v from "valibot";
import { stringify as toYaml } from "yaml";
import { type ArchiveFile, type Budget, type FileLocation, locationParts, type ReadAt } from "../archives/archive.ts";
import { type ReadText, readHere } from "../archives/readers.ts";
import { type DeclaredSnap, type DeclaredSnapRevision, readSnapDeclarations, readSnapsYaml } from "../archives/snapmetadata.ts";
import type { ComponentFacts, SnapYamlFacts } from "../archives/snapyaml.ts";
import { squashfsFiles, UnreadableSquashfs } from "../archives/squashfs.ts";
import { type Assertion, header } from "../assertions/assertion.ts";
import { parseAssertions } from "../assertions/text.ts";
import type { SnapRevision } from "../catalog/snap.ts";
import type { Algorithm, Digest, Sums } from "../digest.ts";
import { Failure, printable, refused } from "../errors.ts";
import { tryShape } from "../schema.ts";
import { utf8 } from "../text.ts";
import { readAt, type Staged, type Staging } from "./staging.ts";

/** The checksum by which assertions name a snap. */
const SNAP_SUMS: readonly Algorithm[] = ["sha3-384"];

const SNAP_YAML = "meta/snap.yaml";
const COMPONENT_YAML = "meta/component.yaml";
const ICONS = ["png", "svg"] as const;
/** what decompressing a block of an image takes, in the steps of a budget */
const STEPS_PER_BLOCK = 40;
/** bytes; snapd takes no larger one */
const MAX_ICON = 300_000;

/** A snap or component that was read. */
export interface SnapImage {
  /** where it was found, as `Failure.at` has it */
  readonly at: readonly string[];
  /** equal for files of the same folder */
  readonly group: string;
  readonly path: string;
  readonly sums: Sums;
  readonly content: SnapContents;
}

/** The content of an image. */
export type SnapContents =
  | ({ readonly kind: "snap"; readonly yaml: Digest; readonly icon?: NonNullable<SnapRevision["icon"]> } & SnapYamlFacts)
  | ({ readonly kind: "component" } & ComponentFacts);

export interface FoundIn<T> {
  /** where it was found, as `Failure.at` has it */
  readonly at: readonly string[];
  readonly group: string;
  readonly value: T;
}

/** The snap files of one import. */
export interface SnapReading {
  readonly images: readonly SnapImage[];
  readonly assertions: readonly FoundIn<Assertion>[];
  /** accounts of publishers of charms, and their keys: stored if they verify, never a reason to refuse an import */
  readonly publishers: readonly FoundIn<Assertion>[];
  readonly declared: readonly FoundIn<DeclaredSnap>[];
  /** the brand store that a group was exported from, by group */
  readonly stores: ReadonlyMap<string, string>;
}

export interface SnapReadOptions {
  readonly budget: Budget;
  /** runs parsers; in this thread by default */
  readonly read?: ReadText;
  /** reads one file of an image whose compression chp does not read; gives undefined where it can't either */
  readonly unsquash?: ((image: ReadAt, path: string) => Promise<Uint8Array | undefined>) | undefined;
}

export class SnapReader {
  readonly #staging: Pick<Staging<Staged>, "stage" | "stageSmall">;
  readonly #options: SnapReadOptions;
  readonly #parse: ReadText;
  readonly #images: (Omit<SnapImage, "content"> & { readonly content: SnapContents | UnreadableSquashfs })[] = [];
  readonly #assertions: FoundIn<Assertion>[] = [];
  readonly #publishers: FoundIn<Assertion>[] = [];
  readonly #declared: FoundIn<DeclaredSnap>[] = [];
  readonly #stores = new Map<string, string>();

  constructor(staging: Pick<Staging<Staged>, "stage" | "stageSmall">, options: SnapReadOptions) {
    this.#staging = staging;
    this.#options = options;
    this.#parse = options.read ?? readHere;
  }

  /** Everything that was read. Throws a `refused` failure where an image can't be read and no JSON of the export describes it. */
  async finish(): Promise<SnapReading> {
    const images = this.#images.map(async ({ content, ...image }) => ({
      ...image,
      content: content instanceof UnreadableSquashfs ? await this.#described(image, content) : content,
    }));
    return {
      images: await Promise.all(images),
      assertions: this.#assertions,
      publishers: this.#publishers,
      declared: this.#declared,
      stores: this.#stores,
    };
  }

  /** Reads a snap or a component. */
  async image(file: ArchiveFile, group: string): Promise<Sums> {
    const staged = await this.#staging.stage(file, SNAP_SUMS);
    const brand = storeOf(file);
    if (brand !== undefined) this.#stores.set(group, brand);
    const content = await this.#inside(readAt(staged)).catch((error: unknown) => {
      if (error instanceof UnreadableSquashfs) return error;
      throw error;
    });
    this.#images.push({ at: locationParts(file), group, path: file.path, sums: staged.sums, content });
    return staged.sums;
  }

  async #inside(staged: ReadAt): Promise<SnapContents> {
    const files = await this.#files(staged);
    const yaml = files.get(SNAP_YAML);
    if (yaml) {
      const extension = ICONS.find((name) => (files.get(iconPath(name))?.byteLength ?? 0) > 0);
      const picture = extension && files.get(iconPath(extension));
      const icon = extension && picture && { blob: await this.#staging.stageSmall(picture), size: picture.byteLength, extension };
      return { ...(await this.#snap(yaml)), ...(icon && { icon }) };
    }
    const component = files.get(COMPONENT_YAML);
    if (!component) throw refused(`it has neither ${SNAP_YAML} nor ${COMPONENT_YAML}, so it is neither a snap nor a component`);
    this.#count(component);
    return { kind: "component", ...(await this.#parse("component", utf8(component, COMPONENT_YAML), `${COMPONENT_YAML} in it`)) };
  }

  async #snap(yaml: Uint8Array): Promise<SnapContents & { kind: "snap" }> {
    this.#count(yaml);
    return {
      kind: "snap",
      ...(await this.#parse("snap", utf8(yaml, SNAP_YAML), `${SNAP_YAML} in it`)),
      yaml: await this.#staging.stageSmall(yaml),
    };
  }

  #count(yaml: Uint8Array): void {
    this.#options.budget.spend("kept", yaml.byteLength);
    this.#options.budget.parse("yaml", yaml);
  }

  /** The contents of an image that can't be read, as the export's JSON describes them. */
  async #described(image: Pick<SnapImage, "at" | "sums">, why: UnreadableSquashfs): Promise<SnapContents> {
    const digest = Buffer.from(image.sums["sha3-384"] ?? "", "hex").toString("base64url");
    const of = (type: string, at: number) => this.#assertions.find(({ value }) => value.type === type && value.key[at] === digest)?.value;
    const component = of("snap-resource-revision", 2);
    if (component) {
      const [, name = ""] = component.key;
      return { kind: "component", snap: "", name, type: "standard", version: "", description: "" };
    }
    const revision = of("snap-revision", 0);
    const number = revision && Number(header(revision, "snap-revision"));
    const yamls = this.#declared
      .filter(({ value }) => revision && value.id === header(revision, "snap-id"))
      .flatMap(({ value }) =>
        value.revisions.filter((described) => described.revision === number).map((described) => described.yaml ?? yamlOf(value, described)),
      );
    if (yamls[0] === undefined)
      throw refused(why.reason, { next: "install squashfs-tools: chp uses its unsquashfs where it must", at: image.at });
    return this.#snap(Buffer.from(yamls[0]));
  }

  async #files(staged: ReadAt): Promise<Map<string, Uint8Array>> {
    const { budget } = this.#options;
    const onBlock = () => budget.spend("steps", STEPS_PER_BLOCK);
    try {
      const texts = await squashfsFiles(staged, [SNAP_YAML, COMPONENT_YAML], { file: budget.limits.text, onBlock });
      // An unreadable icon is no reason to refuse a snap.
      const pictures = await squashfsFiles(staged, ICONS.map(iconPath), { file: MAX_ICON, onBlock }).catch((error: unknown) => {
        if (error instanceof Failure) return new Map<string, Uint8Array>();
        throw error;
      });
      return new Map([...texts, ...pictures]);
    } catch (error) {
      if (!(error instanceof UnreadableSquashfs) || !this.#options.unsquash) throw error;
      for (const path of [SNAP_YAML, COMPONENT_YAML]) {
        const bytes = await this.#options.unsquash(staged, path);
        if (bytes) return new Map([[path, bytes]]);
      }
      throw error;
    }
  }

  /** Reads a stream of assertions. */
  assertions(bytes: Uint8Array, at: readonly string[], group: string): void {
    this.#options.budget.parse("assertions", bytes);
    for (const value of parseAssertions(bytes, ...at)) this.#assertions.push({ at, group, value });
  }

  /** Reads the account assertion of a charm's publisher, if it is one. */
  publisher(bytes: Uint8Array, at: readonly string[], group: string): void {
    this.#options.budget.parse("assertions", bytes);
    try {
      for (const value of parseAssertions(bytes, ...at)) this.#publishers.push({ at, group, value });
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
    }
  }

  /** Reads a value of JSON or YAML; returns whether it describes snaps. */
  declares(value: unknown, file: ArchiveFile, group: string): boolean {
    const found = readSnapDeclarations(value, "it") ?? readSnapsYaml(value, "it");
    for (const declaration of found ?? []) this.#declared.push({ at: locationParts(file), group, value: declaration });
    return found !== undefined;
  }

  /** registration_bundle.b64: JSON in base64, of which only the store's assertion is taken; the private key ends here. */
  registration(bytes: Uint8Array, at: readonly string[], group: string): void {
    let value: unknown;
    try {
      value = JSON.parse(Buffer.from(utf8(bytes, "it"), "base64").toString("utf8"));
    } catch {
      throw refused("it is not JSON in base64");
    }
    const given = tryShape(v.looseObject({ store_assertion: v.pipe(v.string(), v.nonEmpty()) }), value)?.store_assertion;
    if (given === undefined) throw refused("it has no store_assertion");
    const text = given.startsWith("type: ") ? given : Buffer.from(given, "base64").toString("utf8");
    this.assertions(Buffer.from(text), [...at, "store_assertion"], group);
  }
}

/** A snap.yaml made of what a reply of the store says. */
function yamlOf({ name }: DeclaredSnap, { facts }: DeclaredSnapRevision): string {
  return toYaml({ name, ...facts });
}

function iconPath(extension: (typeof ICONS)[number]): string {
  return `meta/gui/icon.${extension}`;
}

/** `store-export-STOREID-20260426T163115.tar.gz` around it: a brand store's own. */
function storeOf(file: FileLocation): string | undefined {
  const found = /(?:^|\/)store-export-([A-Za-z0-9-]+?)(?:-\d{8}T\d{6})?\.(?:tar|tgz)[^/]*\//.exec(locationParts(file).join("/"))?.[1];
  return found === undefined ? undefined : printable(found, 64);
}
