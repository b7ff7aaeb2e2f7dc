/** Merges the agents of an import into what is stored, and asks who vouches for each. */

import {
  type Agent,
  type AgentRelease,
  agentFile,
  agentsName,
  compareVersions,
  findAgent,
  mergeAgents,
  ubuntuProduct,
} from "../catalog/agents.ts";
import type { CatalogView, SourceRecord } from "../catalog/generation-types.ts";
import type { AgentTally } from "../catalog/sections.ts";
import { refused } from "../errors.ts";
import type { AgentReading, FoundAgent } from "./agentreader.ts";

export interface AgentReport {
  /** `juju-3.6.11` */
  readonly name: string;
  readonly version: string;
  readonly state: "new" | "changed" | "known";
  /** architectures */
  readonly architectures: { readonly new: readonly string[]; readonly known: readonly string[] };
  /** of these who is not vouched for */
  readonly unverified: readonly { readonly architecture: string; readonly reason: string }[];
}

export interface ImportedAgents {
  readonly reports: readonly AgentReport[];
  /** every version that the import has a part of, as it is after the import */
  readonly after: readonly AgentRelease[];
  readonly changed: readonly AgentRelease[];
}

interface AgentImportOptions {
  /** the sources, with who signed them */
  readonly records: readonly SourceRecord[];
  /** whether agents are imported that nobody vouches for, and marked */
  readonly allowUnverified: boolean;
}

const NOBODY = "no signed streams beside it name it, and no trusted key signed it";

/** Throws a `refused` failure for an agent that nobody vouches for, and for another content of a stored one. */
export async function importAgents(
  { agents }: AgentReading,
  base: Pick<CatalogView, "stored">,
  options: AgentImportOptions,
): Promise<ImportedAgents> {
  const versions = [...new Set(agents.map(({ version }) => version))].toSorted(compareVersions);
  const reports: AgentReport[] = [];
  const after: AgentRelease[] = [];
  const changed: AgentRelease[] = [];
  for (const version of versions) {
    const name = agentsName(version);
    const found = agents.filter((agent) => agent.version === version);
    const stored = await base.stored("agents", name);
    const incoming = found.map((agent) => storedAgent(agent, options, stored));
    const merged = incoming.reduce((release, agent) => mergeAgents(release, version, [agent]), stored) ?? mergeAgents(stored, version, []);
    const state = stored === undefined ? "new" : JSON.stringify(stored) === JSON.stringify(merged) ? "known" : "changed";
    after.push(merged);
    if (state !== "known") changed.push(merged);
    const architectures = [...new Set(found.map(({ architecture }) => architecture))].toSorted();
    const isKnown = (architecture: string) => findAgent(stored, architecture) !== undefined;
    reports.push({
      name,
      version,
      state,
      architectures: { new: architectures.filter((one) => !isKnown(one)), known: architectures.filter(isKnown) },
      unverified: architectures.flatMap((architecture) => {
        const reason = findAgent(merged, architecture)?.unverified;
        return reason === undefined ? [] : [{ architecture, reason }];
      }),
    });
  }
  return { reports, after, changed };
}

/** By version, what an import adds. */
export function agentTallies(reports: readonly AgentReport[]): Record<string, AgentTally> {
  const changed = reports.filter(({ state }) => state !== "known");
  return Object.fromEntries(changed.map(({ name, architectures }) => [name, { added: architectures.new, removed: [] }]));
}

function storedAgent(
  { at, source, version, architecture, blob, size, signed }: FoundAgent,
  options: AgentImportOptions,
  stored: AgentRelease | undefined,
): Agent {
  const agent = { architecture, blob, size };
  if (signed) return { ...agent, products: signed.products, signed: signed.streams };
  const products = ubuntuProduct(architecture);
  const records = options.records.filter(({ name }) => name === source);
  const signers = records.flatMap((record) => (record.unsigned ? [] : (record.signers ?? [])));
  if (records.length > 0 && records.every((record) => !record.unsigned && (record.signers ?? []).length > 0))
    return { ...agent, products, signers: signers.map(({ key, name }) => ({ key, name })) };
  // What is stored already was admitted when it came, and keeps its own proof.
  if (!options.allowUnverified && findAgent(stored, architecture)?.blob !== blob)
    throw refused(`nobody vouches for ${agentFile({ version, architecture })}: ${NOBODY}`, {
      at,
      next: "put it beside a SHA256SUMS that a trusted key signed (chp accept-key), or give --allow-unverified, which marks it",
    });
  return { ...agent, products, unverified: NOBODY };
}
