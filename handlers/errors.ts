/** Turns failures into replies: always an error list, with status, code and headers from one table. */

import { Failure, type FailureKind } from "../src/errors.ts";
import { type ErrorEntry, errorList } from "../src/wire/json.ts";
import { replyWith } from "./replies.ts";

/**
 * The client that reads an error. Juju knows a few codes (handlers/juju.md, Errors). snapd decides by the code rather than by
 * the status (handlers/snapd.md, Errors). `chp import --to` and scripts that change the store read the kind of the failure and
 * `next`. Clients of the registry read codes of the OCI distribution specification.
 */
export type Dialect = "charmhub" | "snapd" | "changing" | "registry";

/** Seconds after which a client should retry when the server is busy. */
export const RETRY_AFTER = 10;

interface ErrorForm {
  readonly status: number;
  /** for Juju */
  readonly code: string;
  /** for snapd; default: `invalid-request` */
  readonly snapCode?: string;
  /** for clients of the registry; default: `DENIED` */
  readonly imageCode?: string;
  /** status for what changes the store; default: `status` */
  readonly changingStatus?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

const RETRY = { "Retry-After": String(RETRY_AFTER) };

const FORMS: Readonly<Record<FailureKind, ErrorForm>> = {
  failed: { status: 500, code: "api-error" },
  "not-found": { status: 404, code: "resource-not-found", snapCode: "not-found" },
  "not-allowed": { status: 405, code: "api-error", imageCode: "UNSUPPORTED" },
  unauthorized: { status: 401, code: "unauthorized", imageCode: "UNAUTHORIZED", headers: { "WWW-Authenticate": 'Bearer realm="chp"' } },
  forbidden: { status: 403, code: "forbidden" },
  busy: { status: 503, code: "busy", headers: RETRY },
  "too-many": { status: 429, code: "too-many-requests", imageCode: "TOOMANYREQUESTS", headers: RETRY },
  // Nobody reads it: it stands in the access log, as other servers write it.
  "client-gone": { status: 499, code: "client-gone" },
  "too-large": { status: 413, code: "bad-argument", imageCode: "SIZE_INVALID" },
  "too-slow": { status: 408, code: "api-error" },
  malformed: { status: 400, code: "bad-argument" },
  usage: { status: 400, code: "bad-argument" },
  refused: { status: 400, code: "bad-argument", imageCode: "MANIFEST_INVALID", changingStatus: 422 },
  partly: { status: 500, code: "api-error" },
  "no-store": { status: 500, code: "api-error" },
  "store-too-new": { status: 500, code: "api-error" },
  conflict: { status: 500, code: "api-error", changingStatus: 409 },
  corrupt: { status: 500, code: "api-error" },
  published: { status: 500, code: "api-error" },
  interrupted: { status: 500, code: "api-error", changingStatus: 503, headers: RETRY },
};

/** The reply to an error of a handler; undefined: an internal error, whose details only the log has. */
export function failureReply(error: unknown, dialect: Dialect): Response | undefined {
  if (!(error instanceof Failure)) return undefined;
  const { kind, message, next } = error;
  const { status, code, snapCode = "invalid-request", imageCode = "DENIED", changingStatus = status, headers } = FORMS[kind];
  if (dialect === "changing") return errorReply(changingStatus, { code: kind, message, ...(next !== undefined && { next }) }, headers);
  if (status >= 500 && kind !== "busy") return undefined;
  if (dialect === "registry") return imageErrorReply(status, imageCode, message, status === 401 ? BASIC : headers);
  return errorReply(status, { code: dialect === "snapd" ? snapCode : code, message }, headers);
}

/** Says to Docker's clients that a registry answers, with every reply of it. */
export const REGISTRY_VERSION = { "Docker-Distribution-Api-Version": "registry/2.0" };

export const BASIC_CHALLENGE = 'Basic realm="chp"';
const BASIC = { "WWW-Authenticate": BASIC_CHALLENGE };

/** An error of the registry, with a code of the OCI distribution specification. */
export function imageErrorReply(status: number, code: string, message: string, headers: Readonly<Record<string, string>> = {}): Response {
  const reply = replyWith(JSON.stringify({ errors: [{ code, message }] }), status);
  for (const [name, value] of Object.entries({ ...REGISTRY_VERSION, ...headers })) reply.headers.set(name, value);
  return reply;
}

/** A reply with an error list. */
export function errorReply(status: number, error: ErrorEntry, headers: Readonly<Record<string, string>> = {}): Response {
  const reply = replyWith(JSON.stringify(errorList(error)), status);
  for (const [name, value] of Object.entries(headers)) reply.headers.set(name, value);
  return reply;
}

/** What cannot be answered just now. */
export function busyReply(): Response {
  return errorReply(503, { code: FORMS.busy.code, message: "The server has too many connections." }, RETRY);
}

/** `id`: of the request; undefined: not known. */
export function internalError(id?: string): Response {
  return errorReply(500, { code: "api-error", message: internalErrorMessage(id) });
}

export function internalErrorMessage(id?: string): string {
  return id === undefined ? "An internal error." : `An internal error, see request ${id} in the log.`;
}
