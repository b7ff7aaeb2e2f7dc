/** Juju's agents of an export: which versions, by upstream's signed streams, and what of them is packed. */

import type { ExportLock } from "../archives/lock.ts";
import {
  agentKey,
  readStreamsIndex,
  readStreamsProducts,
  SIGNED_INDEX,
  type StreamsAgent,
  type StreamsIndex,
} from "../archives/streams.ts";
import { MAX_SIGNED_TEXT, type SigningKey } from "../assertions/clearsigned.ts";
import { canonicalStreamsKey } from "../assertions/streamskey.ts";
import { agentFile, agentsName, compareVersions } from "../catalog/agents.ts";
import { chooseJuju, parseJuju } from "../catalog/bootstrap.ts";
import { type Digest, isDigest } from "../digest.ts";
import { Failure, printable, refused } from "../errors.ts";
import { isObject } from "../schema.ts";
import { compareText, tryJson } from "../text.ts";
import type { HttpClient } from "./client.ts";
import type { Inventory } from "./inventory.ts";
import { AGENTS_FOLDER, downloadUnlessIn, type PackedPackage } from "./pack.ts";
import { type FailedPackage, failuresOf, lockMismatch, type PlannedContent } from "./plan.ts";
import type { AgentRequest, AgentVersion } from "./sitefile.ts";

/** Where another chp lists the signed texts that its agents came with. */
const SIGNED_TEXTS = "signed";
/** texts of another chp that are read: a store has few, since each names all that was there before it */
const MAX_TEXTS = 32;
const MAX_LIST = 2 ** 20;

export interface AgentSettings {
  /** of the streams, without a trailing slash: what `agent-metadata-url` is to Juju */
  readonly url: string;
  /** keys that sign streams besides Canonical's */
  readonly keys: readonly SigningKey[];
  /** RFC 3339: when the index of an earlier export was updated; an older one is refused */
  readonly since?: string;
}

export interface ExportAgentsOptions extends AgentSettings {
  readonly client: HttpClient;
  readonly request: AgentRequest | undefined;
  readonly lock: ExportLock | undefined;
  /** files that the other side already has */
  readonly inventory: Inventory | undefined;
  readonly onNote: (text: string) => void;
}

/** The agents of one version that are taken. */
export interface PlannedAgents {
  readonly version: string;
  readonly agents: readonly StreamsAgent[];
  /** the streams that name them */
  readonly streams: SignedStreams;
  /** what was written of it: `3.6` */
  readonly wanted: readonly string[];
}

/** An index and its product file, verified. */
interface SignedStreams extends StreamsIndex {
  readonly indexBytes: Uint8Array;
  readonly productBytes: Uint8Array;
  readonly agents: ReadonlyMap<string, StreamsAgent>;
  readonly problems: ReadonlyMap<string, string>;
}

export class ExportAgents {
  readonly #options: ExportAgentsOptions;
  #planned: readonly PlannedAgents[] = [];
  #updated: string | undefined;
  #isChp = false;
  readonly #lost = new Set<string>();
  readonly #packed = new Map<PlannedAgents, PackedPackage>();

  constructor(options: ExportAgentsOptions) {
    this.#options = options;
  }

  /** Reads the streams and chooses versions. Gives those that can't be had. */
  async plan(): Promise<FailedPackage[]> {
    const { request, lock } = this.#options;
    const isAll = !lock && request?.versions === "all";
    const wanted = lock
      ? (lock.agents?.versions ?? []).map(({ version }) => version)
      : [...new Set(entriesOf(request).map(({ version }) => version))];
    if (!isAll && wanted.length === 0) return [];
    let all: readonly SignedStreams[] = [];
    const failed = await failuresOf("agents of Juju", async () => {
      all = await this.#streams();
    });
    if (isAll && !this.#isChp) all = []; // upstream's own has every version that ever was
    if (failed.length > 0) return isAll ? failed.filter(({ failure }) => failure.kind !== "not-found") : failed;
    const versions = [
      ...new Set(all.flatMap(({ agents, problems }) => [...agents.keys(), ...problems.keys()]).map((key) => key.split(" ")[0] ?? "")),
    ];
    const chosen = new Map<string, string[]>();
    const failures: FailedPackage[] = [];
    for (const text of isAll ? versions : wanted) {
      const version = parseJuju(text);
      const exact = version && chooseJuju(version, versions);
      if (exact !== undefined) chosen.set(exact, [...(chosen.get(exact) ?? []), text]);
      else failures.push({ name: agentsName(text), failure: notOffered(text, versions) });
    }
    const planned: PlannedAgents[] = [];
    for (const [version, texts] of [...chosen].toSorted(([a], [b]) => compareVersions(a, b)))
      failures.push(
        ...(await failuresOf(agentsName(version), async () => {
          planned.push(this.#planVersion(version, texts, all, isAll));
        })),
      );
    this.#planned = planned;
    return failures;
  }

  /** The chosen versions of which all that a bootstrap downloads is requested, in their exact words, whether their files are packed or not. */
  get essentials(): readonly string[] {
    const essential = new Set(entriesOf(this.#options.request).flatMap(({ version, isEssential }) => (isEssential ? version : [])));
    return this.#planned.filter(({ wanted }) => wanted.some((text) => essential.has(text))).map(({ version }) => version);
  }

  /** HOST[:PORT] of the registry of another chp that the streams came from; undefined: they are upstream's own. */
  get registry(): string | undefined {
    return this.#isChp ? new URL(this.#options.url).host : undefined;
  }

  #planVersion(version: string, wanted: readonly string[], all: readonly SignedStreams[], isAll: boolean): PlannedAgents {
    const { request, lock } = this.#options;
    const locked = lock?.agents?.versions.find((one) => one.version === version);
    const own = entriesOf(request).flatMap((entry) => (wanted.includes(entry.version) ? entry.architectures : []));
    const architectures = locked ? Object.keys(locked.files) : isAll ? (request?.architectures ?? []) : [...new Set(own)];
    const streams = all.find(({ agents }) => [...agents.keys()].some((key) => key.startsWith(`${version} `)));
    const agents: StreamsAgent[] = [];
    for (const architecture of architectures) {
      const key = agentKey({ version, architecture });
      const agent = streams?.agents.get(key);
      const problem = all.flatMap(({ problems }) => problems.get(key) ?? [])[0];
      if (!agent && problem !== undefined)
        throw refused(
          `cannot export ${agentFile({ version, architecture })}: what upstream's product file says of it is wrong: ${problem}`,
        );
      if (agent && locked && locked.files[architecture] !== agent.sha256)
        throw lockMismatch(agentsName(version), `its sha256 for ${architecture} is ${agent.sha256} now`);
      if (!agent && locked) throw lockMismatch(agentsName(version), `there is none for ${architecture} now`);
      if (agent) agents.push(agent);
      else if (!isAll) this.#options.onNote(`there is no agent of Juju ${version} for ${architecture}`);
    }
    if (!streams || agents.length === 0)
      throw new Failure("not-found", `cannot export ${agentsName(version)}: there is no agent of it for ${architectures.join(", ")}`);
    return { version, agents, streams, wanted };
  }

  /** All signed streams, the newest first. Throws where one does not verify, or the newest is older than before. */
  async #streams(): Promise<SignedStreams[]> {
    const { url, since } = this.#options;
    const index = await this.#bytes(SIGNED_INDEX).catch((error: unknown) => {
      if (error instanceof Failure && error.kind === "not-found") return undefined;
      throw error;
    });
    const streams = index ? [await this.#verified(index)] : await this.#streamsOfChp();
    const [newest] = streams.toSorted((a, b) => compareText(b.updated, a.updated));
    if (!newest) throw new Failure("not-found", `cannot export agents of Juju: ${url} has no signed streams of them`);
    if (since !== undefined && newest.updated < since)
      throw refused(`the index of agents at ${url} was updated at ${newest.updated}, and an earlier export had one of ${since}`, {
        next: "somebody may hold back newer agents; where it is right, remove the lock of the earlier export",
      });
    this.#updated = newest.updated;
    return streams.toSorted((a, b) => compareText(b.updated, a.updated));
  }

  async #verified(indexBytes: Uint8Array): Promise<SignedStreams> {
    const keys = this.#keys();
    const index = readStreamsIndex(indexBytes, keys, this.#at(SIGNED_INDEX));
    const productBytes = await this.#bytes(index.path);
    return { ...index, indexBytes, productBytes, ...readStreamsProducts(productBytes, keys, this.#at(index.path)) };
  }

  /** The texts that another chp hands on, each with the agents alone that it has. */
  async #streamsOfChp(): Promise<SignedStreams[]> {
    const what = this.#at(SIGNED_TEXTS);
    const text = await this.#bytes(SIGNED_TEXTS, MAX_LIST).catch((error: unknown) => {
      if (!(error instanceof Failure) || error.kind !== "not-found") throw error;
      throw new Failure("not-found", `cannot export agents of Juju: there are no signed streams of them at ${this.#options.url}`, {
        next: "--agents-url URL names another place; --without agents leaves them out",
      });
    });
    const list = readList(text.toString(), what);
    this.#isChp = true;
    const streams: SignedStreams[] = [];
    for (const { index, products, agents: held } of list) {
      const [indexBytes, productBytes] = [await this.#bytes(`${SIGNED_TEXTS}/${index}`), await this.#bytes(`${SIGNED_TEXTS}/${products}`)];
      const read = readStreamsIndex(indexBytes, this.#keys(), this.#at(`${SIGNED_TEXTS}/${index}`));
      const { agents } = readStreamsProducts(productBytes, this.#keys(), this.#at(`${SIGNED_TEXTS}/${products}`));
      const isHeld = (agent: StreamsAgent) => held.includes(agentFile(agent));
      streams.push({
        ...read,
        indexBytes,
        productBytes,
        agents: new Map([...agents].filter(([, agent]) => isHeld(agent))),
        problems: new Map(),
      });
    }
    return streams;
  }

  #keys(): SigningKey[] {
    return [canonicalStreamsKey(), ...this.#options.keys];
  }

  #at(path: string): string {
    return `${this.#options.url}/${path}`;
  }

  #bytes(path: string, limit = MAX_SIGNED_TEXT): Promise<Buffer> {
    return this.#options.client.reply(`cannot fetch ${path} of Juju's agents`, this.#at(path), { limit }, (body) => body);
  }

  /** What agents add to the downloads. */
  contents(): PlannedContent[] {
    return this.packed().map(({ name, files }) => ({
      type: "agent",
      name,
      revisions: [],
      size: files.reduce((sum, { content }) => sum + ("url" in content ? content.size : 0), 0),
      reasons: [],
    }));
  }

  /** The files of each version that is complete; the same objects each time. */
  packed(): PackedPackage[] {
    return this.complete.map((planned) => {
      const packed = this.#packed.get(planned) ?? this.#pack(planned);
      this.#packed.set(planned, packed);
      return packed;
    });
  }

  #pack({ version, agents }: PlannedAgents): PackedPackage {
    const download = downloadUnlessIn(this.#options.inventory);
    const files = agents.flatMap((agent) => {
      const { path, size, sha256, architecture } = agent;
      const file = { url: this.#at(path), size, algorithm: "sha-256" as const, digest: sha256 };
      return download(`agent/${version}/${agentFile(agent)}`, file, `agent of Juju ${version} for ${architecture}`);
    });
    return { name: agentsName(version), type: "agent", files };
  }

  /** Takes note that a version could not be downloaded. */
  lose({ name }: PackedPackage): void {
    this.#lost.add(name);
  }

  get complete(): readonly PlannedAgents[] {
    return this.#planned.filter(({ version }) => !this.#lost.has(agentsName(version)));
  }

  /** The signed texts of what is complete, where an import finds them: each index beside its product file. */
  texts(): { readonly path: string; readonly content: Uint8Array }[] {
    const used = [...new Set(this.complete.map(({ streams }) => streams))];
    return used.flatMap(({ indexBytes, productBytes, path }, i) => {
      const root = i === 0 ? AGENTS_FOLDER : `${AGENTS_FOLDER}/streams-${i}`;
      return [
        { path: `${root}/${SIGNED_INDEX}`, content: indexBytes },
        { path: `${root}/${path}`, content: productBytes },
      ];
    });
  }

  /** What a lock says of them; undefined: there are none. */
  locked(): ExportLock["agents"] {
    const versions = this.complete.map(({ version, agents }) => ({
      version,
      files: Object.fromEntries(
        agents.toSorted((a, b) => compareText(a.architecture, b.architecture)).map(({ architecture, sha256 }) => [architecture, sha256]),
      ),
    }));
    return versions.length === 0 || this.#updated === undefined ? undefined : { updated: this.#updated, versions };
  }
}

function notOffered(text: string, versions: readonly string[]): Failure {
  const newest = versions.toSorted(compareVersions).slice(-5).toReversed();
  return new Failure("not-found", `cannot export ${agentsName(text)}: upstream has no agents of Juju ${printable(text, 50)}`, {
    next: newest.length === 0 ? "it has none at all" : `the newest that it has: ${newest.join(", ")}`,
  });
}

interface ListedTexts {
  readonly index: Digest;
  readonly products: Digest;
  readonly agents: readonly string[];
}

/** Throws a `refused` failure for what is no list of signed texts. */
function readList(text: string, what: string): ListedTexts[] {
  const value = tryJson(text);
  const streams = isObject(value) && Array.isArray(value["streams"]) ? value["streams"] : undefined;
  if (!streams || streams.length > MAX_TEXTS) throw refused(`${what} is no list of signed texts`);
  return streams.map((one: unknown) => {
    const { index, products, agents } = isObject(one) ? one : {};
    if (typeof index !== "string" || !isDigest(index) || typeof products !== "string" || !isDigest(products) || !Array.isArray(agents))
      throw refused(`${what} is no list of signed texts`);
    return { index, products, agents: agents.filter((name) => typeof name === "string") };
  });
}

/** The versions that are named; none where all of a store are requested. */
function entriesOf(request: AgentRequest | undefined): readonly AgentVersion[] {
  return request === undefined || request.versions === "all" ? [] : request.versions;
}
