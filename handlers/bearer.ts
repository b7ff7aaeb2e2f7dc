/** Who may change the store over HTTP: a token as `Authorization: Bearer TOKEN`, over TLS alone. */

import type { Context } from "hono";
import { Failure } from "../src/errors.ts";
import { findToken, hasRight, isExpired, type Right, type Token } from "../src/settings/token.ts";
import type { Env } from "./call.ts";
import type { Log } from "./log.ts";

/** What is asked for, as messages call it. */
interface Asked {
  readonly right: Right;
  /** `imports`, `an import` */
  readonly many: string;
  readonly one: string;
  /** `import`: what a token may or may not do */
  readonly verb: string;
}

interface Access {
  /** those that are accepted now */
  readonly tokens: () => Promise<readonly Token[]>;
  readonly log: Log;
}

/**
 * The valid token of a request; undefined: no token has that right, so there is nothing at its URL. Does not read the body. Throws
 * `forbidden` and `unauthorized` failures.
 */
export async function admitBearer(c: Context<Env>, { right, many, one, verb }: Asked, { tokens, log }: Access): Promise<Token | undefined> {
  const known = await tokens();
  if (!known.some((token) => hasRight(token, right))) return undefined;
  const { id, peer } = c.env;
  if (!peer.tls)
    throw new Failure("forbidden", `${many} are taken over TLS alone`, {
      next: "use the https:// address; a token that was sent without TLS may be known to others: chp token --revoke NAME",
    });
  const text = /^bearer +(\S{1,1000}) *$/i.exec(c.req.header("Authorization") ?? "")?.[1];
  const token = text === undefined ? undefined : findToken(known, text);
  const isValid = token !== undefined && !isExpired(token, Date.now());
  if (isValid && hasRight(token, right)) return token;
  const why = isValid
    ? `the token ${token.name} may not ${verb}`
    : token
      ? `the token ${token.name} has expired`
      : text === undefined
        ? "there is no token"
        : "the token is not known";
  log({ level: "warn", message: `${one} was not admitted`, id, address: peer.address(), why });
  const command = `chp token NAME --may ${right}`;
  if (isValid) throw new Failure("forbidden", why, { next: `${command} makes one that may` });
  throw new Failure("unauthorized", why, { next: `${command} makes one; it is sent as Authorization: Bearer TOKEN` });
}
