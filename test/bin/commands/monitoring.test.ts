/** The dashboard and the alert rules name metrics that there are, and every metric of chp is in the manual. */

import { expect, test } from "bun:test";
import { parse } from "yaml";
import { METRIC_NAMES } from "../../../handlers/metrics.ts";
import { runProgram } from "../../program.ts";

const KNOWN = new Set(METRIC_NAMES.flatMap(({ name }) => [name, `${name}_count`, `${name}_bucket`]));
const namesIn = (expr: string) => [...expr.matchAll(/\b(?:chp|process)_[a-z_]+/g)].map(([name]) => name);

async function printed(...args: string[]): Promise<string> {
  const { code, out, err } = await runProgram(["help", "metrics", ...args], {});
  expect([code, err]).toEqual([0, ""]);
  return out;
}

test("every query of the dashboard names metrics that there are, and every panel has its place", async () => {
  const board = JSON.parse(await printed("--dashboard")) as {
    panels: { id: number; gridPos: { x: number; y: number; w: number; h: number }; targets: { expr: string }[] }[];
  };
  const exprs = board.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
  expect(exprs.flatMap(namesIn).filter((name) => !KNOWN.has(name))).toEqual([]);
  const cells = new Set<string>();
  for (const { gridPos } of board.panels)
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1)
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
        expect(x).toBeLessThan(24);
        expect(cells.has(`${x} ${y}`)).toBe(false);
        cells.add(`${x} ${y}`);
      }
  expect(new Set(board.panels.map(({ id }) => id)).size).toBe(board.panels.length);
});

test("every alert names metrics that there are, and says what to do", async () => {
  const { groups } = parse(await printed("--alerts")) as {
    groups: { rules: { alert: string; expr: string; labels: { severity: string }; annotations: { description: string } }[] }[];
  };
  const rules = groups.flatMap((group) => group.rules);
  expect(rules.length).toBeGreaterThan(5);
  for (const { alert, expr, labels, annotations } of rules) {
    expect(namesIn(expr).filter((name) => !KNOWN.has(name))).toEqual([]);
    expect(["critical", "warning", "info"]).toContain(labels.severity);
    expect(annotations.description.length).toBeGreaterThan(10);
    expect(await printed()).toContain(alert);
  }
});

test("the page of the manual lists every metric", async () => {
  const page = await printed();
  for (const { name } of METRIC_NAMES) expect(page).toContain(name);
});

test.each([[["help", "--alerts"]], [["help", "tls", "--dashboard"]], [["help", "metrics", "--alerts", "--dashboard"]]])(
  "%j is wrong usage, with the right one",
  async (args) => {
    const { code, err } = await runProgram(args, {});
    expect(code).toBe(2);
    expect(err).toContain("of the topic metrics");
  },
);
