/** The stores that the browser looks at: one with everything that pages show, one full of hostile texts. */

import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setOverride } from "../../src/catalog/override.ts";
import type { Package } from "../../src/catalog/package.ts";
import type { Snap } from "../../src/catalog/snap.ts";
import { Disk } from "../../store/fs.ts";
import { Store } from "../../store/store.ts";
import { importAgentWorld } from "../agentworld.ts";
import { tarOf } from "../build.ts";
import { EXAMPLE } from "../example.ts";
import { importInto } from "../importing.ts";
import { layoutOf } from "../layouts.ts";
import { imageOf, indexOf } from "../registry.ts";
import { importSnapWorld } from "../snapworld.ts";
import { charmSaying, NASTY, snapSaying } from "../strangers.ts";
import { publish } from "../web.ts";
import { importWorld } from "../world.ts";

export const IMAGE = "team/app";

async function newStore(folder: string): Promise<Store> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  return Store.openOrCreate(new Disk(folder));
}

/** Charms, a bundle, snaps with components, a snap of a brand store, images, an override. */
export async function fullStore(folder: string): Promise<void> {
  const store = await newStore(folder);
  await importInto(store, EXAMPLE, { command: "import charms-export.tar.gz cos-lite.tar.gz", now: "2026-01-02T08:00:00Z" });
  await importWorld(store);
  await importSnapWorld(store);
  await importAgentWorld(store);
  const image = indexOf([imageOf({ layers: ["base", "amd"] }), imageOf({ architecture: "arm64", layers: ["base", "arm"] })]);
  const layout = tarOf(layoutOf([{ image, name: `registry.test/${IMAGE}:1.0` }]));
  await importInto(store, { "images.tar": layout }, { command: "import images.tar", now: "2026-03-03T08:00:00Z" });
  const snapshot = await store.snapshot();
  const charm = (await snapshot.package("acme-db")) as Package;
  const snap = (await snapshot.snap("dtrack")) as Snap;
  const terms = { reason: "waits for the database team", until: "2099-08-31T23:59:59Z" };
  await publish(store, [
    setOverride(charm, 18, "14/stable", { base: "22.04" }, terms, "2026-03-04T00:00:00Z"),
    { ...snap, store: "acmestore" },
  ]);
}

/** A charm and a snap for each hostile text. */
export async function hostileStore(folder: string): Promise<string[]> {
  const store = await newStore(folder);
  await importSnapWorld(store);
  const like = (await (await store.snapshot()).snap("hello")) as Snap;
  const charms = NASTY.map((text, i) => charmSaying(text, `stranger-${i}`));
  const pinned = setOverride(
    { ...(charms[0] as Package), name: "pinned", id: "IDpinned" },
    1,
    "latest/stable",
    {},
    { reason: NASTY.slice(0, 7).join(" ") },
    "2026-03-04T00:00:00Z",
  );
  await publish(store, [...charms, pinned, snapSaying(NASTY.join(" "), like)]);
  return ["/", "/snaps/hello", "/charms/pinned", "/_status", ...charms.map(({ name }) => `/charms/${name}`)];
}

export function storeFolder(name: string): string {
  return join(".run/browser", name);
}
