/** The real juju info over TLS: Go's verifier with chp's own authority as the only one that it trusts. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { COMMAND, chp, serve, tempFolder } from "../e2e/chp.ts";
import type { Check } from "./cli.ts";

/** The documented way: make a certificate, get it from the configuration, trust it. */
export async function overTls(version: string, executable: string, store: string, check: Check): Promise<void> {
  using folder = tempFolder();
  const trusted = join(folder.path, "tls-cert.crt");
  await chp(["import-certificate", "--selfsigned", "--store", store]);
  writeFileSync(trusted, (await chp(["config", "--store", store, "proxy.tls.cert"])).out);
  const served = await serve(store, ["--tls-listen", "127.0.0.1:0"]);
  const { port } = new URL(served.urls[1] ?? "");
  const info = async (host: string, roots: string) => {
    const env = { HOME: folder.path, JUJU_DATA: folder.path, SSL_CERT_FILE: roots, SSL_CERT_DIR: join(folder.path, "none") };
    const args = ["info", "acme-web", "--charmhub-url", `https://${host}:${port}`];
    const child = Bun.spawn([executable, ...args], { env, stdout: "pipe", stderr: "pipe" });
    const [out, err, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
    return { code, text: out + err };
  };
  try {
    for (const host of ["localhost", "127.0.0.1"]) {
      await check(`juju ${version} info over TLS by ${host}`, async () => {
        const { code, text } = await info(host, trusted);
        if (code !== 0 || !text.includes("name: acme-web")) throw new Error(`exit ${code}: ${text}`);
      });
    }
    await check(`juju ${version} info over TLS without trust`, async () => {
      const { code, text } = await info("localhost", "/dev/null");
      if (code === 0 || !text.includes("unknown authority")) throw new Error(`exit ${code}: ${text}`);
    });
  } finally {
    await served.stop();
  }
}

/** bash: $1 the executable of chp, $2 an export, $3 that of juju. What an operator types on an empty machine. */
const FROM_NOTHING = `set -eu -o pipefail
"$1" import "$2"
"$1" import-certificate --selfsigned
"$1" serve --tls-listen 127.0.0.1:0 --listen 127.0.0.1:0 > addresses 2> log & trap "kill $!" EXIT
until grep -q https addresses; do sleep 0.1; done
SSL_CERT_FILE=<("$1" config proxy.tls.cert) SSL_CERT_DIR=/none "$3" info acme-web --charmhub-url "$(grep https addresses)"`;

/** seconds that it may take an operator from an empty machine to an answer over TLS */
const MINUTE = 60;

/** Three commands of chp, and the first question is answered over TLS. */
export async function fromNothing(executable: string, exported: string, check: Check): Promise<void> {
  await check("from an empty machine to juju info over TLS, by three commands and within a minute", async () => {
    using folder = tempFolder();
    const started = performance.now();
    const child = Bun.spawn(["bash", "-c", FROM_NOTHING, "bash", COMMAND.at(-1) ?? "", exported, executable], {
      cwd: folder.path,
      env: { PATH: process.env["PATH"] ?? "", HOME: folder.path, JUJU_DATA: folder.path, CHP_STORE: join(folder.path, "store") },
      stdout: "pipe",
      stderr: "pipe",
    });
    const [out, err, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
    const seconds = (performance.now() - started) / 1000;
    if (code !== 0 || !out.includes("name: acme-web")) throw new Error(`exit ${code}: ${out}${err}`);
    console.log(`     it took ${seconds.toFixed(1)} s`);
    if (seconds > MINUTE) throw new Error(`it took ${seconds.toFixed(1)} s`);
  });
}
