/** The registry: images by the OCI distribution specification 1.1, read-only. What clients rely on: handlers/images.md. */

import { createHash, timingSafeEqual } from "node:crypto";
import type { Context } from "hono";
import type { Package } from "../src/catalog/package.ts";
import { type Login, NO_REGISTRY, pathOfReference, splitPath } from "../src/catalog/registry.ts";
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
import { digestText, parseDigestText } from "../src/digest.ts";
import { Failure, printable } from "../src/errors.ts";
import { type ImageUrl, URLS } from "../src/wire/urls.ts";
import type { Snapshot } from "../store/snapshot.ts";
import { sendBlob } from "./blobs.ts";
import type { Env, HandlerDeps } from "./call.ts";
import { imageErrorReply, REGISTRY_VERSION } from "./errors.ts";
import type { MissingRequests } from "./missingrequests.ts";
import type { Offer } from "./offer.ts";
import { replyWith } from "./replies.ts";
import type { Api, Handler, Route } from "./routes.ts";

const INDEX_TYPE = "application/vnd.oci.image.index.v1+json";
const MAX_PAGE = 1000;

export function imageRoutes({ store, registries = () => NO_REGISTRY, missing }: HandlerDeps & { readonly missing: MissingRequests }): Api {
  const aliases = new Aliases();

  /** Every request of a registry's client: its login first. */
  function guarded(handle: Handler): Handler {
    return async (c) => {
      if (isOfAnotherApi(c.req.path)) return undefined;
      const { login } = await registries();
      if (login && !isLoggedIn(c.req.header("Authorization"), login)) throw new Failure("unauthorized", "a login is needed");
      if (c.req.method !== "GET" && c.req.method !== "HEAD") throw new Failure("not-allowed", "this registry is read-only");
      const reply = await handle(c);
      if (reply instanceof Response) for (const [name, value] of Object.entries(REGISTRY_VERSION)) reply.headers.set(name, value);
      return reply;
    };
  }

  const root = guarded(() => replyWith("{}"));

  const repositories = guarded(async (c) => {
    const { of } = await store.snapshot();
    return pageOf(c, "repositories", of.repositoryNames, {});
  });

  const image = guarded(async (c) => {
    const asked = URLS.image.parse(c.req);
    if (!asked || !isRepositoryName(asked.name)) return undefined;
    const snapshot = await store.snapshot();
    const repository = (await snapshot.of.repository(asked.name)) ?? (await aliases.find(snapshot, asked.name));
    if (!repository) {
      noteMissing(c, asked);
      return imageErrorReply(404, "NAME_UNKNOWN", `there are no images ${printable(asked.name, 200)}`);
    }
    return ANSWERS[asked.what](c, repository, asked.reference);
  });

  const ANSWERS: Readonly<Record<ImageUrl["what"], (c: Context<Env>, repository: Repository, reference: string) => Promise<Response>>> = {
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
      const object = blobSize(repository, digest) === undefined ? undefined : await store.blob(digest);
      if (!object) return imageErrorReply(404, "BLOB_UNKNOWN", `there is no blob ${reference} of ${repository.name}`);
      const reply = await sendBlob(c, { object, digest, filename: digest });
      reply.headers.set("Docker-Content-Digest", reference);
      return reply;
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
    const path = what === "manifests" ? `${name}${parseDigestText(reference) === undefined ? ":" : "@"}${reference}` : name;
    missing.note({ type: "image", name: path }, c.env.id, Date.now());
  }

  const all = (url: Route["url"], handle: Handler): Route => ({ method: "ALL", url, handle });
  return { dialect: "registry", routes: [all(URLS.registry, root), all(URLS.repositories, repositories), all(URLS.image, image)] };
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

/** Whether a header of Basic authentication has that login; the time it takes does not tell how much of it is right. */
function isLoggedIn(header: string | undefined, { username, password }: Login): boolean {
  const given = /^basic +([\w+/=-]{1,2000}) *$/i.exec(header ?? "")?.[1];
  const hash = (text: string | Uint8Array) => createHash("sha256").update(text).digest();
  return timingSafeEqual(hash(Buffer.from(given ?? "", "base64")), hash(`${username}:${password}`));
}
