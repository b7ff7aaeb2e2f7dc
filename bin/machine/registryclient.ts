/** Checks which images a registry has, over the OCI distribution API v2 with the configured login. */

import { IMAGE_MANIFEST_TYPES } from "../../src/archives/imagemanifest.ts";
import type { NeededImage } from "../../src/catalog/images.ts";
import type { ImagePresence } from "../../src/catalog/readiness.ts";
import { type Registry, splitPath } from "../../src/catalog/registry.ts";
import { reason } from "../../src/errors.ts";
import { answerChallenge, bearerOf } from "../../src/export/challenge.ts";
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
        headers: { accept: IMAGE_MANIFEST_TYPES.join(", "), ...(authorization !== undefined && { authorization }) },
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
    const answer = answerChallenge(challenge, this.#url, name, this.#login);
    if (!answer || !("tokenUrl" in answer)) return answer?.authorization;
    const { tokenUrl, authorization } = answer;
    const reply = await ask(tokenUrl, { ...this.#options, headers: authorization === undefined ? {} : { authorization } });
    return reply.status === 200 ? bearerOf(reply.body) : undefined;
  }
}
