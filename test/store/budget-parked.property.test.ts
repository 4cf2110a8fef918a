/** Parked mail, whatever workers do with it and however its rates change: no email is ever out of sight, and in the end all have gone. */
import fc from 'fast-check';
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { type Lane, lanes } from '../../src/domain/lane.ts';
import type { Rate } from '../../src/domain/rate.ts';
import { type Budgets, type DueEmail, openBudgets } from '../../src/store/budgets.ts';
import { type Due, openDue } from '../../src/store/due.ts';
import { ratesOf } from '../support/rates.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
let budgets: Budgets;
let due: Due;
useTestRedis(async (server) => {
  redis = server.connect();
  await redis.config('SET', 'appendfsync', 'no');
  budgets = openBudgets(redis);
  due = openDue(redis);
});

const start = 1_700_000_000_000;
/** An email that comes again by itself comes within this time: one that is passed on waits for three seconds at most. */
const soonMs = 3_000;
/** Longer than a test takes. */
const leaseMs = 600_000;
const noRates: readonly Rate[] = [];

const kind = <const K extends string>(...kinds: readonly K[]) => fc.constantFrom(...kinds);
const lane = fc.constantFrom(...lanes);
const count = fc.integer({ min: 1, max: 8 });
const staysMs = fc.integer({ min: 1_000, max: 200_000 });
/** Which of the emails in hand: a bit for each of the first eight. */
const bits = fc.integer({ min: 1, max: 0xff });
const rates = fc.constantFrom(noRates, ...['30/m', '5/s', '5/s,60/m'].map(ratesOf));
/** What the workers do, who have the emails in hand that came new or that they took. */
const command = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: kind('pass'), ms: fc.constantFrom(1, 100, 700, 3_000, 60_000) }) },
  { weight: 3, arbitrary: fc.record({ kind: kind('come'), count, lane, staysMs }) },
  { weight: 4, arbitrary: fc.record({ kind: kind('release') }) },
  { weight: 4, arbitrary: fc.record({ kind: kind('take'), lane }) },
  { weight: 8, arbitrary: fc.record({ kind: kind('admit', 'park', 'passOn'), bits }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('unpark') }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('changeRates'), rates }) },
);
type Command = typeof command extends fc.Arbitrary<infer C> ? C : never;

function openWorld() {
  let now = start;
  let rates = ratesOf('30/m');
  let lastId = 0;
  /** The emails that have not gone, by their ids. */
  const waiting = new Map<string, DueEmail>();
  const inHand = new Set<DueEmail>();

  function come(count: number, lane: Lane, staysMs: number): void {
    for (let n = 0; n < count; n++) {
      const email = { id: `em_${lastId++}`, lane, dueAt: now, endsAt: now + staysMs };
      waiting.set(email.id, email);
      inHand.add(email);
    }
  }

  async function take(lane: Lane, most: number): Promise<void> {
    const name = `take_${lastId++}`;
    const { ids } = await due.take(lane, name, leaseMs, most, now);
    await due.done(lane, name);
    for (const id of ids) {
      const email = waiting.get(id);
      if (email !== undefined) inHand.add(email);
    }
  }

  /** As workers do, which ask for no token where there are no rates. */
  async function admit(emails: readonly DueEmail[]): Promise<void> {
    const may = rates.length === 0 ? emails.map(() => true) : await budgets.admit('ses', rates, emails, now);
    for (const [n, email] of emails.entries()) if (may[n] === true) waiting.delete(email.id);
  }

  async function run(given: Command): Promise<void> {
    switch (given.kind) {
      case 'pass':
        now += given.ms;
        return;
      case 'changeRates':
        rates = given.rates;
        return;
      case 'come':
        return come(given.count, given.lane, given.staysMs);
      case 'take':
        return take(given.lane, 8);
      case 'release':
        await budgets.release('ses', rates, {}, now);
        return;
      case 'unpark':
        await budgets.unpark('ses', rates, now);
        return;
      default: {
        const emails = [...inHand].filter((_, n) => (given.bits >> n) % 2 === 1);
        for (const email of emails) inHand.delete(email);
        if (given.kind === 'admit') return admit(emails);
        for (const email of emails) {
          const isPassedOn = given.kind === 'passOn' && (await budgets.passOn('ses', email, now));
          if (!isPassedOn) await budgets.park('ses', [email], now, rates);
        }
      }
    }
  }

  /** It comes again by itself, or is parked where releases look. */
  async function isInSight({ id, lane }: DueEmail): Promise<boolean> {
    const at = await due.at(lane, id);
    if (at === null) return false;
    if (at <= now + soonMs) return true;
    const [place, names] = await Promise.all([budgets.whereParked('ses', id, lane), budgets.parkedFor()]);
    return place !== null && names.includes('ses');
  }

  async function check(): Promise<void> {
    const left = [...waiting.values()].filter((email) => !inHand.has(email));
    const areInSight = await Promise.all(left.map(isInSight));
    expect(left.filter((_, n) => !areInSight[n])).toEqual([]);
  }

  /** Workers that take all that comes, at a rate that is enough for all. */
  async function drain(): Promise<void> {
    rates = ratesOf('500/s');
    for (let second = 0; second < 10; second++) {
      now += 1_000;
      await budgets.release('ses', rates, {}, now);
      for (const lane of lanes) await take(lane, 1_000);
      const emails = [...inHand];
      inHand.clear();
      await admit(emails);
    }
    expect([...waiting.values()]).toEqual([]);
    expect(await budgets.countParked(['ses'])).toEqual(new Map([['ses', { transactional: 0, bulk: 0 }]]));
  }

  return { run, check, drain };
}

// Not run once more when it fails: other courses would hide the one that failed.
it('every email is in sight at every moment, and all go in the end', { retry: 0 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { maxLength: 80, size: 'max' }), async (commands) => {
      await redis.flushall();
      const world = openWorld();
      for (const given of commands) {
        await world.run(given);
        await world.check();
      }
      await world.drain();
    }),
    { numRuns: 100 },
  );
});
