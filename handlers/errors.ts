/** Errors as snapd reads them: the code decides, the status hardly. Source: contract/snapd.md §1.2, §6.4. */

import type { Hono } from "hono";
import { Failure } from "../src/errors.ts";
import { errorList } from "../src/wire/json.ts";
import type { Env } from "./call.ts";
import { replyWith } from "./replies.ts";

/** Routes whose refusals speak snapd's dialect; what is no refusal goes on to the application. */
export function snapErrors(app: Hono<Env>): Hono<Env> {
  return app.onError((error) => {
    if (!(error instanceof Failure) || error.status >= 500) throw error;
    return replyWith(JSON.stringify(errorList(error.status === 404 ? "not-found" : "invalid-request", error.message)), error.status);
  });
}
