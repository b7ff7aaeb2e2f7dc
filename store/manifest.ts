/**
 * Checks manifests and the list of assertions that belong to no stored snap. The value itself is not changed, so unknown
 * fields that a newer chp wrote survive, and the digest stays the same.
 */

import type { Agent, AgentRelease, SignedStreams } from "../src/catalog/agents.ts";
import type { Base } from "../src/catalog/base.ts";
import type { ImageNeed, Need } from "../src/catalog/need.ts";
import type {
  Details,
  Override,
  Package,
  Relations,
  Release,
  Resource,
  ResourceRevision,
  Revision,
  TextName,
} from "../src/catalog/package.ts";
import type { ImagePlatform, ListedManifest, Repository, RepositoryBlob, StoredManifest } from "../src/catalog/repository.ts";
import type { Sections } from "../src/catalog/sections.ts";
import type {
  Component,
  ComponentRevision,
  Pair,
  Snap,
  SnapDetails,
  SnapOverride,
  SnapPublisher,
  SnapRelease,
  SnapRevision,
  StoredAssertion,
} from "../src/catalog/snap.ts";
import { type Digest, isDigest } from "../src/digest.ts";
import { printable } from "../src/errors.ts";
import { boolean, type Guard, guard, list, map, nullable, number, object, oneOf, optional, showProblem, text } from "./guard.ts";

/** The type of a manifest by its section of the index. */
export interface Manifests extends Sections {
  readonly assertions: readonly StoredAssertion[];
}

const digest: Guard<Digest> = guard((value) => typeof value === "string" && isDigest(value), "is not a sha256");
const texts = list(text());
const onlyTrue = optional(oneOf<true>(true));
const categories = optional(list(object<{ readonly featured: boolean; readonly name: string }>({ featured: boolean, name: text() })));
const overrideTerms = { reason: text(), until: optional(text()) };

/* ---- charms and bundles ---- */

const base = object<Base>({ name: text(), channel: text(), architecture: text() });
const release = { channel: text(), base: nullable(base), revision: number, releasedAt: text(), resources: map(number) };
const endpoints = optional(map(object<{ interface: string }>({ interface: text() })));

const revision = object<Revision>({
  revision: number,
  version: text(),
  createdAt: text(),
  bases: list(base),
  blob: digest,
  size: number,
  texts: map(digest) as Guard<Partial<Record<TextName, Digest>>>,
  resources: texts,
  charms: texts,
  relations: object<Relations>({ provides: endpoints, requires: endpoints, peers: endpoints }),
  subordinate: boolean,
  attributes: optional(map(text())),
  snaps: optional(
    list(
      object<Need>({
        name: text(),
        revision: optional(number),
        channel: optional(text()),
        architecture: optional(text()),
        sure: text(),
        where: text(),
      }),
    ),
  ),
  images: optional(list(object<ImageNeed>({ reference: text(), sure: text(), where: text() }))),
  aside: onlyTrue,
});

const resourceRevision = object<Omit<ResourceRevision, "retargeted">>({
  revision: number,
  type: text(),
  filename: text(),
  description: text(),
  createdAt: text(),
  blob: digest,
  size: number,
  digests: object<ResourceRevision["digests"]>({ "sha-384": text(), "sha-512": text(), "sha3-384": text() }),
  image: optional(object<NonNullable<ResourceRevision["image"]>>({ reference: text(), path: text() })),
  aside: onlyTrue,
});

/** The declared fields of T, without its index signature. */
type DeclaredFields<T> = { readonly [K in keyof T as string extends K ? never : K]: T[K] };

const charm = object<Package>({
  type: oneOf("charm", "bundle"),
  name: text(),
  id: text(),
  formerIds: texts,
  declared: boolean,
  details: object<DeclaredFields<Details>>({
    title: optional(text()),
    summary: optional(text()),
    description: optional(text()),
    license: optional(text()),
    "store-url": optional(text()),
    publisher: optional(map(text())),
    categories,
  }),
  declaredTrack: optional(text()),
  chosenTrack: optional(text()),
  defaultTrack: text(),
  revisions: list(revision),
  resources: list(object<Resource>({ name: text(), revisions: list(resourceRevision) })),
  releases: list(object<Release>(release)),
  history: list(object<Release>(release)),
  publisherAssertion: optional(digest),
  overrides: optional(list(object<Override>({ ...release, ...overrideTerms }))),
});

/* ---- snaps ---- */

const assertion = object<StoredAssertion>({
  type: text(),
  key: texts,
  revision: number,
  format: number,
  text: text(),
  unverified: optional(text()),
});
const asserted = { blob: digest, size: number, "sha3-384": text(), unverified: optional(text()) };
const snapRelease = { channel: text(), architecture: text(), revision: number, releasedAt: text() };

const snapRevision = object<SnapRevision>({
  ...asserted,
  revision: number,
  createdAt: text(),
  yaml: digest,
  icon: optional(object<NonNullable<SnapRevision["icon"]>>({ blob: digest, size: number, extension: text() })),
  aside: onlyTrue,
  version: text(),
  type: text(),
  base: optional(text()),
  confinement: text(),
  architectures: texts,
  epoch: object<SnapRevision["epoch"]>({ read: list(number), write: list(number) }),
  title: optional(text()),
  summary: optional(text()),
  description: optional(text()),
  license: optional(text()),
  website: optional(text()),
  contact: optional(text()),
  links: map(texts),
  apps: texts,
  commonIds: texts,
  components: texts,
  providers: texts,
  provenance: optional(text()),
});

const componentRevision = object<ComponentRevision>({
  ...asserted,
  revision: number,
  type: text(),
  version: text(),
  description: text(),
  createdAt: text(),
});

const snap = object<Snap>({
  type: oneOf("snap"),
  name: text(),
  id: text(),
  publisher: object<SnapPublisher>({ id: text(), username: text(), "display-name": text(), validation: text() }),
  details: object<SnapDetails>({
    title: optional(text()),
    summary: optional(text()),
    description: optional(text()),
    license: optional(text()),
    contact: optional(text()),
    website: optional(text()),
    "store-url": optional(text()),
    links: optional(map(texts)),
    categories,
  }),
  defaultTrack: text(),
  isFallbackTrack: onlyTrue,
  chosenTrack: optional(text()),
  store: optional(text()),
  revisions: list(snapRevision),
  components: list(object<Component>({ name: text(), revisions: list(componentRevision) })),
  pairs: list(object<Pair>({ component: text(), componentRevision: number, revision: number })),
  releases: list(object<SnapRelease>(snapRelease)),
  history: list(object<SnapRelease>(snapRelease)),
  assertions: list(assertion),
  overrides: optional(list(object<SnapOverride>({ ...snapRelease, ...overrideTerms }))),
});

/* ---- images ---- */

const platform = optional(object<ImagePlatform>({ os: text(), architecture: text(), variant: optional(text()) }));
const blobs = list(object<RepositoryBlob>({ digest, size: number }));

const repository = object<Repository>({
  name: text(),
  registry: optional(text()),
  tags: map(digest),
  manifests: list(
    object<StoredManifest>({
      digest,
      mediaType: text(),
      size: number,
      platform,
      artifactType: optional(text()),
      subject: optional(digest),
      annotations: optional(map(text())),
      manifests: optional(list(object<ListedManifest>({ digest, platform }))),
      blobs: optional(list(digest)),
    }),
  ),
  blobs,
});

/* ---- agents ---- */

const signedText = object<RepositoryBlob>({ digest, size: number });
const agents = object<AgentRelease>({
  name: text(),
  version: text(),
  agents: list(
    object<Agent>({
      architecture: text(),
      blob: digest,
      size: number,
      products: map(text()),
      signed: optional(object<SignedStreams>({ index: signedText, products: signedText, updated: text(), key: text() })),
      signers: optional(list(object<{ readonly key: string; readonly name: string }>({ key: text(), name: text() }))),
      unverified: optional(text()),
    }),
  ),
  blobs,
});

const GUARDS: { readonly [S in keyof Manifests]: Guard<Manifests[S]> } = {
  packages: charm,
  snaps: snap,
  images: repository,
  agents,
  assertions: list(assertion),
};

const WHAT: Readonly<Record<keyof Manifests, string>> = {
  packages: "a manifest of a charm or bundle",
  snaps: "a manifest of a snap",
  images: "a list of the images of a repository",
  agents: "a list of the agents of a version",
  assertions: "a list of assertions",
};

/** `is not a manifest of a snap: revisions.0.blob is missing`; undefined: the value is valid. */
export function manifestProblem(section: keyof Manifests, value: unknown): string | undefined {
  const problem = GUARDS[section](value);
  return problem && `is not ${WHAT[section]}: ${printable(showProblem(problem), 300)}`;
}

/** What a manifest of any later section has: every blob that it names. */
export interface Listing {
  readonly blobs: readonly RepositoryBlob[];
}

const listing = object<Listing>({ blobs });

/** What is wrong with such a manifest; undefined: it is valid. */
export function listingProblem(value: unknown): string | undefined {
  const problem = listing(value);
  return problem && `is not a manifest with its blobs: ${printable(showProblem(problem), 300)}`;
}
