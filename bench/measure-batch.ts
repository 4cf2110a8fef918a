/** What a batch saves: CPU of API and Redis for each email of a 1,000-batch, against the same emails posted one by one. */
import { cpuSeconds } from './cpu.ts';
import { recipient, writeLetter } from './letter.ts';
import { type Bench, post } from './measure-limits.ts';
import { apiKey, startApi } from './postrider.ts';

/** CPU microseconds for each email, API and Redis together; null where the system does not tell. */
export type BatchCost = { readonly single: number; readonly list: number; readonly base: number } | null;

const batchSize = 1_000;

export async function measureBatch(bench: Bench): Promise<BatchCost> {
  const { counts, redis } = bench;
  await redis.client.flushall();
  await using api = await startApi(redis, bench.sinkPort);
  const { url } = api;
  const costOf = async (count: number, work: () => Promise<void>): Promise<number | null> => {
    const before = await cpuOf([api.pid, redis.pid]);
    await work();
    const after = await cpuOf([api.pid, redis.pid]);
    return before === null || after === null ? null : ((after - before) * 1_000_000) / count;
  };
  const batches = async (emails: number, bodyOf: (first: number) => object) => {
    for (let first = 0; first < emails; first += batchSize) await postBatch(`${url}/batch`, bodyOf(first));
  };

  await post(bench, { url, apiKey, count: counts.warmUp, firstNumber: 0 });
  await batches(counts.warmUp, listOf);
  await batches(counts.warmUp, overBase);
  const single = await costOf(counts.ours, async () => {
    await post(bench, { url, apiKey, count: counts.ours, firstNumber: 0 });
  });
  const emails = counts.batches * batchSize;
  const list = await costOf(emails, () => batches(emails, listOf));
  const base = await costOf(emails, () => batches(emails, overBase));
  return single === null || list === null || base === null ? null : { single, list, base };
}

/** Every letter whole. */
function listOf(first: number): object {
  return Array.from({ length: batchSize }, (_, n) => writeLetter(recipient(first + n)));
}

/** The letter once, and its readers. */
function overBase(first: number): object {
  const { to: _, ...base } = writeLetter('');
  return { base, messages: Array.from({ length: batchSize }, (_, n) => ({ to: recipient(first + n) })) };
}

async function postBatch(url: string, body: object): Promise<void> {
  const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' };
  const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  const text = await answer.text();
  if (answer.status !== 202) throw new Error(`a batch was answered ${answer.status}: ${text.slice(0, 500)}`);
}

async function cpuOf(pids: readonly number[]): Promise<number | null> {
  const seconds = await Promise.all(pids.map(cpuSeconds));
  return seconds.reduce<number | null>((sum, one) => (sum === null || one === null ? null : sum + one), 0);
}
