/** Health, for people and probes. */

import { Hono } from "hono";
import { VERSION } from "../src/version.ts";
import type { Deps, Env } from "./app.ts";

export function status({ store }: Deps): Hono<Env> {
  const app = new Hono<Env>();
  app.get("/_status/check", async (c) => {
    const snapshot = await store.snapshot();
    return c.json({ status: "ok", version: VERSION, generation: snapshot.number, packages: snapshot.names.length });
  });
  return app;
}
