/** What another reader of tars finds in one. */

import { Parser, type ReadEntry } from "tar";

export interface Seen {
  readonly bytes: Buffer;
  readonly mode: number | undefined;
  readonly uid: number | undefined;
  /** seconds since 1970 */
  readonly mtime: number;
}

export interface SeenTar {
  readonly files: Map<string, Seen>;
  readonly folders: Map<string, Pick<Seen, "mode" | "uid">>;
  readonly links: Map<string, { readonly mode: number | undefined; readonly to: string | undefined }>;
  /** paths as they come */
  readonly order: string[];
}

export async function filesOfTar(tar: Uint8Array): Promise<SeenTar> {
  const seen: SeenTar = { files: new Map(), folders: new Map(), links: new Map(), order: [] };
  await new Promise<void>((resolve, reject) => {
    const parser = new Parser({
      onReadEntry: (entry: ReadEntry) => {
        const { path, mode, uid, mtime } = entry;
        seen.order.push(path);
        if (entry.type === "Directory") seen.folders.set(path, { mode, uid });
        if (entry.type === "SymbolicLink") seen.links.set(path, { mode, to: entry.linkpath });
        const chunks: Buffer[] = [];
        entry.on("data", (chunk: Buffer) => void chunks.push(chunk));
        entry.on("end", () => {
          if (entry.type === "File")
            seen.files.set(path, { bytes: Buffer.concat(chunks), mode, uid, mtime: (mtime?.getTime() ?? 0) / 1000 });
        });
      },
    });
    parser.on("end", resolve);
    parser.on("error", reject);
    parser.end(Buffer.from(tar));
  });
  return seen;
}
