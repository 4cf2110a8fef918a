/** POST /v1/emails/batch: all or nothing, or all that is right, and every fault where it stands. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { keys } from '../../src/store/keys.ts';
import { good, permissive, useBatches } from '../support/batches.ts';
import type { Postrider } from '../support/postrider.ts';

const batches = useBatches();
const { api, post, countEmails } = batches;

const subjectOf = async (id: string | undefined) =>
  (await api('GET', `/v1/emails/${id}`)).body as unknown as { subject: string };

describe('a batch', () => {
  it('is answered in the order of the request, over a base or not', async () => {
    const messages = Array.from({ length: 5 }, (_, n) => ({ subject: `Number ${n}` }));
    for (const body of [messages.map((message) => ({ ...good, ...message })), { base: good, messages }]) {
      const { status, body: answer } = await post(body);
      expect(status).toBe(202);
      expect(Object.keys(answer)).toEqual(['data']);
      const subjects = await Promise.all(answer.data.map(({ id }) => subjectOf(id)));
      expect(subjects.map(({ subject }) => subject)).toEqual(messages.map(({ subject }) => subject));
    }
  });

  it('appears in lists in the order of the request, its last email first', async () => {
    const { body } = await post({ base: { ...good, external_id: 'in-order' }, messages: Array(100).fill({}) });
    const list = await api('GET', '/v1/emails?external_id=in-order&limit=100');
    expect(list.body.data.map(({ id }) => id)).toEqual(body.data.map(({ id }) => id).reverse());
  });

  it('that is strict stores nothing for one fault, and names every fault of every message', async () => {
    const before = await countEmails();
    const list = await post([good, { ...good, to: ['b@example.org', 'x'] }, good, { ...good, to: ['x'], odd: 1 }]);
    expect(list).toMatchObject({ status: 422, body: { name: 'validation_error' } });
    expect(list.body.errors).toEqual([
      { pointer: '/1/to/1', code: 'custom', message: 'is not an address: expected local-part@domain' },
      { pointer: '/3/to/0', code: 'custom', message: 'is not an address: expected local-part@domain' },
      { pointer: '/3/odd', code: 'unknown_field', message: 'is not a known field' },
    ]);
    const shared = await post({ base: { ...good, from: 'x' }, messages: [{}, {}, {}, { subject: 7 }] });
    expect(shared.body.errors.map(({ pointer }) => pointer)).toEqual(['/base/from', '/messages/3/subject']);
    expect(await countEmails()).toBe(before);
  });

  it('over a letter of megabytes stores it once, however many readers it has', async () => {
    const html = Array.from({ length: 200_000 }, (_, n) => `<p>${(n * 7_919) % 1_000_003}</p>`).join('');
    const memory = async () => Number(/used_memory:(\d+)/.exec(await batches.redis.info('memory'))?.[1]);
    const before = await memory();
    const messages = Array.from({ length: 1_000 }, (_, n) => ({ to: `r${n}@example.org` }));
    const { status, body } = await post({ base: { ...good, html }, messages });
    expect(status).toBe(202);
    expect((await memory()) - before).toBeLessThan(8_000_000);
    const read = await api('GET', `/v1/emails/${body.data[999]?.id}`);
    expect((read.body as unknown as { html: string }).html).toBe(html);
  });

  it('that would be gigabytes with its base written out is refused, and says so', async () => {
    const messages = Array.from({ length: 30 }, (_, n) => ({ text: `Number ${n}` }));
    expect(await post({ base: { ...good, html: 'x'.repeat(2_000_000) }, messages })).toMatchObject({
      status: 422,
      body: { errors: [{ pointer: '', message: expect.stringContaining('with the base written out') }] },
    });
    expect(await post({ base: { ...good, html: 'x'.repeat(6_000_000) }, messages: [{}] })).toMatchObject({
      status: 422,
      body: { errors: [{ pointer: '/base/html', message: 'must be at most 5242880 characters' }] },
    });
  });

  it('that is permissive accepts valid emails and reports the faults of the rest', async () => {
    const { status, body } = await post([{ ...good, to: 'x' }, good, { ...good, html: 7 }, good], permissive);
    expect(status).toBe(202);
    expect(body.data).toHaveLength(2);
    expect(body.errors).toEqual([
      { index: 0, message: '/0/to: is not an address: expected local-part@domain' },
      { index: 2, message: expect.stringMatching(/^\/2\/html: /) },
    ]);
    expect(await post([{ ...good, to: 'x' }], permissive)).toMatchObject({
      status: 202,
      body: { data: [], errors: [{ index: 0 }] },
    });
    expect((await post([good], { 'x-batch-validation': 'loose' })).status).toBe(422);
  });

  it.each([
    ['nothing', [], '', 'must have 1 to 1000 emails'],
    ['1,001 emails', Array(1_001).fill(good), '', 'must have 1 to 1000 emails'],
    ['no messages', { base: good }, '/messages', 'must be a list of emails'],
    ['one email by itself', good, '/base', 'must be an object: what the emails have in common'],
  ])('of %s is refused', async (_, body, pointer, message) => {
    const answer = await post(body, permissive);
    expect(answer.status).toBe(422);
    expect(answer.body.errors).toContainEqual({ pointer, code: expect.any(String), message });
  });

  it('with more faults than anybody reads names the first of them', async () => {
    const batch = Array.from({ length: 50 }, () => ({ ...good, to: Array(50).fill('x') }));
    const { status, body } = await post(batch);
    expect([status, body.errors.length]).toEqual([422, 1_000]);
    expect(body.detail).toMatch(/; and 2490 more$/);
    const { errors } = (await post(batch, permissive)).body;
    expect(errors).toHaveLength(50);
    expect(errors[0]?.message).toMatch(/^\/0\/to\/0: is not an address.*; and 30 more$/);
  });
});

/** Most memory the process ever had, in megabytes. */
function peakOf({ pid }: Postrider): number | null {
  try {
    return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1_024;
  } catch {
    return null; // there is no /proc here
  }
}

it('a thousand emails over a base with a file of 5 MB keep that file once, in Redis and in memory', async () => {
  const content = Buffer.alloc(5 * 1024 * 1024, 7).toString('base64');
  const base = { ...good, attachments: [{ filename: 'a.bin', content }] };
  const filesBefore = (await batches.redis.keys(keys.file('*'))).length;
  const before = peakOf(batches.postrider);
  const messages = Array.from({ length: 1_000 }, (_, n) => ({ idempotency_key: `big-${n}` }));
  const { status, body } = await post({ base, messages }, { 'idempotency-key': 'big' });
  expect(status).toBe(202);
  expect(new Set(body.data.map(({ id }) => id)).size).toBe(1_000);
  expect((await batches.redis.keys(keys.file('*'))).length).toBe(filesBefore + 1);
  expect(Object.values(await batches.redis.hgetall(keys.fileUses))).toContain('1000');
  if (before !== null) expect((peakOf(batches.postrider) ?? 0) - before).toBeLessThan(250);
});
