import { agentKeys } from "../../src/catalog/agents.ts";
import { CONTROLLER_CHARM, readJuju } from "../../src/catalog/bootstrap.ts";
import { CLOUDS, type Cloud, repositoryOfOperator } from "../../src/catalog/bootstrapcheck.ts";
import { checkController, controllerFindings, controllerTracks } from "../../src/catalog/controller.ts";
import { offered } from "../../src/catalog/override.ts";
import { plausibleTime } from "../../src/clock.ts";
import { Failure, printable } from "../../src/errors.ts";
import { trustAnchors } from "../../src/settings/certificate.ts";
import { readCloudImages } from "../../src/settings/cloudimages.ts";
import { IMAGE_METADATA } from "../../src/settings/config.ts";
import { BOOTSTRAP_KEYS, type BootstrapLine, bootstrapSettings } from "../../src/wire/bootstrapsettings.ts";
import { type Io, note, printJson } from "../machine/io.ts";
import { openStore } from "../machine/openstore.ts";
import { loadSettings, loginOf } from "../machine/settings.ts";
import { CANONICAL, type StoreProxy, storeProxyOf, userData } from "../machine/storeproxy.ts";
import { trustedCertificates } from "../machine/tls.ts";
import { defineCommand, EXITS, type Register } from "./command.ts";
import type { FlagValues } from "./flags.ts";

const TAKES = ["publicUrlForJuju", "bootstrap", "bootstrapJuju", "bootstrapCloud"] as const;
type JujuConfigFlags = FlagValues<typeof TAKES>;

export const jujuConfigCommand: Register = (program, io) => {
  defineCommand(program, "juju-config", "Print the configuration file for juju bootstrap and add-model", EXITS, TAKES)
    .addHelpText("after", EXAMPLES)
    .action((options: JujuConfigFlags) => runJujuConfig(options, io));
};

const EXAMPLES = `
With --bootstrap, or --cloud, it also has what a bootstrap needs: agent-metadata-url, caas-image-repo, image-metadata-url. What is not stored
is not printed, but said: in a comment, and on standard error. (chp help bootstrap)

Examples:
  chp juju-config > juju-config.yaml
  juju add-model m --config juju-config.yaml
  chp juju-config --juju 3.6.11 --cloud lxd > lxd.yaml
  juju bootstrap lxd machine-controller --config lxd.yaml
  chp juju-config --juju 3.6.11 --cloud k8s > k8s.yaml
  juju bootstrap my-k8s k8s-controller --config k8s.yaml`;

export async function runJujuConfig(options: JujuConfigFlags, io: Io): Promise<void> {
  const { juju, cloud } = options;
  const isBootstrap = options.bootstrap === true || cloud !== undefined;
  if (juju !== undefined && !isBootstrap)
    throw new Failure("usage", "--juju says which Juju bootstraps", { next: "give --bootstrap or --cloud KIND with it" });
  const version = juju === undefined ? undefined : readJuju(juju);
  const store = await openStore(options, io);
  const settings = await loadSettings(store, { flags: { "public-url": options.publicUrl }, environment: io.environment });
  const url = settings.get("public-url")?.values[0];
  if (url === undefined)
    throw new Failure("failed", "set a public URL first: a Juju model keeps this address permanently", {
      next: "chp config public-url=URL, or give --public-url URL",
    });
  const snapshot = await store.snapshot();
  const proxy = storeProxyOf(await snapshot.assertions(), url);
  const certificates = url.startsWith("https:") ? trustAnchors(await trustedCertificates(store, settings)) : [];
  let controller: ReturnType<typeof checkController> | undefined;
  if (isBootstrap) {
    const stored = await snapshot.package(CONTROLLER_CHARM);
    const pkg = stored && offered(stored, plausibleTime(Date.now(), snapshot.time));
    const tracks = version && controllerTracks(version.text);
    const [finding] = controllerFindings(pkg, tracks);
    if (finding) throw new Failure("failed", finding.what, { next: finding.next });
    controller = checkController(pkg, tracks);
    const channels = controller.map((release) => release.channel).join(", ");
    note(
      controller.length === 0 ? `Juju ${juju} needs no ${CONTROLLER_CHARM}` : `${CONTROLLER_CHARM} is stored in ${channels}`,
      options,
      io,
    );
  }
  const metadata = settings.get(IMAGE_METADATA)?.values[0];
  const bootstrap = isBootstrap
    ? bootstrapSettings({
        url,
        version,
        cloud,
        agents: agentKeys(await snapshot.agents()),
        operators: (await snapshot.repositories()).flatMap(({ name, tags }) => {
          const repository = repositoryOfOperator(name);
          return repository === undefined ? [] : Object.keys(tags).map((tag) => ({ repository, tag }));
        }),
        cloudImages: metadata === undefined ? [] : readCloudImages(metadata),
        login: loginOf(settings),
      })
    : undefined;
  for (const { omitted } of bootstrap?.lines ?? []) if (omitted !== undefined) note(omitted, options, io);
  const config = jujuConfig(url, proxy, certificates, { cloud, lines: bootstrap?.lines ?? [] });
  if (options.json)
    return printJson(
      {
        "charmhub-url": url,
        "snap-store-proxy-url": proxyUrl(url, proxy) ?? null,
        ...Object.fromEntries(BOOTSTRAP_KEYS.map((key) => [key, bootstrap?.values.get(key) ?? null])),
        omitted: bootstrap?.lines.flatMap(({ omitted }) => omitted ?? []) ?? [],
        why: proxy.why,
        certificates,
        config,
        controller,
      },
      io,
    );
  io.out(config);
}

/** The public URL with host and port spelled as in the assertion: Juju compares them as text, and ignores the path. */
function proxyUrl(url: string, { fitting }: StoreProxy): string | undefined {
  const [, host] = /^https?:\/\/([^/]+)/i.exec(fitting?.url ?? "") ?? [];
  return host === undefined ? undefined : `${new URL(url).protocol}//${host}`;
}

/** The documented file. Without a proxy.store, cloud-init sets snapd's environment; on Kubernetes there is no machine that runs it. */
export function jujuConfig(
  url: string,
  proxy: StoreProxy,
  certificates: readonly string[],
  { cloud, lines }: { readonly cloud?: Cloud | undefined; readonly lines: readonly BootstrapLine[] } = { lines: [] },
): string {
  const { fitting, why } = proxy;
  const isMachine = cloud === undefined || CLOUDS[cloud] === "machines";
  const data = [...(certificates.length > 0 ? [caCerts(certificates)] : []), ...(fitting ? [] : [userData(url, "preruncmd")])].join("");
  const heading = [
    "# For juju bootstrap and juju add-model, as --config FILE.",
    ...(fitting || !isMachine
      ? []
      : [
          `# snap-store-proxy-url is omitted: ${why}.`,
          "# Setting it anyway would make machine provisioning fail; write_files below points snapd here instead.",
        ]),
    ...(fitting && fitting.authority !== CANONICAL && isMachine
      ? [`# The store assertion is signed by ${fitting.authority}: a snapd that trusts Canonical alone does not take it.`]
      : []),
    ...(url.startsWith("https:") && certificates.length === 0 && isMachine
      ? ["# ca-certs is omitted: chp has no certificate, so machines must trust the one of the public URL already."]
      : []),
    ...(url.startsWith("https:") && !isMachine
      ? ["# Nodes and the controller's pod must trust the certificate of the public URL: chp trust --kubernetes prints how."]
      : []),
  ].map((line) => printable(line));
  return [
    ...heading,
    ...(data === "" || !isMachine ? [] : [`cloudinit-userdata: |\n${data.trimEnd().replace(/^(?=.)/gm, "  ")}`]),
    `charmhub-url: ${url}`,
    ...(fitting && isMachine ? [`snap-store-proxy-url: ${proxyUrl(url, proxy)}`] : []),
    ...lines.map(({ text, omitted }) => text ?? `# ${printable(omitted, 1000)}.`),
    "",
  ].join("\n");
}

function caCerts(certificates: readonly string[]): string {
  return `ca-certs:\n  trusted:\n${certificates.map((pem) => `  - |\n${pem.trim().replace(/^/gm, "    ")}\n`).join("")}`;
}
