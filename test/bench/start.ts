/** From the start of the process to its first answer, and the size of the executable. */

import { existsSync, statSync } from "node:fs";
import { COMMAND } from "../e2e/chp.ts";
import { catalogueName, MIB } from "./exports.ts";
import { beside, inTurns, median, type Report, Skip } from "./figures.ts";
import { run, runChp, serveChp, usedCpu } from "./processes.ts";

export async function start(report: Report, store: string, revisions: number, rounds: number) {
  const name = `start to first info, ${revisions} revisions`;
  await report.measure(name, async () => {
    await answered(store); // and the caches of the system are warm
    const pairs = await inTurns(
      rounds,
      () => answered(store),
      async () => (await runChp(["--version"])).seconds * 1000,
    );
    const same = (one: number) => one;
    report.figure(beside(pairs, { name, unit: "ms", peer: "chp --version" }, same, same));
    report.difference({ name: `${name}, less --version`, value: median(pairs.map(([a, b]) => a - b)), unit: "ms" });
  });

  const cold = `${name}, cold`;
  await report.measure(cold, async () => {
    if (process.getuid?.() !== 0 || !existsSync(DROP_CACHES)) throw new Skip("only root of Linux can empty the caches of the system");
    const pairs = await inTurns(
      Math.min(rounds, 5),
      () => emptied().then(() => answered(store)),
      () => emptied().then(async () => (await runChp(["--version"])).seconds * 1000),
    );
    report.difference({ name: `${cold}, less --version`, value: median(pairs.map(([a, b]) => a - b)), unit: "ms" });
  });

  const found = `first find, ${revisions} revisions, processor time`;
  await report.measure(found, async () => {
    await using server = await serveChp(store);
    await idle(server.pid);
    const before = usedCpu(server.pid);
    const reply = await fetch(`${server.url}/v2/charms/find?q=${catalogueName(0)}`);
    await reply.bytes();
    if (reply.status !== 200) throw new Error(`the first find was answered with ${reply.status}`);
    report.rate({ name: found, value: (usedCpu(server.pid) - before) / 1000, unit: "ms" });
  });
}

const DROP_CACHES = "/proc/sys/vm/drop_caches";

/** Nothing of any file is in memory. */
const emptied = () => run(["bash", "-c", `sync; echo 3 > ${DROP_CACHES}`]);

/** Waits until a process has had nothing to do for half a second. */
async function idle(pid: number): Promise<void> {
  for (let last = -1; last !== usedCpu(pid); await Bun.sleep(500)) last = usedCpu(pid);
}

/** Milliseconds. */
async function answered(store: string): Promise<number> {
  const started = performance.now();
  await using server = await serveChp(store, { pin: false });
  const reply = await fetch(`${server.url}/v2/charms/info/${catalogueName(0)}?fields=channel-map`);
  await reply.bytes();
  const ms = performance.now() - started;
  if (reply.status !== 200) throw new Error(`the first info was answered with ${reply.status}`);
  return ms;
}

export async function size(report: Report) {
  await report.measure("size of the executable", async () => {
    report.figure({ name: "size of the executable", value: statSync(COMMAND.at(-1) ?? "").size / MIB, unit: "MiB" });
  });
}
