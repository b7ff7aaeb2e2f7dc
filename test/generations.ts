/** Files of generations that no publisher made. */

import type { Generation } from "../src/catalog/generation-types.ts";
import { seal } from "../store/sealed.ts";

/** The file of a generation, sealed as it should be. */
export function generationFile({ sha256: _sha256, signature: _signature, ...record }: Generation): Uint8Array {
  return seal(record);
}
