/** Stands in for the public stores: answers by a table, in this process, and keeps what it was asked. */

import { HttpClient, type HttpRequest as RemoteRequest } from "../src/export/client.ts";
import { Upstream } from "../src/export/upstream.ts";

export const CHARMHUB = "https://charmhub.test";
export const SNAPSTORE = "https://snaps.test";

export interface Asked {
  readonly method: string;
  readonly url: URL;
  readonly headers: Headers;
  /** parsed, of a POST */
  readonly body: Readonly<Record<string, unknown>>;
}

/** An answer: JSON, a text of assertions, or the status of an error reply as the stores write it. */
export type Answer = object | string | number;

/** Undefined: 404. */
export type Answering = (asked: Asked) => Answer | undefined;

export interface FakeUpstream {
  readonly upstream: Upstream;
  readonly client: HttpClient;
  readonly asked: readonly Asked[];
}

export function fakeUpstream(answering: Answering): FakeUpstream {
  const asked: Asked[] = [];
  const transport = async (text: string, { method = "GET", headers, body }: RemoteRequest) => {
    const one = {
      method,
      url: new URL(text),
      headers: new Headers({ ...headers }),
      body: body === undefined ? {} : (JSON.parse(body) as Record<string, unknown>),
    };
    asked.push(one);
    const answer = answering(one) ?? 404;
    if (typeof answer === "string") return new Response(answer, { headers: { "Content-Type": "application/x.ubuntu.assertion" } });
    if (typeof answer === "number")
      return new Response(JSON.stringify({ "error-list": [{ code: "not-found", message: `no ${one.url.pathname}` }] }), {
        status: answer,
        headers: { "Content-Type": "application/json" },
      });
    return new Response(JSON.stringify(answer), { headers: { "Content-Type": "application/json" } });
  };
  const remote = new HttpClient({ transport, sleep: async () => {} });
  return {
    upstream: new Upstream({ charmhub: CHARMHUB, snapstore: SNAPSTORE, agents: `${CHARMHUB}/juju/tools` }, remote),
    client: remote,
    asked,
  };
}

/** The actions of a refresh request. */
export function actionsOf({ body }: Asked): Readonly<Record<string, unknown>>[] {
  return body["actions"] as Record<string, unknown>[];
}

/** A reply to a refresh request, one result an action. */
export function refreshReply(asked: Asked, result: (action: Readonly<Record<string, unknown>>) => object): object {
  const results = actionsOf(asked).map((action) => ({ ...result(action), "instance-key": action["instance-key"] }));
  return { "error-list": [], results };
}
