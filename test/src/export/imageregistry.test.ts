import { describe, expect, test } from "bun:test";
import { parseImageReference } from "../../../src/catalog/imagereference.ts";
import { Failure } from "../../../src/errors.ts";
import { answerChallenge, bearerOf } from "../../../src/export/challenge.ts";
import { readRegistryLogins } from "../../../src/export/registrylogins.ts";

const DIGEST = `sha256:${"a".repeat(64)}`;

describe("a reference", () => {
  test.each<[string, string, string, string, string]>([
    ["ghcr.io/juju/juju-db:4.4", "ghcr.io/juju/juju-db:4.4", "ghcr.io", "juju/juju-db", "4.4"],
    ["r.test:5000/a/b/c", "r.test:5000/a/b/c:latest", "r.test:5000", "a/b/c", "latest"],
    [`r.test/a@${DIGEST}`, `r.test/a@${DIGEST}`, "r.test", "a", DIGEST],
    [`r.test/a:1@${DIGEST}`, `r.test/a:1@${DIGEST}`, "r.test", "a", DIGEST],
    ["[::1]:5000/a:1", "[::1]:5000/a:1", "[::1]:5000", "a", "1"],
    ["localhost/a", "localhost/a:latest", "localhost", "a", "latest"],
    ["busybox", "docker.io/library/busybox:latest", "registry-1.docker.io", "library/busybox", "latest"],
    ["ubuntu/kafka:3", "docker.io/ubuntu/kafka:3", "registry-1.docker.io", "ubuntu/kafka", "3"],
    ["docker.io/busybox:1", "docker.io/library/busybox:1", "registry-1.docker.io", "library/busybox", "1"],
    ["index.docker.io/ubuntu/kafka", "docker.io/ubuntu/kafka:latest", "registry-1.docker.io", "ubuntu/kafka", "latest"],
  ])("%s", (given, text, host, repository, wanted) => {
    expect(parseImageReference(given)).toMatchObject({ text, host, repository, wanted });
    expect(parseImageReference(text)).toMatchObject({ text, host, repository, wanted });
  });

  test.each([
    "",
    "UPPER",
    "a b",
    "r.test/",
    "r.test/a/",
    "r.test/../a",
    "r.test/a:",
    "r.test/a@sha512:00",
    "r.test/a@sha256:00",
    "user@r.test/a",
    "r.test/a?b",
    "-r.test/a",
  ])("%j is none", (given) => expect(parseImageReference(given)).toBeUndefined());
});

describe("the logins of a file", () => {
  const auth = (text: string) => ({ auth: Buffer.from(text).toString("base64") });
  const auths = {
    "https://index.docker.io/v1/": auth("hub:one"),
    "ghcr.io": auth("all:two"),
    "ghcr.io/juju": auth("juju:three:four"),
    "quay.io": {},
    "r.test:5000": auth(":"),
  };
  const loginOf = readRegistryLogins(JSON.stringify({ auths, credHelpers: {} }), "config.json");

  test.each<[string, string | undefined]>([
    ["registry-1.docker.io/library/busybox", "hub:one"],
    ["ghcr.io/other/a", "all:two"],
    ["ghcr.io/juju/juju-db", "juju:three:four"],
    ["ghcr.io/jujus", "all:two"],
    ["quay.io/a", undefined],
    ["r.test:5000/a", undefined],
    ["r.test/a", undefined],
  ])("%s", (repository, login) => {
    const found = loginOf(repository);
    expect(found && `${found.username}:${found.password}`).toBe(login);
  });

  test.each(["", '{"auths": []}', '{"auths": {"a": {"auth": 1}}}'])("%j is no such file", (text) => {
    expect(() => readRegistryLogins(text, "config.json")).toThrow(Failure);
  });
});

describe("a challenge", () => {
  const login = { username: "a", password: "b" };
  const basic = `Basic ${Buffer.from("a:b").toString("base64")}`;
  const answer = (challenge: string, own = login) => answerChallenge(challenge, "https://r.test", "x/y", own);

  test("is met by the login, or by a token of the realm", () => {
    expect(answer('Basic realm="r"')).toEqual({ authorization: basic });
    expect(answer('Bearer realm="https://auth.test/token?a=1",service="r.test",scope="other"')).toEqual({
      tokenUrl: "https://auth.test/token?a=1&service=r.test&scope=repository%3Ax%2Fy%3Apull",
      authorization: basic,
    });
    expect(answer('Bearer realm="https://auth.test/token"', { username: "", password: "" })).toMatchObject({ authorization: undefined });
  });

  test("that can't be met", () => {
    for (const challenge of ["", "Negotiate", 'Bearer service="x"', 'Bearer realm="file:///etc/passwd"'])
      expect(answer(challenge)).toBeUndefined();
    expect(answer('Basic realm="r"', { username: "a", password: "" })).toBeUndefined();
    expect(() => answer('Bearer realm="http://auth.test/token"')).toThrow("it wants the login sent to http://auth.test, without TLS");
  });

  test("the token of a reply", () => {
    expect(['{"token":"t"}', '{"access_token":"u"}', '{"token":1}', "{", "[]"].map(bearerOf)).toEqual([
      "Bearer t",
      "Bearer u",
      undefined,
      undefined,
      undefined,
    ]);
  });
});
