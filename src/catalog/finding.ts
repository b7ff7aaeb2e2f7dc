/** Results of `chp doctor`: what is wrong or missing, and what to do next. */

export type ReadinessCheck =
  | "bucket"
  | "snaps"
  | "charms"
  | "resources"
  | "juju"
  | "images"
  | "registry"
  | "certificate"
  | "archives"
  | "public URL"
  | "clock";

export interface ReadinessFinding {
  readonly check: ReadinessCheck;
  /** what is wrong, lower-case */
  readonly what: string;
  /** `likely`: a charm's code seems to say so */
  readonly sure: "certain" | "likely";
  /** the next thing to type or to do */
  readonly next: string;
}

/** A check that found nothing, or was skipped. */
export interface PassedCheck {
  readonly check: ReadinessCheck;
  readonly state: "ok" | "skipped";
  readonly what: string;
}

/** The result of one check. */
export type CheckResult = ReadinessFinding | PassedCheck;

export function certainFinding(check: ReadinessCheck, what: string, next: string): ReadinessFinding {
  return { check, what, sure: "certain", next };
}

/** The findings; without any, a passed check with the text `fine`. */
export function resultsOf(check: ReadinessCheck, findings: readonly ReadinessFinding[], fine: string): readonly CheckResult[] {
  return findings.length > 0 ? findings : [{ check, state: "ok", what: fine }];
}

export function skippedCheck(check: ReadinessCheck, why: string): readonly CheckResult[] {
  return [{ check, state: "skipped", what: why }];
}

/** The next step where snaps are missing. */
export const EXPORT_SNAPS = "chp missing --yaml > snaps.yaml, and on the connected side: chp export snaps --from-yaml snaps.yaml";

/** The next step where charms are missing; `names` as they are listed in charms.yaml. */
export function exportCharms(...names: readonly string[]): string {
  return `on the connected side, with ${names.join(", ")} in charms.yaml: chp export charms ./charms.yaml; here: chp import FILE`;
}
