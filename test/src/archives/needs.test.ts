import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { needsOf } from "../../../src/archives/needs/needs.ts";
import { mayNameNeeds } from "../../../src/archives/needs/sourcefiles.ts";
import { charmTexts } from "../../../src/archives/zip.ts";
import { parseImageReference } from "../../../src/catalog/imagereference.ts";
import type { Need } from "../../../src/catalog/need.ts";
import { readerOf } from "../../../src/export/archivewriter.ts";
import { zipOf } from "../../build.ts";
import { runs, sized, thorough } from "../../thorough.ts";

/** `charmed-kafka 69 amd64 4/edge`, with `-` where nothing is said; with a `!` where it is certain. */
function show(need: Need): string {
  const { name, revision = "-", architecture = "-", channel = "-", sure } = need;
  return `${sure === "certain" ? "!" : ""}${name} ${revision} ${architecture} ${channel}`;
}

function found(files: Readonly<Record<string, string>>): string[] {
  return needsOf(new Map(Object.entries(files))).snaps.map(show);
}

const python = (text: string) => found({ "src/charm.py": text });

const REFRESH = `charm_major = 1
workload = "4.2.0"
[snap]
name = "charmed-x"
[snap.revisions]
# amd64
x86_64 = "69"
aarch64 = "70"
`;

describe("which files", () => {
  test.each([
    "refresh_versions.toml",
    "metadata.yaml",
    "layer.yaml",
    "snap_revisions.json",
    "src/charm.py",
    "src/config.py",
    "src/deep/er/snap.py",
    "reactive/etcd.py",
    "lib/charms/opensearch/v0/constants_charm.py",
    "templates/snap_installation.yaml",
    "scripts/install.sh",
    "hooks/install",
    "actions/upgrade",
    "config.yaml",
    "venv/charms/kubernetes_snaps.py",
    "venv/lib/python3.10/site-packages/charms/kubernetes_snaps.py",
    "venv/single_kernel_mongo/core/vm_workload.py",
    "wheelhouse/charms_x-1.0-py3-none-any.whl/charms/x.py",
    "src/templates/deployment.yaml.j2",
    "upstream/calico.yaml",
  ])("%s may", (path) => {
    expect(mayNameNeeds(path, 1000)).toBe(true);
  });

  test.each([
    "venv/snap.py",
    "venv/lib/python3.12/site-packages/requests/snap.py",
    "venv/charmhelpers/fetch/snap.py",
    "venv/charmlibs/snap/_snap.py",
    "venv/charms/operator_libs_linux/v2/snap.py",
    "venv/charms/tests/test_x.py",
    "wheelhouse/requests-2.0-py3-none-any.whl/requests/api.py",
    "wheelhouse/charms.x-1.tar.gz",
    "src/venv/lib/x.py",
    "lib/charms/operator_libs_linux/v2/snap.py",
    "node_modules/a/snap.json",
    "tests/unit/test_snap.py",
    "src/test_snap.py",
    "tests/conftest.py",
    "src/grafana_dashboards/a.json",
    "src/prometheus_alert_rules/a.yaml",
    ".github/snaps.yaml",
    "docs/snaps.yaml",
    "charmcraft.yaml",
    "concierge.yaml",
    "concierge-k8s.yaml",
    "snap/snapcraft.yaml",
    "src/config.yaml",
    "manifest.yaml",
    "pyproject.toml",
    "poetry.lock",
    "README.md",
    "icon.svg",
    "dispatch",
    "src/hooks/install",
    "templates/x.sh.j2",
    "src/a\u001b[31m.py",
    `${"a/".repeat(300)}x.py`,
    "",
  ])("%j may not", (path) => {
    expect(mayNameNeeds(path, 1000)).toBe(false);
  });

  test("nor one that is too large", () => {
    expect([mayNameNeeds("src/charm.py", 512 * 1024), mayNameNeeds("src/charm.py", 512 * 1024 + 1)]).toEqual([true, false]);
    for (const path of ["src/charm.py", "refresh_versions.toml", "hooks/install"]) expect(mayNameNeeds(path, 2 ** 20)).toBe(false);
  });

  test("what may not is not read where it is given", () => {
    expect(found({ "venv/x.py": 'SNAPS = [("a1", "edge")]', "docs/refresh_versions.toml": REFRESH })).toEqual([]);
  });
});

describe("refresh_versions.toml", () => {
  test("is certain", () => {
    expect(needsOf(new Map([["refresh_versions.toml", REFRESH]])).snaps).toEqual([
      { name: "charmed-x", revision: 69, architecture: "amd64", sure: "certain", where: "refresh_versions.toml" },
      { name: "charmed-x", revision: 70, architecture: "arm64", sure: "certain", where: "refresh_versions.toml" },
    ]);
  });

  test.each<[string, string, string[]]>([
    ["numbers", '[snap]\nname = "charmed-x"\nrevisions = { x86_64 = 69 }', ["!charmed-x 69 amd64 -"]],
    ["no snap", 'charm_major = 1\nworkload = "4.1.1"', []],
    ["a name that is none", '[snap]\nname = "Charmed X"\n[snap.revisions]\nx86_64 = "69"', []],
    ["revisions that are none", '[snap]\nname = "charmed-x"\n[snap.revisions]\nx86_64 = "x1"\naarch64 = 0\ns390x = -3\nppc64le = 1.5', []],
    ["an architecture that is none", '[snap]\nname = "charmed-x"\n[snap.revisions]\nvax = "69"\nconstructor = "1"\n__proto__ = "2"', []],
    ["no TOML", "[snap\nname = ", []],
    ["nothing", "", []],
    ["brackets, deep", `a = ${"[".repeat(50_000)}`, []],
    ["bytes of no text", "\u0000\ufffd\u0001", []],
  ])("%s", (_, text, needs) => {
    expect(found({ "refresh_versions.toml": text })).toEqual(needs);
  });

  test("only that of the top level counts", () => {
    expect(found({ "machine/refresh_versions.toml": REFRESH }).some((need) => need.startsWith("!"))).toBe(false);
  });

  test("wins over what is likely of the same snap, and says no less", () => {
    const code = 'SNAP_PACKAGES = [("charmed-x", {"revision": {"x86_64": "69", "aarch64": "1"}, "channel": "4/edge"})]';
    expect(found({ "refresh_versions.toml": REFRESH, "src/a.py": code })).toEqual([
      "charmed-x 1 arm64 4/edge",
      "!charmed-x 69 amd64 4/edge",
      "!charmed-x 70 arm64 -",
    ]);
  });
});

describe("python", () => {
  test.each<[string, string, string[]]>([
    ["tuples", 'SNAP_PACKAGES = [("charmed-x", "6/edge", 123)]', ["charmed-x 123 - 6/edge"]],
    ["tuples of a class", 'class Config:\n    """Doc."""\n    SNAP_PACKAGES = [("charmed-x", "6/edge", 123)]', ["charmed-x 123 - 6/edge"]],
    ["a tuple with a channel alone", 'SNAP_PACKAGES = [("charmed-x", "14/edge/charm-fixes")]', ["charmed-x - - 14/edge/charm-fixes"]],
    [
      "a tuple with a map",
      'X_SNAP_NAME = "charmed-x"\nSNAP_PACKAGES = [\n    (\n        X_SNAP_NAME,\n        {"revision": {"aarch64": "110", "x86_64": "111"}, "channel": "14/stable"},\n    )\n]',
      ["charmed-x 110 arm64 14/stable", "charmed-x 111 amd64 14/stable"],
    ],
    ["a tuple with a channel in a map", 'SNAP_PACKAGES = [("charmed-x", {"channel": "14/stable"})]', ["charmed-x - - 14/stable"]],
    [
      "maps with a name",
      'SNAPS = [{"name": "x1", "revision": {"x86_64": 5}}, {"name": "y1", "channel": "latest"}]',
      ["x1 5 amd64 -", "y1 - - latest"],
    ],
    [
      "maps by name",
      'SNAPS = {"charmed-x": {"revision": "7", "channel": "6/edge"}, "core20": "stable"}',
      ["charmed-x 7 - 6/edge", "core20 - - stable"],
    ],
    ["revisions by name", 'SNAP_REVISIONS = {"x1": 3, "y1": "4"}', ["x1 3 - -", "y1 4 - -"]],
    [
      "by confinement and architecture",
      '_x_agent_snap_name = "x-agent"\n_x_agent_snaps = {\n    # (confinement, arch): revision\n    ("strict", "amd64"): 16,  # 0.44\n    ("classic", "s390x"): 14,\n}',
      ["x-agent 14 s390x -", "x-agent 16 amd64 -"],
    ],
    [
      "the same of several",
      'class SnapMap:\n    snap_maps = {\n        "x1": {("strict", "amd64"): 80},\n        "node-exporter": {("strict", "arm64"): 2157},\n    }',
      ["node-exporter 2157 arm64 -", "x1 80 amd64 -"],
    ],
    [
      "a revision beside a name",
      'X_SNAP_NAME = "sdcore-x"\nX_SNAP_CHANNEL = "1.4/edge"\nX_SNAP_REVISION = "42"',
      ["sdcore-x 42 - 1.4/edge"],
    ],
    ["with a comment behind", 'SNAP_NAME = "x1"\nX_SNAP_REVISION = 62  # Keep in sync with `workload_version` file', ["x1 62 - -"]],
    ["with a type", 'SNAP_NAME: str = "x1"\nSNAP_REVISION: typing.Final[int] = 62', ["x1 62 - -"]],
    [
      "two names, told apart by prefix",
      'A_SNAP_NAME = "a1"\nB_SNAP_NAME = "b1"\nA_SNAP_REVISION = 1\nB_SNAP_REVISION = 2',
      ["a1 1 - -", "b1 2 - -"],
    ],
    ["told apart by the variable", 'A_SNAP = "x-y"\nB_SNAP = "b1"\nX_Y_SNAP_REVISION = 4', ["x-y 4 - -"]],
    ["a map of revisions", 'SNAP_NAME = "x1"\nSNAP_REVISIONS = {"x86_64": 18, "aarch64": 17}', ["x1 17 arm64 -", "x1 18 amd64 -"]],
    ["one of another name", '_SNAP_NAME = "x1"\nREVISIONS: typing.Dict[str, str] = {\n    "x86_64": "139",\n}', ["x1 139 amd64 -"]],
    ["a name and a channel", 'X_SNAP_NAME = "x1"\nX_SNAP_CHANNEL = "latest/edge"', ["x1 - - latest/edge"]],
    ["add", 'snap.add("core26", channel="beta")', ["core26 - - beta"]],
    ["add of several", 'snap.add(["a1", "b1"], channel="beta")', ["a1 - - beta", "b1 - - beta"]],
    ["add without a channel", 'snap.add("lxd")', ["lxd - - -"]],
    ["ensure of the module", 'snap.ensure("x1", "latest", classic=True, channel="latest/beta")', ["x1 - - latest/beta"]],
    ["install of the module", 'snap.install("core")', ["core - - -"]],
    [
      "install_snap",
      'kubernetes_snaps.install_snap(\n    "cdk-addons", channel=channel_of(self.config["channel"])\n)',
      ["cdk-addons - - -"],
    ],
    ["ensure", 'snap.SnapCache()["x1"].ensure(snap.SnapState.Latest, channel="4/edge", revision="5")', ["x1 5 - 4/edge"]],
    [
      "ensure of a variable",
      'NAME = "x1"\ncache = snap.SnapCache()\nx = cache[NAME]\nx.ensure(snap.SnapState.Latest, revision=str(5))',
      ["x1 5 - -"],
    ],
    [
      "ensure of a property",
      'class X:\n    @property\n    def _snap(self):\n        """Doc."""\n        cache = snap.SnapCache()\n        return cache["x1"]\n\n    def install(self) -> None:\n        self._snap.ensure(state=snap.SnapState.Latest, channel="edge")',
      ["x1 - - edge"],
    ],
    [
      "ensure of a member",
      'class X:\n    SNAP_NAME = "x1"\n    def __init__(self):\n        self.x = None\n        self.x = snap.SnapCache()[self.SNAP_NAME]\n    async def install(self):\n        self.x.ensure(SnapState.Present, revision=REVISION)\nREVISION = "7"',
      ["x1 7 - -"],
    ],
    [
      "ensure by architecture",
      'R = {"x86_64": "8", "aarch64": 9}\nrevision = R[platform.machine()]\n_snap = lib.SnapCache()["x1"]\n_snap.ensure(state=lib.SnapState.Present, revision=revision)',
      ["x1 8 amd64 -", "x1 9 arm64 -"],
    ],
    ["ensure of what only a run would tell", 'SnapCache()["x1"].ensure(SnapState.Latest, channel=config("snap-channel"))', ["x1 - - -"]],
    ["a command", 'run(["snap", "install", "x1", "--classic", "--channel=4/stable"])', ["x1 - - 4/stable"]],
    [
      "a command in parts",
      'C = "4/edge"\ncmd = [\n  "sudo",\n  "snap",\n  "install",\n  "x1",\n  "--channel", C, "--revision", str(5)]',
      ["x1 5 - 4/edge"],
    ],
    ["a command in one text", 'run("snap install x1 --revision=5 --edge".split())', ["x1 5 - edge"]],
    ["a bare one", 'subprocess.check_call("sudo snap install x1 y1", shell=True)', ["x1 - - -", "y1 - - -"]],
    ["a refresh to a revision", 'cmd = ["snap", "refresh", "x1", \'--revision="7"\']', ["x1 7 - -"]],
    ["texts that are joined, and of other quotes", 'SNAPS = [(\'charmed\'\n  \'-x\', """6/edge""", 12_3, 5,)]', ["charmed-x 5 - 6/edge"]],
    ["lines that go on", 'SNAP_PACKAGES = \\\n  [("x1", "edge", 3)]; A = 1', ["x1 3 - edge"]],
    ["windows' lines", 'SNAP_NAME = "x1"\r\nSNAP_REVISION = 3\r\n', ["x1 3 - -"]],
  ])("%s", (_, text, needs) => {
    expect(python(text)).toEqual(needs);
  });

  test.each<[string, string]>([
    ["a comment", '# SNAP_PACKAGES = [("x1", "edge", 3)]\n#snap.add("x1")'],
    ["a docstring", 'def f():\n    """Doc:\n\n    SNAPS = [("x1", "edge", 3)]\n    snap.add("x1")\n    snap install x1 --edge\n    """\n'],
    ["a docstring that is a command", 'def install():\n    """snap install x1 --classic"""\n    go()'],
    ["a message", 'log.info("snap install failed")\nlog.info("snap install of x1")\nerror("snap refresh x1")'],
    ["a call of that name of another module", 'import snap\npackages.add("x1")\nself.unit.ensure("x2")\nadd("x3")'],
    ["a removal", 'snap.remove("x1")\nrun(["snap", "remove", "x1"])\nSnapCache()["x1"].ensure(snap.SnapState.Absent)'],
    ["a look", 'cache = snap.SnapCache()\nx = cache["x1"]\nx.hold()\nif x.present: pass'],
    ["a definition", 'def install_snap(name="x1", revision=5):\n    pass'],
    ["paths", '_SNAP = "/snap/x1/current"\nSNAP_COMMON_PATH = "/var/snap/x1"\nSNAP_SERVICE = "daemon"'],
    ["odd names", 'SNAPSHOT_REVISION = 3\nSNAPPY = [("x1", "edge", 3)]\nSNAP_NAME = "x1"\nSNAP_PORTS = [("http", 8080)]'],
    ["a revision and no name", "X_SNAP_REVISION = 3"],
    ["a revision and two names", 'A_SNAP = "a1"\nB_SNAP = "b1"\nC_SNAP_REVISION = 3'],
    [
      "a revision that is none",
      'SNAP_NAME = "x1"\nSNAP_REVISION = "-1"\nA_SNAP_REVISION = 0\nB_SNAP_REVISION = "x1"\nC_SNAP_REVISION = 1e3',
    ],
    ["a revision of something else", 'SNAP_NAME = "x1"\nMODEL_REVISION = "51"\nREVISION = 4'],
    ["names that are none", 'SNAPS = [("X", "edge", 3), ("-x", "edge", 4), ("a_b", "edge", 4)]\nsnap.add("x1.snap")\nsnap.add("")'],
    [
      "what only a run would tell",
      'SNAPS = [(f"{a}-x", "edge", 3), (b"x1", "edge", 3)]\nsnap.add(name)\nsnap.add("a" + b)\nsnap.add("a" if b else "c")',
    ],
    ["a variable that is several things", 'n = "x1"\nn = "y1"\nsnap.add(n)'],
    ["a loop", 'for name, c in PACKAGES:\n    x = cache[name]\n    x.ensure(snap.SnapState.Latest, channel=c["channel"])\nSnapCache()'],
    ["packages of apt", 'x = apt.DebianPackage.from_system("x1")\nx.ensure(state=apt.PackageState.Latest)'],
    [
      "a file at hand",
      'run(["snap", "install", "--dangerous", "x1"])\nrun(["snap", "install", "./x1.snap"])\nsnap.install_local("x1.snap")',
    ],
    ["other commands", 'run(["snap", "set", "x1", "a=b"])\nrun(["snap", "run", "x1"])\nrun(["apt", "install", "snap", "x1"])'],
    ["a name that stands for itself", "SNAP_NAME = SNAP_NAME\na = b\nb = a\nsnap.add(a)"],
    ["a text without an end", 'SNAP_NAME = "x1\nSNAP_REVISION = """3\nsnap.add("x1")'],
    ["brackets without an end", '((([\nsnap.add("x1"'],
    ["brackets that do not match", 'SNAPS = [("x1", "edge", 3]\n)'],
  ])("%s is none", (_, text) => {
    expect(python(text)).toEqual([]);
  });

  test("constants of other files", () => {
    const files = {
      "src/literals.py": 'CHARMED_X_SNAP_REVISION = 40\nCHANNEL = "3/edge"\nname = "y1"\n',
      "src/workload.py":
        'from literals import *\nclass W:\n    SNAP_NAME = "charmed-x"\n    def i(self):\n        x = snap.SnapCache()[self.SNAP_NAME]\n        x.ensure(snap.SnapState.Present, revision=CHARMED_X_SNAP_REVISION, channel=CHANNEL)\n',
      "src/other.py": "snap.add(name)\n",
    };
    expect(found(files)).toEqual(["charmed-x 40 - 3/edge"]);
  });

  test("a constant of a library is taken, what it calls is not", () => {
    const files = {
      "lib/charms/x1/v0/constants.py": "X_SNAP_REVISION = 79\n",
      "lib/charms/y/v0/y.py": 'snap.add("y1")\n',
      "src/x.py": 'cache = snap.SnapCache()\nself._x = cache["x1"]\n',
    };
    expect(found(files)).toEqual(["x1 79 - -"]);
  });

  test("names that stand for other things in the language that reads them", () => {
    expect(python('constructor = "x1"\n__proto__ = "y1"\nsnap.add(constructor)\nsnap.add(__proto__)\nsnap.add(toString)')).toEqual([
      "x1 - - -",
      "y1 - - -",
    ]);
  });
});

describe("data", () => {
  test.each<[string, Record<string, string>, string[]]>([
    [
      "revisions by architecture, with the snap named elsewhere",
      { "snap_revisions.json": '{"x86_64": "159", "s390x": "158"}', "src/constants.py": 'CHARMED_X_SNAP_NAME = "charmed-x"' },
      ["charmed-x 158 s390x -", "charmed-x 159 amd64 -"],
    ],
    [
      "lists by architecture",
      {
        "templates/snap_installation.yaml":
          "amd64:\n  - {name: k8s, install-type: store, channel: 1.33-classic/stable}\narm64:\n  - {name: k8s, revision: 12}\n",
      },
      ["k8s - amd64 1.33-classic/stable", "k8s 12 arm64 -"],
    ],
    [
      "options of a layer",
      { "layer.yaml": "includes: ['layer:snap']\noptions:\n  snap:\n    core: {channel: stable}\n    etcd: {channel: auto}\n" },
      ["core - - stable", "etcd - - auto"],
    ],
    [
      "a list of maps",
      { "src/snaps.yaml": "- name: x1\n  revision: 5\n- name: y1\n  channel: latest/edge\n" },
      ["x1 5 - -", "y1 - - latest/edge"],
    ],
    ["TOML", { "versions.toml": '[snaps.x1]\nchannel = "4/stable"\nrevision = 8\n' }, ["x1 8 - 4/stable"]],
    ["JSON", { "src/versions.json": '{"a": {"snap_packages": {"x1": {"revision": {"aarch64": 3}}}}}' }, ["x1 3 arm64 -"]],
  ])("%s", (_, files, needs) => {
    expect(found(files)).toEqual(needs);
  });

  test.each<[string, Record<string, string>]>([
    [
      "a dependency without a revision",
      { "src/dependency.json": '{"snap": {"dependencies": {}, "name": "charmed-x", "version": "14.23"}}' },
    ],
    ["a revision of something else", { "a.json": '{"revision": 9, "name": "x1"}', "b.yaml": "snapshot: {x1: {revision: 3}}" }],
    ["keys that are no snaps", { "snaps.json": '{"stable": {"revision": 3}}' }],
    ["revisions and no name", { "snap_revisions.json": '{"x86_64": "159"}' }],
    ["broken JSON", { "snaps.json": '{"x1": {"revision": 3}' }],
    ["broken YAML", { "snaps.yaml": "x1: {revision: 3\n  - [" }],
    ["other things", { "snaps.json": "null", "snaps.yaml": "- 3\n- [[]]\n", "a/snaps.yaml": "x1\n", "b/snaps.yaml": "" }],
    [
      "aliases that fill the memory",
      { "snaps.yaml": `a: &a [x]\n${Array.from("bcdefgh", (c, i) => `${c}: &${c} [${`*${"abcdefg"[i]},`.repeat(20)}]`).join("\n")}` },
    ],
    ["brackets, deep", { "snaps.json": "[".repeat(100_000), "snaps.yaml": "[".repeat(30_000), "snaps.toml": `a = ${"[".repeat(100_000)}` }],
    ["deep, and sound", { "snaps.json": `${"[".repeat(60_000)}${"]".repeat(60_000)}` }],
  ])("%s is none", (_, files) => {
    expect(found(files)).toEqual([]);
  });
});

const LIBRARY = `from subprocess import check_call

BASE = ["kubectl", "kubelet"]
MORE = ["kube-apiserver"]

def install(channel, more=False):
    for snap in BASE:
        install_snap(snap, channel=channel, classic=True)
    if more:
        for snap in MORE:
            install_snap(snap, channel=channel)


def install_snap(name, channel):
    cmd = ["snap", "install", name, "--channel", channel]
    check_call(cmd)
`;
const USES = 'from charms import kubernetes_snaps\nkubernetes_snaps.install(channel=self.model.config["channel"])\n';
const CHANNEL = 'options:\n  channel:\n    type: string\n    default: "1.35/stable"\n    description: Snap channel to install from\n';

describe("charms' shared code", () => {
  const SNAPS = ["kube-apiserver - - 1.35/stable", "kubectl - - 1.35/stable", "kubelet - - 1.35/stable"];

  test.each(["venv/charms/kubernetes_snaps.py", "venv/lib/python3.10/site-packages/charms/kubernetes_snaps.py"])("in %s", (path) => {
    expect(found({ [path]: LIBRARY, "src/charm.py": USES, "config.yaml": CHANNEL })).toEqual(SNAPS);
  });

  test("in a wheel, which is a zip in the charm", async () => {
    const inner = {
      "charms/kubernetes_snaps.py": LIBRARY,
      "requests/api.py": 'snap.add("y1")',
      "charms/tests/test_a.py": 'snap.add("z1")',
    };
    const charm = zipOf({
      "src/charm.py": USES,
      "config.yaml": CHANNEL,
      "wheelhouse/charms.kubernetes_snaps-1.0-py3-none-any.whl": zipOf(inner),
      "wheelhouse/charms_torn-1.0-py3-none-any.whl": zipOf(inner).subarray(0, 100),
      "wheelhouse/requests-1.0-py3-none-any.whl": zipOf(inner),
      // A wheel in a wheel is not opened.
      "wheelhouse/charms_deep-1.0-py3-none-any.whl": zipOf({ "wheelhouse/charms_a-1.0-py3-none-any.whl": zipOf(inner) }),
    });
    const read = await charmTexts(readerOf(charm));
    expect([...read.keys()]).toEqual([
      "src/charm.py",
      "config.yaml",
      "wheelhouse/charms.kubernetes_snaps-1.0-py3-none-any.whl/charms/kubernetes_snaps.py",
    ]);
    expect(needsOf(read).snaps.map(show)).toEqual(SNAPS);
  });

  test("is used by a file that says nothing of snaps itself, over lines too", () => {
    const files = { "venv/charms/kubernetes_snaps.py": LIBRARY, "config.yaml": CHANNEL };
    expect(found({ ...files, "src/a.py": "import ops\nfrom charms import (\n    x,\n    kubernetes_snaps as k,\n)\n" })).toEqual(SNAPS);
    expect(found({ ...files, "src/a.py": "kubernetes_snaps = 1\nx(from_, kubernetes_snaps)\n" })).toEqual([]);
  });

  test("that the charm does not use is none", () => {
    expect(found({ "venv/charms/kubernetes_snaps.py": LIBRARY, "src/charm.py": "import ops  # snap\n", "config.yaml": CHANNEL })).toEqual(
      [],
    );
  });

  test("is found through other shared code", () => {
    const files = { "venv/charms/kubernetes_snaps.py": LIBRARY, "venv/charmed_x/a.py": USES, "src/charm.py": "import charmed_x  # snap\n" };
    expect(found(files)).toEqual(["kube-apiserver - - -", "kubectl - - -", "kubelet - - -"]);
  });
});

describe("channels of options", () => {
  const option = (name: string, value: string, description = "") =>
    `options:\n  ${name}:\n    type: string\n    default: ${value}\n    description: ${JSON.stringify(description)}\n`;
  const code = 'cmd = ["snap", "install", "x1", "--channel", config("snap-channel")]';

  test.each<[string, string, string, string[]]>([
    ["that a command names", code, option("snap-channel", "tentacle/stable"), ["x1 - - tentacle/stable"]],
    ["by subscript", 'snap.add("x1", channel=self.config["a"])  # snap', option("a", "3/edge", "of a snap"), ["x1 - - 3/edge"]],
    ["by get", 'snap.add("x1", channel=self.model.config.get("a", "edge"))', option("a", "3/edge", "of a snap"), ["x1 - - 3/edge"]],
    ["of a variable", 'c = self.config["a"]\nsnap.add("x1", channel=c)', option("a", "3/edge", "of a snap"), ["x1 - - 3/edge"]],
    ["by the name of the snap", 'snap.add("x1", channel=c())', option("x1-snap-channel", "3/edge"), ["x1 - - 3/edge"]],
    ["by the name of another snap", 'snap.add("x1", channel=c())', option("y1-snap-channel", "3/edge"), ["x1 - - -"]],
    ["of all snaps", 'snap.add("x1", channel=c())', option("snap_channel", "3/edge"), ["x1 - - 3/edge"]],
    ["that is no snap's", 'snap.add("x1", channel=c())', option("channel", "3/edge", "of images, no s n a p"), ["x1 - - -"]],
    ["that leave it open", code, option("snap-channel", "auto"), ["x1 - - -"]],
    ["that are no channel", code, option("snap-channel", "[1, 2]"), ["x1 - - -"]],
    ["of a snap without a channel", 'snap.add("x1")', option("snap-channel", "3/edge"), ["x1 - - -"]],
    ["of a snap with one", 'snap.add("x1", channel="beta")', option("snap-channel", "3/edge"), ["x1 - - beta"]],
    ["of broken YAML", code, "options: {snap-channel: [", ["x1 - - -"]],
  ])("%s", (_, text, config, needs) => {
    expect(found({ "src/charm.py": text, "config.yaml": config })).toEqual(needs);
  });
});

describe("snaps of classes", () => {
  const STRATEGIES = `class Strategy:
    @property
    def snap_name(self) -> str:
        return self._name.value

    def install(self):
        snap.add(self.snap_name, channel=self.channel)


class Dcgm(Strategy):
    _name = Tool.DCGM

    def __init__(self, channel):
        self.channel = channel


class Smart(Strategy):
    _name = Tool.SMART


class Deb:
    _name = Tool.STORCLI
`;
  const TOOLS = 'class Tool(Enum):\n    DCGM = "dcgm"\n    SMART = "smartctl-exporter"\n    STORCLI = "storcli"  # no snap\n';

  test("are those of the classes that derive from the one that installs, and of no other", () => {
    const files = { "src/hw.py": STRATEGIES, "src/config.py": TOOLS, "config.yaml": "options: {dcgm-snap-channel: {default: v3/edge}}" };
    expect(found(files)).toEqual(["dcgm - - v3/edge", "smartctl-exporter - - -"]);
  });

  test("may be in another file, and deeper", () => {
    const files = {
      "src/a.py": 'class A:\n    def i(self):\n        snap.add(self.name)\n\nsnap_x = 1\nname = "y1"\n',
      "src/b.py": 'from a import A  # snap\nclass B(A):\n    pass\nclass C(B):\n    name = "x1"\nclass D(C):\n    other = 1\n',
    };
    expect(found(files)).toEqual(["x1 - - -"]);
  });

  test("a class that derives from itself ends", () => {
    expect(found({ "src/a.py": "class A(B):\n  def f(self):\n    snap.add(self.name)\nclass B(A):\n  name = self.name\n" })).toEqual([]);
  });

  test.each<[string, string, string[]]>([
    ["a loop", 'for name in ["x1", "y1"]:\n    snap.add(name, channel="edge")', ["x1 - - edge", "y1 - - edge"]],
    ["a loop over a constant of another file", "for name in ALL:\n    snap.add(name)", ["z1 - - -"]],
    ["a loop over what only a run would show", "for name in f():\n    snap.add(name)", []],
    ["a loop and something else", 'name = "q1"\nfor name in ["x1"]:\n    snap.add(name)', []],
  ])("%s", (_, text, needs) => {
    expect(found({ "src/charm.py": text, "src/b.py": 'ALL = ("z1",)  # snap' })).toEqual(needs);
  });
});

describe("images", () => {
  const images = (files: Record<string, string>) =>
    needsOf(new Map(Object.entries(files))).images.map(({ reference, sure, where }) => `${sure} ${reference} ${where}`);
  const config = (name: string, value: string) => ({ "config.yaml": `options:\n  ${name}:\n    type: string\n    default: ${value}\n` });
  const manifest = (line: string) => ({ "upstream/a.yaml": `apiVersion: v1\nspec:\n  containers:\n    - name: a\n      ${line}\n` });

  test.each<[string, Record<string, string>, string[]]>([
    [
      "a list in JSON",
      { "src/default-custom-images.json": '{"a": "ghcr.io/k/a:v1", "b": {"c": "team/b:2"}, "d": ""}' },
      ["docker.io/team/b:2", "ghcr.io/k/a:v1"],
    ],
    [
      "a list in YAML",
      { "src/images.yaml": "- ghcr.io/k/a:v1\n- b:1.2\n- k/without-tag\n" },
      ["docker.io/library/b:1.2", "ghcr.io/k/a:v1"],
    ],
    ["an option", config("proxy-image", "docker.io/istio/proxyv2:1.28.0"), ["docker.io/istio/proxyv2:1.28.0"]],
    ["an option with several", config("custom_images", `'{"a": "r.example:5000/a/b:1"}'`), ["r.example:5000/a/b:1"]],
    [
      "an option of YAML",
      config("image-configuration", "|\n      tag: '1.28.0'\n      hub: docker.io/istio\n      init: 'busybox:1.28'"),
      ["docker.io/library/busybox:1.28"],
    ],
    ["a digest", { "images.json": JSON.stringify([`k/a@sha256:${"a".repeat(64)}`]) }, [`docker.io/k/a@sha256:${"a".repeat(64)}`]],
  ])("%s is certain", (_, files, wanted) => {
    expect(images(files).map((text) => text.split(" ").slice(0, 2).join(" "))).toEqual(wanted.map((reference) => `certain ${reference}`));
  });

  test.each<[string, Record<string, string>, string[]]>([
    ["a manifest", manifest('image: "registry.k8s.io/a/b:v2.9.2"'), ["registry.k8s.io/a/b:v2.9.2"]],
    ["a manifest in JSON", { "a.json": '{"kind": "Pod",\n "image": "k/b:v2",\n "x": 1}' }, ["docker.io/k/b:v2"]],
    ["a template with a literal", { "src/a.yaml.j2": "kind: Pod\n- image: k/b:v2 # why\n" }, ["docker.io/k/b:v2"]],
    ["a constant", { "src/a.py": 'PROXY_IMAGE = "ghcr.io/k/a:v1"' }, ["ghcr.io/k/a:v1"]],
    ["a map of constants", { "src/a.py": 'IMAGES = {"a": ("ghcr.io/k/a:v1",)}' }, ["ghcr.io/k/a:v1"]],
  ])("%s is likely", (_, files, wanted) => {
    expect(images(files).map((text) => text.split(" ").slice(0, 2).join(" "))).toEqual(wanted.map((reference) => `likely ${reference}`));
  });

  test.each<[string, Record<string, string>]>([
    ["a template's variable", { "src/a.yaml.j2": 'kind: Pod\nimage: "{{ registry }}/k/b:v2"\n' }],
    ["text that is no manifest", { "a.yaml": "image: k/b:v2\n" }],
    ["an image without a tag", manifest("image: k/b")],
    ["a picture", { "src/a.py": 'ICON_IMAGE = "icons/a.png"', ...manifest("image: icons/a.png") }],
    ["an image of the builder's machine", manifest("image: localhost:32000/k/b:v2")],
    ["an option of another name", config("registry", "docker.io/k/b:v2")],
    ["an option that leaves it open", config("nginx-image", "auto")],
    ["a host and its port", { "images.json": '["registry:5000", "r.example:443", "r.example:5000/k/b", "http://r.example/k/b:v2"]' }],
    ["a list of other things", { "src/images.json": '{"revision": 3, "at": "2026-01-01T00:00:00Z", "url": "https://r.example/a:1"}' }],
    [
      "what is not a charm's own",
      { "lib/charms/a/v0/b.py": 'IMAGE = "k/b:v2"', "venv/charms/b.py": 'IMAGE = "k/b:v2"', "tests/images.json": '["k/b:v2"]' },
    ],
    ["what a resource says", { "metadata.yaml": "resources:\n  i: {type: oci-image, upstream-source: k/b:v2}\n" }],
    ["broken data", { "images.json": '["k/b:v2"', "images.yaml": "- k/b:v2\n- [", "config.yaml": "options: {a-image: {default: [" }],
  ])("%s is none", (_, files) => {
    expect(images(files)).toEqual([]);
  });

  test("of a charm on Kubernetes are found, where its snaps are none", () => {
    const needs = needsOf(
      new Map([
        ["metadata.yaml", "name: x\nassumes: [k8s-api]\n"],
        ["src/images.json", '["k/b:v2"]'],
        ["src/a.py", 'snap.add("x1")'],
      ]),
    );
    expect([needs.snaps, needs.images.map(({ reference }) => reference)]).toEqual([[], ["docker.io/k/b:v2"]]);
  });

  test("what is certain wins, and there is an end of them", () => {
    expect(images({ "a/images.json": '["k/b:v2"]', ...manifest("image: k/b:v2") })).toEqual(["certain docker.io/k/b:v2 a/images.json"]);
    expect(images({ "images.json": JSON.stringify(Array.from({ length: 5000 }, (_, i) => `k/b:v${i}`)) })).toHaveLength(200);
  });

  test("any text gives references that are read as themselves, or none", () => {
    const word = fc.constantFrom(
      ..."image|images|:| |-|\n|\"|'|k/b:v2|docker.io/|@sha256:|apiVersion: v1\n|{|}|[|]|,|#|default|options|\u0000|:5000|latest".split(
        "|",
      ),
    );
    const path = fc.constantFrom("images.json", "images.yaml", "config.yaml", "a.yaml", "a.yaml.j2", "src/a.py", "metadata.yaml");
    fc.assert(
      fc.property(fc.array(fc.tuple(path, fc.array(word, { maxLength: 40 })), { maxLength: 4 }), (files) => {
        for (const { reference } of needsOf(new Map(files.map(([name, words]) => [name, words.join("")]))).images)
          expect(parseImageReference(reference)?.text).toBe(reference);
      }),
      { numRuns: runs(1000) },
    );
  });
});

describe("scripts", () => {
  test.each<[string, string, string[]]>([
    ["a revision", "snap install x1 --revision 5", ["x1 5 - -"]],
    ["options first", "sudo snap install --classic --channel=4/edge x1", ["x1 - - 4/edge"]],
    ["several", "snap install a1 b1 --stable", ["a1 - - stable", "b1 - - stable"]],
    ["in a condition", 'if ! snap install "x1" --revision="5"; then exit 1; fi', ["x1 5 - -"]],
    ["after another command", "apt update && A=1 snap install x1", ["x1 - - -"]],
    ["over lines", "snap install \\\n  x1 \\\n  --revision=5", ["x1 5 - -"]],
    ["what only a run would tell", 'snap install x1 --revision "$REV" --channel="${C}"', ["x1 - - -"]],
    ["a variable for a name", "snap install $SNAP --edge", []],
    ["a comment", "# snap install x1\ntrue # snap install x1", []],
    ["a message", "echo 'run: snap install x1'\necho snap install x1\necho \"a; snap install x1\"", []],
    ["a file", "snap install --dangerous x1\nsnap install ./x1.snap", []],
    ["other things", "snap remove x1\nsnap refresh x1\nsnap list\nsnap install\nsnap", []],
  ])("%s", (_, text, needs) => {
    expect(found({ "hooks/install": `#!/bin/bash -e\n${text}\n`, "scripts/x.sh": text })).toEqual(needs);
  });

  test("a hook in Python, and one that is neither", () => {
    expect(found({ "hooks/install": '#!/usr/bin/env python3\nsnap.add("x1")', "hooks/stop": "snap install y1" })).toEqual(["x1 - - -"]);
  });
});

describe("a charm", () => {
  test("on Kubernetes installs none, whatever it shares with its twin", () => {
    const code = { "src/literals.py": 'SNAP_NAME = "x1"\nSNAP_REVISION = 5' };
    expect(found({ ...code, "metadata.yaml": "name: x-k8s\nassumes:\n  - k8s-api\ncontainers: {x: {}}\n" })).toEqual([]);
    expect(found({ ...code, "metadata.yaml": 'name: x\nassumes: ["k8s\\x2dapi"]\n' })).toEqual([]);
    expect(found({ ...code, "metadata.yaml": "name: x\nassumes: [juju, {any-of: [k8s-api]}]\ncontainers: {x: {}}\n" })).toEqual([
      "x1 5 - -",
    ]);
    expect(found({ ...code, "metadata.yaml": "- [" })).toEqual(["x1 5 - -"]);
  });

  test("says where, and the order of its files does not matter", () => {
    const files: [string, string][] = [
      ["src/b.py", 'snap.add("x1", channel="edge")'],
      ["src/a.py", 'snap.add("x1", channel="edge")\nsnap.add("a1")'],
    ];
    const needs = needsOf(new Map(files)).snaps;
    expect(needs.map((need) => [need.name, need.where])).toEqual([
      ["a1", "src/a.py"],
      ["x1", "src/a.py"],
    ]);
    expect(needsOf(new Map(files.toReversed())).snaps).toEqual(needs);
  });

  test("a snap alone says less than one with a channel, and that less than one with a revision", () => {
    expect(python('snap.add("x1")\nsnap.add("x1", channel="edge")\nsnap.add("x1", channel="beta")')).toEqual([
      "x1 - - beta",
      "x1 - - edge",
    ]);
    expect(python('snap.add("x1", channel="edge")\nsnap.add("x1", revision=3)\nsnap.add("x1", revision={"amd64": 3})')).toEqual([
      "x1 3 amd64 -",
    ]);
  });

  test("with no end of snaps gives some", () => {
    const many = Array.from({ length: sized(5000) }, (_, i) => `("x${i}", "edge", ${i + 1})`).join(",");
    expect(python(`SNAPS = [${many}]`)).toHaveLength(200);
  });
});

describe("bad input", () => {
  const KIB = thorough ? 1024 : 16;
  const fill = (text: string, size: number) => text.repeat(Math.ceil(size / text.length)).slice(0, size);

  // Each is near what a file may have; what takes more than linear time does not end within the test's.
  test.each<[string, string]>([
    ["(", "("],
    ["[", "SNAPS = ["],
    ["nested calls", "snap.add("],
    ["calls of calls", 'x.ensure(cache["a"].'],
    ["nested commands", '["snap", "install", '],
    ["quotes", "'\"snap"],
    ["backslashes", '"\\snap\\'],
    ["names", "a.snap_b."],
    ["underscores", "_snap_"],
    ["keywords", "async snap def return "],
    ["names for names", "SNAPS = a\na = b\nb = a\n"],
    ["channels", "\na_snap_channel = 'edge'"],
    ["joined texts", '"snap install x1 --edge" '],
    ["equal signs", "snap=="],
    ["digits", "1_snap."],
    ["comments", "#snap"],
    ["classes", "class snap(a):\n b=self.b\n"],
    ["classes that derive from one", "class a(snap):\n def f(self):\n  snap.add(self.x)\n"],
    ["imports", "from snap import (\n"],
    ["loops", "for snap in a:\n snap.add(snap)\n"],
    ["options", 'config("snap")['],
    ["images", 'image = "a/b:c"\n'],
    ["blanks", "snap \t \\\n"],
  ])("python of %s", (_, text) => {
    expect(() => found({ "src/a.py": fill(text, 512 * KIB), "src/b.py": `SNAPS = 1\n${fill(text, 500 * KIB)}` })).not.toThrow();
  });

  test.each<[string, string]>([
    ["quotes", "snap ' \" "],
    ["keywords", "if then "],
    ["commands", "snap install x1 "],
    ["separators", "snap;&|"],
    ["blanks", "snap  \t"],
    ["hashes", "snap #"],
  ])("a script of %s", (_, text) => {
    expect(() => found({ "a.sh": fill(text, 256 * KIB), "b.sh": `snap ${fill(text, 250 * KIB).replaceAll("\n", " ")}` })).not.toThrow();
  });

  test.each<[string, string]>([
    ["{", "snap: {"],
    ["dashes", "- "],
    ["indents", " snap:\n"],
    ["quotes", "'\""],
    ["tables", "[snap.a]\n"],
    ["keys", "a.b.snap = 1\n"],
    ["anchors", "&a *a "],
  ])("data of %s", (_, text) => {
    const all = fill(text, 128 * KIB);
    expect(() =>
      found({
        "snaps.yaml": all.slice(0, 32 * KIB),
        "snaps.toml": all,
        "snaps.json": all,
        "refresh_versions.toml": all,
        "metadata.yaml": all,
        "config.yaml": `# image\n${all.slice(0, 60 * KIB)}`,
        "images.json": all,
        "images.yaml": all.slice(0, 30 * KIB),
        "a.yaml.j2": `kind: a\n${fill("image: ", 400 * KIB)}\n${fill("image: a\n", 400 * KIB)}`.slice(0, 500 * KIB),
      }),
    ).not.toThrow();
  });

  test("values that multiply", () => {
    const lines = Array.from({ length: 40 }, (_, i) => `SNAPS${i} = [${`SNAPS${i + 1},`.repeat(300)}]`);
    expect(python(`${lines.join("\n")}\nSNAPS40 = ("x1", "edge")\nA_SNAPS = SNAPS0\n`)).toEqual([]);
  });

  test("a large value of many names", () => {
    const names = Array.from({ length: 15 * KIB }, (_, i) => `A${i}_SNAPS = BIG\n`).join("");
    const big = `BIG = {${Array.from({ length: 10 * KIB }, (_, i) => `"a${i}": 1,`).join("")}}\n`;
    expect(python(big + names)).toEqual([]);
  });

  test("more than a file may have is not read", () => {
    expect(
      found({ "src/a.py": `snap.add("x1")\n${fill("#", 2 ** 21)}`, "snaps.yaml": `x1: {revision: 3}\n${fill("#", 2 ** 21)}` }),
    ).toEqual([]);
  });

  test("nor more than a charm may have", () => {
    const text = `snap.add("x1")\n${fill("#", 400 * 1024)}`;
    const files = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`src/a${i}.py`, text.replace("x1", `x${i}`)]));
    expect(found(files)).toHaveLength(10);
  });

  test("any text gives needs of names and revisions that can be, or none", () => {
    const word = fc.constantFrom(
      ...'SNAPS|SNAP_NAME|_REVISION|=|[|]|(|)|{|}|,|:|\n|"x1"|\'|"|"""|\\|#|snap|.add|.ensure|SnapCache()|install|--revision|5|"amd64"| |f"|-1|\u0000|é'.split(
        "|",
      ),
    );
    const path = fc.constantFrom(
      "src/a.py",
      "hooks/install",
      "a.sh",
      "snaps.json",
      "snaps.yaml",
      "snaps.toml",
      "refresh_versions.toml",
      "metadata.yaml",
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(path, fc.array(word, { maxLength: 60 })), { maxLength: 4 }), (files) => {
        for (const need of needsOf(new Map(files.map(([name, words]) => [name, words.join("")]))).snaps) {
          expect(need.name).toMatch(/^[a-z0-9-]{2,40}$/);
          expect(need.revision ?? 1).toBeGreaterThan(0);
        }
      }),
      { numRuns: runs(1000) },
    );
  });
});

describe("what is meant to take long is read to a bounded depth, with bounded steps", () => {
  const install = 'from charms.operator_libs_linux.v2 import snap\nsnap.add("kafka", revision=5)\n';
  test.each([
    ["subscripts inside each other", `cache = SnapCache()\n${"cache[".repeat(70_000)}${"]".repeat(70_000)}\n`],
    ["chains of subscripts", `x = SnapCache()\n${"cache[x(cache[".repeat(2000)}1${"])]".repeat(2000)}\n`],
    ["brackets", `x = ${"[".repeat(190_000)}\n`],
    ["calls inside each other", `${"install_snap(".repeat(30_000)}${")".repeat(30_000)}\n`],
    ["names that are long", `x_snaps = [${`${"n".repeat(100_000)},`.repeat(4)}]\n`.repeat(1)],
    ["calls with many architectures", `R = {${'"x86_64": 1,'.repeat(5000)}}\n${'install_snap(["a","b"], revision=R)\n'.repeat(5000)}`],
  ])("%s", (_, text) => {
    expect(needsOf(new Map([["src/charm.py", `${install}${text}`]])).snaps).toContainEqual(
      expect.objectContaining({ name: "kafka", revision: 5 }),
    );
  });

  test("all files together have no more tokens than may be in memory", () => {
    const many = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, i) => [`src/a${i}.py`, `# snap\nx = ${"[".repeat(190_000)}\n`]));
    expect(found({ ...many(2), "src/b.py": install })).toEqual(["kafka 5 - -"]);
    expect(found({ ...many(3), "src/b.py": install })).toEqual([]);
  });
});
