/** What Juju expects of agent streams, as data, over the agents of test/agentworld.ts. Read in 2.9.42, 3.6.11 and 4.1-beta2. */

import { createHash } from "node:crypto";
import { AGENTS, SIGNED_TEXTS } from "../agentworld.ts";
import { agentFileName, type TestAgent } from "../streams.ts";
import { absent, type Case, exactly, has, is, type Pattern, type Step } from "./match.ts";

const INDEX = "/juju/tools/streams/v1/index2.json";
const PRODUCTS = "/juju/tools/streams/v1/com.ubuntu.juju-released-agents.json";
const JSON_TYPE = { "content-type": "application/json" };
const mail = is(
  "a time as mail has it",
  (value) => typeof value === "string" && !Number.isNaN(Date.parse(value)) && value.endsWith(" +0000"),
);

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const fileOf = (agent: TestAgent) => `/juju/tools/agent/${agent.version}/${agentFileName(agent)}`;
const named = (version: string, architecture: string) => {
  const agent = AGENTS.find((one) => one.version === version && one.architecture === architecture);
  if (!agent) throw new Error(`there is no ${version} for ${architecture}`);
  return agent;
};
const [SMALL, LARGE] = [named("3.6.11", "amd64"), named("4.0.1", "amd64")];

const notFound = (path: string): Step => ({
  ask: { path },
  status: 404,
  headers: JSON_TYPE,
  json: { "error-list": has({ code: "not-found" }) },
});

const itemOf = (agent: TestAgent, release: string) => ({
  release,
  version: agent.version,
  arch: agent.architecture,
  path: fileOf(agent).replace("/juju/tools/", ""),
  size: agent.bytes.byteLength,
  sha256: sha256(agent.bytes),
  ftype: "tar.gz",
});

/** The product of a release and an architecture, with all of its agents under one date. */
const productOf = (release: string, architecture: string): Pattern => {
  const mine = AGENTS.filter((agent) => agent.architecture === architecture);
  const items = Object.fromEntries(mine.map((agent) => [`${agent.version}-${release}-${architecture}`, itemOf(agent, release)]));
  return {
    versions: is("all items under one date", (value) => {
      const dates = Object.keys(Object(value));
      return dates.length === 1 && /^\d{8}$/.test(dates[0] ?? "") && Bun.deepEquals(Object.values(Object(value)), [{ items }]);
    }),
  };
};

const IDS = ["centos:amd64", "centos:arm64", "ubuntu:amd64", "ubuntu:arm64"].map((id) => `com.ubuntu.juju:${id}`);

export const CASES: readonly Case[] = [
  {
    id: 1,
    title: "every signed name is a clean 404 as JSON: a signed index would win, and name what is not stored",
    steps: [
      "streams/v1/index2.sjson",
      "streams/v1/index.sjson",
      "streams/v1/mirrors.sjson",
      "streams/v1/com.ubuntu.juju-released-agents.sjson",
    ].map((path) => notFound(`/juju/tools/${path}`)),
  },
  {
    id: 2,
    title: "there are no mirrors, and no index of the old name",
    steps: ["mirrors", "index"].map((name) => notFound(`/juju/tools/streams/v1/${name}.json`)),
  },
  {
    id: 3,
    title: "the index names the product file and its products",
    steps: [
      {
        ask: { path: INDEX },
        json: {
          format: "index:1.0",
          updated: mail,
          index: exactly({
            "com.ubuntu.juju:released:agents": {
              format: "products:1.0",
              datatype: "content-download",
              updated: mail,
              path: PRODUCTS.replace("/juju/tools/", ""),
              products: IDS,
            },
          }),
        },
      },
    ],
  },
  {
    id: 4,
    title: "the product file has exactly what is stored, for each release that upstream offers it for",
    steps: [
      {
        ask: { path: PRODUCTS },
        json: {
          format: "products:1.0",
          content_id: "com.ubuntu.juju:released:agents",
          updated: mail,
          products: exactly({
            "com.ubuntu.juju:ubuntu:amd64": productOf("ubuntu", "amd64"),
            "com.ubuntu.juju:ubuntu:arm64": productOf("ubuntu", "arm64"),
            "com.ubuntu.juju:centos:amd64": productOf("centos", "amd64"),
            "com.ubuntu.juju:centos:arm64": productOf("centos", "arm64"),
          }),
        },
      },
    ],
  },
  {
    id: 5,
    title: "a file has its bytes, its length and its name",
    steps: [
      {
        ask: { path: fileOf(SMALL) },
        bytes: SMALL.bytes,
        headers: {
          "content-length": String(SMALL.bytes.byteLength),
          "content-encoding": null,
          "transfer-encoding": null,
          "content-type": "application/octet-stream",
          "content-disposition": `attachment; filename="${agentFileName(SMALL)}"`,
          etag: `"${sha256(SMALL.bytes)}"`,
        },
      },
    ],
  },
  {
    id: 6,
    title: "a large file comes as a whole, by HEAD and in ranges",
    steps: [
      { ask: { path: fileOf(LARGE) }, bytes: LARGE.bytes, headers: { "content-length": String(LARGE.bytes.byteLength) } },
      {
        ask: { method: "HEAD", path: fileOf(LARGE) },
        bytes: Buffer.alloc(0),
        headers: { "content-length": String(LARGE.bytes.byteLength) },
      },
      {
        ask: { path: fileOf(LARGE), headers: { Range: "bytes=1000-1999" } },
        status: 206,
        bytes: LARGE.bytes.subarray(1000, 2000),
        headers: { "content-range": `bytes 1000-1999/${LARGE.bytes.byteLength}` },
      },
    ],
  },
  {
    id: 7,
    title: "a file is found by the name that upstream's signed texts may have for it",
    steps: [{ ask: { path: fileOf(SMALL).replace("-linux-", "-ubuntu-") }, bytes: SMALL.bytes }],
  },
  {
    id: 8,
    title: "what is not stored is a 404 as JSON",
    steps: [
      "agent/3.6.12/juju-3.6.12-linux-amd64.tgz",
      "agent/4.0.1/juju-4.0.1-linux-arm64.tgz",
      "agent/3.6.11/juju-4.0.1-linux-amd64.tgz",
      "agent/3.6.11/juju-3.6.11-linux-amd64.tgz.sha256",
      "agent/3.6.11/..%2f..%2fformat.json",
      "agent/3.6.11/constructor",
      "agent/3.6.11",
      "",
    ].map((path) => notFound(`/juju/tools/${path}`)),
  },
  {
    id: 9,
    title: "without agents there is no index, so that Juju asks its next source",
    setup: { empty: true },
    steps: [notFound(INDEX), notFound(PRODUCTS), notFound("/juju/tools/signed")],
  },
  {
    id: 10,
    title: "another chp finds the signed texts of upstream, with the files that they name and that are stored",
    steps: [
      {
        ask: { path: "/juju/tools/signed" },
        json: exactly({
          streams: [
            {
              index: sha256(SIGNED_TEXTS[0] ?? Buffer.alloc(0)),
              products: sha256(SIGNED_TEXTS[1] ?? Buffer.alloc(0)),
              updated: "2026-09-22T08:00:00Z",
              agents: AGENTS.map(agentFileName),
            },
          ],
        }),
      },
      ...SIGNED_TEXTS.map((bytes): Step => ({ ask: { path: `/juju/tools/signed/${sha256(bytes)}` }, bytes })),
    ],
  },
  {
    id: 11,
    title: "no other blob is handed out beside the signed texts",
    steps: [sha256(SMALL.bytes), "0".repeat(64), "index2.sjson"].map((name) => notFound(`/juju/tools/signed/${name}`)),
  },
  {
    id: 12,
    title: "a path of the public address is not in the paths of the streams: Juju adds them to what it was given",
    setup: { publicUrl: "http://hub.test/site" },
    steps: [
      {
        ask: { path: "/site/juju/tools/streams/v1/index2.json" },
        json: { index: { "com.ubuntu.juju:released:agents": { path: PRODUCTS.replace("/juju/tools/", "") } } },
      },
      { ask: { path: `/site${fileOf(SMALL)}` }, bytes: SMALL.bytes },
      { ask: { path: INDEX }, json: { "error-list": absent } },
    ],
  },
];

export const EVERYWHERE: Readonly<Record<string, Pattern>> = {
  sha256: is("64 hex digits", (value) => typeof value === "string" && /^[0-9a-f]{64}$/.test(value)),
  size: is("bytes", (value) => Number.isSafeInteger(value) && Number(value) > 0),
};
