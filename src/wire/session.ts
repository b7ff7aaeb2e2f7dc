/** Stateless nonces and device sessions: clients send back what the server signed. Rules: handlers/snapd.md, Sessions. */

import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import * as v from "valibot";

/** seconds for which a nonce is valid */
const NONCE_TTL = 600;

/** The device of a session. */
export interface Device {
  readonly brand: string;
  readonly model: string;
  readonly serial: string;
  /** the brand store that its verified model names */
  readonly store?: string;
}

const DeviceText = v.object({ brand: v.string(), model: v.string(), serial: v.string(), store: v.optional(v.string()) });

/** milliseconds between two looks for the stored key while there is none */
const LOOK = 1000;

/** Signs and reads back; servers with the same key know each other's sessions. */
export class Sessions {
  /** the one that signs first */
  #keys: readonly [Uint8Array, ...Uint8Array[]];
  #stored: (() => Promise<Uint8Array | undefined>) | undefined;
  #looked = Number.NEGATIVE_INFINITY;
  #look: Promise<void> | undefined;

  /** `key`: at least 32 random bytes, until `stored` has the one that all servers of a store share. */
  constructor(key: Uint8Array, stored?: () => Promise<Uint8Array | undefined>) {
    this.#keys = [key];
    this.#stored = stored;
  }

  /** Looks for the stored key, which comes with the first import of snaps. To be awaited before anything is signed or read. `now`: milliseconds. */
  async ready(now: number): Promise<void> {
    if (!this.#stored) return;
    if (Math.abs(now - this.#looked) >= LOOK) {
      this.#looked = now;
      this.#look = this.#take(this.#stored);
    }
    await this.#look; // also of another request: what it would sign meanwhile, no other server could read
  }

  async #take(stored: () => Promise<Uint8Array | undefined>): Promise<void> {
    const key = await stored().catch(() => undefined); // one that cannot be read may be readable later
    if (!key || !this.#stored) return;
    this.#keys = [key, ...this.#keys];
    this.#stored = undefined;
  }

  /** `now`: milliseconds. */
  nonce(now: number): string {
    return this.#sign("nonce", `${Math.floor(now / 1000)}.${randomBytes(12).toString("base64url")}`);
  }

  isFresh(nonce: string, now: number): boolean {
    const text = this.#read("nonce", nonce);
    const age = now / 1000 - Number(text?.split(".")[0]);
    return age >= -1 && age <= NONCE_TTL;
  }

  /** The session of a device, as text without quotes. */
  open(device: Device): string {
    return this.#sign("session", Buffer.from(JSON.stringify(device)).toString("base64url"));
  }

  /** The device of `Macaroon root="SESSION"`; undefined where the session was not signed with this key. */
  device(header: string | undefined): Device | undefined {
    const root = /^Macaroon\s+root="([^"]{1,4096})"/.exec(header ?? "")?.[1];
    const text = root === undefined ? undefined : this.#read("session", root);
    if (text === undefined) return undefined;
    const parsed = v.safeParse(DeviceText, JSON.parse(Buffer.from(text, "base64url").toString("utf8")));
    if (!parsed.success) return undefined;
    const { store, ...device } = parsed.output;
    return { ...device, ...(store !== undefined && { store }) };
  }

  #sign(kind: string, text: string): string {
    return `${text}.${macOf(this.#keys[0], kind, text).toString("base64url")}`;
  }

  #read(kind: string, signed: string): string | undefined {
    const at = signed.lastIndexOf(".");
    const text = signed.slice(0, Math.max(at, 0));
    const is = Buffer.from(signed.slice(at + 1), "base64url");
    const isBy = (key: Uint8Array) => {
      const should = macOf(key, kind, text);
      return is.byteLength === should.byteLength && timingSafeEqual(is, should);
    };
    return this.#keys.some(isBy) ? text : undefined;
  }
}

function macOf(key: Uint8Array, kind: string, text: string): Buffer {
  return createHmac("sha256", key).update(`${kind} ${text}`).digest();
}
