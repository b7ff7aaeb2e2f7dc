/** Files that are whole and on the disk when their command ends: written beside their place, synced, and put there in one step. */

import { randomUUID } from "node:crypto";
import * as fs from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { errorCode, isLinkUnsupported, undefinedIfMissing } from "../../store/diskerrors.ts";

/** Creates a file. Fails with `EEXIST` if there is one of that name. */
export function createFile(path: string, text: string, mode = 0o644): Promise<void> {
  return written(path, text, mode, async (made) => {
    try {
      await fs.link(made, path);
    } catch (error) {
      if (!isLinkUnsupported(error)) throw error;
      await fs.copyFile(made, path, fs.constants.COPYFILE_EXCL); // a file system without links, as of a USB stick
    }
    await fs.unlink(made);
  });
}

/** Replaces a file, or creates it. */
export function replaceFile(path: string, text: string, mode = 0o644): Promise<void> {
  return written(path, text, mode, (made) => fs.rename(made, path));
}

async function written(path: string, text: string, mode: number, put: (made: string) => Promise<void>): Promise<void> {
  const made = join(dirname(path), `.${basename(path)}.${randomUUID()}`);
  try {
    const file = await fs.open(made, "wx", mode);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await put(made);
  } catch (error) {
    await fs.unlink(made).catch(() => {});
    throw error;
  }
  await syncFolder(dirname(path));
}

/** Makes a folder and those above it, all of them on the disk. */
export async function makeFolder(path: string): Promise<void> {
  const first = await fs.mkdir(path, { recursive: true });
  if (first === undefined) return;
  for (let made = resolve(path); made.length >= resolve(first).length; made = dirname(made)) await syncFolder(dirname(made));
}

export async function syncFolder(folder: string): Promise<void> {
  const handle = await fs.open(folder, "r");
  try {
    await handle.sync();
  } catch (error) {
    if (!["EINVAL", "ENOTSUP", "EPERM"].includes(errorCode(error))) throw error; // some file systems can't sync a folder
  } finally {
    await handle.close();
  }
}

/** Undefined: there is no such file. Empty where it can't be read. */
export async function textOf(path: string): Promise<string | undefined> {
  return undefinedIfMissing(fs.readFile(path, "utf8")).catch(() => "");
}
