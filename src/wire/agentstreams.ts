/** Agent streams in the format of simplestreams, as Juju's clients and controllers read them (handlers/juju.md, Agents). */

import { type AgentRelease, agentFile, type SignedStreams } from "../catalog/agents.ts";
import { AGENT_STREAMS, URLS } from "./urls.ts";

const RELEASED = "com.ubuntu.juju:released:agents";
const PRODUCT_FILE = "streams/v1/com.ubuntu.juju-released-agents.json";

/** `time`: milliseconds since 1970, of the generation. */
export function agentIndex(releases: readonly AgentRelease[], time: number): string {
  const products = [...new Set(releases.flatMap(({ agents }) => agents.flatMap((agent) => Object.keys(agent.products))))].toSorted();
  const updated = mailTime(time);
  const index = { [RELEASED]: { updated, format: "products:1.0", datatype: "content-download", path: PRODUCT_FILE, products } };
  return JSON.stringify({ index, updated, format: "index:1.0" });
}

/** The product file of what is stored. Juju takes the newest of each version by date, so all lies under one. */
export function agentProducts(releases: readonly AgentRelease[], time: number): string {
  const items = new Map<string, Record<string, unknown>>();
  for (const { version, agents } of releases)
    for (const { architecture, blob, size, products } of agents)
      for (const [product, release] of Object.entries(products)) {
        const known = items.get(product) ?? {};
        known[`${version}-${release}-${architecture}`] = {
          release,
          version,
          arch: architecture,
          path: agentPath({ version, architecture }),
          size,
          sha256: blob,
          ftype: "tar.gz",
        };
        items.set(product, known);
      }
  const date = new Date(time).toISOString().slice(0, 10).replaceAll("-", "");
  const products = Object.fromEntries(
    [...items].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([product, known]) => [product, { versions: { [date]: { items: known } } }]),
  );
  return JSON.stringify({ products, updated: mailTime(time), format: "products:1.0", content_id: RELEASED, datatype: "content-download" });
}

/** The path of an agent's file, from the address of the streams. */
export function agentPath(agent: { readonly version: string; readonly architecture: string }): string {
  return URLS.agentFile.build({ version: agent.version, file: agentFile(agent) }).slice(AGENT_STREAMS.length + 1);
}

/** The signed texts of upstream that stored agents came with, the newest first, for an export of another chp. */
export interface SignedTexts {
  readonly streams: readonly {
    /** sha256 of the index and of its product file, as they are below the list */
    readonly index: string;
    readonly products: string;
    /** RFC 3339 */
    readonly updated: string;
    /** names of the files that are stored and that they name */
    readonly agents: readonly string[];
  }[];
}

export function signedTexts(releases: readonly AgentRelease[]): SignedTexts {
  const found = new Map<string, { readonly signed: SignedStreams; readonly agents: string[] }>();
  for (const { version, agents } of releases)
    for (const { architecture, signed } of agents) {
      if (!signed) continue;
      const key = `${signed.index.digest} ${signed.products.digest}`;
      const known = found.get(key) ?? { signed, agents: [] };
      known.agents.push(agentFile({ version, architecture }));
      found.set(key, known);
    }
  const streams = [...found.values()].map(({ signed: { index, products, updated }, agents }) => ({
    index: index.digest,
    products: products.digest,
    updated,
    agents,
  }));
  return { streams: streams.toSorted((a, b) => (a.updated < b.updated ? 1 : -1)) };
}

/** `Thu, 01 Jan 1970 00:00:00 +0000` */
function mailTime(time: number): string {
  return new Date(time).toUTCString().replace("GMT", "+0000");
}
