/** Lanes: mail that a person waits for never waits behind bulk mail. */

export const lanes = ['transactional', 'bulk'] as const;

export type Lane = (typeof lanes)[number];

/** The lane of mail that names none. */
export const usualLane: Lane = 'transactional';

/** Where mail waits for a connection. Mail of campaigns, which is not parked, takes turns with other bulk mail. */
export type Line = Lane | 'campaign';

export function lineOf(lane: Lane, isOfCampaign = false): Line {
  return lane === 'bulk' && isOfCampaign ? 'campaign' : lane;
}

export function laneOf(line: Line): Lane {
  return line === 'campaign' ? 'bulk' : line;
}

/** Of this many messages one is bulk, when mail of both lanes waits for a transport. */
export const bulkEvery = 4;

/**
 * How many of a transport's connections bulk mail may use at once: all that are not reserved for transactional mail, and at least one.
 * @param reserve 0..1
 */
export function bulkPlaces(connections: number, reserve: number): number {
  // 0.07 * 100 is a little more than 7.
  const kept = Math.ceil(reserve * connections - 1e-9);
  return Math.min(connections, Math.max(1, connections - kept));
}
