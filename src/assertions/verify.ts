/** Verifies assertions up to the roots that are trusted: who signed, with which key, at what time, within its constraints. */

import { Failure, printable, refused } from "../errors.ts";
import { type Assertion, header, keyText, optionalHeader } from "./assertion.ts";
import { CANONICAL, GENERIC } from "./builtin.ts";
import { checkConstraints } from "./constraints.ts";
import { checkSignature, keyIdOf, publicKeyOf, readAssertionSignature, readRsaKey } from "./openpgp.ts";
import { parseAssertions } from "./text.ts";
import {
  ASSERTION_TYPES,
  type AssertionLookup,
  type AssertionType,
  misfit,
  type PrimaryKey,
  timeInMilliseconds,
  validity,
} from "./types.ts";

/** Why a request is not signed with the key that it is sent with; undefined if it is. */
export function verifySelfSigned(request: Assertion, encodedKey: string): string | undefined {
  return reasonAgainst(() => {
    checkShapes(request);
    if (!typeOf(request).request) throw refused(`${request.type} is not a self-signed request`);
    const key = readRsaKey(encodedKey);
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

function isValidAt(accountKey: Assertion, time: number): boolean {
  const [since, until] = validity(accountKey);
  return since <= time && time < until;
}

function checkSignedWith(assertion: Assertion, accountKey: Assertion): void {
  const owner = header(accountKey, "account-id");
  if (owner !== assertion.authority)
    throw refused(`the key ${assertion.signKey} is of ${owner}, not of its authority ${assertion.authority}`);
  const { issuer, fields } = checkSignature(assertion, publicKeyOf(accountKey));
  // The issuer is not signed, and only a root's own signature has the OpenPGP id of its key.
  const own = isSelfSigned(accountKey) ? readAssertionSignature(accountKey).issuer : undefined;
  if (own && own.byteLength > 0 && issuer.byteLength > 0 && !issuer.equals(own)) throw fields.wrong("names another key");
  checkConstraints(assertion, accountKey);
}

/** Canonical's account and root key. */
export const CANONICAL_ROOTS: readonly Assertion[] = parseAssertions(Buffer.from(CANONICAL), "Canonical's roots");

/** Assertions that every machine that trusts Canonical has built in. They verify below its root, and sign no more than their account may. */
export const PREDEFINED: readonly Assertion[] = parseAssertions(Buffer.from(GENERIC), "the generic brand");

/** Roots whose signature was checked, each with the key that it was checked with: those built in are checked once, not for each import. */
const sound = new WeakMap<Assertion, Assertion>();

/** The roots that everything must be signed below. */
export class Trust {
  readonly #roots = new Map<string, Assertion>();
  readonly #predefined = new Map<string, Assertion>();

  /** Account-keys that sign themselves, and the accounts that they belong to, which may be left out. Throws a `refused` failure that names an assertion that is no root. */
  constructor(roots: readonly Assertion[]) {
    for (const assertion of roots) if (assertion.type === "account-key") this.#add(assertion, assertion);
    for (const assertion of roots)
      if (assertion.type !== "account-key") this.#add(assertion, this.#roots.get(keyText("account-key", [assertion.signKey])));
    for (const assertion of PREDEFINED)
      if (this.find("account-key", [assertion.signKey])) this.#predefined.set(keyText(assertion.type, assertion.key), assertion);
  }

  #add(assertion: Assertion, key: Assertion | undefined): void {
    const isRoot = isSelfSigned(assertion) || (assertion.type === "account" && assertion.authority === assertion.key[0]);
    if (!isRoot || !key)
      throw notRoot(assertion, "a root is a self-signed account-key, or the account that this key belongs to; give both in one file");
    const wrong = reasonAgainst(() => {
      if (sound.get(assertion) === key) return;
      checkShapes(assertion);
      checkSignedWith(assertion, key);
      sound.set(assertion, key);
    });
    if (wrong !== undefined) throw notRoot(assertion, wrong);
    const name = keyText(assertion.type, assertion.key);
    if (!this.#roots.has(name)) this.#roots.set(name, assertion);
  }

  keys(): Assertion[] {
    return [...this.#roots.values()].filter((assertion) => assertion.type === "account-key");
  }

  /** Whether a root has its primary key. */
  isRoot({ type, key }: Pick<Assertion, "type" | "key">): boolean {
    return this.#roots.has(keyText(type, key));
  }

  /** Whether an account may say who others are and what snaps are. */
  isTrustedAccount(id: string): boolean {
    return this.keys().some((key) => header(key, "account-id") === id);
  }

  /** A root, or a predefined assertion below it. */
  find(type: string, key: readonly string[]): Assertion | undefined {
    const name = keyText(type, key);
    return this.#roots.get(name) ?? this.#predefined.get(name);
  }
}

function notRoot(assertion: Assertion, why: string): Failure {
  return refused(printable(`${keyText(assertion.type, assertion.key)} is not a root: ${why}`, 500));
}

export interface UnverifiedAssertion {
  readonly assertion: Assertion;
  readonly reason: string;
}

export interface VerifyOptions {
  readonly trust: Trust;
  /** the newest stored revision of a primary key; it was verified before */
  readonly find: (type: string, key: readonly string[]) => Assertion | undefined;
  readonly now: Date;
}

/**
 * Checks every assertion against the roots, what is stored and each other. `verified` has dependencies first and each text once; of
 * two signatures of a revision it has the first. It omits assertions that every machine has built in. All others are in `refused`.
 */
export function verifyAll(given: readonly Assertion[], options: VerifyOptions): { verified: Assertion[]; refused: UnverifiedAssertion[] } {
  return new Verification(given, options).run();
}

class Verification implements AssertionLookup {
  readonly trust: Trust;
  readonly #find: VerifyOptions["find"];
  readonly #now: number;
  readonly #given: readonly Assertion[];
  /** the given assertions by primary key */
  readonly #groups = new Map<string, Assertion[]>();
  /** how many of a group were visited as dependencies */
  readonly #turns = new Map<string, number>();
  /** texts of visited assertions */
  readonly #visited = new Set<string>();
  /** by text: why it does not verify; undefined if it does */
  readonly #settled = new Map<string, string | undefined>();
  readonly #verified = new Map<string, Assertion>();
  /** the newest that verified, by primary key */
  readonly #newest = new Map<string, Assertion>();
  readonly #stored = new Map<string, Assertion | undefined>();
  /** id of a key, by its account and name */
  readonly #names = new Map<string, string>();

  constructor(given: readonly Assertion[], { trust, find, now }: VerifyOptions) {
    this.trust = trust;
    this.#find = find;
    this.#now = now.getTime();
    this.#given = given;
    for (const assertion of given) {
      const group = this.#groups.get(assertionKeyText(assertion));
      if (group) group.push(assertion);
      else this.#groups.set(assertionKeyText(assertion), [assertion]);
    }
    for (const key of trust.keys()) this.#nameKey(key);
  }

  run(): { verified: Assertion[]; refused: UnverifiedAssertion[] } {
    for (const assertion of this.#given) if (!this.#visited.has(assertion.text)) this.#settle(assertion);
    const wrong = this.#given.flatMap((assertion) => {
      const reason = this.#settled.get(assertion.text);
      return reason === undefined ? [] : [{ assertion, reason }];
    });
    return { verified: [...this.#verified.values()], refused: wrong };
  }

  /** Settles what an assertion depends on, then itself. A list instead of recursion: a chain may be as long as its file. */
  #settle(first: Assertion): void {
    const path: { assertion: Assertion; refs: PrimaryKey[] }[] = [];
    for (let next: Assertion | undefined = first; next || path.length > 0; ) {
      if (next) {
        const assertion = next;
        this.#visited.add(assertion.text);
        const wrong = reasonAgainst(() => this.#checkAlone(assertion));
        if (wrong === undefined) path.push({ assertion, refs: refsOf(assertion) });
        else this.#settled.set(assertion.text, wrong);
      }
      const top = path.at(-1);
      next = top && this.#nextOf(top.refs);
      if (top && !next) {
        path.pop();
        this.#conclude(top.assertion);
      }
    }
  }

  /** The first given assertion of these primary keys that was not visited. Removes keys without any left. */
  #nextOf(refs: PrimaryKey[]): Assertion | undefined {
    for (let ref = refs[0]; ref; ref = refs[0]) {
      const name = keyText(...ref);
      const group = this.trust.find(...ref) ? [] : (this.#groups.get(name) ?? []);
      for (let turn = this.#turns.get(name) ?? 0; turn < group.length; turn += 1) {
        this.#turns.set(name, turn + 1); // each member is visited once, however many depend on it
        const assertion = group[turn];
        if (assertion && !this.#visited.has(assertion.text)) return assertion;
      }
      refs.shift();
    }
    return undefined;
  }

  #conclude(assertion: Assertion): void {
    const builtIn = this.trust.find(assertion.type, assertion.key);
    const wrong = builtIn?.text === assertion.text ? undefined : reasonAgainst(() => this.#check(assertion));
    this.#settled.set(assertion.text, wrong);
    if (wrong !== undefined || builtIn) return;
    const name = assertionKeyText(assertion);
    const id = JSON.stringify([name, assertion.revision, assertion.format]);
    if (!this.#verified.has(id)) this.#verified.set(id, assertion);
    const newest = this.#newest.get(name);
    if (!newest || newest.revision < assertion.revision) this.#newest.set(name, assertion);
    if (assertion.type === "account-key") this.#nameKey(assertion);
  }

  /** The checks that need no other assertion. */
  #checkAlone(assertion: Assertion): void {
    if (typeOf(assertion).request) throw refused(`${assertion.type} is a request, which is not kept`);
    checkShapes(assertion);
    if (isSelfSigned(assertion) && !this.trust.isRoot(assertion))
      throw refused(`the key ${assertion.signKey} is a self-signed root key that is not trusted here`);
  }

  #check(assertion: Assertion): void {
    const { must, needs, allowed } = typeOf(assertion);
    const key = this.find("account-key", [assertion.signKey]);
    if (!key) throw this.#missing("account-key", [assertion.signKey], "that signed it");
    if (!isValidAt(key, this.#now)) throw refused(`the key ${assertion.signKey} that signed it is not valid now`);
    checkSignedWith(assertion, key);
    if (Object.hasOwn(must, "timestamp") && !isValidAt(key, timeInMilliseconds(header(assertion, "timestamp"))))
      throw refused(`the key ${assertion.signKey} that signed it was not valid at its timestamp`);
    for (const ref of needs(assertion)) if (!this.find(...ref) && !this.#isOfRoot(...ref)) throw this.#missing(...ref, "that it needs");
    allowed?.(assertion, this);
  }

  find(type: string, key: readonly string[]): Assertion | undefined {
    const builtIn = this.trust.find(type, key);
    if (builtIn) return builtIn;
    const name = keyText(type, key);
    if (!this.#stored.has(name)) this.#stored.set(name, this.#find(type, key));
    const [stored, given] = [this.#stored.get(name), this.#newest.get(name)];
    return given && given.revision >= (stored?.revision ?? 0) ? given : stored;
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

  #missing(type: string, key: readonly string[], role: string): Failure {
    const name = keyText(type, key);
    const group = this.#groups.get(name) ?? [];
    if (group.some((assertion) => this.#settled.has(assertion.text))) return refused(`${name} ${role} is not trusted`);
    return refused(`${name} ${role} ${group.length > 0 ? "needs it too" : "is neither in the file nor stored"}`);
  }
}

/** The primary keys that an assertion depends on. */
function refsOf(assertion: Assertion): PrimaryKey[] {
  const { needs, uses } = typeOf(assertion);
  return [["account-key", [assertion.signKey]], ...needs(assertion), ...uses(assertion)];
}

function assertionKeyText({ type, key }: Assertion): string {
  return keyText(type, key);
}

function isSelfSigned({ type, key, signKey }: Assertion): boolean {
  return type === "account-key" && key[0] === signKey;
}
