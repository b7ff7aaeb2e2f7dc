/** Archives of 1 MB or less that are made to take much: time, memory, or the disk. By name, what `chp import` is given. */

import { gzipSync, zstdCompressSync } from "node:zlib";
import { type Files, tarEntry, tarOf, zipOf } from "../build.ts";
import { squashfs } from "../squashfs.ts";

export const BOMB_SIZE = 1_000_000;

const MIB = 2 ** 20;

function gz(bytes: Uint8Array): Uint8Array {
  return gzipSync(bytes, { level: 9 });
}

/** As much of what `make` makes, by number, as a compressed tar of `BOMB_SIZE` bytes can hold, and at most `count` files. */
function full(name: (i: number) => string, make: (i: number) => string | Uint8Array, count = 20_000): () => Uint8Array {
  return () => {
    let best = gz(tarOf({ [name(0)]: make(0) }));
    const all: Uint8Array[] = [];
    for (let [i, size] = [0, 512]; i < count; size *= 2) {
      for (let added = 0; i < count && (added < size || added < 1); i += 1) {
        const entry = tarEntry(name(i), make(i));
        all.push(entry);
        added += 1;
        if (all.length % 64 === 0 && all.reduce((sum, one) => sum + one.byteLength, 0) > 1024 * MIB) break;
      }
      const packed = zstdCompressSync(tarOf(all));
      if (packed.byteLength > BOMB_SIZE) break;
      best = packed;
      if (all.reduce((sum, one) => sum + one.byteLength, 0) > 300 * MIB) break;
    }
    return best;
  };
}

function charm(i: number, files: Files = {}): Uint8Array {
  return zipOf({ "metadata.yaml": `name: a${i}\nsummary: s\ndescription: d\n`, "manifest.yaml": "bases: []\n", ...files });
}

const SIGNATURE = "A".repeat(64);
const assertion = (i: number) =>
  `type: account\nauthority-id: canonical\naccount-id: a${i}\ndisplay-name: a\ntimestamp: 2026-01-01T00:00:00Z\nusername: a${i}\nvalidation: verified\nsign-key-sha3-384: ${SIGNATURE}\n\nAcLB\n\n`;

const python = (body: string) => `from charms.operator_libs_linux.v2 import snap\ncache = SnapCache()\n${body}\n`.slice(0, 500_000);

/** metadata.json with a large channel map. */
function info(rows: number): string {
  const row = (i: number) =>
    `{"channel":{"name":"t${i}/stable","base":{"name":"ubuntu","channel":"22.04","architecture":"amd64"}},"revision":{"revision":${i + 1}}}`;
  return `{"type":"charm","name":"a0","channel-map":[${Array.from({ length: rows }, (_, i) => row(i)).join(",")}]}`;
}

export const BOMBS: Readonly<Record<string, () => Uint8Array>> = {
  "gzip in gzip in gzip": () => gz(gz(gz(Buffer.alloc(256 * MIB)))),
  "many gzips of zeros": () => {
    const inner = gz(Buffer.alloc(16 * MIB));
    return gz(tarOf(Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`a${i}.gz`, inner]))));
  },
  "a resource of zeros": () => gz(zstdCompressSync(tarOf({ "resources/a.b_1": Buffer.alloc(512 * MIB) }))),
  "many small resources": full(
    (i) => `resources/a.b${i}_1`,
    () => "",
  ),
  "many charms": full(
    (i) => `a${i}_1.charm`,
    (i) => charm(i),
  ),
  "many revisions": full(
    (i) => `a_${i}.charm`,
    (i) => charm(0, { x: String(i) }),
  ),
  "charms with slow yaml": full(
    (i) => `a${i}_1.charm`,
    (i) => zipOf({ "metadata.yaml": `name: a${i}\nx:\n${"-\n".repeat(60_000)}` }),
    2000,
  ),
  "charms with much text": full(
    (i) => `a${i}_1.charm`,
    (i) => zipOf({ "metadata.yaml": `name: a${i}\ndescription: ${"x".repeat(2 * MIB - 100)}` }),
    500,
  ),
  "charms with deep Python": full(
    (i) => `a${i}_1.charm`,
    (i) => charm(i, Object.fromEntries(Array.from({ length: 8 }, (_, j) => [`src/c${j}.py`, python("cache[".repeat(90_000))]))),
    500,
  ),
  "charms with many names in Python": full(
    (i) => `a${i}_1.charm`,
    (i) => charm(i, { "src/c.py": python(Array.from({ length: 20_000 }, (_, j) => `A${j}_SNAP_NAME = "s${j}"`).join("\n")) }),
    500,
  ),
  "charms with shell": full(
    (i) => `a${i}_1.charm`,
    (i) => charm(i, { "hooks/install": `#!/bin/sh\n${"snap install a ;".repeat(15_000)}`, "b.sh": `snap install '"`.repeat(15_000) }),
    500,
  ),
  "charms with json and toml": full(
    (i) => `a${i}_1.charm`,
    (i) =>
      charm(i, {
        "snaps.json": `{"snaps":${"[".repeat(60_000)}`,
        "b.json": `{"snaps":[${"{},".repeat(40_000)}{}]}`,
        "snap.toml": "[[a.b]]\n".repeat(16_000),
        "snaps.yaml": `[${"a,".repeat(15_000)}]`,
      }),
    500,
  ),
  "charms with many files": full(
    (i) => `a${i}_1.charm`,
    (i) => charm(i, Object.fromEntries(Array.from({ length: 2000 }, (_, j) => [`f${j}`, ""]))),
    400,
  ),
  "bundles with many applications": full(
    (i) => `a${i}.bundle`,
    (i) =>
      zipOf({
        "bundle.yaml": `name: b${i}\napplications:\n${Array.from({ length: 8000 }, (_, j) => `  a${j}: {charm: c${j}}\n`).join("")}`,
      }),
    200,
  ),
  "many snaps": full(
    (i) => `a${i}_1.snap`,
    (i) => squashfs({ "meta/snap.yaml": `name: a${i}\nversion: "1"\n` }),
  ),
  "many forged assertions": full(
    (i) => `a${i}.assert`,
    (i) => Array.from({ length: 2000 }, (_, j) => assertion(i * 2000 + j)).join(""),
    40,
  ),
  "assertions with deep headers": full(
    (i) => `a${i}.assert`,
    () => `type: account\nx:\n${Array.from({ length: 300 }, (_, j) => `${" ".repeat(2 * j + 2)}a:\n`).join("")}`,
    100,
  ),
  "a metadata.json of empty lists": full(
    (i) => `a${i}/metadata.json`,
    () => `{"name":"a","channel-map":[${"[],".repeat(300_000)}[]]}`,
    20,
  ),
  "a metadata.json of many releases": full(
    (i) => `a${i}/metadata.json`,
    () => info(15_000),
    8,
  ),
  "a json of many maps": full(
    (i) => `a${i}.json`,
    () => `{"x":{${Array.from({ length: 30_000 }, (_, j) => `"${j}":{"amd64":"x"}`).join(",")}}}`,
    20,
  ),
  "maps of channels inside each other": full(
    (i) => `a${i}.json`,
    () => `${'{"a":'.repeat(90)}{${Array.from({ length: 10_000 }, (_, j) => `"${j}/stable":1`).join(",")}}${"}".repeat(90)}`,
    20,
  ),
  "a list that is long": full(
    (i) => `a${i}/SHA256SUMS`,
    () => Array.from({ length: 100_000 }, (_, j) => `${"0".repeat(64)}  f${j}\n`).join(""),
    20,
  ),
  "paths that are deep": full(
    (i) => `${"a/".repeat(45)}${i}`,
    () => "",
  ),
  "headers of a tar": () =>
    zstdCompressSync(
      tarOf(Array.from({ length: 200 }, () => tarEntry("PaxHeader", "11 path=xx\n".repeat(95_000), { type: "ExtendedHeader" }))),
    ),
  "many locks for many folders": full(
    (i) => `a${i}/${i % 2 ? "export.lock.json" : "b.yaml"}`,
    (i) => (i % 2 ? `{"format":1,"packages":[],"snaps":[]}` : ""),
    5000,
  ),
  "many bundles that name images": full(
    (i) => `a${i}/bundle.yaml`,
    () => "applications: {a: {charm: a, resources: {b: c}}}",
    4900,
  ),
  "a bundle that names many images, above many folders": () => {
    const apps = Array.from({ length: 5000 }, (_, i) => `  a${i}: {charm: c${i}, resources: {b: c}}\n`).join("");
    const folders = Array.from({ length: 4900 }, (_, i) => [`a${i}/b.yaml`, ""] as const);
    return gz(tarOf({ "bundle.yaml": `applications:\n${apps}`, ...Object.fromEntries(folders) }));
  },
  "a lock of many snaps beside many": () => {
    const row = (i: number) =>
      `{"name":"s${i}","id":"i","defaultTrack":null,"releases":[{"channel":"latest/stable","architecture":"all","revision":1}],"revisions":{}}`;
    const lock = `{"format":1,"packages":[],"snaps":[${Array.from({ length: 30_000 }, (_, i) => row(i)).join(",")}]}`;
    const maps = Array.from({ length: 4900 }, (_, i) => [`${i}.json`, `{"name":"s29999","snap-id":"i","channels":{"stable":1}}`] as const);
    return gz(tarOf({ "export.lock.json": lock, ...Object.fromEntries(maps) }));
  },
  "a lock of many releases, each declared": () => {
    const numbers = Array.from({ length: 50_000 }, (_, i) => i);
    const releases = numbers.map((i) => `{"channel":"t${i}/stable","architecture":"all","revision":1}`).join(",");
    const lock = `{"format":1,"packages":[],"snaps":[{"name":"s","id":"i","defaultTrack":null,"releases":[${releases}],"revisions":{}}]}`;
    const map = `{"name":"s","snap-id":"i","channels":{${numbers.map((i) => `"t${i}/stable":1`).join(",")}}}`;
    return gz(tarOf({ "export.lock.json": lock, "channel-map.json": map }));
  },
  "a yaml of errors": () => Buffer.from(`[${",".repeat(BOMB_SIZE - 1)}`),
  "names that are numbers": full(
    (i) => `a${i}.yaml`,
    () => `packages:\n${Array.from({ length: 15_000 }, (_, j) => `- {name: ${j}}\n`).join("")}`,
    40,
  ),
};
