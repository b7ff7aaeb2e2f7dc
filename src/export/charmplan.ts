/** What an export takes of a charm or bundle: which of its releases, and the revisions and resources that belong to them. */

import { readMetadata } from "../archives/charm.ts";
import { type Base, baseKey, nearestSystem, type System, sameBase, showBase, suitsArchitecture, suitsSystem } from "../catalog/base.ts";
import { formatChannel, fullChannel, isRisk, parseChannel, searchOrder } from "../catalog/channel.ts";
import type { PackageType } from "../catalog/package.ts";
import { Failure, printable } from "../errors.ts";
import { valueOf } from "../schema.ts";
import type { UpstreamFile } from "./client.ts";
import type { PackageRequest } from "./sitefile.ts";
import type { CharmInfo, CharmLookup, ResolvedCharm, StoreError, Upstream, UpstreamCharm, UpstreamResource } from "./upstream.ts";

export interface PlannedRelease {
  /** in full */
  readonly channel: string;
  /** null: a bundle */
  readonly base: Base | null;
  readonly revision: number;
  readonly releasedAt?: string | undefined;
  /** resource name to the revision that goes with it */
  readonly resources: Readonly<Record<string, number>>;
}

export interface PlannedPackage {
  readonly type: PackageType;
  readonly name: string;
  readonly id: string;
  readonly info: CharmInfo;
  readonly defaultTrack: string;
  /** in upstream's order, which is that of its tracks */
  readonly releases: readonly PlannedRelease[];
  /** oldest first, with the attributes that upstream tells in its channel map alone */
  readonly revisions: readonly UpstreamCharm[];
  /** by name, oldest first */
  readonly resources: readonly UpstreamResource[];
  /** resource name to the path of its image that the operator chose */
  readonly paths: Readonly<Record<string, string>>;
  readonly reasons: readonly string[];
}

/** Something that was wanted and cannot be had. */
export interface FailedPackage {
  /** of the package */
  readonly name: string;
  readonly failure: Failure;
}

export interface PackagePlan {
  /** undefined: nothing of it can be had */
  readonly planned?: PlannedPackage;
  readonly failed: readonly FailedPackage[];
  readonly notes: readonly string[];
}

/** A package as an earlier export took it. */
export interface LockedPackage {
  readonly name: string;
  readonly id: string;
  readonly defaultTrack: string;
  readonly releases: readonly PlannedRelease[];
  /** revision to its sha256 */
  readonly revisions: Readonly<Record<string, string>>;
  /** revision to its attributes, where it has any */
  readonly attributes: Readonly<Record<string, Attributes>>;
  /** `NAME_REVISION` to the sha256 of what is packed */
  readonly resources: Readonly<Record<string, string>>;
  readonly paths: Readonly<Record<string, string>>;
}

export type Attributes = Readonly<Record<string, unknown>>;

export function charmFile({ download }: Pick<UpstreamCharm, "download">): UpstreamFile {
  return { url: download.url, size: download.size, algorithm: "sha-256", digest: download["hash-sha-256"] };
}

/** Why something is taken that nobody named; none where somebody did. */
export function reasonsOf(wishes: readonly { readonly reason?: string }[]): string[] {
  const reasons = wishes.map((wish) => wish.reason);
  return reasons.includes(undefined) ? [] : [...new Set(reasons.flatMap((one) => one ?? []))];
}

/** A row of the channel map, as far as it matters here. */
interface ChannelMapRow {
  readonly channel: string;
  readonly base: Base | null;
  readonly revision: number;
  readonly releasedAt?: string | undefined;
}

/** What is taken of one package for all that wish for it. Never throws but where the store cannot be asked at all, or was interrupted. */
export async function planPackage(upstream: Upstream, name: string, wishes: readonly PackageRequest[]): Promise<PackagePlan> {
  return gathered(name, async (lost, notes) => {
    const info = await upstream.info(name);
    const draft = new CharmPlanBuilder(info, wishes, rowsOf(info), defaultTrack(info));
    for (const wish of wishes) {
      const { revision } = wish;
      const work = () =>
        revision === undefined ? released(upstream, info, wish, draft, notes) : pinned(upstream, info, wish, revision, draft);
      for (const failure of await failuresOf(work)) lost.push({ name, failure });
      if (wish.allResources) await takeAllResources(upstream, draft);
    }
    return draft.finish(attributesOf(info));
  });
}

/** The same package again: every revision and digest of `locked`, or nothing. */
export async function planLockedPackage(upstream: Upstream, locked: LockedPackage): Promise<PackagePlan> {
  const { name } = locked;
  return gathered(name, async (lost) => {
    const info = await upstream.info(name);
    if (info.id !== locked.id) throw unlike(name, `its id is ${info.id} upstream, and ${locked.id} in the lock`);
    const draft = new CharmPlanBuilder(info, [{ paths: locked.paths }], locked.releases, locked.defaultTrack);
    const answers = await upstream.charms(locked.releases.map(({ revision, resources }) => ({ name, revision, base: null, resources })));
    for (const [i, answer] of answers.entries()) {
      const release = locked.releases[i];
      if (!release) continue;
      if ("error" in answer) {
        lost.push({ name, failure: unlike(name, `revision ${release.revision} is not offered any more (${said(answer.error)})`) });
        continue;
      }
      const { charm } = answer.ok;
      const other = differing(locked, release, charm);
      if (other) lost.push({ name, failure: unlike(name, other) });
      else draft.add(release, charm);
    }
    for (const key of Object.keys(locked.resources)) if (lost.length === 0) await takeLockedResource(upstream, locked, key, draft, lost);
    return lost.length === 0 ? draft.finish(new Map(Object.entries(locked.attributes))) : undefined;
  });
}

function differing(locked: LockedPackage, { resources }: PlannedRelease, charm: UpstreamCharm): string | undefined {
  const was = locked.revisions[charm.revision];
  if (was !== charm.download["hash-sha-256"])
    return `revision ${charm.revision} has the sha256 ${charm.download["hash-sha-256"]} upstream, and ${was} in the lock`;
  const gone = lackingPin(charm, resources);
  if (gone) return `resource ${gone.join(" ")} is not offered any more`;
  return (charm.resources ?? []).map((one) => differingResource(locked, one)).find((why) => why !== undefined);
}

function differingResource(locked: LockedPackage, { name, revision, type, download }: UpstreamResource): string | undefined {
  const before = locked.resources[`${name}_${revision}`];
  // The blob of an image has credentials that change; what is locked of it is the image that it names.
  if (type !== "file" || before === undefined || before === download["hash-sha-256"]) return undefined;
  return `resource ${name} ${revision} has the sha256 ${download["hash-sha-256"]} upstream, and ${before} in the lock`;
}

/** Takes one that goes with no release. */
async function takeLockedResource(
  upstream: Upstream,
  locked: LockedPackage,
  key: string,
  draft: CharmPlanBuilder,
  lost: FailedPackage[],
): Promise<void> {
  if (draft.hasResource(key)) return;
  const [, resource = "", revision = ""] = /^(.+)_(\d+)$/.exec(key) ?? [];
  const found = (await revisionsOf(upstream, locked.name, resource)).find((one) => one.revision === Number(revision));
  const why = found ? differingResource(locked, found) : `resource ${resource} ${revision} is not offered any more`;
  if (why !== undefined) lost.push({ name: locked.name, failure: unlike(locked.name, why) });
  else if (found) draft.addResource(found);
}

function unlike(name: string, why: string): Failure {
  return new Failure("failed", `cannot export ${name} as locked: ${why}`, {
    next: "export without --locked to take what upstream has now",
  });
}

async function gathered(
  name: string,
  work: (lost: FailedPackage[], notes: string[]) => Promise<PlannedPackage | undefined>,
): Promise<PackagePlan> {
  const lost: FailedPackage[] = [];
  const notes: string[] = [];
  try {
    const planned = await work(lost, notes);
    return { ...(planned && { planned }), failed: lost, notes };
  } catch (error) {
    if (!(error instanceof Failure) || error.kind === "interrupted") throw error;
    return { failed: [...lost, { name, failure: error }], notes };
  }
}

/** What the work gives, or throws: one wish that fails leaves the others. */
async function failuresOf(work: () => Promise<Failure[]>): Promise<Failure[]> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Failure) || error.kind === "interrupted") throw error;
    return [error];
  }
}

/* ---- which releases ---- */

/** Takes what the wished channels have; gives what they lack. */
async function released(
  upstream: Upstream,
  info: CharmInfo,
  wish: PackageRequest,
  draft: CharmPlanBuilder,
  notes: string[],
): Promise<Failure[]> {
  const { name } = info;
  const { rows, failures } = chosen(info, wish, notes);
  const queries = rows.map(({ channel, base }): CharmLookup => ({ name, channel, base: base && concrete(base, wish) }));
  const answers = await upstream.charms(queries);
  const extra: { readonly row: ChannelMapRow; readonly ok: ResolvedCharm }[] = [];
  for (const [i, answer] of answers.entries()) {
    const row = rows[i];
    if (!row) continue;
    if ("error" in answer) {
      if (!row.extra)
        failures.push(new Failure("failed", `cannot export ${name} from ${row.channel} for ${showBase(row.base)}: ${said(answer.error)}`));
    } else if (row.extra) extra.push({ row, ok: answer.ok });
    else {
      const own = await withResources(upstream, answer.ok, wish);
      draft.add(releaseOf(row, own), own.charm);
    }
  }
  // What costs no byte more is taken along: a revision that is there anyway, on the other bases of its channel.
  for (const { row, ok } of extra) {
    const own = await withResources(upstream, ok, wish);
    if (draft.has(own.charm)) draft.add(releaseOf(row, own), own.charm);
  }
  return failures;
}

type ChosenRow = ChannelMapRow & { readonly extra?: true };

function chosen(info: CharmInfo, wish: PackageRequest, notes: string[]): { rows: ChosenRow[]; failures: Failure[] } {
  const all = rowsOf(info);
  const found = new Map<string, ChosenRow>();
  const failures: Failure[] = [];
  const take = (row: ChosenRow) => {
    const key = placeKey(row);
    const before = found.get(key);
    if (!before || (before.extra && !row.extra)) found.set(key, row);
  };
  if (wish.channels === "all") {
    const fits = ({ base }: ChannelMapRow) =>
      !base || (ofArchitectures(base, wish) && (wish.systems === "all" || wish.systems.some((one) => suitsSystem(base, one))));
    const fitting = all.filter(fits);
    for (const row of fitting) take(row);
    if (fitting.length === 0) failures.push(notReleased(info, "any channel", wish.architectures.join(", "), all));
    return { rows: [...found.values()], failures };
  }
  for (const text of wish.channels.length > 0 ? wish.channels : ["stable"]) {
    const channel = fullChannel(text, defaultTrack(info));
    if (!channel) continue; // refused where it was read
    if (info.type === "bundle") {
      const row = searchOrder(channel).flatMap((one) => all.find((r) => r.channel === one) ?? [])[0];
      if (row) take(row);
      else failures.push(notReleased(info, formatChannel(channel), "", all));
      continue;
    }
    for (const architecture of wish.architectures) {
      const own = all.filter(({ base }) => base && suitsArchitecture(base, architecture));
      // Branches stand in no channel map: whether there is one, only the answer tells.
      if (channel.branch !== undefined)
        for (const system of wish.systems === "all" ? CURRENT : wish.systems)
          take({ channel: formatChannel(channel), base: { ...system, architecture }, revision: UNKNOWN, releasedAt: undefined });
      else {
        const taken = reached(info.name, own, searchOrder(channel), wish.systems, notes);
        if (taken.length === 0) failures.push(notReleased(info, formatChannel(channel), architecture, all));
        for (const row of taken) take(row);
      }
    }
  }
  const main = [...found.values()];
  for (const row of all)
    if (row.base && ofArchitectures(row.base, wish) && main.some((one) => one.channel === row.channel && one.revision === row.revision))
      take({ ...row, extra: true });
  return { rows: [...found.values()], failures };
}

/** Of a row that the channel map does not show. */
const UNKNOWN = -1;
const CURRENT: readonly System[] = [{ name: "ubuntu", channel: "22.04" }];

/** Rows of the first channel in search order that serves the wished bases, else the nearest LTS. */
function reached(
  name: string,
  rows: readonly ChannelMapRow[],
  order: readonly string[],
  systems: PackageRequest["systems"],
  notes: string[],
): ChannelMapRow[] {
  const at = (channel: string) => rows.filter((row) => row.channel === channel);
  const open = order.find((channel) => at(channel).length > 0);
  if (open === undefined) return [];
  if (systems === "all") return at(open);
  return systems.flatMap((system) => {
    const exact = order.flatMap((channel) => at(channel).find(({ base }) => base && suitsSystem(base, system)) ?? [])[0];
    if (exact) return exact;
    const offered = at(open).flatMap(({ base }) => base ?? []);
    const nearest = nearestSystem(offered, system);
    const row = at(open).find(({ base }) => sameBase(base, nearest ?? null));
    if (row && nearest)
      notes.push(`${name} has no release for ${system.name}@${system.channel} in ${open}: the one for ${showBase(nearest)} was taken`);
    return row ?? [];
  });
}

function rowsOf(info: CharmInfo): ChannelMapRow[] {
  return (info["channel-map"] ?? []).flatMap(({ channel, revision }) => {
    const { name, track, risk } = channel;
    const base = info.type === "bundle" ? null : channel.base; // a store may say `all` of a bundle
    if (!isRisk(risk)) return [];
    const branch = parseChannel(name)?.branch; // spelled in the name alone
    const full = formatChannel({ track: track || "latest", risk, ...(branch !== undefined && { branch }) });
    return [{ channel: full, base: base ?? null, revision: revision.revision, releasedAt: channel["released-at"] ?? undefined }];
  });
}

function defaultTrack(info: CharmInfo): string {
  return info["default-release"]?.channel.track || info["channel-map"]?.[0]?.channel.track || "latest";
}

function ofArchitectures(base: Base, { architectures }: Pick<PackageRequest, "architectures">): boolean {
  return architectures.some((one) => suitsArchitecture(base, one));
}

/** A base that can be asked for: what a row leaves open is said by the wish. */
function concrete(base: Base, { systems, architectures }: PackageRequest): Base {
  const [system = CURRENT[0]] = systems === "all" ? CURRENT : systems;
  return {
    ...(base.name === "all" || base.channel === "all" ? { name: system?.name ?? "ubuntu", channel: system?.channel ?? "22.04" } : base),
    architecture: base.architecture === "all" ? (architectures[0] ?? "amd64") : base.architecture,
  };
}

function notReleased({ name }: CharmInfo, channel: string, architecture: string, rows: readonly ChannelMapRow[]): Failure {
  const open = [...new Set(rows.map((row) => row.channel))];
  return new Failure("not-found", `cannot export ${name}: it has no release in ${channel}${architecture && ` for ${architecture}`}`, {
    next: open.length > 0 ? `its channels are ${open.join(", ")}` : "it is released in no channel",
  });
}

function said({ code, message }: StoreError): string {
  return printable(message || code || "no reason was given", 300);
}

/** Takes every revision of the resources that the taken revisions declare or go with, released or not. */
async function takeAllResources(upstream: Upstream, draft: CharmPlanBuilder): Promise<void> {
  for (const resource of draft.resourceNames()) for (const one of await revisionsOf(upstream, draft.name, resource)) draft.addResource(one);
}

/** Revisions of a resource; none where the store has no such resource. */
async function revisionsOf(upstream: Upstream, charm: string, resource: string): Promise<readonly UpstreamResource[]> {
  try {
    return await upstream.resourceRevisions(charm, resource);
  } catch (error) {
    if (error instanceof Failure && error.kind === "not-found") return [];
    throw error;
  }
}

/** By revision; upstream tells them in its channel map alone. */
function attributesOf(info: CharmInfo): Map<string, Attributes> {
  const found = (info["channel-map"] ?? []).flatMap(({ revision }): [string, Attributes][] => {
    const { attributes } = revision;
    const isTold = typeof attributes === "object" && attributes !== null && Object.keys(attributes).length > 0;
    return isTold ? [[String(revision.revision), attributes as Attributes]] : [];
  });
  return new Map(found);
}

function releaseOf(row: ChannelMapRow, { charm, "released-at": releasedAt, "effective-channel": found }: ResolvedCharm): PlannedRelease {
  const effective = row.revision === UNKNOWN && found ? fullChannel(found, "latest") : undefined;
  return {
    channel: effective ? formatChannel(effective) : row.channel,
    base: row.base,
    revision: charm.revision,
    releasedAt: releasedAt ?? row.releasedAt,
    resources: pinsOf(charm),
  };
}

function pinsOf({ resources }: Pick<UpstreamCharm, "resources">): Record<string, number> {
  return Object.fromEntries((resources ?? []).map(({ name, revision }) => [name, revision]));
}

/* ---- what was pinned ---- */

/** The same charm with the resource revisions that the wish pins. */
async function withResources(upstream: Upstream, answer: ResolvedCharm, { resources }: PackageRequest): Promise<ResolvedCharm> {
  if (!lackingPin(answer.charm, resources)) return answer;
  const { name, revision } = answer.charm;
  const { charm } = await single(upstream, { name, revision, base: null, resources: { ...pinsOf(answer.charm), ...resources } });
  checkPins(charm, resources);
  return { ...answer, charm };
}

function checkPins(charm: UpstreamCharm, resources: Readonly<Record<string, number>>): void {
  const lacking = lackingPin(charm, resources);
  if (lacking)
    throw new Failure(
      "not-found",
      `cannot export ${charm.name} with ${lacking.join(" ")}: the store has no such revision of that resource`,
    );
}

/** A store may leave out a resource revision that it does not have. */
function lackingPin(charm: UpstreamCharm, resources: Readonly<Record<string, number>>): [name: string, revision: number] | undefined {
  const has = pinsOf(charm);
  return Object.entries(resources).find(([name, pin]) => has[name] !== pin);
}

/** Takes one revision by its number and puts it into the wished channels, whatever stands there upstream. */
async function pinned(
  upstream: Upstream,
  info: CharmInfo,
  wish: PackageRequest,
  revision: number,
  draft: CharmPlanBuilder,
): Promise<Failure[]> {
  const { name } = info;
  const { charm } = await single(upstream, { name, revision, base: null });
  const own = { ...(await releasedPins(upstream, info, wish)), ...pinsOf(charm) };
  const metadata = charm["metadata-yaml"] ? readMetadata(charm["metadata-yaml"], `metadata.yaml of ${name} ${revision}`) : undefined;
  const resources: Record<string, number> = { ...pinsOf(charm), ...wish.resources };
  for (const { name: resource } of metadata?.resources ?? []) {
    const newest =
      valueOf(resources, resource) ?? valueOf(own, resource) ?? (await upstream.resourceRevisions(name, resource))[0]?.revision;
    if (newest !== undefined) resources[resource] = newest;
  }
  const complete = await single(upstream, { name, revision, base: null, resources });
  checkPins(complete.charm, wish.resources);
  const bases = (charm.bases ?? []).flatMap((base) => (base && ofArchitectures(base, wish) ? [base] : []));
  if (info.type === "charm" && bases.length === 0)
    return [new Failure("failed", `cannot export ${name} revision ${revision}: it does not run on ${wish.architectures.join(", ")}`)];
  const channels = wish.channels === "all" || wish.channels.length === 0 ? ["stable"] : wish.channels;
  for (const text of channels) {
    const channel = fullChannel(text, defaultTrack(info));
    if (!channel) continue;
    for (const base of info.type === "bundle" ? [null] : bases)
      draft.add(
        { channel: formatChannel(channel), base, revision, releasedAt: undefined, resources: pinsOf(complete.charm) },
        complete.charm,
      );
  }
  return [];
}

/** The resources of what the wished channel has now: what a pinned revision goes with where nothing else is known. */
async function releasedPins(upstream: Upstream, info: CharmInfo, wish: PackageRequest): Promise<Record<string, number>> {
  const { rows } = chosen(info, wish, []);
  const [row] = rows;
  if (!row) return {};
  const [answer] = await upstream.charms([{ name: info.name, channel: row.channel, base: row.base && concrete(row.base, wish) }]);
  return answer && "ok" in answer ? pinsOf(answer.ok.charm) : {};
}

async function single(upstream: Upstream, query: CharmLookup): Promise<ResolvedCharm> {
  const [answer] = await upstream.charms([query]);
  if (answer && "ok" in answer) return answer.ok;
  const which = query.revision === undefined ? "" : ` revision ${query.revision}`;
  const resources = Object.entries(query.resources ?? {}).map(([name, pin]) => `${name} ${pin}`);
  const having = resources.length > 0 ? ` with ${resources.join(", ")}` : "";
  throw new Failure("not-found", `cannot export ${query.name}${which}${having}: ${answer ? said(answer.error) : "no answer came"}`);
}

/* ---- what comes of it ---- */

class CharmPlanBuilder {
  readonly #info: CharmInfo;
  readonly #wishes: readonly Partial<PackageRequest>[];
  readonly #order: ReadonlyMap<string, number>;
  readonly #defaultTrack: string;
  readonly #releases = new Map<string, PlannedRelease>();
  readonly #revisions = new Map<number, UpstreamCharm>();
  readonly #resources = new Map<string, UpstreamResource>();

  /** `order`: rows as they are to stand; others come last */
  constructor(info: CharmInfo, wishes: readonly Partial<PackageRequest>[], order: readonly Place[], track: string) {
    this.#info = info;
    this.#wishes = wishes;
    this.#order = new Map(order.map((one, i) => [placeKey(one), i]));
    this.#defaultTrack = track;
  }

  get name(): string {
    return this.#info.name;
  }

  /** Whether taking it adds no file. */
  has({ revision, resources }: UpstreamCharm): boolean {
    return this.#revisions.has(revision) && (resources ?? []).every((one) => this.hasResource(`${one.name}_${one.revision}`));
  }

  /** `key`: `NAME_REVISION` */
  hasResource(key: string): boolean {
    return this.#resources.has(key);
  }

  /** Of those that are taken, and that the taken revisions declare. */
  resourceNames(): Set<string> {
    const declared = [...this.#revisions.values()].flatMap(({ revision, "metadata-yaml": yaml }) =>
      yaml ? readMetadata(yaml, `metadata.yaml of ${this.name} ${revision}`).resources : [],
    );
    return new Set([...this.#resources.values(), ...declared].map((one) => one.name));
  }

  /** The first to name a channel and base has it; a file is there once. Throws where a store contradicts itself. */
  add(release: PlannedRelease, charm: UpstreamCharm): void {
    const { name, id } = this.#info;
    if (charm.id !== id || charm.name !== name)
      throw new Failure(
        "failed",
        `cannot export ${name}: the store tells of ${printable(charm.name, 100)} with the id ${printable(charm.id, 100)} in its place`,
      );
    const key = placeKey(release);
    if (!this.#releases.has(key)) this.#releases.set(key, release);
    this.#revisions.set(charm.revision, this.#revisions.get(charm.revision) ?? charm);
    for (const one of charm.resources ?? []) this.addResource(one);
  }

  addResource(resource: UpstreamResource): void {
    const key = `${resource.name}_${resource.revision}`;
    this.#resources.set(key, this.#resources.get(key) ?? resource);
  }

  /** `attributes`: by revision */
  finish(attributes: ReadonlyMap<string, Attributes>): PlannedPackage | undefined {
    if (this.#revisions.size === 0) return undefined;
    const { type, name, id } = this.#info;
    const order = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
    const rank = (key: string) => this.#order.get(key) ?? this.#order.size;
    const told = ({ revision }: UpstreamCharm) => attributes.get(String(revision));
    return {
      type,
      name,
      id,
      info: this.#info,
      defaultTrack: this.#defaultTrack,
      releases: [...this.#releases].toSorted(([a], [b]) => rank(a) - rank(b) || order(a, b)).map(([, release]) => release),
      revisions: [...this.#revisions.values()]
        .map((one) => ({ ...one, ...(told(one) && { attributes: told(one) }) }))
        .toSorted((a, b) => a.revision - b.revision),
      resources: [...this.#resources.values()].toSorted((a, b) => order(a.name, b.name) || a.revision - b.revision),
      paths: Object.assign({}, ...this.#wishes.map((wish) => wish.paths ?? {})),
      reasons: reasonsOf(this.#wishes),
    };
  }
}

type Place = Pick<PlannedRelease, "channel" | "base">;

function placeKey({ channel, base }: Place): string {
  return `${channel} ${baseKey(base)}`;
}
