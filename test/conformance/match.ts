/**
 * Cases as data, and patterns for their replies. Objects are partial, lists are exact, a regular expression is for text,
 * everything else is equal; what these cannot say is a rule with a name.
 */

export interface Case {
  readonly id: number;
  readonly title: string;
  /** why it is run nowhere */
  readonly skip?: string;
  readonly setup?: Setup;
  readonly steps: readonly Step[];
}

/** A server of the case's own. A target that cannot set it up skips the case. */
export interface Setup {
  readonly publicUrl?: string;
  readonly registry?: Login;
  readonly restart?: true;
  readonly brokenStore?: true;
  /** nothing was imported */
  readonly empty?: true;
  readonly socket?: true;
  /** over TLS, with a token for each of the rights `import` and `overrides`, which headers name as `{import}` */
  readonly tokens?: true;
}

export interface Login {
  readonly domain: string;
  readonly username: string;
  readonly password: string;
}

export interface Ask {
  readonly method?: "GET" | "HEAD" | "POST";
  /** below the server's address, or where in the earlier replies the URL stands */
  readonly path: string | { readonly from: string };
  readonly headers?: Readonly<Record<string, string>>;
  /** text as it is, else sent as JSON */
  readonly body?: unknown;
  /** a body that takes something from the earlier replies */
  readonly bodyOf?: (seen: Seen) => unknown;
}

/** One request and what its reply must be: `json`, `text`, `bytes`, a `file`, or any body. No reply may redirect. */
export interface Step {
  readonly ask: Ask;
  /** default 200 */
  readonly status?: number | readonly number[];
  /** exact; null: not there */
  readonly headers?: Readonly<Record<string, string | null>>;
  /** as `application/json`, where `headers` says nothing else */
  readonly json?: Pattern;
  readonly text?: Pattern;
  readonly bytes?: Uint8Array;
  readonly file?: {
    /** where the object stands that tells its size and digests */
    readonly told: string;
    /** files of a zip */
    readonly zip?: readonly string[];
    readonly json?: Pattern;
  };
  readonly twice?: "at once" | "on one connection";
  /** reads the beginning of the body and closes the connection */
  readonly hangUp?: true;
  readonly before?: "restart" | { readonly registry: Login };
}

export type Pattern =
  | undefined
  | null
  | boolean
  | number
  | string
  | RegExp
  | Rule
  | readonly Pattern[]
  | { readonly [key: string]: Pattern };

/** JSON of the replies so far, a step's at its index. */
export type Seen = readonly unknown[];

type Test = (value: unknown, at: string, seen: Seen) => readonly string[];

export class Rule {
  readonly test: Test;

  constructor(test: Test) {
    this.test = test;
  }
}

/** What is wrong with a value, in words; empty: it matches. */
export function mismatches(pattern: Pattern, value: unknown, seen: Seen, at = "reply"): readonly string[] {
  if (pattern instanceof Rule) return pattern.test(value, at, seen);
  if (pattern instanceof RegExp) return typeof value === "string" && pattern.test(value) ? [] : [wrong(at, value, String(pattern))];
  if (isList(pattern)) {
    if (!Array.isArray(value)) return [wrong(at, value, "a list")];
    const length = value.length === pattern.length ? [] : [wrong(at, value, `a list of ${pattern.length}`)];
    return [...length, ...pattern.slice(0, value.length).flatMap((one, i) => mismatches(one, value[i], seen, `${at}.${i}`))];
  }
  if (typeof pattern === "object" && pattern !== null) {
    if (!isRecord(value)) return [wrong(at, value, "an object")];
    return Object.entries(pattern).flatMap(([key, one]) => mismatches(one, value[key], seen, `${at}.${key}`));
  }
  return value === pattern ? [] : [wrong(at, value, pattern === undefined ? "nothing" : JSON.stringify(pattern))];
}

/* ---- values ---- */

export const anything = is("anything", (value) => value !== undefined);
export const absent = is("nothing", (value) => value === undefined);
export const text = is("text", (value) => typeof value === "string");
export const nonEmpty = is(
  "text or list that is not empty",
  (value) => (typeof value === "string" || Array.isArray(value)) && value.length > 0,
);
export const integer = is("an integer", (value) => Number.isSafeInteger(value));
export const rfc3339 = is(
  "RFC 3339 with a zone",
  (value) => typeof value === "string" && RFC3339.test(value) && !Number.isNaN(Date.parse(value)),
);
export const flatStrings = is(
  "an object of strings",
  (value) => isRecord(value) && Object.values(value).every((one) => typeof one === "string"),
);
export const architecture = /^(amd64|arm64|ppc64el|s390x|riscv64)$/;

const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

export function hex(digits: number): RegExp {
  return new RegExp(`^[0-9a-f]{${digits}}$`);
}

/* ---- combinations ---- */

/** A list of exactly these, in any order. */
export function anyOrder(...patterns: readonly Pattern[]): Rule {
  return new Rule((value, at, seen) => {
    if (!Array.isArray(value)) return [wrong(at, value, "a list")];
    const left = [...value];
    const missing = patterns.flatMap((pattern) => {
      const found = left.findIndex((one) => mismatches(pattern, one, seen).length === 0);
      if (found >= 0) left.splice(found, 1);
      return found >= 0 ? [] : [nearest(pattern, value, at, seen)];
    });
    return [...missing, ...left.map((one) => wrong(at, one, "no such element"))];
  });
}

/** A list that holds these, and may hold others. */
export function has(...patterns: readonly Pattern[]): Rule {
  return new Rule((value, at, seen) => {
    if (!Array.isArray(value)) return [wrong(at, value, "a list")];
    return patterns.flatMap((pattern) =>
      value.some((one) => mismatches(pattern, one, seen).length === 0) ? [] : [nearest(pattern, value, at, seen)],
    );
  });
}

/** A list in which every element is like this. */
export function each(pattern: Pattern): Rule {
  return new Rule((value, at, seen) => {
    if (!Array.isArray(value)) return [wrong(at, value, "a list")];
    return value.flatMap((one, i) => mismatches(pattern, one, seen, `${at}.${i}`));
  });
}

/** A list with exactly one element of that name, which is like this. */
export function once(name: string, pattern: Pattern): Rule {
  return new Rule((value, at, seen) => {
    const named = Array.isArray(value) ? value.filter((one) => isRecord(one) && one["name"] === name) : [];
    return named.length === 1 ? mismatches(pattern, named[0], seen, `${at}.${name}`) : [wrong(at, value, `${name} once`)];
  });
}

/** An object of these keys and no other. */
export function exactly(pattern: { readonly [key: string]: Pattern }): Rule {
  return new Rule((value, at, seen) => {
    const more = isRecord(value) ? Object.keys(value).filter((key) => !Object.hasOwn(pattern, key)) : [];
    return [
      ...mismatches(pattern, value, seen, at),
      ...more.map((key) => wrong(`${at}.${key}`, (value as Record<string, unknown>)[key], "nothing")),
    ];
  });
}

export function either(...patterns: readonly Pattern[]): Rule {
  return new Rule((value, at, seen) => {
    const found = patterns.map((pattern) => mismatches(pattern, value, seen, at));
    return found.some((problems) => problems.length === 0) ? [] : [found.flat().join(", and ")];
  });
}

export function both(...patterns: readonly Pattern[]): Rule {
  return new Rule((value, at, seen) => patterns.flatMap((pattern) => mismatches(pattern, value, seen, at)));
}

/** Equal to what stands at a path of the earlier replies. */
export function sameAs(path: string): Rule {
  return new Rule((value, at, seen) => {
    const told = lookUp(seen, path);
    return told !== undefined && Bun.deepEquals(told, value, true)
      ? []
      : [wrong(at, value, `the same as ${path}: ${JSON.stringify(told)}`)];
  });
}

/** Other than what stands at a path of the earlier replies. */
export function otherThan(path: string): Rule {
  return new Rule((value, at, seen) => (value !== lookUp(seen, path) ? [] : [wrong(at, value, `other than ${path}`)]));
}

/** A rule of one's own; `what` ends the sentence "expected …". */
export function is(what: string, holds: (value: unknown) => boolean): Rule {
  return new Rule((value, at) => (holds(value) ? [] : [wrong(at, value, what)]));
}

/** What stands at `0.results.0.charm.resources.acme-image`: a list's part is an index, or the name of an element. */
export function lookUp(value: unknown, path: string): unknown {
  return path.split(".").reduce<unknown>((one, part) => {
    if (Array.isArray(one)) return one[Number(part)] ?? one.find((element) => isRecord(element) && element["name"] === part);
    return isRecord(one) ? one[part] : undefined;
  }, value);
}

/** Matches every value of a key that `rules` names, however deep it stands. */
export function everywhere(rules: Readonly<Record<string, Pattern>>, value: unknown, at = "reply"): readonly string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, one]) => [
    ...(!Array.isArray(value) && Object.hasOwn(rules, key) ? mismatches(rules[key], one, [], `${at}.${key}`) : []),
    ...everywhere(rules, one, `${at}.${key}`),
  ]);
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isList(pattern: Pattern): pattern is readonly Pattern[] {
  return Array.isArray(pattern);
}

/** Why no element matches, told of the one that comes nearest. */
function nearest(pattern: Pattern, values: readonly unknown[], at: string, seen: Seen): string {
  const all = values.map((one, i) => mismatches(pattern, one, seen, `${at}.${i}`)).toSorted((a, b) => a.length - b.length);
  return all[0]?.join(", ") ?? `${at}: it is empty`;
}

function wrong(at: string, value: unknown, expected: string): string {
  const shown = JSON.stringify(value) ?? "nothing";
  return `${at}: expected ${expected}, got ${shown.length > 300 ? `${shown.slice(0, 300)}…` : shown}`;
}
