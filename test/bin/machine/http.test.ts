import { describe, expect, test } from "bun:test";
import { createServer } from "node:net";
import { ask, NoReply } from "../../../bin/machine/http.ts";

async function failure(work: Promise<unknown>): Promise<NoReply> {
  const error = await work.then(
    () => undefined,
    (one: unknown) => one,
  );
  if (!(error instanceof NoReply)) throw new Error("it was answered");
  return error;
}

describe("a request", () => {
  test.each([
    ["never answers", () => {}],
    ["answers half a head", (write: (text: string) => void) => write("HTTP/1.1 200 OK\r\nContent-")],
    ["answers half a body", (write: (text: string) => void) => write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")],
  ])("to a server that %s ends", async (_, answer) => {
    const server = createServer((socket) => {
      socket.on("error", () => {});
      answer((text) => socket.write(text));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = typeof address === "object" ? address?.port : undefined;
    try {
      const { code, untrusted } = await failure(ask(`http://127.0.0.1:${port}/`, { timeout: 200 }));
      expect([code, untrusted]).toEqual(["ETIMEDOUT", false]);
      expect((await failure(ask(`https://127.0.0.1:${port}/`, { timeout: 200 }))).untrusted).toBe(false);
    } finally {
      server.close();
    }
  });

  test("follows no redirect, and reads no more than it must", async () => {
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: (request) =>
        request.url.endsWith("/long") ? new Response("x".repeat(2 ** 20)) : Response.redirect("http://127.0.0.1:1/", 302),
    });
    try {
      const reply = await ask(`http://127.0.0.1:${server.port}/`);
      expect([reply.status, reply.headers["location"]]).toEqual([302, "http://127.0.0.1:1/"]);
      expect((await ask(`http://127.0.0.1:${server.port}/long`)).body).toHaveLength(256 * 1024);
    } finally {
      await server.stop(true);
    }
  });

  test("to nobody says why", async () => {
    expect((await failure(ask("http://127.0.0.1:1/"))).code).toBe("ECONNREFUSED");
  });
});
