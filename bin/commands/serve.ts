import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { createApp } from "../../handlers/app.ts";
import { type Listener, listen } from "../../handlers/listen.ts";
import { createLog, type Log } from "../../handlers/log.ts";
import { clockProblem } from "../../src/clock.ts";
import { Failure, printable, reason } from "../../src/errors.ts";
import { certificateFacts, certificateWarnings } from "../../src/settings/certificate.ts";
import { ARCHIVE_LIMITS, archiveCap, parseAddress, readSettings } from "../../src/settings/config.ts";
import type { Token } from "../../src/settings/token.ts";
import { BlobCache } from "../../store/blobcache.ts";
import { Disk } from "../../store/fs.ts";
import { blobBytes } from "../../store/quota.ts";
import { isAway } from "../../store/s3errors.ts";
import { Store } from "../../store/store.ts";
import { checkBucketOptions, isBucket } from "../machine/bucket.ts";
import { importInChild } from "../machine/child.ts";
import { limitsIn, StorePush } from "../machine/imagepush.ts";
import { type Io, printJson, undoOf } from "../machine/io.ts";
import { storageAt, storeFolder } from "../machine/openstore.ts";
import { overrideWrites } from "../machine/overridewrites.ts";
import { loadSettings, watchCloudImages, watchRegistries } from "../machine/settings.ts";
import { countConnections, watchDescriptors } from "../machine/sockets.ts";
import { storeKeyOf } from "../machine/storekey.ts";
import { notifySystemd } from "../machine/systemd.ts";
import { servedPair, watchCertificate } from "../machine/tls.ts";
import { defineCommand, type Register } from "./command.ts";
import { type FlagValues, REMOTE_OPTIONS } from "./flags.ts";
import { webOf } from "./pages.ts";

/** Milliseconds after which a new generation is prepared for searches. */
const PREPARE_INTERVAL = 1000;

const TAKES = [
  "listen",
  "tlsListen",
  "tlsCert",
  "tlsKey",
  "publicUrl",
  "waitForStore",
  "cache",
  "cacheSize",
  "redirect",
  "logLevel",
] as const;
type ServeFlags = FlagValues<typeof TAKES>;

export const serveCommand: Register = (program, io) => {
  defineCommand(
    program,
    "serve",
    "Serve Juju and snapd clients",
    "0 ended as asked, 1 failed, 2 usage, 10 no store, 11 store format too new",
    TAKES,
  )
    .addHelpText("after", EXAMPLES)
    .action((options: ServeFlags) => runServe(options, io));
};

const EXAMPLES = `
The addresses go to stdout; the log, hints included, goes to stderr as JSON lines. A new import is visible at the next request.
SIGTERM takes no new requests and ends when the running ones are done; a second one ends at once.

Examples:
  chp serve --public-url http://hub.lan:8080
  chp serve --listen 127.0.0.1:0
  chp import-certificate --selfsigned && chp serve --tls-listen 0.0.0.0:443`;

export async function runServe(options: ServeFlags, io: Io): Promise<void> {
  const { log, flush } = createLog((text) => io.log(text), options.logLevel);
  try {
    await serveStore(options, { log, io });
  } finally {
    flush();
  }
}

interface Serving {
  readonly log: Log;
  readonly io: Io;
}

async function serveStore(options: ServeFlags, serving: Serving): Promise<void> {
  const { log, io } = serving;
  const folder = storeFolder(options, {
    ...io,
    err: (text) => log({ level: "info", message: text.trimEnd() }),
  });
  // Wrong usage comes first.
  readSettings({ flags: settingFlags(options), environment: io.environment, file: {} });
  checkBucketOptions(folder, options);
  // Where a mount is not there at boot, an empty store would answer every client that nothing exists.
  if (!options.waitForStore && !isBucket(folder) && !existsSync(folder))
    throw new Failure("no-store", `there is no folder ${printable(folder)}`, {
      next: "chp import FILE makes the store; name another with --store DIR, or wait for it with --wait-for-store",
    });
  const cache = isBucket(folder) ? await openCache(options, serving) : undefined;
  try {
    await serveOpened(await openServed(folder, { ...options, served: cache }, serving), options, serving);
  } finally {
    await cache?.close();
  }
}

/** What the command line sets, by the names of settings. */
function settingFlags(options: ServeFlags) {
  return {
    listen: options.listen,
    "tls-listen": options.tlsListen,
    "tls-cert": options.tlsCert,
    "tls-key": options.tlsKey,
    "public-url": options.publicUrl,
  };
}

async function serveOpened(store: Store, options: ServeFlags, { log, io }: Serving): Promise<void> {
  const hint = (message: string) => options.quiet || log({ level: "warn", message });
  const { storage } = store;
  const settings = await loadSettings(store, { flags: settingFlags(options), environment: io.environment });
  const publicUrl = settings.get("public-url")?.values[0];
  if (publicUrl === undefined)
    hint("no public URL is set, so download URLs are made from each request's Host; Juju 4 stores them: set one with --public-url URL");
  const snapshot = await store.snapshot();
  if (snapshot.names.length + snapshot.snapNames.length === 0)
    hint(`the store in ${store.storage.place} is empty: run chp import FILE (no restart needed)`);

  const odd = clockProblem(Date.now(), snapshot.time);
  if (odd !== undefined) hint(`${odd}: overrides are judged by the latter until one of them is right`);

  const count = (name: string) => {
    const text = settings.get(name)?.values[0];
    return text === undefined ? undefined : Number(text);
  };
  const caps = {
    maxSize: count("remote-import.max-size"),
    maxSeconds: count("remote-import.max-seconds"),
    maxParallel: count("remote-import.max-parallel"),
  };
  const archiveCaps = ARCHIVE_LIMITS.map(([name, , fallback]) => ({
    name,
    most: count(archiveCap(name)) ?? fallback,
    setting: archiveCap(name),
  }));
  store.key = () => storeKeyOf(store, io);
  const imagePush = new StorePush(store, {
    tokens: () => acceptedTokens(store, log),
    limits: async () => limitsIn(await loadSettings(store, { environment: io.environment })),
  });
  const disk = () => (storage instanceof Disk ? storage.room() : Promise.reject(new Error("the store is in a bucket")));
  let certificateEnd: number | undefined;
  const app = createApp({
    store,
    imagePush,
    ...(settings.get("web")?.values[0] === "on" && {
      web: webOf(
        store,
        () =>
          disk().then(
            ({ free }) => free,
            () => undefined,
          ),
        settings,
      ),
    }),
    overrides: overrideWrites(store, { tokens: () => acceptedTokens(store, log), undo: (generation) => undoOf(generation, options) }),
    config: publicUrl === undefined ? {} : { publicUrl },
    log,
    vitals: {
      certificateEnd: () => certificateEnd,
      disk,
      storeBytes: () => blobBytes(storage),
      lastRuns: () => store.runs.last(),
    },
    registries: watchRegistries(store, io.environment, publicUrl),
    cloudImages: watchCloudImages(store, io.environment),
    // Until it is stored, sessions end with this process and are valid nowhere else.
    sessionKey: async () => {
      const session = await store.settings.read("session");
      return session && Buffer.from(session.key, "base64");
    },
    remoteImport: {
      options: REMOTE_OPTIONS,
      caps: archiveCaps,
      tokens: () => acceptedTokens(store, log),
      ...caps,
      run: (job) => importInChild(store.storage.place, job),
    },
  });
  const [idle, perAddress] = [count("idle-timeout"), count("max-connections-per-address")];
  const limits = { ...(idle !== undefined && { idle }), ...(perAddress !== undefined && { perAddress }), connections: countConnections };
  const addresses = (name: string) => (settings.get(name)?.values ?? []).map(parseAddress);
  const secure = addresses("tls-listen");
  if (secure.length === 0 && (await acceptedTokens(store, log)).length > 0)
    hint("there are tokens, but they are taken over TLS alone: --tls-listen HOST:PORT");
  const load = () => servedPair(store, settings);
  const tls = secure.length === 0 ? undefined : await load();
  if (tls) certificateEnd = endOf(tls.cert);
  for (const warning of tls ? certificateWarnings(tls.cert, publicUrl, Date.now()) : []) hint(warning);
  const listeners: Listener[] = [];
  const endDescriptors = watchDescriptors({
    closeIdle: () => listeners.reduce((closed, listener) => closed + listener.closeIdle(), 0),
    log,
  });
  let unwatch = () => {};
  let preparing: ReturnType<typeof setInterval> | undefined;
  let stopping: Promise<void> | undefined;
  try {
    for (const address of addresses("listen")) listeners.push(await listen(app.fetch, { ...address, ...limits }));
    if (tls) {
      const certified: Listener[] = [];
      for (const address of secure) certified.push(await listen(app.fetch, { ...address, ...limits, tls }));
      listeners.push(...certified);
      unwatch = watchCertificate({
        load,
        served: tls,
        renew: async (pair) => {
          for (const listener of certified) await listener.renew(pair);
          certificateEnd = endOf(pair.cert);
          log({ level: "info", message: "the certificate was changed", expires: certificateFacts(pair.cert).notAfter });
        },
        failed: (why) => log({ level: "error", message: "the certificate cannot be changed", why }),
      });
    }
    if (options.json) printJson({ addresses: listeners.map((listener) => listener.url) }, io);
    else io.out(listeners.map((listener) => `${listener.url}\n`).join(""));
    const addressList = listeners.map((listener) => listener.url).join(", ");
    await notifySystemd({ READY: "1", STATUS: `answers on ${addressList}` }, io.environment, log);
    const prepare = () => void app.prepare().catch(() => {}); // whoever searches is told
    if (storage instanceof Disk) {
      prepare(); // in a bucket each package is a request, which nobody may need
      preparing = setInterval(prepare, PREPARE_INTERVAL).unref();
    }
    await untilAborted(io.signal);
    stopping = notifySystemd({ STOPPING: "1", STATUS: "ends running requests" }, io.environment, log);
  } finally {
    clearInterval(preparing);
    unwatch();
    endDescriptors();
    await Promise.all([...listeners.map((listener) => listener.drain()), stopping]);
    await imagePush.close();
  }
}

/** When a certificate ends, in milliseconds since 1970. */
function endOf(certificate: string): number {
  return Date.parse(certificateFacts(certificate).notAfter);
}

/** Milliseconds for which a request of a server to its bucket is sent again, and without an answer after which it counts as lost. */
const [PATIENCE, SILENCE] = [3000, 5000];
const WAIT = 2000;

/** Bytes of payloads that stay after they were sent, where no folder is named. */
const TEMPORARY_SIZE = 2 ** 30;

/** Waits for a bucket that does not answer, where that is asked for. */
async function openServed(
  place: string,
  { waitForStore, redirect, served }: Pick<ServeFlags, "waitForStore" | "redirect"> & { readonly served: BlobCache | undefined },
  { io, log }: Serving,
): Promise<Store> {
  const storage = storageAt(place, io, {
    patience: PATIENCE,
    silence: SILENCE,
    ...(served && { cache: served }),
    ...(redirect && { redirects: true }),
  });
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await Store.openOrAwait(storage);
    } catch (error) {
      if (!waitForStore || !isAway(error) || io.signal.aborted) throw error;
      if (attempt === 0) log({ level: "warn", message: `waiting for the store: ${error.message}` });
      await sleep(WAIT, undefined, { signal: io.signal }).catch(() => {});
    }
  }
}

function openCache({ cache, cacheSize }: Pick<ServeFlags, "cache" | "cacheSize">, { io, log }: Serving): Promise<BlobCache> {
  const failed = (why: string) => log({ level: "error", message: "a payload of the bucket cannot be sent", why });
  if (cache !== undefined) return BlobCache.open(cache, { limit: cacheSize, failed });
  return BlobCache.temporary(io.environment["TMPDIR"] || tmpdir(), { limit: TEMPORARY_SIZE, failed });
}

/** The current tokens. A user who can't read them can't write into the store either: all that takes one is off then. */
async function acceptedTokens(store: Store, log: Log): Promise<readonly Token[]> {
  try {
    return (await store.settings.read("tokens")).tokens;
  } catch (error) {
    log({
      level: "warn",
      message: "there is no remote import, no push and no Overrides API: the tokens cannot be read",
      why: reason(error),
    });
    return [];
  }
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
