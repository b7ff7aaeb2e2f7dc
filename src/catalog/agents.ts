/** Juju's agent binaries as they are stored: a version, with a file for each architecture. All of it is pure. */

import { type Digest, shortDigest } from "../digest.ts";
import { refused } from "../errors.ts";
import { compareJuju, type JujuVersion, parseJuju } from "./bootstrap.ts";
import { byDigest, type RepositoryBlob } from "./repository.ts";

/** The agents of one version. Its manifest in the store; as it lists its `blobs`, a chp that does not know it keeps all of them. */
export interface AgentRelease {
  /** `juju-3.6.11` */
  readonly name: string;
  /** as Juju writes it: `3.6.11`, `4.1-beta2` */
  readonly version: string;
  /** sorted by architecture */
  readonly agents: readonly Agent[];
  /** every file and every signed text of them, once, sorted by digest */
  readonly blobs: readonly RepositoryBlob[];
}

export interface Agent {
  /** dpkg name, which Juju uses too */
  readonly architecture: string;
  /** of its tgz, which is never opened */
  readonly blob: Digest;
  /** bytes */
  readonly size: number;
  /** the products of the streams that offer it: `com.ubuntu.juju:ubuntu:amd64` to the release, `ubuntu` */
  readonly products: Readonly<Record<string, string>>;
  /** the signed texts that name it, with its digest */
  readonly signed?: SignedStreams;
  /** without them: the accepted keys that signed the file it came in */
  readonly signers?: readonly { readonly key: string; readonly name: string }[];
  /** without either: why nobody vouches for it */
  readonly unverified?: string;
}

/** An index and a product file of upstream, clear-signed, as they were when an agent was taken. */
export interface SignedStreams {
  readonly index: RepositoryBlob;
  readonly products: RepositoryBlob;
  /** RFC 3339: when upstream last changed its index, as that says */
  readonly updated: string;
  /** fingerprint of the key */
  readonly key: string;
}

const FILE = /^juju-(.+)-(?:linux|ubuntu)-([a-z0-9]{2,20})\.(?:tgz|tar\.gz)$/;
const ARCHITECTURES = new Set(["amd64", "arm64", "armhf", "i386", "ppc64el", "riscv64", "s390x"]);
/** Agents of earlier versions were made for each series, and none of these is supported any more. */
const FIRST = [2, 9] as const;

/** An exact version that is written as Juju writes it; undefined: it is none, or has agents for each series. */
export function agentVersion(text: string): JujuVersion | undefined {
  const version = parseJuju(text);
  if (version?.text !== text || version.patch === undefined) return undefined;
  return version.major > FIRST[0] || (version.major === FIRST[0] && version.minor >= FIRST[1]) ? version : undefined;
}

/** The earlier one first; `4.1-beta2` is before `4.1.0`. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [parseJuju(a), parseJuju(b)];
  return (left && right && compareJuju(left, right)) || (a < b ? -1 : Number(a > b));
}

/** What a file of upstream is of, by its name; undefined: it is no agent. */
export function readAgentFile(name: string): { readonly version: string; readonly architecture: string } | undefined {
  const [, version = "", architecture = ""] = FILE.exec(name) ?? [];
  return ARCHITECTURES.has(architecture) && agentVersion(version) ? { version, architecture } : undefined;
}

/** `juju-3.6.11-linux-amd64.tgz` */
export function agentFile({ version, architecture }: { readonly version: string; readonly architecture: string }): string {
  return `juju-${version}-linux-${architecture}.tgz`;
}

/** What the agents of a version are called: `juju-3.6.11`. */
export function agentsName(version: string): string {
  return `juju-${version}`;
}

/** The products that offer an agent where no stream says: Ubuntu's alone. */
export function ubuntuProduct(architecture: string): Agent["products"] {
  return { [`com.ubuntu.juju:ubuntu:${architecture}`]: "ubuntu" };
}

export function findAgent(release: AgentRelease | undefined, architecture: string): Agent | undefined {
  return release?.agents.find((agent) => agent.architecture === architecture);
}

/** The manifest of these agents. */
export function agentRelease(version: string, agents: readonly Agent[]): AgentRelease {
  const files = agents.map(({ blob, size }) => ({ digest: blob, size }));
  const texts = agents.flatMap(({ signed }) => (signed ? [signed.index, signed.products] : []));
  return {
    name: agentsName(version),
    version,
    agents: agents.toSorted((a, b) => (a.architecture < b.architecture ? -1 : 1)),
    blobs: byDigest([...files, ...texts]),
  };
}

/**
 * Both together. Of the same file the better proof stays: the newest signed texts, else an accepted key. Throws a `refused` failure where
 * a stored version has another file for an architecture: what a version is never changes.
 */
export function mergeAgents(stored: AgentRelease | undefined, version: string, incoming: readonly Agent[]): AgentRelease {
  const all = new Map((stored?.agents ?? []).map((agent) => [agent.architecture, agent]));
  for (const agent of incoming) {
    const before = all.get(agent.architecture);
    if (before && before.blob !== agent.blob) {
      const file = agentFile({ version, ...agent });
      throw refused(`${file} has another content than what is stored: ${shortDigest(agent.blob)}, not ${shortDigest(before.blob)}`, {
        next: `where the stored one is wrong, chp remove ${file} --plan FILE takes it away`,
      });
    }
    if (!before || isBetter(agent, before)) all.set(agent.architecture, agent);
  }
  return agentRelease(version, [...all.values()]);
}

function isBetter(one: Agent, other: Agent): boolean {
  const rank = ({ signed, signers }: Agent) => (signed ? 2 : signers ? 1 : 0);
  return rank(one) > rank(other) || (one.signed !== undefined && other.signed !== undefined && one.signed.updated > other.signed.updated);
}

/** Bytes of the files and texts; each counts once. */
export function sizeOfAgents(release: AgentRelease): number {
  return release.blobs.reduce((sum, { size }) => sum + size, 0);
}

/** What vouches for an agent, in words. */
export function showProof({ signed, signers = [], unverified }: Agent): string {
  if (signed) return `signed by ${signed.key.slice(-16)}, ${signed.updated}`;
  if (signers.length > 0)
    return `in a file signed by ${signers.map(({ key, name }) => (name === "" ? key : `${key} (${name})`)).join(" and ")}`;
  return `UNVERIFIED: ${unverified ?? "it is not known where it is from"}`;
}
