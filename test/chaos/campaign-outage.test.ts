/** Redis away for longer than the lease of a slice, with letters on their way and no worker dead: each goes on with what it has, and nobody gets a letter twice. */
import { expect, it } from 'vitest';
import { keys } from '../../src/store/keys.ts';
import { addCampaign, eventsIn, standingOf } from '../support/campaigns.ts';
import { type Env, startPostrider } from '../support/postrider.ts';
import { openTestRedis, type TestRedis } from '../support/redis.ts';
import { openSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const recipients = 20;

it.each([
  { kind: 'killed and started again', leave: (server: TestRedis) => server.stop(), back: (s: TestRedis) => s.start() },
  { kind: 'held', leave: async (server: TestRedis) => server.freeze(), back: async (s: TestRedis) => s.thaw() },
])('Redis, $kind after a lease is over, finds each slice with its worker', async ({ leave, back }) => {
  await using server = await openTestRedis();
  const redis = server.connect();
  redis.on('error', () => {});
  const answers = Promise.withResolvers<void>();
  let given = 0;
  await using smtp = await openSmtpServer({
    async onMessage() {
      given += 1;
      await answers.promise;
      return undefined;
    },
  });
  const SMTP_URL = `smtp://127.0.0.1:${smtp.port}?tls=none&connections=8`;
  const env: Env = { REDIS_URL: server.url, SMTP_URL, ROLES: 'worker', LOG_LEVEL: 'warn', WORKER_LOCK: '3s' };
  const id = await addCampaign(redis, { recipients });
  await using _first = await startPostrider(env);
  await until('a letter to be on its way', () => given > 0);
  await using _second = await startPostrider(env);
  const leaseEnd = async () => Number((await redis.zrange(keys.campaignSlices(id), '0', '0', 'WITHSCORES'))[1]);
  const before = await leaseEnd();
  await leave(server);
  await until('the lease to be over', () => Date.now() > before + 3_000);
  await back(server);
  // Both look at the campaign all the while; its worker renews three times in a lease, and whoever waits for the slice has it within another.
  for (let n = 0, last = before; n < 6; n++)
    last = await until('the lease to be renewed', async () => (await leaseEnd()) > last && (await leaseEnd()));
  answers.resolve();
  const standing = () => standingOf(redis, id);
  await until('the campaign to be completed', async () => (await standing()).status === 'completed', standing);
  expect((await standing()).counts).toMatchObject({ pending: 0, sent: recipients });
  expect(smtp.mails.map(({ to }) => to[0]).toSorted()).toEqual(
    Array.from({ length: recipients }, (_, n) => `r${n}@example.com`).toSorted(),
  );
  const told = (await eventsIn(redis)).map(({ type }) => type);
  expect(told).not.toContain('email.outcome_unknown');
});
