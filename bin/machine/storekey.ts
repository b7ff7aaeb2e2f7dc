/**
 * The key that signs the history of a store, and seals its secrets in a bucket: the setting `store-key` names its file, which lies outside of
 * the store, or a service gets it as the credential of that name.
 */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readSecretKey } from "../../src/archives/signature.ts";
import { isSignedBy, publicHalf, sealingKey, signDigest } from "../../src/archives/storekey.ts";
import { Failure, printable, reason } from "../../src/errors.ts";
import { readSettings, STORE_KEY } from "../../src/settings/config.ts";
import type { Link } from "../../store/chain.ts";
import type { Sealer } from "../../store/s3.ts";
import type { StoreKey } from "../../store/sealed.ts";
import { sealerOf } from "../../store/sealing.ts";
import { Settings } from "../../store/settings.ts";
import type { Storage } from "../../store/storage.ts";
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

/** What seals the secrets of a store in a bucket, found when the first is read or written. Fails where no key is set. */
export function sealerFor(storage: () => Storage, { environment }: Pick<Io, "environment">): () => Promise<Sealer> {
  let found: Promise<Sealer> | undefined;
  const find = async (): Promise<Sealer> => {
    const { place } = storage();
    const { config } = await new Settings(storage()).readTogether(["config"]);
    const file = readSettings({ environment, file: config }).get(STORE_KEY)?.values[0] ?? credentialFile(environment);
    if (file !== undefined) return sealerOf(sealingKey(readSecretKey(readKeyFile(file), file)), place);
    throw new Failure("failed", `what is secret in ${place} is sealed, and no store key is set`, {
      next: "chp keygen store.key makes one; then on every machine: CHP_STORE_KEY=store.key",
    });
  };
  return () => {
    found ??= find();
    found.catch(() => (found = undefined));
    return found;
  };
}

async function keyFileOf(store: Store, { environment }: Pick<Io, "environment">): Promise<string | undefined> {
  return (await loadSettings(store, { environment })).get(STORE_KEY)?.values[0] ?? credentialFile(environment);
}

/** LoadCredential=store-key:FILE of a systemd unit. */
function credentialFile(environment: Io["environment"]): string | undefined {
  const folder = environment["CREDENTIALS_DIRECTORY"];
  const file = folder ? join(folder, STORE_KEY) : undefined;
  return file !== undefined && existsSync(file) ? file : undefined;
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
