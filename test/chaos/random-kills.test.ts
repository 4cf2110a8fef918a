/** Chaos, bounded: workers are killed at random and Redis is restarted while mail flows; nothing is lost and every repeat is accounted for. */
import { setTimeout as pause } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Env, type Postrider, startPostrider } from '../support/postrider.ts';
import { openReceiver } from '../support/receiver.ts';
import { openTestRedis } from '../support/redis.ts';
import { openSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const emails = 600;
const kills = 12;
const concurrency = 10;

/** Posts until it is accepted, as a careful client does: the key makes a repeat harmless. */
async function sendSafely(api: Postrider, n: number): Promise<string> {
  const body = {
    from: 'a@example.com',
    to: [`b${n}@example.org`, `c${n}@example.org`],
    subject: `Chaos ${n}`,
    text: 'Hello',
  };
  return until(`email ${n} to be accepted`, async () => {
    const answer = await api.api('POST', '/v1/emails', body, { 'idempotency-key': `chaos-${n}` }).catch(() => null);
    return answer?.status === 202 && answer.body.id;
  });
}

it('survives random kills of its workers and a restart of Redis', async () => {
  const [seed = 0] = fc.sample(fc.nat(), 1);
  console.log(`chaos seed ${seed}`);
  const chance = fc.sample(fc.integer({ min: 50, max: 700 }), { numRuns: kills, seed });
  await using redis = await openTestRedis();
  await using smtp = await openSmtpServer({
    onRecipient: (address) => (/^c\d*7@/.test(address) ? '550 5.1.1 Unknown' : undefined),
  });
  await using receiver = await openReceiver();
  const env: Env = {
    REDIS_URL: redis.url,
    SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none&connections=5`,
    WEBHOOK_ALLOW_PRIVATE_NETWORKS: 'true',
    WORKER_CONCURRENCY: String(concurrency),
    LOG_LEVEL: 'warn',
  };
  await using api = await startPostrider({ ...env, ROLES: 'api' });
  const events = ['email.sent', 'email.bounced', 'email.outcome_unknown'];
  const webhook = await api.api('POST', '/v1/webhooks', { endpoint: receiver.url, events });

  const numbers = Array.from({ length: emails }, (_, n) => n);
  const accepting = (async () => {
    const ids: string[] = [];
    for (let from = 0; from < emails; from += 20)
      ids.push(...(await Promise.all(numbers.slice(from, from + 20).map((n) => sendSafely(api, n)))));
    return ids;
  })();
  for (const [n, ms] of chance.entries()) {
    await using worker = await startPostrider({ ...env, ROLES: 'worker' });
    // The one pause that is meant: how long a worker lives is the chance in chaos.
    await pause(ms);
    worker.kill('SIGKILL');
    await worker.ended;
    if (n !== kills / 2) continue;
    await redis.stop();
    await redis.start();
  }
  const ids = await accepting;
  await using _worker = await startPostrider({ ...env, ROLES: 'worker' });

  const pending = new Set(ids);
  await until('every email to be final', async () => {
    for (const id of [...pending].slice(0, 50)) {
      const { status } = (await api.api('GET', `/v1/emails/${id}`)).body;
      if (status === 'sent' || status === 'bounced') pending.delete(id);
    }
    return pending.size === 0;
  });

  expect(new Set(ids).size).toBe(emails);
  const copies = (id: string) => smtp.mails.filter(({ parsed }) => parsed.messageId === `<${id}@example.com>`).length;
  const told = await until('every email to be told final', () => {
    const byEmail = new Map(ids.map((id) => [id, [] as string[]]));
    for (const { event, headers } of receiver.hooks)
      byEmail.get(event.data.email_id)?.push(`${headers['webhook-id']} ${event.type}`);
    return [...byEmail.values()].every((list) => list.some((entry) => entry.endsWith('email.sent'))) && byEmail;
  });
  let repeats = 0;
  for (const id of ids) {
    const unknown = new Set(told.get(id)?.filter((entry) => entry.endsWith('outcome_unknown'))).size;
    expect(copies(id), `${id} arrived`).toBeGreaterThanOrEqual(1);
    // Each copy beyond the first was announced as possible.
    expect(copies(id), `${id} arrived again only where its outcome was unknown`).toBeLessThanOrEqual(1 + unknown);
    repeats += copies(id) - 1;
  }
  expect(repeats).toBeLessThanOrEqual(kills * concurrency);
  expect(receiver.eventsOf(ids[0] ?? '', webhook.body.signing_secret).length).toBeGreaterThan(0);
  console.log(`chaos: ${emails} emails, ${kills} kills, ${repeats} repeats, each announced`);
});
