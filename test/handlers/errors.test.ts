/** Errors as replies: one table, three dialects. */

import { expect, test } from "bun:test";
import { join } from "node:path";
import { type Dialect, failureReply } from "../../handlers/errors.ts";
import { Failure, type FailureKind } from "../../src/errors.ts";

async function seen(kind: FailureKind, dialect: Dialect) {
  const reply = failureReply(new Failure(kind, "no", { next: "go" }), dialect);
  if (!reply) return "internal";
  expect(reply.headers.get("Content-Type")).toBe("application/json");
  const { "error-list": errors, ...rest } = (await reply.json()) as { "error-list": { code: string; message: string; next?: string }[] };
  expect([errors.length, rest]).toEqual([1, {}]);
  expect(errors[0]?.message).toBe("no");
  expect(errors[0]?.next).toBe(dialect === "changing" ? "go" : undefined);
  const asks = reply.headers.has("WWW-Authenticate") ? " Bearer" : reply.headers.has("Retry-After") ? " later" : "";
  return `${reply.status} ${errors[0]?.code}${asks}`;
}

test.each<[FailureKind, charmhub: string, snapd: string, remoteImport: string]>([
  ["failed", "internal", "internal", "500 failed"],
  ["not-found", "404 resource-not-found", "404 not-found", "404 not-found"],
  ["not-allowed", "405 api-error", "405 invalid-request", "405 not-allowed"],
  ["unauthorized", "401 unauthorized Bearer", "401 invalid-request Bearer", "401 unauthorized Bearer"],
  ["forbidden", "403 forbidden", "403 invalid-request", "403 forbidden"],
  ["busy", "503 busy later", "503 invalid-request later", "503 busy later"],
  ["too-large", "413 bad-argument", "413 invalid-request", "413 too-large"],
  ["too-slow", "408 api-error", "408 invalid-request", "408 too-slow"],
  ["malformed", "400 bad-argument", "400 invalid-request", "400 malformed"],
  ["usage", "400 bad-argument", "400 invalid-request", "400 usage"],
  ["refused", "400 bad-argument", "400 invalid-request", "422 refused"],
  ["partly", "internal", "internal", "500 partly"],
  ["no-store", "internal", "internal", "500 no-store"],
  ["store-too-new", "internal", "internal", "500 store-too-new"],
  ["conflict", "internal", "internal", "409 conflict"],
  ["corrupt", "internal", "internal", "500 corrupt"],
  ["interrupted", "internal", "internal", "503 interrupted later"],
])("%s", async (kind, charmhub, snapd, remoteImport) => {
  const replies = [await seen(kind, "charmhub"), await seen(kind, "snapd"), await seen(kind, "changing")];
  expect(replies).toEqual([charmhub, snapd, remoteImport]);
});

test("what is no failure is internal in every dialect", () => {
  for (const dialect of ["charmhub", "snapd", "changing"] as const) expect(failureReply(new Error("x"), dialect)).toBeUndefined();
});

test("the error list is written in one place", async () => {
  const root = join(import.meta.dir, "../..");
  const found: string[] = [];
  for (const folder of ["handlers", "src/wire"])
    for (const file of new Bun.Glob("**/*.{ts,tsx}").scanSync(join(root, folder)))
      if (/["'`]error-list\b/.test(await Bun.file(join(root, folder, file)).text())) found.push(`${folder}/${file}`);
  expect(found).toEqual(["src/wire/json.ts"]);
});
