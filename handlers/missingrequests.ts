/** Requests for things that are not stored, in memory and bounded: they say to the operator what to import. */

import { printable } from "../src/errors.ts";
import type { Log } from "./log.ts";

const MAX_REQUESTS = 1000;

/** What a client requested and did not get. Texts are those of the client. */
export interface Missing {
  readonly type: "charm" | "snap" | "image" | "agent";
  /** its name, or its id where no name is known; of an image its reference without a registry, of an agent its file */
  readonly name: string;
  /** `name` is an id */
  readonly byId?: boolean;
  /** the package is stored, and this of it is not: a revision, else a release in the channel */
  readonly revision?: number;
  readonly channel?: string;
  /** `ubuntu@24.04` */
  readonly base?: string;
  readonly architecture?: string;
  readonly resource?: { readonly name: string; readonly revision?: number };
  /** of the revision of a snap */
  readonly component?: string;
}

export interface MissingRequest extends Missing {
  /** `charm NAME`, `a release in latest/stable of charm NAME for ubuntu@24.04 amd64`, `revision 6 of snap NAME`, … */
  readonly what: string;
  readonly times: number;
  /** RFC 3339 */
  readonly first: string;
  readonly last: string;
}

export class MissingRequests {
  readonly #log: Log;
  readonly #requests = new Map<string, { readonly entry: MissingRequest; readonly id: string }>();
  /** by the id of a request whose reply may be given up for another */
  readonly #held = new Map<string, (() => void)[]>();
  readonly #totals = { charm: 0, snap: 0, image: 0, agent: 0 };

  constructor(log: Log) {
    this.#log = log;
  }

  /** What the request notes from now on counts only with `keep`. */
  hold(id: string): { keep(): void; drop(): void } {
    const notes: (() => void)[] = [];
    this.#held.set(id, notes);
    const drop = () => void (this.#held.get(id) === notes && this.#held.delete(id));
    return {
      drop,
      keep: () => {
        drop();
        for (const note of notes) note();
      },
    };
  }

  /** Notes and logs it. `id`: of the request; `now`: milliseconds since 1970. Evicts the least recent request above the limit. */
  note(missing: Missing, id: string, now: number): void {
    const held = this.#held.get(id);
    if (held) held.push(() => this.#note(missing, id, now));
    else this.#note(missing, id, now);
  }

  #note(missing: Missing, id: string, now: number): void {
    const what = describe(missing);
    const last = new Date(now).toISOString();
    const before = this.#requests.get(what);
    if (before?.id !== id) this.#log({ level: "warn", message: "not found", id, what }); // once a request, however often it is named there
    this.#requests.delete(what);
    const entry = { what, ...printableOf(missing), times: (before?.entry.times ?? 0) + 1, first: before?.entry.first ?? last, last };
    this.#requests.set(what, { entry, id });
    this.#totals[missing.type] += 1;
    const [oldest] = this.#requests.keys();
    if (this.#requests.size > MAX_REQUESTS && oldest !== undefined) this.#requests.delete(oldest);
  }

  /** Newest first. */
  get all(): MissingRequest[] {
    return [...this.#requests.values()].map(({ entry }) => entry).toReversed();
  }

  /** How many there were since the start. */
  get totals(): Readonly<Record<Missing["type"], number>> {
    return this.#totals;
  }
}

function describe({ type, name, byId, revision, channel, base, architecture, resource, component }: Missing): string {
  const system = [base, architecture].filter(Boolean).map((text) => printable(text ?? "", 50));
  const parts = [
    component === undefined ? undefined : `component ${printable(component, 100)}`,
    resource && `${resource.revision === undefined ? "" : `revision ${resource.revision} of `}resource ${printable(resource.name, 100)}`,
    revision === undefined ? (channel === undefined ? undefined : `a release in ${printable(channel, 100)}`) : `revision ${revision}`,
    `${type} ${byId ? "with the id " : ""}${printable(name, 100)}`,
  ];
  return `${parts.filter((part) => part !== undefined).join(" of ")}${system.length === 0 ? "" : ` for ${system.join(" ")}`}`;
}

function printableOf(missing: Missing): Missing {
  const short = Object.entries(missing).map(([key, value]) => [key, typeof value === "string" ? printable(value, 100) : value]);
  const { resource } = missing;
  return { ...Object.fromEntries(short), ...(resource && { resource: { ...resource, name: printable(resource.name, 100) } }) };
}
