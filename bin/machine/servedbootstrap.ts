/** Asks a running server what a bootstrap will ask it, by the requests of Juju, snapd and container runtimes. */

import * as v from "valibot";
import { IMAGE_MANIFEST_TYPES } from "../../src/archives/imagemanifest.ts";
import type { Base } from "../../src/catalog/base.ts";
import type { AgentKey, BootstrapSource, FoundSnap } from "../../src/catalog/bootstrapcheck.ts";
import type { Login } from "../../src/catalog/registry.ts";
import { Failure } from "../../src/errors.ts";
import { tryShape } from "../../src/schema.ts";
import { tryJson } from "../../src/text.ts";
import { URLS } from "../../src/wire/urls.ts";
import { ask, type BoundedReply, type HttpOptions } from "./http.ts";

/** bytes of a reply */
const LIMIT = 16 * 2 ** 20;
const TIMEOUT = 30_000;

const Text = v.string();
const Streams = v.object({ index: v.record(Text, v.looseObject({ datatype: Text, path: Text, products: v.optional(v.array(Text), []) })) });
const AgentItem = v.object({ version: Text, arch: Text, path: Text, size: v.number() });
const Items = v.object({ items: v.record(Text, v.unknown()) });
const Products = v.object({ products: v.record(Text, v.object({ versions: v.record(Text, Items) })) });
const Results = v.object({
  results: v.array(v.looseObject({ result: v.optional(Text), error: v.optional(v.unknown()), snap: v.optional(v.unknown()) })),
});
const Snap = v.object({ type: Text, base: v.optional(Text) });
const Names = v.object({ repositories: v.array(Text) });
const Tags = v.object({ tags: v.nullable(v.array(Text)) });
const Manifest = v.object({
  manifests: v.optional(v.array(v.object({ digest: Text, platform: v.optional(v.looseObject({ architecture: Text })) }))),
});

/** What signed streams answer, so that Juju goes on to the unsigned ones. */
const NO_SIGNED = new Set([401, 403, 404]);

export interface ServedAt {
  /** of the server, without a trailing slash */
  readonly url: string;
  /** of clients of its registry; empty texts: none */
  readonly login: Login;
  readonly options: Pick<HttpOptions, "trusted" | "anyName">;
}

export class ServedBootstrap implements BootstrapSource {
  readonly #at: ServedAt;
  readonly #agents = new Map<string, v.InferOutput<typeof AgentItem>>();

  constructor(at: ServedAt) {
    this.#at = at;
  }

  async agents(): Promise<readonly AgentKey[]> {
    await this.#refuseSigned("/juju/tools/streams/v1");
    for (const product of await this.#products("/juju/tools", "content-download"))
      for (const value of product) {
        const item = tryShape(AgentItem, value);
        if (item) this.#agents.set(agentKey({ version: item.version, architecture: item.arch }), item);
      }
    return [...this.#agents.values()].map(({ version, arch }) => ({ version, architecture: arch }));
  }

  async hasAgent(agent: AgentKey): Promise<boolean> {
    const item = this.#agents.get(agentKey(agent));
    if (!item) return false;
    const { status, headers } = await this.#ask(`/juju/tools/${item.path}`, { method: "HEAD" });
    return status === 200 && headers["content-length"] === String(item.size);
  }

  async hasCharm(name: string, channel: string, base: Base): Promise<boolean> {
    const action = { action: "install", "instance-key": "k", name, channel, base };
    const [result] = await this.#refresh(URLS.charmRefresh.build({}), { context: [], actions: [action], fields: ["bases"] });
    return result?.result === "install" && !result.error;
  }

  async findSnap(name: string, channel: string, architecture: string): Promise<FoundSnap | undefined> {
    const action = { action: "install", "instance-key": "k", name, channel };
    const [result] = await this.#refresh(
      URLS.snapRefresh.build({}),
      { context: [], actions: [action], fields: ["type", "base"] },
      { "Snap-Device-Architecture": architecture, "Snap-Device-Series": "16" },
    );
    return result?.result === "install" ? tryShape(Snap, result.snap) : undefined;
  }

  async repositories(): Promise<readonly string[]> {
    return (await this.#pages(URLS.repositories.build({}), Names)).flatMap((page) => page.repositories);
  }

  async tags(repository: string): Promise<readonly string[]> {
    const path = URLS.image.build({ name: repository, what: "tags", reference: "" });
    return (await this.#pages(path, Tags)).flatMap((page) => page.tags ?? []);
  }

  async hasImage(name: string, tag: string, architecture: string): Promise<boolean> {
    const manifest = await this.#manifest(name, tag, "GET");
    if (manifest.status !== 200) return false;
    const listed = tryShape(Manifest, tryJson(manifest.body))?.manifests;
    if (!listed) return true;
    const own = listed.filter(({ platform }) => platform?.architecture === architecture);
    const found = await Promise.all(own.map(async ({ digest }) => (await this.#manifest(name, digest, "HEAD")).status === 200));
    return found.length > 0 && found.every(Boolean);
  }

  async cloudImages(): Promise<number> {
    await this.#refuseSigned("/juju/images/streams/v1");
    return (await this.#products("/juju/images", "image-ids")).reduce((sum, items) => sum + items.length, 0);
  }

  /** Juju takes what is signed before what is not, whatever it says. */
  async #refuseSigned(folder: string): Promise<void> {
    for (const name of ["index2.sjson", "index.sjson"]) {
      const { status } = await this.#ask(`${folder}/${name}`);
      if (!NO_SIGNED.has(status))
        throw new Failure("failed", `${this.#at.url}${folder}/${name} answers with status ${status}, where Juju must get a 404`);
    }
  }

  /** The items of each product of that kind. */
  async #products(folder: string, datatype: string): Promise<unknown[][]> {
    const index = tryShape(Streams, await this.#json(`${folder}/streams/v1/index2.json`));
    const found: unknown[][] = [];
    for (const entry of Object.values(index?.index ?? {})) {
      if (entry.datatype !== datatype) continue;
      const file = tryShape(Products, await this.#json(`${folder}/${entry.path}`));
      for (const { versions } of Object.values(file?.products ?? {}))
        found.push(Object.values(versions).flatMap(({ items }) => Object.values(items)));
    }
    return found;
  }

  async #refresh(path: string, body: object, headers: Readonly<Record<string, string>> = {}) {
    const text = Buffer.from(JSON.stringify(body));
    const reply = await this.#ask(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "Content-Length": String(text.byteLength), ...headers },
      body: (async function* () {
        yield text;
      })(),
    });
    return tryShape(Results, tryJson(reply.body))?.results ?? [];
  }

  /** All pages of a list of the registry. */
  async #pages<T extends v.GenericSchema>(path: string, schema: T): Promise<v.InferOutput<T>[]> {
    const pages: v.InferOutput<T>[] = [];
    let next: string | undefined = path;
    while (next !== undefined && pages.length < 1000) {
      const reply: BoundedReply = await this.#ask(next, { headers: this.#login() });
      const page = tryShape(schema, tryJson(reply.body));
      if (page) pages.push(page);
      const search = /^<[^>?]*(\?[^>]*)>;\s*rel="?next/.exec(String(reply.headers["link"] ?? ""))?.[1];
      next = page && search !== undefined ? `${path}${search}` : undefined;
    }
    return pages;
  }

  #manifest(name: string, reference: string, method: "GET" | "HEAD"): Promise<BoundedReply> {
    const headers = { Accept: IMAGE_MANIFEST_TYPES.join(", "), ...this.#login() };
    return this.#ask(URLS.image.build({ name, what: "manifests", reference }), { method, headers });
  }

  #login(): Record<string, string> {
    const { username, password } = this.#at.login;
    return username === "" || password === ""
      ? {}
      : { Authorization: `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}` };
  }

  async #json(path: string): Promise<unknown> {
    const { status, body } = await this.#ask(path);
    return status === 200 ? tryJson(body) : undefined;
  }

  #ask(path: string, options: HttpOptions = {}): Promise<BoundedReply> {
    return ask(`${this.#at.url}${path}`, { limit: LIMIT, timeout: TIMEOUT, ...this.#at.options, ...options });
  }
}

function agentKey({ version, architecture }: AgentKey): string {
  return `${version} ${architecture}`;
}
