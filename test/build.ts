/** Builds charms, bundles and export archives for tests: byte-stable, no opaque fixtures. */

import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { zipSync } from "fflate";
import { Header } from "tar";
import { Layout, type Piece, PieceWriter } from "../src/archives/tarball.ts";
import type { Package, Revision } from "../src/catalog/package.ts";
import type { Digest } from "../src/digest.ts";

/** A charm as it is stored, without a revision. */
export function emptyCharm(name: string, over: Partial<Package> = {}): Package {
  return {
    type: "charm",
    name,
    id: `ID${name}`,
    formerIds: [],
    declared: true,
    details: {},
    defaultTrack: "latest",
    revisions: [],
    resources: [],
    releases: [],
    history: [],
    ...over,
  };
}

/** One of its revisions, for ubuntu@22.04 on amd64. */
export function charmRevision(revision: number, blob: Digest, size: number): Revision {
  return {
    revision,
    version: String(revision),
    createdAt: "2026-01-01T00:00:00.000Z",
    bases: [{ name: "ubuntu", channel: "22.04", architecture: "amd64" }],
    blob,
    size,
    texts: {},
    resources: [],
    charms: [],
    relations: {},
    subordinate: false,
  };
}

export type Files = Readonly<Record<string, string | Uint8Array>>;

export function bytesOf(content: string | Uint8Array): Uint8Array {
  return typeof content === "string" ? Buffer.from(content) : content;
}

/** `at`: the byte at each place. By far the quickest way: `map` and `from` call through an iterator. */
export function bytesBy(size: number, at: (place: number) => number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i += 1) bytes[i] = at(i);
  return bytes;
}

/** Bytes that are different everywhere, the same each time. Four at a time: what tests send in mebibytes is made as quickly as it is hashed. */
export function noise(size: number, seed: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(size / 4));
  for (let i = 0, x = seed * 2 + 1; i < words.length; i += 1) words[i] = x = (Math.imul(x, 1_664_525) + 1_013_904_223) >>> 0;
  return new Uint8Array(words.buffer, 0, size);
}

/** A zip with a fixed date. What is large is only stored: to compress it in JavaScript takes a quarter of a second a MiB. */
export function zipOf(files: Files): Uint8Array {
  const entries = Object.entries(files).map(([name, content]) => {
    const bytes = bytesOf(content);
    return [name, [bytes, { mtime: new Date(2026, 8, 1), level: bytes.byteLength > 2 ** 20 ? 0 : 1 }]] as const;
  });
  return zipSync(Object.fromEntries(entries) as Parameters<typeof zipSync>[0]);
}

/** One tar entry: header, body, padding. `type` as in node-tar: "File", "SymbolicLink", … */
export function tarEntry(path: string, content: string | Uint8Array = "", header: Record<string, unknown> = {}): Uint8Array {
  const body = bytesOf(content);
  const block = Buffer.alloc(512);
  new Header({ path, mode: 0o644, size: body.byteLength, mtime: new Date(1777000000000), type: "File", uid: 0, gid: 0, ...header }).encode(
    block,
    0,
  );
  return Buffer.concat([block, body, Buffer.alloc((512 - (body.byteLength % 512)) % 512)]);
}

/** Entries and the end marker. */
export function tarOf(files: Files | readonly Uint8Array[]): Uint8Array {
  const entries = Array.isArray(files)
    ? (files as readonly Uint8Array[])
    : Object.entries(files as Files).map(([path, content]) => tarEntry(path, content));
  return Buffer.concat([...entries, Buffer.alloc(1024)]);
}

export function tgzOf(files: Files | readonly Uint8Array[]): Uint8Array {
  return gzipSync(tarOf(files), { level: 1 });
}

/** Size and digests as the wire names them. */
export function downloadOf(content: string | Uint8Array, url = "https://api.charmhub.io/x"): Record<string, string | number> {
  const bytes = bytesOf(content);
  const hash = (algorithm: string) => createHash(algorithm).update(bytes).digest("hex");
  return {
    size: bytes.byteLength,
    url,
    "hash-sha-256": hash("sha256"),
    "hash-sha-384": hash("sha384"),
    "hash-sha-512": hash("sha512"),
    "hash-sha3-384": hash("sha3-384"),
  };
}

export interface TestBase {
  name: string;
  channel: string;
  architecture: string;
}

export function base(architecture: string, channel: string, name = "ubuntu"): TestBase {
  return { name, channel, architecture };
}

export interface CharmSpec {
  name: string;
  revision: number;
  bases: readonly TestBase[];
  /** name → type and filename, as metadata.yaml declares them */
  resources?: Readonly<Record<string, { type: "file" | "oci-image"; filename?: string }>>;
  /** further files of the zip; replaces what is made where the names are equal */
  files?: Files;
}

/** A charm's zip: metadata.yaml, manifest.yaml, a dispatch script, and what `files` adds. */
export function charmZip({ name, revision, bases, resources = {}, files = {} }: CharmSpec): Uint8Array {
  const declared = Object.entries(resources).map(
    ([resource, { type, filename }]) =>
      `  ${resource}:\n    type: ${type}\n    description: ${resource} of ${name}\n${filename ? `    filename: ${filename}\n` : ""}`,
  );
  const metadata = `name: ${name}\nsummary: ${name} summary\ndescription: ${name} description\n${declared.length > 0 ? `resources:\n${declared.join("")}` : ""}`;
  const channels = new Map<string, string[]>();
  for (const b of bases) channels.set(`${b.name} ${b.channel}`, [...(channels.get(`${b.name} ${b.channel}`) ?? []), b.architecture]);
  const manifest = `bases:\n${[...channels]
    .map(([key, arches]) => `- name: ${key.split(" ")[0]}\n  channel: '${key.split(" ")[1]}'\n  architectures: [${arches.join(", ")}]\n`)
    .join("")}`;
  return zipOf({ "metadata.yaml": metadata, "manifest.yaml": manifest, dispatch: `#!/bin/sh\n# revision ${revision}\n`, ...files });
}

export function bundleZip(bundleYaml: string): Uint8Array {
  return zipOf({ "bundle.yaml": bundleYaml, "README.md": "# A bundle\n" });
}

export function imageBlob(reference: string): string {
  return JSON.stringify({ ImageName: reference, Password: "upstream-secret-token", Username: "docker-registry" });
}

export interface ReleaseSpec {
  channel: string;
  base: TestBase | null;
  revision: number;
  resources?: Readonly<Record<string, number>>;
  releasedAt?: string;
}

export interface PackageSpec {
  name: string;
  id: string;
  type: "charm" | "bundle";
  publisher?: Readonly<Record<string, string>>;
  result?: Readonly<Record<string, unknown>>;
  defaultTrack?: string;
  /** revision → zip */
  revisions: Readonly<Record<number, Uint8Array>>;
  /** revision → its bases */
  bases?: Readonly<Record<number, readonly TestBase[]>>;
  /** resource name → revision → content */
  resources?: Readonly<
    Record<string, { type: "file" | "oci-image"; filename?: string; revisions: Readonly<Record<number, string | Uint8Array>> }>
  >;
  releases: readonly ReleaseSpec[];
}

export const PUBLISHER = { id: "aCmE", username: "acme", "display-name": "Acme", validation: "unproven" };

/** The info-shaped metadata.json of a package. */
export function metadataOf(spec: PackageSpec): Record<string, unknown> {
  const rows = spec.releases.map(({ channel, base: on, revision, resources, releasedAt }) => {
    const [track, risk] = channel.split("/");
    const zip = spec.revisions[revision];
    return {
      channel: { name: channel, track, risk, base: on, "released-at": releasedAt ?? "2026-03-01T09:30:00.000000+00:00" },
      revision: {
        revision,
        version: String(revision),
        "created-at": "2026-02-28T08:00:00.000000",
        bases: spec.bases?.[revision] ?? (on ? [on] : []),
        ...(zip && { download: downloadOf(zip) }),
      },
      resources: Object.entries(resources ?? {}).map(([name, pin]) => {
        const resource = spec.resources?.[name];
        const content = resource?.revisions[pin];
        return {
          name,
          type: resource?.type ?? "file",
          filename: resource?.filename ?? "",
          description: `${name} of ${spec.name}`,
          revision: pin,
          "created-at": "2026-02-28T08:00:00.000000",
          ...(content !== undefined && { download: downloadOf(content) }),
        };
      }),
    };
  });
  const first = rows.find((row) => row.channel.track === spec.defaultTrack) ?? rows[0];
  return {
    type: spec.type,
    id: spec.id,
    name: spec.name,
    result: {
      summary: `${spec.name} summary`,
      description: `${spec.name} description`,
      title: spec.name,
      publisher: PUBLISHER,
      categories: [],
      media: [],
      ...spec.result,
      ...(spec.publisher && { publisher: spec.publisher }),
    },
    "channel-map": rows,
    ...(first && { "default-release": first }),
  };
}

/** The files of one inner NAME.tar.gz. */
export function packageFiles(spec: PackageSpec, metadata: unknown = metadataOf(spec)): Files {
  const zips = Object.entries(spec.revisions).map(([revision, zip]) => [`${spec.name}_${revision}.${spec.type}`, zip]);
  const resources = Object.entries(spec.resources ?? {}).flatMap(([name, { revisions }]) =>
    Object.entries(revisions).map(([revision, content]) => [`resources/${spec.name}.${name}_${revision}`, content]),
  );
  return {
    ...Object.fromEntries(zips),
    [`${spec.name}_publisher_account.assert`]:
      "type: account\nauthority-id: canonical\naccount-id: aCmE\ndisplay-name: Acme\nusername: acme\nvalidation: unproven\n\nsignature\n",
    ...(metadata !== undefined && { "metadata.json": typeof metadata === "string" ? metadata : JSON.stringify(metadata) }),
    ...Object.fromEntries(resources),
  };
}

/** An export in the documented layout: bundle.yaml and one NAME.tar.gz a package. */
export function exportOf(specs: readonly PackageSpec[], bundleYaml = "applications: {}\n"): Uint8Array {
  return tgzOf({
    "bundle.yaml": bundleYaml,
    ...Object.fromEntries(specs.map((spec) => [`${spec.name}.tar.gz`, tgzOf(packageFiles(spec))])),
  });
}

/** The same as the exporter writes it: every file a gzip member of its own, at both levels. */
export async function membersOf(specs: readonly PackageSpec[], bundleYaml = "applications: {}\n"): Promise<Uint8Array> {
  const layout = new Layout({ compress: true });
  const contents: (readonly [Piece, Uint8Array])[] = [];
  const add = (pieces: readonly Piece[], files: Files) =>
    contents.push(...Object.values(files).map((content, i) => [pieces[i] as Piece, bytesOf(content)] as const));
  add([layout.file("bundle.yaml", Buffer.byteLength(bundleYaml))], { "bundle.yaml": bundleYaml });
  for (const spec of specs) {
    const files = packageFiles(spec);
    const sizes = Object.entries(files).map(([path, content]) => ({ path, size: bytesOf(content).byteLength }));
    add(layout.container(`${spec.name}.tar.gz`, sizes), files);
  }
  contents.push(...layout.end().map((piece) => [piece, new Uint8Array()] as const));
  const all = new Uint8Array(layout.length);
  const room = {
    write: async (at: number, bytes: Uint8Array) => all.set(bytes, at),
    bytes: async (from: number, to: number) => all.slice(from, to),
  };
  for (const [piece, content] of contents) {
    const writer = new PieceWriter(piece, room);
    await writer.write(content);
    await writer.end();
  }
  return all;
}
