/** Levels: what Redis holds at one moment, for all workers together, as /metrics shows it. */
import type { Lane } from './lane.ts';

export type Level = {
  /**
   * Emails of a lane that are due, deferred or parked, and recipients of running campaigns, but none that is scheduled for later; or events that
   * wait for endpoints.
   */
  readonly waiting: number;
  /** How long the oldest of them has been due, or how long no recipient of a campaign was settled; 0 when none is due. */
  readonly oldestMs: number;
};

type TransportLevel = {
  readonly name: string;
  /** Whether its breaker is open. */
  readonly isOpen: boolean;
  readonly isPaused: boolean;
  readonly parked: Readonly<Record<Lane, number>>;
};

export type Levels = {
  readonly lanes: Readonly<Record<Lane, Level>>;
  readonly transports: readonly TransportLevel[];
  /** Events that no worker has passed on yet; null when Redis (before 7) does not count them. */
  readonly unnotified: number | null;
  readonly memoryBytes: number;
  readonly webhooks: Level;
};
