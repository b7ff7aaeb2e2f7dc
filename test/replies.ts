/** Replies of two servers, compared to the byte. */

import { expect } from "bun:test";
import type { Question } from "./catalogue.ts";

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** its bytes, as characters of one byte each */
  readonly body: string;
}

export type Ask = (question: Question) => Promise<Reply>;

/** What is compared of a reply: the address of its server, its own number and the clock are left out. */
export async function readReply(response: Response, origin: string): Promise<Reply> {
  const body = Buffer.from(await response.arrayBuffer()).toString("latin1");
  const shown = body.replaceAll(origin, "http://hub.test");
  const left = ["x-request-id", "date", "last-modified", ...(shown.length === body.length ? [] : ["content-length"])];
  return {
    status: response.status,
    headers: Object.fromEntries([...response.headers].filter(([name]) => !left.includes(name))),
    body: shown,
  };
}

/** Throws at the first question whose replies differ. */
export async function expectAlike(first: Ask, second: Ask, questions: readonly Question[]): Promise<void> {
  for (const question of questions) {
    const [x, y] = [await first(question), await second(question)];
    if (x.body !== y.body || x.status !== y.status || JSON.stringify(x.headers) !== JSON.stringify(y.headers))
      expect({ question: told(question), ...readable(y) }).toEqual({ question: told(question), ...readable(x) });
  }
}

function told({ method, path, headers }: Question): string {
  return `${method} ${path} ${JSON.stringify(headers)}`;
}

/** JSON as a value, so that a difference can be seen; as text besides, for the order of its keys. */
function readable({ status, headers, body }: Reply): object {
  try {
    return { status, headers, value: JSON.parse(Buffer.from(body, "latin1").toString()), body };
  } catch {
    return { status, headers, body };
  }
}
