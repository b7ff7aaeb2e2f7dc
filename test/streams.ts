/** Agent streams as upstream has them, clear-signed by keys of tests. Whoever trusts one of these outside a test trusts everybody. */

import { createHash, createPrivateKey, type KeyObject, sign } from "node:crypto";
import PRIVATE_KEYS from "./fixtures/keys.json" with { type: "json" };

/** seconds since 1970: when every key was made, and when texts are signed unless a test says otherwise */
export const KEY_MADE = 1_600_000_000;
export const SIGNED_AT = 1_790_000_000;

interface KeyOptions {
  /** seconds after which the key ends */
  readonly life?: number;
  /** what its owner says that it may do: 2 sign, 1 certify */
  readonly flags?: number;
  readonly revoked?: boolean;
}

interface ClearSignOptions {
  readonly hash?: "sha1" | "sha256" | "sha512";
  /** seconds since 1970 */
  readonly made?: number;
  /** further subpackets that are signed */
  readonly more?: Buffer;
}

export interface StreamsSigner {
  readonly fingerprint: string;
  /** what gpg --export --armor writes */
  readonly file: Buffer;
  clearSign(text: string, options?: ClearSignOptions): Buffer;
}

/** A key of fixtures/keys.json as OpenPGP has it. */
export function streamsSigner(name: keyof typeof PRIVATE_KEYS, { life, flags = 3, revoked = false }: KeyOptions = {}): StreamsSigner {
  const key = createPrivateKey({ key: Buffer.from(PRIVATE_KEYS[name], "base64"), format: "der", type: "pkcs8" });
  const { n = "", e = "" } = key.export({ format: "jwk" });
  const body = Buffer.concat([Buffer.from([4]), uint(KEY_MADE, 4), Buffer.from([1]), integer(n), integer(e)]);
  const framed = Buffer.concat([Buffer.from([0x99]), uint(body.byteLength, 2), body]);
  const fingerprint = createHash("sha1").update(framed).digest("hex").toUpperCase();
  const issuer = subpacket(16, Buffer.from(fingerprint.slice(-16), "hex"));
  const signature = (kind: number, content: Buffer, { hash = "sha512", made = SIGNED_AT, more = Buffer.alloc(0) }: ClearSignOptions = {}) =>
    signaturePacket(key, kind, content, { hash, issuer, subpackets: Buffer.concat([subpacket(2, uint(made, 4)), more]) });
  const user = Buffer.from(`${name} <streams@test>`);
  const said = [subpacket(27, Buffer.from([flags])), ...(life === undefined ? [] : [subpacket(9, uint(life, 4))])];
  const named = Buffer.concat([framed, Buffer.from([0xb4]), uint(user.byteLength, 4), user]);
  const packets = [
    packet(6, body),
    ...(revoked ? [packet(2, signature(0x20, framed, { made: KEY_MADE + 1 }))] : []),
    packet(13, user),
    packet(2, signature(0x13, named, { made: KEY_MADE, more: Buffer.concat(said) })),
  ];
  return {
    fingerprint,
    file: Buffer.from(armored("PUBLIC KEY BLOCK", Buffer.concat(packets))),
    clearSign: (text, options = {}) => {
      const lines = text.split("\n");
      const canonical = lines.map((line) => line.replace(/[ \t\r]+$/, "")).join("\r\n");
      const escaped = lines.map((line) => (line.startsWith("-") ? `- ${line}` : line)).join("\n");
      const { hash = "sha512" } = options;
      const armor = armored("SIGNATURE", packet(2, signature(1, Buffer.from(canonical), options)));
      return Buffer.from(`-----BEGIN PGP SIGNED MESSAGE-----\nHash: ${hash.toUpperCase()}\n\n${escaped}\n${armor}`);
    },
  };
}

const HASH_IDS = { sha1: 2, sha256: 8, sha512: 10 } as const;

function signaturePacket(
  key: KeyObject,
  kind: number,
  content: Buffer,
  { hash, issuer, subpackets }: { readonly hash: keyof typeof HASH_IDS; readonly issuer: Buffer; readonly subpackets: Buffer },
): Buffer {
  const hashed = Buffer.concat([Buffer.from([4, kind, 1, HASH_IDS[hash]]), uint(subpackets.byteLength, 2), subpackets]);
  const signed = Buffer.concat([content, hashed, Buffer.from([4, 0xff]), uint(hashed.byteLength, 4)]);
  const sum = createHash(hash).update(signed).digest().subarray(0, 2);
  return Buffer.concat([hashed, uint(issuer.byteLength, 2), issuer, sum, integer(sign(hash, signed, key).toString("base64url"))]);
}

function subpacket(kind: number, data: Buffer): Buffer {
  return Buffer.concat([Buffer.from([data.byteLength + 1, kind]), data]);
}

function packet(tag: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0xc0 | tag, 0xff]), uint(body.byteLength, 4), body]);
}

function armored(what: string, bytes: Buffer): string {
  const lines = bytes.toString("base64").replace(/.{64}(?=.)/g, "$&\n");
  return `-----BEGIN PGP ${what}-----\n\n${lines}\n-----END PGP ${what}-----\n`;
}

function integer(base64url: string): Buffer {
  const bytes = Buffer.from(base64url, "base64url");
  const value = bytes.subarray(bytes.findIndex((byte) => byte !== 0));
  return Buffer.concat([uint(value.byteLength * 8 - Math.clz32(value[0] ?? 0) + 24, 2), value]);
}

function uint(value: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  bytes.writeUIntBE(value, 0, length);
  return bytes;
}

/* ---- streams ---- */

export const PRODUCT_FILE = "streams/v1/com.ubuntu.juju-released-agents.sjson";
export const INDEX_FILE = "streams/v1/index2.sjson";

export interface TestAgent {
  readonly version: string;
  readonly architecture: string;
  readonly bytes: Buffer;
}

/** The bytes of an agent, which nobody opens: gzip by their beginning alone. */
export function agentBytes(version: string, architecture: string, size = 200): Buffer {
  const text = `agent ${version} ${architecture} `;
  return Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 0]), Buffer.from(text.repeat(Math.ceil(size / text.length)).slice(0, size - 4))]);
}

export function testAgents(versions: readonly string[], architectures: readonly string[] = ["amd64", "arm64"]): TestAgent[] {
  return versions.flatMap((version) =>
    architectures.map((architecture) => ({ version, architecture, bytes: agentBytes(version, architecture) })),
  );
}

export type Item = Record<string, unknown>;

interface StreamsOptions {
  /** as upstream writes it */
  readonly updated?: string;
  /** changes an item before it is signed */
  readonly item?: (item: Item) => Item;
}

export function agentFileName({ version, architecture }: Pick<TestAgent, "version" | "architecture">): string {
  return `juju-${version}-linux-${architecture}.tgz`;
}

/** The texts of an index and a product file, before they are signed. */
export function streamsTexts(
  agents: readonly TestAgent[],
  { updated = "Tue, 22 Sep 2026 08:00:00 +0000", item = (same) => same }: StreamsOptions = {},
) {
  const products: Record<string, unknown> = {};
  for (const release of ["ubuntu", "centos"])
    for (const architecture of new Set(agents.map((agent) => agent.architecture))) {
      const mine = agents.filter((agent) => agent.architecture === architecture);
      const items = mine.map(({ version, bytes }) => [
        `${version}-${release}-${architecture}`,
        item({
          release,
          version,
          arch: architecture,
          path: `agent/${version}/${agentFileName({ version, architecture })}`,
          size: bytes.byteLength,
          sha256: createHash("sha256").update(bytes).digest("hex"),
          md5: "0",
          ftype: "tar.gz",
        }),
      ]);
      products[`com.ubuntu.juju:${release}:${architecture}`] = { versions: { 20260922: { items: Object.fromEntries(items) } } };
    }
  const content = "com.ubuntu.juju:released:agents";
  const listed = { updated, format: "products:1.0", datatype: "content-download", path: PRODUCT_FILE, products: Object.keys(products) };
  return {
    index: JSON.stringify({ index: { [content]: listed }, updated, format: "index:1.0" }, null, 1),
    products: JSON.stringify({ products, updated, format: "products:1.0", content_id: content }, null, 1),
  };
}

/** What upstream serves, by path from its address. */
export function streamsFiles(agents: readonly TestAgent[], signer: StreamsSigner, options: StreamsOptions = {}): Map<string, Buffer> {
  const { index, products } = streamsTexts(agents, options);
  return new Map([
    [INDEX_FILE, signer.clearSign(index)],
    [PRODUCT_FILE, signer.clearSign(products)],
    ...agents.map((agent): [string, Buffer] => [`agent/${agent.version}/${agentFileName(agent)}`, agent.bytes]),
  ]);
}
