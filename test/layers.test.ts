/** The architecture as a table: which folder may import which. CONTRIBUTING.md and src/README.md describe the same rooms. */

import { describe, expect, test } from "bun:test";
import { dirname, join } from "node:path/posix";

const ROOT = join(import.meta.dir, "..");

interface Room {
  /** folders that it may import, besides itself */
  readonly imports: readonly string[];
  /** folders of which it may import types, besides those */
  readonly types?: readonly string[];
  /** modules that only some rooms may import, of `RESTRICTED` */
  readonly modules?: readonly (keyof typeof RESTRICTED)[];
}

/** Modules that decide what a room is: who touches the disk, who speaks HTTP. */
const RESTRICTED = {
  disk: /^(node:)?fs(\/|$)/,
  processes: /^(node:)?(child_process|worker_threads|cluster)$/,
  http: /^@?hono/,
  network: /^(undici|(node:)?(http|https|http2|net|tls|dns)(\/|$))/,
} as const;

const CATALOG = ["src", "src/assertions", "src/catalog"];
const ARCHIVES = [...CATALOG, "src/archives", "src/archives/needs"];
const SRC = [...ARCHIVES, "src/wire", "src/settings", "src/import", "src/export"];

/** Every folder of the program. Whoever adds one decides here what it may know. */
const TABLE: Readonly<Record<string, Room>> = {
  src: { imports: [] },
  "src/assertions": { imports: ["src"] },
  "src/catalog": { imports: ["src", "src/assertions"] },
  "src/archives": { imports: [...CATALOG, "src/archives/needs"] },
  "src/archives/needs": { imports: [...CATALOG, "src/archives"] },
  "src/wire": { imports: CATALOG },
  // of the network only `isIP`
  "src/settings": { imports: ARCHIVES, modules: ["network"] },
  "src/import": { imports: ARCHIVES },
  "src/export": { imports: ARCHIVES },
  store: { imports: ["src", "src/catalog", "src/settings"], types: ["src/assertions"], modules: ["disk"] },
  handlers: { imports: [...CATALOG, "src/wire", "src/settings", "handlers/web"], types: ["store"], modules: ["http", "network"] },
  "handlers/web": { imports: [...CATALOG, "src/wire", "handlers"], types: ["src/settings", "store"], modules: ["http"] },
  "bin/machine": { imports: [...SRC, "store", "handlers", "handlers/web"], modules: ["disk", "processes", "network"] },
  "bin/commands": { imports: [...SRC, "store", "handlers", "handlers/web", "bin/machine"], modules: ["disk", "processes", "network"] },
  bin: { imports: [...SRC, "store", "handlers", "handlers/web", "bin/machine", "bin/commands", "bin/packaging"], modules: ["disk"] },
  "bin/packaging": { imports: [...SRC, "store", "handlers", "handlers/web", "bin/machine", "bin/commands"], modules: ["disk"] },
};

/** Data that is built into the program. */
const DATA = /\.(json|md|css|txt)$|\/assets\//;

interface Import {
  /** a path from the top folder, or the name of a module */
  readonly path: string;
  readonly typeOnly: boolean;
  /** whether it is loaded with the file */
  readonly atStart: boolean;
}

const transpilers = { ".ts": new Bun.Transpiler({ loader: "ts" }), ".tsx": new Bun.Transpiler({ loader: "tsx" }) };

/** Every import of a file. Static ones are read as text, so that types are seen too; the rest is what the transpiler leaves. */
function importsOf(file: string, text: string): Import[] {
  const transpiler = transpilers[file.endsWith(".tsx") ? ".tsx" : ".ts"];
  const scanned = transpiler.scanImports(text.replace(/^#!.*/, ""));
  const atRunTime = new Set(scanned.map(({ path }) => path));
  const first = new Set(scanned.filter(({ kind }) => kind === "import-statement").map(({ path }) => path));
  const declared = [...text.matchAll(/^(?:import|export)\s(?:[^"';]*?\sfrom\s+)?"([^"]+)"/gm)].map(([, path = ""]) => path);
  const inTypes = [...text.matchAll(/\bimport\("([^"]+)"\)/g)].map(([, path = ""]) => path);
  return [...new Set([...declared, ...inTypes, ...atRunTime])].map((path) => ({
    path: path.startsWith(".") ? join(dirname(file), path) : path,
    typeOnly: !atRunTime.has(path),
    atStart: first.has(path),
  }));
}

const TOP = new Set(Object.keys(TABLE).map((room) => room.split("/")[0]));
const isOurs = (path: string) => TOP.has(path.split("/")[0] ?? "") && !DATA.test(path);

const files = [...TOP]
  .flatMap((top) => [...new Bun.Glob(`${top}/**/*.{ts,tsx}`).scanSync(ROOT)])
  .filter((file) => !file.endsWith(".d.ts"))
  .toSorted();
const imports = new Map<string, Import[]>();
for (const file of files) imports.set(file, importsOf(file, await Bun.file(join(ROOT, file)).text()));

/** Why a file may not import something; undefined: it may. */
function against(file: string, { path, typeOnly }: Import): string | undefined {
  const room = TABLE[dirname(file)];
  if (!room) return `${dirname(file)} is not in the table`;
  if (!isOurs(path)) {
    const kind = (Object.keys(RESTRICTED) as (keyof typeof RESTRICTED)[]).find((one) => RESTRICTED[one].test(path));
    return kind === undefined || typeOnly || room.modules?.includes(kind) || DATA.test(path)
      ? undefined
      : `it may not use ${kind} (${path})`;
  }
  const target = dirname(path);
  if (target === dirname(file) || room.imports.includes(target) || (typeOnly && room.types?.includes(target))) return undefined;
  return `${dirname(file)} may not import ${target}${room.types?.includes(target) ? " but for types" : ""}`;
}

test("every folder is in the table, and every folder of the table is there", () => {
  expect([...new Set(files.map((file) => dirname(file)))].toSorted()).toEqual(Object.keys(TABLE).toSorted());
});

describe.each(Object.keys(TABLE))("%s", (room) => {
  test("imports only what the table allows, types included", () => {
    const wrong = files
      .filter((file) => dirname(file) === room)
      .flatMap((file) => (imports.get(file) ?? []).flatMap((one) => against(file, one) ?? []).map((why) => `${file}: ${why}`));
    expect(wrong).toEqual([]);
  });
});

/** Files that can be reached from themselves, types included: groups of more than one. */
function circles(): string[][] {
  const found: string[][] = [];
  const [order, lowest] = [new Map<string, number>(), new Map<string, number>()];
  const path: string[] = [];
  const visit = (file: string): void => {
    order.set(file, order.size);
    lowest.set(file, order.get(file) ?? 0);
    path.push(file);
    for (const { path: next } of imports.get(file) ?? []) {
      if (!imports.has(next)) continue;
      if (!order.has(next)) visit(next);
      else if (!path.includes(next)) continue;
      lowest.set(file, Math.min(lowest.get(file) ?? 0, lowest.get(next) ?? 0));
    }
    if (lowest.get(file) !== order.get(file)) return;
    const circle = path.splice(path.indexOf(file));
    if (circle.length > 1) found.push(circle);
  };
  for (const file of files) if (!order.has(file)) visit(file);
  return found;
}

test("no circle of files, types included", () => {
  expect(circles()).toEqual([]);
});

test("every import leads to a file", async () => {
  const lost: string[] = [];
  for (const [file, all] of imports)
    for (const { path } of all) if (isOurs(path) && !(await Bun.file(join(ROOT, path)).exists())) lost.push(`${file} imports ${path}`);
  expect(lost).toEqual([]);
});

/** Files and modules that are loaded before a command runs: all that can be reached without an `import()`. */
function atStart(): Set<string> {
  const found = new Set<string>();
  const visit = (path: string): void => {
    if (found.has(path)) return;
    found.add(path);
    for (const one of imports.get(path) ?? []) if (one.atStart) visit(one.path);
  };
  visit("bin/chp.ts");
  return found;
}

/** Packages of npm that every command needs, or that cost a millisecond at most. What else there is waits for an `import()`. */
const PACKAGES_AT_START = ["commander", "hono", "hono/html", "hono/utils/url", "smol-toml", "tar/header", "tar/pax", "valibot", "yaml"];

/** Modules of the runtime that take milliseconds to load, for what most commands never do. */
const LATE = /^(node:)?(http|https|http2|tls|readline|repl|inspector)$/;

test("what one runtime or few commands need is not loaded at start", () => {
  const modules = [...atStart()].filter((path) => !isOurs(path) && !DATA.test(path));
  expect(modules.filter((path) => !path.startsWith("node:") && path !== "bun").toSorted()).toEqual(PACKAGES_AT_START);
  expect(modules.filter((path) => LATE.test(path))).toEqual([]);
});

describe("the walk itself", () => {
  const SAMPLE = `import { a, type B } from "./a.ts";
import type { C } from "./c.ts";
import {
  type D,
} from "./d.ts";
import "./side.ts";
export { e } from "./e.ts";
a(); await import("./late.ts"); type F = import("./f.ts").F;`;

  test("sees imports of every kind, and which are types", () => {
    const seen = importsOf("src/x.ts", SAMPLE).map(({ path, typeOnly }) => `${path}${typeOnly ? " (types)" : ""}`);
    expect(seen.toSorted()).toEqual([
      "src/a.ts",
      "src/c.ts (types)",
      "src/d.ts (types)",
      "src/e.ts",
      "src/f.ts (types)",
      "src/late.ts",
      "src/side.ts",
    ]);
  });

  test.each([
    ["src/digest.ts", { path: "src/catalog/base.ts", typeOnly: true, atStart: false }, "src may not import src/catalog"],
    ["handlers/app.ts", { path: "store/store.ts", typeOnly: false, atStart: true }, "handlers may not import store but for types"],
    ["handlers/app.ts", { path: "node:fs/promises", typeOnly: false, atStart: true }, "it may not use disk (node:fs/promises)"],
    ["store/fs.ts", { path: "hono", typeOnly: false, atStart: true }, "it may not use http (hono)"],
    ["src/new/room.ts", { path: "src/digest.ts", typeOnly: false, atStart: true }, "src/new is not in the table"],
  ])("%s: what is forbidden is told", (file, one, why) => {
    expect(against(file, one)).toBe(why);
  });

  test("what is allowed is not", () => {
    expect(against("handlers/app.ts", { path: "store/store.ts", typeOnly: true, atStart: true })).toBeUndefined();
    expect(against("src/version.ts", { path: "package.json", typeOnly: false, atStart: true })).toBeUndefined();
  });
});
