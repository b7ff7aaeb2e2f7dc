import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { jsonBytes } from "../../store/json.ts";
import { runs } from "../thorough.ts";

test("any value is stored as JSON with a space a level, in UTF-8, and a line end", () => {
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: "binary" }), (value) => {
      const text = new TextDecoder("utf-8", { fatal: true }).decode(jsonBytes(value));
      expect(text).toBe(`${JSON.stringify(value, null, 1)}\n`);
    }),
    { numRuns: runs(200), examples: [["Übergröße – 日本語 🙂 \ud800"]] },
  );
});
