/** What goes wrong while lost files are proved: a contradiction is passed over, a broken disk is not. */

import { expect, test } from "bun:test";
import { LIMITS } from "../../../src/archives/archive.ts";
import { Failure } from "../../../src/errors.ts";
import { repairFrom } from "../../../src/import/repair.ts";
import { charmZip, packageFiles, tarOf } from "../../build.ts";
import { importInto, newStore, sourceOf } from "../../importing.ts";
import { NOBLE } from "../../world.ts";

const SITE = tarOf(
  packageFiles({ name: "demo", revisions: { 1: charmZip({ name: "demo", revision: 1, bases: [NOBLE] }) }, releases: [] } as never),
);

/** A repair of one lost list, whose proof fails. */
async function repaired(error: Error) {
  const store = await newStore();
  await importInto(store, { "site.tar": SITE });
  const snapshot = await store.snapshot();
  const { generation } = snapshot;
  if (!generation) throw new Error("nothing was imported");
  const lists = {
    steps: [generation],
    remaining: ["its list"],
    async *before() {
      yield snapshot;
    },
    provenBy: async () => {
      throw error;
    },
  };
  const options = { command: "import", channels: "apply", dryRun: false, now: "2026-05-01T00:00:00+00:00", limits: LIMITS } as const;
  return repairFrom(store, [sourceOf("site.tar", SITE)], { lists, blobs: async () => new Map() }, options);
}

test("sources that contradict what is lost restore nothing of it", async () => {
  expect(await repaired(new Failure("refused", "another one"))).toEqual({ restored: [], stillLost: ["its list"], dryRun: false });
});

test("a disk that fails ends the repair with its error", async () => {
  const broken = new Error("EIO: i/o error");
  expect(await repaired(broken).catch((error: unknown) => error)).toBe(broken);
});
