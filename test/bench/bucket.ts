/** A store in a bucket of a real engine (versitygw, on this machine) beside the same store in a folder, and beside curl from the engine. */

import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ENGINES, type Engine } from "../interop/engines.ts";
import { startFaultProxy } from "../interop/faultproxy.ts";
import { goIsInstalled } from "../interop/program.ts";
import { catalogueName, heavy, MIB, writeExport } from "./exports.ts";
import { beside, inTurns, type Report, Skip } from "./figures.ts";
import { run, runChp, runClient, type Server, serveChp, tool } from "./processes.ts";
import { infoOf, load, type Request, refreshOf } from "./requests.ts";

interface BucketOptions {
  readonly rounds: number;
  readonly seconds: number;
  readonly mib: number;
  /** a folder with a store of so many packages */
  readonly store: string;
  readonly packages: number;
}

const BUCKET = "bench";
const same = (one: number) => one;

export async function bucket(report: Report, folder: string, options: BucketOptions): Promise<void> {
  if (!goIsInstalled()) throw new Skip("no Go, which builds versitygw");
  const root = join(folder, "bucket");
  mkdirSync(root);
  const versitygw = ENGINES["versitygw"];
  if (!versitygw) throw new Error("there is no such engine");
  const engine = await versitygw.start(join(root, "engine"));
  try {
    await engine.makeBucket(BUCKET);
    await report.measure("a bucket, requests", () => lists(report, root, engine, options));
    await report.measure("a bucket, payloads", () => payloads(report, root, engine, options));
  } finally {
    await engine.stop();
    rmSync(root, { recursive: true });
  }
}

async function lists(report: Report, root: string, engine: Engine, { rounds, seconds, store, packages }: BucketOptions): Promise<void> {
  const wrk = await tool("wrk");
  const place = `s3://${BUCKET}/lists`;
  const env = engine.environment;
  await runChp(["copy", "--quiet", store, place], { env });
  const names = Array.from({ length: packages }, (_, i) => catalogueName(i));
  const workloads: readonly (readonly [string, Request[]])[] = [
    [`info of a bucket, ${packages} packages`, names.map(infoOf)],
    [`refresh of a bucket, ${packages} packages`, names.map((name) => refreshOf([name]))],
  ];
  {
    await using own = await serveChp(place, { env });
    await using disk = await serveChp(store);
    for (const [name, list] of workloads) {
      const [a, b] = [load(wrk, own, join(root, "own.txt"), list), load(wrk, disk, join(root, "disk.txt"), list)];
      for (const warm of [a, b]) await warm(seconds);
      const pairs = await inTurns(
        rounds,
        () => a(seconds),
        () => b(seconds),
      );
      report.figure(
        beside(
          pairs,
          { name, unit: "requests/s", peer: "a folder" },
          ({ rate }) => rate,
          ({ rate }) => rate,
        ),
      );
    }
  }
  // Counted by a proxy that passes all of it on.
  const proxy = await startFaultProxy(engine.endpoint);
  try {
    await using server = await serveChp(place, { env: { ...env, AWS_ENDPOINT_URL: proxy.url } });
    const reply = await fetch(`${server.url}/v2/charms/info/${catalogueName(0)}?fields=channel-map`);
    await reply.bytes();
    if (reply.status !== 200) throw new Error(`the first info was answered with ${reply.status}`);
    report.figure({ name: `requests to a first answer, ${packages} packages`, value: proxy.requests, unit: "requests" });
    const [before, begun] = [proxy.requests, performance.now()];
    await Bun.sleep(Math.max(5, seconds) * 1000);
    const idle = (proxy.requests - before) / ((performance.now() - begun) / 1000);
    report.rate({ name: "requests of an idle replica", value: idle, unit: "requests/s" });
  } finally {
    proxy.stop();
  }
}

async function payloads(report: Report, root: string, engine: Engine, { rounds, mib }: BucketOptions): Promise<void> {
  const curl = await tool("curl");
  const [archive, place, disk] = [join(root, "export.tar.gz"), `s3://${BUCKET}/payloads`, join(root, "store")];
  const [spec] = heavy("resources", mib * MIB, mib * MIB);
  if (!spec) throw new Error("nothing was built");
  await writeExport(archive, [spec]);
  const bytes = spec.resources?.["data"]?.revisions[1] ?? "";
  const file = join(root, "payload");
  writeFileSync(file, bytes);
  const digest = new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
  const env = engine.environment;
  const signed = [
    "--aws-sigv4",
    `aws:amz:${env["AWS_REGION"]}:s3`,
    "--user",
    `${env["AWS_ACCESS_KEY_ID"]}:${env["AWS_SECRET_ACCESS_KEY"]}`,
    "-H",
    "x-amz-content-sha256: UNSIGNED-PAYLOAD",
  ];

  const imported = async (turn: number) => (await runChp(["import", "--quiet", "--store", `${place}-${turn}`, archive], { env })).seconds;
  let turn = 0;
  const put = async () => {
    return (await run([curl, "-fsS", ...signed, "-T", file, `${engine.endpoint}/${BUCKET}/put-${turn}`])).seconds;
  };
  const pairs = await inTurns(Math.min(rounds, 3), () => imported((turn += 1)), put);
  const rate = (time: number) => mib / time;
  report.figure(beside(pairs, { name: `import of ${mib} MiB into a bucket`, unit: "MiB/s", peer: "curl -T to the engine" }, rate, rate));

  await runChp(["import", "--quiet", "--store", disk, archive]);
  const path = `/api/v1/resources/download/charm_${spec.id}.data_1`;
  const got = async (words: readonly string[]) => {
    const { out } = await runClient([curl, "-sS", "-o", "/dev/null", "-w", "%{http_code} %{size_download} %{time_total}", ...words]);
    const [status, size = 0, time = 0] = out.split(" ").map(Number);
    if (status !== 200 || size !== mib * MIB) throw new Error(`${words.at(-1)}: ${status}, ${size} bytes`);
    return mib / time;
  };
  const of = (server: Server) => () => got([server.url + path]);
  const temporary = join(root, "temporary");
  mkdirSync(temporary);
  await using through = await serveChp(`${place}-1`, { env: { ...env, TMPDIR: temporary } });
  await using cached = await serveChp(`${place}-1`, { env, more: ["--cache", join(root, "cache")] });
  await using folder = await serveChp(disk);
  /** Its first request: what is there of it is deleted. */
  const first = () => {
    for (const name of readdirSync(temporary, { recursive: true, encoding: "utf8" }))
      if (name.endsWith(`/${digest}`)) rmSync(join(temporary, name));
    return of(through)();
  };
  const direct = () => got([...signed, `${engine.endpoint}/${BUCKET}/payloads-1/blobs/sha256/${digest.slice(0, 2)}/${digest}`]);
  for (const warm of [first, of(cached), of(folder), direct]) await warm();
  const uncached = await inTurns(rounds, first, direct);
  report.figure(
    beside(uncached, { name: `download of ${mib} MiB through chp, not cached`, unit: "MiB/s", peer: "curl from the engine" }, same, same),
  );
  const kept = await inTurns(rounds, of(cached), of(folder));
  report.figure(beside(kept, { name: `download of ${mib} MiB, cached`, unit: "MiB/s", peer: "a folder" }, same, same));
}
