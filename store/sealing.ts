/** Secrets of a store that lies with others: AES-256-GCM, with the key of the object as what is authenticated besides. */

import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { Failure } from "../src/errors.ts";
import type { Sealer } from "./s3.ts";

const HEAD = Buffer.from("chp sealed 1\n");
const [NONCE, TAG] = [12, 16];
const CIPHER = "aes-256-gcm";

/** `key`: 32 bytes. `place`: for messages. */
export function sealerOf(key: Uint8Array, place: string): Sealer {
  return {
    seal: (name, bytes) => {
      const nonce = randomBytes(NONCE);
      const cipher = createCipheriv(CIPHER, key, nonce).setAAD(Buffer.from(name));
      const sealed = Buffer.concat([cipher.update(bytes), cipher.final()]);
      return Buffer.concat([HEAD, nonce, cipher.getAuthTag(), sealed]);
    },
    unseal: (name, bytes) => {
      try {
        const body = Buffer.from(bytes).subarray(HEAD.byteLength);
        if (!HEAD.equals(Buffer.from(bytes).subarray(0, HEAD.byteLength))) throw new Error("it is not sealed");
        const decipher = createDecipheriv(CIPHER, key, body.subarray(0, NONCE), { authTagLength: TAG }).setAAD(Buffer.from(name));
        decipher.setAuthTag(body.subarray(NONCE, NONCE + TAG));
        return Buffer.concat([decipher.update(body.subarray(NONCE + TAG)), decipher.final()]);
      } catch (error) {
        throw new Failure("corrupt", `${place}/${name} cannot be read: it was sealed with another key, or altered`, {
          next: "name the key that it was written with: CHP_STORE_KEY=FILE",
          cause: error,
        });
      }
    },
  };
}
