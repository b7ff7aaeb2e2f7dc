/** Imports of large exports: beside what one would do by hand, and the memory that they take. */

import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { packageFiles } from "../build.ts";
import { catalogue, heavy, MIB, writeExport } from "./exports.ts";
import { beside, inTurns, type Report, Skip } from "./figures.ts";
import { type Ran, run, runChp, tool } from "./processes.ts";

/** A file system that is another than that of temporary files. */
const MEMORY = "/dev/shm";

export interface ImportOptions {
  readonly rounds: number;
  readonly mib: number;
  readonly memoryMib: number;
  /** of the import of many small things */
  readonly packages: number;
  readonly revisions: number;
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

export async function imports(report: Report, folder: string, { rounds, mib, memoryMib, packages, revisions }: ImportOptions) {
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

  await digests(report, folder, rounds, mib);
  await many(report, folder, packages, revisions);

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

/** One large resource, of which four digests are made, beside the slowest of these; then one digest, where it is checked or copied. */
async function digests(report: Report, folder: string, rounds: number, mib: number) {
  const name = `import of a resource of ${mib} MiB, unpacked`;
  await report.measure(name, async () => {
    const openssl = await tool("openssl");
    const [spec] = heavy("resources", mib * MIB, mib * MIB);
    if (!spec) throw new Error("there is no resource");
    const root = join(folder, "unpacked");
    for (const [path, content] of Object.entries(packageFiles(spec))) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), content);
    }
    const resource = join(root, "resources", `${spec.name}.data_1`);
    const pairs = await inTurns(
      rounds,
      () => fresh(folder, (to) => runChp(["import", "--quiet", "--store", join(to, "store"), root])),
      () => run([openssl, "dgst", "-sha3-384", resource]),
    );
    const rate = ({ seconds }: { readonly seconds: number }) => mib / seconds;
    report.figure(beside(pairs, { name, unit: "MiB/s", peer: "openssl dgst -sha3-384" }, rate, rate));

    const store = join(folder, "checked");
    await runChp(["import", "--quiet", "--store", store, root]);
    const checked = async (what: string, command: () => Promise<Ran>) => {
      const checks = await inTurns(rounds, command, () => run([openssl, "dgst", "-sha256", resource]));
      report.figure(beside(checks, { name: `${what} of ${mib} MiB`, unit: "MiB/s", peer: "openssl dgst -sha256" }, rate, rate));
    };
    await checked("verify --read-data", () => runChp(["verify", "--quiet", "--read-data", "--store", store]));
    await report.measure(`backup of ${mib} MiB`, async () => {
      if (!existsSync(MEMORY)) throw new Skip(`no ${MEMORY}: on one file system a backup is links`);
      const other = mkdtempSync(join(MEMORY, "chp-bench-"));
      await checked("backup", () => fresh(other, (to) => runChp(["backup", "--quiet", "--store", store, to]))).finally(() =>
        rmSync(other, { recursive: true }),
      );
    });
    for (const made of [root, store]) rmSync(made, { recursive: true });
  });
}

/** Many packages with many revisions and hardly a payload, as one archive. */
async function many(report: Report, folder: string, packages: number, revisions: number) {
  const name = `import of ${packages} × ${revisions} charms`;
  await report.measure(name, async () => {
    const archive = join(folder, "many.tar.gz");
    await writeExport(archive, catalogue(0, packages, revisions));
    // They are far more alike than real ones, so they unpack to more.
    const command = (to: string) => ["import", "--quiet", "--max-ratio", "4000", "--store", join(to, "store"), archive];
    const { seconds, cpuSeconds, memory } = await fresh(folder, (to) => runChp(command(to), { watch: true }));
    rmSync(archive);
    report.figure({ name, value: seconds, unit: "s" });
    report.figure({ name: `${name}, processor time`, value: cpuSeconds, unit: "s" });
    report.figure({ name: `${name}, memory`, value: memory / MIB, unit: "MiB" });
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
