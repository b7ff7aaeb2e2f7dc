import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { type Base, showBase } from "../../../src/catalog/base.ts";
import { bootstrapNeeds, charmBaseImage, controllerImages, readJuju, seriesOf, showImage } from "../../../src/catalog/bootstrap.ts";
import { type AgentKey, type BootstrapSource, type Cloud, checkBootstrap, type FoundSnap } from "../../../src/catalog/bootstrapcheck.ts";
import type { Package } from "../../../src/catalog/package.ts";
import { pathOfReference } from "../../../src/catalog/registry.ts";

/** Everything by a key, so that any one can be taken away. */
interface Stock {
  readonly agents: AgentKey[];
  readonly charms: Set<string>;
  readonly snaps: Map<string, FoundSnap>;
  readonly images: Set<string>;
  cloudImages: number;
}

function sourceOf({ agents, charms, snaps, images, cloudImages }: Stock): BootstrapSource {
  const split = [...images].map((image) => /^(.*):([^ ]*) (.*)$/.exec(image)?.slice(1) as [string, string, string]);
  return {
    agents: async () => agents,
    hasAgent: async (agent) => agents.includes(agent),
    hasCharm: async (name, channel, base) => charms.has(`${name} ${channel} ${showBase(base)}`),
    findSnap: async (name, channel, architecture) => snaps.get(`${name} ${channel} ${architecture}`),
    repositories: async () => [...new Set(split.map(([repository]) => repository))],
    tags: async (name) => split.filter(([repository]) => repository === name).map(([, tag]) => tag),
    hasImage: async (repository, tag, architecture) => images.has(`${repository}:${tag} ${architecture}`),
    cloudImages: async () => cloudImages,
  };
}

/** The charm of controllers with releases for these architectures, and a charm that runs in a base of its own on Kubernetes. */
function packagesOf(channel: string | undefined, architectures: readonly string[]): Package[] {
  const release = (base: Base, of: string) => ({ channel: of, base, revision: 1 });
  const bases = architectures.map((architecture) => ({ name: "ubuntu", channel: "24.04", architecture }));
  const image = { revisions: [{ image: { reference: "r/i:1", path: "i" } }] };
  const packages = [
    ...(channel === undefined ? [] : [{ name: "juju-controller", releases: bases.map((base) => release(base, channel)), resources: [] }]),
    {
      name: "kafka-k8s",
      releases: [release({ name: "ubuntu", channel: "20.04", architecture: "amd64" }, "latest/stable")],
      resources: [image],
    },
    {
      name: "machine-charm",
      releases: [release({ name: "ubuntu", channel: "18.04", architecture: "amd64" }, "latest/stable")],
      resources: [],
    },
  ];
  return packages as unknown as Package[];
}

function fullStock(text: string, architectures: readonly string[]): Stock {
  const version = readJuju(text);
  const { charm, snaps, imageRepository } = bootstrapNeeds(version);
  const images = [...controllerImages(version).map(showImage), showImage(charmBaseImage({ name: "ubuntu", channel: "20.04" }))];
  const on = <T>(what: (architecture: string) => readonly T[]) => architectures.flatMap(what);
  return {
    agents: on((architecture) => [{ version: text, architecture }]),
    charms: new Set(
      on((architecture) =>
        (charm?.systems ?? []).map((system) => `juju-controller ${charm?.channel} ${showBase({ ...system, architecture })}`),
      ),
    ),
    snaps: new Map(
      on((architecture): [string, FoundSnap][] => [
        ...snaps.map(({ name, channel }): [string, FoundSnap] => [
          `${name} ${channel} ${architecture}`,
          name === "snapd" ? { type: "snapd" } : name === "core" ? { type: "os" } : { type: "app", base: "core20" },
        ]),
        ...(snaps.length > 2 ? [[`core20 latest/stable ${architecture}`, { type: "base" }] satisfies [string, FoundSnap]] : []),
      ]),
    ),
    images: new Set(on((architecture) => images.map((image) => `${pathOfReference(imageRepository)}/${image} ${architecture}`))),
    cloudImages: 1,
  };
}

const VERSIONS = ["2.9.42", "2.9.57", "3.1.8", "3.6.11", "3.6.28", "4.0.15", "4.1-beta2", "4.1.0"];
const wish = fc.record({
  version: fc.constantFrom(...VERSIONS),
  exact: fc.boolean(),
  architectures: fc.constantFrom<string[][]>(["amd64"], ["amd64", "arm64"]),
  cloud: fc.constantFrom<(Cloud | undefined)[]>(undefined, "lxd", "openstack", "k8s"),
});
type Wish = typeof wish extends fc.Arbitrary<infer T> ? T : never;

async function check(stock: Stock, { version, exact, architectures, cloud }: Wish) {
  const juju = exact ? version : seriesOf(readJuju(version));
  const packages = packagesOf(bootstrapNeeds(readJuju(version)).charm?.channel, architectures);
  const results = await checkBootstrap({ juju, cloud, packages }, sourceOf(stock));
  return results.flatMap((result) => ("next" in result ? [result] : []));
}

describe("a bootstrap", () => {
  test("with everything lacks nothing, for whatever version, architectures and cloud", async () => {
    await fc.assert(fc.asyncProperty(wish, async (one) => expect(await check(fullStock(one.version, one.architectures), one)).toEqual([])));
  });

  test("without any one thing is told exactly that, where that cloud needs it, with the line that brings it", async () => {
    await fc.assert(
      fc.asyncProperty(wish, fc.nat(), async (one, n) => {
        const stock = fullStock(one.version, one.architectures);
        const things: [kind: "agents" | "charms" | "snaps" | "images" | "cloudImages", names: string[], take: () => void][] = [
          ...stock.agents.map((agent): (typeof things)[number] => [
            "agents",
            [agent.version, ...(one.architectures.length > 1 ? [agent.architecture] : [])],
            () => stock.agents.splice(stock.agents.indexOf(agent), 1),
          ]),
          ...[...stock.charms].map((key): (typeof things)[number] => ["charms", key.split(" "), () => stock.charms.delete(key)]),
          ...[...stock.snaps.keys()].map((key): (typeof things)[number] => ["snaps", key.split(" "), () => stock.snaps.delete(key)]),
          ...[...stock.images].map((key): (typeof things)[number] => ["images", key.split(" "), () => stock.images.delete(key)]),
          ["cloudImages", ["system image"], () => (stock.cloudImages = 0)],
        ];
        const [kind, names, take] = things[n % things.length] as (typeof things)[number];
        take();
        const findings = await check(stock, one);
        const machines = one.cloud !== "k8s";
        const needed = {
          // Without the charm of controllers nothing else tells for which architectures agents should be there.
          agents: machines && (one.architectures.length === 1 || !one.version.startsWith("2.")),
          snaps: machines,
          charms: true,
          images: one.cloud === undefined || !machines,
          cloudImages: one.cloud === "openstack",
        };
        expect(findings).toHaveLength(needed[kind] ? 1 : 0);
        for (const { what, next, sure } of findings) {
          for (const name of names) expect(what).toContain(name);
          const own = /essentials: \{juju: "[\d.]+(-beta2)?"\}$|(snaps|images): \[.*\]$|image-metadata=@/.exec(next);
          expect(own).not.toBeNull();
          expect(sure).toBe(names[0] === "jujud" ? "likely" : "certain");
        }
      }),
      { numRuns: 400 },
    );
  });

  test("of a store with the controller's charm alone is told all else", async () => {
    const stock = { ...fullStock("3.6.28", ["amd64"]), agents: [], snaps: new Map(), images: new Set<string>() };
    expect(
      (await check(stock, { version: "3.6.28", exact: false, architectures: ["amd64"], cloud: undefined })).map(({ what }) => what),
    ).toEqual([
      "no agent of Juju 3.6 is stored, without which no machine becomes a controller",
      "the snap juju-db is not stored in 4.4.30/stable for amd64",
      "the snap core is not stored in latest/stable for amd64",
      "the snap snapd is not stored in latest/stable for amd64",
      "no image of a controller of Juju 3.6 is stored, without which none starts on Kubernetes",
    ]);
    const exact = await check(stock, { version: "3.6.28", exact: true, architectures: ["amd64"], cloud: "k8s" });
    expect(exact.map(({ what }) => what)).toEqual([
      "the image juju/jujud-operator:3.6.28 is not stored for amd64; it is of controller and agents",
      "the image juju/juju-db:4.4.30 is not stored for amd64; it is of its database",
      "the image juju/charm-base:ubuntu-24.04 is not stored for amd64; it is of the charm of the controller",
      "the image juju/charm-base:ubuntu-20.04 is not stored for amd64; it is of the charm kafka-k8s",
    ]);
    expect(exact.at(-1)?.next).toEndWith('images: ["ghcr.io/juju/charm-base:ubuntu-20.04"]');
  });

  test("means the newest patch that is stored, and needs what that one does", async () => {
    const stock = fullStock("3.6.11", ["amd64"]);
    stock.agents.push({ version: "3.5.99", architecture: "amd64" });
    const one = { version: "3.6.11", exact: false, architectures: ["amd64"], cloud: undefined };
    expect(await check(stock, one)).toEqual([]);
    stock.agents.push({ version: "3.6.28", architecture: "amd64" });
    const findings = await check(stock, one);
    expect(findings.map(({ what }) => what).join()).toContain("juju-db is not stored in 4.4.30/stable");
    expect(findings.map(({ what }) => what).join()).toContain("juju/jujud-operator:3.6.28 is not stored");
  });
});
