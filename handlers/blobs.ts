/** Sends payloads: length, HEAD, ranges, conditions. Never chunked, never compressed (handlers/juju.md, Downloads). */

import type { Context } from "hono";
import type { StoredObject } from "../store/storage.ts";
import type { Env } from "./call.ts";

export interface Payload {
  readonly object: Omit<StoredObject, "modified">;
  /** sha256 in hex, which is the ETag */
  readonly digest: string;
  /** the requested name, under which a client may save it */
  readonly filename: string;
  /** whether a range behind the end gets the whole payload: snapd gives up at a 416 (handlers/snapd.md, Downloads) */
  readonly lenient?: true;
  /** default: bytes to save under `filename` */
  readonly type?: string;
  /** the name of the payload may stand for other bytes later, so that a cache has to ask again */
  readonly mayChange?: true;
}

/** Bytes of a payload that sockets take as a whole, whether it is read or not. */
const MAY_STALL = 2 ** 16;

/** A payload from memory. */
export function inMemory(bytes: Uint8Array): Payload["object"] {
  return {
    size: bytes.byteLength,
    body: (start, end) => new Uint8Array(bytes.subarray(start, end)),
    bytes: async (start, end) => bytes.subarray(start, end),
  };
}

/** The last segment of the requested path. */
export function filenameOf(c: Context): string {
  return c.req.param("file") ?? "";
}

/** Replies with a whole payload or with the requested range. */
export async function sendBlob(c: Context<Env>, { object, digest, filename, lenient, type, mayChange }: Payload): Promise<Response> {
  const etag = `"${digest}"`;
  const headers: Record<string, string> = {
    ETag: etag,
    "Cache-Control": mayChange ? "no-cache" : "public, max-age=31536000, immutable",
    "Content-Type": type ?? "application/octet-stream",
    ...(type === undefined && { "Content-Disposition": `attachment; filename="${filename}"` }),
  };
  if (matchesEtag(c.req.header("If-None-Match"), etag)) return new Response(null, { status: 304, headers });
  const condition = c.req.header("If-Range");
  const range = condition === undefined || condition === etag ? parseRange(c.req.header("Range"), object.size) : undefined;
  if (range === "unsatisfiable" && !lenient)
    return new Response(null, { status: 416, headers: { ...headers, "Content-Range": `bytes */${object.size}`, "Content-Length": "0" } });
  const part = range === "unsatisfiable" ? undefined : range;
  const disposition = headers["Content-Disposition"];
  if (object.location && c.req.method === "GET" && range !== "unsatisfiable")
    return new Response(null, {
      status: 302,
      headers: {
        Location: object.location({ type: headers["Content-Type"] ?? "", ...(disposition !== undefined && { disposition }) }),
        "Cache-Control": "no-store",
        "Content-Length": "0",
      },
    });
  const { start, end } = part ?? { start: 0, end: object.size };
  headers["Content-Length"] = String(end - start);
  if (part) headers["Content-Range"] = `bytes ${start}-${end - 1}/${object.size}`;
  if (end - start > MAY_STALL) c.env.peer.mayStall?.(); // Juju never resumes a download
  const body = c.req.method === "HEAD" || start === end ? null : await object.body(start, end);
  return new Response(body, { status: part ? 206 : 200, headers });
}

function matchesEtag(header: string | undefined, etag: string): boolean {
  return header !== undefined && (header.trim() === "*" || header.split(",").some((tag) => tag.trim().replace(/^W\//, "") === etag));
}

/** `bytes=0-99`, `bytes=100-`, `bytes=-50` → [start, end); undefined: the whole payload, also for several ranges. */
function parseRange(header: string | undefined, size: number): { start: number; end: number } | "unsatisfiable" | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header?.trim() ?? "");
  if (!match || (match[1] === "" && match[2] === "")) return undefined;
  const [from, to] = [match[1] === "" ? undefined : Number(match[1]), match[2] === "" ? undefined : Number(match[2])];
  if (from !== undefined && to !== undefined && to < from) return undefined;
  const start = from ?? Math.max(0, size - (to ?? 0));
  const end = from === undefined ? size : Math.min(size, (to ?? size - 1) + 1);
  return start >= end ? "unsatisfiable" : { start, end };
}
