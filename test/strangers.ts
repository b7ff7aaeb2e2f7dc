/** What strangers may write into a package, made to be more than text on a page. */

import * as fc from "fast-check";
import type { Package } from "../src/catalog/package.ts";
import type { Snap } from "../src/catalog/snap.ts";
import type { Digest } from "../src/digest.ts";
import { charmRevision, emptyCharm } from "./build.ts";

const DIGEST = "0".repeat(64) as Digest;

/** Markup, script, marks of direction, controls, and length. */
export const NASTY: readonly string[] = [
  `<script>alert(1)</script>`,
  `"><img src=x onerror=alert(1)>`,
  `' onmouseover='alert(1)`,
  `</title><svg onload=alert(1)>`,
  `</textarea></pre></bdi><h1>`,
  `&lt;b&gt; &#60;i&#62; <!-- `,
  `javascript:alert(1)`,
  `\u202Eevil\u2066\u200F`,
  `\u0000\u0008\u001B[31m`,
  `]]>`,
  "x".repeat(10_000),
  "<b>".repeat(3000),
];

/** Any text of any characters but halves of pairs. The library's own would list all million of them first. */
export const anyText = (constraints: { readonly maxLength?: number } = {}): fc.Arbitrary<string> =>
  fc.string({ ...constraints, unit: fc.nat(0x10ffff - 0x800).map((n) => String.fromCodePoint(n < 0xd800 ? n : n + 0x800)) });

/** A charm that says it wherever a charm says anything. */
export function charmSaying(text: string, name = "stranger"): Package {
  return {
    ...emptyCharm(name),
    details: {
      title: text,
      summary: text,
      description: text,
      license: text,
      publisher: { id: "x", username: text, "display-name": text, validation: text },
      categories: [{ name: text, featured: false }],
    },
    revisions: [
      {
        ...charmRevision(1, DIGEST, 1),
        version: text,
        snaps: [{ name: text, sure: "certain", where: text, channel: text }],
        resources: [text],
        relations: { requires: { [text]: { interface: text } } },
      },
    ],
  };
}

/** The same of a snap: `like` with these texts. */
export function snapSaying(text: string, like: Snap): Snap {
  return {
    ...like,
    publisher: { ...like.publisher, username: text, "display-name": text },
    details: { title: text, summary: text, description: text, license: text },
    revisions: like.revisions.map((revision) => ({ ...revision, version: text, apps: [text], unverified: text })),
  };
}
