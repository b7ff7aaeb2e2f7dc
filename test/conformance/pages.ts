/** The pages, as a browser asks for them, and beside the APIs, whose routes win. */

import { both, type Case, is } from "./match.ts";

export const BROWSER = { Accept: "text/html,application/xhtml+xml,*/*;q=0.8" };
const MACHINE = { Accept: "*/*" };

const HTML = { "Content-Type": "text/html; charset=utf-8", "X-Content-Type-Options": "nosniff" };
const JSON_TYPE = { "Content-Type": "application/json" };

const page = (...parts: readonly RegExp[]) => both(/^<!DOCTYPE html><html lang="en">/, ...parts);
const noCommand = is("no text that runs", (value) => !/<script(?! src="[^"]*\/_web\/copy-[0-9a-f]{16}\.js" defer="">)/.test(String(value)));

export const CASES: readonly Case[] = [
  {
    id: 1,
    title: "everything that is stored",
    steps: [{ ask: { path: "/" }, headers: HTML, text: both(page(/href="\/charms\/acme-db"/, /href="\/snaps\/hello"/), noCommand) }],
  },
  {
    id: 2,
    title: "what is looked for, by words and filters",
    steps: [
      {
        ask: { path: "/?q=database&type=charm&base=ubuntu%4024.04&arch=amd64" },
        headers: HTML,
        text: page(/1 match</, /href="\/charms\/acme-db"/),
      },
      { ask: { path: "/?q=nothing-like-it" }, headers: HTML, text: page(/Nothing that is stored matches\./) },
    ],
  },
  { id: 3, title: "a charm", steps: [{ ask: { path: "/charms/acme-db" }, headers: HTML, text: page(/>juju deploy acme-db</, /14/) }] },
  { id: 4, title: "a bundle", steps: [{ ask: { path: "/charms/acme-stack" }, headers: HTML, text: page(/>juju deploy acme-stack</) }] },
  { id: 5, title: "a snap", steps: [{ ask: { path: "/snaps/hello" }, headers: HTML, text: page(/>sudo snap install hello</) }] },
  {
    id: 6,
    title: "status, set up and the manual",
    steps: ["/_status", "/_setup", "/_docs", "/_docs/install"].map((path) => ({ ask: { path }, headers: HTML, text: page() })),
  },
  {
    id: 7,
    title: "a name alone",
    steps: [{ ask: { path: "/hello" }, status: 302, headers: { location: "/snaps/hello" }, text: "" }],
  },
  {
    id: 8,
    title: "nothing there, for a browser and for everybody else",
    steps: [
      { ask: { path: "/charms/nope" }, status: 404, headers: HTML, text: page(/Not found/) },
      { ask: { path: "/charms/nope", headers: MACHINE }, status: 404, headers: JSON_TYPE, json: { "error-list": [{ code: "not-found" }] } },
      { ask: { path: "/nope", headers: MACHINE }, status: 404, headers: JSON_TYPE, json: { "error-list": [{ code: "not-found" }] } },
      { ask: { path: "/a/b/c" }, status: 404, headers: JSON_TYPE, json: { "error-list": [{ code: "not-found" }] } },
    ],
  },
  {
    id: 9,
    title: "routes of the APIs win",
    steps: [
      { ask: { path: "/_status/check" }, json: { status: "ok" } },
      { ask: { path: "/v2/charms/info/acme-db" }, headers: JSON_TYPE, json: { name: "acme-db" } },
      { ask: { path: "/v2/charms/nope" }, status: 404, headers: JSON_TYPE, json: { "error-list": [{ code: "not-found" }] } },
    ],
  },
  {
    id: 10,
    title: "store-url leads to a page below the public URL",
    setup: { publicUrl: "https://hub.lan/store" },
    steps: [
      {
        ask: { path: "/v2/charms/info/acme-db?fields=result.store-url" },
        json: { result: { "store-url": "https://hub.lan/store/charms/acme-db" } },
      },
      { ask: { path: "/store/charms/acme-db" }, headers: HTML, text: page(/href="\/store\/_status"/) },
    ],
  },
];
