import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { Failure, printable } from "../../src/errors.ts";
import { SETTINGS, type SettingValue, STORE_KEY } from "../../src/settings/config.ts";
import { Store } from "../../store/store.ts";
import { isBucket } from "../machine/bucket.ts";
import { ownExecutable } from "../machine/child.ts";
import { type Io, note, printJson } from "../machine/io.ts";
import { storageAt, storeFolder } from "../machine/openstore.ts";
import { loadSettings } from "../machine/settings.ts";
import { defineCommand, type Register } from "./command.ts";
import type { FlagValues } from "./flags.ts";

const TAKES = ["user", "executable", "remoteImport"] as const;
type UnitFlags = FlagValues<typeof TAKES>;

const NAME = "chp.service";
const PATH = `/etc/systemd/system/${NAME}`;

export const unitCommand: Register = (program, io) => {
  defineCommand(program, "unit", "Print a systemd unit for chp serve, and the commands that install it", "0 done, 1 failed, 2 usage", TAKES)
    .addHelpText("after", EXAMPLES)
    .action((options: UnitFlags) => runUnit(options, io));
};

const EXAMPLES = `
The commands that install it are comments at its head. Settings of the store hold for the service too; those of the environment become flags.

Examples:
  chp unit --store /var/lib/chp
  chp unit --store /var/lib/chp --remote-import
  chp unit --store s3://charms/site
  chp unit --store /var/lib/chp | sudo tee ${PATH}`;

export async function runUnit(options: UnitFlags, io: Io): Promise<void> {
  if (!/^[a-z_][a-z0-9_-]{0,31}$/.test(options.user))
    throw new Failure("usage", `--user: ${printable(options.user, 50)} is not a user's name`);
  const place = storeFolder(options, io);
  const bucket = isBucket(place);
  const folder = bucket ? place : resolve(place);
  const settings = await loadSettings(await Store.openOrAwait(storageAt(folder, io)), { environment: io.environment });
  const unit: Unit = {
    user: options.user,
    store: folder,
    exists: bucket || existsSync(folder),
    ...(bucket && { bucket: bucketSetup(io) }),
    writes: options.remoteImport ?? false,
    executable: options.executable === undefined ? ownExecutable() : [resolve(options.executable)],
    flags: serveFlags(settings),
    addresses: ["listen", "tls-listen"].flatMap((key) => settings.get(key)?.values ?? []),
    files: ["tls-cert", "tls-key"].flatMap((key) => settings.get(key)?.values ?? []).map((file) => resolve(file)),
  };
  // The key comes as a credential there.
  const unseen = unseenSettings(settings).filter((text) => !bucket || !text.includes(STORE_KEY));
  const notes = [...unitNotes(unit), ...unseen];
  if (options.json)
    return printJson(
      { name: NAME, path: PATH, unit: renderUnit(unit), commands: installCommands(unit), addresses: unit.addresses, notes },
      io,
    );
  io.out(renderUnit(unit));
  for (const text of notes) note(text, options, io);
}

/** What a service of a bucket gets besides its flags: no key is in the unit. */
interface BucketSetup {
  /** where the bucket is, by the names of its environment: nothing of it is secret */
  readonly where: readonly string[];
  readonly cache: string | undefined;
}

const FOLDER = "/etc/chp";
const ENVIRONMENT = `${FOLDER}/bucket.env`;
const KEY = `${FOLDER}/store.key`;
/** Names whose values a unit may show. */
const PUBLIC_NAMES = ["AWS_ENDPOINT_URL", "AWS_REGION", "AWS_CA_BUNDLE"];

function bucketSetup({ environment }: Io): BucketSetup {
  const cache = environment["CHP_CACHE"];
  return {
    where: PUBLIC_NAMES.flatMap((name) => (environment[name] ? [`${name}=${environment[name]}`] : [])),
    cache: cache ? resolve(cache) : undefined,
  };
}

interface Unit {
  readonly user: string;
  readonly store: string;
  /** whether there is a store there now */
  readonly exists: boolean;
  /** of a store in a bucket */
  readonly bucket?: BucketSetup;
  /** whether it takes imports from other machines, or images that clients push */
  readonly writes: boolean;
  readonly executable: readonly string[];
  /** of `chp serve` */
  readonly flags: readonly string[];
  readonly addresses: readonly string[];
  /** further files that it reads */
  readonly files: readonly string[];
}

/** Settings of this environment as flags, since the service has another environment. */
function serveFlags(settings: ReadonlyMap<string, SettingValue>): string[] {
  return SETTINGS.filter(({ key, flag }) => flag && settings.get(key)?.source === "environment").flatMap(({ key }) =>
    (settings.get(key)?.values ?? []).flatMap((value) => [`--${key}`, /^tls-(cert|key)$/.test(key) ? resolve(value) : value]),
  );
}

function unseenSettings(settings: ReadonlyMap<string, SettingValue>): string[] {
  return SETTINGS.filter(({ key, flag }) => !flag && settings.get(key)?.source === "environment").map(
    ({ key, twin }) => `the service does not see ${twin} of this environment; chp config ${key}=… keeps it in the store`,
  );
}

/** Folders that the unit hides from the service, and the line that controls it. */
const HIDDEN = [
  { folders: ["/tmp", "/var/tmp"], line: (open: boolean) => `PrivateTmp=${open ? "no" : "yes"}` },
  { folders: ["/home", "/root", "/run/user"], line: (open: boolean) => `ProtectHome=${open ? "read-only" : "yes"}` },
];

function isInside(path: string, folders: readonly string[]): boolean {
  return folders.some((folder) => path.startsWith(`${folder}/`));
}

function needed({ store, bucket, executable, files }: Unit): string[] {
  return [...(bucket ? (bucket.cache === undefined ? [] : [bucket.cache]) : [store]), ...executable, ...files];
}

function unitNotes(unit: Unit): string[] {
  return needed(unit).flatMap((path) =>
    HIDDEN.some(({ folders }) => isInside(path, folders))
      ? [
          `${printable(path)} is on a path hidden from hardened services (ProtectHome, PrivateTmp), and ${unit.user} must be able to read it: move it, e.g. to /var/lib/chp`,
        ]
      : [],
  );
}

function renderUnit(unit: Unit): string {
  const { user, store, bucket, executable, flags, addresses, writes } = unit;
  const more = bucket ? ["--wait-for-store", ...(bucket.cache === undefined ? [] : ["--cache", bucket.cache])] : [];
  return `# ${NAME}: answers on ${addresses.map((address) => printable(address)).join(", ")}. To install it, as printed by chp unit:
#
${installCommands(unit)
  .map((line) => `#   ${line}\n`)
  .join("")}
[Unit]
Description=chp, an offline Charmhub and Snap Store
Wants=network-online.target
After=network-online.target
${bucket ? "" : `RequiresMountsFor=${pathWord(store)}\n`}
[Service]
Type=exec
User=${user}
Group=${user}
ExecStart=${[...executable, "serve", "--store", store, ...more, ...flags].map(commandWord).join(" ")}
${bucket ? `# ${["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", ...PUBLIC_NAMES].join(", ")}: one NAME=VALUE a line.\nEnvironmentFile=${ENVIRONMENT}\n# Unseals what is secret in the bucket.\nLoadCredential=store-key:${KEY}\n` : ""}Restart=on-failure
RestartSec=2
# Do not restart on configuration errors or an unsupported store format.
RestartPreventExitStatus=2 11
KillSignal=SIGTERM
# Downloads that are under way may end.
TimeoutStopSec=5min
LimitNOFILE=65536
# More than it needs: what goes wrong here stays here.
MemoryMax=${writes ? "4G" : "1G"}
TasksMax=${writes ? 512 : 256}
UMask=0077

${accessOf(unit)}
# Ports below 1024, such as 443, and no other privilege.
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
NoNewPrivileges=yes
ProtectSystem=strict
${HIDDEN.map(({ folders, line }) => line(needed(unit).some((path) => isInside(path, folders)))).join("\n")}
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
# As from an older kernel, for which the engine has other ways.
SystemCallErrorNumber=ENOSYS
# Not MemoryDenyWriteExecute: the engine compiles while it runs.

[Install]
WantedBy=multi-user.target
`;
}

function accessOf({ store, bucket, writes }: Unit): string {
  if (bucket) {
    const cache = bucket.cache === undefined ? "" : `\nReadWritePaths=${pathWord(bucket.cache)}`;
    return `# Nothing of this machine is written but what is on its way to the bucket, in a /tmp of its own.${cache}${writes ? "\nKillMode=mixed" : ""}`;
  }
  if (!writes) return "# Serving writes nothing: the store is read-only for it.";
  return `# Imports of other machines are processes of their own, which may end when it is stopped. Pushed images it writes itself.\nReadWritePaths=${pathWord(store)}\nKillMode=mixed`;
}

function installCommands(unit: Unit): string[] {
  const { user, store, bucket, exists, writes, executable } = unit;
  const folder = shellWord(store);
  const enable = [
    "sudo systemctl daemon-reload",
    `sudo systemctl enable --now ${NAME}`,
    `systemctl status ${NAME}`,
    `journalctl -u ${NAME}`,
  ];
  const print = `${bucket?.cache === undefined ? "" : `CHP_CACHE=${shellWord(bucket.cache)} `}${executable.map(shellWord).join(" ")} unit --store ${folder}${user === "chp" ? "" : ` --user ${user}`}${writes ? " --remote-import" : ""} | sudo tee ${PATH} >/dev/null`;
  if (bucket)
    return [
      `sudo useradd --system --user-group --no-create-home --home-dir ${FOLDER} --shell /usr/sbin/nologin ${user}`,
      `sudo install -d -m 0700 ${FOLDER}`,
      `sudo install -m 0600 store.key ${KEY}`,
      `printf '%s\\n' ${[...bucket.where, "AWS_ACCESS_KEY_ID=…", "AWS_SECRET_ACCESS_KEY=…"].map(shellWord).join(" ")} | sudo install -m 0600 /dev/stdin ${ENVIRONMENT}`,
      ...(bucket.cache === undefined ? [] : [`sudo install -d -o ${user} -g ${user} ${shellWord(bucket.cache)}`]),
      print,
      ...enable,
    ];
  return [
    `sudo useradd --system --user-group --no-create-home --home-dir ${folder} --shell /usr/sbin/nologin ${user}`,
    exists ? `sudo chown -R ${user}:${user} ${folder}` : `sudo install -d -o ${user} -g ${user} ${folder}`,
    print,
    ...enable,
  ];
}

/** A word of ExecStart with % and $ escaped. */
function commandWord(text: string): string {
  const word = pathWord(text).replaceAll("$", () => "$$");
  return /[\s"'\\;]/.test(text) ? `"${word.replace(/^"|"$/g, "")}"` : word;
}

function pathWord(text: string): string {
  if (printable(text) !== text) throw new Failure("usage", `${printable(text)} cannot be in a unit`);
  const word = text.replaceAll("%", "%%");
  return /[\s"'\\]/.test(text) ? `"${word.replace(/[\\"]/g, "\\$&")}"` : word;
}

function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
