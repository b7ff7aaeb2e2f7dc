/** Shell completion. The scripts call chp for the candidates, so they always match its version. */

import { Argument, type Command, type Option } from "commander";
import { printable } from "../../src/errors.ts";
import { SETTINGS } from "../../src/settings/config.ts";
import { PROXY_DOMAIN } from "../../src/settings/documented.ts";
import { type CommonOptions, type Io, printJson } from "../machine/io.ts";
import { openStore } from "../machine/openstore.ts";
import type { Register } from "./command.ts";
import { FLAGS } from "./flags.ts";
import { TOPICS } from "./manual.ts";
import { addFlags, flagValue } from "./options.ts";

const NAMES = "chp snap-store-proxy enterprise-store snap-proxy store-admin";
const ASK = "__complete";

/** The completion scripts. Without candidates from chp, the shell completes files. */
const SCRIPTS = {
  bash: `# chp completion bash > /etc/bash_completion.d/chp
_chp() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    COMPREPLY+=("$line")
  done < <("\${1/#\\~/$HOME}" ${ASK} -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _chp ${NAMES}
`,
  zsh: `#compdef ${NAMES}
# chp completion zsh > /usr/local/share/zsh/site-functions/_chp
_chp() {
  local -a found
  found=("\${(@f)$("\${words[1]/#\\~/$HOME}" ${ASK} -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "$found" ]]; then compadd -a found; else _files; fi
}
if [[ "\${funcstack[1]}" == _chp ]]; then _chp "$@"; else compdef _chp ${NAMES}; fi
`,
  fish: `# chp completion fish > /etc/fish/completions/chp.fish
function __chp_complete
  set -l words (commandline -opc)
  $words[1] ${ASK} -- $words[2..-1] (commandline -ct) 2>/dev/null
end
for name in ${NAMES}
  complete -c $name -a '(__chp_complete)'
end
`,
} as const;

export type Shell = keyof typeof SCRIPTS;

export function completionScript(shell: Shell): string {
  return SCRIPTS[shell];
}

export const completionCommand: Register = (program, io) => {
  const command = program
    .command("completion")
    .summary("Print the completion script of a shell")
    .description("Print the completion script of a shell.")
    .addArgument(new Argument("<shell>", "whose script is printed").choices(Object.keys(SCRIPTS)));
  addFlags(command, ["jsonText"])
    .addHelpText("after", `\nExamples:\n  source <(chp completion bash)\n  chp completion zsh > /usr/local/share/zsh/site-functions/_chp`)
    .action((shell: Shell, options: CommonOptions) => {
      if (options.json) printJson({ shell, script: completionScript(shell) }, io);
      else io.out(completionScript(shell));
    });
  program
    .command(ASK, { hidden: true })
    .argument("[words...]")
    .action(async (words: string[]) => {
      const found = await candidates(program, words, io).catch(() => []);
      io.out(found.map((word) => `${word}\n`).join(""));
    });
};

type CandidateSource = (program: Command, options: CommonOptions, io: Io) => Promise<readonly string[]>;

const storedNames: CandidateSource = async (_program, options, io) => {
  const snapshot = await (await openStore({ ...options, quiet: true }, io)).snapshot();
  return [...snapshot.names, ...snapshot.snapNames];
};

const storedNamesAndImages: CandidateSource = async (program, options, io) => {
  const snapshot = await (await openStore({ ...options, quiet: true }, io)).snapshot();
  return [...(await storedNames(program, options, io)), ...snapshot.repositoryNames];
};

const NAMING_COMMANDS = ["release", "close", "default-track", "override", "end-override", "overrides"];

/** Candidates for the arguments of commands, besides files. */
const ARGUMENTS: Readonly<Record<string, CandidateSource>> = {
  ...Object.fromEntries(NAMING_COMMANDS.map((name) => [name, storedNames])),
  show: storedNamesAndImages,
  remove: storedNamesAndImages,
  config: async () => [...SETTINGS.map(({ key }) => key), PROXY_DOMAIN],
  token: async (_program, options, io) => {
    const { tokens } = await (await openStore({ ...options, quiet: true }, io)).settings.read("tokens");
    return tokens.map((token) => token.name);
  },
  help: async (program) => [
    ...program
      .createHelp()
      .visibleCommands(program)
      .map((command) => command.name()),
    ...TOPICS.map((topic) => topic.name),
  ],
};

/** Candidates for the last of `words`, which may be empty. */
export async function candidates(program: Command, words: readonly string[], io: Io): Promise<string[]> {
  const last = words.at(-1) ?? "";
  const before = words.slice(0, -1);
  const help = program.createHelp();
  const command = program.commands.find((candidate) => candidate.name() === before[0]);
  const pending = command?.options.find((option) => option.long === before.at(-1) && (option.required || option.optional));
  const all = async (): Promise<readonly string[]> => {
    if (before.length > 0 && !command) return [];
    if (pending) return pending.argChoices ?? [];
    if (last.startsWith("-")) return help.visibleOptions(command ?? program).flatMap((option) => spellings(option, before));
    if (!command) return help.visibleCommands(program).map((candidate) => candidate.name());
    const store = before[before.indexOf("--store") + 1];
    const found = flagValue(FLAGS.store, before.includes("--store") ? store : undefined, io.environment);
    const options = typeof found === "string" ? { store: found } : {};
    return (await ARGUMENTS[command.name()]?.(program, options, io)) ?? command.registeredArguments[0]?.argChoices ?? [];
  };
  const found = (await all()).filter((word) => word.startsWith(last) && printable(word) === word);
  return [...new Set(found)].toSorted();
}

/** The long flag, unless it is in `before` and can't be repeated. */
function spellings(option: Option, before: readonly string[]): string[] {
  const again = option.parseArg !== undefined || !before.includes(option.long ?? "");
  return option.long && again ? [option.long] : [];
}
