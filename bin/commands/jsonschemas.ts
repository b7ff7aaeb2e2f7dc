/**
 * What each command prints with `--json`, as schemas: `chp help json` shows them, and a test holds them against the output. To add a
 * field, add it here; a field that is not here fails that test.
 */

import * as v from "valibot";

type Schema = v.GenericSchema;

/** A list of objects with these fields and no others. */
const rows = <T extends v.ObjectEntries>(fields: T) => v.array(v.strictObject(fields));
const about = <S extends Schema>(schema: S, text: string) => v.pipe(schema, v.description(text));
const text = v.string();
const texts = v.array(text);
const number = v.number();
const numbers = v.array(number);
const flag = v.boolean();
const orNull = <S extends Schema>(schema: S) => v.nullable(schema);
/** Objects whose further fields are those of the store's format. */
const AS_STORED = "as stored: store/README.md of the sources";
const asStored = about(v.array(v.looseObject({})), AS_STORED);

const time = about(text, "RFC 3339");
const bytes = about(number, "bytes");
const generation = about(orNull(number), "the one that was made; null: nothing changed");
const undo = about(orNull(text), "the command line that undoes it");
const BASE = orNull(v.strictObject({ name: text, channel: text, architecture: text }));
const TYPE = v.picklist(["charm", "bundle", "snap"]);

const OVERRIDE = {
  name: text,
  type: TYPE,
  channel: text,
  on: about(text, "base and architecture"),
  revision: number,
  without: about(orNull(number), "the revision that is released there"),
  reason: text,
  until: orNull(time),
  state: v.picklist(["in force", "ended"]),
};
const TERMS = orNull(v.strictObject({ revision: number, reason: text, until: orNull(time) }));
const OVERRIDE_MOVES = rows({
  channel: text,
  on: text,
  without: orNull(number),
  from: about(TERMS, "null: it was set"),
  to: about(TERMS, "null: it was ended"),
});

/** A snap that something needs. */
const NEED = {
  name: text,
  revision: v.optional(number),
  channel: v.optional(text),
  architecture: v.optional(text),
  sure: v.picklist(["certain", "likely"]),
  kinds: texts,
  by: about(texts, "what needs it"),
  stored: flag,
};
const SOURCES = rows({
  name: text,
  size: bytes,
  sha256: text,
  signers: v.optional(rows({ key: text, name: text, comment: text })),
  unsigned: v.optional(v.literal(true)),
});
const CERTIFICATE = { subject: text, issuer: text, names: texts, notBefore: time, notAfter: time, fingerprint: text };
const LISTED = {
  name: text,
  type: TYPE,
  id: text,
  defaultTrack: text,
  channels: texts,
  overridden: about(texts, "channels with an override in force"),
  revisions: numbers,
  unverified: v.optional(about(numbers, "revisions of a snap that could not be verified")),
  size: bytes,
};
/** A repository of images in a list of packages. */
const LISTED_IMAGES = {
  name: text,
  type: v.literal("image"),
  tags: about(v.record(text, text), "tag to digest"),
  architectures: texts,
  manifests: about(texts, "digests"),
  size: bytes,
};
/** The agents of a version of Juju in a list of packages. */
const LISTED_AGENTS = {
  name: text,
  type: v.literal("agent"),
  version: text,
  architectures: texts,
  unverified: about(texts, "architectures whose agent nobody vouches for"),
  size: bytes,
};
/** A version of agents that changed. */
const AGENTS_DIFFERENCE = rows({
  name: text,
  state: v.picklist(["added", "removed", "changed"]),
  architectures: v.strictObject({ added: texts, removed: texts }),
  proven: about(texts, "architectures that are vouched for in another way now"),
});
const KEY = { id: text, text, comment: text, until: v.optional(time) };
const STATE = about(v.picklist(["new", "changed", "known"]), "known: already present");
const NEW_AND_KNOWN = <S extends Schema>(each: S) => v.strictObject({ new: v.array(each), known: v.array(each) });
const TAG_MOVES = rows({ tag: text, from: about(orNull(text), "digest; null: it is new"), to: about(orNull(text), "null: it is removed") });
/** A repository of images that changed. */
const REPOSITORY_DIFFERENCE = rows({
  name: about(text, "the repository"),
  state: v.picklist(["added", "removed", "changed"]),
  tags: TAG_MOVES,
  manifests: v.strictObject({ added: texts, removed: texts }),
});
const CHANGE = v.strictObject({
  generation,
  packages: rows({
    name: text,
    type: TYPE,
    moves: rows({
      channel: text,
      on: text,
      from: about(orNull(number), "null: it was opened"),
      to: about(orNull(number), "null: it was closed"),
      override: about(orNull(v.strictObject(OVERRIDE)), "the override that hides the move"),
    }),
    newTracks: texts,
    overrides: OVERRIDE_MOVES,
    defaultTrack: v.strictObject({ from: orNull(text), to: orNull(text) }),
  }),
  images: REPOSITORY_DIFFERENCE,
  agents: AGENTS_DIFFERENCE,
  undo,
});
const NEEDED_BY = v.array(
  v.union([
    about(v.strictObject({ charm: text, resource: text, revision: number }), "a resource of a charm, and its revision"),
    about(
      v.strictObject({ charm: text, file: text, revision: number, sure: v.picklist(["certain", "likely"]) }),
      "a file in a revision of a charm",
    ),
  ]),
);
const IMPORT = v.strictObject({
  generation,
  dryRun: flag,
  sources: SOURCES,
  packages: rows({
    name: text,
    type: v.picklist(["charm", "bundle"]),
    id: text,
    state: STATE,
    defaultTrack: text,
    revisions: NEW_AND_KNOWN(number),
    resources: about(NEW_AND_KNOWN(text), "NAME_REVISION"),
    channels: rows({ channel: text, base: BASE, from: orNull(number), to: orNull(number) }),
    overrides: rows(OVERRIDE),
    notes: texts,
  }),
  snaps: rows({
    name: text,
    type: v.literal("snap"),
    id: text,
    state: STATE,
    defaultTrack: text,
    revisions: NEW_AND_KNOWN(number),
    components: about(NEW_AND_KNOWN(text), "NAME_REVISION"),
    channels: rows({ channel: text, architecture: text, from: orNull(number), to: orNull(number) }),
    overrides: rows(OVERRIDE),
    unverified: rows({ revision: number, reason: text }),
    notes: texts,
  }),
  images: rows({
    name: about(text, "the repository"),
    state: STATE,
    manifests: NEW_AND_KNOWN(text),
    tags: rows({ tag: text, from: orNull(text), to: text }),
    architectures: texts,
  }),
  agents: rows({
    name: text,
    version: text,
    state: STATE,
    architectures: NEW_AND_KNOWN(text),
    unverified: rows({ architecture: text, reason: text }),
  }),
  assertions: v.strictObject({ new: number, known: number }),
  missing: v.strictObject({
    charms: rows({ bundle: text, charm: text }),
    resources: rows({ charm: text, resource: text, revision: orNull(number) }),
    revisions: rows({ name: text, channel: text, base: BASE, revision: number }),
    snapRevisions: rows({ name: text, channel: text, architecture: text, revision: number }),
    snaps: rows(NEED),
    images: rows({ upstream: text, neededBy: NEEDED_BY }),
  }),
  pulledFromHere: rows({
    charm: text,
    resource: text,
    revision: number,
    upstream: text,
    here: about(text, "the reference that Juju gets from now on"),
    architectures: about(orNull(texts), "null: all of them"),
  }),
  notes: texts,
  ignored: texts,
  bytes: v.strictObject({ new: number, known: number }),
  undo,
});
const LOST = rows({ name: text, error: text, url: v.optional(text), status: v.optional(orNull(number)) });
const ARCHIVES = v.strictObject({
  archives: rows({
    paths: texts,
    beside: about(texts, "script and credentials of images, lock"),
    size: bytes,
    fetched: bytes,
    packages: rows({
      name: text,
      type: v.picklist(["charm", "bundle"]),
      id: text,
      revisions: numbers,
      resources: texts,
      releases: asStored,
    }),
    snaps: rows({ name: text, id: text, revisions: numbers, releases: asStored }),
    images: about(rows({ reference: text, digest: text, size: bytes, neededBy: NEEDED_BY }), "container images in the archive"),
    agents: rows({
      version: text,
      updated: about(time, "when upstream last changed the streams that name them"),
      files: rows({ architecture: text, size: bytes, sha256: text }),
    }),
    notes: texts,
    kept: about(rows({ bytes: number, folder: text }), "what the same command reuses"),
    lost: about(LOST, "what is not in the archive"),
  }),
});
const GENERATION = {
  format: number,
  number,
  parent: number,
  parentDigest: v.optional(text),
  time,
  tool: text,
  command: text,
  sources: SOURCES,
  changed: v.record(text, v.strictObject({ revisions: numbers, channels: number })),
  snaps: v.record(text, v.strictObject({ revisions: numbers, channels: number })),
  images: v.optional(v.record(text, v.strictObject({ manifests: number, tags: texts }))),
  agents: v.optional(v.record(text, v.strictObject({ added: texts, removed: texts }))),
  assertions: number,
  signed: v.optional(v.record(text, time)),
  index: text,
  signature: v.optional(text),
  sha256: text,
};
const BLOBS = v.strictObject({ blobs: number, bytes: number });
const LISTS = <S extends Schema>(each: S) => v.strictObject({ added: v.array(each), removed: v.array(each) });
const COPY = v.strictObject({
  from: text,
  to: text,
  generations: numbers,
  linked: about(number, "files that are hard links"),
  copied: about(number, "files that were copied"),
  bytes: about(number, "of the copied files"),
  secrets: texts,
});
const SERVER = v.variant("running", [
  v.strictObject({ running: v.literal(true), url: text, version: text, generation: number }),
  v.strictObject({ running: v.literal(false), tried: rows({ url: text, why: text }) }),
]);

export interface JsonOutput {
  /** command lines, without `chp` and `--json`, that print it */
  readonly commands: readonly string[];
  readonly schema: Schema;
}

/** In the order of `chp help`. */
export const JSON_OUTPUTS: readonly JsonOutput[] = [
  { commands: ["export", "export bundle", "export charms", "export snaps"], schema: ARCHIVES },
  {
    commands: ["export --dry-run"],
    schema: v.strictObject({
      packages: rows({
        type: v.picklist([...TYPE.options, "image", "agent"]),
        name: about(text, "of an image its reference"),
        revisions: numbers,
        size: bytes,
        reasons: about(texts, "empty: it was requested"),
      }),
      size: bytes,
      notes: texts,
      lost: LOST,
    }),
  },
  { commands: ["import", "push-charms", "push-charm-bundle", "push-snap", "push-store", "push-account-keys"], schema: IMPORT },
  {
    commands: ["import --repair"],
    schema: v.strictObject({ restored: rows({ digest: text, size: bytes, what: text }), stillLost: v.array(text), dryRun: flag }),
  },
  {
    commands: ["inventory"],
    schema: v.strictObject({
      format: number,
      charms: v.record(text, v.strictObject({ revisions: v.record(text, text), resources: v.record(text, v.record(text, text)) })),
      bundles: v.record(text, v.strictObject({ revisions: v.record(text, text) })),
      snaps: v.record(text, v.strictObject({ revisions: v.record(text, text), components: v.record(text, v.record(text, text)) })),
      images: v.optional(about(v.record(text, texts), "digests of a repository's manifests, configs and layers")),
      agents: v.optional(about(v.record(text, texts), "digests of a version's files and signed texts")),
    }),
  },
  { commands: ["keygen"], schema: v.strictObject({ id: text, comment: text, secret: about(text, "path"), public: about(text, "path") }) },
  { commands: ["accept-key"], schema: rows(KEY) },
  {
    commands: ["token"],
    schema: v.strictObject({
      name: text,
      token: v.optional(text),
      file: v.optional(text),
      created: time,
      until: orNull(time),
      may: texts,
      undo: text,
    }),
  },
  { commands: ["token --list"], schema: rows({ name: text, created: time, until: orNull(time), expired: flag, may: texts }) },
  { commands: ["token --revoke"], schema: v.strictObject({ revoked: text, left: texts }) },
  { commands: ["serve"], schema: v.strictObject({ addresses: texts }) },
  { commands: ["config", "config KEY"], schema: rows({ key: text, value: orNull(text), source: orNull(text) }) },
  {
    commands: ["config KEY=VALUE"],
    schema: v.strictObject({
      changes: rows({ key: text, from: orNull(text), to: orNull(text), applies: text }),
      undo,
      lost: about(texts, "secrets whose former value is not kept"),
    }),
  },
  {
    commands: ["config --import-yaml"],
    schema: v.strictObject({ settings: rows({ key: text, state: v.picklist(["set", "unset"]) }), leftOut: rows({ key: text, why: text }) }),
  },
  {
    commands: ["unit"],
    schema: v.strictObject({ name: text, path: text, unit: text, commands: texts, addresses: texts, notes: texts }),
  },
  {
    commands: ["import-certificate"],
    schema: v.strictObject({ ...CERTIFICATE, authority: v.optional(v.strictObject(CERTIFICATE)), warnings: texts }),
  },
  {
    commands: ["trust"],
    schema: v.strictObject({
      publicUrl: orNull(text),
      hosts: texts,
      certificate: about(orNull(v.strictObject({ pem: text, ...CERTIFICATE })), "null: the public URL is http"),
      parts: v.record(text, text),
    }),
  },
  {
    commands: ["juju-config"],
    schema: v.strictObject({
      "charmhub-url": text,
      "snap-store-proxy-url": orNull(text),
      "agent-metadata-url": about(orNull(text), "with --bootstrap, where agents are stored"),
      "caas-image-repo": about(orNull(text), "with --bootstrap, where the images of controllers are stored"),
      "image-metadata-url": about(orNull(text), "with --cloud openstack, where system images are named"),
      omitted: about(texts, "with --bootstrap: what is left out, and why"),
      why: text,
      certificates: texts,
      config: text,
      controller: v.optional(about(v.array(v.looseObject({})), "with --bootstrap: the stored releases of its charm")),
    }),
  },
  {
    commands: ["snapd-config"],
    schema: v.strictObject({
      publicUrl: orNull(text),
      route: v.picklist(["proxy.store", "environment"]),
      why: text,
      store: orNull(text),
      authority: orNull(text),
      commands: texts,
      dropIn: v.strictObject({ path: text, text }),
      cloudInit: text,
      juju: text,
    }),
  },
  { commands: ["completion"], schema: v.strictObject({ shell: text, script: text }) },
  {
    commands: ["status"],
    schema: v.strictObject({
      version: text,
      store: text,
      format: number,
      generation: number,
      changed: orNull(time),
      charms: number,
      bundles: number,
      snaps: number,
      repositories: about(number, "of images"),
      agents: about(number, "versions of Juju"),
      revisions: number,
      unverified: rows({ name: text, revision: number }),
      unverifiedAgents: about(texts, "their files"),
      overrides: rows(OVERRIDE),
      size: bytes,
      publicUrl: orNull(text),
      listen: texts,
      certificate: orNull(v.strictObject(CERTIFICATE)),
      registry: orNull(text),
      acceptedKeys: rows(KEY),
      newestSigned: about(v.record(text, time), "by the id of the key"),
      remoteImport: text,
      missing: rows(NEED),
      server: SERVER,
      lastImport: about(
        orNull(v.strictObject({ ended: time, failed: orNull(text) })),
        "`failed`: the kind of the failure; null: none is recorded",
      ),
      lastVerify: about(orNull(v.strictObject({ ended: time, damaged: number })), "null: none is recorded"),
      failedRequests: about(orNull(rows({ what: text, times: number, last: time })), "null: no server answers"),
      notes: texts,
    }),
  },
  { commands: ["status --probe"], schema: v.strictObject({ url: text, version: text, generation: number }) },
  {
    commands: ["doctor"],
    schema: v.strictObject({
      ready: flag,
      findings: rows({ check: text, what: text, sure: v.picklist(["certain", "likely"]), next: text }),
      passed: rows({ check: text, state: v.picklist(["ok", "skipped"]), what: text }),
    }),
  },
  { commands: ["search", "list-pushed-snaps"], schema: rows(LISTED) },
  {
    commands: ["list"],
    schema: v.array(v.variant("type", [v.strictObject(LISTED), v.strictObject(LISTED_IMAGES), v.strictObject(LISTED_AGENTS)])),
  },
  {
    commands: ["show"],
    schema: about(
      v.variant("type", [
        v.looseObject({
          type: TYPE,
          name: text,
          id: text,
          defaultTrack: text,
          revisions: asStored,
          releases: asStored,
          history: asStored,
          origins: rows({ generation: number, time, files: texts, revisions: numbers }),
        }),
        v.looseObject({
          type: v.literal("agent"),
          name: text,
          version: text,
          agents: asStored,
          origins: rows({ generation: number, time, files: texts, added: texts, removed: texts }),
        }),
      ]),
      `a list of them where a charm and a snap have the name; further fields are ${AS_STORED}`,
    ),
  },
  {
    commands: ["missing"],
    schema: about(
      v.array(v.union([v.strictObject(NEED), v.strictObject({ image: text, neededBy: NEEDED_BY })])),
      "snaps, then images by upstream's reference",
    ),
  },
  {
    commands: ["images"],
    schema: rows({
      upstream: about(orNull(text), "null: no charm needs it"),
      local: about(orNull(text), "the reference that Juju gets; null: upstream's"),
      path: text,
      digest: orNull(text),
      neededBy: NEEDED_BY,
      stored: about(orNull(v.strictObject({ architectures: texts, complete: flag })), "null: it is missing here"),
      pulledFrom: v.picklist(["chp", "registry", "upstream"]),
      registry: v.picklist(["present", "absent", "different", "unknown", "not asked"]),
      why: v.optional(text),
    }),
  },
  { commands: ["log"], schema: rows(GENERATION) },
  {
    commands: ["log --verify"],
    schema: rows({
      number,
      proven: about(flag, "a digest says that it is intact"),
      problems: texts,
      signedBy: orNull(text),
      generation: about(orNull(v.looseObject({})), "as of log; null: unreadable"),
    }),
  },
  {
    commands: ["diff"],
    schema: v.strictObject({
      from: number,
      to: number,
      packages: rows({
        name: text,
        type: TYPE,
        state: v.picklist(["added", "removed", "changed"]),
        revisions: LISTS(number),
        parts: about(LISTS(text), "resources and components, NAME_REVISION"),
        channels: rows({ channel: text, from: orNull(number), to: orNull(number) }),
        overrides: OVERRIDE_MOVES,
        metadata: about(texts, "further fields that differ"),
      }),
      images: REPOSITORY_DIFFERENCE,
      agents: AGENTS_DIFFERENCE,
      assertions: LISTS(text),
    }),
  },
  { commands: ["overrides", "list-overrides"], schema: rows(OVERRIDE) },
  {
    commands: ["release", "close", "default-track", "override", "end-override", "delete-override", "remove --apply", "rollback"],
    schema: CHANGE,
  },
  {
    commands: ["remove"],
    schema: about(
      v.strictObject({
        generation: number,
        name: text,
        snap: flag,
        revision: orNull(number),
        image: v.optional(text),
        agents: v.optional(about(text, "what was named of them")),
        uses: texts,
        needed: texts,
      }),
      "the plan",
    ),
  },
  {
    commands: ["verify"],
    schema: v.strictObject({
      findings: rows({
        severity: v.picklist(["damage", "warning"]),
        what: texts,
        problem: text,
        digest: v.optional(text),
        current: about(flag, "the newest generation names it"),
        from: v.optional(v.strictObject({ generation: number, sources: SOURCES })),
        movedTo: v.optional(text),
        repair: text,
      }),
      generations: number,
      hasNewer: about(flag, "a newer chp wrote some of it, which was not looked at"),
      blobs: number,
      read: BLOBS,
      damaged: number,
      payloadsRead: flag,
    }),
  },
  {
    commands: ["gc"],
    schema: v.strictObject({
      dryRun: flag,
      pruned: about(numbers, "generations"),
      kept: about(numbers, "generations"),
      aside: about(BLOBS, "moved to the trash"),
      deleted: BLOBS,
      restored: about(number, "files taken back from the trash"),
      young: BLOBS,
      leases: about(number, "imports and other changes that run"),
    }),
  },
  {
    commands: ["du"],
    schema: v.strictObject({
      total: bytes,
      packages: rows({
        name: text,
        type: v.picklist([...TYPE.options, "image", "agent"]),
        size: bytes,
        own: about(number, "bytes that no other package uses"),
      }),
      kinds: rows({ kind: text, size: bytes, blobs: number }),
      saved: v.strictObject({ betweenPackages: bytes, betweenRevisions: bytes }),
      history: about(number, "bytes that only older generations reference"),
      unreferenced: bytes,
    }),
  },
  { commands: ["backup", "restore", "copy"], schema: COPY },
  { commands: ["version"], schema: v.strictObject({ version: text, commit: orNull(text), storeFormat: number, runtime: text }) },
  {
    commands: ["help"],
    schema: v.strictObject({ commands: rows({ name: text, aliases: texts, summary: text }), topics: rows({ name: text, title: text }) }),
  },
  { commands: ["help TOPIC"], schema: v.strictObject({ name: text, title: text, text: about(text, "Markdown") }) },
  { commands: ["enable-airgap-mode"], schema: v.strictObject({ airgap: v.literal(true) }) },
  {
    commands: ["snap-store-proxy status"],
    schema: v.strictObject({ storeUrl: orNull(text), airgap: v.literal(true), storeId: orNull(text), signedBy: orNull(text) }),
  },
];
