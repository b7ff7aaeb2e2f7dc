/**
 * All flags of all commands: name, environment variable, parser, default and help. A command lists the flags that it takes;
 * options.ts makes options of them, values.ts reads their values.
 */

import { LEVELS } from "../../handlers/log.ts";
import { LIMITS } from "../../src/archives/archive.ts";
import { CLOUDS, type Cloud } from "../../src/catalog/bootstrapcheck.ts";
import { checkArchitecture } from "../../src/catalog/snap.ts";
import { ADDITIONS } from "../../src/export/sitefile.ts";
import type { UpstreamAddresses } from "../../src/export/upstream.ts";
import { findSetting } from "../../src/settings/config.ts";
import { parseRights, RIGHTS } from "../../src/settings/token.ts";
import type { RemoteOption } from "../../src/wire/remoteimport.ts";
import { GC_DEFAULTS } from "../../store/retained.ts";
import { type CommonOptions, showSize } from "../machine/io.ts";
import { byteSize, logLevel, oneOf, outputFormat, wholeNumber } from "./values.ts";

export interface Flag {
  /** without the leading `--` */
  readonly name: string;
  /** a single-letter alias */
  readonly short?: string;
  /** name of its value in help; in brackets: the value is optional, and `true` without it; undefined: a switch */
  readonly argument?: string;
  /** its environment variable */
  readonly twin?: string;
  /** it is a setting: the store's file comes between environment and default, so loadSettings reads the variable */
  readonly isSetting?: true;
  /** parses the value of a flag that is given once; `what`: its name in messages. Fails with `usage` */
  readonly parse?: (text: string, what: string) => unknown;
  /** it may be given several times; `commas`: or as a list with commas, as in the environment */
  readonly many?: "repeated" | "commas";
  readonly default?: unknown;
  readonly isRequired?: true;
  /** left out of help */
  readonly isHidden?: true;
  /** whether `chp import --to` may send it */
  readonly isRemote?: true;
  /** mentions the environment variable and the default, if any */
  readonly help: string;
}

/** The public stores, which are the default upstream. */
export const PUBLIC: UpstreamAddresses = {
  charmhub: "https://api.charmhub.io",
  snapstore: "https://api.snapcraft.io",
  agents: "https://streams.canonical.com/juju/tools",
};

/** The types that `chp show --type` takes. */
export const PACKAGE_TYPES = ["charm", "bundle", "snap", "image", "agent"] as const;

/** The kinds of clouds that `--cloud` takes. */
const CLOUD_KINDS = Object.keys(CLOUDS) as Cloud[];

/** A setting as `chp serve` takes it. */
function setting<const Name extends string>(name: Name) {
  const { twin, about, many, fallback, flag = "" } = findSetting(name);
  const help = `${about} (${twin}${many ? ", repeatable" : ""}${fallback ? `; default: ${fallback.join()}` : ""})`;
  return { name, argument: flag, twin, isSetting: true, help } as const;
}

/** The public URL, with help for a command. `reached`: like `clients reach this server`. */
function publicUrl(reached: string) {
  return { ...setting("public-url"), help: `what ${reached} by (CHP_PUBLIC_URL)` } as const;
}

function limit<const Name extends string>(name: Name, help: string, value: number) {
  return { name, argument: "N", parse: wholeNumber(1), default: value, isRemote: true, help: `${help} (default: ${value})` } as const;
}

function sizeLimit<const Name extends string>(name: Name, help: string, value: number) {
  const shown = showSize(value);
  return { name, argument: "SIZE", parse: byteSize(1), default: value, isRemote: true, help: `${help} (default: ${shown})` } as const;
}

/** The keys are unique: flags of the same name with different meanings have different keys. */
export const FLAGS = {
  // of nearly all commands
  store: { name: "store", argument: "DIR", twin: "CHP_STORE", help: "the store (CHP_STORE)" },
  json: { name: "json", help: "print the result as JSON" },
  quiet: { name: "quiet", twin: "CHP_QUIET", help: "print no progress and no hints (CHP_QUIET)" },
  output: { name: "output", short: "o", argument: "FORMAT", isHidden: true, parse: outputFormat, help: "json: the same as --json" },
  quietHints: { name: "quiet", twin: "CHP_QUIET", help: "print no hints (CHP_QUIET)" },
  jsonText: { name: "json", help: "print it as JSON" },
  dashboard: { name: "dashboard", help: "of the topic metrics: print the dashboard for Grafana" },
  alerts: { name: "alerts", help: "of the topic metrics: print the alert rules for Prometheus" },
  jsonTopic: { name: "json", help: "print a topic, or the list of all, as JSON" },

  // serve, and commands that print its address
  listen: { ...setting("listen"), many: "repeated" },
  tlsListen: { ...setting("tls-listen"), many: "repeated" },
  tlsCert: setting("tls-cert"),
  tlsKey: setting("tls-key"),
  publicUrl: setting("public-url"),
  cache: {
    name: "cache",
    argument: "DIR",
    twin: "CHP_CACHE",
    help: "folder in which payloads of a bucket are kept once they were requested (CHP_CACHE)",
  },
  cacheSize: {
    name: "cache-size",
    argument: "SIZE",
    twin: "CHP_CACHE_SIZE",
    parse: byteSize(2 ** 20),
    default: 20 * 2 ** 30,
    help: `what that folder may have, the least recently used goes first (CHP_CACHE_SIZE; default: ${showSize(20 * 2 ** 30)})`,
  },
  redirect: {
    name: "redirect",
    twin: "CHP_REDIRECT",
    help: "send clients to the bucket for payloads, by URLs that hold for 15 minutes (CHP_REDIRECT)",
  },
  waitForStore: {
    name: "wait-for-store",
    help: "serve nothing until an import makes the store, where its folder does not exist or its bucket does not answer",
  },
  logLevel: {
    name: "log-level",
    argument: "LEVEL",
    twin: "CHP_LOG_LEVEL",
    default: "info",
    parse: logLevel,
    help: `the least that is logged: ${LEVELS.join(", ")}; each request is an info (CHP_LOG_LEVEL; default: "info")`,
  },
  publicUrlOfServer: publicUrl("clients reach this server"),
  publicUrlOfStore: publicUrl("clients reach this store"),
  publicUrlForJuju: publicUrl("Juju reaches this store"),
  publicUrlForDevices: publicUrl("devices reach this store"),
  publicUrlForMachines: publicUrl("machines reach this store"),
  bootstrap: { name: "bootstrap", help: "with what a bootstrap needs; first checks that the controller's charm is stored" },
  bootstrapJuju: {
    name: "juju",
    argument: "VERSION",
    help: "the Juju that bootstraps, like 3.6 or 3.6.11 (default: every stored track)",
  },
  bootstrapCloud: {
    name: "cloud",
    argument: "KIND",
    parse: oneOf(CLOUD_KINDS),
    help: `the cloud that it bootstraps on: ${CLOUD_KINDS.join(", ")}; implies --bootstrap (default: of any kind)`,
  },
  cloudInit: { name: "cloud-init", help: "print only the cloud-init user data" },
  jujuData: { name: "juju", help: "print only the Juju configuration with it, for models whose machines have no proxy.store" },
  trustOs: { name: "os", help: "print only what the operating system needs" },
  trustSnapd: { name: "snapd", help: "print only what snapd's store-certs needs" },
  trustJuju: { name: "juju", help: "print only what Juju's cloudinit-userdata needs" },
  trustContainerd: { name: "containerd", help: "print only what containerd needs" },
  trustKubernetes: { name: "kubernetes", help: "print only what Kubernetes needs" },
  trustCa: { name: "ca", argument: "FILE", help: "the certificate to trust, PEM, where the store does not have it" },
  user: { name: "user", argument: "NAME", default: "chp", help: 'who the service runs as (default: "chp")' },
  executable: { name: "executable", argument: "FILE", help: "what the service runs (default: this executable)" },
  remoteImport: { name: "remote-import", help: "let it write into the store, which chp import --to needs and nothing else does" },

  // import
  importChannel: {
    name: "channel",
    argument: "CHANNEL",
    isRemote: true,
    help: "where packages are released that come without a channel map (default: latest/stable)",
  },
  revision: {
    name: "revision",
    argument: "N",
    parse: wholeNumber(0),
    isRemote: true,
    help: "revision of a lone charm whose file name has none",
  },
  imageName: {
    name: "image-name",
    argument: "NAME[:TAG]",
    isRemote: true,
    help: "the name of images that have none, like team/app:1.2 (default: what charms call them)",
  },
  keepChannels: { name: "keep-channels", isRemote: true, help: "leave the channels of stored packages as they are" },
  pushChannelMap: { name: "push-channel-map", help: "release what the file releases, also of stored charms and bundles" },
  importDryRun: { name: "dry-run", isRemote: true, help: "say what would change, and change nothing" },
  inputName: {
    name: "name",
    argument: "FILE",
    isRemote: true,
    help: "what standard input is called, in the log and where a file's name matters",
  },
  to: { name: "to", argument: "URL", help: "import into the chp serve that answers there, over TLS" },
  tokenFile: {
    name: "token-file",
    argument: "FILE",
    twin: "CHP_TOKEN_FILE",
    help: "with --to: the file that holds the token (CHP_TOKEN_FILE; or the token itself in CHP_TOKEN)",
  },
  importCa: {
    name: "ca",
    argument: "FILE",
    twin: "CHP_CA",
    help: "with --to: certificates, PEM, that are trusted in addition to those of this machine (CHP_CA)",
  },
  trust: {
    name: "trust",
    argument: "FILE",
    many: "repeated",
    help: "assertions of another trusted root for snaps, repeatable; kept in the settings",
  },
  streamsKey: {
    name: "streams-key",
    argument: "FILE",
    many: "repeated",
    help: "an OpenPGP public key that signs agent streams as Canonical's does, repeatable; kept in the settings",
  },
  renamed: {
    name: "renamed",
    argument: "OLD=NEW",
    many: "repeated",
    help: "upstream renamed the stored charm or bundle OLD: what is imported as NEW takes its place, repeatable",
  },
  allowUnverified: {
    name: "allow-unverified",
    isRemote: true,
    help: "import snaps, assertions and agents that cannot be verified, and mark them",
  },
  allowUnsigned: {
    name: "allow-unsigned",
    help: "import archives that no trusted key signed (chp accept-key), and mark them in the log",
  },
  allowOlder: { name: "allow-older", help: "import archives that were signed before the newest by the same key" },
  repair: { name: "repair", help: "only put back files of the store that are missing or damaged; no release changes" },
  maxEntries: limit("max-entries", "entries of an archive", LIMITS.entries),
  maxDepth: limit("max-depth", "archives inside archives", LIMITS.depth),
  maxSize: sizeLimit("max-size", "size that an archive may unpack to", LIMITS.size),
  maxRatio: limit("max-ratio", "times its size that an archive may unpack to; all else that an import may use grows with it", LIMITS.ratio),
  maxJson: sizeLimit("max-json", "size of a metadata.json", LIMITS.json),
  authorityKeyId: { name: "revision-authority-key-id", argument: "ID", help: "taken and not used: chp signs no revisions" },
  authorityKey: { name: "revision-authority-key", argument: "FILE", help: "taken and not used: chp signs no revisions" },
  // how chp serve passes on the body of a request
  tarOfFiles: {
    name: "tar-of-files",
    isHidden: true,
    isRemote: true,
    help: "standard input is a tar, each entry of which is a file to import",
  },
  folder: {
    name: "folder",
    argument: "DIR",
    isHidden: true,
    isRemote: true,
    help: "the folder, there, that the names in it are relative to",
  },
  bodyMark: { name: "body-mark", argument: "TEXT", isHidden: true, help: "standard input ends with it, or was cut off" },
  bodySize: { name: "body-size", argument: "N", parse: wholeNumber(0), isHidden: true, help: "bytes of standard input" },

  // export
  exportedStore: {
    name: "store",
    argument: "DIR",
    help: "export from that store of this machine, for the next enclave, instead of over the network",
  },
  archs: {
    name: "arch",
    argument: "ARCH",
    many: "commas",
    twin: "CHP_ARCH",
    help: "amd64, arm64, …; repeatable, or a list with commas (CHP_ARCH; default: amd64)",
  },
  bases: {
    name: "base",
    argument: "BASE",
    many: "commas",
    twin: "CHP_BASE",
    help: "ubuntu@24.04, or all; repeatable; without a release there, the nearest LTS (CHP_BASE; default: ubuntu@22.04)",
  },
  series: { name: "series", argument: "SERIES", many: "commas", twin: "CHP_SERIES", help: "the same as a series, like jammy (CHP_SERIES)" },
  exportDir: {
    name: "export-dir",
    argument: "DIR",
    twin: "CHP_EXPORT_DIR",
    default: ".",
    help: "where the archive goes (CHP_EXPORT_DIR; default: here)",
  },
  documentedExportDir: {
    name: "export-dir",
    argument: "DIR",
    twin: "CHP_EXPORT_DIR",
    default: "~/snap/store-admin/common/export",
    help: "where the archive goes (CHP_EXPORT_DIR; default: ~/snap/store-admin/common/export)",
  },
  charmhubUrl: {
    name: "charmhub-url",
    argument: "URL",
    twin: "CHARMHUB_URL",
    help: `the Charmhub, or a chp (CHARMHUB_URL; default: ${PUBLIC.charmhub})`,
  },
  snapstoreUrl: {
    name: "snapstore-url",
    argument: "URL",
    twin: "CHP_SNAPSTORE_URL",
    help: `the Snap Store (CHP_SNAPSTORE_URL; default: ${PUBLIC.snapstore}, or the host of --charmhub-url)`,
  },
  agentsUrl: {
    name: "agents-url",
    argument: "URL",
    twin: "CHP_AGENTS_URL",
    help: `the streams of Juju's agents (CHP_AGENTS_URL; default: ${PUBLIC.agents}, or those of --charmhub-url)`,
  },
  exportStreamsKey: {
    name: "streams-key",
    argument: "FILE",
    many: "commas",
    twin: "CHP_STREAMS_KEY",
    help: "an OpenPGP public key that signs these streams as Canonical's does, repeatable (CHP_STREAMS_KEY)",
  },
  exportCa: {
    name: "ca",
    argument: "FILE",
    many: "commas",
    twin: "CHP_CA",
    help: "an additional trusted authority, PEM; repeatable (CHP_CA)",
  },
  insecureRegistry: {
    name: "insecure-registry",
    argument: "HOST",
    many: "commas",
    twin: "CHP_INSECURE_REGISTRY",
    help: "a registry, HOST[:PORT], that is asked for images without TLS; repeatable (CHP_INSECURE_REGISTRY)",
  },
  registryAuth: {
    name: "registry-auth",
    argument: "FILE",
    twin: "CHP_REGISTRY_AUTH",
    help: "logins of registries, as docker login keeps them in ~/.docker/config.json (CHP_REGISTRY_AUTH)",
  },
  since: {
    name: "since",
    argument: "FILE",
    twin: "CHP_SINCE",
    help: "pack only what chp inventory > FILE on the other side does not list (CHP_SINCE)",
  },
  sign: { name: "sign", argument: "FILE", twin: "CHP_SIGN", help: "sign with the secret key that chp keygen made (CHP_SIGN)" },
  chunk: {
    name: "chunk",
    argument: "SIZE",
    twin: "CHP_CHUNK",
    parse: byteSize(2 ** 20),
    help: "cut the archive into parts of at most that size, like 4G (CHP_CHUNK)",
  },
  parallel: {
    name: "parallel",
    argument: "N",
    twin: "CHP_PARALLEL",
    parse: wholeNumber(1),
    default: 4,
    help: "downloads at once (CHP_PARALLEL; default: 4)",
  },
  failFast: { name: "fail-fast", twin: "CHP_FAIL_FAST", help: "stop at the first failure (CHP_FAIL_FAST)" },
  exportDryRun: { name: "dry-run", help: "list what would be exported, why and how large, and write nothing" },
  file: {
    name: "file",
    short: "f",
    argument: "FILE",
    help: "what is wanted: a manifest of the site, a bundle.yaml, a list of snaps; - for standard input",
  },
  everything: { name: "all", help: "everything that the upstream lists: for a chp, not for the public stores" },
  channels: {
    name: "channel",
    argument: "CHANNEL",
    many: "commas",
    twin: "CHP_CHANNEL",
    help: "what is taken where the file does not say it; repeatable, or all (CHP_CHANNEL)",
  },
  channelsOfBundle: {
    name: "channel",
    argument: "CHANNEL",
    many: "commas",
    twin: "CHP_CHANNEL",
    help: "of the bundle (default: stable of its default track)",
  },
  channelsOfSnaps: {
    name: "channel",
    argument: "CHANNEL",
    many: "commas",
    twin: "CHP_CHANNEL",
    help: "of all of them (default: stable); repeatable, or all",
  },
  locked: {
    name: "locked",
    argument: "[FILE]",
    help: "take what an earlier export took, by its lock (default: beside the manifest), or fail",
  },
  without: {
    name: "without",
    argument: "WHAT",
    many: "commas",
    twin: "CHP_WITHOUT",
    help: `leave out what would be added: ${Object.keys(ADDITIONS).join(", ")}; repeatable (CHP_WITHOUT)`,
  },
  onlyPrintYaml: { name: "only-print-yaml", argument: "[BOOL]", help: "print its bundle.yaml and export nothing" },
  manifest: { name: "manifest", help: "print a site file, whose export takes the same again" },
  fromYaml: { name: "from-yaml", argument: "FILE", help: "a file that names them: packages, each with name, revision and push_channel" },

  // commands that change packages
  base: { name: "base", argument: "BASE", help: "only on this base: 22.04 or ubuntu@22.04" },
  arch: { name: "arch", argument: "ARCH", parse: checkArchitecture, help: "only on this architecture" },
  snap: { name: "snap", help: "the snap, where a charm has the same name" },
  overrideReason: { name: "reason", argument: "TEXT", isRequired: true, help: "why, for those who come after you" },
  overrideUntil: {
    name: "until",
    argument: "DATE",
    help: "when it ends by itself: a day, to its end in UTC, or a time like 2026-08-31T18:00Z (default: when you end it)",
  },
  channelToo: { name: "channel", argument: "CHANNEL", help: "the same" },
  takeComponents: { name: "yes", help: "also where components are taken from snap revisions that machines may have installed" },
  plan: { name: "plan", argument: "FILE", help: "write what would be removed, and change nothing" },
  apply: { name: "apply", argument: "FILE", help: "do what a plan says" },
  force: { name: "force", help: "also where a channel, a bundle or an override uses it" },
  removeNeeded: { name: "yes", help: "also what machines may still need" },

  // commands that show the store
  type: { name: "type", argument: "TYPE", help: `${PACKAGE_TYPES.join(", ")}: where several have one name` },
  probe: { name: "probe", help: "only ask whether the server of this machine answers; exit code 1 where it does not" },
  server: {
    name: "server",
    argument: "URL",
    help: "the running chp serve to ask (default: the public URL, else the first listening address)",
  },
  snapsYaml: { name: "yaml", help: "print them as the snaps.yaml from which the connected side exports" },
  heldToo: { name: "all", help: "also list stored ones" },
  script: { name: "script", argument: "TOOL", help: "print the shell script that copies them; the tool is skopeo" },
  missing: { name: "missing", help: "only those that the registry is not known to have" },
  exitCode: { name: "exit-code", help: "end with 1 where anything is listed" },
  offlineRegistry: { name: "offline", help: "do not ask the registry" },
  offline: { name: "offline", help: "ask nothing of the network: no names, no registry, no public URL" },
  doctorJuju: {
    name: "juju",
    argument: "VERSION",
    help: "also whether a Juju of that version, like 3.6 or 3.6.11, finds all that a bootstrap asks for",
  },
  doctorCloud: {
    name: "cloud",
    argument: "KIND",
    parse: oneOf(CLOUD_KINDS),
    help: `with --juju: on which cloud: ${CLOUD_KINDS.join(", ")} (default: of any kind)`,
  },

  policy: { name: "policy", help: "print the smallest policy for the access key of a store in a bucket, and ask nothing" },

  // commands that maintain the store
  readData: {
    name: "read-data",
    argument: "[PART]",
    help: "read file contents too: all, the n-th of t parts (n/t), or a random sample (x%)",
  },
  leaveDamaged: { name: "dry-run", help: "leave damaged files where they are" },
  gcDryRun: { name: "dry-run", help: "say what would be freed, and change nothing" },
  keepGenerations: {
    name: "keep-generations",
    argument: "N",
    parse: wholeNumber(1),
    default: GC_DEFAULTS.generations,
    help: `generations that stay whatever their age (default: ${GC_DEFAULTS.generations})`,
  },
  keepDays: {
    name: "keep-days",
    argument: "N",
    parse: wholeNumber(0),
    default: GC_DEFAULTS.days,
    help: `generations of so many days stay (default: ${GC_DEFAULTS.days})`,
  },
  olderThan: {
    name: "older-than",
    argument: "HOURS",
    parse: wholeNumber(0),
    default: GC_DEFAULTS.hours,
    help: `keep files newer than this, which a running import may need (default: ${GC_DEFAULTS.hours})`,
  },

  // settings, keys, certificates, tokens
  exportYaml: { name: "export-yaml", help: "print all that is set as YAML, without secrets" },
  importYaml: {
    name: "import-yaml",
    argument: "[FILE]",
    help: "set what a YAML file says, checked whole before anything is changed; - or nothing: standard input",
  },
  comment: { name: "comment", argument: "TEXT", help: "what the public key is called (default: the name of the file)" },
  removeKey: { name: "remove", argument: "ID", many: "repeated", help: "stop trusting that key (repeatable)" },
  selfsigned: { name: "selfsigned", help: "make a certificate and its authority; run again, renew it with the same authority" },
  hostName: {
    name: "name",
    argument: "NAME",
    many: "repeated",
    help: "with --selfsigned: a further host name or address that it is for (repeatable)",
  },
  cert: { name: "cert", argument: "FILE", help: "the server's certificate and its chain, PEM" },
  key: { name: "key", argument: "FILE", help: "its private key, PEM" },
  verifyHistory: { name: "verify", help: "say of each generation whether its digests and its signature hold" },
  historyKey: {
    name: "key",
    argument: "FILE",
    help: "the key that must have signed the history, public or secret, instead of the one that is set",
  },
  keyUntil: {
    name: "until",
    argument: "DATE",
    help: "the last day of the keys that are given (2026-12-31), or a time of RFC 3339; without it, they have no end",
  },
  tokenUntil: {
    name: "until",
    argument: "DATE",
    help: "the last day of a new token (2026-12-31), or a time of RFC 3339; without it, it has no end",
  },
  tokenMay: {
    name: "may",
    argument: "WHAT",
    parse: parseRights,
    help: `what a new token may do, with commas between: ${Object.keys(RIGHTS).join(", ")} (default: import)`,
  },
  tokenOut: { name: "out", argument: "FILE", help: "write a new token into a file that its owner alone may read, instead of printing it" },
  revoke: { name: "revoke", help: "take the token of that name away" },
  list: { name: "list", help: "list all, without their secrets" },
  password: { name: "password", argument: "TEXT", help: "taken and not used" },
} as const satisfies Readonly<Record<string, Flag>>;

/* ---- what the table says ---- */

type Table = typeof FLAGS;
export type FlagId = keyof Table;

type CamelCase<Name extends string> = Name extends `${infer First}-${infer Rest}` ? `${First}${Capitalize<CamelCase<Rest>>}` : Name;
type FlagValue<F> = F extends { many: string }
  ? readonly string[]
  : F extends { parse: (...given: never[]) => infer Parsed }
    ? Parsed
    : F extends { argument: `[${string}]` }
      ? string | true
      : F extends { argument: string }
        ? string
        : boolean;
type AlwaysThere = { readonly default: unknown } | { readonly isRequired: true };

/** The options of a command with these flags, and the common ones: `--dry-run` is `dryRun`. */
export type FlagValues<Ids extends readonly FlagId[]> = CommonOptions & {
  readonly [K in Ids[number] as Table[K] extends AlwaysThere ? CamelCase<Table[K]["name"]> : never]: FlagValue<Table[K]>;
} & {
  readonly [K in Ids[number] as Table[K] extends AlwaysThere ? never : CamelCase<Table[K]["name"]>]?: FlagValue<Table[K]>;
};

/** The flags of `chp import` that `--to` may send. */
export const REMOTE_OPTIONS: readonly RemoteOption[] = Object.values<Flag>(FLAGS)
  .filter((flag) => flag.isRemote)
  .map(({ name, argument }) => ({ name, takesValue: argument !== undefined }));
