/** `make release` of executables that are made up, with a stand-in for apt-get: what it writes is what it names, and is the same again. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { debOf, membersOf } from "../../bin/packaging/deb.ts";
import { readSums, verify } from "../../src/archives/signature.ts";
import { VERSION } from "../../src/version.ts";
import { filesOfTar } from "../bin/packaging/tars.ts";
import { testKey } from "../carried.ts";
import { tempFolder } from "../temp.ts";

const ROOT = resolve(import.meta.dir, "../..");
const folder = tempFolder();
const at = (...path: string[]) => join(folder.path, ...path);
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const KEY = testKey("release");
const TIME = 1_800_000_000;

const EXECUTABLES: Readonly<Record<string, string>> = {
  "chp-linux-x64": "chp of amd64",
  "chp-linux-arm64": "chp of arm64",
  "chp-darwin-arm64": "chp of a mac",
  "chp.mjs": "#!/usr/bin/env node\n// node_modules/yaml/dist/index.js\n",
};

const LIBRARIES = { amd64: ["lib/x86_64-linux-gnu", "ld-linux-x86-64.so.2"], arm64: ["lib/aarch64-linux-gnu", "ld-linux-aarch64.so.1"] };

/** Puts the package of the architecture that it is asked for into its folder, after a while. */
const APT_GET = `#!/bin/sh
for word in "$@"; do case "$word" in APT::Architecture=*) architecture="\${word#*=}";; esac; done
case " $* " in *" download libc6 "*) ;; *) exit 0;; esac
sleep 0.2
cp "$OFFERED/libc6_2.36-9_$architecture.deb" .
`;

beforeAll(() => {
  for (const name of ["dist", "bin", "offered"]) mkdirSync(at(name));
  for (const name of ["package.json", "package-lock.json", "tsconfig.json", "LICENSE", "CHANGELOG.md"])
    copyFileSync(join(ROOT, name), at(name));
  symlinkSync(join(ROOT, "node_modules"), at("node_modules"));
  for (const [name, text] of Object.entries(EXECUTABLES)) writeFileSync(at("dist", name), text);
  for (const [architecture, [where = "", loader = ""]] of Object.entries(LIBRARIES)) {
    const names = ["libc.so.6", "libpthread.so.0", "libdl.so.2", "libm.so.6", loader];
    const files = names.map((name) => ({ path: `${where}/${name}`, bytes: `${name} of ${architecture}` }));
    const copyright = { path: "usr/share/doc/libc6/copyright", bytes: "its licence" };
    writeFileSync(
      at("offered", `libc6_2.36-9_${architecture}.deb`),
      debOf({ control: { Package: "libc6" }, scripts: {}, files: [...files, copyright], time: 1 }),
    );
  }
  writeFileSync(at("bin/apt-get"), APT_GET);
  chmodSync(at("bin/apt-get"), 0o755);
  writeFileSync(at("key"), KEY.texts.secret);
});
afterAll(() => folder[Symbol.dispose]());

async function release(keyFile: string, libcs = ""): Promise<{ code: number; out: string; err: string }> {
  const child = Bun.spawn([process.execPath, join(ROOT, "bin/packaging/release.ts"), keyFile, libcs], {
    cwd: folder.path,
    env: { ...process.env, PATH: `${at("bin")}:${process.env["PATH"]}`, OFFERED: at("offered"), SOURCE_DATE_EPOCH: String(TIME) },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
  return { code, out, err };
}

const dist = () =>
  new Map(
    readdirSync(at("dist"))
      .toSorted()
      .map((name) => [name, readFileSync(at("dist", name))]),
  );

describe("a release", () => {
  test("is signed, and its sums are those of all that lies there; its C library is downloaded once", async () => {
    const { code, out, err } = await release(at("key"));
    expect([code, err]).toEqual([0, ""]);
    expect(out).toContain("signed: SHA256SUMS.minisig");
    const files = dist();
    const text = files.get("SHA256SUMS")?.toString() ?? "";
    const sums = readSums(text, "it");
    const named = [
      ...Object.keys(EXECUTABLES),
      `chp-${VERSION}.cdx.json`,
      `chp-${VERSION}-licences.txt`,
      `chp-${VERSION}-image.tar`,
      `chp_${VERSION}_amd64.deb`,
      `chp_${VERSION}_arm64.deb`,
    ];
    expect([...sums.keys()].toSorted()).toEqual(named.toSorted());
    expect([...files.keys()].toSorted()).toEqual([...named, "SHA256SUMS", "SHA256SUMS.minisig"].toSorted());
    for (const [name, digest] of sums) expect([name, sha256(files.get(name) ?? Buffer.alloc(0))]).toEqual([name, digest]);
    expect(verify(text, files.get("SHA256SUMS.minisig")?.toString() ?? "", [KEY.accepted])).toMatchObject({
      comment: expect.stringContaining(`chp ${VERSION}`),
    });
    expect(readdirSync(at(".run/libc6")).toSorted()).toEqual(["libc6_2.36-9_amd64.deb", "libc6_2.36-9_arm64.deb"]); // and nothing of apt-get
    expect((await release(at("key"))).code).toBe(0);
    expect([...dist()].map(([name, bytes]) => [name, sha256(bytes)])).toEqual([...files].map(([name, bytes]) => [name, sha256(bytes)]));
  });

  test("has in each package the executable of its architecture, and the licences of what is in the bundle", async () => {
    const files = dist();
    for (const architecture of ["amd64", "arm64"]) {
      const members = membersOf(files.get(`chp_${VERSION}_${architecture}.deb`) ?? Buffer.alloc(0));
      const data = await filesOfTar(Bun.gunzipSync(Buffer.from(members.get("data.tar.gz") ?? "")));
      expect(data.files.get("./usr/bin/chp")).toMatchObject({ bytes: Buffer.from(`chp of ${architecture}`), mode: 0o755, mtime: TIME });
      const control = await filesOfTar(Bun.gunzipSync(Buffer.from(members.get("control.tar.gz") ?? "")));
      expect(control.files.get("./control")?.bytes.toString()).toMatch(
        new RegExp(`^Version: ${VERSION.replaceAll(".", "\\.")}$[\\s\\S]*^Architecture: ${architecture}$`, "m"),
      );
    }
    expect(files.get(`chp-${VERSION}-licences.txt`)?.toString()).toContain("\nyaml ");
    const bill = JSON.parse(files.get(`chp-${VERSION}.cdx.json`)?.toString() ?? "");
    const names = bill.components.map(({ name }: { name: string }) => name);
    expect(names).toEqual(expect.arrayContaining(["yaml", "hono", "bun", "libc6"]));
    expect(names).not.toContain("typescript"); // nothing that only builds or tests it
    expect(bill.metadata.timestamp).toBe(new Date(TIME * 1000).toISOString());
  });

  test("without a key or a C library has neither signature nor image, those of an earlier one included, and says so", async () => {
    mkdirSync(at("none"));
    const { code, out } = await release("", at("none"));
    expect(code).toBe(0);
    expect(out).toContain(`no image: ${at("none")} has no libc6_*.deb for each of amd64 and arm64`);
    expect(out).toContain("not signed: make release SIGN=FILE signs SHA256SUMS");
    expect(existsSync(at("dist", `chp-${VERSION}-image.tar`))).toBe(false);
    expect(existsSync(at("dist/SHA256SUMS.minisig"))).toBe(false);
    expect([...readSums(readFileSync(at("dist/SHA256SUMS"), "utf8"), "it").keys()]).not.toContain(`chp-${VERSION}-image.tar`);
  });

  test.each([
    ["a key that is not there", () => release(at("nokey"), at("none")), "nokey: there is no such file; chp keygen FILE makes a key"],
    ["a folder that is not there", () => release("", at("nofolder")), "nofolder: there is no such folder"],
  ])("%s is said", async (_, run, message) => {
    const { code, err } = await run();
    expect(code).not.toBe(0);
    expect(err).toContain(message);
  });

  test("of an executable that names the folder of its build is refused", async () => {
    writeFileSync(at("dist/chp-darwin-arm64"), `built in ${folder.path}/dist`);
    const { code, err } = await release("", at("none"));
    expect(code).not.toBe(0);
    expect(err).toContain("chp-darwin-arm64 has the folder in it that it was built in");
    rmSync(at("dist/chp-darwin-arm64"));
    writeFileSync(at("dist/chp-darwin-arm64"), EXECUTABLES["chp-darwin-arm64"] ?? "");
  });
});
