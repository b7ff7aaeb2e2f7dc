/** The frame of every page, and the headers that it is sent with. */

import { raw } from "hono/html";
import type { Child } from "hono/jsx";
import { VERSION } from "../../src/version.ts";
import { PAGE_URLS } from "../../src/wire/urls.ts";
import type { ReplyHeaders } from "../replies.ts";
import { MARK, SCRIPT, STYLE } from "./assets.ts";

/** Nothing but chp's own files is loaded, nothing runs but its script, and no other site may show a page. */
const CSP =
  "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

export const NO_SNIFFING = { "X-Content-Type-Options": "nosniff" };

export const PAGE_HEADERS: ReplyHeaders = {
  "Content-Type": "text/html; charset=utf-8",
  "Content-Security-Policy": CSP,
  ...NO_SNIFFING,
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cache-Control": "no-cache",
};

/** Of what is sent as an image and may be a document, as SVG: it is shown alone and does nothing. */
export const IMAGE_HEADERS: ReplyHeaders = {
  ...NO_SNIFFING,
  "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
  "Cross-Origin-Resource-Policy": "same-origin",
};

/** How a page writes links and addresses. */
export interface Site {
  /** path of the public URL, without a slash at its end */
  readonly prefix: string;
  /** address of this server for clients, with that path */
  readonly origin: string;
}

export type Section = "list" | "status" | "setup" | "manual";

const SECTIONS: readonly (readonly [Section, string, string])[] = [
  ["list", "Packages", PAGE_URLS.list.build({})],
  ["status", "Status", PAGE_URLS.status.build({})],
  ["setup", "Set up", PAGE_URLS.setup.build({})],
  ["manual", "Manual", PAGE_URLS.manual.build({})],
];

interface PageProps {
  readonly site: Site;
  readonly title: string;
  /** undefined: a page of none of them */
  readonly section?: Section;
  readonly children?: Child;
}

function Page({ site: { prefix, origin }, title, section, children }: PageProps) {
  return (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>{`${title} · chp`}</title>
        <link rel="stylesheet" href={prefix + STYLE.path} />
        <link rel="icon" type="image/svg+xml" href={prefix + MARK.path} />
        <script src={prefix + SCRIPT.path} defer></script>
      </head>
      <body>
        <a class="skip" href="#main">
          Skip to the content
        </a>
        <header class="top">
          <div class="bar">
            <a class="mark" href={prefix + PAGE_URLS.list.build({})}>
              chp
            </a>
            <nav aria-label="Site">
              {SECTIONS.map(([name, label, path]) => (
                <a href={prefix + path} aria-current={name === section ? "page" : undefined}>
                  {label}
                </a>
              ))}
            </nav>
          </div>
        </header>
        <main id="main">{children}</main>
        <footer class="foot">
          <p>
            chp {VERSION} at <span class="mono">{origin}</span>
          </p>
        </footer>
        <p class="unseen" role="status" data-said=""></p>
      </body>
    </html>
  );
}

/** The text of a page. */
export function render(props: PageProps): string {
  return `<!DOCTYPE html>${textOf(<Page {...props} />)}`;
}

/** The markup of an element that waits for nothing, as those of all pages. */
export function textOf(element: { toString(): string }): string {
  return element.toString();
}

/** Markup of chp's own, as its manual. */
export function ownMarkup(html: string) {
  return raw(html);
}
