/** Imports from other machines: a token over TLS, and a body without a limit that an import of its own process reads. */

import { type Context, Hono } from "hono";
import * as v from "valibot";
import { Failure, type FailureKind, isFailureKind, printable } from "../src/errors.ts";
import { isExpired, type Token, tokenOf } from "../src/settings/token.ts";
import { VERSION } from "../src/version.ts";
import { IMPORT_PATH, wordsOf } from "../src/wire/remoteimport.ts";
import type { Deps, Env, ImportEnd, RemoteImport } from "./call.ts";
import { replyWith } from "./replies.ts";

const MOST_AT_ONCE = 4;
const RETRY_AFTER = 10;
const IDLE = 60_000;

/** What an import ends with that has a status of its own here; the rest have the one of errors.ts. */
const STATUSES: Readonly<Partial<Record<FailureKind, number>>> = { refused: 422, conflict: 409, interrupted: 503 };

const HEADERS: Readonly<Record<number, Record<string, string>>> = {
  401: { "WWW-Authenticate": 'Bearer realm="chp"' },
  503: { "Retry-After": String(RETRY_AFTER) },
};

export function remote({ remoteImport, log }: Deps): Hono<Env> {
  const app = new Hono<Env>();
  if (!remoteImport) return app;
  const { idle = IDLE } = remoteImport;
  let running = 0;

  /** The token that came with a request; undefined where remote import is off. Reads nothing of the body. */
  async function admit(c: Context<Env>, { tokens }: RemoteImport): Promise<Token | undefined> {
    const known = await tokens();
    if (known.length === 0) return undefined;
    const { id, peer } = c.env;
    if (!peer.tls)
      throw new Failure("forbidden", "imports are taken over TLS alone", {
        next: "use the https:// address; a token that was sent without TLS may be known to others: chp token --revoke NAME",
      });
    const text = /^bearer +(\S{1,1000}) *$/i.exec(c.req.header("Authorization") ?? "")?.[1];
    const token = text === undefined ? undefined : tokenOf(known, text);
    if (token && !isExpired(token, Date.now())) return token;
    const why = token ? `the token ${token.name} has expired` : text === undefined ? "there is no token" : "the token is not known";
    log({ level: "warn", message: "an import was not admitted", id, address: peer.address(), why });
    throw new Failure("unauthorized", why, { next: "chp token NAME makes one; it is sent as Authorization: Bearer TOKEN" });
  }

  function makeRoom(): void {
    if (running < MOST_AT_ONCE) return;
    throw new Failure("busy", `${running} imports of other machines run already`, { next: `try again in ${RETRY_AFTER} s` });
  }

  // Whether an import would be taken: who is refused may find the connection closed before its reply was read.
  app.get(IMPORT_PATH, async (c) => {
    const token = await admit(c, remoteImport);
    if (!token) return c.notFound();
    makeRoom();
    return c.json({ version: VERSION, token: token.name });
  });

  app.put(IMPORT_PATH, async (c) => {
    const token = await admit(c, remoteImport);
    if (!token) return c.notFound();
    const words = wordsOf(new URL(c.req.url).searchParams, remoteImport.options);
    makeRoom();
    running += 1;
    const by = { id: c.env.id, token: token.name, address: c.env.peer.address() };
    const size = c.req.header("Content-Length");
    const body = new Received(c.req.raw.body, idle);
    try {
      const end = await remoteImport.run({ words, body: body.parts(), ...(size !== undefined && { size: Number(size) }) });
      const failure = body.failure ?? failureOf(end);
      if (failure) {
        log({ level: "warn", message: "an import failed", ...by, kind: failure.kind, why: printable(failure.message) });
        throw failure;
      }
      const generation = generationOf(end.out);
      log({ level: "info", message: "an import was done", ...by, ...(generation !== null && { generation }) });
      return replyWith(end.out, generation === null ? 200 : 201);
    } finally {
      running -= 1;
      void body.drain();
    }
  });

  return app.onError((error) => {
    if (!(error instanceof Failure)) throw error;
    const { kind: code, message, next } = error;
    const status = STATUSES[code] ?? error.status;
    const reply = replyWith(JSON.stringify({ "error-list": [{ code, message, ...(next !== undefined && { next }) }] }), status);
    for (const [name, value] of Object.entries(HEADERS[status] ?? {})) reply.headers.set(name, value);
    return reply;
  });
}

/** A request's body as it comes. It is never cancelled: that would end the connection before the reply is read. */
class Received {
  /** why it was not read to its end */
  failure: Failure | undefined;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  readonly #idle: number;

  constructor(body: ReadableStream<Uint8Array> | null, idle: number) {
    this.#reader = body?.getReader();
    this.#idle = idle;
  }

  async *parts(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const part = await this.#next();
      if (!part) return;
      yield part;
    }
  }

  /** Reads what nobody wants any more, so that its sender comes to read the reply. */
  async drain(): Promise<void> {
    while (!this.failure && (await this.#next().catch(() => undefined)));
  }

  async #next(): Promise<Uint8Array | undefined> {
    if (!this.#reader) return undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      const stalled = () => reject(new Failure("too-slow", `nothing of the body arrived for ${this.#idle / 1000} seconds`));
      timer = setTimeout(stalled, this.#idle);
    });
    try {
      return (await Promise.race([this.#reader.read(), late])).value;
    } catch (error) {
      this.failure =
        error instanceof Failure ? error : new Failure("interrupted", "the client broke off: nothing was published", { cause: error });
      throw this.failure;
    } finally {
      clearTimeout(timer);
    }
  }
}

const ErrorText = v.object({ error: v.string(), kind: v.string(), next: v.optional(v.string()) });
const ReportText = v.looseObject({ generation: v.nullable(v.number()) });

/** What the command told of its failure. */
function failureOf({ exit, err }: ImportEnd): Failure | undefined {
  if (exit === 0) return undefined;
  const parsed = v.safeParse(ErrorText, tryJson(err.trimEnd().split("\n").at(-1) ?? ""));
  if (!parsed.success)
    return new Failure("failed", `the import ended with ${exit}`, { next: "send it again: what is held already changes nothing" });
  const { error, kind, next } = parsed.output;
  return new Failure(isFailureKind(kind) ? kind : "failed", error, next === undefined ? {} : { next });
}

function generationOf(report: string): number | null {
  return v.parse(ReportText, tryJson(report)).generation;
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
