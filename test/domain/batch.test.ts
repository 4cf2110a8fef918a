/** The body of a batch: each message over the base, every fault of every message where it stands, and no file decoded twice. */
import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { type BatchSchemas, batchSchemasFor, maxBatchIssues, readBatch } from '../../src/domain/batch.ts';
import { bodyHash, knownOf } from '../../src/domain/idempotency.ts';
import { startCpuClock } from '../support/cpu.ts';
import { testLimits } from '../support/requests.ts';

const schemas = batchSchemasFor(testLimits);
const good = { from: 'a@x.co', to: 'b@x.co', subject: 'Hi', text: 'Hello' };

function readAll(body: z.output<BatchSchemas['body']>, maxIssues = Number.POSITIVE_INFINITY) {
  const reading = readBatch(body, schemas, { maxIssues });
  for (let messages = 0; ; messages++) {
    const step = reading.next();
    if (step.done) return { issues: [], items: [], ...step.value, messages };
  }
}

function read(body: unknown) {
  const parsed = schemas.body.safeParse(body);
  return parsed.success ? readAll(parsed.data) : { issues: parsed.error.issues, items: [] };
}

function faultsOf(body: unknown): string[] {
  const { issues, items } = read(body);
  const all = [...issues, ...items.flatMap(({ result }) => ('issues' in result ? result.issues : []))];
  return all.map(({ path, message }) => `/${path.join('/')} ${message}`);
}

function requestsOf(body: unknown) {
  return read(body).items.map(({ result }) => {
    if ('issues' in result) throw new Error(result.issues.map(({ message }) => message).join());
    return result.request;
  });
}

describe('a batch', () => {
  it('that consists only of messages is read message by message', () => {
    expect(requestsOf([good, { ...good, to: 'c@x.co' }]).map(({ to }) => to[0]?.address)).toEqual(['b@x.co', 'c@x.co']);
  });

  it('with a base has each message over it', () => {
    const base = { from: 'a@x.co', subject: 'Hi', text: 'Hello', tags: [{ name: 't', value: '1' }], lane: 'bulk' };
    const messages = [
      { to: 'b@x.co' },
      { to: 'c@x.co', subject: 'Ho', tags: [], lane: 'transactional', from: 'z@x.co' },
    ];
    expect(requestsOf({ base, messages })).toMatchObject([
      { subject: 'Hi', lane: 'bulk', tags: [{ name: 't', value: '1' }], from: { address: 'a@x.co' } },
      { subject: 'Ho', lane: 'transactional', tags: [], from: { address: 'z@x.co' } },
    ]);
  });

  it('has what its base says where a message says null', () => {
    const files = [{ filename: 'a', content: 'AA==' }];
    const base = { ...good, html: null, reply_to: 'r@x.co', attachments: files };
    const messages = [{ reply_to: null, attachments: null, cc: null, text: 'Ho' }, { attachments: [] }];
    const [first, second] = requestsOf({ base, messages });
    expect(first).toStrictEqual(requestsOf([{ ...good, text: 'Ho', reply_to: 'r@x.co', attachments: files }])[0]);
    expect(second?.attachments).toEqual([]);
    expect(faultsOf({ base, messages: [{ colour: null }] })).toEqual(['/messages/0 Unrecognized key: "colour"']);
  });

  it('has two tags of one name named in a message, and in the base that a message may have tags over', () => {
    const twice = { tags: ['1', '2'].map((value) => ({ name: 't', value })) };
    expect(faultsOf([{ ...good, ...twice }])).toEqual(['/0/tags/1/name is used by an earlier tag']);
    expect(faultsOf({ base: { ...good, ...twice }, messages: [{ tags: [] }, twice] })).toEqual([
      '/base/tags/1/name is used by an earlier tag',
      '/messages/1/tags/1/name is used by an earlier tag',
    ]);
  });

  it('decodes the files of its base once for all, and takes those of a message instead', () => {
    const content = Buffer.alloc(50_000, 7).toString('base64');
    const base = { ...good, attachments: [{ filename: 'a', content }] };
    const [one, two, none] = requestsOf({ base, messages: [{}, {}, { attachments: [] }] });
    expect(one?.attachments?.[0]?.content).toHaveLength(50_000);
    expect(two?.attachments?.[0]?.content).toBe(one?.attachments?.[0]?.content);
    expect(none?.attachments).toEqual([]);
  });

  it('has every fault of every message reported at its place', () => {
    expect(faultsOf([good, { ...good, to: ['x', 'y@x.co'] }, null, { ...good, subject: 'a\nb', odd: 1 }])).toEqual([
      '/1/to/0 is not an address: expected local-part@domain',
      '/2 Invalid input: expected object, received null',
      '/3/subject must not contain control characters (CR, LF, NUL, …)',
      '/3 Unrecognized key: "odd"',
    ]);
    expect(faultsOf({ base: good, messages: [{}, {}, {}, { subject: 'a\nb' }, 'x'] })).toEqual([
      '/messages/3/subject must not contain control characters (CR, LF, NUL, …)',
      '/messages/4 Invalid input: expected object, received string',
    ]);
  });

  it('reports a fault of its base once, and also those of its messages', () => {
    const base = { ...good, from: 'nobody', colour: 'blue', attachments: [{ filename: 'a', content: '!' }] };
    const messages = [{}, { subject: 'a\nb' }, { from: 'z@x.co', to: 'x' }, { attachments: [{ filename: 'a' }] }];
    expect(faultsOf({ base, messages })).toEqual([
      '/base/from is not an address: expected local-part@domain',
      '/base/attachments/0/content must be base64',
      '/base Unrecognized key: "colour"',
      '/messages/1/subject must not contain control characters (CR, LF, NUL, …)',
      '/messages/2/to is not an address: expected local-part@domain',
      '/messages/3/attachments/0/content must have either content or path',
    ]);
  });

  it.each([
    ['is right', {}],
    ['is refused', { from: 'nobody' }],
  ])('does not read a base that %s again for each of its messages', (_, fault) => {
    const readsFor = (messages: number) => {
      let reads = 0;
      const counted = (value: unknown) => ({
        get read() {
          reads += 1;
          return value;
        },
      });
      const base = { ...good, metadata: counted('m'), template: { id: 'tp_1', variables: counted('v') }, ...fault };
      readAll({ base, messages: Array(messages).fill({ subject: 'Ho' }) });
      return reads;
    };
    expect(readsFor(1)).toBeGreaterThan(0);
    expect(readsFor(1_000)).toBe(readsFor(1));
  });

  it('hashes what its base gives once for all emails, and says the same of each as alone', () => {
    let reads = 0;
    const counted = {
      get read() {
        reads += 1;
        return 'x';
      },
    };
    const base = { ...good, metadata: counted, template: { id: 't', variables: { deep: counted } }, headers: counted };
    const messages = [...Array(100).fill({}), { metadata: { own: 1 } }, { subject: 'Ho', template: { id: 'u' } }];
    const body = { base, messages };
    const { items } = read(body);
    const known = knownOf(body);
    bodyHash(items[0]?.given, known);
    reads = 0;
    const hashes = items.map(({ given }) => bodyHash(given, known));
    expect(reads).toBe(0);
    expect(hashes).toEqual(items.map(({ given }) => bodyHash(given)));
    expect(new Set(hashes).size).toBe(3);
  });

  it('holds what a message and its base have together to the rules of an email', () => {
    const { to, ...rest } = good;
    const base = { ...rest, cc: Array(30).fill('c@x.co'), ttl: 60 };
    const messages = [
      {},
      { to, bcc: Array(20).fill('d@x.co') },
      { to, cc: [], expires_at: new Date(Date.now() + 3_600_000).toISOString() },
    ];
    expect(faultsOf({ base, messages: [...messages, { to, template: { id: 't' }, ttl: 'x' }, { to }] })).toEqual([
      '/messages/0/to is required',
      '/messages/1/to to, cc and bcc may have at most 50 recipients together',
      '/messages/2/expires_at says the same as ttl: give one of them',
      '/messages/3/ttl Invalid input: expected number, received string',
      '/messages/3/text must not be given together with template',
    ]);
    expect(faultsOf({ base: { ...good, cc: Array(51).fill('c@x.co') }, messages: [{}] })).toEqual([
      '/base/cc may have at most 50 addresses',
    ]);
  });

  it.each([
    ['addresses', { to: Array(50).fill('b') }],
    ['unknown fields', Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`k${n}`, 1]))],
  ])('with more faults than are ever told is not read to its end: %s', (_, bad) => {
    const messages = Array(1_000).fill({ ...good, ...bad });
    for (const body of [messages, { base: {}, messages }, { base: { from: 'nobody' }, messages }]) {
      const { issues, messages } = readAll(body, maxBatchIssues);
      expect(messages).toBe(maxBatchIssues / 50);
      expect(issues.length).toBeGreaterThan(messages);
    }
  });

  it.each([
    ['no message', []],
    ['no message over a base', { base: good, messages: [] }],
    ['1,001 messages', Array(1_001).fill(good)],
    ['1,001 messages over a base', { base: good, messages: Array(1_001).fill({}) }],
  ])('with %s is refused in plain words', (_, body) => {
    expect(faultsOf(body)).toEqual([`/${Array.isArray(body) ? '' : 'messages'} must have 1 to 1000 emails`]);
  });

  it.each([
    ['a number', 7, '/ must be a list of emails, or base and messages'],
    ['an email by itself', good, '/base must be an object: what the emails have in common'],
    ['a base without messages', { base: good }, '/messages must be a list of emails'],
    ['a base that is none', { base: 7, messages: [{}] }, '/base must be an object: what the emails have in common'],
  ])('that is %s is refused', (_, body, fault) => {
    expect(faultsOf(body)).toContain(fault);
  });

  it('takes no key in its base, which would be that of all', () => {
    expect(faultsOf({ base: { ...good, idempotency_key: 'k' }, messages: [{}] })).toEqual([
      '/base Unrecognized key: "idempotency_key"',
    ]);
  });

  it('counts as the same request as the email sent by itself, however it was put together', () => {
    const [alone] = read([{ ...good, idempotency_key: 'k' }]).items;
    const { subject, ...base } = good;
    const [composed] = read({ base, messages: [{ idempotency_key: 'k', subject }] }).items;
    expect([alone, composed].map((item) => bodyHash(item?.given))).toEqual([bodyHash(good), bodyHash(good)]);
  });

  it('counts as the same request whether a message says null or leaves the field to its base', () => {
    const hashOf = (subject: string, own: object) =>
      bodyHash(read({ base: { ...good, subject }, messages: [{ idempotency_key: 'k', ...own }] }).items[0]?.given);
    expect(hashOf('Hi', { subject: null, cc: null })).toBe(hashOf('Hi', {}));
    expect(hashOf('Ho', { subject: null, cc: null })).not.toBe(hashOf('Hi', { subject: null, cc: null }));
  });
});

it('a thousand keyed emails over a base of 5 MB are read in no more than a few times what one takes', () => {
  const content = Buffer.alloc(5 * 1024 * 1024, 7).toString('base64');
  const base = { ...good, attachments: [{ filename: 'a', content }] };
  const cost = (emails: number) => {
    const body = { base, messages: Array.from({ length: emails }, (_, n) => ({ idempotency_key: `k${n}` })) };
    const cpuMs = startCpuClock();
    const known = knownOf(body);
    const hashes = new Set(read(body).items.map(({ given }) => bodyHash(given, known)));
    expect(hashes.size).toBe(1);
    return cpuMs();
  };
  cost(1);
  const one = cost(1);
  expect(cost(1_000)).toBeLessThan(5 * one + 2_000);
});

it('a file given as a list of bytes is hashed once for all emails, and equals no other file', () => {
  const known = knownOf(null);
  const file = Array.from({ length: 5_000 }, (_, at) => at % 256);
  const hashOf = (content: unknown) => bodyHash({ attachments: [{ content }] }, known);
  expect(hashOf(file)).toBe(hashOf([...file]));
  expect(hashOf(file)).not.toBe(hashOf([...file.slice(0, -1), 0]));
  expect(hashOf([...file, 0.5])).not.toBe(hashOf([...file, 0]));
  expect([...known.files.keys()]).toContain(file);
});
