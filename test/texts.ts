/** The texts of a TypeScript source: its strings, the parts of its templates and what its elements say, with their lines. */

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
  JSXText: (value) => value,
  JSXString: (value) => value.slice(1, -1),
};

/** `jsx`: the source is TSX, whose elements have texts too. */
export function textsOf(source: string, jsx = false): Text[] {
  const found: Text[] = [];
  let line = 1;
  for (const { type, value } of jsTokens(source, { jsx })) {
    const text = TEXTS[type]?.(value);
    if (text !== undefined) found.push({ line, text });
    line += value.split("\n").length - 1;
  }
  return found;
}
