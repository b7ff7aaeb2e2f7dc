/** A listener in this process: what it says of a client, whom it waits for, and what it answers where there is no reply. */

import { afterEach, describe, expect, spyOn, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { connect as tlsConnect } from "node:tls";
import { type Fetch, type Listener, type ListenOptions, listen, type Peer } from "../../handlers/listen.ts";
import { reason } from "../../src/errors.ts";
import { createAuthority, issueServer } from "../../src/settings/authority.ts";
import { failureOf } from "../importing.ts";

const listeners: Listener[] = [];
const sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(listeners.splice(0).map((one) => one.drain()));
});

async function listening(fetch: Fetch, options: Partial<ListenOptions> = {}): Promise<Listener & { readonly port: number }> {
  const listener = await listen(fetch, { host: "127.0.0.1", port: 0, ...options });
  listeners.push(listener);
  return Object.assign(listener, { port: Number(new URL(listener.url).port) });
}

/** A connection that has sent `text`; what comes back, up to the end of `until`. */
async function sent(port: number, text: string, host = "127.0.0.1") {
  const socket = connect(port, host);
  sockets.push(socket);
  await once(socket, "connect");
  let received = "";
  socket.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
  const closed = once(socket, "close");
  socket.write(text);
  const got = async (until: string) => {
    while (!received.includes(until)) await once(socket, "data");
    return received;
  };
  return { socket, closed, got };
}

const GET = "GET /a?b HTTP/1.1\r\nHost: hub.test\r\n\r\n";

describe("a client", () => {
  test("is known by its address, and whether it has more connections than it may", async () => {
    const [seen, asked]: [unknown[], unknown[]] = [[], []];
    const say = (peer: Peer) => void seen.push([peer.tls, peer.address(), peer.isCrowded?.()]);
    const fetch: Fetch = (_, peer) => {
      say(peer);
      peer.mayStall?.();
      return new Response("ok");
    };
    let count: number | undefined = 2;
    const connections = (port: number, address: string) => {
      asked.push([port, address]);
      return count;
    };
    const { url, port } = await listening(fetch, { perAddress: 2, connections });
    for (count of [2, 3, undefined]) expect(await (await globalThis.fetch(url)).text()).toBe("ok");
    expect(seen).toEqual([false, true, false].map((isCrowded) => [false, "127.0.0.1", isCrowded]));
    expect(asked).toEqual([1, 2, 3].map(() => [port, "127.0.0.1"]));
    // Where there is no bound nobody counts.
    const free = await listening(fetch, { connections });
    await globalThis.fetch(free.url);
    expect(seen.at(-1)).toEqual([false, "127.0.0.1", false]);
    expect(asked).toHaveLength(3);
    // Of which nobody knows how many it has, it has none too many.
    count = undefined;
    const strict = await listening(fetch, { perAddress: 0, connections });
    await globalThis.fetch(strict.url);
    expect(seen.at(-1)).toEqual([false, "127.0.0.1", false]);
  });

  test("that has gone has no address", async () => {
    let after: string | undefined;
    const { promise: begun, resolve: begin } = Promise.withResolvers<Peer>();
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    const { port } = await listening(async (request, peer) => {
      const gone = once(request.signal, "abort");
      begin(peer);
      await gone;
      after = peer.address();
      release();
      return new Response("nobody reads it");
    });
    const client = await sent(port, GET);
    expect((await begun).address()).toBe("127.0.0.1");
    client.socket.destroy();
    await held;
    expect(after).toBe("");
  });

  const asks = async (host: string, rest: string, expected: (port: number) => string) => {
    const { url, port } = await listening((request) => new Response(`<${request.method} ${request.url} ${request.headers.get("X-A")}>`), {
      host,
    });
    expect(url).toBe(`http://${host}:${port}`);
    const client = await sent(port, `GET /a?b ${rest.replace("\r\n", "\r\nX-A: b\r\n")}`, host.replace(/^\[|\]$/g, ""));
    expect(await client.got(">")).toContain(`<GET ${expected(port)} b>`);
  };

  test.each([
    ["HTTP/1.0\r\n\r\n", (port: number) => `http://127.0.0.1:${port}/a?b`],
    ["HTTP/1.0\r\nHost: hub.test\r\n\r\n", () => "http://hub.test/a?b"],
    ["HTTP/1.1\r\nHost: hub.test:81\r\n\r\n", () => "http://hub.test:81/a?b"],
    ["HTTP/1.1\r\nHost: no host\r\n\r\n", () => "/a?b"],
  ])("asks by %j for the address that it names, or that it has asked", (rest, expected) => asks("127.0.0.1", rest, expected));

  const addresses = Object.values(networkInterfaces()).flatMap((all) => all?.map(({ address }) => address));
  test.skipIf(!addresses.includes("::1"))("asks over IPv6 for the address that it has asked (needs ::1)", () =>
    asks("[::1]", "HTTP/1.0\r\n\r\n", (port) => `http://[::1]:${port}/a?b`),
  );
});

test("an address that is taken, or that this machine does not have, is said with what to do", async () => {
  const { port } = await listening(() => new Response());
  const taken = await failureOf(
    listen(() => new Response(), { host: "127.0.0.1", port }),
    "failed",
  );
  expect(taken.message).toBe(`cannot listen on 127.0.0.1:${port}: something listens there already`);
  expect(taken.next).toBe("name another address with --listen HOST:PORT");
  expect(taken.cause).toBeInstanceOf(Error);
});

test("where the application has no reply, it is busy without a descriptor, and an internal error otherwise", async () => {
  let code = "EMFILE";
  const { url } = await listening(() => {
    throw Object.assign(new Error("x"), { code });
  });
  const busy = await fetch(url);
  expect([busy.status, busy.headers.get("Retry-After")]).toEqual([503, "10"]);
  code = "ENOENT";
  const wrong = await fetch(url);
  expect(wrong.status).toBe(500);
  expect(await wrong.text()).not.toContain("listen.ts");
});

test("a renewed certificate is that of new connections, and what is none changes nothing", async () => {
  const authority = await createAuthority("test", Date.now());
  const issued = async () => {
    const { certificate, key } = await issueServer(authority, ["127.0.0.1"], Date.now());
    return { cert: certificate, key };
  };
  const [first, second] = [await issued(), await issued()];
  const { promise: held, resolve: release } = Promise.withResolvers<void>();
  const listener = await listening(
    async (request, peer) => {
      if (request.url.endsWith("/held")) await held;
      return new Response(`<${request.url} ${peer.tls}>`);
    },
    { tls: first },
  );
  expect(listener.url).toBe(`https://127.0.0.1:${listener.port}`);
  const opened = async () => {
    const socket = tlsConnect({ host: "127.0.0.1", port: listener.port, ca: authority.certificate });
    sockets.push(socket);
    await once(socket, "secureConnect");
    return { socket, serial: socket.getPeerCertificate().serialNumber };
  };
  const [before, { serialNumber }] = [await opened(), new X509Certificate(first.cert)];
  expect(before.serial).toBe(serialNumber);
  before.socket.write("GET /held HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
  await listener.renew(second);
  const renewed = await opened();
  expect(renewed.serial).toBe(new X509Certificate(second.cert).serialNumber);
  expect(
    await listener.renew({ cert: "none", key: "none" }).then(
      () => "renewed",
      () => "refused",
    ),
  ).toBe("refused");
  const after = await opened();
  expect(after.serial).toBe(new X509Certificate(second.cert).serialNumber);
  let isDrained = false;
  const drained = listener.drain().then(() => (isDrained = true));
  for (const { socket } of [renewed, after]) socket.destroy();
  for (let i = 0; i < 20; i += 1) await new Promise((resume) => void setImmediate(resume));
  expect(isDrained).toBe(false); // the old server has a request still
  release();
  const [reply] = (await once(before.socket, "data")) as [Buffer];
  expect(reply.toString()).toContain("<https://127.0.0.1/held true>");
  await drained;
});

test("a renewal that gets no port fails, and leaves what was served before", async () => {
  const { certificate: ca, key: caKey } = await createAuthority("test", Date.now());
  const issued = await issueServer({ certificate: ca, key: caKey }, ["127.0.0.1"], Date.now());
  const certified = { cert: issued.certificate, key: issued.key };
  const listener = await listening(() => new Response("<still here>"), { tls: certified });
  const { serve } = Bun;
  let begun = 0;
  const failing = spyOn(Bun, "serve").mockImplementation(((options: Parameters<typeof serve>[0]) => {
    begun += 1; // the first only looks at the certificate
    if (begun === 2) throw new Error("no port");
    return serve(options);
  }) as typeof serve);
  try {
    expect(await listener.renew(certified).catch(reason)).toBe("no port");
  } finally {
    failing.mockRestore();
  }
  expect(begun).toBe(3);
  expect(await (await fetch(listener.url, { tls: { ca } })).text()).toBe("<still here>");
});

test("what drains answers what runs, and takes nothing new", async () => {
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  const { promise: held, resolve: release } = Promise.withResolvers<void>();
  const listener = await listening(async () => {
    begin();
    await held;
    return new Response("<done>");
  });
  const client = await sent(listener.port, GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
  await begun;
  let isDrained = false;
  const drained = listener.drain().then(() => (isDrained = true));
  const refused = connect(listener.port, "127.0.0.1");
  const [error] = (await once(refused, "error")) as [Error & { code?: string }];
  expect(error.code).toBe("ECONNREFUSED");
  expect(isDrained).toBe(false);
  release();
  expect(await client.got(">")).toContain("<done>");
  await drained;
});

test("connections that wait for a request are closed, those with one are not", async () => {
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  const { promise: held, resolve: release } = Promise.withResolvers<void>();
  const listener = await listening(async (request) => {
    if (request.url.endsWith("/held")) {
      begin();
      await held;
    }
    return new Response("<done>");
  });
  const idle = await Promise.all([sent(listener.port, GET), sent(listener.port, GET)]);
  for (const client of idle) await client.got(">");
  const busy = await sent(listener.port, GET.replace("/a?b", "/held"));
  await begun;
  expect(listener.closeIdle()).toBe(2);
  for (const client of idle) await client.closed;
  release();
  expect(await busy.got(">")).toContain("<done>");
});

test("the timeout of a download that may stall is begun again at least twice before it would end", async () => {
  const begun = spyOn(globalThis, "setInterval");
  try {
    for (const idle of [1, 20, 120]) {
      await listening(() => new Response(), { idle });
      expect(begun.mock.lastCall?.[1]).toBeWithin(1, (idle * 1000) / 2 + 1);
    }
  } finally {
    begun.mockRestore();
  }
});
