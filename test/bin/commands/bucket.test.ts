/** Commands on a store in a bucket, of an engine in this process. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createKey } from "../../../src/archives/signature.ts";
import { base, charmZip } from "../../build.ts";
import { runProgram } from "../../program.ts";
import { S3Engine } from "../../s3engine.ts";
import { tempFolder } from "../../temp.ts";

const PLACE = "s3://bucket/site";
const folder = tempFolder();
const at = (name: string) => join(folder.path, name);
const engine = new S3Engine();
const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: engine.fetch });
const aws = S3Engine.environment(`http://127.0.0.1:${server.port}`);
const environment = { ...aws, CHP_STORE: PLACE, CHP_STORE_KEY: at("store.key") };
const run = (...args: readonly string[]) => runProgram(args, environment);
const secret = aws["AWS_SECRET_ACCESS_KEY"] ?? "";

afterAll(async () => {
  await server.stop(true);
  folder[Symbol.dispose]();
});
beforeAll(async () => {
  writeFileSync(at("store.key"), createKey("test").secret, { mode: 0o600 });
  writeFileSync(at("kafka_r1.charm"), charmZip({ name: "kafka", revision: 1, bases: [base("amd64", "22.04")] }));
  expect((await run("import", "--quiet", "--channel", "latest/edge", at("kafka_r1.charm"))).code).toBe(0);
});

test("what an operator does: import, list, verify, config, log, gc", async () => {
  expect((await run("list", "--json")).out).toContain('"kafka"');
  expect((await run("verify", "--read-data")).out).toContain("no damage");
  expect((await run("config", "public-url=http://hub.lan:8080")).code).toBe(0);
  expect((await run("config")).out).toContain("http://hub.lan:8080");
  expect((await run("log")).out).toContain("1");
  expect((await run("gc")).out).toContain("freed: 0 files");
});

test("what is secret needs the store key, and no other key opens it", async () => {
  const registry = ["domain=r.lan", "username=u", "password=it is secret"].map((text) => `proxy.oci-registry.${text}`);
  expect((await run("config", ...registry)).code).toBe(0);
  const all = [...engine.objects.values()].map(({ bytes }) => Buffer.from(bytes).toString("latin1")).join("\n");
  expect(all.includes("it is secret")).toBe(false);
  const none = await runProgram(["config"], { ...aws, CHP_STORE: PLACE });
  expect([none.code, none.err, none.next]).toEqual([
    1,
    `chp: what is secret in ${PLACE} is sealed, and no store key is set\n`,
    "chp keygen store.key makes one; then on every machine: CHP_STORE_KEY=store.key",
  ]);
  writeFileSync(at("other.key"), createKey("other").secret, { mode: 0o600 });
  const other = await runProgram(["config"], { ...environment, CHP_STORE_KEY: at("other.key") });
  expect([other.code, other.err]).toEqual([13, expect.stringContaining("it was sealed with another key, or altered")]);
  // As a service has it.
  writeFileSync(at("store-key"), await Bun.file(at("store.key")).text());
  expect((await runProgram(["config"], { ...aws, CHP_STORE: PLACE, CREDENTIALS_DIRECTORY: folder.path })).code).toBe(0);
  expect((await run("config", "proxy.oci-registry.domain=", "proxy.oci-registry.username=", "proxy.oci-registry.password=")).code).toBe(0);
});

describe("doctor", () => {
  test("proves the bucket", async () => {
    const { out } = await run("doctor", "--json");
    const { passed } = JSON.parse(out) as { passed: { check: string; what: string }[] };
    expect(passed.find(({ check }) => check === "bucket")?.what).toBe(`${PLACE} keeps what a store needs: 8 checks`);
  });

  test("says nothing of a store in one that is not safe", async () => {
    engine.faults = { ignoresConditions: true };
    const { code, out } = await run("doctor", "--json");
    engine.faults = {};
    const { findings, passed } = JSON.parse(out) as { findings: { check: string }[]; passed: unknown[] };
    expect([code, new Set(findings.map(({ check }) => check)), passed]).toEqual([1, new Set(["bucket"]), []]);
  });

  test("prints the smallest policy, and asks nothing", async () => {
    engine.log.length = 0;
    const policy = JSON.parse((await run("doctor", "--policy")).out);
    expect([policy.Statement.map(({ Resource }: { Resource: unknown }) => Resource), engine.log]).toEqual([
      [["arn:aws:s3:::bucket/site/*"], ["arn:aws:s3:::bucket"]],
      [],
    ]);
    const none = await runProgram(["doctor", "--policy", "--store", folder.path]);
    expect(none).toMatchObject({
      code: 2,
      err: `chp: --policy is for a store in a bucket: ${folder.path} is a folder\n`,
      next: "--store s3://BUCKET/PREFIX",
    });
  });
});

describe("usage", () => {
  test.each([
    [{ AWS_ACCESS_KEY_ID: "" }, ["list"], `${PLACE} needs AWS_ACCESS_KEY_ID in the environment, which is not set`],
    [{ AWS_SECRET_ACCESS_KEY: "" }, ["list"], `${PLACE} needs AWS_SECRET_ACCESS_KEY in the environment, which is not set`],
    [{ AWS_ENDPOINT_URL: "hub.lan" }, ["list"], "AWS_ENDPOINT_URL is not a URL like https://s3.lan: hub.lan"],
    [{ AWS_CA_BUNDLE: "/nowhere" }, ["list"], "cannot read /nowhere, the AWS_CA_BUNDLE: "],
    [{ CHP_STORE: "s3://" }, ["list"], "s3:// is not s3://BUCKET or s3://BUCKET/PREFIX"],
    [{ CHP_STORE: "s3://bucket/a/../b" }, ["list"], "s3://bucket/a/../b is not s3://BUCKET"],
    [{ CHP_STORE: "s3://BUCKET" }, ["list"], "s3://BUCKET is not s3://BUCKET"],
    [{ CHP_STORE: folder.path }, ["serve", "--cache", "/c"], `--cache is for a store in a bucket: ${folder.path} is a folder`],
    [{ CHP_STORE: folder.path }, ["serve", "--redirect"], `--redirect is for a store in a bucket: ${folder.path} is a folder`],
    [{}, ["serve", "--cache", "/c", "--redirect"], "--cache and --redirect exclude each other"],
    [{ CHP_STORE: folder.path }, ["unit", "--cache", "/c"], `--cache is for a store in a bucket: ${folder.path} is a folder`],
    [{}, ["unit", "--cache", "/c", "--redirect"], "--cache and --redirect exclude each other"],
  ])("%j %j", async (over: Readonly<Record<string, string>>, args: readonly string[], message: string) => {
    const { code, err, out, log = "" } = await runProgram(args, { ...environment, ...over });
    expect([code, err]).toEqual([2, expect.stringContaining(message)]);
    expect((err + out + log).includes(secret)).toBe(false);
  });

  test("no store in the bucket is exit code 10, a bucket that does not answer says where it was looked for", async () => {
    expect(await runProgram(["list"], { ...environment, CHP_STORE: "s3://bucket/none" })).toMatchObject({
      code: 10,
      err: "chp: there is no store in s3://bucket/none\n",
    });
    const { code, err } = await runProgram(["list"], { ...environment, CHP_STORE: "s3://another/none" });
    expect([code, err]).toEqual([1, expect.stringContaining("there is no such bucket, NoSuchBucket")]);
  });

  test("a bucket whose key may not list is told by --policy", async () => {
    engine.weather = {
      before: ({ url }) =>
        url.searchParams.has("list-type") ? new Response("<Error><Code>AccessDenied</Code></Error>", { status: 403 }) : undefined,
    };
    const { code, next } = await run("list");
    engine.weather = {};
    expect([code, next]).toEqual([1, `chp doctor --store ${PLACE} --policy prints what the key must be allowed`]);
  });
});

describe("unit", () => {
  test("has no key in it, and gets the keys from files and the store key as a credential", async () => {
    const { out, err } = await runProgram(["unit"], { ...environment, CHP_CACHE: "/var/cache/chp" });
    expect(out).toContain(`serve --store ${PLACE} --wait-for-store --cache /var/cache/chp`);
    expect(out).toContain("EnvironmentFile=/etc/chp/bucket.env\n");
    expect(out).toContain("LoadCredential=store-key:/etc/chp/store.key\n");
    expect(out).toContain("ReadWritePaths=/var/cache/chp\n");
    expect(out).not.toContain("RequiresMountsFor");
    expect([out.includes(secret), out.includes(aws["AWS_ACCESS_KEY_ID"] ?? "")]).toEqual([false, false]);
    // Of this program itself, where it is built in /tmp or a home.
    expect(err.split("\n").filter((line) => line !== "" && !line.includes("is on a path hidden"))).toEqual([]);
  });

  test("its options are those of the service, and its commands print it again", async () => {
    const { out } = await run("unit", "--executable", "/usr/bin/chp", "--cache", "/srv/a cache", "--cache-size", "1G", "--remote-import");
    const lines = out.split("\n");
    for (const line of [
      `ExecStart=/usr/bin/chp serve --store ${PLACE} --wait-for-store --cache "/srv/a cache" --cache-size 1073741824`,
      'ReadWritePaths="/srv/a cache"',
      "KillMode=mixed",
      "#   sudo install -d -o chp -g chp '/srv/a cache'",
      `#   /usr/bin/chp unit --store ${PLACE} --remote-import --cache '/srv/a cache' --cache-size 1073741824 | sudo tee /etc/systemd/system/chp.service >/dev/null`,
      `#   printf '%s\\n' AWS_ENDPOINT_URL=${aws["AWS_ENDPOINT_URL"]} AWS_REGION=${aws["AWS_REGION"]} AWS_ACCESS_KEY_ID= AWS_SECRET_ACCESS_KEY= | sudo install -m 0600 /dev/stdin /etc/chp/bucket.env`,
    ])
      expect(lines).toContain(line);
    const redirecting = (await run("unit", "--redirect")).out;
    expect(redirecting).toMatch(/^ExecStart=.* --redirect$/m);
    expect(redirecting).not.toMatch(/^(ReadWritePaths|KillMode)=/m);
  });

  test("what verifies a bucket reaches it over the network, with the same keys", async () => {
    const { out } = await run("unit", "chp-verify.service");
    for (const line of [
      "EnvironmentFile=/etc/chp/bucket.env",
      "LoadCredential=store-key:/etc/chp/store.key",
      "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
    ])
      expect(out.split("\n")).toContain(line);
    expect(out).not.toMatch(/^(PrivateNetwork|ReadWritePaths|RequiresMountsFor|ConditionPathExists)=/m);
    expect(out.includes(secret)).toBe(false);
  });
});
