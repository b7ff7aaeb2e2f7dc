/** Everything that is stored as one list, for people who look for something: entries, filters, and how many there are of each. */

import { compareText } from "../text.ts";
import type { AgentRelease } from "./agents.ts";
import { channelOf } from "./channelmap.ts";
import { findRevision, newestRevision, type Package } from "./package.ts";
import { architecturesOf, type Repository } from "./repository.ts";
import { defaultRelease } from "./resolve.ts";
import { nameRank } from "./search.ts";
import { findSnapRevision, newestSnapRevision, type Snap } from "./snap.ts";

export const KINDS = ["charm", "bundle", "snap", "image", "agent"] as const;
export type Kind = (typeof KINDS)[number];

export type Listable = Package | Snap | Repository | AgentRelease;

/** Texts are those of the package, of any length and content. */
export interface Entry {
  readonly kind: Kind;
  readonly name: string;
  readonly title: string;
  readonly summary: string;
  readonly publisher: string;
  readonly verified: boolean;
  /** `ubuntu@24.04` of a charm, `core24` of a snap; sorted */
  readonly bases: readonly string[];
  /** dpkg names, or `all`; those of an image by its platforms; sorted */
  readonly architectures: readonly string[];
  /** what is installed where nothing is asked for; undefined: nothing is released */
  readonly offer?: { readonly channel: string; readonly revision: number; readonly version: string };
  /** of an image */
  readonly tags: readonly string[];
  readonly icon?: { readonly id: string; readonly revision: number; readonly extension: "png" | "svg" };
  /** the brand store that has the snap for its devices alone */
  readonly store?: string;
  /** what a word is looked for in, lower case */
  readonly haystack: string;
}

/** Undefined members: any. */
export interface ListingQuestion {
  /** every word must be found somewhere */
  readonly text?: string;
  readonly kind?: Kind;
  readonly base?: string;
  readonly architecture?: string;
}

export interface Listed {
  /** best match first, then by name */
  readonly entries: readonly Entry[];
  /** how many there would be of each kind */
  readonly counts: Readonly<Record<Kind, number>>;
}

/** The list of one generation. Entries of unchanged packages are taken from the list before. */
export class Listing {
  readonly #entries: ReadonlyMap<Listable, Entry>;
  /** those that there are any of */
  readonly kinds: readonly Kind[];
  /** all that entries have, the newest first */
  readonly bases: readonly string[];
  readonly architectures: readonly string[];

  constructor(all: readonly Listable[], before?: Listing) {
    const known = before ? before.#entries : undefined;
    const entries = new Map<Listable, Entry>();
    for (const one of all) {
      const entry = known?.get(one) ?? entryOf(one);
      if (entry) entries.set(one, entry);
    }
    this.#entries = entries;
    this.kinds = KINDS.filter((kind) => [...entries.values()].some((entry) => entry.kind === kind));
    const distinct = (of: (entry: Entry) => readonly string[]) => [...new Set([...entries.values()].flatMap(of))];
    this.bases = distinct(({ bases }) => bases).toSorted(newestBaseFirst);
    this.architectures = distinct(({ architectures }) => architectures)
      .filter((architecture) => architecture !== ANY)
      .toSorted();
  }

  /** Of every kind. */
  named(name: string): Entry[] {
    return [...this.#entries.values()].filter((entry) => entry.name === name);
  }

  find({ text = "", kind, base, architecture }: ListingQuestion): Listed {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const phrase = words.join(" ");
    const found = [...this.#entries.values()].filter(
      (entry) =>
        words.every((word) => entry.haystack.includes(word)) &&
        (base === undefined || entry.bases.includes(base)) &&
        (architecture === undefined || entry.architectures.includes(architecture) || entry.architectures.includes(ANY)),
    );
    const counts = Object.fromEntries(KINDS.map((each) => [each, found.filter((entry) => entry.kind === each).length]));
    const ranked = found
      .filter((entry) => kind === undefined || entry.kind === kind)
      .map((entry) => ({ entry, rank: nameRank(entry.name.toLowerCase(), phrase) }));
    const best = ranked.toSorted((a, b) => a.rank - b.rank || compareText(a.entry.name, b.entry.name) || order(a.entry) - order(b.entry));
    return { entries: best.map(({ entry }) => entry), counts: counts as Record<Kind, number> };
  }
}

const ANY = "all";

function order({ kind }: Entry): number {
  return KINDS.indexOf(kind);
}

/** Undefined: all of it can be installed only by number, so no client finds it either. */
function entryOf(one: Listable): Entry | undefined {
  if ("agents" in one) return agentEntry(one);
  if (!("type" in one)) return imageEntry(one);
  return one.type === "snap" ? snapEntry(one) : packageEntry(one);
}

function packageEntry(pkg: Package): Entry | undefined {
  if (!newestRevision(pkg)) return undefined;
  const { details } = pkg;
  const row = defaultRelease(pkg);
  const bases = pkg.releases.flatMap(({ base }) => base ?? []);
  const publisher = details.publisher?.["display-name"] ?? details.publisher?.["username"] ?? "";
  return {
    kind: pkg.type,
    name: pkg.name,
    title: details.title ?? pkg.name,
    summary: details.summary ?? "",
    publisher,
    verified: details.publisher?.["validation"] === "verified",
    bases: sorted(bases.map(({ name, channel }) => `${name}@${channel}`)),
    architectures: pkg.type === "bundle" ? [ANY] : sorted(bases.map(({ architecture }) => architecture)),
    ...(row && { offer: { channel: row.channel, revision: row.revision, version: findRevision(pkg, row.revision)?.version ?? "" } }),
    tags: [],
    haystack: haystackOf([pkg.name, details.title, details.summary, details.description, publisher, details.publisher?.["username"]]),
  };
}

function snapEntry(snap: Snap): Entry | undefined {
  const newest = newestSnapRevision(snap);
  if (!newest) return undefined;
  const { details, publisher } = snap;
  const row = defaultSnapRelease(snap);
  const offered = row && findSnapRevision(snap, row.revision);
  const shown = offered ?? newest;
  const released = new Set(snap.releases.map(({ revision }) => revision));
  const bases = snap.revisions.filter(({ revision }) => released.size === 0 || released.has(revision));
  const summary = details.summary ?? shown.summary ?? "";
  return {
    kind: "snap",
    name: snap.name,
    title: details.title ?? shown.title ?? snap.name,
    summary,
    publisher: publisher["display-name"],
    verified: publisher.validation === "verified",
    bases: sorted(bases.flatMap(({ base }) => base ?? [])),
    architectures: sorted([
      ...snap.releases.map(({ architecture }) => architecture),
      ...(snap.releases.length === 0 ? shown.architectures : []),
    ]),
    ...(row && { offer: { channel: row.channel, revision: row.revision, version: offered?.version ?? "" } }),
    tags: [],
    ...(shown.icon && snap.store === undefined && { icon: { id: snap.id, revision: shown.revision, extension: shown.icon.extension } }),
    ...(snap.store !== undefined && { store: snap.store }),
    haystack: haystackOf([
      snap.name,
      details.title ?? shown.title,
      summary,
      details.description ?? shown.description,
      publisher.username,
      publisher["display-name"],
      ...shown.apps,
    ]),
  };
}

function imageEntry(repository: Repository): Entry {
  const { name, tags, manifests } = repository;
  return {
    kind: "image",
    name,
    title: name,
    summary: "",
    publisher: "",
    verified: false,
    bases: [],
    architectures: sorted(manifests.flatMap(({ digest }) => architecturesOf(repository, digest))),
    tags: Object.keys(tags),
    haystack: haystackOf([name, ...Object.keys(tags)]),
  };
}

function agentEntry({ name, version, agents }: AgentRelease): Entry {
  return {
    kind: "agent",
    name,
    title: `Juju ${version}`,
    summary: "Agents of Juju, for machines.",
    publisher: "",
    verified: agents.every(({ signed }) => signed !== undefined),
    bases: [],
    architectures: sorted(agents.map(({ architecture }) => architecture)),
    tags: [],
    haystack: haystackOf([name, `juju ${version}`, "agents"]),
  };
}

/** The row that a machine with amd64 gets where it names no channel, else the first. */
export function defaultSnapRelease({ releases }: Pick<Snap, "releases">): Snap["releases"][number] | undefined {
  const rows = releases.filter((row) => channelOf(row).branch === undefined);
  return rows.find((row) => row.channel === rows[0]?.channel && row.architecture === "amd64") ?? rows[0];
}

function sorted(texts: readonly string[]): string[] {
  return [...new Set(texts)].toSorted();
}

/** `ubuntu@26.04`, `ubuntu@24.04`, …, `core24`, `core22`, … */
function newestBaseFirst(a: string, b: string): number {
  return Number(b.includes("@")) - Number(a.includes("@")) || b.localeCompare(a, "en", { numeric: true });
}

function haystackOf(texts: readonly (string | undefined)[]): string {
  return texts
    .filter((text) => typeof text === "string")
    .join("\n")
    .toLowerCase();
}
