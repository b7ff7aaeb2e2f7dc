/** The assertions that the snaps of an export need, each fetched once with its dependencies. */

import { readSnapYaml } from "../archives/snapyaml.ts";
import { type Assertion, keyText } from "../assertions/assertion.ts";
import { encodeStream, parseAssertions } from "../assertions/text.ts";
import { ASSERTION_TYPES, type PrimaryKey } from "../assertions/types.ts";
import { CANONICAL_ROOTS, PREDEFINED } from "../assertions/verify.ts";
import { Failure } from "../errors.ts";
import { mapBounded } from "../parallel.ts";
import type { Upstream, UpstreamSnap } from "./upstream.ts";

/** assertions of one snap that are fetched at once */
const PARALLEL_FETCHES = 8;
const BUILT_IN: ReadonlyMap<string, Assertion> = new Map(
  [...CANONICAL_ROOTS, ...PREDEFINED].map((assertion) => [keyText(assertion.type, assertion.key), assertion]),
);

/** The account's assertion that every client has compiled in; undefined: it is no such account. */
export function builtInAccount(id: string): string | undefined {
  return BUILT_IN.get(keyText("account", [id]))?.text;
}

export class AssertionFetcher {
  readonly #upstream: Upstream;
  readonly #fetched = new Map<string, Promise<readonly Assertion[]>>();

  constructor(upstream: Upstream) {
    this.#upstream = upstream;
  }

  /**
   * An account's assertion, followed by the keys that signed it, as far as the store has them; a built-in one where the store has none
   * or cannot be asked. Undefined: there is no such account.
   */
  async account(id: string): Promise<string | undefined> {
    const found: Assertion[] = [];
    for (let ref: PrimaryKey = ["account", [id]]; found.length === 0 || !BUILT_IN.has(keyText(...ref)); ) {
      const builtIn = BUILT_IN.get(keyText(...ref));
      const [newest = builtIn] = await this.#get(ref).catch((error: unknown) => {
        if (!builtIn || !(error instanceof Failure) || error.kind === "interrupted") throw error;
        return [];
      });
      if (!newest || newest.signKey === newest.key[0] || found.includes(newest)) break;
      found.push(newest);
      ref = ["account-key", [newest.signKey]];
    }
    return found.length > 0 ? encodeStream(found.map(({ text }) => text)) : undefined;
  }

  /** The stream of assertions of a snap revision and its components, dependencies first. Throws a `not-found` failure where one is missing. */
  async streamOf(snap: UpstreamSnap): Promise<string> {
    const id = snap["snap-id"];
    const provenance = provenanceOf(snap);
    const digest = (hex: string) => Buffer.from(hex, "hex").toString("base64url");
    const leaves: PrimaryKey[] = [["snap-revision", [digest(snap.download["sha3-384"]), ...provenance]]];
    for (const { name, revision, download } of snap.resources ?? []) {
      leaves.push(["snap-resource-revision", [id, name, digest(download["sha3-384"]), ...provenance]]);
      leaves.push(["snap-resource-pair", [id, name, String(revision), String(snap.revision), ...provenance]]);
    }
    await mapBounded(leaves, PARALLEL_FETCHES, (leaf) => this.#get(leaf)); // together; below they are put in order
    const found = new Map<string, Assertion>();
    const what = `cannot export the snap ${snap.name} revision ${snap.revision}`;
    for (const leaf of leaves) await this.#collect(leaf, found, new Set(), what);
    return encodeStream([...found.values()].map(({ text }) => text));
  }

  /** Adds an assertion to `found`, after its dependencies. `path`: the assertions being collected, to break cycles. */
  async #collect(ref: PrimaryKey, found: Map<string, Assertion>, path: Set<string>, what: string): Promise<void> {
    const name = keyText(...ref);
    if (BUILT_IN.has(name) || path.has(name) || found.has(`${name} 0`)) return;
    path.add(name);
    const all = await this.#get(ref);
    const [newest] = all;
    if (!newest) throw new Failure("not-found", `${what}: the store has no assertion ${name}, without which no machine takes it`);
    const type = ASSERTION_TYPES.get(newest.type);
    for (const assertion of all) {
      for (const need of type?.needs(assertion) ?? []) await this.#collect(need, found, path, what);
      if (assertion.signKey !== newest.key[0]) await this.#collect(["account-key", [assertion.signKey]], found, path, what);
    }
    all.forEach((assertion, i) => found.set(`${name} ${i}`, assertion));
    path.delete(name);
  }

  /** The newest first, then the versions for readers of older formats; empty if the store has none. */
  #get(ref: PrimaryKey): Promise<readonly Assertion[]> {
    const name = keyText(...ref);
    const fetched = this.#fetched.get(name) ?? this.#fetch(ref);
    this.#fetched.set(name, fetched);
    return fetched;
  }

  async #fetch([type, key]: PrimaryKey): Promise<readonly Assertion[]> {
    const all: Assertion[] = [];
    for (let format = ASSERTION_TYPES.get(type)?.maxFormat ?? 0; format >= 0; ) {
      const text = await this.#upstream.assertion(type, key, format);
      const [assertion] = text === undefined ? [] : parseAssertions(Buffer.from(text), keyText(type, key));
      if (!assertion) break;
      all.push(assertion);
      format = assertion.format - 1;
    }
    return all;
  }
}

function provenanceOf(snap: UpstreamSnap): string[] {
  const yaml = snap["snap-yaml"];
  const provenance = yaml ? readSnapYaml(yaml, `snap.yaml of ${snap.name} ${snap.revision}`).provenance : undefined;
  return provenance === undefined ? [] : [provenance];
}
