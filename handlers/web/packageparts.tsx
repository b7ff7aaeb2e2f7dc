/** Parts that pages of charms, bundles and snaps share. */

import type { Entry, Kind } from "../../src/catalog/listing.ts";
import type { PackageNeed } from "../../src/catalog/packageneeds.ts";
import type { Site } from "./layout.tsx";
import { Block, cut, Day, Icon, kindName, pathOf, Said, Size, Stored, Tag } from "./parts.tsx";

interface TopProps {
  readonly site: Site;
  readonly kind: Kind;
  readonly name: string;
  readonly title: string;
  readonly summary: string;
  readonly icon?: Entry["icon"];
  readonly publisher: { readonly name: string; readonly isVerified: boolean; readonly how: string } | undefined;
}

/** What a page is about, in one look. */
export function Top({ site, kind, name, title, summary, icon, publisher }: TopProps) {
  return (
    <header class="title">
      <Icon site={site} entry={{ kind, name, ...(icon && { icon }) }} size={64} />
      <div>
        <h1>
          <Said text={title} />
        </h1>
        <p class="under">
          {title === name ? null : <span class="mono">{cut(name)}</span>} <Tag>{kindName(kind)}</Tag>
          {publisher && publisher.name !== "" ? (
            <span class="publisher">
              by <Said text={publisher.name} />
              {publisher.isVerified ? (
                <span class="verified" title={publisher.how}>
                  {" "}
                  ✓<span class="unseen"> {publisher.how}</span>
                </span>
              ) : null}
            </span>
          ) : null}
        </p>
        {summary === "" ? null : (
          <p class="lead" dir="auto">
            {cut(summary, 400)}
          </p>
        )}
      </div>
    </header>
  );
}

const MOST_NEEDS = 60;

/** What else must be there, each with whether it is. */
export function Needs({ site, title, needs }: { readonly site: Site; readonly title: string; readonly needs: readonly PackageNeed[] }) {
  if (needs.length === 0) return null;
  return (
    <Block id="needs" title={title}>
      <ul class="needs">
        {needs.slice(0, MOST_NEEDS).map((need) => (
          <li>
            <span class="is">
              <Stored is={need.stored} />
            </span>
            <span>
              <span class="muted">{need.kind}</span>{" "}
              {need.stored ? <a href={pathOf(site, need)}>{cut(need.what)}</a> : <strong>{cut(need.what)}</strong>}
              {need.sure === "certain" ? null : <span class="muted"> (likely)</span>}
              {need.by === "" ? null : <span class="sub muted">{cut(need.by, 300)}</span>}
            </span>
          </li>
        ))}
      </ul>
      {needs.length > MOST_NEEDS ? <p class="muted">{`and ${needs.length - MOST_NEEDS} more`}</p> : null}
    </Block>
  );
}

export interface FileRow {
  readonly revision: number;
  readonly version: string;
  readonly places: readonly string[];
  readonly size: number;
  /** RFC 3339 */
  readonly createdAt: string;
  /** only by its number, since a rollback */
  readonly aside: boolean;
  /** why nobody should trust it */
  readonly unverified?: string;
  /** hex */
  readonly sha256: string;
  /** what can be downloaded; none of a brand store */
  readonly files: readonly { readonly label: string; readonly name: string; readonly path: string }[];
}

/** Rows that are open at first. */
const OPEN_ROWS = 5;

export function Revisions({
  revisions,
  channels,
}: {
  readonly revisions: readonly FileRow[];
  readonly channels: ReadonlyMap<number, readonly string[]>;
}) {
  const open = revisions.slice(0, OPEN_ROWS);
  const older = revisions.slice(open.length);
  return (
    <Block id="files" title="Revisions and downloads">
      <ul class="files">
        {open.map((row) => (
          <File row={row} channels={channels.get(row.revision)} />
        ))}
      </ul>
      {older.length > 0 ? (
        <details>
          <summary>{older.length} older</summary>
          <ul class="files">
            {older.map((row) => (
              <File row={row} channels={channels.get(row.revision)} />
            ))}
          </ul>
        </details>
      ) : null}
    </Block>
  );
}

function File({ row, channels = [] }: { readonly row: FileRow; readonly channels?: readonly string[] | undefined }) {
  const { revision, version, places, size, createdAt, aside, unverified, sha256, files } = row;
  return (
    <li>
      <div class="line">
        <strong class="rev">{revision}</strong>
        <span class="about">
          {version === "" || version === String(revision) ? null : <Said text={version} />}
          {channels.length === 0 ? null : <span class="mono">{cut(channels.join(" "))}</span>}
          {aside ? <Tag kind="bad">by its number alone, since a rollback</Tag> : null}
          {unverified === undefined ? null : <Tag kind="bad">unverified: {cut(unverified, 200)}</Tag>}
        </span>
        <span class="get">
          <Size bytes={size} />
          {files.map(({ label, name, path }) => (
            <a href={path} download="" aria-label={`Download ${label} of ${name}`}>
              {label}
            </a>
          ))}
        </span>
      </div>
      <p class="muted small">
        <Day time={createdAt} />
        {places.length === 0 ? null : ` · ${cut(places.join(", "), 200)}`}
      </p>
      <p class="muted digest">sha256 {sha256}</p>
    </li>
  );
}
