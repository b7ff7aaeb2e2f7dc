/** Which agents an export takes, by a stand-in of streams.canonical.com in this process. */

import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { readLock } from "../../../src/archives/lock.ts";
import { readSigningKey } from "../../../src/assertions/clearsigned.ts";
import { Failure } from "../../../src/errors.ts";
import { HttpClient } from "../../../src/export/client.ts";
import { type AgentSettings, ExportAgents, type ExportAgentsOptions } from "../../../src/export/exportagents.ts";
import { formatLock } from "../../../src/export/lock.ts";
import { INDEX_FILE, type Item, PRODUCT_FILE, streamsFiles, streamsSigner, streamsTexts, testAgents } from "../../streams.ts";

const STREAMS = "https://streams.test/juju/tools";
const SIGNER = streamsSigner("a");
const KEYS: AgentSettings["keys"] = [readSigningKey(SIGNER.file, "the key")];
const VERSIONS = ["2.9.42", "3.6.9", "3.6.10", "3.6.11", "4.1-beta2"];
const AGENTS = testAgents(VERSIONS);

function standIn(files: ReadonlyMap<string, Uint8Array> = streamsFiles(AGENTS, SIGNER), options: Partial<ExportAgentsOptions> = {}) {
  const asked: string[] = [];
  const notes: string[] = [];
  const client = new HttpClient({
    transport: async (url) => {
      const path = url.replace(`${STREAMS}/`, "");
      asked.push(path);
      const bytes = files.get(path);
      return bytes ? new Response(new Uint8Array(bytes)) : new Response("no", { status: 404 });
    },
    sleep: async () => {},
  });
  const agents = new ExportAgents({
    client,
    url: STREAMS,
    keys: KEYS,
    ...of("3.6"),
    lock: undefined,
    inventory: undefined,
    onNote: (text) => void notes.push(text),
    ...options,
  });
  return { agents, asked, notes };
}

const taken = ({ complete }: ExportAgents) =>
  complete.map(({ version, agents }) => [version, ...agents.map(({ architecture }) => architecture)].join(" "));

function requestOf(architectures: readonly string[], ...versions: readonly string[]) {
  return { request: { versions: versions.map((version) => ({ version, architectures })), architectures } };
}

const of = (...versions: readonly string[]) => requestOf(["amd64", "arm64"], ...versions);

describe("the versions that are taken", () => {
  test("each on its own architectures, and a bootstrap is of the essential ones alone", async () => {
    const versions = [
      { version: "3.6", architectures: ["arm64"], isEssential: true as const },
      { version: "2.9.42", architectures: ["amd64"] },
    ];
    const { agents } = standIn(undefined, { request: { versions, architectures: ["amd64", "arm64"] } });
    expect(await agents.plan()).toEqual([]);
    expect(taken(agents)).toEqual(["2.9.42 amd64", "3.6.11 arm64"]);
    expect(agents.essentials).toEqual(["3.6.11"]);
  });

  test.each<[string[], string[]]>([
    [["3.6"], ["3.6.11 amd64 arm64"]],
    [["3.6.9"], ["3.6.9 amd64 arm64"]],
    [
      ["2.9", "3.6", "3.6.11", "4.1-beta2"],
      ["2.9.42 amd64 arm64", "3.6.11 amd64 arm64", "4.1-beta2 amd64 arm64"],
    ],
  ])("of %j are %j", async (versions, expected) => {
    const { agents } = standIn(undefined, of(...versions));
    expect(await agents.plan()).toEqual([]);
    expect(taken(agents)).toEqual(expected);
  });

  test("are asked for in two requests, and their files lie where the product file says", async () => {
    const { agents, asked } = standIn();
    await agents.plan();
    expect(asked).toEqual([INDEX_FILE, PRODUCT_FILE]);
    const [packed] = agents.packed();
    expect(packed?.files.map(({ path, content }) => [path, "url" in content && content.url])).toEqual(
      ["amd64", "arm64"].map((one) => [
        `agent/3.6.11/juju-3.6.11-linux-${one}.tgz`,
        `${STREAMS}/agent/3.6.11/juju-3.6.11-linux-${one}.tgz`,
      ]),
    );
    expect(agents.texts().map(({ path }) => path)).toEqual([`agents/${INDEX_FILE}`, `agents/${PRODUCT_FILE}`]);
    expect(agents.contents()).toEqual([{ type: "agent", name: "juju-3.6.11", revisions: [], size: 400, reasons: [] }]);
  });

  test("that upstream lacks fail alone, and the newest are named", async () => {
    const { agents } = standIn(undefined, of("3.6", "3.7", "3.6.99"));
    const failed = await agents.plan();
    expect(failed.map(({ name, failure }) => [name, failure.message, failure.next])).toEqual([
      ["juju-3.7", "cannot export juju-3.7: upstream has no agents of Juju 3.7", expect.stringContaining("4.1-beta2, 3.6.11, 3.6.10")],
      ["juju-3.6.99", "cannot export juju-3.6.99: upstream has no agents of Juju 3.6.99", expect.any(String)],
    ]);
    expect(taken(agents)).toEqual(["3.6.11 amd64 arm64"]);
  });

  test("are noted where an architecture is missing, and fail where all are", async () => {
    const some = standIn(undefined, requestOf(["amd64", "s390x"], "3.6"));
    expect(await some.agents.plan()).toEqual([]);
    expect([taken(some.agents), some.notes]).toEqual([["3.6.11 amd64"], ["there is no agent of Juju 3.6.11 for s390x"]]);
    const none = standIn(undefined, requestOf(["s390x"], "3.6"));
    expect((await none.agents.plan()).map(({ failure }) => failure.message)).toEqual([
      "cannot export juju-3.6.11: there is no agent of it for s390x",
    ]);
  });

  test("leave out what the other side has, and pack the signed texts all the same", async () => {
    const arm = AGENTS.find(({ version, architecture }) => version === "3.6.11" && architecture === "arm64");
    const digest = createHash("sha256")
      .update(arm?.bytes ?? "")
      .digest("hex");
    const { agents } = standIn(undefined, { inventory: { has: (_, hex) => hex === digest } });
    await agents.plan();
    expect(agents.packed()[0]?.files.map(({ path }) => path)).toEqual(["agent/3.6.11/juju-3.6.11-linux-amd64.tgz"]);
    expect(agents.texts()).toHaveLength(2);
  });

  test("are none where none are requested: nothing is asked", async () => {
    const { agents, asked } = standIn(undefined, { request: undefined });
    expect([await agents.plan(), asked, agents.texts(), agents.locked()]).toEqual([[], [], [], undefined]);
  });
});

describe("streams are refused in words", () => {
  const refusalOf = async (files: ReadonlyMap<string, Uint8Array>, options: Partial<ExportAgentsOptions> = {}) => {
    const { agents } = standIn(files, options);
    const failed = await agents.plan();
    expect(taken(agents)).toEqual([]);
    expect(failed).toHaveLength(1);
    return failed[0]?.failure ?? new Failure("failed", "none");
  };
  const changed = (path: string, edit: (bytes: Buffer) => Buffer) => {
    const files = streamsFiles(AGENTS, SIGNER);
    return files.set(path, edit(files.get(path) ?? Buffer.alloc(0)));
  };
  const flipped = (bytes: Buffer) => {
    const copy = Buffer.from(bytes);
    copy[200] = (copy[200] ?? 0) ^ 1;
    return copy;
  };

  test("where a byte of the index or of the product file is another", async () => {
    for (const path of [INDEX_FILE, PRODUCT_FILE]) {
      const { kind, message } = await refusalOf(changed(path, flipped));
      expect([kind, message]).toEqual(["refused", `the signature of ${STREAMS}/${path} is of another text`]);
    }
  });

  test("where they are unsigned, or by a key that is not known", async () => {
    const { index } = streamsTexts(AGENTS);
    expect((await refusalOf(changed(INDEX_FILE, () => Buffer.from(index)))).message).toContain(`${STREAMS}/${INDEX_FILE} is not signed`);
    const other = streamsSigner("b");
    const failure = await refusalOf(changed(INDEX_FILE, () => other.clearSign(index)));
    expect(failure.message).toContain(`is not signed by a known key: it is by ${other.fingerprint.slice(-16)}`);
    expect(failure.next).toContain("--streams-key FILE");
    expect((await refusalOf(streamsFiles(AGENTS, SIGNER), { keys: [] })).message).toContain("is not signed by a known key");
  });

  test("where the index is older than that of an earlier export", async () => {
    const old = streamsFiles(AGENTS, SIGNER, { updated: "Mon, 21 Sep 2026 08:00:00 +0000" });
    const failure = await refusalOf(old, { since: "2026-09-22T08:00:00Z" });
    expect(failure.message).toBe(
      `the index of agents at ${STREAMS} was updated at 2026-09-21T08:00:00Z, and an earlier export had one of 2026-09-22T08:00:00Z`,
    );
    const { agents } = standIn(streamsFiles(AGENTS, SIGNER), { since: "2026-09-22T08:00:00Z" });
    expect(await agents.plan()).toEqual([]);
  });

  test("where the item of a wanted agent is wrong, with its name; the others do not matter", async () => {
    const odd = (version: string) => (item: Item) => (item["version"] === version ? { ...item, path: "../../../etc/passwd" } : item);
    const failure = await refusalOf(streamsFiles(AGENTS, SIGNER, { item: odd("3.6.11") }));
    expect(failure.message).toContain(
      "cannot export juju-3.6.11-linux-amd64.tgz: what upstream's product file says of it is wrong: its path is",
    );
    const { agents } = standIn(streamsFiles(AGENTS, SIGNER, { item: odd("3.6.9") }));
    expect([await agents.plan(), taken(agents)]).toEqual([[], ["3.6.11 amd64 arm64"]]);
  });

  test("where there are none, or the product file is missing", async () => {
    expect((await refusalOf(new Map())).kind).toBe("not-found");
    const files = streamsFiles(AGENTS, SIGNER);
    files.delete(PRODUCT_FILE);
    expect((await refusalOf(files)).message).toContain(`cannot fetch ${PRODUCT_FILE} of Juju's agents`);
  });
});

describe("another chp", () => {
  const digestOf = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
  /** What a chp has that was given these versions by two exports of upstream. */
  function chp(): Map<string, Buffer> {
    const files = new Map<string, Buffer>();
    const list = [
      { held: ["3.6.11"], streams: streamsFiles(AGENTS, SIGNER) },
      { held: ["3.6.9"], streams: streamsFiles(testAgents(["3.6.8", "3.6.9"]), SIGNER, { updated: "Mon, 01 Jun 2026 08:00:00 +0000" }) },
    ].map(({ held, streams }) => {
      const [index = Buffer.alloc(0), products = Buffer.alloc(0)] = [streams.get(INDEX_FILE), streams.get(PRODUCT_FILE)];
      for (const bytes of [index, products]) files.set(`signed/${digestOf(bytes)}`, bytes);
      const agents = held.flatMap((version) => ["amd64", "arm64"].map((one) => `juju-${version}-linux-${one}.tgz`));
      return { index: digestOf(index), products: digestOf(products), updated: "", agents };
    });
    return files.set("signed", Buffer.from(JSON.stringify({ streams: list })));
  }

  test("hands on the texts of upstream, and only what it has is taken", async () => {
    const { agents } = standIn(chp(), of("3.6", "3.6.9"));
    expect([await agents.plan(), taken(agents), agents.registry]).toEqual([
      [],
      ["3.6.9 amd64 arm64", "3.6.11 amd64 arm64"],
      "streams.test",
    ]);
    expect(agents.texts().map(({ path }) => path)).toEqual([
      `agents/${INDEX_FILE}`,
      `agents/${PRODUCT_FILE}`,
      `agents/streams-1/${INDEX_FILE}`,
      `agents/streams-1/${PRODUCT_FILE}`,
    ]);
    expect((await standIn(chp(), of("3.6.10")).agents.plan())[0]?.failure.message).toContain("upstream has no agents of Juju 3.6.10");
  });

  test("gives all that it has where everything is wanted; upstream itself does not", async () => {
    const all = { request: { versions: "all" as const, architectures: ["amd64", "arm64", "s390x"] } };
    const { agents, notes } = standIn(chp(), all);
    expect([await agents.plan(), taken(agents), notes]).toEqual([[], ["3.6.9 amd64 arm64", "3.6.11 amd64 arm64"], []]);
    for (const files of [streamsFiles(AGENTS, SIGNER), new Map()]) {
      const other = standIn(files, all);
      expect([await other.agents.plan(), taken(other.agents)]).toEqual([[], []]);
    }
  });

  test("is not believed: what it lists is bounded, and what it gives is verified", async () => {
    const wrong = async (list: unknown) =>
      (await standIn(chp().set("signed", Buffer.from(JSON.stringify(list)))).agents.plan())[0]?.failure.message;
    expect(await wrong([])).toContain("no list of signed texts");
    expect(await wrong({ streams: Array.from({ length: 33 }, () => ({})) })).toContain("no list of signed texts");
    const held = JSON.parse(chp().get("signed")?.toString() ?? "");
    const often = (times: number) => ({ streams: Array.from({ length: times }, () => held.streams[0]) });
    expect([await wrong(often(32)), await wrong(often(33))]).toEqual([undefined, expect.stringContaining("no list of signed texts")]);
    expect(await wrong({ streams: [{ index: "../x", products: "0".repeat(64), agents: [] }] })).toContain("no list of signed texts");
    const spoiled = chp();
    for (const [path, bytes] of spoiled)
      if (path !== "signed") spoiled.set(path, Buffer.from(bytes.toString().replaceAll("3.6.11", "3.6.12")));
    expect((await standIn(spoiled).agents.plan())[0]?.failure.message).toContain("is of another text");
  });
});

describe("a lock", () => {
  test("names versions, files and the time of the index, and gives the same again", async () => {
    const { agents } = standIn();
    await agents.plan();
    const text = formatLock([], [], new Map(), [], agents.locked());
    expect(JSON.parse(text)).toMatchObject({ format: 3, agents: { updated: "2026-09-22T08:00:00Z", versions: [{ version: "3.6.11" }] } });
    const lock = readLock(text, "it");
    const more = testAgents([...VERSIONS, "3.6.12"]);
    const again = standIn(streamsFiles(more, SIGNER), { request: undefined, lock });
    expect([await again.agents.plan(), taken(again.agents)]).toEqual([[], ["3.6.11 amd64 arm64"]]);
    const other = more.map((agent) =>
      agent.version === "3.6.11" ? { ...agent, bytes: Buffer.concat([agent.bytes, Buffer.from("x")]) } : agent,
    );
    const failed = await standIn(streamsFiles(other, SIGNER), { lock }).agents.plan();
    expect(failed[0]?.failure.message).toStartWith("cannot export juju-3.6.11 as locked: its sha256 for amd64 is ");
    const gone = await standIn(streamsFiles(testAgents(["3.6.11"], ["amd64"]), SIGNER), { lock }).agents.plan();
    expect(gone[0]?.failure.message).toContain("as locked: there is none for arm64 now");
  });

  test("without agents is of the format that it was", () => {
    expect(JSON.parse(formatLock([], [], new Map()))).toEqual({ format: 1, packages: [], snaps: [] });
  });
});
