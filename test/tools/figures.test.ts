import { expect, spyOn, test } from "bun:test";
import { Report } from "../bench/figures.ts";

test("the difference of two figures may be less than nothing, a figure and a rate may not", () => {
  const printed: string[] = [];
  using print = spyOn(console, "log").mockImplementation((line: string) => void printed.push(line.replace(/ +/g, " ").trim()));
  const report = new Report();
  const named = { name: "start, less --version", unit: "ms" };
  report.difference({ ...named, value: -3.5 });
  report.difference({ ...named, value: Number.NaN });
  report.rate({ ...named, value: 0 });
  report.rate({ ...named, value: -1 });
  report.figure({ ...named, value: 0 });
  expect(report.end()).toBe(false);
  expect(print).toHaveBeenCalledTimes(6);
  expect(printed).toEqual([
    "start, less --version -3.50 ms",
    "start, less --version FAILED: measured NaN ms",
    "start, less --version 0.00 ms",
    "start, less --version FAILED: measured -1 ms",
    "start, less --version FAILED: measured 0 ms",
    "2 passed, 3 failed, 0 skipped",
  ]);
});
