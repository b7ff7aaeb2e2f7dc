/** What real clients ask: one server over a folder, or, where `make replicas` names a bucket, two over it behind HAProxy as the manual sets it up. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Served, serve } from "../e2e/chp.ts";
import { type Behind, startHaproxy } from "./haproxy.ts";

const BUCKET = process.env["CHP_TEST_BUCKET"] || undefined;

/** A store of its own. */
export function storeIn(folder: string): string {
  return BUCKET === undefined ? join(folder, "store") : `s3://${BUCKET}/${crypto.randomUUID()}`;
}

/** Waits until every server knows what was just published: the lag. */
export async function settled(): Promise<void> {
  if (BUCKET !== undefined) await Bun.sleep(1000);
}

export type Hub = Pick<Served, "url" | "stop">;

export async function serveHub(store: string): Promise<Hub> {
  if (BUCKET === undefined) return serve(store);
  const [a, b] = [await serve(store), await serve(store)];
  const folder = mkdtempSync(join(tmpdir(), "chp-hub-"));
  const balancer = await startHaproxy(folder, [behind(a), behind(b)]);
  return {
    url: balancer.url,
    stop: async () => {
      const { reads } = await balancer.served();
      await balancer.stop();
      rmSync(folder, { recursive: true });
      const codes = await Promise.all([a, b].map((server) => server.stop()));
      if (reads.some((count) => count === 0)) throw new Error(`not every server was asked: ${reads.join(", ")}`);
      return Math.max(...codes);
    },
  };
}

/** As HAProxy reaches a server. */
export function behind({ urls }: Pick<Served, "urls">): Behind {
  const [http = "", tls] = urls.map((url) => new URL(url).host);
  return { http, ...(tls !== undefined && { tls }) };
}
