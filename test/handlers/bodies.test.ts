/** What is kept of requests in memory is bounded: bodies in progress, and what was asked for and is not stored. */

import { expect, test } from "bun:test";
import * as fc from "fast-check";
import type { Context } from "hono";
import { Bodies } from "../../handlers/body.ts";
import { MissingRequests } from "../../handlers/missingrequests.ts";
import { runs } from "../thorough.ts";

const KIB = 1024;

/** A request with a body of so many bytes, as a handler has it. */
function request(size: number): Context {
  const raw = new Request("http://hub.test/", { method: "POST", body: "x".repeat(size) });
  return { req: { raw, header: (name: string) => (name === "Content-Length" ? String(size) : undefined) } } as unknown as Context;
}

test("large bodies that are read at once have so many bytes together; those that wait are read in the order in which they came", async () => {
  const large = fc.integer({ min: 65 * KIB, max: 256 * KIB });
  await fc.assert(
    fc.asyncProperty(fc.array(large, { minLength: 1, maxLength: 12 }), fc.array(fc.nat(), { maxLength: 12 }), async (sizes, order) => {
      const room = 256 * KIB;
      const bodies = new Bodies({ inProgress: room });
      const begun: number[] = [];
      const finish = new Map<number, () => void>();
      const replies = sizes.map((size, i) =>
        bodies.use(request(size), room, async (text) => {
          expect(text).toHaveLength(size);
          begun.push(i);
          await new Promise<void>((done) => finish.set(i, done));
          return new Response(String(i));
        }),
      );
      for (const which of [...order, ...sizes.map(() => 0)]) {
        await Bun.sleep(0); // whoever has room is read
        const running = [...finish.keys()];
        expect(running.reduce((sum, i) => sum + (sizes[i] ?? 0), 0)).toBeLessThanOrEqual(room);
        const one = running[which % Math.max(1, running.length)];
        if (one === undefined) continue;
        finish.get(one)?.();
        finish.delete(one);
      }
      for (const [i, reply] of replies.entries()) expect(await (await reply).text()).toBe(String(i));
      expect(begun.toSorted((a, b) => a - b)).toEqual(sizes.map((_, i) => i));
      expect(begun).toEqual(begun.toSorted((a, b) => a - b));
    }),
    { numRuns: runs(60) },
  );
});

test("of requests for what is not stored the last thousand are kept, the newest first, each with how often it came and since when", () => {
  const full = Array.from({ length: 990 }, (_, i) => i);
  const names = fc.array(fc.oneof(fc.nat(5), fc.nat(1100)), { minLength: 20, maxLength: 60 });
  fc.assert(
    fc.property(names, (more) => {
      const asked = [...full, ...more];
      const missing = new MissingRequests(() => {});
      const known = new Map<string, { times: number; first: string; last: string }>();
      for (const [now, number] of asked.entries()) {
        missing.note({ type: "charm", name: `c${number}` }, `request ${now}`, now);
        const what = `charm c${number}`;
        const [last, before] = [new Date(now).toISOString(), known.get(what)];
        known.delete(what);
        known.set(what, { times: (before?.times ?? 0) + 1, first: before?.first ?? last, last });
        const [oldest = ""] = known.keys();
        if (known.size > 1000) known.delete(oldest);
      }
      expect(missing.all.map(({ what, times, first, last }) => ({ what, times, first, last }))).toEqual(
        [...known].map(([what, facts]) => ({ what, ...facts })).toReversed(),
      );
      expect(missing.totals.charm).toBe(asked.length);
    }),
  );
});
