/**
 * Garbage where nothing can be renamed and no lease be checked at the very moment of a change: in a bucket. Its own clock and the lives of
 * signatures take their place (`Storage.createLife`, `Storage.prepareRemoval`). Three kinds of records, none ever changed:
 *
 * - a **mark** names blobs that no generation named and that were old. A later gc may delete them once the mark is half an hour old;
 * - an **act** names blobs that a gc is about to delete. It is written before the first removal is prepared, and none is after `ACT_LIFE`;
 * - a **save** names blobs that a publisher is about to name. It counts for a day.
 *
 * gc prepares a removal, which takes effect within a minute or never, and only then looks at generations, saves and the times of blobs.
 * A publisher prepares its create, which takes effect within `createLife` or never, and only then looks for marks and acts. What it names
 * and finds there it saves, waits until all that was prepared before is over, stores again what is gone, and begins anew. So
 *
 * - a blob that was under no mark at its last look is deleted by no gc that has not seen its generation: a mark is older than a create lives;
 * - a blob that was under one was saved, and present after everything that had not seen the save.
 *
 * test/store/marks.test.ts plays it with sleeps of hours between any two steps.
 */

import { randomUUID } from "node:crypto";
import * as v from "valibot";
import { type Digest, isDigest } from "../src/digest.ts";
import { Failure } from "../src/errors.ts";
import { mapBounded } from "../src/parallel.ts";
import { tryJson } from "../src/text.ts";
import { DigestText } from "./generation.ts";
import { jsonBytes } from "./json.ts";
import { BLOBS, blobDigest, blobKey, CATALOG, generationNumber, MARKS, type MarkKind, markKey, markKind } from "./keys.ts";
import { type Entry, readObject, type Storage } from "./storage.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const PARALLEL = 32;

/** Milliseconds: what a removal that was prepared is over after, with a margin for answers that are told in whole seconds. */
export const REMOVALS_OVER = 65_000;
/** milliseconds after which a mark may be acted on, and a generation be pruned after its successor: longer than a create lives */
export const SETTLED = 30 * MINUTE;
/** milliseconds within which removals are prepared under an act, and after which it says nothing any more */
export const [ACT_LIFE, ACT_OVER] = [5 * MINUTE, 8 * MINUTE];
/** milliseconds within which a publisher relies on its save, and after which gc does not count it */
export const [SAVE_LIFE, SAVE_OVER] = [12 * HOUR, 24 * HOUR];

/** More than these are looked for in a listing rather than one by one. */
const WORTH_LISTING = 200;

const Content = v.looseObject({ blobs: v.array(DigestText) });

export interface MarkRecord extends Pick<Entry, "key" | "modified"> {
  readonly kind: MarkKind;
  readonly blobs: readonly Digest[];
}

/** Reads the records; each only once, since none changes. */
export class Marks {
  readonly #storage: Storage;
  readonly #read = new Map<string, readonly Digest[]>();

  constructor(storage: Storage) {
    this.#storage = storage;
  }

  /** All that are there now. Fails with `corrupt` where one cannot be read: what it names is unknown then. */
  async all(): Promise<MarkRecord[]> {
    const entries: Entry[] = [];
    for await (const entry of walk(this.#storage, MARKS)) entries.push(entry);
    const found = await mapBounded(entries, PARALLEL, async ({ key, modified }) => {
      const kind = markKind(key);
      const blobs = kind && (await this.#blobs(key));
      return kind && blobs ? [{ key, modified, kind, blobs }] : [];
    });
    return found.flat();
  }

  async write(kind: MarkKind, blobs: readonly Digest[]): Promise<string> {
    const key = markKey(kind, randomUUID());
    await this.#storage.create(key, jsonBytes({ blobs }));
    return key;
  }

  /** Undefined: it was removed since it was listed. */
  async #blobs(key: string): Promise<readonly Digest[] | undefined> {
    const known = this.#read.get(key);
    if (known) return known;
    const object = await this.#storage.open(key);
    if (!object) return undefined;
    const what = `${this.#storage.place}/${key}`;
    const parsed = v.safeParse(Content, tryJson(new TextDecoder().decode(await readObject(object, what))));
    if (!parsed.success)
      throw new Failure("corrupt", `${what} is not readable`, { next: "remove that object once no import and no gc runs" });
    this.#read.set(key, parsed.output.blobs);
    return parsed.output.blobs;
  }
}

/** Those of `digests` that are not stored. */
export async function absentBlobs(storage: Storage, digests: readonly Digest[]): Promise<Set<Digest>> {
  const missing = new Set(digests);
  if (digests.length > WORTH_LISTING) {
    for await (const { key } of walk(storage, BLOBS)) {
      const digest = blobDigest(key);
      if (digest !== undefined) missing.delete(digest);
    }
    return missing;
  }
  await mapBounded(digests, PARALLEL, async (digest) => {
    if (await storage.has(blobKey(digest))) missing.delete(digest);
  });
  return missing;
}

export function walk(storage: Storage, prefix: string): AsyncIterable<Entry> {
  if (!storage.walk) throw new Error("internal error: marks are for a storage that can be walked");
  return storage.walk(prefix);
}

/** Its last look found what has to be waited for, or that another publisher was faster: nothing is published, and it begins anew. */
export const BEGIN_ANEW = new Error("begin anew");

export interface SaverOptions {
  readonly sleep: (milliseconds: number) => Promise<unknown>;
  /** called before it waits */
  readonly onWait?: (milliseconds: number) => void;
}

/** What a publisher does so that no gc deletes what it is about to name. */
export class Saver {
  readonly #storage: Storage;
  readonly #marks: Marks;
  readonly #options: SaverOptions;
  readonly #saved = new Set<Digest>();
  readonly #saves: string[] = [];

  constructor(storage: Storage, options: SaverOptions) {
    this.#storage = storage;
    this.#marks = new Marks(storage);
    this.#options = options;
  }

  /** Saves those of `digests` that gc may delete, and waits. True: it did, so what is missing now has to be stored again. */
  async save(digests: readonly Digest[]): Promise<boolean> {
    const endangered = await this.#endangered(digests);
    if (endangered.length === 0) return false;
    this.#saves.push(await this.#marks.write("save", endangered));
    for (const digest of endangered) this.#saved.add(digest);
    this.#options.onWait?.(REMOVALS_OVER);
    await this.#options.sleep(REMOVALS_OVER);
    return true;
  }

  /**
   * The last look before a generation is created, whose create was prepared before. `newest`: the number of that before it. Returns those of `digests` that are missing. Throws
   * `BEGIN_ANEW` where any of them is endangered and not saved.
   */
  async lastLook(digests: readonly Digest[], newest: number): Promise<Set<Digest>> {
    if ((await this.#endangered(digests)).length > 0) throw BEGIN_ANEW;
    const now = await this.#storage.clock();
    for (const key of this.#saves) {
      const save = await this.#storage.open(key);
      if (save && now - save.modified < SAVE_LIFE) continue;
      await this.end(); // it slept too long: what it saved then is saved anew
      throw BEGIN_ANEW;
    }
    // Numbers that gc pruned are free again: nobody may take one who has not seen what is above it.
    const seen = (await this.#storage.list(CATALOG)).reduce((most, key) => Math.max(most, generationNumber(key) ?? 0), 0);
    if (seen !== newest) throw BEGIN_ANEW;
    return absentBlobs(this.#storage, digests);
  }

  /** To be called when all is published, or given up. */
  async end(): Promise<void> {
    this.#saved.clear();
    for (const key of this.#saves.splice(0)) await this.#storage.remove(key);
  }

  /** Those under a mark or an act that are not saved. */
  async #endangered(digests: readonly Digest[]): Promise<Digest[]> {
    const records = await this.#marks.all();
    const now = await this.#storage.clock();
    const under = new Set<Digest>();
    for (const { kind, blobs, modified } of records) {
      const isOver = kind === "act" && now - modified > ACT_OVER;
      if (kind !== "save" && !isOver) for (const digest of blobs) under.add(digest);
    }
    return [...new Set(digests)].filter((digest) => isDigest(digest) && under.has(digest) && !this.#saved.has(digest));
  }
}
