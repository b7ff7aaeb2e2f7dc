/** Seeds that broke an invariant once. Who mends one adds it here, with what was wrong: a change of the simulation makes another history of it. */

export const KEPT: readonly { readonly seeds: readonly number[]; readonly was: string }[] = [
  {
    seeds: [22],
    was: "a folder of blobs that a killed import had made was not synced by the next, which was told that its import was durable",
  },
  { seeds: [36], was: "a backup whose generations were all pruned while it ran succeeded, and was empty" },
  { seeds: [72], was: "nor was the folder of the store, where the first of two imports was killed" },
  { seeds: [18], was: "verify beside gc told of damage where blobs and generations had only been moved and pruned" },
  { seeds: [71], was: "an import that got EIO reading the newest generation published over it" },
  { seeds: [113], was: "after the clock was set back, gc pruned a generation out of the middle" },
  { seeds: [493], was: "verify moved a generation out of the middle that the disk could not read once" },
  { seeds: [483], was: "gc moved what a generation names that it was kept from pruning" },
  { seeds: [20164], was: "gc deleted blobs of a generation that an earlier one, which failed, had pruned and not synced" },
];
