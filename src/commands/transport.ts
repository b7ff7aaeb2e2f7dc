/** How the exporter reaches its upstream: over the network, by the proxies of the environment, or a store of this machine in this very process. */

import { createApp } from "../../handlers/app.ts";
import type { Store } from "../../store/store.ts";
import type { Transport } from "../remote.ts";
import { machineRoots } from "./http.ts";

/** `trusted`: PEM of authorities besides those that the machine trusts. HTTP_PROXY, HTTPS_PROXY and NO_PROXY are honoured. */
export async function networkTransport(trusted: readonly string[]): Promise<Transport> {
  const ca = [...machineRoots(), ...trusted];
  if (typeof Bun !== "undefined")
    return (url, request) => fetch(url, { ...request, headers: { ...request.headers }, tls: { ca } } as BunFetchRequestInit);
  const { EnvHttpProxyAgent, fetch: fetchByNode } = await import("undici");
  const dispatcher = new EnvHttpProxyAgent({ connect: { ca }, requestTls: { ca }, proxyTls: { ca }, bodyTimeout: 0, headersTimeout: 0 });
  return async (url, request) => {
    try {
      return (await fetchByNode(url, { ...request, dispatcher })) as unknown as Response;
    } catch (error) {
      // What went wrong stands in the cause; the error says "fetch failed".
      throw error instanceof Error && error.cause instanceof Error ? error.cause : error;
    }
  };
}

/** Where a store answers that is asked in this process; nobody else can reach it. */
export const OWN_ADDRESS = "http://store.invalid";

/** What `serve` would answer, images as upstream names them. */
export function storeTransport(store: Store): Transport {
  const app = createApp({ store, config: { publicUrl: OWN_ADDRESS }, log: () => {} });
  return async (url, { signal, ...request }) => {
    signal.throwIfAborted();
    return app.fetch(new Request(url, { ...request, headers: { ...request.headers } }));
  };
}
