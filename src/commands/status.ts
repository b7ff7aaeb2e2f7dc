import { FORMAT } from "../../store/keys.ts";
import { printable } from "../errors.ts";
import type { Package } from "../package.ts";
import { VERSION } from "../version.ts";
import { type CommonOptions, count, define, EXITS, type Io, openStore, printJson, type Register, showSize } from "./command.ts";
import { sizeOf } from "./list.ts";
import { loadSettings, registryOf } from "./settings.ts";

export const statusCommand: Register = (program, io) => {
  define(program, "status", "show what the store holds and how it is set up", EXITS).action((options: CommonOptions) =>
    runStatus(options, io),
  );
};

export async function runStatus(options: CommonOptions, io: Io): Promise<void> {
  const store = await openStore(options, io);
  const snapshot = await store.snapshot();
  const packages = await snapshot.packages();
  const settings = await loadSettings(store, { environment: io.environment });
  const types = { charm: 0, bundle: 0 };
  for (const pkg of packages) types[pkg.type] += 1;
  const revisions = packages.reduce((sum, pkg) => sum + pkg.revisions.length, 0);
  const publicUrl = settings.get("public-url")?.values[0] ?? null;
  const facts = {
    version: VERSION,
    store: store.storage.place,
    format: FORMAT,
    generation: snapshot.number,
    changed: snapshot.generation?.time ?? null,
    charms: types.charm,
    bundles: types.bundle,
    revisions,
    size: packages.reduce((sum, pkg) => sum + sizeOf(pkg), 0),
    publicUrl,
    listen: settings.get("listen")?.values ?? [],
    registry: registryOf(settings)?.domain ?? null,
  };
  const notes = notesOf(publicUrl, packages, facts.registry);
  if (options.json) return printJson({ ...facts, notes }, io);
  const lines = [
    `chp ${VERSION}`,
    `store: ${facts.store} (format ${FORMAT})`,
    `generation: ${facts.generation}${facts.changed ? `, ${facts.changed.slice(0, 19)}Z` : ""}`,
    `holds: ${count(types.charm, "charm")}, ${count(types.bundle, "bundle")}, ${count(revisions, "revision")}, ${showSize(facts.size)}`,
    `listen: ${facts.listen.join(", ")}`,
    `public URL: ${publicUrl ?? "not set"}`,
    `registry: ${facts.registry ?? "not set"}`,
    ...notes.map((text) => `note: ${text}`),
  ];
  io.out(`${lines.map((line) => printable(line)).join("\n")}\n`);
}

function notesOf(publicUrl: string | null, packages: readonly Package[], registry: string | null): string[] {
  return [
    ...(packages.length === 0 ? ["nothing is held yet; chp import FILE takes in what was exported"] : []),
    ...(publicUrl === null
      ? ["download URLs are made from each request's Host; chp config public-url=URL settles them, which Juju 4 needs"]
      : []),
    ...(registry === null && packages.some(hasImage) ? [NO_REGISTRY_NOTE] : []),
  ];
}

/** Said wherever images are held and no registry is set. */
export const NO_REGISTRY_NOTE =
  "no local registry is set, so Juju gets upstream's image references, without credentials; chp config proxy.oci-registry.domain=HOST:PORT names yours";

export function hasImage(pkg: Package): boolean {
  return pkg.resources.some((r) => r.revisions.some((one) => one.image));
}
