/** The settings with which `juju bootstrap` finds what is stored, and what is left out of them because it is not. */

import { type JujuVersion, seriesOf } from "../catalog/bootstrap.ts";
import { type AgentKey, CLOUDS, type Cloud, type OperatorTag } from "../catalog/bootstrapcheck.ts";
import type { CloudImage } from "../catalog/cloudimage.ts";
import type { Login } from "../catalog/registry.ts";
import { AGENT_STREAMS, IMAGE_STREAMS } from "./urls.ts";

/** Settings of a bootstrap besides those of every model. */
export const BOOTSTRAP_KEYS = ["agent-metadata-url", "caas-image-repo", "image-metadata-url"] as const;
type BootstrapKey = (typeof BOOTSTRAP_KEYS)[number];

/** Lines of the configuration; or why a setting is left out, lower-case without a full stop, with what changes that. */
export type BootstrapLine =
  | { readonly text: string; readonly omitted?: undefined }
  | { readonly text?: undefined; readonly omitted: string };

export interface BootstrapFacts {
  /** public URL, without a trailing slash */
  readonly url: string;
  /** undefined: whatever is stored */
  readonly version: JujuVersion | undefined;
  readonly cloud: Cloud | undefined;
  readonly agents: readonly AgentKey[];
  readonly operators: readonly OperatorTag[];
  readonly cloudImages: readonly CloudImage[];
  /** of clients of chp's registry */
  readonly login: Login;
}

/** `lines` in the order of the file, comments for the operator's own choices at their end. */
export function bootstrapSettings(facts: BootstrapFacts): {
  readonly values: ReadonlyMap<BootstrapKey, string>;
  readonly lines: readonly BootstrapLine[];
} {
  const { url, cloud, cloudImages } = facts;
  const isOn = (place: (typeof CLOUDS)[Cloud]) => cloud === undefined || CLOUDS[cloud] === place;
  const found: (readonly [BootstrapKey, string | undefined, string])[] = [
    ...(isOn("machines") ? [agentUrl(facts)] : []),
    ...(isOn("kubernetes") ? [imageRepository(facts)] : []),
    ...(cloud === "openstack" ? [imageUrl(url, cloudImages)] : []),
  ];
  const values = new Map(found.flatMap(([key, value]) => (value === undefined ? [] : [[key, value] as const])));
  const lines = found.map(
    ([key, value, why]): BootstrapLine =>
      value === undefined ? { omitted: `${key} is omitted: ${why}` } : { text: `${key}: ${value.startsWith("{") ? quoted(value) : value}` },
  );
  return { values, lines: [...lines, ...(cloud === "openstack" ? NO_PUBLIC_IMAGES : []), ...(isOn("machines") ? OWN_CHOICES : [])] };
}

function agentUrl({ url, version, agents }: BootstrapFacts): readonly [BootstrapKey, string | undefined, string] {
  const wanted = (key: AgentKey) =>
    version === undefined ||
    key.version === version.text ||
    (version.patch === undefined && key.version.startsWith(`${seriesOf(version)}.`));
  const of = version === undefined ? "of Juju" : `of Juju ${version.text}`;
  const next = version === undefined ? "essentials: {juju: VERSION}" : `essentials: {juju: "${version.text}"}`;
  const why = `no agent ${of} is stored, and without it no machine becomes a controller; chp export -f site.yaml takes them, with ${next} in it`;
  return ["agent-metadata-url", agents.some(wanted) ? `${url}${AGENT_STREAMS}` : undefined, why];
}

/**
 * Juju takes an address with a port as JSON alone (handlers/images.md, Bootstrap). References of images have no place for the path of a URL.
 */
function imageRepository({ url, version, operators, login }: BootstrapFacts): readonly [BootstrapKey, string | undefined, string] {
  const key = "caas-image-repo";
  const { origin, host, pathname } = new URL(url);
  if (pathname !== "/") return [key, undefined, `the public URL ${url} has a path, for which references of images have no place`];
  const fits = (tag: string) =>
    version === undefined || tag === version.text || (version.patch === undefined && tag.startsWith(`${seriesOf(version)}.`));
  const found = operators.find(({ tag }) => fits(tag));
  const of = version === undefined ? "" : ` of Juju ${version.text}`;
  if (!found)
    return [
      key,
      undefined,
      `no image jujud-operator${of} is stored, without which nothing starts on Kubernetes; chp export -f site.yaml takes it, with essentials in it`,
    ];
  const { username, password } = login;
  const repository = `${host}/${found.repository}`;
  return [
    key,
    JSON.stringify({ serveraddress: origin, repository, ...(username !== "" && password !== "" && { username, password }) }),
    "",
  ];
}

function imageUrl(url: string, images: readonly CloudImage[]): readonly [BootstrapKey, string | undefined, string] {
  return [
    "image-metadata-url",
    images.length > 0 ? `${url}${IMAGE_STREAMS}` : undefined,
    "no system image is named; chp config image-metadata=@images.yaml",
  ];
}

/** A text of JSON as YAML. */
function quoted(json: string): string {
  return `'${json.replaceAll("'", "''")}'`;
}

/** Juju asks for public images besides those of the site, and ends where nobody answers. */
const NO_PUBLIC_IMAGES: readonly BootstrapLine[] = [{ text: "image-metadata-defaults-disabled: true" }];

/** What is not chp's to serve. Without a mirror, an image needs these packages: machines install them in any case. */
const OWN_CHOICES: readonly BootstrapLine[] = [
  "# The site's own, which chp does not serve. Machines install curl and tmux with apt (before 4.0 cpu-checker and ubuntu-fan too), after an update and",
  "# an upgrade. Either a mirror has them, or the system image does:",
  "# apt-mirror: http://archive.lan/ubuntu",
  "# enable-os-refresh-update: false",
  "# enable-os-upgrade: false",
].map((text) => ({ text }));
