/** Checks which images a registry has, over the OCI distribution API v2 with the configured login. */

import * as v from "valibot";
import type { NeededImage } from "../../src/catalog/images.ts";
import type { ImagePresence } from "../../src/catalog/readiness.ts";
import { type Registry, splitPath } from "../../src/catalog/registry.ts";
import { reason } from "../../src/errors.ts";
import { mapBounded } from "../../src/parallel.ts";
import { ask, type BoundedReply, type HttpOptions, NoReply } from "./http.ts";

export const NOT_ASKED: ImagePresence = { presence: "not asked" };

export interface RegistryAnswers {
  /** undefined: the registry does not answer */
  readonly scheme?: "http" | "https";
  /** why the registry could not be asked */
  readonly failure?: NoReply;
  /** one entry per image, in the same order */
  readonly images: readonly ImagePresence[];
}

const PARALLEL = 8;
const MANIFEST_TYPES = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
].join(", ");

/** Asks the registry for all images. Never throws: see `failure`. */
export async function askRegistry(registry: Registry, images: readonly NeededImage[], options: HttpOptions = {}): Promise<RegistryAnswers> {
  try {
    const scheme = await schemeOf(registry.domain, options);
    const client = new RegistryClient(`${scheme}://${registry.domain}`, registry, options);
    return { scheme, images: await mapBounded(images, PARALLEL, (image) => client.presence(image)) };
  } catch (error) {
    const failure = error instanceof NoReply ? error : new NoReply("", reason(error));
    return { failure, images: images.map(() => ({ presence: "unknown", why: failure.message })) };
  }
}

/** `https` if the registry speaks TLS at all, trusted or not: no password may be sent in plain text then. */
async function schemeOf(domain: string, options: HttpOptions): Promise<"http" | "https"> {
  try {
    await ask(`https://${domain}/v2/`, options);
    return "https";
  } catch (error) {
    if (!(error instanceof NoReply) || error.untrusted || ["ENOTFOUND", "EAI_AGAIN", "ETIMEDOUT"].includes(error.code)) throw error;
    const reply = await ask(`http://${domain}/v2/`, options).catch(() => undefined);
    if (reply?.status === 200 || reply?.status === 401) return "http";
    throw error;
  }
}

const TokenReply = v.object({ token: v.optional(v.string()), access_token: v.optional(v.string()) });

class RegistryClient {
  readonly #url: string;
  readonly #login: Registry;
  readonly #options: HttpOptions;
  /** the Authorization header of a repository */
  readonly #authorizations = new Map<string, string>();

  constructor(url: string, login: Registry, options: HttpOptions) {
    this.#url = url;
    this.#login = login;
    this.#options = options;
  }

  async presence({ path, digest }: NeededImage): Promise<ImagePresence> {
    const { name, tag, digest: own } = splitPath(path);
    const wanted = own ?? digest;
    const reference = own ?? tag ?? "latest";
    try {
      const { status, headers } = await this.#manifest(name, reference);
      if (status === 404) return { presence: "absent" };
      if (status === 401 || status === 403) return { presence: "unknown", why: "it does not let the login of proxy.oci-registry read it" };
      if (status !== 200) return { presence: "unknown", why: `it answers with status ${status}` };
      const is = headers["docker-content-digest"];
      return { presence: wanted !== undefined && wanted !== null && is !== undefined && is !== wanted ? "different" : "present" };
    } catch (error) {
      return { presence: "unknown", why: reason(error) };
    }
  }

  async #manifest(name: string, reference: string): Promise<BoundedReply> {
    const url = `${this.#url}/v2/${name.split("/").map(encodeURIComponent).join("/")}/manifests/${encodeURIComponent(reference)}`;
    const head = (authorization: string | undefined) =>
      ask(url, {
        ...this.#options,
        method: "HEAD",
        headers: { accept: MANIFEST_TYPES, ...(authorization !== undefined && { authorization }) },
      });
    const reply = await head(this.#authorizations.get(name));
    if (reply.status !== 401) return reply;
    const authorization = await this.#authorize(String(reply.headers["www-authenticate"] ?? ""), name);
    if (authorization === undefined) return reply;
    this.#authorizations.set(name, authorization);
    return head(authorization);
  }

  /** The Authorization header for a challenge; undefined: none is possible. */
  async #authorize(challenge: string, name: string): Promise<string | undefined> {
    const { username, password } = this.#login;
    const basic = username === "" || password === "" ? undefined : `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
    if (/^basic\b/i.test(challenge)) return basic;
    if (!/^bearer\b/i.test(challenge)) return undefined;
    const parameters = new Map([...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key = "", value = ""]) => [key.toLowerCase(), value]));
    const realm = parameters.get("realm") ?? "";
    if (!URL.canParse(realm)) return undefined;
    const url = new URL(realm);
    if (!["http:", "https:"].includes(url.protocol)) return undefined;
    // A login for a TLS registry is not sent without TLS.
    if (url.protocol === "http:" && this.#url.startsWith("https:"))
      throw new Error(`it wants the login sent to ${url.origin}, without TLS`);
    const service = parameters.get("service");
    if (service !== undefined) url.searchParams.set("service", service);
    url.searchParams.set("scope", `repository:${name}:pull`);
    const reply = await ask(url.href, { ...this.#options, headers: basic === undefined ? {} : { authorization: basic } });
    if (reply.status !== 200) return undefined;
    const { token, access_token: other } = v.parse(TokenReply, JSON.parse(reply.body));
    const found = token ?? other;
    return found === undefined ? undefined : `Bearer ${found}`;
  }
}
