/** One large download at a time, beside nginx with sendfile. */

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { heavy, MIB, writeExport } from "./exports.ts";
import { beside, inTurns, type Report } from "./figures.ts";
import { peakMemory, runChp, runClient, type Server, serveChp, serveNginx, tool } from "./processes.ts";

export async function downloads(report: Report, folder: string, { rounds, mib }: { readonly rounds: number; readonly mib: number }) {
  const name = `download of ${mib} MiB`;
  await report.measure(name, async () => {
    const curl = await tool("curl");
    const root = join(folder, "downloads");
    mkdirSync(root);
    const [store, archive] = [join(root, "store"), join(root, "export.tar.gz")];
    const [spec] = heavy("resources", mib * MIB, mib * MIB);
    if (!spec) throw new Error("nothing was built");
    await writeExport(archive, [spec]);
    await runChp(["import", "--quiet", "--store", store, archive]);
    writeFileSync(join(root, "payload"), spec.resources?.["data"]?.revisions[1] ?? "");

    await using chp = await serveChp(store, { log: join(root, "log") });
    await using nginx = await serveNginx(join(root, "nginx"), root);
    const own = download(curl, chp, `/api/v1/resources/download/charm_${spec.id}.data_1`, mib);
    const peer = download(curl, nginx, "/payload", mib);
    for (const warm of [own, peer]) await warm();
    const pairs = await inTurns(rounds, own, peer);
    const same = (one: number) => one;
    report.figure(beside(pairs, { name, unit: "MiB/s", peer: "nginx" }, same, same));
    report.figure({ name: `${name}, memory of the server`, value: peakMemory(chp.pid) / MIB, unit: "MiB" });
  });
}

/** MiB a second. */
function download(curl: string, server: Server, path: string, mib: number): () => Promise<number> {
  return async () => {
    const { out } = await runClient([
      curl,
      "-sS",
      "-o",
      "/dev/null",
      "-w",
      "%{http_code} %{size_download} %{time_total}",
      server.url + path,
    ]);
    const [status, size = 0, seconds = 0] = out.split(" ").map(Number);
    if (status !== 200 || size !== mib * MIB) throw new Error(`${path}: ${status}, ${size} bytes`);
    return mib / seconds;
  };
}
