/** What the kernel tells of the connections of a port: how many each address has. */

import { expect, test } from "bun:test";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { countConnections } from "../../../bin/machine/sockets.ts";

async function listening(address: string, clients: number): Promise<{ port: number; end(): void }> {
  const server = createServer();
  const accepted: Socket[] = [];
  server.on("connection", (socket) => void accepted.push(socket));
  await new Promise<void>((done, failed) => {
    server.once("error", failed);
    server.listen(0, address, done);
  });
  const { port } = server.address() as AddressInfo;
  const own = Array.from({ length: clients }, () => connect(port, address));
  await Promise.all(own.map((socket) => new Promise<void>((done) => void socket.once("connect", () => done()))));
  while (accepted.length < clients) await Bun.sleep(1);
  return {
    port,
    end: () => {
      for (const socket of [...own, ...accepted]) socket.destroy();
      server.close();
    },
  };
}

// One test: what was counted is kept for a second.
test("connections are counted by port and address, of IPv4, IPv6 and the one written as the other", async () => {
  const [one, other] = [await listening("127.0.0.1", 3), await listening("127.0.0.1", 2)];
  const six = await listening("::1", 4).catch(() => undefined); // a machine may have no IPv6
  try {
    if (process.platform !== "linux") {
      expect(countConnections(one.port, "127.0.0.1")).toBeUndefined();
      return;
    }
    expect(countConnections(one.port, "127.0.0.1")).toBe(3);
    expect(countConnections(other.port, "127.0.0.1")).toBe(2);
    expect(countConnections(one.port, "::ffff:127.0.0.1")).toBe(3);
    expect(countConnections(one.port, "127.0.0.2")).toBe(0);
    expect(countConnections(six?.port ?? 0, "::1")).toBe(six ? 4 : 0);
    expect(countConnections(six?.port ?? 0, "0:0::0:1%lo")).toBe(six ? 4 : 0);
  } finally {
    for (const each of [one, other, six]) each?.end();
  }
});
