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

/** Signs and reads back; servers with the same key know each other's sessions. */
export class Sessions {
  readonly #key: Uint8Array;

  /** `key`: at least 32 random bytes. */
  constructor(key: Uint8Array) {
    this.#key = key;
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
    return `${text}.${this.#mac(kind, text).toString("base64url")}`;
  }

  #read(kind: string, signed: string): string | undefined {
    const at = signed.lastIndexOf(".");
    const text = signed.slice(0, Math.max(at, 0));
    const [is, should] = [Buffer.from(signed.slice(at + 1), "base64url"), this.#mac(kind, text)];
    return is.byteLength === should.byteLength && timingSafeEqual(is, should) ? text : undefined;
  }

  #mac(kind: string, text: string): Buffer {
    return createHmac("sha256", this.#key).update(`${kind} ${text}`).digest();
  }
}
