/** AWS Signature Version 4 for S3, with the time that the caller chooses: what was signed is refused once that time is too long ago. */

import { createHash, createHmac } from "node:crypto";

export interface Credentials {
  readonly id: string;
  readonly secret: string;
  /** of temporary credentials */
  readonly token?: string | undefined;
}

export interface Scope {
  readonly credentials: Credentials;
  readonly region: string;
  /** default: s3 */
  readonly service?: string;
}

export interface Unsigned {
  readonly method: string;
  /** its query is signed as it is */
  readonly url: URL;
  /** signed as well, besides host and date; lower-case names */
  readonly headers?: Readonly<Record<string, string>>;
  /** sha256 of the body in hex */
  readonly payload: string;
}

export const EMPTY_PAYLOAD = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const ALGORITHM = "AWS4-HMAC-SHA256";

/** The headers to send, with `authorization`. `time`: milliseconds since 1970. Engines refuse it a quarter of an hour after that time. */
export function signHeaders({ method, url, headers = {}, payload }: Unsigned, scope: Scope, time: number): Record<string, string> {
  const { credentials, service = "s3" } = scope;
  const date = dateOf(time);
  const signed: Record<string, string> = {
    ...headers,
    host: url.host,
    "x-amz-date": date,
    ...(service === "s3" && { "x-amz-content-sha256": payload }),
    ...(credentials.token !== undefined && { "x-amz-security-token": credentials.token }),
  };
  const names = Object.keys(signed).toSorted();
  const { id, signature } = signatureOf({ method, url, headers: signed, payload }, scope, date);
  const { host: _host, ...sent } = signed; // the transport adds it
  return { ...sent, authorization: `${ALGORITHM} Credential=${id}, SignedHeaders=${names.join(";")}, Signature=${signature}` };
}

/** A URL that carries its signature, and is refused `seconds` after `time`. `query`: further parameters. */
export function presign(
  { method, url }: Pick<Unsigned, "method" | "url">,
  scope: Scope,
  { time, seconds }: { readonly time: number; readonly seconds: number },
): URL {
  const date = dateOf(time);
  const signed = new URL(url);
  const { credentials } = scope;
  const parameters = {
    "X-Amz-Algorithm": ALGORITHM,
    "X-Amz-Credential": `${credentials.id}/${scopeOf(scope, date)}`,
    "X-Amz-Date": date,
    "X-Amz-Expires": String(seconds),
    ...(credentials.token !== undefined && { "X-Amz-Security-Token": credentials.token }),
    "X-Amz-SignedHeaders": "host",
  };
  for (const [name, value] of Object.entries(parameters)) signed.searchParams.set(name, value);
  const { signature } = signatureOf({ method, url: signed, headers: { host: url.host }, payload: "UNSIGNED-PAYLOAD" }, scope, date);
  signed.search = `${canonicalQuery(signed)}&X-Amz-Signature=${signature}`;
  return signed;
}

interface Canonical extends Unsigned {
  readonly headers: Readonly<Record<string, string>>;
}

/** `headers`: all that are signed. */
export function signatureOf(
  { method, url, headers, payload }: Canonical,
  scope: Scope,
  date: string,
): { readonly id: string; readonly signature: string } {
  const names = Object.keys(headers).toSorted();
  const lines = names.map((name) => `${name}:${(headers[name] ?? "").trim().replace(/ +/g, " ")}\n`).join("");
  const request = [method, canonicalPath(url), canonicalQuery(url), lines, names.join(";"), payload].join("\n");
  const within = scopeOf(scope, date);
  const text = [ALGORITHM, date, within, createHash("sha256").update(request).digest("hex")].join("\n");
  return { id: `${scope.credentials.id}/${within}`, signature: Buffer.from(hmac(keyOf(scope, date), text)).toString("hex") };
}

/** The last signing key of credentials: it is the same for a day. */
const keys = new WeakMap<Credentials, { readonly of: string; readonly key: Uint8Array }>();

/** The key that signs in one day, region and service: four digests, each of which takes as long as that of a request. */
function keyOf({ credentials, region, service = "s3" }: Scope, date: string): Uint8Array {
  const parts = [`AWS4${credentials.secret}`, date.slice(0, 8), region, service, "aws4_request"];
  const of = JSON.stringify(parts);
  const last = keys.get(credentials);
  if (last?.of === of) return last.key;
  const [secret = "", ...rest] = parts;
  const key = rest.reduce<Uint8Array>((before, part) => hmac(before, part), Buffer.from(secret));
  keys.set(credentials, { of, key });
  return key;
}

function scopeOf({ region, service = "s3" }: Scope, date: string): string {
  return `${date.slice(0, 8)}/${region}/${service}/aws4_request`;
}

/** `20130524T000000Z` */
export function dateOf(time: number): string {
  return new Date(time).toISOString().replace(/[-:]|\.\d+/g, "");
}

function canonicalPath({ pathname }: URL): string {
  return pathname.split("/").map(encodeSegment).join("/");
}

function canonicalQuery({ searchParams }: URL): string {
  return [...searchParams]
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .toSorted()
    .join("&");
}

/** A segment of a path as S3 wants it signed: encoded once. */
function encodeSegment(segment: string): string {
  return encode(decodeURIComponent(segment));
}

/** As encodeURIComponent, and the characters that it leaves. */
export function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

function hmac(key: Uint8Array, text: string): Uint8Array {
  return createHmac("sha256", key).update(text).digest();
}
