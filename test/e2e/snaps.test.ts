/** Snaps through the executable: what an operator types and reads, and what a device gets. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { exportOfSnaps, SIGNED_ROOT, signed } from "../signedsnaps.ts";
import { ASSERTIONS, HELLO, IMAGES, ROOT, SNAP_WORLD, STORE_STREAM } from "../snapworld.ts";
import { storedSettings } from "../storedsettings.ts";
import { chp, here, type Served, serve, tempFolder } from "./chp.ts";

const folder = tempFolder();
const at = (name: string) => join(folder.path, name);
const STORE = at("store");
let served: Served;

const run = (...args: string[]) => here(args, { cwd: folder.path });

beforeAll(async () => {
  writeFileSync(at("root.assert"), ROOT);
  writeFileSync(at("world.tar.gz"), SNAP_WORLD);
  writeFileSync(at("hello_5.snap"), IMAGES["hello_5.snap"] ?? "");
  writeFileSync(at("hello_5.assert"), [ASSERTIONS.storeKey, ASSERTIONS.account, ASSERTIONS.declaration8, ASSERTIONS.revision5].join("\n"));
  served = await serve(STORE);
});

afterAll(async () => {
  expect(await served.stop()).toBe(0);
  folder[Symbol.dispose]();
});

test("a pair that is signed below a root that nobody named is refused, and says what to do", async () => {
  const done = await run("import", "--store", "store", "hello_5.snap");
  expect(done.code).toBe(3);
  expect(done.err).toContain("hello_5.assert: the assertion account-key/");
  expect(done.err).toContain("--trust FILE");
  expect((await run("list", "--store", "store", "--json")).out).toBe("[]\n");
});

test("with its root named it is imported, its assertions with it, and the config keeps the root", async () => {
  const done = await chp(["import", "--store", "store", "--trust", "root.assert", "hello_5.snap"], { cwd: folder.path });
  expect(done.code).toBe(0);
  expect(done.out).toContain("hello: snap, new\n  revisions  5 new\n  latest/stable amd64: opened at 5\n");
  expect(done.out).toContain("assertions: 4 new, 0 already present");
  expect((await run("config", "--store", "store", "trusted-roots")).out).toMatch(/^account\/testroot account-key\/\S+\n$/);
  const again = await run("import", "--store", "store", "hello_5.snap");
  expect([again.code, again.out]).toEqual([0, expect.stringContaining("nothing changed: everything was already present")]);
  expect(statSync(storedSettings(STORE).secrets["session"]?.file ?? "").mode & 0o777).toBe(0o600);
});

test("what a running server holds grows with the import, byte for byte", async () => {
  expect((await run("import", "--store", "store", "world.tar.gz")).code).toBe(0);
  const blob = await fetch(`${served.url}/api/v1/snaps/download/${HELLO}_5.snap`);
  expect(Buffer.compare(await blob.bytes(), IMAGES["hello_5.snap"] ?? new Uint8Array())).toBe(0);
  const assertion = await fetch(`${served.url}/v2/assertions/account/${encodeURIComponent("aCmEaCmEaCmEaCmEaCmEaCmEaCmEaCmE")}`);
  expect(await assertion.text()).toBe(ASSERTIONS.account);
  expect(await (await fetch(`${served.url}/v2/auth/store/assertions`)).text()).toBe(STORE_STREAM.join("\n"));
});

test("list, show, log and list-pushed-snaps tell of snaps", async () => {
  const [list, pushed, show, log] = await Promise.all([
    run("list", "--store", "store"),
    run("list-pushed-snaps", "--store", "store"),
    run("show", "--store", "store", "hello"),
    run("log", "--store", "store"),
  ]);
  expect(list.out).toMatch(/^hello\tsnap\tlatest\tlatest\/stable latest\/edge /m);
  expect(pushed.out).toBe(list.out);
  expect(show.out).toContain("publisher: Acme (acme, verified)");
  expect(show.out).toMatch(/^ {2}latest\/stable {2}arm64 {2}revision 8 /m);
  expect(show.out).toMatch(/^ {2}extra {2}revision 7 {2}standard/m);
  expect(show.out).toMatch(/^ {2}snap-declaration {2}16\/\S+ {2}revision 9 format 6$/m);
  expect(log.out).toMatch(/new assertions?\n/);
});

test("missing tells which snaps are needed, and prints the yaml for the connected side", async () => {
  const machine = tempFolder();
  try {
    writeFileSync(join(machine.path, "a.tar.gz"), readFileSync(at("hello_5.snap")));
    writeFileSync(join(machine.path, "b.assert"), readFileSync(at("hello_5.assert")));
    const done = await here(["import", "--store", "store", "--trust", at("root.assert"), "a.tar.gz", "b.assert"], { cwd: machine.path });
    expect(done.out).toContain("snap core22 amd64, needed by base of hello");
    const { out } = await here(["missing", "--yaml", "--store", "store"], { cwd: machine.path });
    expect(Bun.YAML.parse(out)).toEqual({
      packages: [
        { name: "core22", push_channel: "latest/stable" },
        { name: "snapd", push_channel: "latest/stable" },
      ],
    });
    // The world has hello for arm64 as well, and what it runs on for amd64 alone.
    const missing = JSON.parse((await run("missing", "--store", "store", "--json")).out);
    expect(missing).toMatchObject([
      { name: "core22", architecture: "arm64", sure: "certain", by: ["base of hello"] },
      { name: "snapd", architecture: "arm64", sure: "certain" },
    ]);
  } finally {
    machine[Symbol.dispose]();
  }
});

test("snapd-config prints the route that this store can offer, and why", async () => {
  const without = await run("snapd-config", "--store", "store", "--public-url", "http://hub.lan:8080");
  expect(without.out).toContain(
    "# Method: snapd environment variables, because the stored store assertion acmestore is for http://127.0.0.1:8080",
  );
  expect(without.out).toContain("Environment=SNAPPY_FORCE_API_URL=http://hub.lan:8080/\n");
  const proper = await run("snapd-config", "--store", "store", "--public-url", "http://127.0.0.1:8080");
  expect(proper.out).toContain(
    "curl -sL http://127.0.0.1:8080/v2/auth/store/assertions | sudo snap ack /dev/stdin\nsudo snap set core proxy.store=acmestore\n",
  );
  const cloud = await run("snapd-config", "--store", "store", "--public-url", "http://hub.lan:8080", "--cloud-init");
  expect(Bun.YAML.parse(cloud.out)).toMatchObject({ write_files: [{ path: "/etc/systemd/system/snapd.service.d/chp.conf" }] });
  const juju = Bun.YAML.parse((await run("snapd-config", "--store", "store", "--juju")).out) as { "cloudinit-userdata": string };
  expect(Bun.YAML.parse(juju["cloudinit-userdata"])).toMatchObject({ preruncmd: expect.any(Array) });
});

test("status tells what machines asked for in vain", async () => {
  const actions = [{ action: "install", "instance-key": "install-1", name: "nope" }];
  await fetch(`${served.url}/v2/snaps/refresh`, { method: "POST", body: JSON.stringify({ actions }) });
  const { out } = await run("status", "--store", "store", "--server", served.url);
  expect(out).toMatch(/^not found: snap nope \(1 request, last /m);
  const silent = await run("status", "--store", "store", "--server", "http://127.0.0.1:1", "--json");
  expect([silent.code, silent.out]).toEqual([1, expect.stringContaining('"failedRequests": null')]);
});

test("--allow-unverified marks what it takes in, everywhere", async () => {
  const done = await run("import", "--store", "doubtful", "--allow-unverified", "hello_5.snap");
  expect(done.out).toContain("UNVERIFIED revision 5: ");
  expect((await run("list", "--store", "doubtful")).out).toMatch(/\t5!\t/);
  expect((await run("show", "--store", "doubtful", "hello")).out).toMatch(/UNVERIFIED/);
  expect((await run("status", "--store", "doubtful", "--server", served.url)).out).toContain("UNVERIFIED: snap hello revision 5");
});

test("the documented commands: a snap goes to its channel also where it is stored, unless told otherwise", async () => {
  const heads = async () => {
    const { out } = await run("show", "--store", "pushed", "hello", "--json");
    return (JSON.parse(out).releases as { channel: string; architecture: string; revision: number }[])
      .filter(({ architecture }) => architecture === "amd64")
      .map(({ channel, revision }) => `${channel} ${revision}`);
  };
  const push = (...args: string[]) => run("push-snap", "--store", "pushed", ...args);
  const pushed = (revision: number, channel: string) => {
    mkdirSync(at("push"), { recursive: true });
    writeFileSync(at("push/hello.snap"), IMAGES[`hello_${revision}.snap`] ?? "");
    writeFileSync(at("push/snaps.yaml"), `packages:\n  - {name: hello, revision: ${revision}, push_channel: ${channel}}\n`);
    return "push";
  };
  expect((await run("push-account-keys", "--store", "pushed", "--trust", "root.assert", "hello_5.assert")).code).toBe(0);
  expect((await push("hello_5.snap")).out).toContain("opened at 5");
  const kept = await push("--keep-channels", "world.tar.gz");
  expect([kept.code, kept.out]).toEqual([0, expect.stringContaining("channels of stored packages were kept")]);
  expect(await heads()).toEqual(["latest/stable 5"]);
  const dry = await push("--dry-run", pushed(6, "latest/stable"));
  expect([dry.code, dry.out]).toEqual([0, expect.stringMatching(/latest\/stable amd64: 5 → 6\n[^]*dry run: 1 package would change/)]);
  expect(await heads()).toEqual(["latest/stable 5"]);
  const done = await push(pushed(6, "latest/stable"));
  expect([done.code, done.out]).toEqual([0, expect.stringContaining("latest/stable amd64: 5 → 6\n")]);
  expect(done.out).not.toContain("kept");
  expect(await heads()).toEqual(["latest/stable 6"]);
  // Back to the older revision, as a charm that installs it by its number needs it.
  expect((await push(pushed(5, "latest/stable"))).out).toContain("latest/stable amd64: 6 → 5\n");
  const opened = await push(pushed(6, "chp_14/edge"));
  expect(opened.out).toContain("  chp_14/edge amd64: opened at 6\n  note: its track chp_14 is new\n");
  expect(await heads()).toEqual(["latest/stable 5", "chp_14/edge 6"]);
  const undo = /^undo: chp (rollback .*)$/m.exec(opened.out)?.[1] ?? "";
  expect((await run(...undo.replaceAll("'", "").split(" "))).code).toBe(0);
  expect(await heads()).toEqual(["latest/stable 5"]);
  const both = await push("--keep-channels", "--push-channel-map", "world.tar.gz");
  expect([both.code, both.err]).toEqual([2, expect.stringContaining("contradict each other")]);
  const hold = ["hello", "6", "latest/stable", "--reason", "held"];
  expect((await run("override", "--store", "pushed", ...hold)).code).toBe(0);
  expect((await push(pushed(7, "latest/stable"))).out).toMatch(/latest\/stable amd64: 5 → 7; .*6.*held/);
  const store = await run(
    "push-store",
    "--store",
    "pushed",
    "--revision-authority-key-id",
    "x",
    "--revision-authority-key",
    "y",
    "world.tar.gz",
  );
  expect(store.code).toBe(0);
});

test("what is released last wins on every architecture that it is for, wherever it is told", async () => {
  using own = tempFolder();
  const store = join(own.path, "store");
  const chpOn = (...args: string[]) => here([...args, "--store", store], { cwd: own.path });
  writeFileSync(join(own.path, "root.assert"), SIGNED_ROOT);
  const importOf = async (revision: number, architecture: string) => {
    const spec = { name: "one", revisions: { [revision]: [architecture] }, channels: { "latest/stable": { [architecture]: revision } } };
    writeFileSync(join(own.path, "one.tar.gz"), exportOfSnaps([signed(spec)]));
    const { code, out } = await chpOn("import", "--trust", "root.assert", "one.tar.gz");
    expect(code).toBe(0);
    return out.split("\n").filter((line) => line.includes("latest/stable"));
  };
  const hub = await serve(store);
  const machines = ["amd64", "arm64", "riscv64"];
  /** by refresh and by info */
  const offered = async () => {
    const all: (readonly [number | null, number | null])[] = [];
    for (const architecture of machines) {
      const headers = { "Snap-Device-Architecture": architecture, "Snap-Device-Series": "16" };
      const body = JSON.stringify({ context: [], actions: [{ action: "install", "instance-key": "k", name: "one" }] });
      const refreshed = await (await fetch(`${hub.url}/v2/snaps/refresh`, { method: "POST", headers, body })).json();
      const info = await (await fetch(`${hub.url}/v2/snaps/info/one?architecture=${architecture}&fields=revision`, { headers })).json();
      const [byRefresh, byInfo] = [refreshed, info] as [Refreshed, Info];
      all.push([byRefresh.results[0]?.snap?.revision ?? null, byInfo["channel-map"]?.[0]?.revision ?? null]);
    }
    return all;
  };
  const shown = async () => (await chpOn("show", "one")).out.match(/latest\/stable {2}\S+ {2}revision \d+/g);

  expect(await importOf(5, "amd64")).toEqual(["  latest/stable amd64: opened at 5"]);
  expect(await importOf(10, "all")).toEqual(["  latest/stable all: opened at 10", "  latest/stable amd64: replaced by all, was 5"]);
  expect(await offered()).toEqual(machines.map(() => [10, 10]));
  expect(await shown()).toEqual(["latest/stable  all  revision 10"]);
  expect(JSON.parse((await chpOn("diff", "1", "2", "--json")).out).packages).toMatchObject([
    {
      channels: [
        { channel: "latest/stable all", from: null, to: 10 },
        { channel: "latest/stable amd64", from: 5, to: null },
      ],
    },
  ]);
  expect(await importOf(11, "arm64")).toEqual(["  latest/stable arm64: opened at 11"]);
  expect(await offered()).toEqual([10, 11, 10].map((one) => [one, one]));
  expect(await shown()).toEqual(["latest/stable  all  revision 10", "latest/stable  arm64  revision 11"]);
  expect((await chpOn("close", "one", "stable", "--arch", "arm64")).out).toContain("one latest/stable arm64: closed, was 11\n");
  expect(await offered()).toEqual(machines.map(() => [10, 10]));
  expect((await chpOn("rollback", "1")).out).toContain("one latest/stable amd64: opened at 5\none latest/stable all: closed, was 10\n");
  expect(await offered()).toEqual([5, null, null].map((one) => [one, one]));
  // A release says the same as the import did.
  expect((await chpOn("release", "one", "10", "stable")).out).toContain(
    "one latest/stable all: opened at 10\none latest/stable amd64: closed, was 5\n",
  );
  expect(await offered()).toEqual(machines.map(() => [10, 10]));
  expect(await hub.stop()).toBe(0);
});

interface Refreshed {
  readonly results: readonly { readonly snap?: { readonly revision?: number } }[];
}

interface Info {
  readonly "channel-map"?: readonly { readonly revision?: number }[];
}
