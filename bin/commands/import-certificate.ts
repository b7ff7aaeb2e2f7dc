import { lookup } from "node:dns/promises";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { Failure, printable, reason, refused } from "../../src/errors.ts";
import { checkCertificateName, createAuthority, type IssuedCertificate, issueServer } from "../../src/settings/authority.ts";
import {
  certificateFacts,
  certificateWarnings,
  checkTime,
  hostOf,
  readCertificateAndKey,
  WARN_DAYS,
} from "../../src/settings/certificate.ts";
import { type Io, note, printJson } from "../machine/io.ts";
import { openOrCreateStore } from "../machine/openstore.ts";
import { loadSettings } from "../machine/settings.ts";
import { storeCertificate } from "../machine/tls.ts";
import { defineCommand, type Register, SETTINGS_EXITS } from "./command.ts";
import type { FlagValues } from "./flags.ts";

const TAKES = ["selfsigned", "hostName", "publicUrlOfServer", "cert", "key"] as const;
type CertificateFlags = FlagValues<typeof TAKES>;

export const importCertificateCommand: Register = (program, io) => {
  defineCommand(
    program,
    "import-certificate",
    "Set or create the server's TLS certificate",
    `0 done, 1 failed, 2 usage, 3 the certificate was refused and the old one is kept, ${SETTINGS_EXITS}`,
    TAKES,
  )
    .addHelpText("after", EXAMPLES)
    .action((options: CertificateFlags) => runImportCertificate(options, io));
};

const EXAMPLES = `
Without --selfsigned and files, certificate and key are read from standard input, as one PEM text: the server's
certificate, its issuer's, and so on; the key anywhere. They are checked against each other and for expiry.
With --selfsigned the certificate is for the host of the public URL and the addresses that it resolves to, every
--name (kept for the next time), and localhost. A running chp serve shows the new one within a second.

Examples:
  chp import-certificate --selfsigned --name hub.lan --name 10.0.0.5
  cat hub.crt issuer.crt hub.key | chp import-certificate
  chp import-certificate --cert hub.crt --key hub.key`;

const MAX_INPUT = 2 ** 20;
const LOOKUP_TIMEOUT = 3000;
const LOCAL = ["localhost", "127.0.0.1", "::1"];
const DAY = 24 * 60 * 60 * 1000;

export async function runImportCertificate(options: CertificateFlags, io: Io): Promise<void> {
  const { selfsigned, cert, key, name: given = [] } = options;
  if (selfsigned && (cert !== undefined || key !== undefined))
    throw new Failure("usage", "--selfsigned makes both: it takes no --cert and no --key");
  if (!selfsigned && given.length > 0) throw new Failure("usage", "--name is for --selfsigned; a certificate that is given has its names");
  if ((cert === undefined) !== (key === undefined))
    throw new Failure("usage", "--cert and --key come together", { next: "or give both on standard input" });
  const names = given.map(checkCertificateName);
  // Checked first: a refused certificate must not create a store.
  const pair = selfsigned
    ? undefined
    : readCertificateAndKey(await inputOf(options, io), cert === undefined ? "standard input" : `${cert} and ${key}`);
  const now = Date.now();
  if (pair) checkTime(pair.cert, now);

  const store = await openOrCreateStore(options, io);
  const flags = { "public-url": options.publicUrl };
  const url = (await loadSettings(store, { flags, environment: io.environment })).get("public-url")?.values[0];
  let authority: IssuedCertificate | undefined;
  if (pair) await storeCertificate(store, { certificate: pair.cert, names: [] }, pair.key);
  else {
    const own = url === undefined ? [hostname()].flatMap(nameOrNone) : await namesOfHost(hostOf(url));
    let isNew = false;
    await store.settings.change(["authority"], async ({ authority: storedAuthority }) => {
      const stored = await store.settings.read("tls").catch(() => undefined);
      // --public-url is not stored, so its names are stored with the certificate.
      const extra = [...new Set([...(stored?.names ?? []), ...names, ...(options.publicUrl === undefined ? [] : own)])];
      const usable = storedAuthority && !isEnding(storedAuthority, now) ? storedAuthority : undefined;
      authority = usable ?? (await createAuthority(`chp CA ${new Date(now).toISOString().slice(0, 19)}Z`, now));
      isNew = storedAuthority !== undefined && usable === undefined;
      const issued = await issueServer(authority, [...new Set([...own, ...extra, ...LOCAL])], now);
      const tls = { certificate: issued.certificate, authority: authority.certificate, names: extra };
      return { ...(usable === undefined && { authority }), tls, tlsSecret: { keys: [issued.key] } };
    });
    if (isNew) note("the authority was at its end: a new one was made, which clients have to trust anew", options, io);
  }
  const { certificate } = (await store.settings.read("tls")) ?? { certificate: "" };
  const facts = certificateFacts(certificate);
  const warnings = [
    ...certificateWarnings(certificate, url, now),
    ...(url === undefined && selfsigned
      ? ["no public URL is set: chp config public-url=https://HOST, and run this again, for a certificate that names it"]
      : []),
    ...(url?.startsWith("http:") ? [`the public URL ${url} does not begin with https://, so clients are sent there without TLS`] : []),
  ];
  if (options.json) return printJson({ ...facts, ...(authority && { authority: certificateFacts(authority.certificate) }), warnings }, io);
  const lines = [
    `certificate: ${facts.subject}, by ${facts.issuer}`,
    `names: ${facts.names.join(", ")}`,
    `expires: ${facts.notAfter.slice(0, 10)}`,
    `sha256: ${facts.fingerprint}`,
    ...warnings.map((text) => `note: ${text}`),
  ];
  io.out(`${lines.map((line) => printable(line)).join("\n")}\n`);
  note("chp serve --tls-listen HOST:PORT serves it; chp trust prints commands that make clients trust it", options, io);
}

async function inputOf({ cert, key }: CertificateFlags, io: Io): Promise<string> {
  if (cert !== undefined && key !== undefined) return cert === key ? readFile(cert) : `${readFile(cert)}\n${readFile(key)}`;
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of io.input()) {
    parts.push(part);
    size += part.byteLength;
    if (size > MAX_INPUT) throw refused("standard input is larger than 1 MiB: not a certificate");
  }
  if (size === 0)
    throw new Failure("usage", "standard input is empty", {
      next: "chp import-certificate --selfsigned makes a certificate; cat CERT KEY | chp import-certificate takes one in",
    });
  return Buffer.concat(parts).toString("latin1");
}

function readFile(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch (error) {
    throw new Failure("failed", `cannot read ${file}: ${reason(error).split(",")[0]}`, { cause: error });
  }
}

/** The host and the addresses that its name resolves to on this machine. */
async function namesOfHost(host: string): Promise<string[]> {
  const name = checkCertificateName(host);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never[]>((resolve) => (timer = setTimeout(() => resolve([]), LOOKUP_TIMEOUT)));
  const found = await Promise.race([lookup(name, { all: true }).catch(() => []), late]);
  clearTimeout(timer);
  return [...new Set([name, ...found.map(({ address }) => address).flatMap(nameOrNone)])];
}

function nameOrNone(text: string): string[] {
  try {
    return [checkCertificateName(text)];
  } catch {
    return [];
  }
}

/** Whether the authority expires so soon that its certificates would cause warnings. */
function isEnding({ certificate }: IssuedCertificate, now: number): boolean {
  return Date.parse(certificateFacts(certificate).notAfter) - now <= WARN_DAYS * DAY;
}
