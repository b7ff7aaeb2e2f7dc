/** Texts that are made to take a parser long: what is repeated, how it begins, and which parser gets it. Any length is hostile. */

import type { TargetName } from "../fuzz/targets.ts";

interface Generator {
  readonly target: TargetName;
  readonly make: (size: number) => Uint8Array;
}

/** `begin`, then `unit` as often as it fits, then `end`. */
function repeated(target: TargetName, unit: string | ((i: number) => string), begin = "", end = ""): Generator {
  return {
    target,
    make: (size) => {
      const parts = [begin];
      for (let [i, length] = [0, begin.length + end.length]; length < size; i += 1) {
        const part = typeof unit === "string" ? unit : unit(i);
        parts.push(part);
        length += part.length;
      }
      return Buffer.from(parts.join("").slice(0, size - end.length) + end, "latin1");
    },
  };
}

/** Opening brackets and as many that close. */
function nested(target: TargetName, open: string, close: string, begin = ""): Generator {
  return {
    target,
    make: (size) => {
      const count = Math.max(1, Math.floor((size - begin.length) / (open.length + close.length)));
      return Buffer.from(begin + open.repeat(count) + close.repeat(count));
    },
  };
}

function binary(target: TargetName, head: readonly number[] | string, body: (i: number) => number): Generator {
  return {
    target,
    make: (size) => {
      const bytes = Buffer.alloc(size);
      for (let i = 0; i < size; i += 1) bytes[i] = body(i);
      bytes.set(typeof head === "string" ? Buffer.from(head, "latin1") : head);
      return bytes;
    },
  };
}

const ASSERTION = (i: number) =>
  `type: account\nauthority-id: a\naccount-id: a${i}\ndisplay-name: a\ntimestamp: 2026-01-01T00:00:00Z\nusername: a\nvalidation: verified\nsign-key-sha3-384: ${"A".repeat(64)}\n\nAcLB\n\n`;
const STREAMS = '{"format":"products:1.0","content_id":"com.ubuntu.juju:released:agents","products":{';
const CACHE = "from x import snap\ncache = SnapCache()\n";

/** A zip whose list of files is as long as it can be: every entry is empty, and has the same place. */
const centralDirectory: Generator = {
  target: "charm",
  make: (size) => {
    const entry = Buffer.alloc(47);
    entry.writeUInt32LE(0x02014b50, 0);
    entry.writeUInt16LE(1, 28);
    entry.write("a", 46);
    const count = Math.min(65_534, Math.floor((size - 26) / 47));
    const end = Buffer.alloc(22);
    end.writeUInt32LE(0x06054b50, 0);
    end.writeUInt16LE(count, 8);
    end.writeUInt16LE(count, 10);
    end.writeUInt32LE(count * 47, 12);
    end.writeUInt32LE(4, 16);
    return Buffer.concat([Buffer.from("PK\x03\x04"), ...Array.from({ length: count }, () => entry), end]);
  },
};

export const TEXTS: Readonly<Record<string, Generator>> = {
  "yaml: errors": repeated("metadata", ",", "["),
  "yaml: flow lists inside each other": repeated("metadata", "["),
  "yaml: flow maps inside each other": repeated("bundle", "{a: "),
  "yaml: block lists inside each other": repeated("snapyaml", "- "),
  "yaml: keys inside each other": repeated("component", (i) => `${" ".repeat(i)}a:\n`),
  "yaml: explicit keys": repeated("manifest", "? "),
  "yaml: a list": repeated("metadata", "- a\n", "name: a\nx:\n"),
  "yaml: a list of nothing": repeated("bundle", "-\n"),
  "yaml: a map": repeated("bundle", (i) => `k${i}: v\n`),
  "yaml: the same key": repeated("snapyaml", "name: a\n"),
  "yaml: a flow list": repeated("metadata", "a,", "name: a\nx: [", "]"),
  "yaml: applications": repeated("bundle", (i) => ` a${i}: {charm: c${i}}\n`, "applications:\n"),
  "yaml: bases": repeated("manifest", "- {name: ubuntu, channel: 22.04}\n", "bases:\n"),
  "yaml: empty lines": repeated("metadata", "\n", "name: a\nx:"),
  "yaml: comments": repeated("metadata", "#\n", "name:\n"),
  "yaml: documents": repeated("bundle", "---\n"),
  "yaml: directives": repeated("bundle", "%TAG ! a\n"),
  "yaml: anchors": repeated("metadata", "&a "),
  "yaml: aliases": repeated("metadata", "- *a\n", "name: &a a\nx:\n"),
  "yaml: a quoted text of many lines": repeated("snapyaml", "a\n\n", 'name: "', '"'),
  "yaml: a plain text of many lines": repeated("snapyaml", " a\n", "name: a\nx:\n"),
  "yaml: a block text": repeated("snapyaml", "  a\n\n", "name: a\nx: >\n"),
  "yaml: blanks": repeated("metadata", " \t", "name: a"),
  "yaml: tags": repeated("metadata", "- !a!b c\n", "x:\n"),
  "yaml: an image": repeated("image", "- a\n"),
  "yaml: imported": repeated("yaml", "- {name: a, revision: 1, push_channel: stable}\n", "packages:\n"),
  "python: subscripts inside each other": nested("python", "cache[", "]", CACHE),
  "python: brackets": repeated("python", "[", CACHE),
  "python: calls inside each other": nested("python", "install_snap(", ")", CACHE),
  "python: names that stand for names": repeated("python", (i) => `A${i}_SNAPS = [A${i + 1}_SNAPS, A${i + 2}_SNAPS]\n`, CACHE),
  "python: pins without a name": repeated("python", (i) => `R${i}_REVISION = {"amd64": 1}\nX${i}_SNAP_NAME = "a${i}"\n`, CACHE),
  "python: calls with many revisions": repeated(
    "python",
    "install_snap([A, B], revision=R)\n",
    `${CACHE}R = {${'"amd64": 1,'.repeat(5000)}}\n`,
  ),
  "python: a text without end": repeated("python", "a\\'\"", `${CACHE}"""`),
  "shell: quotes": repeated("shell", "snap install '\"", "#!/bin/sh\n"),
  "shell: one line": repeated("shell", "snap install a --channel=b ;", "#!/bin/sh\n"),
  "shell: lines that go on": repeated("shell", "snap \\\n", "#!/bin/sh\n"),
  "json: lists inside each other": repeated("charmjson", "["),
  "json: maps of a charm": repeated("charmjson", '{"snaps":', ""),
  "json: lists of nothing": repeated("json", "[],", "[", "[]]"),
  "json: channels": repeated("json", (i) => `"${i}/stable":1,`, "{", '"a/edge":1}'),
  "json: maps by name": repeated("json", (i) => `"${i}":{"amd64":"x"},`, '{"a":{', '"b":{}}}'),
  "json: releases": repeated(
    "metadatajson",
    (i) => `{"channel":{"name":"t${i}/stable"},"revision":{"revision":${i}}},`,
    '{"type":"charm","name":"a","channel-map":[',
    '{"channel":{"name":"a/edge"},"revision":{"revision":1}}]}',
  ),
  "json: results": repeated("metadatajson", '{"charm":{"revision":1}},', "[", '{"charm":{"revision":1}}]'),
  "json: layers of an image": repeated(
    "imagemanifest",
    (i) => `{"mediaType":"a","digest":"sha256:${String(i).padStart(64, "0")}","size":1},`,
    '{"schemaVersion":2,"config":{},"layers":[',
    "{}]}",
  ),
  "json: annotations of an index": repeated(
    "imagemanifest",
    (i) => `"${i}":"x",`,
    '{"schemaVersion":2,"manifests":[],"annotations":{',
    '"a":"b"}}',
  ),
  "json: lists inside a manifest": nested("imagemanifest", "[", "]", '{"schemaVersion":2,"manifests":'),
  "json: maps inside each other": nested("metadatajson", '{"a":', "}"),
  "streams: products": repeated(
    "streamsproducts",
    (i) => `"p${i}":{"versions":{"1":{"items":{"a":{"release":"ubuntu","version":"3.6.${i}","arch":"amd64","ftype":"tar.gz"}}}}},`,
    STREAMS,
    '"p":{}}}',
  ),
  "streams: products of one agent": repeated(
    "streamsproducts",
    (i) => `"p${i}":{"versions":{"1":{"items":{"a":{"release":"r${i}","version":"3.6.1","arch":"amd64","sha256":"${"0".repeat(64)}"}}}}},`,
    `${STREAMS}"u":{"versions":{"1":{"items":{"a":{"release":"ubuntu","version":"3.6.1","arch":"amd64","sha256":"${"0".repeat(64)}","size":1,"path":"a","ftype":"tar.gz"}}}}},`,
    '"p":{}}}',
  ),
  "streams: dates of a product": repeated("streamsproducts", (i) => `"${i}":{"items":{}},`, `${STREAMS}"p":{"versions":{`, '"x":{}}}}}'),
  "streams: lists inside each other": nested("streamsproducts", "[", "]"),
  "cloud images: entries": repeated(
    "cloudimages",
    (i) => `  - {id: a, base: noble, region: r${i}}\n`,
    "endpoint: http://k\narch: amd64\nimages:\n",
    "",
  ),
  "streams: an index": repeated("streamsindex", (i) => `"${i}":{},`, '{"format":"index:1.0","index":{', '"x":{}}}'),
  "clear-signed: blanks": repeated("clearsigned", " ", "-----BEGIN PGP SIGNED MESSAGE-----\n"),
  "clear-signed: lines of hashes": repeated("clearsigned", "Hash: SHA512\n", "-----BEGIN PGP SIGNED MESSAGE-----\n"),
  "clear-signed: lines": repeated(
    "clearsigned",
    "a \t\n",
    "-----BEGIN PGP SIGNED MESSAGE-----\n\n",
    "-----BEGIN PGP SIGNATURE-----\n\n-----END PGP SIGNATURE-----\n",
  ),
  "clear-signed: armor": repeated(
    "clearsigned",
    "wsBzBAEBCgAd\n",
    "-----BEGIN PGP SIGNED MESSAGE-----\n\na\n-----BEGIN PGP SIGNATURE-----\n\n",
    "-----END PGP SIGNATURE-----\n",
  ),
  "clear-signed: an index of an import": repeated(
    "signedtext",
    "a\n",
    "-----BEGIN PGP SIGNED MESSAGE-----\n\n",
    "-----BEGIN PGP SIGNATURE-----\n",
  ),
  "key: packets": binary("signingkey", [0x98, 1, 0], (i) => (i % 2 === 0 ? 0xb4 : 0)),
  "toml: tables": repeated("charmtoml", "[[a.b]]\n"),
  "toml: lists inside each other": repeated("charmtoml", "[", "a="),
  "toml: keys": repeated("charmtoml", "a.", ""),
  "yaml of a charm": repeated("charmyaml", "- {a: 1}\n"),
  "python: classes that derive from each other": repeated(
    "python",
    (i) => `class C${i}(C${i + 1}, C${i + 2}):\n  a${i} = self.a${i + 1}\n  def f(self):\n    snap.add(self.a${i})\n`,
    CACHE,
  ),
  "python: one class that all derive from": repeated(
    "python",
    (i) => `class C${i}(A):\n  a = "x${i}"\n`,
    `${CACHE}class A:\n  def f(self):\n    snap.add(self.a)\n`,
  ),
  "python: loops over one list": repeated(
    "python",
    (i) => `for a${i} in ALL:\n  snap.add(a${i})\n`,
    `${CACHE}ALL = [${'"x1",'.repeat(2000)}]\n`,
  ),
  "python: imports": repeated("python", "from snap import (a,\n", CACHE),
  "images: a list": repeated("charmimages", (i) => `- k/b:v${i}\n`),
  "images: lists inside each other": repeated("charmimages", "- "),
  "manifests: lines": repeated("charmmanifest", (i) => `  - image: k/b:v${i}\n`),
  "manifests: one line": repeated("charmmanifest", "image: "),
  "manifests: blanks": repeated("charmmanifest", "image: k/b:v1 \t \t"),
  "options: images": repeated("charmconfig", (i) => `  image-${i}: {default: "k/b:v${i}"}\n`, "options:\n"),
  "options: texts of data": repeated("charmconfig", (i) => `  image-${i}: {default: "[[[[k/b:v${i}"}\n`, "options:\n"),
  "assertions: many": repeated("assert", ASSERTION),
  "assertions: headers inside each other": repeated("assertions", (i) => `${" ".repeat(2 * i + 2)}a:\n`, "type: account\nx:\n"),
  "assertions: a list": repeated("assertions", "  - a\n", "type: account\nx:\n"),
  "assertions: one line": repeated("assertions", "a", "type: "),
  "checksums: a list": repeated("sums", (i) => `${"0".repeat(64)}  f${i}\n`),
  "tar: headers of zeros": binary("archive", "a", () => 0),
  "gzip: noise": binary("archive", [0x1f, 0x8b, 8, 0], (i) => (i * 2_654_435_761) >>> 24),
  "zstd: blocks of nothing": binary("archive", [0x28, 0xb5, 0x2f, 0xfd, 0x24, 0], () => 0),
  "zstd: frames of nothing": binary("archive", [], (i) => [0x28, 0xb5, 0x2f, 0xfd, 0, 0, 1, 0, 0][i % 9] ?? 0),
  "zstd: frames to skip": binary("archive", [], (i) => [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0][i % 8] ?? 0),
  "zstd: frames of a byte": binary("archive", [], (i) => [0x28, 0xb5, 0x2f, 0xfd, 0, 0, 0x0b, 0, 0, 0][i % 10] ?? 0),
  "zstd: runs": binary("archive", [0x28, 0xb5, 0x2f, 0xfd, 0x84, 0xff, 0xff, 0xff, 0xff], (i) => [0xfa, 0xff, 0x0f, 0][i % 4] ?? 0),
  "zip: a long list": centralDirectory,
  "zip: ends": repeated("charm", "PK\x05\x06", "PK\x03\x04"),
  "squashfs: noise": binary("snap", "hsqs", (i) => (i * 2_654_435_761) >>> 24),
};
