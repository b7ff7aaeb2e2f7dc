/**
 * Makes a release of the executables in dist: packages for Debian, an OCI image, bill of materials, licences, SHA256SUMS and its signature. The same
 * sources, secret key and C library give the same bytes. `bun bin/packaging/release.ts [SECRET-KEY] [FOLDER-OF-LIBC6]`, either empty.
 */

import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { $ } from "bun";
import { formatSums, readSecretKey, SIGNATURE_FILE, SUMS_FILE, sign } from "../../src/archives/signature.ts";
import { BUILD, VERSION } from "../../src/version.ts";
import { debianPackage } from "./debian.ts";
import { imageOf } from "./image.ts";
import { billOfMaterials, licences } from "./inside.ts";
import { type Libc, libcFolder, libcsIn } from "./libc.ts";
import type { Entry } from "./tar.ts";

const DIST = "dist";
const EXECUTABLES = ["chp-linux-x64", "chp-linux-arm64", "chp-darwin-arm64", "chp.mjs"];
/** Debian's name of an architecture, which images have too → executable */
const LINUX = { amd64: "chp-linux-x64", arm64: "chp-linux-arm64" } as const;
/** Nobody's number on any system. */
const USER = 65532;

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

/** The files of an image that every version has: those of the C library, and who runs it. */
function staticFiles({ files }: Libc): Entry[] {
  return [
    ...files,
    { path: "etc/passwd", bytes: `root:x:0:0:root:/:/sbin/nologin\nchp:x:${USER}:${USER}:chp:/var/lib/chp:/sbin/nologin\n` },
    { path: "etc/group", bytes: `root:x:0:\nchp:x:${USER}:\n` },
    { path: "etc/nsswitch.conf", bytes: "hosts: files dns\n" },
    { path: "tmp", mode: 0o1777 },
    { path: "var/lib/chp", owner: USER },
  ];
}

function image(libcs: readonly Libc[], texts: { readonly licences: string }, time: number): Uint8Array {
  const platforms = libcs.map((libc): [string, Entry[][]] => {
    const executable = read(LINUX[libc.architecture as keyof typeof LINUX]);
    const own: Entry[] = [
      { path: "usr/bin/chp", bytes: executable, mode: 0o755 },
      { path: "usr/share/doc/chp/copyright", bytes: texts.licences },
    ];
    return [libc.architecture, [staticFiles(libc), own]];
  });
  const seconds = (count: number) => count * 1_000_000_000;
  return imageOf({
    name: `chp:${VERSION}`,
    config: {
      User: `${USER}:${USER}`,
      Env: ["PATH=/usr/bin", "CHP_STORE=/var/lib/chp", "HOME=/var/lib/chp"],
      Entrypoint: ["/usr/bin/chp"],
      Cmd: ["serve", "--wait-for-store"],
      ExposedPorts: { "8080/tcp": {} },
      Volumes: { "/var/lib/chp": {} },
      WorkingDir: "/var/lib/chp",
      StopSignal: "SIGTERM",
      // Docker's; the specification of OCI has none, and Kubernetes asks /_status/check.
      Healthcheck: {
        Test: ["CMD", "/usr/bin/chp", "status", "--probe"],
        Interval: seconds(30),
        Timeout: seconds(10),
        StartPeriod: seconds(10),
        Retries: 3,
      },
    },
    labels: {
      "org.opencontainers.image.title": "chp",
      "org.opencontainers.image.description": "An offline Charmhub, Snap Store and image registry",
      "org.opencontainers.image.version": VERSION,
      "org.opencontainers.image.licenses": "Apache-2.0",
      ...(BUILD !== "" && { "org.opencontainers.image.revision": BUILD }),
    },
    time,
    platforms: Object.fromEntries(platforms),
  });
}

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
if (libcs) write(imageName, image(libcs, texts, time));
else rmSync(join(DIST, imageName), { force: true }); // of an earlier release, which SHA256SUMS would not name

const sums = formatSums([...made].map(([path, sha256]) => ({ path, sha256 })));
writeFileSync(join(DIST, SUMS_FILE), sums);
if (keyFile === "") rmSync(join(DIST, SIGNATURE_FILE), { force: true });
else {
  if (!existsSync(keyFile)) throw new Error(`SIGN=${keyFile}: there is no such file; chp keygen FILE makes a key`);
  writeFileSync(
    join(DIST, SIGNATURE_FILE),
    sign(sums, readSecretKey(readFileSync(keyFile, "utf8"), keyFile), { now: time * 1000, what: `chp ${VERSION}` }),
  );
}

console.log(sums.trimEnd());
if (!libcs)
  console.log(
    `no image: ${folder} has no libc6_*.deb for each of ${Object.keys(LINUX).join(" and ")}, and this machine has no apt-get to download them: make release LIBC=FOLDER`,
  );
console.log(keyFile === "" ? `not signed: make release SIGN=FILE signs ${SUMS_FILE} by a key of chp keygen` : `signed: ${SIGNATURE_FILE}`);
