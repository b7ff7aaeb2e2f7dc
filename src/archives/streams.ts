/**
 * Agent streams, as streams.canonical.com has them in the format of simplestreams: a clear-signed index, which names a clear-signed
 * product file, which names files with their sizes and sha256. What is wrong with an item matters only to who wants that item.
 */

import { readClearSigned, type SigningKey } from "../assertions/clearsigned.ts";
import { agentVersion } from "../catalog/agents.ts";
import { type Digest, isDigest } from "../digest.ts";
import { printable, refused } from "../errors.ts";
import { isObject } from "../schema.ts";
import { tryJson } from "../text.ts";
import { safePath } from "./names.ts";

/** The stream of released agents, and where its files are below the address of the streams. */
export const RELEASED_AGENTS = "com.ubuntu.juju:released:agents";
export const SIGNED_INDEX = "streams/v1/index2.sjson";
/** The release of which every architecture must have an item. */
const RELEASE = "ubuntu";

/** values of a text: what one with many costs in memory is bounded by this */
const MAX_VALUES = 2_000_000;
const MAX_NESTING = 20;
/** products that one agent is listed for */
const MAX_PRODUCTS = 64;
/** bytes of one agent; those of today have a tenth of it */
export const MAX_AGENT = 2 ** 30;

/** A signed index. */
export interface StreamsIndex {
  /** RFC 3339 */
  readonly updated: string;
  /** path of the product file of released agents, from the address of the streams */
  readonly path: string;
  readonly key: SigningKey;
}

/** An agent that a product file names. */
export interface StreamsAgent {
  readonly version: string;
  readonly architecture: string;
  /** from the address of the streams */
  readonly path: string;
  /** bytes */
  readonly size: number;
  readonly sha256: Digest;
  /** product to release, of all items with that content */
  readonly products: Readonly<Record<string, string>>;
}

/** What a product file names: agents by `VERSION ARCHITECTURE`, and in the same way what is wrong with those that can't be taken. */
export interface StreamsProducts {
  readonly agents: ReadonlyMap<string, StreamsAgent>;
  readonly problems: ReadonlyMap<string, string>;
}

export function agentKey({ version, architecture }: Pick<StreamsAgent, "version" | "architecture">): string {
  return `${version} ${architecture}`;
}

/** Throws a `refused` failure that begins with `what` for an index that no key signed, or that names no released agents. */
export function readStreamsIndex(bytes: Uint8Array, keys: readonly SigningKey[], what: string): StreamsIndex {
  const { text, key } = readClearSigned(bytes, keys, what);
  return { ...parseStreamsIndex(text, what), key };
}

/** The text in it, which proves nothing alone. */
export function parseStreamsIndex(text: string, what: string): Omit<StreamsIndex, "key"> {
  const value = parsed(text, what);
  const index = isObject(value["index"]) ? value["index"][RELEASED_AGENTS] : undefined;
  if (value["format"] !== "index:1.0" || !isObject(index)) throw refused(`${what} is not an index of released agents`);
  const { path } = index;
  if (typeof path !== "string" || !isPlainPath(path))
    throw refused(`${what} names a product file that lies at no plain path: ${show(path)}`);
  return { updated: timeOf(value["updated"], what), path };
}

/** Throws a `refused` failure that begins with `what` for a product file that no key signed, or that is of another stream. */
export function readStreamsProducts(bytes: Uint8Array, keys: readonly SigningKey[], what: string): StreamsProducts {
  return parseStreamsProducts(readClearSigned(bytes, keys, what).text, what);
}

/** The text in it, which proves nothing alone. */
export function parseStreamsProducts(text: string, what: string): StreamsProducts {
  const value = parsed(text, what);
  const { products } = value;
  if (value["format"] !== "products:1.0" || value["content_id"] !== RELEASED_AGENTS || !isObject(products))
    throw refused(`${what} is not a product file of released agents`);
  const agents = new Map<string, StreamsAgent & { readonly products: Record<string, string> }>();
  const problems = new Map<string, string>();
  const others: { readonly key: string; readonly product: string; readonly release: string; readonly sha256: unknown }[] = [];
  for (const [product, catalog] of Object.entries(products))
    for (const item of itemsOf(catalog)) {
      const { version, arch, release, sha256 } = item;
      if (typeof version !== "string" || typeof arch !== "string" || typeof release !== "string") continue;
      if (!agentVersion(version)) continue;
      const key = agentKey({ version, architecture: arch });
      if (release !== RELEASE) {
        others.push({ key, product, release, sha256 });
        continue;
      }
      if (agents.has(key) || problems.has(key)) continue; // the newest is first, as Juju takes it
      const agent = readItem(item, { version, architecture: arch, product });
      if (typeof agent === "string") problems.set(key, agent);
      else agents.set(key, agent);
    }
  for (const { key, product, release, sha256 } of others) {
    const agent = agents.get(key);
    if (agent && agent.sha256 === sha256 && isWord(product) && isWord(release) && Object.keys(agent.products).length < MAX_PRODUCTS)
      agent.products[product] ??= release;
  }
  return { agents, problems };
}

/** The agent of an item, or what is wrong with it. */
function readItem(
  { path, size, sha256, ftype }: Item,
  { version, architecture, product }: { readonly version: string; readonly architecture: string; readonly product: string },
): (StreamsAgent & { readonly products: Record<string, string> }) | string {
  if (ftype !== "tar.gz") return `its ftype is ${show(ftype)}, not tar.gz`;
  if (typeof path !== "string" || !isPlainPath(path)) return `its path is ${show(path)}, which is no plain path`;
  if (!Number.isSafeInteger(size) || Number(size) <= 0 || Number(size) > MAX_AGENT) return `its size is ${show(size)}`;
  if (typeof sha256 !== "string" || !isDigest(sha256)) return `its sha256 is ${show(sha256)}`;
  if (!isWord(product)) return `its product is ${show(product)}`;
  return { version, architecture, path, size: Number(size), sha256, products: { [product]: RELEASE } };
}

type Item = Readonly<Record<string, unknown>>;

/** The items of a product, those of the newest date first. What an item does not say, its list or its product may say for it. */
function* itemsOf(catalog: unknown): Generator<Item> {
  const versions = isObject(catalog) ? catalog["versions"] : undefined;
  if (!isObject(catalog) || !isObject(versions)) return;
  for (const [, list] of Object.entries(versions).toSorted(([a], [b]) => (a < b ? 1 : -1))) {
    if (!isObject(list) || !isObject(list["items"])) continue;
    for (const item of Object.values(list["items"])) if (isObject(item)) yield { ...inherited(catalog), ...inherited(list), ...item };
  }
}

function inherited({ version, arch, release, ftype, path, size, sha256 }: Item): Item {
  const all = Object.entries({ version, arch, release, ftype, path, size, sha256 });
  return Object.fromEntries(all.filter(([, value]) => value !== undefined));
}

function parsed(text: string, what: string): Record<string, unknown> {
  measure(text, what);
  const value = tryJson(text);
  if (!isObject(value)) throw refused(`${what} is not JSON`);
  return value;
}

/** A name of a product or a release, which other lists may have as it is. */
function isWord(text: string): boolean {
  return /^[\w.:+~-]{1,100}$/.test(text) && text !== "__proto__";
}

/** Throws for a text that would take much to parse, in one pass and without memory. */
function measure(text: string, what: string): void {
  let [depth, values, quoted] = [0, 0, false];
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (quoted && code === 0x5c) at += 1;
    else if (code === 0x22) quoted = !quoted;
    else if (quoted) continue;
    else if (code === 0x7b || code === 0x5b) {
      depth += 1;
      values += 1;
    } else if (code === 0x7d || code === 0x5d) depth -= 1;
    else if (code === 0x2c) values += 1;
    if (depth > MAX_NESTING) throw refused(`${what} is nested more than ${MAX_NESTING} deep`);
    if (values > MAX_VALUES) throw refused(`${what} has more than ${MAX_VALUES} values`);
  }
}

/** RFC 3339 of a time that upstream writes as mail does. */
function timeOf(updated: unknown, what: string): string {
  const at = typeof updated === "string" ? Date.parse(updated) : Number.NaN;
  if (!(at >= 0 && at < 253_402_300_800_000)) throw refused(`${what} does not say when it was updated`);
  return `${new Date(at).toISOString().slice(0, 19)}Z`;
}

/** Whether it leads down from a folder and nowhere else, whatever joins or decodes it. */
function isPlainPath(path: string): boolean {
  if (!/^[A-Za-z0-9][\w.:~+-]*(\/[A-Za-z0-9][\w.:~+-]*)*$/.test(path) || path.length > 500) return false;
  return safePath(path) === path;
}

function show(value: unknown): string {
  return printable(JSON.stringify(value) ?? "missing", 100);
}
