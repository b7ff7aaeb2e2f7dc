/**
 * How imports and verifications ended, also where nothing was published: `runs/N.json`, of which the highest number holds. Nobody decides
 * anything by it. An import writes that it began, since one that is killed, or whose disk is full, cannot say more.
 */

import * as v from "valibot";
import { VERSION } from "../src/version.ts";
import { leaseKey, RUNS, runsKey, runsNumber } from "./keys.ts";
import { LEASE_LIFE } from "./lease.ts";
import { seal, unseal } from "./sealed.ts";
import { readObject, type Storage } from "./storage.ts";

/** Times are those of the clock of the process that ran, RFC 3339. */
const Time = v.pipe(v.string(), v.isoTimestamp());

const ImportRun = v.object({
  ended: Time,
  /** undefined: it succeeded; else the kind of its failure, `killed` where it could not say */
  failed: v.optional(v.string()),
  /** that was published; undefined: none was */
  generation: v.optional(v.number()),
});

const VerifyRun = v.object({ ended: Time, damaged: v.number() });

const RunsText = v.looseObject({
  number: v.number(),
  /** the last import that ended */
  import: v.optional(ImportRun),
  /** when the last import ended that succeeded */
  imported: v.optional(Time),
  verify: v.optional(VerifyRun),
  /** imports that began, by their lease */
  begun: v.optional(v.record(v.string(), Time), {}),
});

export interface ImportRun extends v.InferOutput<typeof ImportRun> {}
export interface VerifyRun extends v.InferOutput<typeof VerifyRun> {}

/** How the last ones ended; what never ran is undefined. */
export interface LastRuns {
  readonly import?: ImportRun;
  readonly imported?: string;
  readonly verify?: VerifyRun;
}

type Recorded = { readonly [K in keyof LastRuns]: LastRuns[K] | undefined };

interface State extends Recorded {
  readonly number: number;
  readonly begun: Readonly<Record<string, string>>;
}

/** A reader that listed a number may still open the one before. */
const KEPT = 3;
const MAX_ATTEMPTS = 1000;
const NOTHING: State = { number: 0, begun: {} };

export class Runs {
  readonly #storage: Storage;
  readonly #now: () => number;
  /** the newest that was read: a number never changes what it says */
  #known = NOTHING;

  constructor(storage: Storage, now: () => number = Date.now) {
    this.#storage = storage;
    this.#now = now;
  }

  /** Writes nothing. An import that began, and whose lease is over, was killed. Without a record that can be read nothing ever ran. */
  async last(): Promise<LastRuns> {
    const state = await this.#newest();
    const { killed } = await this.#begun(state);
    const { import: last, imported, verify } = this.#after(state, killed);
    return { ...(last && { import: last }), ...(imported !== undefined && { imported }), ...(verify && { verify }) };
  }

  /** `lease`: of the import. */
  async importBegan(lease: string, time: string): Promise<void> {
    await this.#write((state) => ({ ...state, begun: { ...state.begun, [lease]: time } }));
  }

  async importEnded(lease: string, run: ImportRun): Promise<void> {
    await this.#write(({ begun, ...state }) => {
      const { [lease]: _own, ...others } = begun;
      return { ...withImport(state, run), begun: others };
    });
  }

  async verified(run: VerifyRun): Promise<void> {
    await this.#write((state) => ({ ...state, verify: run }));
  }

  async #write(change: (state: Omit<State, "number">) => Omit<State, "number">): Promise<void> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      const { number, ...state } = await this.#newest();
      const { live, killed } = await this.#begun(state);
      const next = change({ ...this.#after(state, killed), begun: Object.fromEntries(live) });
      // Not the one that was read, which may be pruned or damaged: the highest that is there.
      const highest = Math.max(number, (await this.#numbers()).at(-1) ?? 0) + 1;
      if (!(await this.#storage.create(runsKey(highest), seal({ number: highest, tool: `chp ${VERSION}`, ...next })))) continue;
      for (const old of await this.#numbers()) if (old <= highest - KEPT) await this.#storage.remove(runsKey(old));
      return;
    }
  }

  #after<S extends Recorded>(state: S, killed: readonly string[]): S {
    const time = killed.toSorted().at(-1);
    // When it was killed nobody knows: it counts as the last that ended, until another ends.
    return time === undefined ? state : withImport(state, { ended: time, failed: "killed" });
  }

  /** The begun imports whose lease is live, and when those began whose lease is over. */
  async #begun({ begun }: Pick<State, "begun">): Promise<{ live: [lease: string, time: string][]; killed: string[] }> {
    const found = { live: [] as [string, string][], killed: [] as string[] };
    if (Object.keys(begun).length === 0) return found;
    for (const [lease, time] of Object.entries(begun)) {
      const held = await this.#storage.open(leaseKey(lease));
      // By this machine's clock: the storage's would be a write, which a server may not do.
      if (held && Math.abs(this.#now() - held.modified) <= LEASE_LIFE) found.live.push([lease, time]);
      else found.killed.push(time);
    }
    return found;
  }

  async #newest(): Promise<State> {
    for (const number of (await this.#numbers()).toReversed()) {
      if (number === this.#known.number) return this.#known;
      const state = await this.#read(number).catch(() => undefined);
      if (state) return (this.#known = state);
    }
    return NOTHING;
  }

  /** Undefined: it is missing or damaged. */
  async #read(number: number): Promise<State | undefined> {
    const object = await this.#storage.open(runsKey(number));
    const parsed = v.safeParse(RunsText, object && unseal(await readObject(object, runsKey(number)))?.value);
    if (!parsed.success || parsed.output.number !== number) return undefined;
    const { import: last, imported, verify, begun } = parsed.output;
    return { number, import: last, imported, verify, begun };
  }

  async #numbers(): Promise<number[]> {
    return (await this.#storage.list(RUNS)).flatMap((key) => runsNumber(key) ?? []).toSorted((a, b) => a - b);
  }
}

function withImport<S extends Recorded>(state: S, run: ImportRun): S {
  return { ...state, import: run, ...(run.failed === undefined && { imported: run.ended }) };
}
