/** What an S3-compatible engine refused, or that none answered: in words, with the next step. */

import { Failure, type FailureKind, printable } from "../src/errors.ts";

/** An answer that is no success. */
export class S3Error extends Error {
  readonly status: number;
  /** `NoSuchBucket`; of a reply without a body, as to HEAD, by its status */
  readonly code: string;
  /** the region that the engine says to use */
  readonly region: string | undefined;

  constructor(status: number, { code, message, region }: { readonly code: string; readonly message: string; readonly region?: string }) {
    super(message === "" ? `status ${status}` : message);
    this.status = status;
    this.code = code;
    this.region = region;
  }
}

/** No answer, or a broken one. */
export class S3Silence extends Error {
  /** of the system or of TLS, like `ECONNREFUSED`; may be empty */
  readonly code: string;

  constructor(code: string, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** Whether the same request may succeed a moment later. */
export function isPassing(error: unknown): boolean {
  if (error instanceof S3Silence) return !UNTRUSTED.test(error.code);
  if (!(error instanceof S3Error)) return false;
  return PASSING.has(error.code) || [429, 500, 502, 503, 504].includes(error.status);
}

const UNTRUSTED = /CERT|SIGNATURE_FAILURE|ISSUER/;
/** Besides these, by status: 429 and 500 to 504 without 501. */
const PASSING: ReadonlySet<string> = new Set([
  "SlowDown",
  "ServiceUnavailable",
  "InternalError",
  "RequestTimeout",
  "OperationAborted",
  "ConditionalRequestConflict",
  "XAmzContentSHA256Mismatch", // the bytes changed on their way
  "BadDigest",
  "IncompleteBody",
]);

export interface S3Place {
  /** `s3://BUCKET/PREFIX` */
  readonly place: string;
  readonly bucket: string;
  readonly endpoint: string;
}

interface Explanation {
  readonly message: string;
  readonly next: (place: S3Place, error: S3Error) => string;
  readonly kind?: FailureKind;
}

const POLICY = ({ place }: S3Place) => `chp doctor --store ${place} --policy prints what the key must be allowed`;
const SECRET: Explanation = {
  message: "the signature does not match",
  next: () => "check AWS_SECRET_ACCESS_KEY, which belongs to AWS_ACCESS_KEY_ID, and AWS_REGION",
};
const REGION: Explanation = {
  message: "the bucket is in another region",
  next: (_place, { region }) => `set AWS_REGION${region === undefined ? " to that of the bucket" : `=${region}`}`,
};
const DENIED: Explanation = { message: "access is denied", next: POLICY };
const TOKEN: Explanation = { message: "the session has ended", next: () => "renew AWS_SESSION_TOKEN and the key that came with it" };
const FULL: Explanation = {
  message: "there is no space left",
  next: () => "nothing was published; chp gc frees what no generation names, or let the bucket have more",
};
const BUSY: Explanation = {
  message: "it answers that it is too busy",
  next: () => "run the same command again; look at the load and the health of the storage",
  kind: "busy",
};

const EXPLANATIONS: Readonly<Record<string, Explanation>> = {
  AccessDenied: DENIED,
  AllAccessDisabled: DENIED,
  InvalidAccessKeyId: { message: "it does not know the access key", next: () => "check AWS_ACCESS_KEY_ID" },
  SignatureDoesNotMatch: SECRET,
  ExpiredToken: TOKEN,
  InvalidToken: TOKEN,
  TokenRefreshRequired: TOKEN,
  RequestTimeTooSkewed: { message: "its clock and that of this machine differ", next: () => "set the clock of this machine, as by NTP" },
  NoSuchBucket: {
    message: "there is no such bucket",
    next: ({ bucket, endpoint }) => `make it: aws --endpoint-url ${endpoint} s3 mb s3://${bucket}; or name another with --store`,
  },
  InvalidBucketName: { message: "that is no name of a bucket", next: () => "name another: --store s3://BUCKET/PREFIX" },
  AuthorizationHeaderMalformed: REGION,
  PermanentRedirect: REGION,
  IllegalLocationConstraintException: REGION,
  QuotaExceeded: FULL,
  InsufficientStorage: FULL,
  XMinioStorageFull: FULL,
  EntityTooLarge: { message: "the object is too large for it", next: () => "raise the limit of the storage for one object" },
  NotImplemented: {
    message: "it does not implement what is asked",
    next: ({ place }) => `chp doctor --store ${place} shows what it can do; use a newer release of it, or another engine`,
  },
  SlowDown: BUSY,
  ServiceUnavailable: BUSY,
};

const BY_STATUS: Readonly<Record<number, Explanation>> = { 301: REGION, 400: SECRET, 403: DENIED, 503: BUSY, 507: FULL };

/** A `Failure` for errors of the engine; any other error unchanged. `what`: `read catalog/0000000001.json`. */
export function explainS3Error(error: unknown, what: string, at: S3Place): unknown {
  if (error instanceof S3Silence) return explainSilence(error, what, at);
  if (!(error instanceof S3Error)) return error;
  const known = EXPLANATIONS[error.code] ?? BY_STATUS[error.status];
  const detail = printable(error.code === "" ? `status ${error.status}` : `${error.code}: ${error.message}`, 300);
  const kind = known?.kind ?? (error.status >= 500 ? "busy" : "failed");
  return new Failure(kind, `cannot ${what} in ${at.place}: ${known === undefined ? "the storage says" : `${known.message},`} ${detail}`, {
    next: known?.next(at, error) ?? `chp doctor --store ${at.place} checks the bucket`,
    cause: error,
  });
}

function explainSilence(error: S3Silence, what: string, { place, endpoint }: S3Place): Failure {
  const why = printable(error.message, 300);
  if (UNTRUSTED.test(error.code))
    return new Failure("failed", `cannot ${what} in ${place}: the certificate of ${endpoint} is not trusted: ${why}`, {
      next: "name the certificate of its authority: AWS_CA_BUNDLE=FILE",
      cause: error,
    });
  return new Failure("busy", `cannot ${what} in ${place}: ${endpoint} does not answer: ${why}`, {
    next: `check AWS_ENDPOINT_URL, and that the storage is up: curl -sS ${endpoint}`,
    cause: error,
  });
}

/** Whether the storage is out of reach for now, rather than damaged or forbidden. */
export function isAway(error: unknown): error is Failure {
  return error instanceof Failure && error.kind === "busy" && (error.cause instanceof S3Silence || error.cause instanceof S3Error);
}
