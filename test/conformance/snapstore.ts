/** What snapd expects of a Snap Store, as data: 93 numbered cases, and more from 94 on, over the snaps of test/snapworld.ts. */

import {
  ALL1,
  ASSERTIONS,
  CLASSY,
  CORE22,
  DTRACK,
  deviceSessionRequest,
  EPOCHAL,
  HELLO,
  ICON,
  IMAGES,
  INTERNET,
  PUBLISHER,
  SERIAL_KEY,
  STORE_STREAM,
  sha3Of,
  YAML,
} from "../snapworld.ts";
import {
  absent,
  anyOrder,
  anything,
  both,
  type Case,
  each,
  either,
  exactly,
  has,
  hex,
  integer,
  is,
  isRecord,
  lookUp,
  nonEmpty,
  otherThan,
  type Pattern,
  Rule,
  rfc3339,
  type Seen,
  type Step,
  sameAs,
  text,
} from "./match.ts";

const CONCRETE = ["amd64", "arm64", "armhf", "i386", "ppc64el", "riscv64", "s390x"];
const VALIDATIONS = /^(unproven|starred|verified)$/;

const formats = is(
  "a list of integers that increase",
  (value) =>
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((one, i) => Number.isSafeInteger(one) && (i === 0 || one > (value[i - 1] as number))),
);

const textLists = is(
  "an object of lists of text",
  (value) => isRecord(value) && Object.values(value).every((one) => Array.isArray(one) && one.every((word) => typeof word === "string")),
);

/** What holds for a key of this name wherever it stands in a reply: the types that Go insists on, and what never comes out. */
export const EVERYWHERE: Readonly<Record<string, Pattern>> = {
  architecture: is("an architecture that a machine has", (value) => CONCRETE.some((one) => one === value)),
  architectures: each(text),
  categories: each({ name: nonEmpty }),
  "common-ids": each(text),
  confinement: /^(strict|classic|devmode)$/,
  deltas: [],
  "effective-channel": either("", /^([^/]+\/)?(stable|candidate|beta|edge)(\/[^/]+)?$/),
  epoch: exactly({ read: formats, write: formats }),
  links: textLists,
  media: is("nothing of the internet", (value) => !JSON.stringify(value).includes(INTERNET)),
  prices: exactly({}),
  publisher: { id: nonEmpty, username: nonEmpty, "display-name": nonEmpty, validation: VALIDATIONS },
  "redirect-channel": either("", /^[^/]+\/(stable|candidate|beta|edge)$/),
  "released-at": either(null, rfc3339),
  resources: is("no name twice", (value) => !Array.isArray(value) || new Set(value.map((r) => r?.name)).size === value.length),
  revision: either(integer, {}),
  "sha3-384": either("", hex(96)),
  size: integer,
  "snap-id": text,
  "snap-yaml": text,
  url: /^https?:\/\/[^/]+\//,
  version: text,
};

/* ---- words of the requests ---- */

type Headers = Readonly<Record<string, string>>;

const AGENT = "snapd/2.77 (series 16; classic) debian/13 (amd64) linux/6.12.0-amd64";

/** As snapd asks the newer endpoints. */
const V2: Headers = {
  "Snap-Device-Architecture": "amd64",
  "Snap-Device-Series": "16",
  "Snap-Classic": "true",
  "Snap-Device-Capabilities": "default-tracks",
  "User-Agent": AGENT,
};

/** As it asks the older ones and assertions. */
const V1: Headers = {
  "X-Ubuntu-Architecture": "amd64",
  "X-Ubuntu-Series": "16",
  "X-Ubuntu-Classic": "true",
  "X-Ubuntu-Wire-Protocol": "1",
  "Snap-Device-Capabilities": "default-tracks",
  "User-Agent": AGENT,
};

/** As it downloads. */
const E3: Headers = { ...V1, "Accept-Encoding": "gzip", Accept: "", "Snap-CDN": "none" };

const JSON_BODY: Headers = { "Content-Type": "application/json", Accept: "application/json" };
const MEDIA_TYPE = "application/x.ubuntu.assertion";

const FIELDS = (
  "architectures base confinement links contact created-at description download epoch license name prices private publisher revision " +
  "snap-id snap-yaml summary title type version website store-url integrity media common-ids categories"
).split(" ");
const WITH_RESOURCES = [...FIELDS, "resources"];

const INFO_FIELDS = WITH_RESOURCES.filter((field) => field !== "snap-yaml" && field !== "integrity").join();
const FIND_FIELDS =
  "base,confinement,links,contact,description,download,license,prices,private,publisher,revision,summary,title,type,version,website,store-url,media,common-ids,categories,channel";

const MAX_FORMATS = { "account-key": 1, "snap-declaration": 7, "system-user": 2 };

type Action = Readonly<Record<string, unknown>>;
type Result = Readonly<Record<string, Pattern>>;

function query(parameters: Readonly<Record<string, string>>): string {
  return new URLSearchParams(parameters).toString();
}

function get(path: string, json: Pattern, more: Partial<Step> = {}): Step {
  return { ask: { path, headers: V2 }, json, ...more };
}

function post(path: string, body: unknown, json: Pattern, more: Partial<Step> = {}): Step {
  return { ask: { method: "POST", path, body, headers: { ...V2, ...JSON_BODY } }, json, ...more };
}

/** The same request with other headers. */
function sent(step: Step, headers: Headers): Step {
  return { ...step, ask: { ...step.ask, headers: { ...step.ask.headers, ...headers } } };
}

function on(architecture: string, step: Step): Step {
  return sent(step, { "Snap-Device-Architecture": architecture });
}

const NO_ERRORS = either(absent, []);

function refresh(body: Action, results: Pattern, more: Partial<Step> = {}): Step {
  return post("/v2/snaps/refresh", { context: [], fields: FIELDS, ...body }, { results, "error-list": NO_ERRORS }, more);
}

/** A request of one action, which has one result. */
function single(action: "install" | "download", asked: Action, result: Result, request: Action = {}): Step {
  const key = `${action}-1`;
  return refresh({ actions: [{ action, "instance-key": key, epoch: null, ...asked }], ...request }, [
    { result: action, "instance-key": key, ...result },
  ]);
}

function install(name: string, asked: Action, result: Result, request: Action = {}): Step {
  return single("install", { name, ...asked }, result, request);
}

function download(name: string, asked: Action, result: Result, request: Action = {}): Step {
  return single("download", { name, ...asked }, result, request);
}

interface Machine {
  readonly id: string;
  readonly key?: string;
  readonly revision: number;
  readonly channel?: string;
  readonly epoch?: number;
}

function installed({ id, key = id, revision, channel = "latest/stable", epoch = 0 }: Machine): Action {
  return {
    "snap-id": id,
    "instance-key": key,
    revision,
    "tracking-channel": channel,
    epoch: { read: [epoch], write: [epoch] },
    "refreshed-date": "2026-03-01T10:20:30.123456789Z",
    held: { by: ["system"] },
  };
}

function update({ id, key = id }: Machine, asked: Action = {}): Action {
  return { action: "refresh", "instance-key": key, "snap-id": id, ...asked };
}

/** A machine that has one snap asks for its update. */
function check(machine: Machine, asked: Action, result: Result, request: Action = {}): Step {
  return refresh({ context: [installed(machine)], actions: [update(machine, asked)], ...request }, [
    { result: "refresh", "instance-key": machine.key ?? machine.id, ...result },
  ]);
}

/** Groups of assertions that are asked for at once; the first is `AAA`, the second `AAB`. */
function fetchAssertions(groups: readonly (readonly Action[])[], results: readonly Result[], maxFormats: unknown = MAX_FORMATS): Step {
  const key = (i: number) => `AA${String.fromCharCode(65 + i)}`;
  return post(
    "/v2/snaps/refresh",
    {
      context: [],
      actions: groups.map((assertions, i) => ({ action: "fetch-assertions", key: key(i), assertions })),
      fields: FIELDS,
      "assertion-max-formats": maxFormats,
    },
    { results: anyOrder(...results.map((one, i) => ({ result: "fetch-assertions", key: key(i), ...one }))), "error-list": NO_ERRORS },
  );
}

function fetchOne(asked: Action, result: Result, maxFormats?: unknown): Step {
  return fetchAssertions([[asked]], [result], maxFormats);
}

/** What the first URL of the first result leads to. */
function stream(content: string, of = "0.results.0.assertion-stream-urls.0"): Step {
  return { ask: { path: { from: of }, headers: V1 }, text: content, headers: { "content-type": MEDIA_TYPE } };
}

/** An assertion to the letter. `key`: the primary key, in a path. */
function assertion(path: string, content: string): Step {
  return {
    ask: { path: `/v2/assertions/${path}`, headers: { ...V1, Accept: MEDIA_TYPE } },
    text: content,
    headers: { "content-type": MEDIA_TYPE },
  };
}

function noAssertion(path: string, status: number | readonly number[] = 404, code: Pattern = "not-found"): Step {
  return {
    ask: { path: `/v2/assertions/${path}`, headers: { ...V1, Accept: MEDIA_TYPE } },
    status,
    json: { "error-list": has({ code, message: nonEmpty }) },
  };
}

function info(name: string, json: Pattern, parameters: Readonly<Record<string, string>> = {}): Step {
  return get(`/v2/snaps/info/${name}?${query({ architecture: "amd64", fields: INFO_FIELDS, ...parameters })}`, json);
}

function find(parameters: Readonly<Record<string, string>>, results: Pattern): Step {
  const asked = query({ fields: FIND_FIELDS, architecture: "amd64", confinement: "strict,classic", ...parameters });
  return get(`/v2/snaps/find?${asked}`, exactly({ results }));
}

function notFound(path: string, more: Partial<Step> = {}): Step {
  return get(path, { "error-list": has({ code: nonEmpty, message: nonEmpty }) }, { status: 404, ...more });
}

/** A download of what an earlier reply tells of at `told`. */
function file(told: string, headers: Headers = E3, more: Partial<Step> = {}): Step {
  return { ask: { path: { from: `${told}.url` }, headers }, file: { told }, ...more };
}

/** What stands from a byte on. */
function rest(told: string, image: Uint8Array, start: number): Step {
  const { byteLength } = image;
  return {
    ask: { path: { from: `${told}.url` }, headers: { ...V1, Range: `bytes=${start}-` } },
    status: 206,
    headers: {
      "content-length": String(byteLength - start),
      "content-range": `bytes ${start}-${byteLength - 1}/${byteLength}`,
      "content-encoding": null,
    },
    bytes: image.subarray(start),
  };
}

const NOTHING = new Uint8Array();

/** Only the headers of what an earlier reply tells of. */
function head(told: string, image: Uint8Array): Step {
  return {
    ask: { method: "HEAD", path: { from: `${told}.url` }, headers: E3 },
    headers: { "content-length": String(image.byteLength), "content-encoding": null },
    bytes: NOTHING,
  };
}

/* ---- words of the replies ---- */

interface Known {
  readonly id: string;
  readonly type?: string;
  readonly base?: string | null;
  readonly confinement?: string;
  readonly architectures?: readonly string[];
}

const KNOWN: Readonly<Record<string, Known>> = {
  hello: { id: HELLO },
  all1: { id: ALL1, architectures: ["all"] },
  dtrack: { id: DTRACK },
  epochal: { id: EPOCHAL },
  classy: { id: CLASSY, confinement: "classic" },
  core22: { id: CORE22, type: "base", base: null },
};

/** Short and long form mean the same to snapd. */
function named(full: string): Pattern {
  return either(full, full.replace(/^latest\//, ""));
}

const NO_CHANNEL = either(absent, null, "");
const NOT_REDIRECTED = { "redirect-channel": NO_CHANNEL };

function downloadOf(url: RegExp, image?: Uint8Array): Result {
  return { url, size: image?.byteLength ?? integer, "sha3-384": image ? sha3Of(image) : hex(96) };
}

/** A success: that revision, with all that snapd reads of it. `snap` adds to it. */
function found(name: string, revision: number, full: string | null, snap: Result = {}): Result {
  const { id, type = "app", base = "core22", confinement = "strict", architectures = ["amd64"] } = KNOWN[name] ?? { id: "" };
  return {
    "snap-id": id,
    name,
    error: absent,
    "effective-channel": full === null ? NO_CHANNEL : named(full),
    ...NOT_REDIRECTED,
    snap: {
      "snap-id": id,
      name,
      revision,
      version: `1.${revision}`,
      type,
      base,
      confinement,
      architectures,
      epoch: { read: integers, write: integers },
      title: nonEmpty,
      summary: nonEmpty,
      description: nonEmpty,
      license: text,
      private: false,
      prices: exactly({}),
      publisher: PUBLISHER,
      "created-at": rfc3339,
      "snap-yaml": YAML[`${name}_${revision}`],
      download: {
        ...downloadOf(new RegExp(`/api/v1/snaps/download/${id}_${revision}\\.snap$`), IMAGES[`${name}_${revision}.snap`]),
        deltas: [],
      },
      ...snap,
    },
  };
}

const integers = each(integer);

const R5 = found("hello", 5, "latest/stable");
const R6 = found("hello", 6, "latest/edge");
const R7 = found("hello", 7, "2.0/stable");
const R8 = found("hello", 8, "latest/stable", { architectures: ["arm64"] });
const R9 = found("hello", 9, "latest/edge/fix");

const EXTRA: Result = {
  name: "extra",
  type: "component/standard",
  revision: 7,
  version: "2.7",
  "created-at": text,
  download: downloadOf(/^https?:/, IMAGES["hello+extra_7.comp"]),
};
const R6_WHOLE = found("hello", 6, "latest/edge", { resources: [EXTRA] });

/** An error of one result. */
function refused(name: string | null, code: string, releases?: Pattern): Result {
  return {
    ...(name !== null && { name }),
    result: "error",
    snap: either(absent, null),
    error: { code, message: nonEmpty, ...(releases !== undefined && { extra: { releases } }) },
  };
}

function row(architecture: string, full: string): Rule {
  return exactly({ architecture, channel: named(full) });
}

/** All that can be had of hello: no branch, and no risk that is closed. */
const RELEASES = anyOrder(
  row("amd64", "latest/stable"),
  row("arm64", "latest/stable"),
  row("amd64", "latest/edge"),
  row("amd64", "2.0/stable"),
);

function redirected(name: string, revision: number, full: string): Result {
  return { ...found(name, revision, full), "redirect-channel": full };
}

/** The results of several actions, each by its key. */
function byKey(results: Readonly<Record<string, Result>>): Rule {
  return anyOrder(...Object.entries(results).map(([key, result]) => ({ "instance-key": key, ...result })));
}

function unchanged(): Result {
  return { "assertion-stream-urls": [], "error-list": NO_ERRORS };
}

/** So many URLs, and no error. */
function urls(count = 1): Result {
  return { "assertion-stream-urls": Array.from({ length: count }, () => /^https?:\/\/[^/]+\//), "error-list": NO_ERRORS };
}

function unknown(more: Result): Result {
  return { "error-list": [{ code: "not-found", message: nonEmpty, ...more }] };
}

const HELLO_5 = IMAGES["hello_5.snap"] ?? NOTHING;
const COMPONENT = IMAGES["hello+extra_7.comp"] ?? NOTHING;
const SNAP = "0.results.0.snap.download";
const RESOURCE = "0.results.0.snap.resources.extra.download";
const DIGEST = Buffer.from(sha3Of(HELLO_5), "hex").toString("base64url");
const RESOURCE_DIGEST = Buffer.from(sha3Of(COMPONENT), "hex").toString("base64url");

const UNKNOWN_ID = "Un8kNown5Id2Un8kNown5Id2Un8kNown";
const GET_5 = download("hello", {}, R5);
const GET_6 = download("hello", { channel: "edge" }, R6_WHOLE, { fields: WITH_RESOURCES });

/* ---- the cases ---- */

const INSTALL: readonly Case[] = [
  {
    id: 1,
    title: "download without a channel is latest/stable",
    steps: [GET_5, download("hello", { channel: "" }, R5), download("hello", { channel: null }, R5)],
  },
  { id: 2, title: "install from stable", steps: [install("hello", { channel: "stable" }, R5)] },
  {
    id: 3,
    title: "latest/stable and latest",
    steps: ["latest/stable", "latest"].map((one) => install("hello", { channel: one }, R5)),
  },
  {
    id: 4,
    title: "a closed risk falls back",
    steps: ["candidate", "latest/candidate"].map((one) => install("hello", { channel: one }, R5)),
  },
  {
    id: 5,
    title: "the next safer risk that is open",
    steps: [install("hello", { channel: "beta" }, R5), install("hello", { channel: "edge" }, R6)],
  },
  {
    id: 6,
    title: "a track, and its own fallback",
    steps: ["2.0", "2.0/stable", "2.0/edge"].map((one) => install("hello", { channel: one }, R7)),
  },
  { id: 7, title: "a branch", steps: ["edge/fix", "latest/edge/fix"].map((one) => install("hello", { channel: one }, R9)) },
  {
    id: 8,
    title: "an unknown branch is not its risk",
    steps: ["edge/nofix", "latest/edge/nofix", "stable/fix"].map((one) =>
      install("hello", { channel: one }, refused("hello", "revision-not-found", RELEASES)),
    ),
  },
  {
    id: 9,
    title: "an unknown track: all that can be had",
    steps: ["9.9", "9.9/edge", "latest/edge/fix/more"].map((one) =>
      install("hello", { channel: one }, refused("hello", "revision-not-found", RELEASES)),
    ),
  },
  { id: 10, title: "a revision alone", steps: [install("hello", { revision: 6 }, found("hello", 6, null))] },
  {
    id: 11,
    title: "a revision wins over a channel, which comes back as asked",
    steps: [install("hello", { revision: 6, channel: "latest/stable" }, found("hello", 6, "latest/stable"))],
  },
  {
    id: 12,
    title: "an unknown revision, and one of another architecture",
    steps: [
      ...[999, 8].map((revision) => install("hello", { revision }, refused("hello", "revision-not-found", RELEASES))),
      download("hello", { revision: 999 }, refused("hello", "revision-not-found")),
    ],
  },
  {
    id: 13,
    title: "an unknown name",
    steps: ["nope", "constructor", "__proto__"].map((name) => install(name, { channel: "stable" }, refused(name, "name-not-found"))),
  },
  {
    id: 14,
    title: "architectures",
    steps: [
      on("arm64", install("hello", { channel: "stable" }, R8)),
      on("s390x", install("hello", { channel: "stable" }, refused("hello", "revision-not-found", RELEASES))),
      on("arm64", install("hello", { channel: "2.0" }, refused("hello", "revision-not-found", RELEASES))),
    ],
  },
  {
    id: 15,
    title: "a snap for all architectures, which errors spell out",
    steps: CONCRETE.flatMap((one) => [
      on(one, install("all1", { channel: "stable" }, found("all1", 1, "latest/stable"))),
      on(one, install("all1", { channel: "9/stable" }, refused("all1", "revision-not-found", has(row(one, "latest/stable"))))),
    ]),
  },
  {
    id: 16,
    title: "a risk alone is of the default track, and the machine is told",
    steps: [
      install("dtrack", { channel: "stable" }, redirected("dtrack", 30, "3/stable")),
      install("dtrack", { channel: "edge" }, redirected("dtrack", 31, "3/edge")),
      install("dtrack", { channel: "candidate" }, { ...redirected("dtrack", 30, "3/stable"), "redirect-channel": "3/candidate" }),
    ],
  },
  {
    id: 17,
    title: "latest, when asked for, is not the default track",
    steps: [
      ...["latest/stable", "latest"].map((one) =>
        install("dtrack", { channel: one }, { ...refused("dtrack", "revision-not-found"), ...NOT_REDIRECTED }),
      ),
      install("dtrack", { channel: "latest/edge" }, found("dtrack", 20, "latest/edge")),
    ],
  },
  {
    id: 18,
    title: "no channel is the default track's stable",
    steps: [download("dtrack", {}, redirected("dtrack", 30, "3/stable"))],
  },
  {
    id: 19,
    title: "a revision does not follow the default track",
    steps: [
      install("dtrack", { revision: 20 }, found("dtrack", 20, null)),
      download("dtrack", { revision: 30 }, found("dtrack", 30, null)),
    ],
  },
  {
    id: 20,
    title: "one good and one bad install",
    steps: [
      refresh(
        {
          actions: [
            { action: "install", "instance-key": "install-1", name: "hello", channel: "stable", epoch: null },
            { action: "install", "instance-key": "install-2", name: "nope", channel: "stable", epoch: null },
          ],
        },
        byKey({ "install-1": { result: "install", ...R5 }, "install-2": refused("nope", "name-not-found") }),
      ),
    ],
  },
  {
    id: 21,
    title: "keys that are of no use here, or of nobody, are accepted",
    steps: [
      install(
        "hello",
        {
          channel: "stable",
          "cohort-key": "b3BhcXVl",
          "validation-sets": [["16", PUBLISHER.id, "nightly", 3]],
          "ignore-validation": false,
          more: { deep: [1, null] },
        },
        R5,
        { more: true },
      ),
      refresh(
        {
          context: [
            {
              ...installed({ id: HELLO, revision: 5 }),
              "ignore-validation": true,
              "cohort-key": "b3BhcXVl",
              "validation-sets": [["16", PUBLISHER.id, "nightly", 3]],
              more: 1,
            },
          ],
          actions: [update({ id: HELLO, revision: 5 }, { channel: "latest/stable", "ignore-validation": true, more: 1 })],
        },
        [{ result: "refresh", "instance-key": HELLO, ...R5 }],
      ),
    ],
  },
  {
    id: 22,
    title: "a download is told by an absolute URL, size and digest in lower-case hex",
    steps: [GET_5, file(SNAP), { ...GET_5, json: { results: [{ snap: { download: downloadOf(/^https?:/, HELLO_5) } }] } }],
  },
  {
    id: 23,
    title: "no price, a known type, an epoch that is an object, an integer revision",
    steps: [
      install(
        "hello",
        { channel: "stable" },
        found("hello", 5, "latest/stable", {
          prices: exactly({}),
          type: "app",
          epoch: exactly({ read: [0], write: [0] }),
          revision: integer,
        }),
      ),
      install("core22", { channel: "stable" }, found("core22", 22, "latest/stable")),
      install("classy", { channel: "candidate" }, found("classy", 4, "latest/candidate")),
    ],
  },
  {
    id: 24,
    title: "snap-yaml to the byte",
    steps: [
      GET_5,
      download("hello", {}, found("hello", 5, "latest/stable", { "snap-yaml": either(absent, YAML["hello_5"]) }), {
        fields: FIELDS.filter((one) => one !== "snap-yaml"),
      }),
      download("hello", {}, R5, { fields: undefined }),
    ],
  },
  {
    id: 25,
    title: "components, when they are asked for",
    steps: [
      GET_6,
      file(RESOURCE),
      download("hello", {}, found("hello", 5, "latest/stable", { resources: either(absent, []) }), { fields: WITH_RESOURCES }),
    ],
  },
];

const HAS_5: Machine = { id: HELLO, revision: 5 };
const HAS_6: Machine = { id: HELLO, revision: 6, channel: "latest/edge" };

const UPDATE: readonly Case[] = [
  {
    id: 26,
    title: "no update is the installed revision",
    steps: [check(HAS_5, {}, R5), check(HAS_5, { channel: "latest/stable" }, R5)],
  },
  { id: 27, title: "a switch to another risk", steps: [check(HAS_5, { channel: "latest/edge" }, R6)] },
  {
    id: 28,
    title: "what is installed, for its components",
    steps: [
      check(HAS_6, { channel: "latest/edge", revision: 6 }, R6_WHOLE, { fields: WITH_RESOURCES }),
      check(
        { ...HAS_6, channel: "latest/stable" },
        { channel: "latest/stable", revision: 6 },
        found("hello", 6, "latest/stable", { resources: [EXTRA] }),
        { fields: WITH_RESOURCES },
      ),
    ],
  },
  {
    id: 29,
    title: "an unknown id is an error of its result",
    steps: [check({ id: UNKNOWN_ID, revision: 1 }, {}, refused(null, "id-not-found"))],
  },
  { id: 30, title: "the key of a parallel install", steps: [check({ ...HAS_5, key: `${HELLO}:abc` }, {}, R5)] },
  {
    id: 31,
    title: "what is only installed has no result",
    steps: [
      refresh({ context: [HAS_5, { id: ALL1, revision: 1 }, { id: DTRACK, revision: 30 }].map(installed), actions: [update(HAS_5)] }, [
        { result: "refresh", "instance-key": HELLO, ...R5 },
      ]),
      refresh({ context: [installed(HAS_5)], actions: [{ action: "install", "instance-key": "install-1", name: "all1", epoch: null }] }, [
        { result: "install", "instance-key": "install-1", ...found("all1", 1, "latest/stable") },
      ]),
    ],
  },
  {
    id: 32,
    title: "what cannot read the installed data is not offered",
    steps: [
      check({ id: EPOCHAL, revision: 1 }, {}, found("epochal", 1, "latest/stable", { epoch: exactly({ read: [0], write: [0] }) })),
      check(
        { id: EPOCHAL, revision: 2, epoch: 1 },
        {},
        found("epochal", 2, "latest/stable", { epoch: exactly({ read: [1], write: [1] }) }),
      ),
      install("epochal", { channel: "stable" }, found("epochal", 2, "latest/stable")),
    ],
  },
  {
    id: 33,
    title: "a machine that follows latest stays there",
    steps: [
      check({ id: DTRACK, revision: 20, channel: "latest/edge" }, {}, found("dtrack", 20, "latest/edge")),
      check({ id: DTRACK, revision: 20, channel: "latest/stable" }, {}, { ...refused(null, "revision-not-found"), ...NOT_REDIRECTED }),
      check({ id: DTRACK, revision: 20, channel: "edge" }, { channel: "edge" }, found("dtrack", 20, "latest/edge")),
    ],
  },
  {
    id: 34,
    title: "a branch that is gone falls back for those who follow it, a switch to it is refused",
    steps: [
      check({ ...HAS_5, channel: "latest/edge/gone" }, {}, R6),
      check({ ...HAS_5, channel: "latest/edge/gone" }, { channel: "latest/edge/gone" }, R6),
      check({ ...HAS_5, channel: "latest/edge" }, { channel: "latest/edge/gone" }, refused(null, "revision-not-found", RELEASES)),
      check({ ...HAS_5, channel: "latest/edge/fix" }, {}, R9),
    ],
  },
  {
    id: 35,
    title: "two instances of one snap are two results",
    steps: [
      refresh(
        {
          context: [HAS_5, { ...HAS_6, key: `${HELLO}:abc` }].map(installed),
          actions: [update(HAS_5), update({ ...HAS_6, key: `${HELLO}:abc` })],
        },
        byKey({ [HELLO]: { result: "refresh", ...R5 }, [`${HELLO}:abc`]: { result: "refresh", ...R6 } }),
      ),
    ],
  },
];

const DECLARATION = { type: "snap-declaration", "primary-key": ["16", HELLO] };
const UNKNOWN_DECLARATION = { type: "snap-declaration", "primary-key": ["16", UNKNOWN_ID] };
const SET = { type: "validation-set", "sequence-key": ["16", PUBLISHER.id, "nightly"] };
const UNKNOWN_SET = { ...SET, "sequence-key": ["16", PUBLISHER.id, "nope"] };

const FETCH: readonly Case[] = [
  {
    id: 36,
    title: "an assertion that is stored: one URL, which leads to it",
    steps: [fetchOne(DECLARATION, urls()), stream(ASSERTIONS.declaration9)],
  },
  {
    id: 37,
    title: "nothing newer is no URL and no error",
    steps: [9, 10].map((one) => fetchOne({ ...DECLARATION, "if-newer-than": one }, unchanged())),
  },
  {
    id: 38,
    title: "something newer",
    steps: [
      fetchOne({ ...DECLARATION, "if-newer-than": 8 }, urls()),
      stream(ASSERTIONS.declaration9),
      fetchOne({ ...DECLARATION, "if-newer-than": 8 }, unchanged(), { "snap-declaration": 5 }),
    ],
  },
  {
    id: 39,
    title: "an unknown assertion that the machine lacks",
    steps: [fetchOne(UNKNOWN_DECLARATION, unknown({ type: "snap-declaration", "primary-key": ["16", UNKNOWN_ID] }))],
  },
  {
    id: 40,
    title: "an unknown assertion that the machine has is unchanged",
    steps: [
      fetchOne({ ...UNKNOWN_DECLARATION, "if-newer-than": 0 }, unchanged()),
      fetchOne({ type: "account-key", "primary-key": ["nope"], "if-newer-than": 3 }, unchanged()),
      fetchOne({ ...UNKNOWN_SET, "if-newer-than": 0 }, unchanged()),
    ],
  },
  {
    id: 41,
    title: "a sequence: the highest, one by number, what is newer",
    steps: [
      fetchOne(SET, urls()),
      stream(ASSERTIONS.set3),
      fetchOne({ ...SET, sequence: 2 }, urls()),
      stream(ASSERTIONS.set2, "2.results.0.assertion-stream-urls.0"),
      fetchOne({ ...SET, "if-sequence-equal-or-newer-than": 3, "if-newer-than": 0 }, unchanged()),
      fetchOne({ ...SET, "if-sequence-equal-or-newer-than": 2, "if-newer-than": 0 }, urls()),
      stream(ASSERTIONS.set3, "5.results.0.assertion-stream-urls.0"),
      fetchOne({ ...SET, sequence: 2, "if-newer-than": 0 }, unchanged()),
      fetchOne(UNKNOWN_SET, unknown({ type: "validation-set", "sequence-key": UNKNOWN_SET["sequence-key"] })),
      fetchOne({ ...SET, sequence: 9 }, unknown({ type: "validation-set", "sequence-key": SET["sequence-key"] })),
    ],
  },
  {
    id: 42,
    title: "two groups are two results",
    steps: [
      fetchAssertions(
        [[DECLARATION, { type: "account", "primary-key": [PUBLISHER.id] }], [{ ...DECLARATION, "if-newer-than": 9 }]],
        [urls(2), unchanged()],
      ),
      fetchAssertions([[DECLARATION], [UNKNOWN_DECLARATION]], [urls(), unknown({ type: "snap-declaration" })]),
    ],
  },
  {
    id: 43,
    title: "the newest that the client reads",
    steps: [fetchOne(DECLARATION, urls(), { "snap-declaration": 5 }), stream(ASSERTIONS.declaration8)],
  },
  {
    id: 44,
    title: "the provenance that everything has may be left out",
    steps: [
      fetchOne({ type: "snap-revision", "primary-key": [DIGEST] }, urls()),
      stream(ASSERTIONS.revision5),
      fetchOne({ type: "snap-revision", "primary-key": [DIGEST, "global-upload"] }, urls()),
      stream(ASSERTIONS.revision5, "2.results.0.assertion-stream-urls.0"),
    ],
  },
];

function malformed(body: unknown): Step {
  return post("/v2/snaps/refresh", body, { "error-list": has({ code: nonEmpty, message: nonEmpty }) }, { status: 400 });
}

const BAD: readonly Case[] = [
  {
    id: 45,
    title: "a malformed body",
    steps: ["this is no JSON", "", '{"context":[],"actions":', "[]", '{"context":[],"actions":3}'].map(malformed),
  },
  {
    id: 46,
    title: "an unknown kind of action",
    steps: [
      post(
        "/v2/snaps/refresh",
        { context: [], actions: [{ action: "explode", "instance-key": "explode-1", name: "hello" }] },
        either({ results: [{ result: "error", "instance-key": "explode-1" }] }, { "error-list": nonEmpty }),
        { status: [200, 400] },
      ),
    ],
  },
  { id: 47, title: "GET on refresh", steps: [get("/v2/snaps/refresh", { "error-list": nonEmpty }, { status: [404, 405] })] },
];

/** Paths below `/v2/assertions/` and what stands there. */
const HELD: Readonly<Record<string, string>> = {
  [`account/${PUBLISHER.id}`]: ASSERTIONS.account,
  [`account-key/${ASSERTIONS.storeKeyId}`]: ASSERTIONS.storeKey,
  [`snap-declaration/16/${HELLO}`]: ASSERTIONS.declaration9,
  [`snap-revision/${DIGEST}`]: ASSERTIONS.revision5,
  [`snap-resource-revision/${HELLO}/extra/${RESOURCE_DIGEST}`]: ASSERTIONS.resourceRevision,
  [`snap-resource-pair/${HELLO}/extra/7/6`]: ASSERTIONS.resourcePair,
  "store/acmestore": ASSERTIONS.store,
  [`model/16/${PUBLISHER.id}/acme-pi`]: ASSERTIONS.model,
  [`serial/${PUBLISHER.id}/acme-pi/${encodeURIComponent(SERIAL_KEY)}`]: ASSERTIONS.serial,
  [`validation-set/16/${PUBLISHER.id}/nightly/3`]: ASSERTIONS.set3,
};

const ASSERTION: readonly Case[] = [
  {
    id: 48,
    title: "every type that is stored, byte for byte",
    steps: Object.entries(HELD).flatMap(([path, content]) => [assertion(path, content), assertion(`${path}?max-format=7`, content)]),
  },
  {
    id: 49,
    title: "what is not stored is a 404 in JSON",
    steps: [
      `snap-declaration/16/${UNKNOWN_ID}?max-format=7`,
      "account/nope",
      `snap-revision/${"A".repeat(64)}?max-format=0`,
      "store/constructor",
    ].map((path) => noAssertion(path)),
  },
  { id: 50, title: "an unknown type", steps: ["nope/1", "constructor/1", "nope"].map((path) => noAssertion(path)) },
  {
    id: 51,
    title: "a key of too few or too many parts",
    steps: ["snap-declaration/16", "snap-declaration", "account", `snap-declaration/16/${HELLO}/more`, "validation-set/16"].map((path) =>
      noAssertion(path, [400, 404], nonEmpty),
    ),
  },
  {
    id: 52,
    title: "the provenance that everything has, in the path",
    steps: [
      assertion(`snap-revision/${DIGEST}/global-upload?max-format=0`, ASSERTIONS.revision5),
      assertion(`snap-resource-revision/${HELLO}/extra/${RESOURCE_DIGEST}/global-upload`, ASSERTIONS.resourceRevision),
      assertion(`snap-resource-pair/${HELLO}/extra/7/6/global-upload`, ASSERTIONS.resourcePair),
      noAssertion(`snap-revision/${DIGEST}/other?max-format=0`),
    ],
  },
  {
    id: 53,
    title: "parts of a key are decoded once",
    steps: [
      assertion(`serial/${PUBLISHER.id}/acme%2Dpi/we%20ird%25x%3Fy?max-format=0`, ASSERTIONS.serial),
      noAssertion(`serial/${PUBLISHER.id}/acme%252Dpi/we%20ird%25x%3Fy`),
      noAssertion(`snap-declaration/16%2F${HELLO}`, [400, 404], nonEmpty),
      noAssertion("account/%", [400, 404], nonEmpty),
    ],
  },
  {
    id: 54,
    title: "a sequence by query and by path",
    steps: [
      assertion(`validation-set/16/${PUBLISHER.id}/nightly?max-format=0&sequence=latest`, ASSERTIONS.set3),
      assertion(`validation-set/16/${PUBLISHER.id}/nightly?max-format=0&sequence=3`, ASSERTIONS.set3),
      assertion(`validation-set/16/${PUBLISHER.id}/nightly?max-format=0&sequence=1`, ASSERTIONS.set1),
      assertion(`validation-set/16/${PUBLISHER.id}/nightly/3?max-format=0`, ASSERTIONS.set3),
      assertion(`validation-set/16/${PUBLISHER.id}/nightly/2?max-format=0`, ASSERTIONS.set2),
      noAssertion(`validation-set/16/${PUBLISHER.id}/nightly?sequence=4`),
      noAssertion(`validation-set/16/${PUBLISHER.id}/nope?sequence=latest`),
      ...["0", "-1", "junk", "1.5", "", "1e3"].map((one) =>
        noAssertion(`validation-set/16/${PUBLISHER.id}/nightly?sequence=${one}`, 400, nonEmpty),
      ),
    ],
  },
  {
    id: 55,
    title: "a client gets no format that it cannot read",
    steps: [
      assertion(`snap-declaration/16/${HELLO}?max-format=5`, ASSERTIONS.declaration8),
      assertion(`snap-declaration/16/${HELLO}?max-format=6`, ASSERTIONS.declaration9),
      noAssertion(`snap-declaration/16/${HELLO}?max-format=4`),
      noAssertion(`snap-declaration/16/${HELLO}?max-format=x`, 400, nonEmpty),
    ],
  },
  {
    id: 56,
    title: "HEAD",
    steps: [
      {
        ask: { method: "HEAD", path: `/v2/assertions/snap-declaration/16/${HELLO}?max-format=7`, headers: V1 },
        headers: { "content-type": MEDIA_TYPE },
        bytes: NOTHING,
      },
      {
        ask: { method: "HEAD", path: `/v2/assertions/snap-declaration/16/${UNKNOWN_ID}`, headers: V1 },
        status: 404,
        bytes: NOTHING,
      },
    ],
  },
  {
    id: 57,
    title: "a stream: one blank line between assertions, one newline at the end",
    steps: [
      {
        ask: { path: "/v2/auth/store/assertions", headers: {} },
        text: both(
          is("one newline at the end", (value) => /[^\n]\n$/.test(String(value))),
          joined(...STORE_STREAM),
        ),
      },
    ],
  },
];

/** These assertions in any order, with one blank line between them. */
function joined(...all: readonly string[]): Rule {
  return new Rule((value, at) => {
    const left = new Set(all.map((one) => one.trimEnd()));
    let tail = typeof value === "string" ? value.trimEnd() : "";
    while (tail !== "") {
      const next = [...left].find((one) => tail === one || tail.startsWith(`${one}\n\n`));
      if (next === undefined) return [`${at}: expected one of ${left.size} assertions, got ${JSON.stringify(tail.slice(0, 300))}`];
      left.delete(next);
      tail = tail.slice(next.length).replace(/^\n\n/, "");
    }
    return [...left].map((one) => `${at}: it lacks ${JSON.stringify(one.slice(0, 200))}`);
  });
}

function wholeFor(range: string): Step {
  return file(SNAP, { ...V1, Range: range });
}

const DOWNLOAD: readonly Case[] = [
  { id: 58, title: "a snap: exact length, right bytes, never compressed", steps: [GET_5, file(SNAP), file(SNAP, {})] },
  { id: 59, title: "HEAD tells the same length", steps: [GET_5, head(SNAP, HELLO_5)] },
  {
    id: 60,
    title: "the remainder of a download",
    steps: [GET_5, rest(SNAP, HELLO_5, 100), rest(SNAP, HELLO_5, HELLO_5.byteLength - 1)],
  },
  {
    id: 61,
    title: "a remainder from the first byte on",
    steps: [
      GET_5,
      { ask: { path: { from: `${SNAP}.url` }, headers: { ...V1, Range: "bytes=0-" } }, status: [200, 206], file: { told: SNAP } },
    ],
  },
  {
    id: 62,
    title: "a remainder of nothing",
    steps: [0, 1, 2 ** 32].flatMap((more) => [
      GET_5,
      {
        ask: { path: { from: `${SNAP}.url` }, headers: { ...V1, Range: `bytes=${HELLO_5.byteLength + more}-` } },
        status: [200, 416],
      },
    ]),
  },
  {
    id: 63,
    title: "ranges that are none, or several, are answered with the whole",
    steps: [GET_5, ...["bytes=a-b", "bytes=", "bytes=-", "bytes=5-2", "bytes=0-1,5-", "lines=1-", "100-"].map(wholeFor)],
  },
  {
    id: 64,
    title: "an unknown file is a 404",
    steps: [
      `${HELLO}_900.snap`,
      `${UNKNOWN_ID}_5.snap`,
      HELLO,
      "constructor_5.snap",
      `${HELLO}.extra_900.comp`,
      "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    ].map((one) => notFound(`/api/v1/snaps/download/${one}`)),
  },
  {
    id: 65,
    title: "a download that broke off goes on",
    steps: [
      GET_5,
      { ask: { path: { from: `${SNAP}.url` }, headers: V1 }, hangUp: true },
      rest(SNAP, HELLO_5, 65_536),
      { ...GET_5, json: sameAs("0") },
    ],
  },
  {
    id: 66,
    title: "a component is downloaded as a snap is",
    steps: [
      GET_6,
      file(RESOURCE),
      head(RESOURCE, COMPONENT),
      rest(RESOURCE, COMPONENT, 100),
      file(RESOURCE, { ...V1, Range: "bytes=5-2" }),
    ],
  },
];

function mapRow(full: string, name: string, revision: number, more: Result = {}, architecture = "amd64"): Result {
  const [track = "", risk = ""] = full.split("/");
  return {
    channel: { architecture, name, risk, track, "released-at": rfc3339 },
    revision,
    version: `1.${revision}`,
    type: "app",
    base: "core22",
    confinement: "strict",
    architectures: [architecture],
    epoch: exactly({ read: [0], write: [0] }),
    "created-at": rfc3339,
    "common-ids": ["com.acme.hello"],
    download: downloadOf(/^https?:/, IMAGES[`hello_${revision}.snap`]),
    ...more,
  };
}

const HELLO_MAP = [
  mapRow("latest/stable", "stable", 5),
  mapRow("latest/edge", "edge", 6, { resources: either(absent, [EXTRA]) }),
  mapRow("2.0/stable", "2.0/stable", 7),
];

function names(...all: readonly string[]): Rule {
  return anyOrder(...all.map((name) => ({ name })));
}

function without(...unwanted: readonly string[]): Rule {
  return each({ name: is(`none of ${unwanted.join(", ")}`, (value) => !unwanted.includes(String(value))) });
}

const CATALOG: readonly Case[] = [
  {
    id: 67,
    title: "info: the channel map of one architecture, without branches and closed channels",
    steps: [
      info("hello", {
        name: "hello",
        "snap-id": HELLO,
        "default-track": either(absent, null),
        snap: {
          name: "hello",
          "snap-id": HELLO,
          title: "Hello",
          summary: nonEmpty,
          description: nonEmpty,
          publisher: PUBLISHER,
          license: "MIT",
          prices: exactly({}),
          private: false,
          categories: has({ name: "devices", featured: true }),
        },
        "channel-map": HELLO_MAP,
      }),
      info("hello", { "channel-map": [mapRow("latest/stable", "stable", 8, {}, "arm64")] }, { architecture: "arm64" }),
      info("all1", { "channel-map": [{ channel: { architecture: "riscv64", name: "stable" }, revision: 1 }] }, { architecture: "riscv64" }),
    ],
  },
  {
    id: 68,
    title: "info: what a connectivity check asks for",
    steps: [
      info("snapd", { "channel-map": has({ download: { url: nonEmpty } }) }, { fields: "download" }),
      { ask: { method: "HEAD", path: { from: "0.channel-map.0.download.url" }, headers: V1 }, bytes: NOTHING },
    ],
  },
  {
    id: 69,
    title: "info of an unknown name, and for an architecture that it is not for",
    steps: [
      ...["nope", "constructor", "..%2fhello"].map((name) => notFound(`/v2/snaps/info/${name}?architecture=amd64&fields=${INFO_FIELDS}`)),
      notFound(`/v2/snaps/info/hello?architecture=s390x&fields=${INFO_FIELDS}`),
    ],
  },
  {
    id: 70,
    title: "info: the default track's stable leads",
    steps: [
      info("dtrack", {
        "channel-map": [
          { channel: { name: "3/stable", track: "3", risk: "stable" }, revision: 30 },
          { channel: { name: "3/edge", track: "3", risk: "edge" }, revision: 31 },
          { channel: { name: "edge", track: "latest", risk: "edge" }, revision: 20 },
        ],
      }),
    ],
  },
  {
    id: 71,
    title: "info: every released-at is RFC 3339 with a zone",
    steps: ["hello", "all1", "dtrack", "epochal"].map((name) =>
      info(name, { "channel-map": both(nonEmpty, each({ channel: { "released-at": rfc3339 } })) }),
    ),
  },
  {
    id: 72,
    title: "find: text",
    steps: [
      find(
        { q: "hello" },
        has({
          name: "hello",
          "snap-id": HELLO,
          snap: { title: "Hello", publisher: PUBLISHER, summary: nonEmpty, prices: exactly({}) },
          revision: {
            revision: 5,
            version: "1.5",
            type: "app",
            confinement: "strict",
            channel: named("latest/stable"),
            download: { size: HELLO_5.byteLength },
          },
        }),
      ),
      find({ q: "HELLO acme" }, has({ name: "hello" })),
      find({ q: "hello", architecture: "arm64" }, has({ name: "hello", revision: { revision: 8 } })),
      find({ q: "hello", architecture: "s390x" }, without("hello")),
    ],
  },
  { id: 73, title: "find: no match is an empty list", steps: [find({ q: "zzz" }, [])] },
  {
    id: 74,
    title: "find: prefix, category, common id, channel",
    steps: [
      find({ name: "hel" }, names("hello")),
      find({ name: "ello" }, []),
      find({ category: "featured" }, has({ name: "hello" })),
      find({ category: "utilities" }, names("hello", "classy")),
      find({ category: "nope" }, []),
      find({ "common-id": "com.acme.hello" }, names("hello")),
      find({ "common-id": "com.acme.nope" }, []),
      find({ channel: "stable" }, both(has({ name: "hello" }), without("classy"))),
      find({}, has({ name: "hello" }, { name: "classy" }, { name: "dtrack" })),
    ],
  },
  {
    id: 75,
    title: "find: a machine that has no classic snaps",
    steps: [
      find({ confinement: "strict" }, both(has({ name: "hello" }), without("classy"))),
      find({ confinement: "strict,classic", q: "classy" }, names("classy")),
      find({ confinement: "strict", q: "classy" }, []),
    ],
  },
  {
    id: 76,
    title: "sections",
    steps: [
      get(
        "/api/v1/snaps/sections",
        { _embedded: { "clickindex:sections": both(has({ name: "featured" }, { name: "devices" }), each({ name: nonEmpty })) } },
        { headers: { "content-type": "application/hal+json" } },
      ),
    ],
  },
  {
    id: 77,
    title: "names, in the order that snapd reads them",
    steps: [
      get(
        "/api/v1/snaps/names?confinement=strict%2Cclassic",
        {
          _embedded: {
            "clickindex:package": has(
              {
                package_name: "hello",
                version: "1.5",
                summary: nonEmpty,
                apps: ["hello"],
                aliases: [{ name: "hi", target: "hello" }],
              },
              { package_name: "classy" },
            ),
          },
        },
        { text: /^\{"_embedded":\{"clickindex:package":\[\{/, headers: { "content-type": "application/hal+json" } },
      ),
    ],
  },
  {
    id: 78,
    title: "categories",
    steps: [get("/v2/snaps/categories", { categories: both(has({ name: "featured" }, { name: "devices" }), each({ name: nonEmpty })) })],
  },
  {
    id: 79,
    title: "cohorts, asked without a Content-Type",
    steps: [
      {
        ask: { method: "POST", path: "/v2/cohorts", body: { snaps: ["hello", "all1"] }, headers: { ...V2, Accept: "" } },
        json: exactly({ "cohort-keys": exactly({ hello: nonEmpty, all1: nonEmpty }) }),
      },
      {
        ask: { method: "POST", path: "/v2/cohorts", body: { snaps: ["hello", "nope"] }, headers: V2 },
        status: 404,
        json: { "error-list": nonEmpty },
      },
    ],
  },
];

const NONCE: Step = { ask: { method: "POST", path: "/api/v1/snaps/auth/nonces", headers: V2 }, json: { nonce: /^[^\s"]+$/ } };

function session(bodyOf: (seen: Seen) => unknown, json: Pattern, status: Step["status"] = 200): Step {
  return { ask: { method: "POST", path: "/api/v1/snaps/auth/sessions", headers: { ...V2, ...JSON_BODY }, bodyOf }, json, status };
}

/** What a machine proves itself by. `at`: the step that gave the nonce. */
function proof(at: number): (seen: Seen) => Action {
  return (seen) => ({
    "device-session-request": deviceSessionRequest(String(lookUp(seen, `${at}.nonce`))),
    "serial-assertion": ASSERTIONS.serial,
    "model-assertion": ASSERTIONS.model,
  });
}

const MACAROON: Pattern = { macaroon: /^[^\s"]+$/ };
const REFUSED: Pattern = { "error-list": has({ code: nonEmpty, message: nonEmpty }) };

/** What a machine brings that was with another store before. */
const FOREIGN: Headers = {
  "Snap-Device-Authorization": 'Macaroon root="MDAxZmxvY2F0aW9uIGVsc2V3aGVyZQo"',
  "X-Device-Authorization": 'Macaroon root="MDAxZmxvY2F0aW9uIGVsc2V3aGVyZQo"',
  Authorization: 'Macaroon root="MDAx", discharge="MDAy"',
};

function elsewhere(method: "GET" | "POST", path: string, json: Pattern = REFUSED): Step {
  return { ask: { method, path, headers: { ...V2, ...JSON_BODY }, ...(method === "POST" && { body: {} }) }, status: 404, json };
}

const REGISTRATION: Pattern = { message: nonEmpty };

const PUBLIC_URL = "https://store.lan/stores/a";
const OURS = /^https:\/\/store\.lan\/stores\/a\//;

const MISC: readonly Case[] = [
  { id: 80, title: "a nonce, and another one", steps: [NONCE, { ...NONCE, json: { nonce: both(/^[^\s"]+$/, otherThan("0.nonce")) } }] },
  {
    id: 81,
    title: "a session for a machine with a serial, none for garbage",
    steps: [
      NONCE,
      session(proof(0), MACAROON, [200, 202]),
      session(() => "this is no JSON", REFUSED, 400),
      session(() => ({}), REFUSED, 400),
      session((seen) => ({ ...proof(0)(seen), "serial-assertion": "garbage" }), REFUSED, 400),
      session((seen) => ({ ...proof(0)(seen), "device-session-request": 3 }), REFUSED, 400),
      session((seen) => ({ ...proof(0)(seen), "serial-assertion": ASSERTIONS.model }), REFUSED, 400),
    ],
  },
  {
    id: 82,
    title: "what another store authorized is no hindrance",
    steps: [
      sent(GET_5, FOREIGN),
      file(SNAP, { ...V1, ...FOREIGN }),
      sent(assertion(`account/${PUBLISHER.id}`, ASSERTIONS.account), FOREIGN),
    ],
  },
  {
    id: 83,
    title: "registration of a device is a 404 with a message, and nothing at the root invites it",
    steps: [
      { ask: { method: "HEAD", path: "/", headers: {} }, status: [200, 404], bytes: NOTHING },
      elsewhere("POST", "/api/v1/snaps/auth/request-id", REGISTRATION),
      elsewhere("POST", "/api/v1/snaps/auth/devices", REGISTRATION),
    ],
  },
  {
    id: 84,
    title: "what is not to be had here is a 404 in JSON",
    steps: [
      elsewhere("POST", "/v2/messages"),
      elsewhere("GET", `/v2/repairs/${PUBLISHER.id}/1`),
      elsewhere("GET", "/api/v1/snaps/purchases/orders"),
      elsewhere("GET", "/api/v1/snaps/purchases/customers/me"),
      elsewhere("POST", "/api/v1/snaps/purchases/buy"),
      ...["/v2/snaps", "/v2/snaps/nope", "/api/v1/snaps/search?q=hello", "/nowhere"].map((path) => elsewhere("GET", path)),
    ],
  },
  {
    id: 85,
    title: "the store's own assertions: the store, its operator, no root",
    steps: [
      {
        ask: { path: "/v2/auth/store/assertions", headers: {} },
        headers: { "content-type": MEDIA_TYPE },
        text: both(
          joined(...STORE_STREAM),
          /^type: store$/m,
          /^url: http:\/\/127\.0\.0\.1/m,
          is("no account of a root", (value) => !String(value).includes(ASSERTIONS.rootAccount)),
          is("no root key", (value) => !String(value).includes(ASSERTIONS.rootKey)),
        ),
      },
    ],
  },
  {
    id: 85,
    title: "the store's own assertions, where there are none",
    setup: { empty: true },
    steps: [notFound("/v2/auth/store/assertions")],
  },
  {
    id: 86,
    title: "an empty Accept",
    steps: [
      sent(info("hello", { "channel-map": HELLO_MAP }), { Accept: "" }),
      {
        ask: { method: "POST", path: "/v2/cohorts", body: { snaps: ["hello"] }, headers: { Accept: "" } },
        json: { "cohort-keys": anything },
      },
      GET_5,
      file("2.results.0.snap.download", { Accept: "" }),
      { ask: { path: `/v2/assertions/account/${PUBLISHER.id}`, headers: { Accept: "" } }, text: ASSERTIONS.account },
    ],
  },
  {
    id: 87,
    title: "the older family of headers",
    steps: [
      GET_5,
      file(SNAP, { ...V1, "X-Ubuntu-Store": "acmestore", "Snap-CDN": "none", "Snap-Refresh-Reason": "scheduled" }),
      { ...assertion(`account/${PUBLISHER.id}`, ASSERTIONS.account) },
      {
        ask: {
          ...install("hello", { channel: "stable" }, R8).ask,
          headers: { ...JSON_BODY, "X-Ubuntu-Architecture": "arm64", "X-Ubuntu-Series": "16" },
        },
        json: { results: [{ result: "install", "instance-key": "install-1", ...R8 }] },
      },
    ],
  },
  {
    id: 88,
    title: "a fault of the server is a 500 in JSON, which it survives",
    setup: { brokenStore: true },
    steps: [GET_5, info("hello", {}), assertion("account/nope", ""), GET_5].map(({ ask }) => ({ ask, status: 500, json: REFUSED })),
  },
  {
    id: 89,
    title: "behind another address every URL begins with it",
    setup: { publicUrl: PUBLIC_URL },
    steps: [
      download(
        "hello",
        { channel: "edge" },
        { snap: { download: { url: OURS }, resources: [{ download: { url: OURS } }] } },
        { fields: WITH_RESOURCES },
      ),
      download("hello", {}, { snap: { download: { url: OURS }, media: each({ url: OURS }) } }),
      info("hello", { "channel-map": each({ download: { url: OURS } }) }),
      find({ q: "hello" }, each({ revision: { download: { url: either(absent, OURS) } } })),
      fetchOne(DECLARATION, { "assertion-stream-urls": [OURS] }),
      fetchOne(SET, { "assertion-stream-urls": [OURS] }),
    ],
  },
];

const REAL = "it needs a real snapd: see test/interop";

const CLIENT: readonly Case[] = [
  { id: 90, title: "snap download", skip: REAL, steps: [] },
  { id: 91, title: "snap known --remote", skip: REAL, steps: [] },
  {
    id: 92,
    title: "a part that is there already: its remainder, and the whole where it was wrong",
    steps: [GET_5, rest(SNAP, HELLO_5, 4096), file(SNAP)],
  },
  { id: 93, title: "snap download of a channel that is none", skip: REAL, steps: [] },
];

function below(prefix: string): (step: Step) => Step {
  return (step) => (typeof step.ask.path === "string" ? { ...step, ask: { ...step.ask, path: `${prefix}${step.ask.path}` } } : step);
}

/** What the list of likely mistakes adds. */
const MORE: readonly Case[] = [
  {
    id: 94,
    title: "a connectivity check of an older snapd, which asks for core",
    steps: [
      info("core", { "channel-map": has({ download: { url: nonEmpty } }) }, { fields: "download" }),
      { ask: { method: "HEAD", path: { from: "0.channel-map.0.download.url" }, headers: {} }, bytes: NOTHING },
      notFound(`/v2/snaps/info/core?architecture=amd64&fields=${INFO_FIELDS}`),
    ],
  },
  {
    id: 95,
    title: "a connectivity check of a store that holds nothing",
    setup: { empty: true },
    steps: [
      info("snapd", { "channel-map": has({ download: { url: nonEmpty } }) }, { fields: "download" }),
      { ask: { method: "HEAD", path: { from: "0.channel-map.0.download.url" }, headers: {} }, bytes: NOTHING },
    ],
  },
  {
    id: 96,
    title: "a store that holds nothing says so",
    setup: { empty: true },
    steps: [
      install("hello", { channel: "stable" }, refused("hello", "name-not-found")),
      find({ q: "hello" }, []),
      get("/v2/snaps/categories", { categories: anything }),
      get(
        "/api/v1/snaps/names?confinement=strict",
        { _embedded: { "clickindex:package": [] } },
        {
          headers: { "content-type": "application/hal+json" },
        },
      ),
      noAssertion(`account/${PUBLISHER.id}`),
    ],
  },
  {
    id: 97,
    title: "an icon comes out of the snap, never from the internet",
    steps: [
      download("hello", {}, found("hello", 5, "latest/stable", { media: has({ type: "icon", url: nonEmpty }) })),
      {
        ask: { path: { from: "0.results.0.snap.media.0.url" }, headers: { "User-Agent": "Go-http-client/1.1", "Accept-Encoding": "gzip" } },
        headers: { "content-length": String(ICON.byteLength), "content-encoding": null, "transfer-encoding": null },
        bytes: ICON,
      },
      install("all1", { channel: "stable" }, found("all1", 1, "latest/stable", { media: either(absent, []) })),
    ],
  },
  {
    id: 98,
    title: "the store below a path prefix",
    setup: { publicUrl: "http://hub.test/stores/a" },
    steps: [
      GET_5,
      file(SNAP),
      assertion(`account/${PUBLISHER.id}`, ASSERTIONS.account),
      fetchOne(DECLARATION, urls()),
      stream(ASSERTIONS.declaration9, "3.results.0.assertion-stream-urls.0"),
    ].map(below("/stores/a")),
  },
  {
    id: 99,
    title: "a URL outlives the server that gave it",
    setup: { publicUrl: "http://hub.test", restart: true },
    steps: [GET_6, file(SNAP, E3, { before: "restart" }), file(RESOURCE), { ...GET_6, json: sameAs("0") }],
  },
  {
    id: 100,
    title: "a POST is not redirected",
    steps: [
      GET_5,
      { ...GET_5, ask: { ...GET_5.ask, path: "/v2/snaps/refresh/" }, status: [200, 404], json: { "error-list": anything } },
      { ...GET_5, ask: { ...GET_5.ask, path: "//v2/snaps/refresh" }, status: [200, 404], json: { "error-list": anything } },
    ],
  },
  {
    id: 101,
    title: "snaps and assertions in one request",
    steps: [
      refresh(
        {
          context: [installed(HAS_5)],
          actions: [
            update(HAS_5),
            { action: "download", "instance-key": "download-1", name: "all1", epoch: null },
            { action: "fetch-assertions", key: "AAA", assertions: [DECLARATION] },
          ],
          "assertion-max-formats": MAX_FORMATS,
        },
        anyOrder(
          { result: "refresh", "instance-key": HELLO, ...R5 },
          { result: "download", "instance-key": "download-1", ...found("all1", 1, "latest/stable") },
          { result: "fetch-assertions", key: "AAA", ...urls() },
        ),
      ),
    ],
  },
  {
    id: 102,
    title: "no actions at all",
    steps: [refresh({ actions: [] }, []), refresh({ context: [installed(HAS_5)], actions: [] }, [])],
  },
  {
    id: 103,
    title: "300 snaps in one request",
    steps: [
      refresh(
        {
          context: Array.from({ length: 300 }, (_, i) => installed({ ...(i % 2 ? HAS_5 : HAS_6), key: `${HELLO}:${i}` })),
          actions: Array.from({ length: 300 }, (_, i) => update({ ...HAS_5, key: `${HELLO}:${i}` })),
        },
        byKey(Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`${HELLO}:${i}`, { result: "refresh", ...(i % 2 ? R5 : R6) }]))),
      ),
    ],
  },
  {
    id: 104,
    title: "256 assertions in one group",
    steps: [
      fetchAssertions(
        [
          [
            ...Array.from({ length: 255 }, (_, i) => ({
              type: "snap-declaration",
              "primary-key": ["16", `${UNKNOWN_ID.slice(0, -3)}${String(i).padStart(3, "0")}`],
              "if-newer-than": 0,
            })),
            { ...DECLARATION, "if-newer-than": 8 },
          ],
        ],
        [urls()],
      ),
    ],
  },
  {
    id: 105,
    title: "channels as nobody types them",
    steps: [
      ...["/stable", "stable/", "latest//stable"].map((one) => install("hello", { channel: one }, R5)),
      ...["STABLE", "latest/nope", "a/b/c/d", "стабильный", "../..", "latest/stable/\u0000"].map((one) =>
        install("hello", { channel: one }, refused("hello", "revision-not-found", RELEASES)),
      ),
    ],
  },
  {
    id: 106,
    title: "a nonce that is not ours, and a request that was changed, open nothing",
    steps: [
      NONCE,
      session(proof(0), MACAROON, [200, 202]),
      session((seen) => ({ ...proof(0)(seen), "device-session-request": deviceSessionRequest("bm9uY2U") }), REFUSED, 400),
      session(
        (seen) => ({ ...proof(0)(seen), "device-session-request": tampered(String(proof(0)(seen)["device-session-request"])) }),
        REFUSED,
        400,
      ),
    ],
  },
  {
    id: 107,
    title: "a session is taken along, and asked for anew",
    steps: [
      NONCE,
      session(proof(0), MACAROON, [200, 202]),
      sent(NONCE, { "Snap-Device-Authorization": 'Macaroon root="x"' }),
      session(proof(2), MACAROON, [200, 202]),
    ],
  },
  {
    id: 108,
    title: "charms are none of it",
    steps: [
      install("acme-db", { channel: "stable" }, refused("acme-db", "name-not-found")),
      find({ q: "acme-db" }, []),
      notFound(`/v2/snaps/info/acme-db?architecture=amd64&fields=${INFO_FIELDS}`),
      { ask: { path: "/v2/charms/info/hello" }, status: 404, json: { "error-list": nonEmpty } },
    ],
  },
];

/** The same at another time, which its signature does not cover. */
function tampered(request: string): string {
  return request.replace(/^timestamp: .*$/m, "timestamp: 2026-01-01T00:00:00Z");
}

export const CASES: readonly Case[] = [
  ...INSTALL,
  ...UPDATE,
  ...FETCH,
  ...BAD,
  ...ASSERTION,
  ...DOWNLOAD,
  ...CATALOG,
  ...MISC,
  ...CLIENT,
  ...MORE,
];
