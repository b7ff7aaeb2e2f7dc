import { chooseTrack } from "../../src/catalog/change.ts";
import { defineChange, runChange } from "./changing.ts";
import type { Register } from "./command.ts";
import type { FlagValues } from "./flags.ts";

const TAKES = ["snap"] as const;
type TrackFlags = FlagValues<typeof TAKES>;

export const defaultTrackCommand: Register = (program, io) => {
  defineChange(program, "default-track", "Set the track of channels without a track, over all imports", {
    flags: TAKES,
    examples: ["default-track postgresql-k8s 14"],
  })
    .argument("<name>", "charm, bundle or snap")
    .argument("<track>", "a track that has a release")
    .action((name: string, track: string, options: TrackFlags) =>
      runChange(name, `default-track ${name} ${track}`, options, io, (stored) => chooseTrack(stored, track)),
    );
};
