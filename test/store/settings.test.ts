import { describe, expect, test } from "bun:test";
import { createAuthority } from "../../src/settings/authority.ts";
import { makeToken } from "../../src/settings/token.ts";
import { TLS_KEY, TLS_SECRET_KEY } from "../../store/keys.ts";
import { Memory } from "../../store/memory.ts";
import { DOCUMENTS, type Documents, Settings } from "../../store/settings.ts";

const NAMES = Object.keys(DOCUMENTS) as (keyof Documents)[];
const { certificate } = await createAuthority("test", Date.UTC(2026, 0));

/** Settings over one file with that text. */
async function withFile(name: keyof Documents, text: string): Promise<Settings> {
  const storage = new Memory();
  await storage.create(DOCUMENTS[name].key, Buffer.from(text));
  return new Settings(storage);
}

async function failureOf(settings: Promise<Settings>, name: keyof Documents): Promise<unknown> {
  return (await settings).read(name).then(
    () => "it did not fail",
    (error: unknown) => error,
  );
}

const VALUES: { readonly [N in keyof Documents]: NonNullable<Documents[N]> } = {
  config: { "public-url": "http://hub", constructor: ["x"] },
  ociSecret: { password: "p", former: [{ domain: "d:1", username: "u", password: "p", until: "2026-05-01T00:00:00Z" }] },
  session: { key: Buffer.from("key").toString("base64") },
  tokens: {
    tokens: [
      makeToken("one", { created: "2026-05-01T00:00:00Z" }).token,
      makeToken("two", { created: "2026-05-01T00:00:00Z", until: "2027-01-01T00:00:00.000Z" }).token,
    ],
  },
  tls: { certificate, authority: certificate, names: ["hub"] },
  tlsSecret: { keys: ["new", "old"] },
  authority: { certificate, key: "key" },
};

describe.each(NAMES)("%s", (name) => {
  test("is what it stands for while it is missing or empty", async () => {
    const { missing } = DOCUMENTS[name];
    expect(await new Settings(new Memory()).read(name)).toEqual(missing);
    expect(await (await withFile(name, "{}")).read(name)).toEqual(missing);
  });

  test("is read as it was written, by whoever opens the store", async () => {
    const storage = new Memory();
    await new Settings(storage).write(name, VALUES[name]);
    expect(await storage.list("")).toEqual(DOCUMENTS[name].key.includes("/") ? [] : [DOCUMENTS[name].key]);
    expect(await new Settings(storage).read(name)).toEqual(VALUES[name]);
  });

  test.each(["", "[]", "7", "{", "null"])("a file with %j in it is refused, and named", async (text) => {
    expect(await failureOf(withFile(name, text), name)).toMatchObject({
      kind: "failed",
      message: `memory/${DOCUMENTS[name].key} is not a JSON object`,
      next: "repair or remove that file",
    });
  });
});

describe("a JSON object of another shape", () => {
  test.each([{ tokens: {} }, { tokens: [{ name: "x" }] }, { tokens: [null] }])("is no list of tokens: %j", async (value) => {
    expect(await failureOf(withFile("tokens", JSON.stringify(value)), "tokens")).toMatchObject({
      kind: "failed",
      message: "secrets/tokens.json of the store is not readable",
      next: "remove that file, which revokes every token",
    });
  });

  test.each<unknown>([{ certificate: "x" }, { certificate, authority: "x" }, { certificate, names: "hub" }, { names: [] }])(
    "is no certificate: %j",
    async (value) => {
      expect(await failureOf(withFile("tls", JSON.stringify(value)), "tls")).toMatchObject({
        kind: "failed",
        message: "memory/tls.json is not readable",
        next: "remove that file, and run chp import-certificate again",
      });
    },
  );

  test.each<[keyof Documents, unknown, unknown]>([
    ["session", { key: "" }, undefined],
    ["session", { key: 7 }, undefined],
    ["authority", { certificate }, undefined],
    ["tlsSecret", { keys: "x" }, { keys: [] }],
    ["ociSecret", { password: "p", former: [{}] }, { password: "p", former: [] }],
  ])("of %s counts as none where that does no harm: %j", async (name, value, read) => {
    expect(await (await withFile(name, JSON.stringify(value))).read(name)).toEqual(read as never);
  });
});

test("a certificate never stands without its key", async () => {
  const order: string[] = [];
  const storage = new (class extends Memory {
    override async stage() {
      const stage = await super.stage();
      return { ...stage, commit: (key: string) => (order.push(key), stage.commit(key)) };
    }
    override async flush() {
      order.push("durable");
    }
  })();
  await new Settings(storage).writeCertificate(VALUES.tls, VALUES.tlsSecret);
  expect(order).toEqual([TLS_SECRET_KEY, "durable", TLS_KEY, "durable"]);
});
