/** Whether snapd can be sent here by `proxy.store`, and what sends it here where it can't. */

import { header } from "../../src/assertions/assertion.ts";
import type { AssertionSet } from "../../src/catalog/assertionset.ts";

export const CANONICAL = "canonical";
export const DROP_IN = "/etc/systemd/system/snapd.service.d/chp.conf";

interface StoreAssertion {
  readonly id: string;
  /** as the assertion spells it */
  readonly url: unknown;
  /** who signed it */
  readonly authority: string | undefined;
}

export interface StoreProxy {
  /** a verified `store` assertion that names host and port of the public URL */
  readonly fitting: (StoreAssertion & { readonly url: string }) | undefined;
  readonly why: string;
}

/** The newest assertion for a URL counts, which is the one that is served. */
export function storeProxyOf(assertions: AssertionSet, publicUrl: string | undefined): StoreProxy {
  const stores: StoreAssertion[] = assertions
    .ofType("store")
    .flatMap(({ type, key }) => assertions.verified(type, key).slice(0, 1))
    .toSorted((a, b) => Date.parse(header(b, "timestamp")) - Date.parse(header(a, "timestamp")))
    .map((assertion) => ({ id: header(assertion, "store"), url: assertion.headers.get("url"), authority: assertion.authority }));
  const fitting = stores.find(
    (store): store is StoreAssertion & { readonly url: string } =>
      publicUrl !== undefined && typeof store.url === "string" && sameHost(store.url, publicUrl),
  );
  return { fitting, why: fitting ? `the store assertion ${fitting.id} names the public URL` : whyNot(stores, publicUrl) };
}

function whyNot([first]: readonly StoreAssertion[], url: string | undefined): string {
  if (first === undefined)
    return "no store assertion is held, and snapd takes none but those that Canonical signed; a registered store's proxy.assert can be imported";
  if (typeof first.url !== "string") return `the held store assertion ${first.id} has no url, which snapd needs`;
  if (url === undefined)
    return `the held store assertion ${first.id} is for ${first.url}, and no public URL is set; chp config public-url=${first.url} sets it`;
  return `the held store assertion ${first.id} is for ${first.url}, not for the public URL ${url}`;
}

function sameHost(a: string, b: string): boolean {
  return URL.canParse(a) && URL.canParse(b) && new URL(a).host === new URL(b).host;
}

/** The base of assertions is the same: `/v2/assertions` follows it. */
export function dropIn(url: string): string {
  return `[Service]\nEnvironment=SNAPPY_FORCE_API_URL=${url}/\nEnvironment=SNAPPY_FORCE_SAS_URL=${url}/\n`;
}

/** `commands`: the key under which what runs after the files are written; Juju takes no runcmd. */
export function userData(url: string, commands: "runcmd" | "preruncmd"): string {
  const content = dropIn(url).trimEnd().replace(/^/gm, "      ");
  return `write_files:
  - path: ${DROP_IN}
    content: |
${content}
${commands}:
  - systemctl daemon-reload
  - systemctl try-restart snapd.service
`;
}
