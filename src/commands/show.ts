import type { Generation, Store } from "../../store/store.ts";
import { showBase } from "../base.ts";
import { Failure, printable } from "../errors.ts";
import type { Package } from "../package.ts";
import { type CommonOptions, define, EXITS, type Io, openStore, printJson, type Register, showSize } from "./command.ts";

export const showCommand: Register = (program, io) => {
  define(program, "show", "show one package: channels, revisions, resources, where it came from", EXITS)
    .argument("<name>", "a charm or bundle")
    .action((name: string, options: CommonOptions) => runShow(name, options, io));
};

export async function runShow(name: string, options: CommonOptions, io: Io): Promise<void> {
  const store = await openStore(options, io);
  const pkg = await (await store.snapshot()).package(name);
  if (!pkg) throw new Failure("not-found", `${printable(name, 200)} is not held`, { next: "chp list tells what is" });
  const origins = await originsOf(store, pkg);
  if (options.json) return printJson({ ...pkg, origins }, io);
  io.out(
    `${render(pkg, origins)
      .map((line) => printable(line))
      .join("\n")}\n`,
  );
}

interface Origin {
  readonly generation: number;
  readonly time: string;
  readonly files: readonly string[];
  readonly revisions: readonly number[];
}

/** The generations that brought something of the package, oldest first. */
async function originsOf(store: Store, pkg: Package): Promise<Origin[]> {
  const numbers = await store.generationNumbers();
  const generations = await Promise.all(numbers.map((number) => store.generation(number)));
  return generations
    .filter((one): one is Generation => one !== undefined && Object.hasOwn(one.changed, pkg.name))
    .map((one) => ({
      generation: one.number,
      time: one.time,
      files: one.sources.map((source) => source.name),
      revisions: one.changed[pkg.name]?.revisions ?? [],
    }));
}

function render(pkg: Package, origins: readonly Origin[]): string[] {
  const { details } = pkg;
  const publisher = details.publisher?.["display-name"];
  return [
    `${pkg.name}: ${pkg.type}`,
    ...(details.summary ? [`summary: ${details.summary.split("\n")[0]}`] : []),
    ...(publisher ? [`publisher: ${publisher}`] : []),
    `id: ${pkg.id}${pkg.formerIds.length > 0 ? ` (formerly ${pkg.formerIds.join(", ")})` : ""}`,
    `default track: ${pkg.defaultTrack}${pkg.declaredTrack && pkg.declaredTrack !== pkg.defaultTrack ? ` (upstream: ${pkg.declaredTrack})` : ""}`,
    "channels:",
    ...pkg.releases.map(
      (r) => `  ${r.channel}  ${showBase(r.base)}  revision ${r.revision}${renderPins(r.resources)}  ${r.releasedAt.slice(0, 10)}`,
    ),
    "revisions:",
    ...pkg.revisions.map(
      (r) => `  ${r.revision}  ${showSize(r.size)}  ${r.bases.map(showBase).join(", ") || "any base"}  sha256 ${r.blob}`,
    ),
    ...(pkg.resources.length > 0 ? ["resources:"] : []),
    ...pkg.resources.flatMap(({ name, revisions }) =>
      revisions.map(
        (r) =>
          `  ${name}  revision ${r.revision}  ${r.type}  ${showSize(r.size)}${r.image ? `  ${r.image.reference}` : ""}  sha256 ${r.blob}`,
      ),
    ),
    "came from:",
    ...origins.map(
      (one) =>
        `  generation ${one.generation}, ${one.time.slice(0, 19)}Z, ${one.files.join(", ")}${one.revisions.length > 0 ? `: revision ${one.revisions.join(", ")}` : ""}`,
    ),
  ];
}

function renderPins(pins: Readonly<Record<string, number>>): string {
  const all = Object.entries(pins).map(([name, revision]) => `${name} ${revision}`);
  return all.length > 0 ? `  (${all.join(", ")})` : "";
}
