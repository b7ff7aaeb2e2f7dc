/**
 * What one import may use: every reader of what strangers wrote counts here before it goes on. What is allowed grows with the bytes of the
 * sources, so that a small file can't take much; the bases are for the smallest.
 */

import { type Failure, refused } from "../errors.ts";

export const MIB = 2 ** 20;

/** Bounds on the content of archives; an operator can raise these with flags of `chp import`. */
export interface Limits {
  /** entries of all tars together, and of one zip */
  readonly entries: number;
  /** archives inside archives */
  readonly depth: number;
  /** bytes after decompression, of all archives together; and of a source whose size is not known before */
  readonly size: number;
  /** decompressed over compressed bytes; what is allowed for each byte of the sources grows with it */
  readonly ratio: number;
  /** bytes of a JSON or assertion file; four times that of all that are kept in memory */
  readonly json: number;
  /** bytes of a YAML or other text that is read */
  readonly text: number;
}

export const LIMITS: Limits = { entries: 100_000, depth: 8, size: 2 ** 40, ratio: 200, json: 32 * MIB, text: 2 * MIB };

interface Allowance {
  /** for sources of `BASE_SOURCE` bytes or less */
  readonly base: number;
  /** for each further byte of the sources */
  readonly perByte: number;
  /** whatever the sources, and the flag that raises it */
  readonly most?: { readonly of: (limits: Limits) => number; readonly flag: string };
  readonly says: (count: number) => string;
}

const BASE_SOURCE = 1_000_000;

/** Everything that is counted. With the default ratio; another one raises or lowers base and rate alike. */
const ALLOWANCES = {
  /** bytes that come out of every decompressor */
  unpacked: {
    base: 256 * MIB,
    perByte: 200,
    most: { of: ({ size }) => size, flag: "--max-size" },
    says: (count) => `unpacks to more than ${count} bytes`,
  },
  /** bytes on the disk, in blocks */
  staged: { base: 160 * MIB, perByte: 200, says: (count) => `needs more than ${count} bytes of the disk` },
  /** bytes of assertions, metadata.json, lists and paths, which stay in memory until the end */
  kept: {
    base: 16 * MIB,
    perByte: 8,
    most: { of: ({ json }) => 4 * json, flag: "--max-json" },
    says: (count) => `has more than ${count} bytes of metadata, assertions and lists`,
  },
  entries: {
    base: 5000,
    perByte: 0.02,
    most: { of: ({ entries }) => entries, flag: "--max-entries" },
    says: (count) => `holds more than ${count} entries`,
  },
  /** what parsers take: about 15 microseconds each */
  steps: { base: 300_000, perByte: 1, says: (count) => `takes more than ${count} steps to parse` },
} as const satisfies Record<string, Allowance>;

export type Counted = keyof typeof ALLOWANCES;

/** Characters of a text for a step, where each of its marks is a token: by how much faster a parser is than that of YAML. */
const MARKS_PER_STEP = { yaml: 1, json: 6, code: 16, assertions: 16, header: 16 } as const;

/** Entries of a list that are compared in the time of a step: paths may be long. */
const COMPARED_PER_STEP = 100;

/** Bytes that a file takes on the disk at least, and is rounded up to. */
const DISK_BLOCK = 4096;

export class Budget {
  readonly limits: Limits;
  readonly #used: Record<Counted, number> = { unpacked: 0, staged: 0, kept: 0, entries: 0, steps: 0 };
  #isExceeded = false;
  #read = 0;

  constructor(limits: Limits = LIMITS) {
    this.limits = limits;
  }

  /** Counts bytes of a source. What a source says of its size is not believed. */
  read(count: number): void {
    this.#read += count;
  }

  /** How much of something has been counted. */
  used(what: Counted): number {
    return this.#used[what];
  }

  /** Whether there was too much of something: nothing is read on then. */
  get isExceeded(): boolean {
    return this.#isExceeded;
  }

  /** Counts; throws a `refused` failure at `at` that says what there is too much of, and which flag raises it. */
  spend(what: Counted, count: number, at: readonly string[] = []): void {
    this.#used[what] += count;
    const used = this.#used[what];
    const { base, perByte, says, most }: Allowance = ALLOWANCES[what];
    const ceiling = most?.of(this.limits) ?? Number.POSITIVE_INFINITY;
    if (most && used > ceiling) throw this.#exceeded(`it ${says(ceiling)}`, { at, next: `if that is right, give ${most.flag}` });
    const { ratio } = this.limits;
    const allowed = Math.floor((ratio / LIMITS.ratio) * (base + perByte * Math.max(0, this.#read - BASE_SOURCE)));
    if (used > allowed)
      throw this.#exceeded(`it ${says(allowed)}, which is too much for the ${this.#read} bytes that were read so far`, {
        at,
        next: `if that is right, give a --max-ratio of more than ${ratio}`,
      });
  }

  #exceeded(...why: Parameters<typeof refused>): Failure {
    this.#isExceeded = true;
    return refused(...why);
  }

  /** Counts a file of so many bytes on the disk, `already` of which were counted. */
  stage(bytes: number, already = 0): void {
    this.spend("staged", blocks(bytes) - (already === 0 ? 0 : blocks(already)));
  }

  /** Counts what a parser will take for a text, before it is parsed. */
  parse(kind: keyof typeof MARKS_PER_STEP, text: string | Uint8Array): void {
    this.spend("steps", 1 + Math.ceil(marks(text) / MARKS_PER_STEP[kind]));
  }

  /** Counts looking through a list of so many entries, for what is at `at`. */
  compare(count: number, at: readonly string[]): void {
    this.spend("steps", Math.ceil(count / COMPARED_PER_STEP), at);
  }
}

function blocks(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / DISK_BLOCK)) * DISK_BLOCK;
}

/** Characters that are neither letters, digits nor blanks: a parser makes a few tokens of each at most. */
function marks(text: string | Uint8Array): number {
  let count = 0;
  const isText = typeof text === "string";
  const size = isText ? text.length : text.byteLength;
  for (let i = 0; i < size; i += 1) {
    const code = isText ? text.charCodeAt(i) : (text[i] ?? 0);
    if (code < 128) count += MARK[code] ?? 0;
  }
  return count;
}

const MARK = Uint8Array.from({ length: 128 }, (_, code) => (/[A-Za-z0-9_ .]/.test(String.fromCharCode(code)) ? 0 : 1));
