/** `chp import --to` beside a server that answers as it is told: what is sent, and what is said of each answer. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { createServer, type Server } from "node:https";
import { type AddressInfo, createServer as createPlain } from "node:net";
import { join } from "node:path";
import { importTo } from "../../../bin/machine/remoteimport.ts";
import { partName, partSumsName } from "../../../src/archives/parts.ts";
import { formatSums } from "../../../src/archives/signature.ts";
import { sumsOf } from "../../../src/digest.ts";
import { Failure, reason } from "../../../src/errors.ts";
import type { ImportSource } from "../../../src/import/import.ts";
import { createAuthority, issueServer } from "../../../src/settings/authority.ts";
import { exportOf, tarOf } from "../../build.ts";
import { SPEC } from "../../hostile/demo.ts";
import { runProgram, SILENT_IO } from "../../program.ts";
import { tempFolder } from "../../temp.ts";
import { longTest, thorough } from "../../thorough.ts";

interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** whether it comes before the body was read */
  readonly early?: boolean;
}

const folder = tempFolder();
const at = (name: string) => join(folder.path, name);
const ARCHIVE = exportOf([SPEC]);
const failure = (code: string, message: string, more: object = {}) => ({ "error-list": [{ code, message, ...more }] });
const ACCEPTS: Answer = { status: 200, body: {} };

let server: Server;
let host = "";
let seen: { readonly method: string; readonly url: URL; readonly token: string | undefined; readonly body: Buffer }[] = [];
/** in turn; "hang up": the connection ends without a reply */
let answers: (Answer | "hang up")[] = [];

beforeAll(async () => {
  const authority = await createAuthority("site CA", Date.now());
  const { certificate, key } = await issueServer(authority, ["127.0.0.1"], Date.now());
  writeFileSync(at("ca.pem"), authority.certificate);
  writeFileSync(at("e.tar.gz"), ARCHIVE);
  writeFileSync(at("f.tar"), tarOf({ "x.tar.gz": ARCHIVE }));
  server = createServer({ cert: certificate, key }, (request, reply) => {
    const answer = answers.shift() ?? { status: 500 };
    const read = answer !== "hang up" && answer.early ? Promise.resolve(Buffer.alloc(0)) : bodyOf(request);
    void read.then((body) => {
      const { method = "", url = "", headers } = request;
      seen.push({ method, url: new URL(url, "https://hub.test"), token: headers.authorization, body });
      if (answer === "hang up") return request.socket.destroy();
      reply.writeHead(answer.status, { "Content-Type": "application/json", ...answer.headers });
      return reply.end(JSON.stringify(answer.body ?? {}));
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
  folder[Symbol.dispose]();
});

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function send(
  files: readonly string[],
  script: readonly (Answer | "hang up")[],
  to = `https://${host}`,
  more: readonly string[] = [],
) {
  seen = [];
  answers = [...script];
  const words = ["import", "--to", to, "--ca", at("ca.pem"), ...more, ...files];
  const { code, err, next } = await runProgram(words, { CHP_TOKEN: "chp_secret" });
  return { code, err: err.replaceAll(host, "HUB"), next };
}

describe("what is sent", () => {
  test("a single file goes as it is, with its name; several as a tar that says so, with their folder", async () => {
    await send([at("e.tar.gz")], [ACCEPTS, { status: 422, body: failure("refused", "no") }]);
    expect(seen.map(({ method, token }) => [method, token])).toEqual([
      ["GET", "Bearer chp_secret"],
      ["PUT", "Bearer chp_secret"],
    ]);
    expect([seen[1]?.url.searchParams.get("name"), seen[1]?.url.searchParams.get("tar-of-files")]).toEqual([at("e.tar.gz"), null]);
    expect(seen[1]?.body.equals(Buffer.from(ARCHIVE))).toBe(true);
    await send([at("e.tar.gz"), at("f.tar")], [ACCEPTS, { status: 422, body: failure("refused", "no") }]);
    const { searchParams } = seen[1]?.url ?? new URL("https://none.test");
    expect([searchParams.get("name"), searchParams.get("tar-of-files"), searchParams.get("folder")]).toEqual([null, "true", process.cwd()]);
    expect(seen[1]?.body.subarray(0, 100).toString()).toContain("e.tar.gz");
  });

  test("nothing where the server would not take it", async () => {
    const next = "there: chp token NAME makes a token, and with the first one remote import is on; its user must be able to read secrets/";
    expect(await send([at("e.tar.gz")], [{ status: 404 }])).toEqual({
      code: 1,
      err: "chp: HUB takes no imports from other machines\n",
      next,
    });
    expect(seen.map(({ method }) => method)).toEqual(["GET"]);
  });
});

describe("what is said", () => {
  // It waits for a second each time, as it is told to.
  test.each(thorough ? [1, 2] : [1])("where there are enough imports, once, however often it is asked again: %d times", async (times) => {
    const busy: Answer = { status: 503, headers: { "Retry-After": "1" }, body: failure("busy", "enough") };
    const done = await send(
      [at("e.tar.gz")],
      [...Array.from({ length: times }, () => busy), ACCEPTS, { status: 422, body: failure("refused", "no", { next: "do that" }) }],
    );
    expect(done).toEqual({ code: 3, err: "HUB has enough imports to do: asking again every 1 s\nchp: HUB: no\n", next: "there: do that" });
    expect(seen.map(({ method }) => method)).toEqual([...Array.from({ length: times + 1 }, () => "GET"), "PUT"]);
  });

  test.each([300, 301, 302, 307, 308, 399])("of a redirect by status %d: that the token is not sent there", async (status) => {
    const done = await send([at("e.tar.gz")], [{ status, headers: { Location: "https://else.test/x" } }]);
    expect(done).toEqual({
      code: 1,
      err: "chp: HUB redirects to https://else.test/x, where the token is not sent\n",
      next: "name the address of chp serve itself with --to URL",
    });
  });

  test.each([204, 400, 402, 502])("of status %d without a reason: which status it was", async (status) => {
    expect(await send([at("e.tar.gz")], [{ status }])).toMatchObject({ code: 1, err: `chp: HUB answered with status ${status}\n` });
  });

  test.each([
    ["the last byte of a file is sent, though its end was not read yet", ARCHIVE.byteLength],
    ["the end of what has no length is sent", undefined],
  ])("of a connection that ends once %s: that nobody knows, and what to do", async (_, size) => {
    seen = [];
    const hungUp = Promise.withResolvers<void>();
    answers = [ACCEPTS, "hang up"];
    const source: ImportSource = {
      name: "e.tar.gz",
      ...(size !== undefined && { size }),
      async *open() {
        yield ARCHIVE;
        if (size !== undefined) await hungUp.promise;
      },
    };
    const io = { ...SILENT_IO, environment: { CHP_TOKEN: "chp_secret" } };
    const failed = await importTo(`https://${host}`, [source], { sends: [], ca: at("ca.pem") }, io).catch((error: unknown) => error);
    hungUp.resolve();
    expect(seen[1]?.body.equals(Buffer.from(ARCHIVE))).toBe(true);
    expect(failed).toMatchObject({ kind: "failed", next: "run the same command again: what is already present changes nothing" });
    expect(String(failed)).toMatch(/the connection to \S+ ended before its reply came \(.*\): all of it was published, or nothing$/);
  });

  test("of a connection that ends before anything was sent: that nothing was published", async () => {
    const { code, err, next } = await send([at("e.tar.gz")], ["hang up"]);
    expect([code, next]).toEqual([1, "nothing was published; run the same command again"]);
    expect(err).toStartWith("chp: cannot import into HUB: ");
  });

  test("of an address where nothing listens, and of one that speaks no TLS", async () => {
    const plain = createPlain((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n", () => socket.destroy()));
    });
    await new Promise<void>((done) => plain.listen(0, "127.0.0.1", done));
    const { port } = plain.address() as AddressInfo;
    const to = `https://127.0.0.1:${port}`;
    expect((await send([at("e.tar.gz")], [], to)).err).toContain(`127.0.0.1:${port} does not speak TLS there`);
    await new Promise((done) => plain.close(done));
    expect(await send([at("e.tar.gz")], [], to)).toEqual({
      code: 1,
      err: `chp: nothing listens at 127.0.0.1:${port}\n`,
      next: "there: chp serve --tls-listen HOST:PORT, or name its address with --to URL",
    });
  });

  test("of a file that is refused, what is wrong with it here, rather than what the server says", async () => {
    const io = { ...SILENT_IO, environment: { CHP_TOKEN: "chp_secret" } };
    const why = async (found: Failure | undefined) => {
      answers = [ACCEPTS, { status: 422, body: failure("refused", "it is damaged") }];
      const source: ImportSource = {
        name: "e.tar.gz",
        size: ARCHIVE.byteLength,
        whyWrong: async () => found,
        async *open() {
          yield ARCHIVE;
        },
      };
      return importTo(`https://${host}`, [source], { sends: [], ca: at("ca.pem") }, io).catch(reason);
    };
    expect(await why(new Failure("refused", "it is not what its list says"))).toBe("it is not what its list says");
    expect(await why(undefined)).toBe(`${host}: it is damaged`);
  });

  // Hashes and sends some hundred mebibytes.
  longTest("of parts whose digests are wrong here, what is wrong here, rather than what the server says of all of them", async () => {
    // Larger than what a connection takes that nobody reads, so that the reply comes before the end of the body.
    mkdirSync(at("parts"));
    const bytes = Buffer.alloc(2 ** 25);
    const names = [1, 2].map((index) => partName("s.tar.gz", index, 2));
    for (const name of names) writeFileSync(at(`parts/${name}`), bytes);
    const right = sumsOf(bytes)["sha-256"];
    const write = (last: string) =>
      writeFileSync(
        at(`parts/${partSumsName("s.tar.gz")}`),
        formatSums(names.map((path, i) => ({ path, sha256: i === 1 ? last : right }))),
      );
    const refused: Answer = { status: 422, body: failure("refused", "it is damaged"), early: true };
    write(sumsOf(Buffer.from("another"))["sha-256"]);
    const wrong = await send([at("parts")], [ACCEPTS, refused]);
    expect([wrong.code, wrong.err]).toEqual([3, expect.stringContaining(names[1] ?? "")]);
    expect(wrong.err).not.toContain("HUB");
    write(right);
    expect(await send([at("parts")], [ACCEPTS, refused])).toMatchObject({ code: 3, err: "chp: HUB: it is damaged\n" });
  });
});

describe("parts", () => {
  test("of which some are missing are named, up to five, and nothing is read", async () => {
    mkdirSync(at("some"));
    for (const index of [2, 9]) writeFileSync(at(`some/${partName("s.tar", index, 9)}`), "x");
    const { code, err, next } = await runProgram(["import", "--store", at("store"), at("some")]);
    const missing = [1, 3, 4, 5, 6].map((index) => partName("s.tar", index, 9)).join(", ");
    expect([code, next]).toEqual([3, "put all parts into one folder, or name each of them; nothing was read"]);
    expect(err).toEndWith(`${partName("s.tar", 2, 9)} is one of 9 parts; missing: ${missing} and 2 more\n`);
  });
});
