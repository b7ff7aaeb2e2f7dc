/** Serves assertions byte for byte as they were imported: handlers/snapd.md, Assertions. */

import { encodeStream } from "../src/assertions/text.ts";
import { ASSERTION_TYPES } from "../src/assertions/types.ts";
import { CANONICAL_ROOTS } from "../src/assertions/verify.ts";
import { AssertionSet } from "../src/catalog/assertionset.ts";
import { Failure, printable } from "../src/errors.ts";
import { reducedKey } from "../src/wire/snapstore.ts";
import { storeStream } from "../src/wire/storestream.ts";
import { URLS } from "../src/wire/urls.ts";
import type { HandlerDeps } from "./call.ts";
import { type Api, get } from "./routes.ts";

const HEADERS = { "Content-Type": "application/x.ubuntu.assertion" };

/** snapd has these built in; other clients can fetch them. */
const BUILT_IN_ROOTS = new AssertionSet([], CANONICAL_ROOTS);

export function assertionRoutes({ store }: HandlerDeps): Api {
  const assertion = get(URLS.assertion, async (c) => {
    const requested = URLS.assertion.parse(c.req);
    const { type = "", key = [] } = requested ?? {};
    const known = ASSERTION_TYPES.get(type);
    if (!known) throw noAssertion(type, key);
    const sequence = known.sequence ? readSequence(requested?.sequence) : undefined;
    const fullKey = sequence === undefined || sequence === "latest" ? key : [...key, String(sequence)];
    const length = known.key.length - (sequence === "latest" ? 1 : 0);
    const least = length - Object.keys(known.optional ?? {}).length;
    if (fullKey.length > length || fullKey.length < least)
      throw new Failure("malformed", `${type}: its key has ${least} parts, not ${fullKey.length}`);
    const maxFormat = readMaxFormat(requested?.maxFormat);
    const stored = await (await store.snapshot()).assertions();
    const found =
      sequence === "latest"
        ? stored.latest(type, fullKey, maxFormat)
        : (stored.newest(type, reducedKey(type, fullKey), maxFormat) ?? BUILT_IN_ROOTS.newest(type, fullKey, maxFormat));
    if (!found) throw noAssertion(type, key);
    return c.body(found.text, 200, HEADERS);
  });

  // For mirrors of this store, which cannot find these by a snap. `store` assertions are left out: they name this store's address.
  const otherAssertions = get(URLS.otherAssertions, async (c) => {
    const { others } = await (await store.snapshot()).assertions();
    const texts = others.flatMap(({ type, unverified, text }) => (type === "store" || unverified !== undefined ? [] : [text]));
    return c.body(encodeStream(texts), 200, HEADERS);
  });

  const storeAssertions = get(URLS.storeAssertions, async (c) => {
    const texts = storeStream(await (await store.snapshot()).assertions());
    if (texts.length === 0) throw new Failure("not-found", "No store assertion is stored: import proxy.assert or the registration bundle.");
    return c.body(encodeStream(texts), 200, HEADERS);
  });

  return { dialect: "snapd", routes: [assertion, otherAssertions, storeAssertions] };
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

function noAssertion(type: string, key: readonly string[]): Failure {
  return new Failure("not-found", printable(`no ${type} assertion with the key ${key.join("/")} is stored`, 500));
}
