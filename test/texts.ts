/** The texts of a TypeScript source: its strings and the parts of its templates, with their lines. */

import jsTokens from "js-tokens";

export interface Text {
  readonly line: number;
  readonly text: string;
}

const TEXTS: Readonly<Record<string, (value: string) => string>> = {
  StringLiteral: (value) => value.slice(1, -1),
  NoSubstitutionTemplate: (value) => value.slice(1, -1),
  TemplateHead: (value) => value.slice(1, -2),
  TemplateMiddle: (value) => value.slice(1, -2),
  TemplateTail: (value) => value.slice(1, -1),
};

export function textsOf(source: string): Text[] {
  const found: Text[] = [];
  let line = 1;
  for (const { type, value } of jsTokens(source)) {
    const text = TEXTS[type]?.(value);
    if (text !== undefined) found.push({ line, text });
    line += value.split("\n").length - 1;
  }
  return found;
}
