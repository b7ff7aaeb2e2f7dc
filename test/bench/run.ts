/**
 * Figures, one a line: `bun test/bench/run.ts [--smoke]`. What is measured runs on one core and what asks it on another;
 * where there is a peer it is measured in turns with it, and the ratio counts. --smoke: small, and only whether it works.
 */

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { bucket } from "./bucket.ts";
import { downloads, securedDownloads } from "./downloads.ts";
import { exporting } from "./exporting.ts";
import { catalogue, writeExport } from "./exports.ts";
import { Report } from "./figures.ts";
import { garbage } from "./garbage.ts";
import { images } from "./images.ts";
import { imports } from "./imports.ts";
import { memory } from "./memory.ts";
import { pages } from "./pages.ts";
import { runChp } from "./processes.ts";
import { longTexts, requests } from "./requests.ts";
import { snaps } from "./snaps.ts";
import { size, start } from "./start.ts";

const { values: flags } = parseArgs({
  options: {
    smoke: { type: "boolean", default: false },
    /** which of: requests pages downloads imports exports images snaps garbage bucket start memory size */
    only: { type: "string", default: "requests,pages,downloads,imports,exports,images,snaps,garbage,bucket,start,memory,size" },
    rounds: { type: "string" },
    seconds: { type: "string" },
    packages: { type: "string" },
    download: { type: "string" },
    import: { type: "string" },
    memory: { type: "string" },
    export: { type: "string" },
    snap: { type: "string" },
    image: { type: "string" },
    bucket: { type: "string" },
  },
});
const { smoke } = flags;
const number = (given: string | undefined, full: number, small: number) => Number(given ?? (smoke ? small : full));
const rounds = number(flags.rounds, 9, 1);
const seconds = number(flags.seconds, 1, 1);
const packages = number(flags.packages, 1000, 40);
const [REVISIONS, BATCH] = [20, 50];

const report = new Report();
const folder = mkdtempSync(join(tmpdir(), "chp-bench-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130));

const stores = new Map<string, Promise<string>>();

/** A store with so many packages, made once. `wordy`: as in `catalogue`. */
function storeOf(count: number, revisions: number, wordy = false): Promise<string> {
  const name = `${count}x${revisions}${wordy ? "-wordy" : ""}`;
  const known = stores.get(name) ?? makeStore(join(folder, name), count, revisions, wordy);
  stores.set(name, known);
  return known;
}

async function makeStore(root: string, count: number, revisions: number, wordy: boolean): Promise<string> {
  mkdirSync(root);
  const [store, archives] = [join(root, "store"), [] as string[]];
  for (let from = 0; from < count; from += BATCH) {
    const archive = join(root, `${from}.tar.gz`);
    await writeExport(archive, catalogue(from, Math.min(count, from + BATCH), revisions, wordy));
    archives.push(archive);
  }
  // Its charms are far more alike than real ones, so they unpack to more; and all come as one import.
  await runChp(["import", "--quiet", "--max-ratio", "4000", "--max-json", "256M", "--store", store, ...archives]);
  for (const archive of archives) rmSync(archive);
  return store;
}

const parts: Readonly<Record<string, () => Promise<void>>> = {
  requests: async () => {
    for (const count of new Set([10, packages]))
      await requests(report, folder, await storeOf(count, REVISIONS), count, { rounds, seconds, most: count === packages });
    await longTexts(report, folder, await storeOf(10, REVISIONS, true), 10, { rounds, seconds });
  },
  pages: async () => pages(report, await storeOf(packages, REVISIONS), packages, smoke ? 20 : 400),
  downloads: async () => {
    const mib = number(flags.download, 256, 16);
    await downloads(report, folder, { rounds, mib });
    await securedDownloads(report, folder, { rounds, mib, clients: smoke ? 10 : 100 });
  },
  imports: () =>
    imports(report, folder, {
      rounds: Math.min(rounds, 3),
      mib: number(flags.import, 512, 16),
      memoryMib: number(flags.memory, 2048, 64),
      packages,
      revisions: REVISIONS,
    }),
  exports: () => exporting(report, folder, { rounds: Math.min(rounds, 5), mib: number(flags.export, 512, 16) }),
  images: () => images(report, folder, { rounds: Math.min(rounds, 5), mib: number(flags.image, 1024, 16) }),
  snaps: () =>
    snaps(report, folder, {
      rounds,
      seconds,
      mib: number(flags.snap, 512, 16),
      assertions: smoke ? 100 : 1000,
      installed: smoke ? 20 : 500,
    }),
  garbage: async () =>
    garbage(report, folder, await storeOf(packages, REVISIONS), await storeOf(packages / 2, REVISIONS), Math.min(rounds, 3)),
  bucket: async () =>
    bucket(report, folder, {
      rounds: Math.min(rounds, 5),
      seconds,
      mib: number(flags.bucket, 1024, 16),
      store: await storeOf(packages, REVISIONS),
      packages,
    }),
  start: async () => {
    await start(report, await storeOf(1, 10), 10, 2 * rounds + 1);
    await start(report, await storeOf(packages, REVISIONS), packages * REVISIONS, 2 * rounds + 1);
  },
  memory: async () => {
    for (const count of [10, packages / 10, packages]) await memory(report, await storeOf(count, REVISIONS), count, REVISIONS);
  },
  size: () => size(report),
};

for (const name of flags.only.split(",")) {
  const part = parts[name];
  if (!part) throw new Error(`there is no ${name}: ${Object.keys(parts).join(", ")}`);
  await report.measure(name, part);
}
process.exit(report.end() ? 0 : 1);
