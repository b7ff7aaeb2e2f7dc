/** Exports from a served chp, beside curl that brings the same files to the disk, one after the other. */

import { mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { heavy, MIB, writeExport } from "./exports.ts";
import { beside, inTurns, type Report } from "./figures.ts";
import { run, runChp, serveChp, tool } from "./processes.ts";
import { largeSnap, TRUST } from "./snaps.ts";

export interface ExportingOptions {
  readonly rounds: number;
  readonly mib: number;
}

const BY_HAND = `set -eu
cd "$1"
shift
curl -sS --fail --remote-name-all "$@"
sync *`;

export async function exporting(report: Report, folder: string, { rounds, mib }: ExportingOptions) {
  const root = join(folder, "exporting");
  mkdirSync(root);
  for (const kind of ["charms", "resources", "snaps"] as const) {
    const name = `export of ${mib} MiB of ${kind}`;
    await report.measure(name, async () => {
      await tool("curl");
      const store = join(root, "store");
      const paths = await fill(store, root, kind, mib);
      {
        await using upstream = await serveChp(store, { pin: false });
        const to = join(root, "to");
        const fresh = async <T>(work: () => Promise<T>) => {
          mkdirSync(to);
          await run(["sync", "-f", root]);
          try {
            return await work();
          } finally {
            rmSync(to, { recursive: true });
          }
        };
        const command = ["export", "--all", "--arch", "amd64", "--quiet", "--charmhub-url", upstream.url, "--export-dir", to];
        const pairs = await inTurns(
          rounds,
          () => fresh(() => runChp(command, { watch: true })),
          () => fresh(() => run(["bash", "-c", BY_HAND, "bash", to, ...paths.map((path) => upstream.url + path)])),
        );
        const rate = ({ seconds }: { readonly seconds: number }) => mib / seconds;
        report.figure(beside(pairs, { name, unit: "MiB/s", peer: "curl" }, rate, rate));
        report.figure({ name: `${name}, memory`, value: Math.max(...pairs.map(([chp]) => chp.memory)) / MIB, unit: "MiB" });
      }
      rmSync(store, { recursive: true });
    });
  }
}

/** A store of so many MiB; gives the paths of its files on a server. */
async function fill(store: string, root: string, kind: "charms" | "resources" | "snaps", mib: number): Promise<string[]> {
  if (kind === "snaps") {
    const trust = join(root, "root.assert");
    writeFileSync(trust, TRUST);
    const snap = largeSnap(root, mib * MIB);
    await runChp(["import", "--quiet", "--store", store, "--trust", trust, snap.file]);
    rmSync(snap.file);
    return [`/api/v1/snaps/download/${snap.id}_1.snap`];
  }
  const specs = [...heavy(kind, mib * MIB)];
  const archive = join(root, "export.tar.gz");
  await writeExport(archive, specs);
  await runChp(["import", "--quiet", "--store", store, archive]);
  const size = statSync(archive).size;
  rmSync(archive);
  if (size < mib * MIB) throw new Error("the export is smaller than what it holds");
  return specs.map(({ id }) =>
    kind === "charms" ? `/api/v1/charms/download/${id}_1.charm` : `/api/v1/resources/download/charm_${id}.data_1`,
  );
}
