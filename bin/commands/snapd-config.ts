import type { AssertionSet } from "../../src/catalog/assertionset.ts";
import { type Io, printJson } from "../machine/io.ts";
import { openStore } from "../machine/openstore.ts";
import { loadSettings } from "../machine/settings.ts";
import { CANONICAL, DROP_IN, dropIn, storeProxyOf, userData } from "../machine/storeproxy.ts";
import { defineCommand, EXITS, type Register } from "./command.ts";
import type { FlagValues } from "./flags.ts";

const TAKES = ["publicUrlForDevices", "cloudInit", "jujuData"] as const;
type SnapdConfigFlags = FlagValues<typeof TAKES>;

export const snapdConfigCommand: Register = (program, io) => {
  defineCommand(program, "snapd-config", "Print the commands that point a device's snapd at this store", EXITS, TAKES).action(
    (options: SnapdConfigFlags) => runSnapdConfig(options, io),
  );
};

const PLACEHOLDER = "http://HUB:8080";

export async function runSnapdConfig(options: SnapdConfigFlags, io: Io): Promise<void> {
  const store = await openStore(options, io);
  const settings = await loadSettings(store, { flags: { "public-url": options.publicUrl }, environment: io.environment });
  const url = settings.get("public-url")?.values[0];
  const facts = snapdConfig(await (await store.snapshot()).assertions(), url);
  if (options.json) return printJson(facts, io);
  if (options.cloudInit) return io.out(facts.cloudInit);
  if (options.juju) return io.out(facts.juju);
  io.out(renderSnapdConfig(facts));
}

/** How a device's snapd is pointed at the store of that public URL. */
export function snapdConfig(assertions: AssertionSet, url: string | undefined) {
  const { fitting, why } = storeProxyOf(assertions, url);
  return {
    publicUrl: url ?? null,
    route: fitting ? "proxy.store" : "environment",
    why,
    store: fitting?.id ?? null,
    authority: fitting?.authority ?? null,
    commands: deviceCommands(fitting?.id, url ?? PLACEHOLDER),
    dropIn: { path: DROP_IN, text: dropIn(url ?? PLACEHOLDER) },
    cloudInit: cloudInit(url ?? PLACEHOLDER),
    juju: jujuUserData(url ?? PLACEHOLDER),
  };
}

function deviceCommands(store: string | undefined, url: string): string[] {
  if (store !== undefined)
    return [`curl -sL ${url}/v2/auth/store/assertions | sudo snap ack /dev/stdin`, `sudo snap set core proxy.store=${store}`];
  return [
    `sudo mkdir -p ${DROP_IN.slice(0, DROP_IN.lastIndexOf("/"))}`,
    `sudo tee ${DROP_IN} >/dev/null <<'EOF'\n${dropIn(url)}EOF`,
    "sudo systemctl daemon-reload",
    "sudo systemctl restart snapd",
  ];
}

function cloudInit(url: string): string {
  return `#cloud-config\n${userData(url, "runcmd")}`;
}

/** For the configuration file of juju bootstrap, add-model and model-config. */
function jujuUserData(url: string): string {
  return `cloudinit-userdata: |\n${userData(url, "preruncmd").trimEnd().replace(/^/gm, "  ")}\n`;
}

function renderSnapdConfig({
  publicUrl,
  route,
  why,
  store,
  authority,
  commands,
  cloudInit: machines,
  juju,
}: {
  readonly publicUrl: string | null;
  readonly route: string;
  readonly why: string;
  readonly store: string | null;
  readonly authority: string | null;
  readonly commands: readonly string[];
  readonly cloudInit: string;
  readonly juju: string;
}): string {
  const lines = [
    store === null ? `# Method: snapd environment variables, because ${why}.` : `# Method: proxy.store=${store}, because ${why}.`,
    ...(authority === null || authority === CANONICAL
      ? []
      : [`# It is signed by ${authority}: a snapd that trusts Canonical alone does not take it.`]),
    ...(publicUrl === null
      ? [`# No public URL is set: put the address of this server for ${PLACEHOLDER}, or chp config public-url=URL.`]
      : []),
    "# On each device:",
    ...commands,
  ];
  if (route === "environment")
    lines.push(
      "",
      "# The commands snap download and snap known take the same two from the shell:",
      ...dropIn(publicUrl ?? PLACEHOLDER)
        .split("\n")
        .filter((line) => line.startsWith("Environment="))
        .map((line) => `export ${line.slice("Environment=".length)}`),
      "",
      "# For new machines, as cloud-init user data (chp snapd-config --cloud-init prints it alone):",
      machines.trimEnd(),
      "",
      "# For the machines of a Juju model, in the file of juju add-model --config FILE (--juju prints it alone):",
      juju.trimEnd(),
    );
  return `${lines.join("\n")}\n`;
}
