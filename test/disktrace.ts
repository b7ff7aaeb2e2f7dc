/** What a program does to a disk, in its order, and what of it a power cut may still take away. In this process: no call is imitated. */

import { spyOn } from "bun:test";
import * as fsNow from "node:fs";
import * as fs from "node:fs/promises";
import { dirname, resolve } from "node:path";

export type Event =
  | { readonly call: "write" | "sync"; readonly path: string }
  | { readonly call: "rename" | "link"; readonly path: string; readonly to: string }
  | { readonly call: "unlink" | "mkdir"; readonly path: string };

export interface Trace {
  readonly events: readonly Event[];
  /** Fails each call that it says so of, with that code. */
  fail: (event: Event) => string | undefined;
}

/** Runs `work` and notes what it does to files: a sync or a removal when it has ended, everything else when it begins. */
export async function traced<T>(work: (trace: Trace) => Promise<T>): Promise<{ trace: Trace; result: T }> {
  const events: Event[] = [];
  const trace: Trace = { events, fail: () => undefined };
  const failing = (event: Event): void => {
    const code = trace.fail(event);
    if (code !== undefined)
      throw Object.assign(new Error(`${code}: on purpose, ${event.call} '${event.path}'`), { code, syscall: event.call });
  };
  const noted = (event: Event): void => {
    failing(event);
    events.push(event);
  };
  const { open, rename, link, unlink, mkdir, writeFile } = fs;
  const { openSync, renameSync, fsync } = fsNow;
  const opened = new Map<number, string>();
  const at = (path: unknown) => resolve(String(path));
  const spies = [
    spyOn(fsNow, "openSync").mockImplementation((path, ...how) => {
      const file = openSync(path, ...how);
      opened.set(file, at(path));
      events.push({ call: "write", path: at(path) });
      return file;
    }),
    spyOn(fsNow, "fsync").mockImplementation(((file: number, done: fsNow.NoParamCallback) => {
      const event: Event = { call: "sync", path: opened.get(file) ?? "" };
      try {
        failing(event);
      } catch (error) {
        setImmediate(done, error);
        return;
      }
      fsync(file, (error) => {
        if (!error) events.push(event);
        done(error);
      });
    }) as typeof fsNow.fsync),
    spyOn(fsNow, "renameSync").mockImplementation((from, to) => {
      noted({ call: "rename", path: at(from), to: at(to) });
      renameSync(from, to);
    }),
    spyOn(fs, "open").mockImplementation(async (...args) => {
      const path = at(args[0]);
      const handle = await open(...args);
      if (args[1] !== "r") events.push({ call: "write", path });
      const sync = handle.sync.bind(handle);
      handle.sync = async () => {
        failing({ call: "sync", path });
        await sync();
        events.push({ call: "sync", path });
      };
      return handle;
    }),
    spyOn(fs, "rename").mockImplementation(async (from, to) => {
      noted({ call: "rename", path: at(from), to: at(to) });
      await rename(from, to);
    }),
    spyOn(fs, "link").mockImplementation(async (from, to) => {
      noted({ call: "link", path: at(from), to: at(to) });
      await link(from, to);
    }),
    spyOn(fs, "unlink").mockImplementation(async (path) => {
      failing({ call: "unlink", path: at(path) });
      await unlink(path); // there may be none
      events.push({ call: "unlink", path: at(path) });
    }),
    spyOn(fs, "mkdir").mockImplementation((async (path: string, options: object) => {
      noted({ call: "mkdir", path: at(path) });
      return mkdir(path, options);
    }) as typeof fs.mkdir),
    spyOn(fs, "writeFile").mockImplementation(async (path, bytes, options) => {
      const isSynced = typeof options === "object" && options?.flush === true;
      events.push({ call: "write", path: at(path) });
      await writeFile(path, bytes, options);
      if (isSynced) noted({ call: "sync", path: at(path) });
    }),
  ];
  try {
    return { trace, result: await work(trace) };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

/**
 * What a power cut may take away: names that a folder got or lost since it was synced last, and names of files whose content was
 * not. `counts`: whether a path matters; what is on its way, or tells who is alive, does not.
 */
export function unsynced(events: readonly Event[], counts: (path: string) => boolean): Set<string> {
  const lost = new Set<string>();
  const written = new Set<string>();
  const move = (from: string, to: string): void => {
    if (!counts(to)) return;
    if (written.has(from)) lost.add(`the content of ${to}`);
    lost.add(to);
  };
  for (const event of events) {
    if (event.call === "write") written.add(event.path);
    else if (event.call === "sync") {
      written.delete(event.path);
      for (const path of lost) if (dirname(path) === event.path) lost.delete(path);
    } else if (event.call === "rename" || event.call === "link") {
      move(event.path, event.to);
      if (event.call === "rename" && counts(event.path)) lost.add(event.path);
    } else if (counts(event.path)) lost.add(event.path);
  }
  return lost;
}
