/** A package for Debian and Ubuntu: an ar of two tars. It is written here, since dpkg-deb is not on every machine that builds a release. */

import { createHash } from "node:crypto";
import { compareText } from "../../src/text.ts";
import { type Entry, gzip, tarOf } from "./tar.ts";

export interface DebPackage {
  /** fields of `control`, in their order; Installed-Size is added */
  readonly control: Readonly<Record<string, string>>;
  /** `postinst` and the others */
  readonly scripts: Readonly<Record<string, string>>;
  readonly files: readonly Entry[];
  /** seconds since 1970 */
  readonly time: number;
}

const MAGIC = "!<arch>\n";
const KIB = 1024;

export function debOf({ control, scripts, files, time }: DebPackage): Uint8Array {
  const sizes = files.map(({ bytes }) => Math.ceil(Buffer.byteLength(bytes ?? "") / KIB) || 1);
  const fields = { ...control, "Installed-Size": String(sizes.reduce((sum, size) => sum + size, 0)) };
  const sums = files
    .filter((file): file is Entry & { readonly bytes: string | Uint8Array } => file.bytes !== undefined)
    .toSorted((a, b) => compareText(a.path, b.path))
    .map(({ path, bytes }) => `${createHash("md5").update(bytes).digest("hex")}  ${path}\n`);
  const about: Entry[] = [
    { path: "control", bytes: controlText(fields) },
    { path: "md5sums", bytes: sums.join("") },
    ...Object.entries(scripts).map(([path, bytes]) => ({ path, bytes, mode: 0o755 })),
  ];
  const tar = (entries: readonly Entry[]) => gzip(tarOf(entries, { prefix: "./", time }));
  return Buffer.concat([
    Buffer.from(MAGIC),
    ...member("debian-binary", Buffer.from("2.0\n"), time),
    ...member("control.tar.gz", tar(about), time),
    ...member("data.tar.gz", tar(files), time),
  ]);
}

/** Of a value with several lines each further one is indented, and an empty one is a full stop. */
function controlText(fields: Readonly<Record<string, string>>): string {
  const lines = Object.entries(fields).map(([name, value]) => {
    const [first = "", ...rest] = value.split("\n");
    return [`${name}: ${first}`, ...rest.map((line) => ` ${line === "" ? "." : line}`)].join("\n");
  });
  return `${lines.join("\n")}\n`;
}

function member(name: string, bytes: Uint8Array, time: number): Uint8Array[] {
  const fields = [
    [name, 16],
    [String(time), 12],
    ["0", 6],
    ["0", 6],
    ["100644", 8],
    [String(bytes.byteLength), 10],
  ] as const;
  const head = `${fields.map(([text, width]) => text.padEnd(width)).join("")}\`\n`;
  return [Buffer.from(head), bytes, Buffer.from(bytes.byteLength % 2 === 1 ? "\n" : "")];
}

/** The members of an ar, by name. */
export function membersOf(bytes: Uint8Array): Map<string, Uint8Array> {
  const members = new Map<string, Uint8Array>();
  if (Buffer.from(bytes.subarray(0, MAGIC.length)).toString() !== MAGIC) throw new Error("it is no package: it does not begin as an ar");
  for (let at = MAGIC.length; at < bytes.byteLength; ) {
    const head = Buffer.from(bytes.subarray(at, at + 60)).toString("latin1");
    const size = Number(head.slice(48, 58));
    members.set(head.slice(0, 16).trim().replace(/\/$/, ""), bytes.subarray(at + 60, at + 60 + size));
    at += 60 + size + (size % 2);
  }
  return members;
}
