/**
 * Reads images from their registries: manifests into memory, and configs and layers as files to download. Source: the OCI distribution
 * specification 1.1, Docker's registry API V2.
 */

import {
  type Descriptor,
  IMAGE_MANIFEST_TYPES,
  type ImageManifest,
  MAX_DESCRIPTORS,
  MAX_IMAGE_MANIFEST,
  MAX_INDEX_DEPTH,
  readImageManifest,
} from "../archives/imagemanifest.ts";
import { type ImageReference, parseImageReference } from "../catalog/imagereference.ts";
import { type Digest, digestText, parseDigestText, sumsOf } from "../digest.ts";
import { Failure, printable, reason, refused } from "../errors.ts";
import { answerChallenge, bearerOf, type ImageLogin } from "./challenge.ts";
import { type Access, type HttpClient, type Refusal, Unavailable, type UpstreamFile } from "./client.ts";

/* ---- images ---- */

export interface WantedImage {
  readonly reference: string;
  /** of its manifest, where it is known; a tag is not asked for then */
  readonly digest?: Digest;
  readonly login?: ImageLogin;
  /** gets another login in place of one that is refused; undefined: there is none */
  readonly renewLogin?: () => Promise<ImageLogin | undefined>;
}

export interface FoundImage {
  readonly reference: string;
  readonly digest: Digest;
  readonly mediaType: string;
  /** its own manifest or index and those below it that were taken */
  readonly manifests: ReadonlyMap<Digest, Uint8Array>;
  /** configs and layers */
  readonly blobs: ReadonlyMap<Digest, UpstreamFile>;
}

/** Finds the login of a repository, `HOST/NAME`, that the operator has for it. */
export type LoginFinder = (repository: string) => ImageLogin | undefined;

export interface ImageRegistryOptions {
  readonly client: HttpClient;
  /** dpkg names */
  readonly architectures: readonly string[];
  /** HOST[:PORT] of registries that are asked without TLS */
  readonly plainHosts?: readonly string[];
  readonly loginOf?: LoginFinder;
}

/** What images call an architecture, where dpkg calls it otherwise. */
const OCI_ARCHITECTURES: Readonly<Record<string, string>> = { armhf: "arm", i386: "386", ppc64el: "ppc64le" };
/** The architecture of attestations, which are listed beside the images that they are of. */
const NO_ARCHITECTURE = "unknown";

export class ImageRegistries {
  readonly #options: ImageRegistryOptions;
  readonly #architectures: ReadonlySet<string>;
  /** by origin and repository */
  readonly #accesses = new Map<string, RepositoryAccess>();
  /** origins that do not answer, so that the images of one are not waited for one after another */
  readonly #silent = new Map<string, Unavailable>();

  constructor(options: ImageRegistryOptions) {
    this.#options = options;
    this.#architectures = new Set(options.architectures.map((name) => OCI_ARCHITECTURES[name] ?? name));
  }

  /**
   * Reads the manifests of an image: all of an index but those of other architectures and attestations. Throws `Unavailable`, and a
   * `refused` or `not-found` failure that names the image and the manifest.
   */
  async read(wanted: WantedImage): Promise<FoundImage> {
    const { reference } = wanted;
    const parsed = parseImageReference(reference);
    if (!parsed) throw refused(`${printable(reference, 300)} is not the reference of an image`);
    const repository = this.#repository(parsed, wanted);
    const manifests = new Map<Digest, Uint8Array>();
    const blobs = new Map<Digest, UpstreamFile>();
    const offered = new Set<string>();
    let images = 0;
    const walk = async (manifest: ImageManifest, depth: number): Promise<void> => {
      if (manifest.kind === "index" && depth > MAX_INDEX_DEPTH)
        throw refused(`more than ${MAX_INDEX_DEPTH} indexes lie in each other`, { at: [repository.what] });
      for (const child of manifest.manifests) {
        const { architecture } = child.platform ?? {};
        if (architecture === NO_ARCHITECTURE || manifests.has(child.digest)) continue;
        if (architecture !== undefined) offered.add(architecture);
        if (architecture !== undefined && !this.#architectures.has(architecture)) continue;
        if (manifests.size >= MAX_DESCRIPTORS) throw refused(`it has more than ${MAX_DESCRIPTORS} manifests`, { at: [repository.what] });
        const { bytes, read } = await this.#manifest(repository, digestText(child.digest), child);
        manifests.set(child.digest, bytes);
        await walk(read, depth + 1);
      }
      if (manifest.kind === "image") images += 1;
      for (const blob of manifest.blobs) blobs.set(blob.digest, repository.file(blob, blobs.get(blob.digest)));
    };
    const digest = parsed.digest ?? wanted.digest;
    if (wanted.digest !== undefined && digest !== wanted.digest)
      throw refused(`${repository.what} has the digest ${parsed.wanted}, and its lock says ${digestText(wanted.digest)}`);
    const top = await this.#manifest(repository, digest === undefined ? parsed.wanted : digestText(digest), digest && { digest });
    manifests.set(top.digest, top.bytes);
    await walk(top.read, 1);
    if (images === 0)
      throw new Failure("not-found", `${repository.what} is not there for ${[...this.#architectures].join(", ")}`, {
        next: `it is there for ${
          [...offered]
            .toSorted()
            .map((name) => printable(name, 20))
            .join(", ") || "no architecture"
        }`,
      });
    return { reference, digest: top.digest, mediaType: top.read.mediaType, manifests, blobs };
  }

  #repository({ host, repository: name }: ImageReference, { reference, login, renewLogin }: WantedImage): Repository {
    const { client, plainHosts = [], loginOf } = this.#options;
    const origin = `${plainHosts.includes(host) ? "http" : "https"}://${host}`;
    const key = `${origin}/${name}`;
    const found = this.#accesses.get(key) ?? new RepositoryAccess(client, origin, name);
    this.#accesses.set(key, found);
    const own = login && login.password !== "" ? login : loginOf?.(`${host}/${name}`);
    if (own) found.offer(own, renewLogin);
    return new Repository(`the image ${printable(reference, 300)}`, `${origin}/v2/${name}`, found);
  }

  /** `known`: what names it says of it. */
  async #manifest(
    { what, url: repository, access }: Repository,
    wanted: string,
    known: (Pick<Descriptor, "digest"> & Partial<Descriptor>) | undefined,
  ): Promise<{ readonly digest: Digest; readonly bytes: Uint8Array; readonly read: ImageManifest }> {
    const url = `${repository}/manifests/${wanted}`;
    const { origin } = new URL(url);
    const silent = this.#silent.get(origin);
    if (silent) throw new Failure("failed", `cannot fetch ${what}: ${origin} does not answer`, { cause: silent });
    const request = { headers: { Accept: IMAGE_MANIFEST_TYPES.join(", ") }, limit: MAX_IMAGE_MANIFEST, access };
    try {
      return await this.#options.client.reply(`cannot fetch ${what}`, url, request, (bytes, headers) => {
        const digest = sumsOf(bytes)["sha-256"];
        const expected = known?.digest ?? parseDigestText(headers.get("Docker-Content-Digest") ?? "");
        const wrong =
          known?.size !== undefined && known.size !== bytes.byteLength
            ? `it has ${bytes.byteLength} bytes, but the index said ${known.size}`
            : expected !== undefined && expected !== digest
              ? `its sha-256 is ${digest}, but it should be ${expected}`
              : undefined;
        if (wrong !== undefined) throw new Unavailable(`cannot fetch ${what}`, url, wrong);
        const said = headers.get("Content-Type")?.replace(/;.*/s, "").trim() ?? "";
        const mediaType = known?.mediaType ?? (IMAGE_MANIFEST_TYPES.includes(said) ? said : undefined);
        return { digest, bytes, read: readImageManifest(bytes, mediaType, [what, `its manifest ${digestText(digest)}`]) };
      });
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      const { status, retryable, isPlain } = error.details;
      if (status === undefined && retryable) this.#silent.set(origin, error);
      const { host } = new URL(origin);
      if (isPlain) throw error.advising(`--insecure-registry ${host} asks that registry without TLS`);
      throw status === 401 || status === 403 ? error.advising(loginAdvice(host)) : error;
    }
  }
}

/** A repository, as one image is read from it. */
class Repository {
  /** the image, in messages */
  readonly what: string;
  readonly url: string;
  readonly access: RepositoryAccess;

  constructor(what: string, url: string, access: RepositoryAccess) {
    [this.what, this.url, this.access] = [what, url, access];
  }

  /** `known`: the same file, as it was named before. */
  file({ digest, size }: Descriptor, known: UpstreamFile | undefined): UpstreamFile {
    if (known && known.size !== size)
      throw refused(`it says that ${digestText(digest)} has ${known.size} bytes, and that it has ${size}`, { at: [this.what] });
    return { url: `${this.url}/blobs/${digestText(digest)}`, size, algorithm: "sha-256", digest, access: this.access };
  }
}

const NO_LOGIN: ImageLogin = { username: "", password: "" };
/** times that a request is refused in a row until the login itself is doubted: tokens may end on their way */
const DOUBTFUL = 3;
/** bytes of a reply with a token */
const MAX_TOKEN_REPLY = 2 ** 20;

/** The right to read one repository: a token, and the login that gets it. */
class RepositoryAccess implements Access {
  readonly #client: HttpClient;
  readonly #origin: string;
  readonly #name: string;
  #login = NO_LOGIN;
  #renewLogin: WantedImage["renewLogin"];
  #renewing: Promise<void> | undefined;
  authorization: string | undefined;

  constructor(client: HttpClient, origin: string, name: string) {
    [this.#client, this.#origin, this.#name] = [client, origin, name];
  }

  /** A login for this repository; the first is used until it is refused. */
  offer(login: ImageLogin, renewLogin: WantedImage["renewLogin"]): void {
    if (this.#login !== NO_LOGIN) return;
    [this.#login, this.#renewLogin] = [login, renewLogin];
  }

  /** One at a time: requests that were refused meanwhile use what it gets. */
  async renew(refusal: Refusal): Promise<void> {
    if (!this.#renewing && this.authorization !== refusal.authorization) return;
    this.#renewing ??= this.#renew(refusal).finally(() => {
      this.#renewing = undefined;
    });
    await this.#renewing;
  }

  async #renew({ challenge, times }: Refusal): Promise<void> {
    const before = this.authorization;
    this.authorization = undefined;
    if (times === DOUBTFUL) await this.#hasOtherLogin();
    let found = await this.#authorize(challenge);
    if ((found === undefined || found === before) && (await this.#hasOtherLogin())) found = await this.#authorize(challenge);
    if (found === undefined || found === before) throw this.#refused();
    this.authorization = found;
  }

  /** What meets the challenge with the present login; undefined where that is refused. */
  async #authorize(challenge: string): Promise<string | undefined> {
    const answer = this.#answer(challenge);
    if (!answer || !("tokenUrl" in answer)) return answer?.authorization;
    const { tokenUrl, authorization } = answer;
    const request = { limit: MAX_TOKEN_REPLY, access: { authorization } };
    try {
      return await this.#client.reply(`cannot log in at ${new URL(this.#origin).host}`, tokenUrl, request, (body) =>
        bearerOf(body.toString()),
      );
    } catch (error) {
      if (error instanceof Unavailable && (error.details.status === 401 || error.details.status === 403)) return undefined;
      throw error;
    }
  }

  #answer(challenge: string) {
    try {
      return answerChallenge(challenge, this.#origin, this.#name, this.#login);
    } catch (error) {
      throw new Failure("failed", `cannot log in at ${new URL(this.#origin).host}: ${reason(error)}`, { cause: error });
    }
  }

  async #hasOtherLogin(): Promise<boolean> {
    const { username, password } = this.#login;
    const login = await this.#renewLogin?.();
    if (!login || (login.username === username && login.password === password)) return false;
    this.#login = login;
    return true;
  }

  #refused(): Unavailable {
    const { host } = new URL(this.#origin);
    const why = this.#login === NO_LOGIN ? "it wants a login" : "it refuses the login";
    return new Unavailable(`cannot read ${this.#name}`, `${this.#origin}/v2/`, why, { status: 401, next: loginAdvice(host) });
  }
}

function loginAdvice(host: string): string {
  return `--registry-auth FILE names logins, as docker login keeps them in ~/.docker/config.json: is there one for ${host}?`;
}
