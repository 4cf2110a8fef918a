/** Bodies over a real connection: each refusal has its status and place, keeps the connection and the process as they were, and stores nothing. */
import { readFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { type Postrider, testApiKey } from '../support/postrider.ts';
import { openRawHttp, type RawAnswer } from '../support/raw-http.ts';
import { usePostrider } from '../support/use-postrider.ts';

let postrider: Postrider;
let redis: Redis;
usePostrider((own, server) => {
  postrider = own;
  redis = server.connect();
});

const email = { from: 'a@example.com', to: 'b@example.org', subject: 'Hi', text: 'Hello' };
const json = { authorization: `Bearer ${testApiKey}`, 'content-type': 'application/json' };
const gzip = { ...json, 'content-encoding': 'gzip' };
const maxSendBytes = 40 * 1024 * 1024;

type Refusal = RawAnswer & { readonly problem: { name: string; detail: string; errors?: { pointer: string }[] } };

/** Keys that stand before an email is answered with 202. */
async function stored(): Promise<string[]> {
  return (await redis.keys('*')).filter((key) => /:(?:email|content|idem):/.test(key)).toSorted();
}

/** Sends what should be refused, then asks on the same connection whether the process lives. */
async function refused(body: string | Buffer, headers: Record<string, string> = json): Promise<Refusal> {
  const before = await stored();
  using http = await openRawHttp(postrider.url);
  const answer = await http.send('POST', '/v1/emails', headers, body);
  expect(answer.headers['content-type']).toBe('application/json');
  expect(answer.headers.connection).not.toBe('close');
  expect(await http.send('GET', '/livez', {})).toMatchObject({ status: 200 });
  expect(await stored()).toEqual(before);
  return { ...answer, problem: JSON.parse(answer.body) };
}

describe('in chunks, to a route that takes no body', () => {
  async function ask(type: string, chunks: string) {
    using http = await openRawHttp(postrider.url);
    const { authorization } = json;
    const headers = headerLines({ authorization, ...(type === '' ? {} : { 'content-type': type }) });
    http.write(`POST /v1/emails/em_1/cancel HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n${headers}\r\n`);
    http.write(`${chunks}0\r\n\r\n`);
    const { status } = await http.answer();
    expect(await http.send('GET', '/livez', {})).toMatchObject({ status: 200 });
    return status;
  }

  it.each(['', 'application/json', 'application/octet-stream'])(
    'no bytes at all count as no body, whatever the type: %j',
    async (type) => {
      expect(await ask(type, '')).toBe(404);
    },
  );

  it('one that is of no type, or another, is refused', async () => {
    expect([await ask('', '2\r\n{}\r\n'), await ask('text/plain', '2\r\n{}\r\n')]).toEqual([415, 415]);
    expect(await ask('application/json', '2\r\n{}\r\n')).toBe(404);
  });
});

describe('a body that cannot be read', () => {
  it.each<[what: string, body: string | Buffer, detail: string]>([
    ['is not JSON', '{"from":', 'expected a value at line 1, column 9, found the end'],
    ['is cut off', JSON.stringify(email).slice(0, -1), 'expected "," or "}"'],
    ['is not UTF-8', Buffer.from('{"from":"\xe9"}', 'latin1'), 'The body is not valid UTF-8 at line 1, column 10'],
    ['is in UTF-16', Buffer.from(JSON.stringify(email), 'utf16le'), 'not valid JSON'],
    ['has a name twice', '{"to":"a@x.co",\n"to":"b@x.co"}', '"to" twice in one object: /to at line 2, column 1'],
    ['has a name twice, once escaped', '{"to":"a@x.co","t\\u006f":"b@x.co"}', '"to" twice in one object: /to'],
    ['has __proto__', '{"headers":{"__proto__":{"a":1}}}', '"__proto__", which is never allowed: /headers/__proto__'],
    ['has constructor.prototype', '{"constructor":{"prototype":{}}}', '/constructor/prototype'],
    ['is nested too deep', `{"to":${'['.repeat(32)}${']'.repeat(32)}}`, 'deeper than 32 levels at line 1, column 38'],
    ['is nested deeper than any stack', '['.repeat(10_000_000), 'deeper than 32 levels at line 1, column 33'],
    ['has too many values', `[${'{},'.repeat(1_000_000)}{}]`, 'more than 500000 values'],
  ])('because it %s is a 400 that says so', async (_, body, detail) => {
    const answer = await refused(body);
    expect(answer).toMatchObject({ status: 400, problem: { name: 'unreadable_request' } });
    expect(answer.problem.detail).toContain(detail);
  });

  it('with an Idempotency-Key does not use up the key', async () => {
    const headers = { ...json, 'idempotency-key': 'unreadable' };
    expect(await refused('{', headers)).toMatchObject({ status: 400 });
    expect((await postrider.api('POST', '/v1/emails', email, headers)).headers['idempotent-replayed']).toBeUndefined();
  });

  it('over the limit of its route is a 413 that says the limit, announced or not', async () => {
    const large = Buffer.alloc(maxSendBytes + 1, ' ');
    const limit = {
      status: 413,
      problem: { name: 'payload_too_large', detail: expect.stringContaining('41943040 bytes') },
    };
    expect(await refused(large)).toMatchObject(limit);
    using http = await openRawHttp(postrider.url);
    http.write(`POST /v1/emails HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n${headerLines(json)}\r\n`);
    http.write(Buffer.concat([Buffer.from(`${large.length.toString(16)}\r\n`), large, Buffer.from('\r\n0\r\n\r\n')]));
    expect(await http.answer()).toMatchObject({ status: 413 });
    expect(await http.send('GET', '/livez', {})).toMatchObject({ status: 200 });
  });

  it.each([
    ['text/plain', 'from=a'],
    ['application/x-www-form-urlencoded', 'from=a'],
    ['application/json; charset=iso-8859-1', '{}'],
    ['application/json; charset=utf-16', '{}'],
    ['application/merge-patch+json', '{}'],
    ['nonsense', '{}'],
  ])('of type %s gets a 415 that lists the accepted types', async (type, body) => {
    const answer = await refused(body, { ...json, 'content-type': type });
    expect(answer).toMatchObject({ status: 415, headers: { accept: 'application/json' } });
  });

  it('of no type gets a 415 as well', async () => {
    expect(await refused('{}', { authorization: json.authorization })).toMatchObject({ status: 415 });
  });
});

describe('a body in JSON', () => {
  it.each(['application/json', 'Application/JSON; Charset="UTF-8"', 'application/json;charset=utf8'])(
    'is read as %s',
    async (type) => {
      const answer = await postrider.api('POST', '/v1/emails', email, { 'content-type': type });
      expect(answer.status).toBe(202);
    },
  );

  it('that is empty counts as no body: a fault where one is required, ignored elsewhere', async () => {
    const missed = await postrider.api('POST', '/v1/emails', '');
    expect(missed).toMatchObject({
      status: 422,
      body: { name: 'validation_error', detail: 'A JSON body is required' },
    });
    expect(missed.body.errors).toEqual([{ pointer: '', code: 'required', message: 'a JSON body is required' }]);
    expect(await postrider.api('POST', '/v1/emails')).toMatchObject({ status: 422, body: missed.body });
    const hook = await postrider.api('POST', '/v1/webhooks', {
      endpoint: 'https://a.example/',
      events: ['email.sent'],
    });
    expect(await postrider.api('DELETE', `/v1/webhooks/${hook.body.id}`, '')).toMatchObject({ status: 200 });
  });

  it.each(['null', '[]'])('that is %s counts as a body, which must be an object', async (text) => {
    const { body } = await postrider.api('POST', '/v1/emails', text);
    expect(body.errors).toEqual([{ pointer: '', code: 'invalid_type', message: 'must be an object' }]);
  });

  it('of a GET or HEAD is ignored, whatever it is', async () => {
    using http = await openRawHttp(postrider.url);
    expect(await http.send('GET', '/livez', { ...gzip, 'content-type': 'x/y' }, '\xff{')).toMatchObject({
      status: 200,
    });
    expect(await http.send('GET', '/v1/webhooks', json, '{')).toMatchObject({ status: 200 });
  });
});

describe('no body', () => {
  it.each(['application/x-www-form-urlencoded', 'text/plain', 'nonsense'])(
    'is none whatever its type, as some clients name one by themselves: %s',
    async (type) => {
      const headers = { ...json, 'content-type': type };
      using http = await openRawHttp(postrider.url);
      expect(await http.send('POST', '/v1/emails/em_none/cancel', headers)).toMatchObject({ status: 404 });
      http.write(`POST /v1/emails/em_none/cancel HTTP/1.1\r\nhost: test\r\n${headerLines(headers)}\r\n`);
      expect(await http.answer()).toMatchObject({ status: 404 });
      expect(await http.send('DELETE', '/v1/webhooks/wh_none', headers)).toMatchObject({ status: 404 });
      expect(await http.send('POST', '/v1/suppressions/import', headers)).toMatchObject({ status: 200 });
      const missed = await http.send('POST', '/v1/emails', headers);
      expect(missed).toMatchObject({ status: 422, body: expect.stringContaining('A JSON body is required') });
    },
  );
});

describe('a body packed with gzip', () => {
  it.each(['gzip', 'GZIP', 'x-gzip', 'identity, gzip'])('is unpacked: %s', async (coding) => {
    using http = await openRawHttp(postrider.url);
    const packed = gzipSync(JSON.stringify(email));
    const headers = { ...json, 'content-encoding': coding };
    expect(await http.send('POST', '/v1/emails', headers, packed)).toMatchObject({ status: 202 });
    expect(await http.send('POST', '/v1/emails', headers, packed)).toMatchObject({ status: 202 });
  });

  it.each(['identity', ''])('only if its header says so: "%s"', async (coding) => {
    const answer = await postrider.api('POST', '/v1/emails', email, { 'content-encoding': coding });
    expect(answer.status).toBe(202);
  });

  it.each(['br', 'deflate', 'gzip, gzip', 'zstd', 'gzip;q=1'])('in another way is a 415: %s', async (coding) => {
    const answer = await refused(gzipSync(JSON.stringify(email)), { ...json, 'content-encoding': coding });
    expect(answer).toMatchObject({ status: 415, headers: { 'accept-encoding': 'gzip, identity' } });
  });

  const packed = gzipSync(JSON.stringify({ ...email, text: 'x'.repeat(100_000) }));
  const corrupt = Buffer.from(packed);
  corrupt.fill(0x55, 40, 60);
  it.each([
    ['cut off', packed.subarray(0, -10)],
    ['corrupt', corrupt],
    ['not packed at all', Buffer.from(JSON.stringify(email))],
    ['followed by something else', Buffer.concat([packed, Buffer.from('more')])],
  ])('that is %s is a 400', async (_, body) => {
    const answer = await refused(body, gzip);
    expect(answer).toMatchObject({ status: 400, problem: { name: 'unreadable_request' } });
    expect(answer.problem.detail).toMatch(/^The body cannot be unpacked with gzip: /);
  });

  it('that unpacks to more than the limit of its route is a 413, and so is one that never unpacks to anything', async () => {
    const zeros = gzipSync(Buffer.alloc(maxSendBytes + 1, ' '));
    expect(await refused(zeros, gzip)).toMatchObject({ status: 413 });
    const endless = Buffer.concat([Buffer.from('1f8b0808000000000003', 'hex'), Buffer.alloc(maxSendBytes, 'a')]);
    using http = await openRawHttp(postrider.url);
    http.write(`POST /v1/emails HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n${headerLines(gzip)}\r\n`);
    http.write(Buffer.concat([Buffer.from(`${endless.length.toString(16)}\r\n`), endless, Buffer.from('\r\n')]));
    expect(await http.answer()).toMatchObject({ status: 413 });
    http.write('0\r\n\r\n');
    expect(await http.send('GET', '/livez', {})).toMatchObject({ status: 200 });
  });

  it('that unpacks to tens of gigabytes is cut off before it costs memory', async () => {
    const peakBefore = await peakMegabytes();
    const zeros = gzipSync(Buffer.alloc(64 * 1024 * 1024));
    const bomb = Buffer.concat(Array(Math.floor(maxSendBytes / zeros.length)).fill(zeros));
    using http = await openRawHttp(postrider.url);
    for (const path of ['/v1/emails', '/v1/webhooks', '/v1/emails'])
      expect(await http.send('POST', path, gzip, bomb)).toMatchObject({ status: 413 });
    expect((await peakMegabytes()) - peakBefore).toBeLessThan(300);
  });
});

describe('a body whose length is not what was announced', () => {
  it('is waited for only as long as the connection lasts', async () => {
    const before = await stored();
    for (const headers of [json, gzip]) {
      using http = await openRawHttp(postrider.url);
      http.write(
        `POST /v1/emails HTTP/1.1\r\nhost: test\r\ncontent-length: 1000\r\n${headerLines(headers)}\r\n{"from"`,
      );
      await http.end();
    }
    expect(await stored()).toEqual(before);
    expect((await postrider.api('GET', '/livez')).status).toBe(200);
  });

  it.each([
    ['shorter than it is', 'content-length: 4'],
    ['no number', 'content-length: many'],
    ['negative', 'content-length: -1'],
    ['given in two ways', 'content-length: 9\r\ntransfer-encoding: chunked'],
  ])('because it is %s is a 400', async (_, lines) => {
    using http = await openRawHttp(postrider.url);
    http.write(`POST /v1/emails HTTP/1.1\r\nhost: test\r\n${lines}\r\n${headerLines(json)}\r\n{"a":1}\r\n\r\n`);
    expect(await http.answer()).toMatchObject({
      status: 400,
      headers: { 'content-type': 'application/json' },
      body: expect.stringContaining('"name":"unreadable_request"'),
    });
    expect((await postrider.api('GET', '/livez')).status).toBe(200);
  });
});

describe('an answer', () => {
  it('lists a thousand faults at most, and repeats little of the body', async () => {
    const fields = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`x${index}${'y'.repeat(500)}`, 1]));
    const { problem, body } = await refused(JSON.stringify({ ...email, ...fields }));
    expect(problem.errors).toHaveLength(1_000);
    expect(problem.detail).toMatch(/; and 4990 more$/);
    expect(body.length).toBeLessThan(300_000);
  });
});

function headerLines(headers: Record<string, string>): string {
  return Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('');
}

/** The most memory the process has had so far. */
async function peakMegabytes(): Promise<number> {
  const status = await readFile(`/proc/${postrider.pid}/status`, 'utf8');
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}
