/** A file upstream of which parts are read, where all of it is not to be downloaded. */

import { MIB, type ReadAt } from "../archives/archive.ts";
import { type HttpClient, Unavailable, type UpstreamFile } from "./client.ts";

/** Bytes that are asked for at once: what is read of a zip lies at its end, and beside each other. */
const BLOCK = MIB;

/**
 * Reads a file by ranges, each block once. What comes has no digest of its own, so it is good for a plan alone. `what`: what it is, in
 * words. Rejects with `Unavailable`, also where the server gives no ranges.
 */
export function remoteParts(client: HttpClient, what: string, { url, size, access }: UpstreamFile): ReadAt {
  const blocks = new Map<number, Promise<Uint8Array>>();
  const fetchBlock = (block: number): Promise<Uint8Array> => {
    const [start, end] = [block * BLOCK, Math.min(size, (block + 1) * BLOCK)];
    const headers = { "Accept-Encoding": "identity", Range: `bytes=${start}-${end - 1}` };
    const request = { headers, limit: end - start, ...(access && { access }) };
    return client.reply(`cannot fetch ${what}`, url, request, (body) => {
      if (body.byteLength !== end - start)
        throw new Unavailable(`cannot fetch ${what}`, url, `it does not send the bytes from ${start} on`);
      return body;
    });
  };
  return {
    size,
    bytes: async (start, end) => {
      const parts: Uint8Array[] = [];
      for (let block = Math.floor(start / BLOCK); block * BLOCK < end; block += 1) {
        const bytes = blocks.get(block) ?? fetchBlock(block);
        blocks.set(block, bytes);
        const from = block * BLOCK;
        parts.push((await bytes).subarray(Math.max(0, start - from), end - from));
      }
      const [first] = parts;
      return parts.length === 1 && first ? first : Buffer.concat(parts);
    },
  };
}
