/** Who may read from the registry, and who may push into it: Basic authentication, the pull login or a token as the password. */

import { createHash, timingSafeEqual } from "node:crypto";
import type { Context } from "hono";
import type { Login } from "../src/catalog/registry.ts";
import { Failure } from "../src/errors.ts";
import { findToken, hasRight, isExpired, type Token } from "../src/settings/token.ts";
import { URLS } from "../src/wire/urls.ts";
import type { Env, ImagePush } from "./call.ts";
import type { Log } from "./log.ts";

interface Access {
  /** undefined: anybody may pull */
  readonly login: Login | undefined;
  /** undefined: nobody may push */
  readonly push: Pick<ImagePush, "tokens"> | undefined;
  readonly log: Log;
}

/** `token`: one that may push, which whoever writes has. */
interface Admitted {
  readonly isWrite: boolean;
  readonly token?: Token;
}

/** Throws `unauthorized`, `forbidden` and `not-allowed` failures. Whoever may push may read. */
export async function admitClient(c: Context<Env>, { login, push, log }: Access): Promise<Admitted> {
  const { id, peer } = c.env;
  const given = basicOf(c.req.header("Authorization"));
  const isPuller = given !== undefined && login !== undefined && isLogin(given, login);
  const token = push && given && !isPuller ? findToken(await push.tokens(), given.slice(given.indexOf(":") + 1)) : undefined;
  if (token && !peer.tls)
    throw new Failure(
      "forbidden",
      `tokens are taken over TLS alone: use https, and as others may know this one now: chp token --revoke ${token.name}`,
    );
  const isValid = token !== undefined && !isExpired(token, Date.now());
  const isPusher = isValid && hasRight(token, "push");
  const isWrite = writes(c);
  if (!isWrite) {
    if (login && !isPuller && !isPusher) throw new Failure("unauthorized", "a login is needed");
    return { isWrite, ...(isPusher && { token }) };
  }
  if (!push) {
    if (login && !isPuller) throw new Failure("unauthorized", "a login is needed");
    throw new Failure("not-allowed", "this registry is read-only");
  }
  if (!peer.tls) throw new Failure("forbidden", "images are pushed over TLS alone: use https (chp serve --tls-listen HOST:PORT)");
  if (isPusher) return { isWrite, token };
  if (isPuller) throw new Failure("forbidden", "the login for pulls may not push: a token is needed (chp token NAME --may push)");
  const why =
    token === undefined
      ? `there is no ${given === undefined ? "token" : "such token"}`
      : `the token ${token.name} ${isValid ? "may not push" : "has expired"}`;
  log({ level: "warn", message: "a push was not admitted", id, address: peer.address(), why });
  throw new Failure(isValid ? "forbidden" : "unauthorized", `${why}: chp token NAME --may push makes one, which is the password`);
}

/** An upload is its token's alone, to look at too. */
function writes(c: Context<Env>): boolean {
  return (c.req.method !== "GET" && c.req.method !== "HEAD") || URLS.image.parse(c.req)?.what === "uploads";
}

/** `user:password` of a header of Basic authentication. */
function basicOf(header: string | undefined): string | undefined {
  const text = /^basic +([\w+/=-]{1,2000}) *$/i.exec(header ?? "")?.[1];
  return text === undefined ? undefined : Buffer.from(text, "base64").toString("latin1");
}

/** The time it takes does not tell how much of it is right. */
function isLogin(given: string, { username, password }: Login): boolean {
  const hash = (bytes: Buffer) => createHash("sha256").update(bytes).digest();
  return timingSafeEqual(hash(Buffer.from(given, "latin1")), hash(Buffer.from(`${username}:${password}`)));
}
