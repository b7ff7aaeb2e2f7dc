/** That tests outside e2e and tools start no process: preload.ts sees to it in every run. */

import { expect, test } from "bun:test";
import * as children from "node:child_process";
import { $, spawn, spawnSync } from "bun";

const WAYS: Readonly<Record<string, () => unknown>> = {
  "Bun.spawn": () => Bun.spawn(["true"]),
  "Bun.spawnSync": () => Bun.spawnSync(["true"]),
  "Bun.$": () => Bun.$`true`,
  "spawn of bun": () => spawn(["true"]),
  "spawnSync of bun": () => spawnSync(["true"]),
  "$ of bun": () => $`true`,
  spawn: () => children.spawn("true"),
  spawnSync: () => children.spawnSync("true"),
  exec: () => children.exec("true"),
  execSync: () => children.execSync("true"),
  execFile: () => children.execFile("true"),
  execFileSync: () => children.execFileSync("true"),
  fork: () => children.fork("true"),
};

test.each(Object.keys(WAYS))("%s is refused here", (name) => {
  expect(() => WAYS[name]?.()).toThrow("test/preload.test.ts may start no process");
});
