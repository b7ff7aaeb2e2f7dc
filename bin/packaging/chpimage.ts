/** The OCI image of a release: chp and the C library that it needs, for each architecture. */

import { BUILD, VERSION } from "../../src/version.ts";
import { imageOf } from "./image.ts";
import type { Libc } from "./libc.ts";
import type { Entry } from "./tar.ts";

/** Nobody's number on any system. */
const USER = 65532;

export interface Part {
  readonly libc: Libc;
  readonly executable: Uint8Array;
}

/** The files of an image that every version has: those of the C library, and who runs it. */
function staticFiles({ files }: Libc): Entry[] {
  return [
    ...files,
    { path: "etc/passwd", bytes: `root:x:0:0:root:/:/sbin/nologin\nchp:x:${USER}:${USER}:chp:/var/lib/chp:/sbin/nologin\n` },
    { path: "etc/group", bytes: `root:x:0:\nchp:x:${USER}:\n` },
    { path: "etc/nsswitch.conf", bytes: "hosts: files dns\n" },
    { path: "tmp", mode: 0o1777 },
    { path: "var/lib/chp", owner: USER },
  ];
}

/** `time`: seconds since 1970. */
export function imageOfChp(parts: readonly Part[], texts: { readonly licences: string }, time: number): Uint8Array {
  const platforms = parts.map(({ libc, executable }): [string, Entry[][]] => {
    const own: Entry[] = [
      { path: "usr/bin/chp", bytes: executable, mode: 0o755 },
      { path: "usr/share/doc/chp/copyright", bytes: texts.licences },
    ];
    return [libc.architecture, [staticFiles(libc), own]];
  });
  const seconds = (count: number) => count * 1_000_000_000;
  return imageOf({
    name: `chp:${VERSION}`,
    config: {
      User: `${USER}:${USER}`,
      Env: ["PATH=/usr/bin", "CHP_STORE=/var/lib/chp", "HOME=/var/lib/chp"],
      Entrypoint: ["/usr/bin/chp"],
      Cmd: ["serve", "--wait-for-store"],
      ExposedPorts: { "8080/tcp": {} },
      Volumes: { "/var/lib/chp": {} },
      WorkingDir: "/var/lib/chp",
      StopSignal: "SIGTERM",
      // Docker's; the specification of OCI has none, and Kubernetes asks /_status/check.
      Healthcheck: {
        Test: ["CMD", "/usr/bin/chp", "status", "--probe"],
        Interval: seconds(30),
        Timeout: seconds(10),
        StartPeriod: seconds(10),
        Retries: 3,
      },
    },
    labels: {
      "org.opencontainers.image.title": "chp",
      "org.opencontainers.image.description": "An offline Charmhub, Snap Store and image registry",
      "org.opencontainers.image.version": VERSION,
      "org.opencontainers.image.licenses": "Apache-2.0",
      ...(BUILD !== "" && { "org.opencontainers.image.revision": BUILD }),
    },
    time,
    platforms: Object.fromEntries(platforms),
  });
}
