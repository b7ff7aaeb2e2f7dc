import manifest from "../package.json" with { type: "json" };

/** Of this program. */
export const VERSION: string = manifest.version;

/** The commit that it was built from; empty where that is unknown. The build replaces the variable by its value. */
export const BUILD: string = process.env["CHP_COMMIT"] ?? "";
