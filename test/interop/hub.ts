/** What real clients ask: one server over a folder, or, where `make replicas` names a bucket, two over it behind a round robin. */

import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { type Served, serve } from "../e2e/chp.ts";

const BUCKET = process.env["CHP_TEST_BUCKET"];

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
  const servers = [await serve(store), await serve(store)];
  const targets = servers.map(({ url }) => new URL(url));
  const sockets = new Set<Socket>();
  let turn = 0;
  const balancer = createServer((client) => {
    const { hostname: host, port } = targets[(turn += 1) % targets.length] as URL;
    const server = connect({ host, port: Number(port) });
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      sockets.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => void (sockets.delete(one) && other.destroy()));
      one.pipe(other);
    }
  });
  await new Promise<void>((resolve) => balancer.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(balancer.address() as AddressInfo).port}`,
    stop: async () => {
      balancer.close();
      for (const socket of sockets) socket.destroy();
      const codes = await Promise.all(servers.map((server) => server.stop()));
      return Math.max(...codes);
    },
  };
}
