/** An import whose blobs were removed before its generation was there is made again from its files. */

import { afterEach, expect, spyOn, test } from "bun:test";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Disk } from "../../../store/fs.ts";
import { charmZip, packageFiles, tarOf } from "../../build.ts";
import { runProgram, SILENT_IO } from "../../program.ts";
import { tempFolder } from "../../temp.ts";
import { NOBLE } from "../../world.ts";

type Create = (this: Disk, ...given: Parameters<Disk["create"]>) => ReturnType<Disk["create"]>;
const create: Create = Object.getOwnPropertyDescriptor(Disk.prototype, "create")?.value;
const spied = spyOn(Disk.prototype, "create");
afterEach(() => void spied.mockImplementation(create));

const CHARM = tarOf(
  packageFiles({
    type: "charm",
    name: "kafka",
    id: "IDKAFKA",
    revisions: { 1: charmZip({ name: "kafka", revision: 1, bases: [NOBLE] }) },
    releases: [{ channel: "latest/stable", base: NOBLE, revision: 1 }],
  }),
);

/** Removes every blob of the store before the first `times` generations are linked, as a gc with a wrong clock would. */
function removeBlobs(store: string, times: number): void {
  let left = times;
  spied.mockImplementation(async function (this: Disk, key, ...rest) {
    if (key.startsWith("catalog/") && left > 0) {
      left -= 1;
      for (const folder of readdirSync(join(store, "blobs/sha256"))) rmSync(join(store, "blobs/sha256", folder), { recursive: true });
    }
    return create.call(this, key, ...rest);
  });
}

test("once, with a note; a second time it fails, and nothing is published", async () => {
  for (const times of [1, 2]) {
    using folder = tempFolder();
    const [store, file] = [join(folder.path, "store"), join(folder.path, "charm.tar")];
    writeFileSync(file, CHARM);
    removeBlobs(store, times);
    const { code, err } = await runProgram(["import", "--store", store, file]);
    expect([code, err]).toEqual([times - 1, expect.stringContaining("was removed meanwhile")]);
    const listed = await runProgram(["list", "--json", "--store", store]);
    expect((JSON.parse(listed.out) as unknown[]).length).toBe(2 - times);
    if (times === 1) expect((await runProgram(["verify", "--store", store])).code).toBe(0);
  }
});

test("not from standard input, which can't be read twice", async () => {
  using folder = tempFolder();
  const store = join(folder.path, "store");
  removeBlobs(store, 1);
  const input = async function* () {
    yield CHARM;
  };
  const { code, err } = await runProgram(["import", "--store", store, "--name", "charm.tar", "-"], {}, "chp", SILENT_IO.signal, { input });
  expect([code, err]).toEqual([1, expect.not.stringContaining("begins again")]);
});
