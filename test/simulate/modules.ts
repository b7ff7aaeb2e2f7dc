/** What is simulated: the modules of store/, or a copy of them with a fault that is put back. */

import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

export type Modules = Pick<typeof import("../../store/store.ts"), "Store"> &
  Pick<typeof import("../../store/gc.ts"), "collectGarbage"> &
  Pick<typeof import("../../store/check.ts"), "check"> &
  Pick<typeof import("../../store/backup.ts"), "copyStore"> &
  Pick<typeof import("../../store/lease.ts"), "endLeases"> &
  Pick<typeof import("../../store/reach.ts"), "blobsOf">;

const ROOT = resolve(import.meta.dir, "../..");

const NAMES = ["store", "gc", "check", "backup", "lease", "reach"];

async function load(folder: string, names: readonly string[] = NAMES): Promise<Modules> {
  const loaded = await Promise.all(names.map((name) => import(join(folder, `${name}.ts`)) as Promise<object>));
  return Object.assign({}, ...loaded) as Modules;
}

export const AS_IT_IS: Modules = await load(join(ROOT, "store"));

/** A text of a file of store/ that is there once, and what takes its place. */
export interface Patch {
  readonly file: string;
  readonly find: RegExp;
  readonly put: string;
}

/** The modules with the patches; they stay loaded, the files don't. `names`: of further files of store/. */
export async function patched<More extends object = object>(
  patches: readonly Patch[],
  names: readonly string[] = [],
): Promise<Modules & More> {
  mkdirSync(join(ROOT, ".run"), { recursive: true }); // below the project, so that packages are found
  const folder = mkdtempSync(join(ROOT, ".run", "patched-"));
  try {
    cpSync(join(ROOT, "store"), join(folder, "store"), { recursive: true });
    symlinkSync(join(ROOT, "src"), join(folder, "src"));
    for (const { file, find, put } of patches) {
      const path = join(folder, "store", file);
      const text = readFileSync(path, "utf8");
      const found = text.match(new RegExp(find, "g"))?.length ?? 0;
      if (found !== 1) throw new Error(`store/${file} has ${find} ${found} times: the fault that is put back must be written anew`);
      writeFileSync(path, text.replace(find, put));
    }
    return (await load(join(folder, "store"), [...NAMES, ...names])) as Modules & More;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
