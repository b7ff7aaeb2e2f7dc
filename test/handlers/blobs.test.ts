/** Payloads over HTTP, as RFC 9110 says: ranges, conditions and caching, by this code and not by the server's own way with files. */

import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { Hono } from "hono";
import { inMemory, type Payload, sendBlob } from "../../handlers/blobs.ts";
import type { Env } from "../../handlers/call.ts";
import { sumsOf } from "../../src/digest.ts";

const BYTES = Uint8Array.from({ length: 100 }, (_, i) => i);
const DIGEST = sumsOf(BYTES)["sha-256"];
const ETAG = `"${DIGEST}"`;

/** `stalls`: how often the connection was said to be one that its reader may let wait. */
async function ask(headers: Record<string, string>, more: Partial<Payload> = {}, bytes = BYTES, method = "GET") {
  let stalls = 0;
  const app = new Hono<Env>().get("/f/:file", (c) =>
    sendBlob(c, { object: inMemory(bytes), digest: DIGEST, filename: "a.charm", ...more }),
  );
  const env = { peer: { mayStall: () => void (stalls += 1) } } as unknown as Env["Bindings"];
  const reply = await app.fetch(new Request("http://hub.test/f/a.charm", { method, headers }), env);
  const header = (name: string) => reply.headers.get(name);
  return { status: reply.status, header, body: new Uint8Array(await reply.arrayBuffer()), stalls };
}

/** What a single range of `size` bytes asks for, by its definition: each position is in it, or not. */
function wanted(first: number | undefined, last: number | undefined, size: number): number[] | undefined {
  if (first === undefined && last === undefined) return undefined;
  if (first !== undefined && last !== undefined && last < first) return undefined;
  return Array.from({ length: size }, (_, at) => at).filter((at) =>
    first === undefined ? at >= size - (last ?? 0) : at >= first && at <= (last ?? size),
  );
}

const position = fc.option(fc.nat(120), { nil: undefined });

describe("a range", () => {
  test("gets the bytes that it names, and those alone", async () => {
    await fc.assert(
      fc.asyncProperty(position, position, fc.integer({ min: 0, max: 100 }), fc.boolean(), async (first, last, size, lenient) => {
        const bytes = BYTES.subarray(0, size);
        const asked = { Range: `bytes=${first ?? ""}-${last ?? ""}` };
        const { status, header, body } = await ask(asked, lenient ? { lenient } : {}, bytes);
        const part = wanted(first, last, size);
        if (part?.length === 0 && !lenient) {
          expect([status, header("Content-Range"), header("Content-Length"), body.length]).toEqual([416, `bytes */${size}`, "0", 0]);
          return;
        }
        const isPart = part !== undefined && part.length > 0;
        const content = isPart ? part : [...bytes.keys()];
        expect([status, [...body], header("Content-Length")]).toEqual([
          isPart ? 206 : 200,
          content.map((at) => BYTES[at] ?? -1),
          String(content.length),
        ]);
        expect(header("Content-Range")).toBe(isPart ? `bytes ${part[0]}-${part.at(-1)}/${size}` : null);
      }),
    );
  });

  test.each(["", "bytes", "bytes=", "bytes=-", "bytes=1-2,5-6", "bytes=a-b", "lines=1-2", "bytes=1--2"])(
    "%j is none, so that all is sent",
    async (range) => {
      expect(await ask({ Range: range })).toMatchObject({ status: 200, body: BYTES });
    },
  );

  test("of HEAD says the same without a body", async () => {
    const [got, asked] = [await ask({ Range: "bytes=5-9" }), await ask({ Range: "bytes=5-9" }, {}, BYTES, "HEAD")];
    expect([asked.status, asked.body.length]).toEqual([206, 0]);
    for (const name of ["Content-Length", "Content-Range", "ETag", "Content-Type"]) expect(asked.header(name)).toBe(got.header(name));
  });
});

describe("a condition", () => {
  test.each([
    [ETAG, 304],
    ["*", 304],
    [` * `, 304],
    [`W/${ETAG}`, 304],
    [`"other", ${ETAG}`, 304],
    [`"other",W/${ETAG}`, 304],
    ['"other"', 200],
    [DIGEST, 200], // an entity tag has its quotes
    ["", 200],
  ])("If-None-Match: %s → %d", async (tags, status) => {
    const reply = await ask({ "If-None-Match": tags, Range: "bytes=5-9" });
    expect([reply.status, reply.body.length]).toEqual(status === 304 ? [304, 0] : [206, 5]);
    expect([reply.header("ETag"), reply.header("Cache-Control")]).toEqual([ETAG, "public, max-age=31536000, immutable"]);
  });

  test.each([
    [ETAG, 206],
    ['"other"', 200],
    [`W/${ETAG}`, 200], // a weak one never matches here
    ["Wed, 01 Apr 2026 00:00:00 GMT", 200],
  ])("If-Range: %s → %d", async (condition, status) => {
    const reply = await ask({ "If-Range": condition, Range: "bytes=5-9" });
    expect([reply.status, [...reply.body]]).toEqual(status === 206 ? [206, [5, 6, 7, 8, 9]] : [200, [...BYTES]]);
  });

  test("an If-Range of other bytes makes no range unsatisfiable", async () => {
    expect((await ask({ "If-Range": '"other"', Range: "bytes=500-" })).status).toBe(200);
  });
});

describe("a reply", () => {
  test("is kept for a year where its name is of these bytes, else it is asked for again", async () => {
    expect((await ask({})).header("Cache-Control")).toBe("public, max-age=31536000, immutable");
    expect((await ask({}, { mayChange: true })).header("Cache-Control")).toBe("no-cache");
  });

  test("is a file to save, but for what has a type of its own", async () => {
    const [file, typed] = [await ask({}), await ask({}, { type: "application/vnd.oci.image.manifest.v1+json" })];
    expect([file.header("Content-Type"), file.header("Content-Disposition")]).toEqual([
      "application/octet-stream",
      'attachment; filename="a.charm"',
    ]);
    expect([typed.header("Content-Type"), typed.header("Content-Disposition")]).toEqual([
      "application/vnd.oci.image.manifest.v1+json",
      null,
    ]);
  });

  test("of more than sockets take as a whole may stall, whatever of it is asked for", async () => {
    const large = new Uint8Array(2 ** 16 + 1);
    expect((await ask({}, {}, large)).stalls).toBe(1);
    expect((await ask({}, {}, large.subarray(1))).stalls).toBe(0);
    expect((await ask({ Range: "bytes=1-" }, {}, large)).stalls).toBe(0);
  });

  test("of nothing has no body", async () => {
    expect(await ask({}, {}, new Uint8Array())).toMatchObject({ status: 200, body: new Uint8Array() });
  });
});
