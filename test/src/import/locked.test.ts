/** Images and agents beside the lock of an export: what it does not name was put there on its way. */

import { describe, expect, test } from "bun:test";
import { LOCK_FILE } from "../../../src/archives/names.ts";
import { sumsOf } from "../../../src/digest.ts";
import { type Files, tarOf } from "../../build.ts";
import { failureOf, importInto, newStore } from "../../importing.ts";
import { below, layoutOf } from "../../layouts.ts";
import { imageOf } from "../../registry.ts";
import { agentBytes, agentFileName } from "../../streams.ts";

const [APP, OTHER] = [imageOf({ layers: ["app"] }), imageOf({ layers: ["other"] })];
const AGENT = { version: "3.6.11", architecture: "amd64", bytes: agentBytes("3.6.11", "amd64") };
const sha256 = sumsOf(AGENT.bytes)["sha-256"];
const FILES: Files = {
  ...below("images", layoutOf([{ image: APP, name: "r.test/team/app:1" }])),
  [`agents/${agentFileName(AGENT)}`]: AGENT.bytes,
};
const IMAGE = { reference: "r.test/team/app:1", digest: APP.digest };
const agents = (version: string, files: Readonly<Record<string, string>>) => ({ updated: "", versions: [{ version, files }] });
const LOCKED = { format: 3, packages: [], snaps: [], images: [IMAGE], agents: agents("3.6.11", { amd64: sha256 }) };

/** An import of the archive with this lock. `folder`: where the lock is. */
async function imported(lock: Readonly<Record<string, unknown>>, folder = "") {
  const store = await newStore();
  await importInto(store, { "site.tar": tarOf({ ...FILES, [`${folder}${LOCK_FILE}`]: JSON.stringify(lock) }) }, { allowUnverified: true });
  const { generation } = await store.snapshot();
  return [Object.keys(generation?.images ?? {}), Object.keys(generation?.agents ?? {})];
}

describe("what the lock names", () => {
  const all = [["team/app"], ["juju-3.6.11"]];

  test("is imported, and it may name more", async () => {
    expect(await imported(LOCKED)).toEqual(all);
    const more = {
      ...LOCKED,
      images: [{ reference: "r.test/team/other:1", digest: OTHER.digest }, IMAGE],
      agents: agents("3.6.11", { amd64: sha256, arm64: "0".repeat(64) }),
    };
    expect(await imported(more)).toEqual(all);
  });

  test("is asked of what lies below it alone", async () => {
    const nothing = { ...LOCKED, images: [], agents: undefined };
    expect(await imported(nothing, "elsewhere/")).toEqual(all);
  });
});

test.each<[string, Readonly<Record<string, unknown>>, string]>([
  [
    "an image of another digest",
    { images: [{ ...IMAGE, digest: OTHER.digest }] },
    `no such image r.test/team/app:1 with sha256:${APP.digest}`,
  ],
  ["an image of another name", { images: [{ ...IMAGE, reference: "r.test/team/app:2" }] }, "no such image r.test/team/app:1 with"],
  ["an image where it names none", { images: [] }, "no such image r.test/team/app:1 with"],
  ["an agent of other bytes", { agents: agents("3.6.11", { amd64: "0".repeat(64) }) }, "no such agent of Juju 3.6.11 for amd64"],
  ["an agent of another version", { agents: agents("3.6.12", { amd64: sha256 }) }, "no such agent of Juju 3.6.11 for amd64"],
  ["an agent of another architecture", { agents: agents("3.6.11", { arm64: sha256 }) }, "no such agent of Juju 3.6.11 for amd64"],
  ["an agent where it names none", { agents: undefined }, "no such agent of Juju 3.6.11 for amd64"],
])("%s is refused by name", async (_, change, message) => {
  const failure = await failureOf(imported({ ...LOCKED, ...change }));
  expect(failure.message).toContain(`${LOCK_FILE} names ${message}`);
  expect(failure.message).toStartWith("site.tar: ");
  expect(failure.next).toStartWith("it was packed again on its way");
});
