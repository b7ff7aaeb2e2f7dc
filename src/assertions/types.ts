/** Types of assertions, the signed statements by which machines verify snaps: their headers, and who may sign them. Rules: handlers/snapd.md, Assertions. */

import { refused } from "../errors.ts";
import { type Assertion, type HeaderValue, header, isList, isMap, optionalHeader } from "./assertion.ts";
import { isHeaderPattern } from "./constraints.ts";
import { keyIdOf, publicKeyOf } from "./openpgp.ts";

export interface AssertionType {
  /** headers of the primary key, in the order of a URL */
  readonly key: readonly string[];
  /** headers of the primary key that may be left out, with their default */
  readonly optional?: Readonly<Record<string, string>>;
  /** whether the last part of the key counts from 1 */
  readonly sequence?: true;
  /** the highest format that chp reads */
  readonly maxFormat: number;
  /** self-signed and sent by machines, never stored */
  readonly request?: true;
  /** required headers */
  readonly must: Shapes;
  /** optional headers */
  readonly may: Shapes;
  /** throws where its parts contradict each other */
  readonly consistent?: (assertion: Assertion) => void;
  /** primary keys of the assertions without which it is not valid */
  readonly needs: (assertion: Assertion) => readonly PrimaryKey[];
  /** primary keys of assertions that are used if they are known */
  readonly uses: (assertion: Assertion) => readonly PrimaryKey[];
  /** throws if its authority may not sign it */
  readonly allowed?: Rule;
}

/** A primary key. */
export type PrimaryKey = readonly [type: string, key: readonly string[]];
type Shapes = Readonly<Record<string, Shape>>;
type Rule = (assertion: Assertion, known: AssertionLookup) => void;

/** The assertions that are known when another is checked. */
export interface AssertionLookup {
  readonly trust: { isTrustedAccount(id: string): boolean };
  find(type: string, key: readonly string[]): Assertion | undefined;
  /** id of the key that an account has under a name */
  keyNamed(account: string, name: string): string | undefined;
}

interface Shape {
  /** for messages: `header "series" is not …` */
  readonly is: string;
  readonly fits: (value: HeaderValue) => boolean;
}

function textShape(is: string, pattern: RegExp): Shape {
  return { is, fits: (value) => typeof value === "string" && pattern.test(value) };
}

const DEFAULT_PROVENANCE = "global-upload";
const SERIES = "16";

const WORDS = /^[a-zA-Z0-9](?:-?[a-zA-Z0-9])*$/;
const Text = textShape("text", /^/);
const Filled = textShape("text that is not empty", /./s);
const AccountId = textShape("an account id", /^(?:[a-zA-Z0-9]{32}|[-a-z0-9]{2,28})$/);
const SnapId = textShape("a snap id", /^[a-zA-Z0-9]{32}$/);
const Series = textShape(`series ${SERIES}`, /^16$/);
const Size = textShape("a whole number", /^(?:0|[1-9]\d{0,14})$/);
const Count = textShape("a whole number from 1 on", /^[1-9]\d{0,14}$/);
export const Digest = textShape("a sha3-384 as 64 characters of base64url", /^[A-Za-z0-9_-]{64}$/);
const Provenance = textShape("a provenance", WORDS);
const Model = textShape("a model's name", WORDS);
const Name = textShape("a name", /^(?=.*[a-z])[a-z0-9](?:-?[a-z0-9])*$/);
const SetName = textShape("a name", /^[a-z0-9](?:-?[a-z0-9])*$/);
const Presence = textShape("required, optional or invalid", /^(?:required|optional|invalid)$/);
const Boolish = textShape("true or false", /^(?:true|false)$/);
const Time: Shape = { is: "a time as in RFC 3339", fits: (value) => typeof value === "string" && !Number.isNaN(timeInMilliseconds(value)) };
const StoreUrl: Shape = { is: "an http(s) URL with a host, without query and fragment", fits: isStoreUrl };
const Texts = listShape(Text, "a list of texts");
const Accounts: Shape = { is: "a list of account ids", fits: (value) => value === "*" || listShape(AccountId, "").fits(value) };
const Patterns = listShape(mapShape({ headers: { is: "", fits: isHeaderPattern } }), "a list of patterns for headers that name the type");
const RevisionAuthority = listShape(
  mapShape({ "account-id": AccountId, provenance: listShape(Provenance, "") }, { "min-revision": Count, "max-revision": Count }),
  "a list of accounts with the provenances and revisions that they may sign",
);
const SetSnaps = listShape(
  mapShape({ name: Filled, id: SnapId }, { presence: Presence, revision: Count }),
  "a list of snaps with name, id, presence and revision",
);
const Developers = listShape(
  mapShape({ "developer-id": AccountId, since: Time }, { until: Time }),
  "a list of developers with their times",
);

function listShape(shape: Shape, is: string): Shape {
  return { is, fits: (value) => isList(value) && value.length > 0 && value.every(shape.fits) };
}

function mapShape(must: Shapes, may: Shapes = {}): Shape {
  return { is: "a map", fits: (value) => isMap(value) && misfit(value, must, may) === undefined };
}

/** The first entry that is missing or has not its shape, in words. */
export function misfit(values: ReadonlyMap<string, HeaderValue>, must: Shapes, may: Shapes): string | undefined {
  for (const [entry, { is, fits }] of Object.entries({ ...must, ...may })) {
    const value = values.get(entry);
    if (value === undefined ? Object.hasOwn(must, entry) : !fits(value))
      return `header "${entry}" ${value === undefined ? "is missing" : `is not ${is}`}`;
  }
  return undefined;
}

/** Milliseconds since 1970 of an RFC 3339 time; NaN where it is none. */
export function timeInMilliseconds(value: string): number {
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

/* Rules: what an authority may sign. */

function trusted({ authority = "" }: Assertion, { trust }: AssertionLookup): void {
  if (!trust.isTrustedAccount(authority)) throw refused(`its authority ${authority} is not a trusted root`);
}

/** Signed by the account that a header names. */
function by(owner: string): Rule {
  return (assertion) => {
    if (assertion.authority !== header(assertion, owner))
      throw refused(`its authority ${assertion.authority} is not its ${owner} ${header(assertion, owner)}`);
  };
}

/** Signed by a root or, under another provenance, by an account that the snap's declaration authorises. `revision`: the header with the number. */
function delegated(revision: string): Rule {
  return (assertion, known) => {
    const origin = optionalHeader(assertion, "provenance") ?? DEFAULT_PROVENANCE;
    if (origin === DEFAULT_PROVENANCE) return trusted(assertion, known);
    const entries = known.find(...declarationOf(assertion))?.headers.get("revision-authority");
    const number = Number(header(assertion, revision));
    const fits = (entry: HeaderValue) => {
      if (!isMap(entry)) return false;
      const origins = entry.get("provenance");
      const [least, most] = [Number(entry.get("min-revision") ?? 1), Number(entry.get("max-revision") ?? Number.POSITIVE_INFINITY)];
      return (
        entry.get("account-id") === assertion.authority && isList(origins) && origins.includes(origin) && least <= number && number <= most
      );
    };
    if (!isList(entries) || !entries.some(fits))
      throw refused(`its snap-declaration lets ${assertion.authority} sign no ${revision} ${number} of provenance ${origin}`);
  };
}

function accountOf(owner: string): (assertion: Assertion) => PrimaryKey {
  return (assertion) => ["account", [header(assertion, owner)]];
}

function declarationOf(assertion: Assertion, id = "snap-id"): PrimaryKey {
  return ["snap-declaration", [SERIES, header(assertion, id)]];
}

function modelOf(assertion: Assertion): PrimaryKey {
  return ["model", [SERIES, header(assertion, "brand-id"), header(assertion, "model")]];
}

function uniqueName(assertion: Assertion, known: AssertionLookup): void {
  trusted(assertion, known);
  const label = optionalHeader(assertion, "name");
  const other = label === undefined ? undefined : known.keyNamed(header(assertion, "account-id"), label);
  if (other !== undefined && other !== assertion.key[0]) throw refused(`its account has the key ${other} of the same name ${label}`);
}

function byBrandOrWhomItNames(assertion: Assertion, known: AssertionLookup): void {
  const brand = header(assertion, "brand-id");
  const others = known.find(...modelOf(assertion))?.headers.get("serial-authority");
  const named = others === "*" || (isList(others) && others.includes(assertion.authority ?? ""));
  if (assertion.authority !== brand && !named)
    throw refused(`its authority ${assertion.authority} is neither its brand ${brand} nor named by a known model`);
}

function byPublisher(assertion: Assertion, known: AssertionLookup): void {
  const publisher = known.find(...declarationOf(assertion))?.headers.get("publisher-id");
  if (assertion.authority !== publisher) throw refused(`its authority ${assertion.authority} is not the snap's publisher`);
}

function byPublisherOrRoot(assertion: Assertion, known: AssertionLookup): void {
  if (assertion.authority !== header(assertion, "publisher-id")) trusted(assertion, known);
}

function developersOf(assertion: Assertion): PrimaryKey[] {
  const list = assertion.headers.get("developers");
  const ids = isList(list) ? list.map((entry) => isMap(entry) && entry.get("developer-id")) : [];
  return ids.flatMap((id): PrimaryKey[] => (typeof id === "string" ? [["account", [id]]] : []));
}

/* Checks for contradictions. */

function goodAccountKey(assertion: Assertion): void {
  const [since, until] = validity(assertion);
  if (until <= since) throw refused("it ends before it begins");
  const { id } = publicKeyOf(assertion);
  if (id !== assertion.key[0]) throw refused(`its body is the key ${id}, not ${assertion.key[0]}`);
}

function goodDeviceKey(assertion: Assertion): void {
  const id = keyIdOf(header(assertion, "device-key"));
  if (id !== header(assertion, "device-key-sha3-384"))
    throw refused(`its device-key is the key ${id}, not ${header(assertion, "device-key-sha3-384")}`);
}

function goodRevisionAuthority(assertion: Assertion): void {
  const list = assertion.headers.get("revision-authority");
  if (!isList(list)) return;
  const crossed = (entry: HeaderValue) =>
    isMap(entry) && Number(entry.get("min-revision") ?? 1) > Number(entry.get("max-revision") ?? Number.POSITIVE_INFINITY);
  if (list.some(crossed)) throw refused("a revision-authority ends before it begins");
}

const none = () => [];
const upload = { optional: { provenance: DEFAULT_PROVENANCE }, may: { provenance: Provenance } };
const ofRevision = (assertion: Assertion) => [declarationOf(assertion), accountOf("developer-id")(assertion)];

function defineType(key: readonly string[], rest: Partial<AssertionType> = {}): AssertionType {
  return { key, maxFormat: 0, must: {}, may: {}, needs: none, uses: none, ...rest };
}

/** Every type that is known, with its primary key. */
export const ASSERTION_TYPES: ReadonlyMap<string, AssertionType> = new Map([
  [
    "account",
    defineType(["account-id"], {
      must: { "account-id": AccountId, "display-name": Filled, validation: Filled, timestamp: Time },
      may: { username: Text },
      allowed: trusted,
    }),
  ],
  [
    "account-key",
    defineType(["public-key-sha3-384"], {
      maxFormat: 1,
      must: { "public-key-sha3-384": Digest, "account-id": AccountId, since: Time },
      may: { until: Time, name: Name, constraints: Patterns },
      consistent: goodAccountKey,
      needs: (assertion) => [accountOf("account-id")(assertion)],
      allowed: uniqueName,
    }),
  ],
  [
    "snap-declaration",
    defineType(["series", "snap-id"], {
      maxFormat: 7,
      must: { series: Series, "snap-id": SnapId, "snap-name": Text, "publisher-id": AccountId, timestamp: Time },
      may: { "revision-authority": RevisionAuthority },
      consistent: goodRevisionAuthority,
      needs: (assertion) => [accountOf("publisher-id")(assertion)],
      allowed: trusted,
    }),
  ],
  [
    "snap-revision",
    defineType(["snap-sha3-384", "provenance"], {
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
    defineType(["snap-id", "resource-name", "resource-sha3-384", "provenance"], {
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
    defineType(["snap-id", "resource-name", "resource-revision", "snap-revision", "provenance"], {
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
    defineType(["store"], {
      must: { "operator-id": AccountId, timestamp: Time },
      may: { url: StoreUrl, "friendly-stores": Texts, location: Text },
      needs: (assertion) => [accountOf("operator-id")(assertion)],
      allowed: trusted,
    }),
  ],
  [
    "model",
    defineType(["series", "brand-id", "model"], {
      must: { series: Series, "brand-id": AccountId, model: Model, timestamp: Time },
      may: { store: Text, classic: Boolish, "serial-authority": Accounts },
      allowed: by("brand-id"),
    }),
  ],
  [
    "serial",
    defineType(["brand-id", "model", "serial"], {
      must: { "brand-id": AccountId, model: Model, "device-key": Filled, "device-key-sha3-384": Digest, timestamp: Time },
      consistent: goodDeviceKey,
      uses: (assertion) => [modelOf(assertion)],
      allowed: byBrandOrWhomItNames,
    }),
  ],
  [
    "validation-set",
    defineType(["series", "account-id", "name", "sequence"], {
      sequence: true,
      must: { series: Series, "account-id": AccountId, name: SetName, sequence: Count, snaps: SetSnaps, timestamp: Time },
      allowed: by("account-id"),
    }),
  ],
  [
    "validation",
    defineType(["series", "snap-id", "approved-snap-id", "approved-snap-revision"], {
      must: { series: Series, "snap-id": SnapId, "approved-snap-id": SnapId, "approved-snap-revision": Count, timestamp: Time },
      may: { revoked: Boolish },
      needs: (assertion) => [declarationOf(assertion), declarationOf(assertion, "approved-snap-id")],
      allowed: byPublisher,
    }),
  ],
  [
    "system-user",
    defineType(["brand-id", "email"], {
      maxFormat: 2,
      must: { "brand-id": AccountId, email: Filled, username: Filled, since: Time, until: Time },
    }),
  ],
  ["base-declaration", defineType(["series"], { must: { series: Series, timestamp: Time }, allowed: trusted })],
  [
    "repair",
    defineType(["brand-id", "repair-id"], {
      sequence: true,
      must: { "brand-id": AccountId, "repair-id": Count, summary: Filled, timestamp: Time },
      allowed: by("brand-id"),
    }),
  ],
  ["confdb-schema", defineType(["account-id", "name"], { must: { timestamp: Time }, allowed: by("account-id") })],
  [
    "preseed",
    defineType(["series", "brand-id", "model", "system-label"], {
      must: { series: Series, model: Model, "artifact-sha3-384": Digest, timestamp: Time },
    }),
  ],
  [
    "snap-build",
    defineType(["snap-sha3-384"], {
      must: { "snap-sha3-384": Digest, "snap-id": Filled, "snap-size": Size, grade: Filled, timestamp: Time },
    }),
  ],
  [
    "snap-developer",
    defineType(["snap-id", "publisher-id"], {
      must: { "snap-id": SnapId, "publisher-id": AccountId },
      may: { developers: Developers },
      needs: (assertion) => [declarationOf(assertion), accountOf("publisher-id")(assertion), ...developersOf(assertion)],
      allowed: byPublisherOrRoot,
    }),
  ],
  ["cluster", defineType(["cluster-id", "sequence"], { sequence: true, must: { sequence: Count } })],
  ["request-message", defineType(["account-id", "message-id"], { must: { "account-id": AccountId } })],
  ["hardware-identity", defineType(["issuer-id", "hardware-id-key-sha3-384"], { allowed: by("issuer-id") })],
  ["authority-delegation", defineType(["account-id", "delegate-id"], { allowed: by("account-id") })],
  ["device-session-request", defineType(["brand-id", "model", "serial"], { request: true, must: { nonce: Filled, timestamp: Time } })],
  [
    "serial-request",
    defineType([], { request: true, must: { "brand-id": Filled, model: Model, "request-id": Filled, "device-key": Filled } }),
  ],
  ["account-key-request", defineType(["public-key-sha3-384"], { request: true })],
  ["confdb-control", defineType(["brand-id", "model", "serial"], { request: true })],
  ["response-message", defineType(["account-id", "message-id", "device"], { request: true })],
]);

/** From when on, in milliseconds, and before when an account-key may sign. */
export function validity(accountKey: Assertion): [since: number, until: number] {
  const until = optionalHeader(accountKey, "until");
  return [timeInMilliseconds(header(accountKey, "since")), until === undefined ? Number.POSITIVE_INFINITY : timeInMilliseconds(until)];
}
