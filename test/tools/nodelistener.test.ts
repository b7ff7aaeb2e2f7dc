/** The listener under plain Node, which runs its source as it is. */

import { expect, test } from "bun:test";
import { join } from "node:path";
import { EXPECTED } from "./nodelistener.ts";

const NODE = `node_modules/node-${process.platform}-${process.arch}/bin/node`;

test("clients see of a listener under Node what they see of Bun's", async () => {
  const story = join(import.meta.dir, "nodelistener.ts");
  const child = Bun.spawn([NODE, "--disable-warning=ExperimentalWarning", story], { stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  expect(err).toBe("");
  expect(JSON.parse(out)).toEqual(EXPECTED);
});
