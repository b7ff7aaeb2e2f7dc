/** One large download at a time, beside nginx with sendfile. */

import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createAuthority, issueServer } from "../../src/settings/authority.ts";
import { heavy, MIB, writeExport } from "./exports.ts";
import { beside, inTurns, type Report } from "./figures.ts";
import { peakMemory, runChp, runClient, type Server, serveChp, serveNginx, tool, usedCpu } from "./processes.ts";

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

/** The same over TLS, and as many at once as a site's machines are: what comes a second, and what it takes of the server's processor. */
export async function securedDownloads(
  report: Report,
  folder: string,
  { rounds, mib, clients }: { readonly rounds: number; readonly mib: number; readonly clients: number },
) {
  const each = Math.max(1, Math.floor((2 * mib) / clients));
  for (const [size, count] of [
    [mib, 1],
    [each, clients],
  ] as const) {
    const name = `${count === 1 ? "a download" : `${count} downloads at once`} of ${size} MiB over TLS`;
    await report.measure(name, async () => {
      const curl = await tool("curl");
      const root = join(folder, `tls-${count}`);
      mkdirSync(root);
      const [spec] = heavy("resources", size * MIB, size * MIB);
      if (!spec) throw new Error("nothing was built");
      const [store, archive] = [join(root, "store"), join(root, "export.tar.gz")];
      await writeExport(archive, [spec]);
      await runChp(["import", "--quiet", "--store", store, archive]);
      writeFileSync(join(root, "payload"), spec.resources?.["data"]?.revisions[1] ?? "");
      const { certificate, key } = await issueServer(await createAuthority("bench", Date.now()), ["127.0.0.1"], Date.now());
      const tls = { cert: join(root, "cert.pem"), key: join(root, "key.pem") };
      writeFileSync(tls.cert, certificate);
      writeFileSync(tls.key, key);

      await using chp = await serveChp(store, { log: join(root, "log"), tls });
      await using nginx = await serveNginx(join(root, "nginx"), root, tls);
      const own = manyDownloads(curl, chp, `/api/v1/resources/download/charm_${spec.id}.data_1`, size, count);
      const peer = manyDownloads(curl, nginx, "/payload", size, count);
      for (const warm of [own, peer]) await warm();
      const pairs = await inTurns(rounds, own, peer);
      report.figure(
        beside(
          pairs,
          { name, unit: "MiB/s", peer: "nginx" },
          (one) => one.rate,
          (one) => one.rate,
        ),
      );
      report.figure(
        beside(
          pairs,
          { name: `${name}, processor time`, unit: "ms/GiB", peer: "nginx" },
          (one) => one.ms,
          (one) => one.ms,
        ),
      );
      report.figure({ name: `${name}, memory of the server`, value: peakMemory(chp.pid) / MIB, unit: "MiB" });
      rmSync(root, { recursive: true });
    });
  }
}

/** So many at once: MiB a second of all, and the server's processor time for a GiB, in milliseconds. */
function manyDownloads(curl: string, server: Server, path: string, mib: number, count: number) {
  return async () => {
    const [began, before] = [performance.now(), usedCpu(server.pid)];
    const parallel = count > 1 ? ["--parallel", "--parallel-immediate", "--parallel-max", String(count)] : [];
    const files = Array.from({ length: count }, () => ["-o", "/dev/null", server.url + path]).flat();
    const { out } = await runClient([curl, "-skS", ...parallel, "-w", "%{http_code} %{size_download}\n", ...files]);
    const [seconds, used] = [(performance.now() - began) / 1000, usedCpu(server.pid) - before];
    const wrong = out.split("\n").filter((line) => line !== "" && line !== `200 ${mib * MIB}`);
    if (wrong.length > 0) throw new Error(`${path}: ${wrong[0]}`);
    return { rate: (count * mib) / seconds, ms: (used / 1000 / (count * mib)) * 1024 };
  };
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
