/** The setting `store-quota`, as an operator meets it. */

import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { charmZip, exportOf, type PackageSpec } from "../../build.ts";
import { jammy, SPEC } from "../../hostile/demo.ts";
import { runProgram } from "../../program.ts";
import { tempFolder } from "../../temp.ts";

const OTHER: PackageSpec = {
  ...SPEC,
  name: "other",
  id: "OtherOtherOtherOtherOtherOtherOt",
  revisions: { 7: charmZip({ name: "other", revision: 7, bases: [jammy], resources: { data: { type: "file", filename: "d" } } }) },
};

test("an import that exceeds the quota ends with 3 and publishes nothing; what is stored already, a dry run and a release are free", async () => {
  using folder = tempFolder();
  const store = join(folder.path, "store");
  const file = (name: string) => join(folder.path, name);
  writeFileSync(file("one.tar.gz"), exportOf([SPEC]));
  writeFileSync(file("two.tar.gz"), exportOf([OTHER]));
  const run = (...args: string[]) => runProgram([...args, "--store", store, "--quiet"]);
  const names = async () => (JSON.parse((await run("list", "--json")).out) as { name: string }[]).map(({ name }) => name);

  expect(await runProgram(["import", file("one.tar.gz"), "--store", store, "--quiet"], { CHP_STORE_QUOTA: "500" })).toMatchObject({
    code: 3,
    err: expect.stringContaining("may have 500 bytes"),
    next: expect.stringContaining("chp config store-quota=SIZE"),
  });
  expect(await names()).toEqual([]);
  await run("gc", "--older-than", "0");
  await run("gc", "--older-than", "0");
  expect(await run("config", "store-quota=1M")).toMatchObject({ code: 0 });
  expect(await run("import", file("one.tar.gz"))).toMatchObject({ code: 0 });

  const { total } = JSON.parse((await run("du", "--json")).out) as { total: number };
  expect(await run("config", `store-quota=${total}`)).toMatchObject({ code: 0 });
  expect(await run("import", file("one.tar.gz"))).toMatchObject({ code: 0 });
  for (const more of [[], ["--dry-run"]])
    expect(await run("import", file("two.tar.gz"), ...more)).toMatchObject({ code: 3, err: expect.stringContaining("may have") });
  expect(await names()).toEqual(["demo"]);
  expect(await run("release", "demo", "7", "14/edge")).toMatchObject({ code: 0 });
  expect(await run("config", "store-quota=lots")).toMatchObject({
    code: 2,
    err: expect.stringContaining("lots is not a number of at least 1, or a size like 500G"),
  });
  expect(await run("config", "store-quota=")).toMatchObject({ code: 0 });
  expect(await run("import", file("two.tar.gz"))).toMatchObject({ code: 0 });
});
