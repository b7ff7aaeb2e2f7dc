/**
 * Settings and secrets: JSON documents, which `DOCUMENTS` describes. A change creates `settings/N+1.json`, which must not exist, so of two at
 * once the slower reads again and changes that: none is lost. It has the public documents, and names the files of the secret ones.
 * The first takes the files of format 1 over.
 */

import { randomBytes, randomUUID } from "node:crypto";
import * as v from "valibot";
import type { Registry } from "../src/catalog/registry.ts";
import { type Digest, sumsOf } from "../src/digest.ts";
import { Failure, reason } from "../src/errors.ts";
import { isObject, mapByName } from "../src/schema.ts";
import type { IssuedCertificate } from "../src/settings/authority.ts";
import { readPem } from "../src/settings/certificate.ts";
import { type Token, Tokens } from "../src/settings/token.ts";
import { tryJson } from "../src/text.ts";
import { VERSION } from "../src/version.ts";
import { checkFormat, DigestText, raiseFormat } from "./generation.ts";
import { jsonBytes } from "./json.ts";
import { FORMAT, SECRETS, SETTINGS, secretKey, secretNumber, settingsKey, settingsNumber } from "./keys.ts";
import { seal, unseal } from "./sealed.ts";
import { type ObjectKind, readObject, type Storage } from "./storage.ts";

/** A registry that replies may still name; `own`: chp itself at an earlier public URL. */
export interface FormerRegistry extends Registry {
  /** RFC 3339 */
  readonly until: string;
}

/** Secret settings of the local registry by their keys; never printed. */
export interface OciSecret {
  readonly [key: string]: unknown;
  readonly former: readonly FormerRegistry[];
}

/** The certificate that is served, all of it public. PEM. */
export interface StoredCertificate {
  readonly certificate: string;
  /** certificate of the issuing authority, where it is known */
  readonly authority?: string | undefined;
  /** names that were requested besides the host's own */
  readonly names: readonly string[];
}

/** The type of each document by its name. `undefined`: it may be missing. */
export interface Documents {
  /** unparsed settings by their keys */
  readonly config: Readonly<Record<string, unknown>>;
  readonly ociSecret: OciSecret;
  /** the key that signs device sessions, in base64 */
  readonly session: { readonly key: string } | undefined;
  /** hashes of the tokens of remote import */
  readonly tokens: { readonly tokens: readonly Token[] };
  readonly tls: StoredCertificate | undefined;
  /** private keys, PEM: of the certificate; of format 1 also of its predecessor */
  readonly tlsSecret: { readonly keys: readonly string[] };
  /** the authority that issues certificates here */
  readonly authority: IssuedCertificate | undefined;
}

interface Document<T> {
  readonly kind: "mutable" | "secret";
  /** where a store of format 1 has it */
  readonly legacy: string;
  readonly schema: v.GenericSchema<unknown, T>;
  /** the value of what is not there and of an empty object */
  readonly missing: T;
  /** the next step if an object does not match the schema; a schema with a fallback needs none */
  readonly next?: string;
}

const Pem = v.pipe(v.string(), v.check(isCertificate));

export const DOCUMENTS: { readonly [N in keyof Documents]: Document<Documents[N]> } = {
  config: { kind: "mutable", legacy: "config.json", schema: mapByName(v.unknown()), missing: {} },
  ociSecret: {
    kind: "secret",
    legacy: "secrets/oci-registry.json",
    schema: v.looseObject({
      former: v.fallback(
        v.array(
          v.object({
            domain: v.string(),
            username: v.string(),
            password: v.string(),
            own: v.exactOptional(v.literal(true)),
            until: v.string(),
          }),
        ),
        [],
      ),
    }),
    missing: { former: [] },
  },
  session: {
    kind: "secret",
    legacy: "secrets/session.json",
    schema: v.fallback(v.optional(v.object({ key: v.pipe(v.string(), v.nonEmpty()) })), undefined),
    missing: undefined,
  },
  tokens: {
    kind: "secret",
    legacy: "secrets/tokens.json",
    schema: Tokens,
    missing: { tokens: [] },
    next: "remove that file, which revokes every token",
  },
  tls: {
    kind: "mutable",
    legacy: "tls.json",
    schema: v.object({ certificate: Pem, authority: v.optional(Pem), names: v.optional(v.array(v.string()), []) }),
    missing: undefined,
    next: "remove that file, and run chp import-certificate again",
  },
  tlsSecret: {
    kind: "secret",
    legacy: "secrets/tls.json",
    schema: v.fallback(v.object({ keys: v.array(v.string()) }), { keys: [] }),
    missing: { keys: [] },
  },
  authority: {
    kind: "secret",
    legacy: "secrets/tls-ca.json",
    schema: v.fallback(v.optional(v.object({ certificate: v.string(), key: v.string() })), undefined),
    missing: undefined,
  },
};

function isCertificate(pem: string): boolean {
  try {
    return readPem(pem, "it").certificates.length > 0;
  } catch {
    return false;
  }
}

/** Settings as they are stored; those of a newer chp pass through. */
const StoredText = v.looseObject({
  format: v.literal(FORMAT),
  number: v.number(),
  tool: v.optional(v.string(), ""),
  documents: mapByName(v.unknown()),
  secrets: mapByName(
    v.object({
      file: v.pipe(
        v.string(),
        v.check((file) => secretNumber(file) !== undefined),
      ),
      sha256: DigestText,
    }),
  ),
});
interface Stored extends Pick<v.InferOutput<typeof StoredText>, "format" | "number" | "tool" | "documents" | "secrets"> {}

/** How many are retained. A reader that listed them may still open the one before; none is ever read again when it is not the newest. */
const KEPT = 3;
const MAX_ATTEMPTS = 1000;

/** A change of documents: all of these, or none. */
export type Change = { readonly [N in keyof Documents]?: NonNullable<Documents[N]> };

/** Settings that were found, with what was read of them. */
interface Newest {
  /** 0: there are none yet */
  readonly number: number;
  readonly record: Stored | undefined;
  /** by name */
  readonly raw: Map<string, { readonly key: string; readonly value: unknown } | undefined>;
  /** when they were listed, and looked for newer ones, by performance.now() */
  readonly listed: number;
  looked: number;
  /** keys where the files of format 1 would be */
  legacy?: Promise<ReadonlySet<string>> | undefined;
}

/** milliseconds after which settings are listed anew where a listing is a request: gc may have pruned the next ones */
const RELIST = 30_000;

export class Settings {
  readonly #storage: Storage;
  /** where a look is a request */
  #known: Newest | undefined;

  constructor(storage: Storage) {
    this.#storage = storage;
  }

  /** Reads a document, uncached. Fails with `corrupt` if it cannot be read: that never means that it is not set. */
  async read<N extends keyof Documents>(name: N): Promise<Documents[N]> {
    return (await this.readTogether([name]))[name];
  }

  /** Documents of one state: a certificate with its key, whatever is written meanwhile. */
  async readTogether<N extends keyof Documents>(names: readonly N[]): Promise<Pick<Documents, N>> {
    return (await this.#state(names)).documents;
  }

  /**
   * Replaces documents together, durable when it returns. `change` gets those of `names` as they are, and is called again where another
   * process was faster; undefined: nothing is to change. Documents that it does not give stay. Fails with `published` if the change is stored
   * and a later step failed.
   */
  async change<N extends keyof Documents>(
    names: readonly N[],
    change: (before: Pick<Documents, N>) => Change | undefined | Promise<Change | undefined>,
  ): Promise<void> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      const { record, number, documents: before } = await this.#state(names, true);
      const after = await change(before);
      if (!after) return;
      this.#known = undefined;
      if (await this.#publish(record, number + 1, after)) return;
    }
    throw new Failure("conflict", `cannot save: ${MAX_ATTEMPTS} other changes of the settings came in between`);
  }

  /** False: another process made settings of that number. */
  async #publish(base: Stored | undefined, number: number, after: Change): Promise<boolean> {
    const made: string[] = [];
    let won = false;
    try {
      const record = { ...base, ...(await this.#recordWith(base, number, after, made)) };
      await raiseFormat(this.#storage); // durable before the link
      won = await this.#storage.create(settingsKey(number), seal(record));
    } catch (error) {
      if (isPublished(error)) throw savedButFailed(error);
      await this.#remove(made).catch(() => {});
      throw error;
    }
    if (won)
      won = !(await this.#isPast(number).catch((error: unknown) => {
        throw savedButFailed(error);
      }));
    // What is left of this is removed by the next change.
    await (won ? this.#prune(number) : this.#remove(made)).catch(() => {});
    return won;
  }

  /** `made`: gets the keys of the secrets that are written. */
  async #recordWith(base: Stored | undefined, number: number, after: Change, made: string[]): Promise<Stored> {
    const documents: { [name: string]: unknown } = { ...base?.documents };
    const secrets: { [name: string]: Stored["secrets"][string] } = { ...base?.secrets };
    for (const [name, value] of Object.entries(base ? after : { ...(await this.#legacy()), ...after })) {
      if (DOCUMENTS[name as keyof Documents].kind === "mutable") documents[name] = value;
      else {
        const file = secretKey(name, number, randomUUID());
        made.push(file);
        secrets[name] = { file, sha256: await this.#writeSecret(file, value) };
      }
    }
    return { format: FORMAT, number, tool: `chp ${VERSION}`, documents, secrets };
  }

  /** The documents of format 1, but for what is none: that stays where it is. */
  async #legacy(): Promise<Readonly<Record<string, unknown>>> {
    const found: Record<string, unknown> = {};
    for (const name of Object.keys(DOCUMENTS)) {
      const document = await this.#raw(undefined, 0, name as keyof Documents).catch(() => undefined);
      if (isObject(document?.value)) found[name] = document.value;
    }
    return found;
  }

  /** Whether a number was taken and pruned long ago, so that what was just made of it is none. */
  async #isPast(number: number): Promise<boolean> {
    return number <= ((await this.#numbers()).at(-1) ?? 0) - KEPT;
  }

  async #writeSecret(key: string, value: unknown): Promise<Digest> {
    const stage = await this.#storage.stage("secret");
    try {
      // Settings are readable by all and have the digest: the salt keeps a password from being guessed by it.
      await stage.write(jsonBytes({ salt: randomBytes(32).toString("hex"), value }));
      const sums = await stage.end();
      await stage.commit(key);
      return sums["sha-256"];
    } finally {
      await stage.discard();
    }
  }

  /** Removes what no retained settings name: older ones, secrets, and the files of format 1 that the newest took over. */
  async #prune(newest: number): Promise<void> {
    const numbers = await this.#numbers();
    const retained = await Promise.all(numbers.filter((number) => number > newest - KEPT).map((number) => this.#record(number)));
    const named = new Set(retained.flatMap((record) => Object.values(record?.secrets ?? {}).map(({ file }) => file)));
    await this.#remove(numbers.filter((number) => number <= newest - KEPT).map(settingsKey));
    // The secrets of a higher number may be those of a change that is being made.
    const secrets = await this.#storage.list(SECRETS);
    await this.#remove(secrets.filter((key) => (secretNumber(key) ?? Number.POSITIVE_INFINITY) <= newest && !named.has(key)));
    const record = await this.#record(newest);
    const names = record ? [...Object.keys(record.documents), ...Object.keys(record.secrets)] : [];
    await this.#remove(names.flatMap((name) => (Object.hasOwn(DOCUMENTS, name) ? [DOCUMENTS[name as keyof Documents].legacy] : [])));
    await this.#storage.flush(); // a revoked token must not come back after a power cut
  }

  async #remove(keys: readonly string[]): Promise<void> {
    for (const key of keys) await this.#storage.remove(key);
  }

  async #numbers(): Promise<number[]> {
    const keys = await this.#storage.list(SETTINGS);
    return keys.flatMap((key) => settingsNumber(key) ?? []).toSorted((a, b) => a - b);
  }

  /** Documents of the newest settings, and those settings. `number` 0: there are none yet. */
  async #state<N extends keyof Documents>(
    names: readonly N[],
    isFresh = false,
  ): Promise<{ record: Stored | undefined; number: number; documents: Pick<Documents, N> }> {
    for (let again = isFresh; ; again = true) {
      const newest = await this.#newest(again);
      const { number, record, raw } = newest;
      for (const name of names) if (!raw.has(name)) raw.set(name, await this.#raw(record, number, name, newest));
      // Where a look is a request, what these settings do not name was missing when they were found, and that is new enough.
      const mayBeMissing = (name: N) => this.#storage.lag !== undefined && !Object.hasOwn(record?.secrets ?? {}, name);
      const isWhole = (number === 0 || record !== undefined) && names.every((name) => raw.get(name) !== undefined || mayBeMissing(name));
      // What was listed may have been pruned before it was read.
      if (!isWhole && ((await this.#numbers()).at(-1) ?? 0) !== number) continue;
      const documents = Object.fromEntries(names.map((name) => [name, this.#parse(name, raw.get(name))])) as Pick<Documents, N>;
      return { record, number, documents };
    }
  }

  /** The newest settings; where a look is a request, as they were within the storage's lag. */
  async #newest(isFresh: boolean): Promise<Newest> {
    const { lag } = this.#storage;
    const known = this.#known;
    const began = performance.now();
    if (known && lag !== undefined && !isFresh && began - known.listed < RELIST) {
      if (began - known.looked < lag) return known;
      if (!(await this.#storage.has(settingsKey(known.number + 1)))) {
        known.looked = began;
        return known;
      }
    }
    const number = (await this.#numbers()).at(-1) ?? 0;
    const record = number === 0 ? undefined : await this.#record(number);
    const newest: Newest = { number, record, raw: new Map(), listed: began, looked: began };
    if (lag !== undefined) this.#known = newest;
    return newest;
  }

  /** The files of format 1, which a copy may have brought, by two requests rather than one each. */
  #legacyKeys(newest: Newest): Promise<ReadonlySet<string>> {
    newest.legacy ??= Promise.all([this.#storage.list(""), this.#storage.list(SECRETS)]).then((keys) => new Set(keys.flat()));
    newest.legacy.catch(() => (newest.legacy = undefined));
    return newest.legacy;
  }

  async #read(key: string): Promise<Uint8Array | undefined> {
    const object = await this.#storage.open(key);
    return object && readObject(object, `${this.#storage.place}/${key}`);
  }

  /** Undefined: it is missing. Fails with `corrupt` or `store-too-new`. */
  async #record(number: number): Promise<Stored | undefined> {
    const what = `${this.#storage.place}/${settingsKey(number)}`;
    const bytes = await this.#read(settingsKey(number));
    if (!bytes) return undefined;
    checkFormat(tryJson(new TextDecoder().decode(bytes)), what);
    const parsed = v.safeParse(StoredText, unseal(bytes)?.value);
    if (parsed.success && parsed.output.number === number) {
      const { digest: _digest, ...record } = parsed.output;
      return record;
    }
    throw new Failure("corrupt", `the settings in ${what} are not readable`, {
      next: "put that file back from a copy of the store; or remove it, and those before it hold again: look at them with chp config then",
    });
  }

  /** Undefined: the document is missing. */
  async #raw(
    record: Stored | undefined,
    number: number,
    name: keyof Documents,
    newest?: Newest,
  ): Promise<{ key: string; value: unknown } | undefined> {
    if (record && Object.hasOwn(record.documents, name)) return { key: settingsKey(number), value: record.documents[name] };
    const secret = record && Object.hasOwn(record.secrets, name) ? record.secrets[name] : undefined;
    const key = secret?.file ?? DOCUMENTS[name].legacy;
    if (!secret && newest && this.#storage.lag !== undefined && !(await this.#legacyKeys(newest)).has(key)) return undefined;
    const bytes = await this.#read(key);
    if (!bytes) return undefined;
    const value = tryJson(new TextDecoder().decode(bytes));
    if (!secret) return { key, value };
    return { key, value: sumsOf(bytes)["sha-256"] === secret.sha256 && isObject(value) ? value["value"] : undefined };
  }

  #parse<N extends keyof Documents>(name: N, found: { readonly key: string; readonly value: unknown } | undefined): Documents[N] {
    const { schema, missing, next = "repair or remove that file" }: Document<Documents[N]> = DOCUMENTS[name];
    if (!found) return missing;
    const object = v.safeParse(mapByName(v.unknown()), found.value);
    if (object.success && Object.keys(object.output).length === 0) return missing;
    const parsed = object.success ? v.safeParse(schema, object.output) : undefined;
    if (parsed?.success) return parsed.output;
    throw new Failure("corrupt", `${this.#storage.place}/${found.key} is not readable`, { next });
  }

  /** What is wrong with what is in force, in words. */
  async problems(): Promise<string[]> {
    try {
      const { record } = await this.#state([]);
      const missing: { readonly file: string }[] = [];
      for (const secret of Object.values(record?.secrets ?? {})) if (!(await this.#storage.has(secret.file))) missing.push(secret);
      const read = await Promise.allSettled((Object.keys(DOCUMENTS) as (keyof Documents)[]).map((name) => this.read(name)));
      return [
        ...missing.map(({ file }) => `${file} is missing, so what it contained is not set`),
        ...read.flatMap((one) => (one.status === "rejected" ? [reason(one.reason)] : [])),
      ];
    } catch (error) {
      return [reason(error)];
    }
  }

  /** Copies what is in force into an earlier copy of this store, unless settings were changed there. Returns the keys of the secrets. */
  async updateTo(to: Storage): Promise<string[]> {
    const there = (await new Settings(to).#numbers()).at(-1) ?? 0;
    const here = (await this.#numbers()).at(-1) ?? 0;
    return there >= here ? [] : this.copyTo(to);
  }

  /** Copies what is in force into a storage without settings. Returns the keys of the secrets. */
  async copyTo(to: Storage): Promise<string[]> {
    for (;;) {
      const { record, number } = await this.#state([], true);
      const names = (Object.keys(DOCUMENTS) as (keyof Documents)[]).filter(
        (name) => !record || (!Object.hasOwn(record.documents, name) && !Object.hasOwn(record.secrets, name)),
      );
      const secrets: string[] = [];
      const copy = async (key: string, kind: ObjectKind) => {
        if ((await copyObject(this.#storage, to, key, kind)) && kind === "secret") secrets.push(key);
      };
      for (const { file } of Object.values(record?.secrets ?? {})) await copy(file, "secret");
      for (const name of names) await copy(DOCUMENTS[name].legacy, DOCUMENTS[name].kind);
      if (((await this.#numbers()).at(-1) ?? 0) !== number) continue; // some may have been pruned
      if (number > 0) await copy(settingsKey(number), "immutable");
      return secrets;
    }
  }
}

function isPublished(error: unknown): error is Failure {
  return error instanceof Failure && error.kind === "published";
}

function savedButFailed(error: unknown): Failure {
  return new Failure("published", `the settings are saved, but a later step failed: ${reason(error)}`, {
    next: "look at them with chp config",
    cause: error,
  });
}

/** False: there is no such object. */
export async function copyObject(from: Storage, to: Storage, key: string, kind: ObjectKind): Promise<boolean> {
  const object = await from.open(key);
  if (!object) return false;
  const bytes = await readObject(object, `${from.place}/${key}`);
  const stage = await to.stage(kind);
  try {
    await stage.write(bytes);
    await stage.end();
    await stage.commit(key);
  } finally {
    await stage.discard();
  }
  return true;
}
