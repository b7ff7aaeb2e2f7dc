/** What the application needs, what handlers get of it, and one request. */

import type { Registries } from "../src/catalog/registry.ts";
import type { Token } from "../src/settings/token.ts";
import type { Cap, RemoteOption } from "../src/wire/remoteimport.ts";
import type { Store } from "../store/store.ts";
import type { Bodies } from "./body.ts";
import type { Peer } from "./listen.ts";
import type { Log } from "./log.ts";
import type { Clock, Offers } from "./offer.ts";
import type { OfferedRegistries } from "./registries.ts";

export interface ServeConfig {
  /** the URL by which clients reach this server, without a trailing slash; undefined: taken from each request */
  readonly publicUrl?: string;
}

export interface Deps {
  readonly store: Pick<Store, "snapshot" | "blob" | "text"> & Partial<Pick<Store, "damage">>;
  readonly config: ServeConfig;
  readonly log: Log;
  /** the registries that images are pulled from; they may change at any time */
  readonly registries?: () => Registries | Promise<Registries>;
  /** signs device sessions; servers with the same key accept each other's. Undefined: a random key */
  readonly sessionKey?: Uint8Array;
  /** decides when overrides end; by default the clock of the machine */
  readonly clock?: Clock;
  /** undefined: there is no remote import */
  readonly remoteImport?: RemoteImport;
}

/** The dependencies of the handlers. */
export interface HandlerDeps extends Pick<Deps, "log" | "registries"> {
  readonly store: Offers;
  /** which registry the references of a reply name */
  readonly registryOf: OfferedRegistries;
  readonly bodies: Bodies;
}

/** One request besides its HTTP; a handler reads it as `c.env`. */
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
  /** options that a request may set: none that names a file of the server or a store */
  readonly options: readonly RemoteOption[];
  /** limits of archives that a request may lower and not raise; undefined: none */
  readonly caps?: readonly Cap[];
  /** the tokens that are accepted now; none: there is no remote import */
  readonly tokens: () => Promise<readonly Token[]>;
  /** Runs one import, and aborts it if reading its body throws. An import may end without reading the whole body. */
  readonly run: (job: ImportJob) => Promise<ImportEnd>;
  /** milliseconds without a byte of the body after which the import fails */
  readonly idle?: number;
  /** bytes of a body; undefined: no limit */
  readonly maxSize?: number | undefined;
  /** seconds of an import; undefined: no limit */
  readonly maxSeconds?: number | undefined;
  /** imports that run at once */
  readonly maxParallel?: number | undefined;
}

export interface ImportJob {
  /** options of `chp import` */
  readonly words: readonly string[];
  readonly body: AsyncIterable<Uint8Array>;
  /** bytes of the body, if the client declared them */
  readonly size?: number;
  /** aborts the import */
  readonly signal: AbortSignal;
}

export interface ImportEnd {
  /** exit code, or the signal that ended it */
  readonly exit: number | string;
  /** stdout: the report */
  readonly out: string;
  /** stderr; the last line says why it failed */
  readonly err: string;
}
