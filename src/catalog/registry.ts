/** OCI resources for a local registry: the blob that Juju reads, and its size and sums. Rules: handlers/juju.md, Images. */

import { ALGORITHMS, sumsOf } from "../digest.ts";
import { printable } from "../errors.ts";
import { utf8 } from "../text.ts";
import { readStrictYaml, type YamlLimits } from "../yaml.ts";
import type { Package, ResourceRevision } from "./package.ts";

/** Empty texts: none. */
export interface Login {
  readonly username: string;
  readonly password: string;
}

export const NO_LOGIN: Login = { username: "", password: "" };

export interface Registry extends Login {
  /** host[:port], as image references begin */
  readonly domain: string;
  /** chp itself: images have upstream's paths there, and only those are rewritten that are stored */
  readonly own?: true;
  /** of `own`: whether the image of upstream's reference is stored, for the architecture that is asked for */
  readonly has?: (reference: string) => boolean;
}

/** The registry that images are pulled from, and those that it replaced within `FORMER_REGISTRY_SECONDS`. */
export interface Registries {
  readonly current: Registry | undefined;
  readonly former: readonly Registry[];
  /** what clients of chp's own registry must log in with; undefined: anybody may pull */
  readonly login?: Login | undefined;
  /** whether clients may push into it; absent: no */
  readonly push?: boolean;
}

export const NO_REGISTRY: Registries = { current: undefined, former: [] };

/** Whether charms name chp's own registry where no other is set; `auto`: if clients reach it over https. */
export const OWN_REGISTRY_MODES = ["auto", "on", "off"] as const;
export type OwnRegistryMode = (typeof OWN_REGISTRY_MODES)[number];

/**
 * Why images are not pulled from chp: the mode is off, no public URL says how clients reach it, that has a path, which image references
 * have no place for, or the mode wants https. Undefined: they are.
 */
export function whyNotOwn(publicUrl: string | undefined, mode: OwnRegistryMode): "off" | "no-url" | "path" | "http" | undefined {
  if (mode === "off") return "off";
  if (publicUrl === undefined) return "no-url";
  const { protocol, pathname } = new URL(publicUrl);
  if (pathname !== "/") return "path";
  return mode === "auto" && protocol !== "https:" ? "http" : undefined;
}

/** chp as a registry that images are pulled from; undefined: `whyNotOwn` says why not. */
export function ownRegistry(publicUrl: string | undefined, mode: OwnRegistryMode, login: Login): Registry | undefined {
  if (publicUrl === undefined || whyNotOwn(publicUrl, mode)) return undefined;
  return { domain: new URL(publicUrl).host, ...login, own: true };
}

/** Seconds for which the bytes that an earlier reply described can still be downloaded. */
export const FORMER_REGISTRY_SECONDS = 24 * 60 * 60;

/** The domain, if it is valid. Throws an Error that says what is wrong. */
export function checkRegistryDomain(text: string): string {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) throw new Error(`${text} begins with a protocol: give the domain alone, as host or host:port`);
  if (text.includes("/")) throw new Error(`${text} has a path: give the domain alone, as host or host:port`);
  if (!/^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/.test(text))
    throw new Error(`${text} is not host or host:port`);
  if (!/[.:]/.test(text) && text !== "localhost")
    throw new Error(
      `${text} has neither a dot nor a port, so it would be read as a folder of docker.io: give ${text}:PORT or its full name`,
    );
  return text;
}

/** The registry in an image reference, by the rules of Docker; undefined: it has none. */
export function registryOfReference(reference: string): string | undefined {
  const [first = "", ...rest] = reference.split("/");
  return rest.length > 0 && (/[.:]/.test(first) || first === "localhost") ? first : undefined;
}

/** An image reference without its registry. */
export function pathOfReference(reference: string): string {
  const domain = registryOfReference(reference);
  return domain === undefined ? reference : reference.slice(domain.length + 1);
}

/** Credentials and a reference need few tokens. Keys are compared with each other, so they are few. */
const IMAGE_YAML: YamlLimits = { tokens: 1000, depth: 8, anchors: 0, documents: 2, aliases: 0 };

/** What an oci-image resource says, as JSON or YAML; undefined where it names no image. Rules: handlers/juju.md, Images. */
export function readImageBlob(
  bytes: Uint8Array,
): { readonly reference: string; readonly username: string; readonly password: string } | undefined {
  let value: unknown;
  try {
    value = readStrictYaml(utf8(bytes, "it"), IMAGE_YAML);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const entries = new Map(Object.entries(value).map(([key, field]) => [key.toLowerCase(), field as unknown]));
  const text = (...keys: string[]) =>
    keys.map((key) => entries.get(key)).find((field) => typeof field === "string" && field !== "") as string | undefined;
  const reference = text("imagename", "registrypath");
  if (reference === undefined || printable(reference) !== reference) return undefined;
  return { reference, username: text("username") ?? "", password: text("password") ?? "" };
}

/** bytes; more is no blob of an image */
export const MAX_IMAGE_BLOB = 64 * 1024;

/** The blob of an oci-image resource: the same bytes for the same arguments; with empty credentials both keys are left out. */
export function imageBlob(reference: string, { username, password }: Login = NO_LOGIN): Uint8Array {
  return Buffer.from(
    JSON.stringify({ ImageName: reference, ...(username !== "" && password !== "" && { Password: password, Username: username }) }),
  );
}

/** The blob that clients of a store with that registry get of a resource; undefined where they get the stored blob. */
export function servedImage(resource: ResourceRevision, registry: Registry | undefined): Uint8Array | undefined {
  return resource.image && registry && imageBlob(localReference(resource.image, registry), registry);
}

/** The reference of an image in that registry. */
export function localReference({ reference, path }: NonNullable<ResourceRevision["image"]>, { domain, own }: Registry): string {
  return `${domain}/${own ? pathOfReference(reference) : path}`;
}

export interface ImagePath {
  /** the repository, without a registry */
  readonly name: string;
  readonly tag?: string;
  /** `sha256:…` */
  readonly digest?: string;
}

/** The parts of a path without its registry: `team/app:1.2@sha256:…`. */
export function splitPath(path: string): ImagePath {
  const { name = path, tag, digest } = /^(?<name>[^@]+?)(?::(?<tag>[\w.-]+))?(?:@(?<digest>sha\d+:[0-9a-f]+))?$/.exec(path)?.groups ?? {};
  return { name, ...(tag !== undefined && { tag }), ...(digest !== undefined && { digest }) };
}

const retargeted = new WeakMap<Package, WeakMap<Registry, Package>>();

/** The package with images of that registry, where it has them: size and digests of its image resources are those of `servedImage`. */
export function retarget(pkg: Package, registry: Registry | undefined): Package {
  if (!registry || !pkg.resources.some((r) => r.revisions.some(({ image }) => image))) return pkg;
  const known = retargeted.get(pkg) ?? new WeakMap<Registry, Package>();
  retargeted.set(pkg, known);
  let view = known.get(registry);
  if (!view) {
    const resources = pkg.resources.map(({ name, revisions }) => ({
      name,
      revisions: revisions.map((resource) => retargetResource(resource, registry)),
    }));
    view = { ...pkg, resources };
    known.set(registry, view);
  }
  return view;
}

function retargetResource(resource: ResourceRevision, registry: Registry): ResourceRevision {
  if (resource.image && registry.has && !registry.has(resource.image.reference)) return resource;
  const bytes = servedImage(resource, registry);
  if (!bytes) return resource;
  const { size, "sha-256": blob, "sha-384": a = "", "sha-512": b = "", "sha3-384": c = "" } = sumsOf(bytes, ALGORITHMS);
  return { ...resource, blob, size, digests: { "sha-384": a, "sha-512": b, "sha3-384": c }, retargeted: true };
}
