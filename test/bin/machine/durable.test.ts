/** What a command writes is on the disk when it ends. */

import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { createFile, makeFolder, replaceFile } from "../../../bin/machine/durable.ts";
import { traced, unsynced } from "../../disktrace.ts";
import { tempFolder } from "../../temp.ts";

describe("when it ends, a power cut takes nothing back of", () => {
  test.each<[string, (file: string) => Promise<unknown>]>([
    ["a file that is made", (file) => createFile(file, "text")],
    [
      "a file that is replaced",
      async (file) => {
        await createFile(file, "old");
        await replaceFile(file, "new");
      },
    ],
    ["folders", (file) => makeFolder(join(file, "a", "b"))],
  ])("%s", async (_, work) => {
    using folder = tempFolder();
    const { trace } = await traced(() => work(join(folder.path, "made")));
    expect([...unsynced(trace.events, () => true)].filter((path) => !path.includes("/.made."))).toEqual([]);
    expect(trace.events.length).toBeGreaterThan(0);
  });

  test("a file is on the disk before it gets its name", async () => {
    using folder = tempFolder();
    const { trace } = await traced(() => replaceFile(join(folder.path, "made"), "text"));
    const named = trace.events.findIndex(({ call }) => call === "rename");
    expect(named).toBeGreaterThan(0);
    const lost = [...unsynced(trace.events.slice(0, named + 1), () => true)];
    expect(lost.filter((what) => what.startsWith("the content of "))).toEqual([]);
  });

  test("a file that could not be written, which leaves nothing", async () => {
    using folder = tempFolder();
    await traced(async (trace) => {
      trace.fail = ({ call }) => (call === "sync" ? "EIO" : undefined);
      const failed = await replaceFile(join(folder.path, "made"), "text").catch((error: unknown) => String(error));
      expect(failed).toContain("EIO");
    });
    expect(readdirSync(folder.path)).toEqual([]);
  });
});
