/** The stored form of JSON. */

/** The bytes under which a value is stored; the digest of a manifest is their sha256. */
export function jsonBytes(value: unknown): Uint8Array {
  const text = JSON.stringify(value, null, 1);
  // The line end is added to the bytes: an import of thousands would copy each text once more for it.
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text) + 1);
  bytes[bytes.write(text)] = 10;
  return bytes;
}
