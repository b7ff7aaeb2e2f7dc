/** The channel map of a package as a table: a track with its risks, each with the revision for each base or architecture. */

import type { OverrideFacts } from "../../src/catalog/override.ts";
import { overrideOn } from "../../src/catalog/override.ts";
import { compareText } from "../../src/text.ts";
import { Block, cut, Day, Said, Scroll, Tag } from "./parts.tsx";

/** A row of a channel map, in the order of the package. */
export interface ChannelRow {
  readonly track: string;
  /** risk, and branch */
  readonly rest: string;
  /** in full */
  readonly channel: string;
  /** `ubuntu@24.04`, and an architecture; empty where rows have none */
  readonly base: string;
  readonly architecture: string;
  readonly revision: number;
  readonly version: string;
  readonly releasedAt: string;
  /** the place by which an override names the row */
  readonly on: string;
}

interface ChannelsProps {
  readonly rows: readonly ChannelRow[];
  readonly overrides: readonly OverrideFacts[];
  readonly defaultTrack: string;
}

export function Channels({ rows, overrides, defaultTrack }: ChannelsProps) {
  const tracks = [...new Set(rows.map(({ track }) => track))];
  const place = rows.some(({ base }) => base !== "")
    ? "Base"
    : rows.some(({ architecture }) => architecture !== "")
      ? "Architecture"
      : undefined;
  const columns = place === undefined ? 3 : 4;
  return (
    <Block id="channels" title="Channels">
      {rows.length === 0 ? <p class="muted">It is in no channel: it can be installed by its revision number alone.</p> : null}
      {rows.length === 0 ? null : (
        <Scroll label="Channel map">
          <table class="channels">
            <thead>
              <tr>
                <th scope="col">Risk</th>
                {place === undefined ? null : <th scope="col">{place}</th>}
                <th scope="col" class="number">
                  Revision
                </th>
                <th scope="col">Released</th>
              </tr>
            </thead>
            {tracks.map((track) => (
              <tbody>
                <tr class="track">
                  <th scope="rowgroup" colspan={columns}>
                    {cut(track)} {track === defaultTrack ? <span class="muted">default track</span> : null}
                  </th>
                </tr>
                {rows
                  .filter((row) => row.track === track)
                  .map((row, i, all) => (
                    <Row row={row} isSame={all[i - 1]?.channel === row.channel} override={overrideOn(overrides, row)} columns={columns} />
                  ))}
              </tbody>
            ))}
          </table>
        </Scroll>
      )}
    </Block>
  );
}

interface RowProps {
  readonly row: ChannelRow;
  /** whether the row before is of the same channel */
  readonly isSame: boolean;
  readonly override: OverrideFacts | undefined;
  readonly columns: number;
}

function Row({ row, isSame, override, columns }: RowProps) {
  return (
    <>
      <tr class={isSame ? "same" : undefined}>
        <th scope="row">
          {isSame ? <span class="unseen">{cut(row.rest)}</span> : <span class={riskClass(row.rest)}>{cut(row.rest)}</span>}
        </th>
        {columns === 3 ? null : (
          <td>
            {row.base === "" ? null : <>{cut(row.base)} </>}
            <span class={row.base === "" ? undefined : "muted"}>{cut(row.architecture)}</span>
          </td>
        )}
        <td class="number">
          <strong>{row.revision}</strong>
          {row.version === "" || row.version === String(row.revision) ? null : (
            <span class="version muted">
              <Said text={row.version} />
            </span>
          )}
        </td>
        <td>
          <Day time={row.releasedAt} />
        </td>
      </tr>
      {override ? (
        <tr class="pinned">
          <td colspan={columns}>
            <Tag kind="plain">override</Tag> pinned to {override.revision}
            {override.without === null || override.without === override.revision ? "" : ` instead of ${override.without}`}
            {override.until === null ? "" : [" until ", <Day time={override.until} />]}: <Said text={override.reason} most="line" />
          </td>
        </tr>
      ) : null}
    </>
  );
}

function riskClass(rest: string): string {
  const [risk = ""] = rest.split("/");
  return ["stable", "candidate", "beta", "edge"].includes(risk) ? `risk ${risk}` : "risk";
}

/** Numbers of revisions, and the channels that have each. */
export function channelsOf(rows: readonly Pick<ChannelRow, "revision" | "channel">[]): ReadonlyMap<number, readonly string[]> {
  const found = new Map<number, Set<string>>();
  for (const { revision, channel } of rows) found.set(revision, (found.get(revision) ?? new Set()).add(channel));
  return new Map([...found].map(([revision, channels]) => [revision, [...channels].toSorted(compareText)]));
}
