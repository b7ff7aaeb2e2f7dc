import { beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { createApp } from "../../handlers/app.ts";
import { parseAssertions } from "../../src/assertions/text.ts";
import { type Files, tgzOf } from "../build.ts";
import { importInto, newStore } from "../importing.ts";
import {
  account,
  accountKey,
  deviceSessionRequest,
  model,
  rootOf,
  type Signatory,
  serial,
  snapDeclaration,
  snapRevision,
  storeAssertion,
  testKey,
  validationSet,
} from "../signer.ts";
import { squashfs } from "../squashfs.ts";

const ROOT = rootOf("testroot");
const STORE: Signatory = { account: ROOT.account, key: testKey("store") };
const BRAND: Signatory = { account: "brand", key: testKey("brand") };
const DEVICE = testKey("device");

const idOf = (name: string) => name.padEnd(32, "0");
const COMMON = [
  accountKey(ROOT, STORE.key, { "account-id": ROOT.account, name: "store" }),
  account(STORE, { "account-id": BRAND.account, username: "brand", "display-name": "Brand" }),
  accountKey(STORE, BRAND.key, { "account-id": BRAND.account, name: "default" }),
];

/** A snap with the assertions of `revisions`, as `snap download` leaves them. */
function snapFiles(name: string, revisions: readonly number[]): Files {
  const declaration = snapDeclaration(STORE, { "snap-id": idOf(name), "snap-name": name, "publisher-id": BRAND.account });
  return Object.fromEntries(
    revisions.flatMap((revision) => {
      const bytes = squashfs({ "meta/snap.yaml": `name: ${name}\nversion: "${revision}"\nbase: core22\narchitectures: [amd64]\n` });
      const asserted = snapRevision(STORE, {
        "snap-sha3-384": createHash("sha3-384").update(bytes).digest("base64url"),
        "snap-id": idOf(name),
        "snap-size": bytes.byteLength,
        "snap-revision": revision,
        "developer-id": BRAND.account,
      });
      return [
        [`${name}_${revision}.snap`, bytes],
        [`${name}_${revision}.assert`, [...COMMON, declaration, asserted].join("\n")],
      ] as const;
    }),
  );
}

const SETS = [1, 2].map((sequence) =>
  validationSet(BRAND, {
    name: "nightly",
    sequence,
    snaps: [{ name: "public", id: idOf("public"), presence: "required", revision: sequence }],
  }),
);

let ask: (path: string, init?: RequestInit) => Promise<Response>;

beforeAll(async () => {
  const store = await newStore();
  const take = async (name: string, files: Files) => {
    const trust = parseAssertions(Buffer.from(ROOT.trust), "root");
    await importInto(store, { [name]: tgzOf(files) }, { trust, now: "2026-06-01T00:00:00Z" });
  };
  await take("public.tar.gz", { ...snapFiles("public", [1, 2, 3]), "sets.assert": [...COMMON, ...SETS].join("\n") });
  const storeOf = (id: string, url: string, timestamp: string) =>
    storeAssertion(STORE, { store: id, "operator-id": BRAND.account, url, timestamp });
  const stores = [
    storeOf("second", "http://hub.test", "2026-03-02T00:00:00Z"),
    storeOf("first", "http://hub.test/", "2026-03-01T00:00:00Z"),
    storeOf("elsewhere", "http://other.test", "2026-01-01T00:00:00Z"),
  ];
  await take("stores.tar.gz", { "stores.assert": [...COMMON, ...stores].join("\n") });
  await take("store-export-brandstore-20260101T000000.tar.gz", snapFiles("branded", [7]));
  const app = createApp({ store, config: {}, log: () => {} });
  ask = async (path, init) => app.fetch(new Request(`http://hub.test${path}`, init));
});

const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  ask(path, { method: "POST", body: JSON.stringify(body), headers });

/** A session of a device whose model names `store`, signed by `by`. */
async function sessionOf(store: string | undefined, by: Signatory = BRAND): Promise<string> {
  const { nonce } = (await (await post("/api/v1/snaps/auth/nonces", {})).json()) as { nonce: string };
  const reply = await post("/api/v1/snaps/auth/sessions", {
    "device-session-request": deviceSessionRequest(DEVICE, { "brand-id": by.account, nonce }),
    "serial-assertion": serial(by, DEVICE),
    "model-assertion": model(by, store === undefined ? {} : { store }),
  });
  expect(reply.status).toBe(200);
  return ((await reply.json()) as { macaroon: string }).macaroon;
}

/** What an install of the brand's snap gets, for a device with that session. */
async function branded(session: string | undefined): Promise<string> {
  const headers: Record<string, string> = session === undefined ? {} : { "Snap-Device-Authorization": `Macaroon root="${session}"` };
  const reply = await post(
    "/v2/snaps/refresh",
    { actions: [{ action: "install", "instance-key": "install-1", name: "branded" }] },
    headers,
  );
  const [result] = ((await reply.json()) as { results: { result: string; error?: { code: string }; snap?: { revision: number } }[] })
    .results;
  return result?.error?.code ?? `revision ${result?.snap?.revision}`;
}

describe("a brand store's snap", () => {
  test("is there for a device whose verified model names the store, everywhere", async () => {
    const session = await sessionOf("brandstore");
    expect(await branded(session)).toBe("revision 7");
    const authorized = { "X-Device-Authorization": `Macaroon root="${session}"` };
    expect((await ask("/v2/snaps/info/branded", { headers: authorized })).status).toBe(200);
    expect((await ask(`/api/v1/snaps/download/${idOf("branded")}_7.snap`, { headers: authorized })).status).toBe(200);
    expect(await (await ask("/v2/snaps/find?q=branded", { headers: authorized })).json()).toMatchObject({ results: [{ name: "branded" }] });
  });

  test("is not there for anyone else", async () => {
    expect(await branded(undefined)).toBe("name-not-found");
    expect(await branded(await sessionOf(undefined))).toBe("name-not-found");
    expect(await branded(await sessionOf("other-store"))).toBe("name-not-found");
    expect(await branded('x"y')).toBe("name-not-found");
    expect((await ask("/v2/snaps/info/branded")).status).toBe(404);
    expect((await ask(`/api/v1/snaps/download/${idOf("branded")}_7.snap`)).status).toBe(404);
    expect(await (await ask("/v2/snaps/find?q=branded")).json()).toEqual({ results: [] });
  });

  test("is not there for a device whose brand nobody vouches for", async () => {
    const stranger: Signatory = { account: "stranger", key: testKey("stranger") };
    expect(await branded(await sessionOf("brandstore", stranger))).toBe("name-not-found");
  });
});

describe("validation sets", () => {
  const refreshed = async (sets: unknown, revision?: number) => {
    const action = {
      action: "install",
      "instance-key": "install-1",
      name: "public",
      "validation-sets": sets,
      ...(revision && { revision }),
    };
    const reply = (await (await post("/v2/snaps/refresh", { actions: [action] })).json()) as { results: { snap?: { revision: number } }[] };
    return reply.results[0]?.snap?.revision;
  };

  test("pin what they require, unless the machine names a revision", async () => {
    expect(await refreshed([])).toBe(3);
    expect(await refreshed([["16", BRAND.account, "nightly"]])).toBe(2);
    expect(await refreshed([["16", BRAND.account, "nightly", 1]])).toBe(1);
    expect(await refreshed([["16", BRAND.account, "nightly", 1]], 3)).toBe(3);
    expect(await refreshed([["16", BRAND.account, "unknown", 1]])).toBe(3);
    expect(await refreshed([[]])).toBe(3);
  });
});

test("of two store assertions for one URL the newer one is served", async () => {
  const text = await (await ask("/v2/auth/store/assertions")).text();
  expect(text.match(/^store: .*$/gm)).toEqual(["store: elsewhere", "store: second"]);
});

test("a download that starts behind the end is answered with the whole", async () => {
  const path = `/api/v1/snaps/download/${idOf("public")}_3.snap`;
  const whole = await ask(path);
  const reply = await ask(path, { headers: { Range: "bytes=99999999-" } });
  expect([reply.status, reply.headers.get("Content-Length")]).toEqual([200, whole.headers.get("Content-Length")]);
});
