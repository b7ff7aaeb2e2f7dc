/** The Overrides API of the Enterprise Store: a token over TLS, and one generation a request. */

import type { Context } from "hono";
import { overridesDraft } from "../src/catalog/drafts.ts";
import { plausibleTime } from "../src/clock.ts";
import { Failure, printable } from "../src/errors.ts";
import type { Token } from "../src/settings/token.ts";
import { checkSeries, overridesReply, readOverrides, setReply, showPins } from "../src/wire/overrides.ts";
import { URLS } from "../src/wire/urls.ts";
import { admitBearer } from "./bearer.ts";
import { MAX_SMALL } from "./body.ts";
import type { Deps, Env, HandlerDeps, OverrideWrites } from "./call.ts";
import { replyWith } from "./replies.ts";
import { type Api, get, post } from "./routes.ts";

const OVERRIDES = { right: "overrides", many: "overrides", one: "an override", verb: "set overrides" } as const;
/** requests that set overrides at once; they are published one after the other */
const MAX_WAITING = 32;

type OverrideDeps = Pick<HandlerDeps, "store" | "bodies" | "log"> & Pick<Deps, "overrides" | "clock">;

export function overrideRoutes({ store, bodies, log, overrides, clock = Date.now }: OverrideDeps): Api {
  if (!overrides) return { dialect: "changing", routes: [] };
  let waiting = 0;
  const admit = (c: Context<Env>) => admitBearer(c, OVERRIDES, { tokens: overrides.tokens, log });

  const list = get(URLS.overridesOfSnap, async (c) => {
    const token = await admit(c);
    if (!token) return undefined;
    checkSeries(c.req.header("X-Ubuntu-Series"));
    const { snap: name = "" } = URLS.overridesOfSnap.parse(c.req) ?? {};
    const { of } = await store.snapshot();
    const snap = await of.snap(name);
    if (!snap) throw new Failure("not-found", `no snap named ${printable(name, 100)} is stored`);
    return replyWith(overridesReply(snap, plausibleTime(clock(), of.time)));
  });

  const set = post(URLS.overrides, async (c) => {
    const token = await admit(c);
    if (!token) return undefined;
    if (waiting >= MAX_WAITING) throw new Failure("too-many", `${waiting} requests set overrides already`);
    waiting += 1;
    try {
      return await bodies.use(c, MAX_SMALL, (text) => setOverridesOf(c, text, token, overrides));
    } finally {
      waiting -= 1;
    }
  });

  async function setOverridesOf(c: Context<Env>, text: string, { name: token }: Token, writes: OverrideWrites): Promise<Response> {
    const pins = await readOverrides(text);
    const terms = { reason: `Overrides API, token ${token}` };
    const command = `override by token ${token}: ${showPins(pins)}`;
    const { result, generation, undo } = await writes.publish((base, now) => overridesDraft(base, pins, { command, terms, now }));
    if (generation !== undefined)
      log({
        level: "info",
        message: "overrides were set",
        id: c.env.id,
        token,
        address: c.env.peer.address(),
        overrides: printable(showPins(pins), 1000),
        generation,
        ...(undo !== undefined && { undo }),
      });
    const { of } = await store.snapshot();
    return replyWith(setReply(result, pins, plausibleTime(clock(), of.time)));
  }

  return { dialect: "changing", routes: [list, set] };
}
