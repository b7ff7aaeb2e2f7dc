/** The key that signs the history of a store: the setting `store-key` names its file, which lies outside of the store. */

import { readFileSync } from "node:fs";
import { readSecretKey } from "../../src/archives/signature.ts";
import { isSignedBy, publicHalf, signDigest } from "../../src/archives/storekey.ts";
import { Failure, printable, reason } from "../../src/errors.ts";
import { STORE_KEY } from "../../src/settings/config.ts";
import type { Link } from "../../store/chain.ts";
import type { StoreKey } from "../../store/sealed.ts";
import type { Store } from "../../store/store.ts";
import type { Io } from "./io.ts";
import { loadSettings } from "./settings.ts";

/** Undefined: none is set. Fails where it is set and cannot be read: nothing is published unsigned then. */
export async function storeKeyOf(store: Store, io: Pick<Io, "environment">): Promise<StoreKey | undefined> {
  const file = await keyFileOf(store, io);
  if (file === undefined) return undefined;
  const key = readSecretKey(readKeyFile(file), file);
  return { sign: (digest) => signDigest(digest, key) };
}

/** Whether a generation is signed by the store key: `by` is its id; `problem`: it should be, and is not. */
export interface SignatureState {
  readonly by?: string;
  readonly problem?: string;
}

/**
 * One state a link, in their order; undefined: no key is set. `file`: a key, public or secret, instead of the one that is set: the newest
 * generation must be signed by it then. From the first that is signed on, all must be.
 */
export async function signaturesOf(
  links: readonly Link[],
  store: Store,
  io: Pick<Io, "environment">,
  file?: string,
): Promise<readonly SignatureState[] | undefined> {
  const used = file ?? (await keyFileOf(store, io));
  if (used === undefined) return undefined;
  const key = publicHalf(readKeyFile(used), used);
  const first = links.findIndex(({ signed }) => signed !== undefined);
  return links.map(({ signed }, i) => {
    if (signed && isSignedBy(signed.content, signed.signature, key)) return { by: key.id };
    if (signed) return { problem: `is not signed by ${key.id}: its signature is another's, or it was altered` };
    const isMissing = (first !== -1 && i > first) || (file !== undefined && i === links.length - 1);
    return isMissing ? { problem: `is not signed by ${key.id}` } : {};
  });
}

async function keyFileOf(store: Store, { environment }: Pick<Io, "environment">): Promise<string | undefined> {
  return (await loadSettings(store, { environment })).get(STORE_KEY)?.values[0];
}

function readKeyFile(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new Failure("failed", `cannot read ${printable(file)}, the store key: ${printable(reason(error).split(",")[0] ?? "", 200)}`, {
      next: "run as who may read it, or chp config store-key=FILE names another; store-key= takes it away",
      cause: error,
    });
  }
}
