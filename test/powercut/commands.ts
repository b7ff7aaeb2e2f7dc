/** Every command that writes: what there is before it, and what it is called with. */

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { x as extract } from "tar";
import { createKey } from "../../src/archives/signature.ts";
import { AGENT_SIGNER, AGENT_WORLD } from "../agentworld.ts";
import { base, charmZip, exportOf, type PackageSpec, tarOf } from "../build.ts";
import { layoutOf } from "../layouts.ts";
import { runProgram } from "../program.ts";
import { imageOf, indexOf } from "../registry.ts";
import { ROOT, SNAP_WORLD } from "../snapworld.ts";
import { agentBytes } from "../streams.ts";

export interface Command {
  readonly name: string;
  /** folders below the root that are stores, or become one */
  readonly stores?: readonly string[];
  readonly exit?: number;
  /** what `verify` of a store exits with, before and after */
  readonly verify?: number;
  /** fills the root, before all else */
  readonly setup: (root: string) => Promise<void>;
  readonly argv: (root: string) => readonly string[];
}

const JAMMY = base("amd64", "22.04");

/** A charm with a resource, in two tracks. */
function charm(name: string, revision: number): PackageSpec {
  const resources = { data: { type: "file" as const, filename: "data" } };
  return {
    name,
    id: name.padEnd(32, "0"),
    type: "charm",
    revisions: { [revision]: charmZip({ name, revision, bases: [JAMMY], resources }) },
    bases: { [revision]: [JAMMY] },
    resources: { data: { ...resources.data, revisions: { [revision]: `data ${revision} of ${name}` } } },
    releases: ["latest/stable", "2/stable"].map((channel) => ({ channel, base: JAMMY, revision, resources: { data: revision } })),
  };
}

async function run(...args: string[]): Promise<void> {
  const done = await runProgram([...args, "--quiet"], { HOME: "/nonexistent" });
  if (done.code !== 0) throw new Error(`chp ${args.join(" ")}: exit ${done.code}: ${done.err}`);
}

function write(root: string, files: Readonly<Record<string, string | Uint8Array>>): void {
  for (const [name, content] of Object.entries(files)) writeFileSync(join(root, name), content);
}

const at = (root: string) => ({ store: join(root, "store"), first: join(root, "1.tar.gz"), second: join(root, "2.tar.gz") });

const files = async (root: string) =>
  write(root, { "1.tar.gz": exportOf([charm("tiny", 1)]), "2.tar.gz": exportOf([charm("tiny", 2), charm("other", 1)]) });

/** A store with one generation. */
async function one(root: string): Promise<void> {
  await files(root);
  await run("import", "--store", at(root).store, at(root).first);
}

/** A store with two, of which the second has another revision and another package. */
async function two(root: string): Promise<void> {
  await one(root);
  await run("import", "--store", at(root).store, at(root).second);
}

const after =
  (before: (root: string) => Promise<void>, ...commands: readonly (readonly string[])[]) =>
  async (root: string) => {
    await before(root);
    for (const args of commands) await run(...args.map((arg) => arg.replace("ROOT", root)), "--store", at(root).store);
  };

/** On `store`, after `before`. */
function onStore(name: string, before: (root: string) => Promise<void>, ...args: readonly string[]): Command {
  return { name, setup: before, argv: (root) => [...args.map((arg) => arg.replace("ROOT", root)), "--store", at(root).store] };
}

/** A store with one generation, and an archive with an image that has two tags and shares a layer with another. */
async function withImages(root: string): Promise<void> {
  await one(root);
  const image = imageOf({ layers: ["base", "app"] });
  const listed = [
    { image, name: "team/app:1" },
    { image: indexOf([image]), name: "team/app:2" },
    { image: imageOf({ layers: ["base", "other"] }), name: "team/other:1" },
  ];
  write(root, { "images.tar": tarOf(layoutOf(listed)) });
}
const IMPORT_IMAGES = ["import", "ROOT/images.tar"];
const PLAN_IMAGES = ["remove", "team/app:2", "--plan", "ROOT/plan.json"];

/** A store with one generation, and agents: an archive with signed streams, and a file alone. */
async function withAgents(root: string): Promise<void> {
  await one(root);
  write(root, { "agents.tar": AGENT_WORLD, "streams.asc": AGENT_SIGNER.file, "juju-4.0.2-linux-amd64.tgz": agentBytes("4.0.2", "amd64") });
}
const IMPORT_AGENTS = ["import", "ROOT/agents.tar", "--streams-key", "ROOT/streams.asc"];
const PLAN_AGENTS = ["remove", "juju-3.6.11-linux-arm64.tgz", "--plan", "ROOT/plan.json"];

const GC = ["gc", "--keep-generations", "1", "--keep-days", "0", "--older-than", "0"];
const OVERRIDE = ["override", "tiny", "1", "latest/stable", "--reason", "2 breaks backups"];
const KEYS = [createKey("one"), createKey("two")] as const;
const withKeys = async (root: string) => {
  await one(root);
  write(root, { "one.pub": KEYS[0].public, "two.pub": KEYS[1].public });
};
const FIXTURES = join(import.meta.dir, "../fixtures/tls");
const CERTIFICATE = { "cert.pem": readFileSync(join(FIXTURES, "cert.pem")), "key.pem": readFileSync(join(FIXTURES, "key.pem")) };
const SELFSIGNED = ["import-certificate", "--selfsigned", "--name", "hub.lan"];

export const COMMANDS: readonly Command[] = [
  onStore("import-new", files, "import", "ROOT/1.tar.gz"),
  onStore("import", one, "import", "ROOT/2.tar.gz"),
  onStore(
    "import-several",
    async (root) => {
      await one(root);
      write(root, { "3.tar.gz": exportOf([charm("third", 1)]) });
    },
    "import",
    "ROOT/2.tar.gz",
    "ROOT/3.tar.gz",
  ),
  onStore(
    "import-snap",
    async (root) => {
      await one(root);
      write(root, { "root.assert": ROOT, "world.tar.gz": SNAP_WORLD });
      extract({ cwd: root, file: join(root, "world.tar.gz"), sync: true }, ["all1.tar.gz"]);
    },
    "import",
    "--trust",
    "ROOT/root.assert",
    "ROOT/all1.tar.gz",
  ),
  onStore("import-agents", withAgents, ...IMPORT_AGENTS),
  onStore("import-agent", withAgents, "import", "ROOT/juju-4.0.2-linux-amd64.tgz", "--allow-unverified"),
  onStore("remove-agents", after(withAgents, IMPORT_AGENTS, PLAN_AGENTS), "remove", "--apply", "ROOT/plan.json"),
  onStore("rollback-agents", after(withAgents, IMPORT_AGENTS), "rollback", "1"),
  onStore("import-images", withImages, "import", "ROOT/images.tar"),
  onStore("remove-images", after(withImages, IMPORT_IMAGES, PLAN_IMAGES), "remove", "--apply", "ROOT/plan.json"),
  onStore("rollback-images", after(withImages, IMPORT_IMAGES), "rollback", "1"),
  onStore("release", two, "release", "tiny", "1", "latest/edge"),
  onStore("close", two, "close", "tiny", "latest/stable"),
  onStore("default-track", two, "default-track", "tiny", "2"),
  onStore("override", two, ...OVERRIDE),
  onStore("end-override", after(two, OVERRIDE), "end-override", "tiny", "latest/stable"),
  onStore("rollback", two, "rollback", "1"),
  onStore(
    "remove",
    after(two, ["remove", "other", "--plan", "ROOT/plan.json", "--force", "--yes"]),
    "remove",
    "--apply",
    "ROOT/plan.json",
    "--force",
    "--yes",
  ),
  onStore("gc", after(two, ["release", "tiny", "1", "latest/stable"], ["release", "tiny", "2", "latest/edge"]), ...GC),
  onStore("gc-again", after(two, ["release", "tiny", "1", "latest/stable"], ["release", "tiny", "2", "latest/edge"], GC), ...GC),
  onStore("config", one, "config", "public-url=https://hub.lan"),
  onStore("config-change", after(one, ["config", "public-url=https://old.lan"]), "config", "public-url=https://hub.lan"),
  onStore(
    "config-yaml",
    async (root) => {
      await one(root);
      await run("config", "public-url=https://hub.lan", "proxy.oci-registry.domain=registry.lan:5000", "--store", at(root).store);
      writeFileSync(join(root, "chp.yaml"), (await runProgram(["config", "--export-yaml", "--store", at(root).store])).out);
      await run("config", "public-url=https://old.lan", "--store", at(root).store);
    },
    "config",
    "--import-yaml",
    "ROOT/chp.yaml",
  ),
  onStore(
    "config-secret",
    one,
    "config",
    "proxy.oci-registry.domain=registry.lan:5000",
    "proxy.oci-registry.username=pull",
    "proxy.oci-registry.password=a-password-of-the-registry",
  ),
  onStore("accept-key", withKeys, "accept-key", "ROOT/one.pub"),
  onStore("accept-key-remove", after(withKeys, ["accept-key", "ROOT/one.pub", "ROOT/two.pub"]), "accept-key", "--remove", KEYS[0].id),
  onStore("token", one, "token", "build-host"),
  onStore("token-revoke", after(one, ["token", "build-host"], ["token", "other-host"]), "token", "build-host", "--revoke"),
  onStore("certificate-selfsigned", one, ...SELFSIGNED),
  onStore("certificate-renew", after(one, SELFSIGNED), ...SELFSIGNED),
  onStore(
    "certificate-given",
    async (root) => {
      await after(one, SELFSIGNED)(root);
      write(root, CERTIFICATE);
    },
    "import-certificate",
    "--cert",
    "ROOT/cert.pem",
    "--key",
    "ROOT/key.pem",
  ),
  { name: "keygen", stores: [], setup: async () => {}, argv: (root) => ["keygen", join(root, "site.key")] },
  onStore(
    "export",
    async (root) => {
      await two(root);
      write(root, { "site.yaml": "charms:\n  - tiny\n" });
    },
    "export",
    "-f",
    "ROOT/site.yaml",
    "--export-dir",
    "ROOT/out",
    "--without",
    "bases",
    "--without",
    "snapd",
    "--without",
    "providers",
  ),
  {
    ...onStore(
      "backup",
      after(two, ["config", "public-url=https://hub.lan"], ["token", "build-host"], SELFSIGNED),
      "backup",
      "ROOT/backup",
    ),
    stores: ["store", "backup"],
  },
  {
    ...onStore(
      "restore",
      async (root) => {
        await after(two, ["config", "public-url=https://hub.lan"], ["token", "build-host"], SELFSIGNED)(root);
        await run("backup", join(root, "copy"), "--store", at(root).store);
      },
      "restore",
      "ROOT/copy",
    ),
    argv: (root) => ["restore", join(root, "copy"), "--store", join(root, "restored")],
    stores: ["store", "restored"],
  },
  {
    ...onStore(
      "verify",
      async (root) => {
        await two(root);
        const folder = join(at(root).store, "blobs/sha256");
        const blobs = readdirSync(folder).flatMap((name) => readdirSync(join(folder, name)).map((blob) => join(folder, name, blob)));
        const blob = blobs.find((path) => readFileSync(path, "latin1") === "data 2 of tiny");
        if (blob === undefined) throw new Error("there is no blob to damage");
        writeFileSync(blob, "DATA 2 of tiny");
      },
      "verify",
      "--read-data",
    ),
    exit: 13,
    verify: 13,
  },
];
