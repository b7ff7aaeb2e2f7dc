/** systemd as `Type=notify` asks for it: a stand-in of its socket hears of a server when it answers and when it ends. */

import { expect, test } from "bun:test";
import { join, resolve } from "node:path";
import { COMMAND, logged, NODE, serve, tempFolder } from "../e2e/chp.ts";

/** Prints each message as a line of JSON; takes descriptors and closes them, which ends the wait of systemd-notify. */
const STAND_IN = `
import json, os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("ready", flush=True)
while True:
    data, fds, _, _ = socket.recv_fds(s, 4096, 8)
    for fd in fds: os.close(fd)
    print(json.dumps(data.decode().split("\\n")), flush=True)
`;

const lacks = ["python3", "systemd-notify"].filter((tool) => Bun.which(tool) === null);
const why = lacks.length === 0 ? "" : ` (${lacks.join(" and ")} not installed)`;

async function listening(socket: string) {
  const child = Bun.spawn(["python3", "-c", STAND_IN, socket], { stdout: "pipe", stderr: "inherit" });
  const lines: string[] = [];
  const done = (async () => {
    let text = "";
    for await (const chunk of child.stdout) {
      text += Buffer.from(chunk).toString();
      lines.push(...text.split("\n").slice(0, -1));
      text = text.slice(text.lastIndexOf("\n") + 1);
    }
  })();
  while (lines.length === 0) await Bun.sleep(10);
  const stop = async () => {
    child.kill();
    await done;
  };
  return { said: () => lines.slice(1).flatMap((line) => JSON.parse(line) as string[]), stop };
}

// Both start systemd-notify, each in its own way.
const RUNTIMES: [string, readonly string[]][] = [
  ["the executable", COMMAND],
  ["plain Node", [NODE, resolve("dist/chp.mjs")]],
];

test.skipIf(why !== "").each(RUNTIMES)(`%s says when it is ready, and when it ends${why}`, async (_name, command) => {
  using folder = tempFolder();
  const socket = join(folder.path, "notify");
  const { said, stop } = await listening(socket);
  const served = await serve(join(folder.path, "store"), [], { NOTIFY_SOCKET: socket }, command);
  while (!said().includes("READY=1")) await Bun.sleep(10);
  expect((await fetch(`${served.url}/_status/check`)).status).toBe(200); // it answers by then
  expect(said()).toContain(`STATUS=answers on ${served.url}`);
  expect(said()).not.toContain("STOPPING=1");
  expect(await served.stop()).toBe(0);
  expect(said()).toContain("STOPPING=1");
  await stop();
});

test("without systemd-notify it serves all the same, and says what is missing", async () => {
  using folder = tempFolder();
  const command = COMMAND.length === 1 ? COMMAND : [process.execPath, ...COMMAND.slice(1)];
  const served = await serve(join(folder.path, "store"), [], { NOTIFY_SOCKET: join(folder.path, "gone"), PATH: folder.path }, command);
  await logged(served, "systemd does not learn");
  expect((await fetch(`${served.url}/_status/check`)).status).toBe(200);
  expect(await served.stop()).toBe(0);
});
