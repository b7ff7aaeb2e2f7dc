/** Every entry point of a parser of what strangers wrote. A target is done, or throws a `refused` failure; anything else is a fault. */

import { LIMITS } from "../../src/archives/archive.ts";
import { readImageManifest } from "../../src/archives/imagemanifest.ts";
import { needsOf } from "../../src/archives/needs/needs.ts";
import { READERS, type ReaderName } from "../../src/archives/readers.ts";
import { parseStreamsIndex, parseStreamsProducts } from "../../src/archives/streams.ts";
import { readClearSigned, readSigningKey } from "../../src/assertions/clearsigned.ts";
import { canonicalStreamsKey } from "../../src/assertions/streamskey.ts";
import { parseAssertions } from "../../src/assertions/text.ts";
import { readImageBlob } from "../../src/catalog/registry.ts";
import { Failure } from "../../src/errors.ts";
import { importSources } from "../../src/import/import.ts";
import { Memory } from "../../store/memory.ts";
import { Store } from "../../store/store.ts";
import { streamsSigner } from "../streams.ts";

type Target = (bytes: Uint8Array) => void | Promise<void>;

/** Whether it was done or refused; throws what is neither. */
export async function outcomeOf(target: Target, bytes: Uint8Array): Promise<"done" | "refused"> {
  try {
    await target(bytes);
    return "done";
  } catch (error) {
    if (error instanceof Failure && error.kind === "refused" && !/internal error|Maximum call stack/.test(error.message)) return "refused";
    throw error;
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("utf8");
}

/** All readers of YAML, each for itself; a refusal of the first is that of all. */
function yaml(...readers: readonly Exclude<ReaderName, "needs">[]): Target {
  return (bytes) => {
    for (const reader of readers) READERS[reader](textOf(bytes), "it");
  };
}

/** As files of a charm, in pieces as large as they may be. */
function source(name: (i: number) => string, size: number): Target {
  return (bytes) => {
    const text = `# snap\n${textOf(bytes)}`;
    const pieces: [string, string][] = [];
    for (let at = 0; at < text.length; at += size) pieces.push([name(pieces.length), text.slice(at, at + size)]);
    needsOf(new Map(pieces));
  };
}

/** As the only file of an import. */
function imported(name: string): Target {
  return async (bytes) => {
    const open = async function* () {
      yield bytes;
    };
    const options = { command: "t", channels: "apply", dryRun: true, now: "2026-05-01T00:00:00Z", limits: LIMITS } as const;
    await importSources(await Store.openOrCreate(new Memory()), [{ name, size: bytes.byteLength, open }], options);
  };
}

const SIGNERS = [readSigningKey(streamsSigner("a").file, "the key")];
const KIB = 1024;

export const TARGETS = {
  metadata: yaml("metadata"),
  manifest: yaml("manifest"),
  bundle: yaml("bundle"),
  snapyaml: yaml("snap"),
  component: yaml("component"),
  image: (bytes) => void readImageBlob(bytes),
  imagemanifest: (bytes) => void readImageManifest(bytes, undefined),
  python: source((i) => `src/a${i}.py`, 512 * KIB - 16),
  shell: source((i) => `hooks/a${i}.sh`, 256 * KIB - 16),
  charmjson: source((i) => `a${i}-snaps.json`, 128 * KIB - 16),
  charmtoml: source((i) => `a${i}-snaps.toml`, 128 * KIB - 16),
  charmyaml: source((i) => `a${i}-snaps.yaml`, 32 * KIB - 16),
  streamsindex: (bytes) => void parseStreamsIndex(textOf(bytes), "it"),
  streamsproducts: (bytes) => void parseStreamsProducts(textOf(bytes), "it"),
  clearsigned: (bytes) => void readClearSigned(bytes, [canonicalStreamsKey(), ...SIGNERS], "it"),
  signingkey: (bytes) => void readSigningKey(bytes, "it"),
  signedtext: imported("streams/v1/index2.sjson"),
  charmimages: source((i) => `a${i}-images.yaml`, 32 * KIB - 16),
  charmmanifest: (bytes) => void needsOf(new Map([["a.yaml.j2", `kind: a\n${textOf(bytes)}`]])),
  charmconfig: (bytes) => void needsOf(new Map([["config.yaml", `# image\n${textOf(bytes)}`]])),
  assertions: (bytes) => void parseAssertions(bytes, "it"),
  metadatajson: imported("metadata.json"),
  json: imported("a.json"),
  yaml: imported("a.yaml"),
  sums: imported("SHA256SUMS"),
  assert: imported("a.assert"),
  archive: imported("a.tar"),
  charm: imported("a_1.charm"),
  snap: imported("a_1.snap"),
} as const satisfies Record<string, Target>;

export type TargetName = keyof typeof TARGETS;
