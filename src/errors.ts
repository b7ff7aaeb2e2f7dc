/** The only error type of the program. Everything that a person or a client sees as an error is a `Failure` of one of these kinds. */

/** How a kind of failure is reported. */
interface FailureCodes {
  /** exit code of a command */
  readonly exit: number;
  /** HTTP status of a reply */
  readonly status: 400 | 401 | 403 | 404 | 405 | 408 | 413 | 500 | 503;
  /** code in the `error-list` of a Charmhub reply */
  readonly code: string;
}

const KINDS = {
  failed: { exit: 1, status: 500, code: "api-error" },
  "not-found": { exit: 1, status: 404, code: "resource-not-found" },
  "not-allowed": { exit: 1, status: 405, code: "api-error" },
  unauthorized: { exit: 1, status: 401, code: "unauthorized" },
  forbidden: { exit: 1, status: 403, code: "forbidden" },
  busy: { exit: 1, status: 503, code: "busy" },
  "too-large": { exit: 3, status: 413, code: "bad-argument" },
  "too-slow": { exit: 1, status: 408, code: "api-error" },
  malformed: { exit: 2, status: 400, code: "bad-argument" },
  usage: { exit: 2, status: 400, code: "bad-argument" },
  refused: { exit: 3, status: 400, code: "bad-argument" },
  partly: { exit: 4, status: 500, code: "api-error" },
  "no-store": { exit: 10, status: 500, code: "api-error" },
  "store-too-new": { exit: 11, status: 500, code: "api-error" },
  conflict: { exit: 12, status: 500, code: "api-error" },
  corrupt: { exit: 13, status: 500, code: "api-error" },
  interrupted: { exit: 130, status: 500, code: "api-error" },
} as const satisfies Record<string, FailureCodes>;

export type FailureKind = keyof typeof KINDS;

export function isFailureKind(text: string): text is FailureKind {
  return Object.hasOwn(KINDS, text);
}

export interface FailureOptions {
  /** the next thing to type or to do, printed on a line of its own */
  next?: string;
  cause?: unknown;
  /** see `Failure.at` */
  at?: readonly string[];
}

/**
 * Says what cannot be done in the user's words: lower-case, no trailing full stop, the file or field named. The message is
 * the place and the reason, `outer.tar.gz: kafka.tar.gz: metadata.json: it is not UTF-8 text`.
 */
export class Failure extends Error {
  override readonly name = "Failure";
  readonly kind: FailureKind;
  readonly next: string | undefined;
  /** where it happened, outermost first: archives, a file, a part of it; empty: the reason says it */
  readonly at: readonly string[];
  /** the message without the place */
  readonly reason: string;

  constructor(kind: FailureKind, message: string, { next, cause, at = [] }: FailureOptions = {}) {
    super(at.length === 0 ? message : `${showPlace(at)}: ${message}`, cause === undefined ? undefined : { cause });
    this.kind = kind;
    this.next = next;
    this.at = at;
    this.reason = message;
  }

  get exit(): number {
    return KINDS[this.kind].exit;
  }

  get status(): FailureCodes["status"] {
    return KINDS[this.kind].status;
  }

  get code(): string {
    return KINDS[this.kind].code;
  }

  /** The same failure, seen from `places` around it; those that it names already are not added again. */
  within(...places: readonly string[]): Failure {
    if (places.every((place, i) => place === this.at[i])) return this;
    return new Failure(this.kind, this.reason, { ...(this.next && { next: this.next }), cause: this, at: [...places, ...this.at] });
  }
}

/** A place as text: `outer.tar.gz: kafka.tar.gz: metadata.json`. */
export function showPlace(at: readonly string[]): string {
  return printable(at.join(": "));
}

/** A `refused` failure: the content is wrong, exit code 3. */
export function refused(message: string, options?: FailureOptions): Failure {
  return new Failure("refused", message, options);
}

/** Whether something is damaged, rather than out of reach. */
export function isCorrupt(error: unknown): error is Failure {
  return error instanceof Failure && error.kind === "corrupt";
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
