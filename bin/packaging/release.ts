/**
 * Makes a release of the executables in dist: packages for Debian, an OCI image, bill of materials, licences, SHA256SUMS and its signature. The same
 * sources, secret key and C library give the same bytes. `bun bin/packaging/release.ts [SECRET-KEY] [FOLDER-OF-LIBC6]`, either empty.
 */

import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { $ } from "bun";
import { formatSums, readSecretKey, type SecretKey, SIGNATURE_FILE, SUMS_FILE, sign } from "../../src/archives/signature.ts";
import { VERSION } from "../../src/version.ts";
import { imageOfChp } from "./chpimage.ts";
import { debianPackage } from "./debian.ts";
import { billOfMaterials, licences } from "./inside.ts";
import { libcFolder, libcsIn } from "./libc.ts";

const DIST = "dist";
const EXECUTABLES = ["chp-linux-x64", "chp-linux-arm64", "chp-darwin-arm64", "chp.mjs"];
/** Debian's name of an architecture, which images have too → executable */
const LINUX = { amd64: "chp-linux-x64", arm64: "chp-linux-arm64" } as const;

const [keyFile = "", libcGiven = ""] = process.argv.slice(2);
const made = new Map<string, string>();

const read = (name: string) => readFileSync(join(DIST, name));

function write(name: string, bytes: Uint8Array | string): void {
  const path = join(DIST, name);
  writeFileSync(`${path}.new`, bytes);
  renameSync(`${path}.new`, path);
  made.set(name, createHash("sha256").update(bytes).digest("hex"));
}

/** Of the commit, in seconds since 1970: of SOURCE_DATE_EPOCH, or what git says here. */
async function timeOfSources(): Promise<number> {
  const said = process.env["SOURCE_DATE_EPOCH"] ?? (await $`git log -1 --format=%ct`.quiet().nothrow().text()).trim();
  if (!/^\d+$/.test(said)) throw new Error("SOURCE_DATE_EPOCH is not set, and git does not say when the sources were committed");
  return Number(said);
}

function secretKey(): SecretKey {
  if (!existsSync(keyFile)) throw new Error(`SIGN=${keyFile}: there is no such file; chp keygen FILE makes a key`);
  return readSecretKey(readFileSync(keyFile, "utf8"), keyFile);
}

if (keyFile !== "") secretKey(); // one that can't be read is said before anything is made
for (const name of EXECUTABLES)
  if (read(name).includes(process.cwd()))
    throw new Error(`${name} has the folder in it that it was built in, so it would not be the same elsewhere`);

const time = await timeOfSources();
const folder = libcFolder(libcGiven);
const libcs = await libcsIn(folder, libcGiven === "");
const bill = await billOfMaterials(time, libcs ?? []);
const texts = { licences: licences(bill, read("chp.mjs").toString()) };

for (const name of EXECUTABLES) made.set(name, createHash("sha256").update(read(name)).digest("hex"));
write(`chp-${VERSION}.cdx.json`, bill);
write(`chp-${VERSION}-licences.txt`, texts.licences);
const changelog = readFileSync("CHANGELOG.md", "utf8");
for (const [architecture, name] of Object.entries(LINUX))
  write(
    `chp_${VERSION}_${architecture}.deb`,
    debianPackage({ version: VERSION, architecture, executable: read(name), changelog, time, ...texts }),
  );
const imageName = `chp-${VERSION}-image.tar`;
if (libcs) {
  const parts = libcs.map((libc) => ({ libc, executable: read(LINUX[libc.architecture as keyof typeof LINUX]) }));
  write(imageName, imageOfChp(parts, texts, time));
} else rmSync(join(DIST, imageName), { force: true }); // of an earlier release, which SHA256SUMS would not name

const sums = formatSums([...made].map(([path, sha256]) => ({ path, sha256 })));
writeFileSync(join(DIST, SUMS_FILE), sums);
if (keyFile === "") rmSync(join(DIST, SIGNATURE_FILE), { force: true });
else writeFileSync(join(DIST, SIGNATURE_FILE), sign(sums, secretKey(), { now: time * 1000, what: `chp ${VERSION}` }));

console.log(sums.trimEnd());
if (!libcs)
  console.log(
    `no image: ${folder} has no libc6_*.deb for each of ${Object.keys(LINUX).join(" and ")}, and this machine has no apt-get to download them: make release LIBC=FOLDER`,
  );
console.log(keyFile === "" ? `not signed: make release SIGN=FILE signs ${SUMS_FILE} by a key of chp keygen` : `signed: ${SIGNATURE_FILE}`);
