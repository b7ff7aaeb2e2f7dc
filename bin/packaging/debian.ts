/** What the package for Debian and Ubuntu installs. */

import { completionScript } from "../commands/completion.ts";
import { alertRules, dashboard } from "../commands/monitoring.ts";
import { packagedUnit, UNIT_NAMES } from "../commands/unit.ts";
import { debOf } from "./deb.ts";
import { manPages } from "./man.ts";
import { type Entry, gzip } from "./tar.ts";

const STORE = "/var/lib/chp";

export interface DebianOptions {
  readonly version: string;
  /** as Debian calls it */
  readonly architecture: string;
  readonly executable: Uint8Array;
  readonly licences: string;
  readonly changelog: string;
  /** seconds since 1970 */
  readonly time: number;
}

export function debianPackage({ version, architecture, executable, licences, changelog, time }: DebianOptions): Uint8Array {
  const units = UNIT_NAMES.map((name): Entry => ({ path: `usr/lib/systemd/system/${name}`, bytes: packagedUnit(name) }));
  const pages = [...manPages(time)].map(
    ([name, text]): Entry => ({ path: `usr/share/man/man${name.at(-1)}/${name}.gz`, bytes: gzip(Buffer.from(text)) }),
  );
  const files: Entry[] = [
    { path: "usr/bin/chp", bytes: executable, mode: 0o755 },
    ...units,
    ...pages,
    { path: "usr/share/bash-completion/completions/chp", bytes: completionScript("bash") },
    { path: "usr/share/zsh/vendor-completions/_chp", bytes: completionScript("zsh") },
    { path: "usr/share/fish/vendor_completions.d/chp.fish", bytes: completionScript("fish") },
    { path: "usr/share/chp/chp-alerts.yml", bytes: alertRules() },
    { path: "usr/share/chp/chp-dashboard.json", bytes: dashboard() },
    { path: "usr/share/doc/chp/changelog.gz", bytes: gzip(Buffer.from(changelog)) },
    { path: "usr/share/doc/chp/copyright", bytes: licences },
  ];
  return debOf({
    control: {
      Package: "chp",
      Version: version,
      Architecture: architecture,
      Maintainer: "The developers of chp <chp@localhost>",
      Depends: "libc6 (>= 2.17), passwd",
      Recommends: "systemd",
      Suggests: "squashfs-tools, skopeo",
      Section: "net",
      Priority: "optional",
      Description: DESCRIPTION,
    },
    scripts: { postinst: POSTINST, prerm: PRERM, postrm: POSTRM },
    files,
    time,
  });
}

const DESCRIPTION = `offline Charmhub, Snap Store and image registry
chp serves charms, bundles, snaps and container images to Juju, snapd and
clusters in networks without internet. Archives that were exported outside
are imported into one folder, ${STORE}, which it serves.

The service is neither enabled nor started by the installation.`;

/** Not started: an empty store would answer every client that nothing exists. An upgrade restarts what runs. */
const POSTINST = `#!/bin/sh
set -e
if [ "$1" = configure ]; then
  getent group chp >/dev/null || groupadd --system chp
  getent passwd chp >/dev/null ||
    useradd --system --gid chp --no-create-home --home-dir ${STORE} --shell /usr/sbin/nologin chp
  # A store that is there keeps its owner and its modes.
  [ -e ${STORE} ] || install -d -o chp -g chp -m 0755 ${STORE}
  if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
    [ -z "$2" ] || systemctl try-restart chp.service || true
  fi
  if [ -z "$2" ]; then
    echo "chp is installed. Next:"
    echo "  sudo chp import FILE"
    echo "  sudo systemctl enable --now chp.service chp-verify.timer"
    echo "  chp help install"
  fi
fi
`;

const PRERM = `#!/bin/sh
set -e
if [ "$1" = remove ] && command -v systemctl >/dev/null; then
  if [ -d /run/systemd/system ]; then
    systemctl stop chp.service chp-verify.timer chp-verify.service || true
  fi
  systemctl disable chp.service chp-verify.timer >/dev/null 2>&1 || true
fi
`;

/** The store is not the package's to delete, and its files belong to the user. */
const POSTRM = `#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  systemctl daemon-reload || true
fi
if [ "$1" = purge ] && [ -d ${STORE} ]; then
  echo "The store in ${STORE} and the user chp stay. To delete them: rm -r ${STORE} && userdel chp"
fi
`;
