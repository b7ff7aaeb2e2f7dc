/** What is inside a release: its bill of materials (CycloneDX), and the licences of all of it. */

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { $ } from "bun";
import manifest from "../../package.json" with { type: "json" };
import { compareText } from "../../src/text.ts";
import { VERSION } from "../../src/version.ts";
import bunLicences from "./bun-licences.txt" with { type: "text" };
import type { Libc } from "./libc.ts";

export interface Component {
  readonly "bom-ref": string;
  readonly name: string;
  readonly version: string;
  readonly [field: string]: unknown;
}

export interface Bill {
  readonly metadata: { readonly component: Component; readonly [field: string]: unknown };
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn?: readonly string[] }[];
  readonly [field: string]: unknown;
}

/** What npm says of the packages of a release. The optional ones are the Node of each machine, for tests. */
export async function billOfMaterials(time: number, libcs: readonly Libc[]): Promise<string> {
  const words = ["--sbom-format", "cyclonedx", "--sbom-type", "application", "--omit", "dev", "--omit", "optional", "--package-lock-only"];
  return billOf((await $`npm sbom ${words}`.quiet().json()) as Bill, time, libcs);
}

/** The same each time, and with what npm does not know: npm adds a random number, the time, its version and the folder. */
export function billOf(said: Bill, time: number, libcs: readonly Libc[]): string {
  const bun = {
    "bom-ref": `bun@${manifest.devDependencies.bun}`,
    type: "platform",
    name: "bun",
    version: manifest.devDependencies.bun,
    scope: "required",
    description: "The runtime inside the executables",
    purl: `pkg:npm/bun@${manifest.devDependencies.bun}`,
    licenses: [{ license: { id: "MIT" } }],
  };
  const libc = libcs.map(({ architecture, version, sha256 }) => ({
    "bom-ref": `libc6@${version}?${architecture}`,
    type: "library",
    name: "libc6",
    version,
    scope: "required",
    description: "The C library inside the OCI image",
    purl: `pkg:deb/debian/libc6@${encodeURIComponent(version)}?arch=${architecture}`,
    hashes: [{ alg: "SHA-256", content: sha256 }],
    licenses: [{ license: { id: "LGPL-2.1-or-later" } }],
  }));
  const components = [...said.components, bun, ...libc].toSorted((a, b) => compareText(a["bom-ref"], b["bom-ref"]));
  const { component, timestamp: _time, tools: _tools, ...metadata } = said.metadata;
  const { serialNumber: _number, ...rest } = said;
  const bill = {
    ...rest,
    metadata: { timestamp: new Date(time * 1000).toISOString(), ...metadata, component: { ...component, name: "chp" } },
    components,
    dependencies: said.dependencies
      .map((each) => ({ ...each, ...(each.dependsOn && { dependsOn: each.dependsOn.toSorted() }) }))
      .toSorted((a, b) => compareText(a.ref, b.ref)),
  };
  return `${JSON.stringify({ ...bill, serialNumber: `urn:uuid:${uuidOf(JSON.stringify(bill))}` }, null, 2)}\n`;
}

/** A UUID of what it names, in place of a random one. */
function uuidOf(text: string): string {
  const hex = createHash("sha256").update(text).digest("hex");
  const variant = ((Number.parseInt(hex.slice(16, 17), 16) & 3) | 8).toString(16);
  return [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `${variant}${hex.slice(17, 20)}`, hex.slice(20, 32)].join("-");
}

/** The packages that `dist/chp.mjs` was bundled of: the bundler names the file of each part. */
export function bundledPackages(bundle: string): Set<string> {
  const files = bundle.matchAll(/^\/\/ (?:\S*\/)?node_modules\/((?:@[^/\s]+\/)?[^/\s]+)\//gm);
  return new Set([...files].map(([, name = ""]) => name));
}

/** The licences of chp, of every package that is in the bundle, and of Bun. Throws where the bill names a package not that is in it. */
export function licences(bill: string, bundle: string): string {
  const { components } = JSON.parse(bill) as Bill;
  const named = new Map(components.map((component) => [component.name, component]));
  const bundled = [...bundledPackages(bundle)].toSorted();
  const unnamed = bundled.filter((name) => !named.has(name));
  if (bundled.length === 0 || unnamed.length > 0)
    throw new Error(`the bill of materials does not name ${unnamed.join(", ") || "anything"}`);
  const parts = bundled.map((name) => [`${name} ${named.get(name)?.version ?? ""}`, licenceOf(name)] as const);
  return [[`chp ${VERSION}`, readFileSync("LICENSE", "utf8")] as const, ...parts, ["Bun, inside the executables", bunLicences] as const]
    .map(([title, text]) => `${"=".repeat(80)}\n${title}\n${"=".repeat(80)}\n\n${text.trim()}\n`)
    .join("\n");
}

function licenceOf(name: string): string {
  const folder = join("node_modules", name);
  const files = readdirSync(folder)
    .filter((file) => /^(licen[cs]e|copying|notice)/i.test(file))
    .toSorted();
  const { license, author } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as {
    license?: string;
    author?: string | { name: string };
  };
  if (files.length > 0) return files.map((file) => readFileSync(join(folder, file), "utf8").trim()).join("\n\n");
  if (license === undefined) throw new Error(`${folder} says nothing of its licence`);
  return `It says: license ${license}${author === undefined ? "" : `, by ${typeof author === "string" ? author : author.name}`}`;
}
