/** Command lines of the documents of the system that chp stands in for, run by a shell as they are written there. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { exportOf, type PackageSpec, tgzOf } from "../build.ts";
import { IMAGES, ROOT, SNAP_WORLD } from "../snapworld.ts";
import { PACKAGES } from "../world.ts";
import { COMMAND, type Done, here, serve, tempFolder } from "./chp.ts";

interface Line {
  /** as it is written */
  readonly line: string;
  readonly code?: number;
  /** of what it prints */
  readonly says?: string;
  /** what the document says that it does */
  readonly does?: (done: Done) => Promise<void> | void;
}

const COMMON = "/var/snap/snap-store-proxy/common";

/** In the order of the document: a later line may build on an earlier one. Those of store-admin stand in storeadmin.test.ts. */
const LINES: readonly Line[] = [
  {
    line: "sudo snap-store-proxy config proxy.oci-registry.domain=<registry-domain>",
    does: async () => expect(await setting("proxy.oci-registry.domain")).toBe("registry.lan:5000"),
  },
  {
    line: "sudo snap-store-proxy config proxy.oci-registry.username=some-username proxy.oci-registry.password=some-password",
    does: async (done) => {
      expect(done.out + done.err).not.toContain("some-password");
      expect(await setting("proxy.oci-registry.username")).toBe("some-username");
      expect(await setting("proxy.oci-registry.password")).toBe("(set, not shown)");
    },
  },
  {
    line: `sudo snap-store-proxy push-charms ${COMMON}/charms-to-push/charms-export-20240429T090849.tar.gz`,
    says: "acme-db: charm, new",
    does: () => served("charm", "acme-db"),
  },
  {
    line: `sudo snap-store-proxy push-charm-bundle ${COMMON}/charms-to-push/cos-lite-20240401T172030.tar.gz`,
    says: "acme-stack: bundle, new",
    does: () => served("bundle", "acme-stack"),
  },
  {
    line: `sudo snap-store-proxy push-charms ${COMMON}/charms-to-push/charms-export-20240501T101010.tar.gz`,
    says: "channels of stored packages were kept (--push-channel-map or chp import releases them)",
  },
  {
    line: `sudo snap-store-proxy push-charms ${COMMON}/charms-to-push/charms-export-20240501T101010.tar.gz --push-channel-map`,
    says: "14/stable ubuntu@24.04 amd64: 20 → 25",
  },
  { line: "sudo snap-store-proxy import-certificate --selfsigned" },
  {
    line: "snap-store-proxy config proxy.tls.cert | cat > tls-cert.crt",
    does: () => expect(readFileSync(at("tls-cert.crt"), "utf8")).toStartWith("-----BEGIN CERTIFICATE-----\n"),
  },
];

/** Of the pages that it points to, and of scripts that use it. */
const OTHER_LINES: readonly Line[] = [
  { line: "sudo snap-proxy enable-airgap-mode", says: "chp is always offline" },
  { line: "sudo enterprise-store enable-airgap-mode --password secret", says: "chp is always offline" },
  { line: "sudo snap-store-proxy disable-airgap-mode", code: 2, says: "chp is always offline" },
  {
    line: `sudo snap-store-proxy push-snap ${COMMON}/snaps-to-push/hello-20240429T122503.tar.gz --trust root.assert`,
    says: "hello: snap, new",
  },
  {
    line: `sudo snap-store-proxy push-snap ${COMMON}/snaps-to-push/hello-20240501T101010.tar.gz`,
    says: "  chp_14/edge amd64: opened at 5\n  note: its track chp_14 is new\n",
    does: ({ out }) => expect(out).not.toContain("kept"),
  },
  { line: "sudo snap-store-proxy list-pushed-snaps", says: "hello\tsnap\t" },
  { line: "sudo enterprise-store override hello stable=6", says: "hello stable amd64 6\ngeneration" },
  { line: "sudo snap-proxy override hello stable=8 edge=5", says: "hello stable arm64 8\nhello edge amd64 5\ngeneration" },
  {
    line: "sudo enterprise-store list-overrides hello",
    does: ({ out }) =>
      expect(out).toBe("hello stable amd64 6 (upstream 5)\nhello stable arm64 8 (upstream 8)\nhello edge amd64 5 (upstream 6)\n"),
  },
  {
    line: "enterprise-store overrides hello --json",
    does: ({ out }) => expect(JSON.parse(out)[0]).toMatchObject({ revision: 6, reason: "set by enterprise-store override", until: null }),
  },
  { line: "sudo enterprise-store override hello stable", code: 2, says: "stable is not CHANNEL=REVISION" },
  {
    line: "sudo enterprise-store delete-override hello stable",
    says: "hello stable amd64 is tracking upstream (revision 5)\nhello stable arm64 is tracking upstream (revision 8)\n",
  },
  { line: "sudo snap-store-proxy delete-override hello --channel=edge", says: "hello edge amd64 is tracking upstream (revision 6)\n" },
  { line: "sudo snap-store-proxy delete-override hello", code: 2, says: "name the channel" },
  { line: "sudo snap-store-proxy list-overrides hello", does: ({ out }) => expect(out).toBe("") },
  { line: 'sudo snap-proxy config proxy.domain="snaps.myorg.internal"' },
  { line: "snap-store-proxy config proxy.domain", says: "snaps.myorg.internal\n" },
  {
    line: "enterprise-store status",
    says: "Store URL: http://snaps.myorg.internal:8080\nStore is in air-gapped mode\nStore ID: acmestore\nStatus: registered, by a store assertion that testroot signed\n",
  },
  { line: "sudo snap-store-proxy config --export-yaml | cat > store-config.yaml" },
  { line: "cat store-config.yaml | sudo enterprise-store config --import-yaml", says: "set public-url\nset proxy.oci-registry.domain\n" },
  { line: "sudo enterprise-store config --import-yaml store-config.yaml", says: "set public-url\n" },
  { line: 'sudo snap-store-proxy config proxy.db.connection="postgresql://x"', code: 2, says: "has no meaning here: chp has no database" },
];

const folder = tempFolder();
const at = (...names: string[]) => join(folder.path, ...names);
const STORE = at("store");

beforeAll(() => {
  for (const name of ["bin", "charms-to-push", "snaps-to-push"]) mkdirSync(at(name));
  for (const name of ["snap-store-proxy", "enterprise-store", "snap-proxy", "store-admin"])
    symlinkSync(COMMAND.at(-1) ?? "", at("bin", name));
  writeFileSync(at("bin", "sudo"), '#!/bin/sh\nexec "$@"\n', { mode: 0o755 });
  writeFileSync(at("charms-to-push", "charms-export-20240429T090849.tar.gz"), exportOf(PACKAGES.filter((one) => one.name === "acme-db")));
  writeFileSync(at("charms-to-push", "charms-export-20240501T101010.tar.gz"), exportOf([moved()]));
  writeFileSync(at("charms-to-push", "cos-lite-20240401T172030.tar.gz"), exportOf(PACKAGES));
  writeFileSync(at("snaps-to-push", "hello-20240429T122503.tar.gz"), SNAP_WORLD);
  const yaml = "packages:\n  - name: hello\n    revision: 5\n    push_channel: chp_14/edge\n";
  writeFileSync(
    at("snaps-to-push", "hello-20240501T101010.tar.gz"),
    tgzOf({ "hello_5.snap": IMAGES["hello_5.snap"] ?? "", "a.yaml": yaml }),
  );
  writeFileSync(at("root.assert"), ROOT);
});

afterAll(() => folder[Symbol.dispose]());

/** The charm as it is exported later: another revision is on its channels. */
function moved(): PackageSpec {
  const [charm] = PACKAGES;
  if (!charm) throw new Error("the world has no charm");
  return { ...charm, releases: charm.releases.map((one) => (one.revision === 20 ? { ...one, revision: 25 } : one)) };
}

async function setting(key: string): Promise<string> {
  return (await here(["config", "--store", STORE, key])).out.trim();
}

async function served(type: string, name: string): Promise<void> {
  const server = await serve(STORE);
  try {
    expect(await (await fetch(`${server.url}/v2/charms/info/${name}`)).json()).toMatchObject({ type, name });
  } finally {
    await server.stop();
  }
}

/** With other paths, as the only change. */
async function shell(line: string): Promise<Done> {
  const text = line.replaceAll(COMMON, folder.path).replaceAll("<registry-domain>", "registry.lan:5000");
  const PATH = [at("bin"), process.env["PATH"] ?? ""].join(delimiter);
  const child = Bun.spawn(["bash", "-o", "pipefail", "-c", text], {
    cwd: folder.path,
    env: { HOME: folder.path, PATH, CHP_STORE: STORE },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
  return { code, out, err };
}

for (const { line, code = 0, says = "", does } of [...LINES, ...OTHER_LINES])
  test(line, async () => {
    const done = await shell(line);
    expect([done.code, done.out + done.err]).toEqual([code, expect.stringContaining(says)]);
    await does?.(done);
  });

test("a link with another name is chp", async () => {
  symlinkSync(COMMAND.at(-1) ?? "", at("bin", "hub"));
  expect((await shell("hub status")).out).toMatch(/^chp \d/);
  expect((await shell("hub export charms x.yaml")).code).toBe(2);
  expect((await shell("snap-store-proxy --help")).out).toStartWith("Usage: snap-store-proxy ");
});

test("status without a store assertion and without a public URL invents nothing", async () => {
  const { out, code } = await shell(
    "CHP_STORE=other snap-store-proxy config listen=127.0.0.1:1 && CHP_STORE=other snap-store-proxy status",
  );
  expect([code, out]).toEqual([0, expect.stringContaining("Store URL: not set")]);
  expect(out).toContain("Store ID: none\nStatus: not registered");
  const facts = await shell("CHP_STORE=other snap-store-proxy status --json");
  expect(JSON.parse(facts.out)).toEqual({ storeUrl: null, airgap: true, storeId: null, signedBy: null });
});
