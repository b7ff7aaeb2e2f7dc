/** The stored form of JSON. */

/** The bytes under which a value is stored; the digest of a manifest is their sha256. */
export function jsonBytes(value: unknown): Uint8Array {
  return Buffer.from(`${JSON.stringify(value, null, 1)}\n`);
}
