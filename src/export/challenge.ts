/** What a registry wants of who asks it without a login, and the token that it gives. Source: Docker's token authentication, RFC 7617. */

import * as v from "valibot";
import { tryJson } from "../text.ts";

export interface ImageLogin {
  readonly username: string;
  readonly password: string;
}

/** How a challenge is met: by a header, or by a token that a request gets. */
export type Answer = { readonly authorization: string } | { readonly tokenUrl: string; readonly authorization: string | undefined };

/** The Authorization header of a login; undefined where there is none. */
function basic({ username, password }: ImageLogin): string | undefined {
  return username === "" || password === "" ? undefined : `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

/**
 * Answers the WWW-Authenticate header of a registry. `origin`: of the registry; `repository`: what is to be read. Undefined: it can't
 * be answered. Throws an Error where the login would be sent without TLS although the registry has it.
 */
export function answerChallenge(challenge: string, origin: string, repository: string, login: ImageLogin): Answer | undefined {
  const authorization = basic(login);
  if (/^basic\b/i.test(challenge)) return authorization === undefined ? undefined : { authorization };
  if (!/^bearer\b/i.test(challenge)) return undefined;
  const parameters = new Map([...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key = "", value = ""]) => [key.toLowerCase(), value]));
  const realm = parameters.get("realm") ?? "";
  if (!URL.canParse(realm)) return undefined;
  const url = new URL(realm);
  if (!["http:", "https:"].includes(url.protocol)) return undefined;
  if (url.protocol === "http:" && origin.startsWith("https:")) throw new Error(`it wants the login sent to ${url.origin}, without TLS`);
  const service = parameters.get("service");
  if (service !== undefined) url.searchParams.set("service", service);
  url.searchParams.set("scope", `repository:${repository}:pull`);
  return { tokenUrl: url.href, authorization };
}

const TokenReply = v.object({ token: v.optional(v.string()), access_token: v.optional(v.string()) });

/** The Authorization header of a token reply; undefined where it holds no token. */
export function bearerOf(reply: string): string | undefined {
  const parsed = v.safeParse(TokenReply, tryJson(reply));
  const token = parsed.success ? (parsed.output.token ?? parsed.output.access_token) : undefined;
  return token === undefined ? undefined : `Bearer ${token}`;
}
