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

/** An image that a charm names in its files, and not by a resource. */
export interface ImageNeed {
  /** in full, as `parseImageReference` gives it */
  readonly reference: string;
  readonly sure: Need["sure"];
  /** file of the charm that says so */
  readonly where: string;
}

/** What the files of a charm say that it needs. */
export interface CharmNeeds {
  readonly snaps: readonly Need[];
  readonly images: readonly ImageNeed[];
}
