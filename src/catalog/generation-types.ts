/** The shapes of generations, and of what is published as one. */

import type { Algorithm, Digest, Sums } from "../digest.ts";
import type { Failure } from "../errors.ts";
import type { AssertionSet } from "./assertionset.ts";
import type { Package } from "./package.ts";
import type { Snap, StoredAssertion } from "./snap.ts";

/** Whose signature covers a source. */
export interface Signer {
  /** id of the key */
  readonly key: string;
  /** what the accepted key is called; may be empty */
  readonly name: string;
  /** what the signature says of itself, which it covers */
  readonly comment: string;
}

/** A file that an import read. */
export interface SourceRecord {
  readonly name: string;
  /** bytes */
  readonly size: number;
  readonly sha256: Digest;
  /** whose signatures cover all of it */
  readonly signers?: readonly Signer[];
  /** keys were accepted, and none of them signed it: it was taken in as it is */
  readonly unsigned?: true;
}

/** One step of the store's history: what it held from then on. */
export interface Generation {
  readonly format: number;
  readonly number: number;
  readonly parent: number;
  /** RFC 3339 */
  readonly time: string;
  /** `chp 0.1.0` */
  readonly tool: string;
  /** the command that made it */
  readonly command: string;
  readonly sources: readonly SourceRecord[];
  /** names of the charms and bundles that it changed, and what came to them */
  readonly changed: Readonly<Record<string, Tally>>;
  /** the same of snaps, which have names of their own */
  readonly snaps: Readonly<Record<string, Tally>>;
  /** how many assertions came */
  readonly assertions: number;
  readonly index: Digest;
}

export interface Tally {
  readonly revisions: readonly number[];
  readonly channels: number;
}

/** Digest of a package's manifest, then its ids, the present one first. */
export type Row = readonly [manifest: Digest, id: string, ...formerIds: string[]];

/** What a generation holds, by name. Charms and bundles share their names, as on Charmhub; snaps have their own. */
export interface Index {
  readonly packages: Readonly<Record<string, Row>>;
  readonly snaps: Readonly<Record<string, Row>>;
  /** the list of assertions that belong to no stored snap */
  readonly assertions?: Digest | undefined;
}

/** A change to publish: new or changed packages, and how the generation tells of them. */
export interface Draft extends Pick<Generation, "command" | "sources" | "changed"> {
  readonly packages: readonly Package[];
  /** names of charms and bundles that are not held any more */
  readonly dropped?: readonly string[];
  readonly snaps?: SnapDraft;
  /** what the packages name that is not in the store yet */
  readonly blobs: readonly Ingested[];
  /** not merged: a generation that came in between is a `conflict` */
  readonly exclusive?: true;
}

/** A draft, and whatever its maker wants to have with what was published. */
export interface Drafted<T> {
  readonly draft: Draft;
  readonly result: T;
}

export interface Published<T> {
  /** undefined: there was nothing to change */
  readonly generation: Generation | undefined;
  /** of the draft that was published */
  readonly result: T;
}

export interface SnapDraft {
  readonly changed: readonly Snap[];
  /** names that no snap has any more */
  readonly dropped: readonly string[];
  /** the assertions that belong to no held snap; undefined: unchanged */
  readonly others?: readonly StoredAssertion[];
  readonly tally: Generation["snaps"];
  /** how many assertions came */
  readonly assertions: number;
}

/** A blob on its way into the store: hashed and counted, not visible. */
export interface Ingested {
  readonly sums: Sums;
  bytes(start: number, end: number): Promise<Uint8Array>;
  /** Fails with `corrupt` where the bytes are not what is expected, and then nothing is visible. */
  commit(expected?: Expected): Promise<void>;
  discard(): Promise<void>;
}

/** What bytes must be to be committed. */
export interface Expected {
  /** bytes */
  readonly size?: number | undefined;
  readonly digest?: Digest;
  /** what they are, for the failure: `blob 3fa9… in /var/lib/chp` */
  readonly what?: string;
  /** its next step */
  readonly next?: string;
}

/** A package whose manifest is not read. */
export interface Unreadable {
  readonly section: "packages" | "snaps";
  readonly name: string;
  readonly failure: Failure;
}

/** What stands in place of something that cannot be read. */
export interface Mended {
  readonly section: "packages" | "snaps" | "assertions";
  /** of the package */
  readonly name: string;
  /** whose state it is; 0: of none, nothing is known */
  readonly generation: number;
  /** names of files that changed it after that generation */
  readonly since: readonly string[];
}

/** A generation, as an import reads it. */
export interface CatalogView {
  /** 0: nothing was ever published */
  readonly number: number;
  readonly index: Index;
  package(name: string): Promise<Package | undefined>;
  snap(name: string): Promise<Snap | undefined>;
  snapById(id: string): Promise<Snap | undefined>;
  snaps(): Promise<Snap[]>;
  assertions(): Promise<AssertionSet>;
}

/** The store, as an import uses it. */
export interface ImportStore {
  /** why an older generation is read than the newest, if so */
  readonly damage: Failure | undefined;
  snapshot(): CatalogView | Promise<CatalogView>;
  mendable(base: CatalogView, mended: (one: Mended) => void): CatalogView;
  publish<T>(time: string, draft: (base: CatalogView) => Promise<Drafted<T>>): Promise<Published<T>>;
  has(digest: Digest): boolean;
  digestOf(manifest: Package | Snap | readonly StoredAssertion[]): Digest;
  ingest(chunks: AsyncIterable<Uint8Array>, also?: readonly Algorithm[]): Promise<Ingested>;
  ingestBytes(bytes: Uint8Array, also?: readonly Algorithm[]): Promise<Ingested>;
}
