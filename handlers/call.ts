/** What the application needs, what handlers get of it, and one request. */

import type { CacheUse } from "../src/cache.ts";
import type { CloudImage } from "../src/catalog/cloudimage.ts";
import type { CatalogView, Drafted } from "../src/catalog/generation-types.ts";
import type { Registries } from "../src/catalog/registry.ts";
import type { Digest } from "../src/digest.ts";
import type { Ready } from "../src/ready.ts";
import type { CertificateFacts } from "../src/settings/certificate.ts";
import type { Token } from "../src/settings/token.ts";
import type { Cap, RemoteOption } from "../src/wire/remoteimport.ts";
import type { LastRuns } from "../store/runs.ts";
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
  readonly store: Pick<Store, "snapshot" | "blob" | "text"> & Partial<Pick<Store, "damage" | "away" | "lags" | "isBehind">>;
  readonly config: ServeConfig;
  readonly log: Log;
  /** the registries that images are pulled from; they may change at any time */
  readonly registries?: () => Ready<Registries>;
  /** the system images of the site's clouds; they may change at any time */
  readonly cloudImages?: () => Ready<readonly CloudImage[]>;
  /** signs device sessions; servers with the same key accept each other's. Undefined: there is none yet, and a random one does it meanwhile */
  readonly sessionKey?: () => Promise<Uint8Array | undefined>;
  /** decides when overrides end; by default the clock of the machine */
  readonly clock?: Clock;
  /** undefined: there is no remote import */
  readonly remoteImport?: RemoteImport;
  /** undefined: this server takes no images, whatever the setting says */
  readonly imagePush?: ImagePush;
  /** undefined: there is no Overrides API */
  readonly overrides?: OverrideWrites;
  /** what the metrics say of the machine; undefined: nothing */
  readonly vitals?: Vitals;
  /** undefined: there are no pages */
  readonly web?: Web;
}

/** What the pages show of this server in addition to what is stored. Nothing of it is secret. */
export interface Web {
  /** the manual of this version, in the order of `chp help` */
  readonly manual: readonly ManualPage[];
  readonly history: Pick<Store, "generation" | "generationNumbers">;
  /** How machines are pointed at that address, which has no trailing slash. */
  readonly setup: (origin: string) => Promise<readonly SetupPart[]>;
  readonly machine: () => Promise<MachineFacts>;
}

export interface ManualPage {
  readonly name: string;
  readonly title: string;
  /** Markdown, without the title */
  readonly text: string;
}

/** One thing to set up: on which machines, and what to type there. */
export interface SetupPart {
  readonly id: string;
  readonly title: string;
  readonly about: string;
  readonly steps: readonly { readonly label: string; readonly text: string }[];
}

export interface MachineFacts {
  /** bytes that the store may still take on its disk; undefined: not known */
  readonly free?: number;
  /** undefined: there is no TLS */
  readonly certificate?: CertificateFacts;
  /** what an operator should look at, each with the next step */
  readonly notes: readonly string[];
}

/** What only the program knows of this machine. A failure leaves its metrics out. */
export interface Vitals {
  /** the end of the certificate that is served, in milliseconds since 1970; undefined: none is */
  certificateEnd(): number | undefined;
  /** bytes of the store's file system, free ones for its user; undefined: it is in a bucket */
  disk(): Promise<{ readonly size: number; readonly free: number } | undefined>;
  /** Bytes of all blobs, each of which is looked at: not for every scrape. */
  storeBytes(): Promise<number>;
  /** how imports and verifications ended: a listing of a folder with a few files */
  lastRuns(): Promise<LastRuns>;
}

/** The dependencies of the handlers. */
export interface HandlerDeps extends Pick<Deps, "log" | "registries"> {
  readonly store: Offers;
  /** which registry the references of a reply name */
  readonly registryOf: OfferedRegistries;
  readonly bodies: Bodies;
  /** the counts of the cache of that name */
  readonly cacheUse: (name: string) => CacheUse;
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

/** Overrides that clients set. */
export interface OverrideWrites {
  readonly tokens: () => Promise<readonly Token[]>;
  /**
   * Publishes what `draft` makes of the newest generation; it is called again where another one comes in between. `now`: RFC 3339. Throws
   * `forbidden` where the server may not write into its store.
   */
  publish<T>(draft: (base: CatalogView, now: string) => Promise<Drafted<T>>): Promise<OverridesEnd<T>>;
}

export interface OverridesEnd<T> extends Pick<Drafted<T>, "result"> {
  /** undefined: all of it was so before */
  readonly generation: number | undefined;
  /** the command that takes it back; undefined: there is nothing to take back */
  readonly undo: string | undefined;
}

/**
 * Images that clients push. A blob is uploaded in pieces, waits for a manifest that names it, and with that is published. `by`: the name of a
 * token, whose uploads no other token sees.
 */
export interface ImagePush {
  readonly tokens: () => Promise<readonly Token[]>;
  /** bytes of a manifest */
  readonly maxManifest: number;
  /**
   * Begins an upload for a repository; its id. Throws `too-many`, and `forbidden` where the server may not write into its store.
   */
  begin(name: string, by: string): Promise<string>;
  /** Runs `work` with an upload; undefined: there is none. Throws `too-many` while another request has it. */
  use<T>(id: string, name: string, by: string, work: (upload: ImageUpload) => Promise<T>): Promise<T> | undefined;
  /** bytes of a blob that waits for a manifest of that repository; undefined: it does not */
  waiting(name: string, digest: Digest): number | undefined;
  /** Lets a stored blob of another repository wait in that one. */
  mount(name: string, digest: Digest, size: number): void;
  /** Publishes a manifest. Throws `refused` for one that is none, and `forbidden` as `begin`. */
  publish(manifest: PushedManifest, by: string): Promise<PushEnd>;
}

export interface ImageUpload {
  /** bytes that came so far */
  readonly size: number;
  /** Throws `too-large`; the upload is over then. */
  write(chunk: Uint8Array): Promise<void>;
  /** Keeps the blob, and ends the upload. False: its digest is another, nothing is kept. */
  end(digest: Digest): Promise<boolean>;
  cancel(): Promise<void>;
}

export interface PushedManifest {
  /** of the repository */
  readonly name: string;
  /** undefined: it is pushed by its digest */
  readonly tag?: string;
  /** as the client says; undefined: it does not */
  readonly mediaType?: string;
  readonly bytes: Uint8Array;
}

/** `generation` undefined: it was there already. `missing`: what it names and the repository does not have; nothing was published. */
export type PushEnd =
  | { readonly digest: Digest; readonly subject?: Digest; readonly generation: number | undefined }
  | { readonly missing: Digest };
