/** A text that many revisions of a charm have is kept once, and counts once. */

import { expect, test } from "bun:test";
import { LIMITS } from "../../../src/archives/archive.ts";
import { base, charmZip, tgzOf } from "../../build.ts";
import { failureOf, importInto, newStore } from "../../importing.ts";

// Four times as much may be kept: two of the texts, not ten.
const limits = { ...LIMITS, json: 50_000 };

/** Ten revisions of a charm, each with a README of 90 kB. */
function revisions(readme: (revision: number) => string) {
  const files = Array.from({ length: 10 }, (_, i) => {
    const zip = charmZip({
      name: "kafka",
      revision: i + 1,
      bases: [base("amd64", "22.04")],
      files: { "README.md": readme(i).padEnd(90_000, ".") },
    });
    return [`kafka_${i + 1}.charm`, zip] as const;
  });
  return { "kafka.tar.gz": tgzOf(Object.fromEntries(files)) };
}

test("as it is", async () => {
  const { packages } = await importInto(
    await newStore(),
    revisions(() => "the same"),
    { limits },
  );
  expect(packages[0]?.revisions.new).toHaveLength(10);
});

test("not what differs", async () => {
  const { message, next } = await failureOf(importInto(await newStore(), revisions(String), { limits }));
  expect(message).toContain("has more than 200000 bytes of metadata, assertions and lists");
  expect(next).toBe("if that is right, give --max-json");
});
