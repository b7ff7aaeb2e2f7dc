/** What a check of the store tells an operator, and what to do next. */

export type Check = "snaps" | "charms" | "resources" | "juju" | "images" | "registry" | "certificate" | "public URL";

export interface Finding {
  readonly check: Check;
  /** what is wrong, lower-case */
  readonly what: string;
  /** `likely`: a charm's code seems to say so */
  readonly sure: "certain" | "likely";
  /** the next thing to type or to do */
  readonly next: string;
}

/** What a check came to where it found nothing, or was not made. */
export interface Passed {
  readonly check: Check;
  readonly state: "ok" | "skipped";
  readonly what: string;
}

/** What one check came to. */
export type CheckResult = Finding | Passed;

export function certainFinding(check: Check, what: string, next: string): Finding {
  return { check, what, sure: "certain", next };
}

/** The findings, or that there are none: then `fine` says so. */
export function resultsOf(check: Check, findings: readonly Finding[], fine: string): readonly CheckResult[] {
  return findings.length > 0 ? findings : [{ check, state: "ok", what: fine }];
}

export function skippedCheck(check: Check, why: string): readonly CheckResult[] {
  return [{ check, state: "skipped", what: why }];
}

export const EXPORT_SNAPS = "chp missing --yaml > snaps.yaml, and on the connected side: chp export snaps --from-yaml snaps.yaml";

export function exportCharms(...names: readonly string[]): string {
  return `on the connected side, with ${names.join(", ")} in charms.yaml: chp export charms ./charms.yaml; here: chp import FILE`;
}
