/** The listener under plain Node, which runs its source as it is. */

import { expect, test } from "bun:test";
import { join } from "node:path";
import { EXPECTED } from "./nodelistener.ts";

const NODE = `node_modules/node-${process.platform}-${process.arch}/bin/node`;

test("clients see of a listener under Node what they see of Bun's", async () => {
  const story = join(import.meta.dir, "nodelistener.ts");
  const command = [NODE, "--disable-warning=ExperimentalWarning", story];
  // A fault in the listener may have it wait in a loop, in which no timer of its own is heard.
  const child = Bun.spawn(["sh", "-c", 'ulimit -t 60; exec "$0" "$@"', ...command], { stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  expect(err).toBe("");
  expect(JSON.parse(out)).toEqual(EXPECTED);
});
