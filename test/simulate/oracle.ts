/** What must hold, whatever the seed: the ten invariants of store/README.md by their names. */

import { type Digest, isDigest, sumsOf } from "../../src/digest.ts";
import { reason } from "../../src/errors.ts";
import { blobKey, CATALOG, generationNumber, parseTrashKey } from "../../store/keys.ts";
import type { Snapshot } from "../../store/snapshot.ts";
import type { Store } from "../../store/store.ts";
import { SimulatedDisk } from "./disk.ts";
import { type Machine, Process } from "./machine.ts";
import type { Modules } from "./modules.ts";

export const INVARIANTS = [
  "what was acknowledged stays readable",
  "a generation is there whole or not at all",
  "every named blob is stored",
  "a reader never goes back",
  "gc deletes nothing that is needed",
  "numbers are unique and without a gap",
  "verify finds no damage",
  "acknowledged settings stay",
  "what is left over goes",
  "a backup is a whole store",
] as const;

export type Invariant = (typeof INVARIANTS)[number];

export class Violation extends Error {
  readonly invariant: Invariant;

  constructor(invariant: Invariant, what: string) {
    super(`${invariant}: ${what}`);
    this.invariant = invariant;
  }
}

export function hold(invariant: Invariant, holds: boolean, what: () => string): void {
  if (!holds) throw new Violation(invariant, what());
}

export interface Acknowledged {
  readonly number: number;
  /** every package that it brought, with its revision */
  readonly packages: readonly { readonly name: string; readonly revision: number }[];
}

export class Oracle {
  readonly machine: Machine;
  readonly modules: Modules;
  readonly acknowledged: Acknowledged[] = [];
  /** generation → who was told that it is theirs */
  readonly owners = new Map<number, string>();
  /** settings by their key: acknowledged, and what a command that did not end may have written */
  readonly settings = new Map<string, { value: string; also: string[] }>();
  /** what importers have stored, and whether their leases are there */
  readonly brought = new Map<Process, { readonly digests: ReadonlySet<Digest>; isLive(): boolean }>();
  /** number of the newest generation that anybody saw or was told of */
  newest = 0;

  constructor(machine: Machine, modules: Modules) {
    this.machine = machine;
    this.modules = modules;
  }

  acknowledge(by: string, number: number, packages: Acknowledged["packages"]): void {
    const owner = this.owners.get(number);
    hold("numbers are unique and without a gap", owner === undefined, () => `${number} is of ${owner} and of ${by}`);
    this.owners.set(number, by);
    this.acknowledged.push({ number, packages });
    this.newest = Math.max(this.newest, number);
  }

  /** The highest number that a reader that starts now must see. */
  get least(): number {
    return Math.max(0, ...this.acknowledged.map((one) => one.number));
  }

  /** Called before an object is deleted. */
  removing(key: string): void {
    const name = parseTrashKey(key)?.digest ?? key.slice(key.lastIndexOf("/") + 1);
    if (!isDigest(name)) return;
    const digest = name;
    const inPlace = `store/${blobKey(digest)}`;
    if (key.startsWith("trash/") && this.machine.files.has(inPlace)) return;
    const needing = [...this.brought].find(([process, own]) => !process.isDead && own.digests.has(digest) && own.isLive())?.[0];
    hold("gc deletes nothing that is needed", !needing, () => `${digest.slice(0, 8)}, which ${needing?.name} has brought`);
    for (const [path, { bytes }] of this.machine.files.all)
      if (path.startsWith("store/catalog/"))
        hold("gc deletes nothing that is needed", !this.#names(bytes).has(digest), () => `${digest.slice(0, 8)}, which ${path} names`);
  }

  readonly #named = new WeakMap<Uint8Array, Set<Digest>>();

  /** By text: digests in a generation, and in what these name, as far as it is there. */
  #names(bytes: Uint8Array): Set<Digest> {
    const known = this.#named.get(bytes);
    if (known) return known;
    const found = new Set<Digest>();
    const walk = (content: Uint8Array, depth: number) => {
      for (const [text] of Buffer.from(content)
        .toString("latin1")
        .matchAll(/\b[0-9a-f]{64}\b/g)) {
        if (!isDigest(text) || found.has(text)) continue;
        const file = this.machine.files.all.get(`store/${blobKey(text)}`);
        const trashed = file ?? [...this.machine.files.all].find(([path]) => path.startsWith("store/trash/") && path.endsWith(text))?.[1];
        if (!trashed) continue;
        found.add(text);
        if (depth < 3) walk(trashed.bytes, depth + 1);
      }
    };
    walk(bytes, 0);
    this.#named.set(bytes, found);
    return found;
  }

  /** The store as somebody sees it who is alone. */
  async quietly<T>(work: (store: Store, disk: SimulatedDisk) => Promise<T>, place = "store"): Promise<T> {
    const before = this.machine.isQuiet;
    this.machine.isQuiet = true;
    try {
      const disk = new SimulatedDisk(this.machine, new Process("the oracle"), place, { removing: () => {}, isPrompt: true });
      return await work(await this.modules.Store.openOrAwait(disk), disk);
    } finally {
      this.machine.isQuiet = before;
    }
  }

  /** All that must hold of a store that nobody writes to. */
  async check(): Promise<void> {
    await this.quietly((store, disk) => this.#check(store, disk)).catch((error: unknown) => {
      throw error instanceof Violation ? error : new Violation("what was acknowledged stays readable", reason(error));
    });
  }

  async #check(store: Store, disk: SimulatedDisk): Promise<void> {
    if (!store.exists) {
      hold("what was acknowledged stays readable", this.least === 0, () => "there is no store any more");
      return;
    }
    const numbers = (await disk.list(CATALOG)).flatMap((key) => generationNumber(key) ?? []);
    hold(
      "numbers are unique and without a gap",
      numbers.every((n, i) => i === 0 || n === (numbers[i - 1] ?? 0) + 1),
      () => numbers.join(),
    );
    const snapshot = await store.snapshot();
    hold("what was acknowledged stays readable", !store.damage, () => store.damage?.message ?? "");
    hold("what was acknowledged stays readable", snapshot.number >= this.least, () => `${snapshot.number} of ${this.least}`);
    for (const number of numbers) await this.whole(store, number);
    for (const { number, packages } of this.acknowledged) await this.#has(snapshot, number, packages);
    const { findings } = await this.modules.check(store, { readData: { part: 1, of: 1 }, dryRun: true });
    const damage = findings.filter((one) => one.severity === "damage");
    hold("verify finds no damage", damage.length === 0, () => damage.map((one) => `${one.what.join()} ${one.problem}`).join("; "));
    const settings = await store.settings
      .read("config")
      .catch((error: unknown) => new Violation("acknowledged settings stay", reason(error)));
    if (settings instanceof Violation) throw settings;
    for (const [key, { value, also }] of this.settings)
      hold(
        "acknowledged settings stay",
        [value, ...also].includes(String(settings[key])),
        () => `${key} is ${String(settings[key])}, not ${value}`,
      );
  }

  async #has(snapshot: Snapshot, number: number, packages: Acknowledged["packages"]): Promise<void> {
    for (const { name, revision } of packages) {
      const pkg = await snapshot.package(name);
      const found = pkg?.revisions.some((one) => one.revision === revision);
      hold(
        "what was acknowledged stays readable",
        found === true,
        () => `${name} ${revision} of generation ${number} is not in ${snapshot.number}`,
      );
    }
  }

  /** A generation with all that it names. */
  async whole(store: Store, number: number): Promise<void> {
    const generation = await store.generation(number).catch((error: unknown) => {
      throw new Violation("a generation is there whole or not at all", reason(error));
    });
    if (!generation) return;
    hold(
      "numbers are unique and without a gap",
      generation.number === number && generation.parent === number - 1,
      () => `${number} after ${generation.parent}`,
    );
    try {
      for await (const { digest } of this.modules.blobsOf(store, generation)) {
        const bytes = await (await store.blob(digest))?.bytes();
        hold("every named blob is stored", bytes !== undefined, () => `${digest.slice(0, 8)} of generation ${number} is missing`);
        hold(
          "every named blob is stored",
          bytes !== undefined && sumsOf(bytes)["sha-256"] === digest,
          () => `${digest.slice(0, 8)} of ${number} is damaged`,
        );
      }
    } catch (error) {
      throw error instanceof Violation ? error : new Violation("every named blob is stored", `generation ${number}: ${reason(error)}`);
    }
    // An import brings one revision of two packages: each generation has both or none of them.
    const snapshot = await store.snapshotAt(number);
    const pair = await Promise.all(
      ["left", "right"].map(async (name) => (await snapshot?.package(name))?.revisions.map((r) => r.revision).join()),
    );
    hold("a generation is there whole or not at all", pair[0] === pair[1], () => `generation ${number} has ${pair.join(" and ")}`);
  }

  /** Once nobody is there any more and a day has passed, two gcs leave what is named and nothing else. */
  async tidy(): Promise<void> {
    await this.quietly(async (store, disk) => {
      if (!store.exists) return;
      // By a clock that is behind the newest generation gc collects nothing: somebody has set it.
      this.machine.time += Math.max(0, ((await store.snapshot()).time ?? 0) - this.machine.now());
      for (let i = 0; i < 3; i += 1) {
        this.machine.time += 48 * 3_600_000;
        await this.modules.endLeases(disk);
        await this.modules.collectGarbage(store, { generations: 1, days: 0, hours: 0, dryRun: false });
      }
      const named = new Set<string>();
      for (const number of await store.generationNumbers()) {
        const generation = await store.generation(number);
        if (generation) for await (const { digest } of this.modules.blobsOf(store, generation)) named.add(`store/${blobKey(digest)}`);
      }
      const left = [...this.machine.files.all.keys()].filter((path) =>
        path.startsWith("store/blobs/") ? !named.has(path) : /^store\/(tmp|trash|leases)\//.test(path),
      );
      hold("what is left over goes", left.length === 0, () => left.join());
      if (this.least > 0)
        await store.publish("2026-02-01T00:00:00Z", async () => ({
          draft: { command: "", sources: [], sections: {}, blobs: [] },
          result: undefined,
        }));
    });
    await this.check();
  }
}
