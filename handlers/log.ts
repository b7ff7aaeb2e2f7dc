/** JSON lines. Writing is put off to the end of the turn, so that many requests cost one system call. */

export type Level = "info" | "warn" | "error";

export interface LogLine {
  readonly level: Level;
  readonly message: string;
  readonly [key: string]: string | number | boolean;
}

export type Log = (line: LogLine) => void;

/** A log whose lines go to `write`; call `flush` before the process ends. */
export function createLog(write: (text: string) => void): { log: Log; flush: () => void } {
  let waiting: string[] = [];
  const flush = () => {
    const text = waiting.join("");
    waiting = [];
    if (text !== "") write(text);
  };
  const log: Log = (line) => {
    if (waiting.length === 0) setImmediate(flush);
    waiting.push(`${JSON.stringify({ time: new Date().toISOString(), ...line })}\n`);
  };
  return { log, flush };
}
