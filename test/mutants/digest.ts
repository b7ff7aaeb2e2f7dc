/** sha256 in hex. */
export function digestOf(...parts: readonly (string | Uint8Array)[]): string {
  const hash = new Bun.CryptoHasher("sha256");
  for (const part of parts) hash.update(part).update("\0");
  return hash.digest("hex");
}
