/** The manual of this very version. Its text is chp's own, so its Markdown becomes markup. */

import type { Tokens } from "marked";
import { PAGE_URLS } from "../../src/wire/urls.ts";
import type { ManualPage } from "../call.ts";
import { ownMarkup, render, type Site, textOf } from "./layout.tsx";
import { Command } from "./parts.tsx";

export function manualIndex(site: Site, pages: readonly ManualPage[]): string {
  return render({
    site,
    section: "manual",
    title: "Manual",
    children: (
      <article>
        <header class="title plain">
          <div>
            <h1>Manual</h1>
            <p class="lead">
              Of this very version; <span class="mono">chp help PAGE</span> prints the same in a terminal.
            </p>
          </div>
        </header>
        <ul class="topics">
          {pages.map(({ name, title }) => (
            <li>
              <a href={site.prefix + PAGE_URLS.manualPage.build({ page: name })}>{title}</a>
              <span class="mono muted">{name}</span>
            </li>
          ))}
        </ul>
      </article>
    ),
  });
}

export async function manualPage(site: Site, pages: readonly ManualPage[], { name, title, text }: ManualPage): Promise<string> {
  const at = pages.findIndex((page) => page.name === name);
  const [before, after] = [pages[at - 1], pages[at + 1]];
  const html = await markup(text, site, new Set(pages.map((page) => page.name)));
  return render({
    site,
    section: "manual",
    title,
    children: (
      <article class="manual">
        <nav class="trail" aria-label="Trail">
          <a href={site.prefix + PAGE_URLS.manual.build({})}>Manual</a>
        </nav>
        <h1>{title}</h1>
        {ownMarkup(html)}
        <nav class="pages" aria-label="Pages of the manual">
          {before ? <a href={site.prefix + PAGE_URLS.manualPage.build({ page: before.name })}>← {before.title}</a> : <span />}
          {after ? <a href={site.prefix + PAGE_URLS.manualPage.build({ page: after.name })}>{after.title} →</a> : <span />}
        </nav>
      </article>
    ),
  });
}

const ESCAPES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

function escaped(text: string): string {
  return text.replaceAll(/[&<>"]/g, (sign) => ESCAPES[sign] ?? sign);
}

/** Tables scroll by themselves, command lines can be copied, and `chp help PAGE` is a link to that page. */
async function markup(text: string, site: Site, known: ReadonlySet<string>): Promise<string> {
  const { Marked } = await import("marked");
  const marked = new Marked({
    renderer: {
      code({ text: code }: Tokens.Code): string {
        return textOf(<Command text={code} label={code.split("\n")[0] ?? ""} />);
      },
      codespan({ text: code }: Tokens.Codespan): string {
        const [, page] = /^chp help ([a-z-]+)$/.exec(code) ?? [];
        const shown = `<code>${escaped(code)}</code>`;
        return page !== undefined && known.has(page)
          ? `<a href="${escaped(site.prefix + PAGE_URLS.manualPage.build({ page }))}">${shown}</a>`
          : shown;
      },
      table(token: Tokens.Table): string {
        const row = (cells: readonly Tokens.TableCell[], tag: string) =>
          `<tr>${cells.map((cell) => `<${tag}>${this.parser.parseInline(cell.tokens)}</${tag}>`).join("")}</tr>`;
        const head = token.header.some((cell) => cell.text.trim() !== "") ? `<thead>${row(token.header, "th")}</thead>` : "";
        return `<div class="scroll" role="region" aria-label="Table" tabindex="0"><table>${head}<tbody>${token.rows.map((cells) => row(cells, "td")).join("")}</tbody></table></div>`;
      },
    },
  });
  return marked.parse(text, { async: false });
}
