/** What a generation names is durable before the generation is, also what another process stored. */

import { expect, spyOn, test } from "bun:test";
import * as fs from "node:fs/promises";
import { join } from "node:path";
import { Disk } from "../../store/fs.ts";
import { collectGarbage } from "../../store/gc.ts";
import { blobKey, CATALOG, TRASH } from "../../store/keys.ts";
import { Store } from "../../store/store.ts";
import { tarOf } from "../build.ts";
import { importInto } from "../importing.ts";
import { layoutOf } from "../layouts.ts";
import { imageOf } from "../registry.ts";
import { tempFolder } from "../temp.ts";

const IMAGE = imageOf({ layers: ["base", "top"] });

test("the folders of blobs that a killed import left are synced before an import that finds them is published", async () => {
  using folder = tempFolder();
  const first = await Store.openOrCreate(new Disk(folder.path));
  const left = [...IMAGE.blobs].map(([digest, bytes]) => ({ digest, bytes }));
  for (const { bytes } of left) await (await first.ingestBytes(bytes)).commit(); // and there it ends

  const opened = spyOn(fs, "open");
  const linked = spyOn(fs, "link");
  try {
    const files = layoutOf(
      [{ image: IMAGE, name: "team/app:1" }],
      left.map(({ digest }) => digest),
    );
    await importInto(await Store.open(new Disk(folder.path)), { "image.tar": tarOf(files) });
    const published = linked.mock.calls.findIndex(([, to]) => String(to).startsWith(join(folder.path, CATALOG)));
    const before = linked.mock.invocationCallOrder[published] ?? 0;
    const synced = opened.mock.calls.flatMap(([path], i) => ((opened.mock.invocationCallOrder[i] ?? 0) < before ? [String(path)] : []));
    expect(synced).toEqual(expect.arrayContaining(left.map(({ digest }) => join(folder.path, blobKey(digest), ".."))));
  } finally {
    opened.mockRestore();
    linked.mockRestore();
  }
});

test("a gc syncs what an earlier one pruned, and may not have synced, before it moves a blob", async () => {
  using folder = tempFolder();
  const store = await Store.openOrCreate(new Disk(folder.path));
  await importInto(store, { "image.tar": tarOf(layoutOf([{ image: IMAGE, name: "team/app:1" }])) });
  await (await store.ingestBytes(Buffer.from("of a generation that is pruned"))).commit();
  const opened = spyOn(fs, "open");
  const renamed = spyOn(fs, "rename");
  try {
    const { aside } = await collectGarbage(await Store.open(new Disk(folder.path)), { generations: 1, days: 0, hours: 0, dryRun: false });
    expect(aside.blobs).toBe(1);
    const moved = renamed.mock.calls.findIndex(([, to]) => String(to).startsWith(join(folder.path, TRASH)));
    const before = renamed.mock.invocationCallOrder[moved] ?? 0;
    const synced = opened.mock.calls.flatMap(([path], i) => ((opened.mock.invocationCallOrder[i] ?? 0) < before ? [String(path)] : []));
    expect(synced).toContain(join(folder.path, CATALOG, "."));
  } finally {
    opened.mockRestore();
    renamed.mockRestore();
  }
});
