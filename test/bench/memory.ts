/** What a catalogue takes by its size: memory of a server that was asked for all of it, and disk beside the payloads. */

import { runProgram } from "../program.ts";
import { catalogueName, MIB } from "./exports.ts";
import type { Report } from "./figures.ts";
import { peakMemory, serveChp } from "./processes.ts";

export async function memory(report: Report, store: string, packages: number, revisions: number) {
  const name = `${packages} packages of ${revisions} revisions`;
  await report.measure(name, async () => {
    await using server = await serveChp(store, { pin: false });
    for (let i = 0; i < packages; i += 1) {
      const path = `/v2/charms/info/${catalogueName(i)}?fields=channel-map,default-release.revision.metadata-yaml`;
      const reply = await fetch(server.url + path);
      await reply.bytes();
      if (reply.status !== 200) throw new Error(`${path} was answered with ${reply.status}`);
    }
    report.figure({ name: `${name}, memory of the server`, value: peakMemory(server.pid) / MIB, unit: "MiB" });
    const { kinds } = JSON.parse((await runProgram(["du", "--json", "--store", store])).out) as { kinds: { kind: string; size: number }[] };
    const beside = kinds.filter(({ kind }) => kind !== "charm").reduce((sum, { size }) => sum + size, 0);
    report.figure({ name: `${name}, disk beside payloads`, value: beside / (packages * revisions) / 1024, unit: "KiB a revision" });
  });
}
