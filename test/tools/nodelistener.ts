/** Run by plain Node, for which the listener has other code than for Bun: prints what its clients see, as JSON. */

import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { connect as tlsConnect } from "node:tls";
import { type Fetch, type ListenOptions, listen } from "../../handlers/listen.ts";
import { replyInPieces } from "../../handlers/pieces.ts";
import { replyWith } from "../../handlers/replies.ts";
import { createAuthority, issueServer } from "../../src/settings/authority.ts";
import { pieceOf } from "../../src/wire/template.ts";

const HOST = "127.0.0.1";
const GET = (path: string) => `GET ${path} HTTP/1.1\r\nHost: hub.test\r\n\r\n`;

/** A client that may have sent something; `got`: waits for a text of the reply, or the end. */
function client(socket: Socket, text = "") {
  let received = "";
  socket.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
  socket.on("error", () => {});
  const closed = new Promise<void>((done) => void socket.on("close", () => done()));
  if (text !== "") socket.write(text);
  const got = async (until: string) => {
    while (!received.includes(until) && !socket.closed) await Promise.race([once(socket, "data").catch(() => {}), closed]);
    return socket.closed && !received.includes(until) ? "closed" : (/<.*>/.exec(received)?.[0] ?? "");
  };
  return { socket, closed, got, all: () => received };
}

async function listening(fetch: Fetch, options: Partial<ListenOptions> = {}) {
  const listener = await listen(fetch, { host: HOST, port: 0, ...options });
  const { port, protocol } = new URL(listener.url);
  const open = async (text = "") => {
    const socket = connect(Number(port), HOST);
    await once(socket, "connect");
    return client(socket, text);
  };
  return { listener, port: Number(port), protocol, open };
}

const said = (path: string, tls = false) => `<http${tls ? "s" : ""}://hub.test${path} 127.0.0.1 ${tls}>`;

/** What has to be printed. */
export const EXPECTED = {
  url: true,
  reply: [said("/a"), said("/a"), said("/a")],
  fourth: "closed",
  next: said("/b"),
  fifth: "closed",
  closed: 3,
  again: 0,
  old: "<http://127.0.0.1:PORT/old 127.0.0.1 false>",
  named: said("/old"),
  drained: false,
  busy: said("/held"),
  taken: "cannot listen on 127.0.0.1: something listens there already",
  idle: "closed",
  stalled: "<done>",
  protocol: "https:",
  tls: [{ which: 0, reply: said("/a", true) }],
  renewed: [{ which: 1, reply: said("/a", true) }],
  tlsClosed: 2,
  marked: ["<marked>", "<plain>", false],
  together: ["<one>", "<two>"],
};

async function story(): Promise<Record<string, unknown>> {
  const seen: Record<string, unknown> = {};
  const held = Promise.withResolvers<void>();
  const says: Fetch = async (request, peer) => {
    if (request.url.endsWith("/stalled")) peer.mayStall?.();
    if (/held|stalled/.test(request.url)) await held.promise;
    return new Response(`<${request.url} ${peer.address()} ${peer.tls}>`);
  };

  {
    const { listener, port, open } = await listening(says, { perAddress: 3 });
    seen["url"] = listener.url === `http://${HOST}:${port}`;
    const three = [await open(GET("/a")), await open(GET("/a")), await open(GET("/a"))];
    seen["reply"] = await Promise.all(three.map(({ got }) => got(">")));
    seen["fourth"] = await (await open(GET("/a"))).got(">");
    three[0]?.socket.destroy();
    // The server hears of it by and by.
    let next = "closed";
    while (next === "closed") next = await (await open(GET("/b"))).got(">");
    seen["next"] = next;
    seen["fifth"] = await (await open(GET("/a"))).got(">");
    seen["closed"] = listener.closeIdle();
    await three[1]?.closed;
    seen["again"] = listener.closeIdle();
    await listener.drain();
  }

  {
    const { listener, open, port } = await listening(says);
    const [idle, silent, busy] = [await open(GET("/a")), await open(), await open(GET("/held"))];
    await idle.got(">");
    const old = await open("GET /old HTTP/1.0\r\n\r\n");
    seen["old"] = (await old.got(">")).replace(String(port), "PORT");
    seen["named"] = await (await open("GET /old HTTP/1.0\r\nHost: hub.test\r\n\r\n")).got(">");
    await old.closed;
    let closed = 0;
    while (closed < 2) {
      closed += listener.closeIdle();
      await new Promise((resume) => void setImmediate(resume));
    }
    await Promise.all([idle.closed, silent.closed]);
    const ending = { isDrained: false };
    const drained = listener.drain().then(() => (ending.isDrained = true));
    await new Promise((resume) => void setImmediate(resume));
    seen["drained"] = ending.isDrained;
    held.resolve();
    seen["busy"] = await busy.got(">");
    while (!ending.isDrained) {
      listener.closeIdle(); // it waits for a request again
      await new Promise((resume) => void setImmediate(resume));
    }
    await drained;
    seen["taken"] = await listening(says, { port: (await listening(says)).port }).catch((error: unknown) =>
      (error as Error).message.replace(/:\d+:/, ":"),
    );
  }

  {
    const stalled = Promise.withResolvers<void>();
    const { open } = await listening(
      async (request, peer) => {
        if (request.url.endsWith("/stalled")) peer.mayStall?.();
        await stalled.promise;
        return new Response("<done>");
      },
      { idle: 0.2 },
    );
    const patient = await open(GET("/stalled"));
    seen["idle"] = await (await open(GET("/waits"))).got(">");
    stalled.resolve();
    seen["stalled"] = await patient.got(">");
  }

  {
    const authority = await createAuthority("test", Date.now());
    const issued = async () => {
      const { certificate, key } = await issueServer(authority, [HOST], Date.now());
      return { cert: certificate, key };
    };
    const [first, second] = [await issued(), await issued()];
    const { listener, port, protocol } = await listening(says, { tls: first });
    const open = async () => {
      const socket = tlsConnect({ host: HOST, port, ca: authority.certificate });
      await once(socket, "secureConnect");
      const serial = socket.getPeerCertificate().serialNumber;
      const which = [first, second].findIndex(({ cert }) => new X509Certificate(cert).serialNumber === serial);
      return { which, reply: await client(socket, GET("/a")).got(">") };
    };
    seen["protocol"] = protocol;
    seen["tls"] = [await open()];
    await listener.renew(second);
    seen["renewed"] = [await open()];
    seen["tlsClosed"] = listener.closeIdle();
  }

  {
    // Responses under Node keep what they are made of: neither headers nor bytes may be shared.
    const both = Promise.withResolvers<void>();
    const { open } = await listening(async (request) => {
      const path = new URL(request.url).pathname;
      if (path === "/two") both.resolve();
      if (path === "/one" || path === "/two") {
        await both.promise;
        return replyInPieces({ ...PIECES, count: 1, element: () => pieceOf(`<${path.slice(1)}>`), request });
      }
      const reply = replyWith(`<${path.slice(1)}>`);
      if (path === "/marked") reply.headers.set("X-Mark", "yes");
      return reply;
    });
    const marked = await (await open(GET("/marked"))).got("<marked>");
    const plain = await open(GET("/plain"));
    seen["marked"] = [marked, await plain.got("<plain>"), plain.all().toLowerCase().includes("x-mark")];
    const [one, two] = [await open(GET("/one")), await open(GET("/two"))];
    seen["together"] = [await one.got(">"), await two.got(">")];
  }

  return seen;
}

const PIECES = { start: pieceOf(""), end: pieceOf(""), log: () => {}, id: "x", done: () => {} };

if (process.argv[1]?.endsWith("/nodelistener.ts")) {
  const seen = await story();
  process.stdout.write(JSON.stringify(seen), () => process.exit(0));
}
