/** Pages where there is no page, and where one name has several. */

import type { Entry } from "../../src/catalog/listing.ts";
import { PAGE_URLS } from "../../src/wire/urls.ts";
import { render, type Site } from "./layout.tsx";
import { cut, Icon, kindName, pathOf } from "./parts.tsx";

export function nothingPage(site: Site, path: string): string {
  const word = path.split("/").at(-1) ?? "";
  return render({
    site,
    title: "Not found",
    children: (
      <article class="alone">
        <h1>Not found</h1>
        <p class="lead">
          Nothing that is stored is at <span class="mono break">{cut(path, 200)}</span>.
        </p>
        <form class="search" role="search" action={site.prefix + PAGE_URLS.list.build({})} method="get">
          <div class="field wide">
            <label for="q" class="unseen">
              Search
            </label>
            <input id="q" name="q" type="search" value={cut(word)} maxlength={200} />
          </div>
          <button type="submit">Search</button>
        </form>
      </article>
    ),
  });
}

/** `id`: of the request, as the log has it. */
export function damagedPage(site: Site, id: string): string {
  return render({
    site,
    title: "Damaged",
    children: (
      <article class="alone">
        <h1>It cannot be read</h1>
        <p class="lead">
          What is stored for this page is damaged. <span class="mono">chp verify</span> says what to import again.
        </p>
        <p class="muted">
          Request <span class="mono">{cut(id)}</span> in the log.
        </p>
      </article>
    ),
  });
}

export function eitherPage(site: Site, name: string, entries: readonly Entry[]): string {
  return render({
    site,
    section: "list",
    title: cut(name, 60),
    children: (
      <article class="alone">
        <h1>{cut(name)}</h1>
        <p class="lead">There is more than one of this name.</p>
        <ul class="entries">
          {entries.map((entry) => (
            <li class="entry">
              <Icon site={site} entry={entry} size={40} />
              <div class="what">
                <p class="name">
                  <a href={pathOf(site, entry)}>{kindName(entry.kind)}</a>
                </p>
                <p class="summary" dir="auto">
                  {cut(entry.summary, 300)}
                </p>
              </div>
            </li>
          ))}
        </ul>
      </article>
    ),
  });
}
