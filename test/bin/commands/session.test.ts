/** The key of device sessions: made once, and used by every server of the store. */

import { afterAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Disk } from "../../../store/fs.ts";
import { Store } from "../../../store/store.ts";
import { exportOf } from "../../build.ts";
import { SPEC } from "../../hostile/demo.ts";
import { serveStore } from "../../manualworld.ts";
import { runProgram } from "../../program.ts";
import { deviceSessionRequest, model, type Signatory, serial, testKey } from "../../signer.ts";
import { ROOT, SNAP_WORLD } from "../../snapworld.ts";
import { tempFolder } from "../../temp.ts";

const folder = tempFolder();
afterAll(() => folder[Symbol.dispose]());
const at = (name: string) => join(folder.path, name);
const keyOf = async () => (await (await Store.open(new Disk(at("store")))).settings.read("session"))?.key;
const run = (...args: string[]) => runProgram([...args, "--store", at("store")]);

test("the first import of a snap makes it, and no later one replaces it: machines keep their sessions", async () => {
  writeFileSync(at("root"), ROOT);
  writeFileSync(at("snaps.tar.gz"), SNAP_WORLD);
  writeFileSync(at("charm.tar.gz"), exportOf([SPEC]));
  expect(await run("import", at("charm.tar.gz"))).toMatchObject({ code: 0 });
  expect(await keyOf()).toBeUndefined();
  expect(await run("import", "--trust", at("root"), at("snaps.tar.gz"))).toMatchObject({ code: 0 });
  const key = await keyOf();
  expect(Buffer.from(key ?? "", "base64")).toHaveLength(32);
  // A change, so that the import makes a generation.
  expect(await run("remove", "hello", "--plan", at("plan.json"))).toMatchObject({ code: 0 });
  expect(await run("remove", "--apply", at("plan.json"), "--yes", "--force")).toMatchObject({ code: 0 });
  expect(await run("import", at("snaps.tar.gz"))).toMatchObject({ code: 0 });
  expect(await keyOf()).toBe(key);
});

test("what one server of the store gave a machine, another one takes", async () => {
  const stop = new AbortController();
  const [one, another] = await Promise.all([1, 2].map(() => serveStore(at("store"), stop.signal)));
  const post = async (url = "", path = "", body: unknown = {}) => {
    const reply = await fetch(`${url}/api/v1/snaps/auth/${path}`, { method: "POST", body: JSON.stringify(body) });
    return { status: reply.status, ...((await reply.json()) as { nonce?: string; macaroon?: string }) };
  };
  const [brand, device]: [Signatory, ReturnType<typeof testKey>] = [{ account: "brand", key: testKey("brand") }, testKey("device")];
  try {
    const { nonce = "" } = await post(one, "nonces");
    const asked = {
      "device-session-request": deviceSessionRequest(device, { "brand-id": "brand", nonce }),
      "serial-assertion": serial(brand, device),
      "model-assertion": model(brand, {}),
    };
    expect(await post(another, "sessions", asked)).toEqual({ status: 200, macaroon: expect.any(String) });
  } finally {
    stop.abort();
  }
});
