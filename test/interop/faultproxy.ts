/** Lies between chp and an engine, and does what networks and busy engines do. It passes the Host on, which is signed. */

import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";

/** How often of a hundred requests each happens. */
export interface Faults {
  /** the connection ends before the engine sees the request */
  readonly resetBefore?: number;
  /** the engine carries it out, and its answer is lost */
  readonly resetAfter?: number;
  /** 503 SlowDown */
  readonly slowDown?: number;
  /** half of an answer, and the end of the connection */
  readonly half?: number;
  /** an answer that waits */
  readonly slow?: number;
  /** a byte of what is sent to the engine is another */
  readonly wrongByte?: number;
}

export interface FaultProxy {
  readonly url: string;
  faults: Faults;
  /** how many of each there were */
  readonly counts: Record<keyof Faults, number>;
  requests: number;
  /** What happens when it has got so many requests: before the last of them reaches the engine, or when the engine has answered it. Neither goes on. */
  end: { readonly after: number; readonly isAnswered: boolean; readonly happens: () => void } | undefined;
  stop(): void;
}

const SLOW_DOWN = '<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>';

export async function startFaultProxy(engine: string, random: () => number = Math.random): Promise<FaultProxy> {
  const { hostname, port } = new URL(engine);
  const counts = { resetBefore: 0, resetAfter: 0, slowDown: 0, half: 0, slow: 0, wrongByte: 0 };
  const proxy: Pick<FaultProxy, "faults" | "requests" | "end"> = { faults: {}, requests: 0, end: undefined };
  const meets = (kind: keyof Faults) => {
    if (random() * 100 >= (proxy.faults[kind] ?? 0)) return false;
    counts[kind] += 1;
    return true;
  };
  const server = createServer((from: IncomingMessage, to: ServerResponse) => {
    proxy.requests += 1;
    const ends = proxy.requests === proxy.end?.after ? proxy.end : undefined;
    const chunks: Buffer[] = [];
    from.on("data", (chunk: Buffer) => chunks.push(chunk));
    from.on("error", () => {});
    from.on("end", () => {
      if (ends?.isAnswered === false) {
        ends.happens();
        return from.socket.destroy();
      }
      if (meets("resetBefore")) return from.socket.destroy();
      if (meets("slowDown")) {
        to.writeHead(503, { "content-type": "application/xml", "content-length": SLOW_DOWN.length });
        return to.end(SLOW_DOWN);
      }
      const body = Buffer.concat(chunks);
      if (body.byteLength > 0 && meets("wrongByte")) body.writeUInt8(body.readUInt8(0) ^ 1, 0);
      const passed = request({ hostname, port, method: from.method ?? "GET", path: from.url ?? "/", headers: from.headers, agent: false });
      passed.on("error", () => from.socket.destroy());
      passed.on("response", (answer) => {
        const parts: Buffer[] = [];
        answer.on("data", (part: Buffer) => parts.push(part));
        answer.on("error", () => from.socket.destroy());
        const pass = () => {
          const all = Buffer.concat(parts);
          to.writeHead(answer.statusCode ?? 502, answer.headers);
          if (all.byteLength > 1 && meets("half")) to.write(all.subarray(0, all.byteLength / 2), () => from.socket.destroy());
          else to.end(all);
        };
        answer.on("end", () => {
          if (ends) {
            ends.happens();
            from.socket.destroy();
          } else if (meets("resetAfter")) from.socket.destroy();
          else if (meets("slow")) setTimeout(pass, 500 * random());
          else pass();
        });
      });
      passed.end(body);
      return undefined;
    });
  });
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
  return Object.assign(proxy, {
    url,
    counts,
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  });
}
