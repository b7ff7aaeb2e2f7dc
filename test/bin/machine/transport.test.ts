import { expect, test } from "bun:test";
import { networkTransport } from "../../../bin/machine/transport.ts";
import { Failure } from "../../../src/errors.ts";

const failureOf = async (work: Promise<unknown>) => {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return error instanceof Failure ? [error.kind, error.next] : error;
};

test("where nobody answers, a proxy of the environment is named, without its login", async () => {
  const ask = async (environment: Record<string, string>) =>
    (await networkTransport([], environment))("http://127.0.0.1:1/", { signal: new AbortController().signal });
  expect(await failureOf(ask({ HTTP_PROXY: "http://me:secret@127.0.0.1:1" }))).toEqual([
    "failed",
    "HTTP_PROXY is set: requests go through that proxy, but for hosts that NO_PROXY names",
  ]);
  expect(await failureOf(ask({ HTTPS_PROXY: "127.0.0.1:1" }))).toMatchObject({ code: "ECONNREFUSED" });
  for (const odd of ["socks5://me:secret@127.0.0.1:1", "http://", "me:secret@127.0.0.1:port"])
    expect(await failureOf(ask({ HTTP_PROXY: odd }))).toEqual(["usage", undefined]);
});
