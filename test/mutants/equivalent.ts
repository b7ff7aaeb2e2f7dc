/** Mutants that no test can notice, or that none should: each with why it is no fault. */
export const EQUIVALENT: Readonly<Record<string, string>> = {};

/** Mutants that live though they are faults: each with why no test notices it yet. It may only get shorter. */
export const LIVES: Readonly<Record<string, string>> = {};
