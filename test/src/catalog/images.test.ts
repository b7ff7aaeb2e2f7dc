import { describe, expect, test } from "bun:test";
import { type NeededImage, neededImages, shellQuote } from "../../../src/catalog/images.ts";
import { skopeoCredentials, skopeoScript } from "../../../src/catalog/imagescript.ts";
import type { Package } from "../../../src/catalog/package.ts";
import { splitPath } from "../../../src/catalog/registry.ts";

const D = (digit: string) => `sha256:${digit.repeat(64)}`;
const REGISTRY = { domain: "hub.lan:5000", username: "", password: "" };

type Images = Readonly<Record<string, Readonly<Record<number, { reference: string; path: string }>>>>;

function charm(name: string, images: Images): Package {
  const resources = Object.entries(images).map(([resource, revisions]) => ({
    name: resource,
    revisions: Object.entries(revisions).map(([revision, named]) => ({ revision: Number(revision), image: named })),
  }));
  return { name, type: "charm", resources } as unknown as Package;
}

describe("which images are needed", () => {
  test("each is listed once, with every resource revision that names it", () => {
    const one = { reference: `r.example/a/b@${D("1")}`, path: `a/b@${D("1")}` };
    const found = neededImages([charm("x", { i: { 2: one, 1: one } }), charm("y", { i: { 7: one } })], REGISTRY);
    expect(found).toEqual([
      {
        upstream: one.reference,
        path: one.path,
        local: `hub.lan:5000/a/b@${D("1")}`,
        digest: D("1"),
        neededBy: [
          { charm: "x", resource: "i", revision: 1 },
          { charm: "x", resource: "i", revision: 2 },
          { charm: "y", resource: "i", revision: 7 },
        ],
      },
    ]);
  });

  test("one image at two places here is two, and without a registry none has a local name", () => {
    const upstream = `r.example/a/b@${D("1")}`;
    const found = neededImages(
      [charm("x", { i: { 1: { reference: upstream, path: "a/b" } }, j: { 1: { reference: upstream, path: "c:1" } } })],
      undefined,
    );
    expect(found.map(({ path, local, digest }) => [path, local, digest])).toEqual([
      ["a/b", null, D("1")],
      ["c:1", null, D("1")],
    ]);
  });

  test("an image with a tag alone has no digest; a port is no tag", () => {
    const [found] = neededImages([charm("x", { i: { 1: { reference: "r.example:5000/a/b:1.2", path: "a/b:1.2" } } })], REGISTRY);
    expect(found?.digest).toBeNull();
  });
});

test("each image is fetched with the login of its own number", () => {
  const image = (name: string, digit: string) => ({ reference: `r.example/${name}@${D(digit)}`, path: `${name}@${D(digit)}` });
  const images = neededImages([charm("x", { a: { 1: image("a", "1") }, b: { 1: image("b", "2") }, c: { 1: image("c", "3") } })], REGISTRY);
  const loginOf = ({ upstream }: NeededImage) =>
    upstream.includes("/b@") ? undefined : { username: `user of ${upstream}`, password: `it's ${upstream}` };
  const numbers = new Map(
    [...skopeoScript(images, REGISTRY).matchAll(/^ +fetch (\d+) '(\S+)' /gm)].map(([, number = "", upstream = ""]) => [upstream, number]),
  );
  expect(skopeoCredentials(images, loginOf).trimEnd().split("\n")).toEqual(
    images.flatMap((one) => {
      const [login, number] = [loginOf(one), numbers.get(one.upstream)];
      return login
        ? [`export UPSTREAM_USERNAME_${number}=${shellQuote(login.username)} UPSTREAM_PASSWORD_${number}=${shellQuote(login.password)}`]
        : [];
    }),
  );
  expect([...numbers.values()]).toEqual(["1", "2", "3"]);
});

test.each([
  ["a/b", { name: "a/b" }],
  ["a/b:1.2", { name: "a/b", tag: "1.2" }],
  [`a/b@${D("1")}`, { name: "a/b", digest: D("1") }],
  [`a/b:1@${D("1")}`, { name: "a/b", tag: "1", digest: D("1") }],
  ["a:b c", { name: "a:b c" }],
  ["", { name: "" }],
])("the parts of %p", (path, parts) => {
  expect(splitPath(path) as unknown).toEqual(parts);
});

test("a word of the shell stays one", () => {
  expect(shellQuote("a'b")).toBe("'a'\\''b'");
});
