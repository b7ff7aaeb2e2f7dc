/** What is done to a folder → every state that a power cut may leave of it. */

import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { sumsOf } from "../../src/digest.ts";
import type { Timed } from "./trace.ts";

export interface Entry {
  readonly mode: number;
  /** undefined: a folder */
  readonly content?: Uint8Array;
  /** of the content */
  readonly sum: string;
}

/** Relative path → what is there; a folder before what is in it. */
export type Tree = ReadonlyMap<string, Entry>;

/** What becomes of a change that was not synced: of bytes also their first half, or zeros in their place. */
export type Fate = "kept" | "lost" | "half" | "zeros";

export interface State {
  readonly tree: Tree;
  /** how many operations had ended; all of them: the command had exited */
  readonly cut: number;
  readonly exited: boolean;
  /** what was done and is not there, or not whole */
  readonly lost: readonly string[];
  /** whether a file system that keeps the order of names (ext4) can leave it, not only one that keeps none */
  readonly ordered: boolean;
}

interface Inode {
  readonly id: number;
  readonly folder: boolean;
  readonly mode: number;
  readonly content: Uint8Array;
  /** before the command */
  readonly entries: Map<string, Inode>;
  /** as the command sees it */
  readonly live: Map<string, Inode>;
  size: number;
}

type Change = {
  /** when it was done, and from when on it can't be lost */
  readonly at: number;
  synced: number;
  readonly text: string;
} & (
  | { readonly kind: "name"; readonly sets: readonly (readonly [folder: Inode, name: string, to: Inode | undefined])[] }
  | { readonly kind: "data"; readonly inode: Inode; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: "size"; readonly inode: Inode; readonly size: number }
  | { readonly kind: "mode"; readonly inode: Inode; readonly mode: number }
);

const NOTHING = new Uint8Array();

export class Model {
  readonly #root: Inode;
  readonly #changes: Change[] = [];
  /** where something can be cut: times at which something was done or synced */
  readonly #cuts: number[] = [0];
  /** times of syncs: from when on it holds, and for what was done until when */
  readonly #syncs: { readonly began: number; readonly at: number }[] = [];
  readonly #open = new Map<number, { readonly inode: Inode; readonly append: boolean; position: number }>();
  readonly #contents = new Map<string, { readonly content: Uint8Array; readonly sum: string }>();
  #count = 0;

  /** `tree`: what was there, all of it on the disk. Files of one sum are no hard links of each other: nothing writes to one in place. */
  constructor(tree: Tree, operations: readonly Timed[], umask = 0o022) {
    this.#root = this.#inode(true, tree.get("")?.mode ?? 0o755);
    for (const [path, { mode, content }] of tree) {
      if (path === "") continue;
      const inode = this.#inode(content === undefined, mode, content);
      for (const names of ["entries", "live"] as const) this.#at(dirname(path), names)?.[names].set(basename(path), inode);
    }
    for (const operation of operations) this.do(operation, umask);
  }

  #inode(folder: boolean, mode: number, content: Uint8Array = NOTHING): Inode {
    this.#count += 1;
    return { id: this.#count, folder, mode, content, entries: new Map(), live: new Map(), size: content.byteLength };
  }

  #at(path: string, names: "entries" | "live" = "live"): Inode | undefined {
    const parts = path.split("/").filter((part) => part !== "" && part !== ".");
    return parts.reduce<Inode | undefined>((inode, part) => inode?.[names].get(part), this.#root);
  }

  #expect(target: number | string): Inode {
    const inode = typeof target === "string" ? this.#at(target) : this.#open.get(target)?.inode;
    if (!inode) throw new Error(`the trace has ${target}, which is not there`);
    return inode;
  }

  do(operation: Timed, umask = 0o022): void {
    const { at } = operation;
    const change = (text: string, more: object) => this.#changes.push({ at, synced: Number.POSITIVE_INFINITY, text, ...more } as Change);
    const name = (text: string, ...sets: readonly (readonly [path: string, to: Inode | undefined])[]) => {
      const all = sets.map(([path, to]) => [this.#expect(dirname(path)), basename(path), to] as const);
      for (const [folder, key, to] of all) setName(folder.live, key, to);
      change(text, { kind: "name", sets: all });
    };
    const resize = (inode: Inode, size: number, text: string) => {
      inode.size = size;
      change(text, { kind: "size", inode, size });
    };
    if (operation.kind === "open") {
      const { file, path, flags, mode } = operation;
      const found = this.#at(path);
      const inode = found ?? this.#inode(false, mode & ~umask);
      if (!found) name(`create ${path}`, [path, inode]);
      else if (flags.includes("O_TRUNC") && inode.size > 0) resize(inode, 0, `empty ${path}`);
      this.#open.set(file, { inode, append: flags.includes("O_APPEND"), position: 0 });
    } else if (operation.kind === "write") {
      const { file, bytes } = operation;
      const open = this.#open.get(file);
      if (!open) throw new Error("a write to what is not open");
      const { inode } = open;
      const offset = operation.offset ?? (open.append ? inode.size : open.position);
      if (operation.offset === undefined) open.position = offset + bytes.byteLength;
      inode.size = Math.max(inode.size, offset + bytes.byteLength);
      change(`write ${bytes.byteLength} bytes at ${offset} of ${this.#nameOf(inode)}`, { kind: "data", inode, offset, bytes });
    } else if (operation.kind === "resize") resize(this.#expect(operation.target), operation.size, `resize ${operation.target}`);
    else if (operation.kind === "chmod") {
      const inode = this.#expect(operation.target);
      change(`chmod ${operation.mode.toString(8)} ${this.#nameOf(inode)}`, { kind: "mode", inode, mode: operation.mode });
    } else if (operation.kind === "mkdir") name(`mkdir ${operation.path}`, [operation.path, this.#inode(true, operation.mode & ~umask)]);
    else if (operation.kind === "remove") name(`remove ${operation.path}`, [operation.path, undefined]);
    else if (operation.kind === "sync") this.#sync(operation);
    else {
      const { kind, path, to } = operation;
      const inode = this.#expect(path);
      if (kind === "link") name(`link ${path} ${to}`, [to, inode]);
      else if (this.#at(to) !== inode) name(`rename ${path} ${to}`, [to, inode], [path, undefined]);
    }
    if (this.#changes.at(-1)?.at === at || operation.kind === "sync") this.#cuts.push(at + 0.5);
  }

  #sync({ file, began, at }: Timed & { readonly kind: "sync" }): void {
    const inode = file === undefined ? undefined : this.#expect(file);
    this.#syncs.push({ began, at });
    for (const change of this.#changes) {
      if (change.at >= began || change.synced <= at) continue;
      // A rename is durable with the folder that has the new name.
      const of = change.kind === "name" ? change.sets[0]?.[0] : change.inode;
      if (!inode || of === inode) change.synced = at;
    }
  }

  #nameOf(inode: Inode): string {
    const find = (folder: Inode): string | undefined => {
      for (const [name, one] of folder.live) {
        const inner = one === inode ? "" : find(one);
        if (inner !== undefined) return inner === "" ? name : `${name}/${inner}`;
      }
      return undefined;
    };
    return inode === this.#root ? "." : (find(this.#root) ?? "a removed file");
  }

  /** How many changes there were, each of which can be lost until it is synced. */
  get changes(): number {
    return this.#changes.length;
  }

  /** A state that a power cut may leave now, drawn: nothing, all or a share of what was not synced is lost. */
  cut(rng: () => number): Tree {
    const share = [0, 1, rng(), rng()][Math.floor(rng() * 4)] ?? 0;
    return this.#tree(Number.POSITIVE_INFINITY, (change) => {
      if (change.synced < Number.POSITIVE_INFINITY || rng() < share) return "kept";
      const fates = fatesOf(change);
      return fates[Math.floor(rng() * fates.length)] ?? "lost";
    });
  }

  /** All of it, as the command left it. */
  final(): Tree {
    return this.#tree(Number.POSITIVE_INFINITY, () => "kept");
  }

  /**
   * Every cut, and at each: nothing that was not synced survived, all of it, each one lost (of bytes also half of them, and
   * zeros), each one alone, every beginning of the names in their order, and `random` subsets. States that are alike come once.
   */
  *states({ random, rng }: { readonly random: number; readonly rng: () => number }): Generator<State> {
    const seen = new Set<string>();
    for (const [i, cut] of this.#cuts.entries()) {
      const exited = i === this.#cuts.length - 1;
      const done = this.#changes.filter((change) => change.at < cut);
      const free = done.filter((change) => change.synced > cut);
      for (const fates of choices(free, random, rng)) {
        const tree = this.#tree(cut, (change) => fates.get(change) ?? "kept");
        const key = `${exited}${[...tree].map(([path, { mode, sum }]) => `\n${path} ${mode} ${sum}`).join("")}`;
        if (seen.has(key)) continue;
        seen.add(key);
        const gone = free.filter((change) => (fates.get(change) ?? "kept") !== "kept");
        yield {
          tree,
          cut: i,
          exited,
          lost: gone.map((change) => `${change.text}${fates.get(change) === "lost" ? "" : ` (${fates.get(change)})`}`),
          ordered: this.#isOrdered(done, fates, cut),
        };
      }
    }
  }

  /** Names and modes are there up to one of them, and all that were done before any sync began that ended. */
  #isOrdered(done: readonly Change[], fates: ReadonlyMap<Change, Fate>, cut: number): boolean {
    const held = Math.max(-1, ...this.#syncs.filter((one) => one.at < cut).map((one) => one.began));
    const metadata = done.filter((change) => change.kind === "name" || change.kind === "mode");
    const first = metadata.find((change) => fates.get(change) === "lost");
    if (!first) return true;
    return first.at > held && metadata.every((change) => change.at < first.at || fates.get(change) === "lost");
  }

  #tree(cut: number, fate: (change: Change) => Fate): Tree {
    const entries = new Map<Inode, Map<string, Inode>>();
    const data = new Map<Inode, [Change, Fate][]>();
    const modes = new Map<Inode, number>();
    const entriesOf = (folder: Inode) => {
      const found = entries.get(folder) ?? new Map(folder.entries);
      entries.set(folder, found);
      return found;
    };
    for (const change of this.#changes) {
      if (change.at >= cut) break;
      const how = change.synced < cut ? "kept" : fate(change);
      if (how === "lost") continue;
      if (change.kind === "name") {
        for (const [folder, name, to] of change.sets) setName(entriesOf(folder), name, to);
      } else if (change.kind === "mode") modes.set(change.inode, change.mode);
      else data.set(change.inode, [...(data.get(change.inode) ?? []), [change, how]]);
    }
    const tree = new Map<string, Entry>();
    const walk = (inode: Inode, path: string) => {
      const mode = modes.get(inode) ?? inode.mode;
      tree.set(path, inode.folder ? { mode, sum: "" } : { mode, ...this.#content(inode, data.get(inode) ?? []) });
      if (inode.folder)
        for (const [name, inner] of [...entriesOf(inode)].toSorted(([a], [b]) => (a < b ? -1 : 1)))
          walk(inner, path === "" ? name : `${path}/${name}`);
    };
    walk(this.#root, "");
    return tree;
  }

  #content(inode: Inode, changes: readonly (readonly [Change, Fate])[]) {
    const key = `${inode.id} ${changes.map(([change, how]) => `${this.#changes.indexOf(change)}${how}`).join()}`;
    const known = this.#contents.get(key);
    if (known) return known;
    let content = Buffer.from(inode.content);
    for (const [change, how] of changes) {
      if (change.kind === "size")
        content = Buffer.concat([content.subarray(0, change.size), Buffer.alloc(Math.max(0, change.size - content.length))]);
      if (change.kind !== "data") continue;
      const { offset, bytes } = change;
      const put = how === "zeros" ? Buffer.alloc(bytes.byteLength) : how === "half" ? bytes.subarray(0, bytes.byteLength >> 1) : bytes;
      content = Buffer.concat([content, Buffer.alloc(Math.max(0, offset + put.byteLength - content.length))]);
      content.set(put, offset);
    }
    const found = { content, sum: sumsOf(content)["sha-256"] };
    this.#contents.set(key, found);
    return found;
  }
}

function setName(names: Map<string, Inode>, name: string, to: Inode | undefined): void {
  if (to) names.set(name, to);
  else names.delete(name);
}

function fatesOf({ kind }: Change): Fate[] {
  return kind === "data" ? ["lost", "half", "zeros"] : ["lost"];
}

/** For each state what becomes of what is not synced; who is not named is kept. */
function* choices(free: readonly Change[], random: number, rng: () => number): Generator<ReadonlyMap<Change, Fate>> {
  const all = (fate: (change: Change, i: number) => Fate) => new Map(free.map((change, i) => [change, fate(change, i)]));
  yield new Map();
  yield all(() => "lost");
  for (const one of free) for (const fate of fatesOf(one)) yield new Map([[one, fate]]);
  for (const one of free) yield all((change) => (change === one ? "kept" : "lost"));
  // The order of ext4: names and modes up to one, bytes there or not.
  for (const bytes of ["kept", "lost", "zeros"] as const)
    for (let names = 0; names <= free.length; names += 1)
      yield all(({ kind }, i) =>
        kind === "data" || kind === "size" ? (kind === "size" && bytes === "zeros" ? "kept" : bytes) : i < names ? "kept" : "lost",
      );
  for (let i = 0; i < random && free.length > 1; i += 1) {
    const share = rng();
    yield all((change) => {
      if (rng() < share) return "kept";
      const fates = fatesOf(change);
      return fates[Math.floor(rng() * fates.length)] ?? "lost";
    });
  }
}

/** A folder of the disk. */
export function readTree(root: string): Tree {
  const tree = new Map<string, Entry>();
  const walk = (path: string) => {
    const stat = lstatSync(join(root, path));
    const mode = stat.mode & 0o7777;
    if (!stat.isDirectory()) {
      const content = readFileSync(join(root, path));
      tree.set(path, { mode, content, sum: sumsOf(content)["sha-256"] });
      return;
    }
    tree.set(path, { mode, sum: "" });
    for (const name of readdirSync(join(root, path)).toSorted()) walk(path === "" ? name : `${path}/${name}`);
  };
  walk("");
  return tree;
}

/** Numbers from 0 up to 1, the same for one seed. */
export function generator(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0; // mulberry32
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
