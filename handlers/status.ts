/** Health, for people and probes, and what machines asked for in vain. */

import { Hono } from "hono";
import { VERSION } from "../src/version.ts";
import type { Env, Parts } from "./call.ts";
import type { MissingList } from "./missing.ts";

export function status({ store }: Parts, missing: MissingList): Hono<Env> {
  const app = new Hono<Env>();
  app.get("/_status/check", async (c) => {
    const snapshot = await store.snapshot();
    return c.json({
      status: "ok",
      version: VERSION,
      generation: snapshot.number,
      packages: snapshot.names.length,
      snaps: snapshot.snapNames.length,
    });
  });
  app.get("/_status/missing", (c) => c.json({ missing: missing.entries }));
  return app;
}
