import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { Argument } from "commander";
import { Failure, printable } from "../../src/errors.ts";
import { SETTINGS, type SettingValue, STORE_KEY } from "../../src/settings/config.ts";
import { Store } from "../../store/store.ts";
import { checkBucketOptions, isBucket } from "../machine/bucket.ts";
import { ownExecutable } from "../machine/child.ts";
import { type Io, note, printJson } from "../machine/io.ts";
import { storageAt, storeFolder } from "../machine/openstore.ts";
import { loadSettings } from "../machine/settings.ts";
import { defineCommand, type Register } from "./command.ts";
import { FLAGS, type FlagValues } from "./flags.ts";

const TAKES = ["user", "executable", "remoteImport", "cache", "cacheSize", "redirect"] as const;
type UnitFlags = FlagValues<typeof TAKES>;

export const UNIT_NAMES = ["chp.service", "chp-verify.service", "chp-verify.timer"] as const;
export type UnitName = (typeof UNIT_NAMES)[number];

const pathOf = (name: UnitName) => `/etc/systemd/system/${name}`;

export const unitCommand: Register = (program, io) => {
  defineCommand(program, "unit", "Print a systemd unit for chp serve, and the commands that install it", "0 done, 1 failed, 2 usage", TAKES)
    .addArgument(
      new Argument("[name]", "which unit: the server, or what verifies the store each week").choices(UNIT_NAMES).default("chp.service"),
    )
    .addHelpText("after", EXAMPLES)
    .action((name: UnitName, options: UnitFlags) => runUnit(name, options, io));
};

const EXAMPLES = `
The commands that install it are comments at its head. Settings of the store hold for the service too; those of the environment become flags.

Examples:
  chp unit --store /var/lib/chp
  chp unit --store /var/lib/chp --remote-import
  chp unit --store s3://charms/site --cache /var/cache/chp
  chp unit --store /var/lib/chp | sudo tee ${pathOf("chp.service")}
  chp unit --store /var/lib/chp chp-verify.timer`;

export async function runUnit(name: UnitName, options: UnitFlags, io: Io): Promise<void> {
  if (!/^[a-z_][a-z0-9_-]{0,31}$/.test(options.user))
    throw new Failure("usage", `--user: ${printable(options.user, 50)} is not a user's name`);
  const place = storeFolder(options, io);
  checkBucketOptions(place, options);
  const bucket = isBucket(place) ? bucketSetup(options, io) : undefined;
  const folder = bucket ? place : resolve(place);
  const settings = await loadSettings(await Store.openOrAwait(storageAt(folder, io)), { environment: io.environment });
  const unit: Unit = {
    name,
    user: options.user,
    store: folder,
    exists: bucket !== undefined || existsSync(folder),
    ...(bucket && { bucket }),
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
      { name, path: pathOf(name), unit: renderUnit(unit), commands: installCommands(unit), addresses: unit.addresses, notes },
      io,
    );
  io.out(renderUnit(unit));
  for (const text of notes) note(text, options, io);
}

/** What a service of a bucket gets besides its settings: no key is in the unit. */
interface BucketSetup {
  /** where the bucket is, by the names of its environment: nothing of it is secret */
  readonly where: readonly string[];
  /** a file with the authority of its certificate */
  readonly authority: string | undefined;
  /** a folder of this machine */
  readonly cache: string | undefined;
  /** of `chp serve` */
  readonly flags: readonly string[];
}

const FOLDER = "/etc/chp";
const ENVIRONMENT = `${FOLDER}/bucket.env`;
const KEY = `${FOLDER}/store.key`;
const WAIT = "--wait-for-store";
/** Names whose values may be shown. */
const PUBLIC_NAMES = ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_CA_BUNDLE"];

function bucketSetup({ cache: folder, cacheSize, redirect }: UnitFlags, { environment }: Io): BucketSetup {
  const cache = folder === undefined ? undefined : resolve(folder);
  const sized = cacheSize === FLAGS.cacheSize.default ? [] : ["--cache-size", String(cacheSize)];
  return {
    where: PUBLIC_NAMES.flatMap((name) => (environment[name] ? [`${name}=${environment[name]}`] : [])),
    authority: environment["AWS_CA_BUNDLE"] || undefined,
    cache,
    flags: [WAIT, ...(cache === undefined ? [] : ["--cache", cache, ...sized]), ...(redirect ? ["--redirect"] : [])],
  };
}

interface Unit {
  readonly name: UnitName;
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
  const own = bucket ? [bucket.cache, bucket.authority].filter((path) => path !== undefined) : [store];
  return [...own, ...executable, ...files];
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

/** A unit as the package for Debian installs it: its commands are those of the package. */
export function packagedUnit(name: UnitName): string {
  const unit: Unit = {
    name,
    user: "chp",
    store: "/var/lib/chp",
    exists: true,
    writes: false,
    executable: ["/usr/bin/chp"],
    flags: [],
    addresses: [],
    files: [],
  };
  const head = [
    `${name}: of the package chp. systemctl edit ${name} changes it.`,
    ...(name === "chp.service"
      ? [
          "Imports of other machines and pushed images need a unit that lets it write into the store:",
          `chp unit --store ${unit.store} --remote-import | sudo tee ${pathOf(name)}`,
        ]
      : []),
  ];
  return commented(head) + BODIES[name](unit);
}

function renderUnit(unit: Unit): string {
  const { name, addresses } = unit;
  const what =
    name === "chp.service" ? `answers on ${addresses.map((address) => printable(address)).join(", ")}` : "verifies the store each week";
  return (
    commented([`${name}: ${what}. To install it, as printed by chp unit:`, "", ...installCommands(unit).map((line) => `  ${line}`)]) +
    BODIES[name](unit)
  );
}

const commented = (lines: readonly string[]) => `${lines.map((line) => `# ${line}`.trimEnd()).join("\n")}\n\n`;

/** Lines, of which those that are undefined are left out. */
const linesOf = (...lines: readonly (string | undefined)[]) => lines.filter((line) => line !== undefined).join("\n");

const BODIES: Readonly<Record<UnitName, (unit: Unit) => string>> = {
  "chp.service": (unit) => `[Unit]
${linesOf(
  "Description=chp, an offline Charmhub and Snap Store",
  "Wants=network-online.target",
  "After=network-online.target",
  mountsOf(unit),
)}

[Service]
# chp says that it is ready by systemd-notify, a process of its own.
Type=notify
NotifyAccess=all
${linesOf(runs(unit, ["serve", "--store", unit.store, ...(unit.bucket?.flags ?? []), ...unit.flags]), credentialsOf(unit))}
Restart=on-failure
RestartSec=2
# Do not restart on configuration errors or an unsupported store format.
RestartPreventExitStatus=2 11
KillSignal=SIGTERM
# Downloads that are under way may end.
TimeoutStopSec=5min
LimitNOFILE=65536
# More than it needs: what goes wrong here stays here.
MemoryMax=${unit.writes ? "4G" : "1G"}
TasksMax=${unit.writes ? 512 : 256}
UMask=0077

${accessOf(unit)}
# Ports below 1024, such as 443, and no other privilege.
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
${confinement(unit)}
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX

[Install]
WantedBy=multi-user.target
`,
  "chp-verify.service": (unit) => `[Unit]
${linesOf(
  "Description=Verify the store of chp",
  ...(unit.bucket
    ? ["# One machine verifies for all: the others need no timer.", "Wants=network-online.target", "After=network-online.target"]
    : [mountsOf(unit), "# Not before the first import.", `ConditionPathExists=${unit.store.replaceAll("%", "%%")}/format.json`]),
)}

[Service]
# Exit code 13, damage, makes it fail: systemctl --failed lists it, and the metrics show it.
Type=oneshot
${linesOf(runs(unit, ["verify", "--read-data", "--quiet", "--store", unit.store]), credentialsOf(unit))}
# It reads every byte of the store, when nobody else reads.
Nice=19
IOSchedulingClass=idle
MemoryMax=1G
UMask=0077

${linesOf(
  "# Damaged files go to the quarantine, and the result is noted, in the store.",
  unit.bucket ? undefined : `ReadWritePaths=${pathWord(unit.store)}`,
  "CapabilityBoundingSet=",
  confinement(unit),
  ...(unit.bucket ? ["RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX"] : ["PrivateNetwork=yes", "RestrictAddressFamilies=AF_UNIX"]),
)}
`,
  "chp-verify.timer": () => `[Unit]
Description=Verify the store of chp each week

[Timer]
OnCalendar=Sun 02:00
RandomizedDelaySec=2h
# After the next start, where the machine was off then.
Persistent=yes

[Install]
WantedBy=timers.target
`,
};

function runs({ user, executable }: Unit, words: readonly string[]): string {
  return `User=${user}\nGroup=${user}\nExecStart=${[...executable, ...words].map(commandWord).join(" ")}`;
}

/** Undefined: a bucket is not mounted. */
function mountsOf({ store, bucket }: Unit): string | undefined {
  return bucket ? undefined : `RequiresMountsFor=${pathWord(store)}`;
}

/** Undefined: a folder needs none. */
function credentialsOf({ bucket }: Unit): string | undefined {
  if (!bucket) return undefined;
  return `# AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, ${PUBLIC_NAMES.join(", ")}: one NAME=VALUE a line.
EnvironmentFile=${ENVIRONMENT}
# Unseals what is secret in the bucket.
LoadCredential=store-key:${KEY}`;
}

function confinement(unit: Unit): string {
  return `NoNewPrivileges=yes
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
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
# As from an older kernel, for which the engine has other ways.
SystemCallErrorNumber=ENOSYS
# Not MemoryDenyWriteExecute: the engine compiles while it runs.`;
}

function accessOf({ store, bucket, writes }: Unit): string {
  const folder = bucket ? bucket.cache : store;
  const what = bucket
    ? "Of this machine it writes its cache alone, and what is on its way to or from the bucket, in a /tmp of its own."
    : writes
      ? "Imports of other machines are processes of their own, which may end when it is stopped. Pushed images it writes itself."
      : "Serving writes nothing: the store is read-only for it.";
  return linesOf(
    `# ${what}`,
    folder !== undefined && (bucket || writes) ? `ReadWritePaths=${pathWord(folder)}` : undefined,
    writes ? "KillMode=mixed" : undefined,
  );
}

function installCommands(unit: Unit): string[] {
  const { name, user, store, bucket, exists, writes, executable } = unit;
  const folder = shellWord(store);
  const own = [...executable, "unit", "--store", store, ...(user === "chp" ? [] : ["--user", user])];
  const put = (each: UnitName, more: readonly string[]) =>
    `${[...own, ...more].map(shellWord).join(" ")} | sudo tee ${pathOf(each)} >/dev/null`;
  if (name !== "chp.service")
    return [
      ...(["chp-verify.service", "chp-verify.timer"] as const).map((each) => put(each, [each])),
      "sudo systemctl daemon-reload",
      "sudo systemctl enable --now chp-verify.timer",
      "systemctl list-timers chp-verify.timer",
    ];
  const home = bucket ? FOLDER : folder;
  const names = [...(bucket?.where ?? []), "AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY="];
  const before = bucket
    ? [
        `sudo install -d -m 0700 ${FOLDER}`,
        `sudo install -m 0600 store.key ${KEY} # the same on every machine; chp keygen store.key makes it`,
        `printf '%s\\n' ${names.map(shellWord).join(" ")} | sudo install -m 0600 /dev/stdin ${ENVIRONMENT}`,
        `sudoedit ${ENVIRONMENT} # the two keys of the bucket`,
        ...(bucket.cache === undefined ? [] : [`sudo install -d -o ${user} -g ${user} ${shellWord(bucket.cache)}`]),
      ]
    : [exists ? `sudo chown -R ${user}:${user} ${folder}` : `sudo install -d -o ${user} -g ${user} ${folder}`];
  return [
    `sudo useradd --system --user-group --no-create-home --home-dir ${home} --shell /usr/sbin/nologin ${user}`,
    ...before,
    put(name, [...(writes ? ["--remote-import"] : []), ...(bucket?.flags ?? []).filter((word) => word !== WAIT)]),
    "sudo systemctl daemon-reload",
    `sudo systemctl enable --now ${name}`,
    `systemctl status ${name}`,
    `journalctl -u ${name}`,
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
