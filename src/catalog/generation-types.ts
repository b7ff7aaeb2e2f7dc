/** Types of generations and of the drafts that are published as generations. */

import type { Algorithm, Digest, Sums } from "../digest.ts";
import type { Failure } from "../errors.ts";
import type { AgentRelease } from "./agents.ts";
import type { AssertionSet } from "./assertionset.ts";
import type { Package } from "./package.ts";
import type { Repository } from "./repository.ts";
import type { AgentTally, ImageTally, OfEach, Rows, SectionName, Sections, Tallies, Tally } from "./sections.ts";
import type { Snap, StoredAssertion } from "./snap.ts";

/** A key whose signature covers a source. */
export interface Signer {
  /** id of the key */
  readonly key: string;
  /** what the accepted key is called; may be empty */
  readonly name: string;
  /** the trusted comment of the signature, which it covers */
  readonly comment: string;
}

/** Id of a key to the newest time of its signatures: RFC 3339 in UTC, in seconds, so that texts compare as times do. */
export type SignedTimes = Readonly<Record<string, string>>;

/** A file that an import read. */
export interface SourceRecord {
  readonly name: string;
  /** bytes */
  readonly size: number;
  readonly sha256: Digest;
  /** keys whose signatures cover all of it */
  readonly signers?: readonly Signer[];
  /** accepted keys were set, and none of them signed it: the operator imported it anyway */
  readonly unsigned?: true;
}

/** A published state of the store, and what it changed. */
export interface Generation {
  readonly format: number;
  readonly number: number;
  readonly parent: number;
  /** sha256 of the parent's file; undefined: there is no parent, or an older chp wrote this (format 1) */
  readonly parentDigest?: Digest;
  /** RFC 3339 */
  readonly time: string;
  /** `chp 0.1.0` */
  readonly tool: string;
  /** the command that made it */
  readonly command: string;
  readonly sources: readonly SourceRecord[];
  /** charms and bundles that it changed, by name, and what was added to each */
  readonly changed: Readonly<Record<string, Tally>>;
  /** the same for snaps */
  readonly snaps: Readonly<Record<string, Tally>>;
  /** the same for repositories of images; absent: none changed, or an older chp wrote this */
  readonly images?: Readonly<Record<string, ImageTally>>;
  /** the same for agents, by version; absent: none changed, or an older chp wrote this */
  readonly agents?: Readonly<Record<string, AgentTally>>;
  /** number of assertions that were added */
  readonly assertions: number;
  /** the newest signed time of each key, of this and all earlier imports; absent: an older version made it */
  readonly signed?: SignedTimes;
  readonly index: Digest;
  /** by the store key, where one is set */
  readonly signature?: string;
  /** of its file, which does not contain it */
  readonly sha256: Digest;
}

/** What is in a generation: by section, and there by name. */
export interface Index extends OfEach<Rows> {
  /** the list of assertions that belong to no stored snap */
  readonly assertions?: Digest | undefined;
  /** sections that this chp does not know, by name: they are kept as they are, with all that they name */
  readonly others?: Readonly<Record<string, unknown>>;
}

/** A change to publish: what is new or changed in each section, and what the generation records of it. */
export interface ChangeDraft extends Pick<Generation, "command" | "sources"> {
  readonly sections: { readonly [S in SectionName]?: SectionDraft<S> };
  readonly assertions?: AssertionDraft;
  /** signed times of its sources; one that is newer than what is remembered makes a generation, even if nothing else changed */
  readonly signed?: SignedTimes;
  /** staged blobs that the manifests refer to and the store does not have */
  readonly blobs: readonly StagedBlob[];
  /** blobs that the draft found in the store and does not bring: without one of them nothing is published */
  readonly required?: readonly Digest[];
  /** a generation that was published in between is a `conflict`, not merged with */
  readonly exclusive?: true;
}

/** What changes in one section. */
export interface SectionDraft<S extends SectionName> {
  readonly changed: readonly Sections[S][];
  /** names of what was removed */
  readonly dropped?: readonly string[];
  /** by name, what was added to each */
  readonly tally: Readonly<Record<string, Tallies[S]>>;
}

/** What changes of the assertions. */
export interface AssertionDraft {
  /** all that belong to no stored snap; undefined: unchanged */
  readonly others?: readonly StoredAssertion[];
  /** how many are new, those in manifests of snaps included */
  readonly added: number;
}

/** A draft with a result that is returned once the draft is published. */
export interface Drafted<T> {
  readonly draft: ChangeDraft;
  readonly result: T;
}

export interface Published<T> {
  /** undefined: there was nothing to change */
  readonly generation: Generation | undefined;
  /** of the draft that was published */
  readonly result: T;
}

/** A staged blob: its bytes are stored and hashed, and not visible until it is committed. */
export interface StagedBlob {
  readonly sums: Sums;
  bytes(start: number, end: number): Promise<Uint8Array>;
  /** Fails with `corrupt` if the bytes are not as expected; then nothing becomes visible. */
  commit(expected?: Expected): Promise<void>;
  /** Makes the next `commit` store it again, if it is gone. */
  mayBeGone(): void;
  discard(): Promise<void>;
}

/** The size and digests that bytes must have to be committed. */
export interface Expected {
  /** bytes */
  readonly size?: number | undefined;
  readonly digest?: Digest;
  /** a name for them in the failure: `blob 3fa9… in /var/lib/chp` */
  readonly what?: string;
  /** its next step */
  readonly next?: string;
}

/** Something stored whose manifest cannot be read. */
export interface UnreadablePackage {
  readonly section: SectionName;
  readonly name: string;
  readonly failure: Failure;
}

/** The older state that is served in place of something that cannot be read. */
export interface RepairedEntry {
  readonly section: SectionName | "assertions";
  /** of what is stored; of assertions empty */
  readonly name: string;
  /** the generation that the state is of; 0: no readable state is left */
  readonly generation: number;
  /** names of the imported files that changed it after that generation */
  readonly since: readonly string[];
}

/** A generation, as an import reads it. */
export interface CatalogView {
  /** 0: nothing was ever published */
  readonly number: number;
  readonly generation: Generation | undefined;
  readonly index: Index;
  /** What is stored in a section under that name. */
  stored<S extends SectionName>(section: S, name: string): Promise<Sections[S] | undefined>;
  package(name: string): Promise<Package | undefined>;
  snap(name: string): Promise<Snap | undefined>;
  snapById(id: string): Promise<Snap | undefined>;
  snaps(): Promise<Snap[]>;
  repository(name: string): Promise<Repository | undefined>;
  repositories(): Promise<Repository[]>;
  agents(): Promise<AgentRelease[]>;
  assertions(): Promise<AssertionSet>;
}

/** The store, as an import uses it. */
export interface ImportStore {
  /** why a generation before the newest is read; undefined: it is not */
  readonly damage: Failure | undefined;
  snapshot(): CatalogView | Promise<CatalogView>;
  /** `base` with an older readable state in place of everything that cannot be read; `repaired` is called for each */
  withRepairs(base: CatalogView, repaired: (entry: RepairedEntry) => void): CatalogView;
  /** the newest signed time of each key, as of that generation */
  signedTimes(base: CatalogView): Promise<SignedTimes>;
  publish<T>(time: string, draft: (base: CatalogView) => Promise<Drafted<T>>): Promise<Published<T>>;
  has(digest: Digest): boolean | Promise<boolean>;
  digestOf(manifest: Sections[SectionName] | readonly StoredAssertion[]): Digest;
  ingest(chunks: AsyncIterable<Uint8Array>, also?: readonly Algorithm[], size?: number): Promise<StagedBlob>;
  ingestBytes(bytes: Uint8Array, also?: readonly Algorithm[]): Promise<StagedBlob>;
}
