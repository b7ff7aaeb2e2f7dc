/** Reads and changes settings in the documents of the store. */

import { readFile } from "node:fs/promises";
import { type PublicKey, readKeyLine } from "../../src/archives/signature.ts";
import { type Assertion, keyText } from "../../src/assertions/assertion.ts";
import { readSigningKeyLine, type SigningKey, signingKeyLine } from "../../src/assertions/clearsigned.ts";
import { encodeStream, parseAssertions } from "../../src/assertions/text.ts";
import type { CloudImage } from "../../src/catalog/cloudimage.ts";
import type { ImageSetup } from "../../src/catalog/imagesources.ts";
import {
  FORMER_REGISTRY_SECONDS,
  type Login,
  type OwnRegistryMode,
  ownRegistry,
  type Registries,
  type Registry,
} from "../../src/catalog/registry.ts";
import { Failure, printable } from "../../src/errors.ts";
import type { Ready } from "../../src/ready.ts";
import { readCloudImages } from "../../src/settings/cloudimages.ts";
import {
  ACCEPTED_KEYS,
  checkSetting,
  findSetting,
  IMAGE_METADATA,
  readSettings,
  SETTINGS,
  type Setting,
  type SettingSources,
  type SettingValue,
  STREAMS_KEYS,
} from "../../src/settings/config.ts";
import type { Change, Documents, FormerRegistry, OciSecret } from "../../store/settings.ts";
import type { Store } from "../../store/store.ts";

const SECRET_KEYS = SETTINGS.filter((setting) => setting.secret).map((setting) => setting.key);
const REGISTRY = "proxy.oci-registry.";
/** Settings besides those of `REGISTRY` that decide which registry replies name. */
const DECIDES_REGISTRY: ReadonlySet<string> = new Set(["registry", "public-url"]);
const TLS_CERT = "proxy.tls.cert";
/** milliseconds */
const CHECK_INTERVAL = 1000;

/** Every setting that has a value. Secrets are included: do not print the result. */
export async function loadSettings(store: Store, from: Omit<SettingSources, "file">): Promise<Map<string, SettingValue>> {
  const config = await store.settings.read("config");
  const secret = await ociSecretOf(store, config);
  const secrets = Object.fromEntries(SECRET_KEYS.map((key) => [key, secret[key]]));
  const stored = await store.settings.read("tls");
  const cert = stored && { [TLS_CERT]: (stored.authority ?? stored.certificate).trimEnd() };
  return readSettings({ ...from, file: { ...config, ...secrets, ...cert } });
}

/** The user of `chp serve` may be unable to read secrets, which matters only if a registry or a login is set. */
function ociSecretOf(store: Store, config: Documents["config"]): Promise<OciSecret> {
  return store.settings.read("ociSecret").catch((error: unknown) => {
    if (["domain", "username"].every((name) => config[REGISTRY + name] === undefined)) return { former: [] };
    throw error;
  });
}

export interface SettingChange {
  readonly setting: Setting;
  /** undefined: unset */
  readonly value: string | string[] | undefined;
}

/** Reads `KEY=VALUE` texts; an empty value unsets. Throws a `usage` failure. */
export function readChanges(texts: readonly string[]): SettingChange[] {
  return texts.map((text) => {
    const at = text.indexOf("=");
    const setting = findSetting(text.slice(0, at));
    const value = text.slice(at + 1);
    if (setting.setBy !== undefined)
      throw new Failure("usage", `${setting.key} is not set by chp config`, { next: `${setting.setBy} sets it` });
    return { setting, value: value === "" ? undefined : checkSetting(setting, value) };
  });
}

/**
 * Writes the changes that `choose` makes of the settings as they are; it is called again where another process was faster. A replaced
 * registry stays known for a while. `now`: milliseconds since 1970. Returns the settings before; do not print its secrets.
 */
export async function changeSettings(
  store: Store,
  choose: (before: Documents["config"]) => readonly SettingChange[],
  now: number,
): Promise<Readonly<Record<string, unknown>>> {
  let changed: Readonly<Record<string, unknown>> = {};
  await store.settings.change(["config", "ociSecret"], ({ config, ociSecret }) => {
    changed = { ...config, ...Object.fromEntries(SECRET_KEYS.map((key) => [key, ociSecret[key]])) };
    return changeOf(choose(config), { config, ociSecret }, now);
  });
  return changed;
}

function changeOf(
  changes: readonly SettingChange[],
  { config: oldConfig, ociSecret: oldSecret }: Pick<Documents, "config" | "ociSecret">,
  now: number,
): Change {
  const before = usedRegistry(readSettings({ environment: {}, file: { ...oldConfig, ...oldSecret } }));
  const [config, secret] = [{ ...oldConfig }, { ...oldSecret }];
  for (const { setting, value } of changes) {
    const file: Record<string, unknown> = setting.secret ? secret : config;
    if (value === undefined) delete file[setting.key];
    else file[setting.key] = value;
  }
  if (!changes.some(({ setting: { key } }) => key.startsWith(REGISTRY) || DECIDES_REGISTRY.has(key))) return { config };
  const until = new Date(now + FORMER_REGISTRY_SECONDS * 1000).toISOString();
  const after = { ...secret, former: [...(before ? [{ ...before, until }] : []), ...stillNamed(oldSecret, now)] };
  return JSON.stringify(after) === JSON.stringify(oldSecret) ? { config } : { config, ociSecret: after };
}

/** The configured registry besides chp; undefined: no domain is set. */
export function registryOf(settings: ReadonlyMap<string, SettingValue>): Registry | undefined {
  const domain = settings.get(`${REGISTRY}domain`)?.values[0];
  return domain === undefined ? undefined : { domain, ...loginOf(settings) };
}

/** What decides whether charms are sent to chp for their images. */
export function imageSetup(settings: ReadonlyMap<string, SettingValue>): ImageSetup {
  return {
    publicUrl: settings.get("public-url")?.values[0],
    registry: registryOf(settings)?.domain,
    mode: settings.get("registry")?.values[0] as OwnRegistryMode,
  };
}

/** The registry that replies name: the configured one, or chp. `publicUrl`: where a flag sets it. */
export function usedRegistry(
  settings: ReadonlyMap<string, SettingValue>,
  publicUrl = settings.get("public-url")?.values[0],
): Registry | undefined {
  const mode = settings.get("registry")?.values[0] as OwnRegistryMode;
  return registryOf(settings) ?? ownRegistry(publicUrl, mode, loginOf(settings));
}

/** What clients of a registry log in with; empty texts where none is set. */
export function loginOf(settings: ReadonlyMap<string, SettingValue>): Login {
  const value = (name: string) => settings.get(`${REGISTRY}${name}`)?.values[0] ?? "";
  return { username: value("username"), password: value("password") };
}

const ROOTS = "trusted-roots";

/** Trusted roots of snap assertions besides Canonical's: those of the settings and `given`. */
export async function trustedRoots(
  store: Store,
  given: readonly Assertion[],
  io: { environment: SettingSources["environment"] },
): Promise<Assertion[]> {
  const text = (await loadSettings(store, io)).get(ROOTS)?.values[0] ?? "";
  const stored = text === "" ? [] : parseAssertions(Buffer.from(text), ROOTS);
  const all = new Map([...stored, ...given].map((root) => [keyText(root.type, root.key), root]));
  return [...all.values()];
}

/** Adds trusted roots to those of the settings. */
export async function storeRoots(store: Store, roots: readonly Assertion[]): Promise<void> {
  await store.settings.change(["config"], ({ config }) => {
    const before = config[ROOTS];
    const stored = typeof before === "string" ? parseAssertions(Buffer.from(before), ROOTS) : [];
    const all = new Map([...stored, ...roots].map((root) => [keyText(root.type, root.key), root]));
    const text = encodeStream([...all.values()].map((root) => root.text));
    return before === text ? undefined : { config: { ...config, [ROOTS]: text } };
  });
}

/** Keys that sign agent streams besides Canonical's: those of the settings and `given`. */
export async function streamsKeys(
  store: Store,
  given: readonly string[],
  io: { environment: SettingSources["environment"] },
): Promise<SigningKey[]> {
  const stored = (await loadSettings(store, io)).get(STREAMS_KEYS)?.values ?? [];
  return [...new Set([...stored, ...given])].map((line) => readSigningKeyLine(line, STREAMS_KEYS));
}

/** Adds keys that sign agent streams to those of the settings. */
export async function storeStreamsKeys(store: Store, lines: readonly string[]): Promise<void> {
  await store.settings.change(["config"], ({ config }) => {
    const before = config[STREAMS_KEYS];
    const stored = (Array.isArray(before) ? before : [before]).filter((line) => typeof line === "string");
    const all = [...new Set([...stored, ...lines])];
    return all.length === stored.length ? undefined : { config: { ...config, [STREAMS_KEYS]: all } };
  });
}

/** The keys of files that `--streams-key` names, as lines of the setting. */
export async function readStreamsKeys(files: readonly string[]): Promise<string[]> {
  return Promise.all(files.map(async (file) => signingKeyLine(await readFile(file), printable(file))));
}

/** The accepted keys: an import must be signed with one of them. None: unsigned imports are accepted. */
export async function acceptedKeys(store: Store, io: { environment: SettingSources["environment"] }): Promise<PublicKey[]> {
  return keysOf(await loadSettings(store, io));
}

export function keysOf(settings: ReadonlyMap<string, SettingValue>): PublicKey[] {
  return (settings.get(ACCEPTED_KEYS)?.values ?? []).map((line) => readKeyLine(line, ACCEPTED_KEYS));
}

/** Former registries whose time has not ended at `now`. */
function stillNamed({ former }: OciSecret, now: number): FormerRegistry[] {
  return former.filter(({ until }) => Date.parse(until) > now);
}

/** The registries for a running server with that public URL. A change of settings takes effect within a second. */
export function watchRegistries(
  store: Store,
  environment: SettingSources["environment"],
  publicUrl: string | undefined,
): () => Ready<Registries> {
  let known: { text: string; registries: Registries } | undefined;
  const load = async () => {
    const settings = await loadSettings(store, { environment });
    const now = Date.now();
    const secret = await ociSecretOf(store, await store.settings.read("config"));
    const former = stillNamed(secret, now).map(({ domain, username, password, own }) => ({
      domain,
      username,
      password,
      ...(own && { own }),
    }));
    const login = loginOf(settings);
    const registries: Registries = {
      current: usedRegistry(settings, publicUrl),
      former,
      ...(login.username !== "" && login.password !== "" && { login }),
      push: settings.get("registry.push")?.values[0] === "on",
    };
    const text = JSON.stringify(registries);
    // An unchanged registry keeps its identity, by which replies are cached.
    if (known?.text !== text) known = { text, registries };
    return known.registries;
  };
  return watched(load);
}

/** The system images of clouds for a running server. A change of settings takes effect within a second. */
export function watchCloudImages(store: Store, environment: SettingSources["environment"]): () => Ready<readonly CloudImage[]> {
  let known: { text: string | undefined; images: readonly CloudImage[] } = { text: undefined, images: [] };
  return watched(async () => {
    const text = (await loadSettings(store, { environment })).get(IMAGE_METADATA)?.values[0];
    if (text !== known.text) known = { text, images: text === undefined ? [] : readCloudImages(text) };
    return known.images;
  });
}

/** What `load` gives, read again at most once a second. What can't be read for a moment stays as it was. */
function watched<T>(load: () => Promise<T>): () => Ready<T> {
  let checked = Number.NEGATIVE_INFINITY;
  let known: Ready<T> | undefined;
  return () => {
    const now = performance.now();
    if (known === undefined || now - checked > CHECK_INTERVAL) {
      checked = now;
      const before = known;
      const loading = load()
        .catch((error: unknown) => before ?? Promise.reject(error))
        .then((loaded) => {
          if (known === loading) known = loaded;
          return loaded;
        });
      known = loading;
    }
    return known;
  };
}
