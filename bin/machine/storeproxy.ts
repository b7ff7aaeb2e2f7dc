/** Whether `proxy.store` can point snapd at this store, and the configuration that does it otherwise. */

import { header } from "../../src/assertions/assertion.ts";
import type { AssertionSet } from "../../src/catalog/assertionset.ts";

export const CANONICAL = "canonical";
export const DROP_IN = "/etc/systemd/system/snapd.service.d/chp.conf";

interface StoreAssertion {
  readonly id: string;
  /** as the assertion spells it, unchecked */
  readonly url: unknown;
  /** the signer */
  readonly authority: string | undefined;
}

export interface StoreProxy {
  /** a verified `store` assertion with host and port of the public URL */
  readonly fitting: (StoreAssertion & { readonly url: string }) | undefined;
  readonly why: string;
}

/** Of several assertions for a URL the newest counts, as it is the one that is served. */
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
    return "no store assertion was imported, and snapd accepts only one that Canonical signed; import a registered store's proxy.assert";
  if (typeof first.url !== "string") return `the stored store assertion ${first.id} has no url, which snapd needs`;
  if (url === undefined)
    return `the stored store assertion ${first.id} is for ${first.url}, and no public URL is set; chp config public-url=${first.url} sets it`;
  return `the stored store assertion ${first.id} is for ${first.url}, not for the public URL ${url}`;
}

function sameHost(a: string, b: string): boolean {
  return URL.canParse(a) && URL.canParse(b) && new URL(a).host === new URL(b).host;
}

/** A systemd drop-in for snapd. Assertions have the same base URL: snapd appends `/v2/assertions`. */
export function dropIn(url: string): string {
  return `[Service]\nEnvironment=SNAPPY_FORCE_API_URL=${url}/\nEnvironment=SNAPPY_FORCE_SAS_URL=${url}/\n`;
}

/** cloud-init user data. `commands`: the key of the commands that run after the files are written; Juju rejects runcmd. */
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
