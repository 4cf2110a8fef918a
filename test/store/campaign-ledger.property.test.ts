/**
 * The ledger of a campaign: whatever workers do to its places, in whatever order, and wherever they die, its counts are what its marks and the
 * records of those that left come to, and in the end nobody was passed over.
 */
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { campaignCounts, finalMarkOf, sliceSize } from '../../src/domain/campaign.ts';
import { placeEmail } from '../../src/domain/campaign-email.ts';
import { decide } from '../../src/domain/decide.ts';
import { decideChange } from '../../src/domain/decide-change.ts';
import type { StoredEmail } from '../../src/domain/email.ts';
import { makeId, placeId } from '../../src/domain/id.ts';
import type { Change, SettledOutcome } from '../../src/domain/outcome.ts';
import { stepOf } from '../../src/domain/timeline.ts';
import { openCampaignLeave } from '../../src/store/campaign-leave.ts';
import { openCampaignSlices, type Take } from '../../src/store/campaign-slices.ts';
import { openCampaigns } from '../../src/store/campaigns.ts';
import { openEmails } from '../../src/store/emails.ts';
import { addCampaign, leaveSlices, moveCampaign, standingOf, tallyOf } from '../support/campaigns.ts';
import { openTestRedis } from '../support/redis.ts';

const opened = new AsyncDisposableStack();
let redis: Redis;
beforeAll(async () => {
  const server = opened.use(await openTestRedis({ appendfsync: 'no' }));
  redis = server.connect();
});
afterAll(() => opened.disposeAsync());

const recipients = 120;
/** As long as it takes: who dies has it ended. */
const leaseMs = 600_000;
const policy = { scheduleMs: [60_000], maxAgeMs: 3_600_000 };
const content = { html: null, text: 't', headers: {}, attachments: [] };
const outcomes = ['250 ok', '550 5.1.1 no such user', '450 4.2.0 later'] as const;
const unknown: SettledOutcome = { kind: 'unknown', transport: 't', detail: 'it died', refused: [] };

/** Who does what, with which of what it has in hand: numbers are taken modulo how many there are. */
const command = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('take' as const) }) },
  { weight: 9, arbitrary: fc.record({ kind: fc.constant('claim' as const), at: fc.nat(), n: fc.nat() }) },
  {
    weight: 9,
    arbitrary: fc.record({
      kind: fc.constant('settle' as const),
      n: fc.nat(),
      reply: fc.constantFrom(...outcomes),
      isTwice: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('suppress' as const), at: fc.nat(), n: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('lose' as const), n: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('retry' as const), place: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('release' as const), at: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('die' as const) }) },
  { weight: 1, arbitrary: fc.constantFrom({ kind: 'pause' as const }, { kind: 'resume' as const }) },
);
type Command = typeof command extends fc.Arbitrary<infer C> ? C : never;

it('the counts are exact at every moment, and in the end every recipient is reported or is an email of its own', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { maxLength: 60 }), fc.boolean(), async (commands, isCanceled) => {
      await redis.flushall();
      const world = await openWorld();
      for (const one of commands) {
        await world.run(one);
        await world.check();
      }
      await world.end(isCanceled ? 'canceled' : 'running');
    }),
    { numRuns: 25 },
  );
});

async function openWorld() {
  const id = await addCampaign(redis, { recipients, absent: [7, 60, 61], status: 'running' });
  const slices = openCampaignSlices(redis, 0);
  const campaigns = openCampaigns(redis);
  const emails = openEmails(redis);
  const { leave } = openCampaignLeave(redis);
  const campaign = await campaigns.get(id);
  if (campaign === null) throw new Error('It is not stored');
  const started = { head: campaign.head, state: { status: 'running', startedAt: 1, scheduledAt: null } } as const;
  let now = Date.now();
  let held: Take[] = [];
  let claimed: number[] = [];
  const newId = (prefix: 'jb' | 'sp' | 'ch') => makeId(prefix, now, randomBytes(10));
  const pick = <T>(list: readonly T[], n: number): T | undefined => list[n % Math.max(1, list.length)];

  async function placedAt(place: number) {
    const [placed] = (await campaigns.chunk(id, 0)).filter((one) => one.place === place);
    return placed === undefined ? null : { placed, email: placeEmail(started, placed, 'News', now) };
  }

  /** As the worker that had it in hand would: what it knows may be old by now. */
  async function settle(place: number, from: 'queued' | 'handing', outcome: SettledOutcome): Promise<void> {
    const found = await placedAt(place);
    if (found === null) return;
    const email = placeEmail(started, { ...found.placed, mark: from, outcome: null }, 'News', now);
    const { state, events } = decide(email, outcome, policy, now, 0.5);
    const [recipient] = state.recipients;
    if (recipient === undefined) throw new Error('It has a recipient');
    const { status, attempts, transport, smtp, reason } = recipient;
    const to = finalMarkOf(status);
    if (to === null) {
      const step = stepOf(outcome, email.state, events, now);
      await leave({ email, mark: from, content }, { state, events, step }, '', now);
      return;
    }
    const told = { place, at: now, attempts, transport, reply: smtp?.reply ?? null, reason, trace: null };
    await slices.settle({ campaignId: id, from, to, outcome: told, events, suppressions: [] }, now);
  }

  async function change(place: number, asked: Change): Promise<void> {
    const found = await placedAt(place);
    if (found === null || found.placed.mark === 'handing') return;
    const isLeft = found.placed.mark === 'left';
    const email: StoredEmail | null = isLeft ? await emails.read(placeId(id, place)) : found.email;
    const decision = email === null ? { refused: '' } : decideChange(email, asked, now);
    if (email === null || 'refused' in decision) return;
    const { state, events } = decision;
    const after = { state, events, step: stepOf(asked, email.state, events, now) };
    if (isLeft) await emails.commitChange(email, after, newId('ch'), now);
    else await leave({ email, mark: found.placed.mark, content }, after, newId('ch'), now);
  }

  async function run(command: Command): Promise<void> {
    now += 1;
    switch (command.kind) {
      case 'take': {
        const taken = await slices.take(id, { id: newId('jb'), leaseMs, inHand: [] });
        if (!('slice' in taken)) return;
        held.push(taken);
        for (const place of foundHanding(taken)) await settle(place, 'handing', unknown);
        return;
      }
      case 'claim': {
        const take = pick(held, command.at);
        if (take === undefined) return;
        const place = take.slice * sliceSize + (command.n % sliceSize);
        if (!claimed.includes(place) && (await slices.claim(take, place))) claimed.push(place);
        return;
      }
      case 'settle': {
        const place = pick(claimed, command.n);
        if (place === undefined) return;
        const address = `r${place}@example.com`;
        const smtp = { code: Number(command.reply.slice(0, 3)), enhanced: null, reply: command.reply };
        const answered = { kind: 'answered', transport: 't', replies: [{ address, smtp }] } as const;
        await settle(place, 'handing', answered);
        if (command.isTwice) await settle(place, 'handing', answered);
        claimed = claimed.filter((one) => one !== place);
        return;
      }
      case 'suppress': {
        const take = pick(held, command.at);
        const place = (take?.slice ?? 0) * sliceSize + (command.n % sliceSize);
        if (take === undefined || claimed.includes(place)) return;
        const address = `r${place}@example.com`;
        return settle(place, 'queued', { kind: 'suppressed', recipients: [{ address, reason: 'r' }] });
      }
      case 'lose': {
        const place = pick(claimed, command.n);
        if (place !== undefined) await settle(place, 'handing', unknown);
        claimed = claimed.filter((one) => one !== place);
        return;
      }
      case 'retry':
        return change(command.place % recipients, { kind: 'retried' });
      case 'release': {
        const take = pick(held, command.at);
        if (take !== undefined && !claimed.some((place) => Math.floor(place / sliceSize) === take.slice)) {
          held = held.filter((one) => one !== take);
          await slices.release(take, { againInMs: null, unused: 0 });
        }
        return;
      }
      case 'die':
        // Its leases end; it may come back to life and know of no such thing.
        await leaveSlices(redis, id);
        if (now % 2 === 0) [held, claimed] = [[], []];
        return;
      case 'pause':
      case 'resume': {
        const { status } = await standingOf(redis, id);
        if (status === 'running' && command.kind === 'pause') await moveCampaign(redis, id, 'paused');
        if (status === 'paused' && command.kind === 'resume') await moveCampaign(redis, id, 'running');
      }
    }
  }

  async function check(): Promise<void> {
    const { counts } = await standingOf(redis, id);
    expect(counts).toEqual(await tallyOf(redis, id));
    expect(campaignCounts.reduce((sum, name) => sum + counts[name], 0)).toBe(counts.recipients);
  }

  /** One worker that does not die works off what is left. */
  async function end(status: 'running' | 'canceled'): Promise<void> {
    const stands = (await standingOf(redis, id)).status;
    if (stands !== 'completed') await moveCampaign(redis, id, status);
    await leaveSlices(redis, id);
    for (;;) {
      const taken = await slices.take(id, { id: newId('jb'), leaseMs, inHand: [] });
      if (!('slice' in taken)) break;
      for (const place of foundHanding(taken)) await settle(place, 'handing', unknown);
      const first = taken.slice * sliceSize;
      const isCanceled = taken.status === 'canceled';
      const rows = taken.marks.map(async (mark, n) => {
        if (mark === 'queued' && isCanceled) await cancelAt(first + n);
        else if (mark === 'queued') {
          expect(await slices.claim(taken, first + n)).toBe(true);
          await sentAt(first + n);
        } else if (mark === 'left' && isCanceled) await change(first + n, { kind: 'canceled' });
      });
      await Promise.all(rows);
      for (const place of foundHanding(taken))
        if (taken.status === 'canceled') await change(place, { kind: 'canceled' });
      await slices.release(taken, { againInMs: null, unused: 0 });
    }
    await check();
    const { marks, counts } = await standingOf(redis, id);
    expect(marks.filter((mark) => mark === 'queued' || mark === 'handing')).toEqual([]);
    if (status === 'canceled' && stands !== 'completed') expect(counts.pending).toBe(0);
  }

  const bare = { attempts: 0, transport: null, reply: null, reason: null, trace: null };
  const of = (place: number) => ({
    campaignId: id,
    outcome: { ...bare, place, at: now },
    events: [],
    suppressions: [],
  });
  const sentAt = (place: number) => slices.settle({ ...of(place), from: 'handing', to: 'sent' }, now);
  const cancelAt = (place: number) => slices.settle({ ...of(place), from: 'queued', to: 'canceled' }, now);

  return { run, check, end };
}

function foundHanding({ slice, marks }: Take): number[] {
  return marks.flatMap((mark, n) => (mark === 'handing' ? [slice * sliceSize + n] : []));
}
