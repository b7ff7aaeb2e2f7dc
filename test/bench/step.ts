/** A server that does a part of what chp does for a request: `bun test/bench/step.ts STEP STORE REPLY`; REPLY: a file. Prints its address. */

import { readFileSync } from "node:fs";
import type { Context } from "hono";
import { createApp } from "../../handlers/app.ts";
import { Bodies, MAX_REFRESH } from "../../handlers/body.ts";
import { type Fetch, listen } from "../../handlers/listen.ts";
import { createLog, type Log } from "../../handlers/log.ts";
import { CacheableReply } from "../../handlers/replies.ts";
import { readCharmRefresh } from "../../src/wire/charmhub.ts";
import { Disk } from "../../store/fs.ts";
import { Store } from "../../store/store.ts";

const [step = "", store = "", file = ""] = process.argv.slice(2);
const kept = new CacheableReply([readFileSync(file, "utf8")]);
const bodies = new Bodies();

/** Reads a body as a handler does, for `work`, and sends the kept reply. */
const reading =
  (work: (text: string) => unknown): Fetch =>
  (request) => {
    const c = { req: { raw: request, header: (name: string) => request.headers.get(name) ?? undefined } } as unknown as Context;
    return bodies.use(c, MAX_REFRESH, async (text) => {
      await work(text);
      return kept.response();
    });
  };
const whole = async (log: Log): Promise<Fetch> => createApp({ store: await Store.open(new Disk(store)), config: {}, log }).fetch;

/** Each does what the one before it does, and more. */
const STEPS: Readonly<Record<string, () => Fetch | Promise<Fetch>>> = {
  listener: () => () => kept.response(),
  body: () => reading(() => {}),
  JSON: () => reading((text) => JSON.parse(text)),
  checks: () => reading((text) => readCharmRefresh(text, "22.04")),
  "all but the log": () => whole(() => {}),
  all: () => whole(createLog((text) => void process.stderr.write(text)).log),
};

const fetch = await STEPS[step]?.();
if (!fetch) throw new Error(`there is no step ${step}: ${Object.keys(STEPS).join(", ")}`);
console.log((await listen(fetch, { host: "127.0.0.1", port: 0 })).url);
