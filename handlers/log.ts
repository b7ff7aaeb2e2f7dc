/** A log of JSON lines, written once per turn of the event loop, so that many requests cost one system call. */

export type Level = "info" | "warn" | "error";

export interface LogLine {
  readonly level: Level;
  readonly message: string;
  readonly [key: string]: string | number | boolean;
}

export type Log = (line: LogLine) => void;

/** A log whose lines go to `write`; call `flush` before the process ends. */
export function createLog(write: (text: string) => void): { log: Log; flush: () => void } {
  let waiting = "";
  let [at, time] = [0, ""];
  const flush = () => {
    const text = waiting;
    waiting = "";
    if (text !== "") write(text);
  };
  const log: Log = (line) => {
    if (waiting === "") setImmediate(flush);
    const now = Date.now();
    if (now !== at) [at, time] = [now, new Date(now).toISOString()]; // many lines share a time
    waiting += `{"time":"${time}",${JSON.stringify(line).slice(1)}\n`;
  };
  return { log, flush };
}
