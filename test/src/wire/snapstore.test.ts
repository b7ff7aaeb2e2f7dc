/** Requests of snapd, as devices spell them. */

import { expect, test } from "bun:test";
import { readSnapRefresh } from "../../../src/wire/snapstore.ts";

const ID = "snapidsnapidsnapidsnapidsnapid01";

/** What is read of a refresh of one installed snap; `more`: of its context. */
async function itemsOf(more: object, padding = "") {
  const context = [{ "snap-id": ID, "instance-key": ID, "tracking-channel": "latest/stable", ...more }];
  const actions = [{ action: "refresh", "instance-key": ID, "snap-id": ID }];
  return (await readSnapRefresh(JSON.stringify({ context, actions }) + padding, "amd64")).items;
}

test("an installed snap of no revision is older than every other, however long the request", async () => {
  for (const padding of ["", " ".repeat(2 ** 20)]) {
    const none = await itemsOf({ revision: 0 }, padding);
    expect(none).toHaveLength(1);
    for (const revision of [undefined, null]) expect(await itemsOf({ revision }, padding)).toEqual(none);
    expect(await itemsOf({ revision: 1 }, padding)).not.toEqual(none);
  }
});
