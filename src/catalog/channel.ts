/** Channels: `track/risk[/branch]`. Grammar: handlers/juju.md, Channels; handlers/snapd.md, Channels. */

import { printable, refused } from "../errors.ts";

/** From safest to riskiest. */
export const RISKS = ["stable", "candidate", "beta", "edge"] as const;
export type Risk = (typeof RISKS)[number];

export interface Channel {
  /** absent: the package's default track */
  readonly track?: string;
  readonly risk: Risk;
  readonly branch?: string;
}

/** A channel whose track is settled. */
export interface FullChannel extends Channel {
  readonly track: string;
}

const PART = /^[a-zA-Z0-9](?:[a-zA-Z0-9._+-]{0,126})$/;

export function isRisk(text: string): text is Risk {
  return (RISKS as readonly string[]).includes(text);
}

/** `risk`, `track`, `track/risk`, `risk/branch` or `track/risk/branch`; undefined where it is none of these. */
export function parseChannel(text: string): Channel | undefined {
  const parts = text.split("/");
  if (parts.length > 3 || !parts.every((part) => PART.test(part))) return undefined;
  const [first = "", second, third] = parts;
  if (isRisk(first)) return third !== undefined ? undefined : { risk: first, ...(second !== undefined && { branch: second }) };
  if (second === undefined) return { track: first, risk: "stable" };
  return isRisk(second) ? { track: first, risk: second, ...(third !== undefined && { branch: third }) } : undefined;
}

/** The same with a track: the one written, else `defaultTrack`. */
export function fullChannel(text: string, defaultTrack: string): FullChannel | undefined {
  const channel = parseChannel(text);
  return channel && { ...channel, track: channel.track ?? defaultTrack };
}

/** Always with a track: `latest/stable`, `14/edge/fix-1`. */
export function formatChannel({ track, risk, branch }: FullChannel): string {
  return branch === undefined ? `${track}/${risk}` : `${track}/${risk}/${branch}`;
}

/**
 * A channel of an export in full: `14/stable`. A risk alone means track `latest`, which is how the stores shorten it. Throws a
 * `refused` failure at `at`.
 */
export function channelInFull(text: string, at: readonly string[]): string {
  const channel = fullChannel(text, "latest");
  if (!channel) throw refused(`${printable(text, 100)} is not a channel`, { at });
  return formatChannel(channel);
}

/** Where a release is looked for, in order: the branch, its risk, then every safer risk of the same track. */
export function searchOrder(channel: FullChannel): string[] {
  const { track, risk, branch } = channel;
  const safer = RISKS.slice(0, RISKS.indexOf(risk) + 1).toReversed();
  return [...(branch === undefined ? [] : [formatChannel(channel)]), ...safer.map((r) => `${track}/${r}`)];
}

/** Orders risks from stable to edge, a risk before its branches. */
export function compareRisk(a: FullChannel, b: FullChannel): number {
  return RISKS.indexOf(a.risk) - RISKS.indexOf(b.risk) || (a.branch ?? "").localeCompare(b.branch ?? "", "en");
}
