/** What every command prints with --json has the fields that `chp help json` lists, and no others. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import * as v from "valibot";
import { JSON_OUTPUTS } from "../../../bin/commands/jsonschemas.ts";
import { TOPICS } from "../../../bin/commands/manual.ts";
import { createProgram } from "../../../bin/commands/program.ts";
import type { ProgramName } from "../../../src/settings/documented.ts";
import { AGENT_WORLD } from "../../agentworld.ts";
import { tarOf } from "../../build.ts";
import { below, layoutOf } from "../../layouts.ts";
import { makeManualWorld, REGISTRY, serveStore } from "../../manualworld.ts";
import { runProgram, SILENT_IO } from "../../program.ts";
import { imageOf } from "../../registry.ts";
import { agentBytes } from "../../streams.ts";
import { tempFolder } from "../../temp.ts";

const folder = tempFolder();
const at = (...names: string[]) => join(folder.path, ...names);
const USB = at("media", "usb");
const DOCUMENTED = "snap-store-proxy";
const ending = new AbortController();
/** In the words of an example: the address of the server that runs. */
const UPSTREAM = "UPSTREAM";
let upstream = "";

beforeAll(async () => {
  await makeManualWorld(folder.path, "charms: [postgresql-k8s, nope]\nbundles: [cos-lite]\nsnaps: [jq]\n");
  upstream = await serveStore(at("outside"), ending.signal);
  writeFileSync(at("chp.yaml"), "idle-timeout: 60\nproxy.db.host: x\n");
  const image = { image: imageOf({ layers: ["a"] }), name: "ghcr.io/juju/jujud-operator:3.6" };
  writeFileSync(at("images.tar"), tarOf(below("images", layoutOf([image]))));
  writeFileSync(at("agents.tar"), AGENT_WORLD);
  writeFileSync(at("juju-4.0.2-linux-amd64.tgz"), agentBytes("4.0.2", "amd64"));
});
afterAll(async () => {
  ending.abort();
  folder[Symbol.dispose]();
});

interface Example {
  /** as the table of schemas names it */
  readonly command: string;
  readonly args: readonly string[];
  /** exit code, where it is not 0 */
  readonly code?: number;
  readonly program?: ProgramName;
}

const example = (command: string, args: readonly string[], more: Pick<Example, "code" | "program"> = {}): Example => ({
  command,
  args,
  ...more,
});

/** In this order: later ones look at what earlier ones made. The store has what the manual's examples name. */
const EXAMPLES: readonly Example[] = [
  example("import", ["import", USB, "--trust", at("root.assert"), "--store", at("fresh")]),
  example("import", ["import", USB, "--dry-run"]),
  example("import", ["import", at("charms-export-20260426T163115.tar.gz"), "--store", at("charms")]),
  example("import", ["import", at("images.tar"), "--store", at("charms")]),
  example("log", ["log", "--store", at("charms")]),
  example("diff", ["diff", "0", "--store", at("charms")]),
  example("du", ["du", "--store", at("charms")]),
  example("status", ["status", "--store", at("charms")]),
  example("status --probe", ["status", "--probe", "--server", UPSTREAM]),
  example("images", ["images", "--store", at("charms")]),
  example("inventory", ["inventory", "--store", at("charms")]),
  example("import", ["import", at("agents.tar"), "--streams-key", at("streams.asc"), "--store", at("agents")]),
  example("import", ["import", at("juju-4.0.2-linux-amd64.tgz"), "--allow-unverified", "--store", at("agents")]),
  example("list", ["list", "--store", at("agents")]),
  example("show", ["show", "juju-3.6.11", "--store", at("agents")]),
  example("log", ["log", "--store", at("agents")]),
  example("diff", ["diff", "1", "--store", at("agents")]),
  example("du", ["du", "--store", at("agents")]),
  example("status", ["status", "--store", at("agents")]),
  example("inventory", ["inventory", "--store", at("agents")]),
  example("remove", ["remove", "juju-3.6.11-linux-amd64.tgz", "--plan", at("agents.json"), "--store", at("agents")]),
  example("remove --apply", ["remove", "--apply", at("agents.json"), "--store", at("agents")]),
  example("rollback", ["rollback", "1", "--store", at("agents")]),
  example("push-charms", ["push-charms", at("charms-export-20260426T163115.tar.gz")]),
  example("push-charm-bundle", ["push-charm-bundle", at("charms-export-20260426T163115.tar.gz")]),
  example("push-snap", ["push-snap", join(USB, "snaps.tar.gz")]),
  example("push-store", ["push-store", join(USB, "snaps.tar.gz")]),
  example("push-account-keys", ["push-account-keys", at("root.assert"), "--trust", at("root.assert")]),
  example("import --repair", ["import", USB, "--repair"]),
  example("inventory", ["inventory"]),
  example("keygen", ["keygen", at("site.key")]),
  example("accept-key", ["accept-key", at("site.key.pub"), "--until", "2099-01-01"]),
  example("status", ["status"]),
  example("config KEY=VALUE", ["config", "accepted-keys="]),
  example("token", ["token", "build-host"]),
  example("token", ["token", "other-host", "--out", at("token")]),
  example("token --list", ["token", "--list"]),
  example("token --revoke", ["token", "build-host", "--revoke"]),
  example("config KEY=VALUE", ["config", "proxy.oci-registry.domain=127.0.0.1:1", "proxy.oci-registry.password=x"]),
  example("config", ["config"]),
  example("config KEY", ["config", "public-url"]),
  example("config --import-yaml", ["config", "--import-yaml", at("chp.yaml")]),
  example("import-certificate", ["import-certificate", "--selfsigned"]),
  example("unit", ["unit"]),
  example("trust", ["trust"]),
  example("juju-config", ["juju-config", "--bootstrap", "--juju", "3.6"]),
  example("snapd-config", ["snapd-config"]),
  example("completion", ["completion", "bash"]),
  example("serve", ["serve", "--listen", "127.0.0.1:0"]),
  example("doctor", ["doctor", "--offline"]),
  example("doctor", ["doctor", "--offline", "--store", at("charms")], { code: 1 }),
  example("list", ["list"]),
  example("search", ["search", "jq"]),
  example("list-pushed-snaps", ["list-pushed-snaps"]),
  ...["postgresql-k8s", "cos-lite", "jq"].map((name) => example("show", ["show", name])),
  example("missing", ["missing", "--all"]),
  example("images", ["images"]),
  example("override", ["override", "postgresql-k8s", "381", "14/stable", "--reason", "x", "--until", "2099-01-01"]),
  example("overrides", ["overrides"]),
  example("release", ["release", "postgresql-k8s", "987", "15/stable"]),
  example("release", ["release", "postgresql-k8s", "990", "14/stable"]),
  example("import", ["import", join(USB, "charms.tar.gz")]),
  example("end-override", ["end-override", "postgresql-k8s", "14/stable"]),
  example("close", ["close", "postgresql-k8s", "14/edge"]),
  example("default-track", ["default-track", "postgresql-k8s", "15"]),
  example("remove", ["remove", "jq"]),
  example("remove", ["remove", "kafka@195", "--plan", at("plan.json")]),
  example("remove --apply", ["remove", "--apply", at("plan.json")]),
  example("log", ["log"]),
  example("log --verify", ["log", "--verify"]),
  example("diff", ["diff", "0"]),
  example("diff", ["diff", "1"]),
  example("rollback", ["rollback", "1"]),
  example("verify", ["verify", "--read-data"]),
  example("gc", ["gc", "--keep-generations", "1", "--keep-days", "0", "--older-than", "0"]),
  example("du", ["du"]),
  example("backup", ["backup", at("backup")]),
  example("copy", ["copy", at("backup"), at("copied")]),
  example("restore", ["restore", at("backup"), "--store", at("restored")]),
  example("version", ["version"]),
  example("help", ["help"]),
  example("help TOPIC", ["help", "json"]),
  example("export", ["export", "-f", at("site.yaml")], { code: 4 }),
  example("export --dry-run", ["export", "-f", at("site.yaml"), "--dry-run"], { code: 4 }),
  example("export bundle", ["export", "bundle", "cos-lite"]),
  example("export charms", ["export", "charms", "kafka"]),
  example("export snaps", ["export", "snaps", "jq"]),
  example("enable-airgap-mode", ["enable-airgap-mode"]),
  example("snap-store-proxy status", ["status"], { program: DOCUMENTED }),
  example("override", ["override", "jq", "latest/stable=1"], { program: DOCUMENTED }),
  example("list-overrides", ["list-overrides", "jq"], { program: DOCUMENTED }),
  example("delete-override", ["delete-override", "jq", "latest/stable"], { program: DOCUMENTED }),
];

test("every command's output has the fields of its schema, and no others", async () => {
  for (const { command, args, code = 0, program = "chp" } of EXAMPLES) {
    const environment = {
      HOME: folder.path,
      CHP_STORE: at("store"),
      CHP_EXPORT_DIR: at("exports"),
      CHARMHUB_URL: upstream,
      CHP_SNAPSTORE_URL: upstream,
      CHP_INSECURE_REGISTRY: REGISTRY.host,
      CHP_STREAMS_KEY: join(folder.path, "streams.asc"),
    };
    const signal = command === "serve" ? AbortSignal.abort() : undefined;
    const flags = command === "inventory" ? [] : ["--json"];
    const done = await runProgram([...args.map((word) => (word === UPSTREAM ? upstream : word)), ...flags], environment, program, signal);
    expect([args, done.code, done.code === code ? "" : done.err]).toEqual([args, code, ""]);
    const schema = JSON_OUTPUTS.find(({ commands }) => commands.includes(command))?.schema;
    const parsed = v.safeParse(schema ?? v.never(), JSON.parse(done.out));
    const problems = parsed.issues?.map((issue) => `${v.getDotPath(issue) ?? ""}: ${issue.message}`);
    expect([args, problems]).toEqual([args, undefined]);
  }
});

test("every schema has an example", () => {
  const examples = new Set(EXAMPLES.map(({ command }) => command));
  expect(JSON_OUTPUTS.flatMap(({ commands }) => commands).filter((command) => !examples.has(command))).toEqual([]);
});

test("every command with --json has a schema", () => {
  const named = new Set(JSON_OUTPUTS.flatMap(({ commands }) => commands));
  const withJson = (command: Command, path: readonly string[]): string[] =>
    command.commands.flatMap((child) => {
      const words = [...path, child.name()];
      const own = child.options.some(({ long }) => long === "--json") ? [words.join(" ")] : [];
      return [...own, ...withJson(child, words)];
    });
  /** Refused, whatever it is given. */
  const NEVER = ["disable-airgap-mode"];
  for (const program of ["chp", DOCUMENTED] as const)
    expect(withJson(createProgram(SILENT_IO, program), []).filter((command) => !named.has(command) && !NEVER.includes(command))).toEqual(
      [],
    );
});

test("the page shows each of them, field by field", () => {
  const page = TOPICS.find(({ name }) => name === "json")?.text ?? "";
  for (const { commands } of JSON_OUTPUTS) for (const command of commands) expect(page).toContain(`\`${command}\``);
  expect(page).toContain("| `packages.moves.from` | number, or null (null: it was opened) |");
  expect(page).not.toContain("| object |");
});
