/**
 * Progress of downloads on stderr: on a terminal a bar each and a line for all of them, otherwise the documented lines when a
 * download ends, and in between a line every ten seconds.
 */

import { printable } from "../../src/errors.ts";
import type { FetchProgress } from "../../src/export/archivewriter.ts";
import { type CommonOptions, count, type Io } from "./io.ts";
import { columnsOf, drawBar, drawMeter, every, Meter } from "./progress.ts";

/** of a bar, as the documented exporter prints it */
const WIDTH = 36;
const [DRAWING, LINE] = [100, 10_000];
/** bars at once, so that the redrawn area fits on the screen */
const MAX_BARS = 8;

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
  const isDue = every(live ? DRAWING : LINE, io);
  const meter = new Meter();
  const all = { done: 0, size: 0, begun: 0, ended: 0 };
  /** in the order in which they began; finished bars are removed once they are printed */
  let bars: Bar[] = [];
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
    const columns = columnsOf(io);
    const running = bars.filter((bar) => bar.done > 0).slice(0, MAX_BARS);
    if (running.length === 0) return;
    const total = drawMeter(meter, `${all.ended} of ${count(all.begun, "download")}`, columns);
    io.err(`${running.map((bar) => renderBar(bar, columns)).join("")}${total}\n`);
    lines = running.length * 2 + 1;
  };
  return {
    begin(label, size) {
      const bar: Bar = { label, size, done: 0 };
      bars.push(bar);
      all.begun += 1;
      all.size += size;
      return {
        advance(bytes) {
          bar.done += bytes;
          all.done += bytes;
          meter.update(io.now(), all.done, all.size);
          if (!isDue()) return;
          if (live) draw();
          else io.err(`export: ${meter.show().join(", ")} (${all.ended} of ${count(all.begun, "download")})\n`);
        },
        end(isWhole) {
          bar.outcome = isWhole ? "whole" : "broken";
          all.ended += 1;
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

/** The two lines of a download, as the documented exporter prints them; `columns`: of the screen that they must fit on. */
function renderBar({ label, size, done, outcome }: Bar, columns?: number): string {
  const share = outcome === "whole" ? 1 : size === 0 ? 0 : Math.min(1, done / size);
  const width = columns === undefined ? WIDTH : Math.min(WIDTH, columns - 12);
  const state = outcome === "broken" ? "broken off" : `${String(Math.floor(share * 100)).padStart(3)}%`;
  const name = printable(label, columns === undefined ? undefined : columns - "Downloading ".length - 2);
  return `Downloading ${name}\n  ${drawBar(share, width, "-")}  ${state}\n`;
}
