/** Streams of assertions for `snap ack`: of the store, and of a snap. */

import { type Assertion, header, keyText, optionalHeader } from "../assertions/assertion.ts";
import { ASSERTION_TYPES } from "../assertions/types.ts";
import type { AssertionSet } from "../catalog/assertionset.ts";
import type { Snap, SnapRevision } from "../catalog/snap.ts";

/**
 * What `snap ack` needs to know a store: for each URL the newest `store` assertion, its operator's account and the
 * account-keys that signed, dependencies first. Two stores at one URL would confuse Juju. Roots are left out: a client
 * has them built in, and refuses a stream that holds one.
 */
export function storeStream(stored: AssertionSet): string[] {
  const texts = new Map<string, string>();
  const add = (type: string, key: readonly string[]): void => {
    const [assertion] = stored.verified(type, key);
    if (!assertion || texts.has(`${type} ${key.join("/")}`)) return;
    if (isRoot(assertion)) return;
    add("account-key", [assertion.signKey]);
    const account = optionalHeader(assertion, type === "store" ? "operator-id" : "account-id");
    if (type !== "account" && account !== undefined) add("account", [account]);
    texts.set(`${type} ${key.join("/")}`, assertion.text);
  };
  const stores = stored.ofType("store").flatMap(({ type, key }) => stored.verified(type, key).slice(0, 1));
  const oldestFirst = stores.toSorted((a, b) => Date.parse(header(a, "timestamp")) - Date.parse(header(b, "timestamp")));
  const urlOf = (assertion: Assertion) => {
    const url = optionalHeader(assertion, "url") ?? "";
    return URL.canParse(url) ? new URL(url).href : url;
  };
  const byUrl = new Map(oldestFirst.map((assertion) => [urlOf(assertion), assertion.key]));
  for (const key of byUrl.values()) add("store", key);
  return [...texts.values()];
}

/**
 * What `snap ack` needs before a revision of a snap is installed from its file, as `snap download` writes it: dependencies first, no
 * roots. Empty where its own assertions are not stored or did not verify.
 */
export function assertionsOfSnap(stored: AssertionSet, snap: Snap, revision: SnapRevision): string[] {
  const digest = Buffer.from(revision["sha3-384"], "hex").toString("base64url");
  const texts = new Map<string, string>();
  const add = (type: string, key: readonly string[]): void => {
    const name = keyText(type, key);
    const [assertion] = texts.has(name) ? [] : stored.verified(type, key);
    if (!assertion || isRoot(assertion)) return;
    texts.set(name, ""); // before what it needs, which may be itself
    for (const [needed, neededKey] of ASSERTION_TYPES.get(type)?.needs(assertion) ?? []) add(needed, neededKey);
    add("account-key", [assertion.signKey]);
    texts.delete(name); // behind what it needs
    texts.set(name, assertion.text);
  };
  const own = snap.assertions.filter(({ type, key }) => type === "snap-revision" && key[0] === digest);
  for (const { type, key } of own) add(type, key);
  return own.length === 0 ? [] : [...texts.values()];
}

/** Whether a client has it built in, or would refuse a stream with it. */
function isRoot({ type, key, signKey, authority }: Assertion): boolean {
  return (type === "account-key" && signKey === key[0]) || (type === "account" && authority === key[0]);
}
