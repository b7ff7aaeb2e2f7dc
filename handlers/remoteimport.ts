/** Remote import: a token over TLS, and a body of any size that a child process imports. */

import type { Context } from "hono";
import * as v from "valibot";
import { Failure, isFailureKind, printable } from "../src/errors.ts";
import { tryJson } from "../src/text.ts";
import { VERSION } from "../src/version.ts";
import { wordsOf } from "../src/wire/remoteimport.ts";
import { URLS } from "../src/wire/urls.ts";
import { admitBearer } from "./bearer.ts";
import type { Deps, Env, ImportEnd } from "./call.ts";
import { RETRY_AFTER } from "./errors.ts";
import { replyWith } from "./replies.ts";
import { RequestBody } from "./requestbody.ts";
import { type Api, get } from "./routes.ts";

const MAX_PARALLEL = 4;

const IMPORT = { right: "import", many: "imports", one: "an import", verb: "import" } as const;

export function remoteImportRoutes({ remoteImport, log }: Deps): Api {
  if (!remoteImport) return { dialect: "changing", routes: [] };
  const { idle, maxSize = Number.POSITIVE_INFINITY, maxSeconds, maxParallel = MAX_PARALLEL } = remoteImport;
  let running = 0;

  const admit = (c: Context<Env>) => admitBearer(c, IMPORT, { tokens: remoteImport.tokens, log });

  function refuseIfBusy(): void {
    if (running < maxParallel) return;
    throw new Failure("busy", `${running} imports of other machines run already`, { next: `try again in ${RETRY_AFTER} s` });
  }

  // Clients call this before they send an import: a refusal during the upload may close the connection before they read it.
  const probe = get(URLS.remoteImport, async (c) => {
    const token = await admit(c);
    if (!token) return undefined;
    refuseIfBusy();
    return c.json({ version: VERSION, token: token.name });
  });

  const runImport = async (c: Context<Env>): Promise<Response | undefined> => {
    const token = await admit(c);
    if (!token) return undefined;
    const words = wordsOf(new URL(c.req.url).searchParams, remoteImport.options, remoteImport.caps);
    const size = c.req.header("Content-Length");
    if (Number(size ?? 0) > maxSize) throw tooLarge(maxSize);
    refuseIfBusy();
    running += 1;
    c.env.peer.mayStall?.();
    const by = { id: c.env.id, token: token.name, address: c.env.peer.address() };
    const body = new RequestBody(c.req.raw.body, { maxSize, tooLarge, ...(idle !== undefined && { idle }) });
    const late = new AbortController();
    const timer = maxSeconds === undefined ? undefined : setTimeout(() => late.abort(), maxSeconds * 1000);
    try {
      const end = await remoteImport.run({
        words,
        body: body.parts(),
        signal: late.signal,
        ...(size !== undefined && { size: Number(size) }),
      });
      const failed = body.failure ?? failureOf(end);
      const failure = failed && late.signal.aborted ? tooLong(maxSeconds) : failed;
      if (failure) {
        log({ level: "warn", message: "an import failed", ...by, kind: failure.kind, why: printable(failure.message) });
        throw failure;
      }
      const generation = generationOf(end.out);
      log({ level: "info", message: "an import was done", ...by, ...(generation !== null && { generation }) });
      return replyWith(end.out, generation === null ? 200 : 201);
    } finally {
      running -= 1;
      clearTimeout(timer);
      void body.drain();
    }
  };

  return { dialect: "changing", routes: [probe, { method: "PUT", url: URLS.remoteImport, handle: runImport }] };
}

function tooLarge(maxSize: number): Failure {
  return new Failure("too-large", `imports from other machines may send ${maxSize} bytes`, {
    next: "there: chp config remote-import.max-size=BYTES allows more",
  });
}

function tooLong(seconds = 0): Failure {
  return new Failure("too-slow", `the import took longer than ${seconds} seconds: nothing was published`, {
    next: "there: chp config remote-import.max-seconds=SECONDS allows more",
  });
}

const ErrorText = v.object({ error: v.string(), kind: v.string(), next: v.optional(v.string()) });
const ReportText = v.looseObject({ generation: v.nullable(v.number()) });

/** The failure that the child process printed; undefined: it succeeded. */
function failureOf({ exit, err }: ImportEnd): Failure | undefined {
  if (exit === 0) return undefined;
  const parsed = v.safeParse(ErrorText, tryJson(err.trimEnd().split("\n").at(-1) ?? ""));
  if (!parsed.success)
    return new Failure("failed", `the import ended with ${exit}`, { next: "send it again: what is already present changes nothing" });
  const { error, kind, next } = parsed.output;
  return new Failure(isFailureKind(kind) ? kind : "failed", error, next === undefined ? {} : { next });
}

function generationOf(report: string): number | null {
  return v.parse(ReportText, tryJson(report)).generation;
}
