/** Files are named after the process that writes them, so that those of dead processes can be told. */

import { randomUUID } from "node:crypto";
import type { Stats } from "node:fs";
import { hostname } from "node:os";
import { errorCode } from "../../store/diskerrors.ts";

const DAY = 24 * 60 * 60 * 1000;

/** A new name `HOST.PID.UUID`; hosts may share the folder. */
export function ownedName(): string {
  return `${hostname()}.${process.pid}.${randomUUID()}`;
}

/** Whether the process that `ownedName` named has ended, if it ran on this host, or the file was not modified for `age` milliseconds. */
export function isAbandoned(name: string, stat: Pick<Stats, "mtimeMs">, age = DAY): boolean {
  const match = /^(.+)\.(\d+)\.[0-9a-f-]{36}$/.exec(name);
  if (match?.[1] === hostname() && !isRunning(Number(match[2]))) return true;
  return Date.now() - stat.mtimeMs > age;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) === "EPERM";
  }
}
