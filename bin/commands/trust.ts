import { readFileSync } from "node:fs";
import { Failure, reason, refused } from "../../src/errors.ts";
import { certificateFacts, hostOf, readPem, rootOfChain } from "../../src/settings/certificate.ts";
import { type Io, note, printJson } from "../machine/io.ts";
import { openStore } from "../machine/openstore.ts";
import { loadSettings, registryOf } from "../machine/settings.ts";
import { servedCertificate, trustedCertificate } from "../machine/tls.ts";
import { defineCommand, EXITS, type Register } from "./command.ts";
import type { FlagValues } from "./flags.ts";

/** The values in the printed texts. */
export interface TrustFacts {
  /** the certificate to trust, PEM, without a newline at its end; empty: the public URL is http, and there is none */
  readonly pem: string;
  readonly url: string;
  readonly host: string;
  /** of another registry than chp; null where none is set */
  readonly registry: string | null;
}

/** Where containerd looks for what it is to know of a registry. */
const CERTS = "/etc/containerd/certs.d";

const FOR_EACH_NODE = `#   for node in $(kubectl get nodes -o jsonpath='{.items[*].status.addresses[?(@.type=="InternalIP")].address}')
#   do chp trust --containerd | ssh "$node" sh; done`;

/** The registry that nodes pull from, chp or another one: its name, the folder for it, and the hosts.toml there. */
function hostOfImages({ pem, url, registry }: TrustFacts): { readonly name: string; readonly folder: string; readonly toml: string } {
  const origin = registry === null ? new URL(url).origin : `https://${registry}`;
  const name = new URL(origin).host;
  const folder = `${CERTS}/${name}`;
  const ca = pem === "" && registry === null ? "" : `ca = "${folder}/ca.crt"\n`;
  const pulls = `capabilities = ["pull", "resolve"]\n${ca}`;
  // Twice: after a 404 of the host containerd asks the server, by what stands above.
  return { name, folder, toml: `server = "${origin}"\n${pulls}\n[host."${origin}"]\n${pulls.replace(/^(?=.)/gm, "  ")}` };
}

const FILE = "/usr/local/share/ca-certificates/chp.crt";

const PARTS: readonly {
  readonly key: "os" | "snapd" | "juju" | "containerd" | "kubernetes";
  /** for nodes that pull images: over http they need no certificate */
  readonly pulls?: true;
  readonly text: (facts: TrustFacts) => string;
}[] = [
  {
    key: "os",
    text: ({ pem, url }) => `# The operating system: wherever juju, curl or snapd talk to chp. Debian and Ubuntu:
sudo tee ${FILE} >/dev/null <<'EOF'
${pem}
EOF
sudo update-ca-certificates
# It works when this says ok:
curl ${url}/_status/check
`,
  },
  {
    key: "snapd",
    text: ({ pem }) => `# snapd, where the operating system does not trust it yet (snapd 2.45 or later):
sudo snap set system store-certs.chp="$(cat <<'EOF'
${pem}
EOF
)"
`,
  },
  {
    key: "juju",
    text: ({
      pem,
      url,
    }) => `# Juju: the file of juju bootstrap --config FILE and juju add-model --config FILE. Its machines trust it from their first start.
# A model has one cloudinit-userdata: chp juju-config prints it together with what points snapd here.
cloudinit-userdata: |
  ca-certs:
    trusted:
    - |
${indent(pem, 6)}
charmhub-url: ${url}
# juju info, find and download ask from where they run, whose operating system has to trust it (chp trust --os):
# CHARMHUB_URL=${url} juju info NAME
`,
  },
  {
    key: "containerd",
    pulls: true,
    text: (facts) => {
      const { pem, registry } = facts;
      const { folder, toml } = hostOfImages(facts);
      const before =
        registry === null
          ? [
              "# containerd, on each node: it pulls images from chp. Its configuration has to say",
              `# config_path = "${CERTS}" (microk8s: /var/snap/microk8s/current/args/certs.d, here and below).`,
              `sudo mkdir -p ${folder}`,
              ...(pem === "" ? [] : [`sudo tee ${folder}/ca.crt >/dev/null <<'EOF'`, pem, "EOF"]),
            ]
          : [
              `# containerd does not pull from chp and does not need its certificate. Images come from ${registry}.`,
              "# Where that registry has a certificate of a private CA, on each node:",
              `sudo mkdir -p ${folder}`,
              `sudo cp REGISTRY-CA.crt ${folder}/ca.crt`,
            ];
      return [...before, `sudo tee ${folder}/hosts.toml >/dev/null <<'EOF'`, `${toml}EOF`, ""].join("\n");
    },
  },
  {
    key: "kubernetes",
    pulls: true,
    text: (facts) => {
      const { pem, host, registry } = facts;
      return [
        ...(registry === null
          ? [`# Kubernetes: its nodes pull images from ${hostOfImages(facts).name}. On each of them, from here:`, FOR_EACH_NODE]
          : []),
        "# Charms are fetched by the Juju controller, not by pods. Juju controllers on Kubernetes cannot be configured to trust",
        "# a private CA: bootstrap it on a machine (chp trust --juju) and give it the cluster with juju add-k8s.",
        `# For pods of your own that talk to ${host}: kubectl apply -n NAMESPACE -f this, and mount it.`,
        "apiVersion: v1",
        "kind: ConfigMap",
        "metadata:",
        "  name: chp-ca",
        "data:",
        ...(pem === "" ? [] : ["  ca.crt: |", indent(pem, 4)]),
        ...(registry === null ? ["  hosts.toml: |", indent(hostOfImages(facts).toml.trimEnd(), 4)] : []),
        "",
      ].join("\n");
    },
  },
];

/** The texts for machines, by what is to trust the server. */
export function trustTexts(facts: TrustFacts): ReadonlyMap<(typeof PARTS)[number]["key"], string> {
  return new Map(PARTS.map(({ key, text }) => [key, text(facts)]));
}

const TAKES = ["trustOs", "trustSnapd", "trustJuju", "trustContainerd", "trustKubernetes", "trustCa", "publicUrlForMachines"] as const;
type TrustFlags = FlagValues<typeof TAKES>;

export const trustCommand: Register = (program, io) => {
  defineCommand(program, "trust", "Print commands that make clients trust this server's certificate", EXITS, TAKES)
    .addHelpText("after", EXAMPLES)
    .action((options: TrustFlags) => runTrust(options, io));
};

const EXAMPLES = `
Nothing is changed here: what is printed is run elsewhere.

Examples:
  chp trust --os | ssh machine sh
  chp trust --juju > juju-config.yaml`;

export async function runTrust(options: TrustFlags, io: Io): Promise<void> {
  const store = await openStore(options, io);
  const settings = await loadSettings(store, { flags: { "public-url": options.publicUrl }, environment: io.environment });
  const served = await servedCertificate(store, settings);
  const publicUrl = settings.get("public-url")?.values[0];
  const asked = PARTS.filter(({ key }) => options[key] === true);
  const isPlain = publicUrl?.startsWith("http:") === true && asked.length > 0 && asked.every(({ pulls }) => pulls);
  if (!served && options.ca === undefined && !isPlain)
    throw new Failure("failed", "there is no certificate to trust", { next: "chp import-certificate --selfsigned makes one" });
  const trusted = options.ca === undefined ? served && trustedCertificate(served) : readAuthority(options.ca);
  const facts = served && certificateFacts(served.certificate);
  if (trusted === undefined && !isPlain)
    throw new Failure("failed", `the certificate of ${facts?.issuer}, which clients have to trust, is not in the chain that was imported`, {
      next: "nothing is to be done where machines trust it already; else name its file with --ca FILE",
    });
  const url = publicUrl ?? `https://${facts?.names.find((name) => !name.startsWith("*")) ?? "HUB"}`;
  const pem = isPlain ? "" : (trusted ?? "").trimEnd();
  const trustFacts: TrustFacts = { pem, url, host: hostOf(url), registry: registryOf(settings)?.domain ?? null };
  if (publicUrl === undefined) note(`no public URL is set, so ${url} is a guess; set it with chp config public-url=URL`, options, io);
  const texts = (asked.length === 0 ? PARTS : asked).map(({ key, text }) => [key, text(trustFacts)] as const);
  if (options.json) {
    const certificate = trusted === undefined ? null : { pem: trusted, ...certificateFacts(trusted) };
    return printJson({ publicUrl: url, hosts: facts?.names ?? [], certificate, parts: Object.fromEntries(texts) }, io);
  }
  io.out(texts.map(([, text]) => text).join("\n"));
}

/** The root among the certificates of a file, or the first certificate. */
function readAuthority(file: string): string {
  let text: string;
  try {
    text = readFileSync(file, "latin1");
  } catch (error) {
    throw new Failure("failed", `cannot read ${file}: ${reason(error).split(",")[0]}`, { cause: error });
  }
  const [first] = readPem(text, file).certificates;
  if (!first) throw refused(`there is no certificate in ${file}, or it is not PEM`);
  return rootOfChain(text) ?? first.toString();
}

function indent(text: string, by: number): string {
  return text.replace(/^/gm, " ".repeat(by));
}
