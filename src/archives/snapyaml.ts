/** What a snap's own files say: meta/snap.yaml and, of a component, meta/component.yaml. See handlers/snapd.md, Exported files. */

import * as v from "valibot";
import { ANY_ARCHITECTURE, type Epoch, SNAP_NAME, SNAP_TYPES, type SnapFacts, type SnapType } from "../catalog/snap.ts";
import { printable, refused } from "../errors.ts";
import { mapByName, tryShape } from "../schema.ts";
import { readYaml } from "../yaml.ts";

/** What snapd takes a list of formats for: strictly increasing, at most ten. */
const MAX_EPOCHS = 10;
const MAX_LIST = 1000;

const Text = v.fallback(v.optional(v.string()), undefined);
const Texts = v.fallback(
  v.union([
    v.pipe(v.array(v.string()), v.maxLength(MAX_LIST)),
    v.pipe(
      v.string(),
      v.transform((text) => (text === "" ? [] : [text])),
    ),
  ]),
  [],
);
const Names = v.fallback(mapByName(v.unknown()), {});

const SnapYaml = v.looseObject({
  name: v.string(),
  version: v.fallback(v.string(), ""),
  type: Text,
  base: Text,
  confinement: Text,
  architectures: Texts,
  epoch: v.optional(v.unknown()),
  title: Text,
  summary: Text,
  description: Text,
  license: Text,
  website: Texts,
  contact: Texts,
  links: v.fallback(mapByName(Texts), {}),
  apps: v.fallback(mapByName(v.fallback(v.looseObject({ "common-id": Text }), { "common-id": undefined })), {}),
  components: Names,
  plugs: Names,
  provenance: Text,
});

export interface SnapYamlFacts extends SnapFacts {
  readonly name: string;
}

/** Facts of a snap.yaml. Every scalar is read as text: a version of 1.10 stays one. */
export function readSnapYaml(text: string, what: string): SnapYamlFacts {
  const y = tryShape(SnapYaml, readYaml(text, what, "failsafe"));
  if (!y) throw refused(`${what} has no name`);
  if (!SNAP_NAME.test(y.name)) throw refused(`${what}: ${printable(y.name, 100)} is not a name of a snap`);
  const confinement = ["classic", "devmode"].includes(y.confinement ?? "") ? (y.confinement as "classic" | "devmode") : "strict";
  return {
    name: y.name,
    version: y.version,
    type: readType(y.type, what),
    ...filled("base", y.base),
    confinement,
    architectures: y.architectures.length > 0 ? [...new Set(y.architectures)] : [ANY_ARCHITECTURE],
    epoch: readEpoch(y.epoch, what),
    ...filled("title", y.title),
    ...filled("summary", y.summary),
    ...filled("description", y.description),
    ...filled("license", y.license),
    ...filled("website", y.website[0]),
    ...filled("contact", y.contact[0]),
    links: linksOf(y),
    apps: Object.keys(y.apps),
    commonIds: Object.values(y.apps).flatMap((app) => app["common-id"] || []),
    components: Object.keys(y.components),
    providers: [...new Set(Object.values(y.plugs).flatMap((plug) => providerOf(plug)))].toSorted(),
    ...filled("provenance", y.provenance),
  };
}

function filled<K extends string>(key: K, value: string | undefined): Partial<Record<K, string>> {
  return value ? ({ [key]: value } as Record<K, string>) : {};
}

function readType(text: string | undefined, what: string): SnapType {
  if (text === undefined || text === "" || text === "application") return "app";
  const found = SNAP_TYPES.find((type) => type === text);
  if (!found) throw refused(`${what}: ${printable(text, 100)} is not a type of snap`);
  return found;
}

function linksOf(y: v.InferOutput<typeof SnapYaml>): Record<string, readonly string[]> {
  const all = { ...(y.contact.length > 0 && { contact: y.contact }), ...(y.website.length > 0 && { website: y.website }), ...y.links };
  return Object.fromEntries(Object.entries(all).filter(([, addresses]) => addresses.length > 0));
}

/** The snap that a content plug is given by default: `gtk-common-themes:icon-themes` names the snap before the colon. */
function providerOf(plug: unknown): string[] {
  const provider = tryShape(v.looseObject({ "default-provider": v.string() }), plug)?.["default-provider"];
  const name = provider?.split(":")[0] ?? "";
  return SNAP_NAME.test(name) ? [name] : [];
}

const EpochMap = v.object({ read: v.optional(v.array(v.string())), write: v.optional(v.array(v.string())) });

/** `0`, `1*`, or lists of formats that are read and written. */
export function readEpoch(value: unknown, what: string): Epoch {
  if (value === undefined || value === "" || value === null) return { read: [0], write: [0] };
  const short = typeof value === "string" ? /^(\d{1,9})(\*?)$/.exec(value) : null;
  if (short) {
    const number = Number(short[1]);
    if (short[2] === "*" && number > 0) return { read: [number - 1, number], write: [number] };
    if (short[2] === "") return { read: [number], write: [number] };
  }
  const epochs = tryShape(EpochMap, value);
  const lists = epochs ? [epochs.read ?? epochs.write, epochs.write ?? epochs.read] : [];
  const [read = [], write = []] = lists.map((list) => list?.map((text) => (/^\d{1,9}$/.test(text) ? Number(text) : Number.NaN)));
  if (!isEpochList(read) || !isEpochList(write) || !read.some((epoch) => write.includes(epoch)))
    throw refused(`${what}: its epoch is not one that snapd takes`);
  return { read, write };
}

function isEpochList(list: readonly number[]): boolean {
  return (
    list.length > 0 &&
    list.length <= MAX_EPOCHS &&
    list.every((epoch, i) => Number.isSafeInteger(epoch) && (i === 0 || epoch > (list[i - 1] ?? 0)))
  );
}

const ComponentYaml = v.looseObject({
  component: v.string(),
  type: v.fallback(v.string(), "standard"),
  version: v.fallback(v.string(), ""),
  summary: Text,
  description: Text,
});

export interface ComponentFacts {
  readonly snap: string;
  readonly name: string;
  readonly type: string;
  readonly version: string;
  readonly description: string;
}

/** Facts of a component.yaml; `component: hello+extra` names the snap and the component. */
export function readComponentYaml(text: string, what: string): ComponentFacts {
  const y = tryShape(ComponentYaml, readYaml(text, what, "failsafe"));
  const [snap = "", name = "", ...more] = y?.component.split("+") ?? [];
  if (!y || !SNAP_NAME.test(snap) || !SNAP_NAME.test(name) || more.length > 0) throw refused(`${what} does not say SNAP+COMPONENT`);
  const { type, version, summary, description } = y;
  return { snap, name, type, version, description: description || summary || "" };
}
