import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "../../../src/errors.ts";
import {
  charmsOfBundle,
  type ExportRequest,
  type PackageRequest,
  readSelection,
  readSiteFile,
  type Selection,
  type SnapRequest,
} from "../../../src/export/sitefile.ts";
import { longTest } from "../../thorough.ts";

const NOBLE = { name: "ubuntu", channel: "24.04" };
const FOCAL = { name: "ubuntu", channel: "20.04" };

/** `kafka 3/stable,3/edge 22.04 amd64,arm64 r195 image=12 image:sub/path` */
function showPackage({ name, channels, systems, architectures, revision, resources, paths }: PackageRequest): string {
  const where = systems === "all" ? "all" : systems.map((one) => (one.name === "ubuntu" ? one.channel : `${one.name}@${one.channel}`));
  return [
    name,
    String(channels) || "-",
    String(where),
    String(architectures),
    ...(revision === undefined ? [] : [`r${revision}`]),
    ...Object.entries(resources).map(([resource, pin]) => `${resource}=${pin}`),
    ...Object.entries(paths).map(([resource, path]) => `${resource}:${path}`),
  ].join(" ");
}

/** `charmed-kafka 3/stable amd64 r34` */
function showSnap({ name, channels, architectures, revision }: SnapRequest): string {
  return [name, String(channels) || "-", String(architectures), ...(revision === undefined ? [] : [`r${revision}`])].join(" ");
}

function shown({ charms, bundles, snaps }: ExportRequest): string[] {
  return [
    ...charms.map((one) => `charm ${showPackage(one)}`),
    ...bundles.map((one) => `bundle ${showPackage(one)}`),
    ...snaps.map((one) => `snap ${showSnap(one)}`),
  ];
}

function read(text: string, given: Selection = {}): string[] {
  return shown(readSiteFile(text, "site.yaml", given));
}

function complaint(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof Failure) return `${error.kind}: ${error.message}`;
    throw error;
  }
  return "no complaint";
}

describe("what is documented elsewhere", () => {
  test("the charms.yaml", () => {
    const text = `applications:
  postgresql:
    charm: postgresql-k8s
    series: kubernetes
    channel: latest/stable
    resources:
      postgresql-image: postgres:local-image
  kafka:
    charm: kafka-k8s
`;
    expect(read(text)).toEqual([
      "charm postgresql-k8s latest/stable 22.04 amd64 postgresql-image:postgres:local-image",
      "charm kafka-k8s - 22.04 amd64",
    ]);
  });

  test("the snaps.yaml", () => {
    const text = `packages:
  - name: charmed-postgresql
    revision: 96
    push_channel: chp_14/edge
  - name: charmed-mysql
    revision: 97
    push_channel: 8.0/edge
`;
    expect(read(text)).toEqual(["snap charmed-postgresql chp_14/edge amd64 r96", "snap charmed-mysql 8.0/edge amd64 r97"]);
  });

  test("a real bundle", () => {
    const text = readFileSync(join(import.meta.dir, "../../fixtures/bundles/cos-lite/bundle.yaml"), "utf8");
    const names = ["traefik", "alertmanager", "prometheus", "grafana", "catalogue", "loki"];
    expect(read(text)).toEqual(names.map((name) => `charm ${name}-k8s 1/stable 22.04 amd64`));
  });
});

describe("what chp inventory --manifest writes", () => {
  const entry = (text: string) => readSiteFile(`charms: [{name: a, revision: 7, ${text}}]`, "site.yaml").charms[0];

  test("a revision in no channel", () => {
    expect(entry("channels: none")).toMatchObject({ revision: 7, channels: [], isUnreleased: true });
    expect(entry("channel: [none]")).toMatchObject({ isUnreleased: true });
    expect(entry("channels: [none/stable]")).toMatchObject({ channels: ["none/stable"] });
    expect(entry("channels: [14/stable]")).not.toHaveProperty("isUnreleased");
    expect(readSiteFile("snaps: [{name: a, revision: 7, channels: none}]", "site.yaml").snaps).toMatchObject([
      { revision: 7, channels: [] },
    ]);
  });

  test("resources with a revision, a path, both, or none", () => {
    const text =
      "resources: {a: 3, b: team/b:1, c: {revision: 4}, d: {path: team/d:1}, e: {revision: 5, path: team/e:1}, f: {revision: none}}";
    expect(entry(text)).toMatchObject({
      resources: { a: 3, c: 4, e: 5 },
      paths: { b: "team/b:1", d: "team/d:1", e: "team/e:1" },
      absentResources: ["f"],
    });
    expect(entry("resources: {a: 3}")).not.toHaveProperty("absentResources");
  });

  // 3,000 entries of YAML take two seconds.
  longTest("a large store", () => {
    const lines = Array.from(
      { length: 3000 },
      (_, i) =>
        `  - name: charm${i}\n    revision: ${i}\n    channels:\n      - 14/stable\n    bases:\n      - ubuntu@24.04\n    architectures:\n      - amd64\n    resources:\n      a: 1\n`,
    );
    expect(readSiteFile(`charms:\n${lines.join("")}`, "site.yaml").charms).toHaveLength(3000);
  });

  test("bases of its own", () => {
    expect(entry("bases: [ubuntu@24.04]")).toMatchObject({ needsSystems: true });
    expect(readSiteFile("bases: [ubuntu@24.04]\ncharms: [a]", "site.yaml").charms[0]).not.toHaveProperty("needsSystems");
  });
});

describe("a bundle", () => {
  test.each<[string, string, string[]]>([
    [
      "keys that are none of ours",
      "relations: [[a, b]]\nsaas: {}\nvariables: {x: 1}\napplications: {a: {charm: a, num_units: 3, options: {o: 1}}}",
      ["charm a - 22.04 amd64"],
    ],
    ["services", "services: {a: {charm: a}}", ["charm a - 22.04 amd64"]],
    ["both", "services: {a: {charm: a}}\napplications: {b: {charm: b}}", ["charm a - 22.04 amd64", "charm b - 22.04 amd64"]],
    ["a default base", "default-base: ubuntu@24.04/stable\napplications: {a: {charm: a}}", ["charm a - 24.04 amd64"]],
    [
      "a series for all",
      "series: focal\napplications: {a: {charm: a}, b: {charm: b, series: noble}}",
      ["charm a - 20.04 amd64", "charm b - 24.04 amd64"],
    ],
    ["a base before its series", "applications: {a: {charm: a, base: ubuntu@24.04, series: focal}}", ["charm a - 24.04 amd64"]],
    ["an interim release", "applications: {a: {charm: a, series: mantic}}", ["charm a - 23.10 amd64"]],
    [
      "what its machine runs",
      "series: focal\nmachines: {'0': {series: noble}, '1': {base: ubuntu@18.04}, '2':}\napplications: {a: {charm: a, to: [0]}, b: {charm: b, to: ['lxd:1']}, c: {charm: c, to: [2]}, d: {charm: d, to: ['lxd:a/0']}, e: {charm: e, series: jammy, to: 0}}",
      ["charm a - 24.04 amd64", "charm b - 18.04 amd64", "charm c - 20.04 amd64", "charm d - 20.04 amd64", "charm e - 22.04 amd64"],
    ],
    [
      "a constraint",
      "applications: {a: {charm: a, constraints: mem=4G arch=arm64 cores=2}, b: {charm: b, constraints: xarch=x}}",
      ["charm a - 22.04 arm64", "charm b - 22.04 amd64"],
    ],
    [
      "references in full",
      "applications: {a: {charm: 'ch:amd64/jammy/a-12'}, b: {charm: 'ch:b'}, c: {charm: 'cs:~user/c-3'}}",
      ["charm a - 22.04 amd64", "charm b - 22.04 amd64", "charm c - 22.04 amd64"],
    ],
    [
      "revisions and resources by number",
      "applications: {a: {charm: a, channel: 14/edge, revision: 20, resources: {image: 7, data: ./data.tgz}}}",
      ["charm a 14/edge 22.04 amd64 r20 image=7 data:./data.tgz"],
    ],
    ["keys without a value", "default-base:\napplications: {a: {charm: a, channel: , base: , revision: }}", ["charm a - 22.04 amd64"]],
    [
      "numbers that are text",
      "applications: {a: {charm: a, channel: 3.10}, b: {charm: b, channel: 1.20/edge}}",
      ["charm a 3.10 22.04 amd64", "charm b 1.20/edge 22.04 amd64"],
    ],
    [
      "one charm, twice",
      "applications: {a: {charm: x, channel: edge}, b: {charm: x}}",
      ["charm x edge 22.04 amd64", "charm x - 22.04 amd64"],
    ],
    [
      "and what a site has",
      "applications: {a: {charm: a}}\nsnaps: [core22]\nbundles: [b]",
      ["charm a - 22.04 amd64", "bundle b - 22.04 amd64", "snap core22 - amd64"],
    ],
  ])("with %s", (_, text, wishes) => {
    expect(read(text)).toEqual(wishes);
  });

  test("with overlays", () => {
    const text = `---
applications:
  a: {charm: a, channel: 1/stable, resources: {image: 3}}
  b: {charm: b}
---
applications:
  a: {channel: 2/edge}
  b:
  c: {charm: c, base: ubuntu@24.04}
---
`;
    expect(read(text)).toEqual(["charm a 2/edge 22.04 amd64 image=3", "charm c - 24.04 amd64"]);
  });

  test("with charms of one's own, which are named and left out", () => {
    const { charms, notes } = readSiteFile("applications: {a: {charm: ./a.charm}, b: {charm: 'local:b'}, c: {charm: c}}", "b.yaml");
    expect(charms.map((one) => one.name)).toEqual(["c"]);
    expect(notes).toEqual([
      "b.yaml: applications.a: ./a.charm is a charm of yours, not of a store; chp import imports it where it is built",
      "b.yaml: applications.b: local:b is a charm of yours, not of a store; chp import imports it where it is built",
    ]);
  });

  test("that came from a store: its own word, then that of who wished for it", () => {
    const wish = { name: "stack", channels: [], systems: [NOBLE], architectures: ["arm64"], resources: {}, paths: {} };
    const inside = (text: string) => charmsOfBundle(text, "bundle.yaml of stack", wish, "bundle stack 3 names it");
    const { charms } = inside("applications: {a: {charm: a}, b: {charm: b, base: ubuntu@20.04}, c: {charm: c, constraints: arch=amd64}}");
    expect(charms.map(showPackage)).toEqual(["a - 24.04 arm64", "b - 20.04 arm64", "c - 24.04 amd64"]);
    expect(charms.map((one) => one.reason)).toEqual(Array(3).fill("bundle stack 3 names it"));
    expect(inside("series: focal\napplications: {a: {charm: a, channel: edge}}").charms.map(showPackage)).toEqual(["a edge 20.04 arm64"]);
  });
});

describe("a site", () => {
  test("that says everything", () => {
    const text = `architectures: [amd64, arm64]
bases: [ubuntu@24.04, "22.04"]
channel: 3/stable
charms:
  - postgresql-k8s
  - name: kafka
    channels: [3/stable, 3/edge]
    base: focal
    arch: amd64
    revision: 195
    resources: {kafka-image: 12, other: sub/path}
  - {name: all-of-it, channels: all, bases: all}
bundles:
  - cos-lite
  - {name: stack, channel: edge, series: noble}
snaps:
  - jq
  - {name: charmed-kafka, revision: 34, channel: 3/stable}
  - {name: lone, revision: 5}
  - {name: mirror, channels: all, architectures: [armhf]}
without: [likely, snapd]
`;
    const wish = readSiteFile(text, "site.yaml");
    expect(shown(wish)).toEqual([
      "charm postgresql-k8s 3/stable 24.04,22.04 amd64,arm64",
      "charm kafka 3/stable,3/edge 20.04 amd64 r195 kafka-image=12 other:sub/path",
      "charm all-of-it all all amd64,arm64",
      "bundle cos-lite 3/stable 24.04,22.04 amd64,arm64",
      "bundle stack edge 24.04 amd64,arm64",
      "snap jq 3/stable amd64,arm64",
      "snap charmed-kafka 3/stable amd64,arm64 r34",
      "snap lone - amd64,arm64 r5",
      "snap mirror all armhf",
    ]);
    expect(wish.without).toEqual(["likely", "snapd"]);
    expect(wish.images).toEqual({ references: [], architectures: ["amd64", "arm64"] });
  });

  test("that names images, of the architectures of the site and of its entries", () => {
    const { images } = readSiteFile(
      "arch: arm64\ncharms: [{name: a, arch: s390x}]\nimages: [busybox, r.test/a:1, docker.io/library/busybox:latest]",
      "site.yaml",
    );
    expect(images).toEqual({ references: ["docker.io/library/busybox:latest", "r.test/a:1"], architectures: ["arm64", "s390x"] });
    expect(readSiteFile("images: r.test/a:1", "site.yaml").images?.references).toEqual(["r.test/a:1"]);
  });

  test("in JSON, and one word in place of a list", () => {
    expect(read(JSON.stringify({ charms: [{ name: "a", channel: "3.10/stable", revision: 7 }], bases: "all" }))).toEqual([
      "charm a 3.10/stable all amd64 r7",
    ]);
  });

  test.each<[string, string[], string[]]>([
    ["2.9", [], ["juju-db 4.4/stable", "juju-db 4.4.30/stable", "core latest/stable", "snapd latest/stable"]],
    ["3.6.11", ["3.6/stable"], ["juju-db 4.4/stable", "core latest/stable", "snapd latest/stable"]],
    ["3.6", ["3.6/stable"], ["juju-db 4.4.30/stable", "core latest/stable", "snapd latest/stable"]],
    ["3.10", ["3.10/stable"], ["juju-db 4.4.30/stable", "core latest/stable", "snapd latest/stable"]],
    ["4.0.15", ["4.0/stable"], ["core latest/stable", "snapd latest/stable"]],
  ])("with what Juju %s needs", (juju, controller, snaps) => {
    const wish = readSiteFile(`architectures: arm64\nbases: focal\nessentials: {juju: ${juju}}`, "site.yaml");
    expect(wish.charms.map(showPackage)).toEqual(controller.map((channel) => `juju-controller ${channel} 24.04,22.04 arm64`));
    expect(wish.snaps.map(showSnap)).toEqual(snaps.map((one) => `${one} arm64`));
    for (const one of [...wish.charms, ...wish.snaps]) expect(one.reason).toContain(`Juju ${juju}`);
  });
});

describe("what is given on the command line", () => {
  const given = readSelection({ channel: ["edge"], arch: ["arm64"], base: ["ubuntu@20.04"] }, "the command line");

  test("stands over the file, and below its entries", () => {
    expect(given).toEqual({ channels: ["edge"], systems: [FOCAL], architectures: ["arm64"] });
    expect(
      read("arch: amd64\nbase: noble\nchannel: stable\ncharms: [a, {name: b, channel: 2, base: jammy, arch: s390x}]\nsnaps: [c]", given),
    ).toEqual(["charm a edge 20.04 arm64", "charm b 2 22.04 s390x", "snap c edge arm64"]);
    expect(read("series: noble\napplications: {a: {charm: a}, b: {charm: b, series: jammy}}", given)).toEqual([
      "charm a edge 20.04 arm64",
      "charm b edge 22.04 arm64",
    ]);
  });

  test("is nothing where nothing is given", () => {
    expect(readSelection({ channel: undefined, series: undefined }, "x")).toEqual({});
    expect(readSelection({ channel: ["3/edge", "all"], bases: ["all"] }, "x")).toEqual({ channels: "all", systems: "all" });
  });

  test.each<[Parameters<typeof readSelection>[0], string]>([
    [{ channel: ["1/2/3"] }, "usage: the command line: 1/2/3 is not a channel"],
    [{ arch: ["x86_64"] }, "usage: the command line: x86_64 is not an architecture"],
    [{ base: ["jamy"] }, "usage: the command line: jamy is neither a base like ubuntu@24.04 nor a series like jammy"],
    [{ base: ["ubuntu@"] }, "usage: the command line: ubuntu@ is neither a base like ubuntu@24.04 nor a series like jammy"],
  ])("%j is refused", (place, text) => {
    expect(complaint(() => readSelection(place, "the command line"))).toBe(text);
  });
});

describe("what is wrong is named by entry and field", () => {
  test.each<[string, string]>([
    ["", "it names nothing to export"],
    ["charms: []", "it names nothing to export"],
    ["[a, b]", "it is not a map of keys to what they say"],
    ["a word", "it is not a map of keys to what they say"],
    ["charms: [a]\n---\nsnaps: [b]", "it has several documents, which only a bundle with overlays has"],
    ["charm: [a]", "unknown key charm"],
    ["charms: a", "charms is not a list"],
    ["charms: [{nam: a}]", "charms.0: name is missing"],
    ["charms: [a, {name: b, chanel: edge}]", "charms.1: unknown key chanel of b"],
    ["charms: [{name: a, resources: [3]}]", "charms.0: resources is not a map by name"],
    ["charms: [{name: a, resources: {image: {revision: x}}}]", "charms.0: resources: x is neither a revision nor none"],
    ["charms: [{name: a, resources: {image: {version: 3}}}]", "charms.0: resources.image is neither a word nor a map of revision and path"],
    ["charms: [{name: a, channels: none}]", "charms.0: channels: none is for a revision, which it does not name"],
    ["snaps: [{name: a, channel: none}]", "snaps.0: channels: none is for a revision, which it does not name"],
    ["charms: [{name: a, resources: {image: [3]}}]", "charms.0: resources.image is neither a word nor a map of revision and path"],
    ["charms: [[a]]", "charms.0: name is missing"],
    ["charms: [{name: a, revision: x1}]", "charms.0: revision is not a whole number"],
    ["charms: [{name: a, channels: {}}]", "charms.0: channels is neither a word nor a list of words"],
    ["charms: [{name: a, channels: []}]", "charms.0: channels is empty"],
    ["charms: [{name: a, channel: a/b}]", "charms.0: a/b is not a channel"],
    ["charms: [{name: a, base: lucid}]", "charms.0: lucid is neither a base like ubuntu@24.04 nor a series like jammy"],
    ["charms: [{name: a, arch: vax}]", "charms.0: vax is not an architecture"],
    ["charms: [../a]", "charms.0: ../a is not a name of a charm, bundle or snap"],
    ["snaps: [{name: a, push_chanel: edge}]", "snaps.0: unknown key push_chanel of a"],
    ["packages: [{name: a, revision: 1.5}]", "packages.0: revision is not a whole number"],
    ["bundles: [{name: a, revision: }]", "bundles.0: revision is not a whole number"],
    ["essentials: {juju: latest}", "essentials.juju is not a version of Juju, like 3.6"],
    ["images: [r.test/A]", "images: r.test/A is not the reference of an image, like ghcr.io/juju/jujud-operator:3.6.11"],
    ["images: [{a: b}]", "images is neither a word nor a list of words"],
    ["essentials: {lxd: 5}", "essentials.juju is missing"],
    ["agents: 3.6", "agents is not a list"],
    ["agents: [newest]", "agents.0: version is not a version of Juju, like 3.6"],
    ["agents: [{version: 3.6, base: jammy}]", "agents.0: unknown key base"],
    ["agents: [{version: 3.6, arch: vax}]", "agents.0: vax is not an architecture"],
    [
      "charms: [a]\nwithout: [everything]",
      "without: unknown addition everything; it takes bundle-charms, charm-snaps, likely, bases, providers, snapd, images, charm-images, file-images, agents",
    ],
    ["applications: [a]", "applications is not a map by name"],
    ["applications: {a: {chram: a}}", "applications.a: charm is missing"],
    ["applications: {a: {charm: a, channel: [x, {}]}}", "applications.a: channel is neither a word nor a list of words"],
    [
      "applications: {a: {charm: a, series: centos7}}",
      "applications.a: centos7 is neither a base like ubuntu@24.04 nor a series like jammy",
    ],
    ["applications: {a: {charm: a, constraints: arch=vax}}", "applications.a: vax is not an architecture"],
    ["series: lucid\napplications: {a: {charm: a}}", "lucid is neither a base like ubuntu@24.04 nor a series like jammy"],
  ])("%j", (text, what) => {
    expect(complaint(() => readSiteFile(text, "site.yaml"))).toBe(`usage: site.yaml: ${what}`);
  });

  test("and so is what is no YAML", () => {
    expect(complaint(() => readSiteFile("charms: [a", "site.yaml"))).toStartWith("refused: site.yaml cannot be read: ");
  });

  test("names that stand for other things in the language that reads them", () => {
    expect(read("applications: {constructor: {charm: constructor}, __proto__: {charm: a}, toString: {charm: b}}")).toEqual([
      "charm constructor - 22.04 amd64",
      "charm a - 22.04 amd64",
      "charm b - 22.04 amd64",
    ]);
  });
});
