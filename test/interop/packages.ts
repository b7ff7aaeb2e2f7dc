/**
 * What `make release` made, as it is used: the package for Debian in a root of its own, the image by podman and containerd, the signature, the bill
 * of materials. `make packages`, after `make release SIGN=.run/release.key`; ends with `N passed, N failed, N skipped`.
 */

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { debianPackage } from "../../bin/packaging/debian.ts";
import { bundledPackages } from "../../bin/packaging/inside.ts";
import manifest from "../../package.json" with { type: "json" };
import { WORLD } from "../world.ts";
import { check, equal, finish, skip } from "./checks.ts";

/** Outside of the sources, which others search meanwhile. */
const WORK = mkdtempSync(join(tmpdir(), "chp-packages-"));
const DIST = resolve("dist");
const KEY = resolve(".run/release.key.pub");
const { version } = manifest;
const TOOLS = ["debootstrap", "chroot", "dpkg", "systemd-analyze", "podman", "runc", "containerd", "ctr", "minisign", "man"];
/** Roots of Debian, kept across runs, since making them takes minutes: the least, and one that systemd runs. */
const CACHE = resolve(process.env["CHP_CLIENTS"] ?? ".run/clients", "..");
const ROOTS = { least: join(CACHE, "debian-root.tar"), systemd: join(CACHE, "debian-systemd-root.tar") };

interface Ran {
  readonly code: number;
  readonly text: string;
}

async function run(command: readonly string[], cwd?: string): Promise<Ran> {
  const child = Bun.spawn([...command], { stdin: "ignore", stdout: "pipe", stderr: "pipe", ...(cwd !== undefined && { cwd }) });
  const [out, err, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
  return { code, text: out + err };
}

async function done(...command: string[]): Promise<string> {
  const { code, text } = await run(command);
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${text.slice(-2000)}`);
  return text;
}

/** A free port, for a server in another root. */
function freePort(): number {
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
  const { port = 0 } = server;
  void server.stop(true);
  return port;
}

async function answers(url: string, ended: () => Promise<string | undefined>): Promise<{ generation: number; packages: number }> {
  for (let tries = 0; tries < 300; tries += 1) {
    const reply = await fetch(`${url}/_status/check`).catch(() => undefined);
    if (reply?.ok) return (await reply.json()) as { generation: number; packages: number };
    const why = await ended();
    if (why !== undefined) throw new Error(`it ended: ${why}`);
    await Bun.sleep(100);
  }
  throw new Error(`nothing answers at ${url}`);
}

/* ---- what is beside them ---- */

async function files(): Promise<void> {
  await check("SHA256SUMS lists every file, and each is as it says", async () => {
    equal((await run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], DIST)).text, "");
    const listed = readFileSync(join(DIST, "SHA256SUMS"), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => line.slice(66));
    const wanted = ["linux-x64", "linux-arm64", "darwin-arm64"].map((name) => `chp-${name}`);
    const versioned = ["image.tar", "licences.txt"].map((name) => `chp-${version}-${name}`);
    const debs = ["amd64", "arm64"].map((name) => `chp_${version}_${name}.deb`);
    equal(listed.toSorted(), [...wanted, ...versioned, `chp-${version}.cdx.json`, "chp.mjs", ...debs].toSorted());
  });
  await check("minisign takes the signature", () => done("minisign", "-V", "-p", KEY, "-m", join(DIST, "SHA256SUMS")));
  const bill = JSON.parse(readFileSync(join(DIST, `chp-${version}.cdx.json`), "utf8")) as {
    bomFormat: string;
    specVersion: string;
    serialNumber: string;
    metadata: { component: { name: string; version: string; type: string } };
    components: { name: string; version: string; "bom-ref": string; licenses?: unknown[] }[];
    dependencies: { ref: string; dependsOn?: string[] }[];
  };
  const bundled = bundledPackages(readFileSync(join(DIST, "chp.mjs"), "utf8"));
  await check("the bill of materials names every package of the bundle, Bun and the C library, and nothing twice", () => {
    const names = bill.components.map(({ name }) => name);
    equal([bill.bomFormat, bill.metadata.component.name, bill.metadata.component.version], ["CycloneDX", "chp", version]);
    equal(
      [...bundled, "bun", "libc6"].filter((name) => !names.includes(name)),
      [],
    );
    const refs = bill.components.map((component) => component["bom-ref"]);
    equal(refs.length, new Set(refs).size);
    const known = new Set([...refs, ...bill.dependencies.map(({ ref }) => ref)]);
    equal(
      bill.dependencies.flatMap(({ dependsOn = [] }) => dependsOn).filter((ref) => !known.has(ref)),
      [],
    );
    equal(/^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(bill.serialNumber), true);
    for (const name of Object.keys(manifest.dependencies)) equal(names.includes(name), true);
  });
  await check("the licences are those of every package of the bundle", () => {
    const text = readFileSync(join(DIST, `chp-${version}-licences.txt`), "utf8");
    const parts = new Set([...text.matchAll(/^={80}\n(\S+)/gm)].map(([, name]) => name));
    equal(
      [...bundled].filter((name) => !parts.has(name)),
      [],
    );
    equal(text.includes(manifest.devDependencies.bun), true); // the list of Bun's own libraries is that of this Bun
  });
}

/* ---- the package for Debian ---- */

const ROOT = join(WORK, "root");
const STORE = "/var/lib/chp";
/** A command in that root, with a /proc and a /dev, which are gone with it. */
function rooted(user: string, command: readonly string[]): string[] {
  const mounts = `mount -t proc proc ${ROOT}/proc && mount --rbind /dev ${ROOT}/dev && exec "$@"`;
  const clean = ["/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"];
  return ["unshare", "--mount", "sh", "-c", mounts, "sh", "chroot", `--userspec=${user}`, ROOT, ...clean, ...command];
}

const inRoot = (...command: string[]) => run(rooted("0:0", command));
const asChp = (...command: string[]) => run(rooted("chp:chp", command));
const at = (path: string) => join(ROOT, path);

async function doneIn(...command: string[]): Promise<string> {
  const { code, text } = await inRoot(...command);
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${text.slice(-2000)}`);
  return text;
}

/** Fills a folder with a root, which `make` makes there the first time. */
async function unpackRoot(archive: string, folder: string, make: () => Promise<unknown>): Promise<void> {
  mkdirSync(folder, { recursive: true });
  if (existsSync(archive)) return void (await done("tar", "-C", folder, "-xf", archive));
  await make();
  await done("tar", "-C", folder, "-cf", `${archive}.new`, ".");
  await done("mv", `${archive}.new`, archive);
}

const leastRoot = (folder: string) => unpackRoot(ROOTS.least, folder, () => done("debootstrap", "--variant=minbase", "stable", folder));

const systemdRoot = (folder: string) =>
  unpackRoot(ROOTS.systemd, folder, async () => {
    await leastRoot(folder);
    const install = "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends systemd dbus";
    await done("chroot", folder, "sh", "-c", install);
  });

async function makeRoot(): Promise<void> {
  await leastRoot(ROOT);
  // A stand-in of systemctl that notes what it is asked, as on a machine that systemd runs.
  mkdirSync(at("run/systemd/system"), { recursive: true });
  writeFileSync(at("usr/bin/systemctl"), '#!/bin/sh\necho "$@" >>/systemctl.log\n', { mode: 0o755 });
}

const asked = () => (existsSync(at("systemctl.log")) ? readFileSync(at("systemctl.log"), "utf8").trimEnd().split("\n") : []);

/** Digests of every file of the store, by name, with owner and mode. */
const storeState = () =>
  doneIn("sh", "-c", `cd ${STORE} && find . -type f -exec sha256sum {} + | sort -k2 && find . -printf '%p %U %m\\n' | sort`);

/** The server of the package, as its unit starts it. */
async function serving<T>(work: (url: string) => Promise<T>): Promise<T> {
  const unit = readFileSync(at("usr/lib/systemd/system/chp.service"), "utf8");
  const words = (/^ExecStart=(.*)$/m.exec(unit)?.[1] ?? "").split(" ");
  const port = freePort();
  const child = Bun.spawn(rooted("chp:chp", [...words, "--listen", `127.0.0.1:${port}`]), { stdout: "pipe", stderr: "pipe" });
  try {
    const url = `http://127.0.0.1:${port}`;
    await answers(url, async () => (child.exitCode === null ? undefined : new Response(child.stderr).text()));
    const owner = (await doneIn("id", "-u", "chp")).trim();
    equal(/^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1], owner);
    return await work(url);
  } finally {
    child.kill("SIGTERM");
    await child.exited;
  }
}

async function debian(): Promise<void> {
  await makeRoot();
  const deb = (name: string) => {
    writeFileSync(at("tmp/chp.deb"), readFileSync(name));
    return "/tmp/chp.deb";
  };
  const first = join(DIST, `chp_${version}_amd64.deb`);
  await check("dpkg reads the packages of both architectures", async () => {
    for (const architecture of ["amd64", "arm64"]) {
      const file = join(DIST, `chp_${version}_${architecture}.deb`);
      const fields = await done("dpkg-deb", "--field", file, "Package", "Version", "Architecture");
      equal(fields, `Package: chp\nVersion: ${version}\nArchitecture: ${architecture}\n`);
      const listed = await done("dpkg-deb", "--contents", file);
      equal(
        listed.split("\n").filter((line) => line !== "" && !/ root\/root | 0\/0 /.test(line)),
        [],
      );
    }
  });
  await check("it installs on a clean system, and says what is next", async () => {
    const said = await doneIn("dpkg", "-i", deb(first));
    equal(said.includes("systemctl enable --now chp.service chp-verify.timer"), true);
    equal((await doneIn("dpkg", "--verify", "chp")).trim(), "");
    equal(asked(), ["daemon-reload"]);
  });
  await check("it has a user, who owns the folder of the store and cannot log in", async () => {
    equal(/^chp:x:\d+:\d+::\/var\/lib\/chp:\/usr\/sbin\/nologin$/.test((await doneIn("getent", "passwd", "chp")).trim()), true);
    equal((await doneIn("stat", "-c", "%U:%G %a", STORE)).trim(), "chp:chp 755");
  });
  await check("systemd takes its units", async () => {
    const units = ["chp.service", "chp-verify.service", "chp-verify.timer"].map((name) => at(`usr/lib/systemd/system/${name}`));
    // As if installed here: the executable of the unit is looked for on this machine.
    const copies = units.map((unit) => join(WORK, unit.split("/").at(-1) ?? ""));
    for (const [i, unit] of units.entries())
      writeFileSync(
        copies[i] ?? "",
        readFileSync(unit, "utf8")
          .replaceAll("/usr/bin/chp", at("usr/bin/chp"))
          .replace(/^User=chp$/m, "User=root")
          .replace(/^Group=chp$/m, "Group=root"),
      );
    const { code, text } = await run(["systemd-analyze", "verify", ...copies]);
    equal([code, text.split("\n").filter((line) => /chp(-verify)?\.(service|timer)/.test(line))], [0, []]);
  });
  await check("its units are what chp unit prints, but for the head", async () => {
    const body = (text: string) => text.slice(text.indexOf("[Unit]"));
    for (const name of ["chp.service", "chp-verify.service", "chp-verify.timer"]) {
      const printed = await doneIn("/usr/bin/chp", "unit", "--store", STORE, "--quiet", name);
      equal(body(printed), body(readFileSync(at(`usr/lib/systemd/system/${name}`), "utf8")));
    }
  });
  await check("man shows every page without a warning", async () => {
    const names = (await doneIn("sh", "-c", "find /usr/share/man -name 'chp*.gz'")).trim().split("\n");
    equal(names.length > 60, true);
    for (const name of names) {
      const child = Bun.spawn(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", at(name)], {
        stdout: "ignore",
        stderr: "pipe",
        env: { ...process.env, LC_ALL: "C.UTF-8", MANROFFSEQ: "", MANWIDTH: "80" },
      });
      equal([name, await new Response(child.stderr).text(), await child.exited], [name, "", 0]);
    }
  });
  await check("bash completes its commands", async () => {
    const script =
      'source /usr/share/bash-completion/completions/chp; COMP_WORDS=(chp ver); COMP_CWORD=1; _chp chp; echo "${COMPREPLY[@]}"';
    equal((await doneIn("bash", "-c", script)).trim(), "verify version");
  });
  writeFileSync(at("tmp/world.tar.gz"), WORLD);
  await check("its user imports, and serves as the unit says", async () => {
    const { code, text } = await asChp("/usr/bin/chp", "import", "--store", STORE, "/tmp/world.tar.gz");
    equal([code, code === 0 ? "" : text], [0, ""]);
    await serving(async (url) => equal((await fetch(`${url}/v2/charms/info/tiny`)).status, 200));
  });
  await check("its user verifies the store as the unit says", async () => {
    const words = (/^ExecStart=(.*)$/m.exec(readFileSync(at("usr/lib/systemd/system/chp-verify.service"), "utf8"))?.[1] ?? "").split(" ");
    const { code, text } = await asChp(...words);
    equal([code, text.includes("no damage")], [0, true]);
  });

  const before = await storeState();
  await check("an upgrade keeps the store, and restarts what runs", async () => {
    nextPackage(join(WORK, "next.deb"));
    rmSync(at("systemctl.log"));
    await doneIn("dpkg", "-i", deb(join(WORK, "next.deb")));
    equal(asked(), ["daemon-reload", "try-restart chp.service"]);
    equal(await storeState(), before);
    await serving(async (url) => equal((await fetch(`${url}/v2/charms/info/tiny`)).status, 200));
  });
  await check("a removal stops and disables it, takes its files, and leaves the store", async () => {
    rmSync(at("systemctl.log"));
    const installed = (await doneIn("dpkg", "-L", "chp"))
      .trim()
      .split("\n")
      .filter((path) => statSync(at(path)).isFile());
    equal(installed.length > 70, true);
    await doneIn("dpkg", "--remove", "chp");
    equal(asked(), ["stop chp.service chp-verify.timer chp-verify.service", "disable chp.service chp-verify.timer", "daemon-reload"]);
    equal(
      installed.filter((path) => existsSync(at(path))),
      [],
    );
    equal(await storeState(), before);
  });
  await check("a purge asks nothing, and leaves the store", async () => {
    const said = await doneIn("dpkg", "--purge", "chp"); // with nobody to answer: standard input is closed
    equal(said.includes("rm -r /var/lib/chp"), true);
    equal(await storeState(), before);
    equal((await inRoot("dpkg-query", "-W", "chp")).code, 1);
  });
  await check("installed again, it serves what is there", async () => {
    await doneIn("dpkg", "-i", deb(first));
    equal(await storeState(), before);
    await serving(async (url) => equal((await fetch(`${url}/v2/charms/info/tiny`)).status, 200));
  });
  await check("a system without systemd takes it too", async () => {
    rmSync(at("run/systemd"), { recursive: true });
    rmSync(at("usr/bin/systemctl"));
    await doneIn("dpkg", "--purge", "chp");
    await doneIn("dpkg", "-i", deb(first));
    await doneIn("dpkg", "--purge", "chp");
  });
}

/* ---- under systemd ---- */

const STORAGE = ["--root", join(WORK, "podman"), "--runroot", join(WORK, "podman-run"), "--storage-driver", "vfs"];
const PODMAN = ["podman", ...STORAGE, "--cgroup-manager", "cgroupfs", "--runtime", "runc"];
/** The limits are those of this machine, which may not raise its own. */
const ON_THIS_MACHINE = ["--network", "host", "--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"];

/** A newer package of the same executable. */
function nextPackage(file: string): void {
  const executable = readFileSync(join(DIST, "chp-linux-x64"));
  const texts = { licences: "none", changelog: "" };
  writeFileSync(file, debianPackage({ version: `${version}+1`, architecture: "amd64", executable, time: 1_800_000_000, ...texts }));
}

async function systemd(): Promise<void> {
  const root = join(WORK, "systemd-root");
  await systemdRoot(root);
  const inside = (...command: string[]) => run([...PODMAN, "exec", "systemd", ...command]);
  const doneInside = async (...command: string[]) => {
    const { code, text } = await inside(...command);
    if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${text.slice(-2000)}`);
    return text.trim();
  };
  const property = (unit: string, name: string) => doneInside("systemctl", "show", "--value", "-p", name, unit);
  const port = freePort();
  const url = `http://127.0.0.1:${port}`;
  writeFileSync(join(root, "root/chp.deb"), readFileSync(join(DIST, `chp_${version}_amd64.deb`)));
  nextPackage(join(root, "root/next.deb"));
  writeFileSync(join(root, "root/world.tar.gz"), WORLD);
  await done("chmod", "755", join(root, "root"));
  const start = ["--systemd=always", "--privileged", ...ON_THIS_MACHINE, "--rootfs", root, "/lib/systemd/systemd"];
  await done(...PODMAN, "run", "--detach", "--name", "systemd", ...start);
  try {
    await check("systemd runs", async () => {
      // A unit of the root itself may fail in a container, as one that wants a device does: it is up all the same.
      const isUp = async () => ["running", "degraded"].includes((await inside("systemctl", "is-system-running")).text.trim());
      for (let tries = 0; tries < 100 && !(await isUp()); tries += 1) await Bun.sleep(200);
      equal(await isUp(), true);
    });
    await check("the package is installed, and neither enabled nor started", async () => {
      await doneInside("dpkg", "-i", "/root/chp.deb");
      equal(await property("chp.service", "ActiveState"), "inactive");
      equal((await inside("systemctl", "is-enabled", "chp.service")).text.trim(), "disabled");
    });
    await check("before the first import there is nothing to verify, and nothing fails", async () => {
      await doneInside("systemctl", "start", "chp-verify.service");
      equal(await property("chp-verify.service", "ConditionResult"), "no");
    });
    await check("the service is started as its hints say, and answers when systemctl returns", async () => {
      await doneInside("chp", "import", "/root/world.tar.gz");
      await doneInside("chp", "config", `listen=127.0.0.1:${port}`);
      await doneInside("systemctl", "enable", "--now", "chp.service", "chp-verify.timer");
      equal((await fetch(`${url}/v2/charms/info/tiny`)).status, 200); // Type=notify: no waiting
      equal(await property("chp.service", "StatusText"), `answers on ${url}`);
      equal(await property("chp-verify.timer", "ActiveState"), "active");
    });
    await check("it cannot write into its store, which the confinement makes read-only", async () => {
      const pid = await property("chp.service", "MainPID");
      const written = await inside("nsenter", "-t", pid, "-m", "--", "touch", `${STORE}/x`);
      equal([written.code, written.text.includes("Read-only file system")], [1, true]);
    });
    await check("the store is verified as the timer does it", async () => {
      await doneInside("systemctl", "start", "chp-verify.service");
      equal(await property("chp-verify.service", "Result"), "success");
      equal(/^chp_last_verify_timestamp_seconds \d/m.test(await (await fetch(`${url}/metrics`)).text()), true);
    });
    await check("an upgrade restarts it with its store", async () => {
      const before = await property("chp.service", "MainPID");
      await doneInside("dpkg", "-i", "/root/next.deb");
      equal((await property("chp.service", "MainPID")) === before, false);
      equal((await fetch(`${url}/v2/charms/info/tiny`)).status, 200);
    });
    await check("what is damaged makes the verification fail, and systemctl says so", async () => {
      await doneInside("sh", "-c", `rm "$(find ${STORE}/blobs -type f | sort | head -1)"`);
      equal((await inside("systemctl", "start", "chp-verify.service")).code === 0, false);
      equal(await property("chp-verify.service", "ExecMainStatus"), "13");
      equal((await doneInside("systemctl", "--failed", "--plain", "--no-legend")).includes("chp-verify.service"), true);
    });
    await check("a removal ends it, and a purge leaves the store", async () => {
      await doneInside("dpkg", "--purge", "chp");
      equal(
        await fetch(url).then(
          () => "answers",
          () => "ended",
        ),
        "ended",
      );
      equal((await inside("systemctl", "is-enabled", "chp.service")).code === 0, false);
      await doneInside("test", "-e", `${STORE}/format.json`);
    });
  } finally {
    await run([...PODMAN, "rm", "--force", "--time", "5", "systemd"]);
    rmSync(root, { recursive: true, force: true });
  }
}

/* ---- the image ---- */

const IMAGE = join(DIST, `chp-${version}-image.tar`);
const NAME = `localhost/chp:${version}`;

async function podman(): Promise<void> {
  const store = join(WORK, "store");
  mkdirSync(store, { recursive: true });
  await done("chown", "65532:65532", store);
  const volume = ["--volume", `${store}:${STORE}`];
  await check("podman loads it, for this architecture, with a user that is not root", async () => {
    await done(...PODMAN, "load", "-q", "-i", IMAGE);
    equal(
      (await done(...PODMAN, "image", "inspect", "--format", "{{.Os}}/{{.Architecture}} {{.User}}", NAME)).trim(),
      "linux/amd64 65532:65532",
    );
  });
  await check("it has the file systems that it needs, and nobody in it can become root", async () => {
    const folder = (await done(...PODMAN, "image", "mount", NAME)).trim();
    equal((await done("find", folder, "-perm", "/6000")).trim(), "");
    equal((await done("find", folder, "-type", "f", "-perm", "/0022")).trim(), "");
    equal(statSync(join(folder, "var/lib/chp")).uid, 65532);
    await done(...PODMAN, "image", "unmount", NAME);
  });
  await check("it imports into its volume, with a root that is read-only", async () => {
    writeFileSync(join(WORK, "world.tar.gz"), WORLD);
    await done(
      ...PODMAN,
      "run",
      "--rm",
      "--read-only",
      ...ON_THIS_MACHINE,
      ...volume,
      "--volume",
      `${join(WORK, "world.tar.gz")}:/world.tar.gz:ro`,
      NAME,
      "import",
      "/world.tar.gz",
    );
  });
  const port = freePort();
  const url = `http://127.0.0.1:${port}`;
  const health = ["--health-cmd", "CMD /usr/bin/chp status --probe", "--health-interval", "disable"];
  const start = [
    "--read-only",
    "--cap-drop=all",
    ...ON_THIS_MACHINE,
    ...health,
    "--env",
    `CHP_LISTEN=127.0.0.1:${port}`,
    "--volume",
    `${store}:${STORE}:ro`,
  ];
  await check("it serves with a read-only root and store and no capability", async () => {
    await done(...PODMAN, "run", "--detach", "--name", "chp", ...start, NAME);
    const logs = async () => {
      const running = (await done(...PODMAN, "inspect", "--format", "{{.State.Running}}", "chp")).trim();
      return running === "true" ? undefined : (await run([...PODMAN, "logs", "chp"])).text;
    };
    equal((await answers(url, logs)).generation, 1);
    equal((await fetch(`${url}/v2/charms/info/tiny`)).status, 200);
  });
  await check("its health check says that it is well, and that it is not", async () => {
    equal((await run([...PODMAN, "healthcheck", "run", "chp"])).code, 0);
    const sick = await run([...PODMAN, "exec", "chp", "/usr/bin/chp", "status", "--probe", "--server", "http://127.0.0.1:1"]);
    equal([sick.code, sick.text.includes("no server answers")], [1, true]);
  });
  await check("the image itself says how it is asked, as Docker reads it", () => {
    const layout = Bun.spawnSync(["tar", "-xOf", IMAGE, "index.json"]).stdout.toString();
    const blob = (digest: string) => JSON.parse(Bun.spawnSync(["tar", "-xOf", IMAGE, `blobs/sha256/${digest.slice(7)}`]).stdout.toString());
    const [top] = (JSON.parse(layout) as { manifests: { digest: string }[] }).manifests;
    const images = (blob(top?.digest ?? "") as { manifests: { digest: string; platform: { architecture: string } }[] }).manifests;
    equal(
      images.map(({ platform }) => platform.architecture),
      ["amd64", "arm64"],
    );
    for (const { digest } of images) {
      const { config } = blob(digest) as { config: { digest: string } };
      equal((blob(config.digest) as { config: { Healthcheck: { Test: string[] } } }).config.Healthcheck.Test.slice(1), [
        "/usr/bin/chp",
        "status",
        "--probe",
      ]);
    }
  });
  await check("it ends when it is asked", async () => {
    await done(...PODMAN, "stop", "--time", "20", "chp");
    equal((await done(...PODMAN, "inspect", "--format", "{{.State.ExitCode}}", "chp")).trim(), "0");
    await done(...PODMAN, "rm", "chp");
  });
}

async function containerd(): Promise<void> {
  const folder = join(WORK, "containerd");
  mkdirSync(folder, { recursive: true });
  const socket = join(folder, "sock");
  writeFileSync(
    join(folder, "config.toml"),
    `version = 2\nroot = "${folder}/root"\nstate = "${folder}/state"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\n  address = "${socket}"\n[plugins."io.containerd.internal.v1.opt"]\n  path = "${folder}/opt"\n`,
  );
  const daemon = Bun.spawn(["containerd", "--config", join(folder, "config.toml")], {
    stdout: "ignore",
    stderr: Bun.file(join(folder, "log")),
  });
  const ctr = ["ctr", "--address", socket];
  try {
    for (let tries = 0; (await run([...ctr, "version"])).code !== 0; tries += 1) {
      if (tries > 100 || daemon.exitCode !== null)
        throw new Error(`containerd does not start: ${readFileSync(join(folder, "log"), "utf8").slice(-2000)}`);
      await Bun.sleep(100);
    }
    await check("containerd imports it for both architectures, and checks every blob", async () => {
      await done(...ctr, "image", "import", "--all-platforms", "--no-unpack", IMAGE);
      const listed = await done(...ctr, "image", "check");
      equal(/localhost\/chp:\S+\s+\S+\s+\S+\s+complete/.test(listed), true);
      equal(/linux\/amd64,linux\/arm64/.test(await done(...ctr, "image", "list")), true);
    });
  } finally {
    daemon.kill();
    await daemon.exited;
  }
}

const lacks = TOOLS.filter((tool) => Bun.which(tool) === null);
if ((lacks.length > 0 || process.getuid?.() !== 0) && process.env["CI"] !== "true") {
  skip(`packages and images: they need root, and ${lacks.join(" and ") || "nothing more"}`);
} else {
  mkdirSync(CACHE, { recursive: true });
  for (const [what, work] of Object.entries({ files, debian, systemd, podman, containerd }))
    await check(`${what}: run it to the end`, work);
}
rmSync(WORK, { recursive: true, force: true });
finish();
