/** The registry: images by the OCI distribution specification 1.1; what writes is in imagepush.ts. What clients rely on: handlers/images.md. */

import type { Context } from "hono";
import type { Package } from "../src/catalog/package.ts";
import { NO_REGISTRY, pathOfReference, splitPath } from "../src/catalog/registry.ts";
import {
  blobSize,
  findManifest,
  isRepositoryName,
  isTag,
  isTakenName,
  mergeRepository,
  type Repository,
  referrersOf,
  type StoredManifest,
  storedImage,
  taggedManifest,
} from "../src/catalog/repository.ts";
import { type Digest, digestText, parseDigestText } from "../src/digest.ts";
import { printable } from "../src/errors.ts";
import { type ImageUrl, URLS } from "../src/wire/urls.ts";
import type { Snapshot } from "../store/snapshot.ts";
import { sendBlob } from "./blobs.ts";
import type { Deps, Env, HandlerDeps } from "./call.ts";
import { BASIC_CHALLENGE, imageErrorReply, REGISTRY_VERSION } from "./errors.ts";
import { admitClient } from "./imagelogin.ts";
import { ImageWrites } from "./imagepush.ts";
import type { MissingRequests } from "./missingrequests.ts";
import type { Offer } from "./offer.ts";
import { replyWith } from "./replies.ts";
import type { Api, Handler, Route } from "./routes.ts";

const INDEX_TYPE = "application/vnd.oci.image.index.v1+json";
const MAX_PAGE = 1000;

interface ImageDeps extends HandlerDeps, Pick<Deps, "imagePush"> {
  readonly missing: MissingRequests;
}

export function imageRoutes({ store, registries = () => NO_REGISTRY, missing, imagePush, log }: ImageDeps): Api {
  const aliases = new Aliases();
  const writes = imagePush && new ImageWrites(imagePush, store, log);
  /** requests of who may push: what these ask for and is not there, they bring */
  const pushers = new WeakSet<Context<Env>>();

  /** Every request of a registry's client: its login first. */
  function guarded(handle: Handler): Handler {
    return async (c) => {
      if (isOfAnotherApi(c.req.path)) return undefined;
      const { login, push = false } = await registries();
      const { token, isWrite } = await admitClient(c, { login, push: push ? imagePush : undefined, log });
      if (token) pushers.add(c);
      const reply = token && isWrite ? await writes?.handle(c, token) : await handle(c);
      if (reply instanceof Response) for (const [name, value] of Object.entries(REGISTRY_VERSION)) reply.headers.set(name, value);
      return reply;
    };
  }

  const root = guarded(async (c) => {
    const reply = replyWith("{}");
    // Clients that get no challenge here send no login with what they push.
    if (imagePush && c.env.peer.tls && (await registries()).push) reply.headers.set("WWW-Authenticate", BASIC_CHALLENGE);
    return reply;
  });

  const repositories = guarded(async (c) => {
    const { of } = await store.snapshot();
    return pageOf(c, "repositories", of.repositoryNames, {});
  });

  const image = guarded(async (c) => {
    const asked = URLS.image.parse(c.req);
    if (!asked || !isRepositoryName(asked.name)) return undefined;
    const waiting = asked.what === "blobs" ? await sendWaiting(c, asked) : undefined;
    if (waiting) return waiting;
    const snapshot = await store.snapshot();
    const repository = (await snapshot.of.repository(asked.name)) ?? (await aliases.find(snapshot, asked.name));
    if (asked.what === "uploads") return undefined;
    if (repository) return ANSWERS[asked.what](c, repository, asked.reference);
    // Nothing refers to what is not there: clients ask before they push the first.
    if (asked.what === "referrers") return ANSWERS.referrers(c, { name: asked.name, tags: {}, manifests: [], blobs: [] }, asked.reference);
    noteMissing(c, asked);
    return imageErrorReply(404, "NAME_UNKNOWN", `there are no images ${printable(asked.name, 200)}`);
  });

  const ANSWERS: Readonly<
    Record<Exclude<ImageUrl["what"], "uploads">, (c: Context<Env>, repository: Repository, reference: string) => Promise<Response>>
  > = {
    manifests: async (c, repository, reference) => {
      const digest = parseDigestText(reference);
      if (digest === undefined && !isTag(reference))
        return imageErrorReply(400, "DIGEST_INVALID", `${printable(reference, 200)} is neither a tag nor a sha256 digest`);
      const manifest = digest === undefined ? taggedManifest(repository, reference) : findManifest(repository, digest);
      const object = manifest && (await store.blob(manifest.digest));
      if (object) return sendManifest(c, manifest, object, digest === undefined);
      noteMissing(c, { name: repository.name, what: "manifests", reference });
      return imageErrorReply(404, "MANIFEST_UNKNOWN", `there is no manifest ${printable(reference, 200)} of ${repository.name}`);
    },
    blobs: async (c, repository, reference) => {
      const digest = parseDigestText(reference);
      if (digest === undefined) return imageErrorReply(400, "DIGEST_INVALID", `${printable(reference, 200)} is not a sha256 digest`);
      const reply = blobSize(repository, digest) === undefined ? undefined : await sendStored(c, digest);
      return reply ?? imageErrorReply(404, "BLOB_UNKNOWN", `there is no blob ${reference} of ${repository.name}`);
    },
    tags: async (c, { name, tags }) => pageOf(c, "tags", Object.keys(tags), { name }),
    referrers: async (c, repository, reference) => {
      const digest = parseDigestText(reference);
      if (digest === undefined) return imageErrorReply(400, "DIGEST_INVALID", `${printable(reference, 200)} is not a sha256 digest`);
      const type = c.req.query("artifactType");
      const found = referrersOf(repository, digest).filter(({ artifactType }) => type === undefined || artifactType === type);
      const reply = replyWith(JSON.stringify({ schemaVersion: 2, mediaType: INDEX_TYPE, manifests: found.map(descriptorOf) }));
      reply.headers.set("Content-Type", INDEX_TYPE);
      if (type !== undefined) reply.headers.set("OCI-Filters-Applied", "artifactType");
      return reply;
    },
  };

  /** A blob that was pushed, and that no manifest names yet. */
  async function sendWaiting(c: Context<Env>, { name, reference }: ImageUrl): Promise<Response | undefined> {
    const digest = parseDigestText(reference);
    return digest === undefined || imagePush?.waiting(name, digest) === undefined ? undefined : sendStored(c, digest);
  }

  async function sendStored(c: Context<Env>, digest: Digest): Promise<Response | undefined> {
    const object = await store.blob(digest);
    const reply = object && (await sendBlob(c, { object, digest, filename: digest }));
    reply?.headers.set("Docker-Content-Digest", digestText(digest));
    return reply;
  }

  async function sendManifest(
    c: Context<Env>,
    { digest, mediaType }: StoredManifest,
    object: NonNullable<Awaited<ReturnType<typeof store.blob>>>,
    mayChange: boolean,
  ): Promise<Response> {
    const reply = await sendBlob(c, { object, digest, filename: digest, type: mediaType, ...(mayChange && { mayChange }) });
    reply.headers.set("Docker-Content-Digest", digestText(digest));
    return reply;
  }

  function noteMissing(c: Context<Env>, { name, what, reference }: ImageUrl): void {
    if (pushers.has(c)) return;
    const path = what === "manifests" ? `${name}${parseDigestText(reference) === undefined ? ":" : "@"}${reference}` : name;
    missing.note({ type: "image", name: path }, c.env.id, Date.now());
  }

  const all = (url: Route["url"], handle: Handler): Route => ({ method: "ALL", url, handle });
  return {
    dialect: "registry",
    routes: [all(URLS.registry, root), all(URLS.registryWithoutSlash, root), all(URLS.repositories, repositories), all(URLS.image, image)],
  };
}

/** Whether a path below that of the registry is that of a store. */
function isOfAnotherApi(path: string): boolean {
  const root = URLS.registry.build({});
  const [first = ""] = path.slice(path.indexOf(root) + root.length).split("/");
  return isTakenName(first);
}

/** The paths that a bundle.yaml chose for images: they name the repositories of upstream's paths too. */
class Aliases {
  readonly #byOffer = new WeakMap<Snapshot, Promise<ReadonlyMap<string, readonly Alias[]>>>();

  async find(offer: Offer, name: string): Promise<Repository | undefined> {
    const { of } = offer;
    let aliases = this.#byOffer.get(of);
    if (!aliases) {
      aliases = of.packages().then(aliasesIn);
      this.#byOffer.set(of, aliases);
    }
    let found: Repository | undefined;
    for (const { tag, reference } of (await aliases).get(name) ?? []) {
      const repository = await of.repository(splitPath(pathOfReference(reference)).name);
      const digest = repository && storedImage(repository, reference);
      if (repository && digest) found = mergeRepository(found, { ...repository, name, tags: tag === undefined ? {} : { [tag]: digest } });
    }
    return found;
  }
}

interface Alias {
  /** of the chosen path */
  readonly tag: string | undefined;
  /** upstream's */
  readonly reference: string;
}

function aliasesIn(packages: readonly Package[]): ReadonlyMap<string, readonly Alias[]> {
  const found = new Map<string, Alias[]>();
  for (const { image } of packages.flatMap(({ resources }) => resources.flatMap(({ revisions }) => revisions))) {
    if (!image || image.path === pathOfReference(image.reference)) continue;
    const { name, tag } = splitPath(image.path);
    found.set(name, [...(found.get(name) ?? []), { tag, reference: image.reference }]);
  }
  return found;
}

function descriptorOf({ mediaType, digest, size, artifactType, annotations }: StoredManifest) {
  return {
    mediaType,
    digest: digestText(digest),
    size,
    ...(artifactType !== undefined && { artifactType }),
    ...(annotations && { annotations }),
  };
}

/** A page of a sorted list: `n` entries after `last`, and a Link to the next page. */
function pageOf(c: Context<Env>, key: string, all: readonly string[], other: Readonly<Record<string, string>>): Response {
  const { n, last } = c.req.query();
  if (n !== undefined && !/^\d{1,9}$/.test(n))
    return imageErrorReply(400, "PAGINATION_NUMBER_INVALID", `n: ${printable(n, 50)} is not a number`);
  const count = Math.min(n === undefined ? MAX_PAGE : Number(n), MAX_PAGE);
  const after = all.filter((name) => last === undefined || name > last);
  const page = after.slice(0, count);
  const reply = replyWith(JSON.stringify({ ...other, [key]: page }));
  const end = page.at(-1);
  if (page.length < after.length && end !== undefined)
    reply.headers.set("Link", `<${new URL(c.req.url).pathname}?n=${count}&last=${encodeURIComponent(end)}>; rel="next"`);
  return reply;
}
