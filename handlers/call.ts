/** What all handlers share: what they are given, and one request on its way. */

import type { Registries } from "../src/catalog/registry.ts";
import type { Token } from "../src/settings/token.ts";
import type { RemoteOption } from "../src/wire/remoteimport.ts";
import type { Store } from "../store/store.ts";
import type { Peer } from "./listen.ts";
import type { Log } from "./log.ts";
import type { Clock, Offers } from "./offer.ts";

export interface ServeConfig {
  /** what clients reach this server by, without a trailing slash; else it is taken from each request */
  readonly publicUrl?: string;
}

export interface Deps {
  readonly store: Pick<Store, "snapshot" | "blob" | "text"> & Partial<Pick<Store, "damage">>;
  readonly config: ServeConfig;
  readonly log: Log;
  /** where images are pulled from; it may change at any time */
  readonly registries?: () => Registries | Promise<Registries>;
  /** signs device sessions; servers that share it know each other's. Absent: one for as long as the process lives */
  readonly sessionKey?: Uint8Array;
  /** what overrides end by; the machine's by default */
  readonly clock?: Clock;
  /** takes imports from other machines; absent: never */
  readonly remoteImport?: RemoteImport;
}

/** What the handlers have of it. */
export interface HandlerDeps extends Pick<Deps, "log" | "registries"> {
  readonly store: Offers;
}

/** One request on its way; a handler has it as `c.env`. */
export interface Call {
  /** in the log and in X-Request-Id */
  readonly id: string;
  /** public URL of this server, without a trailing slash */
  readonly origin: string;
  readonly peer: Peer;
}

export interface Env {
  Bindings: Call;
}

export interface RemoteImport {
  /** what a request may say. Nothing is among it that names files of the server, or a store */
  readonly options: readonly RemoteOption[];
  /** those that are accepted now; none: there is no remote import */
  readonly tokens: () => Promise<readonly Token[]>;
  /** Runs one import. It is ended when reading its body throws; when it ends before, the rest of the body is not read. */
  readonly run: (job: ImportJob) => Promise<ImportEnd>;
  /** milliseconds after which a body of which nothing arrives is given up */
  readonly idle?: number;
}

export interface ImportJob {
  /** options of `chp import` */
  readonly words: readonly string[];
  readonly body: AsyncIterable<Uint8Array>;
  /** bytes of the body, where the client says so */
  readonly size?: number;
}

export interface ImportEnd {
  /** exit code, or the signal that ended it */
  readonly exit: number | string;
  /** what it printed: the report */
  readonly out: string;
  /** in its last line, why it failed */
  readonly err: string;
}
