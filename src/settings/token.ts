/** Tokens of other machines: shown once, stored as hashes, with what each may do here. */

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import * as v from "valibot";
import { Failure, printable } from "../errors.ts";

const TOKEN_PREFIX = "chp_"; // scanners for secrets in repositories recognise tokens by a prefix
const TOKEN_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** What a token may do, and where it is sent. */
export const RIGHTS = {
  import: "import from another machine (chp import --to)",
  push: "push images into the registry",
  overrides: "set overrides of snaps (the Enterprise Store's Overrides API)",
} as const;
export type Right = keyof typeof RIGHTS;

/** What a token may do that does not say it. */
const DEFAULT_RIGHTS: readonly string[] = ["import"];

/** As they are stored. */
export const Tokens = v.object({
  tokens: v.optional(
    v.array(
      v.object({
        name: v.string(),
        sha256: v.string(),
        created: v.string(),
        until: v.exactOptional(v.string()),
        may: v.exactOptional(v.array(v.string())),
      }),
    ),
    [],
  ),
});

/** What is stored of a token. Times are RFC 3339; without `until` it does not expire. */
export interface Token {
  readonly name: string;
  /** of its text, which has 256 random bits: a slow hash or a salt would add nothing */
  readonly sha256: string;
  readonly created: string;
  readonly until?: string;
  /** its rights; absent: `import`, all that there was before there were others. Words of a newer chp stay and allow nothing here. */
  readonly may?: readonly string[];
}

/** A new token, and its text, which is the secret. Throws a `usage` failure where the name is not valid. */
export function makeToken(name: string, { created, until, may }: Pick<Token, "created" | "until" | "may">): { token: Token; text: string } {
  if (!TOKEN_NAME.test(name))
    throw new Failure("usage", `${printable(name, 100)} is not a name of a token: letters, digits, and . _ - between them`);
  const text = `${TOKEN_PREFIX}${randomBytes(32).toString("base64url")}`;
  const token = { name, sha256: hashToken(text).toString("hex"), created, ...(until !== undefined && { until }), ...(may && { may }) };
  return { token, text };
}

export function rightsOf({ may = DEFAULT_RIGHTS }: Pick<Token, "may">): readonly string[] {
  return may;
}

export function hasRight(token: Pick<Token, "may">, right: Right): boolean {
  return rightsOf(token).includes(right);
}

/** Parses `--may`: rights with commas between them. Throws a `usage` failure for a word that is none. */
export function parseRights(text: string): Right[] {
  const words = text.split(",").map((word) => word.trim());
  const wrong = words.find((word) => !Object.hasOwn(RIGHTS, word));
  if (wrong !== undefined) throw new Failure("usage", `--may: ${printable(wrong, 50)} is not one of ${Object.keys(RIGHTS).join(", ")}`);
  return Object.keys(RIGHTS).filter((right) => words.includes(right)) as Right[];
}

/** The token with that text, even an expired one. The time it takes does not depend on which token it is. */
export function findToken(tokens: readonly Token[], text: string): Token | undefined {
  const given = hashToken(text);
  const found = tokens.filter(({ sha256 }) => {
    const stored = Buffer.from(sha256, "hex");
    return stored.byteLength === given.byteLength && timingSafeEqual(stored, given);
  });
  return found[0];
}

/** `now`: milliseconds. */
export function isExpired({ until }: Pick<Token, "until">, now: number): boolean {
  return until !== undefined && Date.parse(until) <= now;
}

/**
 * Parses `--until`: a last day like `2026-12-31` (UTC), or a time of RFC 3339. `now`: milliseconds. Gives RFC 3339. Throws a `usage`
 * failure.
 */
export function parseTokenEnd(text: string, now: number): string {
  const day = /^\d{4}-\d\d-\d\d$/.test(text);
  const time = day || /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(time))
    throw new Failure("usage", `--until: ${printable(text, 50)} is neither a day (2026-12-31) nor a time of RFC 3339`);
  const end = new Date(day ? time + 24 * 60 * 60 * 1000 : time);
  if (end.getTime() <= now) throw new Failure("usage", `--until: ${text} is over`);
  return end.toISOString();
}

function hashToken(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
