import { CONTROLLER_CHARM } from "../../src/catalog/bootstrap.ts";
import { checkController, controllerFindings, controllerTracks } from "../../src/catalog/controller.ts";
import { offered } from "../../src/catalog/override.ts";
import type { Login } from "../../src/catalog/registry.ts";
import { plausibleTime } from "../../src/clock.ts";
import { Failure, printable } from "../../src/errors.ts";
import { trustAnchors } from "../../src/settings/certificate.ts";
import { type Io, note, printJson } from "../machine/io.ts";
import { openStore } from "../machine/openstore.ts";
import { loadSettings, loginOf } from "../machine/settings.ts";
import { CANONICAL, type StoreProxy, storeProxyOf, userData } from "../machine/storeproxy.ts";
import { trustedCertificates } from "../machine/tls.ts";
import { defineCommand, EXITS, type Register } from "./command.ts";
import type { FlagValues } from "./flags.ts";

const TAKES = ["publicUrlForJuju", "bootstrap", "bootstrapJuju"] as const;
type JujuConfigFlags = FlagValues<typeof TAKES>;

export const jujuConfigCommand: Register = (program, io) => {
  defineCommand(program, "juju-config", "Print the configuration file for juju bootstrap and add-model", EXITS, TAKES)
    .addHelpText("after", EXAMPLES)
    .action((options: JujuConfigFlags) => runJujuConfig(options, io));
};

const EXAMPLES = `
Examples:
  chp juju-config > juju-config.yaml
  juju add-model m --config juju-config.yaml
  chp juju-config --bootstrap --juju 3.6.11 > juju-config.yaml
  juju bootstrap lxd machine-controller --config juju-config.yaml`;

export async function runJujuConfig(options: JujuConfigFlags, io: Io): Promise<void> {
  if (options.juju !== undefined && !options.bootstrap)
    throw new Failure("usage", "--juju says which Juju bootstraps", { next: "give --bootstrap with it" });
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
  const images = options.bootstrap ? controllerImages(snapshot.repositoryNames, url, loginOf(settings)) : undefined;
  const config = jujuConfig(url, proxy, certificates, images);
  let controller: ReturnType<typeof checkController> | undefined;
  if (options.bootstrap) {
    const stored = await snapshot.package(CONTROLLER_CHARM);
    const pkg = stored && offered(stored, plausibleTime(Date.now(), snapshot.time));
    const tracks = options.juju === undefined ? undefined : controllerTracks(options.juju);
    const [finding] = controllerFindings(pkg, tracks);
    if (finding) throw new Failure("failed", finding.what, { next: finding.next });
    controller = checkController(pkg, tracks);
    const channels = controller.map((release) => release.channel).join(", ");
    note(
      controller.length === 0 ? `Juju ${options.juju} needs no ${CONTROLLER_CHARM}` : `${CONTROLLER_CHARM} is stored in ${channels}`,
      options,
      io,
    );
  }
  if (options.json)
    return printJson(
      {
        "charmhub-url": url,
        "snap-store-proxy-url": proxyUrl(url, proxy) ?? null,
        "caas-image-repo": images ?? null,
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

/** The documented file. Without a proxy.store, cloud-init sets snapd's environment. */
export function jujuConfig(url: string, proxy: StoreProxy, certificates: readonly string[], images?: string): string {
  const { fitting, why } = proxy;
  const data = [...(certificates.length > 0 ? [caCerts(certificates)] : []), ...(fitting ? [] : [userData(url, "preruncmd")])].join("");
  const lines = [
    "# For juju bootstrap and juju add-model, as --config FILE.",
    ...(fitting
      ? []
      : [
          `# snap-store-proxy-url is omitted: ${why}.`,
          "# Setting it anyway would make machine provisioning fail; write_files below points snapd here instead.",
        ]),
    ...(fitting && fitting.authority !== CANONICAL
      ? [`# The store assertion is signed by ${fitting.authority}: a snapd that trusts Canonical alone does not take it.`]
      : []),
    ...(url.startsWith("https:") && certificates.length === 0
      ? ["# ca-certs is omitted: chp has no certificate, so machines must trust the one of the public URL already."]
      : []),
  ].map((line) => printable(line));
  return [
    ...lines,
    ...(data === "" ? [] : [`cloudinit-userdata: |\n${data.trimEnd().replace(/^(?=.)/gm, "  ")}`]),
    `charmhub-url: ${url}`,
    ...(fitting ? [`snap-store-proxy-url: ${proxyUrl(url, proxy)}`] : []),
    ...(images === undefined ? [] : [`caas-image-repo: '${images.replaceAll("'", "''")}'`]),
    "",
  ].join("\n");
}

const OPERATOR = "jujud-operator";

/**
 * The caas-image-repo of a bootstrap on Kubernetes: chp, if it has the image of the operator. Juju takes an address with a port as JSON
 * alone (handlers/images.md, Bootstrap). Undefined: the image is missing, or the URL has a path, for which references have no place.
 */
function controllerImages(repositories: readonly string[], url: string, { username, password }: Login): string | undefined {
  const operator = repositories.find((name) => name.endsWith(`/${OPERATOR}`));
  const { origin, host, pathname } = new URL(url);
  if (operator === undefined || pathname !== "/") return undefined;
  const repository = `${host}/${operator.slice(0, -OPERATOR.length - 1)}`;
  return JSON.stringify({ serveraddress: origin, repository, ...(username !== "" && password !== "" && { username, password }) });
}

function caCerts(certificates: readonly string[]): string {
  return `ca-certs:\n  trusted:\n${certificates.map((pem) => `  - |\n${pem.trim().replace(/^/gm, "    ")}\n`).join("")}`;
}
