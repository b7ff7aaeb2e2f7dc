/** `chp remove` in two steps: a plan, which changes nothing; then the removal, if the store is unchanged since. */

import { readFile, writeFile } from "node:fs/promises";
import * as v from "valibot";
import { removalDraft } from "../../src/catalog/drafts.ts";
import { type Removal, removal } from "../../src/catalog/removal.ts";
import { Failure, printable, reason, refused } from "../../src/errors.ts";
import type { Snapshot } from "../../store/snapshot.ts";
import { type Io, printJson } from "../machine/io.ts";
import { openStore } from "../machine/openstore.ts";
import { findPackage, publishChange, reportChanges } from "./changing.ts";
import { defineCommand, type Register } from "./command.ts";
import type { FlagValues } from "./flags.ts";

const TAKES = ["plan", "apply", "force", "removeNeeded", "snap"] as const;
type RemoveFlags = FlagValues<typeof TAKES>;

const PlanSchema = v.object({
  generation: v.number(),
  name: v.string(),
  snap: v.boolean(),
  /** null: the whole package */
  revision: v.nullable(v.number()),
  uses: v.array(v.string()),
  needed: v.array(v.string()),
});
type RemovalPlan = v.InferOutput<typeof PlanSchema>;

export const removeCommand: Register = (program, io) => {
  defineCommand(
    program,
    "remove",
    "take a package or a revision away, in two steps",
    "0 done, 1 failed, 2 usage, 3 refused since it is used, 10 no store, 11 store format too new, 12 the store changed since the plan",
    TAKES,
  )
    .argument("[name]", "NAME, or NAME@REVISION")
    .addHelpText(
      "after",
      `
The space is free once gc has pruned the generations that still have it.

Examples:
  chp remove kafka@195 --plan remove.json
  chp remove --apply remove.json`,
    )
    .action((name: string | undefined, options: RemoveFlags) => runRemove(name, options, io));
};

async function runRemove(name: string | undefined, options: RemoveFlags, io: Io): Promise<void> {
  if ((name === undefined) === (options.apply === undefined))
    throw new Failure("usage", "name what to remove, or a plan with --apply", {
      next: "chp remove NAME@REVISION --plan FILE writes a plan",
    });
  if (name !== undefined) await makePlan(name, options, io);
  else await applyPlan(await readPlan(options.apply ?? ""), options, io);
}

async function makePlan(text: string, options: RemoveFlags, io: Io): Promise<void> {
  const [, name = "", number] = /^(.+?)(?:@(\d+))?$/.exec(text) ?? [];
  const base = await (await openStore(options, io)).snapshot();
  const revision = number === undefined ? undefined : Number(number);
  const pkg = await findPackage(base, name, options.snap ?? false);
  const { uses, needed } = await removalIn(base, { name, snap: pkg.type === "snap", revision: revision ?? null });
  const plan: RemovalPlan = {
    generation: base.number,
    name,
    snap: pkg.type === "snap",
    revision: revision ?? null,
    uses: [...uses],
    needed: [...needed],
  };
  if (options.plan !== undefined) {
    await writeFile(options.plan, `${JSON.stringify(plan, null, 2)}\n`).catch((error: unknown) => {
      throw new Failure("failed", `cannot write ${printable(options.plan ?? "")}: ${printable(reason(error), 200)}`);
    });
  }
  if (options.json) return printJson(plan, io);
  const flags = [...(uses.length > 0 ? [" --force"] : []), ...(needed.length > 0 ? [" --yes"] : [])].join("");
  const lines = [
    `would remove ${pkg.type} ${name}${revision === undefined ? "" : ` revision ${revision}`}`,
    ...uses.map((use) => `used: ${use}`),
    ...needed.map((need) => `machines may need: ${need}`),
    options.plan === undefined
      ? `nothing was changed; next: chp remove ${text} --plan FILE`
      : `nothing was changed; next: chp remove --apply ${options.plan}${flags}`,
  ];
  io.out(lines.map((line) => `${printable(line)}\n`).join(""));
}

async function readPlan(file: string): Promise<RemovalPlan> {
  try {
    return v.parse(PlanSchema, JSON.parse(await readFile(file, "utf8")));
  } catch (error) {
    throw new Failure("usage", `${printable(file)} is not a plan of chp remove: ${printable(reason(error), 200)}`, { cause: error });
  }
}

async function applyPlan(plan: RemovalPlan, options: RemoveFlags, io: Io): Promise<void> {
  const store = await openStore(options, io);
  const { generation, result: change } = await publishChange(store, new Date().toISOString(), async (base) => {
    if (base.number !== plan.generation)
      throw new Failure("conflict", `the plan is of generation ${plan.generation}, and the store is at ${base.number}`, {
        next: "make the plan anew with chp remove NAME@REVISION --plan FILE",
      });
    const before = await findPackage(base, plan.name, plan.snap);
    const { uses, needed, after } = await removalIn(base, plan);
    if (uses.length > 0 && !options.force)
      throw refused(`${plan.name} is used: ${uses.join("; ")}`, {
        next: "chp close or chp release frees a channel, chp end-override ends an override; --force removes it anyway",
      });
    if (needed.length > 0 && !options.yes)
      throw refused(`machines may still need ${needed.join("; ")}`, {
        next: "a machine without it cannot refresh any snap; --yes removes it anyway",
      });
    const command = `remove ${plan.name}${plan.revision === null ? "" : `@${plan.revision}`}`;
    return { draft: removalDraft(command, before, after), result: { before, after } };
  });
  reportChanges(generation, [change], options, io);
}

async function removalIn(base: Snapshot, { name, snap, revision }: Pick<RemovalPlan, "name" | "snap" | "revision">): Promise<Removal> {
  const bundles = (await base.packages()).filter((pkg) => pkg.type === "bundle");
  return removal(await findPackage(base, name, snap), revision ?? undefined, bundles, Date.now());
}
