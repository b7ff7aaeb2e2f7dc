/** What the finder finds of real charms: `make finder`. A charm of which it finds less than is written down fails, one that it makes up too. */

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { join, resolve } from "node:path";
import { unzipSync } from "fflate";
import { needsOf } from "../../src/archives/needs/needs.ts";
import { charmTexts } from "../../src/archives/zip.ts";
import type { Need } from "../../src/catalog/need.ts";
import { readerOf } from "../../src/export/archivewriter.ts";
import { zipOf } from "../build.ts";
import { CHARMS, type RealCharm, type SharedCode } from "./charms.ts";

/** Where packages that were downloaded are kept. */
const KEPT = resolve(process.env["CHP_CLIENTS"] ?? ".run/interop", "packages");

/** The wheel of a release, of PyPI. */
async function wheel({ name, version }: SharedCode): Promise<Uint8Array> {
  const folder = join(KEPT, `${name}-${version}`);
  if (!existsSync(folder)) {
    mkdirSync(KEPT, { recursive: true });
    const options = ["--quiet", "--no-deps", "--ignore-requires-python", "--only-binary=:all:", "--dest", `${folder}.new`];
    const pip = Bun.spawn(["python3", "-m", "pip", "download", ...options, `${name}==${version}`], {
      stdout: "inherit",
      stderr: "inherit",
    });
    if ((await pip.exited) !== 0) throw new Error(`cannot download ${name} ${version}`);
    renameSync(`${folder}.new`, folder);
  }
  const file = readdirSync(folder).find((each) => each.endsWith(".whl"));
  if (file === undefined) throw new Error(`${folder} has no wheel`);
  return readFileSync(join(folder, file));
}

/** The charm as it is packed: shared code is in its virtual environment. */
async function packed({ files, packages = [] }: RealCharm): Promise<Uint8Array> {
  const all = new Map(Object.entries(files));
  for (const each of packages)
    for (const [path, text] of textsOf(await wheel(each))) all.set(`venv/lib/python3.12/site-packages/${path}`, text);
  return zipOf(Object.fromEntries(all));
}

/** The code in a wheel, by its own paths. */
function textsOf(bytes: Uint8Array): Map<string, string> {
  return new Map(
    Object.entries(unzipSync(bytes)).flatMap(([path, content]) => (path.endsWith(".py") ? [[path, Buffer.from(content).toString()]] : [])),
  );
}

function show({ name, revision, architecture, channel }: Need): string {
  return [name, revision ?? "-", architecture ?? "-", channel ?? "-"].join(" ");
}

const without = (all: readonly string[], some: readonly string[]) => all.filter((each) => !some.includes(each));

const sum = { found: 0, missed: 0, wrong: 0 };
const count = { passed: 0, failed: 0 };
console.log(`${"charm".padEnd(26)} found missed wrong`);
for (const charm of CHARMS) {
  const { snaps, images } = needsOf(await charmTexts(readerOf(await packed(charm))));
  const found = [...snaps.map(show), ...images.map(({ reference }) => reference)];
  const needed = [...charm.snaps, ...charm.images];
  const [missed, wrong] = [without(needed, found), without(found, needed)];
  const figures = { found: needed.length - missed.length, missed: missed.length, wrong: wrong.length };
  console.log(
    `${charm.name.padEnd(26)} ${Object.values(figures)
      .map((figure, i) => String(figure).padStart([5, 6, 5][i] ?? 0))
      .join(" ")}`,
  );
  for (const key of ["found", "missed", "wrong"] as const) sum[key] += figures[key];
  const worse = [
    ...without(missed, charm.missed ?? []).map((each) => `missed: ${each}`),
    ...without(wrong, charm.wrong ?? []).map((each) => `wrong: ${each}`),
    ...without([...(charm.missed ?? []), ...(charm.wrong ?? [])], [...missed, ...wrong]).map(
      (each) => `better than charms.ts says: ${each}`,
    ),
  ];
  for (const each of worse) console.log(`FAIL ${charm.name}: ${each}`);
  if (worse.length === 0) count.passed += 1;
  else count.failed += 1;
}
console.log(
  `${`all ${CHARMS.length}`.padEnd(26)} ${String(sum.found).padStart(5)} ${String(sum.missed).padStart(6)} ${String(sum.wrong).padStart(5)}`,
);
console.log(`\n${count.passed} passed, ${count.failed} failed, 0 skipped`);
process.exit(count.failed === 0 ? 0 : 1);
