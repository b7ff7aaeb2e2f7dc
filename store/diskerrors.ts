/** Explains error codes of the system in words, with the next step. */

import { Failure, type FailureOptions, reason } from "../src/errors.ts";

/** Whether a hard link failed because the file system does not support them. */
export function isLinkUnsupported(error: unknown): boolean {
  return ["EPERM", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EMLINK"].includes(errorCode(error));
}

/** The code of a system error, like `ENOENT`; empty for other errors. */
export function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/** Whether something counts as damaged only because the disk could not read it now. */
export function isReadError(error: unknown): boolean {
  return error instanceof Failure && errorCode(error.cause) === "EIO";
}

/** Undefined instead of ENOENT. */
export async function undefinedIfMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** The parts of the next step that depend on what was being written. */
export interface Advice {
  /** what is not lost: `nothing was published` */
  readonly unharmed: string;
  /** how to write to another place: `name another store with --store` */
  readonly elsewhere: string;
  /** what to do where a file lies in the place of a folder, or of a file that is to be made */
  readonly obstacle?: string;
  /** who owns what was read: a name, or `#1000` */
  readonly owner?: string;
  /** how to make smaller files: `give --chunk 4G` */
  readonly smaller?: string;
}

type Explanations = Readonly<Record<string, { message: string; next: (advice: Advice) => string }>>;

/** What the device or the system may say of any call, whether it reads or writes. */
const DEVICE_ERRORS: Explanations = {
  EIO: {
    message: "the disk has an input/output error",
    next: ({ unharmed }) => `look at the system's log (dmesg), and repair or replace the disk; ${unharmed}`,
  },
  EMFILE: {
    message: "the process has too many files open",
    next: ({ unharmed }) => `raise the limit (ulimit -n) and run the same command again; ${unharmed}`,
  },
  ENFILE: { message: "the system has too many files open", next: ({ unharmed }) => `run the same command again later; ${unharmed}` },
  EINTR: { message: "the system broke the call off", next: ({ unharmed }) => `run the same command again; ${unharmed}` },
  ESTALE: {
    message: "its file system was taken away",
    next: ({ unharmed }) => `mount it again and run the same command again; ${unharmed}`,
  },
};

const EXPLANATIONS: Explanations = {
  ENOSPC: {
    message: "no space is left on its disk, or no inode",
    next: ({ unharmed }) => `free some space there and run the same command again; ${unharmed}`,
  },
  EDQUOT: {
    message: "the disk quota is used up",
    next: ({ unharmed }) => `free some space there and run the same command again; ${unharmed}`,
  },
  EFBIG: {
    message: "a file is larger than its file system or the process may write",
    next: ({ unharmed, smaller }) => `${smaller ? `${smaller}, ` : ""}raise the limit (ulimit -f) or use another file system; ${unharmed}`,
  },
  ENOTDIR: { message: "a part of its path is a file, not a folder", next: ({ obstacle = "name another folder" }) => obstacle },
  EEXIST: { message: "there is a file of that name", next: ({ obstacle = "name another folder" }) => obstacle },
  ...DEVICE_ERRORS,
  EROFS: { message: "its file system is read-only", next: ({ elsewhere }) => `mount it writable, or ${elsewhere}` },
  EACCES: { message: "permission is denied", next: ({ elsewhere }) => `run as the owner of that folder, or ${elsewhere}` },
  EPERM: { message: "the operation is not permitted", next: ({ elsewhere }) => `run as the owner of that folder, or ${elsewhere}` },
};

/** What the system says of a path that is read. */
const READ_EXPLANATIONS: Explanations = {
  ...DEVICE_ERRORS,
  ENOTDIR: { message: "a part of its path is a file, not a folder", next: () => "name the folder of a store with --store DIR" },
  EACCES: { message: "permission is denied", next: ({ owner }) => runAs(owner) },
  EPERM: { message: "the operation is not permitted", next: ({ owner }) => runAs(owner) },
};

function runAs(owner = "#0"): string {
  return `run it as the owner of the store: sudo -u ${/^[\w.-]+$/.test(owner) ? owner : `'${owner}'`} chp …`;
}

/** A `failed` failure for an error with a known code; any other error unchanged. `place`: the folder that was written to. */
export function explainDiskError(error: unknown, place: string, advice: Advice): unknown {
  return explain(error, `cannot write to ${place}`, EXPLANATIONS, advice);
}

/** The same for a file or folder that was read. */
export function explainReadError(error: unknown, place: string, advice: Advice): unknown {
  return explain(error, `cannot read ${place}`, READ_EXPLANATIONS, advice);
}

/** The same for an error of the disk or the system that nobody else explained; undefined: it is none. */
export function explainSystemError(error: unknown): Failure | undefined {
  const path = error instanceof Error && "path" in error && typeof error.path === "string" ? error.path : "a file";
  const explained = explain(error, `cannot use ${path}`, EXPLANATIONS, {
    unharmed: "what was published before stays",
    elsewhere: "use another folder",
  });
  return explained instanceof Failure ? explained : undefined;
}

function explain(error: unknown, what: string, explanations: Explanations, advice: Advice): unknown {
  if (error instanceof Failure) return error;
  const known = explanations[errorCode(error)];
  if (!known) return error;
  const options: FailureOptions = { next: known.next(advice), cause: error };
  return new Failure("failed", `${what}: ${known.message} (${reason(error).split(",")[0]})`, options);
}
