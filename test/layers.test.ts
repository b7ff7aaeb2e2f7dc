import { expect, test } from "bun:test";
import { join } from "node:path/posix";

const ROOT = join(import.meta.dir, "..");
const FILE_SYSTEM = /^(node:)?fs(\/|$)/;

/** Who may not import what at run time; types are free. Imports are paths from the top folder, or names of modules. */
const TABLE: readonly (readonly [files: string, forbidden: readonly RegExp[]])[] = [
  ["src/*.ts", [FILE_SYSTEM, /^@?hono/, /^store\//, /^handlers\//, /^src\/(commands|wire)\//, /^bin\//, /^test\//]],
  ["src/wire/*.ts", [FILE_SYSTEM, /^@?hono/, /^store\//, /^handlers\//, /^src\/commands\//, /^bin\//, /^test\//]],
  ["store/*.ts", [/^@?hono/, /^handlers\//, /^src\/(commands|wire)\//, /^bin\//, /^test\//]],
  ["handlers/*.ts", [FILE_SYSTEM, /^store\//, /^src\/commands\//, /^bin\//, /^test\//]],
  ["src/commands/*.ts", [/^bin\//, /^test\//]],
];

const transpiler = new Bun.Transpiler({ loader: "ts" });

async function importsOf(file: string): Promise<string[]> {
  const found = transpiler.scanImports(await Bun.file(join(ROOT, file)).text());
  return found.map(({ path }) => (path.startsWith(".") ? join(file, "..", path) : path));
}

test.each(TABLE)("%s imports only what it may", async (glob, forbidden) => {
  const files = [...new Bun.Glob(glob).scanSync(ROOT)].toSorted();
  expect(files).not.toBeEmpty();
  const wrong: string[] = [];
  for (const file of files)
    for (const path of await importsOf(file)) if (forbidden.some((rule) => rule.test(path))) wrong.push(`${file} imports ${path}`);
  expect(wrong).toEqual([]);
});

test("imports are seen, types are not", () => {
  const found = transpiler.scanImports(`import { a, type B } from "./a.ts"; import type { C } from "./c.ts"; a(); await import("./d.ts");`);
  expect(found.map((one) => one.path).toSorted()).toEqual(["./a.ts", "./d.ts"]);
});
