/** `chp import --to URL`: sends the files to a server, which imports them and returns its report. */

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import * as v from "valibot";
import { Failure, isFailureKind, printable, reason } from "../../src/errors.ts";
import type { ImportSource, PrintedReport } from "../../src/import/import.ts";
import { type SizedSource, sized, sizeOfTar, tarOfSources } from "../../src/import/remoteprotocol.ts";
import { readPem } from "../../src/settings/certificate.ts";
import { tryJson } from "../../src/text.ts";
import { parametersOf, type RemoteOption } from "../../src/wire/remoteimport.ts";
import { URLS } from "../../src/wire/urls.ts";
import { ask, type BoundedReply, type HttpOptions, NoReply } from "./http.ts";
import { type CommonOptions, type Io, note } from "./io.ts";
import { type Progress, progressOn, progressThrough, sizeOf } from "./progress.ts";

export interface RemoteImportOptions extends CommonOptions {
  /** options that are sent with the import */
  readonly sends: readonly RemoteOption[];
  readonly to?: string;
  readonly tokenFile?: string;
  readonly ca?: string;
  readonly trust?: readonly string[];
  readonly allowUnsigned?: boolean;
  readonly allowOlder?: boolean;
  readonly renamed?: readonly string[];
  readonly name?: string;
}

/** What only the operator of the store decides. */
const STORE_ONLY = [
  { option: "trust", flag: "--trust", why: "roots are added", next: "there: chp import --trust FILE" },
  {
    option: "allowUnsigned",
    flag: "--allow-unsigned",
    why: "required signatures are decided",
    next: "sign it (chp export --sign FILE), or there: chp import --allow-unsigned FILE",
  },
  {
    option: "allowOlder",
    flag: "--allow-older",
    why: "older archives are allowed",
    next: "export it again, or there: chp import --allow-older FILE",
  },
  { option: "renamed", flag: "--renamed", why: "names are changed", next: "there: chp import --renamed OLD=NEW FILE" },
] as const;

/** Bytes of a report, which grows with the number of packages. */
const MAX_REPORT = 256 * 2 ** 20;
const TIMEOUT = 15_000;
/** Attempts while the server is busy with other imports. */
const ATTEMPTS = 60;

/** Imports the sources on the server at `to` as one generation, and returns its report. Fails with the failure of the server, if it refused. */
export async function importTo(to: string, sources: readonly ImportSource[], options: RemoteImportOptions, io: Io): Promise<PrintedReport> {
  if (options.given?.["store"] !== undefined) throw new Failure("usage", "--to and --store are two places: give one of them");
  const kept = STORE_ONLY.find(({ option }) => options[option]);
  if (kept)
    throw new Failure("usage", `${kept.flag} cannot be used with --to: ${kept.why} on the machine of the store`, { next: kept.next });
  const server = new ImportServer(to, tokenOf(options, io), readAuthorities(options), io.signal);
  const { body, headers, name } = bodyOf(sources, progressOn("import", options, io));
  await server.admits((text) => note(text, options, io));
  const parameters = parametersOf(
    { ...options.given, ...(name === undefined ? { tarOfFiles: true, folder: process.cwd() } : { name }) },
    options.sends,
  );
  try {
    return await server.put(parameters, headers, body);
  } catch (error) {
    const isRefused = error instanceof Failure && error.kind === "refused";
    for (const source of isRefused ? sources : []) {
      const why = await source.whyWrong?.();
      if (why) throw why;
    }
    throw error;
  }
}

class ImportServer {
  readonly #url: string;
  readonly #host: string;
  readonly #common: Pick<HttpOptions, "headers" | "trusted" | "signal">;

  constructor(to: string, token: string, trusted: readonly string[], signal: AbortSignal) {
    const url = URL.canParse(to) ? new URL(to) : undefined;
    if (url?.protocol !== "https:" || url.username || url.password || url.search || url.hash)
      throw new Failure("usage", `--to takes a URL like https://hub.lan:8443, not ${printable(to, 200)}`, {
        ...(url?.protocol === "http:" && { next: "a token is sent over TLS alone: chp serve --tls-listen HOST:PORT there" }),
      });
    this.#host = url.host;
    this.#url = `${url.origin}${url.pathname.replace(/\/+$/, "")}${URLS.remoteImport.build({})}`;
    this.#common = { headers: { Authorization: `Bearer ${token}` }, trusted, signal };
  }

  /** Resolves once the server would accept an import. Called first: a refusal during the upload may close the connection before it is read. */
  async admits(say: (text: string) => void): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      const reply = await this.#ask({ timeout: TIMEOUT });
      if (reply.status === 200) return;
      if (reply.status !== 503 || attempt === ATTEMPTS) throw this.#refusal(reply);
      const seconds = Math.min(60, Math.max(1, Number(reply.headers["retry-after"]) || 10));
      if (attempt === 1) say(`${this.#host} has enough imports to do: asking again every ${seconds} s`);
      await sleep(seconds * 1000, undefined, this.#common.signal && { signal: this.#common.signal }).catch(() => {
        throw notPublished();
      });
    }
  }

  async put(
    parameters: URLSearchParams,
    headers: Readonly<Record<string, string>>,
    body: AsyncIterable<Uint8Array>,
  ): Promise<PrintedReport> {
    // With its last byte the server has all of it, before the body is asked for more.
    let left = Number(headers["Content-Length"] ?? Number.POSITIVE_INFINITY);
    let sent = false;
    const counted = async function* () {
      for await (const chunk of body) {
        left -= chunk.byteLength;
        sent = left <= 0;
        yield chunk;
      }
      sent = true;
    };
    const url = parameters.size > 0 ? `?${parameters}` : "";
    const reply = await this.#ask(
      { method: "PUT", headers, body: counted(), timeout: Number.POSITIVE_INFINITY, limit: MAX_REPORT },
      url,
      () => sent,
    );
    if (reply.status !== 200 && reply.status !== 201) throw this.#refusal(reply);
    const report = tryJson(reply.body);
    if (!v.is(Report, report))
      throw new Failure("failed", `${this.#host} imported it, but its report can't be read: is it another version of chp?`);
    return report as unknown as PrintedReport;
  }

  async #ask(how: HttpOptions, parameters = "", sent = () => false): Promise<BoundedReply> {
    const { headers, ...common } = this.#common;
    try {
      return await ask(`${this.#url}${parameters}`, { ...common, ...how, headers: { ...headers, ...how.headers } });
    } catch (error) {
      if (this.#common.signal?.aborted) throw sent() ? unknownOutcome("interrupted", "interrupted") : notPublished();
      throw error instanceof NoReply ? this.#unanswered(error, sent()) : error;
    }
  }

  #unanswered(error: NoReply, sent: boolean): Failure {
    const host = this.#host;
    const why = printable(error.message, 300);
    const fail = (message: string, next: string) => new Failure("failed", message, { next, cause: error });
    if (error.code === "ERR_TLS_CERT_ALTNAME_INVALID")
      return fail(
        `the certificate of ${host} is for other names: ${why}`,
        "there: chp import-certificate --selfsigned --name NAME adds one",
      );
    if (error.untrusted)
      return fail(
        `the certificate of ${host} is not trusted here: ${why}`,
        "there: chp config proxy.tls.cert prints what to trust; give it with --ca FILE",
      );
    if (/^(ERR_SSL_|EPROTO)|WRONG_VERSION/.test(error.code))
      return fail(`${host} does not speak TLS there: ${why}`, "--to takes an address of chp serve --tls-listen HOST:PORT");
    if (error.code === "ECONNREFUSED")
      return fail(`nothing listens at ${host}`, "there: chp serve --tls-listen HOST:PORT, or name its address with --to URL");
    if (sent) return unknownOutcome("failed", `the connection to ${host} ended before its reply came (${why})`);
    return fail(`cannot import into ${host}: ${why}`, "nothing was published; run the same command again");
  }

  /** The failure that a reply describes. */
  #refusal({ status, headers, body }: BoundedReply): Failure {
    const host = this.#host;
    if (status === 404)
      return new Failure("failed", `${host} takes no imports from other machines`, {
        next: "there: chp token NAME makes a token, and with the first one remote import is on; its user must be able to read secrets/",
      });
    if (status >= 300 && status < 400)
      return new Failure("failed", `${host} redirects to ${printable(String(headers["location"]), 200)}, where the token is not sent`, {
        next: "name the address of chp serve itself with --to URL",
      });
    const parsed = v.safeParse(ErrorReply, tryJson(body));
    const [refusal] = parsed.success ? parsed.output["error-list"] : [];
    if (!refusal) return new Failure("failed", `${host} answered with status ${status}`, { next: "is chp serve at that address?" });
    const kind = isFailureKind(refusal.code) ? refusal.code : "failed";
    return new Failure(
      kind,
      `${host}: ${printable(refusal.message)}`,
      refusal.next === undefined ? {} : { next: `there: ${printable(refusal.next)}` },
    );
  }
}

const ErrorReply = v.object({
  "error-list": v.array(v.object({ code: v.string(), message: v.string(), next: v.optional(v.string()) })),
});

const AnyList = v.array(v.unknown());
/** The fields by which a report is recognized. */
const Report = v.looseObject({
  generation: v.nullable(v.number()),
  undo: v.nullable(v.string()),
  sources: AnyList,
  packages: AnyList,
  snaps: AnyList,
  images: AnyList,
  pulledFromHere: AnyList,
  notes: AnyList,
  ignored: AnyList,
  assertions: v.looseObject({ new: v.number(), known: v.number() }),
  bytes: v.looseObject({ new: v.number(), known: v.number() }),
  missing: v.looseObject({
    charms: AnyList,
    resources: AnyList,
    revisions: AnyList,
    snapRevisions: AnyList,
    snaps: AnyList,
    images: AnyList,
  }),
});

function notPublished(): Failure {
  return new Failure("interrupted", "interrupted: nothing was published");
}

function unknownOutcome(kind: "failed" | "interrupted", message: string): Failure {
  return new Failure(kind, `${message}: all of it was published, or nothing`, {
    next: "run the same command again: what is already present changes nothing",
  });
}

/** A single file is sent as it is; several are sent as a tar, so that they become one generation. */
function bodyOf(sources: readonly ImportSource[], progress: Progress) {
  const onProgress = progressThrough(progress, sizeOf(sources));
  const watched = sources.map((source): ImportSource => ({ ...source, open: () => withProgress(source, progress, onProgress) }));
  const files = watched.filter((source): source is SizedSource => source.size !== undefined);
  const [only] = watched;
  if (only && watched.length === 1) {
    const length: Record<string, string> = only.size === undefined ? {} : { "Content-Length": String(only.size) };
    const [file] = files;
    return { name: only.name, headers: length, body: file ? sized(file) : stream(only) };
  }
  if (files.length < watched.length)
    throw new Failure("usage", "standard input and named pipes can only be sent alone: their size is not known before", {
      next: "save it to a file first, or send it by a command of its own",
    });
  return { headers: { "Content-Length": String(sizeOfTar(files)) }, body: tarOfSources(files) };
}

async function* stream(source: ImportSource): AsyncGenerator<Uint8Array> {
  yield* source.open();
}

async function* withProgress(
  source: ImportSource,
  progress: Progress,
  onProgress: ReturnType<typeof progressThrough>,
): AsyncGenerator<Uint8Array> {
  let read = 0;
  try {
    for await (const chunk of source.open()) {
      read += chunk.byteLength;
      onProgress(source, read);
      yield chunk;
    }
  } finally {
    progress.end();
  }
}

/** Reads the token from the environment or a file: everybody on the machine can read a command line. */
function tokenOf({ tokenFile, given }: RemoteImportOptions, io: Io): string {
  // CHP_TOKEN wins over a file that only the environment names.
  const fromFile = given?.["tokenFile"] !== undefined || !io.environment["CHP_TOKEN"];
  const token = fromFile ? tokenFile && readTextFile(tokenFile, "the token") : io.environment["CHP_TOKEN"];
  if (token === undefined)
    throw new Failure("usage", "--to needs a token, in CHP_TOKEN or in a file that --token-file names", {
      next: "on the machine of the store: chp token NAME makes one",
    });
  if (!/^[\x21-\x7e]{1,512}$/.test(token.trim()))
    throw new Failure("usage", `${fromFile ? printable(tokenFile ?? "") : "CHP_TOKEN"} does not hold a token`, {
      next: "chp token NAME prints one, where the store is",
    });
  return token.trim();
}

function readAuthorities({ ca: file }: RemoteImportOptions): string[] {
  if (file === undefined) return [];
  const { certificates } = readPem(readTextFile(file, "what to trust"), file);
  if (certificates.length === 0) throw new Failure("usage", `${printable(file)} holds no certificate`);
  return certificates.map(String);
}

function readTextFile(file: string, what: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch (error) {
    throw new Failure("usage", `cannot read ${printable(file)}, ${what}: ${reason(error).split(",")[0]}`, { cause: error });
  }
}
