/** The cases against the application in this process. */

import { expect, test } from "bun:test";
import { webOf } from "../../bin/commands/pages.ts";
import { overrideWrites } from "../../bin/machine/overridewrites.ts";
import { createApp } from "../../handlers/app.ts";
import { readSettings } from "../../src/settings/config.ts";
import { makeToken } from "../../src/settings/token.ts";
import { Memory } from "../../store/memory.ts";
import { Store } from "../../store/store.ts";
import { allWorlds } from "../agentworld.ts";
import type { Login } from "./match.ts";
import { FAMILIES, initOf, ORIGIN, runCases, type Target } from "./run.ts";

for (const { name, cases, count } of FAMILIES)
  test(`the table has all ${count} cases of the ${name}`, () => {
    expect([...new Set(cases.map(({ id }) => id))]).toEqual(Array.from({ length: count }, (_, i) => i + 1));
  });

async function pagesOf(storage: Memory) {
  return webOf(await Store.open(storage), async () => 0, readSettings({ environment: {}, file: {} }));
}

const inProcess: Target = {
  name: "in process",
  lacks: { socket: "there is no connection" },
  start: async ({ publicUrl, registry, brokenStore, empty, tokens }) => {
    const storage = empty ? new Memory() : await allWorlds();
    await Store.openOrCreate(storage);
    const broken = { snapshot: () => Promise.reject(new Error("broken on purpose")), blob: async () => undefined, text: async () => "" };
    let registries: { current: Login | undefined; former: readonly Login[] } = { current: registry, former: [] };
    const made = (["import", "overrides"] as const).map((right) => makeToken(right, { created: "2026-05-01T00:00:00Z", may: [right] }));
    const known = async () => (tokens ? made.map(({ token }) => token) : []);
    const start = async () => {
      const store = await Store.open(storage);
      return createApp({
        store: brokenStore ? broken : store,
        overrides: overrideWrites(store, { tokens: known, undo: ({ number }) => `undo ${number}` }),
        config: publicUrl === undefined ? {} : { publicUrl },
        log: () => {},
        ...(!brokenStore && { web: await pagesOf(storage) }),
        registries: () => registries,
      });
    };
    let app = await start();
    return {
      origin: ORIGIN,
      tokens: Object.fromEntries(made.map(({ token: { name }, text }) => [name, text])),
      ask: async (sent) => app.fetch(new Request(sent.url, initOf(sent)), { tls: tokens === true, address: () => "192.0.2.1" }),
      restart: async () => {
        app = await start();
      },
      setRegistry: async (login) => {
        registries = { current: login, former: registries.current ? [registries.current] : [] };
      },
    };
  },
};

runCases(inProcess);
