/**
 * A store in front of which things go wrong: every request is passed on to an app, and what comes back is cut, stalled,
 * spoiled or replaced as rules say. It is a forward proxy as well (absolute URLs, and CONNECT to its TLS side).
 */

import { connect, createServer, type Server, type Socket } from "node:net";
import { createServer as createSecureServer } from "node:tls";

/** What is done to a reply, in the order of these. */
export interface Fault {
  /** the connection is closed without a reply */
  readonly refuse?: true;
  /** the app is not told of the range that is asked for */
  readonly ignoreRange?: true;
  /** a range that is asked for is answered from there */
  readonly from?: number;
  /** in place of what the app answers */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** the byte at that place of the file is another */
  readonly flip?: number;
  /** `chunked`: no length is told; `close`: nor is the end */
  readonly framing?: "chunked" | "close";
  /** bytes of the body, more than are told */
  readonly extra?: number;
  /** the connection is closed after so many bytes of the body */
  readonly cut?: number;
  /** nothing comes after so many bytes of the body, for ever */
  readonly stall?: number;
  /** so many bytes at a time, with pauses of milliseconds between */
  readonly drip?: readonly [bytes: number, pause: number];
}

export interface Rule {
  /** of path and query */
  readonly path: RegExp | string;
  readonly fault: Fault | ((asked: Asked) => Fault);
  /** it is used up after so many requests; undefined: never */
  times?: number;
}

export interface Asked {
  readonly method: string;
  /** path and query */
  readonly path: string;
  readonly host: string;
  readonly headers: Headers;
  readonly secure: boolean;
  /** whether it came as to a proxy, with its whole URL */
  readonly absolute: boolean;
  /** the first byte that is asked for */
  readonly from: number;
  /** bytes of the body that were sent */
  sent: number;
}

export interface App {
  fetch(request: Request): Response | Promise<Response>;
}

interface Head {
  readonly method: string;
  readonly target: string;
  readonly headers: Headers;
}

const AT_ONCE = 64 * 1024;

export class BrokenUpstream {
  readonly asked: Asked[] = [];
  /** the hosts that a CONNECT was for */
  readonly connects: { readonly host: string; readonly headers: Headers }[] = [];
  /** the first that matches is followed */
  rules: Rule[] = [];
  readonly #app: App;
  readonly #sockets = new Set<Socket>();
  readonly #servers: Server[] = [];
  #ports: readonly number[] = [];

  private constructor(app: App) {
    this.#app = app;
  }

  static async start(app: App, { tls }: { readonly tls?: { readonly cert: string; readonly key: string } } = {}): Promise<BrokenUpstream> {
    const upstream = new BrokenUpstream(app);
    upstream.#servers.push(createServer((socket) => upstream.#take(socket, false)));
    if (tls) upstream.#servers.push(createSecureServer(tls, (socket) => upstream.#take(socket, true)));
    upstream.#ports = await Promise.all(
      upstream.#servers.map(
        (server) =>
          new Promise<number>((resolve) => {
            server.listen(0, "127.0.0.1", () => {
              const address = server.address();
              resolve(typeof address === "object" && address ? address.port : 0);
            });
          }),
      ),
    );
    return upstream;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#ports[0]}`;
  }

  get secureUrl(): string {
    return `https://127.0.0.1:${this.#ports[1]}`;
  }

  /** Downloads that were asked for, of files whose path holds `part`. */
  downloads(part = ""): Asked[] {
    return this.asked.filter(({ path }) => path.includes("/download/") && path.includes(part));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }

  #take(socket: Socket, secure: boolean): void {
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => void this.#sockets.delete(socket));
    const reader = new HeadReader(socket);
    this.#converse(socket, reader, secure).catch((error: unknown) => {
      // A client that is gone in the middle is what is tested; anything else is a mistake of this helper.
      if (!socket.destroyed) console.error(error);
      socket.destroy();
    });
  }

  async #converse(socket: Socket, reader: HeadReader, secure: boolean): Promise<void> {
    for (let head = await reader.head(); head; head = await reader.head()) {
      if (head.method === "CONNECT") return this.#tunnel(socket, reader, head);
      const body = await reader.take(Number(head.headers.get("content-length") ?? 0));
      const absolute = /^https?:/.test(head.target);
      const host = head.headers.get("host") ?? "";
      const url = new URL(absolute ? head.target : `${secure ? "https" : "http"}://${host}${head.target}`);
      const from = Number(/^bytes=(\d+)-/.exec(head.headers.get("range") ?? "")?.[1] ?? 0);
      const path = url.pathname + url.search;
      const asked: Asked = { method: head.method, path, host: url.host, headers: head.headers, secure, absolute, from, sent: 0 };
      this.asked.push(asked);
      if (!(await this.#answer(socket, asked, url, body, this.#faultOf(asked)))) return void socket.end();
    }
  }

  #faultOf(asked: Asked): Fault {
    const rule = this.rules.find(
      ({ path, times = 1 }) => times > 0 && (typeof path === "string" ? asked.path.includes(path) : path.test(asked.path)),
    );
    if (!rule) return {};
    if (rule.times !== undefined) rule.times -= 1;
    return typeof rule.fault === "function" ? rule.fault(asked) : rule.fault;
  }

  /** Whether the connection can be used again. */
  async #answer(socket: Socket, asked: Asked, url: URL, body: Uint8Array<ArrayBuffer>, fault: Fault): Promise<boolean> {
    if (fault.refuse) return false;
    const headers = new Headers(asked.headers);
    if (fault.ignoreRange) headers.delete("range");
    if (fault.from !== undefined && headers.has("range")) headers.set("range", `bytes=${fault.from}-`);
    const isReplaced = fault.status !== undefined || fault.body !== undefined;
    const response = isReplaced
      ? new Response(null, { headers: { "Content-Type": "application/json" } })
      : await this.#app.fetch(new Request(url, { method: asked.method, headers, ...(body.byteLength > 0 && { body }) }));
    const content = isReplaced ? Buffer.from(fault.body ?? "") : Buffer.from(await response.arrayBuffer());
    const start = Number(/^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "")?.[1] ?? 0);
    const flipped = (fault.flip ?? -1) - start;
    if (flipped >= 0 && flipped < content.byteLength) content.writeUInt8((content.readUInt8(flipped) + 1) % 256, flipped);
    const told = new Headers(response.headers);
    told.set("Content-Length", String(content.byteLength));
    if (fault.framing) told.delete("Content-Length");
    if (fault.framing === "chunked") told.set("Transfer-Encoding", "chunked");
    for (const [name, value] of Object.entries(fault.headers ?? {})) told.set(name, value);
    const status = fault.status ?? response.status;
    await send(socket, `HTTP/1.1 ${status} Told\r\n${[...told].map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`);
    const all = fault.extra === undefined ? content : Buffer.concat([content, Buffer.alloc(fault.extra)]);
    const until = Math.min(all.byteLength, fault.cut ?? Infinity, fault.stall ?? Infinity);
    const [size, pause] = fault.drip ?? [AT_ONCE, 0];
    for (let at = 0; at < until; at += size) {
      const part = all.subarray(at, Math.min(until, at + size));
      await send(socket, fault.framing === "chunked" ? framed(part) : part);
      asked.sent += part.byteLength;
      if (pause > 0) await Bun.sleep(pause);
    }
    if (fault.stall !== undefined && fault.stall <= all.byteLength) await new Promise((resolve) => socket.once("close", resolve));
    if (fault.cut !== undefined || fault.framing === "close") return false;
    if (fault.framing === "chunked") await send(socket, "0\r\n\r\n");
    return fault.extra === undefined;
  }

  /** Every host is this one. */
  #tunnel(socket: Socket, reader: HeadReader, { target, headers }: Head): void {
    this.connects.push({ host: target, headers });
    const there = connect(this.#ports[1] ?? 0, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      there.write(reader.release());
      socket.pipe(there).pipe(socket);
    });
    there.on("error", () => socket.destroy());
    socket.on("close", () => there.destroy());
  }
}

function framed(part: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(`${part.byteLength.toString(16)}\r\n`), part, Buffer.from("\r\n")]);
}

/** Waits for slow readers. */
function send(socket: Socket, bytes: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    if (socket.destroyed) return reject(new Error("the client is gone"));
    if (socket.write(bytes)) return resolve();
    const done = () => {
      socket.off("drain", done).off("close", done);
      if (socket.destroyed) reject(new Error("the client is gone"));
      else resolve();
    };
    socket.on("drain", done).on("close", done);
  });
}

/** Requests out of a connection, one after another. */
class HeadReader {
  readonly #socket: Socket;
  #buffer = Buffer.alloc(0);
  #ended = false;
  #wake = () => {};
  readonly #onData = (chunk: Buffer) => {
    this.#buffer = Buffer.concat([this.#buffer, chunk]);
    this.#wake();
  };

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", this.#onData);
    for (const event of ["end", "close"])
      socket.on(event, () => {
        this.#ended = true;
        this.#wake();
      });
  }

  /** undefined: there is no further one. */
  async head(): Promise<Head | undefined> {
    while (!this.#buffer.includes("\r\n\r\n")) if (!(await this.#more())) return undefined;
    const end = this.#buffer.indexOf("\r\n\r\n");
    const [first = "", ...lines] = this.#buffer.subarray(0, end).toString("latin1").split("\r\n");
    this.#buffer = this.#buffer.subarray(end + 4);
    const [method = "", target = ""] = first.split(" ");
    const headers = new Headers(lines.map((line): [string, string] => [line.replace(/:.*/s, ""), line.replace(/^[^:]*:\s*/, "")]));
    return { method, target, headers };
  }

  async take(size: number): Promise<Uint8Array<ArrayBuffer>> {
    while (this.#buffer.byteLength < size) if (!(await this.#more())) break;
    const taken = new Uint8Array(this.#buffer.subarray(0, size));
    this.#buffer = this.#buffer.subarray(size);
    return taken;
  }

  /** Leaves the connection to another reader; what was read ahead. */
  release(): Uint8Array {
    this.#socket.off("data", this.#onData);
    return this.#buffer;
  }

  async #more(): Promise<boolean> {
    if (this.#ended) return false;
    await new Promise<void>((resolve) => (this.#wake = resolve));
    return !this.#ended;
  }
}
