/** An id belongs to one name: who has another's id would be installed in its place. */

import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { publishChange } from "../../../bin/commands/changing.ts";
import { changeDraft, rollbackDraft, rollbackTo } from "../../../src/catalog/drafts.ts";
import { sharedIds } from "../../../src/catalog/identity.ts";
import { mintId } from "../../../src/catalog/package.ts";
import { check } from "../../../store/check.ts";
import { generationKey } from "../../../store/keys.ts";
import type { Store } from "../../../store/store.ts";
import { base, bundleZip, charmZip, imageBlob, type PackageSpec, packageFiles, tarOf } from "../../build.ts";
import { generationFile } from "../../generations.ts";
import { failureOf, importInto, newStore } from "../../importing.ts";
import { squashfs } from "../../squashfs.ts";
import { runs } from "../../thorough.ts";

const JAMMY = base("amd64", "22.04");
const NOW = "2026-05-01T00:00:00Z";

function charm(name: string, id: string, revision = 1): PackageSpec {
  return {
    name,
    id,
    type: "charm",
    revisions: { [revision]: charmZip({ name, revision, bases: [JAMMY] }) },
    releases: [{ channel: "latest/stable", base: JAMMY, revision }],
  };
}

/** `rebuilt`: without their metadata.json. */
function archive(specs: readonly PackageSpec[], rebuilt = false): Uint8Array {
  const files = specs.map((spec) => Object.entries(packageFiles(spec)).map(([path, bytes]) => [`${spec.name}/${path}`, bytes] as const));
  return tarOf(Object.fromEntries(files.flat().filter(([path]) => !rebuilt || !path.endsWith("/metadata.json"))));
}

async function storeOf(...imports: readonly Uint8Array[]): Promise<Store> {
  const store = await newStore();
  for (const [i, bytes] of imports.entries()) await importInto(store, { [`${i}.tar`]: bytes });
  return store;
}

const indexOf = async (store: Store) => (await store.snapshot()).index;
const VICTIM = charm("victim", "IDvictim");
const THIEF = charm("thief", "IDvictim");

describe("an import that gives an id to a second name is refused", () => {
  const says = "thief has the id IDvictim, which belongs to victim";

  test("of a stored package", async () => {
    const store = await storeOf(archive([VICTIM]));
    const before = await store.generationNumbers();
    const failure = await failureOf(importInto(store, { "t.tar": archive([THIEF]) }));
    expect(failure.message).toBe(says);
    expect(failure.next).toContain("--renamed OLD=NEW");
    expect(await store.generationNumbers()).toEqual(before);
  });

  test("of another in the same archive", async () => {
    expect((await failureOf(storeOf(archive([VICTIM, THIEF])))).message).toMatch(/has the id IDvictim, which belongs to/);
  });

  test("of a bundle", async () => {
    const bundle: PackageSpec = {
      ...THIEF,
      type: "bundle",
      revisions: { 1: bundleZip("applications: {}\n") },
      releases: [{ channel: "latest/stable", base: null, revision: 1 }],
    };
    expect((await failureOf(storeOf(archive([VICTIM]), archive([bundle])))).message).toBe(says);
  });

  test("a former one, and one that was made of a name", async () => {
    const former = await storeOf(archive([VICTIM], true), archive([VICTIM]));
    const minted = mintId("victim");
    expect((await indexOf(former)).packages["victim"]?.slice(1)).toEqual(["IDvictim", minted]);
    expect((await failureOf(importInto(former, { "t.tar": archive([charm("thief", minted)]) }))).message).toContain("belongs to victim");
  });

  test("one that only an image names", async () => {
    const zip = charmZip({ name: "thief", revision: 1, bases: [JAMMY], resources: { image: { type: "oci-image" } } });
    const files = { "thief_1.charm": zip, "resources/thief.image_1": imageBlob("r.test/charm/IDvictim/image@sha256:00") };
    expect((await failureOf(storeOf(archive([VICTIM]), tarOf(files)))).message).toBe(says);
  });
});

test("whatever is imported, in whatever order: no id has two names", async () => {
  const spec = fc.record({
    name: fc.constantFrom("a", "b", "c"),
    id: fc.constantFrom("I1", "I2", mintId("a"), mintId("b")),
    rebuilt: fc.boolean(),
  });
  const renames = fc.constantFrom<readonly [string, string][]>([], [["b", "a"]], [["c", "b"]], [["a", "c"]]);
  const step = fc.record({ specs: fc.array(spec, { minLength: 1, maxLength: 2 }), renames });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 6 }), async (steps) => {
      const store = await newStore();
      for (const { specs, renames: renamed } of steps) {
        const sources = specs.map(({ name, id, rebuilt }, i) => [`${i}.tar`, archive([charm(name, id)], rebuilt)] as const);
        await importInto(store, Object.fromEntries(sources), { renamed: new Map(renamed) }).catch((error: unknown) =>
          expect(error).toMatchObject({ kind: "refused" }),
        );
        expect(sharedIds((await indexOf(store)).packages)).toEqual([]);
      }
    }),
    { numRuns: runs(200) },
  );
});

test("no other change publishes it either, and verify names what an older version let in", async () => {
  const store = await storeOf(archive([VICTIM, charm("thief", "IDthief")]));
  const thief = await (await store.snapshot()).package("thief");
  if (!thief) throw new Error("thief is not stored");
  const stolen = { ...thief, id: "IDvictim" };
  const publishing = publishChange(store, NOW, async () => ({ draft: changeDraft("test", [{ before: thief, after: stolen }]), result: 0 }));
  expect((await failureOf(publishing)).message).toBe("thief has the id IDvictim, which belongs to victim");

  const { packages } = await indexOf(store);
  const row = packages["thief"] ?? [];
  const blob = await store.ingestBytes(Buffer.from(JSON.stringify({ packages: { ...packages, thief: [row[0], "IDvictim"] }, snaps: {} })));
  await blob.commit();
  const { generation } = await store.snapshot();
  if (!generation) throw new Error("nothing is published");
  const second = generationFile({ ...generation, number: 2, parent: 1, parentDigest: generation.sha256, index: blob.sums["sha-256"] });
  await store.storage.create(generationKey(2), second);
  const { findings } = await check(store, { dryRun: true });
  expect(findings.filter(({ problem }) => problem.includes("same id"))).toMatchObject([
    { severity: "damage", what: ["thief", "victim"], problem: "have the same id IDvictim, so clients of one may get another" },
  ]);
  // What was let in must not keep the rest from changing.
  await importInto(store, { "z.tar": archive([charm("zinc", "IDzinc")]) });
});

describe("a rename", () => {
  const NEW = charm("renamed", "IDvictim", 2);
  const renamed = new Map([["renamed", "victim"]]);

  test("goes on where the former name was, and a rollback brings that back", async () => {
    const store = await storeOf(archive([VICTIM]));
    const then = await store.snapshot();
    const report = await importInto(store, { "n.tar": archive([NEW]) }, { renamed });
    expect(report.packages).toMatchObject([{ name: "renamed", id: "IDvictim", state: "changed", revisions: { new: [2] } }]);
    const after = await store.snapshot();
    expect(after.names).toEqual(["renamed"]);
    expect((await after.packageById("IDvictim"))?.revisions.map((r) => r.revision)).toEqual([2, 1]);

    await publishChange(store, NOW, async (newest) => {
      return { draft: rollbackDraft("rollback 1", await rollbackTo(then, newest)), result: 0 };
    });
    const back = await store.snapshot();
    expect([back.names, sharedIds(back.index.packages)]).toEqual([["victim"], []]);
    expect((await back.packageById("IDvictim"))?.releases.map((row) => row.revision)).toEqual([1]);
  });

  test("needs the stored package, and its id", async () => {
    expect((await failureOf(importInto(await newStore(), { "n.tar": archive([NEW]) }, { renamed }))).message).toBe(
      "victim is not stored, so it can't have been renamed to renamed",
    );
    const store = await storeOf(archive([VICTIM]));
    const other = importInto(store, { "n.tar": archive([charm("renamed", "IDother")]) }, { renamed });
    expect((await failureOf(other)).message).toBe("renamed has the package id IDvictim in the store and IDother in the archive");
  });
});

describe("snaps that nobody asserts", () => {
  const image = (name: string) => squashfs({ "meta/snap.yaml": `name: ${name}\nversion: "1"\narchitectures: [amd64]\n` });
  const files = (name: string) => ({
    [`${name}/${name}_1.snap`]: image(name),
    [`${name}/channel-map.json`]: JSON.stringify({ name, "snap-id": "IDvictim", "channel-map": { "latest/stable": 1 } }),
  });
  const options = { allowUnverified: true };

  test("get no id of another", async () => {
    const store = await newStore();
    await importInto(store, { "v.tar": tarOf(files("victim")) }, options);
    expect((await indexOf(store)).snaps["victim"]?.[1]).toBe("IDvictim");
    expect((await failureOf(importInto(store, { "t.tar": tarOf(files("thief")) }, options))).message).toBe(
      "thief has the snap id IDvictim, which belongs to victim, and no declaration that verifies renames it",
    );
    const both = importInto(await newStore(), { "b.tar": tarOf({ ...files("thief"), ...files("victim") }) }, options);
    expect((await failureOf(both)).message).toContain("has the snap id IDvictim, which belongs to");
  });
});
