/** Changes of Juju's agents: what differs, and removal. All of it is pure. */

import { Failure } from "../errors.ts";
import { type AgentRelease, agentFile, agentRelease, findAgent } from "./agents.ts";
import type { SectionDraft } from "./generation-types.ts";
import type { AgentTally } from "./sections.ts";

/** The agents of a version before and after a change. `before` undefined: it is new; `after` undefined: it is removed. */
export interface AgentsChange {
  readonly before: AgentRelease | undefined;
  readonly after: AgentRelease | undefined;
}

export interface AgentsDifference {
  readonly name: string;
  readonly state: "added" | "removed" | "changed";
  /** architectures */
  readonly architectures: { readonly added: readonly string[]; readonly removed: readonly string[] };
  /** architectures whose proof is another one, as signed texts in place of none */
  readonly proven: readonly string[];
}

export function agentsDifference({ before, after }: AgentsChange): AgentsDifference {
  const only = (one: AgentRelease | undefined, other: AgentRelease | undefined) =>
    (one?.agents ?? [])
      .filter(({ architecture, blob }) => findAgent(other, architecture)?.blob !== blob)
      .map(({ architecture }) => architecture);
  const proven = (after?.agents ?? []).filter((agent) => {
    const was = findAgent(before, agent.architecture);
    return was?.blob === agent.blob && JSON.stringify(was) !== JSON.stringify(agent);
  });
  return {
    name: (after ?? before)?.name ?? "",
    state: before && after ? "changed" : after ? "added" : "removed",
    architectures: { added: only(after, before), removed: only(before, after) },
    proven: proven.map(({ architecture }) => architecture),
  };
}

export function agentsDraft(changes: readonly AgentsChange[]): SectionDraft<"agents"> {
  const differences = changes.map(agentsDifference);
  return {
    changed: changes.flatMap(({ after }) => after ?? []),
    dropped: differences.flatMap(({ name, state }) => (state === "removed" ? [name] : [])),
    tally: Object.fromEntries(differences.map(({ name, architectures }): [string, AgentTally] => [name, architectures])),
  };
}

/** Without one architecture, or undefined where that leaves nothing. Throws a `not-found` failure. `architecture` undefined: all of them. */
export function withoutAgent(release: AgentRelease, architecture: string | undefined): AgentRelease | undefined {
  if (architecture === undefined) return undefined;
  const agents = release.agents.filter((agent) => agent.architecture !== architecture);
  if (agents.length === release.agents.length)
    throw new Failure("not-found", `${agentFile({ ...release, architecture })} is not stored`, {
      next: `chp show ${release.name} lists what is`,
    });
  return agents.length === 0 ? undefined : agentRelease(release.version, agents);
}
