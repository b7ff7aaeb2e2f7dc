/**
 * Progress of long work on stderr: on a terminal one line that is redrawn, otherwise a line every ten seconds, which shows that a
 * command in a pipe or a service is alive.
 */

import { basename } from "node:path";
import { printable } from "../../src/errors.ts";
import { type CommonOptions, type Io, showSize } from "./io.ts";

/** milliseconds between two drawings, two lines, and for which the rate is measured */
const [DRAWING, LINE, WINDOW] = [100, 10_000, 10_000];
/** columns of a bar and of a name */
const [LEAST_BAR, LARGEST_BAR, LARGEST_NAME] = [10, 40, 40];

export interface Progress {
  /** `what`: what is worked on; `done`: so far, of all; `size`: all, undefined: unknown */
  update(what: string, done: number, size: number | undefined): void;
  /** Removes what is drawn. */
  end(): void;
}

/** `command`: begins the lines; `unit`: what is counted, steps are shown as per cent only. */
export function progressOn(command: string, options: CommonOptions, io: Io, unit: "bytes" | "steps" = "bytes"): Progress {
  if (options.quiet) return { update() {}, end() {} };
  const meter = new Meter(unit);
  const live = io.terminal.err;
  const isDue = every(live ? DRAWING : LINE, io);
  let drawn = false;
  return {
    update(what, done, size) {
      meter.update(io.now(), done, size);
      if (!isDue()) return;
      const name = basename(what);
      io.err(
        live ? `\r\u001b[K${drawMeter(meter, name, columnsOf(io))}` : `${command}: ${meter.show().join(", ")} (${printable(name, 200)})\n`,
      );
      drawn = live;
    },
    end() {
      if (drawn) io.err("\r\u001b[K");
      drawn = false;
    },
  };
}

/** Bytes of all sources; undefined where that of one is not known. */
export function sizeOf(sources: readonly { readonly size?: number }[]): number | undefined {
  return sources.reduce<number | undefined>((sum, { size }) => (sum === undefined || size === undefined ? undefined : sum + size), 0);
}

/** For sources that are read one after another: progress through the `size` bytes of all of them. */
export function progressThrough(progress: Progress, size: number | undefined): (source: { readonly name: string }, bytes: number) => void {
  let [before, current, read] = [0, "", 0];
  return ({ name }, bytes) => {
    if (name !== current) [before, current] = [before + read, name];
    read = bytes;
    progress.update(name, before + read, size);
  };
}

/** Whether that many milliseconds have passed since it last said so; the first time since it was made. */
export function every(interval: number, { now, terminal }: Pick<Io, "now" | "terminal">): () => boolean {
  let last = terminal.err ? Number.NEGATIVE_INFINITY : now();
  return () => {
    const time = now();
    if (time - last < interval) return false;
    last = time;
    return true;
  };
}

export function columnsOf({ terminal: { columns = 80 } }: Pick<Io, "terminal">): number {
  return Math.max(20, columns);
}

/** How much of some work is done, how fast it goes, and how long it will take. */
export class Meter {
  readonly #unit: "bytes" | "steps";
  #done = 0;
  #size: number | undefined;
  /** of the last ten seconds, the oldest first */
  #samples: { readonly time: number; readonly done: number }[] = [];

  constructor(unit: "bytes" | "steps" = "bytes") {
    this.#unit = unit;
  }

  /** `time`: in milliseconds */
  update(time: number, done: number, size: number | undefined): void {
    [this.#done, this.#size] = [done, size];
    const last = this.#samples.at(-1);
    if (last && time - last.time < WINDOW / 10) return;
    this.#samples.push({ time, done });
    // The one before the window stays, so that the rate is never of less than the window.
    const young = this.#samples.findIndex((sample) => time - sample.time <= WINDOW);
    this.#samples = this.#samples.slice(Math.max(0, young - 1));
  }

  /** 0 to 1; undefined: unknown */
  get share(): number | undefined {
    if (this.#size === undefined) return undefined;
    return this.#size === 0 ? 1 : Math.min(1, this.#done / this.#size);
  }

  /** `54%`, `652 MiB of 1.2 GiB`, `60.0 MiB/s`, `9 s left`; what is not known is not there. */
  show(): string[] {
    const { share } = this;
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    const rate = first && last && last.time > first.time ? ((last.done - first.done) * 1000) / (last.time - first.time) : undefined;
    const amount =
      share === undefined ? showSize(this.#done) : `${showSize(Math.min(this.#done, this.#size ?? 0))} of ${showSize(this.#size ?? 0)}`;
    const left = rate !== undefined && rate > 0 && this.#size !== undefined ? (this.#size - this.#done) / rate : undefined;
    return [
      ...(share === undefined ? [] : [`${Math.floor(share * 100)}%`]),
      ...(this.#unit === "steps" ? [] : [amount]),
      ...(this.#unit === "steps" || rate === undefined ? [] : [`${showSize(rate)}/s`]),
      ...(left === undefined || left <= 0 ? [] : [`${showTime(left)} left`]),
    ];
  }
}

/** A line of fewer columns than the terminal has, so that it never wraps: a bar, the figures, a name. */
export function drawMeter(meter: Meter, name: string, columns: number): string {
  const { share } = meter;
  const figures = meter.show().join("  ");
  const free = columns - 1 - figures.length;
  const bar = share === undefined ? 0 : Math.min(LARGEST_BAR, Math.floor(free / 2) - 4);
  const drawn = share === undefined || bar < LEAST_BAR ? "" : `${drawBar(share, bar, ".")}  `;
  const room = Math.min(LARGEST_NAME, free - drawn.length - 2);
  return `${drawn}${figures}${room < LEAST_BAR ? "" : `  ${printable(name, room)}`}`.slice(0, columns - 1);
}

/** `[####....]`, `width` without its brackets */
export function drawBar(share: number, width: number, empty: string): string {
  const filled = Math.floor(share * width);
  return `[${"#".repeat(filled)}${empty.repeat(width - filled)}]`;
}

/** `9 s`, `12 min`, `3 h 20 min` */
function showTime(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
