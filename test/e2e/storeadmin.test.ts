/** The `store-admin` command lines of the documents, run by a shell as they are written there, with a served chp as the store outside. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createReadStream, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, delimiter, join } from "node:path";
import { files } from "../../src/archives/archive.ts";
import { isResource } from "../../src/archives/names.ts";
import { base, bundleZip, charmZip, exportOf, imageBlob, type PackageSpec } from "../build.ts";
import { exportOfSnaps, PUBLISHER, SIGNED_ROOT, signed } from "../signedsnaps.ts";
import { COMMAND, type Done, here, type Served, serve, tempFolder } from "./chp.ts";

/* ---- what is outside ---- */

const FOCAL = base("amd64", "20.04");
const JAMMY = base("amd64", "22.04");
const JAMMY_ARM = base("arm64", "22.04");

interface Charm {
  readonly revision: number;
  readonly channel?: string;
  readonly on?: readonly ReturnType<typeof base>[];
  /** name of an image to its revision */
  readonly images?: Readonly<Record<string, number>>;
}

function charm(name: string, { revision, channel = "latest/stable", on = [FOCAL], images = {} }: Charm): PackageSpec {
  const declared = Object.fromEntries(Object.keys(images).map((image) => [image, { type: "oci-image" as const }]));
  const blob = (image: string) => imageBlob(`registry.jujucharms.com/charm/id${name}/${image}@sha256:${"8".repeat(64)}`);
  return {
    name,
    id: `ID${name}`,
    type: "charm",
    publisher: PUBLISHER,
    defaultTrack: channel.split("/")[0] ?? "latest",
    revisions: { [revision]: charmZip({ name, revision, bases: on, resources: declared }) },
    bases: { [revision]: on },
    resources: Object.fromEntries(
      Object.entries(images).map(([image, number]) => [image, { type: "oci-image", revisions: { [number]: blob(image) } }]),
    ),
    releases: on.map((one) => ({ channel, base: one, revision, resources: images })),
  };
}

const COS_LITE = readFileSync(join(import.meta.dir, "../fixtures/bundles/cos-lite/bundle.yaml"), "utf8").replaceAll("1/stable", "stable");

const CHARMHUB: readonly PackageSpec[] = [
  {
    name: "cos-lite",
    id: "IDcos-lite",
    type: "bundle",
    publisher: PUBLISHER,
    defaultTrack: "latest",
    revisions: { 11: bundleZip(COS_LITE) },
    releases: [{ channel: "latest/stable", base: null, revision: 11 }],
  },
  charm("traefik-k8s", { revision: 176, images: { "traefik-image": 160 } }),
  charm("alertmanager-k8s", { revision: 101, images: { "alertmanager-image": 91 } }),
  charm("prometheus-k8s", { revision: 170, images: { "prometheus-image": 139 } }),
  charm("grafana-k8s", { revision: 105, images: { "grafana-image": 68 } }),
  charm("catalogue-k8s", { revision: 33, images: { "catalogue-image": 33 } }),
  charm("loki-k8s", { revision: 124, images: { "loki-image": 91 } }),
  charm("postgresql-k8s", { revision: 20, on: [JAMMY, JAMMY_ARM], images: { "postgresql-image": 19 } }),
  charm("kafka-k8s", { revision: 5, channel: "3/stable", on: [base("amd64", "24.04")] }),
];

const CORE22 = signed({
  name: "core22",
  yaml: { type: "base" },
  revisions: { 22: ["amd64"] },
  channels: { "latest/stable": { amd64: 22 } },
});
const SNAPS = [
  signed({
    name: "charmed-postgresql",
    yaml: { base: "core22" },
    revisions: { 96: ["amd64"], 120: ["amd64"] },
    channels: { "14/stable": { amd64: 120 } },
  }),
  signed({ name: "charmed-mysql", yaml: { base: "core22" }, revisions: { 97: ["amd64"] }, channels: { "8.0/edge": { amd64: 97 } } }),
  signed({
    name: "jq",
    yaml: { base: "core22" },
    revisions: { 6: ["amd64"], 8: ["arm64"], 9: ["amd64"] },
    channels: { "latest/stable": { amd64: 6, arm64: 8 }, "latest/edge": { amd64: 9 } },
  }),
  CORE22,
];

/* ---- the list ---- */

const BAR = `  [${"#".repeat(36)}]  100%`;
const DOWNLOADING = (what: string) => [`Downloading ${what}`, BAR];
const NEAREST = (name: string) => `${name} has no release for ubuntu@22.04 in latest/stable: the one for ubuntu@20.04 amd64 was taken`;

const INSIDE: readonly (readonly [name: string, revision: number, image: string, imageRevision: number])[] = [
  ["traefik-k8s", 176, "traefik-image", 160],
  ["alertmanager-k8s", 101, "alertmanager-image", 91],
  ["prometheus-k8s", 170, "prometheus-image", 139],
  ["grafana-k8s", 105, "grafana-image", 68],
  ["catalogue-k8s", 33, "catalogue-image", 33],
  ["loki-k8s", 124, "loki-image", 91],
];

const COS_LITE_LINES = [
  ...INSIDE.map(([name]) => NEAREST(name)),
  ...DOWNLOADING("cos-lite revision 11 (stable)"),
  ...INSIDE.flatMap(([name, revision]) => [
    ...DOWNLOADING(`${name} revision ${revision} (stable)`),
    ...DOWNLOADING(`resources for ${name}`),
  ]),
];

/** Of the archive that has the name of a charm. */
function treeOf(name: string, revision: number, type: "charm" | "bundle", resources: readonly string[] = []): string[] {
  const inner = [
    `${name}_${revision}.${type}`,
    "metadata.json",
    `${name}_publisher_account.assert`,
    ...resources.map((one) => `resources/${name}.${one}`),
  ];
  return inner.map((one) => `${name}.tar.gz: ${one}`);
}

const OURS = ["export.lock.json", "SHA256SUMS"];
const COS_LITE_TREE = [
  ...treeOf("cos-lite", 11, "bundle"),
  ...INSIDE.flatMap(([name, revision, image, pin]) => treeOf(name, revision, "charm", [`${image}_${pin}`])),
  ...OURS,
];
const SNAP_TREE = (...names: readonly string[]) => [
  ...names.map((one) => `${one}.snap`),
  ...names.map((one) => `${one}.assert`),
  "channel-map.json",
  ...OURS,
];

interface Line {
  readonly line: string;
  readonly code?: number;
  /** stdout, with NAME-TIME.tar.gz for each archive */
  readonly out: readonly string[];
  /** stderr without the hints at its end */
  readonly err: readonly string[];
  /** archive to what it holds, in order */
  readonly trees?: Readonly<Record<string, readonly string[]>>;
  /** what came of it on the other side */
  readonly does?: () => Promise<void>;
}

const DOCUMENTED: readonly Line[] = [
  {
    line: "store-admin export bundle cos-lite --channel=latest/stable --series=kubernetes --arch=amd64",
    out: ["Successfully exported charm bundle cos-lite: HERE/cos-lite-TIME.tar.gz"],
    err: COS_LITE_LINES,
    trees: { "cos-lite": COS_LITE_TREE },
  },
  {
    line: "store-admin export bundle cos-lite",
    out: ["Successfully exported charm bundle cos-lite: HERE/cos-lite-TIME.tar.gz"],
    err: COS_LITE_LINES,
    trees: { "cos-lite": COS_LITE_TREE },
  },
  { line: "store-admin export bundle cos-lite --only-print-yaml=True", out: COS_LITE.trimEnd().split("\n"), err: [] },
  {
    line: "store-admin export charms ./charms.yaml",
    out: ["Successfully exported charms to: HERE/charms-export-TIME.tar.gz"],
    err: [
      "kafka-k8s has no release for ubuntu@22.04 in 3/stable: the one for ubuntu@24.04 amd64 was taken",
      "Overriding postgresql-image with local registry subpath.",
      ...DOWNLOADING("postgresql-k8s revision 20 (latest/stable)"),
      ...DOWNLOADING("resources for postgresql-k8s"),
      ...DOWNLOADING("kafka-k8s revision 5 (3/stable)"),
    ],
    trees: {
      "charms-export": [
        ...treeOf("postgresql-k8s", 20, "charm", ["postgresql-image_19"]),
        ...treeOf("kafka-k8s", 5, "charm"),
        "bundle.yaml",
        ...OURS,
      ],
    },
    does: async () => {
      await imported("charms-export", async (url) => {
        // The path of the override in the registry of the other side; what stood in the blob outside is gone.
        const { results } = await post(`${url}/v2/charms/refresh`, {
          context: [],
          actions: [{ action: "install", "instance-key": "k", name: "postgresql-k8s", channel: "latest/stable", base: JAMMY }],
        });
        const blob = await fetch(results[0]?.charm.resources[0]?.download.url ?? "");
        expect(await blob.json()).toEqual({ ImageName: "registry.lan:5000/postgres:local-image" });
      });
    },
  },
  {
    line: "store-admin export snaps --from-yaml snaps.yaml",
    out: [
      "Successfully exported snaps:",
      "charmed-postgresql: HERE/charmed-postgresql-TIME.tar.gz",
      "charmed-mysql: HERE/charmed-mysql-TIME.tar.gz",
    ],
    err: [
      ...DOWNLOADING("charmed-postgresql revision 96 (chp_14/edge amd64)"),
      ...DOWNLOADING("charmed-mysql revision 97 (8.0/edge amd64)"),
    ],
    trees: { "charmed-postgresql": SNAP_TREE("charmed-postgresql_96"), "charmed-mysql": SNAP_TREE("charmed-mysql_97") },
    does: async () => {
      await imported("charmed-postgresql", async (url) => {
        // The track is created by the push, and the revision can be had by number.
        const { "channel-map": rows } = await (await fetch(`${url}/v2/snaps/info/charmed-postgresql?architecture=amd64`)).json();
        expect(rows).toMatchObject([{ channel: { name: "chp_14/edge" }, revision: 96 }]);
        expect(rows).toHaveLength(1);
        const actions = [{ action: "install", "instance-key": "k", name: "charmed-postgresql", revision: 96 }];
        expect((await post(`${url}/v2/snaps/refresh`, { context: [], actions })).results).toMatchObject([{ snap: { revision: 96 } }]);
      });
    },
  },
];

/** Of the pages that it points to. */
const OTHERS: readonly Line[] = [
  {
    line: "store-admin export bundle cos-lite --series focal",
    out: ["Successfully exported charm bundle cos-lite: HERE/cos-lite-TIME.tar.gz"],
    err: COS_LITE_LINES.filter((one) => !one.includes(" has no release for ")),
    trees: { "cos-lite": COS_LITE_TREE },
  },
  {
    line: "store-admin export snaps jq core22 --channel=stable --arch=amd64 --arch=arm64 --export-dir=out",
    code: 4,
    out: ["Successfully exported snaps:", "jq: HERE/out/jq-TIME.tar.gz", "core22: HERE/out/core22-TIME.tar.gz"],
    err: [
      ...DOWNLOADING("jq revision 6 (latest/stable amd64)"),
      ...DOWNLOADING("jq revision 8 (latest/stable arm64)"),
      "cannot export the snap core22 from stable for arm64: No revision was found in the store.",
      ...DOWNLOADING("core22 revision 22 (latest/stable amd64)"),
    ],
    trees: { "out/jq": SNAP_TREE("jq_6", "jq_8") },
  },
  {
    line: "store-admin export snaps jq --channel=edge",
    out: ["Successfully exported snaps:", "jq: HERE/jq-TIME.tar.gz"],
    err: DOWNLOADING("jq revision 9 (latest/edge amd64)"),
    trees: { jq: SNAP_TREE("jq_9") },
  },
  {
    line: "store-admin export charms charms.yaml --arch arm64 --export-dir out",
    code: 4,
    out: ["Successfully exported charms to: HERE/out/charms-export-TIME.tar.gz"],
    err: [
      "Overriding postgresql-image with local registry subpath.",
      "cannot export kafka-k8s: it has no release in 3/stable for arm64",
      ...DOWNLOADING("postgresql-k8s revision 20 (latest/stable)"),
      ...DOWNLOADING("resources for postgresql-k8s"),
    ],
    trees: { "out/charms-export": [...treeOf("postgresql-k8s", 20, "charm", ["postgresql-image_19"]), "bundle.yaml", ...OURS] },
  },
];

/* ---- how it is run ---- */

const folder = tempFolder();
const at = (...names: string[]) => join(folder.path, ...names);
let served: Served;
/** The folder below HOME where the documented program leaves its archives. */
const EXPORTS = "snap/store-admin/common/export";

beforeAll(async () => {
  for (const name of ["bin", "outside", "out"]) mkdirSync(at(name));
  symlinkSync(COMMAND.at(-1) ?? "", at("bin", "store-admin"));
  writeFileSync(at("outside", "charms.tar.gz"), exportOf(CHARMHUB));
  writeFileSync(at("outside", "snaps.tar.gz"), exportOfSnaps(SNAPS));
  writeFileSync(at("root.assert"), SIGNED_ROOT);
  const done = await here(["import", "--store", at("store"), "--trust", at("root.assert"), at("outside")]);
  expect([done.code, done.err]).toEqual([0, expect.any(String)]);
  served = await serve(at("store"));
  writeFileSync(
    at("charms.yaml"),
    "applications:\n  postgresql:\n    charm: postgresql-k8s\n    series: kubernetes\n    channel: latest/stable\n    resources:\n      postgresql-image: postgres:local-image\n  kafka:\n    charm: kafka-k8s\n",
  );
  writeFileSync(
    at("snaps.yaml"),
    "packages:\n  - name: charmed-postgresql\n    revision: 96\n    push_channel: chp_14/edge\n  - name: charmed-mysql\n    revision: 97\n    push_channel: 8.0/edge\n",
  );
});

afterAll(async () => {
  await served.stop();
  folder[Symbol.dispose]();
});

async function shell(line: string): Promise<Done> {
  const PATH = [at("bin"), process.env["PATH"] ?? ""].join(delimiter);
  const child = Bun.spawn(["bash", "-c", line], {
    cwd: folder.path,
    env: { HOME: folder.path, PATH, CHARMHUB_URL: served.url, CHP_SNAPSTORE_URL: served.url },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
  return { code, out, err };
}

const TIME = /-\d{8}T\d{6}(?=\.tar\.gz)/g;

/** What stands after the documented lines: what to do next. */
const HINTS =
  /^(\d+ container images? (is|are) not in the archive; fetch with: |\S+ holds the store's credentials: |\d\S* \S+; next, |(chp: )?not exported( completely)?: | {2}(run the same|upstream does|its channels))/;

/** The newest archive of that name. */
function archiveOf(name: string): string {
  const [where, stem] = name.includes("/") ? [at("out"), basename(name)] : [at(EXPORTS), name];
  const found = readdirSync(where).filter((one) => one.replace(TIME, "") === `${stem}.tar.gz`);
  return join(where, found.toSorted().at(-1) ?? "");
}

/** Takes the archive in on the other side, and asks what is served there. */
async function imported(name: string, ask: (url: string) => Promise<void>): Promise<void> {
  const inside = tempFolder();
  try {
    const done = await here(["import", "--store", inside.path, "--trust", at("root.assert"), archiveOf(name)]);
    expect([done.code, done.err]).toEqual([0, expect.any(String)]);
    await here(["config", "--store", inside.path, "proxy.oci-registry.domain=registry.lan:5000"]);
    const server = await serve(inside.path);
    try {
      await ask(server.url);
    } finally {
      await server.stop();
    }
  } finally {
    inside[Symbol.dispose]();
  }
}

interface Result {
  readonly charm: { readonly resources: readonly { readonly download: { readonly url: string } }[] };
}

async function post(url: string, body: object): Promise<{ readonly results: readonly Result[] }> {
  const headers = { "Content-Type": "application/json", "Snap-Device-Architecture": "amd64", "Snap-Device-Series": "16" };
  return (await fetch(url, { method: "POST", headers, body: JSON.stringify(body) })).json();
}

async function tree(path: string): Promise<string[]> {
  const found: string[] = [];
  for await (const file of files({ name: "archive", chunks: createReadStream(path) }, isResource)) {
    found.push([...file.containers.slice(1), file.path].join(": "));
    for await (const _ of file.bytes.chunks()); // what is not read is not passed
  }
  return found;
}

describe.each([
  ["the document", DOCUMENTED],
  ["other pages", OTHERS],
] as const)("%s", (_, lines) => {
  test.each(lines.map((one) => [one.line, one] as const))("%s", async (line, { code = 0, out, err, trees = {}, does }) => {
    const done = await shell(line);
    const told = done.err.split("\n").filter((one) => one !== "" && !HINTS.test(one));
    expect([done.code, told]).toEqual([code, [...err]]);
    expect(done.out.trimEnd().replace(TIME, "-TIME").replaceAll(at(EXPORTS), "HERE").replaceAll(folder.path, "HERE").split("\n")).toEqual([
      ...out,
    ]);
    for (const [name, entries] of Object.entries(trees)) expect(await tree(archiveOf(name))).toEqual([...entries]);
    await does?.();
  });
});
