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

async function load(folder: string): Promise<Modules> {
  const names = ["store", "gc", "check", "backup", "lease", "reach"];
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

/** The modules with the patches; they stay loaded, the files don't. */
export async function patched(patches: readonly Patch[]): Promise<Modules> {
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
    return await load(join(folder, "store"));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
