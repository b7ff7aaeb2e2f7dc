/** The assertions of an import: which verify, and what they declare about snaps. Rules: handlers/snapd.md, Assertions. */

import { type Assertion, keyText, optionalHeader } from "../assertions/assertion.ts";
import { type Trust, verifyAll } from "../assertions/verify.ts";
import type { ChannelPolicy } from "../catalog/channelmap.ts";
import type { Pair, Snap, SnapPublisher, StoredAssertion } from "../catalog/snap.ts";
import { printable, refused } from "../errors.ts";
import type { SnapReading } from "./snapreader.ts";

export interface SnapImportOptions {
  readonly trust: Trust;
  /** the roots that clients do not have built in */
  readonly roots: readonly Assertion[];
  readonly allowUnverified: boolean;
  /** the channel of snaps that come without a channel map */
  readonly channel?: string;
  readonly policy: ChannelPolicy;
  /** RFC 3339 */
  readonly now: string;
}

/** What is stored before the import. */
export interface SnapBase {
  snapById(id: string): Promise<Snap | undefined>;
  snap(name: string): Promise<Snap | undefined>;
  snaps(): Promise<readonly Snap[]>;
  /** every stored assertion of a primary key */
  assertions(type: string, key: readonly string[]): readonly Assertion[];
  /** assertions that belong to no stored snap */
  readonly otherAssertions: readonly StoredAssertion[];
}

/** An accepted assertion. */
export interface Accepted {
  readonly assertion: Assertion;
  /** why it does not verify; absent: it does */
  readonly unverified?: string;
}

/** The accepted assertions, verified ones first. Throws a `refused` failure if one does not verify and that is not allowed. */
export function acceptAssertions(reading: SnapReading, base: SnapBase, { trust, allowUnverified, now }: SnapImportOptions): Accepted[] {
  const places = new Map([...reading.assertions, ...reading.publishers].map(({ value, at }) => [value, at]));
  const find = (type: string, key: readonly string[]) => base.assertions(type, key)[0];
  const given = reading.assertions.map(({ value }) => value);
  const publishers = reading.publishers.map(({ value }) => value);
  const { verified, refused: all } = verifyAll([...given, ...publishers], { trust, find, now: new Date(now) });
  const wrong = all.filter(({ assertion }) => !publishers.includes(assertion));
  const [first] = wrong;
  if (first && !allowUnverified) {
    const { assertion, reason } = first;
    throw refused(`${describeAssertion(assertion)} does not verify: ${reason}`, {
      at: places.get(assertion) ?? ["it"],
      next: "name the root that you trust with --trust FILE, or import it as it is with --allow-unverified",
    });
  }
  return [...verified.map((assertion) => ({ assertion })), ...wrong.map(({ assertion, reason }) => ({ assertion, unverified: reason }))];
}

function describeAssertion(assertion: Assertion): string {
  return printable(`the assertion ${keyText(assertion.type, assertion.key)}`, 300);
}

/** The id of the snap that an assertion belongs to; undefined if to none. */
export function ownerOf(assertion: Pick<Assertion, "type" | "key" | "headers">): string | undefined {
  switch (assertion.type) {
    case "snap-declaration":
      return assertion.key[1];
    case "snap-resource-revision":
    case "snap-resource-pair":
      return assertion.key[0];
    case "snap-revision": {
      const id = assertion.headers.get("snap-id");
      return typeof id === "string" ? id : undefined;
    }
    default:
      return undefined;
  }
}

/** An assertion as it is stored. */
export function toStored({ assertion, unverified }: Accepted): StoredAssertion {
  const { type, key, revision, format, text } = assertion;
  return { type, key, revision, format, text, ...(unverified !== undefined && { unverified }) };
}

/** Whether the store has this revision and format of an assertion. */
export function isStored(assertion: Assertion, base: SnapBase): boolean {
  return base
    .assertions(assertion.type, assertion.key)
    .some((stored) => stored.revision === assertion.revision && stored.format === assertion.format);
}

/** Every assertion that is known after the import: accepted and stored ones. */
export class KnownAssertions {
  readonly #accepted: readonly Accepted[];
  readonly #base: SnapBase;
  readonly #byKey = new Map<string, Accepted[]>();
  /** by the first part of its key, which is the digest */
  readonly #byDigest = new Map<string, Accepted>();

  constructor(accepted: readonly Accepted[], base: SnapBase) {
    this.#accepted = accepted;
    this.#base = base;
    for (const item of accepted) {
      const { type, key } = item.assertion;
      const name = keyText(type, key);
      this.#byKey.set(name, [...(this.#byKey.get(name) ?? []), item]);
      const digest = type === "snap-revision" ? key[0] : type === "snap-resource-revision" ? key[2] : undefined;
      if (digest !== undefined && !this.#byDigest.has(`${type} ${digest}`)) this.#byDigest.set(`${type} ${digest}`, item);
    }
  }

  /** The newest of a primary key. */
  newest(type: string, key: readonly string[]): Accepted | undefined {
    const known = this.#base.assertions(type, key).map((assertion) => ({ assertion }));
    const all: Accepted[] = [...(this.#byKey.get(keyText(type, key)) ?? []), ...known];
    return all.toSorted((a, b) => b.assertion.revision - a.assertion.revision)[0];
  }

  /** The assertion that names these bytes. */
  ofBytes(type: "snap-revision" | "snap-resource-revision", sha3: string): Accepted | undefined {
    const digest = Buffer.from(sha3, "hex").toString("base64url");
    const found = this.#byDigest.get(`${type} ${digest}`);
    if (found || type === "snap-resource-revision") return found;
    const [assertion] = this.#base.assertions(type, [digest]);
    return assertion && { assertion };
  }

  /** Which revisions of components belong to which revision of a snap, as far as assertions of the import declare it. */
  pairs(id: string): Pair[] {
    return this.#accepted.flatMap(({ assertion: { type, key } }) => {
      const [owner, component = "", componentRevision, revision] = key;
      if (type !== "snap-resource-pair" || owner !== id) return [];
      return [{ component, componentRevision: Number(componentRevision), revision: Number(revision) }];
    });
  }

  /** The name that the newest declaration gives; its id where there is none. */
  nameOf(id: string): string {
    const declaration = this.newest("snap-declaration", ["16", id])?.assertion;
    return (declaration && optionalHeader(declaration, "snap-name")) || id;
  }

  /** The account of an id as the API shows a publisher; an unknown account has its id as its name. */
  publisher(id: string): SnapPublisher {
    const account = this.newest("account", [id])?.assertion;
    const username = (account && optionalHeader(account, "username")) || id;
    const validation = account && optionalHeader(account, "validation");
    return {
      id,
      username,
      "display-name": (account && optionalHeader(account, "display-name")) || username,
      validation: VALIDATIONS.get(validation ?? "") ?? "unproven",
    };
  }
}

const VALIDATIONS: ReadonlyMap<string, SnapPublisher["validation"]> = new Map([
  ["certified", "verified"],
  ["verified", "verified"],
  ["starred", "starred"],
]);
