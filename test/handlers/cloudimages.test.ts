import { expect, test } from "bun:test";
import { createApp } from "../../handlers/app.ts";
import type { CloudImage } from "../../src/catalog/cloudimage.ts";
import { readCloudImages } from "../../src/settings/cloudimages.ts";
import { Store } from "../../store/store.ts";
import { charmWorld } from "../world.ts";

const IMAGES = readCloudImages("region: RegionOne\nendpoint: https://k.lan/v3\narch: amd64\nimages: [{id: a1, base: noble}]");

async function served(cloudImages?: () => readonly CloudImage[], publicUrl = "https://hub.test/juju-hub") {
  const app = createApp({
    store: await Store.open(await charmWorld()),
    config: { publicUrl },
    log: () => {},
    ...(cloudImages && { cloudImages: () => Promise.resolve(cloudImages()) }),
  });
  return (path: string, method = "GET") => app.fetch(new Request(`https://hub.test${path}`, { method }));
}

test("index and images are JSON, below the prefix of the public URL too, and what is signed is a clean 404", async () => {
  const ask = await served(() => IMAGES);
  for (const prefix of ["", "/juju-hub"]) {
    const at = (file: string) => ask(`${prefix}/juju/images/streams/v1/${file}`);
    for (const file of ["index2.json", "index.json", "cloud-0.json"]) {
      const reply = await at(file);
      expect([reply.status, reply.headers.get("Content-Type")]).toEqual([200, "application/json"]);
      expect(await reply.json()).toHaveProperty("format");
    }
    for (const file of ["index2.sjson", "index.sjson", "mirrors.json", "cloud-1.json", "..%2f..%2fsecret", "%00"]) {
      const reply = await at(file);
      expect([reply.status, reply.headers.get("Content-Type")]).toEqual([404, "application/json"]);
      expect(await reply.json()).toHaveProperty("error-list");
    }
  }
});

test("without the setting there is nothing, and a change shows at once", async () => {
  const path = "/juju/images/streams/v1/index2.json";
  expect((await (await served())(path)).status).toBe(404);
  let images: readonly CloudImage[] = [];
  const ask = await served(() => images);
  expect((await ask(path)).status).toBe(404);
  images = IMAGES;
  expect((await ask(path)).status).toBe(200);
  expect((await ask(path, "HEAD")).status).toBe(200);
  images = [];
  expect((await ask(path)).status).toBe(404);
});
