/** The header block of a tar entry. */

import { Header, type Pax } from "tar";

/** bytes of a header, and what the content of an entry is padded to */
export const TAR_BLOCK = 512;

const ZERO_BLOCK = new Uint8Array(TAR_BLOCK);

/** Undefined where the block is no header; node-tar throws on numbers that are none. */
export function readTarHeader(block: Uint8Array, pax?: Pax, global?: Pax): Header | undefined {
  try {
    const header = new Header(Buffer.from(block), 0, pax, global);
    return header.cksumValid ? header : undefined;
  } catch {
    return undefined;
  }
}

/** Whether a block is empty, as those at the end of a tar are. */
export function isZeroBlock(block: Uint8Array): boolean {
  return Buffer.compare(block, ZERO_BLOCK) === 0;
}

/** Whether a file that begins with these bytes is a tar. */
export function isTarHeader(head: Uint8Array): boolean {
  if (head.byteLength < TAR_BLOCK) return false;
  const block = head.subarray(0, TAR_BLOCK);
  return !isZeroBlock(block) && readTarHeader(block) !== undefined;
}
