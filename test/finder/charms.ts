/**
 * Real charms, and what each needs besides itself. The shared code of charms is a package of PyPI, of which `run.ts` downloads the release
 * that is named; what a charm has beside it is written down here in the shape in which it is published, as short as it can be said.
 */

/** A release of a package that a charm brings along. */
export interface SharedCode {
  readonly name: string;
  readonly version: string;
}

export interface RealCharm {
  readonly name: string;
  /** what it was written down from: the branch, and its year and month */
  readonly from: string;
  readonly packages?: readonly SharedCode[];
  /** path → text */
  readonly files: Readonly<Record<string, string>>;
  /** what it installs: `NAME REVISION ARCHITECTURE CHANNEL`, with `-` where it says none */
  readonly snaps: readonly string[];
  /** what its pods run and no resource names, in full */
  readonly images: readonly string[];
  /** what the finder misses of these, or makes up; never more than that */
  readonly missed?: readonly string[];
  readonly wrong?: readonly string[];
}

const KUBERNETES_SNAPS: SharedCode = { name: "charms-kubernetes-snaps", version: "1.35.post1314" };

const option = (name: string, value: string, description = "as it says") =>
  `  ${name}:\n    type: string\n    default: ${JSON.stringify(value)}\n    description: ${description}\n`;
const config = (...options: readonly string[]) => ({ "config.yaml": `options:\n${options.join("")}` });
const list = (...images: readonly string[]) => JSON.stringify(Object.fromEntries(images.map((image, i) => [`image_${i}`, image])), null, 4);
const onKubernetes = (name: string) => ({ "metadata.yaml": `name: ${name}\nassumes:\n  - juju\n  - k8s-api\ncontainers:\n  app: {}\n` });
const refreshVersions = (name: string, revisions: Readonly<Record<string, number>>) =>
  `charm_major = 1\nworkload = "1.2.3"\n\n[snap]\nname = "${name}"\n\n[snap.revisions]\n${Object.entries(revisions)
    .map(([machine, revision]) => `${machine} = "${revision}"\n`)
    .join("")}`;
const hub = (names: readonly string[]) => names.map((name) => `docker.io/${name}`);

/** Names of images that stand for docker.io without saying so, as the charm has them. */
const KNATIVE = ["activator:1.16.0-2a3354f", "autoscaler:1.16.0-be87e8e", "controller:1.16.0-2596560", "webhook:1.16.0-692cdbd"].map(
  (end) => `charmedkubeflow/knative-serving-${end}`,
);
const SELDON = [
  "charmedkubeflow/tensorflow-serving:2.13.0-941be9a",
  "seldonio/tfserving-proxy:1.17.1",
  "charmedkubeflow/sklearnserver:1.17.1-3e67d99",
  "seldonio/xgboostserver:1.17.1",
  "seldonio/mlserver:1.3.5-slim",
  "seldonio/rclone-storage-initializer:1.14.1",
];
const KATIB = [
  "ghcr.io/kubeflow/katib/pytorch-mnist-cpu:v0.19.0",
  "ghcr.io/kubeflow/katib/enas-cnn-cifar10-cpu:v0.19.0",
  "docker.io/charmedkubeflow/earlystopping-medianstop:v0.19.0-5230dd9",
  "ghcr.io/kubeflow/katib/file-metrics-collector:v0.19.0",
  "ghcr.io/kubeflow/katib/tfevent-metrics-collector:v0.19.0",
  "ghcr.io/kubeflow/katib/suggestion-hyperopt:v0.19.0",
  "docker.io/charmedkubeflow/suggestion-hyperopt:v0.19.0-af05cdb",
  "docker.io/charmedkubeflow/suggestion-optuna:v0.19.0-73b6b15",
  "docker.io/charmedkubeflow/suggestion-hyperband:v0.19.0-d6cac4d",
  "docker.io/charmedkubeflow/suggestion-skopt:v0.19.0-407f1a2",
  "docker.io/charmedkubeflow/suggestion-goptuna:v0.19.0-3f14187",
  "docker.io/charmedkubeflow/suggestion-enas:v0.19.0-cc9514e",
  "docker.io/charmedkubeflow/suggestion-nas-darts:v0.19.0-aeb722e",
  "docker.io/charmedkubeflow/suggestion-pbt:v0.19.0-fa95782",
];
const KSERVE = [
  "docker.io/charmedkubeflow/kserve-agent:0.17.0-e104c72",
  "docker.io/charmedkubeflow/kserve-router:0.17.0-85066a1",
  "docker.io/charmedkubeflow/storage-initializer:0.17.0-07d37fb",
  "ghcr.io/canonical/huggingfaceserver:0.17.0-e2e8641-gpu",
  "docker.io/seldonio/mlserver:1.5.0",
  "nvcr.io/nvidia/tritonserver:23.05-py3",
];
const NOTEBOOKS = [
  "ghcr.io/kubeflow/kubeflow/notebook-servers/jupyter-pytorch-cuda-full:v1.10.0",
  "ghcr.io/kubeflow/kubeflow/notebook-servers/jupyter-tensorflow-cuda-full:v1.10.0",
  "docker.io/charmedkubeflow/jupyter-pytorch-full:v1.10.0-d7721a2",
];

const manifest = (kind: string, ...images: readonly string[]) =>
  `apiVersion: apps/v1\nkind: ${kind}\nspec:\n  template:\n    spec:\n      containers:\n${images
    .map((image, i) => `        - name: c${i}\n          image: ${image}\n          imagePullPolicy: IfNotPresent\n`)
    .join("")}`;

const GO =
  'def run_benchmark(event):\n    cmd = ["snap", "install", "go", "--channel=stable", "--classic"]\n    subprocess.check_call(cmd)\n';

export const CHARMS: readonly RealCharm[] = [
  {
    name: "kubernetes-control-plane",
    from: "release_1.35, 2026-08",
    packages: [KUBERNETES_SNAPS],
    files: {
      ...config(option("channel", "1.35/stable", "Snap channel to install Kubernetes control plane services from")),
      "src/actions/cis_benchmark.py": GO,
      "src/charm.py": `import ops
from charms import kubernetes_snaps


class KubernetesControlPlaneCharm(ops.CharmBase):
    def reconcile(self, event):
        channel = self.model.config["channel"]
        kubernetes_snaps.install(channel=channel, control_plane=True)
        kubernetes_snaps.install_snap("cdk-addons", channel=addons_channel(channel))
`,
    },
    snaps: [
      "cdk-addons - - 1.35/stable",
      "go - - stable",
      ...["apiserver", "controller-manager", "proxy", "scheduler"].map((name) => `kube-${name} - - 1.35/stable`),
      "kubectl - - 1.35/stable",
      "kubelet - - 1.35/stable",
    ],
    images: [],
  },
  {
    name: "kubernetes-worker",
    from: "release_1.35, 2026-08",
    packages: [KUBERNETES_SNAPS],
    files: {
      ...config(
        option("channel", "1.35/stable", "Snap channel to install Kubernetes worker services from"),
        option("nginx-image", "auto", "Container image to use, as quay.io/ingress/controller:0.32.0"),
      ),
      "src/actions/cis_benchmark.py": GO,
      "src/charm.py": `import ops
from charms import kubernetes_snaps


class KubernetesWorkerCharm(ops.CharmBase):
    def reconcile(self, event):
        kubernetes_snaps.install(channel=self.model.config["channel"])
        registry = self.config["registry"]
        image = f"{registry}/ingress-nginx/controller:v1.11.5"
`,
    },
    snaps: ["go - - stable", "kube-proxy - - 1.35/stable", "kubectl - - 1.35/stable", "kubelet - - 1.35/stable"],
    images: [],
    // Its shared code installs them where it is called for a control plane.
    wrong: ["kube-apiserver - - 1.35/stable", "kube-controller-manager - - 1.35/stable", "kube-scheduler - - 1.35/stable"],
  },
  {
    name: "mongodb",
    from: "8-transition/edge, 2026-10",
    packages: [{ name: "mongo-charms-single-kernel", version: "1.8.73" }],
    files: {
      "refresh_versions.toml": refreshVersions("charmed-mongodb", { x86_64: 118, aarch64: 117 }),
      "src/charm.py":
        "from single_kernel_mongo.abstract_charm import AbstractMongoCharm\n\n\nclass MongoDBVMCharm(AbstractMongoCharm):\n    pass\n",
    },
    snaps: ["charmed-mongodb 117 arm64 -", "charmed-mongodb 118 amd64 -"],
    images: [],
  },
  {
    name: "opensearch",
    from: "2/edge, 2026-10",
    packages: [{ name: "opensearch-charms-single-kernel", version: "2.0.3" }],
    files: { "src/charm.py": "from opensearch_single_kernel.core.charm import VMCharm\n\n\nclass OpenSearchCharm(VMCharm):\n    pass\n" },
    snaps: ["opensearch 192 arm64 -", "opensearch 193 amd64 -"],
    images: [],
  },
  {
    name: "opensearch-dashboards",
    from: "2/edge, 2026-10",
    packages: [{ name: "opensearch-dashboards-charms-single-kernel", version: "2.0.1" }],
    files: { "src/charm.py": "import single_kernel_opensearch_dashboards as osd\n\n\nclass Charm(osd.Charm):\n    pass\n" },
    snaps: ["opensearch-dashboards 155 amd64 -", "opensearch-dashboards 156 arm64 -"],
    images: [],
  },
  {
    name: "postgresql",
    from: "16/edge, 2026-10",
    packages: [{ name: "postgresql-charms-single-kernel", version: "16.3.20" }],
    files: {
      "refresh_versions.toml": refreshVersions("charmed-postgresql", { x86_64: 300, aarch64: 301 }),
      "src/charm.py": "from single_kernel_postgresql.charm import AbstractPostgreSQLCharm\n",
    },
    snaps: ["charmed-postgresql 300 amd64 -", "charmed-postgresql 301 arm64 -"],
    images: [],
  },
  {
    name: "postgresql 14",
    from: "main, 2026-08",
    files: {
      "src/constants.py":
        'POSTGRESQL_SNAP_NAME = "charmed-postgresql"\nSNAP_PACKAGES = [\n    (\n        POSTGRESQL_SNAP_NAME,\n        {"revision": {"aarch64": "392", "x86_64": "393"}},\n    )\n]\nSNAP_COMMON_PATH = "/var/snap/charmed-postgresql/common"\n',
      "src/charm.py":
        "for snap_name, snap_version in packages:\n    snap_package = snap_cache[snap_name]\n    snap_package.ensure(snap.SnapState.Latest, revision=revision)\n",
    },
    snaps: ["charmed-postgresql 392 arm64 -", "charmed-postgresql 393 amd64 -"],
    images: [],
  },
  {
    name: "mysql",
    from: "8.0/edge, 2026-01",
    files: {
      "snap_revisions.json": '{\n  "x86_64": "159",\n  "aarch64": "157",\n  "s390x": "158"\n}\n',
      "src/constants.py": 'CHARMED_MYSQL_SNAP_NAME = "charmed-mysql"\nCHARMED_MYSQLD_SERVICE = "mysqld"\n',
    },
    snaps: ["charmed-mysql 157 arm64 -", "charmed-mysql 158 s390x -", "charmed-mysql 159 amd64 -"],
    images: [],
  },
  {
    name: "kafka",
    from: "main, 2026-07",
    files: {
      "refresh_versions.toml": refreshVersions("charmed-kafka", { x86_64: 69 }),
      "src/literals.py": 'SNAP_NAME = "charmed-kafka"\n',
    },
    snaps: ["charmed-kafka 69 amd64 -"],
    images: [],
  },
  {
    name: "kafka-k8s",
    from: "main, 2026-07",
    files: { ...onKubernetes("kafka-k8s"), "src/literals.py": 'SNAP_NAME = "charmed-kafka"\nCHARMED_KAFKA_SNAP_REVISION = 69\n' },
    snaps: [],
    images: [],
  },
  {
    name: "microceph",
    from: "main, 2026-07",
    files: {
      ...config(
        option("snap-channel", "tentacle/stable", "The channel of the snap that the charm installs."),
        option("region", "RegionOne"),
      ),
      "src/charm.py": `import utils
from charms.operator_libs_linux.v2 import snap


class MicroCephCharm(OSBaseOperatorCharm):
    def _on_install(self, event):
        config = self.model.config.get
        cmd = [
            "snap",
            "install",
            "microceph",
            "--channel",
            config("snap-channel"),
        ]
        utils.run_cmd(cmd)
        utils.run_cmd(["sudo", "snap", "alias", "microceph.ceph", "ceph"])
        snap.SnapCache()["microceph"].hold()
`,
    },
    snaps: ["microceph - - tentacle/stable"],
    images: [],
  },
  {
    name: "openstack-hypervisor",
    from: "main, 2026-08",
    files: {
      ...config(option("snap-channel", "2023.2/edge"), option("dns-domain", "openstack.local")),
      "src/charm.py": `from charms.operator_libs_linux.v2 import snap


class HypervisorOperatorCharm(OSBaseOperatorCharm):
    def ensure_snap_present(self):
        config = self.model.config.get
        cache = snap.SnapCache()
        hypervisor = cache["openstack-hypervisor"]
        if not hypervisor.present:
            hypervisor.ensure(snap.SnapState.Latest, channel=config("snap-channel"))
`,
    },
    snaps: ["openstack-hypervisor - - 2023.2/edge"],
    images: [],
  },
  {
    name: "hardware-observer",
    from: "main, 2026-07",
    files: {
      ...config(
        option("dcgm-snap-channel", "auto"),
        option("smartctl-exporter-snap-channel", "latest/stable"),
        option("exporter-log-level", "INFO"),
      ),
      "src/config.py":
        'class HWTool(str, Enum):\n    """Hardware tools."""\n\n    STORCLI = "storcli"\n    SMARTCTL_EXPORTER = "smartctl-exporter"\n    DCGM = "dcgm"\n\n\nSNAP_COMMON = Path(f"/var/snap/{NAME}/common")\n',
      "src/hw_tools.py": `from charms.operator_libs_linux.v2 import snap

from config import SNAP_COMMON, HWTool


class SnapStrategy(StrategyABC):
    channel: str

    @property
    def snap_name(self) -> str:
        """Snap name."""
        return self._name.value

    @property
    def snap_client(self) -> snap.Snap:
        return snap.SnapCache()[self.snap_name]

    def install(self) -> None:
        try:
            snap.add(self.snap_name, channel=self.channel)
        except Exception as err:
            logger.error("Failed to install %s", self.snap_name)
            raise err

    def remove(self) -> None:
        snap.remove([self.snap_name])


class DCGMExporterStrategy(SnapStrategy):
    _name = HWTool.DCGM

    def __init__(self, channel: str) -> None:
        self.channel = channel


class SmartCtlExporterStrategy(SnapStrategy):
    _name = HWTool.SMARTCTL_EXPORTER

    def __init__(self, channel: str) -> None:
        self.channel = channel


class StorCLIStrategy(TPRStrategyABC):
    _name = HWTool.STORCLI
`,
      "src/service.py": `class SnapExporter(BaseExporter):
    exporter_name: str
    channel: str

    @property
    def snap_client(self) -> snap.Snap:
        return snap.SnapCache()[self.exporter_name]


class DCGMExporter(SnapExporter):
    exporter_name: str = "dcgm"

    def _automatic_channel_selection(self, version):
        return f"v4-cuda{version}/stable" if version >= 11 else "v3/stable"
`,
    },
    // The channel of dcgm follows from the driver of the machine.
    snaps: ["dcgm - - -", "smartctl-exporter - - latest/stable"],
    images: [],
  },
  {
    name: "lxd",
    from: "main, 2026-06",
    files: {
      ...config(
        option("snap-channel", "auto", "the snap store channel, or auto to use lxd-installer"),
        option("snap-config-daemon-debug", "false"),
      ),
      "src/charm.py": `class LxdCharm(CharmBase):
    def snap_install_lxd(self) -> None:
        snap_channel: str = self.config["snap-channel"]
        channel = [] if snap_channel == "auto" else [f"--channel={snap_channel}"]
        cohort = ["--cohort=+"]
        subprocess.run(["snap", "install", "lxd"] + channel + cohort, check=True)
        subprocess.run(["snap", "refresh", "lxd"] + channel + cohort, check=True)
        subprocess.run(["snap", "install", "--dangerous", self._stored.lxd_snap_path])
`,
    },
    snaps: ["lxd - - -"],
    images: [],
  },
  {
    name: "microk8s",
    from: "master, 2024-12",
    files: {
      "src/charm_config.py": '# Snap store channel to use\nSNAP_CHANNEL = "latest/edge"\n',
      "src/microk8s.py":
        'def install():\n    """`snap install microk8s`"""\n    cmd = ["snap", "install", "microk8s", "--classic", "--channel", charm_config.SNAP_CHANNEL]\n    util.ensure_call(cmd)\n',
      "src/deploy/kube-state-metrics.yaml": manifest("Deployment", "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.9.2"),
    },
    snaps: ["microk8s - - latest/edge"],
    images: ["registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.9.2"],
  },
  {
    name: "k8s",
    from: "main, 2026-08",
    files: {
      "templates/snap_installation.yaml": ["amd64", "arm64"]
        .map((name) => `${name}:\n  - name: k8s\n    install-type: store\n    classic: true\n    channel: latest/edge\n`)
        .join(""),
      "templates/ksm.yaml": manifest("Deployment", "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.15.0"),
    },
    snaps: ["k8s - amd64 latest/edge", "k8s - arm64 latest/edge"],
    images: ["registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.15.0"],
  },
  {
    name: "grafana-agent",
    from: "main, 2026-08",
    files: {
      "src/snap_management.py": `_grafana_agent_snap_name = "grafana-agent"
_grafana_agent_snaps = {
    # (confinement, arch): revision
    ("strict", "amd64"): 142,
    ("strict", "arm64"): 141,
    ("classic", "amd64"): 143,
    ("classic", "s390x"): 144,
}


def _install_snap(name: str, revision: str, classic: bool = False):
    cache = snap_lib.SnapCache()
    snap = cache[name]
    if snap.present:
        cmd = ["snap", "refresh", "grafana-agent", f'--revision="{revision}"']
        subprocess.run(cmd)
    else:
        snap.ensure(state=snap_lib.SnapState.Present, revision=revision, classic=classic)
`,
    },
    snaps: ["grafana-agent 141 arm64 -", "grafana-agent 142 amd64 -", "grafana-agent 143 amd64 -", "grafana-agent 144 s390x -"],
    images: [],
  },
  {
    name: "opentelemetry-collector",
    from: "main, 2026-08",
    files: {
      "src/snap_management.py": `class SnapMap:
    """Maps snap revisions."""

    snap_maps = {
        "opentelemetry-collector": {
            ("strict", "amd64"): 80,
            ("strict", "arm64"): 81,
        },
        "node-exporter": {
            ("strict", "amd64"): 2154,
        },
    }


def install_snap(snap_name: str, classic: bool = False):
    snap = snap_lib.SnapCache()[snap_name]
    snap.ensure(state=snap_lib.SnapState.Present, revision=SnapMap.get_revision(snap_name))
`,
      "src/charm.py": "for snap_name in SnapMap.snaps():\n    install_snap(snap_name)\n",
    },
    snaps: ["node-exporter 2154 amd64 -", "opentelemetry-collector 80 amd64 -", "opentelemetry-collector 81 arm64 -"],
    images: [],
  },
  {
    name: "vault",
    from: "main, 2025-04",
    files: {
      "src/charm.py": `VAULT_SNAP_CHANNEL = "1.16/stable"
VAULT_SNAP_NAME = "vault"
VAULT_SNAP_REVISION = "2300"
VAULT_STORAGE_PATH = "/var/snap/vault/common/raft"


class VaultOperatorCharm(CharmBase):
    def _install_vault_snap(self):
        snap_cache = snap.SnapCache()
        vault_snap = snap_cache[VAULT_SNAP_NAME]
        vault_snap.ensure(snap.SnapState.Latest, channel=VAULT_SNAP_CHANNEL, revision=VAULT_SNAP_REVISION)
`,
    },
    snaps: ["vault 2300 - 1.16/stable"],
    images: [],
  },
  {
    name: "landscape-server",
    from: "main, 2026-02",
    files: {
      ...config(option("landscape_ppa", "ppa:landscape/self-hosted-24.04")),
      "src/charm.py": 'PACKAGES = ("landscape-server", "landscape-hashids")\nadd_package(PACKAGES)\n',
    },
    snaps: [],
    images: [],
  },
  {
    name: "katib-controller",
    from: "main, 2026-06",
    files: {
      ...onKubernetes("katib-controller"),
      ...config(option("custom_images", "{}"), option("default-trial-resources", "")),
      "src/default-custom-images.json": list(...KATIB),
    },
    snaps: [],
    images: KATIB,
  },
  {
    name: "kserve-controller",
    from: "main, 2026-06",
    files: {
      ...onKubernetes("kserve-controller"),
      ...config(option("custom_images", ""), option("domain-name", "example.com")),
      "src/default-custom-images.json": list(...KSERVE, "tensorflow/serving:2.6.2", "pytorch/torchserve-kfs:0.9.0"),
      "src/templates/serving_runtimes_manifests.yaml.j2": manifest("ServingRuntime", "{{ serving_runtimes__xgbserver }}"),
    },
    snaps: [],
    images: [...KSERVE, ...hub(["tensorflow/serving:2.6.2", "pytorch/torchserve-kfs:0.9.0"])],
  },
  {
    name: "knative-serving",
    from: "main, 2026-05",
    files: { ...onKubernetes("knative-serving"), "src/default-custom-images.json": list(...KNATIVE) },
    snaps: [],
    images: hub(KNATIVE),
  },
  {
    name: "seldon-core",
    from: "main, 2024-08",
    files: {
      ...onKubernetes("seldon-core"),
      ...config(
        option("executor-container-image-and-version", "docker.io/seldonio/seldon-core-executor:1.17.1"),
        option("executor-container-image-pull-policy", "IfNotPresent"),
        option("webhook-port", "4443"),
      ),
      "src/default-custom-images.json": list(...SELDON, "nvcr.io/nvidia/tritonserver:21.08-py3"),
    },
    snaps: [],
    images: ["docker.io/seldonio/seldon-core-executor:1.17.1", ...hub(SELDON), "nvcr.io/nvidia/tritonserver:21.08-py3"],
  },
  {
    name: "jupyter-ui",
    from: "main, 2026-06",
    files: {
      ...onKubernetes("jupyter-ui"),
      ...config(option("jupyter-images", ""), option("url-prefix", "/jupyter")),
      "src/default-jupyter-images.yaml": ["charmedkubeflow/jupyter-scipy:1.10.0-0be57a5", ...NOTEBOOKS]
        .map((image) => `- ${image}\n`)
        .join(""),
      "src/default-rstudio-images.yaml": "- charmedkubeflow/rstudio-tidyverse:v1.10.0-9a7bded\n",
    },
    snaps: [],
    images: [...NOTEBOOKS, ...hub(["charmedkubeflow/jupyter-scipy:1.10.0-0be57a5", "charmedkubeflow/rstudio-tidyverse:v1.10.0-9a7bded"])],
  },
  {
    name: "kfp-api",
    from: "main, 2026-07",
    files: {
      ...onKubernetes("kfp-api"),
      ...config(
        option("launcher-image", "docker.io/charmedkubeflow/kfp-launcher:2.16.0-212e71b"),
        option("driver-image", "docker.io/charmedkubeflow/kfp-driver:2.16.0-cffd968"),
        option("object-store-bucket-name", "mlpipeline"),
      ),
    },
    snaps: [],
    images: ["docker.io/charmedkubeflow/kfp-launcher:2.16.0-212e71b", "docker.io/charmedkubeflow/kfp-driver:2.16.0-cffd968"],
  },
  {
    name: "argo-controller",
    from: "main, 2026-07",
    files: {
      ...onKubernetes("argo-controller"),
      ...config(
        option("executor-image", "docker.io/charmedkubeflow/argoexec:3.7.17-5627d4c-20260723123257"),
        option("key-format", "artifacts/{{workflow.name}}/{{pod.name}}"),
      ),
    },
    snaps: [],
    images: ["docker.io/charmedkubeflow/argoexec:3.7.17-5627d4c-20260723123257"],
  },
  {
    name: "istio-pilot",
    from: "main, 2026-04",
    files: {
      ...onKubernetes("istio-pilot"),
      "config.yaml":
        "options:\n  image-configuration:\n    type: string\n    description: images of the control plane\n    default: |\n      pilot-image: 'pilot'  # a name\n      global-tag: '1.28.0'\n      global-hub: 'docker.io/istio'\n      global-proxy-image: 'proxyv2'\n      grpc-bootstrap-init: 'busybox:1.28'\n",
    },
    snaps: [],
    images: ["docker.io/istio/pilot:1.28.0", "docker.io/istio/proxyv2:1.28.0", "docker.io/library/busybox:1.28"],
    // It puts hub, name and tag together itself.
    missed: ["docker.io/istio/pilot:1.28.0", "docker.io/istio/proxyv2:1.28.0"],
  },
  {
    name: "calico",
    from: "main, 2025-02",
    files: {
      ...config(option("image-registry", "")),
      "upstream/calico/manifests/v3.27.4/000-calico-etcd.yaml": manifest(
        "DaemonSet",
        "docker.io/calico/cni:v3.27.4",
        "docker.io/calico/node:v3.27.4",
        "docker.io/calico/kube-controllers:v3.27.4",
      ),
    },
    snaps: [],
    images: ["docker.io/calico/cni:v3.27.4", "docker.io/calico/node:v3.27.4", "docker.io/calico/kube-controllers:v3.27.4"],
  },
];
