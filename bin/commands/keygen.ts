import { rm, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { createKey } from "../../src/archives/signature.ts";
import { shellQuote } from "../../src/catalog/images.ts";
import { Failure, printable, reason } from "../../src/errors.ts";
import { type Io, note, printJson } from "../machine/io.ts";
import type { Register } from "./command.ts";
import { addFlags, type FlagValues } from "./flags.ts";

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
A file that exists is never overwritten. The secret key has no password: keep it where only who exports can read it.

Exit codes: 0 done, 1 failed, 2 usage

Examples:
  chp keygen site.key --comment "site 2026"
  minisign -V -p site.key.pub -m SHA256SUMS     checks without chp what was signed`;

export async function runKeygen(file: string, options: KeygenFlags, io: Io): Promise<void> {
  const comment = options.comment ?? basename(file);
  if (comment.trim() === "" || printable(comment, 100) !== comment || comment.includes(","))
    throw new Failure("usage", "--comment takes a line of at most 100 characters, without a comma");
  const publicFile = `${file}.pub`;
  const pair = createKey(comment.trim());
  await writeKeyFile(publicFile, pair.public, 0o644);
  await writeKeyFile(file, pair.secret, 0o600).catch(async (error: unknown) => {
    await rm(publicFile, { force: true });
    throw error;
  });
  if (options.json) return printJson({ id: pair.id, comment: comment.trim(), secret: file, public: publicFile }, io);
  io.out(`key: ${pair.id}\nsecret: ${printable(file)} (keep it to yourself)\npublic: ${printable(publicFile)}\n`);
  note(`here: chp export … --sign ${shellQuote(file)}`, options, io);
  note(
    `on the other side, with ${publicFile} brought there by a way you trust: chp accept-key ${shellQuote(basename(publicFile))}`,
    options,
    io,
  );
}

async function writeKeyFile(file: string, text: string, mode: number): Promise<void> {
  try {
    await writeFile(file, text, { flag: "wx", mode });
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST")
      throw new Failure("usage", `${printable(file)} exists already, and a key is never overwritten`, { next: "name another file" });
    throw new Failure("failed", `cannot write ${printable(file)}: ${printable(reason(error).split(",")[0] ?? "", 200)}`, { cause: error });
  }
}
