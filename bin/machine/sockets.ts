/** What the kernel tells of this process's sockets: connections by address, and how many descriptors are left. */

import { readdirSync, readFileSync } from "node:fs";
import type { Log } from "../../handlers/log.ts";
import { keepSpare } from "../../store/spare.ts";

/** Milliseconds. */
const INTERVAL = 500;
const TOLD_AGAIN = 60_000;
/** Part of the descriptors from which on idle connections are closed; the rest is for files and imports. */
const CROWDED = 0.75;

/** Keeps descriptors free by closing what waits for a request, and one for reads of the store. Returns what ends it. */
export function watchDescriptors({ closeIdle, log }: { readonly closeIdle: () => number; readonly log: Log }): () => void {
  const limit = maxDescriptors();
  let told = Number.NEGATIVE_INFINITY;
  keepSpare();
  const timer = setInterval(() => {
    keepSpare(); // another thread may have taken it
    const open = openDescriptors();
    if (open !== "none is left" && open <= limit * CROWDED) return;
    const closed = closeIdle();
    if (performance.now() - told < TOLD_AGAIN) return;
    told = performance.now();
    const facts = { open, limit: Number.isFinite(limit) ? limit : "unknown", closed };
    log(
      open === "none is left"
        ? { level: "error", message: "too many open files (EMFILE): connections that waited for a request were closed", ...facts }
        : { level: "warn", message: "many connections are open: those that waited for a request were closed", ...facts },
    );
  }, INTERVAL).unref();
  return () => clearInterval(timer);
}

function openDescriptors(): number | "none is left" {
  try {
    return readdirSync("/dev/fd").length;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EMFILE" ? "none is left" : 0;
  }
}

function maxDescriptors(): number {
  try {
    return Number(/^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1"))?.[1] ?? Number.POSITIVE_INFINITY);
  } catch {
    return Number.POSITIVE_INFINITY; // not Linux: EMFILE tells
  }
}

/** How many connections an address has to a port, as of the last second; undefined where the kernel does not tell (macOS). */
export function countConnections(port: number, address: string): number | undefined {
  const now = performance.now();
  if (now - counted.at > 1000) counted = { at: now, counts: readConnections() };
  return counted.counts?.get(`${port} ${plainAddress(address)}`) ?? (counted.counts ? 0 : undefined);
}

let counted: { readonly at: number; readonly counts: Map<string, number> | undefined } = {
  at: Number.NEGATIVE_INFINITY,
  counts: undefined,
};

const ESTABLISHED = "01";

function readConnections(): Map<string, number> | undefined {
  const counts = new Map<string, number>();
  try {
    for (const table of ["/proc/self/net/tcp", "/proc/self/net/tcp6"])
      for (const line of readFileSync(table, "latin1").split("\n").slice(1)) {
        const [, local, remote, state] = line.trim().split(/\s+/);
        if (state !== ESTABLISHED || local === undefined || remote === undefined) continue;
        const key = `${Number.parseInt(local.split(":")[1] ?? "", 16)} ${addressOf(remote.split(":")[0] ?? "")}`;
        counts.set(key, (counts.get(key) ?? 0) + 1);
      }
    return counts;
  } catch {
    return undefined;
  }
}

/** `0100007F` → 127.0.0.1; IPv6 as its 32 hex digits, in words of the machine's order. */
function addressOf(hex: string): string {
  const bytes = Buffer.from(hex, "hex");
  for (let at = 0; at < bytes.length; at += 4) bytes.subarray(at, at + 4).reverse();
  if (bytes.length === 16 && bytes.subarray(0, 12).toString("hex") === MAPPED) return bytes.subarray(12).join(".");
  return bytes.length === 4 ? bytes.join(".") : bytes.toString("hex");
}

const MAPPED = `${"0".repeat(20)}ffff`;

/** An address as `addressOf` writes it. */
function plainAddress(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined || !address.includes(":")) return mapped ?? address;
  const [head = "", tail] = address.split("%")[0]?.split("::") ?? [];
  const words = (text: string | undefined) => (text ? text.split(":") : []);
  const [before, after] = [words(head), words(tail)];
  const zeros = tail === undefined ? [] : Array.from({ length: 8 - before.length - after.length }, () => "0");
  return [...before, ...zeros, ...after].map((word) => word.padStart(4, "0").toLowerCase()).join("");
}
