/** Mail and the rates of its transport, shared by all workers: admits emails, parks those that must wait, and releases them. */
import type { Redis } from 'ioredis';
import { type Member, makeGroup } from '../concurrency/group.ts';
import { type Lane, lanes } from '../domain/lane.ts';
import type { Rate } from '../domain/rate.ts';
import type { RateLeft } from '../domain/transport-report.ts';
import { releaseArguments, releaseScript } from './budget-release.ts';
import {
  admitScript,
  budgetKeys,
  emailArguments,
  giveBackScript,
  leftScript,
  parkedFraction,
  parkScript,
  passOnScript,
  permitMs,
  trialMark,
  voidScript,
} from './budget-scripts.ts';
import { keys } from './keys.ts';
import { openParked } from './parked.ts';
import { areOnes } from './redis.ts';

export type Budgets = ReturnType<typeof openBudgets>;

/** An email that is due over a transport; times in milliseconds since the epoch. */
export type DueEmail = {
  readonly id: string;
  readonly lane: Lane;
  /** Its place among the parked emails, which it keeps however often it is parked. */
  readonly dueAt: number;
  /** When its time is over: an email that is still parked then is looked at. */
  readonly endsAt: number;
  /** Its campaign keeps it while it waits, so it is not parked. */
  readonly isOfCampaign?: boolean;
  /** It would be the trial of a transport in trouble. Without a token it is not parked, as another transport may take it. */
  readonly isTrial?: boolean;
};

type Released = {
  readonly released: number;
  /** Emails that are still parked. */
  readonly left: number;
  /** When the next email may be released: now when there were more than `max`. Null when none is parked. */
  readonly nextAt: number | null;
};

/** That an email was released by a transport, and may go by it until the permit lapses (milliseconds since the epoch). */
type Permit = { readonly transport: string; readonly id: string; readonly lapsesAt: number };

type Taken = { readonly count: number; readonly since: number };

/** Most emails to release: in all, and of each lane. */
type MostReleased = { readonly max?: number } & { readonly [lane in Lane]?: number };

/** Emails of one release without rates; few enough not to hold up Redis. */
const maxReleased = 500;
/** Such releases together: a fraction of a second, in which the caller tends no transport. */
const maxUnparkSteps = 20;

type Given = Member & { readonly rates: readonly Rate[]; readonly now: number };
type Asked = Given & { readonly emails: readonly DueEmail[] };

export function openBudgets(redis: Redis) {
  const admitInGroup = groupPerTransport(async (name, members: readonly Asked[]) => {
    const args = [...sharedArgs(members), ...members.flatMap(({ emails }) => emailArgs(emails))];
    const answers = areOnes(await admitScript(redis, keysOf(name), args));
    return members.map(({ emails }) => answers.splice(0, emails.length));
  });
  const parkInGroup = groupPerTransport(async (name, members: readonly Asked[]) => {
    const args = [...sharedArgs(members), ...members.flatMap(({ emails }) => emailArgs(emails))];
    await parkScript(redis, keysOf(name), args);
    return members.map(() => undefined);
  });
  const voidInGroup = groupPerTransport(async (name, members: readonly (Given & { readonly permit: Permit })[]) => {
    const args = [...sharedArgs(members), ...members.flatMap(({ permit: { id, lapsesAt } }) => [id, lapsesAt])];
    await voidScript(redis, keysOf(name), args);
    return members.map(() => undefined);
  });

  async function release(
    name: string,
    rates: readonly Rate[],
    { max = maxReleased, transactional = max, bulk = max }: MostReleased,
    now: number,
  ): Promise<Released> {
    const own = releaseArguments.inOrder({
      now,
      most: Math.min(max, maxReleased),
      mostPermits: maxPermits(rates),
      lapseAt: now + permitMs,
      latestLapseAt: now + 2 * permitMs,
      mostTransactional: Math.min(transactional, maxReleased),
      mostBulk: Math.min(bulk, maxReleased),
      mostSetAside: maxSetAside(rates),
    });
    const args = [...own, ...rateArgs(rates)];
    const answer = (await releaseScript(redis, keysOf(name), args)) as [number, number, number];
    const [released, left, nextAt] = answer;
    return { released, left, nextAt: nextAt < 0 ? null : nextAt };
  }

  return {
    ...openParked(redis),

    /**
     * For each email, in order, whether it may go now. An email that may not is parked, unless it is of a campaign or would be the trial. An
     * email with a permit, from a release, uses it up. Without one it takes a token of every rate, unless another email waits before it: of its
     * lane, or transactional.
     * All requests of one turn of the event loop are one command. An answer lost with the connection costs a token, and the email is parked.
     * @param rates one for each window; the same for all requests of one turn
     */
    async admit(name: string, rates: readonly Rate[], emails: readonly DueEmail[], now: number): Promise<boolean[]> {
      return emails.length === 0 ? [] : admitInGroup(name, { ...alone, rates, emails, now });
    },

    /**
     * Parks without asking: the transport is paused, its breaker open, its pool stuck. A permit is void then.
     * @param rates a void permit gives back its tokens of those that are quotas
     */
    async park(name: string, emails: readonly DueEmail[], now: number, rates: readonly Rate[] = []): Promise<void> {
      if (emails.length > 0) await parkInGroup(name, { ...alone, rates, emails, now });
    },

    /**
     * Leaves a released email with its permit to another worker: it is due again at once. False when it has no valid permit. Parked instead, it
     * would lose its turn, and of a rate per second there would be less, the more workers there are.
     */
    async passOn(name: string, { id, lane }: DueEmail, now: number): Promise<boolean> {
      return (await passOnScript(redis, keysOf(name), [now, id, lanes.indexOf(lane) + 1])) === 1;
    },

    /**
     * Releases as many parked emails as there are tokens for, at most `max` (500) and the given number of each lane: transactional first, but
     * one in four is bulk while both wait, and of bulk every other token is set aside for campaigns while they ask. Each is due at once and gets a
     * permit. There are never more permits than a second's worth, so that workers that hang do not burst afterwards. Without rates there are no
     * permits.
     */
    release,

    /** The permits that emails have for these transports. */
    async permits(names: readonly string[], ids: readonly string[]): Promise<Permit[]> {
      if (ids.length === 0) return [];
      const found = names.map(async (transport) => {
        const lapses = await redis.zmscore(keys.permits(transport), ...ids);
        return ids.flatMap((id, n) => (lapses[n] == null ? [] : [{ transport, id, lapsesAt: Number(lapses[n]) }]));
      });
      return (await Promise.all(found)).flat();
    },

    /** Voids a permit, if it is still there; those of one turn in one command. What it took of quotas is given back. */
    async voidPermit(permit: Permit, rates: readonly Rate[], now: number): Promise<void> {
      await voidInGroup(permit.transport, { ...alone, rates, permit, now });
    },

    /**
     * Releases emails parked for a transport that cannot take them any more, 10,000 at most. They use another transport, so its permits are void,
     * and what these took of quotas is given back.
     * @returns whether none is left
     */
    async unpark(name: string, rates: readonly Rate[], now: number): Promise<boolean> {
      const permits = await redis.zrange(keys.permits(name), '0', '-1', 'WITHSCORES');
      await voidScript(redis, keysOf(name), [now, ...rateArgs(rates), ...permits]);
      for (let step = 0; step < maxUnparkSteps; step++) {
        const { left, nextAt } = await release(name, [], { max: maxReleased }, now);
        if (left === 0 || nextAt !== now) return true;
      }
      return false;
    },

    /**
     * Gives back the tokens of emails that were admitted and not sent. The caller parks or forgets the emails.
     * @param taken `since`: when they were admitted
     */
    async giveBack(name: string, rates: readonly Rate[], taken: Taken, now: number): Promise<void> {
      const { count, since } = taken;
      const args = [now, count, since, ...rateArgs(rates)];
      if (rates.length > 0) await giveBackScript(redis, keysOf(name), args);
    },

    /** What is left of each rate, one for each window. */
    async left(name: string, rates: readonly Rate[], now: number): Promise<RateLeft[]> {
      if (rates.length === 0) return [];
      const numbers = (await leftScript(redis, keysOf(name), [now, ...rateArgs(rates)])) as number[];
      const known = (number = -1) => (number < 0 ? null : number);
      return onePerWindow(rates).map((rate, index) => {
        const [remaining, nextAt, resetAt] = numbers.slice(3 * index);
        return { ...rate, remaining: known(remaining), nextAt: nextAt ?? now, resetAt: known(resetAt) };
      });
    },

    /** Removes an email that no longer waits, with its permit. Its mark in `again` is not touched. */
    async forget(name: string, id: string, lane: Lane): Promise<void> {
      await Promise.all([redis.zrem(keys.parked(name, lane), id), redis.zrem(keys.permits(name), id)]);
    },
  };
}

const alone = { claim: null, bytes: 0 } as const;

/** One group for each transport that the plan ever had. */
function groupPerTransport<M extends Given, R>(commit: (name: string, members: readonly M[]) => Promise<readonly R[]>) {
  const groups = new Map<string, (member: M) => Promise<R>>();
  return (name: string, member: M): Promise<R> => {
    const group = groups.get(name) ?? makeGroup((members: readonly M[]) => commit(name, members));
    groups.set(name, group);
    return group(member);
  };
}

/** What the members of a group have in common: the latest of their times, and their rates, which the last knows best. */
function sharedArgs(members: readonly Given[]): number[] {
  const now = Math.max(...members.map((member) => member.now));
  return [now, ...rateArgs(members.at(-1)?.rates ?? [])];
}

function keysOf(name: string): string[] {
  return budgetKeys.inOrder({
    budgetKey: keys.budget(name),
    permitsKey: keys.permits(name),
    parkedTransactional: keys.parked(name, 'transactional'),
    parkedBulk: keys.parked(name, 'bulk'),
    againTransactional: keys.again('transactional'),
    againBulk: keys.again('bulk'),
    bell: keys.bell,
    parkedFor: keys.parkedFor,
  });
}

/** Of two rates for the same window the smaller count applies. */
function onePerWindow(rates: readonly Rate[]): Rate[] {
  const counts = new Map<number, number>();
  for (const { count, windowMs } of rates) counts.set(windowMs, Math.min(count, counts.get(windowMs) ?? count));
  return [...counts].map(([windowMs, count]) => ({ count, windowMs }));
}

function rateArgs(rates: readonly Rate[]): number[] {
  const single = onePerWindow(rates);
  return [single.length, ...single.flatMap(({ count, windowMs }) => [count, windowMs])];
}

function emailArgs(emails: readonly DueEmail[]): (string | number)[] {
  return emails.flatMap(({ id, lane, dueAt, endsAt, isOfCampaign = false, isTrial = false }) => {
    const mark = isOfCampaign ? '' : isTrial ? trialMark : Math.floor(endsAt) + parkedFraction;
    return emailArguments.inOrder({ id, lane: lanes.indexOf(lane) + 1, dueAt, mark });
  });
}

const secondMs = 1_000;
const partsOfQuota = 60;

/** One second's worth of a rate per second, a sixtieth of a quota, and at least two, so that the next email comes while one is sent. */
function maxPermits(rates: readonly Rate[]): number {
  const worths = rates.map(({ count, windowMs }) => (windowMs <= secondMs ? count : count / partsOfQuota));
  return Math.max(2, Math.ceil(Math.min(maxReleased, ...worths)));
}

/** With a rate per second a tenth of its permits: what is set aside is used all at once. Nothing without rates. */
function maxSetAside(rates: readonly Rate[]): number {
  if (rates.length === 0) return 0;
  const isPaced = rates.some(({ windowMs }) => windowMs <= secondMs);
  return Math.ceil(maxPermits(rates) / (isPaced ? 10 : 1));
}
