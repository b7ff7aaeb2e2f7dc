/** The distribution's docker-registry, as a peer. */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

export const REGISTRY_TLS = resolve("test/fixtures/tls");
export const REGISTRY_LOGIN = { username: "push", password: "it's a se$cret" };

export interface RegistryOptions {
  readonly login?: boolean;
  readonly tls?: boolean;
  /** how it is started */
  readonly command?: readonly string[];
}

export interface Registry {
  readonly domain: string;
  stop(): Promise<void>;
}

/** docker-registry on a free port; with the login, and with TLS where that is asked for. */
export async function startRegistry(
  folder: string,
  { login = false, tls = false, command = ["docker-registry"] }: RegistryOptions = {},
): Promise<Registry> {
  mkdirSync(folder, { recursive: true });
  const probe = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  const { port } = probe;
  await probe.stop(true);
  const domain = `127.0.0.1:${port}`;
  writeFileSync(
    join(folder, "htpasswd"),
    `${REGISTRY_LOGIN.username}:${await Bun.password.hash(REGISTRY_LOGIN.password, { algorithm: "bcrypt", cost: 4 })}\n`,
  );
  const config = {
    version: "0.1",
    log: { level: "error", accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(folder, "data") } },
    http: { addr: domain, ...(tls && { tls: { certificate: join(REGISTRY_TLS, "cert.pem"), key: join(REGISTRY_TLS, "key.pem") } }) },
    ...(login && { auth: { htpasswd: { realm: "test", path: join(folder, "htpasswd") } } }),
  };
  writeFileSync(join(folder, "config.yml"), JSON.stringify(config));
  const process = Bun.spawn([...command, "serve", join(folder, "config.yml")], {
    stdout: "ignore",
    stderr: Bun.file(join(folder, "log")),
  });
  const url = `${tls ? "https" : "http"}://${domain}/v2/`;
  for (let tries = 0; ; tries += 1) {
    if (process.exitCode !== null || tries > 200)
      throw new Error(`docker-registry does not start: ${readFileSync(join(folder, "log"), "utf8")}`);
    const up = await fetch(url, { tls: { rejectUnauthorized: false } }).catch(() => undefined);
    if (up) break;
    await Bun.sleep(50);
  }
  return {
    domain,
    stop: async () => {
      process.kill("SIGTERM");
      await process.exited;
    },
  };
}
