/** Settings: their names, sources and valid values. A flag wins over the environment, that over the file, that over the default. */

import { LIMITS } from "../archives/archive.ts";
import { keyLine, readKeyLine, showKey } from "../archives/signature.ts";
import { type Assertion, keyText } from "../assertions/assertion.ts";
import { readSigningKeyLine, showSigningKey, signingKeyLine } from "../assertions/clearsigned.ts";
import { parseAssertions } from "../assertions/text.ts";
import { CANONICAL_ROOTS, Trust } from "../assertions/verify.ts";
import { checkRegistryDomain, OWN_REGISTRY_MODES } from "../catalog/registry.ts";
import { Failure, printable } from "../errors.ts";
import { nearestWord, parseSize } from "../text.ts";
import { certificateFacts } from "./certificate.ts";
import { readCloudImages, showCloudImages } from "./cloudimages.ts";
import { PROXY_DOMAIN, whyUnsupported } from "./documented.ts";

export interface Setting {
  readonly key: string;
  /** of the environment; empty: none */
  readonly twin: string;
  readonly about: string;
  /** the default; undefined: none */
  readonly fallback?: readonly string[];
  /** stored in a file of its own, readable by the owner only, and never printed */
  readonly secret?: true;
  /** what the flag of that name takes, which `chp serve` has; undefined: there is none */
  readonly flag?: "HOST:PORT" | "FILE" | "URL";
  /** whether it may be given more than once, in the environment and in the file as a list with commas */
  readonly many?: boolean;
  /** a text of many lines, which `chp config KEY=@FILE` reads from a file */
  readonly isText?: true;
  /** the command that sets it, where `chp config` does not */
  readonly setBy?: string;
  /** shows a long value in one line */
  readonly show?: (text: string) => string;
  /** the value in its canonical spelling; throws an Error that says what is wrong */
  readonly check: (text: string) => string;
}

export const STREAMS_KEYS = "streams-keys";
export const ACCEPTED_KEYS = "accepted-keys";
export const STORE_KEY = "store-key";
export const STORE_QUOTA = "store-quota";
export const IMAGE_METADATA = "image-metadata";

/** Limits of `chp import`, as flags name them, of which a request to import has at most what the setting `remote-import.archive.NAME` says. */
export const ARCHIVE_LIMITS: readonly (readonly [name: string, about: string, fallback: number])[] = [
  ["max-entries", "entries of an archive", LIMITS.entries],
  ["max-depth", "archives inside archives", LIMITS.depth],
  ["max-size", "size that an archive may unpack to", LIMITS.size],
  ["max-ratio", "times its size that an archive may unpack to", LIMITS.ratio],
  ["max-json", "size of a metadata.json", LIMITS.json],
];

/** The setting that bounds the limit of this name for imports from other machines. */
export function archiveCap(name: string): string {
  return `remote-import.archive.${name}`;
}

export const SETTINGS: readonly Setting[] = [
  {
    key: "listen",
    twin: "CHP_LISTEN",
    flag: "HOST:PORT",
    about: "HOST:PORT to answer HTTP on; port 0 takes a free one",
    fallback: ["0.0.0.0:8080"],
    many: true,
    check: address,
  },
  { key: "tls-listen", flag: "HOST:PORT", twin: "CHP_TLS_LISTEN", about: "HOST:PORT to answer HTTPS on", many: true, check: address },
  {
    key: "tls-cert",
    flag: "FILE",
    twin: "CHP_TLS_CERT",
    about: "file with the server's certificate and its chain, PEM",
    check: checkFilled,
  },
  { key: "tls-key", flag: "FILE", twin: "CHP_TLS_KEY", about: "file with its private key, PEM", check: checkFilled },
  {
    key: "public-url",
    flag: "URL",
    twin: "CHP_PUBLIC_URL",
    about: "what clients reach this server by; Juju 4 stores it, so it should never change",
    check: checkUrl,
  },
  {
    key: "idle-timeout",
    twin: "CHP_IDLE_TIMEOUT",
    about: "seconds after which a connection that waits for a request is closed",
    fallback: ["120"],
    check: (text) => checkCount(text, 5, 240),
  },
  {
    key: "max-connections-per-address",
    twin: "CHP_MAX_CONNECTIONS_PER_ADDRESS",
    about: "connections that one address may have; not for a server behind a proxy, whose address all clients share",
    check: (text) => checkCount(text, 1, 1_000_000),
  },
  {
    key: "remote-import.max-size",
    twin: "CHP_REMOTE_IMPORT_MAX_SIZE",
    about: "size that an import from another machine may send, like 10G",
    check: checkSize,
  },
  {
    key: "remote-import.max-seconds",
    twin: "CHP_REMOTE_IMPORT_MAX_SECONDS",
    about: "seconds that an import from another machine may take",
    check: (text) => checkCount(text, 1, 1_000_000),
  },
  {
    key: "remote-import.max-parallel",
    twin: "CHP_REMOTE_IMPORT_MAX_PARALLEL",
    about: "imports from other machines that run at once",
    fallback: ["4"],
    check: (text) => checkCount(text, 1, 100),
  },
  ...ARCHIVE_LIMITS.map(([name, about, fallback]) => ({
    key: archiveCap(name),
    twin: `CHP_REMOTE_IMPORT_ARCHIVE_${name.toUpperCase().replace("-", "_")}`,
    about: `${about}, at most, in an import from another machine`,
    fallback: [String(fallback)],
    check: checkSize,
  })),
  {
    key: STORE_QUOTA,
    twin: "CHP_STORE_QUOTA",
    about: "size that all stored blobs may have together, like 500G; an import that would exceed it is refused",
    check: checkSize,
  },
  {
    key: "proxy.tls.cert",
    twin: "",
    about: "the certificate that clients must trust: of the store's own authority, or the imported one, PEM",
    setBy: "chp import-certificate",
    check: checkFilled,
    show: (text) => `${certificateFacts(text).subject}, until ${certificateFacts(text).notAfter.slice(0, 10)}`,
  },
  {
    key: "registry",
    twin: "CHP_REGISTRY",
    about: "whether charms pull stored images from chp: auto (with an https public URL), on, off; a proxy.oci-registry.domain wins",
    fallback: ["auto"],
    check: (text) => checkWord(text, OWN_REGISTRY_MODES),
  },
  {
    key: "registry.push",
    twin: "CHP_REGISTRY_PUSH",
    about: "whether clients may push images into chp, over TLS and with a token (chp token NAME --may push): on, off",
    fallback: ["off"],
    check: (text) => checkWord(text, ["on", "off"]),
  },
  {
    key: "registry.push.max-size",
    twin: "CHP_REGISTRY_PUSH_MAX_SIZE",
    about: "size that one blob of a pushed image may have, like 10G",
    fallback: [String(32 * 2 ** 30)],
    check: checkSize,
  },
  {
    key: "proxy.oci-registry.domain",
    twin: "CHP_OCI_REGISTRY_DOMAIN",
    about: "host[:port] of the local registry that images are pulled from",
    check: checkRegistryDomain,
  },
  {
    key: "proxy.oci-registry.username",
    twin: "CHP_OCI_REGISTRY_USERNAME",
    about: "who may pull from it, or from chp where no domain is set; every client of chp can read this",
    check: checkFilled,
  },
  {
    key: "proxy.oci-registry.password",
    twin: "CHP_OCI_REGISTRY_PASSWORD",
    about: "the password of a pull-only account; every client of chp can read this",
    secret: true,
    check: checkFilled,
  },
  {
    key: IMAGE_METADATA,
    twin: "CHP_IMAGE_METADATA",
    about: "YAML text that names the system images of OpenStack and the like for Juju: image-metadata=@FILE",
    isText: true,
    check: (text) => {
      readCloudImages(text);
      return text;
    },
    show: (text) => showCloudImages(readCloudImages(text)),
  },
  {
    key: "trusted-roots",
    twin: "CHP_TRUSTED_ROOTS",
    about: "assertions of additional trusted roots for snaps; chp import --trust FILE adds one",
    check: normalizeRoots,
    show: (text) =>
      parseAssertions(Buffer.from(text), "it")
        .map((assertion) => keyText(assertion.type, assertion.key))
        .join(" "),
  },
  {
    key: STREAMS_KEYS,
    twin: "CHP_STREAMS_KEYS",
    about: "OpenPGP keys that sign agent streams in addition to Canonical's, in base64; chp import --streams-key FILE adds one",
    many: true,
    check: (text) => signingKeyLine(Buffer.from(text, "base64"), "it"),
    show: (text) => showSigningKey(readSigningKeyLine(text, "it")),
  },
  {
    key: ACCEPTED_KEYS,
    twin: "CHP_ACCEPTED_KEYS",
    about: "trusted keys, one of which must have signed what is imported; chp accept-key FILE.pub adds one",
    many: true,
    check: (text) => keyLine(readKeyLine(text, "it")),
    show: (text) => showKey(readKeyLine(text, "it")),
  },
  {
    key: STORE_KEY,
    twin: "CHP_STORE_KEY",
    about: "file with a secret key, as chp keygen writes it, that signs each generation; it is not kept in the store",
    check: checkFilled,
  },
];

export type SettingSource = "flag" | "environment" | "file" | "default";

export interface SettingValue {
  readonly values: readonly string[];
  readonly source: SettingSource;
}

export interface SettingSources {
  readonly flags?: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly file: Readonly<Record<string, unknown>>;
}

/** Every setting that has a value, with its source. Throws a `usage` failure that names the setting. */
export function readSettings({ flags = {}, environment, file }: SettingSources): Map<string, SettingValue> {
  const found = new Map<string, SettingValue>();
  for (const setting of SETTINGS) {
    const given: readonly (readonly [SettingSource, unknown])[] = [
      ["flag", flags[setting.key]],
      ["environment", environment[setting.twin] || undefined],
      ["file", file[setting.key]],
      ["default", setting.fallback],
    ];
    const [source, value] = given.find(([, candidate]) => candidate !== undefined) ?? [];
    if (source) found.set(setting.key, { values: checkValues(setting, value, source), source });
  }
  return found;
}

function checkValues(setting: Setting, value: unknown, source: SettingSource): string[] {
  const what = {
    flag: `--${setting.key}`,
    environment: setting.twin,
    file: `${setting.key} in the settings of the store`,
    default: setting.key,
  }[source];
  const list = Array.isArray(value) ? value : [value];
  const texts = list.flatMap((item) => (typeof item === "string" && setting.many && source !== "flag" ? item.split(",") : [item]));
  if (texts.length > 1 && !setting.many) throw new Failure("usage", `${what} takes one value`);
  return texts.map((text) => {
    if (typeof text !== "string") throw new Failure("usage", `${what} is not text`);
    try {
      return setting.check(text.trim());
    } catch (error) {
      throw new Failure("usage", `${what}: ${printable(error instanceof Error ? error.message : String(error), 300)}`);
    }
  });
}

/** The setting of that key. Throws a `usage` failure for an unknown key, with the most similar one. */
export function findSetting(key: string): Setting {
  const found = SETTINGS.find((setting) => setting.key === key);
  if (found) return found;
  const why = whyUnsupported(key);
  if (why !== undefined) throw new Failure("usage", `${printable(key, 100)} has no meaning here: ${why}`);
  const meant = nearestWord(key, [...SETTINGS.map((setting) => setting.key), PROXY_DOMAIN]);
  const next = meant === undefined ? "chp config lists all settings" : `did you mean ${meant}? chp config lists all settings`;
  throw new Failure("usage", `there is no setting ${printable(key, 100)}`, { next });
}

/** A value as it is stored in the file. Throws a `usage` failure. */
export function checkSetting(setting: Setting, text: string): string | string[] {
  const values = checkValues(setting, text, "default");
  return setting.many ? values : (values[0] ?? "");
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** `HOST:PORT` or `[::1]:8080`. A port alone is refused: it would open every address of the machine. */
export function parseAddress(text: string): Address {
  const match = /^(?:(\[[0-9a-fA-F:.]+\]|[^:\s/[\]]*):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (!match || port > 65_535) throw new Error(`${text} is not HOST:PORT`);
  if (!match[1])
    throw new Error(`${text} has no host: 127.0.0.1:${port} is for this machine alone, 0.0.0.0:${port} for every address that it has`);
  return { host: match[1], port };
}

function address(text: string): string {
  const { host, port } = parseAddress(text);
  return `${host}:${port}`;
}

function checkWord(text: string, words: readonly string[]): string {
  if (!words.includes(text)) throw new Error(`${printable(text, 50)} is not one of ${words.join(", ")}`);
  return text;
}

function checkCount(text: string, least: number, most: number): string {
  const count = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (count >= least && count <= most) return String(count);
  throw new Error(`${printable(text, 50)} is not a number from ${least} to ${most}`);
}

/** A size or a count. */
function checkSize(text: string): string {
  const size = parseSize(text);
  if (size !== undefined && size > 0) return String(size);
  throw new Error(`${printable(text, 50)} is not a number of at least 1, or a size like 500G`);
}

function checkFilled(text: string): string {
  if (text === "") throw new Error("it is empty");
  return text;
}

/** The roots among assertions: accounts and their self-signed account-keys. Throws a `refused` failure that names what is no root. */
export function checkRoots(given: readonly Assertion[]): Assertion[] {
  const trust = new Trust([...CANONICAL_ROOTS, ...given]);
  return given.filter((assertion) => trust.isRoot(assertion));
}

function normalizeRoots(text: string): string {
  const stream = text.endsWith("\n") ? text : `${text}\n`;
  checkRoots(parseAssertions(Buffer.from(stream), "it"));
  return stream;
}

/** An http(s) URL without a query; a path prefix is kept, a trailing slash is not. Throws an `Error` that says what is wrong. */
export function checkUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !["http:", "https:"].includes(url.protocol)) throw new Error(`${text} is not a URL that begins with http:// or https://`);
  if (url.search || url.hash || url.username || url.password) throw new Error(`${url.origin}… has a query, a fragment or a user in it`);
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
}
