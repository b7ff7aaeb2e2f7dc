/**
 * Loaded before every test file (bunfig.toml): how long a test may take, and who may start processes. Both hold for a single
 * file run by hand, for `make unit` and for all of `make test`.
 */

import { setDefaultTimeout } from "bun:test";
import { existsSync, statfsSync } from "node:fs";
import { createRequire, syncBuiltinESMExports } from "node:module";
import { join, relative } from "node:path";
import * as fc from "fast-check";
import { thorough } from "./thorough.ts";

/** Enough on a machine that is busy with other things. CHP_TEST_TIMEOUT is for runtimes that are slower by far. */
setDefaultTimeout(Number(process.env["CHP_TEST_TIMEOUT"] ?? 300_000));

// `make unit` tries each property ten times, `make test` a hundred.
if (!thorough) fc.configureGlobal({ numRuns: 10 });

// The Makefile's, for these processes alone: what a test starts is compiled as an operator's is.
delete process.env["BUN_JSC_useFTLJIT"];

// A disk that others write to makes tests wait for minutes: their folders are in memory where there is enough of it. What a
// power cut leaves on a disk is tested by test/powercut.
const MEMORY = "/dev/shm";
if (process.env["TMPDIR"] === undefined && freeBytes(MEMORY) > 3 * 2 ** 30) process.env["TMPDIR"] = MEMORY;

function freeBytes(folder: string): number {
  if (!existsSync(folder)) return 0;
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

/** Folders of the tests that may start processes; `make unit` runs all others. */
const STARTING = ["e2e", "tools", "powercut"];

type Starter = (...args: never[]) => unknown;

/** Throws where a test of another folder starts a process. */
function guarded<F extends Starter>(name: string, start: F): F {
  const check = (): void => {
    const file = relative(import.meta.dir, Bun.main);
    if (STARTING.some((folder) => file.startsWith(`${folder}/`))) return;
    throw new Error(
      `${join("test", file)} may start no process (${name}): its place is in ${STARTING.map((one) => `test/${one}`).join(" or ")}`,
    );
  };
  return new Proxy(start, {
    apply: (target, self, args) => {
      check();
      return Reflect.apply(target, self, args);
    },
  });
}

Object.assign(Bun, {
  spawn: guarded("Bun.spawn", Bun.spawn),
  spawnSync: guarded("Bun.spawnSync", Bun.spawnSync),
  $: guarded("Bun.$", Bun.$),
});
// What is changed here, imports see too.
const childProcess = createRequire(import.meta.url)("node:child_process") as Record<string, Starter>;
for (const name of ["spawn", "spawnSync", "exec", "execSync", "execFile", "execFileSync", "fork"] as const)
  Object.assign(childProcess, { [name]: guarded(name, childProcess[name] as Starter) });
syncBuiltinESMExports();
