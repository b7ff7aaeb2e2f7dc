/**
 * Assertions: the signed statements by which a machine knows that a snap is what it says.
 * Text, signatures and checks: contract/snapd.md §6.
 */

import { constants, createHash, createPublicKey, type KeyObject, verify } from "node:crypto";
import { Failure, printable, refused } from "./errors.ts";
import { CANONICAL, GENERIC } from "./trust.ts";

export type HeaderValue = string | readonly HeaderValue[] | ReadonlyMap<string, HeaderValue>;

export interface Assertion {
  readonly type: string;
  /** every header by name, as text, list or map */
  readonly headers: ReadonlyMap<string, HeaderValue>;
  /** values of the primary key in order, without trailing optional ones that equal their default */
  readonly key: readonly string[];
  /** 0 where it says none */
  readonly revision: number;
  readonly format: number;
  /** id of the account that signs; undefined for requests, which sign themselves */
  readonly authority: string | undefined;
  /** id of the key that signed it */
  readonly signKey: string;
  /** `""` where there is none */
  readonly body: string;
  /** what was read, ending in one newline; the signature holds for these bytes only */
  readonly text: string;
}

/** The text of a header. Throws a `refused` failure where it is absent, or a list or map. */
export function header(assertion: Assertion, name: string): string {
  const value = assertion.headers.get(name);
  if (typeof value === "string") return value;
  const wrong = value === undefined ? "is missing" : "is no text";
  throw refused(printable(`${keyText(assertion.type, assertion.key)}: header "${name}" ${wrong}`, 500));
}

/** The text of a header, undefined where it is absent. Throws a `refused` failure where it is a list or map. */
export function optionalHeader(assertion: Assertion, name: string): string | undefined {
  return assertion.headers.has(name) ? header(assertion, name) : undefined;
}

/** One text for a primary key, `snap-declaration/16/ID`. */
export function keyText(type: string, key: readonly string[]): string {
  return [type, ...key].join("/");
}

/* ---- types ---- */

export interface AssertionType {
  /** headers of the primary key, in the order of a URL */
  readonly key: readonly string[];
  /** headers of the primary key that may be left out, with their default */
  readonly optional?: Readonly<Record<string, string>>;
  /** whether the last part of the key counts from 1 */
  readonly sequence?: true;
  /** the highest format that is read here */
  readonly maxFormat: number;
  /** self-signed and sent by machines, never kept */
  readonly request?: true;
  /** headers that it must have */
  readonly must: Shapes;
  /** headers that it may have */
  readonly may: Shapes;
  /** throws where its parts contradict each other */
  readonly consistent?: (assertion: Assertion) => void;
  /** primary keys without which it does not hold */
  readonly needs: (assertion: Assertion) => readonly Ref[];
  /** primary keys that, where they are known, say more about it */
  readonly uses: (assertion: Assertion) => readonly Ref[];
  /** throws where its authority may not say this */
  readonly allowed?: Rule;
}

/** A primary key. */
export type Ref = readonly [type: string, key: readonly string[]];
type Shapes = Readonly<Record<string, Shape>>;
type Rule = (assertion: Assertion, known: Known) => void;

/** What is known when an assertion is checked. */
interface Known {
  readonly trust: Trust;
  find(type: string, key: readonly string[]): Assertion | undefined;
  /** id of the key that an account has under a name */
  keyNamed(account: string, name: string): string | undefined;
}

interface Shape {
  /** for messages: `header "series" is not …` */
  readonly is: string;
  readonly fits: (value: HeaderValue) => boolean;
}

function shape(is: string, pattern: RegExp): Shape {
  return { is, fits: (value) => typeof value === "string" && pattern.test(value) };
}

const DEFAULT_PROVENANCE = "global-upload";
const SERIES = "16";

const WORDS = /^[a-zA-Z0-9](?:-?[a-zA-Z0-9])*$/;
const Text = shape("text", /^/);
const Filled = shape("text that is not empty", /./s);
const AccountId = shape("an account id", /^(?:[a-zA-Z0-9]{32}|[-a-z0-9]{2,28})$/);
const SnapId = shape("a snap id", /^[a-zA-Z0-9]{32}$/);
const Series = shape(`series ${SERIES}`, /^16$/);
const Size = shape("a whole number", /^(?:0|[1-9]\d{0,14})$/);
const Count = shape("a whole number from 1 on", /^[1-9]\d{0,14}$/);
const Digest = shape("a sha3-384 as 64 characters of base64url", /^[A-Za-z0-9_-]{64}$/);
const Provenance = shape("a provenance", WORDS);
const Model = shape("a model's name", WORDS);
const Name = shape("a name", /^(?=.*[a-z])[a-z0-9](?:-?[a-z0-9])*$/);
const SetName = shape("a name", /^[a-z0-9](?:-?[a-z0-9])*$/);
const Presence = shape("required, optional or invalid", /^(?:required|optional|invalid)$/);
const Boolish = shape("true or false", /^(?:true|false)$/);
const Time: Shape = { is: "a time as in RFC 3339", fits: (value) => typeof value === "string" && !Number.isNaN(readTime(value)) };
const StoreUrl: Shape = { is: "an http(s) URL with a host, without query and fragment", fits: isStoreUrl };
const Texts = listOf(Text, "a list of texts");
const Accounts: Shape = { is: "a list of account ids", fits: (value) => value === "*" || listOf(AccountId, "").fits(value) };
const Patterns = listOf(mapOf({ headers: { is: "", fits: isHeaderPattern } }), "a list of patterns for headers that name the type");
const RevisionAuthority = listOf(
  mapOf({ "account-id": AccountId, provenance: listOf(Provenance, "") }, { "min-revision": Count, "max-revision": Count }),
  "a list of accounts with the provenances and revisions that they may sign",
);
const SetSnaps = listOf(
  mapOf({ name: Filled, id: SnapId }, { presence: Presence, revision: Count }),
  "a list of snaps with name, id, presence and revision",
);
const Developers = listOf(mapOf({ "developer-id": AccountId, since: Time }, { until: Time }), "a list of developers with their times");

function listOf(one: Shape, is: string): Shape {
  return { is, fits: (value) => isList(value) && value.length > 0 && value.every(one.fits) };
}

function mapOf(must: Shapes, may: Shapes = {}): Shape {
  return { is: "a map", fits: (value) => isMap(value) && misfit(value, must, may) === undefined };
}

function isList(value: HeaderValue | undefined): value is readonly HeaderValue[] {
  return Array.isArray(value);
}

function isMap(value: HeaderValue | undefined): value is ReadonlyMap<string, HeaderValue> {
  return value instanceof Map;
}

/** The first entry that is missing or has not its shape, in words. */
function misfit(values: ReadonlyMap<string, HeaderValue>, must: Shapes, may: Shapes): string | undefined {
  for (const [entry, { is, fits }] of Object.entries({ ...must, ...may })) {
    const value = values.get(entry);
    if (value === undefined ? Object.hasOwn(must, entry) : !fits(value))
      return `header "${entry}" ${value === undefined ? "is missing" : `is not ${is}`}`;
  }
  return undefined;
}

/** Milliseconds since 1970 of an RFC 3339 time; NaN where it is none. */
function readTime(value: string): number {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(?:Z|([+-])([01]\d|2[0-3]):([0-5]\d))$/.exec(value);
  const [, local = "", fraction = "", sign, hours, minutes] = match ?? [];
  const utc = Date.parse(`${local}Z`);
  // Date.parse would take February 30 for March 1.
  if (Number.isNaN(utc) || !new Date(utc).toISOString().startsWith(local)) return Number.NaN;
  const offset = sign === undefined ? 0 : (Number(hours) * 60 + Number(minutes)) * (sign === "-" ? -60_000 : 60_000);
  return utc - offset + Number(`0${fraction}`) * 1000;
}

function isStoreUrl(value: HeaderValue): boolean {
  if (value === "") return true;
  if (typeof value !== "string" || !URL.canParse(value)) return false;
  const { protocol, host } = new URL(value);
  return /^https?:$/.test(protocol) && host !== "" && !/[?#]/.test(value);
}

/* What an authority may say. */

function trusted({ authority = "" }: Assertion, { trust }: Known): void {
  if (!trust.isTrustedAccount(authority)) throw refused(`its authority ${authority} is no trusted root`);
}

/** Signed by the account that a header names. */
function by(owner: string): Rule {
  return (one) => {
    if (one.authority !== header(one, owner)) throw refused(`its authority ${one.authority} is not its ${owner} ${header(one, owner)}`);
  };
}

/** Signed by a root or, under another provenance, by whom the snap's declaration lets sign such revisions. `revision`: the header that counts. */
function delegated(revision: string): Rule {
  return (one, known) => {
    const origin = optionalHeader(one, "provenance") ?? DEFAULT_PROVENANCE;
    if (origin === DEFAULT_PROVENANCE) return trusted(one, known);
    const entries = known.find(...declarationOf(one))?.headers.get("revision-authority");
    const number = Number(header(one, revision));
    const fits = (entry: HeaderValue) => {
      if (!isMap(entry)) return false;
      const origins = entry.get("provenance");
      const [least, most] = [Number(entry.get("min-revision") ?? 1), Number(entry.get("max-revision") ?? Number.POSITIVE_INFINITY)];
      return entry.get("account-id") === one.authority && isList(origins) && origins.includes(origin) && least <= number && number <= most;
    };
    if (!isList(entries) || !entries.some(fits))
      throw refused(`its snap-declaration lets ${one.authority} sign no ${revision} ${number} of provenance ${origin}`);
  };
}

function accountOf(owner: string): (one: Assertion) => Ref {
  return (one) => ["account", [header(one, owner)]];
}

function declarationOf(one: Assertion, id = "snap-id"): Ref {
  return ["snap-declaration", [SERIES, header(one, id)]];
}

function modelOf(one: Assertion): Ref {
  return ["model", [SERIES, header(one, "brand-id"), header(one, "model")]];
}

function uniqueName(one: Assertion, known: Known): void {
  trusted(one, known);
  const label = optionalHeader(one, "name");
  const other = label === undefined ? undefined : known.keyNamed(header(one, "account-id"), label);
  if (other !== undefined && other !== one.key[0]) throw refused(`its account has the key ${other} of the same name ${label}`);
}

function byBrandOrWhomItNames(one: Assertion, known: Known): void {
  const brand = header(one, "brand-id");
  const others = known.find(...modelOf(one))?.headers.get("serial-authority");
  const named = others === "*" || (isList(others) && others.includes(one.authority ?? ""));
  if (one.authority !== brand && !named)
    throw refused(`its authority ${one.authority} is neither its brand ${brand} nor named by a known model`);
}

function byPublisher(one: Assertion, known: Known): void {
  const publisher = known.find(...declarationOf(one))?.headers.get("publisher-id");
  if (one.authority !== publisher) throw refused(`its authority ${one.authority} is not the snap's publisher`);
}

function byPublisherOrRoot(one: Assertion, known: Known): void {
  if (one.authority !== header(one, "publisher-id")) trusted(one, known);
}

function developersOf(one: Assertion): Ref[] {
  const list = one.headers.get("developers");
  const ids = isList(list) ? list.map((entry) => isMap(entry) && entry.get("developer-id")) : [];
  return ids.flatMap((id): Ref[] => (typeof id === "string" ? [["account", [id]]] : []));
}

/* What contradicts itself. */

function goodAccountKey(one: Assertion): void {
  const [since, until] = validity(one);
  if (until <= since) throw refused("it ends before it begins");
  const { id } = publicKeyOf(one);
  if (id !== one.key[0]) throw refused(`its body is the key ${id}, not ${one.key[0]}`);
}

function goodDeviceKey(one: Assertion): void {
  const id = keyIdOf(header(one, "device-key"));
  if (id !== header(one, "device-key-sha3-384"))
    throw refused(`its device-key is the key ${id}, not ${header(one, "device-key-sha3-384")}`);
}

function goodRevisionAuthority(one: Assertion): void {
  const list = one.headers.get("revision-authority");
  if (!isList(list)) return;
  const crossed = (entry: HeaderValue) =>
    isMap(entry) && Number(entry.get("min-revision") ?? 1) > Number(entry.get("max-revision") ?? Number.POSITIVE_INFINITY);
  if (list.some(crossed)) throw refused("a revision-authority ends before it begins");
}

const none = () => [];
const upload = { optional: { provenance: DEFAULT_PROVENANCE }, may: { provenance: Provenance } };
const ofRevision = (one: Assertion) => [declarationOf(one), accountOf("developer-id")(one)];

function define(key: readonly string[], rest: Partial<AssertionType> = {}): AssertionType {
  return { key, maxFormat: 0, must: {}, may: {}, needs: none, uses: none, ...rest };
}

/** Every type that is known, with its primary key. */
export const ASSERTION_TYPES: ReadonlyMap<string, AssertionType> = new Map([
  [
    "account",
    define(["account-id"], {
      must: { "account-id": AccountId, "display-name": Filled, validation: Filled, timestamp: Time },
      may: { username: Text },
      allowed: trusted,
    }),
  ],
  [
    "account-key",
    define(["public-key-sha3-384"], {
      maxFormat: 1,
      must: { "public-key-sha3-384": Digest, "account-id": AccountId, since: Time },
      may: { until: Time, name: Name, constraints: Patterns },
      consistent: goodAccountKey,
      needs: (one) => [accountOf("account-id")(one)],
      allowed: uniqueName,
    }),
  ],
  [
    "snap-declaration",
    define(["series", "snap-id"], {
      maxFormat: 7,
      must: { series: Series, "snap-id": SnapId, "snap-name": Text, "publisher-id": AccountId, timestamp: Time },
      may: { "revision-authority": RevisionAuthority },
      consistent: goodRevisionAuthority,
      needs: (one) => [accountOf("publisher-id")(one)],
      allowed: trusted,
    }),
  ],
  [
    "snap-revision",
    define(["snap-sha3-384", "provenance"], {
      ...upload,
      must: {
        "snap-sha3-384": Digest,
        "snap-id": SnapId,
        "snap-size": Size,
        "snap-revision": Count,
        "developer-id": AccountId,
        timestamp: Time,
      },
      needs: ofRevision,
      allowed: delegated("snap-revision"),
    }),
  ],
  [
    "snap-resource-revision",
    define(["snap-id", "resource-name", "resource-sha3-384", "provenance"], {
      ...upload,
      must: {
        "snap-id": SnapId,
        "resource-name": Name,
        "resource-sha3-384": Digest,
        "resource-size": Size,
        "resource-revision": Count,
        "developer-id": AccountId,
        timestamp: Time,
      },
      needs: ofRevision,
      allowed: delegated("resource-revision"),
    }),
  ],
  [
    "snap-resource-pair",
    define(["snap-id", "resource-name", "resource-revision", "snap-revision", "provenance"], {
      ...upload,
      must: {
        "snap-id": SnapId,
        "resource-name": Name,
        "resource-revision": Count,
        "snap-revision": Count,
        "developer-id": AccountId,
        timestamp: Time,
      },
      needs: ofRevision,
      allowed: delegated("snap-revision"),
    }),
  ],
  [
    "store",
    define(["store"], {
      must: { "operator-id": AccountId, timestamp: Time },
      may: { url: StoreUrl, "friendly-stores": Texts, location: Text },
      needs: (one) => [accountOf("operator-id")(one)],
      allowed: trusted,
    }),
  ],
  [
    "model",
    define(["series", "brand-id", "model"], {
      must: { series: Series, "brand-id": AccountId, model: Model, timestamp: Time },
      may: { store: Text, classic: Boolish, "serial-authority": Accounts },
      allowed: by("brand-id"),
    }),
  ],
  [
    "serial",
    define(["brand-id", "model", "serial"], {
      must: { "brand-id": AccountId, model: Model, "device-key": Filled, "device-key-sha3-384": Digest, timestamp: Time },
      consistent: goodDeviceKey,
      uses: (one) => [modelOf(one)],
      allowed: byBrandOrWhomItNames,
    }),
  ],
  [
    "validation-set",
    define(["series", "account-id", "name", "sequence"], {
      sequence: true,
      must: { series: Series, "account-id": AccountId, name: SetName, sequence: Count, snaps: SetSnaps, timestamp: Time },
      allowed: by("account-id"),
    }),
  ],
  [
    "validation",
    define(["series", "snap-id", "approved-snap-id", "approved-snap-revision"], {
      must: { series: Series, "snap-id": SnapId, "approved-snap-id": SnapId, "approved-snap-revision": Count, timestamp: Time },
      may: { revoked: Boolish },
      needs: (one) => [declarationOf(one), declarationOf(one, "approved-snap-id")],
      allowed: byPublisher,
    }),
  ],
  [
    "system-user",
    define(["brand-id", "email"], {
      maxFormat: 2,
      must: { "brand-id": AccountId, email: Filled, username: Filled, since: Time, until: Time },
    }),
  ],
  ["base-declaration", define(["series"], { must: { series: Series, timestamp: Time }, allowed: trusted })],
  [
    "repair",
    define(["brand-id", "repair-id"], {
      sequence: true,
      must: { "brand-id": AccountId, "repair-id": Count, summary: Filled, timestamp: Time },
      allowed: by("brand-id"),
    }),
  ],
  ["confdb-schema", define(["account-id", "name"], { must: { timestamp: Time }, allowed: by("account-id") })],
  [
    "preseed",
    define(["series", "brand-id", "model", "system-label"], {
      must: { series: Series, model: Model, "artifact-sha3-384": Digest, timestamp: Time },
    }),
  ],
  [
    "snap-build",
    define(["snap-sha3-384"], { must: { "snap-sha3-384": Digest, "snap-id": Filled, "snap-size": Size, grade: Filled, timestamp: Time } }),
  ],
  [
    "snap-developer",
    define(["snap-id", "publisher-id"], {
      must: { "snap-id": SnapId, "publisher-id": AccountId },
      may: { developers: Developers },
      needs: (one) => [declarationOf(one), accountOf("publisher-id")(one), ...developersOf(one)],
      allowed: byPublisherOrRoot,
    }),
  ],
  ["cluster", define(["cluster-id", "sequence"], { sequence: true, must: { sequence: Count } })],
  ["request-message", define(["account-id", "message-id"], { must: { "account-id": AccountId } })],
  ["hardware-identity", define(["issuer-id", "hardware-id-key-sha3-384"], { allowed: by("issuer-id") })],
  ["authority-delegation", define(["account-id", "delegate-id"], { allowed: by("account-id") })],
  ["device-session-request", define(["brand-id", "model", "serial"], { request: true, must: { nonce: Filled, timestamp: Time } })],
  ["serial-request", define([], { request: true, must: { "brand-id": Filled, model: Model, "request-id": Filled, "device-key": Filled } })],
  ["account-key-request", define(["public-key-sha3-384"], { request: true })],
  ["confdb-control", define(["brand-id", "model", "serial"], { request: true })],
  ["response-message", define(["account-id", "message-id", "device"], { request: true })],
]);

/* ---- text ---- */

const MAX_HEADERS = 128 * 1024;
const MAX_SIGNATURE = 128 * 1024;
const MAX_BODY = 2 * 2 ** 20;
const NEWLINE = 0x0a;
const BLANK_LINE = "\n\n";
const HEADER_NAME = /^[a-z](?:-?[a-z0-9])*$/;
const INTEGER = /^(?:0|[1-9]\d{0,8})$/;

// A byte order mark is a character of the text like any other.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Every assertion of a stream; nothing is verified. Throws a `refused` failure that names `what`, the assertion and the header. */
export function parseAssertions(bytes: Uint8Array, what: string): Assertion[] {
  const stream = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (stream.byteLength === 0) throw refused(`${what} is empty`);
  const found: Assertion[] = [];
  for (let at = 0; at < stream.byteLength; ) {
    const place = { name: `assertion ${found.length + 1}` };
    try {
      const next = parseNext(stream, at, place);
      found.push(next.assertion);
      at = next.end;
    } catch (error) {
      throw error instanceof Failure ? error.within(`${what}: ${printable(place.name, 300)}`) : error;
    }
  }
  return found;
}

/** The assertion that begins at `at`, and where the next one would. `place.name` tells more of it the more is known. */
function parseNext(stream: Buffer, at: number, place: { name: string }): { assertion: Assertion; end: number } {
  if (stream[at] === NEWLINE) throw refused("there is a blank line where it should begin");
  const headEnd = stream.indexOf(BLANK_LINE, at);
  if ((headEnd < 0 ? stream.byteLength : headEnd) - at > MAX_HEADERS) throw refused(`its headers are longer than ${MAX_HEADERS} bytes`);
  const head = utf8(stream.subarray(at, headEnd < 0 ? undefined : headEnd), "its headers are").replace(/\n$/, "");
  if (head.includes("\r")) throw refused("its lines end in CRLF, not in LF");
  const headers = readEntries(new Lines(head));
  const typeName = textOf(headers, "type");
  const type = ASSERTION_TYPES.get(typeName);
  if (!type) throw refused(printable(`its type ${typeName} is not known`, 200));
  place.name += ` (${keyText(typeName, keyOf(headers, type))})`;
  if (headEnd < 0) throw refused("it is cut off after its headers");

  const bodyStart = headEnd + BLANK_LINE.length;
  const bodyLength = integerOf(headers, "body-length");
  if (bodyLength > MAX_BODY) throw refused(`its body is longer than ${MAX_BODY} bytes`);
  const bodyEnd = bodyStart + bodyLength;
  if (bodyLength > 0 && stream.toString("latin1", bodyEnd, bodyEnd + BLANK_LINE.length) !== BLANK_LINE)
    throw refused(`its body does not end after the ${bodyLength} bytes that body-length says`);
  const signatureStart = bodyLength > 0 ? bodyEnd + BLANK_LINE.length : bodyStart;
  const blank = stream.indexOf(BLANK_LINE, signatureStart);
  const signatureEnd = blank < 0 ? stream.byteLength - (stream.at(-1) === NEWLINE ? 1 : 0) : blank;
  if (signatureEnd - signatureStart > MAX_SIGNATURE) throw refused(`its signature is longer than ${MAX_SIGNATURE} bytes`);
  if (!/^[A-Za-z0-9+/][A-Za-z0-9+/=\n]*$/.test(stream.toString("latin1", signatureStart, signatureEnd)))
    throw refused(signatureEnd <= signatureStart ? "it has no signature" : "its signature is not base64");

  const authority = headers.has("authority-id") ? textOf(headers, "authority-id") : undefined;
  if (type.request ? authority !== undefined : !authority)
    throw refused(`header "authority-id" is ${type.request ? "not for this type" : "missing"}`);
  const signKey = textOf(headers, "sign-key-sha3-384");
  if (!Digest.fits(signKey)) throw refused(`header "sign-key-sha3-384" is not ${Digest.is}`);
  const assertion = {
    type: typeName,
    headers,
    key: keyOf(headers, type),
    revision: integerOf(headers, "revision"),
    format: integerOf(headers, "format"),
    authority,
    signKey,
    body: utf8(stream.subarray(bodyStart, bodyEnd), "its body is"),
    text: `${utf8(stream.subarray(at, signatureEnd), "it is")}\n`,
  };
  return { assertion, end: blank < 0 ? stream.byteLength : blank + BLANK_LINE.length };
}

function utf8(bytes: Uint8Array, what: string): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw refused(`${what} not UTF-8 text`);
  }
}

function textOf(headers: ReadonlyMap<string, HeaderValue>, name: string): string {
  const value = headers.get(name);
  if (typeof value !== "string") throw refused(`header "${name}" is ${value === undefined ? "missing" : "no text"}`);
  return value;
}

function integerOf(headers: ReadonlyMap<string, HeaderValue>, name: string): number {
  const value = headers.has(name) ? textOf(headers, name) : "0";
  if (!INTEGER.test(value)) throw refused(`header "${name}" is not a whole number`);
  return Number(value);
}

function keyOf(headers: ReadonlyMap<string, HeaderValue>, { key, optional = {} }: AssertionType): string[] {
  const values = key.map((part) => {
    const value = headers.has(part) || !Object.hasOwn(optional, part) ? textOf(headers, part) : (optional[part] ?? "");
    if (value === "" || value.includes("/"))
      throw refused(`header "${part}" is of the primary key, and ${value ? "has a slash" : "is empty"}`);
    return value;
  });
  const last = key.at(-1) ?? "";
  if (Object.hasOwn(optional, last) && optional[last] === values.at(-1)) values.pop();
  return values;
}

/** The lines of the headers, taken one after the other. */
class Lines {
  readonly #all: readonly string[];
  #at = 0;

  constructor(head: string) {
    this.#all = head.split("\n");
  }

  /** The next line's number, from 1 on. */
  get number(): number {
    return this.#at + 1;
  }

  get next(): string {
    return this.#all[this.#at] ?? "";
  }

  /** What follows `prefix` in the next line; undefined, and nothing taken, where that begins otherwise. */
  take(prefix: string): string | undefined {
    const line = this.#all[this.#at];
    if (!line?.startsWith(prefix)) return undefined;
    this.#at += 1;
    return line.slice(prefix.length);
  }
}

/** Entries of a map while lines begin with `prefix`; `base` is the indentation that their values build on. */
function readEntries(lines: Lines, prefix = "", base = 0): Map<string, HeaderValue> {
  const found = new Map<string, HeaderValue>();
  for (let line = lines.take(prefix); line !== undefined; line = lines.take(prefix)) {
    const colon = line.indexOf(":");
    const entry = line.slice(0, Math.max(colon, 0));
    if (!HEADER_NAME.test(entry)) throw refused(printable(`line ${lines.number - 1} of it is no header: ${line}`, 200));
    if (found.has(entry)) throw refused(printable(`header "${entry}" occurs twice`, 200));
    found.set(entry, readValue(lines, line.slice(colon + 1), base, entry));
  }
  return found;
}

/** The value that begins with `rest` of a line and may go on in deeper ones. */
function readValue(lines: Lines, rest: string, base: number, entry: string): HeaderValue {
  if (rest.startsWith(" ")) return rest.slice(1);
  const indent = " ".repeat(base + 2);
  const deeper = rest === "" && lines.next.startsWith(indent) ? lines.next.slice(indent.length) : "";
  if (deeper.startsWith("-")) return readList(lines, `${indent}-`, base + 2, entry);
  if (deeper !== "" && !deeper.startsWith(" ")) return readEntries(lines, indent, base + 2);
  const found = rest === "" ? readText(lines, " ".repeat(base + 4)) : [];
  if (found.length === 0) throw refused(printable(`header "${entry}" has neither a value after a space nor one on indented lines`, 200));
  return found.join("\n");
}

function readList(lines: Lines, prefix: string, base: number, entry: string): HeaderValue[] {
  const found: HeaderValue[] = [];
  for (let rest = lines.take(prefix); rest !== undefined; rest = lines.take(prefix)) found.push(readValue(lines, rest, base, entry));
  return found;
}

function readText(lines: Lines, prefix: string): string[] {
  const found: string[] = [];
  for (let line = lines.take(prefix); line !== undefined; line = lines.take(prefix)) found.push(line);
  return found;
}

/** Texts of assertions as one stream: exactly one blank line between them. */
export function encodeStream(texts: readonly string[]): string {
  return texts.map((one) => (one.endsWith("\n") ? one : `${one}\n`)).join("\n");
}

/* ---- keys and signatures ---- */

/** First byte of every encoded key and signature. */
const ENCODING = 1;
const SIGNATURE_PACKET = 2;
const KEY_PACKET = 6;
const PACKET_VERSION = 4;
const RSA = 1;
const BINARY_DOCUMENT = 0;
const CREATION_TIME = 2;
const ISSUER_BYTES = 10;
const HASHES: ReadonlyMap<number, string> = new Map([
  [8, "sha256"],
  [10, "sha512"],
]);
const MIN_KEY_BITS = 2048;
const MAX_KEY_BITS = 8192;
/** 2016-01-01, which every key is given before its id is made */
const KEY_TIME = Buffer.from("5685c180", "hex");

interface PublicKey {
  readonly id: string;
  readonly key: KeyObject;
  /** length of its modulus, and of its signatures */
  readonly length: number;
}

/** The bytes of a packet, taken one field after the other. */
class Fields {
  readonly #bytes: Buffer;
  readonly #what: string;
  at = 0;

  constructor(bytes: Buffer, what: string) {
    this.#bytes = bytes;
    this.#what = what;
  }

  /** A `refused` failure about it. */
  wrong(why: string): Failure {
    return refused(`${this.#what} ${why}`);
  }

  get ended(): boolean {
    return this.at === this.#bytes.byteLength;
  }

  take(count: number): Buffer {
    if (this.#bytes.byteLength - this.at < count) throw this.wrong("ends too early");
    this.at += count;
    return this.#bytes.subarray(this.at - count, this.at);
  }

  /** An unsigned integer of `count` bytes, the highest first. */
  number(count: number): number {
    return this.take(count).readUIntBE(0, count);
  }

  /** A long integer without leading zeros. Its length in bits may be told exactly, or in whole bytes as snapd itself does. */
  integer(): Buffer {
    const bits = this.number(2);
    const bytes = this.take(Math.ceil(bits / 8));
    const first = bytes.findIndex((byte) => byte !== 0);
    const value = first < 0 ? bytes.subarray(0, 0) : bytes.subarray(first);
    if (bits !== bitLength(value) && bits !== bytes.byteLength * 8) throw this.wrong("has a number of another length than it says");
    return value;
  }

  end(): void {
    if (!this.ended) throw this.wrong("has bytes after its end");
  }
}

function bitLength(integer: Buffer): number {
  return integer.byteLength === 0 ? 0 : integer.byteLength * 8 - Math.clz32(integer[0] ?? 0) + 24;
}

/** The one OpenPGP packet that base64 text holds after the byte of the encoding. */
function readPacket(encoded: string, tag: number, what: string): { fields: Fields; body: Buffer } {
  const base64 = encoded.replaceAll("\n", "");
  const bytes = Buffer.from(base64, "base64");
  const fields = new Fields(bytes, what);
  if (bytes.toString("base64") !== base64) throw fields.wrong("is not base64");
  if (fields.number(1) !== ENCODING) throw fields.wrong("is in an unknown encoding");
  const head = fields.number(1);
  const isNew = (head & 0xc0) === 0xc0;
  if (!(head & 0x80) || (isNew ? head & 0x3f : (head >> 2) & 0x0f) !== tag) throw fields.wrong("is another kind of packet");
  const body = fields.take(isNew ? newLength(fields) : oldLength(fields, head & 0x03));
  fields.end();
  return { fields: new Fields(body, what), body };
}

function newLength(fields: Fields): number {
  const first = fields.number(1);
  if (first < 192) return first;
  if (first < 224) return ((first - 192) << 8) + fields.number(1) + 192;
  if (first < 255) throw fields.wrong("comes in parts");
  return fields.number(4);
}

function oldLength(fields: Fields, kind: number): number {
  if (kind === 3) throw fields.wrong("is of no certain length");
  return fields.number(2 ** kind);
}

function readKey(encoded: string): PublicKey {
  const { fields } = readPacket(encoded, KEY_PACKET, "the public key");
  const version = fields.number(1);
  fields.take(KEY_TIME.byteLength); // when it was made is of no account
  if (version !== PACKET_VERSION || fields.number(1) !== RSA) throw fields.wrong("is no RSA key of version 4");
  const [n, e] = [fields.integer(), fields.integer()];
  fields.end();
  const bits = bitLength(n);
  if (bits < MIN_KEY_BITS || bits > MAX_KEY_BITS) throw fields.wrong(`has ${bits} bits; ${MIN_KEY_BITS} to ${MAX_KEY_BITS} are taken`);
  const isOdd = (integer: Buffer) => ((integer.at(-1) ?? 0) & 1) === 1;
  if (!isOdd(n) || !isOdd(e) || e.byteLength > 4 || (e.byteLength === 1 && e[0] === 1)) throw fields.wrong("has no usable numbers");
  const body = Buffer.concat([Buffer.from([PACKET_VERSION]), KEY_TIME, Buffer.from([RSA]), encodeInteger(n), encodeInteger(e)]);
  const long = body.byteLength - 192;
  const packet = Buffer.concat([Buffer.from([ENCODING, 0xc0 | KEY_PACKET, (long >> 8) + 192, long & 0xff]), body]);
  return { id: createHash("sha3-384").update(packet).digest("base64url"), key: rsaKey(n, e), length: n.byteLength };
}

function encodeInteger(value: Buffer): Buffer {
  const bits = bitLength(value);
  return Buffer.concat([Buffer.from([bits >> 8, bits & 0xff]), value]);
}

function rsaKey(n: Buffer, e: Buffer): KeyObject {
  try {
    return createPublicKey({ key: { kty: "RSA", n: n.toString("base64url"), e: e.toString("base64url") }, format: "jwk" });
  } catch (cause) {
    throw refused("the public key has no usable numbers", { cause });
  }
}

/** Id of an encoded public key, base64url. Throws a `refused` failure where it is none. */
export function keyIdOf(encoded: string): string {
  return readKey(encoded).id;
}

const keys = new WeakMap<Assertion, PublicKey>();

/** The key of an account-key, decoded once. */
function publicKeyOf(accountKey: Assertion): PublicKey {
  const key = keys.get(accountKey) ?? readKey(accountKey.body);
  keys.set(accountKey, key);
  return key;
}

interface Signature {
  readonly hash: string;
  /** what the digest is made of: the text, and what the packet signs of itself */
  readonly signed: Buffer;
  /** what OpenPGP calls the key; empty where it is not named */
  readonly issuer: Buffer;
  readonly sumStart: Buffer;
  readonly number: Buffer;
  readonly fields: Fields;
}

function readSignature({ text }: Assertion): Signature {
  const split = text.lastIndexOf(BLANK_LINE);
  const { fields, body } = readPacket(text.slice(split + BLANK_LINE.length), SIGNATURE_PACKET, "the signature");
  const [version, kind, algorithm, hashId = 0] = fields.take(4);
  const hash = HASHES.get(hashId);
  if (version !== PACKET_VERSION || kind !== BINARY_DOCUMENT || algorithm !== RSA || hash === undefined)
    throw fields.wrong("is of a kind that is not taken: only RSA with SHA-512 or SHA-256 is");
  checkSubpackets(fields.take(fields.number(2)));
  const hashed = body.subarray(0, fields.at);
  const issuer = fields.take(fields.number(2));
  if (issuer.byteLength > 0 && !(issuer.byteLength === ISSUER_BYTES && issuer[0] === 9 && issuer[1] === 16))
    throw fields.wrong("has unsigned parts");
  const sumStart = fields.take(2);
  const number = fields.integer();
  fields.end();
  const trailer = Buffer.from([PACKET_VERSION, 0xff, 0, 0, 0, 0]);
  trailer.writeUInt32BE(hashed.byteLength, 2);
  return { hash, signed: Buffer.concat([Buffer.from(text.slice(0, split)), hashed, trailer]), issuer, sumStart, number, fields };
}

/** Throws where the signature is not made with that key over exactly this text. */
function checkSignature(assertion: Assertion, { key, length }: PublicKey): Signature {
  const signature = readSignature(assertion);
  const { hash, signed, sumStart, number, fields } = signature;
  const sum = createHash(hash).update(signed).digest();
  if (!sum.subarray(0, 2).equals(sumStart)) throw fields.wrong("is of another text");
  if (number.byteLength > length) throw fields.wrong("is longer than the key");
  const padded = Buffer.concat([Buffer.alloc(length - number.byteLength), number]);
  if (!verify(hash, signed, { key, padding: constants.RSA_PKCS1_PADDING }, padded)) throw fields.wrong("does not verify");
  return signature;
}

/** Throws where the signed subpackets are not well-formed, or do not tell when the signature was made. */
function checkSubpackets(bytes: Buffer): void {
  const fields = new Fields(bytes, "the signature");
  let dated = false;
  while (!fields.ended) {
    const [kind = 0, ...rest] = fields.take(fields.number(1));
    if ((kind & 0x7f) === CREATION_TIME && rest.length === 4) dated = true;
  }
  if (!dated) throw fields.wrong("does not say when it was made");
}

/** Whether a request is signed with the key that it is sent with. Undefined: it is; else why not. */
export function verifySelfSigned(request: Assertion, encodedKey: string): string | undefined {
  return reasonAgainst(() => {
    checkShapes(request);
    if (!typeOf(request).request) throw refused(`${request.type} is no request that signs itself`);
    const key = readKey(encodedKey);
    if (request.signKey !== key.id) throw refused(`it is signed with the key ${request.signKey}, not with ${key.id}`);
    const own = optionalHeader(request, "device-key");
    if (own !== undefined && keyIdOf(own) !== key.id) throw refused("its device-key is another key");
    checkSignature(request, key);
  });
}

function reasonAgainst(check: () => void): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    if (error instanceof Failure) return printable(error.message, 500);
    throw error;
  }
}

/* ---- constraints of keys ---- */

function isHeaderPattern(value: HeaderValue): boolean {
  if (!isMap(value)) return false;
  const kind = value.get("type");
  return typeof kind === "string" && !/[\\.+*?()|[\]{}^$]/.test(kind) && isPattern(value, false);
}

function isPattern(value: HeaderValue, isAlternative: boolean): boolean {
  if (isMap(value)) return [...value.values()].every((one) => isPattern(one, false));
  if (isList(value)) return !isAlternative && value.every((one) => isPattern(one, true));
  return value.startsWith("$") ? value === MISSING : patternOf(value) !== undefined;
}

const MISSING = "$MISSING";

function patternOf(text: string): RegExp | undefined {
  try {
    return new RegExp(`^(?:${text})$`, "u");
  } catch {
    return undefined;
  }
}

/** Whether a value is as a pattern wants it: text matches a regular expression, a list of patterns is a choice, all of a list must match. */
function matches(pattern: HeaderValue, value: HeaderValue | undefined): boolean {
  if (pattern === MISSING) return value === undefined;
  if (value === undefined) return false;
  if (isList(value)) return value.every((one) => matches(pattern, one));
  if (isList(pattern)) return pattern.some((one) => matches(one, value));
  if (isMap(pattern)) return isMap(value) && [...pattern].every(([entry, one]) => matches(one, value.get(entry)));
  return typeof value === "string" && (patternOf(pattern)?.test(value) ?? false);
}

function checkConstraints(assertion: Assertion, accountKey: Assertion): void {
  const constraints = accountKey.headers.get("constraints");
  const allows = (one: HeaderValue) => isMap(one) && matches(one.get("headers") ?? "", assertion.headers);
  if (isList(constraints) && !constraints.some(allows))
    throw refused(`the key ${assertion.signKey} may not sign this: its constraints forbid it`);
}

/* ---- trust ---- */

function typeOf({ type }: Assertion): AssertionType {
  const found = ASSERTION_TYPES.get(type);
  if (!found) throw refused(`its type ${type} is not known`);
  return found;
}

/** Throws where a header that its type asks for is missing or malformed, or its parts contradict each other. */
function checkShapes(assertion: Assertion): void {
  const { maxFormat, must, may, consistent } = typeOf(assertion);
  if (assertion.format > maxFormat) throw refused(`its format ${assertion.format} is newer than what is known here, ${maxFormat}`);
  const wrong = misfit(assertion.headers, must, may);
  if (wrong !== undefined) throw refused(wrong);
  consistent?.(assertion);
}

/** From when on, in milliseconds, and before when an account-key may sign. */
function validity(accountKey: Assertion): [since: number, until: number] {
  const until = optionalHeader(accountKey, "until");
  return [readTime(header(accountKey, "since")), until === undefined ? Number.POSITIVE_INFINITY : readTime(until)];
}

function isValidAt(accountKey: Assertion, time: number): boolean {
  const [since, until] = validity(accountKey);
  return since <= time && time < until;
}

function checkSignedWith(assertion: Assertion, accountKey: Assertion): void {
  const owner = header(accountKey, "account-id");
  if (owner !== assertion.authority)
    throw refused(`the key ${assertion.signKey} is of ${owner}, not of its authority ${assertion.authority}`);
  const { issuer, fields } = checkSignature(assertion, publicKeyOf(accountKey));
  // It is not signed, and only a root's own signature tells how its key is called.
  const own = isSelfSigned(accountKey) ? readSignature(accountKey).issuer : undefined;
  if (own && own.byteLength > 0 && issuer.byteLength > 0 && !issuer.equals(own)) throw fields.wrong("names another key");
  checkConstraints(assertion, accountKey);
}

/** Canonical's account and root key. */
export const CANONICAL_ROOTS: readonly Assertion[] = parseAssertions(Buffer.from(CANONICAL), "Canonical's roots");

/** What every machine that trusts Canonical knows besides: they verify below its root, and sign no more than their account may. */
export const PREDEFINED: readonly Assertion[] = parseAssertions(Buffer.from(GENERIC), "the generic brand");

/** The roots that everything must be signed below. */
export class Trust {
  readonly #roots = new Map<string, Assertion>();
  readonly #predefined = new Map<string, Assertion>();

  /** Account-keys that sign themselves, and the accounts that they belong to, which may be left out. Throws a `refused` failure that names what is none. */
  constructor(roots: readonly Assertion[]) {
    for (const one of roots) if (one.type === "account-key") this.#add(one, one);
    for (const one of roots) if (one.type !== "account-key") this.#add(one, this.#roots.get(keyText("account-key", [one.signKey])));
    for (const one of PREDEFINED) if (this.find("account-key", [one.signKey])) this.#predefined.set(keyText(one.type, one.key), one);
  }

  #add(one: Assertion, key: Assertion | undefined): void {
    const isRoot = isSelfSigned(one) || (one.type === "account" && one.authority === one.key[0]);
    if (!isRoot || !key) throw notRoot(one, "a root is an account-key that signs itself, or the account that it belongs to");
    const wrong = reasonAgainst(() => {
      checkShapes(one);
      checkSignedWith(one, key);
    });
    if (wrong !== undefined) throw notRoot(one, wrong);
    const name = keyText(one.type, one.key);
    if (!this.#roots.has(name)) this.#roots.set(name, one);
  }

  keys(): Assertion[] {
    return [...this.#roots.values()].filter((one) => one.type === "account-key");
  }

  /** Whether a root has its primary key. */
  isRoot({ type, key }: Pick<Assertion, "type" | "key">): boolean {
    return this.#roots.has(keyText(type, key));
  }

  /** Whether an account may say who others are and what snaps are. */
  isTrustedAccount(id: string): boolean {
    return this.keys().some((key) => header(key, "account-id") === id);
  }

  /** A root, or what is predefined below it. */
  find(type: string, key: readonly string[]): Assertion | undefined {
    const name = keyText(type, key);
    return this.#roots.get(name) ?? this.#predefined.get(name);
  }
}

function notRoot(assertion: Assertion, why: string): Failure {
  return refused(printable(`${keyText(assertion.type, assertion.key)} is no root: ${why}`, 500));
}

export interface Refusal {
  readonly assertion: Assertion;
  readonly reason: string;
}

export interface VerifyOptions {
  readonly trust: Trust;
  /** what the store holds and has verified: the newest revision of a primary key */
  readonly find: (type: string, key: readonly string[]) => Assertion | undefined;
  readonly now: Date;
}

/**
 * Checks every assertion against the roots, what is held and each other. `verified` has dependencies first, each text once, of two
 * signatures of one revision the first, and nothing that every machine has compiled in; what it lacks is in `refused` or was such.
 */
export function verifyAll(given: readonly Assertion[], options: VerifyOptions): { verified: Assertion[]; refused: Refusal[] } {
  return new Verification(given, options).run();
}

class Verification implements Known {
  readonly trust: Trust;
  readonly #find: VerifyOptions["find"];
  readonly #now: number;
  readonly #given: readonly Assertion[];
  /** what is given, by primary key */
  readonly #groups = new Map<string, Assertion[]>();
  /** how many of a group had their turn, because something depends on it */
  readonly #turns = new Map<string, number>();
  /** texts that had their turn */
  readonly #visited = new Set<string>();
  /** by text: the reason against it, undefined where it verified */
  readonly #settled = new Map<string, string | undefined>();
  readonly #verified = new Map<string, Assertion>();
  /** the newest that verified, by primary key */
  readonly #newest = new Map<string, Assertion>();
  readonly #held = new Map<string, Assertion | undefined>();
  /** id of a key, by its account and name */
  readonly #names = new Map<string, string>();

  constructor(given: readonly Assertion[], { trust, find, now }: VerifyOptions) {
    this.trust = trust;
    this.#find = find;
    this.#now = now.getTime();
    this.#given = given;
    for (const one of given) {
      const group = this.#groups.get(nameOf(one));
      if (group) group.push(one);
      else this.#groups.set(nameOf(one), [one]);
    }
    for (const key of trust.keys()) this.#nameKey(key);
  }

  run(): { verified: Assertion[]; refused: Refusal[] } {
    for (const one of this.#given) if (!this.#visited.has(one.text)) this.#settle(one);
    const wrong = this.#given.flatMap((assertion) => {
      const reason = this.#settled.get(assertion.text);
      return reason === undefined ? [] : [{ assertion, reason }];
    });
    return { verified: [...this.#verified.values()], refused: wrong };
  }

  /** Settles what an assertion depends on, then itself. A list instead of recursion: a chain may be as long as its file. */
  #settle(first: Assertion): void {
    const path: { one: Assertion; refs: Ref[] }[] = [];
    for (let next: Assertion | undefined = first; next || path.length > 0; ) {
      if (next) {
        const one = next;
        this.#visited.add(one.text);
        const wrong = reasonAgainst(() => this.#checkAlone(one));
        if (wrong === undefined) path.push({ one, refs: refsOf(one) });
        else this.#settled.set(one.text, wrong);
      }
      const top = path.at(-1);
      next = top && this.#nextOf(top.refs);
      if (top && !next) {
        path.pop();
        this.#conclude(top.one);
      }
    }
  }

  /** The first of what is given of these primary keys that had no turn. Takes the keys off that have none left. */
  #nextOf(refs: Ref[]): Assertion | undefined {
    for (let ref = refs[0]; ref; ref = refs[0]) {
      const name = keyText(...ref);
      const group = this.trust.find(...ref) ? [] : (this.#groups.get(name) ?? []);
      for (let turn = this.#turns.get(name) ?? 0; turn < group.length; turn += 1) {
        this.#turns.set(name, turn + 1); // each member is looked at once, however many depend on it
        const one = group[turn];
        if (one && !this.#visited.has(one.text)) return one;
      }
      refs.shift();
    }
    return undefined;
  }

  #conclude(one: Assertion): void {
    const builtIn = this.trust.find(one.type, one.key);
    const wrong = builtIn?.text === one.text ? undefined : reasonAgainst(() => this.#check(one));
    this.#settled.set(one.text, wrong);
    if (wrong !== undefined || builtIn) return;
    const name = nameOf(one);
    const id = JSON.stringify([name, one.revision, one.format]);
    if (!this.#verified.has(id)) this.#verified.set(id, one);
    const newest = this.#newest.get(name);
    if (!newest || newest.revision < one.revision) this.#newest.set(name, one);
    if (one.type === "account-key") this.#nameKey(one);
  }

  /** What can be said of it without others. */
  #checkAlone(one: Assertion): void {
    if (typeOf(one).request) throw refused(`${one.type} is a request, which is not kept`);
    checkShapes(one);
    if (isSelfSigned(one) && !this.trust.isRoot(one)) throw refused(`the key ${one.signKey} signs itself, and is no trusted root`);
  }

  #check(one: Assertion): void {
    const { must, needs, allowed } = typeOf(one);
    const key = this.find("account-key", [one.signKey]);
    if (!key) throw this.#lacking("account-key", [one.signKey], "that signed it");
    if (!isValidAt(key, this.#now)) throw refused(`the key ${one.signKey} that signed it is not valid now`);
    checkSignedWith(one, key);
    if (Object.hasOwn(must, "timestamp") && !isValidAt(key, readTime(header(one, "timestamp"))))
      throw refused(`the key ${one.signKey} that signed it was not valid at its timestamp`);
    for (const ref of needs(one)) if (!this.find(...ref) && !this.#isOfRoot(...ref)) throw this.#lacking(...ref, "that it needs");
    allowed?.(one, this);
  }

  find(type: string, key: readonly string[]): Assertion | undefined {
    const builtIn = this.trust.find(type, key);
    if (builtIn) return builtIn;
    const name = keyText(type, key);
    if (!this.#held.has(name)) this.#held.set(name, this.#find(type, key));
    const [held, given] = [this.#held.get(name), this.#newest.get(name)];
    return given && given.revision >= (held?.revision ?? 0) ? given : held;
  }

  /** Whether it is the account of a root, which is known by its key. */
  #isOfRoot(type: string, [id = ""]: readonly string[]): boolean {
    return type === "account" && this.trust.isTrustedAccount(id);
  }

  keyNamed(account: string, name: string): string | undefined {
    return this.#names.get(`${account}/${name}`);
  }

  #nameKey(key: Assertion): void {
    const name = optionalHeader(key, "name");
    if (name !== undefined) this.#names.set(`${header(key, "account-id")}/${name}`, key.key[0] ?? "");
  }

  #lacking(type: string, key: readonly string[], role: string): Failure {
    const name = keyText(type, key);
    const group = this.#groups.get(name) ?? [];
    if (group.some((one) => this.#settled.has(one.text))) return refused(`${name} ${role} is refused itself`);
    return refused(`${name} ${role} ${group.length > 0 ? "needs it in turn" : "is neither given nor held"}`);
  }
}

/** The primary keys that an assertion depends on. */
function refsOf(one: Assertion): Ref[] {
  const { needs, uses } = typeOf(one);
  return [["account-key", [one.signKey]], ...needs(one), ...uses(one)];
}

function nameOf({ type, key }: Assertion): string {
  return keyText(type, key);
}

function isSelfSigned({ type, key, signKey }: Assertion): boolean {
  return type === "account-key" && key[0] === signKey;
}
