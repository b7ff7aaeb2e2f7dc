/**
 * The C library of the image. The executable needs one, and npm has none, so it is that of Debian: a package libc6 an architecture, in a folder that is
 * given, or downloaded by apt-get from where this machine gets its packages.
 */

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { $ } from "bun";
import { Parser, type ReadEntry } from "tar";
import { XzReadableStream } from "xz-decompress";
import { membersOf } from "./deb.ts";
import type { Entry } from "./tar.ts";

export interface Libc {
  /** as Debian calls it */
  readonly architecture: string;
  readonly version: string;
  /** of its package */
  readonly sha256: string;
  readonly files: readonly Entry[];
}

/** Where the executable expects its loader, and the libraries that it names. */
const LOADERS: Readonly<Record<string, { readonly loader: string; readonly folder: string }>> = {
  amd64: { loader: "lib64/ld-linux-x86-64.so.2", folder: "lib/x86_64-linux-gnu" },
  arm64: { loader: "lib/ld-linux-aarch64.so.1", folder: "lib/aarch64-linux-gnu" },
};
const LIBRARIES = [
  "libc.so.6",
  "libpthread.so.0",
  "libdl.so.2",
  "libm.so.6",
  "libresolv.so.2",
  "libnss_dns.so.2",
  "libnss_files.so.2",
  "libgcc_s.so.1",
];
const NEEDED = LIBRARIES.slice(0, 4);

/** The packages of `folder`, which are downloaded there where they are missing. Undefined: some are, and this machine has no apt-get. */
export async function libcsIn(folder: string, mayDownload: boolean): Promise<Libc[] | undefined> {
  mkdirSync(folder, { recursive: true });
  const libcs: Libc[] = [];
  for (const architecture of Object.keys(LOADERS)) {
    const there = () => readdirSync(folder).filter((name) => name.startsWith("libc6_") && name.endsWith(`_${architecture}.deb`));
    if (there().length === 0 && mayDownload && Bun.which("apt-get")) await download(folder, architecture);
    const [name, other] = there();
    if (other !== undefined) throw new Error(`${folder} has more than one libc6 for ${architecture}: leave one`);
    if (name === undefined) return undefined;
    libcs.push(await libcOf(readFileSync(join(folder, name)), architecture, name));
  }
  return libcs;
}

/** With lists of its own, so that nothing of this machine's packages changes, and for any architecture. */
async function download(folder: string, architecture: string): Promise<void> {
  const own = resolve(folder, `.apt-${architecture}`);
  for (const path of ["state/lists/partial", "cache/archives/partial"]) mkdirSync(join(own, path), { recursive: true });
  const options = [
    `APT::Architecture=${architecture}`,
    `APT::Architectures::=${architecture}`,
    `Dir::State=${own}/state`,
    `Dir::Cache=${own}/cache`,
    "Dir::State::status=/dev/null",
    "Debug::NoLocking=1",
  ];
  const words = options.flatMap((option) => ["-o", option]);
  try {
    await $`apt-get -qq ${words} update`.quiet();
    await $`cd ${folder} && apt-get -qq ${words} download libc6`.quiet();
  } finally {
    rmSync(own, { recursive: true });
  }
}

async function libcOf(deb: Uint8Array, architecture: string, name: string): Promise<Libc> {
  const at = LOADERS[architecture];
  const found = [...membersOf(deb)].find(([member]) => member.startsWith("data.tar"));
  if (!at || !found) throw new Error(`${name} is no package of libc6`);
  const files = await filesIn(await unpacked(...found));
  const get = (path: string) => files.get(path) ?? files.get(`usr/${path}`);
  const libraries = LIBRARIES.flatMap((library): Entry[] => {
    const bytes = get(`${at.folder}/${library}`);
    return bytes ? [{ path: `${at.folder}/${library}`, bytes, mode: 0o755 }] : [];
  });
  const loader = get(`${at.folder}/${at.loader.split("/").at(-1)}`);
  const copyright = files.get("usr/share/doc/libc6/copyright");
  const lacking = NEEDED.filter((library) => !libraries.some(({ path }) => path.endsWith(`/${library}`)));
  if (!loader || !copyright || lacking.length > 0) throw new Error(`${name} has no ${lacking.join(", ") || "loader or copyright"}`);
  return {
    architecture,
    version: decodeURIComponent(name.split("_")[1] ?? ""),
    sha256: createHash("sha256").update(deb).digest("hex"),
    files: [...libraries, { path: at.loader, bytes: loader, mode: 0o755 }, { path: "usr/share/doc/libc6/copyright", bytes: copyright }],
  };
}

async function unpacked(member: string, bytes: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([Buffer.from(bytes)]).stream();
  if (member.endsWith(".xz")) return new Response(new XzReadableStream(stream)).bytes();
  if (member.endsWith(".zst")) return Bun.zstdDecompressSync(Buffer.from(bytes));
  if (member.endsWith(".gz")) return Bun.gunzipSync(Buffer.from(bytes));
  return bytes;
}

/** Files and what links to them, by path. */
async function filesIn(tar: Uint8Array): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  const links: [path: string, to: string][] = [];
  await new Promise<void>((done, failed) => {
    const parser = new Parser({
      onReadEntry: (entry: ReadEntry) => {
        const path = entry.path.replace(/^\.\//, "");
        if (entry.type === "SymbolicLink") links.push([path, join("/", path, "..", entry.linkpath ?? "").slice(1)]);
        if (entry.type !== "File") {
          entry.resume();
          return;
        }
        const chunks: Buffer[] = [];
        entry.on("data", (chunk: Buffer) => void chunks.push(chunk));
        entry.on("end", () => void files.set(path, Buffer.concat(chunks)));
      },
    });
    parser.on("end", done);
    parser.on("error", failed);
    parser.end(Buffer.from(tar));
  });
  for (const [path, to] of links) {
    const bytes = files.get(to);
    if (bytes) files.set(path, bytes);
  }
  return files;
}

export function libcFolder(given: string): string {
  if (given === "") return ".run/libc6";
  if (!existsSync(given)) throw new Error(`LIBC=${given}: there is no such folder`);
  return given;
}
