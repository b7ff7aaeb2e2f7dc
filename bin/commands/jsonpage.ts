/** The page `json` of the manual: a table of the fields that each command prints, made of its schema. */

import * as v from "valibot";
import { JSON_OUTPUTS } from "./jsonschemas.ts";

/** What the schemas of that table consist of. */
type Node = v.GenericSchema & {
  readonly item?: Node;
  readonly wrapped?: Node;
  readonly value?: Node;
  readonly entries?: Readonly<Record<string, Node>>;
  readonly options?: readonly unknown[];
  readonly literal?: unknown;
};

const SCALARS: Readonly<Record<string, string>> = { string: "text", number: "number", boolean: "true or false" };

/** Markdown, to be put below the page's own text. */
export function jsonFields(): string {
  return JSON_OUTPUTS.map(({ commands, schema }) => {
    const node = schema as Node;
    const rows = fieldsOf(node, "").map(([field, value]) => `| \`${field}\` | ${value} |`);
    const described = v.getDescription(node);
    const said = [node.type === "array" ? "A list of these." : "", described === undefined ? "" : `It is ${described}.`].filter(Boolean);
    return [
      `## ${commands.map((command) => `\`${command}\``).join(", ")}`,
      ...said,
      ["| field | value |", "| --- | --- |", ...rows].join("\n"),
    ].join("\n\n");
  }).join("\n\n");
}

/** Path of each field, and what it has. */
function fieldsOf(node: Node, path: string): [field: string, value: string][] {
  const { item, wrapped, value, entries, options } = node;
  if (item) return fieldsOf(item, path);
  if (wrapped) return fieldsOf(wrapped, path);
  if (node.type === "record" && value) return fieldsOf(value, `${path}.NAME`);
  if (node.type === "variant" || node.type === "union") return (options as readonly Node[]).flatMap((option) => fieldsOf(option, path));
  return Object.entries(entries ?? {}).flatMap(([name, field]): [string, string][] => {
    const own = path === "" ? name : `${path}.${name}`;
    const inner = fieldsOf(field, own);
    const shown = describe(field);
    return inner.length > 0 && shown === "object" ? inner : [[own, shown], ...inner];
  });
}

function describe(node: Node): string {
  const about = v.getDescription(node);
  const text = kindOf(node);
  return about === undefined ? text : `${text} (${about})`;
}

function kindOf(node: Node): string {
  const { item, wrapped, value, options, literal } = node;
  if (item) return `list of ${item.entries ? "objects" : describe(item)}`;
  if (node.type === "nullable" && wrapped) return `${describe(wrapped)}, or null`;
  if (wrapped) return `${describe(wrapped)}; optional`;
  if (node.type === "record" && value) return `${describe(value)} by name`;
  if (node.type === "picklist") return (options ?? []).map(String).join(", ");
  if (node.type === "literal") return String(literal);
  return SCALARS[node.type] ?? "object";
}
