/** A progress bar on stderr, if that is a terminal. */

import { basename } from "node:path";
import { printable } from "../../src/errors.ts";
import { type CommonOptions, type Io, showSize } from "./io.ts";

const INTERVAL = 100;
const WIDTH = 24;

export interface Progress {
  /** `size`: total bytes; undefined: unknown */
  update(name: string, done: number, size: number | undefined): void;
  /** Removes the bar. */
  end(): void;
}

export function progressOn(options: CommonOptions, io: Io): Progress {
  if (!io.terminal.err || options.quiet) return { update() {}, end() {} };
  let drawn = 0;
  return {
    update(name, done, size) {
      const now = performance.now();
      if (now - drawn < INTERVAL) return;
      drawn = now;
      const share = size ? Math.min(1, done / size) : undefined;
      const filled = Math.round((share ?? 0) * WIDTH);
      const bar =
        share === undefined ? "" : `[${"#".repeat(filled)}${".".repeat(WIDTH - filled)}] ${String(Math.floor(share * 100)).padStart(3)}%  `;
      io.err(`\r\u001b[K${bar}${showSize(done)}  ${printable(basename(name), 60)}`);
    },
    end() {
      if (drawn > 0) io.err("\r\u001b[K");
    },
  };
}
