/** The list of all that is stored: what is found, in which order, and what it costs. */

import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { KINDS, type Listable, Listing } from "../../../src/catalog/listing.ts";
import type { Package } from "../../../src/catalog/package.ts";
import { Store } from "../../../store/store.ts";
import { charmRevision, emptyCharm } from "../../build.ts";
import { bothWorlds } from "../../snapworld.ts";

async function stored(): Promise<Listable[]> {
  const snapshot = await (await Store.open(await bothWorlds())).snapshot();
  return [...(await snapshot.packages()), ...(await snapshot.snaps())];
}

const namesOf = (listing: Listing, question: Parameters<Listing["find"]>[0]) => listing.find(question).entries.map(({ name }) => name);

describe("the list", () => {
  test("has everything that a client can find, each with what is installed by default", async () => {
    const listing = new Listing(await stored());
    const { entries, counts } = listing.find({});
    expect(counts).toEqual({ charm: 3, bundle: 1, snap: 7, image: 0, agent: 0 });
    expect(entries.find(({ name }) => name === "acme-db")).toMatchObject({
      kind: "charm",
      summary: "Acme database",
      publisher: "Acme",
      bases: ["ubuntu@20.04", "ubuntu@22.04", "ubuntu@24.04"],
      architectures: ["amd64", "arm64"],
      offer: { channel: "14/stable", revision: 20 },
    });
    expect(entries.find(({ name }) => name === "hello")).toMatchObject({
      kind: "snap",
      title: "Hello",
      verified: true,
      bases: ["core22"],
      offer: { channel: "latest/stable", revision: 5 },
      icon: { revision: 5, extension: "png" },
    });
    expect(listing.kinds).toEqual(["charm", "bundle", "snap"]);
    expect(listing.bases).toEqual(["ubuntu@24.04", "ubuntu@22.04", "ubuntu@20.04", "core22"]);
    expect(listing.architectures).toEqual(["amd64", "arm64"]);
  });

  test("finds words anywhere, names first, and filters by kind, base and architecture", async () => {
    const listing = new Listing(await stored());
    expect(namesOf(listing, { text: "acme" }).slice(0, 2)).toEqual(["acme-db", "acme-stack"]);
    expect(namesOf(listing, { text: "DATABASE acme" })).toEqual(["acme-db"]);
    expect(namesOf(listing, { text: "nothing-like-it" })).toEqual([]);
    expect(namesOf(listing, { kind: "bundle" })).toEqual(["acme-stack"]);
    expect(namesOf(listing, { kind: "charm", base: "ubuntu@20.04" })).toEqual(["acme-db"]);
    expect(namesOf(listing, { kind: "charm", architecture: "arm64" })).toEqual(["acme-db", "tiny"]);
    expect(namesOf(listing, { kind: "snap", architecture: "arm64" })).toEqual(["all1", "hello"]);
  });

  test("a package that can be installed by number alone is not in it", () => {
    const aside = { ...emptyCharm("gone"), revisions: [{ ...charmRevision(1, "00" as never, 1), aside: true as const }] };
    expect(new Listing([aside]).find({}).entries).toEqual([]);
  });

  test("each filter finds a part of what is found without it, and the counts are of the other kinds too", async () => {
    const listing = new Listing(await stored());
    const question = fc.record(
      {
        text: fc.constantFrom("", "a", "acme", "summary", "zzz"),
        kind: fc.constantFrom(...KINDS),
        base: fc.constantFrom(...listing.bases, "other"),
        architecture: fc.constantFrom(...listing.architectures, "other"),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(question, (asked) => {
        const { entries, counts } = listing.find(asked);
        for (const key of Object.keys(asked)) {
          const { [key as keyof typeof asked]: _, ...wider } = asked;
          const all = new Set(listing.find(wider).entries);
          expect(entries.every((entry) => all.has(entry))).toBe(true);
        }
        const { kind, ...others } = asked;
        for (const each of KINDS) expect(counts[each]).toBe(listing.find({ ...others, kind: each }).entries.length);
        if (kind !== undefined) expect(entries.length).toBe(counts[kind]);
      }),
    );
  });

  test("what did not change is not read again", () => {
    const reads = new Map<string, number>();
    const counted = (name: string): Package => {
      const pkg = { ...emptyCharm(name), revisions: [charmRevision(1, "00" as never, 1)] };
      return new Proxy(pkg, {
        get: (target, key) => {
          if (key === "details") reads.set(name, (reads.get(name) ?? 0) + 1);
          return Reflect.get(target, key);
        },
      });
    };
    const all = Array.from({ length: 1000 }, (_, i) => counted(`charm-${i}`));
    const first = new Listing(all);
    const once = new Map(reads);
    expect([...once.values()].every((count) => count > 0)).toBe(true);
    const next = new Listing([...all.slice(1), counted("new")], first);
    next.find({ text: "charm", base: "ubuntu@24.04" });
    for (const [name, count] of once) expect(reads.get(name)).toBe(count);
    expect(reads.get("new")).toBeGreaterThan(0);
    expect(next.named("charm-0")).toEqual([]);
  });
});
