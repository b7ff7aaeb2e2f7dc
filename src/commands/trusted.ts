/** The certificate that clients must trust to reach chp over TLS. */

import { readFile } from "node:fs/promises";
import type { Value } from "../config.ts";
import { Failure, reason } from "../errors.ts";

/** Certificates as PEM, the server's own first; none where no certificate is set. */
export async function trustedCertificates(settings: ReadonlyMap<string, Value>): Promise<string[]> {
  const file = settings.get("tls-cert")?.values[0];
  if (file === undefined) return [];
  const text = await readFile(file, "utf8").catch((error: unknown) => {
    throw new Failure("failed", `cannot read the certificate that tls-cert names: ${reason(error)}`, { next: "chp config tls-cert=FILE" });
  });
  const found = text.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  if (found.length === 0) throw new Failure("failed", `there is no certificate in ${file}, which tls-cert names`);
  return found;
}

/** What to do about a certificate that is not good. */
export const RENEW = "chp config tls-cert=FILE tls-key=FILE names another; a running chp serve takes it when it is started again";
