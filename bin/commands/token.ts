import { unlink } from "node:fs/promises";
import { Failure, printable, reason } from "../../src/errors.ts";
import { hasRight, isExpired, makeToken, parseTokenEnd, rightsOf, type Token } from "../../src/settings/token.ts";
import { errorCode } from "../../store/diskerrors.ts";
import { createFile } from "../machine/durable.ts";
import { type Io, note, printJson, printTable, storeFlag } from "../machine/io.ts";
import { openOrCreateStore, openStore } from "../machine/openstore.ts";
import { defineCommand, type Register, SETTINGS_EXITS } from "./command.ts";
import type { FlagValues } from "./flags.ts";

const TAKES = ["tokenUntil", "tokenMay", "tokenOut", "revoke", "list"] as const;
type TokenFlags = FlagValues<typeof TAKES>;

export const tokenCommand: Register = (program, io) => {
  defineCommand(
    program,
    "token",
    "Make, list and revoke the tokens of other machines: to import (chp import --to), to push images, to set overrides",
    `0 done, 1 failed, 2 usage, 10 no store, ${SETTINGS_EXITS}`,
    TAKES,
  )
    .argument("[name]", "what the token is called in lists and in the log; nothing to list all")
    .addHelpText("after", EXAMPLES)
    .action((name: string | undefined, options: TokenFlags) => runToken(name, options, io));
};

const EXAMPLES = `
A new token is printed once, on stdout or into a file, and kept as a hash. A running chp serve takes it, and ceases to take a revoked
one, at the next request. Without any token there is no remote import. A token that may push is the password of docker, podman or skopeo
login, with any user name; chp config registry.push=on takes what they push.

Examples:
  chp token build-host --out build-host.token
  chp token build-host --until 2026-12-31
  chp token ci --may push
  chp token night-job --may overrides
  chp token --list
  chp token --revoke build-host`;

export async function runToken(name: string | undefined, options: TokenFlags, io: Io): Promise<void> {
  const ofNew = (["until", "may", "out"] as const).filter((flag) => options[flag] !== undefined);
  if (options.list && (name !== undefined || options.revoke || ofNew.length > 0))
    throw new Failure("usage", "--list takes no name and nothing else");
  if (options.revoke && (name === undefined || ofNew.length > 0))
    throw new Failure("usage", "--revoke takes the name of a token and nothing else", { next: "chp token --list shows them" });
  if (name === undefined && ofNew.length > 0) throw new Failure("usage", `--${ofNew[0]} is for a new token, which needs a name`);
  if (name === undefined) return listTokens(options, io);
  return options.revoke ? revokeToken(name, options, io) : createToken(name, options, io);
}

async function listTokens(options: TokenFlags, io: Io): Promise<void> {
  const { tokens } = await (await openStore(options, io)).settings.read("tokens");
  const now = Date.now();
  const shown = tokens.map((token) => ({
    name: token.name,
    created: token.created,
    until: token.until ?? null,
    expired: isExpired(token, now),
    may: rightsOf(token),
  }));
  if (options.json) return printJson(shown, io);
  if (tokens.length === 0) return note("there is no token, so remote import is off; chp token NAME makes one", options, io);
  const time = (text: string) => `${text.slice(0, 19)}Z`;
  printTable(
    ["NAME", "MAY", "CREATED", "UNTIL"],
    shown.map(({ name, created, until, expired, may: rights }) => [
      name,
      printable(rights.join(",")),
      time(created),
      until === null ? "-" : `${time(until)}${expired ? " (expired)" : ""}`,
    ]),
    io,
  );
}

async function createToken(name: string, options: TokenFlags, io: Io): Promise<void> {
  const now = Date.now();
  const until = options.until === undefined ? undefined : parseTokenEnd(options.until, now);
  const { token, text } = makeToken(name, {
    created: new Date(now).toISOString(),
    ...(until !== undefined && { until }),
    ...(options.may && { may: options.may }),
  });
  const store = await openOrCreateStore(options, io);
  const undo = `chp token --revoke ${name}${storeFlag(options)}`;
  let isFirst = false;
  if (options.out !== undefined) await writeToken(options.out, text);
  const saved = store.settings.change(["tokens"], ({ tokens: { tokens } }) => {
    if (tokens.some((other) => other.name === name))
      throw new Failure("usage", `there is a token named ${name} already, and its secret is not kept`, {
        next: `choose another name, or first take that one away: ${undo}`,
      });
    isFirst = hasRight(token, "import") && !tokens.some((other) => hasRight(other, "import"));
    return { tokens: { tokens: [...tokens, token] } };
  });
  await saved.catch(async (error: unknown) => {
    if (options.out !== undefined) await unlink(options.out).catch(() => {});
    throw error;
  });
  if (options.json)
    printJson(
      {
        name,
        ...(options.out === undefined ? { token: text } : { file: options.out }),
        created: token.created,
        until: until ?? null,
        may: rightsOf(token),
        undo,
      },
      io,
    );
  else io.out(`${options.out === undefined ? text : printable(options.out)}\n`);
  note(options.out === undefined ? "this token is shown only once; only its hash is stored" : "only its hash is stored", options, io);
  if (hasRight(token, "import"))
    note(
      options.out === undefined
        ? "next, where the archives are: chp import --to URL, which takes it from CHP_TOKEN or --token-file FILE"
        : `next, where the archives are: chp import --to URL --token-file ${printable(options.out)}`,
      options,
      io,
    );
  if (hasRight(token, "push"))
    note("to push images it is the password, with any user name; chp config registry.push=on takes them", options, io);
  if (hasRight(token, "overrides"))
    note("scripts send it as Authorization: Bearer TOKEN to /v2/metadata/overrides, over TLS (chp help enterprise-store)", options, io);
  if (isFirst) note("remote import is on now, over TLS: chp serve --tls-listen HOST:PORT", options, io);
  if (!options.json) note(`undo: ${printable(undo)}`, options, io);
}

async function writeToken(file: string, text: string): Promise<void> {
  try {
    await createFile(file, `${text}\n`, 0o600);
  } catch (error) {
    const why = errorCode(error) === "EEXIST" ? "there is a file of that name" : (reason(error).split(",")[0] ?? "");
    throw new Failure("usage", `cannot write the token to ${printable(file)}: ${printable(why, 200)}`, {
      next: "name another file",
      cause: error,
    });
  }
}

async function revokeToken(name: string, options: TokenFlags, io: Io): Promise<void> {
  const store = await openStore(options, io);
  let left: readonly Token[] = [];
  await store.settings.change(["tokens"], ({ tokens: { tokens } }) => {
    left = tokens.filter((token) => token.name !== name);
    if (left.length === tokens.length)
      throw new Failure("not-found", `there is no token named ${printable(name, 100)}`, { next: "chp token --list shows them" });
    return { tokens: { tokens: left } };
  });
  if (options.json) return printJson({ revoked: name, left: left.map((token) => token.name) }, io);
  io.out(`${name} is revoked${left.length === 0 ? ": there is no token left, so remote import is off" : ""}\n`);
  note(`that can't be undone; chp token ${name}${storeFlag(options)} makes another`, options, io);
}
