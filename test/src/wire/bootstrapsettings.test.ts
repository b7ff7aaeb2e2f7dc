import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { bootstrapNeeds, readJuju } from "../../../src/catalog/bootstrap.ts";
import { CLOUDS, type Cloud } from "../../../src/catalog/bootstrapcheck.ts";
import type { CloudImage } from "../../../src/catalog/cloudimage.ts";
import { BOOTSTRAP_KEYS, type BootstrapFacts, bootstrapSettings } from "../../../src/wire/bootstrapsettings.ts";

const IMAGE = { id: "a", region: "R", endpoint: "https://k/v3" } as unknown as CloudImage;
const FULL: BootstrapFacts = {
  url: "https://hub.lan:8443",
  version: readJuju("3.6"),
  cloud: undefined,
  agents: [{ version: "3.6.11", architecture: "amd64" }],
  operators: [
    { repository: "jujusolutions", tag: "2.9.42" },
    { repository: "juju", tag: "3.6.11" },
  ],
  cloudImages: [IMAGE],
  login: { username: "", password: "" },
};

const textOf = (facts: BootstrapFacts) =>
  bootstrapSettings(facts)
    .lines.flatMap(({ text }) => text ?? [])
    .join("\n");
const omittedOf = (facts: BootstrapFacts) => bootstrapSettings(facts).lines.flatMap(({ omitted }) => omitted ?? []);

describe("the settings of a bootstrap", () => {
  test.each<[Cloud | undefined, string[]]>([
    ["lxd", ["agent-metadata-url"]],
    ["openstack", ["agent-metadata-url", "image-metadata-url", "image-metadata-defaults-disabled"]],
    ["k8s", ["caas-image-repo"]],
    [undefined, ["agent-metadata-url", "caas-image-repo"]],
  ])("on %s are those that such a cloud needs", (cloud, keys) => {
    const { values } = bootstrapSettings({ ...FULL, cloud });
    expect([...values.keys()]).toEqual(keys.filter((key) => !key.endsWith("-disabled")) as never);
    expect(Object.keys(Bun.YAML.parse(textOf({ ...FULL, cloud })) ?? {})).toEqual(keys);
    expect(omittedOf({ ...FULL, cloud })).toEqual([]);
  });

  test("point at what is served, as Juju takes it", () => {
    const parsed = Bun.YAML.parse(textOf({ ...FULL, login: { username: "o'neil", password: "it's: #1" } })) as Record<string, string>;
    expect(parsed["agent-metadata-url"]).toBe("https://hub.lan:8443/juju/tools");
    expect(JSON.parse(parsed["caas-image-repo"] ?? "")).toEqual({
      serveraddress: "https://hub.lan:8443",
      repository: "hub.lan:8443/juju",
      username: "o'neil",
      password: "it's: #1",
    });
    expect(bootstrapSettings({ ...FULL, cloud: "openstack" }).values.get("image-metadata-url")).toBe("https://hub.lan:8443/juju/images");
  });

  test("take the repository of that Juju's own image", () => {
    const repositoryOf = (version: string | undefined) => {
      const facts = { ...FULL, version: version === undefined ? undefined : readJuju(version) };
      const value = bootstrapSettings({ ...facts, cloud: "k8s" }).values.get("caas-image-repo");
      return value === undefined ? undefined : (JSON.parse(value) as { repository: string }).repository;
    };
    expect(["3.6", "3.6.11", "2.9", "2.9.42", "3.6.12", "4.0", "3.60"].map(repositoryOf)).toEqual([
      "hub.lan:8443/juju",
      "hub.lan:8443/juju",
      "hub.lan:8443/jujusolutions",
      "hub.lan:8443/jujusolutions",
      undefined,
      undefined,
      undefined,
    ]);
    expect(repositoryOf(undefined)).toBeDefined();
  });

  test("never name what is not stored, and say each of these once", () => {
    const facts = fc.record({
      url: fc.constantFrom("https://hub.lan", "http://hub.lan:8080", "https://hub.lan/prefix"),
      version: fc.constantFrom(...["3.6", "3.6.11", "4.0"].map(readJuju), undefined),
      cloud: fc.constantFrom<(Cloud | undefined)[]>("lxd", "openstack", "k8s", undefined),
      agents: fc.constantFrom(FULL.agents, []),
      operators: fc.constantFrom(FULL.operators, []),
      cloudImages: fc.constantFrom(FULL.cloudImages, []),
      login: fc.constant(FULL.login),
    });
    fc.assert(
      fc.property(facts, (one) => {
        const { values } = bootstrapSettings(one);
        const parsed = (Bun.YAML.parse(textOf(one)) ?? {}) as Record<string, string>;
        expect(parsed).toEqual({
          ...Object.fromEntries(values),
          ...(one.cloud === "openstack" && { "image-metadata-defaults-disabled": true }),
        } as never);
        const isStored = one.version === undefined || bootstrapNeeds(one.version).version.text.startsWith("3.6");
        const place = one.cloud && CLOUDS[one.cloud];
        const expected = {
          "agent-metadata-url": place === "kubernetes" ? undefined : one.agents.length > 0 && isStored,
          "caas-image-repo": place === "machines" ? undefined : one.operators.length > 0 && isStored && !one.url.endsWith("/prefix"),
          "image-metadata-url": one.cloud === "openstack" ? one.cloudImages.length > 0 : undefined,
        };
        for (const key of BOOTSTRAP_KEYS) {
          expect(values.has(key)).toBe(expected[key] === true);
          expect(omittedOf(one).filter((why) => why.startsWith(`${key} is omitted: `))).toHaveLength(expected[key] === false ? 1 : 0);
        }
      }),
    );
  });

  test("of machines end with the choices of the site, as comments alone", () => {
    const text = textOf({ ...FULL, cloud: "lxd" });
    for (const key of ["apt-mirror", "enable-os-refresh-update", "enable-os-upgrade"]) expect(text).toContain(`\n# ${key}: `);
    expect(textOf({ ...FULL, cloud: "k8s" })).not.toContain("apt-mirror");
  });
});
