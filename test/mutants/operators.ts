/** What may be wrong in a program: each operator puts one small fault at one kind of node of the syntax tree. */

import {
  isArrayLiteralExpression,
  isArrowFunction,
  isAwaitExpression,
  isBinaryExpression,
  isBlock,
  isCallExpression,
  isConditionalExpression,
  isDoStatement,
  isExpressionStatement,
  isIfStatement,
  isJsxAttribute,
  isLiteralTypeNode,
  isNumericLiteral,
  isObjectLiteralExpression,
  isPrefixUnaryExpression,
  isPropertyAccessExpression,
  isPropertyAssignment,
  isReturnStatement,
  isSpreadAssignment,
  isSpreadElement,
  isStringLiteral,
  isThrowStatement,
  isWhileStatement,
  type Node,
  SyntaxKind,
} from "typescript/unstable/ast";

/** `texts` stand for the node `at`, or for a part of it: the first that has the right type is the mutant. */
export interface Fault {
  readonly operator: Operator;
  readonly start: number;
  readonly end: number;
  readonly texts: readonly string[];
}

type Finder = (node: Node) => readonly (readonly [part: Node, ...texts: string[]])[];

const BOUNDARIES: Readonly<Record<string, string>> = { "<": "<=", "<=": "<", ">": ">=", ">=": ">" };
const EQUALITIES: Readonly<Record<string, string>> = { "===": "!==", "!==": "===" };
/** Defaults by which `??` and `||` give the same: those of lists and objects, which are true, and what is false itself. */
const FALSY = /^(\[\]|\{\}|""|0|false|undefined|null|new \w+\(\))$/;
const ARITHMETIC: Readonly<Record<string, string>> = { "+": "-", "-": "+", "*": "/", "/": "*", "%": "*", "+=": "-=", "-=": "+=" };
const METHODS: Readonly<Record<string, string>> = {
  some: "every",
  every: "some",
  min: "max",
  max: "min",
  startsWith: "endsWith",
  endsWith: "startsWith",
};
/** Calls of which only the receiver stays. */
const LEFT_OUT = ["filter", "toSorted", "toReversed", "slice", "trim", "toLowerCase", "subarray", "padStart"];

/** The condition of a statement or expression that has one; a loop that never ends says nothing, so that it is never made true. */
function conditionOf(node: Node): Node | undefined {
  if (isIfStatement(node) || isWhileStatement(node) || isDoStatement(node)) return node.expression;
  return isConditionalExpression(node) ? node.condition : undefined;
}

const isLoop = (node: Node) => isWhileStatement(node) || isDoStatement(node);

/** Swaps the sign of a binary expression. */
function signs(table: Readonly<Record<string, string>>): Finder {
  return (node) => {
    if (!isBinaryExpression(node)) return [];
    const to = table[node.operatorToken.getText()];
    return to === undefined ? [] : [[node.operatorToken, to]];
  };
}

/** What a function gives: after `return`, or behind the arrow. */
function resultOf(node: Node): Node | undefined {
  if (isReturnStatement(node)) return node.expression;
  return isArrowFunction(node) && !isBlock(node.body) ? node.body : undefined;
}

const isCall = (node: Node): boolean => isCallExpression(isAwaitExpression(node) ? node.expression : node);

/** A text that people read, which the check of refusals looks at, and words of a page. */
const isProse = (text: string): boolean => /\s/.test(text.trim());

export const OPERATORS = {
  "condition negated": (node) => {
    const part = conditionOf(node);
    return part && !isLoop(node) ? [[part, `!(${part.getText()})`]] : [];
  },
  "condition true": (node) => {
    const part = conditionOf(node);
    return part && !isLoop(node) ? [[part, "true", `(${part.getText()}) || true`]] : [];
  },
  "condition false": (node) => {
    const part = conditionOf(node);
    return part ? [[part, "false", `(${part.getText()}) && false`]] : [];
  },
  boundary: signs(BOUNDARIES),
  equality: signs(EQUALITIES),
  arithmetic: signs(ARITHMETIC),
  "and or": signs({ "&&": "||", "||": "&&" }),
  "default for falsy": (node) =>
    isBinaryExpression(node) && FALSY.test(node.right.getText()) ? [] : signs({ "??": "||", "||": "??" })(node),
  "not left out": (node) =>
    isPrefixUnaryExpression(node) && node.operator === SyntaxKind.ExclamationToken ? [[node, node.operand.getText()]] : [],
  "call left out": (node) => (isExpressionStatement(node) && isCall(node.expression) ? [[node, "{}"]] : []),
  "await left out": (node) =>
    isExpressionStatement(node) && isAwaitExpression(node.expression) ? [[node.expression, node.expression.expression.getText()]] : [],
  "assignment left out": (node) =>
    isExpressionStatement(node) && isBinaryExpression(node.expression) && /^[^=!<>]*=$/.test(node.expression.operatorToken.getText())
      ? [[node, "{}"]]
      : [],
  "throw left out": (node) => (isThrowStatement(node) ? [[node, "{}"]] : []),
  "result replaced": (node) => {
    const part = resultOf(node);
    return part
      ? [[part, `!(${part.getText()})`, "undefined", "[]", '""', "0"].filter((text) => text !== part.getText()) as [Node, ...string[]]]
      : [];
  },
  method: (node) => {
    if (!isPropertyAccessExpression(node) || !isCallExpression(node.parent)) return [];
    const to = Object.hasOwn(METHODS, node.name.getText()) ? METHODS[node.name.getText()] : undefined;
    return to === undefined ? [] : [[node.name, to]];
  },
  "method left out": (node) =>
    isCallExpression(node) && isPropertyAccessExpression(node.expression) && LEFT_OUT.includes(node.expression.name.getText())
      ? [[node, node.expression.expression.getText()]]
      : [],
  "spread left out": (node) =>
    isSpreadElement(node) && isArrayLiteralExpression(node.parent) ? [[node, "...[]"]] : isSpreadAssignment(node) ? [[node, "...{}"]] : [],
  "property left out": (node) => (isPropertyAssignment(node) && isObjectLiteralExpression(node.parent) ? [[node, "...{}"]] : []),
  number: (node) =>
    isNumericLiteral(node) && !isLiteralTypeNode(node.parent) && /^\d+$/.test(node.getText())
      ? [[node, String(Number(node.getText()) + 1)]]
      : [],
  boolean: (node) =>
    node.kind === SyntaxKind.TrueKeyword ? [[node, "false"]] : node.kind === SyntaxKind.FalseKeyword ? [[node, "true"]] : [],
  string: (node) =>
    isStringLiteral(node) && !isLiteralTypeNode(node.parent) && !isJsxAttribute(node.parent) && !isProse(node.text) && !isModule(node)
      ? [[node, '"mutant"']]
      : [],
} as const satisfies Readonly<Record<string, Finder>>;

export type Operator = keyof typeof OPERATORS | "by hand";

function isModule(node: Node): boolean {
  const { kind } = node.parent;
  return kind === SyntaxKind.ImportDeclaration || kind === SyntaxKind.ExportDeclaration || kind === SyntaxKind.ExternalModuleReference;
}

/** Every fault that may be put at a node. */
export function faultsAt(node: Node): Fault[] {
  return (Object.keys(OPERATORS) as (keyof typeof OPERATORS)[]).flatMap((operator) =>
    OPERATORS[operator](node).map(([part, ...texts]) => ({ operator, start: part.getStart(), end: part.end, texts })),
  );
}
