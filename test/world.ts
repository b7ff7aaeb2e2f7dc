/** The packages that the conformance cases ask for, as one export. */

import { createCipheriv } from "node:crypto";
import { type ImportReport } from "../src/import/import.ts";
import { Memory } from "../store/memory.ts";
import { Store } from "../store/store.ts";
import { base, bundleZip, type CharmSpec, charmZip, exportOf, imageBlob, type PackageSpec, PUBLISHER, type TestBase } from "./build.ts";
import { importInto } from "./importing.ts";

export const IDA = "Wd3kPq9ZrT1uYbN5sLc7vXe2HmJ8aQfG";
export const IDT = "t5RnXw2cVb8yKq4hZj7mLd1sFg9pGa3T";
export const IDB = "Bx6vNc3zQm9kWj1rTy5hPd8sLf2gKa7U";
export const IDJ = "J4uHy8tGr2eFw6dSq1aZx9cVb3nMk7Lp";

export const NOBLE = base("amd64", "24.04");
export const NOBLE_ARM = base("arm64", "24.04");
export const JAMMY = base("amd64", "22.04");
export const JAMMY_ARM = base("arm64", "22.04");
export const FOCAL = base("amd64", "20.04");

export const ACME = PUBLISHER;
export const JUJU_TEAM = { id: "jUjU", username: "juju-qa", "display-name": "Juju Team", validation: "verified" };

export const CONFIG_YAML = "options:\n  port:\n    type: int\n    default: 5432\n    description: where it listens\n";
export const ACTIONS_YAML = "backup:\n  description: writes a backup\n";
export const BUNDLE_YAML =
  "name: acme-stack\ndescription: A database and its friend\napplications:\n  db:\n    charm: acme-db\n    channel: 14/stable\n    num_units: 1\n  tiny:\n    charm: tiny\n    channel: latest/stable\n    num_units: 1\n";

export const IMAGE_PATH = `charm/${IDA.toLowerCase()}/acme-image`;

function image(revision: number): string {
  return imageBlob(`registry.jujucharms.com/${IMAGE_PATH}@sha256:${String(revision).repeat(64)}`);
}

/** More than what one read of a disk or a socket gives. */
export const LARGE = 5 * 2 ** 18;

/** Bytes that do not compress, the same each time. */
export function noise(size: number): Uint8Array {
  return createCipheriv("aes-128-ctr", Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(size));
}

function charms(spec: Omit<CharmSpec, "revision" | "bases">, bases: Readonly<Record<number, readonly TestBase[]>>) {
  const zip = (revision: string, on: readonly TestBase[]) => charmZip({ ...spec, revision: Number(revision), bases: on });
  return { bases, revisions: Object.fromEntries(Object.entries(bases).map(([revision, on]) => [revision, zip(revision, on)])) };
}

const pins = (acmeImage: number) => ({ "acme-image": acmeImage, "acme-file": 4 });

const ACME_DB: PackageSpec = {
  name: "acme-db",
  id: IDA,
  type: "charm",
  publisher: ACME,
  result: { summary: "Acme database", license: "Apache-2.0", "store-url": "https://charmhub.io/acme-db" },
  defaultTrack: "14",
  ...charms(
    {
      name: "acme-db",
      resources: { "acme-image": { type: "oci-image" }, "acme-file": { type: "file", filename: "acme.bin" } },
      files: { "config.yaml": CONFIG_YAML, "actions.yaml": ACTIONS_YAML },
    },
    { 10: [FOCAL], 18: [JAMMY], 20: [NOBLE], 21: [NOBLE_ARM], 25: [NOBLE] },
  ),
  resources: {
    "acme-image": { type: "oci-image", revisions: Object.fromEntries([3, 4, 5, 6, 7, 8, 9].map((n) => [n, image(n)])) },
    "acme-file": { type: "file", filename: "acme.bin", revisions: { 4: noise(LARGE) } },
  },
  releases: [
    // Not in the order of a reply, and the latest track before the default one.
    { channel: "latest/stable", base: FOCAL, revision: 10, resources: pins(3) },
    { channel: "14/edge", base: NOBLE, revision: 25, resources: pins(9) },
    { channel: "14/stable", base: JAMMY, revision: 18, resources: pins(7) },
    { channel: "14/stable", base: NOBLE_ARM, revision: 21, resources: pins(7) },
    { channel: "14/stable", base: NOBLE, revision: 20, resources: pins(7) },
  ],
};

const TINY: PackageSpec = {
  name: "tiny",
  id: IDT,
  type: "charm",
  publisher: ACME,
  defaultTrack: "latest",
  ...charms({ name: "tiny" }, { 5: [JAMMY, JAMMY_ARM] }),
  releases: [JAMMY, JAMMY_ARM].map((on) => ({ channel: "latest/stable", base: on, revision: 5 })),
};

const ACME_STACK: PackageSpec = {
  name: "acme-stack",
  id: IDB,
  type: "bundle",
  publisher: ACME,
  defaultTrack: "latest",
  revisions: { 3: bundleZip(BUNDLE_YAML) },
  releases: [{ channel: "latest/stable", base: null, revision: 3 }],
};

const JUJU_CONTROLLER: PackageSpec = {
  name: "juju-controller",
  id: IDJ,
  type: "charm",
  publisher: JUJU_TEAM,
  defaultTrack: "4.1",
  ...charms({ name: "juju-controller", files: { "config.yaml": CONFIG_YAML } }, { 116: [NOBLE, JAMMY], 141: [NOBLE, JAMMY] }),
  releases: Object.entries({ "3.6/stable": 116, "4.1/stable": 141 }).flatMap(([channel, revision]) =>
    [JAMMY, NOBLE].map((on) => ({ channel, base: on, revision })),
  ),
};

export const PACKAGES: readonly PackageSpec[] = [ACME_DB, TINY, ACME_STACK, JUJU_CONTROLLER];

export const WORLD: Uint8Array = exportOf(PACKAGES);

export async function importWorld(store: Store): Promise<ImportReport> {
  return importInto(store, { "world.tar.gz": WORLD }, { command: "import world.tar.gz", now: "2026-03-02T00:00:00Z" });
}

/** A store in memory, filled when it is first asked for: each who asks gets a copy, so what is done to it, no other test sees. */
export function once(fill: (store: Store) => Promise<unknown>): () => Promise<Memory> {
  const make = async () => {
    const storage = new Memory();
    await fill(await Store.openOrCreate(storage));
    return storage;
  };
  let made: Promise<Memory> | undefined;
  return async () => (await (made ??= make())).copy();
}

export const charmWorld = once(importWorld);
