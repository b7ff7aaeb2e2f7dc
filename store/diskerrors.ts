/** Errors of a disk in words, with the next step. */

import { Failure, type FailureOptions, reason } from "../src/errors.ts";

/** Whether it was a hard link, which not every file system has. */
export function lacksLinks(error: unknown): boolean {
  return ["EPERM", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EMLINK"].includes(codeOf(error));
}

/** The code of an error of the system, as `ENOENT`; else empty. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/** Undefined where there is no such file. */
export async function missing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** What the next steps of a failure name. */
export interface Advice {
  /** what is not lost: `nothing was published` */
  readonly kept: string;
  /** how to write to another place: `name another store with --store` */
  readonly elsewhere: string;
  /** how to make smaller files: `give --chunk 4G` */
  readonly smaller?: string;
}

const TOLD: Readonly<Record<string, { message: string; next: (advice: Advice) => string }>> = {
  ENOSPC: { message: "no space is left on its disk", next: ({ kept }) => `free some space there and run the same command again; ${kept}` },
  EDQUOT: { message: "the disk quota is used up", next: ({ kept }) => `free some space there and run the same command again; ${kept}` },
  EFBIG: {
    message: "a file is larger than its file system or the process may write",
    next: ({ kept, smaller }) => `${smaller ? `${smaller}, ` : ""}raise the limit (ulimit -f) or use another file system; ${kept}`,
  },
  ENOTDIR: { message: "a part of its path is a file, not a folder", next: () => "name another folder" },
  EEXIST: { message: "there is a file of that name", next: () => "name another folder" },
  EROFS: { message: "its file system is read-only", next: ({ elsewhere }) => `mount it writable, or ${elsewhere}` },
  EACCES: { message: "permission is denied", next: ({ elsewhere }) => `run as the owner of that folder, or ${elsewhere}` },
  EPERM: { message: "the operation is not permitted", next: ({ elsewhere }) => `run as the owner of that folder, or ${elsewhere}` },
};

/** An error of the disk in words, with the next step. */
export function told(error: unknown, place: string, advice: Advice): unknown {
  if (error instanceof Failure) return error;
  const known = TOLD[codeOf(error)];
  if (!known) return error;
  const options: FailureOptions = { next: known.next(advice), cause: error };
  return new Failure("failed", `cannot write to ${place}: ${known.message} (${reason(error).split(",")[0]})`, options);
}
