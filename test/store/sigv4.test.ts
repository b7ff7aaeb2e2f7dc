/** The examples that AWS publishes: "Signature Version 4 test suite", and of S3 "Examples: Signature Calculations". */

import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { EMPTY_PAYLOAD, presign, type Scope, signHeaders } from "../../store/sigv4.ts";

const SUITE: Scope = {
  credentials: { id: "AKIDEXAMPLE", secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" },
  region: "us-east-1",
  service: "service",
};
const S3: Scope = {
  credentials: { id: "AKIAIOSFODNN7EXAMPLE", secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" },
  region: "us-east-1",
};
const [SUITE_TIME, S3_TIME] = [Date.UTC(2015, 7, 30, 12, 36), Date.UTC(2013, 4, 24)];
const BUCKET = "https://examplebucket.s3.amazonaws.com";

const signatureIn = (headers: Record<string, string>) => headers["authorization"]?.split("Signature=")[1];

test.each([
  ["get-vanilla", "GET", "/", {}, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"],
  [
    "get-vanilla-query-order-key-case",
    "GET",
    "/?Param2=value2&Param1=value1",
    {},
    "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
  ],
  ["post-vanilla", "POST", "/", {}, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"],
  ["post-header-key-sort", "POST", "/", { "my-header1": "value1" }, "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"],
])("the suite: %s", (_name, method, path, headers, signature) => {
  const url = new URL(`https://example.amazonaws.com${path}`);
  expect(signatureIn(signHeaders({ method, url, headers, payload: EMPTY_PAYLOAD }, SUITE, SUITE_TIME))).toBe(signature);
});

test.each([
  [
    "a range",
    "GET",
    "/test.txt",
    { range: "bytes=0-9" },
    EMPTY_PAYLOAD,
    "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
  ],
  [
    "a PUT, its name encoded",
    "PUT",
    "/test$file.text",
    { date: "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY" },
    "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
    "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
  ],
  [
    "a parameter without a value",
    "GET",
    "/?lifecycle",
    {},
    EMPTY_PAYLOAD,
    "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
  ],
  ["a listing", "GET", "/?max-keys=2&prefix=J", {}, EMPTY_PAYLOAD, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"],
])("S3: %s", (_name, method, path, headers, payload, signature) => {
  expect(signatureIn(signHeaders({ method, url: new URL(BUCKET + path), headers, payload }, S3, S3_TIME))).toBe(signature);
});

test("S3: a URL for a day", () => {
  const url = presign({ method: "GET", url: new URL(`${BUCKET}/test.txt`) }, S3, { time: S3_TIME, seconds: 86_400 });
  expect(url.searchParams.get("X-Amz-Signature")).toBe("aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
});

test("temporary credentials send and sign their token", () => {
  const scope = { ...S3, credentials: { ...S3.credentials, token: "TOKEN" } };
  const request = { method: "GET", url: new URL(`${BUCKET}/a`), payload: EMPTY_PAYLOAD };
  const headers = signHeaders(request, scope, S3_TIME);
  expect(headers).toMatchObject({ "x-amz-security-token": "TOKEN" });
  expect(headers["authorization"]).toContain("x-amz-security-token");
  expect(signatureIn(headers)).not.toBe(signatureIn(signHeaders(request, S3, S3_TIME)) ?? "");
  expect(presign(request, scope, { time: S3_TIME, seconds: 60 }).searchParams.get("X-Amz-Security-Token")).toBe("TOKEN");
});

test("what is signed in a day, region and service depends on nothing that was signed before", () => {
  const credentials = { id: "A", secret: "one" };
  const request = { method: "GET", url: new URL(`${BUCKET}/a`), payload: EMPTY_PAYLOAD };
  const Scoped = fc.record({
    secret: fc.constantFrom("one", "two"),
    region: fc.constantFrom("us-east-1", "eu-1"),
    service: fc.constantFrom(undefined, "sts"),
    hours: fc.nat(72),
  });
  const signatures = new Map<string, string>();
  fc.assert(
    fc.property(fc.array(Scoped, { minLength: 2, maxLength: 6 }), (scopes) => {
      for (const { secret, region, service, hours } of scopes) {
        const time = S3_TIME + hours * 3_600_000;
        credentials.secret = secret;
        const scope = { credentials, region, ...(service && { service }) };
        const right = signatureIn(signHeaders(request, { ...scope, credentials: { id: "A", secret } }, time)) ?? "";
        expect(signatureIn(signHeaders(request, scope, time))).toBe(right);
        signatures.set(JSON.stringify([secret, region, service, hours]), right);
      }
    }),
  );
  expect(new Set(signatures.values()).size).toBe(signatures.size);
});
