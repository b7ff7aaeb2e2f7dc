/** Literals of any language, and whether they are a name, revision, channel or architecture of a snap. */

import { parseChannel, RISKS } from "../../catalog/channel.ts";
import { SNAP_NAME } from "../../catalog/snap.ts";
import { MAX_DEPTH } from "./sourcefiles.ts";

/** A literal of any language; undefined: a value that is known only when the code runs. */
export type Literal =
  | string
  | number
  | { readonly list: readonly Literal[] }
  | { readonly map: readonly (readonly [key: Literal, value: Literal])[] }
  /** a variable, by the last part of its name; `own`: of the object whose method it is in */
  | { readonly ref: string; readonly own?: true }
  /** any item of a list, as a loop over it has */
  | { readonly each: Literal }
  /** the value of an option of the charm */
  | { readonly option: string }
  /** the value of `SnapCache()[…]` */
  | { readonly snap: Literal }
  | undefined;

/** A literal of a value that a parser of JSON, YAML or TOML gives. */
export function literalOf(data: unknown, depth = 0): Literal {
  if (typeof data === "string" || typeof data === "number") return data;
  if (typeof data === "bigint") return Number(data);
  if (typeof data !== "object" || data === null || depth > MAX_DEPTH) return undefined;
  if (Array.isArray(data)) return { list: data.map((item) => literalOf(item, depth + 1)) };
  return { map: Object.entries(data).map(([key, value]) => [key, literalOf(value, depth + 1)] as const) };
}

/** Architectures as the kernel and dpkg call them → as dpkg does. */
const ARCHITECTURES: ReadonlyMap<Literal, string> = new Map([
  ["x86_64", "amd64"],
  ["amd64", "amd64"],
  ["aarch64", "arm64"],
  ["arm64", "arm64"],
  ["armv7l", "armhf"],
  ["armhf", "armhf"],
  ["i386", "i386"],
  ["i686", "i386"],
  ["ppc64le", "ppc64el"],
  ["ppc64el", "ppc64el"],
  ["riscv64", "riscv64"],
  ["s390x", "s390x"],
]);

/** `amd64`, or `("strict", "amd64")` */
export function asArchitecture(key: Literal): string | undefined {
  if (typeof key !== "object" || !("list" in key)) return ARCHITECTURES.get(key);
  return key.list.map((part) => ARCHITECTURES.get(part)).find((name) => name !== undefined);
}

export function asRevision(value: Literal): number | undefined {
  const text = typeof value === "number" ? String(value) : value;
  return typeof text === "string" && /^[1-9]\d{0,8}$/.test(text) ? Number(text) : undefined;
}

/** A channel, where a channel is expected. */
export function asChannel(value: Literal): string | undefined {
  return typeof value === "string" && parseChannel(value) ? value : undefined;
}

/** A channel among texts of other meanings: it must name a risk. */
export function asRiskyChannel(value: Literal): string | undefined {
  return typeof value === "string" && RISKS.some((risk) => value.split("/").includes(risk)) ? asChannel(value) : undefined;
}

export function asSnapName(value: Literal): string | undefined {
  return typeof value === "string" && SNAP_NAME.test(value) ? value : undefined;
}

export function isSame(a: Literal, b: Literal): boolean {
  if (typeof a !== "object" || typeof b !== "object") return a === b;
  if ("ref" in a && "ref" in b) return a.ref === b.ref;
  if ("option" in a && "option" in b) return a.option === b.option;
  if ("each" in a && "each" in b) return isSame(a.each, b.each);
  return a === b || ("snap" in a && "snap" in b && isSame(a.snap, b.snap));
}

/** Facts about a snap whose name may not be known yet. */
export interface SnapPin {
  readonly name?: string | undefined;
  readonly revision?: number | undefined;
  readonly channel?: string | undefined;
  readonly architecture?: string | undefined;
  /** whether a channel is given that only a run would show */
  readonly configured?: boolean;
}
