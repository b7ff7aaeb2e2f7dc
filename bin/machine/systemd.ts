/** Tells systemd what the service does (`Type=notify`). */

import { spawn } from "node:child_process";
import type { Log } from "../../handlers/log.ts";
import { reason } from "../../src/errors.ts";

/**
 * By systemd-notify, since neither Bun nor Node opens the sockets that systemd listens on. It waits until systemd has taken the message. Does
 * nothing where no systemd wants to know; a failure is logged, and ends nothing: systemd itself ends a service that never gets ready.
 */
export async function notifySystemd(variables: Readonly<Record<string, string>>, environment: NodeJS.ProcessEnv, log: Log): Promise<void> {
  if (!environment["NOTIFY_SOCKET"]) return;
  const words = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
  try {
    const child = spawn("systemd-notify", words, { stdio: "ignore", env: environment });
    const code = await new Promise<number | string | null>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (exit, signal) => resolve(exit ?? signal));
    });
    if (code !== 0) throw new Error(`it ended with ${code}`);
  } catch (error) {
    log({ level: "error", message: "systemd does not learn that chp is ready", why: `systemd-notify: ${reason(error)}` });
  }
}
