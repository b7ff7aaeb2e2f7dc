/** The folder that a command works on: filled with any state, judged by the program itself, and the command run on it. */

import { cpSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { servedPair } from "../../bin/machine/tls.ts";
import { Failure, reason } from "../../src/errors.ts";
import { Disk } from "../../store/fs.ts";
import { DOCUMENTS, type Documents } from "../../store/settings.ts";
import { Store } from "../../store/store.ts";
import { COMMAND } from "../e2e/chp.ts";
import { runProgram } from "../program.ts";
import type { Command } from "./commands.ts";
import type { Tree } from "./model.ts";
import { type Call, callsOf, STRACE } from "./trace.ts";

const RAM = "/dev/shm";
const TIMEOUT = 20_000;
const SECRET = /(^|\/)secrets\/|\.key$/;

/** A name of what is to be seen → its text: each is to be as before the command or as after it. */
export type View = ReadonlyMap<string, string>;

/** Sets of names with commas: what both have is there, and what none has is not. */
const SETS = /: (generations|quarantine)$/;

/** Opened by the loader in vain before all else, so that what `when` counts in the first thread are these. */
const OPENED_IN_VAIN = Array.from({ length: 99 }, () => "/no/such/library").join(":");

export interface Traced {
  readonly code: number;
  readonly err: string;
  readonly calls: readonly Call[];
}

export class Scene {
  readonly command: Command;
  readonly #folder = realpathSync(mkdtempSync(join(existsSync(RAM) ? RAM : tmpdir(), "chp-powercut-")));
  readonly root = join(this.#folder, "root");
  readonly #template = join(this.#folder, "before");

  constructor(command: Command) {
    this.command = command;
  }

  async prepare(): Promise<void> {
    mkdirSync(this.root);
    await this.command.setup(this.root);
    cpSync(this.root, this.#template, { recursive: true, preserveTimestamps: true });
  }

  reset(): void {
    rmSync(this.root, { recursive: true, force: true });
    cpSync(this.#template, this.root, { recursive: true, preserveTimestamps: true });
  }

  fill(tree: Tree): void {
    rmSync(this.root, { recursive: true, force: true });
    for (const [path, { mode, content }] of tree)
      if (content) writeFileSync(join(this.root, path), content, { mode });
      else mkdirSync(join(this.root, path), { mode: mode | 0o700 });
  }

  get stores(): readonly string[] {
    return this.command.stores ?? ["store"];
  }

  /** What the command exits with where all goes well. */
  get exit(): number {
    return this.command.exit ?? 0;
  }

  /** Runs the executable; `more`: further arguments of strace. */
  async traced(...more: readonly string[]): Promise<Traced> {
    const log = join(this.#folder, "trace");
    const strace = ["strace", ...STRACE, "-o", log, "-E", `LD_PRELOAD=${OPENED_IN_VAIN}`, ...more];
    const child = Bun.spawn([...strace, ...COMMAND, ...this.command.argv(this.root)], {
      env: { PATH: process.env["PATH"] ?? "", HOME: this.#folder, UV_THREADPOOL_SIZE: "1" },
      cwd: this.#folder,
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    });
    const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT);
    const [err, code] = await Promise.all([new Response(child.stderr).text(), child.exited]);
    clearTimeout(timer);
    return { code, err: err.replaceAll(/^ERROR: ld\.so.*\n/gm, ""), calls: callsOf(await Bun.file(log).text()) };
  }

  /** Runs the same command on what is there now: what is wrong with that, if anything. */
  async again(): Promise<string[]> {
    const { code } = await runProgram([...this.command.argv(this.root), "--quiet"]).catch((error: unknown) => ({ code: reason(error) }));
    if (code !== this.exit) return [`the same command again exits ${code}`];
    const codes = await Promise.all(this.stores.map((store) => this.#verified(store)));
    return codes.every((verified) => this.#isClean(verified)) ? [] : [`after the same command again verify exits ${codes.join()}`];
  }

  async #verified(store: string): Promise<number> {
    return (await runProgram(["verify", "--read-data", "--dry-run", "--store", join(this.root, store)])).code;
  }

  /** What a command mends is damaged or not. */
  #isClean(code: number): boolean {
    return code === 0 || code === this.command.verify;
  }

  /** Of the root, which is filled with that tree. Throws where a store can't be opened. */
  async view(tree: Tree): Promise<View> {
    const view = new Map<string, string>();
    for (const name of this.stores) {
      const store = await Store.open(new Disk(join(this.root, name))).catch((error: unknown) => {
        if (error instanceof Failure && error.kind === "no-store") return undefined;
        throw error;
      });
      if (!store) continue; // what lies there is nobody's
      const snapshot = await store.snapshot();
      if (store.damage) throw store.damage;
      if (snapshot.generation) view.set(`${name}: newest generation`, JSON.stringify(snapshot.generation));
      view.set(`${name}: generations`, (await store.generationNumbers()).join());
      const inside = [...tree].filter(([path]) => path.startsWith(`${name}/`)).map(([path]) => path.slice(name.length + 1));
      view.set(`${name}: quarantine`, inside.flatMap((path) => (path.startsWith("quarantine/") ? path : [])).join());
      for (const document of Object.keys(DOCUMENTS) as (keyof Documents)[]) {
        const value = await store.settings.read(document);
        if (JSON.stringify(value) !== JSON.stringify(DOCUMENTS[document].missing)) view.set(`${name}/${document}`, JSON.stringify(value));
      }
    }
    const hidden = (path: string) => this.stores.some((store) => path.startsWith(`${store}/`)) || /(^|\/)\./.test(path);
    for (const [path, { content, sum }] of tree) if (content && !hidden(path)) view.set(nameOf(path), sum);
    return view;
  }

  /** All that is wrong with the root, which is filled with that tree; with `settled`, also what is not as after the command. */
  async problems(tree: Tree, [before, after]: readonly [View, View], settled: boolean): Promise<string[]> {
    const problems: string[] = [];
    const view = await this.view(tree).catch((error: unknown) => void problems.push(`a store does not open: ${reason(error)}`));
    if (!view) return problems;
    for (const key of new Set([...before.keys(), ...after.keys()])) {
      const [was, is, will] = [before, view, after].map((one) => one.get(key) ?? "");
      if (is === will) continue;
      if (settled) problems.push(`not durable: ${nameOf(key)}`);
      else if (SETS.test(key) ? !isBetween(was, is, will) : is !== was) problems.push(`neither old nor new: ${nameOf(key)}`);
    }
    const secrets = new Set([...tree].flatMap(([path, { content, sum }]) => (SECRET.test(path) && content?.length ? sum : [])));
    for (const [path, { mode, content, sum }] of tree) {
      const secret = content ? secrets.has(sum) : /(^|\/)secrets$/.test(path);
      if (secret && (mode & 0o077) !== 0) problems.push(`readable by others: ${nameOf(path)}${content ? "" : "/"}`);
    }
    for (const name of this.stores) {
      if (!view.has(`${name}: generations`)) continue;
      const code = await this.#verified(name);
      if (!this.#isClean(code)) problems.push(`verify exits ${code}`);
      const store = await Store.open(new Disk(join(this.root, name)));
      if (await store.settings.read("tls").catch(() => undefined))
        await servedPair(store, new Map()).catch(() => problems.push("the certificate is without its key"));
    }
    return problems;
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

export function isAlike(a: View, b: View): boolean {
  return [...new Set([...a.keys(), ...b.keys()])].every((key) => a.get(key) === b.get(key));
}

/** The same whatever the run: names that are made up in it are left out. */
export function nameOf(key: string): string {
  return key.replaceAll(/\d{8}T\d{6}Z?/g, "TIME").replace(/(^|\/)tmp\/.*/, "$1tmp/…");
}

function isBetween(was = "", is = "", will = ""): boolean {
  const [a, b, c] = [was, is, will].map((text) => text.split(",").filter(Boolean)) as [string[], string[], string[]];
  return a.every((one) => !c.includes(one) || b.includes(one)) && b.every((one) => a.includes(one) || c.includes(one));
}
