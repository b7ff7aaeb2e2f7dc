/** From the start of the process to its first answer, and the size of the executable. */

import { statSync } from "node:fs";
import { COMMAND } from "../e2e/chp.ts";
import { catalogueName, MIB } from "./exports.ts";
import { beside, inTurns, median, type Report } from "./figures.ts";
import { runChp, serveChp } from "./processes.ts";

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
    report.figure({ name: `${name}, less --version`, value: median(pairs.map(([a, b]) => a - b)), unit: "ms" });
  });
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
