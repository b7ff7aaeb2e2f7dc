/** What `chp serve` refuses at its start, what it logs there, and what `chp status` says of the server that runs. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { exportOf } from "../../build.ts";
import { SPEC } from "../../hostile/demo.ts";
import { type Run, runProgram } from "../../program.ts";
import { tempFolder } from "../../temp.ts";

const folder = tempFolder();
const store = join(folder.path, "store");
const ENDED = AbortSignal.abort();
const OPEN = ["--listen", "127.0.0.1:0"];

/** `chp serve`, ended as soon as it listens. */
const start = (...args: string[]) => runProgram(["serve", ...args], {}, "chp", ENDED);
const lines = (run: Run) =>
  (run.log ?? "")
    .trim()
    .split("\n")
    .filter((line) => line !== "")
    .map((line): Record<string, unknown> => JSON.parse(line));

beforeAll(async () => {
  const file = join(folder.path, "e.tar.gz");
  writeFileSync(file, exportOf([SPEC]));
  expect(await runProgram(["import", "--store", store, file])).toMatchObject({ code: 0 });
});
afterAll(() => folder[Symbol.dispose]());

describe("serve", () => {
  test("refuses a folder that is not there, unless it is to wait for it, and makes nothing of it", async () => {
    const away = join(folder.path, "away");
    const refused = await start("--store", away, ...OPEN);
    expect(refused).toMatchObject({ code: 10, err: expect.stringContaining(`there is no folder ${away}`), out: "" });
    expect(refused.next).toContain("--wait-for-store");
    expect(await start("--store", away, "--wait-for-store", ...OPEN)).toMatchObject({ code: 0 });
    expect(readdirSync(folder.path)).not.toContain("away");
  });

  test("says of an address that the machine does not have what it is", async () => {
    expect(await start("--store", store, "--listen", "192.0.2.1:0")).toMatchObject({
      code: 1,
      err: "chp: cannot listen on 192.0.2.1:0: this machine does not have that address\n",
    });
  });

  test("refuses an address without a host, which would open every one", async () => {
    for (const address of ["28081", ":28081"])
      for (const done of [
        await start("--store", store, "--listen", address),
        await start("--store", store, ...OPEN, "--tls-listen", address),
        await runProgram(["config", "--store", store, `listen=${address}`]),
        await runProgram(["serve", "--store", store], { CHP_LISTEN: address }, "chp", ENDED),
      ])
        expect(done).toMatchObject({
          code: 2,
          err: expect.stringContaining(`${address} has no host: 127.0.0.1:28081 is for this machine`),
        });
  });

  test("logs its hints as JSON lines, and nothing else is on stderr", async () => {
    const done = await start("--store", store, ...OPEN);
    expect([done.code, done.err]).toEqual([0, ""]);
    expect(lines(done)).toEqual([{ time: expect.any(String), level: "warn", message: expect.stringContaining("no public URL is set") }]);
    expect(lines(await start("--store", store, "--quiet", ...OPEN))).toEqual([]);
    expect(lines(await start("--store", store, "--log-level", "error", ...OPEN))).toEqual([]);
    expect(await start("--store", store, "--log-level", "loud", ...OPEN)).toMatchObject({
      code: 2,
      err: expect.stringContaining("--log-level takes info, warn, error, not loud"),
    });
  });
});

/** One that nobody had a moment ago. */
function freePort(): number {
  const probe = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => {} } });
  probe.stop(true);
  return probe.port;
}

/** A server that runs until the callback has ended; `args`: further ones. */
async function whileServing(args: readonly string[], work: (urls: string[]) => Promise<void>): Promise<void> {
  const ending = new AbortController();
  const [http, https] = [freePort(), freePort()];
  const tls = args.includes("--tls") ? ["--tls-listen", `127.0.0.1:${https}`] : [];
  const served = runProgram(["serve", "--store", store, "--listen", `127.0.0.1:${http}`, ...tls, "--quiet"], {}, "chp", ending.signal);
  try {
    const up = () => fetch(`http://127.0.0.1:${http}/_status/check`).catch(() => undefined);
    for (let reply = await up(); !reply; reply = await up()) {
      const ended = await Promise.race([served, Bun.sleep(5)]);
      if (ended) throw new Error(`it ended: ${ended.err}`);
    }
    await work([`http://127.0.0.1:${http}`, `https://127.0.0.1:${https}`]);
  } finally {
    ending.abort();
    expect((await served).code).toBe(0);
  }
}

describe("status", () => {
  const status = (...args: string[]) => runProgram(["status", "--store", store, ...args]);

  test("says which generation a running server serves, and what it did not have", async () => {
    await whileServing([], async ([url = ""]) => {
      const body = { context: [], actions: [{ action: "install", "instance-key": "k", name: "nope", base: null }] };
      await fetch(`${url}/v2/charms/refresh`, { method: "POST", body: JSON.stringify(body) });
      const done = await status("--server", url);
      expect([done.code, done.out]).toEqual([0, expect.stringContaining("\nserver: running, generation 1 (chp ")]);
      expect(done.out).toMatch(/\nnot found: charm nope \(1 request, last \S+Z\)\n/);
      expect(JSON.parse((await status("--server", url, "--json")).out)).toMatchObject({
        server: { running: true, url, generation: 1 },
        failedRequests: [{ what: "charm nope", times: 1 }],
        notes: expect.not.arrayContaining([expect.stringContaining("overrides are judged")]),
      });
    });
  });

  test("asks over the store's own certificate, by an address that it does not name", async () => {
    expect((await runProgram(["import-certificate", "--selfsigned", "--name", "hub.lan", "--store", store])).code).toBe(0);
    await whileServing(["--tls"], async ([, url = ""]) => {
      const settings = ["listen=127.0.0.1:1", `tls-listen=${new URL(url).host}`, "public-url=https://hub.invalid"];
      expect((await runProgram(["config", "--store", store, ...settings])).code).toBe(0);
      expect((await status()).out).toContain(`\nserver: running, generation 1 (chp `);
      expect((await status()).out).toContain(` at ${url})\n`);
    });
    const { code, out } = await status();
    expect([code, out]).toEqual([
      0,
      expect.stringMatching(/\nserver: not running \(https:\/\/hub\.invalid: .+; http:\/\/127\.0\.0\.1:1: .+\)\n/),
    ]);
  });

  test("ends with exit code 1 where the server that is named does not answer, after all else is said", async () => {
    const done = await status("--server", "http://127.0.0.1:1");
    expect(done).toMatchObject({ code: 1, err: expect.stringContaining("the server http://127.0.0.1:1 does not answer: ") });
    expect(done.out).toContain("\nserver: not running (http://127.0.0.1:1: ");
    expect(done.next).toContain("chp serve");
    const inJson = await status("--server", "http://127.0.0.1:1", "--json");
    expect([inJson.code, JSON.parse(inJson.out)]).toMatchObject([1, { server: { running: false }, failedRequests: null }]);
  });
});

test("a store that is a file is said to be one", async () => {
  const file = join(folder.path, "e.tar.gz");
  for (const args of [["list"], ["serve", ...OPEN], ["import", file], ["config"]])
    expect(await runProgram([...args, "--store", file], {}, "chp", ENDED)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/cannot (read|write to) .*: a part of its path is a file, not a folder/),
    });
});
