/** The agents that the conformance cases of Juju's streams ask for, as one archive of what upstream has. */

import { readSigningKey } from "../src/assertions/clearsigned.ts";
import type { ImportReport } from "../src/import/import.ts";
import type { Store } from "../store/store.ts";
import { tarOf } from "./build.ts";
import { importInto } from "./importing.ts";
import { importSnapWorld } from "./snapworld.ts";
import { agentBytes, type StreamsSigner, streamsFiles, streamsSigner, type TestAgent, testAgents } from "./streams.ts";
import { importWorld, once } from "./world.ts";

export const AGENT_SIGNER: StreamsSigner = streamsSigner("a");
export const AGENTS: readonly TestAgent[] = [
  ...testAgents(["2.9.42", "3.6.11"]),
  { version: "4.0.1", architecture: "amd64", bytes: agentBytes("4.0.1", "amd64", 3 * 2 ** 20) },
];

/** Upstream has 3.6.12 as well, which is not in the archive. */
const UPSTREAM = streamsFiles([...AGENTS, ...testAgents(["3.6.12"])], AGENT_SIGNER);

export const SIGNED_TEXTS = [...UPSTREAM].filter(([path]) => path.endsWith(".sjson")).map(([, bytes]) => bytes);

export const AGENT_WORLD: Uint8Array = tarOf(
  Object.fromEntries([...UPSTREAM].filter(([path]) => !path.includes("3.6.12")).map(([path, bytes]) => [`agents/${path}`, bytes])),
);

export async function importAgentWorld(store: Store): Promise<ImportReport> {
  const streamsKeys = [readSigningKey(AGENT_SIGNER.file, "the key")];
  return importInto(store, { "agents.tar": AGENT_WORLD }, { command: "import agents.tar", streamsKeys, now: "2026-03-03T00:00:00Z" });
}

/** A store of this world, of the charms' and of the snaps'. */
export const allWorlds = once(async (store) => {
  await importWorld(store);
  await importSnapWorld(store);
  await importAgentWorld(store);
});
