/**
 * An S3-compatible engine in this process: it checks signatures and their times, sha256 of bodies and conditions, and has a clock of its own.
 * What it must not do can be put in on purpose. The real engines are asked by test/interop/replicas.ts.
 */

import { createHash } from "node:crypto";
import { S3Client, type S3Options, type S3Transport } from "../store/s3client.ts";
import { signatureOf } from "../store/sigv4.ts";

const CREDENTIALS = { id: "AKIDTEST", secret: "a secret/+" };
const REGION = "us-east-1";
const SKEW = 15 * 60_000;

interface Stored {
  readonly bytes: Uint8Array;
  readonly modified: number;
  readonly writer: string | undefined;
}

export interface EngineFaults {
  /** puts in what some engines do: a condition is ignored */
  readonly ignoresConditions?: boolean;
  readonly ignoresSums?: boolean;
  readonly ignoresTimes?: boolean;
  /** keys of a page of a listing */
  readonly page?: number;
}

/** What happens to one request on its way: before it is carried out, and after. */
export interface Weather {
  before?(request: {
    readonly method: string;
    readonly key: string;
    readonly url: URL;
  }): Promise<Response | undefined> | Response | undefined;
  after?(request: { readonly method: string; readonly key: string; readonly url: URL }, reply: Response): Promise<Response> | Response;
}

export class S3Engine {
  readonly objects = new Map<string, Stored>();
  readonly uploads = new Map<string, { readonly key: string; readonly begun: number; readonly parts: Map<number, Uint8Array> }>();
  /** `GET blobs/…`, in their order */
  readonly log: string[] = [];
  faults: EngineFaults = {};
  weather: Weather = {};
  now: () => number = Date.now;
  #uploads = 0;

  readonly bucket: string;

  constructor(bucket = "bucket") {
    this.bucket = bucket;
  }

  get options(): S3Options {
    return {
      bucket: this.bucket,
      prefix: "site/",
      endpoint: "http://engine.test",
      pathStyle: true,
      credentials: CREDENTIALS,
      region: REGION,
      transport: this.transport,
    };
  }

  /** A client of its own, as each process has. */
  client(options: Partial<S3Options> = {}): S3Client {
    return new S3Client({ ...this.options, ...options });
  }

  /** The environment of a command, where it is served at `endpoint`. */
  static environment(endpoint: string): Record<string, string> {
    return {
      AWS_ENDPOINT_URL: endpoint,
      AWS_REGION: REGION,
      AWS_ACCESS_KEY_ID: CREDENTIALS.id,
      AWS_SECRET_ACCESS_KEY: CREDENTIALS.secret,
    };
  }

  readonly transport: S3Transport = async (url, { method, headers, body, signal }) => {
    signal.throwIfAborted();
    return this.fetch(new Request(url, { method, headers: { ...headers }, ...(body && { body: new Uint8Array(body) }) }));
  };

  readonly fetch = async (request: Request): Promise<Response> => {
    const url = new URL(request.url);
    const [, bucket = "", ...path] = url.pathname.split("/");
    const key = decodeURIComponent(path.join("/"));
    this.log.push(`${request.method} ${key === "" ? url.searchParams.get("prefix") : key}`);
    const about = { method: request.method, key, url };
    const early = await this.weather.before?.(about);
    if (early) return early;
    const body = new Uint8Array(await request.arrayBuffer());
    const reply =
      this.#refusal(request, url, body) ?? (bucket === this.bucket ? this.#answer(request, url, key, body) : error(404, "NoSuchBucket"));
    reply.headers.set("date", new Date(this.now()).toUTCString());
    return (await this.weather.after?.(about, reply)) ?? reply;
  };

  #refusal({ method, headers }: Request, url: URL, body: Uint8Array): Response | undefined {
    const query = url.searchParams;
    const presigned = query.get("X-Amz-Signature");
    const given = headers.get("authorization") ?? "";
    const [, id = "", names = "", sent = ""] =
      presigned === null
        ? (/Credential=([^/,]+)\/[^,]*, SignedHeaders=([^,]+), Signature=([0-9a-f]+)$/.exec(given) ?? [])
        : ["", query.get("X-Amz-Credential")?.split("/")[0], query.get("X-Amz-SignedHeaders") ?? "", presigned];
    const date = presigned === null ? (headers.get("x-amz-date") ?? "") : (query.get("X-Amz-Date") ?? "");
    if (id !== CREDENTIALS.id) return error(403, "InvalidAccessKeyId");
    const signed = Object.fromEntries(names.split(";").map((name) => [name, name === "host" ? url.host : (headers.get(name) ?? "")]));
    const unsigned = new URL(url);
    unsigned.searchParams.delete("X-Amz-Signature");
    const payload = presigned === null ? (headers.get("x-amz-content-sha256") ?? "") : "UNSIGNED-PAYLOAD";
    const right = signatureOf({ method, url: unsigned, headers: signed, payload }, { credentials: CREDENTIALS, region: REGION }, date);
    if (right.signature !== sent) return error(403, "SignatureDoesNotMatch");
    const time = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"));
    if (!this.faults.ignoresTimes) {
      if (presigned === null && Math.abs(this.now() - time) > SKEW) return error(403, "RequestTimeTooSkewed");
      if (presigned !== null && this.now() > time + Number(query.get("X-Amz-Expires")) * 1000) return error(403, "AccessDenied");
    }
    if (presigned === null && !this.faults.ignoresSums && payload !== createHash("sha256").update(body).digest("hex"))
      return error(400, "XAmzContentSHA256Mismatch");
    return undefined;
  }

  #answer(request: Request, url: URL, key: string, body: Uint8Array): Response {
    const query = url.searchParams;
    const upload = query.get("uploadId");
    if (key === "") return query.has("uploads") ? this.#listUploads(query) : this.#list(query);
    if (request.method === "POST" && query.has("uploads")) {
      const id = `upload-${(this.#uploads += 1)}`;
      this.uploads.set(id, { key, begun: this.now(), parts: new Map() });
      return xml(`<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`);
    }
    if (upload !== null) return this.#upload(request, query, upload, body);
    const stored = this.objects.get(key);
    switch (request.method) {
      case "PUT": {
        if (request.headers.get("if-none-match") === "*" && stored && !this.faults.ignoresConditions)
          return error(412, "PreconditionFailed");
        const writer = request.headers.get("x-amz-meta-writer") ?? undefined;
        this.objects.set(key, { bytes: body, modified: this.#second(), writer });
        return new Response(null, { status: 200, headers: { etag: `"${key.length}"` } });
      }
      case "DELETE":
        this.objects.delete(key);
        return new Response(null, { status: 204 });
      default:
        return stored ? replyOf(request, stored) : error(404, "NoSuchKey");
    }
  }

  #upload(request: Request, query: URLSearchParams, id: string, body: Uint8Array): Response {
    const upload = this.uploads.get(id);
    if (!upload) return error(404, "NoSuchUpload");
    if (request.method === "DELETE") {
      this.uploads.delete(id);
      return new Response(null, { status: 204 });
    }
    if (request.method === "PUT") {
      const number = Number(query.get("partNumber"));
      upload.parts.set(number, body);
      return new Response(null, { status: 200, headers: { etag: `"part ${number}"` } });
    }
    const numbers = [...new TextDecoder().decode(body).matchAll(/<PartNumber>(\d+)</g)].map(([, number]) => Number(number));
    const bytes = Buffer.concat(numbers.map((number) => upload.parts.get(number) ?? new Uint8Array()));
    this.uploads.delete(id);
    this.objects.set(upload.key, { bytes, modified: this.#second(), writer: undefined });
    return xml("<CompleteMultipartUploadResult></CompleteMultipartUploadResult>");
  }

  #list(query: URLSearchParams): Response {
    const prefix = query.get("prefix") ?? "";
    const after = query.get("continuation-token") ?? "";
    const isFlat = !query.has("delimiter");
    const keys = [...this.objects.keys()]
      .filter((key) => key.startsWith(prefix) && key > after && (isFlat || !key.slice(prefix.length).includes("/")))
      .toSorted();
    const page = keys.slice(0, this.faults.page ?? 1000);
    const entries = page.map((key) => {
      const { bytes, modified } = this.objects.get(key) as Stored;
      return `<Contents><Key>${encodeURIComponent(key)}</Key><LastModified>${new Date(modified).toISOString()}</LastModified><Size>${bytes.byteLength}</Size></Contents>`;
    });
    const isCut = page.length < keys.length;
    return xml(
      `<ListBucketResult><IsTruncated>${isCut}</IsTruncated>${isCut ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : ""}${entries.join("")}</ListBucketResult>`,
    );
  }

  #listUploads(query: URLSearchParams): Response {
    const found = [...this.uploads].filter(([, { key }]) => key.startsWith(query.get("prefix") ?? ""));
    const entries = found.map(
      ([id, { key, begun }]) =>
        `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>${new Date(begun).toISOString()}</Initiated></Upload>`,
    );
    return xml(`<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>${entries.join("")}</ListMultipartUploadsResult>`);
  }

  /** The time of an object, which engines tell in whole seconds. */
  #second(): number {
    return Math.floor(this.now() / 1000) * 1000;
  }
}

function replyOf(request: Request, { bytes, modified, writer }: Stored): Response {
  const headers: Record<string, string> = {
    "last-modified": new Date(modified).toUTCString(),
    ...(writer !== undefined && { "x-amz-meta-writer": writer }),
  };
  const [, from = "", to = ""] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.get("range") ?? "") ?? [];
  if (from === "")
    return new Response(request.method === "HEAD" ? null : new Uint8Array(bytes), {
      headers: { ...headers, "content-length": String(bytes.byteLength) },
    });
  if (Number(from) >= bytes.byteLength) return error(416, "InvalidRange");
  const part = new Uint8Array(bytes.subarray(Number(from), Number(to) + 1));
  return new Response(part, {
    status: 206,
    headers: {
      ...headers,
      "content-length": String(part.byteLength),
      "content-range": `bytes ${from}-${Number(from) + part.byteLength - 1}/${bytes.byteLength}`,
    },
  });
}

function xml(text: string): Response {
  return new Response(`<?xml version="1.0" encoding="UTF-8"?>\n${text}`, { headers: { "content-type": "application/xml" } });
}

export function error(status: number, code: string): Response {
  return new Response(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>the engine says ${code}</Message></Error>`, { status });
}
