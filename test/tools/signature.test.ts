/** sha256sum and minisign beside chp's own lists and signatures. */

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatSums, readSecretKey, sign, verify } from "../../src/archives/signature.ts";
import { sumsOf } from "../../src/digest.ts";
import { SIGNED_AT, testKey } from "../carried.ts";

const SITE = testKey("site");
const SUMS = formatSums([{ path: "bundle.yaml", sha256: "b".repeat(64) }]);
const SIGNED = sign(SUMS, SITE.secret, { now: SIGNED_AT });

test("sha256sum checks it", () => {
  const folder = mkdtempSync(join(tmpdir(), "chp-test-"));
  try {
    const files = { "a b": "one", c: "two" };
    for (const [path, text] of Object.entries(files)) writeFileSync(join(folder, path), text);
    const sums = Object.entries(files).map(([path, text]) => ({ path, sha256: sumsOf(Buffer.from(text))["sha-256"] }));
    writeFileSync(join(folder, "SHA256SUMS"), formatSums(sums));
    const run = (...args: string[]) => Bun.spawnSync(["sha256sum", ...args], { cwd: folder });
    expect(run("--strict", "--check", "SHA256SUMS").stdout.toString()).toBe("a b: OK\nc: OK\n");
    expect(run("a b", "c").stdout.toString()).toBe(formatSums(sums));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

const lacks = Bun.which("minisign") === null;

describe(`beside minisign${lacks ? " (left out: there is no minisign)" : ""}`, () => {
  const folder = mkdtempSync(join(tmpdir(), "chp-test-"));
  const at = (name: string) => join(folder, name);
  afterAll(() => rmSync(folder, { recursive: true }));
  const minisign = (...args: string[]) => {
    const { exitCode, stdout, stderr } = Bun.spawnSync(["minisign", ...args], { cwd: folder });
    return { code: exitCode, text: stdout.toString() + stderr.toString() };
  };

  test.skipIf(lacks)("it verifies what chp signs, with and without -H, and nothing else", () => {
    writeFileSync(at("site.pub"), SITE.texts.public);
    writeFileSync(at("SHA256SUMS"), SUMS);
    writeFileSync(at("SHA256SUMS.minisig"), SIGNED);
    const id = SITE.accepted.id.replace(/^0+/, ""); // it pads none
    for (const args of [
      ["-p", "site.pub"],
      ["-P", SITE.accepted.text],
      ["-p", "site.pub", "-H"],
    ]) {
      const { code, text } = minisign("-V", "-m", "SHA256SUMS", ...args);
      expect([code, text]).toEqual([0, expect.stringContaining("Trusted comment: chp export of 2026-04-26T16:31:15Z")]);
    }
    writeFileSync(at("SHA256SUMS"), `${SUMS}${"a".repeat(64)}  more\n`);
    expect(minisign("-V", "-m", "SHA256SUMS", "-p", "site.pub")).toEqual({
      code: 1,
      text: expect.stringContaining("Signature verification failed"),
    });
    writeFileSync(at("other.pub"), testKey("other").texts.public);
    expect(minisign("-V", "-m", "SHA256SUMS", "-p", "other.pub").text).toContain(id);
  });

  test.skipIf(lacks)("it signs with chp's key, and chp with its own", () => {
    writeFileSync(at("site.key"), SITE.texts.secret);
    writeFileSync(at("list"), SUMS);
    expect(minisign("-S", "-s", "site.key", "-m", "list", "-t", "by hand").code).toBe(0);
    const byHand = readFileSync(at("list.minisig"), "utf8");
    expect(verify(SUMS, byHand, [SITE.accepted])).toEqual({ key: SITE.accepted, comment: "by hand" });
    expect(minisign("-G", "-W", "-s", "own.key", "-p", "own.pub").code).toBe(0);
    writeFileSync(at("list.minisig"), sign(SUMS, readSecretKey(readFileSync(at("own.key"), "utf8"), "own.key"), { now: SIGNED_AT }));
    expect(minisign("-V", "-m", "list", "-p", "own.pub").code).toBe(0);
  });
});
