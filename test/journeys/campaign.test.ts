/** A campaign on its way: everybody gets a letter of their own, once, and stands where the next hop's answer puts them. */
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventId, placeId } from '../../src/domain/id.ts';
import { openCampaigns } from '../../src/store/campaigns.ts';
import { openEmails } from '../../src/store/emails.ts';
import { keys } from '../../src/store/keys.ts';
import { openTransportStates } from '../../src/store/transport-states.ts';
import { addCampaign, eventsIn, moveCampaign, type NewCampaign, standingOf, tallyOf } from '../support/campaigns.ts';
import { type Env, startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { openSmtpServer, type SmtpScript, type TestSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
const script: { -readonly [name in keyof SmtpScript]: SmtpScript[name] } = {};
let smtp: TestSmtpServer;
let redis: Redis;
let env: Env;
beforeAll(async () => {
  smtp = opened.use(await openSmtpServer(script));
  const server = opened.use(await openTestRedis());
  redis = server.connect();
  const SMTP_URL = `smtp://127.0.0.1:${smtp.port}?tls=none`;
  env = { REDIS_URL: server.url, SMTP_URL, ROLES: 'worker', LOG_LEVEL: 'warn', PUBLIC_URL: 'http://mail.test' };
  opened.use(await startPostrider(env));
});
afterAll(() => opened.disposeAsync());

const status = async (id: string) => (await standingOf(redis, id)).status;

/** @returns who was sent how many letters of this campaign */
function lettersTo(domain: string): Map<string, number> {
  const to = smtp.mails.flatMap((mail) => mail.to).filter((address) => address.endsWith(`@${domain}`));
  return new Map([...Map.groupBy(to, (address) => address)].map(([address, all]) => [address, all.length]));
}

function readersAt(domain: string, count: number): NewCampaign['recipients'] {
  return Array.from({ length: count }, (_, n) => ({ address: `r${n}@${domain}`, variables: { name: `Reader ${n}` } }));
}

async function run(given: NewCampaign): Promise<string> {
  const id = await addCampaign(redis, given);
  await until(
    'the campaign to be completed',
    async () => (await status(id)) === 'completed',
    () => standingOf(redis, id),
  );
  return id;
}

it('reaches every recipient once, each with its own letter, and reports each recipient and the whole', async () => {
  const recipients = readersAt('all.test', 260);
  const id = await run({
    recipients,
    content: { subject: 'News for {{ name }}', html: '<p>{{ name }}: {{ unsubscribe_url }}</p>' },
  });
  const { counts } = await standingOf(redis, id);
  expect(counts).toMatchObject({ recipients: 260, pending: 0, sent: 260 });
  expect(counts).toEqual(await tallyOf(redis, id));
  const got = lettersTo('all.test');
  expect([got.size, Math.max(...got.values())]).toEqual([260, 1]);
  const mail = smtp.mails.find(({ to }) => to[0] === 'r7@all.test');
  expect(mail?.parsed).toMatchObject({ subject: 'News for Reader 7', messageId: `<${placeId(id, 7)}@x.co>` });
  expect(mail?.parsed.html).toMatch(/Reader 7: http:\/\/mail\.test\/u\//);
  const events = await eventsIn(redis);
  const sent = events.filter((event) => 'emailId' in event && event.emailId === placeId(id, 7));
  expect(sent).toMatchObject([
    { id: eventId(placeId(id, 7), 1), type: 'email.sent', subject: 'News for Reader 7', campaignId: id },
  ]);
  expect(
    events.filter((event) => !('emailId' in event) && 'campaignId' in event && event.campaignId === id),
  ).toMatchObject([{ type: 'campaign.completed' }]);
  const [placed] = await openCampaigns(redis).chunk(id, 0);
  expect(placed?.outcome).toMatchObject({ attempts: 1, transport: 'default', reply: expect.stringContaining('250') });
});

it('a refused recipient bounces and is suppressed, a deferred one leaves and is tried again alone, a suppressed one gets nothing', async () => {
  let deferrals = 0;
  script.onRecipient = (address) => {
    if (address === 'r1@mixed.test') return '550 5.1.1 No such user';
    if (address !== 'r2@mixed.test' || deferrals > 0) return undefined;
    deferrals += 1;
    return '450 4.2.0 Later';
  };
  await redis.hset(
    keys.suppressions,
    'br3@mixed.test',
    JSON.stringify({ id: 'sp_01k00000000000000000000000', reason: 'manual' }),
  );
  const id = await run({ recipients: readersAt('mixed.test', 60) });
  const { counts, marks } = await standingOf(redis, id);
  expect(counts).toMatchObject({ pending: 0, sent: 58, bounced: 1, suppressed: 1 });
  expect(counts).toEqual(await tallyOf(redis, id));
  expect(marks.slice(0, 5)).toEqual(['sent', 'bounced', 'left', 'suppressed', 'sent']);
  expect(lettersTo('mixed.test').get('r3@mixed.test')).toBeUndefined();
  expect(await redis.hexists(keys.suppressions, 'ar1@mixed.test')).toBe(1);
  const left = await openEmails(redis).load(placeId(id, 2));
  expect(left?.state.recipients[0]).toMatchObject({ status: 'sent', attempts: 2 });
});

it('a recipient whose letter cannot be made fails, with the reason, and the others get theirs', async () => {
  const recipients = [
    { address: 'a@faults.test', variables: { name: 'Ada' } },
    { address: 'b@faults.test', variables: {} },
  ];
  const id = await run({ recipients, content: { missing: 'strict' } });
  expect((await standingOf(redis, id)).counts).toMatchObject({ sent: 1, failed: 1 });
  const placed = await openCampaigns(redis).chunk(id, 0);
  expect(placed[1]?.outcome).toMatchObject({
    attempts: 0,
    transport: null,
    reason: expect.stringContaining('variables.name is missing'),
  });
});

it('sandbox recipients end as they should', async () => {
  const recipients = ['delivered', 'bounced', 'complained', 'deferred'].map((name) => ({
    ...{ address: `${name}@sandbox.invalid`, variables: { name } },
  }));
  const id = await run({ recipients });
  expect((await standingOf(redis, id)).counts).toMatchObject({ delivered: 1, bounced: 1, complained: 1, sent: 1 });
});

it('a paused campaign stops with exact counts, and continues without a repeat once resumed', async () => {
  let seen = 0;
  script.onMessage = async ({ to }) => {
    if (to[0]?.endsWith('@pause.test') && ++seen === 40) await moveCampaign(redis, id, 'paused');
    return undefined;
  };
  const id = await addCampaign(redis, { recipients: readersAt('pause.test', 250) });
  const still = await until('nothing to be in hand', async () => {
    const { status, marks } = await standingOf(redis, id);
    const takers = await redis.hlen(keys.campaignTakers(id));
    return status === 'paused' && takers === 0 && !marks.includes('handing') && marks;
  });
  expect((await standingOf(redis, id)).counts).toEqual(await tallyOf(redis, id));
  expect(still.filter((mark) => mark === 'queued').length).toBeGreaterThan(50);
  await moveCampaign(redis, id, 'running');
  await until(
    'the rest to be sent',
    async () => (await status(id)) === 'completed',
    () => standingOf(redis, id),
  );
  const got = lettersTo('pause.test');
  expect([got.size, Math.max(...got.values())]).toEqual([250, 1]);
});

it('a recipient that left its campaign waits as well while the campaign is paused', async () => {
  let deferrals = 0;
  script.onRecipient = (address) => (address === 'r0@rest.test' && deferrals++ === 0 ? '450 4.2.0 Later' : undefined);
  script.onMessage = async ({ to }) => {
    if (to[0] === 'r1@rest.test') await moveCampaign(redis, id, 'paused');
    return undefined;
  };
  const id = await addCampaign(redis, { recipients: readersAt('rest.test', 2) });
  const left = placeId(id, 0);
  // Due a fifth of a second after its deferral, it is put off for longer than that as long as the campaign is paused.
  await until('it to be put off', async () => {
    const dueIn = Number(await redis.zscore(keys.again('bulk'), left)) - Date.now();
    return (await status(id)) === 'paused' && dueIn > 1_000;
  });
  // The longer the pause has lasted, the less often it is looked at.
  await redis.hset(keys.campaign(id), 'pausedAt', Date.now() - 3_600_000);
  await redis.zadd(keys.again('bulk'), Date.now(), left);
  await until('it to be put off for longer', async () => {
    return Number(await redis.zscore(keys.again('bulk'), left)) - Date.now() > 30_000;
  });
  const email = await openEmails(redis).read(left);
  expect(email?.state.recipients[0]).toMatchObject({ status: 'deferred', attempts: 1 });
  const claim = { at: 1, transport: 't', attemptId: 'at_1', job: 'jb_1' };
  expect(email && (await openEmails(redis).claimHandOver(email, claim))).toBe(false);
  await moveCampaign(redis, id, 'running');
  await redis.zadd(keys.again('bulk'), Date.now(), left);
  await until(
    'it to be sent',
    async () => (await status(id)) === 'completed',
    () => standingOf(redis, id),
  );
  expect(lettersTo('rest.test').size).toBe(2);
});

it('canceled while it runs, all that waits is canceled, with an event for each, and what left as well', async () => {
  let seen = 0;
  script.onRecipient = (address) =>
    address === 'r0@cancel.test' ? '450 4.2.0 Later: try again in 3000 seconds' : undefined;
  script.onMessage = async ({ to }) => {
    if (to[0]?.endsWith('@cancel.test') && ++seen === 40) await moveCampaign(redis, id, 'canceled');
    return undefined;
  };
  const id = await addCampaign(redis, { recipients: readersAt('cancel.test', 250) });
  await until(
    'nothing to be pending',
    async () => (await standingOf(redis, id)).counts.pending === 0,
    () => standingOf(redis, id),
  );
  const { counts, marks, status } = await standingOf(redis, id);
  expect(counts).toEqual(await tallyOf(redis, id));
  expect([status, counts.sent + counts.canceled]).toEqual(['canceled', 250]);
  expect([counts.sent, marks[0]]).toEqual([lettersTo('cancel.test').size, 'left']);
  const events = await eventsIn(redis);
  const canceled = events.filter((event) => event.type === 'email.canceled' && event.to[0]?.endsWith('@cancel.test'));
  expect(canceled).toHaveLength(counts.canceled);
  await until('nothing to be left to do', async () => !(await redis.zscore(keys.campaignsDue, id)));
});

it('while its transport is paused the campaign stops and uses no attempt, and it continues by itself', async () => {
  script.onRecipient = () => undefined;
  const states = openTransportStates(redis);
  await states.pause('default', 'ak_1', Date.now());
  const id = await addCampaign(redis, { recipients: readersAt('stuck.test', 120) });
  // Taken and set aside, again and again.
  const givenBack = await until('a slice to be set aside', async () => {
    const [aside, takers] = [keys.campaignAside(id), keys.campaignTakers(id)];
    return (await redis.zcard(aside)) > 0 && (await redis.hlen(takers)) === 0 && standingOf(redis, id);
  });
  expect(new Set(givenBack.marks)).toEqual(new Set(['queued']));
  await states.resume('default');
  await until('the campaign to be completed', async () => (await status(id)) === 'completed');
  expect((await standingOf(redis, id)).counts).toMatchObject({ sent: 120 });
  const placed = await openCampaigns(redis).chunk(id, 0);
  expect(new Set(placed.map(({ outcome }) => outcome?.attempts))).toEqual(new Set([1]));
});

it('an idle worker notices a campaign that is started', async () => {
  expect(await redis.pubsub('NUMSUB', keys.campaignsBell)).toEqual([keys.campaignsBell, 1]);
});

it('two campaigns that are sent at the same time share', async () => {
  const ids = await Promise.all(
    ['one.test', 'two.test'].map((domain) => addCampaign(redis, { recipients: readersAt(domain, 300) })),
  );
  const sent = await until('one of them to be completed', async () => {
    const both = await Promise.all(ids.map((id) => standingOf(redis, id)));
    return both.some((one) => one.status === 'completed') && both.map(({ counts }) => counts.sent);
  });
  expect(Math.min(...sent)).toBeGreaterThan(100);
  await until('both to be', async () => (await Promise.all(ids.map(status))).every((one) => one === 'completed'));
});
