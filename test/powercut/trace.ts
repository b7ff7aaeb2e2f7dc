/** The text of `strace -f -y -xx` → what was done to one folder, in the order in which it was done. */

import { resolve } from "node:path";

/** Asked of strace. Of those that `operationsOf` does not model it only sees that they did nothing to the folder. */
const MODELLED =
  "open,openat,creat,close,write,pwrite64,writev,pwritev,truncate,ftruncate,fsync,fdatasync,syncfs,sync," +
  "mkdir,mkdirat,rmdir,unlink,unlinkat,link,linkat,rename,renameat,renameat2,chmod,fchmod,fchmodat,utimensat,chown,fchown,fchownat";
const UNMODELLED =
  "openat2,pwritev2,fallocate,copy_file_range,sendfile,splice,dup,dup2,dup3,symlink,symlinkat,sync_file_range,setxattr,fsetxattr";

/** Arguments of strace; `?` for what not every machine has. */
export const STRACE: readonly string[] = [
  "-f",
  "-y",
  "-xx",
  "-s",
  String(2 ** 26),
  "--seccomp-bpf",
  "-e",
  "signal=none",
  "-e",
  `trace=${[...MODELLED.split(","), ...UNMODELLED.split(",")].map((name) => `?${name}`).join(",")}`,
];

export interface Call {
  readonly name: string;
  readonly thread: string;
  readonly args: readonly string[];
  /** -1 where it failed */
  readonly result: number;
  readonly injected: boolean;
  /** numbers of the lines where it began and ended */
  readonly began: number;
  readonly at: number;
}

/** What is done to the folder; `began` and `at`: moments, of which only the order matters. */
export type Timed = { readonly began: number; readonly at: number } & (
  | { readonly kind: "open"; readonly file: number; readonly path: string; readonly flags: string; readonly mode: number }
  /** without `offset`: behind what this opening of the file wrote before, or at its end where it was opened to append */
  | { readonly kind: "write"; readonly file: number; readonly bytes: Uint8Array; readonly offset?: number }
  | { readonly kind: "resize"; readonly target: number | string; readonly size: number }
  /** undefined: all files and folders */
  | { readonly kind: "sync"; readonly file: number | undefined }
  | { readonly kind: "chmod"; readonly target: number | string; readonly mode: number }
  | { readonly kind: "mkdir"; readonly path: string; readonly mode: number }
  | { readonly kind: "remove"; readonly path: string }
  | { readonly kind: "link" | "rename"; readonly path: string; readonly to: string }
);

export type Operation = Timed & { readonly call: Call };

/** Every call that ended. */
export function callsOf(text: string): Call[] {
  const calls: Call[] = [];
  const unfinished = new Map<string, { readonly text: string; readonly began: number }>();
  for (const [at, line] of text.split("\n").entries()) {
    const [, thread = "", rest = ""] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const begun = unfinished.get(thread);
    if (rest.endsWith("<unfinished ...>")) {
      unfinished.set(thread, { text: rest.slice(0, -"<unfinished ...>".length).trimEnd(), began: at });
      continue;
    }
    const resumed = /^<\.\.\. \w+ resumed>/.exec(rest)?.[0];
    if (resumed !== undefined && !begun) throw new Error(`line ${at}: ${rest.slice(0, 100)} was never begun`);
    const whole = resumed === undefined ? rest : `${begun?.text}${rest.slice(resumed.length)}`;
    const [, name, args = "", result = ""] = /^(\w+)\((.*)\) += (-?\d+.*)$/.exec(whole) ?? [];
    if (name === undefined) continue; // signals, exits
    calls.push({
      name,
      thread,
      args: args.match(/\[[^\]]*\]|"[^"]*"(\.\.\.)?|[^,\s]+/g) ?? [],
      result: Number.parseInt(result, 10),
      injected: result.endsWith("(INJECTED)"),
      began: resumed === undefined ? at : (begun?.began ?? at),
      at,
    });
  }
  return calls;
}

function bytesOf(text = ""): Buffer {
  if (text.endsWith("...")) throw new Error("strace cut the bytes of a call");
  return Buffer.from(text.replaceAll(/[^0-9a-f]/g, ""), "hex"); // "\x41\x42"
}

/** `7<\x2f\x74>`: the number, and the path that it has. */
function descriptor(text = ""): { readonly number: number; readonly path: string } {
  return { number: Number.parseInt(text, 10), path: bytesOf(/<(.*)>/.exec(text)?.[1]).toString() };
}

/** Of the calls that did something, those to `root`; paths are relative to it. Throws at what it cannot model. */
export function operationsOf(calls: readonly Call[], root: string): Operation[] {
  const operations: Operation[] = [];
  const opened = new Map<number, number>();
  for (const call of calls) {
    const { name, args, began, at, result } = call;
    // The number is free as soon as the call begins: another thread may have opened a file by it before the call ends.
    if (name === "close" && (opened.get(descriptor(args[0]).number) ?? 0) < began) opened.delete(descriptor(args[0]).number);
    if (result < 0) continue;
    const inside = (path: string) => (path === root ? "" : path.startsWith(`${root}/`) ? path.slice(root.length + 1) : undefined);
    const pathAt = (i: number, folder?: string) => inside(resolve(folder ?? "/", bytesOf(args[i]).toString()));
    const from = (i: number) => pathAt(i + 1, descriptor(args[i]).path);
    const mode = (text = "0") => Number.parseInt(text, 8);
    const add = (operation: object) => operations.push({ ...operation, began, at, call } as Operation);
    const file = () => {
      const { number, path } = descriptor(args[0]);
      const known = opened.get(number);
      if (known === undefined && inside(path) !== undefined) throw new Error(`${name} of ${path}, which was not seen to be opened`);
      return known;
    };
    const onFile = (more: object) => {
      const known = file();
      if (known !== undefined) add({ file: known, target: known, ...more });
    };
    const onPath = (path: string | undefined, more: object) => path !== undefined && add({ path, target: path, ...more });
    if (name === "open" || name === "openat" || name === "creat") {
      const i = name === "openat" ? 1 : 0;
      const path = i === 1 ? from(0) : pathAt(0);
      const flags = name === "creat" ? "O_CREAT|O_TRUNC" : (args[i + 1] ?? "");
      if (path === undefined) continue;
      if (/O_TMPFILE/.test(flags)) throw new Error("O_TMPFILE is not modelled");
      opened.set(result, at);
      add({ kind: "open", file: at, path, flags, mode: mode(args[name === "creat" ? 1 : i + 2]) });
    } else if (name === "write" || name === "writev") onFile({ kind: "write", bytes: written(call) });
    else if (name === "pwrite64" || name === "pwritev") onFile({ kind: "write", bytes: written(call), offset: Number(args[3]) });
    else if (name === "ftruncate") onFile({ kind: "resize", size: Number(args[1]) });
    else if (name === "truncate") onPath(pathAt(0), { kind: "resize", size: Number(args[1]) });
    else if (name === "fsync" || name === "fdatasync") onFile({ kind: "sync" });
    else if (name === "sync" || name === "syncfs") add({ kind: "sync", file: undefined });
    else if (name === "fchmod") onFile({ kind: "chmod", mode: mode(args[1]) });
    else if (name === "chmod") onPath(pathAt(0), { kind: "chmod", mode: mode(args[1]) });
    else if (name === "fchmodat") onPath(from(0), { kind: "chmod", mode: mode(args[2]) });
    else if (name === "mkdir") onPath(pathAt(0), { kind: "mkdir", mode: mode(args[1]) });
    else if (name === "mkdirat") onPath(from(0), { kind: "mkdir", mode: mode(args[2]) });
    else if (name === "unlink" || name === "rmdir") onPath(pathAt(0), { kind: "remove" });
    else if (name === "unlinkat") onPath(from(0), { kind: "remove" });
    else if (/^(link|rename)/.test(name)) {
      const [path, to] = name === "link" || name === "rename" ? [pathAt(0), pathAt(1)] : [from(0), from(2)];
      if (path === undefined && to === undefined) continue;
      if (path === undefined || to === undefined) throw new Error(`${name} goes over the edge of ${root}`);
      add({ kind: name.startsWith("link") ? "link" : "rename", path, to });
    } else if (UNMODELLED.split(",").includes(name) && args.some((arg) => touches(arg, root))) throw new Error(`${name} is not modelled`);
  }
  return operations;
}

/** Whether an argument is a path below the folder, or a descriptor of one. */
export function touches(arg: string, root: string): boolean {
  const path = arg.startsWith('"') ? bytesOf(arg.replace("...", "")).toString() : descriptor(arg).path;
  return path === root || path.startsWith(`${root}/`);
}

function written({ name, args, result }: Call): Uint8Array {
  const all = name.endsWith("v")
    ? [...(args[1] ?? "").matchAll(/iov_base=("[^"]*")/g)].map(([, text]) => bytesOf(text))
    : [bytesOf(args[1])];
  return Buffer.concat(all).subarray(0, result);
}
