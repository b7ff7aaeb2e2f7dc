/** The tokens, assignments and calls of a Python file, as far as they are literals. Nothing is evaluated. */

import type { Literal } from "./literals.ts";
import { MAX_DEFINITIONS, MAX_DEPTH, MAX_TOKENS } from "./sourcefiles.ts";

interface PythonToken {
  readonly kind: "name" | "number" | "string" | "op" | "newline" | "unknown";
  readonly text: string;
  /** of an opening bracket: where it closes; of a closing one: where it opens; of a newline: blanks before what follows, or -1 */
  partner: number;
}

const PYTHON = /[ \t\f\r]+|#[^\n]*|\\\r?\n|(\n)|([A-Za-z_]\w*)|(\d\w*(?:\.\w*)?)|(["'])|(==|!=|<=|>=|:=|->|[-+*/%&|^@]=|[^])/y;
const BLANKS = /[ \t]*/y;
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
    if (newline && open.length === 0) indent();
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

  function indent(): void {
    push("newline", "");
    BLANKS.lastIndex = at;
    const newlineToken = tokens.at(-1);
    if (newlineToken) newlineToken.partner = BLANKS.exec(text)?.[0].length ?? 0;
  }

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

function isSelf(word: string): boolean {
  return word === "self" || word === "cls";
}

interface CallArguments {
  readonly positional: readonly Literal[];
  readonly named: ReadonlyMap<string, Literal>;
}

/** A class at the top level of a file. */
export interface PythonClass {
  readonly name: string;
  /** names of the classes that it derives from */
  readonly bases: readonly string[];
  /** the token that it begins with; it ends where the next one begins */
  readonly start: number;
  /** what its own body and methods give to the attributes of its objects */
  readonly attributes: ReadonlyMap<string, readonly Literal[]>;
}

type Definitions = Map<string, Literal[]>;

/** A Python file: the values of its names, and its calls. */
export class PythonSource {
  readonly tokens: readonly PythonToken[];
  /** every value that a name is given, or that a function of that name returns */
  readonly definitions: Definitions = new Map();
  /** in the order of the file; what follows a class at the top level is in one without a name */
  readonly classes: PythonClass[] = [];
  /** attributes of the class that is being read */
  #attributes: Definitions | undefined;

  /** `most`: tokens that are read of it */
  constructor(text: string, most: number = MAX_TOKENS) {
    this.tokens = tokensOf(text, Math.min(most, MAX_TOKENS));
    let [start, indent, def] = [0, 0, ""];
    for (let i = 0; i <= this.tokens.length; i += 1) {
      const token = this.tokens[i];
      if (token && token.kind !== "newline") continue;
      if (i > start) {
        if (indent === 0) this.#enter(start);
        def = this.#statement(start, i, indent === 0 ? "" : def);
      }
      start = i + 1;
      if (token && token.partner >= 0) indent = token.partner;
    }
  }

  /** Begins or ends a class, by a statement of the top level. */
  #enter(start: number): void {
    const isClass = this.word(start) === "class" && this.tokens[start + 1]?.kind === "name";
    if (!isClass && !this.#attributes) return;
    this.#attributes = isClass ? new Map() : undefined;
    const open = start + 2;
    const bases = isClass && this.word(open) === "(" ? this.arguments(open).positional.slice(0, MAX_DEFINITIONS) : [];
    this.classes.push({
      name: isClass ? this.word(start + 1) : "",
      bases: bases.flatMap((base) => (typeof base === "object" && "ref" in base ? [base.ref] : [])),
      start,
      attributes: this.#attributes ?? new Map(),
    });
  }

  /** The class that a token is in; undefined where it is in none. */
  classAt(at: number): PythonClass | undefined {
    let [low, high] = [0, this.classes.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.classes[middle]?.start ?? 0) <= at) low = middle + 1;
      else high = middle;
    }
    const found = this.classes[low - 1];
    return found?.name === "" ? undefined : found;
  }

  /** Returns the function that the next statement is in. */
  #statement(start: number, end: number, def: string): string {
    const first = this.word(start);
    if (first === "class") return "";
    if (first === "def" || first === "async") return this.word(first === "def" ? start + 1 : start + 2);
    if (first === "return") {
      if (def && !this.#isNone(start + 1, end)) this.#define(def, this.expression(start + 1, end), true);
      return def;
    }
    if (first === "for" && this.tokens[start + 1]?.kind === "name" && this.word(start + 2) === "in") {
      let colon = start + 3;
      while (colon < end && this.word(colon) !== ":") colon = this.after(colon);
      this.#define(this.word(start + 1), { each: this.expression(start + 3, Math.min(colon, end)) }, false);
      return def;
    }
    let at = start;
    while (this.tokens[at]?.kind === "name" && this.word(at + 1) === ".") at += 2;
    if (this.tokens[at]?.kind !== "name") return def;
    const target = this.word(at);
    const isAttribute = at === start ? def === "" : isSelf(first) && at === start + 2;
    at += 1;
    if (this.word(at) === ":") while (at < end && this.word(at) !== "=") at = this.after(at);
    if (at >= end || this.word(at) !== "=" || this.#isNone(at + 1, end)) return def;
    this.#define(target, this.expression(at + 1, end), isAttribute);
    return def;
  }

  #isNone(start: number, end: number): boolean {
    return end === start + 1 && this.word(start) === "None";
  }

  #define(name: string, value: Literal, isAttribute: boolean): void {
    if (typeof value === "object" && "ref" in value && value.ref === name) return;
    for (const definitions of isAttribute && this.#attributes ? [this.definitions, this.#attributes] : [this.definitions]) {
      const all = definitions.get(name);
      if (!all) definitions.set(name, [value]);
      else if (all.length <= MAX_DEFINITIONS) all.push(value);
    }
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
    if (at + 1 === end) {
      // `Tool.SNAP.value` is what the member of an enumeration stands for.
      const last = name === "value" && at > start ? at - 2 : at;
      return { ref: this.word(last), ...(isSelf(this.word(start)) && last === start + 2 && { own: true as const }) };
    }
    const option = this.#option(start, at, end);
    if (option !== undefined) return { option };
    const snap = this.snapAt(end - 1, depth + 1);
    if (snap) return snap;
    if (this.after(at + 1) !== end) return undefined;
    const next = this.word(at + 1);
    if (next === "(" && (name === "str" || name === "int")) return this.expression(at + 2, end - 1, depth + 1);
    // `REVISIONS[platform.machine()]` is any of them; `PACKAGES[0]` is one of them.
    const index = this.tokens[at + 2]?.kind;
    return next === "[" && index !== "number" && index !== "string" ? { ref: name } : undefined;
  }

  /** The name in `config("NAME")`, `self.config["NAME"]`, `model.config.get("NAME", …)`. */
  #option(start: number, at: number, end: number): string | undefined {
    const key = this.tokens[at + 2];
    if (key?.kind !== "string" || this.after(at + 1) !== end) return undefined;
    const [bracket, next] = [this.word(at + 1), this.word(at + 3)];
    const isGet = bracket === "(" && this.word(at) === "get" && at > start && this.word(at - 2) === "config";
    const isConfig = this.word(at) === "config" && next === (bracket === "[" ? "]" : ")");
    return isConfig || (isGet && (next === ")" || next === ",")) ? key.text : undefined;
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
