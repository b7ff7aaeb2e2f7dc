/** Tokens of remote import: shown once, kept as hashes. */

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import * as v from "valibot";
import { Failure, printable } from "../errors.ts";

const PREFIX = "chp_"; // scanners for secrets that were committed know tokens by such a beginning
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** As they are stored. */
export const Tokens = v.object({
  tokens: v.optional(
    v.array(v.object({ name: v.string(), sha256: v.string(), created: v.string(), until: v.exactOptional(v.string()) })),
    [],
  ),
});

/** What is kept of a token. Times are RFC 3339; without `until` it has no end. */
export interface Token {
  readonly name: string;
  /** of its text. That is 256 random bits, which nobody guesses: no slow hash and no salt would add anything */
  readonly sha256: string;
  readonly created: string;
  readonly until?: string;
}

/** A new token, and the text that is its secret. */
export function makeToken(name: string, { created, until }: Pick<Token, "created" | "until">): { token: Token; text: string } {
  if (!NAME.test(name))
    throw new Failure("usage", `${printable(name, 100)} is not a name of a token: letters, digits, and . _ - between them`);
  const text = `${PREFIX}${randomBytes(32).toString("base64url")}`;
  return { token: { name, sha256: hashOf(text).toString("hex"), created, ...(until !== undefined && { until }) }, text };
}

/** The token of that text, which may be one that has expired. Takes the same time whichever it is. */
export function tokenOf(tokens: readonly Token[], text: string): Token | undefined {
  const given = hashOf(text);
  const found = tokens.filter(({ sha256 }) => {
    const kept = Buffer.from(sha256, "hex");
    return kept.byteLength === given.byteLength && timingSafeEqual(kept, given);
  });
  return found[0];
}

/** `now`: milliseconds. */
export function isExpired({ until }: Pick<Token, "until">, now: number): boolean {
  return until !== undefined && Date.parse(until) <= now;
}

/** The end of a token as it is kept: `2026-12-31`, a day that belongs to it (UTC), or RFC 3339. Throws a `usage` failure. */
export function readUntil(text: string, now: number): string {
  const day = /^\d{4}-\d\d-\d\d$/.test(text);
  const time = day || /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(time))
    throw new Failure("usage", `--until: ${printable(text, 50)} is neither a day (2026-12-31) nor a time of RFC 3339`);
  const end = new Date(day ? time + 24 * 60 * 60 * 1000 : time);
  if (end.getTime() <= now) throw new Failure("usage", `--until: ${text} is over`);
  return end.toISOString();
}

function hashOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
