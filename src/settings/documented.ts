/** Programs and settings of the system that chp replaces, by the names in its documentation for operators. */

import { basename } from "node:path/posix";
import { Failure, printable } from "../errors.ts";

const PROGRAM_NAMES = ["snap-store-proxy", "enterprise-store", "snap-proxy", "store-admin"] as const;

export type ProgramName = (typeof PROGRAM_NAMES)[number] | "chp";

/** The name that chp was started by. `paths`: of the executable, as far as known */
export function programName(paths: readonly (string | undefined)[]): ProgramName {
  const bases = paths.map((path) => basename(path ?? ""));
  return PROGRAM_NAMES.find((name) => bases.includes(name)) ?? "chp";
}

/** The setting of that system for the host of the public URL. */
export const PROXY_DOMAIN = "proxy.domain";

/** Its settings that have no meaning here, and why. A prefix with a dot at its end stands for all keys that begin with it. */
const UNSUPPORTED_SETTINGS: readonly (readonly [prefix: string, why: string])[] = [
  ["proxy.airgap", "chp is always offline"],
  ["proxy.port.https", "tls-listen=HOST:PORT says it here"],
  ["proxy.port.http", "listen=HOST:PORT says it here"],
  ["proxy.port.", "chp is one process, and listen is its address"],
  ["proxy.ipaddress", "listen=HOST:PORT says it here"],
  ["proxy.trust-forwarded-proto", "public-url=URL says what clients reach chp by"],
  ["proxy.storage.", "chp keeps everything in one folder, which --store names"],
  ["proxy.db.", "chp has no database"],
  ["proxy.memcached.", "chp needs no cache beside it"],
  ["proxy.use-postgres-over-memcached", "chp needs no cache beside it"],
  ["proxy.cache.", "chp needs no cache beside it"],
  ["proxy.upstream", "chp asks nothing of a service outside"],
  ["proxy.dashboard.", "chp asks nothing of a service outside"],
  ["proxy.sso.", "chp asks nothing of a service outside"],
  ["proxy.https.proxy", "chp asks nothing of a service outside"],
  ["proxy.auth.", "chp has no logins"],
  ["proxy.device-auth.", "chp has no logins"],
  ["proxy.admin-emails", "chp has no logins"],
  ["proxy.hsm.", "chp signs nothing"],
  ["proxy.tls.key", "chp import-certificate takes a certificate in with its key"],
  ["proxy.key.", "chp is not registered: a registered store's proxy.assert is imported by chp import"],
  ["internal.", "a registered store is known by its proxy.assert, which chp import imports"],
];

/** Why a documented setting has no meaning here; undefined for every other key. */
export function whyUnsupported(key: string): string | undefined {
  return UNSUPPORTED_SETTINGS.find(([prefix]) => (prefix.endsWith(".") ? key.startsWith(prefix) : key === prefix))?.[1];
}

/** The public URL with another host: scheme, port and path stay. Throws a `usage` failure. */
export function replaceHost(domain: string, url: string): string {
  const text = domain.trim();
  const parsed = URL.canParse(`http://${text}`) ? new URL(`http://${text}`) : undefined;
  if (!parsed || parsed.host !== text.toLowerCase() || parsed.port !== "" || /[/?#@]/.test(text))
    throw new Failure("usage", `${PROXY_DOMAIN}: ${printable(text, 200)} is not a host name or an address alone`, {
      next: "protocol and port are said by public-url=URL",
    });
  const { protocol, port, pathname } = new URL(url);
  return `${protocol}//${parsed.host}${port && `:${port}`}${pathname.replace(/\/+$/, "")}`;
}

/** The host of a URL, without its port. */
export function urlHost(url: string): string {
  return new URL(url).hostname;
}
