/**
 * A running chp scraped by a real Prometheus: every panel of the dashboard has data, and the alerts are raised that have to be. `make metrics`; ends with
 * `N passed, N failed, N skipped`.
 */

import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { chp, type Served, serve } from "../e2e/chp.ts";
import { WORLD } from "../world.ts";
import { check, equal, finish, skip } from "./checks.ts";

const WORK = resolve(".run/metrics");
const TOOLS = ["prometheus", "promtool", "openssl"];

async function done(command: readonly string[]): Promise<string> {
  const child = Bun.spawn([...command], { stdout: "pipe", stderr: "pipe" });
  const [out, err, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${out}${err}`);
  return out;
}

async function chpDone(...args: string[]): Promise<string> {
  const { code, out, err } = await chp(args);
  if (code !== 0) throw new Error(`chp ${args.join(" ")} ended with ${code}: ${err}`);
  return out;
}

/** A free port, for the one server that cannot say which it took. */
function freePort(): number {
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
  const { port } = server;
  void server.stop(true);
  return port ?? 0;
}

/** Flags of a certificate that ends so many days from now, or before now. */
async function certificate(name: string, days: string): Promise<readonly string[]> {
  const [key, cert, conf] = ["key", "crt", "cnf"].map((end) => join(WORK, `${name}.${end}`)) as [string, string, string];
  const folder = join(WORK, `${name}-ca`);
  mkdirSync(folder, { recursive: true });
  for (const [file, text] of [
    ["index.txt", ""],
    ["serial", "01\n"],
  ] as const)
    writeFileSync(join(folder, file), text);
  writeFileSync(
    conf,
    `[ca]\ndefault_ca = own\n[own]\ndatabase = ${folder}/index.txt\nserial = ${folder}/serial\nnew_certs_dir = ${folder}\ndefault_md = sha256\npolicy = any\nunique_subject = no\n[any]\ncommonName = supplied\n[req]\ndistinguished_name = dn\nprompt = no\n[dn]\nCN = localhost\n[ext]\nsubjectAltName = DNS:localhost,IP:127.0.0.1\n`,
  );
  await done([
    "openssl",
    "req",
    "-new",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
    "-keyout",
    key,
    "-out",
    `${cert}.csr`,
    "-config",
    conf,
  ]);
  const now = Date.now();
  const stamp = (time: number) => `${new Date(time).toISOString().replace(/[-:T]/g, "").slice(0, 14)}Z`;
  const end = now + Number(days) * 86_400_000;
  const sign = ["openssl", "ca", "-batch", "-selfsign", "-config", conf, "-keyfile", key, "-in", `${cert}.csr`, "-out", cert, "-notext"];
  await done([...sign, "-extensions", "ext", "-startdate", stamp(now - 20 * 86_400_000), "-enddate", stamp(end)]);
  return ["--tls-cert", cert, "--tls-key", key];
}

interface Rule {
  readonly state: string;
  readonly alerts: readonly { readonly labels: Readonly<Record<string, string>>; readonly state: string }[];
  readonly name: string;
}

class Prometheus {
  readonly #url: string;

  private constructor(url: string) {
    this.#url = url;
  }

  static async start(targets: Readonly<Record<string, string>>): Promise<{ prometheus: Prometheus; stop: () => Promise<void> }> {
    const config = {
      global: { scrape_interval: "1s", evaluation_interval: "1s" },
      rule_files: [join(WORK, "alerts.yml")],
      scrape_configs: [
        {
          job_name: "chp",
          static_configs: Object.entries(targets).map(([instance, address]) => ({ targets: [address], labels: { instance } })),
        },
      ],
    };
    const file = join(WORK, "prometheus.yml");
    writeFileSync(file, JSON.stringify(config)); // JSON is YAML
    await done(["promtool", "check", "config", file]);
    const port = freePort();
    const log = Bun.file(join(WORK, "prometheus.log"));
    const child = Bun.spawn(
      ["prometheus", `--config.file=${file}`, `--storage.tsdb.path=${join(WORK, "data")}`, `--web.listen-address=127.0.0.1:${port}`],
      { stdout: "ignore", stderr: log },
    );
    const url = `http://127.0.0.1:${port}`;
    for (let tries = 0; ; tries += 1) {
      const ready = await fetch(`${url}/-/ready`).then(
        ({ ok }) => ok,
        () => false,
      );
      if (ready) break;
      if (child.exitCode !== null || tries > 600) throw new Error(`prometheus does not start: ${(await log.text()).slice(-2000)}`);
      await Bun.sleep(100);
    }
    const stop = async () => {
      child.kill();
      await child.exited;
    };
    return { prometheus: new Prometheus(url), stop };
  }

  /** Series with a value that is a number. */
  async query(expr: string): Promise<number> {
    const reply = await fetch(`${this.#url}/api/v1/query?${new URLSearchParams({ query: expr })}`);
    const { data, error } = (await reply.json()) as { data?: { result: { value: [number, string] }[] }; error?: string };
    if (!data) throw new Error(`${expr}: ${error}`);
    return data.result.filter(({ value }) => Number.isFinite(Number(value[1]))).length;
  }

  /** The servers for which an alert fires, or waits for its time. */
  async raised(name: string): Promise<string[]> {
    const reply = await fetch(`${this.#url}/api/v1/rules?type=alert`);
    const { data } = (await reply.json()) as { data: { groups: { rules: Rule[] }[] } };
    const rule = data.groups.flatMap(({ rules }) => rules).find((one) => one.name === name);
    if (!rule) throw new Error(`there is no rule ${name}`);
    return rule.alerts.map(({ labels }) => labels["instance"] ?? "").toSorted();
  }
}

/** Waits until what is seen is as wanted; at the end it says what it was. */
async function eventually(see: () => Promise<unknown>, wanted: unknown): Promise<void> {
  for (let tries = 0; tries < 300; tries += 1) {
    if (Bun.deepEquals(await see(), wanted)) return;
    await Bun.sleep(200);
  }
  equal(await see(), wanted);
}

async function main(): Promise<void> {
  rmSync(WORK, { recursive: true, force: true });
  mkdirSync(WORK, { recursive: true });
  const at = (name: string) => join(WORK, name);
  writeFileSync(at("alerts.yml"), await chpDone("help", "metrics", "--alerts"));
  writeFileSync(at("dashboard.json"), await chpDone("help", "metrics", "--dashboard"));
  await check("promtool takes the alert rules", () => done(["promtool", "check", "rules", at("alerts.yml")]));

  writeFileSync(at("export.tar.gz"), WORLD);
  writeFileSync(at("broken.tar.gz"), "no archive");
  const servers = new Map<string, Served>();
  const start = async (name: string, days: string) => {
    await chpDone("import", "--store", at(name), at("export.tar.gz"));
    await chpDone("verify", "--store", at(name));
    const served = await serve(at(name), ["--tls-listen", "127.0.0.1:0", ...(await certificate(name, days))]);
    servers.set(name, served);
    return served;
  };
  // One whose certificate lasts, one whose certificate has expired, and one that ends while it is watched.
  const [good, , gone] = [await start("good", "365"), await start("expired", "-1"), await start("gone", "10")];
  const scrape = await (await fetch(`${good.url}/metrics`)).text();
  await check("promtool takes the metrics", async () => {
    const child = Bun.spawn(["promtool", "check", "metrics"], { stdin: Buffer.from(scrape), stdout: "pipe", stderr: "pipe" });
    const [out, err, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
    equal([code, out + err], [0, ""]);
  });

  const { prometheus, stop } = await Prometheus.start(Object.fromEntries([...servers].map(([name, { url }]) => [name, new URL(url).host])));
  try {
    // What a site does: requests that are answered, of which some again, and some for what is not there.
    const traffic = setInterval(() => {
      for (const path of ["/v2/charms/find?q=", "/v2/charms/info/nope", "/v2/charms/refresh"])
        void fetch(`${good.url}${path}`).then(
          (reply) => reply.arrayBuffer(),
          () => {},
        );
    }, 200);
    const board = JSON.parse(await Bun.file(at("dashboard.json")).text()) as {
      panels: { title: string; targets: { expr: string }[] }[];
    };
    for (const { title, targets } of board.panels)
      await check(`the panel ${title} has data`, async () => {
        for (const { expr } of targets) {
          const filled = expr.replaceAll("$instance", ".*").replaceAll("$__rate_interval", "10s");
          equal(filled.includes("$"), false);
          await eventually(async () => (await prometheus.query(filled)) > 0, true);
        }
      });
    clearInterval(traffic);

    const expect = (what: string, alert: string, ...wanted: string[]) =>
      check(`${alert}: ${what}`, () => eventually(() => prometheus.raised(alert), wanted));
    await expect("an expired certificate", "ChpCertificateExpired", "expired");
    await expect("a certificate of ten days", "ChpCertificateExpiresSoon", "gone");
    await expect("no import has failed yet", "ChpImportFailed");
    await expect("nothing is damaged", "ChpDamaged");
    await expect("clients request what is not there", "ChpMissing", "good");

    await check("an import of what is no archive is refused", async () =>
      equal((await chp(["import", "--store", at("good"), at("broken.tar.gz")])).code, 3),
    );
    await expect("a failed import", "ChpImportFailed", "good");
    await chpDone("import", "--store", at("good"), at("export.tar.gz"));
    await expect("the next one succeeded", "ChpImportFailed");

    await gone.stop();
    await expect("a server that ended", "ChpDown", "gone");

    const [blob] = [...new Bun.Glob("blobs/sha256/*/*").scanSync(at("expired"))].toSorted();
    rmSync(join(at("expired"), blob ?? ""));
    await check("verify finds a lost file", async () => equal((await chp(["verify", "--store", at("expired")])).code, 13));
    await expect("what verify found", "ChpDamaged", "expired");
  } finally {
    await stop();
    for (const one of servers.values()) await one.stop().catch(() => {});
  }
}

const lacks = TOOLS.filter((tool) => Bun.which(tool) === null);
if (lacks.length > 0 && process.env["CI"] !== "true") skip(`a real Prometheus: ${lacks.join(" and ")} not installed`);
else await check("run it to the end", main);
finish();
