/** The script that `chp images` prints, run by sh with a stand-in for skopeo. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NeededImage } from "../../src/catalog/images.ts";
import { skopeoScript } from "../../src/catalog/imagescript.ts";

const D = (digit: string) => `sha256:${digit.repeat(64)}`;
const REGISTRY = { domain: "hub.lan:5000", username: "", password: "" };

function image(upstream: string, path: string, digest: string | null = null): NeededImage {
  return { upstream, path, local: null, digest, neededBy: [{ charm: "c", resource: "r", revision: 1 }] };
}

describe("the script", () => {
  const folder = mkdtempSync(join(tmpdir(), "chp-test-"));
  const at = (name: string) => join(folder, name);
  const HOSTILE = "r.example/a'b$(touch pwned)`touch pwned`;touch pwned\n:x";
  const IMAGES = [
    image(`r.example:5000/a/b:1@${D("1")}`, `a/b:1@${D("1")}`, D("1")),
    image(`other.example/same@${D("1")}`, "team/same:1", D("1")),
    image("busybox", "busybox:latest"),
    image(HOSTILE, HOSTILE),
  ];

  /** skopeo's stand-in: tells how it was called and what login it was given, and leaves what a copy would. */
  const SKOPEO = `#!/bin/sh
echo "call" >>"$CALLS"
for word in "$@"; do printf '<%s>\\n' "$word" >>"$CALLS"; done
previous=
for word in "$@"; do
  case $previous in --*-authfile) cat "$word" >>"$AUTH"; echo >>"$AUTH"; ls -ld "$(dirname "$word")" >>"$AUTH" ;; esac
  previous=$word
done
case $previous in dir:*) mkdir -p "\${previous#dir:}"; echo "{}" >"\${previous#dir:}/manifest.json" ;; esac
`;

  beforeAll(() => {
    mkdirSync(at("bin"));
    writeFileSync(at("bin/skopeo"), SKOPEO);
    chmodSync(at("bin/skopeo"), 0o755);
    writeFileSync(at("images.sh"), skopeoScript(IMAGES, REGISTRY));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  function run(word: string, env: Readonly<Record<string, string>> = {}) {
    for (const name of ["calls", "auth"]) writeFileSync(at(name), "");
    const path = `${at("bin")}:${process.env["PATH"]}`;
    const done = Bun.spawnSync(["sh", "images.sh", word], {
      cwd: folder,
      env: { PATH: path, CALLS: at("calls"), AUTH: at("auth"), TMPDIR: folder, ...env },
    });
    const calls = readFileSync(at("calls"), "utf8");
    const words = calls
      .split("call\n")
      .slice(1)
      .map((call) => [...call.matchAll(/<([\s\S]*?)>\n/g)].map(([, one]) => one ?? ""));
    return { code: done.exitCode, words, calls, err: done.stderr.toString(), auth: readFileSync(at("auth"), "utf8") };
  }

  test("fetches each image once, whatever its name is, with all architectures and digests as they are", () => {
    const { code, words } = run("fetch");
    expect(code).toBe(0);
    expect(words.map((one) => one.at(-2))).toEqual([`docker://r.example:5000/a/b@${D("1")}`, "docker://busybox", `docker://${HOSTILE}`]);
    for (const one of words) expect(one.slice(0, 3)).toEqual(["copy", "--all", "--preserve-digests"]);
    expect(readdirSync(folder)).not.toContain("pwned");
  });

  test("does not fetch again what is there, and fetches what was cut", () => {
    writeFileSync(join(folder, "images", "busybox", "manifest.json"), "");
    expect(run("fetch").words.map((one) => one.at(-2))).toEqual(["docker://busybox"]);
  });

  test("pushes to the path that Juju is told, each from its folder", () => {
    const folderOfFirst = `dir:images/${D("1").replace(":", "-")}`;
    const { code, words } = run("push", { REGISTRY_TLS_VERIFY: "false" });
    expect(code).toBe(0);
    expect(words.map((one) => one.slice(-2)).slice(0, 3)).toEqual([
      [folderOfFirst, `docker://hub.lan:5000/a/b@${D("1")}`],
      [folderOfFirst, "docker://hub.lan:5000/team/same:1"],
      ["dir:images/busybox", "docker://hub.lan:5000/busybox:latest"],
    ]);
    for (const one of words) expect(one).toContain("--dest-tls-verify=false");
  });

  test("credentials come from the environment, reach skopeo in a private file, and stand in no argument", () => {
    const secret = 'it\'s a "se$cret"';
    const encoded = Buffer.from(`bot:${secret}`).toString("base64");
    const own = Buffer.from("docker-registry:macaroon").toString("base64");
    for (const name of readdirSync(at("images"))) writeFileSync(join(folder, "images", name, "manifest.json"), "");
    const fetched = run("fetch", {
      UPSTREAM_USERNAME: "bot",
      UPSTREAM_PASSWORD: secret,
      UPSTREAM_USERNAME_2: "docker-registry",
      UPSTREAM_PASSWORD_2: "macaroon",
    });
    expect(fetched.auth).toContain(`{"auths":{"r.example:5000/a/b":{"auth":"${encoded}"}}}`);
    expect(fetched.auth).toContain(`{"auths":{"docker.io/library/busybox":{"auth":"${own}"}}}`);
    expect(fetched.auth.match(/^d\S+/gm)).toEqual(["drwx------", "drwx------", "drwx------"]);
    const pushed = run("push", { REGISTRY_USERNAME: "push", REGISTRY_PASSWORD: secret });
    expect(pushed.auth).toContain('{"auths":{"hub.lan:5000":');
    for (const { calls } of [fetched, pushed]) expect(calls).not.toMatch(/se\$cret|macaroon/);
    expect(run("push", { UPSTREAM_USERNAME: "bot", UPSTREAM_PASSWORD: secret }).calls).not.toContain("authfile");
    expect(readdirSync(folder).filter((name) => name.startsWith("tmp."))).toEqual([]);
  });

  test("a copy that fails is said, the others follow, and the exit code is 4", () => {
    for (const name of readdirSync(at("images"))) writeFileSync(join(folder, "images", name, "manifest.json"), "");
    writeFileSync(at("bin/skopeo"), `#!/bin/sh\necho call >>"$CALLS"\ncase "$*" in *busybox*) exit 3 ;; esac\n`);
    const { code, words, err } = run("fetch");
    expect([code, words.length, err]).toEqual([4, 3, "failed: busybox\n"]);
  });

  test("warns where two images are pushed to one tag", () => {
    const two = [image(`r.example/a@${D("1")}`, "team/app:1", D("1")), image(`r.example/b@${D("2")}`, "team/app:1", D("2"))];
    const script = skopeoScript(two, REGISTRY);
    expect(script).toContain("echo 'warning: team/app:1 is pushed 2 times, each a different image: the last one stays' >&2\n");
    expect(skopeoScript(IMAGES, REGISTRY)).not.toContain("warning:");
  });

  test("says how it is called, and where no registry is known that REGISTRY names it", () => {
    expect(run("").code).toBe(2);
    writeFileSync(at("images.sh"), skopeoScript(IMAGES, undefined));
    writeFileSync(at("bin/skopeo"), SKOPEO);
    expect(run("push").words).toEqual([]);
    expect(run("push")).toMatchObject({ code: 2, err: expect.stringContaining("REGISTRY") });
    const { code, words } = run("push", { REGISTRY: "10.0.0.9:5000" });
    expect([code, words[0]?.at(-1)]).toEqual([0, `docker://10.0.0.9:5000/a/b@${D("1")}`]);
    for (const call of words) expect(call.at(-1)).toStartWith("docker://10.0.0.9:5000/");
  });
});
