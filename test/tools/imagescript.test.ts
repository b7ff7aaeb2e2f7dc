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
case $1 in manifest-digest) cat "$2" && exit ;; esac
case $1:$previous in
  *dir:*) mkdir -p "\${previous#dir:}"; echo "of $previous" >"\${previous#dir:}/manifest.json" ;;
  inspect:*)
    case \${HAS-} in
      "") echo "reading manifest: manifest unknown: manifest unknown" >&2; exit 1 ;;
      down) echo "connection refused" >&2; exit 1 ;;
      *) echo "$HAS" ;;
    esac
    ;;
esac
`;

  /** skopeo's stand-in that fails where its last word has `what`, the first `times` times. */
  const failing = (what: string, times = Number.MAX_SAFE_INTEGER) =>
    SKOPEO.replace(
      "case $1:$previous in",
      `case $previous in *${what}*) echo x >>"$CALLS.failed"; [ "$(wc -l <"$CALLS.failed")" -gt ${times} ] || exit 3 ;; esac\ncase $1:$previous in`,
    );

  beforeAll(() => {
    mkdirSync(at("bin"));
    writeFileSync(at("bin/skopeo"), SKOPEO);
    chmodSync(at("bin/skopeo"), 0o755);
    writeFileSync(at("images.sh"), skopeoScript(IMAGES, REGISTRY));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  function run(line: string, env: Readonly<Record<string, string>> = {}) {
    for (const name of ["calls", "auth"]) writeFileSync(at(name), "");
    const path = `${at("bin")}:${process.env["PATH"]}`;
    const done = Bun.spawnSync(["sh", "images.sh", ...line.split(" ")], {
      cwd: folder,
      env: { PATH: path, CALLS: at("calls"), AUTH: at("auth"), TMPDIR: folder, PAUSE: "0", ...env },
    });
    const calls = readFileSync(at("calls"), "utf8");
    const words = calls
      .split("call\n")
      .slice(1)
      .map((call) => [...call.matchAll(/<([\s\S]*?)>\n/g)].map(([, one]) => one ?? ""));
    const copies = words.filter(([first]) => first === "copy");
    const auth = readFileSync(at("auth"), "utf8");
    return { code: done.exitCode, words, copies, calls, out: done.stdout.toString(), err: done.stderr.toString(), auth };
  }

  test("fetches each image once, whatever its name is, with all architectures and digests as they are", () => {
    const { code, words, out } = run("fetch");
    expect([code, out]).toEqual([0, "fetch: 3 copied, 0 present before, 0 left\n"]);
    expect(words.map((one) => one.at(-2))).toEqual([`docker://r.example:5000/a/b@${D("1")}`, "docker://busybox", `docker://${HOSTILE}`]);
    for (const one of words) expect(one.slice(0, 3)).toEqual(["copy", "--all", "--preserve-digests"]);
    expect(readdirSync(folder)).not.toContain("pwned");
  });

  test("does not fetch again what is there, and fetches what was cut", () => {
    writeFileSync(join(folder, "images", "busybox", "manifest.json"), "");
    const { words, out } = run("fetch");
    expect(words.map((one) => one.at(-2))).toEqual(["docker://busybox"]);
    expect(out).toBe("fetch: 1 copied, 2 present before, 0 left\n");
  });

  test("pushes to the path that Juju is told, each from its folder", () => {
    const folderOfFirst = `dir:images/${D("1").replace(":", "-")}`;
    const { code, copies, words, out } = run("push", { REGISTRY_TLS_VERIFY: "false" });
    expect([code, out]).toEqual([0, "push: 4 copied, 0 present before, 0 left\n"]);
    expect(copies.map((one) => one.slice(-2)).slice(0, 3)).toEqual([
      [folderOfFirst, `docker://hub.lan:5000/a/b@${D("1")}`],
      [folderOfFirst, "docker://hub.lan:5000/team/same:1"],
      ["dir:images/busybox", "docker://hub.lan:5000/busybox:latest"],
    ]);
    for (const one of copies) expect(one).toContain("--dest-tls-verify=false");
    for (const one of words.filter(([first]) => first === "inspect")) expect(one).toContain("--tls-verify=false");
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

  describe("of which some images cannot be copied", () => {
    const empty = () => {
      for (const name of readdirSync(at("images"))) writeFileSync(join(folder, "images", name, "manifest.json"), "");
    };
    const skopeo = (text: string) => {
      rmSync(at("calls.failed"), { force: true });
      writeFileSync(at("bin/skopeo"), text);
    };
    afterAll(() => skopeo(SKOPEO));

    test("each is tried again, the others follow, what is left is summed up, and the exit code is 4", () => {
      empty();
      skopeo(failing("busybox"));
      const { code, words, out, err } = run("fetch", { RETRIES: "3" });
      expect(words.map((one) => one.at(-2))).toEqual([
        `docker://r.example:5000/a/b@${D("1")}`,
        ...Array<string>(4).fill("docker://busybox"),
        `docker://${HOSTILE}`,
      ]);
      expect([code, out]).toEqual([4, "fetch: 2 copied, 0 present before, 1 left\n"]);
      expect(err).toEndWith("  image 2: busybox: it could not be fetched\nrun it again: sh images.sh fetch\n");
      // The rest, once it can be copied.
      skopeo(SKOPEO);
      expect(run("fetch")).toMatchObject({ code: 0, out: "fetch: 1 copied, 2 present before, 0 left\n" });
    });

    test("one that succeeds at last is copied, and the pauses grow", () => {
      empty();
      skopeo(failing("busybox", 2));
      writeFileSync(at("bin/sleep"), `#!/bin/sh\necho "$1" >>"$CALLS.pauses"\n`, { mode: 0o755 });
      const { code, out } = run("fetch", { PAUSE: "7" });
      rmSync(at("bin/sleep"));
      expect([code, out, readFileSync(at("calls.pauses"), "utf8")]).toEqual([0, "fetch: 3 copied, 0 present before, 0 left\n", "7\n14\n"]);
    });

    test("numbers behind it name those that are copied", () => {
      empty();
      skopeo(SKOPEO);
      expect(run("fetch 3 1").copies.map((one) => one.at(-2))).toEqual([`docker://r.example:5000/a/b@${D("1")}`, `docker://${HOSTILE}`]);
      for (const wrong of ["fetch 4", "fetch 0", "fetch x", "push 1 99999999999999999999", "other"])
        expect(run(wrong)).toMatchObject({
          code: 2,
          words: [],
          err: expect.stringContaining("usage: sh images.sh fetch|push [NUMBER...]\n"),
        });
      expect(run("fetch", { RETRIES: "-1" })).toMatchObject({ code: 2, words: [] });
    });

    test("what was not fetched is not pushed, and the others are", () => {
      empty();
      skopeo(SKOPEO);
      run("fetch 1 2");
      const { code, out, err } = run("push");
      expect([code, out]).toEqual([4, "push: 3 copied, 0 present before, 1 left\n"]);
      expect(err).toMatch(/^image 3 failed: .*: images\/\S+ is not here: sh images.sh fetch brings it$/m);
      run("fetch");
    });
  });

  describe("a name in the registry", () => {
    const has = (digest: string) => `of dir:images/sha256-${digest.repeat(64)}`;

    test("that has the image already is not pushed again", () => {
      // All of them have the digest of the first; the hostile one and busybox have another.
      const { code, copies, out, err } = run("push", { HAS: has("1") });
      expect([code, copies, out]).toEqual([4, [], "push: 0 copied, 2 present before, 2 left\n"]);
      expect(err).toContain(
        `image 2 failed: busybox:latest: the registry has another image under that name, ${has("1")}: OVERWRITE=true sh images.sh push 2 replaces it\n`,
      );
    });

    test("that has another image stays as it is, unless it is to be replaced", () => {
      const replaced = run("push 2", { HAS: has("1"), OVERWRITE: "true" });
      expect([replaced.code, replaced.copies.map((one) => one.at(-1))]).toEqual([0, ["docker://hub.lan:5000/busybox:latest"]]);
      const later = run("push 2", { HAS: "of dir:images/busybox" });
      expect([later.code, later.copies, later.out]).toEqual([0, [], "push: 0 copied, 1 present before, 0 left\n"]);
    });

    test("that the registry does not tell of is not pushed over", () => {
      const { code, copies, words, err } = run("push 2", { HAS: "down", RETRIES: "1" });
      expect([code, copies, words.filter(([first]) => first === "inspect").length]).toEqual([4, [], 2]);
      expect(err).toContain("connection refused\n");
      expect(err).toContain("image 2: busybox:latest: the registry does not say what it has under that name\n");
    });

    test("that two images have is pushed of neither, and of one where it alone is meant", () => {
      const two = [
        image(`r.example/a@${D("1")}`, "team/app:1", D("1")),
        image(`r.example/b@${D("2")}`, "team/app:1", D("2")),
        image(`r.example/c@${D("3")}`, "team/other:1", D("3")),
      ];
      writeFileSync(at("images.sh"), skopeoScript(two, REGISTRY));
      run("fetch");
      const both = run("push");
      expect([both.code, both.copies.map((one) => one.at(-1))]).toEqual([4, ["docker://hub.lan:5000/team/other:1"]]);
      for (const [one, other] of ["12", "21"])
        expect(both.err).toContain(
          `image ${one} failed: team/app:1: image ${other} has the same name: give each its own in the file of the export, or push one of them: sh images.sh push ${one}\n`,
        );
      const one = run("push 2 3");
      expect([one.code, one.copies.map((words) => words.slice(-2))]).toEqual([
        0,
        [
          [`dir:images/${D("2").replace(":", "-")}`, "docker://hub.lan:5000/team/app:1"],
          [`dir:images/${D("3").replace(":", "-")}`, "docker://hub.lan:5000/team/other:1"],
        ],
      ]);
      writeFileSync(at("images.sh"), skopeoScript(IMAGES, REGISTRY));
    });
  });

  test("without skopeo it says so, once", () => {
    const done = Bun.spawnSync(["/bin/sh", "images.sh", "fetch"], { cwd: folder, env: { PATH: "/nowhere" } });
    expect([done.exitCode, done.stderr.toString()]).toEqual([1, "images.sh: skopeo is not installed\n"]);
  });

  test("says how it is called, and where no registry is known that REGISTRY names it", () => {
    expect(run("").code).toBe(2);
    writeFileSync(at("images.sh"), skopeoScript(IMAGES, undefined));
    writeFileSync(at("bin/skopeo"), SKOPEO);
    expect(run("push").words).toEqual([]);
    expect(run("push")).toMatchObject({ code: 2, err: expect.stringContaining("REGISTRY") });
    const { code, copies } = run("push", { REGISTRY: "10.0.0.9:5000" });
    expect([code, copies[0]?.at(-1)]).toEqual([0, `docker://10.0.0.9:5000/a/b@${D("1")}`]);
    for (const call of copies) expect(call.at(-1)).toStartWith("docker://10.0.0.9:5000/");
  });
});
