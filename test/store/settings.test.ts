import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { createAuthority } from "../../src/settings/authority.ts";
import { makeToken } from "../../src/settings/token.ts";
import { SECRETS, SETTINGS, settingsKey } from "../../store/keys.ts";
import { Memory } from "../../store/memory.ts";
import { seal } from "../../store/sealed.ts";
import { type Change, DOCUMENTS, type Documents, Settings } from "../../store/settings.ts";
import type { Stage } from "../../store/storage.ts";
import { Store } from "../../store/store.ts";
import { runs, stride } from "../thorough.ts";

const NAMES = Object.keys(DOCUMENTS) as (keyof Documents)[];
const { certificate } = await createAuthority("test", Date.UTC(2026, 0));

/** Settings over one file of format 1 with that text. */
async function withFile(name: keyof Documents, text: string): Promise<Settings> {
  const storage = new Memory();
  await storage.create(DOCUMENTS[name].legacy, Buffer.from(text));
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
  tlsSecret: { keys: ["new"] },
  authority: { certificate, key: "key" },
};

/** Every object of a storage by its key. */
async function objects(storage: Memory): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const folder of ["", SETTINGS, SECRETS])
    for (const key of await storage.list(folder)) found.set(key, Buffer.from((await (await storage.open(key))?.bytes()) ?? []).toString());
  return found;
}

async function overwrite(storage: Memory, key: string, text: Uint8Array | string): Promise<void> {
  await storage.remove(key);
  await storage.create(key, Buffer.from(text));
}

const put = (settings: Settings, change: Change) => settings.change([], () => change);

describe.each(NAMES)("%s", (name) => {
  test("is what it stands for while it is missing or empty", async () => {
    const { missing } = DOCUMENTS[name];
    expect(await new Settings(new Memory()).read(name)).toEqual(missing);
    expect(await (await withFile(name, "{}")).read(name)).toEqual(missing);
  });

  test("is read as it was written, by whoever opens the store", async () => {
    const storage = new Memory();
    await put(new Settings(storage), { [name]: VALUES[name] });
    expect(await new Settings(storage).read(name)).toEqual(VALUES[name]);
    expect(await storage.list(SETTINGS)).toEqual([settingsKey(1)]);
    expect(await storage.list(SECRETS)).toHaveLength(DOCUMENTS[name].kind === "secret" ? 1 : 0);
  });

  test.each(["", "[]", "7", "{", "null"])("a file of format 1 with %j in it is refused, and named", async (text) => {
    expect(await failureOf(withFile(name, text), name)).toMatchObject({
      kind: "corrupt",
      message: `memory/${DOCUMENTS[name].legacy} is not readable`,
      next: DOCUMENTS[name].next ?? "repair or remove that file",
    });
  });

  test("is taken over from format 1 by the first change, with all others", async () => {
    const storage = new Memory();
    for (const each of NAMES) await storage.create(DOCUMENTS[each].legacy, Buffer.from(JSON.stringify(VALUES[each])));
    const settings = new Settings(storage);
    expect(await settings.readTogether(NAMES)).toEqual(VALUES);
    await settings.change([name], ({ [name]: before }) => ({ [name]: before }));
    expect(await settings.readTogether(NAMES)).toEqual(VALUES);
    for (const each of NAMES) expect([each, storage.has(DOCUMENTS[each].legacy)]).toEqual([each, false]);
  });
});

test("what is no document in format 1 is not taken over, and not lost", async () => {
  const storage = new Memory();
  await storage.create(DOCUMENTS.tokens.legacy, Buffer.from("x"));
  await storage.create(DOCUMENTS.session.legacy, Buffer.from(JSON.stringify(VALUES.session)));
  const settings = new Settings(storage);
  await put(settings, { config: { a: "b" } });
  expect([storage.has(DOCUMENTS.tokens.legacy), storage.has(DOCUMENTS.session.legacy)]).toEqual([true, false]);
  expect(await settings.read("session")).toEqual(VALUES.session);
  expect(await failureOf(Promise.resolve(settings), "tokens")).toMatchObject({ kind: "corrupt" });
});

describe("a JSON object of another shape", () => {
  test.each<[keyof Documents, unknown]>([
    ["tokens", { tokens: {} }],
    ["tokens", { tokens: [{ name: "x" }] }],
    ["tokens", { tokens: [null] }],
    ["tls", { certificate: "x" }],
    ["tls", { certificate, authority: "x" }],
    ["tls", { certificate, names: "hub" }],
    ["tls", { names: [] }],
  ])("is no %s: %j", async (name, value) => {
    expect(await failureOf(withFile(name, JSON.stringify(value)), name)).toMatchObject({ kind: "corrupt", next: DOCUMENTS[name].next });
  });

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

describe("several at once", () => {
  /** Waits before each step for as many turns as the next number says. */
  function slow(waits: readonly number[]): Memory {
    let next = 0;
    const wait = async () => {
      for (let i = waits[next++ % waits.length] ?? 0; i > 0; i -= 1) await Promise.resolve();
    };
    return new (class extends Memory {
      override async list(prefix: string) {
        await wait();
        return super.list(prefix);
      }
      override async open(key: string) {
        await wait();
        return super.open(key);
      }
      override async create(key: string, bytes: Uint8Array) {
        await wait();
        return super.create(key, bytes);
      }
      override async stage() {
        const stage: Stage = await super.stage();
        return { ...stage, commit: async (key: string) => (await wait(), stage.commit(key)) };
      }
    })();
  }

  const Waits = fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 3, maxLength: 40 });

  test("lose no change, public or secret, and leave nothing behind", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 2, max: 9 }), Waits, async (count, waits) => {
        const storage = slow(waits);
        const writers = Array.from({ length: count }, (_, i) => i);
        await Promise.all(
          writers.map((i) =>
            new Settings(storage).change(["config", "tokens"], ({ config, tokens }) => ({
              config: { ...config, [`key${i}`]: "x" },
              tokens: { tokens: [...tokens.tokens, { name: `t${i}`, sha256: "", created: "" }] },
            })),
          ),
        );
        const { config, tokens } = await new Settings(storage).readTogether(["config", "tokens"]);
        expect(Object.keys(config).toSorted()).toEqual(writers.map((i) => `key${i}`));
        expect(tokens.tokens.map(({ name }) => name).toSorted()).toEqual(writers.map((i) => `t${i}`));
        await put(new Settings(storage), { config });
        expect((await storage.list(SETTINGS)).length).toBeLessThanOrEqual(3);
        expect((await storage.list(SECRETS)).length).toBeLessThanOrEqual(3);
      }),
      { numRuns: runs(200) },
    );
  });

  test("a reader sees a certificate with its key, whatever is written meanwhile", async () => {
    await fc.assert(
      fc.asyncProperty(Waits, async (waits) => {
        const storage = slow(waits);
        await put(new Settings(storage), { tls: { certificate, names: ["0"] }, tlsSecret: { keys: ["0"] } });
        const state = { writing: true };
        const write = async () => {
          for (let i = 1; i <= 8; i += 1)
            await put(new Settings(storage), { tls: { certificate, names: [`${i}`] }, tlsSecret: { keys: [`${i}`] } });
          state.writing = false;
        };
        const read = async () => {
          while (state.writing) {
            const { tls, tlsSecret } = await new Settings(storage).readTogether(["tls", "tlsSecret"]);
            expect(tls?.names).toEqual([...tlsSecret.keys]);
          }
        };
        await Promise.all([write(), read(), read()]);
      }),
      { numRuns: runs(60) },
    );
  });

  test("a reader whose settings are pruned between listing and reading them reads the newest", async () => {
    const storage = new (class extends Memory {
      before: () => Promise<void> = async () => {};
      override async open(key: string) {
        const { before } = this;
        this.before = async () => {};
        await before();
        return super.open(key);
      }
    })();
    const value = (i: number): Change => ({ config: { a: `${i}` }, tokens: { tokens: [{ name: `${i}`, sha256: "", created: "" }] } });
    await put(new Settings(storage), value(0));
    storage.before = async () => {
      for (let i = 1; i <= 6; i += 1) await put(new Settings(storage), value(i));
    };
    expect(await new Settings(storage).readTogether(["config", "tokens"])).toEqual(value(6) as never);
  });

  test("one that was so slow that its number is taken and pruned again changes what there is now", async () => {
    const storage = new Memory();
    const settings = new Settings(storage);
    await put(settings, { config: { first: "x" } });
    let calls = 0;
    await settings.change(["config"], async ({ config }) => {
      calls += 1;
      if (calls === 1) for (let i = 0; i < 6; i += 1) await put(new Settings(storage), { config: { ...config, [`other${i}`]: "x" } });
      return { config: { ...config, slow: "x" } };
    });
    expect(calls).toBe(2);
    expect(await settings.read("config")).toEqual({ first: "x", other5: "x", slow: "x" });
  });

  test("what another version keeps there stays", async () => {
    const storage = new Memory();
    const more = { documents: { config: {}, later: { a: 1 } }, secrets: {}, extra: [1] };
    await storage.create(settingsKey(4), seal({ format: 2, number: 4, ...more }));
    await put(new Settings(storage), { config: { a: "b" } });
    const record = JSON.parse((await objects(storage)).get(settingsKey(5)) ?? "");
    expect(record).toMatchObject({ number: 5, documents: { config: { a: "b" }, later: { a: 1 } }, extra: [1] });
    await put(new Settings(storage), { config: { a: "c" } });
    expect(await new Settings(storage).problems()).toEqual([]);
  });
});

describe("what cannot be read", () => {
  async function filled(): Promise<Memory> {
    const storage = new Memory();
    await storage.create("format.json", Buffer.from('{"format": 2}'));
    await put(new Settings(storage), VALUES);
    return storage;
  }

  test("is never what is not set: no bit of settings or secrets changes unseen", async () => {
    const storage = await filled();
    for (const [key, text] of await objects(storage)) {
      if (key === "format.json") continue;
      const bytes = Buffer.from(text);
      for (let bit = 0; bit < bytes.byteLength * 8; bit += (key.startsWith(SETTINGS) ? 61 : 7) * stride(50)) {
        const copy = storage.copy();
        const other = Buffer.from(bytes);
        other[bit >> 3] = (other[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        await overwrite(copy, key, other);
        const settings = new Settings(copy);
        expect((await settings.problems()).length).toBeGreaterThan(0);
        const failed = await Promise.all(
          NAMES.map((name) =>
            settings.read(name).then(
              () => [],
              () => [name],
            ),
          ),
        );
        // the file of a secret is that secret alone; settings are all
        expect(failed.flat().length).toBe(key.startsWith(SETTINGS) ? NAMES.length : 1);
      }
    }
  });

  test("is not written over by a change", async () => {
    const storage = await filled();
    await overwrite(storage, settingsKey(1), "{}");
    const failure = await put(new Settings(storage), { config: {} }).catch((error: unknown) => error);
    expect(failure).toMatchObject({
      kind: "corrupt",
      message: expect.stringContaining("settings/0000000001.json"),
      next: expect.stringContaining("remove it"),
    });
    expect(await storage.list(SETTINGS)).toEqual([settingsKey(1)]);
  });

  test("of a newer chp is refused, and not numbered past", async () => {
    const storage = await filled();
    await storage.create(settingsKey(2), Buffer.from('{"format": 3}'));
    for (const work of [new Settings(storage).read("config"), put(new Settings(storage), { config: {} })])
      expect(
        await work.then(
          () => undefined,
          (error: unknown) => error,
        ),
      ).toMatchObject({ kind: "store-too-new" });
    expect(await storage.list(SETTINGS)).toEqual([settingsKey(1), settingsKey(2)]);
  });

  test("a secret that is gone is not set, and verify tells", async () => {
    const storage = await filled();
    const [tokens = ""] = (await storage.list(SECRETS)).filter((key) => key.includes("tokens"));
    await storage.remove(tokens);
    expect(await new Settings(storage).read("tokens")).toEqual({ tokens: [] });
    expect(await new Settings(storage).problems()).toEqual([`${tokens} is missing, so what it contained is not set`]);
  });
});

test("settings are no way to guess a secret: the same one is stored otherwise each time, and nothing of it is public", async () => {
  const texts: string[] = [];
  for (const _ of [1, 2]) {
    const storage = new Memory();
    await put(new Settings(storage), { ociSecret: { password: "hush", former: [] } });
    const record = (await objects(storage)).get(settingsKey(1)) ?? "";
    expect(record).not.toContain("hush");
    texts.push(JSON.parse(record).secrets.ociSecret.sha256);
  }
  expect(texts[0]).not.toBe(texts[1] as string);
});

test("the first change of settings raises a store of format 1, before its settings are there", async () => {
  const order: string[] = [];
  const storage = new (class extends Memory {
    override async create(key: string, bytes: Uint8Array) {
      order.push(
        `${key} ${Buffer.from((await (await this.open("format.json"))?.bytes()) ?? [])
          .toString()
          .trim()}`,
      );
      return super.create(key, bytes);
    }
  })();
  await storage.create("format.json", Buffer.from('{"format":1}\n'));
  await put((await Store.open(storage)).settings, { config: { a: "b" } });
  expect(order.at(-1)).toBe(`${settingsKey(1)} {"format":2}`);
});

test("a copy has the documents of format 1, which have a file each, secrets among them", async () => {
  const storage = new Memory();
  for (const name of NAMES) await storage.create(DOCUMENTS[name].legacy, Buffer.from(JSON.stringify(VALUES[name])));
  const copy = new Memory();
  const secrets = await new Settings(storage).copyTo(copy);
  expect(secrets.toSorted()).toEqual(
    NAMES.filter((name) => DOCUMENTS[name].kind === "secret")
      .map((name) => DOCUMENTS[name].legacy)
      .toSorted(),
  );
  expect(await new Settings(copy).readTogether(NAMES)).toEqual(await new Settings(storage).readTogether(NAMES));
  expect(await new Settings(copy).read("config")).toMatchObject(VALUES.config);
});
