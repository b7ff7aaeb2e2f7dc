import { expect, test } from "bun:test";
import { Sessions } from "../../../src/wire/session.ts";

const KEY = new Uint8Array(32).fill(7);
const NOW = Date.parse("2026-03-01T00:00:00Z");
const DEVICE = { brand: "acme", model: "box", serial: "a1", store: "acme-store" };

test("a nonce is good for ten minutes, here and on a server with the same key", () => {
  const nonce = new Sessions(KEY).nonce(NOW);
  const other = new Sessions(KEY);
  expect(other.isFresh(nonce, NOW)).toBeTrue();
  expect(other.isFresh(nonce, NOW + 599_000)).toBeTrue();
  expect(other.isFresh(nonce, NOW + 601_000)).toBeFalse();
  expect(other.isFresh(nonce, NOW - 60_000)).toBeFalse();
  expect(new Sessions(new Uint8Array(32)).isFresh(nonce, NOW)).toBeFalse();
  expect(new Sessions(KEY).nonce(NOW)).not.toBe(nonce);
  for (const junk of ["", ".", "x.y.z", `${nonce}x`, nonce.slice(1)]) expect(other.isFresh(junk, NOW)).toBeFalse();
});

test("a session tells its device, and only ours does", () => {
  const sessions = new Sessions(KEY);
  const text = sessions.open(DEVICE);
  expect(text).not.toContain('"');
  expect(new Sessions(KEY).device(`Macaroon root="${text}"`)).toEqual(DEVICE);
  expect(new Sessions(new Uint8Array(32)).device(`Macaroon root="${text}"`)).toBeUndefined();
  const foreign = [
    undefined,
    "",
    "Macaroon",
    `Macaroon root="${text}x"`,
    'Macaroon root="MDAxOGxvY2F0aW9u"',
    `Bearer ${text}`,
    `Macaroon root="${sessions.nonce(NOW)}"`,
  ];
  for (const header of foreign) expect(sessions.device(header)).toBeUndefined();
});

test("servers that began before the key was stored take it over, and know what they signed before", async () => {
  let stored: Uint8Array | undefined;
  let looks = 0;
  const look = async () => {
    looks += 1;
    if (looks === 2) throw new Error("no store key");
    return stored;
  };
  const [a, b] = [new Sessions(new Uint8Array(32).fill(1), look), new Sessions(KEY)];
  await a.ready(NOW);
  await a.ready(NOW + 500);
  expect(looks).toBe(1); // one a second
  const early = a.open(DEVICE);
  stored = KEY;
  await a.ready(NOW + 1000);
  expect([looks, b.isFresh(a.nonce(NOW), NOW)]).toEqual([2, false]);
  await a.ready(NOW + 2000);
  expect(b.isFresh(a.nonce(NOW), NOW)).toBeTrue();
  expect(a.isFresh(b.nonce(NOW), NOW)).toBeTrue();
  expect([a.device(`Macaroon root="${early}"`), b.device(`Macaroon root="${a.open(DEVICE)}"`)]).toEqual([DEVICE, DEVICE]);
  await a.ready(NOW + 9000);
  expect(looks).toBe(3);
});

test("a request that comes while another looks for the stored key signs with it, too", async () => {
  const looking = Promise.withResolvers<Uint8Array>();
  const [a, b] = [new Sessions(new Uint8Array(32).fill(1), () => looking.promise), new Sessions(KEY)];
  const nonces = Promise.all([NOW, NOW + 1].map(async (now) => (await a.ready(now), a.nonce(now))));
  looking.resolve(KEY);
  expect((await nonces).map((nonce) => b.isFresh(nonce, NOW))).toEqual([true, true]);
});
