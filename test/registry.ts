/**
 * Stands in for a registry of images and for the Charmhub in front of it: bearer tokens that expire, payloads behind a redirect to
 * another host, and replies that are cut, stalled or wrong. In this process (`transportTo`), or on real ports (`TestRegistry.start`).
 */

import { createApp } from "../handlers/app.ts";
import { imageBlob, readImageBlob } from "../src/catalog/registry.ts";
import { type Digest, sumsOf } from "../src/digest.ts";
import type { Transport } from "../src/export/client.ts";
import { Memory } from "../store/memory.ts";
import { Store } from "../store/store.ts";
import { base, bytesOf, charmZip, downloadOf, exportOf, type Files, type PackageSpec, tarOf, tgzOf } from "./build.ts";
import { importBytes } from "./catalogue.ts";

/* ---- images ---- */

const OCI = {
  image: "application/vnd.oci.image.manifest.v1+json",
  index: "application/vnd.oci.image.index.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar+gzip",
  empty: "application/vnd.oci.empty.v1+json",
};
const DOCKER: typeof OCI = {
  image: "application/vnd.docker.distribution.manifest.v2+json",
  index: "application/vnd.docker.distribution.manifest.list.v2+json",
  config: "application/vnd.docker.container.image.v1+json",
  layer: "application/vnd.docker.image.rootfs.diff.tar.gzip",
  empty: OCI.empty,
};

export interface TestManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

export interface TestImage extends TestManifest {
  /** what an index says of it */
  readonly descriptor: Readonly<Record<string, unknown>>;
  /** itself and all below it */
  readonly manifests: ReadonlyMap<Digest, TestManifest>;
  /** configs and layers of all */
  readonly blobs: ReadonlyMap<Digest, Uint8Array>;
}

export interface ImageSpec {
  /** default: amd64 */
  readonly architecture?: string;
  readonly os?: string;
  readonly variant?: string;
  /** default: one small layer */
  readonly layers?: readonly (string | Uint8Array)[];
  /** in place of `layers`: files of the one layer of an image that can be run */
  readonly files?: Files;
  /** Docker's media types */
  readonly docker?: true;
  /** an artifact, with the empty config */
  readonly artifactType?: string;
  /** what it refers to */
  readonly subject?: TestImage;
  /** annotations of its descriptor in an index */
  readonly annotations?: Readonly<Record<string, string>>;
}

function digestOf(bytes: Uint8Array): Digest {
  return sumsOf(bytes)["sha-256"];
}

function describe(mediaType: string, bytes: Uint8Array): Record<string, unknown> {
  return { mediaType, digest: `sha256:${digestOf(bytes)}`, size: bytes.byteLength };
}

function manifestOf(value: object, mediaType: string, more: object, below: readonly TestImage[], blobs: readonly Uint8Array[]): TestImage {
  const bytes = Buffer.from(JSON.stringify(value, null, 2));
  const own = { digest: digestOf(bytes), mediaType, bytes };
  return {
    ...own,
    descriptor: { ...describe(mediaType, bytes), ...more },
    manifests: new Map([[own.digest, own], ...below.flatMap(({ manifests }) => [...manifests])]),
    blobs: new Map([...blobs.map((blob): [Digest, Uint8Array] => [digestOf(blob), blob]), ...below.flatMap((image) => [...image.blobs])]),
  };
}

/** An image of one architecture, or an artifact: the same bytes for the same spec. */
export function imageOf(spec: ImageSpec = {}): TestImage {
  const { architecture = "amd64", os = "linux", variant, files, artifactType, subject, annotations } = spec;
  const layers = files ? [tgzOf(files)] : (spec.layers ?? ["a layer"]);
  const types = spec.docker ? DOCKER : OCI;
  const isArtifact = artifactType !== undefined;
  const blobs = layers.map(bytesOf);
  const unpacked = files ? [tarOf(files)] : blobs;
  const config = Buffer.from(
    isArtifact
      ? "{}"
      : JSON.stringify({
          architecture,
          os,
          config: {},
          rootfs: { type: "layers", diff_ids: unpacked.map((layer) => `sha256:${digestOf(layer)}`) },
        }),
  );
  const value = {
    schemaVersion: 2,
    mediaType: types.image,
    ...(isArtifact && { artifactType }),
    config: describe(isArtifact ? types.empty : types.config, config),
    layers: blobs.map((blob) => describe(types.layer, blob)),
    ...(subject && { subject: describe(subject.mediaType, subject.bytes) }),
  };
  const more = {
    ...(isArtifact ? { artifactType } : { platform: { architecture, os, ...(variant !== undefined && { variant }) } }),
    ...(annotations && { annotations }),
  };
  return manifestOf(value, types.image, more, [], [config, ...blobs]);
}

/** An index of images, of indexes and of artifacts. */
export function indexOf(images: readonly TestImage[], { docker }: { readonly docker?: true } = {}): TestImage {
  const { index } = docker ? DOCKER : OCI;
  return manifestOf({ schemaVersion: 2, mediaType: index, manifests: images.map(({ descriptor }) => descriptor) }, index, {}, images, []);
}

/** What a builder says of how an image was made, listed beside it. */
export function attestationOf(image: TestImage): TestImage {
  return imageOf({
    architecture: "unknown",
    os: "unknown",
    layers: [`how ${image.digest} was made`],
    annotations: { "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": `sha256:${image.digest}` },
  });
}

/* ---- the registry ---- */

export interface Login {
  readonly username: string;
  readonly password: string;
}

export interface RegistryOptions {
  /** `HOST[:PORT]` as references begin; `start` sets it */
  readonly host?: string;
  /** where payloads are behind a redirect; `start` sets it; null: they are not behind any */
  readonly blobHost?: string | null;
  readonly protocol?: "http" | "https";
  /** what it wants of its clients; by default bearer tokens where there is a login */
  readonly challenge?: "bearer" | "basic" | "none";
  readonly login?: Login;
  /** requests that a token is good for */
  readonly tokenUses?: number;
  /** milliseconds that a token is good for, by `now` */
  readonly tokenLife?: number;
  readonly now?: () => number;
}

/** What is done to a reply. */
export interface RegistryFault {
  /** of the path */
  readonly path: RegExp | string;
  /** it is used up after so many replies; undefined: never */
  times?: number;
  /** in place of what the registry answers */
  readonly status?: number;
  /** of that */
  readonly headers?: Readonly<Record<string, string>>;
  /** what becomes of the content */
  readonly change?: (content: Uint8Array) => Uint8Array;
  /** the connection breaks after so many bytes of the body */
  readonly cut?: number;
  /** nothing comes after so many bytes of the body, for ever */
  readonly stall?: number;
}

export interface RegistryRequest {
  readonly method: string;
  readonly host: string;
  readonly path: string;
  readonly accept: string;
  readonly authorization: string;
  /** the first byte that is asked for */
  readonly from: number;
  status: number;
  /** bytes of the body that were sent */
  sent: number;
}

interface Token {
  readonly repository: string;
  uses: number;
  readonly ends: number;
}

/** Flips the last byte. */
export function tampered(content: Uint8Array): Uint8Array {
  return Uint8Array.from(content, (byte, i) => (i === content.byteLength - 1 ? byte ^ 1 : byte));
}

export class TestRegistry {
  readonly asked: RegistryRequest[] = [];
  /** the first that matches is followed */
  faults: RegistryFault[] = [];
  /** may change: what was given out before is refused then */
  login: Login | undefined;
  readonly #options: RegistryOptions;
  readonly #manifests = new Map<string, TestManifest>();
  readonly #blobs = new Map<string, Uint8Array>();
  readonly #tokens = new Map<string, Token>();
  #origin: string;
  #blobOrigin: string | undefined;

  constructor(options: RegistryOptions = {}) {
    const { host = "registry.test", blobHost = "blobs.test", protocol = "https", login } = options;
    this.#options = options;
    this.login = login;
    this.#origin = `${protocol}://${host}`;
    this.#blobOrigin = blobHost === null ? undefined : `${protocol}://${blobHost}`;
  }

  /** How references to it begin. */
  get host(): string {
    return new URL(this.#origin).host;
  }

  get blobHost(): string {
    return new URL(this.#blobOrigin ?? this.#origin).host;
  }

  /** Serves it on two ports of this machine, one for the payloads, without TLS where `tls` is not given. */
  static start(
    options: Omit<RegistryOptions, "host" | "protocol"> & { readonly tls?: { readonly cert: string; readonly key: string } } = {},
  ) {
    const { tls, ...more } = options;
    const protocol = tls ? "https" : "http";
    const serve = (): ReturnType<typeof Bun.serve> =>
      Bun.serve({ hostname: "127.0.0.1", port: 0, ...(tls && { tls }), fetch: (request): Response => registry.fetch(request) });
    const registry: TestRegistry = new TestRegistry({ ...more, protocol });
    const [main, blobs] = [serve(), serve()];
    registry.#origin = `${protocol}://127.0.0.1:${main.port}`;
    if (options.blobHost !== null) registry.#blobOrigin = `${protocol}://127.0.0.1:${blobs.port}`;
    return Object.assign(registry, {
      [Symbol.asyncDispose]: async () => {
        await Promise.all([main.stop(true), blobs.stop(true)]);
      },
    });
  }

  /** Puts an image there, with all below it. Gives its reference, by tag where there is one and else by digest. */
  push(name: string, image: TestImage, tag?: string): string {
    for (const manifest of image.manifests.values()) this.#manifests.set(`${name}@sha256:${manifest.digest}`, manifest);
    if (tag !== undefined) this.#manifests.set(`${name}@${tag}`, image);
    for (const [digest, blob] of image.blobs) this.#blobs.set(`${name}@sha256:${digest}`, blob);
    return `${this.host}/${name}${tag === undefined ? `@sha256:${image.digest}` : `:${tag}`}`;
  }

  /** Requests for payloads, by their digest: how often each was asked for, at the registry itself. */
  blobRequests(): RegistryRequest[] {
    return this.asked.filter(({ path }) => path.includes("/blobs/"));
  }

  /** Bytes of payloads that were sent. */
  get sentBytes(): number {
    return this.asked.reduce((sum, { path, sent }) => sum + (/\/blobs\/|^\/storage\//.test(path) ? sent : 0), 0);
  }

  fetch(request: Request): Response {
    const url = new URL(request.url);
    const path = decodeURIComponent(url.pathname);
    const asked: RegistryRequest = {
      method: request.method,
      host: url.host,
      path,
      accept: request.headers.get("Accept") ?? "",
      authorization: request.headers.get("Authorization") ?? "",
      from: Number(/^bytes=(\d+)-/.exec(request.headers.get("Range") ?? "")?.[1] ?? 0),
      status: 0,
      sent: 0,
    };
    this.asked.push(asked);
    const fault = this.#faultOf(path, true);
    const response = fault
      ? failure(fault.status ?? 500, "TOOMANYREQUESTS", "as a fault says", fault.headers)
      : this.#answer(asked, url, request.signal);
    asked.status = response.status;
    return response;
  }

  /** `isRefusal`: of those that replace the whole reply, or of those that change what is sent. */
  #faultOf(path: string, isRefusal: boolean): RegistryFault | undefined {
    const fault = this.faults.find(
      (one) =>
        (one.status !== undefined) === isRefusal &&
        (one.times ?? 1) > 0 &&
        (typeof one.path === "string" ? path.includes(one.path) : one.path.test(path)),
    );
    if (fault?.times !== undefined) fault.times -= 1;
    return fault;
  }

  #answer(asked: RegistryRequest, url: URL, signal: AbortSignal): Response {
    if (asked.path.startsWith("/storage/")) return this.#storage(asked, signal);
    if (asked.path === "/token") return this.#token(asked, url.searchParams);
    const [, name = "", kind = "", reference = ""] = /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(asked.path) ?? [];
    const challenge = this.#challenge(asked.authorization, name);
    if (challenge !== undefined) return failure(401, "UNAUTHORIZED", "authentication required", { "WWW-Authenticate": challenge });
    if (asked.path === "/v2/") return Response.json({});
    if (kind === "manifests") {
      const manifest = this.#manifests.get(`${name}@${reference}`);
      if (!manifest) return failure(404, "MANIFEST_UNKNOWN", "no such manifest");
      if (!asked.accept.includes(manifest.mediaType)) return failure(404, "MANIFEST_UNKNOWN", "not accepted by the client");
      const headers = { "Content-Type": manifest.mediaType, "Docker-Content-Digest": `sha256:${manifest.digest}` };
      return this.#send(asked, manifest.bytes, headers, signal);
    }
    const blob = this.#blobs.get(`${name}@${reference}`);
    if (!blob) return failure(404, "BLOB_UNKNOWN", "no such blob");
    if (this.#blobOrigin === undefined) return this.#send(asked, blob, {}, signal);
    const location = `${this.#blobOrigin}/storage/${name}/${reference}?signature=of-the-storage`;
    return new Response(null, { status: 307, headers: { Location: location } });
  }

  /** The storage, like S3, takes the signature of its URL and no other credentials. */
  #storage(asked: RegistryRequest, signal: AbortSignal): Response {
    if (asked.authorization !== "") return failure(400, "InvalidArgument", "only one way to sign is taken");
    const [, name = "", digest = ""] = /^\/storage\/(.+)\/([^/]+)$/.exec(asked.path) ?? [];
    const blob = this.#blobs.get(`${name}@${digest}`);
    return blob ? this.#send(asked, blob, {}, signal) : failure(404, "NoSuchKey", "no such key");
  }

  #basic(): string {
    const { username = "", password = "" } = this.login ?? {};
    return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
  }

  #token({ authorization }: RegistryRequest, query: URLSearchParams): Response {
    if (this.login ? authorization !== this.#basic() : authorization !== "")
      return failure(401, "UNAUTHORIZED", "incorrect username or password");
    const [, repository] = /^repository:(.+):pull$/.exec(query.get("scope") ?? "") ?? [];
    if (repository === undefined || query.get("service") !== "test") return failure(400, "DENIED", "no scope");
    const token = `secret-token-${this.#tokens.size + 1}`;
    const { tokenUses = Infinity, tokenLife = Infinity, now = () => performance.now() } = this.#options;
    this.#tokens.set(token, { repository, uses: tokenUses, ends: now() + tokenLife });
    return Response.json({ token, expires_in: 300 });
  }

  /** What it answers to a request without what it wants; undefined: it has it. */
  #challenge(authorization: string, name: string): string | undefined {
    const { challenge = this.login ? "bearer" : "none", now = () => performance.now() } = this.#options;
    if (challenge === "none") return undefined;
    if (challenge === "basic") return authorization === this.#basic() ? undefined : 'Basic realm="test"';
    const token = this.#tokens.get(authorization.replace(/^Bearer /, ""));
    if (token && token.repository === name && token.uses > 0 && token.ends > now()) {
      token.uses -= 1;
      return undefined;
    }
    return `Bearer realm="${this.#origin}/token",service="test",scope="repository:${name}:pull"`;
  }

  #send(asked: RegistryRequest, content: Uint8Array, more: Readonly<Record<string, string>>, signal: AbortSignal): Response {
    const fault = this.#faultOf(asked.path, false);
    const bytes = new Uint8Array(fault?.change?.(content) ?? content);
    const isPart = asked.from > 0 && asked.from < bytes.byteLength;
    const body = isPart ? bytes.subarray(asked.from) : bytes;
    const headers = {
      "Content-Type": "application/octet-stream",
      "Content-Length": String(body.byteLength),
      ...(isPart && { "Content-Range": `bytes ${asked.from}-${bytes.byteLength - 1}/${bytes.byteLength}` }),
      ...more,
    };
    const until = Math.min(fault?.cut ?? Infinity, fault?.stall ?? Infinity, body.byteLength);
    asked.sent = until;
    const isWhole = fault?.cut === undefined && fault?.stall === undefined;
    return new Response(isWhole ? body : brokenBody(body.subarray(0, until), fault.stall === undefined ? undefined : signal), {
      status: isPart ? 206 : 200,
      headers,
    });
  }
}

/** Ends with an error; with a signal, which the client ends, not before that is aborted. */
function brokenBody(bytes: Uint8Array, signal: AbortSignal | undefined): ReadableStream<Uint8Array> {
  let isSent = false;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (!isSent && bytes.byteLength > 0) controller.enqueue(bytes);
      else {
        if (signal && !signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
        controller.error(Object.assign(new Error("the connection broke"), { code: "ECONNRESET" }));
      }
      isSent = true;
    },
  });
}

function failure(status: number, code: string, message: string, headers: Readonly<Record<string, string>> = {}): Response {
  return Response.json({ errors: [{ code, message }] }, { status, headers });
}

/* ---- Charmhub in front of it ---- */

export interface App {
  fetch(request: Request): Response | Promise<Response>;
}

/**
 * The same Charmhub, whose blobs of images have the login that `loginOf` gives at that time, as the public one's have. The
 * credentials are no part of what a store keeps, so a store alone can't stand in for it.
 */
export function withLogins(app: App, loginOf: (reference: string) => Login | undefined): App {
  const blobOf = (stored: Uint8Array): Uint8Array | undefined => {
    const image = readImageBlob(stored);
    return image && imageBlob(image.reference, loginOf(image.reference));
  };
  const download = async (url: string) => new Uint8Array(await (await app.fetch(new Request(url))).arrayBuffer());
  const replaced = async (value: unknown): Promise<unknown> => {
    if (Array.isArray(value)) return Promise.all(value.map(replaced));
    if (typeof value !== "object" || value === null) return value;
    const entries = await Promise.all(Object.entries(value).map(async ([key, field]) => [key, await replaced(field)] as const));
    const copy: Record<string, unknown> = Object.fromEntries(entries);
    const { type, download: from } = copy as { type?: unknown; download?: { url?: unknown } };
    if (type !== "oci-image" || typeof from?.url !== "string") return copy;
    const blob = blobOf(await download(from.url));
    return blob ? { ...copy, download: { ...from, ...downloadOf(blob, from.url) } } : copy;
  };
  return {
    async fetch(request) {
      const response = await app.fetch(request);
      if (response.headers.get("Content-Type")?.includes("json") && new URL(request.url).pathname.startsWith("/v2/"))
        return Response.json(await replaced(await response.json()), { status: response.status });
      if (!new URL(request.url).pathname.includes("/resources/download/")) return response;
      const blob = blobOf(new Uint8Array(await response.clone().arrayBuffer()));
      return blob ? new Response(new Uint8Array(blob)) : response;
    },
  };
}

/** Sends each request to the app of its host; others are not found, as by DNS. */
export function transportTo(apps: Readonly<Record<string, App>>): Transport {
  return async (url, { signal, ...request }) => {
    signal.throwIfAborted();
    const app = apps[new URL(url).host];
    if (!app) throw Object.assign(new Error(`no host of the name ${new URL(url).host}`), { code: "ENOTFOUND" });
    return app.fetch(new Request(url, { ...request, signal, headers: { ...request.headers } }));
  };
}

const ON = base("amd64", "24.04");
const RESOURCE_REVISION = 7;

/**
 * A Charmhub with charms that have images: charm → resource → reference, as `revision` 7 of the resource. `loginOf`: see `withLogins`.
 * `publicUrl`: where its downloads are; by default where it is asked. `files`: further ones of each charm.
 */
export async function charmhubOf(
  charms: Readonly<Record<string, Readonly<Record<string, string>>>>,
  loginOf: (reference: string) => Login | undefined = () => undefined,
  publicUrl?: string,
  files: Readonly<Record<string, Files>> = {},
): Promise<App> {
  const specs = Object.entries(charms).map(([name, images]): PackageSpec => {
    const declared = Object.fromEntries(Object.keys(images).map((resource) => [resource, { type: "oci-image" as const }]));
    return {
      name,
      id: `ID${name}`,
      type: "charm",
      revisions: { 1: charmZip({ name, revision: 1, bases: [ON], resources: declared, files: files[name] ?? {} }) },
      bases: { 1: [ON] },
      resources: Object.fromEntries(
        Object.entries(images).map(([resource, reference]) => [
          resource,
          { type: "oci-image" as const, revisions: { [RESOURCE_REVISION]: JSON.stringify({ ImageName: reference }) } },
        ]),
      ),
      releases: [
        {
          channel: "latest/stable",
          base: ON,
          revision: 1,
          resources: Object.fromEntries(Object.keys(images).map((resource) => [resource, RESOURCE_REVISION])),
        },
      ],
    };
  });
  const store = await Store.openOrCreate(new Memory());
  await importBytes(store, exportOf(specs));
  return withLogins(createApp({ store, config: publicUrl === undefined ? {} : { publicUrl }, log: () => {} }), loginOf);
}
