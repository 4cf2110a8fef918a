/** explain-expiry: what an email waited for whose time is over, in words that name the transport. */
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import type { MissingFile } from '../../src/domain/attachment.ts';
import { acceptEmail } from '../../src/domain/email.ts';
import { explainExpiry } from '../../src/pipeline/explain-expiry.ts';
import { openBudgets } from '../../src/store/budgets.ts';
import { openEmails } from '../../src/store/emails.ts';
import { emailRequest } from '../support/requests.ts';
import { openScriptedSmtp } from '../support/scripted-smtp.ts';
import { useTestRedis } from '../support/use-redis.ts';
import { failover, fleetOf, newId, openTestWorker, planTo } from '../support/worker.ts';

let redis: Redis;
useTestRedis((server) => {
  redis = server.connect();
});

const hour = 3_600_000;
const { states, event } = fleetOf(() => redis);
const budgets = () => openBudgets(redis);
const other = { id: 'other', lane: 'transactional', dueAt: 1, endsAt: Date.now() + hour } as const;
const rates = [{ count: 1, windowMs: hour }];

const file = {
  kind: 'missing_file',
  place: 0,
  filename: 'a',
  url: 'https://files.example:8443/secret?key',
  maxBytes: 1,
} as const;

async function blamed(...route: string[]): Promise<string | null> {
  return blamedWith(null, null, ...route);
}

/** @param reason of an attempt before */
async function blamedWith(
  missing: MissingFile | null,
  reason: string | null,
  ...route: string[]
): Promise<string | null> {
  const plan = planTo({ one: { port: 1 }, two: { port: 1, rates } }, { default: failover(...route) });
  await using worker = openTestWorker(redis, plan);
  const request = emailRequest.parse({ from: 'a@x.co', to: 'b@x.co', subject: 's', text: 't' });
  const { facts, state } = acceptEmail(request, { id: newId('em'), keyId: 'k', now: Date.now() });
  const { transports } = worker;
  const recipients = state.recipients.map((one) => ({ ...one, reason }));
  const deps = { transports, states: states(), budgets: budgets(), now: Date.now };
  const email = { facts, state: { ...state, recipients }, version: 1, handOver: null };
  return explainExpiry(deps, { email, to: ['b@x.co'], leastBytes: 1 }, missing);
}

it.each<[string | null, string[], () => Promise<unknown>]>([
  [null, ['one', 'two'], async () => undefined],
  ['transport one is paused', ['one'], () => states().pause('one', 'k', Date.now())],
  [
    'transport one is in trouble: 535 no',
    ['one'],
    () => states().fault('one', { cause: 'login', reason: '535 no' }, event()),
  ],
  ['transport two had used up its rate', ['two'], () => budgets().admit('two', rates, [other], Date.now())],
  ['transport one had no free connection', ['one'], () => budgets().park('one', [other], Date.now())],
])('%s: of the route %j', async (why, route, given) => {
  await given();
  expect(await blamed(...route)).toBe(why);
});

it('the reason names the transport in service, and the first of the route when none is in service', async () => {
  await states().pause('one', 'k', Date.now());
  expect(await blamed('one', 'two')).toBeNull();
  await budgets().admit('two', rates, [other], Date.now());
  expect(await blamed('one', 'two')).toBe('transport two had used up its rate');
  await states().pause('two', 'k', Date.now());
  expect(await blamed('two', 'one')).toBe('transport two is paused');
});

it('an email whose file is still missing waited for that, unless it says already why the file did not come', async () => {
  await states().pause('one', 'k', Date.now());
  expect(await blamedWith(file, null, 'one')).toBe('it waited for a file from files.example');
  expect(await blamedWith(file, 'attachment a: answered 404', 'one')).toBeNull();
});

it('the reason does not name a transport in service that cannot take such a message', async () => {
  await using smtp = await openScriptedSmtp();
  const servers = { one: { port: smtp.port }, two: { port: smtp.port } };
  await using worker = openTestWorker(redis, planTo(servers, { default: failover('one', 'two') }));
  await states().pause('two', 'k', Date.now());
  await worker.tend();
  expect((await worker.send()).outcome).toMatchObject({ kind: 'answered', transport: 'one' });
  const email = await openEmails(redis).load((await worker.send({ bcc: 'mü@x.co' })).id);
  const deps = { transports: worker.transports, states: states(), budgets: budgets(), now: Date.now };
  const why = (to: string) => email && explainExpiry(deps, { email, to: [to], leastBytes: 1 }, null);
  expect([await why('b@x.co'), await why('mü@x.co')]).toEqual([null, 'transport two is paused']);
});
