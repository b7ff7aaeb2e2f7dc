/** The page of the agents of a version of Juju. */

import { type Agent, type AgentRelease, agentFile } from "../../src/catalog/agents.ts";
import type { Origin } from "../../src/catalog/provenance.ts";
import type { AgentTally } from "../../src/catalog/sections.ts";
import { AGENT_STREAMS, URLS } from "../../src/wire/urls.ts";
import { render, type Site } from "./layout.tsx";
import { Top } from "./packageparts.tsx";
import { Block, CameFrom, Command, Facts, Said, Size, Tag } from "./parts.tsx";

export interface AgentsView {
  readonly release: AgentRelease;
  readonly origins: readonly Origin<AgentTally>[];
}

export function agentsPage(site: Site, { release, origins }: AgentsView): string {
  const { name, version, agents } = release;
  const title = `Juju ${version}`;
  return render({
    site,
    section: "list",
    title,
    children: (
      <article class="package">
        <Top site={site} kind="agent" name={name} title={title} summary="Agents of Juju, for machines." publisher={undefined} />
        <div class="columns">
          <div class="text">
            <Block id="use" title="Use">
              <Command label={`Bootstrap Juju ${version}`} text={`juju bootstrap CLOUD NAME --config FILE --agent-version ${version}`} />
              <Command label={`Upgrade a controller to ${version}`} text={`juju upgrade-controller --agent-version ${version}`} />
              <p class="hint">
                FILE is what <span class="mono">chp juju-config --juju {version} --cloud lxd</span> prints. It names this store as{" "}
                <span class="mono break">
                  agent-metadata-url: {site.origin.replace(/\/$/, "")}
                  {AGENT_STREAMS}
                </span>
                .
              </p>
            </Block>
            <Block id="files" title="Files">
              <ul class="files">
                {agents.map((agent) => (
                  <li>
                    <div class="line">
                      <span class="about">{agent.architecture}</span>
                      <span class="get">
                        <Size bytes={agent.size} />{" "}
                        <a href={site.prefix + URLS.agentFile.build({ version, file: agentFile({ version, ...agent }) })}>.tgz</a>
                      </span>
                    </div>
                    <p class="muted">
                      <Proof agent={agent} />
                    </p>
                    <p class="muted digest">sha256 {agent.blob}</p>
                  </li>
                ))}
              </ul>
            </Block>
            <CameFrom
              origins={origins}
              added={({ added, removed }) =>
                [...added.map((architecture) => `+${architecture}`), ...removed.map((architecture) => `−${architecture}`)].join(" ")
              }
            />
          </div>
          <aside class="beside" aria-label="Facts">
            <Facts
              rows={[
                ["Version", version],
                ["Architectures", agents.map(({ architecture }) => architecture).join(", ")],
              ]}
            />
          </aside>
        </div>
      </article>
    ),
  });
}

/** Who vouches for a file. */
function Proof({ agent: { signed, signers = [], unverified } }: { readonly agent: Agent }) {
  if (signed) return <>Signed by upstream, {signed.updated.slice(0, 10)}</>;
  if (signers.length > 0)
    return (
      <>
        Signed by <Said text={signers.map(({ key, name }) => (name === "" ? key : name)).join(" and ")} />
      </>
    );
  return (
    <>
      <Tag kind="bad">unverified</Tag> {unverified === undefined ? null : <Said text={unverified} />}
    </>
  );
}
