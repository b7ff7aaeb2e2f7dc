/** Refresh requests of any JSON, to the application in this process; e2e/hostile/http.test.ts asks the executable. */

import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { createApp } from "../../handlers/app.ts";
import { LIMITS } from "../../src/archives/archive.ts";
import { importSources } from "../../src/import/import.ts";
import { Memory } from "../../store/memory.ts";
import { Store } from "../../store/store.ts";
import { exportOf } from "../build.ts";
import { runs } from "../thorough.ts";
import { jammy, SPEC } from "./demo.ts";

test("whatever JSON comes, the application answers 200 or 400", async () => {
  const store = await Store.openOrCreate(new Memory());
  const source = {
    name: "e.tar.gz",
    open: async function* () {
      yield exportOf([SPEC]);
    },
  };
  await importSources(store, [source], {
    command: "import",
    channels: "apply",
    dryRun: false,
    now: "2026-03-01T00:00:00Z",
    limits: LIMITS,
  });
  const app = createApp({ store, config: {}, log: () => {} });
  const action = fc.record(
    {
      action: fc.constantFrom("install", "download", "refresh"),
      "instance-key": fc.string(),
      id: fc.oneof(fc.constant(SPEC.id), fc.string()),
      name: fc.oneof(fc.constant("demo"), fc.string()),
      channel: fc.oneof(fc.constantFrom("14/stable", "edge", "14"), fc.string()),
      revision: fc.oneof(fc.constant(7), fc.integer()),
      base: fc.oneof(fc.constant(jammy), fc.constant(null), fc.jsonValue()),
      "resource-revisions": fc.oneof(fc.constant([{ name: "data", revision: -1 }]), fc.jsonValue()),
    },
    { requiredKeys: ["action", "instance-key"] },
  );
  const body = fc.oneof(
    fc.jsonValue(),
    fc.record({ context: fc.oneof(fc.constant([]), fc.jsonValue()), actions: fc.array(action), fields: fc.option(fc.array(fc.string())) }),
  );
  await fc.assert(
    fc.asyncProperty(body, async (value) => {
      const response = await app.fetch(new Request("http://hub.test/v2/charms/refresh", { method: "POST", body: JSON.stringify(value) }));
      expect([200, 400]).toContain(response.status);
      await response.json();
    }),
    { numRuns: runs(500) },
  );
});
