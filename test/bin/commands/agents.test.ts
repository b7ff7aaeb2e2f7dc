/** What commands say of Juju's agents, and do with them. */

import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { chmodSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createKey, formatSums, readSecretKey, sign } from "../../../src/archives/signature.ts";
import { readInventory } from "../../../src/export/inventory.ts";
import { type Files, tarOf } from "../../build.ts";
import { runProgram } from "../../program.ts";
import { agentBytes, agentFileName, INDEX_FILE, PRODUCT_FILE, streamsFiles, streamsSigner, testAgents } from "../../streams.ts";
import { tempFolder } from "../../temp.ts";

const SIGNER = streamsSigner("a");
const AGENTS = testAgents(["3.6.10", "3.6.11"]);
const FILE = "juju-3.6.11-linux-amd64.tgz";
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

const folder = tempFolder();
afterAll(() => folder[Symbol.dispose]());
const at = (name: string) => join(folder.path, name);
const store = at("store");
beforeEach(() => rmSync(store, { recursive: true, force: true }));

const run = (...args: string[]) => runProgram([...args, "--store", store]);
const done = async (...args: string[]) => {
  const { code, out, err } = await run(...args);
  expect([code, code === 0 ? "" : err]).toEqual([0, ""]);
  return out;
};
const json = async (...args: string[]) => JSON.parse(await done(...args, "--json"));
const file = (name: string, bytes: string | Uint8Array) => {
  writeFileSync(at(name), bytes);
  return at(name);
};
const key = file("streams.asc", SIGNER.file);
const lone = file(FILE, agentBytes("3.6.11", "amd64"));
const upstream = (agents = AGENTS) => Object.fromEntries(streamsFiles(agents, SIGNER));
const site = (files: Files = upstream(), name = "site.tar") =>
  file(name, tarOf(Object.fromEntries(Object.entries(files).map(([path, bytes]) => [`agents/${path}`, bytes]))));

describe("an archive with signed streams", () => {
  test("is verified, and each agent says who vouches for it", async () => {
    const out = await done("import", "--streams-key", key, site());
    expect(out).toContain("juju-3.6.10: agents, new\n  architectures  amd64, arm64 new\njuju-3.6.11: agents, new\n");
    expect(out).toContain("generation 1: agents of 2 versions changed, ");
    const shown = await done("show", "juju-3.6.11");
    expect(shown).toContain(`juju-3.6.11: agents of Juju 3.6.11\n`);
    expect(shown).toContain(
      `  ${FILE}  200 B  sha256 ${sha256(agentBytes("3.6.11", "amd64"))}  signed by ${SIGNER.fingerprint.slice(-16)}, 2026-09-22T08:00:00Z\n`,
    );
    expect(shown).toContain("came from:\n  generation 1, ");
    expect(await done("list")).toMatch(/juju-3\.6\.11\tagent\t\t\tamd64 arm64\t\d/);
    expect((await json("status")).agents).toBe(2);
    expect(await done("verify", "--read-data")).toContain("no damage");
    expect(await done("config", "streams-keys")).toContain(SIGNER.fingerprint.slice(-16));
    // The key stays trusted.
    expect(await done("import", site())).toContain("juju-3.6.11: agents, already present\n  architectures  amd64, arm64 already present\n");
  });

  const change = (path: string, edit: (bytes: Buffer) => Buffer): Files => {
    const files = upstream();
    return { ...files, [path]: edit(files[path] as Buffer) };
  };
  const flipped = (bytes: Buffer) => {
    const changed = Buffer.from(bytes);
    const middle = changed.byteLength >> 1;
    changed[middle] = (changed[middle] ?? 0) ^ 1;
    return changed;
  };
  const other = streamsSigner("b");
  test.each<[string, Files, string]>([
    ["a changed index", change(INDEX_FILE, flipped), `agents/${INDEX_FILE}: the signature of it is of another text`],
    ["a changed product file", change(PRODUCT_FILE, flipped), `agents/${PRODUCT_FILE}: the signature of it is of another text`],
    ["a changed agent", change(`agent/3.6.11/${FILE}`, flipped), `agents/agent/3.6.11/${FILE}: its sha256 is `],
    ["an unsigned index", change(INDEX_FILE, () => Buffer.from("{}")), `agents/${INDEX_FILE}: it is not signed`],
    [
      "an index by another key",
      change(INDEX_FILE, (bytes) => other.clearSign(bytes.toString().split("\n\n")[1]?.split("\n-----")[0] ?? "")),
      `agents/${INDEX_FILE}: it is not signed by a known key: it is by ${other.fingerprint.slice(-16)}`,
    ],
    ["an agent cut to nothing", change(`agent/3.6.11/${FILE}`, () => Buffer.alloc(0)), `agents/agent/3.6.11/${FILE}: it is not gzip`],
  ])("with %s is refused by name, and nothing of it is stored", async (_, files, why) => {
    const { code, err } = await run("import", "--streams-key", key, site(files));
    expect([code, err]).toEqual([3, expect.stringContaining(why)]);
    expect(await json("list")).toEqual([]);
    expect(await done("du")).toContain("total: 0 B\n");
  });

  test("without its product file is refused", async () => {
    const { [PRODUCT_FILE]: _, ...files } = upstream();
    const { code, err } = await run("import", "--streams-key", key, site(files));
    expect([code, err]).toEqual([3, expect.stringContaining(`it names the product file ${PRODUCT_FILE}, which is missing`)]);
  });

  test("by a key that is not known is taken with --allow-unverified alone, and marked", async () => {
    expect((await run("import", site())).err).toContain("it is not signed by a known key");
    const out = await done("import", "--allow-unverified", site());
    expect(out).toContain("  UNVERIFIED amd64: no signed streams beside it name it, and no trusted key signed it\n");
    expect(out).toContain("site.tar: agents/streams/v1/index2.sjson: it is not signed by a known key");
    // What upstream signed vouches for it later, and the content stays.
    expect(await done("import", "--streams-key", key, site())).toContain("juju-3.6.11: agents, changed\n");
    expect((await json("status")).unverifiedAgents).toEqual([]);
    expect(await done("diff", "1")).toContain(
      "juju-3.6.11: agents, changed: amd64 is vouched for otherwise arm64 is vouched for otherwise\n",
    );
  });
});

describe("a lone agent", () => {
  test("is refused where nobody vouches for it", async () => {
    const { code, err, next } = await run("import", lone);
    expect([code, err]).toEqual([3, expect.stringContaining(`nobody vouches for ${FILE}: no signed streams beside it name it`)]);
    expect(next).toContain("--allow-unverified");
  });

  test("is taken with --allow-unverified, and marked wherever it is shown", async () => {
    expect(await done("import", "--allow-unverified", lone)).toContain(
      "juju-3.6.11: agents, new\n  architectures  amd64 new\n  UNVERIFIED amd64: ",
    );
    expect(await done("list")).toMatch(/juju-3\.6\.11\tagent\t\t\tamd64!\t200 B/);
    expect((await run("list")).err).toContain("architectures marked ! have agents that nobody vouches for");
    expect(await done("show", "juju-3.6.11")).toContain(`  ${FILE}  200 B  sha256 ${sha256(agentBytes("3.6.11", "amd64"))}  UNVERIFIED: `);
    expect(await done("status")).toContain(`UNVERIFIED: ${FILE}\n`);
    // It was admitted once: the same bytes need no flag again.
    expect(await done("import", lone)).toContain("already present");
  });

  test("in a folder whose SHA256SUMS a trusted key signed is vouched for by that key", async () => {
    const { secret, public: pub, id } = createKey("site");
    const medium = tempFolder();
    const sums = formatSums([{ path: FILE, sha256: sha256(readFileSync(lone)) }]);
    writeFileSync(join(medium.path, FILE), readFileSync(lone));
    writeFileSync(join(medium.path, "SHA256SUMS"), sums);
    writeFileSync(
      join(medium.path, "SHA256SUMS.minisig"),
      sign(sums, readSecretKey(secret, "key"), { now: Date.parse("2026-09-01T00:00:00Z") }),
    );
    await done("accept-key", file("site.pub", pub));
    expect(await done("import", medium.path)).not.toContain("UNVERIFIED");
    expect(await done("show", "juju-3.6.11")).toContain(`in a file signed by ${id} (site)`);
    medium[Symbol.dispose]();
  });

  test("of another content than the stored one is refused", async () => {
    await done("import", "--streams-key", key, site());
    const { code, err, next } = await run("import", "--allow-unverified", file(FILE, agentBytes("3.6.11", "amd64", 300)));
    file(FILE, agentBytes("3.6.11", "amd64"));
    expect([code, err]).toEqual([3, expect.stringContaining(`${FILE} has another content than what is stored`)]);
    expect(next).toContain(`chp remove ${FILE} --plan FILE`);
  });

  test("is what its name says: other names are no agents", async () => {
    for (const name of ["juju-3.6.11-linux-vax.tgz", "juju-2.8.0-linux-amd64.tgz", "juju-3.6-linux-amd64.tgz", "juju-x-linux-amd64.tgz"]) {
      const { code, err } = await run("import", "--allow-unverified", file(name, agentBytes("3.6.11", "amd64")));
      expect([name, code, err]).toEqual([name, 3, expect.not.stringContaining("agents, new")]);
    }
  });
});

describe("a change of agents", () => {
  test("is shown by diff and log, and undone by rollback", async () => {
    await done("import", "--streams-key", key, site(upstream(testAgents(["3.6.10"]))));
    await done("import", site());
    expect(await done("diff", "1")).toBe("juju-3.6.11: agents, added: +amd64 +arm64\n");
    expect(await done("log")).toContain("agents of 1 version, 0 new revisions, 0 channel changes\n");
    expect((await json("diff", "1")).agents).toEqual([
      { name: "juju-3.6.11", state: "added", architectures: { added: ["amd64", "arm64"], removed: [] }, proven: [] },
    ]);
    const back = await json("rollback", "1");
    expect(back.agents).toEqual([
      { name: "juju-3.6.11", state: "removed", architectures: { added: [], removed: ["amd64", "arm64"] }, proven: [] },
    ]);
    expect((await json("list")).map(({ name }: { name: string }) => name)).toEqual(["juju-3.6.10"]);
    await done("rollback", "2");
    expect((await json("list")).map(({ name }: { name: string }) => name)).toEqual(["juju-3.6.10", "juju-3.6.11"]);
  });

  test("remove takes a file, or a whole version", async () => {
    await done("import", "--streams-key", key, site());
    expect(await done("remove", "juju-3.6.11-linux-arm64.tgz", "--plan", at("plan.json"))).toContain(
      "would remove agents juju-3.6.11-linux-arm64.tgz\n",
    );
    expect(await done("remove", "--apply", at("plan.json"))).toContain("juju-3.6.11: agents, changed: -arm64\n");
    expect((await run("remove", "juju-3.6.11-linux-arm64.tgz")).err).toContain("juju-3.6.11-linux-arm64.tgz is not stored");
    await done("remove", "juju-3.6.10", "--plan", at("plan.json"));
    expect(await done("remove", "--apply", at("plan.json"))).toContain("juju-3.6.10: agents, removed: -amd64 -arm64\n");
    expect((await json("list")).map(({ name }: { name: string }) => name)).toEqual(["juju-3.6.11"]);
    expect(await done("verify", "--read-data")).toContain("no damage");
    expect((await run("show", "juju-3.6.10")).next).toContain("juju-3.6.11");
  });

  test("inventory and du know each file and each signed text", async () => {
    await done("import", "--streams-key", key, site());
    const inventory = readInventory(await done("inventory"), "it");
    for (const [, bytes] of streamsFiles(AGENTS, SIGNER)) expect(inventory.has("sha-256", sha256(bytes))).toBe(true);
    const { packages, kinds } = await json("du");
    expect(packages.map(({ type }: { type: string }) => type)).toEqual(["agent", "agent"]);
    expect(kinds.find(({ kind }: { kind: string }) => kind === "agent")).toMatchObject({ size: 800, blobs: 4 });
    expect(kinds.find(({ kind }: { kind: string }) => kind === "streams")).toMatchObject({ blobs: 2 });
  });

  test("a damaged file is named by verify, and put back by an import of its archive", async () => {
    await done("import", "--streams-key", key, site());
    const digest = sha256(agentBytes("3.6.11", "arm64"));
    const path = join(store, "blobs/sha256", digest.slice(0, 2), digest);
    chmodSync(path, 0o644);
    writeFileSync(path, "x");
    const { code, out } = await run("verify");
    expect([code, out]).toEqual([13, expect.stringContaining("agent juju-3.6.11 for arm64")]);
    expect(await done("import", "--repair", at("site.tar"))).toContain("restored: agent juju-3.6.11 for arm64\n");
    expect(await done("verify", "--read-data")).toContain("no damage");
  });

  test("a backup has them", async () => {
    await done("import", "--streams-key", key, site());
    rmSync(at("copy"), { recursive: true, force: true });
    await done("backup", at("copy"));
    const copied = await runProgram(["list", "--json", "--store", at("copy")]);
    expect(JSON.parse(copied.out)).toEqual(await json("list"));
    expect((await runProgram(["verify", "--read-data", "--store", at("copy")])).code).toBe(0);
  });

  test("a dry run changes nothing", async () => {
    expect(await done("import", "--dry-run", "--streams-key", key, site())).toContain("dry run: agents of 2 versions would change");
    expect((await run("list")).code).toBe(10);
  });
});

test("agents lie beside the names of files that they are stored under", () => {
  expect(AGENTS.map(agentFileName)).toContain(FILE);
});
