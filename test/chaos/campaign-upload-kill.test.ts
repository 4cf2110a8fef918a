/** An API that is killed in the middle of an upload: the same upload to another goes on where it was, and everybody is in it once. */
import { expect, it } from 'vitest';
import { keys } from '../../src/store/keys.ts';
import { startPostrider, testApiKey } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const people = 20_000;
const linesAtOnce = 250;
/** More than the lease of an upload. */
const patienceMs = 120_000;

it('an upload whose API was killed is continued by another', { timeout: 2 * patienceMs }, async () => {
  await using opened = new AsyncDisposableStack();
  const server = opened.use(await openTestRedis());
  const redis = server.connect();
  const start = async () => opened.use(await startPostrider({ REDIS_URL: server.url, ROLES: 'api' }));
  const [victim, other] = [await start(), await start()];
  const { id } = (await other.api('POST', '/v1/campaigns', { from: 'a@example.com', subject: 's', text: 't' })).body;
  const counted = async () => Number(await redis.hget(keys.campaign(id), 'n:recipients'));

  const cut = upload(victim.url, id, people / 2).catch(() => 'cut off');
  await until('nearly all that is sent', async () => (await counted()) > people / 3);
  victim.kill('SIGKILL');
  expect(await cut).toBe('cut off');

  const answer = await until(
    'its lease to be over',
    async () => {
      const { status, body } = await upload(other.url, id);
      return status !== 409 && { status, body };
    },
    counted,
    patienceMs,
  );
  expect(answer).toMatchObject({ status: 200, body: { received: people, added: people, duplicates: 0, invalid: 0 } });
  expect((await other.api('GET', `/v1/campaigns/${id}`)).body).toMatchObject({ counts: { recipients: people } });
});

/** @param holdsAt after so many lines it holds, and stays open */
async function upload(url: string, id: string, holdsAt = people) {
  async function* lines() {
    for (let from = 0; from < people; from += linesAtOnce) {
      if (from === holdsAt) await new Promise(() => {});
      const some = Array.from({ length: linesAtOnce }, (_, n) => `{"email":"user${from + n}@example.org"}\n`);
      yield new TextEncoder().encode(some.join(''));
    }
  }
  const answer = await fetch(`${url}/v1/campaigns/${id}/recipients`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${testApiKey}`,
      'content-type': 'application/x-ndjson',
      'idempotency-key': 'list',
    },
    body: ReadableStream.from(lines()),
    duplex: 'half',
  } as RequestInit);
  return { status: answer.status, body: await answer.json() };
}
