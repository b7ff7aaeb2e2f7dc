/**
 * YAML of untrusted files. The library has no bounds of its own, and makes an object of each error: here it is run token by token, ends at
 * the first error, and refuses what would take more than linear time or too much memory.
 */

import { Composer, type Document, Lexer, LineCounter, Parser } from "yaml";
import { ByteCache } from "./cache.ts";
import { type Failure, printable, reason, refused } from "./errors.ts";
import { readPlainYaml } from "./plainyaml.ts";

/** The most that a YAML text may have. Each bound is exact: the next token is refused before it is parsed. */
export interface YamlLimits {
  /** tokens of the lexer: an entry of a mapping has about seven */
  readonly tokens: number;
  /** collections inside collections */
  readonly depth: number;
  /** anchors and aliases; each alias is looked for among all anchors */
  readonly anchors: number;
  /** documents and directives; each document has a schema of its own, and a copy of the directives */
  readonly documents: number;
  /** how often the text may repeat a node, by aliases of aliases too */
  readonly aliases: number;
}

export const YAML_LIMITS: YamlLimits = { tokens: 150_000, depth: 64, anchors: 2000, documents: 500, aliases: 100 };

type YamlSchema = "core" | "failsafe";

const LENIENT = { strict: false, uniqueKeys: false, logLevel: "silent" } as const;

/** Values of texts that the library read lately: the revisions of a charm have mostly the same. Nobody changes them. */
const READ = new ByteCache<{ readonly value: unknown }>(4 * 2 ** 20);

/** Bytes that a value takes for each character of its text, about. */
const VALUE_SIZE = 20;

/**
 * The value of a YAML text of one document; of several, the first. `failsafe`: every scalar is text, as it is written. It is not to be
 * changed: whoever reads the same text gets the same value.
 */
export function readYaml(text: string, what: string, schema: YamlSchema = "core"): unknown {
  const plain = schema === "core" ? readPlainYaml(text) : undefined;
  if (plain) return plain;
  const key = `${schema} ${text}`;
  const known = READ.get(key);
  if (known) return known.value;
  const value = readingYaml(what, () => valueOf(documentsOf(text, { ...LENIENT, schema }, YAML_LIMITS, "first")[0], YAML_LIMITS));
  READ.set(key, { value }, VALUE_SIZE * text.length);
  return value;
}

/** The values of all documents of a YAML text. */
export function readYamls(text: string, what: string, schema: YamlSchema = "core", limits = YAML_LIMITS): unknown[] {
  return readingYaml(what, () => documentsOf(text, { ...LENIENT, schema }, limits, "all").map((document) => valueOf(document, limits)));
}

/** The value of a short YAML text without aliases, where no key may occur twice. Throws an Error that says what is wrong. */
export function readStrictYaml(text: string, limits: YamlLimits): unknown {
  return valueOf(documentsOf(text, { logLevel: "silent" }, limits, "first")[0], limits);
}

function valueOf(document: Document.Parsed | undefined, { aliases }: YamlLimits): unknown {
  return document?.toJS({ maxAliasCount: aliases });
}

/** `first`: of an empty text, too, there is one; what follows it is not looked at. */
function documentsOf(
  text: string,
  options: ConstructorParameters<typeof Composer>[0],
  limits: YamlLimits,
  which: "first" | "all",
): Document.Parsed[] {
  const lines = new LineCounter();
  lines.addNewLine(0);
  const composer = new Composer(options);
  let first: Error | undefined;
  const fail = (at: number, message: string): never => {
    const { line, col } = lines.linePos(at);
    // The composer catches what is thrown inside a collection, and calls again.
    first ??= new Error(`${message} at line ${line}, column ${col}`);
    throw first;
  };
  // The composer would collect its errors, and make a stack for each.
  composer["onError"] = (
    source: number | readonly [number, ...number[]] | { offset: number },
    _: string,
    message: string,
    warning?: boolean,
  ) => {
    if (!warning) fail(typeof source === "number" ? source : "offset" in source ? source.offset : source[0], message);
  };
  const documents: Document.Parsed[] = [];
  let begun = 0;
  for (const token of bounded(text, new Parser(lines.addNewLine), limits)) {
    if (token.type === "document" && (begun += 1) > 1 && which === "first") break;
    if (token.type === "error") fail(token.offset, token.source ? `${token.message}: ${JSON.stringify(token.source)}` : token.message);
    documents.push(...composer.next(token));
  }
  documents.push(...composer.end(which === "first", text.length));
  return documents;
}

/** The tokens of the parser, which are counted before it sees them. */
function* bounded(text: string, parser: Parser, limits: YamlLimits): ReturnType<Parser["next"]> {
  let [tokens, anchors, documents] = [0, 0, 0];
  const count = (counted: number, most: number, what: string) => {
    if (counted > most) throw new Error(`it has more than ${most} ${what}`);
  };
  for (const lexeme of new Lexer().lex(text)) {
    count((tokens += 1), limits.tokens, "tokens of YAML");
    const [first] = lexeme;
    if (first === "&" || first === "*") count((anchors += 1), limits.anchors, "anchors and aliases");
    else if (first === "%" || lexeme === "---" || lexeme === "...") count((documents += 1), limits.documents, "documents and directives");
    yield* parser.next(lexeme);
    // A nested collection is one of the parser's stack, with its document below.
    count(parser.stack.length - 1, limits.depth, "collections inside each other");
  }
  yield* parser.end();
}

function readingYaml<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw unreadable(what, error);
  }
}

function unreadable(what: string, error: unknown): Failure {
  return refused(`${what} cannot be read: ${printable(reason(error).split("\n")[0] ?? "", 200)}`, { cause: error });
}
