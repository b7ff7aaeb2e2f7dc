/** A real snapd, told by a store assertion to use the store: finds, installs and refreshes. */

import { chmodSync, cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Done, tempFolder } from "../e2e/chp.ts";
import type { Check } from "./cli.ts";

/** What snapd calls and a container may lack or forbid. There is no systemd, and what is to be mounted is unpacked. */
const COMMANDS: Readonly<Record<string, string>> = {
  systemctl: `for word in "$@"; do
  case $word in
    --version) echo "systemd 252" ;;
    start | stop | restart) action=$word ;;
    *.mount)
      unit=$SNAPPY_GLOBAL_ROOT/etc/systemd/system/$word
      what=$SNAPPY_GLOBAL_ROOT$(sed -n "s/^What=//p" "$unit") where=$SNAPPY_GLOBAL_ROOT$(sed -n "s/^Where=//p" "$unit")
      case \${action-} in
        start | restart) unsquashfs -q -n -f -d "$where" "$what" >/dev/null ;;
        stop) find "$where" -mindepth 1 -delete ;;
      esac
      ;;
  esac
done`,
  // Of an image that snapd tries itself with.
  mount: 'for word in "$@"; do what=$where where=$word; done; unsquashfs -q -n -f -d "$where" "$what"',
  umount: ":",
  udevadm: ":",
  "systemd-detect-virt": "false",
  "snap-seccomp": `case $1 in
  version-info) echo "${"0".repeat(40)} 2.5.4 ${"0".repeat(64)} -" ;;
  compile) : >"$3" ;;
esac`,
};

/** Nothing listens there: whatever does not go to the store of the assertion fails at once. */
const NOWHERE = "http://127.0.0.1:9";

/** milliseconds; a snapd that is gone is waited for by the snap command for long */
const TIMEOUT = 60_000;

export interface Executables {
  readonly version: string;
  readonly snap: string;
  readonly snapd: string;
}

/** A command line, and what it must print; an error where `fails`. */
interface Step {
  readonly line: string;
  readonly says: readonly (string | RegExp)[];
  readonly fails?: true;
}

const STEPS: readonly Step[] = [
  { line: "set system proxy.store=acme-store", says: [] },
  { line: "debug connectivity", says: ["PASS"] },
  { line: "find hello", says: [/^hello +1\.5 +acme\*\* +- +Greets people$/m] },
  { line: "find nothing-like-it", says: ["No matching snaps"] },
  { line: "find --section=games", says: [/^all1 +1\.3/m] },
  { line: "find", says: [/^editor +1\.1 +acme\*\* +classic/m] },
  {
    line: "info hello",
    says: [
      /^publisher: +Acme Inc\. \(acme\*\*\)$/m,
      /^ +latest\/stable: +1\.5 .*\(5\)/m,
      /^ +latest\/candidate: +\^ *$/m,
      /^ +latest\/edge: +1\.6 .*\(6\)/m,
      /^ +2\.0\/stable: +1\.7 .*\(7\)/m,
      /^ +3\.0\/edge: +1\.11 .*\(11\)/m,
    ],
  },
  { line: "info tracked", says: [/channels:\n +3\/stable: +1\.2 /] },
  { line: "info no-such-snap", says: ['no snap found for "no-such-snap"'], fails: true },
  { line: "create-cohort hello", says: ["cohort-key: "] },
  { line: "known --remote model series=16 brand-id=acme-inc model=box", says: ["store: acme-store"] },
  { line: "install hello", says: ["hello 1.5 from Acme Inc. (acme**) installed"] },
  { line: "list", says: [/^hello +1\.5 +5 +latest\/stable +acme\*\* +-$/m, /^core22 +1\.1 +1 /m, /^snapd +1\.1 +1 /m] },
  { line: "refresh", says: ["All snaps up to date."] },
  { line: "refresh --list", says: ["All snaps up to date."] },
  { line: "refresh hello --edge", says: ["hello (edge) 1.6 from Acme Inc. (acme**) refreshed"] },
  { line: "refresh hello --channel=9.9/stable", says: ["9.9/stable"], fails: true },
  {
    line: "refresh hello --channel=edge/gone",
    says: ['requested a non-existing branch on latest/edge for snap "hello": gone'],
    fails: true,
  },
  { line: "refresh hello --revision=4", says: ["hello 1.4 from Acme Inc. (acme**) refreshed"] },
  { line: "refresh hello --stable", says: ["hello 1.5 from Acme Inc. (acme**) refreshed"] },
  { line: "install tracked", says: ["tracked (3/stable) 1.2 from Acme Inc. (acme**) installed"] },
  { line: "install all1 --edge", says: ["Channel latest/edge for all1 is closed; temporarily forwarding to latest/beta."] },
  { line: "install editor", says: ["classic confinement"], fails: true },
  { line: "install editor --classic", says: ["editor 1.1 from Acme Inc. (acme**) installed"] },
  { line: "install acme-own", says: ["acme-own 1.1 from Acme Inc. (acme**) installed"] },
  { line: "install no-such-snap", says: ['snap "no-such-snap" not found'], fails: true },
  { line: "install branded", says: ['snap "branded" not found'], fails: true },
  { line: "install hello_two", says: ["parallel"], fails: true },
  { line: "set system experimental.parallel-instances=true", says: [] },
  { line: "install hello_two --channel=2.0 --unaliased", says: ["hello_two (2.0/stable) 1.7"] },
  { line: "refresh --list", says: ["All snaps up to date."] },
  { line: "validate --monitor acme-inc/fleet=1", says: [] },
  { line: "validate", says: [/^acme-inc\/fleet=1 +monitor +1 +invalid/m] },
];

/** What changes in the store while snapd and the store run, by its name, and what snapd then does. */
const LATER = {
  "import more": [
    { line: "refresh --list", says: [/^hello +1\.12 +12 /m] },
    { line: "refresh", says: ["hello 1.12 from Acme Inc. (acme**) refreshed"] },
    { line: "refresh", says: ["All snaps up to date."] },
    { line: "revert hello", says: ["hello reverted to 1.5"] },
    { line: "refresh", says: ["All snaps up to date."] },
  ],
  "release hello 6 in latest/stable": [{ line: "refresh", says: ["hello 1.6 from Acme Inc. (acme**) refreshed"] }],
  "push-snap hello 5 with push_channel latest/stable": [
    { line: "info hello", says: [/^ +latest\/stable: +1\.5 .*\(5\)/m] },
    { line: "refresh --list", says: [/^hello +1\.5 +5 /m] },
    { line: "refresh", says: ["hello 1.5 from Acme Inc. (acme**) refreshed"] },
    { line: "list", says: [/^hello +1\.5 +5 +latest\/stable /m] },
  ],
  "push-snap hello 5 with push_channel chp_14/edge, a track that is new": [
    { line: "install hello_three --channel=chp_14/edge --unaliased", says: ["hello_three (chp_14/edge) 1.5"] },
    { line: "refresh", says: ["All snaps up to date."] },
  ],
} as const satisfies Readonly<Record<string, readonly Step[]>>;

export type Changes = Readonly<Record<keyof typeof LATER, () => Promise<void>>>;

/** Runs snapd below a folder of its own. */
export async function snapDaemon({ version, snap, snapd }: Executables, url: string, given: Check, changes: Changes): Promise<void> {
  const check: Check = (what, body) => given(`${version}: ${what}`, body);
  using temporary = tempFolder();
  const root = join(temporary.path, "root");
  const bin = join(temporary.path, "bin");
  for (const folder of ["var/lib/snapd/snaps", "run", "snap", "etc/systemd/system", "usr/lib/snapd"])
    mkdirSync(join(root, folder), { recursive: true });
  mkdirSync(bin);
  cpSync(snapd, join(bin, "snapd"));
  // From 2.58 or so on snapd takes its own tools from below its root alone.
  for (const [name, text] of Object.entries(COMMANDS))
    for (const folder of name.startsWith("snap-") ? [bin, join(root, "usr/lib/snapd")] : [bin]) {
      writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`);
      chmodSync(join(folder, name), 0o755);
    }
  const { PATH = "" } = process.env;
  const env = {
    HOME: temporary.path,
    PATH: `${bin}:${PATH}:${join(root, "snap/bin")}`,
    SNAPPY_GLOBAL_ROOT: root,
    SNAPPY_TESTING: "1",
    SNAPPY_FORCE_API_URL: NOWHERE,
    HTTPS_PROXY: NOWHERE,
    SNAPD_STANDBY_WAIT: "1h",
  };
  // As systemd would: snapd ends well to be started anew when it has installed the snap of itself.
  const start = () => Bun.spawn([join(bin, "snapd")], { env, stdout: "ignore", stderr: "ignore" });
  let daemon = start();
  let stopped = false;
  const kept = (async () => {
    for (;;) {
      if ((await daemon.exited) !== 0 || stopped) return;
      daemon = start();
    }
  })();
  const run = async (...args: readonly string[]): Promise<Done> => {
    const child = Bun.spawn([snap, ...args], { cwd: temporary.path, env, stdout: "pipe", stderr: "pipe", timeout: TIMEOUT });
    const [out, err, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
    return { code, out, err };
  };
  const step = ({ line, says, fails }: Step): Promise<void> =>
    check(`snapd: snap ${line}`, async () => {
      const { code, out, err } = await run(...line.split(" "));
      const text = (out + err).replaceAll(/\s*\n {7}/g, " ");
      if ((code !== 0) !== (fails === true)) throw new Error(`exit ${code}: ${err.trim()}`);
      for (const one of says)
        if (!(typeof one === "string" ? text.includes(one) : one.test(text)))
          throw new Error(`${JSON.stringify(text)} does not say ${one}`);
    });
  try {
    let there = false;
    await check("snapd is there", async () => {
      const { code, err } = await run("wait", "system", "seed.loaded");
      there = code === 0;
      if (!there) throw new Error(err);
    });
    if (!there) return;
    await check("snapd: snap ack what the store says of itself", async () => {
      const file = join(temporary.path, "store.assert");
      writeFileSync(file, await (await fetch(`${url}/v2/auth/store/assertions`)).bytes());
      const { code, err } = await run("ack", file);
      if (code !== 0) throw new Error(err);
    });
    for (const one of STEPS) await step(one);
    for (const [what, steps] of Object.entries(LATER)) {
      await check(`${what}, while snapd runs`, changes[what as keyof typeof LATER]);
      for (const one of steps) await step(one);
    }
  } finally {
    stopped = true;
    daemon.kill("SIGTERM");
    await kept;
  }
}
