/** A server that refuses a connection as one too many: it is well, and takes mail over those it granted. */

type Crowding = {
  /** Openings refused so, since the pool was made. */
  readonly refusals: number;
  /** Whether the last opening was refused so. */
  readonly isOn: boolean;
  /**
   * @param isAlone no connection of ours is there, is being opened, or is closing and may still count
   * @returns whether those who wait may go on waiting
   */
  refused(isAlone: boolean): boolean;
  /** A session was opened, or not for another reason. */
  over(): void;
};

/** Refusals in a row, each after a rest, that waiting messages sit out: the server may still count connections of ours that just ended. */
const patientRefusals = 1;

export function makeCrowding(): Crowding {
  let refusals = 0;
  let isOn = false;
  let inRow = 0;

  return {
    get refusals() {
      return refusals;
    },
    get isOn() {
      return isOn;
    },
    refused(isAlone) {
      refusals += 1;
      isOn = true;
      if (!isAlone) return true;
      inRow += 1;
      if (inRow <= patientRefusals) return true;
      inRow = 0;
      return false;
    },
    over() {
      isOn = false;
      inRow = 0;
    },
  };
}
