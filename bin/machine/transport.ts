/** How the exporter reaches its upstream: over the network, through the proxies of the environment, or a local store inside this process. */

import { createApp } from "../../handlers/app.ts";
import { Failure, reason } from "../../src/errors.ts";
import type { Transport } from "../../src/export/client.ts";
import type { Store } from "../../store/store.ts";
import { machineRoots } from "./http.ts";
import type { Io } from "./io.ts";

/** The proxy variables that both runtimes know. */
const PROXIES: Readonly<Record<string, readonly string[]>> = {
  "http:": ["http_proxy", "HTTP_PROXY"],
  "https:": ["https_proxy", "HTTPS_PROXY"],
};

/** Honours HTTP_PROXY, HTTPS_PROXY and NO_PROXY. `trusted`: authorities besides those of the machine, PEM. */
export async function networkTransport(trusted: readonly string[], environment: Io["environment"]): Promise<Transport> {
  const proxies = Object.fromEntries(Object.keys(PROXIES).map((protocol) => [protocol, proxyOf(protocol, environment)]));
  const ca: string[] = [...(await machineRoots()), ...trusted];
  const fetched = typeof Bun === "undefined" ? await fetchOfNode(ca, proxies) : fetchOfBun(ca);
  return async (url, request) => {
    try {
      return await fetched(url, request);
    } catch (error) {
      const proxy = proxies[new URL(url).protocol];
      if (!proxy || request.signal.aborted) throw error;
      const next = `${proxy.name} is set: requests go through that proxy, but for hosts that NO_PROXY names`;
      throw new Failure("failed", reason(error), { cause: error, next });
    }
  };
}

type Proxies = Readonly<Record<string, { readonly name: string; readonly url: string } | undefined>>;

function fetchOfBun(ca: string[]): Transport {
  return (url, request) =>
    fetch(url, { ...request, redirect: "manual", headers: { ...request.headers }, tls: { ca } } as BunFetchRequestInit);
}

async function fetchOfNode(ca: string[], proxies: Proxies): Promise<Transport> {
  const { EnvHttpProxyAgent, fetch: fetchByNode } = await import("undici");
  const dispatcher = new EnvHttpProxyAgent({
    ...(proxies["http:"] && { httpProxy: proxies["http:"].url }),
    ...(proxies["https:"] && { httpsProxy: proxies["https:"].url }),
    proxyTunnel: false, // for http; https is always tunnelled
    connect: { ca },
    requestTls: { ca },
    proxyTls: { ca },
    bodyTimeout: 0,
    headersTimeout: 0,
  });
  return async (url, request) => (await fetchByNode(url, { ...request, redirect: "manual", dispatcher })) as unknown as Response;
}

/** The proxy of the environment; its value may lack the scheme. */
function proxyOf(protocol: string, environment: Io["environment"]): Proxies[string] {
  const name = PROXIES[protocol]?.find((variable) => environment[variable]);
  if (name === undefined) return undefined;
  const text = environment[name] ?? "";
  const url = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  if (!URL.canParse(url) || !["http:", "https:"].includes(new URL(url).protocol))
    throw new Failure("usage", `${name} names no proxy of the form http://HOST:PORT`); // the value is not printed: it may contain a password
  return { name, url };
}

/** The public URL of a store inside this process; unreachable from elsewhere. */
export const OWN_ADDRESS = "http://store.invalid";

/** Replies as `chp serve` would, with images as upstream names them. */
export function storeTransport(store: Store): Transport {
  const app = createApp({ store, config: { publicUrl: OWN_ADDRESS }, log: () => {} });
  return async (url, { signal, ...request }) => {
    signal.throwIfAborted();
    return app.fetch(new Request(url, { ...request, headers: { ...request.headers } }));
  };
}
