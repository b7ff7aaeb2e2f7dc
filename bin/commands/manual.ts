/** The operator's manual: a Markdown page a topic in bin/manual, which are part of the executable. */

import { Help } from "commander";
import type { Token, Tokens } from "marked";
import agents from "../manual/agents.md" with { type: "text" };
import backup from "../manual/backup.md" with { type: "text" };
import bootstrap from "../manual/bootstrap.md" with { type: "text" };
import change from "../manual/change.md" with { type: "text" };
import damage from "../manual/damage.md" with { type: "text" };
import enterpriseStore from "../manual/enterprise-store.md" with { type: "text" };
import exitCodes from "../manual/exit-codes.md" with { type: "text" };
import exportPage from "../manual/export.md" with { type: "text" };
import http from "../manual/http.md" with { type: "text" };
import images from "../manual/images.md" with { type: "text" };
import importPage from "../manual/import.md" with { type: "text" };
import inspect from "../manual/inspect.md" with { type: "text" };
import install from "../manual/install.md" with { type: "text" };
import json from "../manual/json.md" with { type: "text" };
import juju from "../manual/juju.md" with { type: "text" };
import limits from "../manual/limits.md" with { type: "text" };
import metrics from "../manual/metrics.md" with { type: "text" };
import parts from "../manual/parts.md" with { type: "text" };
import remoteImport from "../manual/remote-import.md" with { type: "text" };
import replicas from "../manual/replicas.md" with { type: "text" };
import security from "../manual/security.md" with { type: "text" };
import serve from "../manual/serve.md" with { type: "text" };
import service from "../manual/service.md" with { type: "text" };
import settings from "../manual/settings.md" with { type: "text" };
import signatures from "../manual/signatures.md" with { type: "text" };
import siteFile from "../manual/site-file.md" with { type: "text" };
import sizing from "../manual/sizing.md" with { type: "text" };
import snaps from "../manual/snaps.md" with { type: "text" };
import store from "../manual/store.md" with { type: "text" };
import tls from "../manual/tls.md" with { type: "text" };
import troubleshooting from "../manual/troubleshooting.md" with { type: "text" };
import web from "../manual/web.md" with { type: "text" };

import { jsonFields } from "./jsonpage.ts";
import { metricsTables } from "./monitoring.ts";

export interface Topic {
  /** the word after `chp help` */
  readonly name: string;
  readonly title: string;
  /** Markdown, without the title */
  readonly text: string;
}

/** In the order of the list in `chp help`: from the first day to reference. */
const PAGES: Readonly<Record<string, string>> = {
  install,
  export: exportPage,
  "site-file": siteFile,
  parts,
  signatures,
  import: importPage,
  "remote-import": remoteImport,
  snaps,
  images,
  agents,
  serve,
  web,
  tls,
  service,
  juju,
  bootstrap,
  inspect,
  change,
  damage,
  backup,
  replicas,
  metrics,
  settings,
  store,
  sizing,
  http,
  security,
  troubleshooting,
  "exit-codes": exitCodes,
  json,
  "enterprise-store": enterpriseStore,
  limits,
};

/** What follows on a page, made when it is read. */
const MADE: Readonly<Record<string, () => string>> = { metrics: metricsTables, json: jsonFields };

export const TOPICS: readonly Topic[] = Object.entries(PAGES).map(([name, page]) => {
  const end = page.indexOf("\n");
  return {
    name,
    title: page.slice(0, end).replace(/^# /, ""),
    get text() {
      const made = MADE[name]?.();
      return (page.slice(end) + (made === undefined ? "" : `\n${made}`)).trim();
    },
  };
});

/** A topic for a screen of so many columns. */
export async function renderTopic({ title, text }: Topic, columns: number): Promise<string> {
  const { lexer } = await import("marked");
  const width = Math.min(columns, 100);
  return `${[underlined(title, "="), ...lexer(text).flatMap((token) => block(token, width))].join("\n\n")}\n`;
}

function underlined(text: string, line: string): string {
  return `${text}\n${line.repeat(Math.max(...text.split("\n").map((each) => each.length)))}`;
}

/** The paragraphs of a block. */
function block(token: Token, width: number): string[] {
  switch (token.type) {
    case "space":
      return [];
    case "heading":
      return [underlined(wrap(plain(token.tokens), width), "-")];
    case "code":
      return [
        indent(
          token.text
            .split("\n")
            .map((line: string) => commandLine(line, width - 4))
            .join("\n"),
          "    ",
        ),
      ];
    case "list":
      return [(token as Tokens.List).items.map((item, i) => listItem(item, token.ordered ? `${i + 1}. ` : "- ", width)).join("\n")];
    case "table":
      return [table(token as Tokens.Table, width)];
    default:
      return [wrap(plain("tokens" in token ? token.tokens : undefined) || token.raw, width)];
  }
}

/** A command line; a comment that does not fit behind it goes above. */
function commandLine(line: string, width: number): string {
  const [, command = "", comment = ""] = /^(.*?\S) {2,}(# .*)$/.exec(line) ?? [];
  return line.length <= width || comment === "" ? line : `${wrap(comment, width).replaceAll("\n", "\n# ")}\n${command}`;
}

function listItem(item: Tokens.ListItem, mark: string, width: number): string {
  const text = item.tokens.flatMap((token) => block(token, width - mark.length)).join("\n");
  return mark + indent(text, " ".repeat(mark.length)).trimStart();
}

/** Columns where they fit, else the first cell of each row above the others. */
function table({ header, rows }: Tokens.Table, width: number): string {
  const cells = [header, ...rows].map((row) => row.map((cell) => plain(cell.tokens)));
  const widths = header.map((_, i) => Math.max(...cells.map((row) => row[i]?.length ?? 0)));
  const before = widths.slice(0, -1).reduce((sum, each) => sum + each + 2, 0);
  if (before <= width / 2)
    return cells
      .map((row) => {
        const left = row.slice(0, -1).map((cell, i) => cell.padEnd((widths[i] ?? 0) + 2));
        return (left.join("") + indent(wrap(row.at(-1) ?? "", width - before), " ".repeat(before)).trimStart()).trimEnd();
      })
      .join("\n");
  const [names = [], ...entries] = cells;
  return entries
    .map(([first = "", ...others]) => {
      const lines = others.flatMap((cell, i) => (cell === "" ? [] : [indent(wrap(`${names[i + 1]}: ${cell}`, width - 4), "    ")]));
      return [wrap(first, width), ...lines].join("\n");
    })
    .join("\n");
}

/** The text of inline tokens; of a link only its text. */
function plain(tokens: readonly Token[] | undefined): string {
  return (tokens ?? [])
    .map((token) => ("tokens" in token && token.tokens ? plain(token.tokens) : "text" in token ? String(token.text) : token.raw))
    .join("")
    .replace(/\s*\n\s*/g, " ");
}

function wrap(text: string, width: number): string {
  return new Help().boxWrap(text, width);
}

function indent(text: string, by: string): string {
  return text.replace(/^(?=.)/gm, by);
}
