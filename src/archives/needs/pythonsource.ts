/** The tokens, assignments and calls of a Python file, as far as they are literals. Nothing is evaluated. */

import type { Literal } from "./literals.ts";
import { MAX_DEFINITIONS, MAX_DEPTH, MAX_TOKENS } from "./sourcefiles.ts";

interface PythonToken {
  readonly kind: "name" | "number" | "string" | "op" | "newline" | "unknown";
  readonly text: string;
  /** of an opening bracket: where it closes; of a closing one: where it opens */
  partner: number;
}

const PYTHON = /[ \t\f\r]+|#[^\n]*|\\\r?\n|(\n)|([A-Za-z_]\w*)|(\d\w*(?:\.\w*)?)|(["'])|(==|!=|<=|>=|:=|->|[-+*/%&|^@]=|[^])/y;
const PREFIX = /^[rbuf]{1,2}$/i;
const PARTNERS: ReadonlyMap<string, string> = new Map([
  [")", "("],
  ["]", "["],
  ["}", "{"],
]);
const OPENING = new Set(PARTNERS.values());

/** Tokens of a Python text, the first `most`, comments and blanks left out; a newline only where a statement may end. Linear in its length. */
function tokensOf(text: string, most: number): PythonToken[] {
  const tokens: PythonToken[] = [];
  const open: number[] = [];
  const push = (kind: PythonToken["kind"], word: string) => tokens.push({ kind, text: word, partner: -1 });
  let at = 0;
  while (at < text.length && tokens.length < most) {
    PYTHON.lastIndex = at;
    const match = PYTHON.exec(text);
    if (!match) break;
    const [whole, newline, name, number, quote, op] = match;
    at += whole.length;
    if (newline && open.length === 0) push("newline", "");
    else if (quote) at = string(at - 1, "");
    else if (name && PREFIX.test(name) && (text[at] === '"' || text[at] === "'")) at = string(at, name.toLowerCase());
    else if (name) push("name", name);
    else if (number) push("number", number);
    else if (op === ";" && open.length === 0) push("newline", "");
    else if (op) {
      push("op", op);
      if (OPENING.has(op)) open.push(tokens.length - 1);
      else if (PARTNERS.has(op)) pair(op);
    }
  }
  return tokens;

  function pair(op: string): void {
    const start = open.at(-1);
    const opening = start === undefined ? undefined : tokens[start];
    const closing = tokens.at(-1);
    if (start === undefined || !opening || !closing || opening.text !== PARTNERS.get(op)) return;
    open.pop();
    opening.partner = tokens.length - 1;
    closing.partner = start;
  }

  /** Reads the string whose quote is at `from`; gives where it ends. */
  function string(from: number, prefix: string): number {
    const quote = text[from] ?? "";
    const triple = text.startsWith(quote.repeat(3), from);
    const end = triple ? quote.repeat(3) : quote;
    const start = from + end.length;
    let i = start;
    const stop = triple ? "" : "\n";
    while (i < text.length && !text.startsWith(end, i) && text[i] !== stop) i += text[i] === "\\" ? 2 : 1;
    const body = text.slice(start, Math.min(i, text.length));
    // A text with escapes is no name, channel or revision.
    const plain = !prefix.includes("f") && !prefix.includes("b") && !body.includes("\\");
    push(plain ? "string" : "unknown", plain ? body : "");
    return Math.min(text.length, i + (text.startsWith(end, i) ? end.length : 0));
  }
}

interface CallArguments {
  readonly positional: readonly Literal[];
  readonly named: ReadonlyMap<string, Literal>;
}

/** A Python file: the values of its names, and its calls. */
export class PythonSource {
  readonly tokens: readonly PythonToken[];
  /** every value that a name is given, or that a function of that name returns */
  readonly definitions = new Map<string, Literal[]>();

  /** `most`: tokens that are read of it */
  constructor(text: string, most: number = MAX_TOKENS) {
    this.tokens = tokensOf(text, Math.min(most, MAX_TOKENS));
    let [start, def] = [0, ""];
    for (let i = 0; i <= this.tokens.length; i += 1) {
      if (i < this.tokens.length && this.tokens[i]?.kind !== "newline") continue;
      def = this.#statement(start, i, def);
      start = i + 1;
    }
  }

  /** Returns the function that the next statement is in. */
  #statement(start: number, end: number, def: string): string {
    const first = this.word(start);
    if (first === "class") return "";
    if (first === "def" || first === "async") return this.word(first === "def" ? start + 1 : start + 2);
    if (first === "return") {
      if (def) this.#define(def, start + 1, end);
      return def;
    }
    let at = start;
    while (this.tokens[at]?.kind === "name" && this.word(at + 1) === ".") at += 2;
    if (this.tokens[at]?.kind !== "name") return def;
    const target = this.word(at);
    at += 1;
    if (this.word(at) === ":") while (at < end && this.word(at) !== "=") at = this.after(at);
    if (at < end && this.word(at) === "=") this.#define(target, at + 1, end);
    return def;
  }

  #define(name: string, start: number, end: number): void {
    if (end === start + 1 && this.word(start) === "None") return;
    const value = this.expression(start, end);
    if (typeof value === "object" && "ref" in value && value.ref === name) return;
    const all = this.definitions.get(name);
    if (!all) this.definitions.set(name, [value]);
    else if (all.length <= MAX_DEFINITIONS) all.push(value);
  }

  /** The text of a token that is no string. */
  word(at: number): string {
    const token = this.tokens[at];
    return token && token.kind !== "string" ? token.text : "";
  }

  /** The index after a token, or after the bracket that it opens. */
  after(at: number): number {
    const token = this.tokens[at];
    if (token?.kind !== "op" || !OPENING.has(token.text)) return at + 1;
    return token.partner < 0 ? this.tokens.length : token.partner + 1;
  }

  /** The value between two places; undefined where it is more than a literal, a name, or `SnapCache()[…]`. */
  expression(start: number, end: number, depth = 0): Literal {
    const token = this.tokens[start];
    if (!token || start >= end || depth > MAX_DEPTH) return undefined;
    if (token.kind === "string") {
      let [text, at] = [token.text, start + 1];
      for (; at < end && this.tokens[at]?.kind === "string"; at += 1) text += this.tokens[at]?.text ?? "";
      return at === end ? text : undefined;
    }
    if (token.kind === "number") return start + 1 === end && /^\d+$/.test(token.text) ? Number(token.text) : undefined;
    if (token.kind === "name") return this.#named(start, end, depth);
    if (token.kind !== "op" || !OPENING.has(token.text) || token.partner !== end - 1) return undefined;
    const items = this.#items(start, end - 1);
    if (token.text === "{")
      return {
        map: items.flatMap(([from, to]) => {
          let colon = from;
          while (colon < to && this.word(colon) !== ":") colon = this.after(colon);
          return colon < to ? [[this.expression(from, colon, depth + 1), this.expression(colon + 1, to, depth + 1)] as const] : [];
        }),
      };
    const [single] = items;
    if (token.text === "(" && single && items.length === 1 && single[1] === end - 1) return this.expression(...single, depth + 1);
    return { list: items.map(([from, to]) => this.expression(from, to, depth + 1)) };
  }

  #named(start: number, end: number, depth: number): Literal {
    let at = start;
    while (this.word(at + 1) === "." && this.tokens[at + 2]?.kind === "name") at += 2;
    const name = this.word(at);
    if (at + 1 === end) return { ref: name };
    const snap = this.snapAt(end - 1, depth + 1);
    if (snap) return snap;
    if (this.after(at + 1) !== end) return undefined;
    const next = this.word(at + 1);
    if (next === "(" && (name === "str" || name === "int")) return this.expression(at + 2, end - 1, depth + 1);
    // `REVISIONS[platform.machine()]` is any of them; `PACKAGES[0]` is one of them.
    const index = this.tokens[at + 2]?.kind;
    return next === "[" && index !== "number" && index !== "string" ? { ref: name } : undefined;
  }

  /** The key of `SnapCache()[…]` or `cache[…]`, by the index of its `]`. */
  snapAt(close: number, depth = 1): { readonly snap: Literal } | undefined {
    const token = this.tokens[close];
    if (token?.text !== "]" || token.kind !== "op" || token.partner < 0) return undefined;
    const before = token.partner - 1;
    const fresh = this.word(before) === ")" && this.word(before - 1) === "(" && this.word(before - 2) === "SnapCache";
    if (!fresh && !/cache$/i.test(this.word(before))) return undefined;
    return { snap: this.expression(token.partner + 1, close, depth) };
  }

  /** Bounds of the items between two brackets. */
  #items(open: number, close: number): [from: number, to: number][] {
    const items: [number, number][] = [];
    let from = open + 1;
    for (let at = from; at <= close; at = this.after(at)) {
      if (at < close && this.word(at) !== ",") continue;
      if (at > from) items.push([from, at]);
      from = at + 1;
    }
    return items;
  }

  /** The arguments of a call, by the index of its `(`. */
  arguments(open: number): CallArguments {
    const close = this.tokens[open]?.partner ?? -1;
    const positional: Literal[] = [];
    const named = new Map<string, Literal>();
    if (close < 0) return { positional, named };
    for (const [from, to] of this.#items(open, close)) {
      if (this.tokens[from]?.kind === "name" && this.word(from + 1) === "=") named.set(this.word(from), this.expression(from + 2, to));
      else positional.push(this.expression(from, to));
    }
    return { positional, named };
  }
}
