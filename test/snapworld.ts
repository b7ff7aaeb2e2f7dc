/** The snaps and assertions that the conformance cases of the Snap Store ask for, as one export. */

import { createHash } from "node:crypto";
import { parseAssertions } from "../src/assertions/text.ts";
import { type ImportReport } from "../src/import/import.ts";
import type { Store } from "../store/store.ts";
import { type Files, tgzOf } from "./build.ts";
import { importInto } from "./importing.ts";
import {
  account,
  accountKey,
  model,
  deviceSessionRequest as requestOf,
  rootOf,
  type Signatory,
  serial,
  snapDeclaration,
  snapResourcePair,
  snapResourceRevision,
  snapRevision,
  storeAssertion,
  testKey,
  validationSet,
} from "./signer.ts";
import { squashfs } from "./squashfs.ts";
import { importWorld, LARGE, noise, once } from "./world.ts";

export const HELLO = "hE7mQ2wXr9Tz4KbNc6VdYp1LsJf8Ga3U";
export const ALL1 = "aL5nRw8cVb2yKq4hZj7mXd1sFg9pTa3E";
export const DTRACK = "dT9pGa3TLd1sFg7mZj4hKq8yVb2cRw5n";
export const EPOCHAL = "eP4sWd6rGe2qYt8hUj1iOk5lAz7xSc3v";
export const CLASSY = "cL7bNm3vXz9kWj1rTy5hPd8sFf2gKa6Q";
export const CORE22 = "c2Hv6Tg9Rf4eDw8sQa1zXc3Vb5nMm7Lk";
export const SNAPD = "sN3kPq9ZrT1uYbN5sLc7vXe2HmJ8aQfG";

/** No address that comes with an import may come out again where machines fetch it. */
export const INTERNET = "media.internet.test";

/** What the store assertion names. */
export const STORE_URL = "http://127.0.0.1:8080";

export const PUBLISHER = { id: "aCmEaCmEaCmEaCmEaCmEaCmEaCmEaCmE", username: "acme", "display-name": "Acme", validation: "verified" };

export const ICON = noise(3000);

/** A serial that a path must not hold as it is. */
export const SERIAL_KEY = "we ird%x?y";

export function sha3Of(bytes: Uint8Array): string {
  return createHash("sha3-384").update(bytes).digest("hex");
}

/* ---- images ---- */

const ARM_ONLY = 8;

function helloYaml(revision: number): string {
  return `name: hello
title: Hello
version: "1.${revision}"
summary: Hello summary
description: |
  Says hello – à la carte, "quoted".

  # no comment
base: core22
confinement: strict
grade: stable
license: MIT
architectures: [${revision === ARM_ONLY ? "arm64" : "amd64"}]
apps:
  hello:
    command: bin/hello
    common-id: com.acme.hello
${revision === 6 ? "components:\n  extra:\n    type: standard\n    summary: More\n    description: More of it\n" : ""}`;
}

/** `more`: further lines. */
function appYaml(name: string, revision: number, more: readonly string[] = ["architectures: [amd64]"]): string {
  return [`name: ${name}`, `version: "1.${revision}"`, `summary: ${name} summary`, `description: ${name} description`, ...more, ""].join(
    "\n",
  );
}

function app(name: string, revision: number, ...more: readonly string[]): string {
  return appYaml(name, revision, [
    "base: core22",
    "confinement: strict",
    "architectures: [amd64]",
    `apps: {${name}: {command: bin/${name}}}`,
    ...more,
  ]);
}

/** `meta/snap.yaml` of NAME_REVISION. */
export const YAML: Readonly<Record<string, string>> = {
  ...Object.fromEntries([5, 6, 7, 8, 9].map((revision) => [`hello_${revision}`, helloYaml(revision)])),
  all1_1: appYaml("all1", 1, ["base: core22", "architectures: [all]"]),
  dtrack_20: app("dtrack", 20),
  dtrack_30: app("dtrack", 30),
  dtrack_31: app("dtrack", 31),
  epochal_1: app("epochal", 1),
  epochal_2: app("epochal", 2, "epoch: {read: [1], write: [1]}"),
  classy_4: app("classy", 4).replace("confinement: strict", "confinement: classic"),
  core22_22: appYaml("core22", 22, ["type: base", "architectures: [amd64]"]),
  snapd_19: appYaml("snapd", 19, ["type: snapd", "architectures: [amd64]"]),
};

const COMPONENT_YAML = "component: hello+extra\ntype: standard\nversion: '2.7'\nsummary: More\ndescription: More of it\n";

const MORE_FILES: Readonly<Record<string, Files>> = { hello_5: { "meta/gui/icon.png": ICON, "bin/hello": noise(LARGE) } };

/** `NAME_REVISION.snap`, `NAME+COMPONENT_REVISION.comp` → bytes. */
export const IMAGES: Readonly<Record<string, Uint8Array>> = {
  ...Object.fromEntries(
    Object.entries(YAML).map(([key, yaml]) => [`${key}.snap`, squashfs({ "meta/snap.yaml": yaml, ...MORE_FILES[key] })]),
  ),
  "hello+extra_7.comp": squashfs({ "meta/component.yaml": COMPONENT_YAML, data: noise(5000) }),
};

function imageOf(key: string): Uint8Array {
  const image = IMAGES[key];
  if (!image) throw new Error(`internal error: there is no ${key}`);
  return image;
}

/* ---- assertions ---- */

const ROOT_ACCOUNT = rootOf("testroot");
const STORE_KEY = testKey("store of testroot");
const BRAND: Signatory = { account: PUBLISHER.id, key: testKey("acme") };
const DEVICE = testKey("device");
/** what signs all that a store signs: a key of the root's account */
const STORE: Signatory = { ...ROOT_ACCOUNT, key: STORE_KEY };

/** What the operator trusts besides Canonical's root. */
export const ROOT: string = ROOT_ACCOUNT.trust;
const [ROOT_SELF = "", ROOT_KEY = ""] = parseAssertions(Buffer.from(ROOT), "the root").map(({ text }) => text);

const DEVELOPER = { "developer-id": PUBLISHER.id };

function declarationOf(name: string, id: string, more: Readonly<Record<string, unknown>> = {}): string {
  return snapDeclaration(STORE, { "snap-id": id, "snap-name": name, "publisher-id": PUBLISHER.id, ...more });
}

function digestOf(key: string): { readonly size: number; readonly digest: string } {
  const image = imageOf(key);
  return { size: image.byteLength, digest: Buffer.from(sha3Of(image), "hex").toString("base64url") };
}

function revisionOf(name: string, id: string, revision: number): string {
  const { size, digest } = digestOf(`${name}_${revision}.snap`);
  return snapRevision(STORE, { "snap-sha3-384": digest, "snap-id": id, "snap-size": size, "snap-revision": revision, ...DEVELOPER });
}

function setOf(sequence: number): string {
  const snaps = [
    { name: "all1", id: ALL1, presence: "required", revision: 1 },
    { name: "hello", id: HELLO, presence: "optional" },
  ];
  return validationSet(BRAND, { name: "nightly", sequence, snaps });
}

const EXTRA = digestOf("hello+extra_7.comp");
const OF_MACHINE = { model: "acme-pi", serial: SERIAL_KEY };
const ALIASES = [{ name: "hi", target: "hello" }];

/** Texts, as they were imported and as they must come out again. */
export const ASSERTIONS = {
  rootAccount: ROOT_SELF,
  rootKey: ROOT_KEY,
  storeKeyId: STORE_KEY.id,
  storeKey: accountKey(ROOT_ACCOUNT, STORE_KEY, { "account-id": ROOT_ACCOUNT.account, name: "store" }),
  account: account(STORE, {
    "account-id": PUBLISHER.id,
    username: PUBLISHER.username,
    "display-name": PUBLISHER["display-name"],
    validation: PUBLISHER.validation,
  }),
  brandKey: accountKey(STORE, BRAND.key, { "account-id": PUBLISHER.id, name: "default" }),
  declaration8: declarationOf("hello", HELLO, { format: 5, revision: 8, aliases: ALIASES }),
  declaration9: declarationOf("hello", HELLO, { format: 6, revision: 9, aliases: ALIASES }),
  revision5: revisionOf("hello", HELLO, 5),
  resourceRevision: snapResourceRevision(STORE, {
    "snap-id": HELLO,
    "resource-name": "extra",
    "resource-sha3-384": EXTRA.digest,
    "resource-size": EXTRA.size,
    "resource-revision": 7,
    ...DEVELOPER,
  }),
  resourcePair: snapResourcePair(STORE, {
    "snap-id": HELLO,
    "resource-name": "extra",
    "resource-revision": 7,
    "snap-revision": 6,
    ...DEVELOPER,
  }),
  store: storeAssertion(STORE, { store: "acmestore", "operator-id": PUBLISHER.id, url: STORE_URL }),
  model: model(BRAND, { model: OF_MACHINE.model }),
  serial: serial(BRAND, DEVICE, OF_MACHINE),
  set1: setOf(1),
  set2: setOf(2),
  set3: setOf(3),
};

/** What a machine must know of the store, dependencies first. */
export const STORE_STREAM: readonly string[] = [ASSERTIONS.storeKey, ASSERTIONS.account, ASSERTIONS.store];

/** What the machine of the serial asks for a session with. */
export function deviceSessionRequest(nonce: string): string {
  return requestOf(DEVICE, { "brand-id": PUBLISHER.id, ...OF_MACHINE, nonce });
}

function streamOf(...texts: readonly string[]): string {
  return texts.join("\n");
}

/** NAME_REVISION.assert, as `snap download` leaves it beside the snap. */
function assertFile(name: string, id: string, revision: number): string {
  const declaration = name !== "hello" ? declarationOf(name, id) : revision < 6 ? ASSERTIONS.declaration8 : ASSERTIONS.declaration9;
  const components = `${name}_${revision}` === "hello_6" ? [ASSERTIONS.resourceRevision, ASSERTIONS.resourcePair] : [];
  return streamOf(ASSERTIONS.storeKey, ASSERTIONS.account, declaration, revisionOf(name, id, revision), ...components);
}

/* ---- what the store on the other side told of them ---- */

interface Row {
  readonly channel: string;
  readonly architecture: string;
  readonly revision: number;
}

/** One row of an info reply. */
function infoRow(name: string, { channel, architecture, revision }: Row) {
  const [track, risk, branch] = channel.split("/");
  const image = imageOf(`${name}_${revision}.snap`);
  return {
    channel: {
      architecture,
      name: [...(track === "latest" ? [] : [track]), risk, ...(branch === undefined ? [] : [branch])].join("/"),
      "released-at": "2026-03-01T09:30:00.000000+00:00",
      risk,
      track,
    },
    architectures: [architecture],
    base: "core22",
    "common-ids": [],
    confinement: "strict",
    "created-at": "2026-02-28T08:00:00.000000+00:00",
    download: { deltas: [], "sha3-384": sha3Of(image), size: image.byteLength, url: `https://${INTERNET}/${name}_${revision}.snap` },
    epoch: { read: [0], write: [0] },
    revision,
    type: "app",
    version: `1.${revision}`,
  };
}

const MEDIA = [{ type: "icon", url: `https://${INTERNET}/icon.png`, width: 256, height: 256 }];

const HELLO_INFO = {
  name: "hello",
  "snap-id": HELLO,
  "default-track": null,
  snap: {
    name: "hello",
    "snap-id": HELLO,
    title: "Hello",
    summary: "Hello summary",
    description: "Says hello",
    license: "MIT",
    publisher: PUBLISHER,
    categories: [
      { name: "devices", featured: true },
      { name: "utilities", featured: false },
    ],
    media: MEDIA,
    prices: {},
    private: false,
    contact: "",
    website: null,
    links: {},
    "store-url": "https://snapcraft.io/hello",
  },
  // Not in the order of a reply.
  "channel-map": [
    { channel: "2.0/stable", architecture: "amd64", revision: 7 },
    { channel: "latest/edge/fix", architecture: "amd64", revision: 9 },
    { channel: "latest/edge", architecture: "amd64", revision: 6 },
    { channel: "latest/stable", architecture: "arm64", revision: 8 },
    { channel: "latest/stable", architecture: "amd64", revision: 5 },
  ].map((row) => infoRow("hello", row)),
};

const CLASSY_REPLY = {
  results: [
    {
      result: "download",
      "instance-key": "download-1",
      name: "classy",
      "snap-id": CLASSY,
      "effective-channel": "candidate",
      "released-at": "2026-03-01T09:30:00.000000+00:00",
      snap: {
        name: "classy",
        "snap-id": CLASSY,
        revision: 4,
        categories: [{ name: "utilities", featured: false }],
        media: MEDIA,
        publisher: PUBLISHER,
        prices: {},
      },
    },
  ],
  "error-list": [],
};

/** What an export holds of one snap. */
interface Exported {
  readonly id: string;
  /** what its JSON says */
  readonly told: unknown;
}

const SNAPS: Readonly<Record<string, Exported>> = {
  hello: { id: HELLO, told: HELLO_INFO },
  all1: { id: ALL1, told: { "latest/stable": 1 } },
  dtrack: { id: DTRACK, told: { name: "dtrack", "default-track": "3", channels: { "3/stable": 30, "3/edge": 31, "latest/edge": 20 } } },
  // Revision 1 can be had by number, and by those who have it.
  epochal: { id: EPOCHAL, told: { "latest/stable": 2 } },
  classy: { id: CLASSY, told: CLASSY_REPLY },
  core22: { id: CORE22, told: { "latest/stable": 22 } },
  snapd: { id: SNAPD, told: { "latest/stable": 19 } },
};

/** The files of one NAME.tar.gz. */
function snapFiles(name: string, { id, told }: Exported): Files {
  const keys = Object.keys(YAML).filter((key) => key.startsWith(`${name}_`));
  const components = Object.entries(IMAGES).filter(([key]) => key.startsWith(`${name}+`));
  return {
    ...Object.fromEntries(
      keys.flatMap((key) => [
        [`${key}.snap`, imageOf(`${key}.snap`)],
        [`${key}.assert`, assertFile(name, id, Number(key.slice(name.length + 1)))],
      ]),
    ),
    ...Object.fromEntries(components),
    "channel-map.json": JSON.stringify(told),
  };
}

export const SNAP_WORLD: Uint8Array = tgzOf({
  ...Object.fromEntries(Object.entries(SNAPS).map(([name, exported]) => [`${name}.tar.gz`, tgzOf(snapFiles(name, exported))])),
  "store.assert": streamOf(ASSERTIONS.rootAccount, ASSERTIONS.rootKey, ...STORE_STREAM),
  "brand.assert": streamOf(ASSERTIONS.brandKey, ASSERTIONS.model, ASSERTIONS.serial, ASSERTIONS.set1, ASSERTIONS.set2, ASSERTIONS.set3),
});

export async function importSnapWorld(store: Store): Promise<ImportReport> {
  const trust = parseAssertions(Buffer.from(ROOT), "root.assert");
  return importInto(store, { "snaps.tar.gz": SNAP_WORLD }, { command: "import snaps.tar.gz", trust, now: "2026-03-02T00:00:00Z" });
}

export const snapWorld = once(importSnapWorld);

/** A store of this world and of the charms' (world.ts). */
export const bothWorlds = once(async (store) => {
  await importWorld(store);
  await importSnapWorld(store);
});
