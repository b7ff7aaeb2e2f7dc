/** The channel map. */

/** Why a row is held, and until when. */
export interface Hold {
  readonly reason: string;
  /** RFC 3339 in UTC; absent: until it is ended by hand */
  readonly until?: string;
}
