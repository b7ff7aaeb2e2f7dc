/** Search: the packages that match a question, best first. Rules: handlers/juju.md, Find. */

import { formatChannel, fullChannel } from "./channel.ts";
import { findRevision, newestRevision, type Package } from "./package.ts";
import { defaultRelease } from "./resolve.ts";

export interface Question {
  /** free text: every word must be found somewhere */
  readonly text?: string;
  readonly category?: string;
  readonly channel?: string;
  readonly type?: string;
  /** display name or username, in any case */
  readonly publisher?: string;
  /** interfaces, one of which must be provided or required */
  readonly provides?: string;
  readonly requires?: string;
}

interface Entry {
  readonly pkg: Package;
  readonly name: string;
  readonly haystack: string;
}

/** The packages of one generation, ready to be searched. Entries of unchanged packages are taken from the index before. */
export class SearchIndex {
  readonly #entries: readonly Entry[];

  constructor(packages: readonly Package[], before?: SearchIndex) {
    const known = new Map(before ? before.#entries.map((entry) => [entry.pkg, entry]) : []);
    this.#entries = packages.filter(newestRevision).map((pkg) => known.get(pkg) ?? entryOf(pkg));
  }

  /** Best match first, then by name. */
  find(question: Question): Package[] {
    const words = (question.text ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    return this.#entries
      .filter(({ pkg, haystack }) => words.every((word) => haystack.includes(word)) && CONDITIONS.every((holds) => holds(pkg, question)))
      .map((entry) => ({ entry, score: nameRank(entry.name, words.join(" ")) }))
      .toSorted((a, b) => a.score - b.score || (a.entry.name < b.entry.name ? -1 : 1))
      .map(({ entry }) => entry.pkg);
  }
}

function entryOf(pkg: Package): Entry {
  const { title, summary, description, publisher, categories, keywords } = pkg.details;
  const name = pkg.name.toLowerCase();
  const words = [
    name,
    title,
    summary,
    description,
    publisher?.["display-name"],
    publisher?.["username"],
    ...(categories ?? []).map((c) => c.name),
    keywords,
  ];
  return {
    pkg,
    name,
    haystack: words
      .filter((word) => typeof word === "string" || Array.isArray(word))
      .join("\n")
      .toLowerCase(),
  };
}

/** Name first: exact, beginning, within; then anything else. Both lower case. */
export function nameRank(name: string, text: string): number {
  if (text === "" || name === text) return 0;
  if (name.startsWith(text)) return 1;
  return name.includes(text) ? 2 : 3;
}

const CONDITIONS: readonly ((pkg: Package, question: Question) => boolean)[] = [
  (pkg, { type }) => type === undefined || pkg.type === type,
  // `juju find` without a word asks for what is featured; offline nothing is, so it means everything.
  (pkg, { category }) =>
    category === undefined || category === "featured" || (pkg.details.categories ?? []).some((c) => c.name === category),
  (pkg, { publisher }) => publisher === undefined || isPublisher(pkg, publisher.toLowerCase()),
  (pkg, { channel }) => channel === undefined || isIn(pkg, channel),
  (pkg, { provides }) => provides === undefined || offers(pkg, "provides", provides),
  (pkg, { requires }) => requires === undefined || offers(pkg, "requires", requires),
];

function isPublisher({ details: { publisher } }: Package, wanted: string): boolean {
  return [publisher?.["display-name"], publisher?.["username"]].some((name) => name?.toLowerCase() === wanted);
}

function isIn(pkg: Package, text: string): boolean {
  const channel = fullChannel(text, pkg.defaultTrack);
  return channel !== undefined && pkg.releases.some((r) => r.channel === formatChannel(channel));
}

function offers(pkg: Package, role: "provides" | "requires", interfaces: string): boolean {
  const row = defaultRelease(pkg);
  const revision = row && findRevision(pkg, row.revision);
  const wanted = interfaces.split(",");
  return Object.values(revision?.relations[role] ?? {}).some((endpoint) => wanted.includes(endpoint.interface));
}
