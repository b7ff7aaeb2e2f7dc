import { describe, expect, test } from "bun:test";
import { CANONICAL_ROOTS } from "../../../src/assertions/verify.ts";
import { checkUrl, findSetting, SETTINGS } from "../../../src/settings/config.ts";

const check = (key: string, text: string) => findSetting(key).check(text);

test("a count lies between its bounds, both included", () => {
  for (const text of ["1", "32"]) expect(check("remote-import.max-parallel", text)).toBe(text);
  for (const text of ["0", "99999999", "-1", "1.5", "", "many", "1e3"])
    expect(() => check("remote-import.max-parallel", text)).toThrow(/ is not a number from \d+ to \d+$/);
});

describe("a URL", () => {
  test.each([
    ["http://hub.lan", "http://hub.lan"],
    ["https://hub.lan:8443/", "https://hub.lan:8443"],
    ["http://hub.lan/chp//", "http://hub.lan/chp"],
    ["HTTP://HUB.lan", "http://hub.lan"],
  ])("%s is kept as %s", (text, kept) => {
    expect(checkUrl(text)).toBe(kept);
  });

  test.each([
    ["http://hub.lan/?a", "http://hub.lan… has a query, a fragment or a user in it"],
    ["http://hub.lan/#a", "http://hub.lan… has a query, a fragment or a user in it"],
    ["http://me@hub.lan/", "http://hub.lan… has a query, a fragment or a user in it"],
    ["http://me:secret@hub.lan/", "http://hub.lan… has a query, a fragment or a user in it"],
    ["ftp://hub.lan", "ftp://hub.lan is not a URL that begins with http:// or https://"],
    ["hub.lan", "hub.lan is not a URL that begins with http:// or https://"],
  ])("%s is none", (text, why) => {
    expect(() => checkUrl(text)).toThrow(why);
  });
});

test("roots are kept with the newline at their end, whether they came with it or not", () => {
  const text = CANONICAL_ROOTS.map((root) => root.text).join("\n");
  const kept = check("trusted-roots", text.trimEnd());
  expect(kept).toEndWith("\n");
  expect(check("trusted-roots", kept)).toBe(kept);
});

test("the settings have these names, which operators wrote into their scripts", () => {
  const names =
    "listen tls-listen tls-cert tls-key public-url web idle-timeout max-connections-per-address remote-import.max-size remote-import.max-seconds remote-import.max-parallel store-quota proxy.tls.cert registry registry.push registry.push.max-size proxy.oci-registry.domain proxy.oci-registry.username proxy.oci-registry.password image-metadata trusted-roots streams-keys accepted-keys store-key";
  expect(SETTINGS.map(({ key }) => key)).toEqual(expect.arrayContaining(names.split(" ")));
});
