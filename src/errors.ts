/** The only error type of the program. Everything that a person or a client sees as an error is a `Failure` of one of these kinds. */

/** By kind the exit code of a command. What it is in a reply: handlers/errors.ts. */
const EXIT_CODES = {
  failed: 1,
  "not-found": 1,
  "not-allowed": 1,
  unauthorized: 1,
  forbidden: 1,
  busy: 1,
  "too-many": 1,
  "client-gone": 1,
  "too-large": 3,
  "too-slow": 1,
  malformed: 2,
  usage: 2,
  refused: 3,
  partly: 4,
  "no-store": 10,
  "store-too-new": 11,
  conflict: 12,
  corrupt: 13,
  published: 14,
  interrupted: 130,
} as const satisfies Record<string, number>;

export type FailureKind = keyof typeof EXIT_CODES;

export function isFailureKind(text: string): text is FailureKind {
  return Object.hasOwn(EXIT_CODES, text);
}

export interface FailureOptions {
  /** the next thing to type or to do, printed on a line of its own */
  next?: string;
  cause?: unknown;
  /** see `Failure.at` */
  at?: readonly string[];
}

/**
 * The message says in the user's words what cannot be done: lower-case, no trailing full stop, the file or field named. The message is
 * the place and the reason, `outer.tar.gz: kafka.tar.gz: metadata.json: it is not UTF-8 text`.
 */
export class Failure extends Error {
  override readonly name = "Failure";
  readonly kind: FailureKind;
  readonly next: string | undefined;
  /** where it happened, outermost first: archives, a file, a part of it; may be empty */
  readonly at: readonly string[];
  /** the message without the place */
  readonly reason: string;

  constructor(kind: FailureKind, message: string, { next, cause, at = [] }: FailureOptions = {}) {
    super(at.length === 0 ? message : `${joinLocation(at)}: ${message}`, cause === undefined ? undefined : { cause });
    this.kind = kind;
    this.next = next;
    this.at = at;
    this.reason = message;
  }

  get exit(): number {
    return EXIT_CODES[this.kind];
  }

  /** The same failure, with the enclosing `places` in front; places that it names already are not repeated. */
  within(...places: readonly string[]): Failure {
    if (places.every((place, i) => place === this.at[i])) return this;
    return new Failure(this.kind, this.reason, { ...(this.next && { next: this.next }), cause: this, at: [...places, ...this.at] });
  }
}

/** A place as text: `outer.tar.gz: kafka.tar.gz: metadata.json`. */
export function joinLocation(at: readonly string[]): string {
  return printable(at.join(": "));
}

/** A `refused` failure: the content is wrong, exit code 3. */
export function refused(message: string, options?: FailureOptions): Failure {
  return new Failure("refused", message, options);
}

/** The failure of a step after generation `number` was published, exit code 14: another run must not count on the store before it. */
export function publishedButFailed(number: number, error: unknown): Failure {
  const next = error instanceof Failure && error.next !== undefined ? error.next : "chp log shows it; chp verify checks that it is intact";
  return new Failure("published", `generation ${number} is published, but a later step failed: ${reason(error)}`, { next, cause: error });
}

/** Whether something is damaged, rather than out of reach. */
export function isCorrupt(error: unknown): error is Failure {
  return error instanceof Failure && error.kind === "corrupt";
}

/** Undefined instead of a `corrupt` failure. */
export async function undefinedIfCorrupt<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (isCorrupt(error)) return undefined;
    throw error;
  }
}

/** What went wrong, for a line of text. */
export function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

// Control, format and bidirectional characters from an archive or a request would act on the operator's terminal.
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** `text` with every character that is not for printing shown as `\u{…}`; at most `limit` characters. */
export function printable(text: string, limit = 4096): string {
  const shown = text.replace(UNPRINTABLE, (c) => `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`);
  return shown.length > limit ? `${shown.slice(0, limit)}…` : shown;
}
