/** Names of staged files tell the process that writes them, so that those of dead ones can be swept. */

import { randomUUID } from "node:crypto";
import type { Stats } from "node:fs";
import { hostname } from "node:os";
import { codeOf } from "./diskerrors.ts";

const DAY = 24 * 60 * 60 * 1000;

/** A name that tells, in a folder that several hosts may share, whose process it belongs to. */
export function ownedName(): string {
  return `${hostname()}.${process.pid}.${randomUUID()}`;
}

/** Whether a file of an `ownedName` is nobody's: of this host and a process that has ended, or untouched for `age` milliseconds. */
export function abandoned(name: string, stat: Pick<Stats, "mtimeMs">, age = DAY): boolean {
  const match = /^(.+)\.(\d+)\.[0-9a-f-]{36}$/.exec(name);
  if (match?.[1] === hostname() && !isRunning(Number(match[2]))) return true;
  return Date.now() - stat.mtimeMs > age;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === "EPERM";
  }
}
