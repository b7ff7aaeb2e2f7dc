/** Exports by processes that are killed, on disks that are small or have no hard links. */

import { describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { WorkFolder } from "../../bin/machine/workfolder.ts";
import { type Digest, sumsOf } from "../../src/digest.ts";
import { failureOf, joined, KEY, makeArchive, NAME, visible } from "../bin/machine/exporting.ts";
import { tempFolder } from "../temp.ts";

const MIB = 2 ** 20;

const DRIVER = join(import.meta.dir, "../bin/machine/exporting.ts");

function driver(folder: string, chunk: number | undefined, ...log: readonly string[]): string[] {
  return [process.execPath, DRIVER, folder, chunk === undefined ? "" : String(chunk), ...log];
}

const UNLINKED = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=link,linkat", "-e", "inject=link,linkat:error=EPERM"];
const straces = Bun.which("strace") !== null && Bun.spawnSync([...UNLINKED, "true"]).exitCode === 0;

async function untouched(chunk: number | undefined): Promise<Digest> {
  using folder = tempFolder();
  await makeArchive(folder.path, chunk === undefined ? {} : { chunk });
  return sumsOf(joined(folder.path))["sha-256"];
}

/** What each run had of each piece when it started, against what the one before had noted. */
function fetchedTwice(log: string): string[] {
  const had = new Map<string, number>();
  return readFileSync(log, "utf8")
    .trimEnd()
    .split("\n")
    .flatMap((line) => {
      const [path = "", verb, bytes] = line.split(" ");
      if (verb === "had") had.set(path, Number(bytes));
      return verb === "has" && Number(bytes) <= (had.get(path) ?? 0) - 8 * MIB ? [line] : [];
    });
}

describe("an export", () => {
  test.each([undefined, 5 * MIB])("that is killed at any moment goes on to the same bytes (parts of %p)", async (chunk) => {
    const expected = await untouched(chunk);
    let [killed, resumed] = [0, 0];
    for (let round = 0; round < 5 && resumed < 4; round += 1) {
      using folder = tempFolder();
      using logs = tempFolder();
      const log = join(logs.path, "log");
      writeFileSync(log, "");
      const started = performance.now();
      const isOut = () => visible(folder.path).includes(chunk === undefined ? NAME : `${NAME}.sha256`);
      let wasOut = false;
      for (let ended = false; !ended; ) {
        const run = Bun.spawn(driver(folder.path, chunk, log), { stderr: "pipe" });
        // Ever later, so that it ends.
        const timer = setTimeout(() => run.kill("SIGKILL"), 100 + Math.random() * Math.max(200, (performance.now() - started) / 5));
        const [code, error] = await Promise.all([run.exited, new Response(run.stderr).text()]);
        clearTimeout(timer);
        // One that was killed when it had all but ended has left nothing to do, of which the next has to say so.
        ended = code === 0 || (wasOut && code === 1 && error.includes("is there already"));
        if (ended) break;
        expect([code, error]).toEqual([137, ""]);
        killed += 1;
        wasOut = isOut();
      }
      expect(sumsOf(joined(folder.path))["sha-256"]).toBe(expected);
      if (!wasOut) expect(readdirSync(folder.path)).toEqual(visible(folder.path));
      expect(fetchedTwice(log)).toEqual([]);
      resumed += [...readFileSync(log, "utf8").matchAll(/ has [1-9]/g)].length;
      if (chunk !== undefined)
        expect(Bun.spawnSync(["sha256sum", "--check", "--quiet", `${NAME}.sha256`], { cwd: folder.path }).exitCode).toBe(0);
    }
    expect(killed).toBeGreaterThan(1);
    expect(resumed).toBeGreaterThan(3);
  });

  test.skipIf(!straces)("that is killed at any step of moving its parts out goes on to the same bytes (needs strace)", async () => {
    const chunk = 10 * MIB;
    const expected = await untouched(chunk);
    const killed: string[] = [];
    for (const step of ["link:when=1", "link:when=2", "unlink:when=1", "unlink:when=2", "rename:when=1"]) {
      using folder = tempFolder();
      const [call = "", when] = step.split(":");
      const strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", `trace=${call}`, "-e", `inject=${call}:signal=SIGKILL:${when}`];
      if (!Bun.spawnSync([...strace, ...driver(folder.path, chunk)]).success) killed.push(step);
      const isOut = visible(folder.path).includes(`${NAME}.sha256`);
      const again = Bun.spawnSync(driver(folder.path, chunk));
      // Where all was outside already, the next export of that name has to say so.
      expect([step, again.exitCode, again.stderr.toString()]).toEqual([
        step,
        isOut ? 1 : 0,
        isOut ? expect.stringContaining("is there already") : "",
      ]);
      expect(sumsOf(joined(folder.path))["sha-256"]).toBe(expected);
    }
    expect(killed).toEqual(expect.arrayContaining(["link:when=1", "unlink:when=1", "rename:when=1"]));
  });
});

/* ---- disks ---- */

test.skipIf(!straces)("a file system without hard links, as on a stick, is as good (needs strace)", async () => {
  using folder = tempFolder();
  const chunk = 20 * MIB;
  const run = () => Bun.spawnSync([...UNLINKED, ...driver(folder.path, chunk)]);
  writeFileSync(join(folder.path, `${NAME}.2of3`), "mine");
  const refusal = run();
  expect([refusal.exitCode, refusal.stderr.toString()]).toEqual([1, expect.stringContaining(`${NAME}.2of3 is there already`)]);
  expect([visible(folder.path), readFileSync(join(folder.path, `${NAME}.2of3`), "utf8")]).toEqual([[`${NAME}.2of3`], "mine"]);
  rmSync(join(folder.path, `${NAME}.2of3`));
  expect(run().exitCode).toBe(0);
  expect(sumsOf(joined(folder.path))["sha-256"]).toBe(await untouched(chunk));
});

const system = (...command: string[]) => Bun.spawnSync(command, { stdout: "ignore", stderr: "ignore" }).exitCode === 0;

const mounts = (() => {
  using folder = tempFolder();
  return system("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder.path) && system("umount", folder.path);
})();

test.skipIf(!mounts)("a disk that is too small is refused at once, one that gets full says what to do (needs mount)", async () => {
  using folder = tempFolder();
  const disk = join(folder.path, "disk");
  mkdirSync(disk);
  expect(system("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk)).toBe(true);
  try {
    const work = await WorkFolder.open(disk, KEY);
    const small = await failureOf(work.reserve(4 * MIB));
    expect(small.message).toMatch(/^cannot export into .*disk: 4\.0 MiB are needed and 2\.0 MiB are free$/);
    expect(small.next).toContain("name another folder with --export-dir");
    await work.write(0, new Uint8Array(MIB));
    await work.reserve(2 * MIB - 65_536); // what is written is not needed again
    const full = await failureOf(work.write(MIB, new Uint8Array(2 * MIB)));
    expect([full.kind, full.message, full.next]).toEqual([
      "failed",
      expect.stringContaining(`cannot write to ${disk}: no space is left on its disk`),
      "free some space there and run the same command again; what was fetched is kept",
    ]);
    await work.close();
  } finally {
    system("umount", disk);
  }
});
