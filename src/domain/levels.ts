/** Levels: what stands in Redis at one moment, for all workers together, as /metrics tells of it. */
import type { Lane } from './lane.ts';

export type Level = {
  /** Emails of a lane that are due, deferred or parked, and recipients of running campaigns, not those scheduled for later; or events that wait for endpoints. */
  readonly waiting: number;
  /** For how long the one has been due that has waited longest, or nothing of a campaign has moved; 0 when none is due. */
  readonly oldestMs: number;
};

export type TransportLevel = {
  readonly name: string;
  /** Its breaker is. */
  readonly isOpen: boolean;
  readonly isPaused: boolean;
  readonly parked: Readonly<Record<Lane, number>>;
};

export type Levels = {
  readonly lanes: Readonly<Record<Lane, Level>>;
  readonly transports: readonly TransportLevel[];
  /** Events that no worker has handed on yet; null where Redis (before 7) does not count them. */
  readonly unnotified: number | null;
  readonly memoryBytes: number;
  readonly webhooks: Level;
};
