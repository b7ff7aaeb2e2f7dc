/** Assertions, byte for byte as they were imported. Source: contract/snapd.md §6.4, §7.1. */

import { type Context, Hono } from "hono";
import { encodeStream } from "../src/assertions/text.ts";
import { ASSERTION_TYPES } from "../src/assertions/types.ts";
import { CANONICAL_ROOTS } from "../src/assertions/verify.ts";
import { AssertionSet } from "../src/catalog/assertionset.ts";
import { Failure, printable } from "../src/errors.ts";
import { reducedKey, storeStream } from "../src/wire/snapstore.ts";
import type { Env, Parts } from "./call.ts";
import { snapErrors } from "./errors.ts";

const MEDIA_TYPE = "application/x.ubuntu.assertion";
const PATH = "/v2/assertions/";

/** Clients have them built in; people with curl do not. */
const ROOTS = new AssertionSet([], CANONICAL_ROOTS);

export function assertions({ store }: Parts): Hono<Env> {
  const app = snapErrors(new Hono<Env>());

  app.get(`${PATH}*`, async (c) => {
    const { type, key } = asked(c);
    const known = ASSERTION_TYPES.get(type);
    if (!known) throw notFound(type, key);
    const sequence = known.sequence ? readSequence(c.req.query("sequence")) : undefined;
    const wanted = sequence === undefined || sequence === "latest" ? key : [...key, String(sequence)];
    const length = known.key.length - (sequence === "latest" ? 1 : 0);
    const least = length - Object.keys(known.optional ?? {}).length;
    if (wanted.length > length || wanted.length < least)
      throw new Failure("malformed", `${type}: its key has ${least} parts, not ${wanted.length}`);
    const maxFormat = readMaxFormat(c.req.query("max-format"));
    const held = await (await store.snapshot()).assertions();
    const found =
      sequence === "latest"
        ? held.latest(type, wanted, maxFormat)
        : (held.newest(type, reducedKey(type, wanted), maxFormat) ?? ROOTS.newest(type, wanted, maxFormat));
    if (!found) throw notFound(type, key);
    return c.body(found.text, 200, { "Content-Type": MEDIA_TYPE });
  });

  // Whoever mirrors this store finds those of snaps by the snaps, and these by nothing. A store's own names its own address.
  app.get("/_status/assertions", async (c) => {
    const { others } = await (await store.snapshot()).assertions();
    const texts = others.flatMap(({ type, unverified, text }) => (type === "store" || unverified !== undefined ? [] : [text]));
    return c.body(encodeStream(texts), 200, { "Content-Type": MEDIA_TYPE });
  });

  app.get("/v2/auth/store/assertions", async (c) => {
    const texts = storeStream(await (await store.snapshot()).assertions());
    if (texts.length === 0) throw new Failure("not-found", "No store assertion is held: import proxy.assert or the registration bundle.");
    return c.body(encodeStream(texts), 200, { "Content-Type": MEDIA_TYPE });
  });

  return app;
}

/** Type and key of the path as it came, each part decoded once. */
function asked(c: Context): { type: string; key: string[] } {
  const { pathname } = new URL(c.req.url);
  const parts = pathname.slice(pathname.indexOf(PATH) + PATH.length).split("/");
  try {
    const [type = "", ...key] = parts.map(decodeURIComponent);
    return { type, key: key.at(-1) === "" ? key.slice(0, -1) : key };
  } catch {
    throw new Failure("malformed", "the path is not percent-encoded UTF-8");
  }
}

/** `latest`, or a number from 1 on. */
function readSequence(text: string | undefined): "latest" | number | undefined {
  if (text === undefined || text === "latest") return text;
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new Failure("malformed", "sequence: it is neither latest nor a number from 1 on");
  return Number(text);
}

function readMaxFormat(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,9}$/.test(text)) throw new Failure("malformed", "max-format: it is not a whole number");
  return Number(text);
}

function notFound(type: string, key: readonly string[]): Failure {
  return new Failure("not-found", printable(`no ${type} assertion with the key ${key.join("/")} is held`, 500));
}
