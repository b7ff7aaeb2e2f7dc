/** A lock on a work folder. */

import * as fs from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Failure, printable } from "../../src/errors.ts";
import { undefinedIfMissing } from "../../store/diskerrors.ts";
import { isAbandoned, ownedName } from "./liveness.ts";

export const LOCK_PREFIX = "lock.";

/** milliseconds between two updates of the lock file's time, and without an update until its process counts as dead */
const [HEARTBEAT_INTERVAL, DEAD_AFTER] = [10_000, 60_000];
const TRIES = 6;

/**
 * A lock file named after host, process and a random id. Each process creates its own, then lists the folder: if another live
 * process has a lock file, it deletes its own and tries again. So at most one process holds the lock, on any file system and
 * whenever a process is killed.
 */
export class WorkLock {
  readonly #path: string;
  readonly #timer: ReturnType<typeof setInterval>;
  #state: "held" | "lost" | "ended" = "held";

  private constructor(path: string) {
    this.#path = path;
    this.#timer = setInterval(() => void this.#heartbeat(), HEARTBEAT_INTERVAL);
    this.#timer.unref();
  }

  static async take(folder: string): Promise<WorkLock> {
    for (let tries = 1; ; tries += 1) {
      await fs.mkdir(folder, { recursive: true });
      const own = LOCK_PREFIX + ownedName();
      await undefinedIfMissing(fs.writeFile(join(folder, own), "")); // the folder may be removed at any moment
      const names = ((await undefinedIfMissing(fs.readdir(folder))) ?? []).filter((name) => name.startsWith(LOCK_PREFIX));
      const others: string[] = [];
      for (const name of names) if (name !== own && (await isAlive(folder, name))) others.push(name);
      if (names.includes(own) && others.length === 0) return new WorkLock(join(folder, own));
      await undefinedIfMissing(fs.unlink(join(folder, own)));
      if (tries === TRIES) throw inUse(folder, others);
      await sleep(Math.random() * 50); // two processes that started at the same moment have both backed off
    }
  }

  /** Fails with `conflict` if another process has taken the lock, with `failed` after `end`. */
  check(): void {
    if (this.#state === "lost")
      throw new Failure("conflict", `another chp took ${printable(dirname(this.#path))} over, since this one gave no sign of life`, {
        next: "let that one finish",
      });
    if (this.#state === "ended") throw new Failure("failed", "the export has ended");
  }

  /** Ends work in the folder; the lock file stays until `release`. */
  end(): void {
    clearInterval(this.#timer);
    this.#state = "ended";
  }

  async release(): Promise<void> {
    await undefinedIfMissing(fs.unlink(this.#path));
  }

  async #heartbeat(): Promise<void> {
    const now = new Date();
    const updated = await undefinedIfMissing(fs.utimes(this.#path, now, now).then(() => true)).catch(() => true);
    if (!updated && this.#state === "held") this.#state = "lost";
  }
}

/** Whether the process of a lock file is alive; removes the file of a dead one. */
async function isAlive(folder: string, name: string): Promise<boolean> {
  const stat = await undefinedIfMissing(fs.stat(join(folder, name)));
  if (!stat) return false;
  if (!isAbandoned(name.slice(LOCK_PREFIX.length), stat, DEAD_AFTER)) return true;
  await undefinedIfMissing(fs.unlink(join(folder, name)));
  return false;
}

function inUse(folder: string, [name = ""]: readonly string[]): Failure {
  const [, host = "", process = ""] = /^lock\.(.+)\.(\d+)\.[0-9a-f-]{36}$/.exec(name) ?? [];
  const by = process === "" ? "" : `, by process ${process} on ${printable(host, 100)}`;
  return new Failure("conflict", `the same export is being made already${by}`, {
    next: `wait for it to end; if it was killed on another machine, run the same command again in a minute (${printable(basename(folder))})`,
  });
}
