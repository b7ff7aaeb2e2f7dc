import { expect, test } from "bun:test";
import { jujuConfig } from "../../../bin/commands/juju-config.ts";

const proxy = (url: string, authority = "canonical") => ({ fitting: { id: "s", url, authority }, why: "it names the public URL" });

test("a store assertion that Canonical signed: the documented file and no more", () => {
  const pem = (text: string) => `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----`;
  expect(
    jujuConfig("https://hub.lan", proxy("https://hub.lan/"), [pem("AAAA"), pem("BBBB")]),
  ).toBe(`# For juju bootstrap and juju add-model, as --config FILE.
cloudinit-userdata: |
  ca-certs:
    trusted:
    - |
      -----BEGIN CERTIFICATE-----
      AAAA
      -----END CERTIFICATE-----
    - |
      -----BEGIN CERTIFICATE-----
      BBBB
      -----END CERTIFICATE-----
charmhub-url: https://hub.lan
snap-store-proxy-url: https://hub.lan
`);
});

// Juju compares host and port with those of the assertion as texts, and asks that host at its root.
test.each([
  ["http://hub.lan", "http://hub.lan:80/", "http://hub.lan:80"],
  ["http://hub.lan", "http://HUB.lan", "http://HUB.lan"],
  ["http://hub.lan:8080/prefix", "http://hub.lan:8080", "http://hub.lan:8080"],
  ["https://hub.lan:8443", "https://hub.lan:8443/prefix/", "https://hub.lan:8443"],
])("for the public URL %s and an assertion for %s", (url, told, wanted) => {
  const config = Bun.YAML.parse(jujuConfig(url, proxy(told), ["x"])) as Record<string, string>;
  expect([config["charmhub-url"], config["snap-store-proxy-url"]]).toEqual([url, wanted]);
});

test("why there is none is a comment, whatever stands in the assertion", () => {
  const text = jujuConfig(
    "http://hub.lan",
    { fitting: undefined, why: "the stored store assertion s is for http://x\ncharmhub-url: evil" },
    [],
  );
  expect((Bun.YAML.parse(text) as Record<string, string>)["charmhub-url"]).toBe("http://hub.lan");
});

test("what is left out is a comment, whatever it says; on Kubernetes nothing is for machines", () => {
  const text = jujuConfig("https://hub.lan", proxy("https://hub.lan"), ["PEM"], {
    cloud: "k8s",
    lines: [{ omitted: "caas-image-repo is omitted: evil\ncharmhub-url: evil" }, { text: "agent-metadata-url: x" }],
  });
  expect(Bun.YAML.parse(text)).toEqual({ "charmhub-url": "https://hub.lan", "agent-metadata-url": "x" });
  expect(text).toContain("# caas-image-repo is omitted: evil");
  expect(text).toContain("chp trust --kubernetes");
});
