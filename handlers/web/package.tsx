/** The page of a charm or a bundle. */

import { showBase } from "../../src/catalog/base.ts";
import { formatChannel } from "../../src/catalog/channel.ts";
import { channelOf } from "../../src/catalog/channelmap.ts";
import type { OverrideFacts } from "../../src/catalog/override.ts";
import { findRevision, newestRevision, type Package, type Relations, type Revision } from "../../src/catalog/package.ts";
import type { NeededResource, PackageNeed } from "../../src/catalog/packageneeds.ts";
import type { Origin } from "../../src/catalog/provenance.ts";
import { pathOfReference, splitPath } from "../../src/catalog/registry.ts";
import { defaultRelease } from "../../src/catalog/resolve.ts";
import type { Tally } from "../../src/catalog/sections.ts";
import { PAGE_URLS, URLS } from "../../src/wire/urls.ts";
import { type ChannelRow, Channels, channelsOf } from "./channels.tsx";
import { render, type Site } from "./layout.tsx";
import { Needs, Revisions, Top } from "./packageparts.tsx";
import { Block, CameFrom, Command, count, cut, Day, Facts, Notice, Prose, Said, Size, Stored, Tag } from "./parts.tsx";

export interface PackageView {
  /** as it is offered */
  readonly pkg: Package;
  readonly overrides: readonly OverrideFacts[];
  readonly needs: readonly PackageNeed[];
  readonly resources: readonly NeededResource[];
  /** the registry besides chp that images are pulled from: chp does not know what is there */
  readonly registry: string | undefined;
  readonly origins: readonly Origin<Tally>[];
}

export function packagePage(site: Site, view: PackageView): string {
  const { pkg, overrides, needs, registry, origins } = view;
  const { details } = pkg;
  const resources = view.resources.map((resource) =>
    registry !== undefined && resource.image !== undefined ? { ...resource, stored: true } : resource,
  );
  const title = details.title ?? pkg.name;
  const missing = [...needs.filter((need) => !need.stored && need.sure === "certain"), ...resources.filter((r) => !r.stored && r.released)]
    .length;
  const newest = newestRevision(pkg);
  const rows = pkg.releases.map((row): ChannelRow => {
    const { track, ...rest } = channelOf(row);
    return {
      track,
      rest: formatChannel({ track: "", ...rest }).slice(1),
      channel: row.channel,
      base: row.base ? `${row.base.name}@${row.base.channel}` : "",
      architecture: row.base?.architecture ?? "",
      revision: row.revision,
      version: findRevision(pkg, row.revision)?.version ?? "",
      releasedAt: row.releasedAt,
      on: showBase(row.base),
    };
  });
  return render({
    site,
    section: "list",
    title: cut(title, 60),
    children: (
      <article class="package">
        <Top site={site} kind={pkg.type} name={pkg.name} title={title} summary={details.summary ?? ""} publisher={publisherOf(pkg)} />
        <div class="columns">
          <div class="text">
            {missing > 0 ? (
              <Notice kind="bad">
                {count(missing, "thing")} that it needs {missing === 1 ? "is" : "are"} missing in this store: see{" "}
                <a href={needs.some((need) => !need.stored) ? "#needs" : "#resources"}>below</a>.
              </Notice>
            ) : null}
            <Deploy pkg={pkg} />
            <Channels rows={rows} overrides={overrides} defaultTrack={pkg.defaultTrack} />
            <Needs site={site} title={pkg.type === "bundle" ? "Charms and snaps in it" : "What it needs"} needs={needs} />
            <Resources site={site} pkg={pkg} resources={resources} registry={registry} />
            {newest ? <Endpoints relations={newest.relations} /> : null}
            <Revisions revisions={pkg.revisions.map((revision) => fileOf(site, pkg, revision))} channels={channelsOf(rows)} />
            <CameFrom origins={origins} added={showTally} />
            {details.description === undefined || details.description === details.summary ? null : (
              <Block id="about" title="About">
                <Prose text={details.description} />
              </Block>
            )}
          </div>
          <aside class="beside" aria-label="Facts">
            <PackageFacts pkg={pkg} />
          </aside>
        </div>
      </article>
    ),
  });
}

export function showTally({ revisions, channels }: Tally): string {
  const parts = [
    ...(revisions.length > 0 ? [`revision ${revisions.slice(0, 20).join(", ")}${revisions.length > 20 ? ", …" : ""}`] : []),
    ...(channels > 0 ? [count(channels, "channel")] : []),
  ];
  return parts.join(", ");
}

const HOW_VERIFIED: Readonly<Record<string, string>> = {
  verified: "verified account",
  starred: "star developer",
  unproven: "not verified",
};

function publisherOf({ details: { publisher }, publisherAssertion }: Package) {
  if (!publisher) return undefined;
  const validation = publisher["validation"] ?? "unproven";
  return {
    name: publisher["display-name"] ?? publisher["username"] ?? "",
    isVerified: validation === "verified",
    how: `${HOW_VERIFIED[validation] ?? "not verified"}${publisherAssertion ? ", with its account assertion" : ", as its archive says"}`,
  };
}

function Deploy({ pkg }: { readonly pkg: Package }) {
  const row = defaultRelease(pkg);
  const newest = newestRevision(pkg);
  if (!row && !newest) return null;
  const isDefault = row?.channel === formatChannel({ track: pkg.defaultTrack, risk: "stable" });
  const channel = !row ? ` --channel stable --revision ${newest?.revision}` : isDefault ? "" : ` --channel ${row.channel}`;
  return (
    <Block id="deploy" title="Deploy">
      <Command label={`Deploy ${pkg.name}`} text={`juju deploy ${pkg.name}${channel}`} />
      {row ? (
        <details>
          <summary>{row.base ? "With its channel and base" : "With its channel"}</summary>
          <Command
            label={`Deploy ${pkg.name} from ${row.channel}`}
            text={`juju deploy ${pkg.name} --channel ${row.channel}${row.base ? ` --base ${row.base.name}@${row.base.channel}` : ""}`}
          />
        </details>
      ) : null}
    </Block>
  );
}

interface ResourcesProps {
  readonly site: Site;
  readonly pkg: Package;
  readonly resources: readonly NeededResource[];
  readonly registry: string | undefined;
}

function Resources({ registry, resources, ...others }: ResourcesProps) {
  if (resources.length === 0) return null;
  const shown = resources.filter(({ released }) => released).slice(0, MOST_ROWS);
  const more = resources.filter(({ released }) => !released).slice(0, MOST_ROWS);
  const list = (rows: readonly NeededResource[]) => (
    <ul class="files">
      {rows.map((resource) => (
        <ResourceRow resource={resource} isElsewhere={registry !== undefined && resource.image !== undefined} {...others} />
      ))}
    </ul>
  );
  return (
    <Block id="resources" title="Resources">
      {registry !== undefined && resources.some(({ image }) => image !== undefined) ? (
        <p class="hint">
          Images are pulled from <span class="mono">{registry}</span>; this store does not know which of them are there.
        </p>
      ) : null}
      {shown.length > 0 ? list(shown) : null}
      {more.length > 0 ? (
        <details>
          <summary>{count(more.length, "revision")} in no channel</summary>
          {list(more)}
        </details>
      ) : null}
    </Block>
  );
}

export const MOST_ROWS = 60;

interface ResourceProps extends Omit<ResourcesProps, "resources" | "registry"> {
  readonly resource: NeededResource;
  readonly isElsewhere: boolean;
}

function ResourceRow({ site, pkg, resource, isElsewhere }: ResourceProps) {
  const { name, revision, image, size, stored } = resource;
  return (
    <li>
      <div class="line">
        <strong class="rev">{cut(name)}</strong>
        <span class="about muted">{revision === undefined ? "no revision" : `revision ${revision}`}</span>
        <span class="get">
          {image === undefined && revision !== undefined ? (
            <>
              <Size bytes={size} />
              <a
                href={site.prefix + URLS.resourceFile.build({ id: pkg.id, resource: name, revision })}
                download=""
                aria-label={`Download ${name} revision ${revision}`}
              >
                file
              </a>
            </>
          ) : null}
          {isElsewhere ? <Tag>elsewhere</Tag> : <Stored is={stored} />}
        </span>
      </div>
      {image === undefined ? null : <Reference site={site} image={image} isLink={stored && !isElsewhere} />}
    </li>
  );
}

function Reference({ site, image, isLink }: { readonly site: Site; readonly image: string; readonly isLink: boolean }) {
  const { name } = splitPath(pathOfReference(image));
  const text = cut(image, 300);
  return <p class="muted digest">{isLink ? <a href={site.prefix + PAGE_URLS.image.build(name.split("/"))}>{text}</a> : text}</p>;
}

/** By which interfaces it is integrated. */
function Endpoints({ relations }: { readonly relations: Relations }) {
  const roles = (["provides", "requires", "peers"] as const).flatMap((role) => {
    const endpoints = Object.entries(relations[role] ?? {});
    return endpoints.length === 0 ? [] : [{ role, endpoints: endpoints.slice(0, MOST_ROWS) }];
  });
  if (roles.length === 0) return null;
  return (
    <Block id="integrations" title="Integrations">
      <dl class="endpoints">
        {roles.map(({ role, endpoints }) => (
          <div>
            <dt>{{ provides: "Provides", requires: "Requires", peers: "Peers" }[role]}</dt>
            <dd>
              <ul>
                {endpoints.map(([name, { interface: by }]) => (
                  <li>
                    <Said text={name} /> <span class="sub muted mono">{cut(by)}</span>
                  </li>
                ))}
              </ul>
            </dd>
          </div>
        ))}
      </dl>
    </Block>
  );
}

function fileOf(site: Site, pkg: Package, { revision, version, bases, size, blob, createdAt, aside }: Revision) {
  return {
    revision,
    version,
    places: bases.map(showBase),
    size,
    createdAt,
    aside: aside === true,
    sha256: blob,
    files: [
      {
        label: `.${pkg.type}`,
        name: `${pkg.name} revision ${revision}`,
        path: site.prefix + URLS.charmFile.build({ id: pkg.id, revision, extension: pkg.type }),
      },
    ],
  };
}

function PackageFacts({ pkg }: { readonly pkg: Package }) {
  const { details } = pkg;
  const newest = newestRevision(pkg);
  const publisher = publisherOf(pkg);
  return (
    <Facts
      rows={[
        publisher && [
          "Publisher",
          <>
            <Said text={publisher.name} />
            <span class="sub muted">{publisher.how}</span>
          </>,
        ],
        details.license === undefined || details.license === "" ? undefined : ["License", cut(details.license)],
        ["Default track", cut(pkg.defaultTrack)],
        newest && [
          "Newest revision",
          [
            String(newest.revision),
            <span class="sub muted">
              <Day time={newest.createdAt} />
            </span>,
          ],
        ],
        newest?.subordinate ? ["Kind", "Subordinate"] : undefined,
        ["Revisions stored", String(pkg.revisions.length)],
        ["Package id", <span class="mono break">{cut(pkg.id)}</span>],
        pkg.formerIds.length === 0 ? undefined : ["Former ids", <span class="mono break">{cut(pkg.formerIds.join(" "), 300)}</span>],
        pkg.declared ? undefined : ["Details", "Rebuilt from the file: its archive had no metadata"],
      ]}
    />
  );
}
