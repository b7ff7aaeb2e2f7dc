/** Whether a Juju of one version finds everything that a bootstrap asks for, and what brings what it does not. Nothing here uses the network: a `BootstrapSource` does. */

import { mapBounded } from "../parallel.ts";
import { type Base, type System, showBase } from "./base.ts";
import {
  type BootstrapImage,
  type BootstrapSnap,
  bootstrapNeeds,
  charmBaseImage,
  chooseJuju,
  controllerImages,
  type JujuVersion,
  OPERATOR_IMAGE,
  readJuju,
  showImage,
} from "./bootstrap.ts";
import { DEFAULT_ARCHITECTURE } from "./controller.ts";
import { type CheckResult, certainFinding, type ReadinessFinding, resultsOf, skippedCheck } from "./finding.ts";
import type { Package } from "./package.ts";
import { pathOfReference } from "./registry.ts";
import { snapBase } from "./snapneeds.ts";

/** The kinds of clouds that bootstraps differ on, and whether a controller there is a machine. */
export const CLOUDS = { lxd: "machines", openstack: "machines", k8s: "kubernetes" } as const;
export type Cloud = keyof typeof CLOUDS;

export interface AgentKey {
  readonly version: string;
  /** dpkg name */
  readonly architecture: string;
}

/** The facts of a snap that say what it needs. */
export interface FoundSnap {
  readonly type: string;
  readonly base?: string | undefined;
}

/** What a bootstrap asks, of a store or of the server that it will ask. */
export interface BootstrapSource {
  /** those that are listed */
  agents(): Promise<readonly AgentKey[]>;
  /** whether a listed one is there in full */
  hasAgent(agent: AgentKey): Promise<boolean>;
  hasCharm(name: string, channel: string, base: Base): Promise<boolean>;
  findSnap(name: string, channel: string, architecture: string): Promise<FoundSnap | undefined>;
  /** names of the repositories of images */
  repositories(): Promise<readonly string[]>;
  tags(repository: string): Promise<readonly string[]>;
  /** whether a node of that architecture can pull it */
  hasImage(repository: string, tag: string, architecture: string): Promise<boolean>;
  /** how many system images of clouds are named */
  cloudImages(): Promise<number>;
}

export interface BootstrapWish {
  /** as the operator wrote it */
  readonly juju: string;
  /** undefined: of any kind */
  readonly cloud?: Cloud | undefined;
  /** what is stored, which tells architectures, and the bases in which charms run on Kubernetes */
  readonly packages: readonly Package[];
}

const PARALLEL = 8;

/** The results of `chp doctor --juju`. */
export async function checkBootstrap({ juju, cloud, packages }: BootstrapWish, source: BootstrapSource): Promise<readonly CheckResult[]> {
  const wanted = readJuju(juju);
  const on = (place: (typeof CLOUDS)[Cloud]) => cloud === undefined || CLOUDS[cloud] === place;
  const agents = await source.agents();
  const operators = await operatorTags(source);
  const chosen = chooseJuju(wanted, [...agents.map(({ version }) => version), ...operators.map(({ tag }) => tag)]);
  const version = readJuju(chosen ?? wanted.text);
  const ofVersion = agents.filter((agent) => agent.version === chosen);
  const needs = bootstrapNeeds(version);
  const charm = packages.find(({ name }) => name === needs.charm?.name);
  const released = (charm?.releases ?? []).flatMap(({ channel, base }) =>
    channel === needs.charm?.channel && base ? [base.architecture] : [],
  );
  const architectures = [...new Set([...ofVersion.map(({ architecture }) => architecture), ...released])].toSorted();
  if (architectures.length === 0) architectures.push(DEFAULT_ARCHITECTURE);

  const essentials = exportLine(`essentials: {juju: "${wanted.text}"}`);
  const lacks = (what: string, next = essentials) => certainFinding("juju", what, next);
  const findings: ReadinessFinding[] = [];
  if (on("machines")) findings.push(...(await agentFindings(version, { architectures, agents: ofVersion, source, lacks })));
  if (needs.charm) {
    const { name, channel, systems } = needs.charm;
    const bases = architectures.flatMap((architecture) => systems.map((system) => ({ ...system, architecture })));
    const found = await mapBounded(bases, PARALLEL, (base) => source.hasCharm(name, channel, base));
    const missing = bases.filter((_, i) => !found[i]);
    if (missing.length === bases.length)
      findings.push(lacks(`the charm ${name} is not stored in ${channel}, without which no controller starts`));
    else findings.push(...missing.map((base) => lacks(`the charm ${name} is not stored in ${channel} for ${showBase(base)}`)));
  }
  if (on("machines")) findings.push(...(await snapFindings(version, architectures, source, essentials)));
  if (on("kubernetes")) findings.push(...(await imageFindings(version, { architectures, operators, packages, source, lacks })));
  if (cloud === "openstack" && (await source.cloudImages()) === 0)
    findings.push(
      lacks(
        "no system image of the cloud is named, of which a bootstrap on OpenStack asks the id",
        "chp config image-metadata=@images.yaml (chp help bootstrap)",
      ),
    );
  const fine = `Juju ${version.text} can bootstrap${cloud === undefined ? "" : ` on ${cloud}`}, on ${architectures.join(", ")}`;
  return [...resultsOf("juju", findings, fine), ...(on("machines") ? skippedCheck("juju", OWN) : [])];
}

const OWN = "packages of apt and system images are the site's own, and were not asked for: chp juju-config --bootstrap says what they are";

/** The next step where a line in a site file brings what is missing. */
function exportLine(line: string): string {
  return `chp export -f site.yaml, with this line in it: ${line}`;
}

type Lacks = (what: string, next?: string) => ReadinessFinding;

interface AgentCheck {
  readonly architectures: readonly string[];
  readonly agents: readonly AgentKey[];
  readonly source: BootstrapSource;
  readonly lacks: Lacks;
}

async function agentFindings({ text }: JujuVersion, { architectures, agents, source, lacks }: AgentCheck): Promise<ReadinessFinding[]> {
  if (agents.length === 0) return [lacks(`no agent of Juju ${text} is stored, without which no machine becomes a controller`)];
  const found = await mapBounded(architectures, PARALLEL, async (architecture) => {
    const agent = agents.find((one) => one.architecture === architecture);
    return agent !== undefined && (await source.hasAgent(agent));
  });
  return architectures.flatMap((architecture, i) =>
    found[i] ? [] : [lacks(`the agent of Juju ${text} for ${architecture} is not stored`)],
  );
}

/** The snaps of a controller that is a machine, and the bases of those that are there. */
async function snapFindings(
  version: JujuVersion,
  architectures: readonly string[],
  source: BootstrapSource,
  essentials: string,
): Promise<ReadinessFinding[]> {
  const findings: ReadinessFinding[] = [];
  const asked = new Set<string>();
  for (const architecture of architectures) {
    const queue: (Pick<BootstrapSnap, "name" | "channel" | "sure"> & { by: string })[] = bootstrapNeeds(version).snaps.map(
      ({ name, channel, sure }) => ({ name, channel, sure, by: "" }),
    );
    for (let need = queue.shift(); need; need = queue.shift()) {
      const { name, channel, sure, by } = need;
      const key = `${name} ${channel} ${architecture}`;
      if (asked.has(key)) continue;
      asked.add(key);
      const snap = await source.findSnap(name, channel, architecture);
      const base = snap && snapBase(snap);
      if (base !== undefined) queue.push({ name: base, channel: "latest/stable", sure: "certain", by: name });
      if (snap) continue;
      const isEssential = by === "" && sure === "certain";
      findings.push({
        check: "juju",
        what: `the snap ${name} is not stored in ${channel} for ${architecture}${by === "" ? "" : `; it is the base of ${by}`}`,
        sure,
        next: isEssential ? essentials : exportLine(`snaps: [{name: ${name}, channel: ${channel}}]`),
      });
    }
  }
  return findings;
}

interface OperatorTag {
  /** the path before the names of Juju's images: `juju` */
  readonly repository: string;
  readonly tag: string;
}

/** Every stored image of a controller. */
async function operatorTags(source: BootstrapSource): Promise<OperatorTag[]> {
  const found: OperatorTag[] = [];
  for (const name of await source.repositories()) {
    const repository = repositoryOfOperator(name);
    if (repository !== undefined) for (const tag of await source.tags(name)) found.push({ repository, tag });
  }
  return found;
}

/** The path before the names of Juju's images, of the repository of the controller's image; undefined: it is another. */
export function repositoryOfOperator(name: string): string | undefined {
  return name.endsWith(`/${OPERATOR_IMAGE}`) ? name.slice(0, -OPERATOR_IMAGE.length - 1) : undefined;
}

interface ImageCheck extends Omit<AgentCheck, "agents"> {
  readonly operators: readonly OperatorTag[];
  readonly packages: readonly Package[];
}

async function imageFindings(
  version: JujuVersion,
  { architectures, operators, packages, source, lacks }: ImageCheck,
): Promise<ReadinessFinding[]> {
  const { imageRepository } = bootstrapNeeds(version);
  if (version.patch === undefined)
    return [lacks(`no image of a controller of Juju ${version.text} is stored, without which none starts on Kubernetes`)];
  const upstream = pathOfReference(imageRepository);
  const repository = operators.find(({ tag }) => tag === version.text)?.repository ?? upstream;
  const own = controllerImages(version);
  const known = new Set(own.map(showImage));
  const charms = charmSystems(packages).flatMap(([system, charm]): BootstrapImage[] => {
    const image = charmBaseImage(system);
    return known.has(showImage(image)) ? [] : [{ ...image, reason: `the charm ${charm}` }];
  });
  const all = [...own, ...charms].flatMap((image) => architectures.map((architecture) => ({ image, architecture })));
  const found = await mapBounded(all, PARALLEL, ({ image: { name, tag }, architecture }) =>
    source.hasImage(`${repository}/${name}`, tag, architecture),
  );
  return all.flatMap(({ image, architecture }, i) => {
    if (found[i]) return [];
    const what = `the image ${repository}/${showImage(image)} is not stored for ${architecture}; it is of ${image.reason}`;
    return [known.has(showImage(image)) ? lacks(what) : lacks(what, exportLine(`images: ["${imageRepository}/${showImage(image)}"]`))];
  });
}

/** The systems in which charms run on Kubernetes, each with one of these charms. */
function charmSystems(packages: readonly Package[]): [System, string][] {
  const found = new Map<string, [System, string]>();
  for (const { name, releases, resources } of packages) {
    if (!resources.some(({ revisions }) => revisions.some(({ image }) => image !== undefined))) continue;
    for (const { base } of releases)
      if (base && base.channel !== "all") found.set(`${base.name}@${base.channel}`, [{ name: base.name, channel: base.channel }, name]);
  }
  return [...found.values()];
}
