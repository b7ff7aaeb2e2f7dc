/** Snaps: import beside hashing by hand, verification, and a machine that asks for all that it has. */

import { createCipheriv, createHash } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeStream } from "../../src/assertions/text.ts";
import { account, accountKey, rootOf, type Signatory, snapDeclaration, snapRevision, testKey } from "../signer.ts";
import { squashfs } from "../squashfs.ts";
import { beside, inTurns, type Report } from "./figures.ts";
import { run, runChp, tool } from "./processes.ts";
import { compare, type LoadOptions } from "./requests.ts";

const MIB = 2 ** 20;

export interface SnapOptions extends LoadOptions {
  readonly mib: number;
  /** assertions that are verified at once */
  readonly assertions: number;
  /** snaps that a machine has installed */
  readonly installed: number;
}

const ROOT = rootOf("testroot");
const STORE: Signatory = { account: ROOT.account, key: testKey("store") };
const DEV = "devdevdevdevdevdevdevdevdevdev12";
const COMMON = [
  accountKey(ROOT, STORE.key, { "account-id": ROOT.account, name: "store" }),
  account(STORE, { "account-id": DEV, username: "dev", "display-name": "Dev" }),
];
/** The root of all that is signed here. */
export const TRUST = ROOT.trust;
const BY_HAND = 'sha256sum "$1" && openssl dgst -sha3-384 "$1"';

export async function snaps(report: Report, folder: string, options: SnapOptions) {
  const root = join(folder, "snaps");
  mkdirSync(root);
  const trust = join(root, "root.assert");
  writeFileSync(trust, ROOT.trust);
  const into = (store: string, ...files: string[]) => ["import", "--quiet", "--store", join(root, store), "--trust", trust, ...files];
  const fresh = (store: string) => rmSync(join(root, store), { recursive: true, force: true });

  const name = `import of a snap of ${options.mib} MiB`;
  await report.measure(name, async () => {
    await tool("openssl");
    const file = largeSnap(root, options.mib * MIB).file;
    const pairs = await inTurns(
      Math.min(options.rounds, 5),
      async () => {
        fresh("large-store");
        return runChp(into("large-store", file), { watch: true });
      },
      () => run(["bash", "-c", BY_HAND, "bash", file]),
    );
    const rate = ({ seconds }: { readonly seconds: number }) => options.mib / seconds;
    report.figure(beside(pairs, { name, unit: "MiB/s", peer: "sha256sum, then sha3-384" }, rate, rate));
    report.figure({ name: `${name}, memory`, value: Math.max(...pairs.map(([chp]) => chp.memory)) / MIB, unit: "MiB" });
    rmSync(file);
    fresh("large-store");
  });

  await report.measure("verification", async () => {
    const stream = join(root, "many.assert");
    const declared = Array.from({ length: options.assertions }, (_, i) => declarationOf(`snap-${i}`));
    writeFileSync(stream, encodeStream([...COMMON, ...declared]));
    const pairs = await inTurns(
      Math.min(options.rounds, 5),
      async () => {
        fresh("many-store");
        return runChp(into("many-store", stream));
      },
      () => runChp(["--version"]),
    );
    const value = Math.min(...pairs.map(([all, start]) => all.seconds - start.seconds)) * 1000;
    report.difference({ name: `import of ${options.assertions} assertions, past the start`, value, unit: "ms" });
  });

  await report.measure("a machine's snaps", async () => {
    const names = Array.from({ length: options.installed }, (_, i) => `snap-${i}`);
    const files = names.map((one, i) => write(root, one, i + 1, `${i}`));
    await runChp(into("machine", ...files));
    for (const file of files) rmSync(file);
    const context = names.map((one, i) => ({
      "snap-id": idOf(one),
      "instance-key": idOf(one),
      revision: i + 1,
      "tracking-channel": "latest/stable",
      epoch: { read: [0], write: [0] },
    }));
    const actions = context.map((one) => ({ action: "refresh", "instance-key": one["instance-key"], "snap-id": one["snap-id"] }));
    const fields = ["name", "revision", "snap-id", "snap-yaml", "type", "version", "download", "epoch"];
    const request = { path: "/v2/snaps/refresh", body: JSON.stringify({ context, actions, fields }) };
    await compare(report, `refresh of ${options.installed} installed snaps`, root, join(root, "machine"), [request], options);
  });
}

/** One snap of so many bytes, with its assertions beside it. */
export function largeSnap(root: string, size: number): { readonly id: string; readonly file: string } {
  return { id: idOf("large"), file: write(root, "large", 1, noise(size)) };
}

function idOf(name: string): string {
  return name.replaceAll("-", "").padEnd(32, "x");
}

function declarationOf(name: string): string {
  return snapDeclaration(STORE, { "snap-id": idOf(name), "snap-name": name, "publisher-id": DEV });
}

/** A snap with its assertions beside it; its path. */
function write(root: string, name: string, revision: number, payload: string | Uint8Array): string {
  const yaml = `name: ${name}\nversion: "1"\nbase: core22\narchitectures: [amd64]\napps: {${name}: {command: bin/x}}\n`;
  const bytes = squashfs({ "meta/snap.yaml": yaml, "bin/x": payload }, { compression: "none", blockSize: MIB });
  const asserted = snapRevision(STORE, {
    "snap-sha3-384": createHash("sha3-384").update(bytes).digest("base64url"),
    "snap-id": idOf(name),
    "snap-size": bytes.byteLength,
    "snap-revision": revision,
    "developer-id": DEV,
  });
  const file = join(root, `${name}_${revision}.snap`);
  writeFileSync(file, bytes);
  writeFileSync(file.replace(/snap$/, "assert"), encodeStream([...COMMON, declarationOf(name), asserted]));
  return file;
}

function noise(size: number): Uint8Array {
  return createCipheriv("aes-128-ctr", Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(size));
}
