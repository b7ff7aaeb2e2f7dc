/** Juju's agents of one import: files that are staged and never opened, and the signed streams that name them. */

import { type FileLocation, located, locationParts } from "../archives/archive.ts";
import { agentKey, readStreamsIndex, readStreamsProducts, type StreamsAgent, type StreamsIndex } from "../archives/streams.ts";
import type { SigningKey } from "../assertions/clearsigned.ts";
import { canonicalStreamsKey } from "../assertions/streamskey.ts";
import { readAgentFile, type SignedStreams } from "../catalog/agents.ts";
import type { Digest } from "../digest.ts";
import { Failure, reason, refused } from "../errors.ts";
import { compareText } from "../text.ts";
import type { Staged, Staging } from "./staging.ts";

export interface FoundAgent {
  readonly at: readonly string[];
  /** the folder that it lies in, the archives on the way included */
  readonly group: string;
  /** the name of the source that it came in */
  readonly source: string;
  readonly version: string;
  readonly architecture: string;
  readonly blob: Digest;
  /** bytes */
  readonly size: number;
  /** the signed streams that name it, and the products that they offer it for */
  readonly signed?: { readonly streams: SignedStreams; readonly products: StreamsAgent["products"] };
}

export interface AgentReading {
  readonly agents: readonly FoundAgent[];
  readonly notes: readonly string[];
}

export interface AgentReadOptions {
  /** keys that sign streams besides Canonical's */
  readonly streamsKeys?: readonly SigningKey[];
  /** whether streams that do not verify are left out, and their agents taken all the same */
  readonly allowUnverified?: boolean;
}

interface Text {
  readonly at: readonly string[];
  readonly bytes: Uint8Array;
}

/** An index with its product file. */
interface Streams extends StreamsIndex {
  readonly index: Text;
  readonly productFile: Text;
  readonly agents: ReadonlyMap<string, StreamsAgent>;
}

const INDEX = /^(?:(.*)\/)?streams\/v1\/index2?\.sjson$/s;

export class AgentReader<S extends Staged> {
  readonly #staging: Staging<S>;
  readonly #options: AgentReadOptions;
  readonly #agents: FoundAgent[] = [];
  /** by their paths */
  readonly #texts = new Map<string, Text>();

  constructor(staging: Staging<S>, options: AgentReadOptions) {
    this.#staging = staging;
    this.#options = options;
  }

  /** A file that is called like an agent. Throws a `refused` failure where it can't be one. */
  agent(file: FileLocation, group: string, { sums }: S): void {
    const named = readAgentFile(file.path.split("/").at(-1) ?? "");
    if (!named) throw new Error(`internal error: ${file.path} is no agent`);
    const source = file.containers[0] ?? file.path;
    this.#agents.push({ at: locationParts(file), group, source, ...named, blob: sums["sha-256"], size: sums.size });
  }

  /** A clear-signed text. */
  text(file: FileLocation, bytes: Uint8Array): void {
    const at = locationParts(file);
    this.#texts.set(at.join("/"), { at, bytes });
  }

  /** The agents, each with the newest streams that name it. Throws a `refused` failure that names the file. */
  async finish(): Promise<AgentReading> {
    const notes: string[] = [];
    const streams = this.#streams(notes).toSorted((a, b) => compareText(b.updated, a.updated));
    const found: FoundAgent[] = [];
    for (const agent of this.#agents.toSorted((a, b) => compareText(a.at.join("/"), b.at.join("/")))) {
      const named = streams.filter(({ agents }) => agents.has(agentKey(agent)));
      const right = named.find(({ agents }) => agents.get(agentKey(agent))?.sha256 === agent.blob);
      const [other] = named;
      if (!right && other) {
        const said = other.agents.get(agentKey(agent))?.sha256 ?? "";
        throw refused(`its sha256 is ${agent.blob}, but ${other.productFile.at.join(": ")} says ${said}`, {
          at: agent.at,
          next: "get it again from where it was made",
        });
      }
      found.push(right ? { ...agent, signed: await this.#proof(right, agent) } : agent);
    }
    return { agents: found, notes };
  }

  async #proof({ index, productFile, updated, key, agents }: Streams, agent: FoundAgent): Promise<NonNullable<FoundAgent["signed"]>> {
    const stored = async ({ bytes }: Text) => ({ digest: await this.#staging.stageSmall(bytes), size: bytes.byteLength });
    const streams = { index: await stored(index), products: await stored(productFile), updated, key: key.fingerprint };
    return { streams, products: agents.get(agentKey(agent))?.products ?? {} };
  }

  /** Every index with its product file, verified. */
  #streams(notes: string[]): Streams[] {
    const keys = [canonicalStreamsKey(), ...(this.#options.streamsKeys ?? [])];
    const streams: Streams[] = [];
    for (const [path, index] of this.#texts) {
      const [, root] = INDEX.exec(path) ?? [path, null];
      if (root === null) continue;
      try {
        streams.push(this.#read(index, root ?? "", keys));
      } catch (error) {
        if (!this.#options.allowUnverified || !(error instanceof Failure) || error.kind !== "refused") throw error;
        notes.push(`UNVERIFIED: ${reason(error)}`);
      }
    }
    return streams;
  }

  #read(index: Text, root: string, keys: readonly SigningKey[]): Streams {
    const read = locatedBy(index.at, () => readStreamsIndex(index.bytes, keys, "it"));
    const productFile = this.#texts.get(root === "" ? read.path : `${root}/${read.path}`);
    if (!productFile)
      throw refused(`it names the product file ${read.path}, which is missing`, {
        at: index.at,
        next: "get the export again, or give that file as well",
      });
    const { agents } = locatedBy(productFile.at, () => readStreamsProducts(productFile.bytes, keys, "it"));
    return { ...read, index, productFile, agents };
  }
}

/** What `work` returns; its failure says where. */
function locatedBy<T>(at: readonly string[], work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw located(error, { containers: at.slice(0, -1), path: at.at(-1) ?? "" });
  }
}
