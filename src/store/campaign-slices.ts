/** The places of campaigns as a worker works them off: taken a slice at a time under a lease, each claimed before its hand-over, then settled. */
import type { Redis } from 'ioredis';
import { type Member, makeGroup } from '../concurrency/group.ts';
import { type CampaignStatus, type PlaceMark, readMark } from '../domain/campaign.ts';
import { readAside, type SetAside } from './campaign-aside.ts';
import { openCampaignRows } from './campaign-rows.ts';
import { makeSettle } from './campaign-settle.ts';
import {
  claimScript,
  dueScript,
  releaseArguments,
  releaseKeys,
  releaseScript,
  renewScript,
  takeArguments,
  takeKeys,
  takeScript,
} from './campaign-slice-scripts.ts';
import { keys } from './keys.ts';
import { areOnes } from './redis.ts';

export type CampaignSlices = ReturnType<typeof openCampaignSlices>;

/** A slice in the hands of a worker. Times in milliseconds since the epoch. */
export type Take = {
  /** A unique id of the take. */
  readonly id: string;
  readonly campaignId: string;
  readonly slice: number;
  /** `running`, or `canceled` when pending recipients are to be canceled. */
  readonly status: CampaignStatus;
  readonly startedAt: number;
  /** The mark of each place; the first place is `slice * sliceSize`. */
  readonly marks: readonly PlaceMark[];
  /** Most messages that may be sent. */
  readonly allowed: number;
  /** The transport that it was set aside for; null when it was not. */
  readonly waitedFor: string | null;
} & Started;

/** Number of recipients, if this take started the campaign; left out otherwise. */
type Started = { readonly started?: number };

/** The worker's side of a take. */
type Taking = {
  /** A new id for this take. */
  readonly id: string;
  /** No other worker gets the slice for this long, and longer when the lease is renewed. */
  readonly leaseMs: number;
  /** Ids of the takes the worker already has in hand: it must not take the same slice from itself. */
  readonly inHand: readonly string[];
  /** Whether it takes only slices that were taken before. */
  readonly isOldOnly?: boolean;
  /** Transports for which it takes no slice that was set aside. */
  readonly resting?: readonly string[];
};

/** What the worker says of a slice that it releases. */
type Releasing = {
  /** How long until the slice should be looked at again; null when nothing is known to be left, or all that is left waits. */
  readonly againInMs: number | null;
  /** Messages that were allowed and not sent. */
  readonly unused: number;
  /** Number of recipients that were settled. */
  readonly settled?: number;
  /** The transports that all that is left waits for: the slice is set aside for them. */
  readonly waitsFor?: Iterable<string>;
};

/** `at` is when this was read, by the clock of Redis, in milliseconds since the epoch. */
type Due = { readonly ids: readonly string[]; readonly waitMs: number | null; readonly at: number };

/** Milliseconds until the campaign should be looked at again; null when nothing is left that the worker takes. */
export type Rest = { readonly waitMs: number | null } & Started;

/** Campaigns that are looked at in one step. */
const maxDue = 1_000;
/** A slice whose lease ended is spared for half a lease: a live worker renews every third of a lease and reconnects within a second. */
const leastGraceMs = 2_000;

export function openCampaignSlices(redis: Redis, gatherMs?: number) {
  const claim = makeGroup((members: readonly ClaimMember[]) => claimMembers(redis, members));

  return {
    /**
     * Campaigns with work to do, the one whose last turn is longest ago first, and how long until another has work.
     * @param seenAt when the caller read them last: if that is in the future, the clock was set back, and all campaigns are returned
     */
    async due(seenAt = 0): Promise<Due> {
      const [at, wait, ...ids] = (await dueScript(redis, [keys.campaignsDue], [maxDue, seenAt])) as string[];
      return { ids, waitMs: readWait(wait), at: Number(at) };
    },

    /** Takes a slice of a campaign: no other worker gets it until its lease ends. */
    async take(
      campaignId: string,
      { id, leaseMs, inHand, isOldOnly = false, resting = [] }: Taking,
    ): Promise<Take | Rest> {
      const own = takeArguments.inOrder({
        take: id,
        leaseMs,
        graceMs: Math.max(leastGraceMs, leaseMs / 2),
        isOldOnly: isOldOnly ? 1 : 0,
        inHandCount: inHand.length,
      });
      const args = [...own, ...inHand, ...resting];
      const answer = (await takeScript(redis, takeKeys.inOrder(keysOf(campaignId)), args)) as TakeAnswer;
      const begun = answer[1] === 0 ? {} : { started: answer[1] };
      if (answer.length === 2) return { waitMs: readWait(answer[0]), ...begun };
      const [, , status, startedAt, slice, marks, allowed, waitedFor] = answer;
      return {
        ...begun,
        id,
        campaignId,
        slice,
        status,
        startedAt: Number(startedAt),
        marks: [...marks].map(readMark),
        allowed,
        waitedFor: waitedFor === '' ? null : waitedFor,
      };
    },

    /** The recipients of a slice; undefined at places without one, or whose recipient cannot be read. */
    rows: openCampaignRows(redis),

    /** Renews the leases of slices in hand. */
    async renew(takes: readonly Pick<Take, 'id' | 'campaignId' | 'slice'>[], leaseMs: number): Promise<void> {
      if (takes.length === 0) return;
      const names = takes.flatMap(({ campaignId: id }) => [keys.campaignSlices(id), keys.campaignTakers(id)]);
      await renewScript(redis, names, [leaseMs, ...takes.flatMap(({ slice, id }) => [slice, id])]);
    },

    /** Releases a slice: for good when all its places are done; otherwise it is taken again. */
    async release(
      { id, campaignId, slice, status }: Take,
      { againInMs, unused, settled = 0, waitsFor = [] }: Releasing,
    ): Promise<void> {
      const againIn = againInMs ?? '';
      const own = releaseArguments.inOrder({ take: id, slice, statusTaken: status, againIn, unused, settled });
      await releaseScript(redis, releaseKeys.inOrder(keysOf(campaignId)), [...own, ...waitsFor]);
    },

    /** The transports that recipients of a campaign were found to wait for. @param slice null when no slice is asked about */
    setAside: (campaignId: string, slice: number | null): Promise<SetAside> => readAside(redis, campaignId, slice),

    /** Marks that the body for a place is about to leave. False, and nothing may be sent, when the campaign stopped or the slice is lost. */
    claim(take: Pick<Take, 'id' | 'campaignId'>, place: number): Promise<boolean> {
      return claim({ claim: null, bytes: 0, take, place });
    },

    /** Writes the outcome of a place, its events and the counts, atomically. False when another worker settled it. */
    settle: makeSettle(redis, gatherMs),
  };
}

type TakeAnswer =
  | [waitMs: string, started: number]
  | [
      '',
      started: number,
      status: CampaignStatus,
      startedAt: string | number,
      slice: number,
      marks: string,
      allowed: number,
      waitedFor: string,
    ];

function readWait(answer = ''): number | null {
  return answer === '' ? null : Number(answer);
}

function keysOf(id: string) {
  return {
    campaign: keys.campaign(id),
    marks: keys.campaignMarks(id),
    slices: keys.campaignSlices(id),
    takers: keys.campaignTakers(id),
    outbox: keys.outbox,
    due: keys.campaignsDue,
    asideKey: keys.campaignAside(id),
  };
}

type ClaimMember = Member & { readonly take: Pick<Take, 'id' | 'campaignId'>; readonly place: number };

async function claimMembers(redis: Redis, members: readonly ClaimMember[]): Promise<boolean[]> {
  const ids = [...new Set(members.map(({ take }) => take.campaignId))];
  const names = ids.flatMap((id) => [keys.campaign(id), keys.campaignMarks(id), keys.campaignTakers(id)]);
  const args = members.flatMap(({ take, place }) => [ids.indexOf(take.campaignId), place, take.id]);
  return areOnes(await claimScript(redis, names, args));
}
