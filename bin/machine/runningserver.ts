/** Asks the running `chp serve` of a store what it serves, and what clients requested and did not get. */

import * as v from "valibot";
import { printable, reason } from "../../src/errors.ts";
import { parseAddress } from "../../src/settings/config.ts";
import { tryJson } from "../../src/text.ts";
import { ask } from "./http.ts";

const TIMEOUT = 2000;

const CheckReply = v.object({ status: v.literal("ok"), version: v.string(), generation: v.number() });
const FailedRequest = v.object({ what: v.string(), times: v.number(), first: v.string(), last: v.string() });
const MissingReply = v.object({ missing: v.array(v.looseObject(FailedRequest.entries)) });

export type FailedRequest = v.InferOutput<typeof FailedRequest>;

export interface RunningServer {
  readonly url: string;
  readonly version: string;
  readonly generation: number;
  /** newest first */
  readonly failedRequests: readonly FailedRequest[];
}

/** A server that did not answer as chp, and why. */
export interface SilentServer {
  readonly url: string;
  readonly why: string;
}

export interface ServerAddress {
  readonly url: string;
  /** it is an address of this machine, which its certificate need not name */
  readonly isLocal?: true;
}

/** Where the server of a store may be asked: by its public URL, else by its listening addresses. */
export function serverAddresses(settings: ReadonlyMap<string, { readonly values: readonly string[] }>): ServerAddress[] {
  const publicUrl = settings.get("public-url")?.values[0];
  const local = (["listen", "tls-listen"] as const).flatMap((setting) =>
    (settings.get(setting)?.values ?? []).flatMap((text): ServerAddress[] => {
      const { host, port } = parseAddress(text);
      const reached = host === "0.0.0.0" ? "127.0.0.1" : host === "[::]" ? "[::1]" : host;
      return port === 0 ? [] : [{ url: `${setting === "listen" ? "http" : "https"}://${reached}:${port}`, isLocal: true }];
    }),
  );
  return [...(publicUrl === undefined ? [] : [{ url: publicUrl }]), ...local];
}

/** The first server that answers as chp does; else what each of them did instead. `trusted`: the store's own certificates, PEM. */
export async function askServer(
  addresses: readonly ServerAddress[],
  trusted: readonly string[],
): Promise<{ readonly running?: RunningServer; readonly silent: readonly SilentServer[] }> {
  const silent: SilentServer[] = [];
  for (const { url, isLocal = false } of addresses) {
    const get = async (path: string) => {
      const { status, body } = await ask(`${url}${path}`, { trusted, anyName: isLocal, timeout: TIMEOUT, limit: 2 ** 22 });
      return { status, value: tryJson(body) };
    };
    try {
      const check = await get("/_status/check");
      const about = v.safeParse(CheckReply, check.value);
      const missing = about.success ? v.safeParse(MissingReply, (await get("/_status/missing")).value) : undefined;
      if (about.success && missing?.success) {
        const { version, generation } = about.output;
        return { running: { url, version, generation, failedRequests: missing.output.missing }, silent };
      }
      silent.push({ url, why: `what answers, with status ${check.status}, is not chp` });
    } catch (error) {
      silent.push({ url, why: printable(reason(error), 300) });
    }
  }
  return { silent };
}
