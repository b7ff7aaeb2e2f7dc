/** The real juju info over TLS: Go's verifier with chp's own authority as the only one that it trusts. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { chp, serve, tempFolder } from "../e2e/chp.ts";
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
