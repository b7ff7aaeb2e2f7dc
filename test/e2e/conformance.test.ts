/**
 * The cases of test/conformance against the executable, the same over a store that was exported from the first one's and
 * imported again, and the server that CHP_URL names, which must hold the packages of test/world.ts and the snaps of
 * test/snapworld.ts.
 */

import { afterAll } from "bun:test";
import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AGENT_SIGNER, AGENT_WORLD } from "../agentworld.ts";
import type { Login, Setup } from "../conformance/match.ts";
import { type Hub, ORIGIN, onOneConnection, overHttp, runCases, type Sent, type Target } from "../conformance/run.ts";
import { ROOT, SNAP_WORLD, STORE_STREAM } from "../snapworld.ts";
import { exhaustive } from "../thorough.ts";
import { WORLD } from "../world.ts";
import { chp, here, serve, tempFolder } from "./chp.ts";

const EXECUTABLE = process.env["CHP_EXECUTABLE"] ?? "dist/chp";

const folder = tempFolder();
afterAll(() => folder[Symbol.dispose]());
const at = (name: string) => join(folder.path, name);

const runner =
  (how: typeof here) =>
  async (...args: string[]): Promise<string> => {
    const done = await how(args);
    if (done.code !== 0) throw new Error(`chp ${args.join(" ")}: exit ${done.code}: ${done.err}`);
    return done.out;
  };

/** What is carried from store to store is so by the executable; what a server has before it starts is made in this process. */
const run = runner((args) => chp(args));
const prepare = runner(here);

function file(name: string, content: string | Uint8Array): string {
  writeFileSync(at(name), content);
  return at(name);
}

/** Makes a store when it is first asked for; each who asks gets the path of a copy. */
function once(name: string, make: (store: string) => Promise<void>): () => Promise<string> {
  let made: Promise<void> | undefined;
  let copies = 0;
  return async () => {
    await (made ??= make(at(name)));
    const copy = at(`${name}-${(copies += 1)}`);
    cpSync(at(name), copy, { recursive: true, preserveTimestamps: true });
    return copy;
  };
}

const imported = once("store", async (store) => {
  await run("import", "--store", store, file("world.tar.gz", WORLD));
  await run("import", "--store", store, "--trust", file("root.assert", ROOT), file("snaps.tar.gz", SNAP_WORLD));
  await run("import", "--store", store, "--streams-key", file("streams.asc", AGENT_SIGNER.file), file("agents.tar", AGENT_WORLD));
});

const exportedAndImported = once("next", async (store) => {
  const first = await serve(await imported());
  try {
    const from = ["--charmhub-url", first.url, "--streams-key", at("streams.asc")];
    await run("export", "--all", "--without", "images", ...from, "--export-dir", at("export"));
  } finally {
    await first.stop();
  }
  await run("import", "--store", store, "--trust", at("root.assert"), "--streams-key", at("streams.asc"), at("export"));
  // What names a store's own address is its operator's to import.
  await run("import", "--store", store, file("store.assert", STORE_STREAM.join("\n")));
});

async function startExecutable({ publicUrl, registry, empty, tokens }: Setup, stored: () => Promise<string>): Promise<Hub> {
  const store = empty ? at("empty") : await stored();
  const config = (login: Login) =>
    prepare("config", "--store", store, ...Object.entries(login).map(([key, value]) => `proxy.oci-registry.${key}=${value}`));
  if (registry) await config(registry);
  if (tokens) await prepare("import-certificate", "--selfsigned", "--store", store);
  const token = async (right: string) => [right, (await prepare("token", right, "--may", right, "--store", store)).trim()];
  const texts = tokens ? Object.fromEntries(await Promise.all([token("import"), token("overrides")])) : undefined;
  const args = [...(publicUrl === undefined ? [] : ["--public-url", publicUrl]), ...(tokens ? ["--tls-listen", "127.0.0.1:0"] : [])];
  const start = () => serve(store, args);
  let served = await start();
  // What a name server would do.
  const located = (sent: Sent) => ({ ...sent, url: sent.url.replace(ORIGIN, served.urls.at(-1) ?? "") });
  return {
    origin: ORIGIN,
    ...(texts && { tokens: texts }),
    ask: (sent) => overHttp(located(sent)),
    askAgain: (sent) => onOneConnection(located(sent)),
    restart: async () => {
      await served.stop();
      served = await start();
    },
    setRegistry: async (login) => {
      const ofImage = async () => (await fetch(`${served.url}/v2/charms/resources/acme-db/acme-image/revisions`)).text();
      const before = await ofImage();
      await config(login);
      while ((await ofImage()) === before) await Bun.sleep(50); // a running server looks once a second
    },
    stop: async () => {
      await served.stop();
    },
  };
}

const executable: Target = {
  name: EXECUTABLE,
  lacks: { brokenStore: "nothing breaks its store" },
  start: (setup) => startExecutable(setup, imported),
};

const carried: Target = {
  name: `${EXECUTABLE}, exported and imported again`,
  ...(!exhaustive && { skip: "as many cases once more: .ci/run asks them" }),
  lacks: { brokenStore: "nothing breaks its store", empty: "there is nothing to export" },
  exempt: {
    "Snap Store": {
      7: "no reply lists branches, so they are exported where they are named",
      32: "no reply lists revisions that are in no channel, so they are exported where they are named",
      34: "no reply lists branches, so they are exported where they are named",
    },
  },
  start: (setup) => startExecutable(setup, exportedAndImported),
};

const given = process.env["CHP_URL"]?.replace(/\/+$/, "");

const remote: Target = {
  name: given ?? "CHP_URL",
  ...(given === undefined && { skip: "CHP_URL names no hub" }),
  lacks: {
    ...Object.fromEntries(
      ["publicUrl", "registry", "restart", "brokenStore", "empty", "tokens"].map((one) => [one, "it is not ours to set up"]),
    ),
    ...(given?.startsWith("https:") && { socket: "it speaks TLS" }),
  },
  start: async () => ({ origin: given ?? "", ask: overHttp, askAgain: onOneConnection }),
};

for (const target of [executable, carried, remote]) runCases(target);
