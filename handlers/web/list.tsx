/** The first page: everything that is stored, looked for by words and filters. */

import { type Entry, KINDS, type Kind, type Listed, type Listing, type ListingQuestion } from "../../src/catalog/listing.ts";
import { type ListUrl, PAGE_URLS } from "../../src/wire/urls.ts";
import { render, type Site } from "./layout.tsx";
import { count, cut, Icon, kindName, Notice, pathOf, Said, Tag } from "./parts.tsx";

/** Entries of a page. */
export const PAGE_SIZE = 50;

const KIND_NAMES: Readonly<Record<Kind, string>> = { charm: "Charms", bundle: "Bundles", snap: "Snaps", image: "Images", agent: "Agents" };

interface Asked extends ListingQuestion {
  /** counts from 1 */
  readonly page: number;
}

/** What of a URL has a meaning; the rest is as if it were not there. */
export function readQuestion({ text, kind, base, architecture, page = "" }: ListUrl): Asked {
  const known = KINDS.find((one) => one === kind);
  return {
    ...given("text", text, 200),
    ...(known !== undefined && { kind: known }),
    ...given("base", base, 100),
    ...given("architecture", architecture, 100),
    page: /^[1-9]\d{0,5}$/.test(page) ? Number(page) : 1,
  };
}

/** Without what cannot be seen: a page writes it into its fields. Nothing is left: as if it were not given. */
function given<K extends string>(key: K, text: string | undefined, most: number): Partial<Record<K, string>> {
  const seen = text
    ?.slice(0, most)
    .replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, "")
    .trim();
  return seen ? ({ [key]: seen } as Record<K, string>) : {};
}

export function listPage(site: Site, listing: Listing, asked: Asked, damaged: number): string {
  const found = listing.find(asked);
  const { text, kind, base, architecture } = asked;
  const isFiltered = [text, kind, base, architecture].some((part) => part !== undefined);
  const last = Math.max(1, Math.ceil(found.entries.length / PAGE_SIZE));
  const page = Math.min(asked.page, last);
  const shown = found.entries.slice((page - 1) * PAGE_SIZE, page * PAGE_SIZE);
  return render({
    site,
    section: "list",
    title: text === undefined ? "Packages" : `${cut(text, 60)} – search`,
    children: (
      <>
        <SearchForm site={site} listing={listing} asked={asked} />
        <Kinds site={site} kinds={listing.kinds} found={found} asked={asked} />
        {damaged > 0 ? (
          <Notice kind="bad">
            {count(damaged, "package")} cannot be read and {damaged === 1 ? "is" : "are"} left out:{" "}
            <a href={site.prefix + PAGE_URLS.status.build({})}>status</a> says which.
          </Notice>
        ) : null}
        <h2 class="found">
          {isFiltered ? count(found.entries.length, "match", "matches") : count(found.entries.length, "package")}
          {last > 1 ? <span class="muted">{`, page ${page} of ${last}`}</span> : null}
        </h2>
        {shown.length > 0 ? (
          <ul class="entries">
            {shown.map((entry) => (
              <EntryRow site={site} entry={entry} />
            ))}
          </ul>
        ) : (
          <Nothing site={site} isFiltered={isFiltered} />
        )}
        {last > 1 ? <Pages site={site} asked={asked} page={page} last={last} /> : null}
      </>
    ),
  });
}

function listPath(site: Site, { text, kind, base, architecture, page = 1 }: Partial<Asked>): string {
  const query = {
    ...(text !== undefined && { text }),
    ...(kind !== undefined && { kind }),
    ...(base !== undefined && { base }),
    ...(architecture !== undefined && { architecture }),
    ...(page > 1 && { page: String(page) }),
  };
  return site.prefix + PAGE_URLS.list.build(query);
}

function SearchForm({ site, listing, asked }: { readonly site: Site; readonly listing: Listing; readonly asked: Asked }) {
  return (
    <form class="search" role="search" action={listPath(site, {})} method="get">
      <h1 class="unseen">Packages</h1>
      <div class="field wide">
        <label for="q" class="unseen">
          Search
        </label>
        <input
          id="q"
          name="q"
          type="search"
          value={asked.text ?? ""}
          placeholder="Search everything stored"
          autocomplete="off"
          maxlength={200}
        />
      </div>
      {asked.kind === undefined ? null : <input type="hidden" name="type" value={asked.kind} />}
      <Choice name="base" label="Base" values={listing.bases} chosen={asked.base} />
      <Choice name="arch" label="Architecture" values={listing.architectures} chosen={asked.architecture} />
      <button type="submit">Search</button>
    </form>
  );
}

interface ChoiceProps {
  readonly name: string;
  readonly label: string;
  readonly values: readonly string[];
  readonly chosen: string | undefined;
}

function Choice({ name, label, values, chosen }: ChoiceProps) {
  const all = chosen === undefined || values.includes(chosen) ? values : [chosen, ...values];
  return (
    <div class="field">
      <label for={name}>{label}</label>
      <select id={name} name={name}>
        <option value="">Any</option>
        {all.map((value) => (
          <option value={value} selected={value === chosen}>
            {cut(value, 60)}
          </option>
        ))}
      </select>
    </div>
  );
}

interface KindsProps {
  readonly site: Site;
  readonly kinds: readonly Kind[];
  readonly found: Listed;
  readonly asked: Asked;
}

/** The kinds that there are, each with how many match. */
function Kinds({ site, kinds, found, asked }: KindsProps) {
  const total = Object.values(found.counts).reduce((sum, each) => sum + each, 0);
  const { kind: chosen, page: _, ...others } = asked;
  const link = (kind: Kind | undefined, label: string, number: number) => (
    <li>
      <a href={listPath(site, kind === undefined ? others : { ...others, kind })} aria-current={kind === chosen ? "true" : undefined}>
        {label} <span class="number">{number}</span>
      </a>
    </li>
  );
  return (
    <nav class="kinds" aria-label="Type">
      <ul>
        {link(undefined, "All", total)}
        {kinds.map((kind) => link(kind, KIND_NAMES[kind], found.counts[kind]))}
      </ul>
    </nav>
  );
}

function EntryRow({ site, entry }: { readonly site: Site; readonly entry: Entry }) {
  const { kind, name, title, summary, publisher, offer, architectures, tags, store } = entry;
  const places = kind === "bundle" ? [] : architectures;
  return (
    <li class="entry">
      <Icon site={site} entry={entry} size={40} />
      <div class="what">
        <p class="name">
          <a href={pathOf(site, entry)}>
            <Said text={title} />
          </a>{" "}
          <Tag>{kindName(kind)}</Tag>
          {store === undefined ? null : <Tag kind="bad">brand store</Tag>}
          {publisher === "" ? null : (
            <span class="by muted">
              <Said text={publisher} />
            </span>
          )}
        </p>
        <p class="summary" dir="auto">
          {summary === "" ? <span class="muted">{cut(name)}</span> : cut(summary, 300)}
        </p>
      </div>
      <div class="where">
        {offer ? (
          <p>
            <span class="mono">{cut(offer.channel)}</span> <span class="muted">{`rev ${offer.revision}`}</span>
          </p>
        ) : kind === "image" ? (
          <p class="mono clip">{cut(tags.join(" "))}</p>
        ) : kind === "agent" ? null : (
          <p class="muted">in no channel</p>
        )}
        <p class="muted">{cut(places.join(", "))}</p>
      </div>
    </li>
  );
}

function Nothing({ site, isFiltered }: { readonly site: Site; readonly isFiltered: boolean }) {
  return (
    <div class="nothing">
      {isFiltered ? (
        <>
          <p>Nothing that is stored matches.</p>
          <p>
            <a href={listPath(site, {})}>Show everything</a>, or ask whoever runs this store to import what is missing.
          </p>
        </>
      ) : (
        <>
          <p>This store is empty.</p>
          <p>
            <span class="mono">chp import FILE</span> fills it; <a href={site.prefix + PAGE_URLS.manual.build({})}>the manual</a> shows how.
          </p>
        </>
      )}
    </div>
  );
}

interface PagesProps {
  readonly site: Site;
  readonly asked: Asked;
  readonly page: number;
  readonly last: number;
}

function Pages({ site, asked, page, last }: PagesProps) {
  return (
    <nav class="pages" aria-label="Pages of the list">
      {page > 1 ? (
        <a rel="prev" href={listPath(site, { ...asked, page: page - 1 })}>
          ← Previous
        </a>
      ) : (
        <span />
      )}
      {page < last ? (
        <a rel="next" href={listPath(site, { ...asked, page: page + 1 })}>
          Next →
        </a>
      ) : (
        <span />
      )}
    </nav>
  );
}
