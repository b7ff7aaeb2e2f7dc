/** What a charm needs besides itself. */

/** A snap that a charm installs. */
export interface Need {
  readonly name: string;
  /** undefined: only the channel is known, or not even that */
  readonly revision?: number;
  readonly channel?: string;
  /** dpkg names (amd64, arm64, …); undefined: any */
  readonly architecture?: string;
  readonly sure: "certain" | "likely";
  /** file of the charm that says so */
  readonly where: string;
}
