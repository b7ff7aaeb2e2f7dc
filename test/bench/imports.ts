/** Imports of large exports: beside what one would do by hand, and the memory that they take. */

import { mkdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { heavy, MIB, writeExport } from "./exports.ts";
import { beside, inTurns, type Report } from "./figures.ts";
import { run, runChp } from "./processes.ts";

export interface ImportOptions {
  readonly rounds: number;
  readonly mib: number;
  readonly memoryMib: number;
}

/** Both levels unpacked, hashed, and brought to the disk; the archives within are not. */
const BY_HAND = `set -eu -o pipefail
cd "$2"
tar -xzf "$1"
for inner in *.tar.gz; do
  mkdir "\${inner%.tar.gz}"
  tar -xzf "$inner" -C "\${inner%.tar.gz}"
done
find . -type f ! -name '*.tar.gz' -print0 | xargs -0 sha256sum
find . -type f ! -name '*.tar.gz' -print0 | xargs -0 sync`;

export async function imports(report: Report, folder: string, { rounds, mib, memoryMib }: ImportOptions) {
  for (const kind of ["charms", "resources"] as const) {
    const name = `import of ${mib} MiB of ${kind}`;
    await report.measure(name, async () => {
      const archive = join(folder, `${kind}.tar.gz`);
      await writeExport(archive, heavy(kind, mib * MIB));
      const pairs = await inTurns(
        rounds,
        () => fresh(folder, (to) => runChp(["import", "--quiet", "--store", join(to, "store"), archive])),
        () => fresh(folder, (to) => run(["bash", "-c", BY_HAND, "bash", archive, to])),
      );
      const size = statSync(archive).size / MIB;
      rmSync(archive);
      const rate = ({ seconds }: { readonly seconds: number }) => size / seconds;
      report.figure(beside(pairs, { name, unit: "MiB/s", peer: "tar, sha256sum, sync" }, rate, rate));
    });
  }

  const name = `import of ${memoryMib} MiB, memory`;
  await report.measure(name, async () => {
    const archives = await Promise.all(
      (["charms", "resources"] as const).map(async (kind) => {
        const archive = join(folder, `${kind}.tar.gz`);
        await writeExport(archive, heavy(kind, (memoryMib / 2) * MIB));
        return archive;
      }),
    );
    const command = (to: string) => ["import", "--quiet", "--store", join(to, "store"), ...archives];
    const { memory } = await fresh(folder, (to) => runChp(command(to), { watch: true }));
    for (const archive of archives) rmSync(archive);
    report.figure({ name, value: memory / MIB, unit: "MiB" });
  });
}

/** Does it in an empty folder, when the disk has nothing left to write. */
async function fresh<T>(folder: string, work: (to: string) => Promise<T>): Promise<T> {
  const to = join(folder, "fresh");
  mkdirSync(to);
  await run(["sync", "-f", folder]);
  try {
    return await work(to);
  } finally {
    rmSync(to, { recursive: true });
  }
}
