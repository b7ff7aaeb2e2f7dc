/** The store's own assertions, as snapd asks for them. */

import { type Assertion, header, optionalHeader } from "../assertions/assertion.ts";
import type { AssertionSet } from "../catalog/assertionset.ts";

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
    const isRootKey = type === "account-key" && assertion.signKey === key[0];
    const isRootAccount = type === "account" && assertion.authority === key[0];
    if (isRootKey || isRootAccount) return;
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
