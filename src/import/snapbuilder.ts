/** The images of an import, each matched with the assertion that names its bytes. Rules: handlers/snapd.md, Assertions. */

import { header, optionalHeader } from "../assertions/assertion.ts";
import { mintId } from "../catalog/package.ts";
import type { ComponentRevision, SnapRevision, StoredAssertion } from "../catalog/snap.ts";
import { printable, refused } from "../errors.ts";
import type { SnapImage, SnapReading } from "./snapreader.ts";
import type { Accepted, KnownAssertions, SnapImportOptions } from "./snaptrust.ts";

/** A snap while its files are collected. */
export class SnapBuilder {
  readonly revisions: SnapRevision[] = [];
  readonly components = new Map<string, ComponentRevision[]>();
  readonly assertions: StoredAssertion[] = [];
  /** groups of its images */
  readonly groups = new Set<string>();
  readonly id: string;
  /** the name in its images */
  name: string;

  constructor(id: string, name: string) {
    this.id = id;
    this.name = name;
  }
}

/** The builder of a snap id, created on first use; `name`: the name in an image of it. */
export type BuilderOf = (id: string, name?: string) => SnapBuilder;

/** Adds an image to its snap. Throws a `refused` failure if no assertion names its bytes and that is not allowed. */
export function placeImage(
  image: SnapImage,
  known: KnownAssertions,
  options: SnapImportOptions,
  reading: SnapReading,
  builderOf: BuilderOf,
): void {
  const sha3 = image.sums["sha3-384"] ?? "";
  const { content, at } = image;
  const type = content.kind === "snap" ? "snap-revision" : "snap-resource-revision";
  const asserted = known.ofBytes(type, sha3);
  if (asserted && content.kind === "snap") placeSnap(image, content, asserted, known, builderOf);
  else if (asserted && content.kind === "component") placeComponent(image, content, asserted, options, builderOf);
  else if (options.allowUnverified) placeUnasserted(image, reading, options, builderOf);
  else
    throw refused(`no ${type} assertion names its bytes (sha3-384 ${sha3})`, {
      at,
      next: "import its .assert file together with it, or import it as it is with --allow-unverified",
    });
}

function placeSnap(
  image: SnapImage,
  content: SnapContent,
  { assertion, unverified }: Accepted,
  known: KnownAssertions,
  builderOf: BuilderOf,
): void {
  const { at } = image;
  const id = header(assertion, "snap-id");
  checkSize(image, header(assertion, "snap-size"));
  const declaration = known.newest("snap-declaration", ["16", id])?.assertion;
  if (declaration && !optionalHeader(declaration, "snap-name"))
    throw refused(`the declaration of snap ${id} names no snap any more: it was revoked`, { at });
  const name = declaration ? header(declaration, "snap-name") : content.name;
  if (content.name !== name) throw refused(`its snap.yaml says ${content.name}, but its declaration says ${name}`, { at });
  const [, named] = /^(.+)_(\d+)\.snap$/.exec(image.path.split("/").at(-1) ?? "")?.slice(1) ?? [];
  const asserted = header(assertion, "snap-revision");
  if (image.path.endsWith(`${name}_${named}.snap`) && named !== asserted)
    throw refused(`its name says revision ${named}, but its assertion says ${asserted}`, { at });
  const [is, should] = [content.provenance ?? GLOBAL, optionalHeader(assertion, "provenance") ?? GLOBAL];
  if (is !== should) throw refused(`its snap.yaml has the provenance ${is}, but its assertion ${should}`, { at });
  const builder = builderOf(id, name);
  builder.groups.add(image.group);
  builder.revisions.push(
    snapRevision(image, content, Number(header(assertion, "snap-revision")), header(assertion, "timestamp"), unverified),
  );
}

const GLOBAL = "global-upload";

function placeComponent(
  image: SnapImage,
  content: ComponentContent,
  { assertion, unverified }: Accepted,
  { now }: SnapImportOptions,
  builderOf: BuilderOf,
): void {
  const [id = "", name = ""] = assertion.key;
  checkSize(image, header(assertion, "resource-size"));
  if (content.name !== name) throw refused(`its component.yaml says ${content.name}, but its assertion says ${name}`, { at: image.at });
  const { components } = builderOf(id);
  const { type, version, description } = content;
  const revision = Number(header(assertion, "resource-revision"));
  const createdAt = optionalHeader(assertion, "timestamp") ?? now;
  components.set(name, [
    ...(components.get(name) ?? []),
    { revision, type, version, description, createdAt, ...assertedOf(image, unverified) },
  ]);
}

/** Without an assertion the file name and the export's JSON are trusted, since the operator allowed it. */
function placeUnasserted(image: SnapImage, reading: SnapReading, { now }: SnapImportOptions, builderOf: BuilderOf): void {
  const { at, content } = image;
  if (content.kind === "component") throw refused("a component without assertions cannot be imported", { at });
  const number = Number(/_(\d+)\.snap$/.exec(image.path)?.[1]);
  if (!Number.isSafeInteger(number) || number < 1)
    throw refused("it has no assertion, and its file name no revision", { at, next: `name it ${content.name}_REVISION.snap` });
  const declared = reading.declared.find(({ value }) => value.name === content.name && value.id !== undefined);
  const builder = builderOf(declared?.value.id ?? mintId(`snap ${content.name}`), content.name);
  if (builder.name !== content.name)
    throw refused(`${content.name} has the snap id ${builder.id}, which belongs to ${builder.name}`, { at });
  builder.groups.add(image.group);
  builder.revisions.push(snapRevision(image, content, number, now, "no snap-revision assertion names its bytes"));
}

type SnapContent = Extract<SnapImage["content"], { kind: "snap" }>;
type ComponentContent = Extract<SnapImage["content"], { kind: "component" }>;

function checkSize(image: SnapImage, stated: string): void {
  if (Number(stated) !== image.sums.size)
    throw refused(`it has ${image.sums.size} bytes, but its assertion says ${printable(stated, 50)}`, { at: image.at });
}

function assertedOf({ sums }: SnapImage, unverified: string | undefined) {
  const { size, "sha-256": blob, "sha3-384": sha3 = "" } = sums;
  return { blob, size, "sha3-384": sha3, ...(unverified !== undefined && { unverified }) };
}

function snapRevision(image: SnapImage, content: SnapContent, revision: number, createdAt: string, unverified?: string): SnapRevision {
  const { kind: _kind, name: _name, ...facts } = content;
  return { revision, createdAt, ...facts, ...assertedOf(image, unverified) };
}
