/**
 * The YAML that most files of charms are written in: block mappings and lists, scalars with and without quotes, and texts in blocks. The library,
 * which knows all of YAML, takes twenty times as long for them. What is not certainly of this kind is left to it.
 */

/** Thrown where a text is left to the library: whatever the reason, nobody sees it. */
const NOT_PLAIN = new Error("not plain");

/** Characters of a text: fewer than the tokens and lines that the library's bounds allow. */
const MAX_TEXT = 2 ** 16;
const MAX_DEPTH = 32;

/** Neither tabs and other controls, nor what ends a line or is a mark somewhere in YAML. */
const ONLY_PLAIN = /^[\n\x20-\x7e\u00a1-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd]*\n$/;

const ENTRY = /^([A-Za-z_][\w./-]*):(?: +([^ ].*))?$/;
const KEYWORD = /^(?:null|true|false|__proto__)$/i;
const BLOCK = /^([|>])(-?)$/;
const WORD = "[A-Za-z][\\w./-]*";
const FLOW_LIST = new RegExp(`^\\[ *(${WORD}(?:, *${WORD})*) *\\]$`);
/** The first character decides that it is no mark. */
const PLAIN = /^[A-Za-z0-9_/($<\u00a1-\ud7ff]/;
const SMALL_NUMBER = /^(?:0|[1-9]\d{0,14}|\d{1,7}\.\d{1,7})$/;
/** The others that begin with a digit. */
const NUMBER = /^(?:\d+|0o[0-7]+|0x[0-9a-fA-F]+|\d+\.\d*|\d+(?:\.\d*)?[eE][-+]?\d+)$/;
/** Text in single or double quotes up to its end; the quotes around it are not part of it. */
const QUOTED = { "'": /^((?:[^']|'')*)'(?!')(.*)$/, '"': /^((?:[^"\\]|\\.)*)"(.*)$/ } as const;

const WORDS: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ...["null", "Null", "NULL"].map((spelled) => [spelled, null] as const),
  ...["true", "True", "TRUE"].map((spelled) => [spelled, true] as const),
  ...["false", "False", "FALSE"].map((spelled) => [spelled, false] as const),
]);

/** The value of a text, as the library has it by YAML's core schema; undefined: the library has to read it. */
export function readPlainYaml(text: string): { readonly [key: string]: unknown } | undefined {
  if (text.length > MAX_TEXT || !ONLY_PLAIN.test(text)) return undefined;
  try {
    return new PlainReader(text).document();
  } catch (error) {
    if (error === NOT_PLAIN) return undefined;
    throw error;
  }
}

class PlainReader {
  readonly #lines: readonly string[];
  #at = 0;

  constructor(text: string) {
    this.#lines = text.slice(0, -1).split("\n");
  }

  document(): Record<string, unknown> {
    if (this.#indent() !== 0) throw NOT_PLAIN;
    const value = this.#mapping(0, {}, 0);
    if (this.#indent() !== -1) throw NOT_PLAIN;
    return value;
  }

  /** Goes to the next line that is neither blank nor a comment, and gives its indentation; -1 at the end. */
  #indent(): number {
    for (; this.#at < this.#lines.length; this.#at += 1) {
      const line = this.#line();
      const indent = indentOf(line);
      if (indent < line.length && line[indent] !== "#") return indent;
    }
    return -1;
  }

  #line(): string {
    return this.#lines[this.#at] ?? "";
  }

  #mapping(indent: number, value: Record<string, unknown>, depth: number): Record<string, unknown> {
    for (let next = this.#indent(); next >= indent; next = this.#indent()) {
      if (next > indent) throw NOT_PLAIN;
      this.#entry(this.#line().slice(indent), indent, value, depth);
    }
    return value;
  }

  #entry(text: string, indent: number, into: Record<string, unknown>, depth: number): void {
    const [, key, given = ""] = ENTRY.exec(text) ?? [];
    if (key === undefined || KEYWORD.test(key) || Object.hasOwn(into, key) || depth > MAX_DEPTH) throw NOT_PLAIN;
    this.#at += 1;
    const [, style, chomp] = BLOCK.exec(given) ?? [];
    if (style !== undefined) into[key] = this.#block(style, chomp === "", indent);
    else into[key] = given === "" ? this.#nested(indent, depth + 1) : this.#scalar(given, indent);
  }

  /** What follows a key that has nothing on its own line. */
  #nested(indent: number, depth: number): unknown {
    const next = this.#indent();
    if (next < indent) return null;
    if (this.#line()[next] === "-") return this.#list(next, depth);
    return next === indent ? null : this.#mapping(next, {}, depth);
  }

  #list(indent: number, depth: number): unknown[] {
    const items: unknown[] = [];
    for (let next = this.#indent(); next >= indent; next = this.#indent()) {
      const line = this.#line();
      if (next === indent && line[indent] !== "-") break; // a key of the mapping around it
      if (next > indent || line[indent + 1] !== " ") throw NOT_PLAIN;
      const item = line.slice(indent + 2);
      if (ENTRY.test(item)) {
        const value: Record<string, unknown> = {};
        this.#entry(item, indent + 2, value, depth + 1);
        items.push(this.#mapping(indent + 2, value, depth + 1));
      } else {
        this.#at += 1;
        items.push(this.#scalar(item, indent));
      }
    }
    return items;
  }

  /** A scalar that begins on the line before this one, and may go on below. `parent`: the indentation that what goes on is beyond. */
  #scalar(given: string, parent: number): unknown {
    const [mark] = given;
    if (mark === "'" || mark === '"') return this.#quoted(mark, given.slice(1), parent);
    const comment = given.indexOf(" #");
    const text = trimmed(comment < 0 ? given : given.slice(0, comment));
    if (text === "{}") return {};
    if (text === "[]") return [];
    const list = FLOW_LIST.exec(text)?.[1];
    if (list !== undefined) return list.split(/, */).map(word);
    if (!PLAIN.test(text)) throw NOT_PLAIN;
    const first = plainLine(text);
    const more = comment < 0 ? this.#continued(parent) : [];
    return more.length === 0 ? word(text) : folded([first, ...more]);
  }

  /** The further lines of a scalar without quotes. */
  #continued(parent: number): string[] {
    const lines: string[] = [];
    for (; this.#at < this.#lines.length; this.#at += 1) {
      const line = this.#line();
      const own = indentOf(line);
      if (own < line.length && own <= parent) break;
      lines.push(own === line.length ? "" : plainLine(trimmed(line.slice(own))));
    }
    while (lines.at(-1) === "") lines.pop();
    return lines;
  }

  #quoted(quote: "'" | '"', given: string, parent: number): string {
    const lines: string[] = [];
    for (let rest = given; ; this.#at += 1) {
      const [, text, after] = QUOTED[quote].exec(rest) ?? [];
      if (text !== undefined) {
        if (after?.trim() !== "") throw NOT_PLAIN;
        return quotedText(quote, [...lines, text]);
      }
      lines.push(rest);
      const next = this.#line();
      const own = indentOf(next);
      if (this.#at >= this.#lines.length || (own < next.length && own <= parent)) throw NOT_PLAIN;
      rest = next.slice(own);
    }
  }

  /** A literal or folded text. `ends`: with a newline. */
  #block(style: string, ends: boolean, parent: number): string {
    const lines: string[] = [];
    let indent = -1;
    for (; this.#at < this.#lines.length; this.#at += 1) {
      const line = this.#line();
      const own = indentOf(line);
      if (own === line.length) {
        if (indent < 0 || own > indent) throw NOT_PLAIN;
        lines.push("");
        continue;
      }
      if (own <= parent) break;
      if (indent < 0) indent = own;
      if (own < indent) throw NOT_PLAIN;
      lines.push(line.slice(indent));
    }
    while (lines.at(-1) === "") lines.pop();
    if (lines.length === 0) throw NOT_PLAIN;
    if (style === ">" && lines.some((line) => line.startsWith(" ") || line.endsWith(" "))) throw NOT_PLAIN;
    const text = style === "|" ? lines.join("\n") : folded(lines);
    return ends ? `${text}\n` : text;
  }
}

/** The lines of a text, of which only empty ones between others remain newlines. */
function folded(lines: readonly string[]): string {
  let text = "";
  let between = "";
  for (const [i, line] of lines.entries()) {
    if (line === "" && i > 0 && i < lines.length - 1) between = between === " " ? "\n" : `${between}\n`;
    else {
      text += between + line;
      between = " ";
    }
  }
  return text;
}

function indentOf(line: string): number {
  let indent = 0;
  while (line.charCodeAt(indent) === 32) indent += 1;
  return indent;
}

/** Without the blanks at its end: the expression for that takes quadratic time. */
function trimmed(text: string): string {
  let end = text.length;
  while (text.charCodeAt(end - 1) === 32) end -= 1;
  return text.slice(0, end);
}

/** A line of a scalar without quotes. */
function plainLine(text: string): string {
  if (text.startsWith("#") || text.includes(": ") || text.includes(" #") || text.endsWith(":")) throw NOT_PLAIN;
  return text;
}

/** The lines of a text in quotes: blanks around a newline are not part of it, and neither is a newline after a backslash. */
function quotedText(quote: "'" | '"', lines: readonly string[]): string {
  const last = lines.length - 1;
  const joined: string[] = [];
  let open: string | undefined;
  for (const [i, line] of lines.entries()) {
    if (open !== undefined && line === "") throw NOT_PLAIN;
    const own = i < last ? trimmed(line) : line;
    const isOpen = i < last && quote === '"' && /(?<!\\)(?:\\\\)*\\$/.test(own);
    if (isOpen && (line.endsWith(" ") || CUT_ESCAPE.test(own))) throw NOT_PLAIN;
    const text: string = (open ?? "") + (isOpen ? own.slice(0, -1) : own);
    open = isOpen ? text : undefined;
    if (!isOpen) joined.push(text);
  }
  const text = folded(joined);
  return quote === "'" ? text.replaceAll("''", "'") : unescaped(text);
}

/** A number of a character that the end of its line cuts: what follows on the next does not belong to it. */
const CUT_ESCAPE = /(?<!\\)(?:\\\\)*\\(?:x.?|u.{0,3})\\$/;

/** What an escaped character of a text in double quotes stands for. */
const ESCAPED: Readonly<Record<string, string>> = { n: "\n", t: "\t", '"': '"', "\\": "\\", "/": "/", " ": " " };

function unescaped(text: string): string {
  return text.replace(/\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))/gs, (_, x?: string, u?: string, one = "") => {
    const code = x ?? u;
    if (code !== undefined && !/^d[89a-f]/i.test(code.padStart(4, "0"))) return String.fromCharCode(Number.parseInt(code, 16));
    const stands = ESCAPED[one];
    if (stands === undefined) throw NOT_PLAIN;
    return stands;
  });
}

/** A scalar without quotes. */
function word(text: string): unknown {
  const known = WORDS.get(text);
  if (known !== undefined) return known;
  if (!/^\d/.test(text)) return text;
  if (SMALL_NUMBER.test(text)) return Number(text);
  if (NUMBER.test(text)) throw NOT_PLAIN;
  return text;
}
