/** Replies know the bytes of their bodies, which the access log says. */

import { expect, test } from "bun:test";
import { bodySize, replyAs } from "../../handlers/replies.ts";

test("the size of a reply is that of its body, also of none", () => {
  for (const [body, size] of [
    ["", 0],
    ["é", 2],
  ] as const)
    expect(bodySize(replyAs({ "Content-Type": "text/plain" }, body))).toBe(size);
});
