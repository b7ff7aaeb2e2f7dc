/** Makes small snaps of any kind, signed below the test root: as a store's assertions, and as an export that chp imports. */

import { createHash } from "node:crypto";
import { stringify as toYaml } from "yaml";
import { tgzOf } from "./build.ts";
import { account, accountKey, rootOf, type Signatory, snapDeclaration, snapRevision, testKey } from "./signer.ts";
import { squashfs } from "./squashfs.ts";

export interface SnapSpec {
  readonly name: string;
  /** base, type, plugs, …; what every snap.yaml has is added */
  readonly yaml?: Readonly<Record<string, unknown>>;
  /** revision to its architectures */
  readonly revisions: Readonly<Record<number, readonly string[]>>;
  /** channel to revision by architecture; none: had by number alone */
  readonly channels?: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly defaultTrack?: string;
}

export const PUBLISHER = {
  id: "aCmEaCmEaCmEaCmEaCmEaCmEaCmEaCmE",
  username: "acme",
  "display-name": "Acme",
  validation: "verified",
};
const ROOT_ACCOUNT = rootOf("testroot");
const STORE_KEY = testKey("store of testroot");
const STORE: Signatory = { ...ROOT_ACCOUNT, key: STORE_KEY };

/** What who imports them trusts besides Canonical's root. */
export const SIGNED_ROOT: string = ROOT_ACCOUNT.trust;

const STORE_KEY_TEXT = accountKey(ROOT_ACCOUNT, STORE_KEY, { "account-id": ROOT_ACCOUNT.account, name: "store" });
const PUBLISHER_TEXT = account(STORE, {
  "account-id": PUBLISHER.id,
  username: PUBLISHER.username,
  "display-name": PUBLISHER["display-name"],
  validation: PUBLISHER.validation,
});

export interface SignedRevision {
  readonly revision: number;
  readonly architectures: readonly string[];
  readonly yaml: string;
  readonly image: Uint8Array;
  /** lower-case hex */
  readonly digest: string;
  readonly assertions: { readonly declaration: string; readonly revision: string };
}

export interface SignedSnap extends SnapSpec {
  readonly id: string;
  readonly signed: readonly SignedRevision[];
}

export function signed(spec: SnapSpec): SignedSnap {
  const id = createHash("sha256").update(spec.name).digest("hex").slice(0, 32);
  const declaration = snapDeclaration(STORE, { "snap-id": id, "snap-name": spec.name, "publisher-id": PUBLISHER.id });
  const all = Object.entries(spec.revisions).map(([number, architectures]): SignedRevision => {
    const facts = { name: spec.name, version: `1.${number}`, summary: spec.name, description: spec.name, architectures, ...spec.yaml };
    const yaml = toYaml(facts);
    const image = squashfs({ "meta/snap.yaml": yaml });
    const digest = createHash("sha3-384").update(image).digest("hex");
    const revision = snapRevision(STORE, {
      "snap-sha3-384": Buffer.from(digest, "hex").toString("base64url"),
      "snap-id": id,
      "snap-size": image.byteLength,
      "snap-revision": number,
      "developer-id": PUBLISHER.id,
    });
    return { revision: Number(number), architectures, yaml, image, digest, assertions: { declaration, revision } };
  });
  return { ...spec, id, signed: all };
}

/** What a store has at `/v2/assertions/…`, by what stands behind that. */
export function assertionsOf(snaps: readonly SignedSnap[]): Map<string, string> {
  const [rootAccount = "", rootKey = ""] = SIGNED_ROOT.split(/\n\n(?=type: )/).map((text) => `${text.trimEnd()}\n`);
  return new Map([
    [`account/${ROOT_ACCOUNT.account}`, rootAccount],
    [`account-key/${ROOT_ACCOUNT.key.id}`, rootKey],
    [`account-key/${STORE_KEY.id}`, STORE_KEY_TEXT],
    [`account/${PUBLISHER.id}`, PUBLISHER_TEXT],
    ...snaps.flatMap(({ id, signed: all }) =>
      all.flatMap(({ digest, assertions }): [string, string][] => [
        [`snap-declaration/16/${id}`, assertions.declaration],
        [`snap-revision/${Buffer.from(digest, "hex").toString("base64url")}`, assertions.revision],
      ]),
    ),
  ]);
}

/** One export of all of them. */
export function exportOfSnaps(snaps: readonly SignedSnap[]): Uint8Array {
  return tgzOf(Object.fromEntries(snaps.map((snap) => [`${snap.name}.tar.gz`, tgzOf(filesOf(snap))])));
}

function filesOf({ name, id, signed: all, channels = {}, defaultTrack }: SignedSnap): Record<string, string | Uint8Array> {
  const stream = ({ assertions }: SignedRevision) =>
    [STORE_KEY_TEXT, PUBLISHER_TEXT, assertions.declaration, assertions.revision].join("\n");
  const files = all.flatMap((one): [string, string | Uint8Array][] => [
    [`${name}_${one.revision}.snap`, one.image],
    [`${name}_${one.revision}.assert`, stream(one)],
  ]);
  const rows = Object.entries(channels).flatMap(([channel, revisions]) => {
    const [track, risk] = channel.split("/");
    return Object.entries(revisions).map(([architecture, revision]) => ({
      channel: { architecture, name: channel, track, risk, "released-at": "2026-03-01T09:30:00+00:00" },
      revision,
    }));
  });
  const told = { name, "snap-id": id, "default-track": defaultTrack ?? null, snap: { name, "snap-id": id }, "channel-map": rows };
  return { ...Object.fromEntries(files), "channel-map.json": JSON.stringify(told) };
}
