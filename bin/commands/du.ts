import type { Digest } from "../../src/digest.ts";
import type { BlobRole } from "../../store/named.ts";
import { blobSizes } from "../../store/quota.ts";
import { blobsOf } from "../../store/reach.ts";
import type { Store } from "../../store/store.ts";
import { type CommonOptions, type Io, printJson, printTable, showSize } from "../machine/io.ts";
import { failOnDamage, openStore } from "../machine/openstore.ts";
import { defineCommand, EXITS, type Register } from "./command.ts";
import { PACKAGE_TYPES } from "./flags.ts";

export const duCommand: Register = (program, io) => {
  defineCommand(program, "du", "Show disk usage by package and kind", EXITS)
    .addHelpText("after", ABOUT)
    .action((options: CommonOptions) => runDu(options, io));
};

const ABOUT = `
SIZE is all that a package names, OWN what it alone names: removing it can free no more than that. What only older generations
name stays until they are forgotten; what nothing names was left by imports that were ended, or is coming in just now.

Examples:
  chp du
  chp du --json`;

interface BlobUse {
  readonly size: number;
  readonly kind: BlobRole["kind"];
  /** the packages that name it, like `packages kafka` */
  readonly owners: ReadonlySet<string>;
  /** how many references name it */
  readonly times: number;
}

export async function runDu(options: CommonOptions, io: Io): Promise<void> {
  const store = await openStore(options, io);
  const sizes = await blobSizes(store.storage);
  const { uses, history, types } = await usesOf(store, sizes);
  const packages = new Map<string, { size: number; own: number }>();
  const kinds = new Map<string, { size: number; blobs: number }>();
  for (const { size, kind, owners } of uses.values()) {
    const before = kinds.get(kind) ?? { size: 0, blobs: 0 };
    kinds.set(kind, { size: before.size + size, blobs: before.blobs + 1 });
    for (const owner of owners) {
      const all = packages.get(owner) ?? { size: 0, own: 0 };
      packages.set(owner, { size: all.size + size, own: all.own + (owners.size === 1 ? size : 0) });
    }
  }
  const all = [...uses.values()];
  const facts = {
    total: sum(sizes.values()),
    packages: [...packages]
      .map(([owner, sums]) => ({ name: owner.slice(owner.indexOf(" ") + 1), type: types.get(owner) ?? "charm", ...sums }))
      .toSorted((a, b) => b.size - a.size || (a.name < b.name ? -1 : 1)),
    kinds: [...kinds].map(([kind, sums]) => ({ kind, ...sums })).toSorted((a, b) => b.size - a.size),
    /** bytes that sharing blobs saves */
    saved: {
      betweenPackages: sum(all.map(({ size, owners }) => size * Math.max(0, owners.size - 1))),
      betweenRevisions: sum(all.map(({ size, owners, times }) => size * Math.max(0, times - Math.max(1, owners.size)))),
    },
    history: sum([...history].map((digest) => sizes.get(digest) ?? 0)),
    unreferenced: sum([...sizes].map(([digest, size]) => (uses.has(digest) || history.has(digest) ? 0 : size))),
  };
  if (options.json) printJson(facts, io);
  else {
    printTable(
      ["NAME", "TYPE", "SIZE", "OWN"],
      facts.packages.map(({ name, type, size, own }) => [name, type, showSize(size), showSize(own)]),
      io,
    );
    const lines = [
      "",
      ...facts.kinds.map(({ kind, size, blobs }) => `${kind}: ${showSize(size)} in ${blobs}`),
      `shared between packages: ${showSize(facts.saved.betweenPackages)} saved`,
      `shared between revisions: ${showSize(facts.saved.betweenRevisions)} saved`,
      `referenced only by older generations: ${showSize(facts.history)}`,
      `unreferenced: ${showSize(facts.unreferenced)}`,
      `total: ${showSize(facts.total)}`,
    ];
    io.out(`${lines.join("\n")}\n`);
  }
  await failOnDamage(store);
}

/** What a package is of, by its own files. */
type Payload = (typeof PACKAGE_TYPES)[number];

function isPayload(kind: BlobRole["kind"]): kind is Payload {
  return PACKAGE_TYPES.some((type) => type === kind);
}

/** The blobs of the newest generation, and those that only older generations name. */
async function usesOf(store: Store, sizes: ReadonlyMap<Digest, number>) {
  const uses = new Map<Digest, BlobUse>();
  const history = new Set<Digest>();
  const types = new Map<string, Payload>();
  const { generation: newest } = await store.snapshot();
  const skip = { unreadable: () => {} };
  if (newest)
    for await (const { digest, what } of blobsOf(store, newest, skip)) {
      const size = sizes.get(digest);
      if (size === undefined) continue;
      const before = uses.get(digest);
      const owner = what.package && `${what.package.section} ${what.package.name}`;
      if (owner !== undefined && isPayload(what.kind)) types.set(owner, what.kind);
      const owners = owner === undefined ? [] : [owner];
      uses.set(digest, {
        size,
        kind: before?.kind ?? what.kind,
        owners: new Set([...(before?.owners ?? []), ...owners]),
        times: (before?.times ?? 0) + 1,
      });
    }
  const seen = new Set(uses.keys());
  for (const number of await store.generationNumbers()) {
    const generation = number === newest?.number ? undefined : await store.generation(number).catch(() => undefined);
    if (generation) for await (const { digest } of blobsOf(store, generation, { ...skip, seen })) history.add(digest);
  }
  return { uses, history, types };
}

function sum(sizes: Iterable<number>): number {
  return [...sizes].reduce((total, size) => total + size, 0);
}
