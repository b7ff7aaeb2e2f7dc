/** What writes into the registry: uploads of blobs, and manifests, by the OCI distribution specification 1.1. */

import type { Context } from "hono";
import { registryOfReference } from "../src/catalog/registry.ts";
import { blobSize, isRepositoryName, isTag } from "../src/catalog/repository.ts";
import { type Digest, digestText, parseDigestText, sumsOf } from "../src/digest.ts";
import { Failure, printable } from "../src/errors.ts";
import type { Token } from "../src/settings/token.ts";
import { type ImageUrl, URLS } from "../src/wire/urls.ts";
import type { Env, ImagePush, ImageUpload } from "./call.ts";
import { imageErrorReply } from "./errors.ts";
import type { Log } from "./log.ts";
import type { Offers } from "./offer.ts";
import { RequestBody } from "./requestbody.ts";

/** manifests that are read and published at once, each of which is in memory */
const MAX_MANIFESTS = 8;

/** One request that writes. */
interface Write extends ImageUrl {
  /** name of the token */
  readonly by: string;
}

type WriteHandler = (c: Context<Env>, write: Write) => Promise<Response>;

export class ImageWrites {
  readonly #push: ImagePush;
  readonly #store: Offers;
  readonly #log: Log;
  #manifests = 0;

  constructor(push: ImagePush, store: Offers, log: Log) {
    this.#push = push;
    this.#store = store;
    this.#log = log;
  }

  /** Nothing that a client sends deletes: what a store offers is changed by its operator. */
  readonly #handlers: Readonly<Record<string, WriteHandler>> = {
    "POST uploads": (c, write) => this.#begin(c, write),
    "GET uploads": (_, write) => this.#inUpload(write, async (upload) => this.#progress(204, write, upload.size)),
    "PATCH uploads": (c, write) =>
      this.#inUpload(write, async (upload) => (await this.#append(c, write, upload)) ?? this.#progress(202, write, upload.size)),
    "PUT uploads": (c, write) => this.#finish(c, write),
    "DELETE uploads": (_, write) =>
      this.#inUpload(write, async (upload) => {
        await upload.cancel();
        return empty(204);
      }),
    "PUT manifests": (c, write) => this.#putManifest(c, write),
  };

  /** Answers a request of a token that may push. */
  async handle(c: Context<Env>, token: Token): Promise<Response | undefined> {
    const asked = URLS.image.parse(c.req);
    const handler = asked && this.#handlers[`${c.req.method} ${asked.what}`];
    if (!handler) throw new Failure("not-allowed", "clients push images and delete none: chp remove does, where the store is");
    if (!isRepositoryName(asked.name))
      return imageErrorReply(400, "NAME_INVALID", `${printable(asked.name, 200)} is not the name of a repository of images`);
    // Archives and charms name an image with its registry in front: what looks like one would be taken off there.
    if (registryOfReference(asked.name) !== undefined)
      return imageErrorReply(400, "NAME_INVALID", `${asked.name} begins with a registry: push it by its path alone`);
    c.env.peer.mayStall?.();
    return handler(c, { ...asked, by: token.name });
  }

  async #begin(c: Context<Env>, write: Write): Promise<Response> {
    const { name, by } = write;
    if (write.reference !== "") return noUpload();
    const { digest: given, mount, from } = c.req.query();
    const mounted = parseDigestText(mount ?? "");
    if (mounted !== undefined && from !== undefined && (await this.#mount(name, mounted, from))) return created(name, mounted);
    const digest = given === undefined ? undefined : parseDigestText(given);
    if (given !== undefined && digest === undefined) return wrongDigest(given);
    const reference = await this.#push.begin(name, by);
    const begun = { ...write, reference };
    if (digest === undefined) return this.#progress(202, begun, 0);
    return this.#inUpload(begun, async (upload) => {
      const refusal = (await this.#append(c, begun, upload)) ?? (await end(upload, name, digest));
      if (refusal.status !== 201) await upload.cancel();
      return refusal;
    });
  }

  /** Whether that blob of another repository is one of this now. */
  async #mount(name: string, digest: Digest, from: string): Promise<boolean> {
    const repository = isRepositoryName(from) ? await (await this.#store.snapshot()).of.repository(from) : undefined;
    const size = (repository && blobSize(repository, digest)) ?? this.#push.waiting(from, digest);
    if (size === undefined || !(await this.#store.blob(digest))) return false;
    this.#push.mount(name, digest, size);
    return true;
  }

  async #finish(c: Context<Env>, write: Write): Promise<Response> {
    const given = c.req.query("digest") ?? "";
    const digest = parseDigestText(given);
    if (digest === undefined) return wrongDigest(given);
    return this.#inUpload(write, async (upload) => (await this.#append(c, write, upload)) ?? end(upload, write.name, digest));
  }

  async #inUpload({ reference, name, by }: Write, work: (upload: ImageUpload) => Promise<Response>): Promise<Response> {
    return (await this.#push.use(reference, name, by, work)) ?? noUpload();
  }

  /** Appends the body to an upload. A reply: it does not follow what is there, or is not as long as it says. */
  async #append(c: Context<Env>, write: Write, upload: ImageUpload): Promise<Response | undefined> {
    const length = sizeIn(c.req.header("Content-Length"));
    const range = c.req.header("Content-Range");
    const announced = range === undefined ? length : chunkSize(range, upload.size, length);
    const body = new RequestBody(c.req.raw.body, { maxSize: announced ?? Number.POSITIVE_INFINITY, tooLarge: longer });
    try {
      if (range !== undefined && announced === undefined)
        return this.#progress(416, write, upload.size, `${printable(range, 100)} does not follow the ${upload.size} bytes that are there`);
      const before = upload.size;
      for await (const part of body.parts()) await upload.write(part);
      if (announced === undefined || upload.size - before === announced) return undefined;
      throw longer(announced);
    } catch (error) {
      // What broke off can go on, by what a GET says; what contradicts itself can't.
      if (!(error instanceof Failure && error.kind === "malformed")) throw error;
      await upload.cancel();
      return closing(imageErrorReply(400, "SIZE_INVALID", error.message));
    } finally {
      void body.drain();
    }
  }

  #progress(status: number, { name, reference }: Write, size: number, why?: string): Response {
    const reply = why === undefined ? empty(status) : imageErrorReply(status, "BLOB_UPLOAD_INVALID", why);
    // A path alone: a client follows it to the server that it has sent its token to.
    reply.headers.set("Location", URLS.image.build({ name, what: "uploads", reference }));
    reply.headers.set("Range", `0-${Math.max(0, size - 1)}`);
    reply.headers.set("Docker-Upload-UUID", reference);
    return reply;
  }

  async #putManifest(c: Context<Env>, { name, reference, by }: Write): Promise<Response> {
    const digest = parseDigestText(reference);
    if (digest === undefined && !isTag(reference))
      return imageErrorReply(400, "DIGEST_INVALID", `${printable(reference, 200)} is neither a tag nor a sha256 digest`);
    if (this.#manifests >= MAX_MANIFESTS) throw new Failure("too-many", `${MAX_MANIFESTS} manifests are pushed at once already`);
    this.#manifests += 1;
    try {
      const bytes = await this.#manifestOf(c);
      if (digest !== undefined && sumsOf(bytes)["sha-256"] !== digest) return wrongDigest(reference);
      const mediaType = c.req.header("Content-Type")?.split(";")[0]?.trim();
      const tag = digest === undefined ? reference : undefined;
      const pushed = await this.#push.publish(
        { name, bytes, ...(tag !== undefined && { tag }), ...(mediaType !== undefined && mediaType !== "" && { mediaType }) },
        by,
      );
      if ("missing" in pushed)
        return imageErrorReply(404, "MANIFEST_BLOB_UNKNOWN", `it names ${digestText(pushed.missing)}, which ${name} does not have`);
      const at = digestText(pushed.digest);
      const { generation } = pushed;
      this.#log({
        level: "info",
        message: "an image was pushed",
        id: c.env.id,
        token: by,
        address: c.env.peer.address(),
        name: tag === undefined ? `${name}@${at}` : `${name}:${tag}`,
        digest: at,
        ...(generation !== undefined && { generation }),
      });
      const reply = empty(201);
      reply.headers.set("Location", URLS.image.build({ name, what: "manifests", reference: at }));
      reply.headers.set("Docker-Content-Digest", at);
      if (pushed.subject !== undefined) reply.headers.set("OCI-Subject", digestText(pushed.subject));
      return reply;
    } finally {
      this.#manifests -= 1;
    }
  }

  async #manifestOf(c: Context<Env>): Promise<Uint8Array> {
    const tooLarge = (most: number) => new Failure("too-large", `a manifest may have ${most} bytes`);
    const maxSize = this.#push.maxManifest;
    if ((sizeIn(c.req.header("Content-Length")) ?? 0) > maxSize) throw tooLarge(maxSize);
    const body = new RequestBody(c.req.raw.body, { maxSize, tooLarge });
    const parts: Uint8Array[] = [];
    for await (const part of body.parts()) parts.push(part);
    return Buffer.concat(parts);
  }
}

async function end(upload: ImageUpload, name: string, digest: Digest): Promise<Response> {
  return (await upload.end(digest)) ? created(name, digest) : wrongDigest(digestText(digest));
}

function created(name: string, digest: Digest): Response {
  const reply = empty(201);
  reply.headers.set("Location", URLS.image.build({ name, what: "blobs", reference: digestText(digest) }));
  reply.headers.set("Docker-Content-Digest", digestText(digest));
  return reply;
}

function wrongDigest(given: string): Response {
  return imageErrorReply(400, "DIGEST_INVALID", `${printable(given, 200) || "nothing"} is not the sha256 digest of what was sent`);
}

function noUpload(): Response {
  return imageErrorReply(
    404,
    "BLOB_UPLOAD_UNKNOWN",
    "there is no such upload of this token: it may have ended after an hour without a byte, or another replica has it",
  );
}

function empty(status: number): Response {
  return new Response(null, { status });
}

/** A reply to a body of which a part may still come. */
function closing(reply: Response): Response {
  reply.headers.set("Connection", "close");
  return reply;
}

function longer(announced: number): Failure {
  return new Failure("malformed", `the body has not the ${announced} bytes that its headers say`);
}

function sizeIn(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,15}$/.test(header) ? Number(header) : undefined;
}

/** Bytes of a chunk by its Content-Range, `FIRST-LAST`; undefined where it does not begin at `at`, or contradicts its length. */
function chunkSize(range: string, at: number, length: number | undefined): number | undefined {
  const [, first, last] = /^(?:bytes )?(\d{1,15})-(\d{1,15})(?:\/(?:\d+|\*))?$/.exec(range) ?? [];
  const size = Number(last) - Number(first) + 1;
  return Number(first) === at && size > 0 && (length === undefined || length === size) ? size : undefined;
}
