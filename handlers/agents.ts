/** Juju's agent streams: an unsigned index and product file of what is stored, and the files. What clients rely on: handlers/juju.md, Agents. */

import { agentsName, findAgent, readAgentFile } from "../src/catalog/agents.ts";
import { isDigest } from "../src/digest.ts";
import { agentIndex, agentProducts, signedTexts } from "../src/wire/agentstreams.ts";
import { URLS } from "../src/wire/urls.ts";
import { sendBlob } from "./blobs.ts";
import type { HandlerDeps } from "./call.ts";
import type { MissingRequests } from "./missingrequests.ts";
import type { Offer } from "./offer.ts";
import { CacheableReply } from "./replies.ts";
import { type Api, get, type Handler } from "./routes.ts";

export function agentRoutes({ store, missing }: HandlerDeps & { readonly missing: MissingRequests }): Api {
  /** Nothing where no agent is stored: Juju then asks its next source. */
  const listed =
    (textOf: (releases: Awaited<ReturnType<Offer["agents"]>>, time: number) => string): Handler =>
    async () => {
      const snapshot = await store.snapshot();
      const releases = await snapshot.agents();
      return releases.length === 0 ? undefined : new CacheableReply([textOf(releases, snapshot.of.time ?? 0)]);
    };

  const file = get(URLS.agentFile, async (c) => {
    const asked = URLS.agentFile.parse(c.req);
    const named = readAgentFile(asked?.file ?? "");
    if (!asked || named?.version !== asked.version) return undefined;
    const release = await (await store.snapshot()).of.stored("agents", agentsName(named.version));
    const agent = findAgent(release, named.architecture);
    const object = agent && (await store.blob(agent.blob));
    if (object) return sendBlob(c, { object, digest: agent.blob, filename: asked.file });
    missing.note({ type: "agent", name: asked.file }, c.env.id, Date.now());
    return undefined;
  });

  /** A signed text that a stored agent came with. */
  const text = get(URLS.signedText, async (c) => {
    const { digest = "" } = URLS.signedText.parse(c.req) ?? {};
    if (!isDigest(digest)) return undefined;
    const agents = (await (await store.snapshot()).agents()).flatMap((release) => release.agents);
    const isText = agents.some(({ signed }) => signed?.index.digest === digest || signed?.products.digest === digest);
    const object = isText ? await store.blob(digest) : undefined;
    return object && sendBlob(c, { object, digest, filename: digest });
  });

  return {
    dialect: "charmhub",
    routes: [
      get(URLS.agentIndex, listed(agentIndex)),
      get(URLS.agentProducts, listed(agentProducts)),
      file,
      get(
        URLS.signedTexts,
        listed((releases) => JSON.stringify(signedTexts(releases))),
      ),
      text,
    ],
  };
}
