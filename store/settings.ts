/** Settings and secrets: small JSON documents, each replaced atomically. `DOCUMENTS` describes them. */

import * as v from "valibot";
import type { Registry } from "../src/catalog/registry.ts";
import { Failure } from "../src/errors.ts";
import { mapByName } from "../src/schema.ts";
import type { IssuedCertificate } from "../src/settings/authority.ts";
import { readPem } from "../src/settings/certificate.ts";
import { type Token, Tokens } from "../src/settings/token.ts";
import { tryJson } from "../src/text.ts";
import { jsonBytes } from "./json.ts";
import {
  AUTHORITY_SECRET_KEY,
  CONFIG_KEY,
  OCI_SECRET_KEY,
  SESSION_SECRET_KEY,
  TLS_KEY,
  TLS_SECRET_KEY,
  TOKENS_SECRET_KEY,
} from "./keys.ts";
import type { ObjectKind, Storage } from "./storage.ts";

/** A registry that replies may still name. */
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
  /** private keys, PEM: of the certificate and of its predecessor, so that a reader between the two writes finds the right one */
  readonly tlsSecret: { readonly keys: readonly string[] };
  /** the authority that issues certificates here */
  readonly authority: IssuedCertificate | undefined;
}

interface Document<T> {
  readonly key: string;
  readonly kind: ObjectKind;
  readonly schema: v.GenericSchema<unknown, T>;
  /** the value of a missing file and of an empty object */
  readonly missing: T;
  /** the failure if a JSON object does not match the schema; a schema with a fallback needs none */
  readonly refusal?: (path: string) => Failure;
}

const Pem = v.pipe(v.string(), v.check(isCertificate));

/** In the order in which a backup copies them. */
export const DOCUMENTS: { readonly [N in keyof Documents]: Document<Documents[N]> } = {
  config: { key: CONFIG_KEY, kind: "mutable", schema: mapByName(v.unknown()), missing: {} },
  ociSecret: {
    key: OCI_SECRET_KEY,
    kind: "secret",
    schema: v.looseObject({
      former: v.fallback(v.array(v.object({ domain: v.string(), username: v.string(), password: v.string(), until: v.string() })), []),
    }),
    missing: { former: [] },
  },
  session: {
    key: SESSION_SECRET_KEY,
    kind: "secret",
    schema: v.fallback(v.optional(v.object({ key: v.pipe(v.string(), v.nonEmpty()) })), undefined),
    missing: undefined,
  },
  tokens: {
    key: TOKENS_SECRET_KEY,
    kind: "secret",
    schema: Tokens,
    missing: { tokens: [] },
    refusal: () =>
      new Failure("failed", `${TOKENS_SECRET_KEY} of the store is not readable`, { next: "remove that file, which revokes every token" }),
  },
  // Copied before its keys: the keys of a later moment include the key of this certificate.
  tls: {
    key: TLS_KEY,
    kind: "mutable",
    schema: v.object({ certificate: Pem, authority: v.optional(Pem), names: v.optional(v.array(v.string()), []) }),
    missing: undefined,
    refusal: (path) => new Failure("failed", `${path} is not readable`, { next: "remove that file, and run chp import-certificate again" }),
  },
  tlsSecret: {
    key: TLS_SECRET_KEY,
    kind: "secret",
    schema: v.fallback(v.object({ keys: v.array(v.string()) }), { keys: [] }),
    missing: { keys: [] },
  },
  authority: {
    key: AUTHORITY_SECRET_KEY,
    kind: "secret",
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

export class Settings {
  readonly #storage: Storage;

  constructor(storage: Storage) {
    this.#storage = storage;
  }

  /** Reads a document, uncached. Fails with `failed` if its file is no JSON object or does not match the schema. */
  async read<N extends keyof Documents>(name: N): Promise<Documents[N]> {
    const { key, schema, missing, refusal }: Document<Documents[N]> = DOCUMENTS[name];
    const path = `${this.#storage.place}/${key}`;
    const file = await this.#storage.open(key);
    if (!file) return missing;
    const object = v.safeParse(mapByName(v.unknown()), tryJson(new TextDecoder().decode(await file.bytes())));
    const notAnObject = () => new Failure("failed", `${path} is not a JSON object`, { next: "repair or remove that file" });
    if (!object.success) throw notAnObject();
    if (Object.keys(object.output).length === 0) return missing;
    const parsed = v.safeParse(schema, object.output);
    if (parsed.success) return parsed.output;
    throw refusal?.(path) ?? notAnObject();
  }

  async write<N extends keyof Documents>(name: N, value: NonNullable<Documents[N]>): Promise<void> {
    const { key, kind } = DOCUMENTS[name];
    await this.#replace(key, value, kind);
  }

  /** Makes the key durable first, so that the key of the stored certificate is always there. */
  async writeCertificate(certificate: StoredCertificate, secret: Documents["tlsSecret"]): Promise<void> {
    await this.write("tlsSecret", secret);
    await this.write("tls", certificate);
  }

  /** The only place where a document is replaced; durable when it returns. */
  async #replace(key: string, value: object, kind: ObjectKind): Promise<void> {
    const stage = await this.#storage.stage(kind);
    try {
      await stage.write(jsonBytes(value));
      await stage.end();
      await stage.commit(key);
    } finally {
      await stage.discard();
    }
    await this.#storage.flush(); // a revoked token must not come back after a power cut
  }
}
