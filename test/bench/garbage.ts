/** Half of a store removed and collected: beside du and find over the same tree, and beside a store of what is left. */

import { rmSync } from "node:fs";
import { join } from "node:path";
import { publishChange } from "../../bin/commands/changing.ts";
import { changeDraft, withSection } from "../../src/catalog/drafts.ts";
import { Disk } from "../../store/fs.ts";
import { Store } from "../../store/store.ts";
import { beside, inTurns, type Report } from "./figures.ts";
import { type Ran, run, runChp } from "./processes.ts";

const ALL = ["--keep-generations", "1", "--keep-days", "0", "--older-than", "0"];

/** `store`: a full one; `left`: one that never had more than its first half. */
export async function garbage(report: Report, folder: string, store: string, left: string, rounds: number) {
  const name = "gc of half a store";
  await report.measure(name, async () => {
    const [full, copy] = [join(folder, "garbage"), join(folder, "garbage-copy")];
    await run(["cp", "-a", store, full]);
    await removeHalf(full);
    const looked = () => run(["bash", "-c", 'du -s "$1" && find "$1" -type f | wc -l', "bash", full]);
    const gc = () => runChp(["gc", "--quiet", "--store", copy, ...ALL]);
    const collected = async () => {
      rmSync(copy, { recursive: true, force: true });
      await run(["cp", "-al", full, copy]);
      return { aside: await gc(), freed: await gc() };
    };
    await looked();
    const pairs = await inTurns(rounds, collected, looked);
    const ms = ({ seconds }: Ran) => seconds * 1000;
    const peer = "du and find";
    report.figure(beside(pairs, { name: `${name}, moved to trash`, unit: "ms", peer }, ({ aside }) => ms(aside), ms));
    report.figure(beside(pairs, { name: `${name}, freed`, unit: "ms", peer }, ({ freed }) => ms(freed), ms));
    const sizes = [await kib(copy), await kib(left)] as const;
    report.figure({
      name: "a store of which half was collected",
      value: sizes[0],
      unit: "KiB",
      peer: { name: "one of what is left", value: sizes[1], ratio: sizes[0] / sizes[1] },
    });
    for (const one of [full, copy]) rmSync(one, { recursive: true });
  });
}

/** Takes the second half of its packages out in one step, as so many `chp remove` do. */
async function removeHalf(folder: string): Promise<void> {
  const store = await Store.open(new Disk(folder));
  await publishChange(store, new Date().toISOString(), async (snapshot) => {
    const names = snapshot.names.toSorted();
    return {
      draft: withSection(changeDraft("remove half", []), "packages", { changed: [], dropped: names.slice(names.length / 2), tally: {} }),
      result: undefined,
    };
  });
}

/** Of its files: what a folder itself takes never shrinks on most file systems. */
async function kib(folder: string): Promise<number> {
  const { out } = await run(["find", folder, "-type", "f", "-printf", "%s\n"]);
  return (
    out
      .trim()
      .split("\n")
      .reduce((sum, size) => sum + Number(size), 0) / 1024
  );
}
