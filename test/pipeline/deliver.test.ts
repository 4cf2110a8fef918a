/** deliver: of a job of several emails each goes its own way, whatever another of them waits for. */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { acceptEmail } from '../../src/domain/email.ts';
import { type IdPrefix, makeId } from '../../src/domain/id.ts';
import { done } from '../../src/domain/outcome.ts';
import { makePlaces } from '../../src/outbound/places.ts';
import { deliver } from '../../src/pipeline/deliver.ts';
import type { Dispatched, Parcel } from '../../src/pipeline/dispatch.ts';
import { openDue } from '../../src/store/due.ts';
import { openEmails } from '../../src/store/emails.ts';
import { keys } from '../../src/store/keys.ts';
import { openTestRedis } from '../support/redis.ts';
import { emailRequest } from '../support/requests.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let redis: Redis;
beforeAll(async () => {
  const server = opened.use(await openTestRedis());
  redis = server.connect();
});
afterAll(() => opened.disposeAsync());
beforeEach(() => redis.flushall());

const newId = <P extends IdPrefix>(prefix: P) => makeId(prefix, Date.now(), randomBytes(10));

async function accept(to: string, text = 't'): Promise<string> {
  const request = emailRequest.parse({ from: 'a@x.co', to, subject: 's', text });
  const email = acceptEmail(request, { id: newId('em'), keyId: 'k', now: Date.now() });
  await openEmails(redis).create([{ email, claim: null }], { batchClaim: null, isStrict: true, now: Date.now() });
  // As a feeder does that took it.
  await redis.zrem(keys.due('transactional'), email.facts.id);
  return email.facts.id;
}

/** A job of these emails, sent by `dispatch`; what became of it is not written down. */
function run(emails: readonly string[], dispatch: (parcel: Parcel) => Promise<Dispatched>) {
  const nothing = async () => null;
  const deps = {
    ...{ emails: openEmails(redis), due: openDue(redis), campaigns: { pausedAt: nothing }, dispatch },
    ...{
      queue: { isLive: async () => false },
      lane: 'transactional' as const,
      inHand: makePlaces(50),
      room: makePlaces(1_000),
    },
    ...{ handedOver: new Set<string>(), stopping: new AbortController().signal, onTrouble: () => {}, newId },
    gather: async () => ({ kind: 'withheld' }) as const,
    suppress: async (all: readonly unknown[]) => all.map(() => null),
    compose: async () => Buffer.from(''),
    blame: nothing,
    settle: async () => {},
    now: Date.now,
  } as const;
  return deliver(deps, { id: 'jb_1', emails: [...emails] });
}

it('what is to be looked at again is marked while another of its job hangs', async () => {
  const [hanging, withheld, troubled] = [await accept('hang@x.co'), await accept('b@x.co'), await accept('c@x.co')];
  const answered = Promise.withResolvers<Dispatched>();
  const job = run([hanging, withheld, troubled], async ({ email }) => {
    if (email.facts.id === hanging) return answered.promise;
    if (email.facts.id === troubled) throw new Error('a bug');
    return { kind: 'withheld' };
  });
  const marks = () => redis.zrange(keys.again('transactional'), '0', '-1');
  await until('both to be marked', async () => (await marks()).length === 2, marks);
  expect((await marks()).toSorted()).toEqual([withheld, troubled].toSorted());
  answered.resolve({ kind: 'withheld' });
  expect(await job).toEqual(done);
  expect(await marks()).toContain(hanging);
});
