/** JSON as it is stored. */

/** The bytes that a value is stored as; the digest of a manifest is of these. */
export function jsonBytes(value: unknown): Uint8Array {
  return Buffer.from(`${JSON.stringify(value, null, 1)}\n`);
}
