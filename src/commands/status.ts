import { FORMAT } from "../../store/keys.ts";
import { readSettings } from "../config.ts";
import { printable } from "../errors.ts";
import { VERSION } from "../version.ts";
import { type CommonOptions, count, define, EXITS, type Io, openStore, printJson, type Register, showSize } from "./command.ts";
import { sizeOf } from "./list.ts";

export const statusCommand: Register = (program, io) => {
  define(program, "status", "show what the store holds and how it is set up", EXITS).action((options: CommonOptions) =>
    runStatus(options, io),
  );
};

export async function runStatus(options: CommonOptions, io: Io): Promise<void> {
  const store = await openStore(options, io);
  const snapshot = await store.snapshot();
  const packages = await snapshot.packages();
  const settings = readSettings({ environment: io.environment, file: await store.config() });
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
    notes: notesOf(publicUrl, packages.length),
  };
  if (options.json) return printJson(facts, io);
  const lines = [
    `chp ${VERSION}`,
    `store: ${facts.store} (format ${FORMAT})`,
    `generation: ${facts.generation}${facts.changed ? `, ${facts.changed.slice(0, 19)}Z` : ""}`,
    `holds: ${count(types.charm, "charm")}, ${count(types.bundle, "bundle")}, ${count(revisions, "revision")}, ${showSize(facts.size)}`,
    `listen: ${facts.listen.join(", ")}`,
    `public URL: ${publicUrl ?? "not set"}`,
    ...facts.notes.map((text) => `note: ${text}`),
  ];
  io.out(`${lines.map((line) => printable(line)).join("\n")}\n`);
}

function notesOf(publicUrl: string | null, packages: number): string[] {
  return [
    ...(packages === 0 ? ["nothing is held yet; chp import FILE takes in what was exported"] : []),
    ...(publicUrl === null
      ? ["download URLs are made from each request's Host; chp config public-url=URL settles them, which Juju 4 needs"]
      : []),
  ];
}
