/** Chaos with batches, bounded: the API and Redis are killed while batches of a thousand are posted; a batch is there whole or not at all. */
import { setTimeout as pause } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { openChance } from '../support/chance.ts';
import { type Answer, type Env, type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { openScriptedSmtp } from '../support/scripted-smtp.ts';
import { until } from '../support/until.ts';

const batches = 8;
const perBatch = 1_000;
const kills = 12;

/** One batch, with its own key, and a tag by which its emails are found. */
function bodyOf(n: number) {
  const tags = [{ name: 'batch', value: String(n) }];
  const base = { from: 'a@example.com', subject: `Batch ${n}`, text: 'Hello', tags };
  return { base, messages: Array.from({ length: perBatch }, (_, i) => ({ to: `b${i}@example.org` })) };
}

function post(api: Postrider, n: number): Promise<Answer> {
  return api.api('POST', '/v1/emails/batch', bodyOf(n), { 'idempotency-key': `batch-${n}` });
}

async function idsOfBatch(api: Postrider, n: number): Promise<string[]> {
  const ids: string[] = [];
  for (let hasMore = true; hasMore; ) {
    const after = ids.length === 0 ? '' : `&after=${ids.at(-1)}`;
    const { status, body } = await api.api('GET', `/v1/emails?tag=batch:${n}&limit=100${after}`);
    expect(status).toBe(200);
    ids.push(...body.data.map(({ id }) => id));
    hasMore = body.has_more;
  }
  return ids;
}

it('a batch is stored whole or not at all, whatever is killed meanwhile', async () => {
  const chance = openChance('batches');
  await using redis = await openTestRedis();
  await using smtp = await openScriptedSmtp(() => undefined);
  const env: Env = { REDIS_URL: redis.url, SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none`, LOG_LEVEL: 'error' };

  const accepted = new Map<number, string[]>();
  const unanswered = new Set<number>();
  let next = 0;
  let cuts = 0;
  for (let kill = 0; cuts < kills; kill++) {
    await using api = await startPostrider({ ...env, ROLES: 'api' });
    const isRedisToDie = kill % 2 === 1;
    let isOver = false;
    const posting = (async () => {
      while (!isOver) {
        // One that got no answer, or any other once all were posted, is asked for again: so replays are cut off as well.
        const [again] = kill % 3 === 2 ? unanswered : [];
        const n = again ?? (next < batches ? next++ : kill % batches);
        unanswered.add(n);
        const answer = await post(api, n).catch(() => null);
        if (answer?.status !== 202) continue;
        unanswered.delete(n);
        const ids = answer.body.data.map(({ id }) => id);
        expect(accepted.get(n) ?? ids).toEqual(ids);
        accepted.set(n, ids);
      }
    })();
    await pause(chance.between(10, 250, 'life', kill));
    cuts += 1;
    if (isRedisToDie) {
      await redis.stop();
      await redis.start();
    }
    isOver = true;
    api.kill('SIGKILL');
    await Promise.all([posting, api.ended]);
  }

  await using api = await until('an API over what is left', () => startPostrider({ ...env, ROLES: 'api' }));
  let halfway = 0;
  for (let n = 0; n < next; n++) {
    const stored = await idsOfBatch(api, n);
    expect([0, perBatch], `emails of batch ${n}`).toContain(stored.length);
    const first = accepted.get(n);
    if (first !== undefined) expect(stored.toSorted()).toEqual(first.toSorted());
    const again = await post(api, n);
    expect(again.status).toBe(202);
    const ids = again.body.data.map(({ id }) => id);
    // Its key stands for what is there, or for nothing.
    expect(again.headers['idempotent-replayed']).toBe(stored.length === 0 ? undefined : 'true');
    if (stored.length > 0) expect(ids.toSorted()).toEqual(stored.toSorted());
    if (first === undefined && stored.length > 0) halfway += 1;
    accepted.set(n, ids);
  }

  await using _worker = await startPostrider({ ...env, ROLES: 'worker' });
  const ids = [...accepted.values()].flat();
  expect(new Set(ids).size).toBe(next * perBatch);
  for (let count = perBatch; count <= ids.length; count += perBatch)
    await until(
      `${count} mails`,
      () => smtp.bodies.length >= count,
      () => smtp.bodies.length,
    );
  const copies = new Map<string, number>();
  for (const body of smtp.bodies) {
    const id = /^Message-ID: <(em_\w+)@/m.exec(body)?.[1] ?? '';
    copies.set(id, (copies.get(id) ?? 0) + 1);
  }
  expect(ids.filter((id) => copies.get(id) !== 1)).toEqual([]);
  expect(smtp.bodies).toHaveLength(ids.length);
  console.log(`chaos: ${next} batches, ${cuts} cuts, ${halfway} stored without an answer`);
});
