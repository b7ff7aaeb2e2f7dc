/** Reads the files of a charm or a bundle: metadata.yaml, manifest.yaml, bundle.yaml. */

import * as v from "valibot";
import { type Base, basesOfSeries, compareBases, expandAny, normalBase, uniqueBases } from "../catalog/base.ts";
import { isResourceName, type Relations } from "../catalog/package.ts";
import { printable, refused } from "../errors.ts";
import { anyByName, isObject, mapByName, tryShape } from "../schema.ts";
import { readYaml, readYamls } from "../yaml.ts";

const Text = v.fallback(v.string(), "");
const Names = v.fallback(anyByName, {});

const ResourceMeta = v.looseObject({ type: v.fallback(v.string(), "file"), filename: Text, description: Text, "upstream-source": Text });

const Metadata = v.looseObject({
  name: v.pipe(v.string(), v.nonEmpty()),
  summary: Text,
  description: Text,
  "display-name": Text,
  subordinate: v.fallback(v.boolean(), false),
  series: v.fallback(v.array(v.string()), []),
  resources: v.fallback(mapByName(v.fallback(ResourceMeta, { type: "file", filename: "", description: "", "upstream-source": "" })), {}),
  provides: Names,
  requires: Names,
  peers: Names,
});

export interface CharmResource {
  readonly name: string;
  readonly type: "file" | "oci-image";
  readonly filename: string;
  readonly description: string;
}

export interface CharmFacts {
  readonly name: string;
  readonly title: string;
  readonly summary: string;
  readonly description: string;
  readonly subordinate: boolean;
  readonly resources: readonly CharmResource[];
  readonly relations: Relations;
  /** Juju series of an old charm that has no manifest */
  readonly series: readonly string[];
}

/** Facts of a metadata.yaml. `what` names the file in errors. */
export function readMetadata(text: string, what: string): CharmFacts {
  const m = tryShape(Metadata, readYaml(text, what));
  if (!m) throw refused(`${what} has no name`);
  const wrong = Object.keys(m.resources).find((name) => !isResourceName(name));
  if (wrong !== undefined) throw refused(`${what} declares ${printable(wrong, 100)}, which is not a name of a resource`);
  return {
    name: m.name,
    title: m["display-name"],
    summary: m.summary,
    description: m.description,
    subordinate: m.subordinate,
    series: m.series,
    resources: Object.entries(m.resources).map(([name, r]) => ({
      name,
      type: r.type === "oci-image" ? "oci-image" : "file",
      filename: r.filename,
      description: r.description,
    })),
    relations: {
      ...(some(m.provides) && { provides: interfaces(m.provides) }),
      ...(some(m.requires) && { requires: interfaces(m.requires) }),
      ...(some(m.peers) && { peers: interfaces(m.peers) }),
    },
  };
}

function some(names: Record<string, unknown>): boolean {
  return Object.keys(names).length > 0;
}

/** Endpoints to interfaces: `{interface: x}` or, in old charms, just `x`; what is neither is left out. */
function interfaces(endpoints: Readonly<Record<string, unknown>>): Record<string, { interface: string }> {
  return Object.fromEntries(
    Object.entries(endpoints).flatMap(([name, value]) => {
      const named = isObject(value) ? value["interface"] : value;
      return typeof named === "string" ? [[name, { interface: named }]] : [];
    }),
  );
}

const Architectures = v.fallback(v.array(v.string()), []);
const Manifest = v.looseObject({
  bases: v.fallback(
    v.array(
      v.looseObject({
        name: v.string(),
        channel: v.pipe(v.union([v.string(), v.number()]), v.transform(String)),
        architectures: Architectures,
      }),
    ),
    [],
  ),
});

/** The bases of a manifest.yaml, best first, one for each architecture; `all` is kept for `expandAny`. */
export function readManifest(text: string, what: string): Base[] {
  const manifest = tryShape(Manifest, readYaml(text, what));
  if (!manifest) return [];
  const bases = manifest.bases.flatMap(({ name, channel, architectures }) =>
    (architectures.length > 0 ? architectures : ["all"]).map((architecture) => normalBase({ name, channel, architecture })),
  );
  return uniqueBases(bases).toSorted(compareBases("24.04"));
}

/** The bases of a charm by its own files: manifest.yaml, else the series of metadata.yaml, else every LTS. */
export function ownBases(manifest: readonly Base[], series: readonly string[]): Base[] {
  if (manifest.length > 0) return expandAny(manifest, []);
  const named = uniqueBases(series.flatMap(basesOfSeries));
  return named.length > 0 ? named : expandAny([{ name: "all", channel: "all", architecture: "all" }], []);
}

const Application = v.looseObject({
  charm: v.fallback(v.optional(v.string()), undefined),
  channel: v.fallback(v.optional(v.string()), undefined),
  resources: Names,
});
const Applications = v.fallback(mapByName(v.fallback(v.nullable(Application), null)), {});
const Bundle = v.looseObject({ name: Text, description: Text, summary: Text, applications: Applications, services: Applications });

export interface BundleFacts {
  readonly name: string;
  readonly summary: string;
  readonly description: string;
  /** Charmhub charms that it names; local ones are left out */
  readonly charms: readonly string[];
  /** charm name to the channels that applications deploy it from */
  readonly channels: ReadonlyMap<string, ReadonlySet<string>>;
  /** charm name to resource name to the path of its image in the local registry, where the operator named one */
  readonly overrides: ReadonlyMap<string, ReadonlyMap<string, string>>;
}

/** Facts of a bundle.yaml, overlays included. `what` names the file in errors. */
export function readBundle(text: string, what: string): BundleFacts {
  return bundleOf(readYamls(text, what));
}

/** Facts of the documents of a bundle.yaml. */
export function bundleOf(documents: readonly unknown[]): BundleFacts {
  const parts = documents.flatMap((value) => tryShape(Bundle, value) ?? []);
  const applications = parts.flatMap((part) => Object.values({ ...part.services, ...part.applications }));
  const charms = new Set<string>();
  const channels = new Map<string, Set<string>>();
  const overrides = new Map<string, Map<string, string>>();
  for (const application of applications) {
    const name = application?.charm === undefined ? undefined : charmName(application.charm);
    if (!application || name === undefined) continue;
    charms.add(name);
    if (application.channel !== undefined) channels.set(name, (channels.get(name) ?? new Set()).add(application.channel));
    const paths = Object.entries(application.resources).filter((entry): entry is [string, string] => typeof entry[1] === "string");
    if (paths.length > 0) overrides.set(name, new Map([...(overrides.get(name) ?? []), ...paths]));
  }
  const [first] = parts;
  return {
    name: first?.name ?? "",
    summary: first?.summary ?? "",
    description: first?.description ?? "",
    charms: [...charms].toSorted(),
    channels,
    overrides,
  };
}

/** `ch:amd64/jammy/kafka-12` → `kafka`; undefined for a path. */
export function charmName(reference: string): string | undefined {
  if (/^(\.|\/|local:)/.test(reference)) return undefined;
  const last =
    reference
      .replace(/^[a-z]+:/, "")
      .split("/")
      .at(-1) ?? "";
  return last.replace(/-\d+$/, "") || undefined;
}
