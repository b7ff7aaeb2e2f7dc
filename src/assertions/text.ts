/** The text of assertions: headers, body, signature; nothing is verified here. */

import { Failure, printable, refused } from "../errors.ts";
import { type Assertion, BLANK_LINE, type HeaderValue, keyText } from "./assertion.ts";
import { ASSERTION_TYPES, type AssertionType, Digest } from "./types.ts";

const MAX_HEADERS = 128 * 1024;
const MAX_SIGNATURE = 128 * 1024;
const MAX_BODY = 2 * 2 ** 20;
const NEWLINE = 0x0a;

const HEADER_NAME = /^[a-z](?:-?[a-z0-9])*$/;
const INTEGER = /^(?:0|[1-9]\d{0,8})$/;

// A byte order mark is a character of the text like any other.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Every assertion of a stream; nothing is verified. `places`: where the stream was found, as `Failure.at`
 * has it. Throws a `refused` failure there that names the assertion and the header.
 */
export function parseAssertions(bytes: Uint8Array, ...places: readonly string[]): Assertion[] {
  const stream = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (stream.byteLength === 0) throw refused(`${places.at(-1)} is empty`, { at: places.slice(0, -1) });
  const found: Assertion[] = [];
  for (let at = 0; at < stream.byteLength; ) {
    const place = { name: `assertion ${found.length + 1}` };
    try {
      const next = parseNext(stream, at, place);
      found.push(next.assertion);
      at = next.end;
    } catch (error) {
      throw error instanceof Failure ? error.within(...places, printable(place.name, 300)) : error;
    }
  }
  return found;
}

/** The assertion that begins at `at`, and where the next one would. `place.name` names it, more precisely the more of it is read. */
function parseNext(stream: Buffer, at: number, place: { name: string }): { assertion: Assertion; end: number } {
  if (stream[at] === NEWLINE) throw refused("there is a blank line where it should begin");
  const headEnd = stream.indexOf(BLANK_LINE, at);
  if ((headEnd < 0 ? stream.byteLength : headEnd) - at > MAX_HEADERS) throw refused(`its headers are longer than ${MAX_HEADERS} bytes`);
  const head = decodeText(stream.subarray(at, headEnd < 0 ? undefined : headEnd), "its headers are").replace(/\n$/, "");
  if (head.includes("\r")) throw refused("its lines end in CRLF, not in LF");
  const headers = readEntries(new Lines(head));
  const typeName = headerText(headers, "type");
  const type = ASSERTION_TYPES.get(typeName);
  if (!type) throw refused(printable(`its type ${typeName} is not known`, 200));
  place.name += ` (${keyText(typeName, primaryKeyOf(headers, type))})`;
  if (headEnd < 0) throw refused("it is cut off after its headers");

  const bodyStart = headEnd + BLANK_LINE.length;
  const bodyLength = integerOf(headers, "body-length");
  if (bodyLength > MAX_BODY) throw refused(`its body is longer than ${MAX_BODY} bytes`);
  const bodyEnd = bodyStart + bodyLength;
  if (bodyLength > 0 && stream.toString("latin1", bodyEnd, bodyEnd + BLANK_LINE.length) !== BLANK_LINE)
    throw refused(`its body does not end after the ${bodyLength} bytes that body-length says`);
  const signatureStart = bodyLength > 0 ? bodyEnd + BLANK_LINE.length : bodyStart;
  const blank = stream.indexOf(BLANK_LINE, signatureStart);
  const signatureEnd = blank < 0 ? stream.byteLength - (stream.at(-1) === NEWLINE ? 1 : 0) : blank;
  if (signatureEnd - signatureStart > MAX_SIGNATURE) throw refused(`its signature is longer than ${MAX_SIGNATURE} bytes`);
  if (!/^[A-Za-z0-9+/][A-Za-z0-9+/=\n]*$/.test(stream.toString("latin1", signatureStart, signatureEnd)))
    throw refused(
      signatureEnd <= signatureStart
        ? "it has no signature"
        : "its signature is not base64; assertions in one file are separated by an empty line",
    );

  const authority = headers.has("authority-id") ? headerText(headers, "authority-id") : undefined;
  if (type.request ? authority !== undefined : !authority)
    throw refused(`header "authority-id" is ${type.request ? "not for this type" : "missing"}`);
  const signKey = headerText(headers, "sign-key-sha3-384");
  if (!Digest.fits(signKey)) throw refused(`header "sign-key-sha3-384" is not ${Digest.is}`);
  const assertion = {
    type: typeName,
    headers,
    key: primaryKeyOf(headers, type),
    revision: integerOf(headers, "revision"),
    format: integerOf(headers, "format"),
    authority,
    signKey,
    body: decodeText(stream.subarray(bodyStart, bodyEnd), "its body is"),
    text: `${decodeText(stream.subarray(at, signatureEnd), "it is")}\n`,
  };
  return { assertion, end: blank < 0 ? stream.byteLength : blank + BLANK_LINE.length };
}

function decodeText(bytes: Uint8Array, what: string): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw refused(`${what} not UTF-8 text`);
  }
}

function headerText(headers: ReadonlyMap<string, HeaderValue>, name: string): string {
  const value = headers.get(name);
  if (typeof value !== "string") throw refused(`header "${name}" is ${value === undefined ? "missing" : "no text"}`);
  return value;
}

function integerOf(headers: ReadonlyMap<string, HeaderValue>, name: string): number {
  const value = headers.has(name) ? headerText(headers, name) : "0";
  if (!INTEGER.test(value)) throw refused(`header "${name}" is not a whole number`);
  return Number(value);
}

function primaryKeyOf(headers: ReadonlyMap<string, HeaderValue>, { key, optional = {} }: AssertionType): string[] {
  const values = key.map((part) => {
    const value = headers.has(part) || !Object.hasOwn(optional, part) ? headerText(headers, part) : (optional[part] ?? "");
    if (value === "" || value.includes("/"))
      throw refused(`header "${part}" is of the primary key, and ${value ? "has a slash" : "is empty"}`);
    return value;
  });
  const last = key.at(-1) ?? "";
  if (Object.hasOwn(optional, last) && optional[last] === values.at(-1)) values.pop();
  return values;
}

/** The lines of the headers, taken one after the other. */
class Lines {
  readonly #all: readonly string[];
  #at = 0;

  constructor(head: string) {
    this.#all = head.split("\n");
  }

  /** The next line's number, from 1 on. */
  get number(): number {
    return this.#at + 1;
  }

  get next(): string {
    return this.#all[this.#at] ?? "";
  }

  /** What follows `prefix` in the next line; undefined, and nothing taken, where that begins otherwise. */
  take(prefix: string): string | undefined {
    const line = this.#all[this.#at];
    if (!line?.startsWith(prefix)) return undefined;
    this.#at += 1;
    return line.slice(prefix.length);
  }
}

/** Entries of a map while lines begin with `prefix`; `base` is the indentation that their values build on. */
function readEntries(lines: Lines, prefix = "", base = 0): Map<string, HeaderValue> {
  const found = new Map<string, HeaderValue>();
  for (let line = lines.take(prefix); line !== undefined; line = lines.take(prefix)) {
    const colon = line.indexOf(":");
    const entry = line.slice(0, Math.max(colon, 0));
    if (!HEADER_NAME.test(entry)) throw refused(printable(`line ${lines.number - 1} of it is no header: ${line}`, 200));
    if (found.has(entry)) throw refused(printable(`header "${entry}" occurs twice`, 200));
    found.set(entry, readValue(lines, line.slice(colon + 1), base, entry));
  }
  return found;
}

/** The value that begins with `rest` of a line and may go on in deeper ones. */
function readValue(lines: Lines, rest: string, base: number, entry: string): HeaderValue {
  if (rest.startsWith(" ")) return rest.slice(1);
  const indent = " ".repeat(base + 2);
  const deeper = rest === "" && lines.next.startsWith(indent) ? lines.next.slice(indent.length) : "";
  if (deeper.startsWith("-")) return readList(lines, `${indent}-`, base + 2, entry);
  if (deeper !== "" && !deeper.startsWith(" ")) return readEntries(lines, indent, base + 2);
  const found = rest === "" ? readTextLines(lines, " ".repeat(base + 4)) : [];
  if (found.length === 0) throw refused(printable(`header "${entry}" has neither a value after a space nor one on indented lines`, 200));
  return found.join("\n");
}

function readList(lines: Lines, prefix: string, base: number, entry: string): HeaderValue[] {
  const found: HeaderValue[] = [];
  for (let rest = lines.take(prefix); rest !== undefined; rest = lines.take(prefix)) found.push(readValue(lines, rest, base, entry));
  return found;
}

function readTextLines(lines: Lines, prefix: string): string[] {
  const found: string[] = [];
  for (let line = lines.take(prefix); line !== undefined; line = lines.take(prefix)) found.push(line);
  return found;
}

/** Texts of assertions as one stream: exactly one blank line between them. */
export function encodeStream(texts: readonly string[]): string {
  return texts.map((text) => (text.endsWith("\n") ? text : `${text}\n`)).join("\n");
}
