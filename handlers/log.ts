/** A log of JSON lines, written once per turn of the event loop, so that many requests cost one system call. */

export const LEVELS = ["info", "warn", "error"] as const;
export type Level = (typeof LEVELS)[number];

export interface LogLine {
  readonly level: Level;
  readonly message: string;
  /** undefined: it is not written */
  readonly [key: string]: string | number | boolean | undefined;
}

export type Log = (line: LogLine) => void;

/** A log whose lines of at least that level go to `write`; call `flush` before the process ends. */
export function createLog(write: (text: string) => void, least: Level = "info"): { log: Log; flush: () => void } {
  const logged = new Set<Level>(LEVELS.slice(LEVELS.indexOf(least)));
  let waiting = "";
  let [now, time] = [-1, ""];
  const flush = () => {
    const text = waiting;
    waiting = "";
    if (text !== "") write(text);
  };
  const log: Log = (line) => {
    if (!logged.has(line.level)) return;
    if (waiting === "") setImmediate(flush);
    const at = Date.now();
    if (at !== now) [now, time] = [at, new Date(at).toISOString()]; // many share it
    waiting += `{"time":"${time}",${JSON.stringify(line).slice(1)}\n`;
  };
  return { log, flush };
}
