/** gpg signs a text, as upstream signs its streams, and chp reads it; what gpg says of the key, chp says too. */

import { afterAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { readClearSigned, readSigningKey } from "../../src/assertions/clearsigned.ts";
import { streamsTexts, testAgents } from "../streams.ts";
import { tempFolder } from "../temp.ts";

const folder = tempFolder();
const home = join(folder.path, "home");
afterAll(async () => {
  await Bun.spawn(["gpgconf", "--homedir", home, "--kill", "all"], { stdout: "ignore", stderr: "ignore" }).exited;
  folder[Symbol.dispose]();
});

async function gpg(...args: string[]): Promise<string> {
  const done = Bun.spawn(["gpg", "--homedir", home, "--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase", "", ...args], {
    stderr: "pipe",
  });
  const [out, err] = await Promise.all([new Response(done.stdout).text(), new Response(done.stderr).text()]);
  if ((await done.exited) !== 0) throw new Error(`gpg ${args.join(" ")}: ${err}`);
  return out;
}

test.skipIf(!Bun.which("gpg") && !process.env["CI"])("what gpg signs is read, and its key ends when gpg says (needs gpg)", async () => {
  await Bun.spawn(["mkdir", "-m", "700", home]).exited;
  await gpg("--quick-gen-key", "Streams of a test <streams@test>", "rsa2048", "sign", "2y");
  const key = readSigningKey(Buffer.from(await gpg("--export", "--armor")), "the key");
  const listed = await gpg("--list-keys", "--with-colons");
  expect(listed).toContain(`fpr:::::::::${key.fingerprint}:`);
  const expires = Number(/^pub:(?:[^:]*:){5}(\d+)/m.exec(listed)?.[1]);
  expect(Date.parse(key.until ?? "") / 1000).toBe(expires);
  expect(key.name).toBe("Streams of a test <streams@test>");
  const { index } = streamsTexts(testAgents(["3.6.11"]));
  for (const [hash, text] of [
    ["SHA512", index],
    ["SHA256", `${index}\n- dashes\n--- and blanks  \t\n\n`],
  ] as const) {
    writeFileSync(join(folder.path, "text"), text);
    const signed = await gpg("--digest-algo", hash, "--clearsign", "--output", "-", join(folder.path, "text"));
    const read = readClearSigned(Buffer.from(signed), [key], "it");
    expect(read.text.replaceAll("\r\n", "\n").trimEnd()).toBe(text.replace(/[ \t]+$/gm, "").trimEnd());
    const changed = Buffer.from(signed.replace("released", "releasee"));
    expect(() => readClearSigned(changed, [key], "it")).toThrow("is of another text");
  }
});
