/** What pages are made of. Every text is escaped by JSX; what a package says is cut to a bound, and cannot turn the text around it. */

import type { Child } from "hono/jsx";
import type { Entry, Kind } from "../../src/catalog/listing.ts";
import type { Origin } from "../../src/catalog/provenance.ts";
import { printable } from "../../src/errors.ts";
import { showSize } from "../../src/text.ts";
import { PAGE_URLS } from "../../src/wire/urls.ts";
import type { Site } from "./layout.tsx";

/** Characters of a name, a line and a text. */
const MAX = { name: 100, line: 400, text: 20_000 } as const;

/** A word of a package, as one run of text whatever direction it has. */
export function Said({ text, most = "name" }: { readonly text: string; readonly most?: keyof typeof MAX }) {
  return <bdi>{cut(text, MAX[most])}</bdi>;
}

/** Controls and marks of direction are shown as what they are. */
export function cut(text: string, most: number = MAX.name): string {
  const shown = printable((text.length > most ? text.slice(0, most) : text).replaceAll(/\s+/g, " "), most).replaceAll(
    /[\uD800-\uDFFF]/gu,
    "",
  );
  return text.length > most && !shown.endsWith("…") ? `${shown}…` : shown;
}

/** A text of a package in paragraphs, without any markup of its own. */
export function Prose({ text }: { readonly text: string }) {
  const paragraphs = (text.length > MAX.text ? `${text.slice(0, MAX.text)}…` : text).split(/\r?\n\s*\n/).filter((one) => one.trim() !== "");
  return (
    <div class="prose">
      {paragraphs.map((one) => (
        <p dir="auto">
          {one
            .trim()
            .split(/\r?\n/)
            .flatMap((line, i) => [...(i > 0 ? [<br />] : []), cut(line, MAX.text)])}
        </p>
      ))}
    </div>
  );
}

/** A text to copy: a field of its own, whose text the keyboard selects without any script. */
export function Command({ text, label }: { readonly text: string; readonly label: string }) {
  const lines = text.split("\n").length;
  return (
    <div class={lines > 1 ? "command lines" : "command"} data-copy={label}>
      <textarea readonly rows={lines} wrap={lines > 1 ? "off" : undefined} aria-label={label} spellcheck={false}>
        {text}
      </textarea>
    </div>
  );
}

export function Block({ id, title, children }: { readonly id: string; readonly title: string; readonly children?: Child }) {
  return (
    <section class="block" aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      {children}
    </section>
  );
}

/** A table that scrolls by itself where it is too wide. */
export function Scroll({ label, children }: { readonly label: string; readonly children?: Child }) {
  return (
    <div class="scroll" role="region" aria-label={label} tabindex={0}>
      {children}
    </div>
  );
}

/** What a page says in a line above everything else. */
export function Notice({ kind, children }: { readonly kind: "good" | "bad" | "plain"; readonly children?: Child }) {
  return <div class={`notice ${kind}`}>{children}</div>;
}

export function Tag({ kind = "plain", children }: { readonly kind?: "good" | "bad" | "plain"; readonly children?: Child }) {
  return <span class={`tag ${kind}`}>{children}</span>;
}

export function Stored({ is }: { readonly is: boolean }) {
  return is ? <Tag kind="good">stored</Tag> : <Tag kind="bad">missing</Tag>;
}

const NAMES: Readonly<Record<Kind, string>> = { charm: "Charm", bundle: "Bundle", snap: "Snap", image: "Image", agent: "Agents" };

export function kindName(kind: Kind): string {
  return NAMES[kind];
}

/** Its icon, or the first letter of its name. */
export function Icon({
  site,
  entry,
  size,
}: {
  readonly site: Site;
  readonly entry: Pick<Entry, "kind" | "name" | "icon">;
  readonly size: 40 | 64;
}) {
  if (entry.icon)
    return <img class="icon" src={site.prefix + PAGE_URLS.icon.build(entry.icon)} alt="" width={size} height={size} loading="lazy" />;
  const letter = (entry.name.split("/").at(-1) ?? "").charAt(0); // names are ASCII
  return (
    <span class={`icon letter ${entry.kind}`} aria-hidden="true">
      {letter.toUpperCase()}
    </span>
  );
}

/** Where the page of a package is. */
export function pathOf(site: Site, { kind, name }: Pick<Entry, "kind" | "name">): string {
  if (kind === "image") return site.prefix + PAGE_URLS.image.build(name.split("/"));
  if (kind === "agent") return site.prefix + PAGE_URLS.agents.build({ name });
  return site.prefix + (kind === "snap" ? PAGE_URLS.snap : PAGE_URLS.charm).build({ name });
}

/** `2026-03-01` */
export function Day({ time }: { readonly time: string }) {
  return <time datetime={cut(time)}>{cut(time.slice(0, 10))}</time>;
}

/** `2026-03-01 12:30 UTC` */
export function Moment({ time }: { readonly time: string }) {
  const at = new Date(time);
  const shown = Number.isNaN(at.getTime()) ? cut(time) : `${at.toISOString().slice(0, 16).replace("T", " ")} UTC`;
  return <time datetime={cut(time)}>{shown}</time>;
}

export function Size({ bytes }: { readonly bytes: number }) {
  return <span class="nowrap">{showSize(bytes)}</span>;
}

/** Name and value, in the column beside the text. */
export function Facts({ rows }: { readonly rows: readonly (readonly [string, Child] | undefined)[] }) {
  return (
    <dl class="facts">
      {rows.flatMap((row) =>
        row
          ? [
              <div>
                <dt>{row[0]}</dt>
                <dd>{row[1]}</dd>
              </div>,
            ]
          : [],
      )}
    </dl>
  );
}

/** The generations that changed it, the newest first: what brought it, and who signed that. */
export function CameFrom<T extends object>({
  origins,
  added,
}: {
  readonly origins: readonly Origin<T>[];
  readonly added: (of: T) => string;
}) {
  return (
    <Block id="origin" title="Where it came from">
      <ol class="origins">
        {origins.toReversed().map((origin) => (
          <li>
            <p class="head">
              <span>Generation {origin.generation}</span> <Moment time={origin.time} /> <span class="muted">{added(origin.added)}</span>
            </p>
            {origin.sources.map((source) => (
              <div class="source">
                <p class="mono">
                  <Said text={source.name} most="line" />
                </p>
                <p class="muted digest">sha256 {source.sha256}</p>
                <p>
                  {source.signers && source.signers.length > 0 ? (
                    <>
                      Signed by{" "}
                      {source.signers.map((signer, i) => [
                        i > 0 ? " and " : "",
                        <Said text={signer.name === "" ? signer.key : signer.name} />,
                      ])}
                    </>
                  ) : (
                    <Tag kind={source.unsigned ? "bad" : "plain"}>not signed</Tag>
                  )}
                </p>
              </div>
            ))}
            {origin.sources.length === 0 ? <p class="muted">A change by command</p> : null}
          </li>
        ))}
      </ol>
      {origins.length === 0 ? <p class="muted">The generations that brought it are no longer kept.</p> : null}
    </Block>
  );
}

/** `1 package`, `2 packages` */
export function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}
