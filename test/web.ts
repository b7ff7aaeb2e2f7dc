/** An application with pages, in this process, and what is in them. */

import { webOf } from "../bin/commands/pages.ts";
import { createApp } from "../handlers/app.ts";
import type { LogLine } from "../handlers/log.ts";
import type { StoredPackage } from "../src/catalog/change.ts";
import type { Registries } from "../src/catalog/registry.ts";
import { readSettings } from "../src/settings/config.ts";
import type { Store } from "../store/store.ts";

/** What a browser says that it takes. */
export const BROWSER = { Accept: "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8" };

export interface WebOptions {
  readonly publicUrl?: string;
  /** settings as the store has them, secrets included */
  readonly settings?: Readonly<Record<string, string>>;
  readonly registries?: Registries;
  readonly web?: boolean;
  /** milliseconds since 1970 */
  readonly now?: () => number;
}

export function webApp(store: Store, { publicUrl, settings = {}, registries, web = true, now }: WebOptions = {}) {
  const lines: LogLine[] = [];
  const values = readSettings({ environment: {}, file: { ...settings, ...(publicUrl !== undefined && { "public-url": publicUrl }) } });
  const app = createApp({
    store,
    config: publicUrl === undefined ? {} : { publicUrl },
    log: (line) => void lines.push(line),
    ...(web && { web: webOf(store, async () => 5 * 2 ** 30, values) }),
    ...(registries && { registries: () => registries }),
    ...(now && { clock: now }),
  });
  const ask = async (path: string, init: RequestInit = { headers: BROWSER }) => {
    const reply = await app.fetch(new Request(new URL(path, "http://hub.test"), init));
    return { status: reply.status, headers: reply.headers, text: await reply.text() };
  };
  return { ask, lines };
}

/** Publishes packages as they are given, whatever an import would say to them. */
export async function publish(store: Store, packages: readonly StoredPackage[], time = "2026-05-01T00:00:00Z"): Promise<void> {
  const snaps = packages.filter((pkg) => pkg.type === "snap");
  const charms = packages.filter((pkg) => pkg.type !== "snap");
  const tally = (all: readonly StoredPackage[]) => Object.fromEntries(all.map(({ name }) => [name, { revisions: [], channels: 0 }]));
  await store.publish(time, async () => ({
    draft: {
      command: "test",
      sources: [],
      sections: { packages: { changed: charms, tally: tally(charms) }, snaps: { changed: snaps, tally: tally(snaps) } },
      blobs: [],
    },
    result: undefined,
  }));
}

export interface Element {
  readonly tag: string;
  readonly attributes: ReadonlyMap<string, string>;
}

/** The elements and the text of a page, as a parser of HTML sees them. */
export function parsed(html: string): { readonly elements: readonly Element[]; readonly text: string } {
  const elements: Element[] = [];
  let text = "";
  const rewriter = new HTMLRewriter()
    .on("*", {
      element: ({ tagName, attributes }) =>
        void elements.push({ tag: tagName, attributes: new Map([...attributes].map(([name, value]) => [name ?? "", value ?? ""])) }),
    })
    .onDocument({ text: (chunk) => void (text += chunk.text) });
  rewriter.transform(html);
  return { elements, text };
}
