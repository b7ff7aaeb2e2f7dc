import { rollbackDraft, rollbackTo } from "../../src/catalog/drafts.ts";
import { Failure, refused } from "../../src/errors.ts";
import type { Store } from "../../store/store.ts";
import type { Io } from "../machine/io.ts";
import { openStore } from "../machine/openstore.ts";
import { defineChange, publishChange, reportChanges } from "./changing.ts";
import { argument, type Register } from "./command.ts";
import type { FlagValues } from "./flags.ts";
import { wholeNumber } from "./values.ts";

const TAKES = ["takeComponents"] as const;
type RollbackFlags = FlagValues<typeof TAKES>;

export const rollbackCommand: Register = (program, io) => {
  defineChange(program, "rollback", "Roll back channels and tags to an earlier generation (newer revisions stay installable)", {
    flags: TAKES,
    examples: ["log", "rollback 41"],
  })
    .argument("<generation>", "a number of chp log", argument("the generation", wholeNumber(0)))
    .action((number: number, options: RollbackFlags) => runRollback(number, options, io));
};

async function runRollback(number: number, options: RollbackFlags, io: Io): Promise<void> {
  const store = await openStore(options, io);
  // What the earlier generation names stays meanwhile, though gc may forget it.
  const { generation, result } = await store.leased(async () => {
    const then = await store.snapshotAt(number);
    if (!then) throw await noGeneration(store, number);
    return publishChange(store, new Date().toISOString(), async (base) => {
      const rollback = await rollbackTo(then, base);
      if (rollback.lost.length > 0 && !options.yes)
        throw refused(`machines may have installed what generation ${number} does not have: ${rollback.lost.join("; ")}`, {
          next: "a machine without it cannot refresh any snap; --yes removes it anyway",
        });
      return { draft: rollbackDraft(`rollback ${number}`, rollback), result: rollback };
    });
  });
  reportChanges(generation, { packages: result.updates, images: result.images, agents: result.agents }, options, io);
}

async function noGeneration(store: Store, number: number): Promise<Failure> {
  const numbers = await store.generationNumbers();
  const [first = 0] = numbers;
  const why = number > 0 && number > (numbers.at(-1) ?? 0) ? "was never made" : "was pruned: gc keeps the last ones";
  return new Failure("not-found", `generation ${number} ${why}`, {
    next: `generations ${first} to ${numbers.at(-1) ?? 0} are kept; chp log shows them`,
  });
}
