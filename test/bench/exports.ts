/** Exports of any size, as an exporter would write them: real texts, code that is noise. */

import { createCipheriv } from "node:crypto";
import { createWriteStream } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { zipSync } from "fflate";
import { base, bytesOf, type Files, type PackageSpec, packageFiles, tarEntry, tgzOf } from "../build.ts";

export const MIB = 2 ** 20;
const RISKS = ["stable", "candidate", "beta", "edge"];
const BASES = [base("amd64", "22.04"), base("amd64", "24.04")];

export const catalogueName = (number: number) => `charm-${String(number).padStart(5, "0")}`;

/**
 * Charms with many revisions and hardly a payload; the newest revisions are released. `wordy`: their texts are five times as long, and have a
 * character beyond Latin-1, as those of databases have.
 */
export function* catalogue(from: number, to: number, revisions: number, wordy = false): Generator<PackageSpec> {
  for (let number = from; number < to; number += 1) {
    const name = catalogueName(number);
    const all = Array.from({ length: revisions }, (_, i) => revisions - i);
    const channels = RISKS.flatMap((risk) => BASES.map((on) => ({ channel: `latest/${risk}`, base: on })));
    yield {
      ...identity(name),
      revisions: Object.fromEntries(
        all.map((revision) => [revision, charmOf(name, { dispatch: `#!/bin/sh\n# ${revision}\n` }, revision, wordy)]),
      ),
      bases: Object.fromEntries(all.map((revision) => [revision, BASES])),
      releases: channels.map((on, i) => ({ ...on, revision: all[Math.min(i >> 1, revisions - 1)] ?? 1 })),
    };
  }
}

/** Large charms, or charms with a large resource: `bytes` in all, at most `most` in each. */
export function* heavy(kind: "charms" | "resources", bytes: number, most = 32 * MIB): Generator<PackageSpec> {
  const each = Math.min(bytes, most);
  for (let number = 0; number * each < bytes; number += 1) {
    const name = `${kind}-${number}`;
    const payload = noise(each, number + (kind === "charms" ? 0 : 2 ** 20));
    const resource = kind === "resources";
    yield {
      ...identity(name),
      revisions: { 1: charmOf(name, resource ? {} : { payload }, 1) },
      bases: { 1: BASES },
      ...(resource && { resources: { data: { type: "file", filename: "data.bin", revisions: { 1: payload } } } }),
      releases: [{ channel: "latest/stable", base: BASES[0] ?? null, revision: 1, resources: resource ? { data: 1 } : {} }],
    };
  }
}

/** Writes an export package by package, so that its size is not bounded by memory. */
export async function writeExport(path: string, specs: Iterable<PackageSpec>): Promise<void> {
  const parts = function* () {
    yield tarEntry("bundle.yaml", "applications: {}\n");
    for (const spec of specs) yield tarEntry(`${spec.name}.tar.gz`, tgzOf(packageFiles(spec)));
    yield Buffer.alloc(1024);
  };
  await pipeline(Readable.from(parts(), { objectMode: false }), createGzip({ level: 1 }), createWriteStream(path));
}

function identity(name: string): Pick<PackageSpec, "name" | "id" | "type"> {
  return { name, id: name.replaceAll("-", "").padEnd(32, "x"), type: "charm" };
}

/** A charm with 3 KB of metadata and 5 KB of config, which change every fifth revision. Stored, not compressed. */
function charmOf(name: string, files: Files, revision: number, wordy = false): Uint8Array {
  const state = Math.floor(revision / 5);
  const [times, dash] = wordy ? [5, "–"] : [1, "-"];
  const sentence = `Operates ${name} through its whole life (state ${state}) ${dash} deploy, scale, relate, back up, restore and upgrade it.`;
  const endpoints = Array.from(
    { length: 12 * times },
    (_, i) => `  endpoint-${i}:\n    interface: interface_${i}\n    description: ${sentence}\n`,
  );
  const options = Array.from(
    { length: 30 * times },
    (_, i) => `  option-${i}:\n    type: string\n    default: "${i}"\n    description: ${sentence}\n`,
  );
  const metadata = `name: ${name}\nsummary: ${name} summary\ndescription: |\n${`  ${sentence}\n`.repeat(8)}requires:\n${endpoints.join("")}`;
  const manifest = BASES.map((on) => `- name: ubuntu\n  channel: '${on.channel}'\n  architectures: [amd64]\n`);
  const all: Files = {
    "metadata.yaml": metadata,
    "config.yaml": `options:\n${options.join("")}`,
    "manifest.yaml": `bases:\n${manifest.join("")}`,
    ...files,
  };
  return zipSync(Object.fromEntries(Object.entries(all).map(([path, content]) => [path, bytesOf(content)])), {
    level: 0,
    mtime: new Date(2026, 8, 1),
  });
}

/** Bytes that do not compress, as what is in charms and images; others for another seed. */
function noise(size: number, seed: number): Uint8Array {
  const key = Buffer.alloc(16);
  key.writeUInt32LE(seed);
  return createCipheriv("aes-128-ctr", key, Buffer.alloc(16)).update(Buffer.alloc(size));
}
