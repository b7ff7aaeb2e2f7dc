/** The sources of an import: files of the command line and of folders, the files beside them, and standard input. */

import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { isLitter, isResource } from "../../src/archives/names.ts";
import { Failure, printable, reason, refused } from "../../src/errors.ts";
import type { ImportSource } from "../../src/import/import.ts";
import { untilMark } from "../../src/import/remoteprotocol.ts";
import type { Io } from "./io.ts";
import { joinParts } from "./joinparts.ts";

const READ_SIZE = 2 ** 18;

/** Options for standard input. */
export interface StandardInput {
  readonly name?: string;
  /** the text at the end of a complete input */
  readonly bodyMark?: string;
  /** bytes */
  readonly bodySize?: number;
}

/** The sources of files and folders, without duplicates; `-` is standard input. The parts of an archive become one source. */
export async function importSourcesOf(files: readonly string[], options: StandardInput, io: Io): Promise<ImportSource[]> {
  const found = new Map<string, ImportSource>();
  for (const file of files) {
    if (file === "-") found.set("-", standardInput(options, io));
    else for (const source of await sourcesAt(file, io.signal)) found.set(source.path ?? source.name, source);
  }
  if (files.length > 0 && found.size === 0)
    throw refused(`there is no file to import in ${files.map((file) => printable(file)).join(", ")}`, {
      next: "chp help import shows what can be imported",
    });
  return joinParts([...found.values()], async (path) => fromFile(path, (await statOf(path)).size, io.signal));
}

function standardInput({ name = "-", bodyMark, bodySize }: StandardInput, io: Io): ImportSource {
  const open = () => (bodyMark === undefined ? io.input() : untilMark(io.input(), bodyMark));
  return { name, ...(bodySize !== undefined && { size: bodySize }), open };
}

async function sourcesAt(path: string, signal: AbortSignal): Promise<ImportSource[]> {
  if (/^https?:\/\//.test(path))
    throw new Failure("usage", `chp import reads files, and ${printable(path)} is a URL`, {
      next: `curl -fL ${printable(path)} | chp import --name ${printable(basename(path))} -`,
    });
  const at = await statOf(path);
  if (at.isDirectory()) return inFolder(path, signal);
  if (!at.isFile() && !at.isFIFO()) throw new Failure("usage", `${printable(path)} is neither a file nor a folder`);
  const beside = /\.(charm|bundle)$/.test(path) ? await resourcesBeside(path, signal) : await assertionsBeside(path, signal);
  return [fromFile(path, at.isFile() ? at.size : undefined, signal), ...beside];
}

/** Fails with `usage` if the path cannot be read. */
export async function statOf(path: string) {
  try {
    return await stat(path);
  } catch (error) {
    throw new Failure("usage", `cannot read ${printable(path)}: ${printable(reason(error).split(",")[0] ?? "", 100)}`, { cause: error });
  }
}

/** All files below a folder. Symbolic links are not followed. */
async function inFolder(path: string, signal: AbortSignal): Promise<ImportSource[]> {
  const entries = (await readdir(path, { withFileTypes: true })).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const found: ImportSource[] = [];
  if (["format.json", "blobs"].every((name) => entries.some((entry) => entry.name === name))) return []; // a store is no export
  for (const entry of entries) {
    const child = join(path, entry.name);
    if (isLitter(entry.name)) continue;
    if (entry.isDirectory()) found.push(...(await inFolder(child, signal)));
    else if (entry.isFile()) found.push(fromFile(child, (await stat(child)).size, signal));
  }
  return found;
}

/** The resource files beside a charm file. */
async function resourcesBeside(path: string, signal: AbortSignal): Promise<ImportSource[]> {
  const folder = dirname(path);
  const charm = basename(path).replace(/(_r?\d+)?\.[a-z]+$/, "");
  const listed = async (within: string) =>
    (await readdir(within, { withFileTypes: true }).catch(() => []))
      .filter((entry) => entry.isFile())
      .map((entry) => join(within, entry.name));
  const beside = [...(await listed(folder)), ...(await listed(join(folder, "resources")))];
  const own = beside.filter(
    (file) => isResource(file) && (basename(file).startsWith(`${charm}.`) || basename(file).startsWith("resource_")),
  );
  return Promise.all(own.toSorted().map(async (file) => fromFile(file, (await stat(file)).size, signal)));
}

/** The .assert file beside a snap file, as `snap download` writes it. */
async function assertionsBeside(path: string, signal: AbortSignal): Promise<ImportSource[]> {
  const file = path.replace(/\.snap$/, ".assert");
  const at = file === path ? undefined : await stat(file).catch(() => undefined);
  return at?.isFile() ? [fromFile(file, at.size, signal)] : [];
}

function fromFile(path: string, size: number | undefined, signal: AbortSignal): ImportSource {
  return {
    name: path,
    path: resolve(path),
    ...(size !== undefined && { size }),
    open: () => createReadStream(path, { highWaterMark: READ_SIZE, signal }),
  };
}
