/** What an operator's machine gets: a systemd unit, completion, the pages inside the executable. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { symlinkSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { S3Engine } from "../s3engine.ts";
import { WORLD } from "../world.ts";
import { COMMAND, chp, tempFolder } from "./chp.ts";

const folder = tempFolder();
const at = (name: string) => join(folder.path, name);
const STORE = at("store");

/** Whether this machine has the tool; what needs it is skipped where it doesn't. */
function has(tool: string): boolean {
  return Bun.which(tool) !== null;
}

beforeAll(async () => {
  writeFileSync(at("world.tar.gz"), WORLD);
  symlinkSync(COMMAND.at(-1) ?? "", at("chp"));
  expect((await chp(["import", "--store", STORE, at("world.tar.gz")])).code).toBe(0);
  expect((await chp(["config", "--store", STORE, "listen=127.0.0.1:8081", "tls-listen=0.0.0.0:443"])).code).toBe(0);
});

afterAll(() => folder[Symbol.dispose]());

/* ---- chp unit ---- */

function unit(...args: string[]) {
  return chp(["unit", ...args]);
}

test("the unit is confined, says where it listens and how it is installed", async () => {
  const { code, out, err } = await unit("--store", "/var/lib/hub", "--executable", "/usr/local/bin/chp");
  expect([code, err]).toEqual([0, ""]);
  const lines = out.split("\n");
  for (const line of [
    "# chp.service: answers on 0.0.0.0:8080. To install it, as printed by chp unit:",
    "#   sudo install -d -o chp -g chp /var/lib/hub",
    "#   sudo systemctl enable --now chp.service",
    "Type=notify",
    "NotifyAccess=all",
    "User=chp",
    "ExecStart=/usr/local/bin/chp serve --store /var/lib/hub",
    "Restart=on-failure",
    "KillSignal=SIGTERM",
    "AmbientCapabilities=CAP_NET_BIND_SERVICE",
    "CapabilityBoundingSet=CAP_NET_BIND_SERVICE",
    "NoNewPrivileges=yes",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "MemoryMax=1G",
    "TasksMax=256",
  ])
    expect(lines).toContain(line);
  expect(out).not.toMatch(/^MemoryDenyWriteExecute/m);
  expect(out).not.toMatch(/^(ReadWritePaths|StateDirectory|KillMode)=/m);
});

test("the unit may write into the store only where imports of other machines are wanted", async () => {
  const { out } = await unit("--store", "/srv/with space", "--executable", "/usr/local/bin/chp", "--remote-import");
  const lines = out.split("\n");
  for (const line of ['ReadWritePaths="/srv/with space"', "KillMode=mixed", "ProtectSystem=strict"]) expect(lines).toContain(line);
  // The imports are processes of the same unit.
  for (const line of ["MemoryMax=4G", "TasksMax=512"]) expect(lines).toContain(line);
  expect(out).toContain("unit --store '/srv/with space' --remote-import | sudo tee ");
});

test("it tells the true store, addresses and executable, and warns of what a service does not see", async () => {
  const { out } = await unit("--store", STORE, "--json");
  const facts = JSON.parse(out);
  expect(facts.addresses).toEqual(["127.0.0.1:8081", "0.0.0.0:443"]);
  expect(facts.commands).toContain(`sudo chown -R chp:chp ${STORE}`);
  expect(facts.unit).toMatch(new RegExp(`^ExecStart=.*${COMMAND.at(-1)} serve --store ${STORE}$`, "m"));
  const hidden = [STORE, COMMAND.at(-1) ?? ""].filter((path) => path.startsWith("/tmp/"));
  expect(facts.unit.includes("PrivateTmp=no")).toBe(hidden.length > 0);
  for (const path of hidden) expect(facts.notes.join()).toContain(`${path} is on a path hidden from hardened services`);
  if (hidden.length === 0) expect(facts.notes).toEqual([]);
});

test("what only the environment says becomes a flag, or is told", async () => {
  const env = { CHP_LISTEN: "127.0.0.1:1,[::1]:2", CHP_PUBLIC_URL: "https://hub.lan/100%25", CHP_OCI_REGISTRY_PASSWORD: "secret-word" };
  const { out, err } = await chp(["unit", "--store", "/srv/with space", "--executable", "/opt/a$b/chp"], { env });
  expect(out).toContain(
    'ExecStart=/opt/a$$b/chp serve --store "/srv/with space" --listen 127.0.0.1:1 --listen [::1]:2 --public-url https://hub.lan/100%%25\n',
  );
  expect(out).toContain("#   sudo install -d -o chp -g chp '/srv/with space'\n");
  expect(err).toContain("the service does not see CHP_OCI_REGISTRY_PASSWORD");
  expect(out + err).not.toContain("secret-word");
});

test.each([
  [["--user", "root; rm"], "is not a user's name"],
  [["--executable", "/a\nExecStartPre=/bin/x"], "cannot be in a unit"],
])("unit %j is a usage error", async (args, says) => {
  const done = await unit("--store", "/var/lib/hub", ...args);
  expect([done.code, done.err]).toEqual([2, expect.stringContaining(says)]);
});

test("what verifies the store each week has its own units, which write into the store and see no network", async () => {
  const { out } = await unit("chp-verify.service", "--store", "/var/lib/hub", "--executable", "/usr/local/bin/chp");
  for (const line of [
    "Type=oneshot",
    "ExecStart=/usr/local/bin/chp verify --read-data --quiet --store /var/lib/hub",
    "ReadWritePaths=/var/lib/hub",
    "PrivateNetwork=yes",
    "ProtectSystem=strict",
    "#   sudo systemctl enable --now chp-verify.timer",
  ])
    expect(out.split("\n")).toContain(line);
  const timer = JSON.parse((await unit("chp-verify.timer", "--store", "/var/lib/hub", "--json")).out);
  expect(timer).toMatchObject({ name: "chp-verify.timer", path: "/etc/systemd/system/chp-verify.timer" });
  expect(timer.unit).toMatch(/^OnCalendar=/m);
  expect((await unit("chp.socket")).code).toBe(2);
});

const systemd = has("systemd-analyze") ? "" : " (systemd-analyze is not installed)";

test.skipIf(systemd !== "")(`systemd takes every unit${systemd}`, async () => {
  const executable = COMMAND.at(-1) ?? "";
  using engine = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: new S3Engine().fetch });
  const bucket = S3Engine.environment(`http://127.0.0.1:${engine.port}`);
  for (const [store, env] of [
    ["/var/lib/chp", {}],
    ["s3://bucket/site", { ...bucket, CHP_CACHE: "/var/cache/a %chp" }],
    ["s3://bucket/site", { ...bucket, CHP_REDIRECT: "1" }],
    [STORE, {}],
    ["/srv/with space", { CHP_PUBLIC_URL: "https://hub.lan/100%25", CHP_TLS_LISTEN: "0.0.0.0:443" }],
  ] as const) {
    for (const more of [[], ["--remote-import"]]) {
      const units = ["chp.service", "chp-verify.service", "chp-verify.timer"];
      for (const name of units) {
        const { out } = await chp(["unit", "--store", store, "--executable", executable, "--user", "root", name, ...more], { env });
        writeFileSync(at(name), out);
      }
      const verify = Bun.spawnSync(["systemd-analyze", "verify", ...units.map(at)]);
      const said = Buffer.concat([verify.stdout, verify.stderr])
        .toString()
        .split("\n")
        .filter((line) => /chp(-verify)?\.(service|timer)/.test(line));
      expect([verify.exitCode, said]).toEqual([0, []]);
    }
  }
});

/* ---- completion ---- */

const PATH = [folder.path, process.env["PATH"] ?? ""].join(delimiter);

/** What bash offers for the words, of which the last is being typed. */
function bash(...words: string[]): string[] {
  const script = `source <(chp completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _chp chp; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const done = Bun.spawnSync(["bash", "--norc", "-c", script, "bash", ...words], { env: { PATH, HOME: folder.path, CHP_STORE: STORE } });
  expect(done.stderr.toString()).toBe("");
  return done.stdout.toString().split("\n").filter(Boolean);
}

const OFFERED: readonly (readonly [words: readonly string[], offers: readonly string[]])[] = [
  [["li"], ["list", "list-pushed-snaps"]],
  [["__"], []],
  [["--v"], ["--version"]],
  [
    ["show", "acme"],
    ["acme-db", "acme-stack"],
  ],
  [["show", "--store", STORE, "ti"], ["tiny"]],
  [["show", "--store", "/nowhere", ""], []],
  [["import", "--dry"], ["--dry-run"]],
  [["import", "--dry-run", "--d"], []],
  [["import", "--trust", "a", "--tr"], ["--trust"]],
  [["import", "--channel", ""], []],
  [["config", "proxy.d"], ["proxy.domain"]],
  [["help", "ima"], ["images"]],
  [
    ["completion", ""],
    ["bash", "fish", "zsh"],
  ],
  [["nothing", ""], []],
];

test.each(OFFERED)("bash completes chp %j to %j", (words, offers) => {
  expect(bash("chp", ...words)).toEqual([...offers]);
});

test("bash knows what it was told, for every name", () => {
  const script = "source <(chp completion bash); complete -p chp snap-store-proxy enterprise-store snap-proxy store-admin";
  const done = Bun.spawnSync(["bash", "--norc", "-c", script], { env: { PATH } });
  expect(done.stdout.toString().split("\n").filter(Boolean)).toHaveLength(5);
});

for (const [shell, script] of [
  [
    "zsh",
    `autoload -U compinit; compinit -u -D; compadd() { shift; print -l -- \${(P)1} }; source <(chp completion zsh); words=(chp show acme); CURRENT=3; _chp`,
  ],
  ["fish", `chp completion fish | source; complete -C "chp show acme"`],
] as const) {
  const missing = has(shell) ? "" : ` (${shell} is not installed)`;
  test.skipIf(missing !== "")(`${shell} completes too${missing}`, () => {
    const done = Bun.spawnSync([shell, "-c", script], { cwd: folder.path, env: { PATH, HOME: folder.path, CHP_STORE: STORE } });
    expect(done.stdout.toString()).toBe("acme-db\nacme-stack\n");
  });
}

test("no other shell", async () => {
  const done = await chp(["completion", "tcsh"]);
  expect([done.code, done.err]).toEqual([2, expect.stringContaining("Allowed choices are bash, zsh, fish")]);
  expect(JSON.parse((await chp(["completion", "fish", "--json"])).out).shell).toBe("fish");
});
