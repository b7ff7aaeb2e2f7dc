/** Progress of downloads on stderr: a bar each on a terminal, otherwise the documented lines when a download ends. */

import { printable } from "../../src/errors.ts";
import type { FetchProgress } from "../../src/export/archivewriter.ts";
import { type CommonOptions, type Io } from "./io.ts";

const WIDTH = 36;
const INTERVAL = 100;
/** limits of the redrawn area, so that it fits on the screen: characters of a label, and bars */
const [MAX_LABEL, MAX_BARS] = [60, 8];

export interface Downloads {
  begin(label: string, size: number): FetchProgress;
  /** Prints a line above the bars. */
  say(text: string): void;
  /** Removes the bars. */
  end(): void;
}

interface Bar {
  readonly label: string;
  readonly size: number;
  done: number;
  /** undefined: still running */
  outcome?: "whole" | "broken";
}

export function downloadsOn(options: CommonOptions, io: Io): Downloads {
  if (options.quiet) return { begin: () => ({ advance() {}, end() {} }), say() {}, end() {} };
  const live = io.terminal.err;
  /** in the order in which they began; finished bars are removed once they are printed */
  let bars: Bar[] = [];
  let drawn = 0;
  let lines = 0;

  const clear = () => {
    if (lines > 0) io.err(`\u001b[${lines}A\r\u001b[J`);
    lines = 0;
  };
  const draw = () => {
    clear();
    // On a terminal, finished bars move above the running ones; otherwise the lines keep the order of the export.
    const printed = live ? bars.filter((bar) => bar.outcome) : bars.slice(0, firstRunning(bars));
    for (const bar of printed) io.err(renderBar(bar));
    bars = bars.filter((bar) => !printed.includes(bar));
    if (!live) return;
    const running = bars.filter((bar) => bar.done > 0).slice(0, MAX_BARS);
    io.err(running.map((bar) => renderBar(bar, MAX_LABEL)).join(""));
    lines = running.length * 2;
    drawn = performance.now();
  };
  return {
    begin(label, size) {
      const bar: Bar = { label, size, done: 0 };
      bars.push(bar);
      return {
        advance(bytes) {
          bar.done += bytes;
          if (live && performance.now() - drawn >= INTERVAL) draw();
        },
        end(isWhole) {
          bar.outcome = isWhole ? "whole" : "broken";
          draw();
        },
      };
    },
    say(text) {
      clear();
      io.err(`${printable(text)}\n`);
    },
    end: clear,
  };
}

function firstRunning(bars: readonly Bar[]): number {
  const at = bars.findIndex((bar) => !bar.outcome);
  return at < 0 ? bars.length : at;
}

/** The two lines of a download, as the documented exporter prints them. */
function renderBar({ label, size, done, outcome }: Bar, limit?: number): string {
  const share = outcome === "whole" ? 1 : size === 0 ? 0 : Math.min(1, done / size);
  const filled = Math.floor(share * WIDTH);
  const bar = `[${"#".repeat(filled)}${"-".repeat(WIDTH - filled)}]`;
  const state = outcome === "broken" ? "broken off" : `${String(Math.floor(share * 100)).padStart(3)}%`;
  return `Downloading ${printable(label, limit)}\n  ${bar}  ${state}\n`;
}
