/** The sources as syntax trees and types, by the API of the compiler that package.json pins. */

import { join } from "node:path";
import * as ast from "typescript/unstable/ast";
import { API } from "typescript/unstable/async";
import { BY_HAND } from "./byhand.ts";
import { digestOf } from "./digest.ts";
import { type Fault, faultsAt, type Operator } from "./operators.ts";

export const ROOT = join(import.meta.dir, "..", "..");

/** One fault in one file. */
export interface Mutant extends Omit<Fault, "texts"> {
  /** file, named place, operator and the text that it replaces: the same where the rest of the file changes */
  readonly id: string;
  readonly file: string;
  /** the names around it: `Disk.install` */
  readonly place: string;
  /** from 1 */
  readonly line: number;
  readonly from: string;
  /** what may stand in its place: the first that has the right type */
  readonly to: readonly string[];
  readonly operator: Operator;
}

/** Diagnostics that do not say that a program is wrong: what is unused or unreachable now. */
const HARMLESS = new Set([6133, 6138, 6192, 6196, 6198, 6199, 7027]);

/** Comments and pages are not code, and neither are what is generated at build time and declarations. */
const SOURCES = "{src,handlers,store,bin}/**/*.{ts,tsx}";

export class Syntax implements AsyncDisposable {
  readonly #api: API;
  /** of files, in place of what is in them */
  readonly #texts: Map<string, string>;
  #snapshot: Awaited<ReturnType<API["updateSnapshot"]>>;

  private constructor(api: API, snapshot: Awaited<ReturnType<API["updateSnapshot"]>>, texts: Map<string, string>) {
    this.#api = api;
    this.#snapshot = snapshot;
    this.#texts = texts;
  }

  static async open(): Promise<Syntax> {
    const texts = new Map<string, string>();
    const api = new API({ cwd: ROOT, fs: { readFile: (path) => texts.get(path) } });
    return new Syntax(api, await api.updateSnapshot({ openProjects: [join(ROOT, "tsconfig.json")] }), texts);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#api.close();
  }

  get #program() {
    const [project] = this.#snapshot.getProjects();
    if (!project) throw new Error("tsconfig.json opens no project");
    return project.program;
  }

  /** Every fault of a file, by operator and by hand. `text`: in place of what is in it. */
  async mutants(file: string, text?: string): Promise<Mutant[]> {
    if (text !== undefined) return this.#with(join(ROOT, file), text, () => this.mutants(file));
    const source = await this.#program.getSourceFile(join(ROOT, file));
    if (!source) throw new Error(`${file} is not in the project`);
    return mutantsOf(file, source);
  }

  /** The first of a mutant's texts with which its file is still right by its types. Undefined: there is none. */
  async valid(mutant: Mutant): Promise<string | undefined> {
    const path = join(ROOT, mutant.file);
    const text = await Bun.file(path).text();
    for (const to of mutant.to) {
      const found = await this.#with(path, text.slice(0, mutant.start) + to + text.slice(mutant.end), async () => [
        ...(await this.#program.getSyntacticDiagnostics(path)),
        ...(await this.#program.getSemanticDiagnostics(path)),
      ]);
      if (found.every(({ code }) => HARMLESS.has(code))) return to;
    }
    return undefined;
  }

  async #with<T>(path: string, text: string, work: () => Promise<T>): Promise<T> {
    this.#texts.set(path, text);
    await this.#changed(path);
    try {
      return await work();
    } finally {
      this.#texts.delete(path);
      await this.#changed(path);
    }
  }

  async #changed(path: string): Promise<void> {
    const before = this.#snapshot;
    this.#snapshot = await this.#api.updateSnapshot({ fileChanges: { changed: [path] } });
    await before.dispose();
  }
}

/** The files whose faults are asked for. */
export function sourceFiles(): string[] {
  return [...new Bun.Glob(SOURCES).scanSync(ROOT)].filter((file) => !file.endsWith(".d.ts")).toSorted();
}

/** A parsed file → its mutants. */
export function mutantsOf(file: string, source: ast.SourceFile): Mutant[] {
  const rows = BY_HAND.filter((one) => one.file === file);
  const found: Mutant[] = [];
  const seen = new Map<string, number>();
  const visit = (node: ast.Node, place: string): void => {
    if (isOnlyType(node)) return;
    for (const { operator, start, end, texts } of faultsAt(node)) {
      const from = source.text.slice(start, end);
      const base = `${file}: ${place}: ${operator}: ${shortened(node.getText(source))}`;
      const nth = (seen.get(base) ?? 0) + 1;
      seen.set(base, nth);
      const { line } = source.getLineAndCharacterOfPosition(start);
      found.push({ id: nth === 1 ? base : `${base} (${nth})`, file, place, line: line + 1, start, end, from, to: texts, operator });
    }
    for (const row of rows.filter((one) => one.place === place && one.from === oneLine(node.getText(source)))) {
      const { line } = source.getLineAndCharacterOfPosition(node.getStart(source));
      const id = `${file}: ${place}: by hand: ${shortened(row.from)} → ${shortened(row.to)}`;
      if (seen.has(id)) continue; // a node may have the same text as the only one in it
      seen.set(id, 1);
      found.push({
        id,
        file,
        place,
        line: line + 1,
        start: node.getStart(source),
        end: node.end,
        from: row.from,
        to: [row.to],
        operator: "by hand",
      });
    }
    const name = nameOf(node);
    node.forEachChild((child) => visit(child, name === undefined ? place : place === "" ? name : `${place}.${name}`));
  };
  visit(source, "");
  return found;
}

/** Types and imports are gone when the program runs. */
function isOnlyType(node: ast.Node): boolean {
  return ast.isTypeNode(node) || ast.isInterfaceDeclaration(node) || ast.isTypeAliasDeclaration(node) || ast.isImportDeclaration(node);
}

/** What a node is called, where it has things inside. */
function nameOf(node: ast.Node): string | undefined {
  if (ast.isConstructorDeclaration(node)) return "constructor";
  if (
    ast.isFunctionDeclaration(node) ||
    ast.isMethodDeclaration(node) ||
    ast.isClassDeclaration(node) ||
    ast.isVariableDeclaration(node) ||
    ast.isPropertyAssignment(node) ||
    ast.isPropertyDeclaration(node) ||
    ast.isGetAccessorDeclaration(node)
  )
    return node.name && (ast.isIdentifier(node.name) || ast.isPrivateIdentifier(node.name) || ast.isStringLiteral(node.name))
      ? node.name.text
      : undefined;
  return undefined;
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ");
}

/** A text on one line; a long one keeps its beginning, and its digest. */
function shortened(text: string): string {
  const line = oneLine(text);
  return line.length <= 100 ? line : `${line.slice(0, 80)}… ${digestOf(line).slice(0, 8)}`;
}
