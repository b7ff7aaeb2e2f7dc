/** python-libjuju's own code, installed from PyPI, against a hub. */

import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { chp, serve, tempFolder } from "../e2e/chp.ts";
import type { Check } from "./cli.ts";
import { BUILT } from "./program.ts";
import { FIRST } from "./world.ts";

export const LIBJUJU = "juju==3.6.1.3";

export function pythonIsInstalled(): boolean {
  return Bun.which("python3") !== null && Bun.spawnSync(["python3", "-m", "pip", "--version"]).exitCode === 0;
}

/** The folder with the package and what it needs, which is installed there once. */
export function libjuju(): string {
  const folder = join(BUILT, LIBJUJU.replace("==", "-"));
  if (existsSync(folder)) return folder;
  mkdirSync(BUILT, { recursive: true });
  console.log(`installing ${LIBJUJU}`);
  rmSync(`${folder}.new`, { recursive: true, force: true });
  const { exitCode, stderr } = Bun.spawnSync(["python3", "-m", "pip", "install", "--quiet", "--target", `${folder}.new`, LIBJUJU]);
  if (exitCode !== 0) throw new Error(`pip: ${stderr.toString()}`);
  renameSync(`${folder}.new`, folder);
  return folder;
}

/** What each package must say: of its default release the resources, and its channels with the revisions that they may have. */
export function libjujuExpectation(): object {
  return Object.fromEntries(
    FIRST.map(({ name, id, releases, defaultTrack }) => {
      const first = releases.find(({ channel }) => channel === `${defaultTrack}/stable`) ?? releases[0];
      const revisions: Record<string, number[]> = {};
      for (const { channel, revision } of releases) revisions[channel] = [...(revisions[channel] ?? []), revision];
      return [name, { id, resources: first?.resources ?? {}, channels: Object.keys(revisions).toSorted(), revisions }];
    }),
  );
}

/** The environment and command line of `libjuju.py`. */
export function libjujuCommand(url: string, expectation: string, environment: Readonly<Record<string, string>> = {}) {
  return {
    args: ["python3", join(import.meta.dir, "libjuju.py"), url, expectation],
    env: { PATH: process.env["PATH"] ?? "", PYTHONPATH: libjuju(), PYTHONDONTWRITEBYTECODE: "1", ...environment },
  };
}

/** As the manual says: `REQUESTS_CA_BUNDLE` names the file that is trusted. */
export async function libjujuOverTls(store: string, check: Check): Promise<void> {
  using folder = tempFolder();
  const [trusted, expectation] = [join(folder.path, "tls-cert.crt"), join(folder.path, "expect.json")];
  await chp(["import-certificate", "--selfsigned", "--store", store]);
  writeFileSync(trusted, (await chp(["config", "--store", store, "proxy.tls.cert"])).out);
  writeFileSync(expectation, JSON.stringify(libjujuExpectation()));
  const served = await serve(store, ["--tls-listen", "127.0.0.1:0"]);
  try {
    for (const [what, bundle, isTrusted] of [
      ["that it trusts", trusted, true],
      ["without trust", "/etc/ssl/certs/ca-certificates.crt", false],
    ] as const)
      await check(`python-libjuju over TLS ${what}`, async () => {
        const { args, env } = libjujuCommand(`https://localhost:${new URL(served.urls[1] ?? "").port}`, expectation, {
          REQUESTS_CA_BUNDLE: bundle,
        });
        const child = Bun.spawn(args, { env, stdout: "pipe", stderr: "inherit" });
        const [out, code] = await Promise.all([new Response(child.stdout).text(), child.exited]);
        if (isTrusted ? code !== 0 : code === 0 || !out.includes("CERTIFICATE_VERIFY_FAILED")) throw new Error(`exit ${code}: ${out}`);
      });
  } finally {
    await served.stop();
  }
}
