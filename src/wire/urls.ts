/** Every URL of the server, below its public address: routers match, replies name and handlers read it by one entry. */

import { Failure } from "../errors.ts";

/** The parts of a request that are read; Hono's request has them. */
export interface UrlReader {
  readonly url: string;
  /** a segment of the path, decoded */
  param(name: string): string | undefined;
  query(name: string): string | undefined;
}

export interface UrlEntry<P> {
  /** for a router: `/v2/charms/info/:name` */
  readonly pattern: string;
  /** path and query, to follow the address of a server */
  build(params: P): string;
  /** The parameters of a request that the pattern matched; undefined where it names nothing that `build` could name. */
  parse(request: UrlReader): P | undefined;
}

type Segment<T extends string> = T extends `${string}:${infer Name}/${infer Rest}`
  ? Name | Segment<Rest>
  : T extends `${string}:${infer Name}`
    ? Name
    : never;

const UNRESERVED = /^[\w.~-]*$/;

/** `encodeURIComponent`, without its cost for plain names, which nearly all are. */
function encode(text: string): string {
  return UNRESERVED.test(text) ? text : encodeURIComponent(text);
}

/** Each `:name` of the pattern is one segment. */
function segmentsUrl<T extends string>(pattern: T): UrlEntry<Readonly<Record<Segment<T>, string>>> {
  const names = [...pattern.matchAll(/:(\w+)/g)].map(([, name = ""]) => name as Segment<T>);
  return {
    pattern,
    build: (params) => pattern.replace(/:(\w+)/g, (_, name: string) => encode(params[name as Segment<T>])),
    parse: (request) => Object.fromEntries(names.map((name) => [name, request.param(name) ?? ""])) as Record<Segment<T>, string>,
  };
}

/** What is below a folder: any number of segments. `parse` throws a `malformed` failure for a path that cannot be decoded. */
function folderUrl(folder: string): UrlEntry<readonly string[]> {
  return {
    pattern: `${folder}/*`,
    build: (segments) => `${folder}/${segments.map(encode).join("/")}`,
    parse: ({ url }) => {
      const { pathname } = new URL(url);
      try {
        return pathname
          .slice(pathname.indexOf(`${folder}/`) + folder.length + 1)
          .split("/")
          .map(decodeURIComponent);
      } catch {
        throw new Failure("malformed", "the path is not percent-encoded UTF-8");
      }
    },
  };
}

/** A file whose name holds the parameters: `name` writes it, encoded, and `read` is given it decoded. */
function fileUrl<P>(folder: string, name: (params: P) => string, read: (name: string) => P | undefined): UrlEntry<P> {
  return {
    pattern: `${folder}/:file`,
    build: (params) => `${folder}/${name(params)}`,
    parse: (request) => read(request.param("file") ?? ""),
  };
}

function query(values: Readonly<Record<string, string | undefined>>): string {
  let text = "";
  for (const [name, value] of Object.entries(values)) if (value !== undefined) text += `${text === "" ? "?" : "&"}${name}=${encode(value)}`;
  return text;
}

/** The same file names in another folder. */
function renamed<P>(url: UrlEntry<P>, folder: string): UrlEntry<P> {
  const before = url.pattern.lastIndexOf("/");
  return {
    pattern: folder + url.pattern.slice(before),
    build: (params) => folder + url.build(params).slice(before),
    parse: (request) => url.parse(request),
  };
}

export interface CharmFile {
  readonly id: string;
  readonly revision: number;
  readonly extension: "charm" | "bundle" | "zip";
}

/** `ID_REVISION.charm`; also `.bundle` and `.zip`. */
const charmFileUrl = fileUrl<CharmFile>(
  "/api/v1/charms/download",
  ({ id, revision, extension }) => `${encode(id)}_${revision}.${extension}`,
  (name) => {
    const [, id, revision, extension] = /^(.+)_(\d+)\.(charm|bundle|zip)$/s.exec(name) ?? [];
    return id === undefined ? undefined : { id, revision: Number(revision), extension: extension as CharmFile["extension"] };
  },
);

export interface ResourceFile {
  readonly id: string;
  readonly resource: string;
  readonly revision: number;
  /** in hex; names the variant of an image that was written for one registry */
  readonly sha256?: string;
}

/** `charm_ID.RESOURCE_REVISION`. */
const resourcePath = fileUrl<ResourceFile>(
  "/api/v1/resources/download",
  ({ id, resource, revision }) => `charm_${encode(id)}.${encode(resource)}_${revision}`,
  (name) => {
    const [, id, resource, revision] = /^charm_([^.]+)\.(.+)_(\d+)$/s.exec(name) ?? [];
    return id === undefined || resource === undefined ? undefined : { id, resource, revision: Number(revision) };
  },
);

const resourceFileUrl: UrlEntry<ResourceFile> = {
  pattern: resourcePath.pattern,
  build: (params) =>
    params.sha256 === undefined ? resourcePath.build(params) : resourcePath.build(params) + query({ sha256: params.sha256 }),
  parse: (request) => {
    const named = resourcePath.parse(request);
    const sha256 = request.query("sha256");
    return named && sha256 !== undefined ? { ...named, sha256 } : named;
  },
};

export interface SnapFile {
  readonly id: string;
  /** absent: the snap itself */
  readonly component?: string;
  readonly revision: number;
}

/** `ID_REVISION.snap`, `ID.COMPONENT_REVISION.comp`. */
const snapFileUrl = fileUrl<SnapFile>(
  "/api/v1/snaps/download",
  ({ id, component, revision }) => (component === undefined ? `${id}_${revision}.snap` : `${id}.${component}_${revision}.comp`),
  (name) => {
    const [, id, component, revision] = /^([A-Za-z0-9]+)(?:\.([a-z0-9-]+))?_(\d+)\.(?:snap|comp)$/.exec(name) ?? [];
    return id === undefined ? undefined : { id, ...(component !== undefined && { component }), revision: Number(revision) };
  },
);

export interface SnapIcon {
  readonly id: string;
  readonly revision: number;
  readonly extension: string;
}

/** `ID_REVISION.png`, `ID_REVISION.svg`. */
const snapIconUrl = fileUrl<SnapIcon>(
  "/api/v1/snaps/icons",
  ({ id, revision, extension }) => `${id}_${revision}.${extension}`,
  (name) => {
    const [, id, revision, extension] = /^([A-Za-z0-9]+)_(\d+)\.(png|svg)$/.exec(name) ?? [];
    return id === undefined || extension === undefined ? undefined : { id, revision: Number(revision), extension };
  },
);

/** `ID_REVISION.png`, of the pages: as an image to show. */
const pageIconUrl: UrlEntry<SnapIcon> = renamed(snapIconUrl, "/_web/icons");

export interface AssertFile {
  readonly id: string;
  readonly revision: number;
}

/** `ID_REVISION.assert`: what `snap ack` takes before the snap of that revision. */
const assertFileUrl = fileUrl<AssertFile>(
  "/_web/assertions",
  ({ id, revision }) => `${id}_${revision}.assert`,
  (name) => {
    const [, id, revision] = /^([A-Za-z0-9]+)_(\d+)\.assert$/.exec(name) ?? [];
    return id === undefined ? undefined : { id, revision: Number(revision) };
  },
);

/** What is looked for on the first page of all. Not validated here. */
export interface ListUrl {
  readonly text?: string;
  readonly kind?: string;
  readonly base?: string;
  readonly architecture?: string;
  /** counts from 1 */
  readonly page?: string;
}

const listUrl: UrlEntry<ListUrl> = {
  pattern: "/",
  build: ({ text, kind, base, architecture, page }) => `/${query({ q: text, type: kind, base, arch: architecture, page })}`,
  parse: (request) => {
    const given = { text: "q", kind: "type", base: "base", architecture: "arch", page: "page" };
    const values = Object.entries(given).map(([name, parameter]) => [name, request.query(parameter)] as const);
    return Object.fromEntries(values.filter(([, value]) => value !== undefined && value !== ""));
  },
};

/** A request for an assertion. Its key and numbers are not validated here. */
export interface AssertionUrl {
  readonly type: string;
  /** of a sequence without its last part where `sequence` is given */
  readonly key: readonly string[];
  readonly maxFormat?: string;
  /** `latest` or a number */
  readonly sequence?: string;
}

const assertionFolder = folderUrl("/v2/assertions");

const assertionUrl: UrlEntry<AssertionUrl> = {
  pattern: assertionFolder.pattern,
  build: ({ type, key, maxFormat, sequence }) => assertionFolder.build([type, ...key]) + query({ "max-format": maxFormat, sequence }),
  parse: (request) => {
    const [type = "", ...key] = assertionFolder.parse(request) ?? [];
    const [maxFormat, sequence] = [request.query("max-format"), request.query("sequence")];
    return {
      type,
      key: key.at(-1) === "" ? key.slice(0, -1) : key,
      ...(maxFormat !== undefined && { maxFormat }),
      ...(sequence !== undefined && { sequence }),
    };
  },
};

/**
 * What is asked of a repository of images. `reference`: a tag or `sha256:…`; of an upload its id, empty to begin one; of `tags` there is
 * none. Not validated here.
 */
export interface ImageUrl {
  readonly name: string;
  readonly what: "manifests" | "blobs" | "uploads" | "tags" | "referrers";
  readonly reference: string;
}

const registryFolder = folderUrl("/v2");

/** `/v2/NAME/manifests/REFERENCE`, where NAME has any number of segments, which are never escaped. */
const imageUrl: UrlEntry<ImageUrl> = {
  pattern: registryFolder.pattern,
  build: ({ name, what, reference }) =>
    `/v2/${name}/${what === "uploads" ? "blobs/uploads" : what}/${what === "tags" ? "list" : encode(reference).replace("%3A", ":")}`,
  parse: (request) => {
    const segments = registryFolder.parse(request) ?? [];
    const [what = "", reference = ""] = segments.slice(-2);
    const isUpload = what === "uploads" && segments.at(-3) === "blobs";
    const name = segments.slice(0, isUpload ? -3 : -2).join("/");
    if (what === "uploads" && !isUpload) return undefined;
    if (name === "" || !isImagePart(what) || (what === "tags" && reference !== "list")) return undefined;
    return { name, what, reference: what === "tags" ? "" : reference };
  },
};

function isImagePart(text: string): text is ImageUrl["what"] {
  return ["manifests", "blobs", "uploads", "tags", "referrers"].includes(text);
}

/** What Juju adds `streams/v1/…` and the paths of a product file to: its agent-metadata-url, below the address of the server. */
export const AGENT_STREAMS = "/juju/tools";

/** The same of system images of clouds: its image-metadata-url. */
export const IMAGE_STREAMS = "/juju/images";

export const URLS = {
  charmRefresh: segmentsUrl("/v2/charms/refresh"),
  charmInfo: segmentsUrl("/v2/charms/info/:name"),
  charmFind: segmentsUrl("/v2/charms/find"),
  resourceRevisions: segmentsUrl("/v2/charms/resources/:charm/:resource/revisions"),
  charmFile: charmFileUrl,
  resourceFile: resourceFileUrl,

  snapRefresh: segmentsUrl("/v2/snaps/refresh"),
  snapInfo: segmentsUrl("/v2/snaps/info/:name"),
  snapFind: segmentsUrl("/v2/snaps/find"),
  snapCategories: segmentsUrl("/v2/snaps/categories"),
  snapSections: segmentsUrl("/api/v1/snaps/sections"),
  snapNames: segmentsUrl("/api/v1/snaps/names"),
  snapFile: snapFileUrl,
  snapIcon: snapIconUrl,
  cohorts: segmentsUrl("/v2/cohorts"),
  nonces: segmentsUrl("/api/v1/snaps/auth/nonces"),
  sessions: segmentsUrl("/api/v1/snaps/auth/sessions"),
  registrationId: segmentsUrl("/api/v1/snaps/auth/request-id"),
  registration: segmentsUrl("/api/v1/snaps/auth/devices"),
  messages: segmentsUrl("/v2/messages"),
  repairs: folderUrl("/v2/repairs"),
  purchases: folderUrl("/api/v1/snaps/purchases"),

  assertion: assertionUrl,
  storeAssertions: segmentsUrl("/v2/auth/store/assertions"),
  otherAssertions: segmentsUrl("/_status/assertions"),

  agentIndex: segmentsUrl("/juju/tools/streams/v1/index2.json"),
  agentProducts: segmentsUrl("/juju/tools/streams/v1/com.ubuntu.juju-released-agents.json"),
  agentFile: segmentsUrl("/juju/tools/agent/:version/:file"),
  /** the signed texts of upstream for another chp, where no client of Juju looks: a signed index would win, and name what is not stored */
  signedTexts: segmentsUrl("/juju/tools/signed"),
  signedText: segmentsUrl("/juju/tools/signed/:digest"),
  cloudImages: segmentsUrl("/juju/images/streams/v1/:file"),

  check: segmentsUrl("/_status/check"),
  missing: segmentsUrl("/_status/missing"),
  metrics: segmentsUrl("/metrics"),
  remoteImport: segmentsUrl("/_import"),
  overrides: segmentsUrl("/v2/metadata/overrides"),
  overridesOfSnap: segmentsUrl("/v2/metadata/overrides/:snap"),

  registry: segmentsUrl("/v2/"),
  /** as Juju asks, before it bootstraps on Kubernetes */
  registryWithoutSlash: segmentsUrl("/v2"),
  repositories: segmentsUrl("/v2/_catalog"),
  image: imageUrl,
} as const;

/** The pages for people. The routes of `URLS` win. */
export const PAGE_URLS = {
  list: listUrl,
  charm: segmentsUrl("/charms/:name"),
  snap: segmentsUrl("/snaps/:name"),
  image: folderUrl("/images"),
  /** `juju-3.6.11` */
  agents: segmentsUrl("/agents/:name"),
  status: segmentsUrl("/_status"),
  setup: segmentsUrl("/_setup"),
  manual: segmentsUrl("/_docs"),
  manualPage: segmentsUrl("/_docs/:page"),
  asset: segmentsUrl("/_web/:file"),
  icon: pageIconUrl,
  assertions: assertFileUrl,
  /** a package of any kind */
  name: segmentsUrl("/:name"),
} as const;
