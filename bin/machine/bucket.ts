/** A bucket as the environment describes it, by the names that every tool of S3 knows: AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID … */

import { readFileSync } from "node:fs";
import { Failure, printable, reason } from "../../src/errors.ts";
import { Bucket, type BucketOptions } from "../../store/s3.ts";
import { S3Client, type S3Options, type S3Transport } from "../../store/s3client.ts";
import { Spool } from "../../store/spool.ts";
import { machineRoots } from "./http.ts";
import type { Io } from "./io.ts";
import { sealerFor } from "./storekey.ts";

const SCHEME = "s3://";
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const PREFIX = /^[A-Za-z0-9_-][A-Za-z0-9._-]*(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/;

/** Whether a store of that name is in a bucket, rather than in a folder. */
export function isBucket(place: string): boolean {
  return place.startsWith(SCHEME);
}

/** Fails with `usage` where options that need a bucket are given for a folder, or exclude each other. */
export function checkBucketOptions(
  place: string,
  { cache, redirect }: { readonly cache?: string | undefined; readonly redirect?: boolean | undefined },
): void {
  const flag = cache === undefined ? "--redirect" : "--cache";
  if (!isBucket(place) && (cache !== undefined || redirect))
    throw new Failure("usage", `${flag} is for a store in a bucket: ${printable(place)} is a folder`, {
      next: "--store s3://BUCKET/PREFIX",
    });
  if (cache !== undefined && redirect) throw new Failure("usage", "--cache and --redirect exclude each other: give one of them");
}

type Environment = Io["environment"];

/** How a server uses its bucket. */
export type ServedBucket = Pick<BucketOptions, "cache" | "redirects" | "sums"> & Partial<S3Options>;

/** The store that `place` names. Reads no object. */
export function bucketOf(
  place: string,
  { environment }: Pick<Io, "environment">,
  { cache, redirects, sums, ...options }: ServedBucket = {},
): Bucket {
  const client = s3ClientOf(place, environment, options);
  const bucket: Bucket = new Bucket({
    client,
    spool: new Spool(environment["TMPDIR"] || undefined),
    sealer: sealerFor(() => bucket, { environment }),
    ...(cache && { cache }),
    ...(sums && { sums }),
    ...(redirects && { redirects }),
  });
  return bucket;
}

/** `place`: `s3://BUCKET/PREFIX`. Reads no object. Fails with `usage` where the environment lacks something. */
export function s3ClientOf(place: string, environment: Environment, options: Partial<S3Options> = {}): S3Client {
  const [bucket = "", ...path] = place.slice(SCHEME.length).replace(/\/+$/, "").split("/");
  const prefix = path.join("/");
  if (!BUCKET.test(bucket) || (prefix !== "" && !PREFIX.test(prefix)))
    throw new Failure("usage", `${printable(place, 200)} is not s3://BUCKET or s3://BUCKET/PREFIX`, {
      next: "a prefix has letters, digits, dots, hyphens and underscores between its slashes",
    });
  const region = environment["AWS_REGION"] || environment["AWS_DEFAULT_REGION"] || "us-east-1";
  const endpoint = endpointOf(environment) ?? `https://s3.${region}.amazonaws.com`;
  return new S3Client({
    bucket,
    prefix: prefix === "" ? "" : `${prefix}/`,
    endpoint,
    pathStyle: !/(^|\.)amazonaws\.com(\.cn)?$/.test(new URL(endpoint).hostname),
    region,
    credentials: {
      id: needed("AWS_ACCESS_KEY_ID", place, environment),
      secret: needed("AWS_SECRET_ACCESS_KEY", place, environment),
      token: environment["AWS_SESSION_TOKEN"] || undefined,
    },
    transport: transportOf(environment),
    ...options,
  });
}

function needed(name: string, place: string, environment: Environment): string {
  const value = environment[name];
  if (value !== undefined && value !== "") return value;
  throw new Failure("usage", `${place} needs ${name} in the environment, which is not set`, {
    next: "AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY say how the bucket is reached: chp help replicas",
  });
}

function endpointOf(environment: Environment): string | undefined {
  const [name, text] =
    (["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"] as const).map((each) => [each, environment[each]] as const).find(([, value]) => value) ??
    [];
  if (name === undefined || text === undefined) return undefined;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && ["http:", "https:"].includes(url.protocol) && !url.username && !url.search && !url.hash) return text.replace(/\/+$/, "");
  throw new Failure("usage", `${name} is not a URL like https://s3.lan: ${printable(text.replace(/\/\/[^/]*@/, "//…@"), 200)}`);
}

function transportOf(environment: Environment): S3Transport {
  const bundle = environment["AWS_CA_BUNDLE"];
  const ca = async () => [...(await machineRoots()), ...(bundle ? [readBundle(bundle)] : [])];
  if (bundle) readBundle(bundle); // wrong usage comes first
  return typeof Bun === "undefined" ? nodeTransport(ca) : bunTransport(ca);
}

function readBundle(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new Failure("usage", `cannot read ${printable(file)}, the AWS_CA_BUNDLE: ${printable(reason(error).split(",")[0] ?? "", 200)}`);
  }
}

function bunTransport(authorities: () => Promise<string[]>): S3Transport {
  let ca: Promise<string[]> | undefined;
  return async (url, { body, headers, ...request }) => {
    if (url.startsWith("https:")) ca ??= authorities();
    return fetch(url, {
      ...request,
      headers: { ...headers },
      ...(body && { body: body as Uint8Array<ArrayBuffer> }),
      redirect: "manual",
      ...(ca && { tls: { ca: await ca } }),
    });
  };
}

function nodeTransport(authorities: () => Promise<string[]>): S3Transport {
  const ready = import("undici").then(async ({ EnvHttpProxyAgent, fetch: fetchByNode }) => {
    const ca = await authorities();
    const dispatcher = new EnvHttpProxyAgent({
      proxyTunnel: false,
      connect: { ca },
      requestTls: { ca },
      bodyTimeout: 0,
      headersTimeout: 0,
    });
    return (url: string, request: object) => fetchByNode(url, { ...request, redirect: "manual", dispatcher });
  });
  return async (url, request) => (await (await ready)(url, { ...request, headers: { ...request.headers } })) as unknown as Response;
}
