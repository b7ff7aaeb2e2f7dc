/** One export at a time in a work folder. */

import * as fs from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Failure, printable } from "../../src/errors.ts";
import { undefinedIfMissing } from "../../store/diskerrors.ts";
import { isAbandoned, ownedName } from "../../store/liveness.ts";

export const LOCK = "lock.";

/** milliseconds between two signs of life of who has a lock, and without one until it counts as dead */
const [BEAT, DEAD] = [10_000, 60_000];
const TRIES = 6;

/**
 * A file in the folder whose name says whose it is: whoever sees that of another, which lives, after making its own steps
 * back. So at most one passes, on any file system, whatever was killed when.
 */
export class Lock {
  readonly #path: string;
  readonly #timer: ReturnType<typeof setInterval>;
  #state: "held" | "lost" | "ended" = "held";

  private constructor(path: string) {
    this.#path = path;
    this.#timer = setInterval(() => void this.#beat(), BEAT);
    this.#timer.unref();
  }

  static async take(folder: string): Promise<Lock> {
    for (let tries = 1; ; tries += 1) {
      await fs.mkdir(folder, { recursive: true });
      const own = LOCK + ownedName();
      await undefinedIfMissing(fs.writeFile(join(folder, own), "")); // the folder may be removed at any moment
      const names = ((await undefinedIfMissing(fs.readdir(folder))) ?? []).filter((name) => name.startsWith(LOCK));
      const others: string[] = [];
      for (const name of names) if (name !== own && (await isAlive(folder, name))) others.push(name);
      if (names.includes(own) && others.length === 0) return new Lock(join(folder, own));
      await undefinedIfMissing(fs.unlink(join(folder, own)));
      if (tries === TRIES) throw inUse(folder, others);
      await sleep(Math.random() * 50); // two that started at the same moment both stepped back
    }
  }

  /** Throws where the folder is not ours any more. */
  check(): void {
    if (this.#state === "lost")
      throw new Failure("conflict", `another chp took ${printable(dirname(this.#path))} over, since this one gave no sign of life`, {
        next: "let that one finish",
      });
    if (this.#state === "ended") throw new Failure("failed", "the export has ended");
  }

  /** Nothing more is to be done in the folder; others wait until it is released, or gone. */
  end(): void {
    clearInterval(this.#timer);
    this.#state = "ended";
  }

  async release(): Promise<void> {
    await undefinedIfMissing(fs.unlink(this.#path));
  }

  async #beat(): Promise<void> {
    const now = new Date();
    const beaten = await undefinedIfMissing(fs.utimes(this.#path, now, now).then(() => true)).catch(() => true);
    if (!beaten && this.#state === "held") this.#state = "lost";
  }
}

/** Whether the lock is one of a process that lives; removes it where not. */
async function isAlive(folder: string, name: string): Promise<boolean> {
  const stat = await undefinedIfMissing(fs.stat(join(folder, name)));
  if (!stat) return false;
  if (!isAbandoned(name.slice(LOCK.length), stat, DEAD)) return true;
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
