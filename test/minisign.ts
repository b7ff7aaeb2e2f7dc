/** Signatures with other trusted comments than chp writes, as minisign -t makes them. */

import { sign } from "node:crypto";
import type { TestKey } from "./carried.ts";

/** The same signature with another trusted comment, which the key's owner signs. */
export function signComment(signature: string, { secret }: TestKey, comment: string): string {
  const [first = "", second = ""] = signature.split("\n");
  const global = sign(null, Buffer.concat([Buffer.from(second, "base64").subarray(10), Buffer.from(comment)]), secret.key);
  return `${first}\n${second}\ntrusted comment: ${comment}\n${global.toString("base64")}\n`;
}
