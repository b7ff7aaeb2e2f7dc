import { readFileSync } from "node:fs";
import { createApp } from "../../handlers/app.ts";
import { type Listener, listen } from "../../handlers/listen.ts";
import { createLog } from "../../handlers/log.ts";
import { Disk } from "../../store/fs.ts";
import { Store } from "../../store/store.ts";
import { parseAddress, SETTINGS, type Value } from "../config.ts";
import { Failure, reason } from "../errors.ts";
import { type CommonOptions, define, type Io, note, printJson, type Register, storeFolder } from "./command.ts";
import { loadSettings, watchRegistries } from "./settings.ts";

interface ServeFlags extends CommonOptions {
  readonly listen?: string[];
  readonly tlsListen?: string[];
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly publicUrl?: string;
}

export const serveCommand: Register = (program, io) => {
  const command = define(
    program,
    "serve",
    "answer Juju's and snapd's questions",
    "0 ended as asked, 1 failed, 2 usage, 10 no store, 11 store format too new",
  );
  for (const { key, twin, about, many, fallback } of SETTINGS.filter((setting) => setting.flag)) {
    const help = `${about} (${twin}${many ? ", repeatable" : ""}${fallback ? `; default: ${fallback.join()}` : ""})`;
    const argument = key.endsWith("listen") ? "HOST:PORT" : key.endsWith("url") ? "URL" : "FILE";
    if (many) command.option(`--${key} <${argument}>`, help, (value: string, before: string[] | undefined) => [...(before ?? []), value]);
    else command.option(`--${key} <${argument}>`, help);
  }
  command.addHelpText("after", EXAMPLES).action((options: ServeFlags) => runServe(options, io));
};

const EXAMPLES = `
The addresses go to stdout, the log goes to stderr as JSON lines. A new import is visible at the next request.
SIGTERM takes no new requests and ends when the running ones are done; a second one ends at once.

Examples:
  chp serve --public-url http://hub.lan:8080
  chp serve --listen 127.0.0.1:0`;

export async function runServe(options: ServeFlags, io: Io): Promise<void> {
  const store = await Store.openOrAwait(new Disk(storeFolder(options, io)));
  const flags = {
    listen: options.listen,
    "tls-listen": options.tlsListen,
    "tls-cert": options.tlsCert,
    "tls-key": options.tlsKey,
    "public-url": options.publicUrl,
  };
  const settings = await loadSettings(store, { flags, environment: io.environment });
  const publicUrl = settings.get("public-url")?.values[0];
  if (publicUrl === undefined)
    note(
      "no public URL is set, so download URLs are made from each request's Host; Juju 4 stores them: set one with --public-url URL",
      options,
      io,
    );
  const snapshot = await store.snapshot();
  if (snapshot.names.length + snapshot.snapNames.length === 0)
    note(`the store in ${store.storage.place} is empty; chp import FILE fills it while this serves`, options, io);

  // Without it sessions last as long as this process, and are taken by no other.
  const sessionKey = await store.sessionKey().catch(() => undefined);
  const { log, flush } = createLog((text) => io.log(text));
  const app = createApp({
    store,
    config: publicUrl === undefined ? {} : { publicUrl },
    log,
    registries: watchRegistries(store, io.environment),
    ...(sessionKey && { sessionKey }),
  });
  const listeners: Listener[] = [];
  try {
    for (const wanted of wantedListeners(settings)) listeners.push(await listen(app.fetch, wanted));
    if (options.json) printJson({ addresses: listeners.map((one) => one.url) }, io);
    else io.out(listeners.map((one) => `${one.url}\n`).join(""));
    await ended(io.signal);
  } finally {
    await Promise.all(listeners.map((one) => one.drain()));
    flush();
  }
}

function wantedListeners(settings: ReadonlyMap<string, Value>) {
  const plain = (settings.get("listen")?.values ?? []).map(parseAddress);
  const secure = (settings.get("tls-listen")?.values ?? []).map(parseAddress);
  if (secure.length === 0) return plain;
  const [cert, key] = ["tls-cert", "tls-key"].map((name) => {
    const file = settings.get(name)?.values[0];
    if (file === undefined) throw new Failure("usage", `--tls-listen needs --${name} FILE`);
    try {
      return readFileSync(file, "utf8");
    } catch (error) {
      throw new Failure("usage", `cannot read ${file}, the ${name}: ${reason(error).split(",")[0]}`, { cause: error });
    }
  });
  return [...plain, ...secure.map((address) => ({ ...address, tls: { cert: cert ?? "", key: key ?? "" } }))];
}

function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
