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
