/**
 * What is made to take a parser long, and archives that are made to take much of everything, in processes of their own, which are measured.
 * CHP_HOSTILE=all tries every archive, and 2 MiB of every text in a process of its own, which takes minutes; else some archives, and half a
 * MiB, a quarter in `make test`.
 */

import { describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { COMMAND, chp } from "../e2e/chp.ts";
import { BOMB_SIZE, BOMBS } from "../hostile/bombs.ts";
import type { Measured } from "../hostile/measure.ts";
import { TEXTS } from "../hostile/texts.ts";
import { tempFolder } from "../temp.ts";
import { exhaustive } from "../thorough.ts";

const all = process.env["CHP_HOSTILE"] === "all";
const MIB = 2 ** 20;
const SIZE = all ? 2 * MIB : exhaustive ? MIB / 2 : MIB / 8;
const ROOT = join(import.meta.dir, "../..");

/** One after the other: side by side they would take each other's processor. */
async function run(command: readonly string[]): Promise<{ readonly out: string; readonly code: number }> {
  // If a parser hangs, the processor time of its process ends it.
  const child = Bun.spawn(["sh", "-c", 'ulimit -t "$1"; shift; exec "$@"', "sh", "120", ...command], {
    cwd: ROOT,
    stdout: "pipe",
    stderr: "inherit",
  });
  const out = await new Response(child.stdout).text();
  return { out, code: await child.exited };
}

describe("2 MiB of any text are done or refused in 2 s of processor time and 256 MiB", () => {
  const names = Object.keys(TEXTS);
  // Several share a process, whose memory is that of the one that takes most.
  const share = all ? 1 : 10;
  const groups = Array.from({ length: Math.ceil(names.length / share) }, (_, i) => names.slice(i * share, (i + 1) * share));
  test.each(groups.map((group) => [group.join(", "), group] as const))("%s", async (_, group) => {
    const { out, code } = await run([process.execPath, "test/hostile/measure.ts", String(SIZE), ...group]);
    const measured = out
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Measured);
    expect([measured.map(({ name }) => name), code]).toEqual([group, 0]);
    const wrong = measured.filter(({ outcome, seconds, memory }) => !/^(done|refused)$/.test(outcome) || seconds > 2 || memory > 256);
    expect(wrong).toEqual([]);
  });
});

/** The most memory of a process so far, in MiB: what is read last before it ends. */
function peakOf(pid: number): number {
  try {
    return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}

function onDisk(folder: string): number {
  return Number(/^\d+/.exec(Bun.spawnSync(["du", "-sm", folder]).stdout.toString())?.[0] ?? 0);
}

const SOME = ["gzip in gzip in gzip", "a resource of zeros", "many small resources", "many forged assertions"];

describe("any archive of 1 MB is done in 10 s, 512 MiB of memory and 200 MB of the disk", () => {
  test.each(all ? Object.keys(BOMBS) : SOME)("%s", async (name) => {
    using temp = tempFolder();
    const folder = temp.path;
    const bytes = BOMBS[name]?.() ?? new Uint8Array();
    expect(bytes.byteLength).toBeLessThanOrEqual(BOMB_SIZE);
    const file = join(folder, "bomb.tar");
    writeFileSync(file, bytes);
    mkdirSync(join(folder, "store"));
    const child = Bun.spawn([...COMMAND, "import", "--store", join(folder, "store/s"), "--json", file], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    });
    let [memory, disk] = [0, 0];
    const state = { ended: false };
    const watch = (async () => {
      for (let i = 0; !state.ended; i += 1) {
        memory = Math.max(memory, peakOf(child.pid));
        if (i % 10 === 0) disk = Math.max(disk, onDisk(join(folder, "store")));
        await Bun.sleep(20);
      }
    })();
    const [err, code] = await Promise.all([new Response(child.stderr).text(), child.exited]);
    state.ended = true;
    await watch;
    expect([code === 0 || code === 3, err.includes("internal error")]).toEqual([true, false]);
    expect(child.resourceUsage()?.cpuTime.total).toBeLessThan(10_000_000n);
    expect(memory).toBeLessThan(512);
    expect(disk).toBeLessThan(200);
  });
});

describe("what never ends on standard input is refused", () => {
  test.each([
    ["zeros", "cat /dev/zero"],
    ["zeros in a gzip", "cat /dev/zero | gzip -c"],
    ["a word", "yes"],
  ])("%s", async (_, command) => {
    using temp = tempFolder();
    const folder = temp.path;
    const { code } = await run(["sh", "-c", `${command} | ${COMMAND.join(" ")} import --store ${folder}/s --name export.tar -`]);
    expect(code).toBe(3);
  });

  test("three files of assertions do not fill the memory", async () => {
    using temp = tempFolder();
    const folder = temp.path;
    const files = ["a", "b", "c"].map((name) => join(folder, `${name}.assert`));
    for (const file of files) writeFileSync(file, Buffer.alloc(31 * MIB, "type: account\n"));
    const { code, err } = await chp(["import", "--store", join(folder, "s"), ...files]);
    expect([code, err]).toEqual([3, expect.stringContaining("assertion 1")]);
  });
});
