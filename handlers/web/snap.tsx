/** The page of a snap. */

import { formatChannel } from "../../src/catalog/channel.ts";
import { channelOf } from "../../src/catalog/channelmap.ts";
import { defaultSnapRelease } from "../../src/catalog/listing.ts";
import type { OverrideFacts } from "../../src/catalog/override.ts";
import type { PackageNeed } from "../../src/catalog/packageneeds.ts";
import type { Origin } from "../../src/catalog/provenance.ts";
import type { Tally } from "../../src/catalog/sections.ts";
import {
  type Component,
  componentsOf,
  findSnapRevision,
  newestSnapRevision,
  type Snap,
  type SnapRevision,
  shortChannel,
} from "../../src/catalog/snap.ts";
import { PAGE_URLS, URLS } from "../../src/wire/urls.ts";
import { type ChannelRow, Channels, channelsOf } from "./channels.tsx";
import { render, type Site } from "./layout.tsx";
import { showTally } from "./package.tsx";
import { type FileRow, Needs, Revisions, Top } from "./packageparts.tsx";
import { Block, CameFrom, Command, count, cut, Day, Facts, Notice, Prose, Said, Size, Tag } from "./parts.tsx";

export interface SnapView {
  /** as it is offered */
  readonly snap: Snap;
  readonly overrides: readonly OverrideFacts[];
  readonly needs: readonly PackageNeed[];
  readonly origins: readonly Origin<Tally>[];
}

export function snapPage(site: Site, { snap, overrides, needs, origins }: SnapView): string {
  const { details, publisher } = snap;
  const row = defaultSnapRelease(snap);
  const shown = (row && findSnapRevision(snap, row.revision)) ?? newestSnapRevision(snap);
  const title = details.title ?? shown?.title ?? snap.name;
  const summary = details.summary ?? shown?.summary ?? "";
  const description = details.description ?? shown?.description;
  const license = details.license ?? shown?.license;
  const missing = needs.filter((need) => !need.stored && need.sure === "certain").length;
  const doubtful = snap.revisions.some((revision) => revision.unverified !== undefined);
  const isOurs = snap.store !== undefined;
  const rows = snap.releases.map((release): ChannelRow => {
    const { track, ...rest } = channelOf(release);
    return {
      track,
      rest: formatChannel({ track: "", ...rest }).slice(1),
      channel: release.channel,
      base: "",
      architecture: release.architecture,
      revision: release.revision,
      version: findSnapRevision(snap, release.revision)?.version ?? "",
      releasedAt: release.releasedAt,
      on: release.architecture,
    };
  });
  const how = { verified: "verified account", starred: "star developer", unproven: "account not verified" }[publisher.validation];
  return render({
    site,
    section: "list",
    title: cut(title, 60),
    children: (
      <article class="package">
        <Top
          site={site}
          kind="snap"
          name={snap.name}
          title={title}
          summary={summary}
          icon={shown?.icon && !isOurs ? { id: snap.id, revision: shown.revision, extension: shown.icon.extension } : undefined}
          publisher={{ name: publisher["display-name"], isVerified: publisher.validation === "verified", how }}
        />
        <div class="columns">
          <div class="text">
            {isOurs ? (
              <Notice kind="plain">
                Only devices of the brand store <span class="mono">{cut(snap.store ?? "")}</span> may install it, so it has no download
                here.
              </Notice>
            ) : null}
            {doubtful ? <Notice kind="bad">Some revisions were imported without valid assertions. snapd refuses them.</Notice> : null}
            {missing > 0 ? (
              <Notice kind="bad">
                {count(missing, "snap")} that it needs {missing === 1 ? "is" : "are"} missing in this store: see <a href="#needs">below</a>.
              </Notice>
            ) : null}
            <Install site={site} snap={snap} shown={shown} isOurs={isOurs} />
            <Channels rows={rows} overrides={overrides} defaultTrack={snap.defaultTrack} />
            <Needs site={site} title="What it needs" needs={needs} />
            <Revisions revisions={snap.revisions.map((revision) => fileOf(site, snap, revision))} channels={channelsOf(rows)} />
            <Components site={site} snap={snap} />
            <CameFrom origins={origins} added={showTally} />
            {description === undefined || description === summary ? null : (
              <Block id="about" title="About">
                <Prose text={description} />
              </Block>
            )}
          </div>
          <aside class="beside" aria-label="Facts">
            <Facts
              rows={[
                [
                  "Publisher",
                  <>
                    <Said text={publisher["display-name"]} /> <span class="muted">({cut(publisher.username)})</span>
                    <span class="sub muted">{doubtful ? how : `${how}, as its account assertion says`}</span>
                  </>,
                ],
                shown && ["Type", shown.type],
                shown?.base === undefined ? undefined : ["Base", cut(shown.base)],
                shown && ["Confinement", shown.confinement],
                license === undefined ? undefined : ["License", cut(license)],
                ["Default track", cut(snap.defaultTrack)],
                ["Revisions stored", String(snap.revisions.length)],
                shown && shown.apps.length > 0 ? ["Commands", <span class="mono break">{cut(shown.apps.join(" "), 400)}</span>] : undefined,
                ["Snap id", <span class="mono break">{cut(snap.id)}</span>],
              ]}
            />
          </aside>
        </div>
      </article>
    ),
  });
}

interface InstallProps {
  readonly site: Site;
  readonly snap: Snap;
  readonly shown: SnapRevision | undefined;
  readonly isOurs: boolean;
}

function Install({ site, snap, shown, isOurs }: InstallProps) {
  const row = defaultSnapRelease(snap);
  if (!shown) return null;
  const channel = row && shortChannel(channelOf(row));
  const isDefault = row?.channel === formatChannel({ track: snap.defaultTrack, risk: "stable" });
  const flag = { classic: " --classic", devmode: " --devmode", strict: "" }[shown.confinement];
  const which = channel === undefined ? ` --revision=${shown.revision}` : isDefault ? "" : ` --channel=${channel}`;
  const file = (path: string) => `${site.origin}${path}`;
  return (
    <Block id="install" title="Install">
      <Command label={`Install ${snap.name}`} text={`sudo snap install ${snap.name}${which}${flag}`} />
      {isOurs || shown.unverified !== undefined ? null : (
        <details>
          <summary>On a machine that does not ask this store</summary>
          <Command
            label={`Install ${snap.name} from its file`}
            text={[
              `curl -fO ${file(PAGE_URLS.assertions.build({ id: snap.id, revision: shown.revision }))}`,
              `curl -fO ${file(URLS.snapFile.build({ id: snap.id, revision: shown.revision }))}`,
              `sudo snap ack ${snap.id}_${shown.revision}.assert`,
              `sudo snap install ${snap.id}_${shown.revision}.snap${flag}`,
            ].join("\n")}
          />
        </details>
      )}
    </Block>
  );
}

function fileOf(site: Site, snap: Snap, revision: SnapRevision): FileRow {
  const { revision: number, version, architectures, size, blob, createdAt, aside, unverified, confinement } = revision;
  const name = `${snap.name} revision ${number}`;
  return {
    revision: number,
    version,
    places: [architectures.join(" "), ...(confinement === "strict" ? [] : [confinement])],
    size,
    createdAt,
    aside: aside === true,
    ...(unverified !== undefined && { unverified }),
    sha256: blob,
    files:
      snap.store === undefined
        ? [
            { label: ".snap", name, path: site.prefix + URLS.snapFile.build({ id: snap.id, revision: number }) },
            ...(unverified === undefined
              ? [{ label: ".assert", name, path: site.prefix + PAGE_URLS.assertions.build({ id: snap.id, revision: number }) }]
              : []),
          ]
        : [],
  };
}

function Components({ site, snap }: { readonly site: Site; readonly snap: Snap }) {
  if (snap.components.length === 0) return null;
  return (
    <Block id="components" title="Components">
      <ul class="files">
        {snap.components.flatMap((component) =>
          component.revisions.map((revision) => <ComponentRow site={site} snap={snap} component={component} revision={revision} />),
        )}
      </ul>
    </Block>
  );
}

interface ComponentProps {
  readonly site: Site;
  readonly snap: Snap;
  readonly component: Component;
  readonly revision: Component["revisions"][number];
}

function ComponentRow({ site, snap, component: { name }, revision }: ComponentProps) {
  const { revision: number, type, version, size, blob, createdAt } = revision;
  const users = snap.revisions.filter((one) =>
    componentsOf(snap, one.revision).some(([other, found]) => other === name && found.revision === number),
  );
  return (
    <li>
      <div class="line">
        <strong class="rev">{number}</strong>
        <span class="about">
          <span class="mono">{`${cut(snap.name)}+${cut(name)}`}</span> <Tag>{cut(type)}</Tag>
          <Said text={version} />
        </span>
        <span class="get">
          <Size bytes={size} />
          {snap.store === undefined ? (
            <a
              href={site.prefix + URLS.snapFile.build({ id: snap.id, component: name, revision: number })}
              download=""
              aria-label={`Download .comp of ${name} revision ${number}`}
            >
              .comp
            </a>
          ) : null}
        </span>
      </div>
      <p class="muted small">
        <Day time={createdAt} />
        {users.length === 0 ? null : ` · of revision ${users.map((one) => one.revision).join(", ")}`}
      </p>
      <p class="muted digest">sha256 {blob}</p>
    </li>
  );
}
