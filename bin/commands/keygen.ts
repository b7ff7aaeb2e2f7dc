import { basename } from "node:path";
import { createKey, publicKeyText, readSecretKey } from "../../src/archives/signature.ts";
import { publicHalf } from "../../src/archives/storekey.ts";
import { shellQuote } from "../../src/catalog/images.ts";
import { Failure, printable, reason } from "../../src/errors.ts";
import { createFile, textOf } from "../machine/durable.ts";
import { type Io, note, printJson } from "../machine/io.ts";
import type { Register } from "./command.ts";
import type { FlagValues } from "./flags.ts";
import { addFlags } from "./options.ts";

const TAKES = ["comment", "json", "quietHints"] as const;
type KeygenFlags = FlagValues<typeof TAKES>;

export const keygenCommand: Register = (program, io) => {
  const command = program
    .command("keygen")
    .summary("Make a key pair for signing exports")
    .description(
      "Make a key pair for signing exports, in minisign's format: chp export --sign FILE signs, chp accept-key FILE.pub trusts it.",
    )
    .argument("<file>", "where the secret key is written, readable by you alone; the public key is FILE.pub");
  addFlags(command, TAKES)
    .addHelpText("after", EXAMPLES)
    .action((file: string, options: KeygenFlags) => runKeygen(file, options, io));
};

const EXAMPLES = `
A file that exists is never overwritten; a secret key without its .pub, as of a keygen that was broken off, gets one. The secret key has no password: keep it where only who exports can read it.

Exit codes: 0 done, 1 failed, 2 usage

Examples:
  chp keygen site.key --comment "site 2026"
  minisign -V -p site.key.pub -m SHA256SUMS     checks without chp what was signed`;

export async function runKeygen(file: string, options: KeygenFlags, io: Io): Promise<void> {
  const comment = options.comment ?? basename(file);
  if (comment.trim() === "" || printable(comment, 100) !== comment || comment.includes(","))
    throw new Failure("usage", "--comment takes a line of at most 100 characters, without a comma");
  const publicFile = `${file}.pub`;
  const id = (await completed(file, publicFile, comment.trim())) ?? (await made(file, publicFile, comment.trim()));
  if (options.json) return printJson({ id, comment: comment.trim(), secret: file, public: publicFile }, io);
  io.out(`key: ${id}\nsecret: ${printable(file)} (keep it to yourself)\npublic: ${printable(publicFile)}\n`);
  note(`here: chp export … --sign ${shellQuote(file)}`, options, io);
  note(
    `on the other side, with ${publicFile} brought there by a way you trust: chp accept-key ${shellQuote(basename(publicFile))}`,
    options,
    io,
  );
}

/** Makes a pair. The secret key comes first: the public one can be made of it. Returns its id. */
async function made(file: string, publicFile: string, comment: string): Promise<string> {
  if ((await textOf(publicFile)) !== undefined) throw exists(publicFile);
  const pair = createKey(comment);
  await writeKeyFile(file, pair.secret, 0o600);
  await writeKeyFile(publicFile, pair.public, 0o644);
  return pair.id;
}

/** Makes the public key of a secret key that stands alone, since keygen was broken off. Returns its id; undefined: it does not. */
async function completed(file: string, publicFile: string, comment: string): Promise<string | undefined> {
  const [secret, known] = [await textOf(file), await textOf(publicFile)];
  if (secret === undefined || known !== undefined) return undefined;
  try {
    readSecretKey(secret, printable(file));
  } catch {
    throw exists(file);
  }
  const half = publicHalf(secret, printable(file));
  await writeKeyFile(publicFile, publicKeyText({ ...half, comment }), 0o644);
  return half.id;
}

function exists(file: string): Failure {
  return new Failure("usage", `${printable(file)} exists already, and a key is never overwritten`, { next: "name another file" });
}

async function writeKeyFile(file: string, text: string, mode: number): Promise<void> {
  try {
    await createFile(file, text, mode);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") throw exists(file);
    throw new Failure("failed", `cannot write ${printable(file)}: ${printable(reason(error).split(",")[0] ?? "", 200)}`, { cause: error });
  }
}
