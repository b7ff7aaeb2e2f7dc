/** Processor time of a page that is made anew: each request has a URL that no cache has. */

import { catalogueName } from "./exports.ts";
import type { Report } from "./figures.ts";
import { serveChp, usedCpu } from "./processes.ts";

/** A page of each kind; `unique`: what makes its URL another one. */
const PAGES: readonly (readonly [string, (unique: number) => string])[] = [
  ["list", (unique) => `/?page=2&unique=${unique}`],
  ["search", (unique) => `/?q=${catalogueName(unique % 7)}&arch=amd64&unique=${unique}`],
  ["charm", (unique) => `/charms/${catalogueName(unique % 7)}?unique=${unique}`],
  ["status", (unique) => `/_status?unique=${unique}`],
  ["set up", (unique) => `/_setup?unique=${unique}`],
];

export async function pages(report: Report, store: string, packages: number, requests: number) {
  await using chp = await serveChp(store);
  for (const [name, path] of PAGES) {
    const what = `page, ${name}, ${packages} packages`;
    await report.measure(what, async () => {
      const ask = async (unique: number) => {
        const reply = await fetch(chp.url + path(unique), { headers: { Accept: "text/html" } });
        if (reply.status !== 200) throw new Error(`${path(unique)}: ${reply.status}`);
        return (await reply.bytes()).byteLength;
      };
      const size = await ask(0); // reads the store, and compiles what it runs
      for (let i = 1; i <= Math.min(50, requests); i += 1) await ask(i);
      const before = usedCpu(chp.pid);
      for (let i = 0; i < requests; i += 1) await ask(1000 + i);
      report.figure({ name: what, value: Math.max(1, usedCpu(chp.pid) - before) / requests / 1000, unit: "ms" });
      report.figure({ name: `${what}, size`, value: size / 1000, unit: "kB" });
    });
  }
}
