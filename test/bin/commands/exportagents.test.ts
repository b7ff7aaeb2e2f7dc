/** Exports with Juju's agents as an operator makes them: from a stand-in of upstream's streams, and from one chp to the next. Over ports of this machine. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { controllerImages, readJuju, showImage } from "../../../src/catalog/bootstrap.ts";
import { tarOf } from "../../build.ts";
import { layoutOf } from "../../layouts.ts";
import { makeManualWorld, serveStore } from "../../manualworld.ts";
import { runProgram } from "../../program.ts";
import { imageOf } from "../../registry.ts";
import { streamsFiles, streamsSigner, testAgents } from "../../streams.ts";
import { tempFolder } from "../../temp.ts";

const SIGNER = streamsSigner("a");
const SITE = 'essentials: {juju: "3.6"}\nwithout: [images]\n';
const folder = tempFolder();
const at = (...names: string[]) => join(folder.path, ...names);
const ending = new AbortController();
let charmhub = "";
let files: Map<string, Uint8Array> = new Map();
const streams = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: (request) => {
    const bytes = files.get(new URL(request.url).pathname.replace("/juju/tools/", ""));
    return bytes ? new Response(new Uint8Array(bytes)) : new Response("no", { status: 404 });
  },
});

beforeAll(async () => {
  await makeManualWorld(folder.path, SITE);
  // The images of a controller, where another chp has them.
  const images = controllerImages(readJuju("3.6.11")).map((image) => ({
    image: imageOf({ layers: [image.tag] }),
    name: `ghcr.io/juju/${showImage(image)}`,
  }));
  writeFileSync(at("controller.tar"), tarOf(layoutOf(images)));
  expect((await runProgram(["import", at("controller.tar"), "--store", at("outside")])).code).toBe(0);
  charmhub = await serveStore(at("outside"), ending.signal);
});
afterAll(async () => {
  ending.abort();
  await streams.stop(true);
  folder[Symbol.dispose]();
});
beforeEach(() => {
  for (const name of ["out", "inside", "site.lock"]) rmSync(at(name), { recursive: true, force: true });
  writeFileSync(at("site.yaml"), SITE);
  files = streamsFiles(testAgents(["3.6.11", "3.6.12"], ["amd64"]), SIGNER);
});

const trusted = ["--trust", at("root.assert"), "--streams-key", at("streams.asc")];
/** Without the environment of the manual's tests: what is given is on the command line. */
async function exported(...flags: string[]) {
  const args = ["export", "-f", at("site.yaml"), "--export-dir", at("out"), "--streams-key", at("streams.asc"), "--json"];
  const done = await runProgram([...args, "--charmhub-url", charmhub, "--snapstore-url", charmhub, ...flags]);
  const [archive] = JSON.parse(done.out || "{}").archives ?? [];
  return { ...done, archive, path: archive?.paths[0] ?? "" };
}
const fromStreams = (...flags: string[]) => exported("--agents-url", `http://127.0.0.1:${streams.port}/juju/tools`, ...flags);
const imported = async (path: string, store = at("inside")) => {
  const done = await runProgram(["import", path, "--store", store, ...trusted]);
  expect([done.code, done.code === 0 ? "" : done.err]).toEqual([0, ""]);
  return done.out;
};
const list = async (store = at("inside")) =>
  JSON.parse((await runProgram(["list", "--json", "--store", store])).out).filter(({ type }: { type: string }) => type === "agent");

describe("from upstream's streams", () => {
  test("the newest patch is taken, listed in the lock, and verified again by the import", async () => {
    const { code, archive, path, err } = await fromStreams();
    expect([code, archive.agents.map(({ version }: { version: string }) => version)]).toEqual([0, ["3.6.12"]]);
    expect(err).not.toContain("not exported");
    expect(JSON.parse(readFileSync(at("site.lock"), "utf8")).agents).toMatchObject({
      updated: "2026-09-22T08:00:00Z",
      versions: [{ version: "3.6.12" }],
    });
    expect((await runProgram(["import", path, "--store", at("inside"), "--trust", at("root.assert")])).err).toContain(
      "is not signed by a known key",
    );
    expect(await imported(path)).toContain("juju-3.6.12: agents, new\n  architectures  amd64 new\n");
    expect(await list()).toEqual([expect.objectContaining({ name: "juju-3.6.12", architectures: ["amd64"], unverified: [] })]);
  });

  test("by the lock the same is taken, whatever came since", async () => {
    await fromStreams();
    rmSync(at("out"), { recursive: true });
    files = streamsFiles(testAgents(["3.6.11", "3.6.12", "3.6.13"], ["amd64"]), SIGNER, { updated: "Thu, 01 Oct 2026 08:00:00 +0000" });
    const { code, archive } = await fromStreams("--locked");
    expect([code, archive.agents.map(({ version }: { version: string }) => version)]).toEqual([0, ["3.6.12"]]);
  });

  test("streams that are older than those of the lock are refused, and the rest is exported", async () => {
    await fromStreams();
    files = streamsFiles(testAgents(["3.6.11"], ["amd64"]), SIGNER, { updated: "Mon, 21 Sep 2026 08:00:00 +0000" });
    const { code, archive, err } = await fromStreams();
    expect([code, archive.agents]).toEqual([4, []]);
    expect(err).toContain("was updated at 2026-09-21T08:00:00Z, and an earlier export had one of 2026-09-22T08:00:00Z");
  });

  test("a file with another byte is refused by its name, and so are unsigned streams", async () => {
    const name = "agent/3.6.12/juju-3.6.12-linux-amd64.tgz";
    const spoiled = Buffer.from(files.get(name) ?? "");
    spoiled[100] = (spoiled[100] ?? 0) ^ 1;
    files.set(name, spoiled);
    const { code, archive, path, err } = await fromStreams();
    expect([code, archive.agents]).toEqual([4, []]);
    expect(archive.lost[0]).toMatchObject({
      name: "juju-3.6.12",
      error: expect.stringMatching(/juju-3\.6\.12-linux-amd64\.tgz: its sha-256 is .*, but the store said/),
    });
    expect(err).toContain("agent of Juju 3.6.12 for amd64");
    expect(existsSync(at("site.lock"))).toBe(false);
    await imported(path);
    expect(await list()).toEqual([]);
    files = new Map([["streams/v1/index2.sjson", Buffer.from("{}")]]);
    expect((await fromStreams()).archive.lost[0].error).toContain("streams/v1/index2.sjson is not signed");
  });

  test("a dry run lists them, and `--without agents` leaves them out", async () => {
    const dry = await fromStreams("--dry-run");
    expect(JSON.parse(dry.out).packages).toContainEqual({ type: "agent", name: "juju-3.6.12", revisions: [], size: 200, reasons: [] });
    const { code, archive } = await fromStreams("--without", "agents,images");
    expect([code, archive.agents]).toEqual([0, []]);
  });

  test("what the other side has is not packed again, and its archive imports as nothing new", async () => {
    await imported((await fromStreams()).path);
    writeFileSync(at("have.json"), (await runProgram(["inventory", "--store", at("inside")])).out);
    rmSync(at("out"), { recursive: true });
    const { code, path, archive } = await fromStreams("--since", at("have.json"));
    expect([code, archive.agents.map(({ version }: { version: string }) => version)]).toEqual([0, ["3.6.12"]]);
    expect(readFileSync(path).includes("juju-3.6.12-linux-amd64.tgz")).toBe(true); // the product file names it
    expect(readFileSync(path).includes("agents/agent/3.6.12/")).toBe(false);
    expect(await imported(path)).toContain("nothing changed");
    expect(await list()).toHaveLength(1);
  });
});

describe("from one chp to the next", () => {
  test("agents go with upstream's own texts, and controller images with them", async () => {
    writeFileSync(at("site.yaml"), 'essentials: {juju: "3.6"}\narchitectures: [amd64, arm64]\n');
    const first = await exported();
    expect([first.code, first.archive.agents.map(({ version }: { version: string }) => version)]).toEqual([0, ["3.6.11"]]);
    const host = new URL(charmhub).host;
    expect(first.archive.images.map(({ reference }: { reference: string }) => reference)).toEqual(
      ["charm-base:ubuntu-24.04", "juju-db:4.4", "jujud-operator:3.6.11"].map((image) => `${host}/juju/${image}`),
    );
    await imported(first.path, at("next"));
    const server = new AbortController();
    const next = await serveStore(at("next"), server.signal);
    rmSync(at("out"), { recursive: true });
    rmSync(at("site.lock"));
    const second = await exported("--charmhub-url", next, "--snapstore-url", next);
    server.abort();
    expect([second.code, second.archive.agents]).toEqual([0, first.archive.agents]);
    await imported(second.path);
    expect(await list()).toEqual([expect.objectContaining({ name: "juju-3.6.11", architectures: ["amd64", "arm64"], unverified: [] })]);
    const shown = async (store: string) => JSON.parse((await runProgram(["show", "juju-3.6.11", "--json", "--store", store])).out).agents;
    expect(await shown(at("inside"))).toEqual(await shown(at("outside")));
  });

  test("by the manifest of a store its agents come again, each on its own architectures, and nothing else of a bootstrap", async () => {
    rmSync(at("site.yaml"));
    writeFileSync(at("site.yaml"), "agents: [{version: 3.6.11, arch: arm64}, 4.0.1]\n");
    const first = await exported();
    expect([first.code, first.archive.images]).toEqual([0, []]);
    await imported(first.path);
    const held = await list();
    expect(held.map(({ name, architectures }: { name: string; architectures: string[] }) => [name, architectures])).toEqual([
      ["juju-3.6.11", ["arm64"]],
      ["juju-4.0.1", ["amd64"]],
    ]);
    const manifest = async (store: string) => (await runProgram(["inventory", "--manifest", "--store", store])).out;
    const site = await manifest(at("inside"));
    expect((Bun.YAML.parse(site) as { agents: unknown }).agents).toEqual([
      { version: "3.6.11", architectures: ["arm64"] },
      { version: "4.0.1", architectures: ["amd64"] },
    ]);
    for (const name of ["out", "site.lock", "again"]) rmSync(at(name), { recursive: true, force: true });
    writeFileSync(at("site.yaml"), site);
    const second = await exported();
    expect(second.code).toBe(0);
    await imported(second.path, at("again"));
    expect([await list(at("again")), await manifest(at("again"))]).toEqual([held, site]);
  });

  test("`--all` takes every version that it has", async () => {
    const args = [
      "export",
      "--all",
      "--without",
      "images",
      "--charmhub-url",
      charmhub,
      "--snapstore-url",
      charmhub,
      "--export-dir",
      at("out"),
    ];
    const { code, err } = await runProgram([...args, "--streams-key", at("streams.asc")]);
    expect([code, code === 0 ? "" : err]).toEqual([0, ""]);
    await imported(at("out", readdirSync(at("out")).find((name) => name.endsWith(".tar")) ?? ""));
    expect((await list()).map(({ name }: { name: string }) => name)).toEqual(["juju-2.9.42", "juju-3.6.11", "juju-4.0.1"]);
  });
});
