/** Bodies in hand are bounded: another is refused, before it is read where its length is known, small ones apart from large ones, whoever goes makes room, and no key takes all of it. */
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makeBodyRoom, smallBodyBytes } from '../../src/http/body-room.ts';
import { type ApiClient, apiClient, type Postrider, testApiKey } from '../support/postrider.ts';
import { openRawHttp, type RawAnswer, type RawHttp } from '../support/raw-http.ts';
import { until } from '../support/until.ts';
import { usePostrider } from '../support/use-postrider.ts';

const kb = 1_024;
const roomBytes = 1_024 * kb;
let postrider: Postrider;
usePostrider(
  (own) => {
    postrider = own;
  },
  { ROLES: 'api', API_BODY_BYTES: '1mb' },
);

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const headers = { ...bearer(testApiKey), 'content-type': 'application/json' };
/** An email as long as that. */
function emailOf(bytes: number): string {
  const email = (text: string) => JSON.stringify({ from: 'a@example.com', to: 'b@example.org', subject: 'Hi', text });
  return email('x'.repeat(bytes - email('').length));
}

function head(more: Record<string, string | number>, path = '/v1/emails'): string {
  const lines = Object.entries({ host: 'test', ...headers, ...more }).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}
const chunk = (bytes: string | Buffer) =>
  Buffer.concat([Buffer.from(`${Buffer.byteLength(bytes).toString(16)}\r\n`), Buffer.from(bytes), Buffer.from('\r\n')]);

const tookNothing = { status: 503, headers: expect.objectContaining({ 'retry-after': '2' }) };

async function refusals(): Promise<number> {
  const text = await (await fetch(`${postrider.url}/metrics`)).text();
  return Number(/^postrider_refused_requests_total\{reason="back_pressure"\} (\d+)/m.exec(text)?.[1]);
}

/** One that has sent all but the last byte of a body of that size. */
async function openUnended(bytes: number, token = testApiKey, path = '/v1/emails'): Promise<RawHttp> {
  const http = await openRawHttp(postrider.url);
  http.write(head({ ...bearer(token), 'content-length': bytes }, path));
  http.write(emailOf(bytes).slice(0, -1));
  return http;
}

/** What says its length is refused as soon as its head has come, or has to be answered once it has come. */
async function isTaken(bytes: number): Promise<boolean> {
  using http = await openRawHttp(postrider.url);
  return (await http.send('POST', '/v1/emails', headers, emailOf(bytes))).status === 202;
}

/** The answer to a head that asks whether its body shall come, which then does not: so it takes no room from the others. */
async function askFor(bytes: number, token: string, path: string): Promise<RawAnswer> {
  using http = await openRawHttp(postrider.url);
  http.write(head({ ...bearer(token), 'content-length': bytes, expect: '100-continue' }, path));
  return await http.answer();
}

async function tokenOf(maker: ApiClient, limits: object): Promise<string> {
  return (await maker('POST', '/v1/api-keys', { name: 'k', ...limits })).body.token;
}

it('a small batch takes the room that it needs with its base written out, and is refused while that is taken', async () => {
  using http = await openRawHttp(postrider.url);
  const post = (messages: number) => {
    const base = {
      from: 'a@example.com',
      to: 'b@example.org',
      subject: 'Hi',
      text: 'x',
      metadata: { a: 'x'.repeat(4_000) },
    };
    const body = JSON.stringify({ base, messages: Array(messages).fill({}) });
    return http.send('POST', '/v1/emails/batch', headers, body);
  };
  using first = await openUnended(900 * kb);
  await until('it to be in hand', async () => !(await isTaken(500 * kb)));
  const refused = await post(200);
  expect(refused).toMatchObject(tookNothing);
  expect(refused.body).toContain('API_BODY_BYTES');
  expect((await post(20)).status).toBe(202);
  first.write('}');
  expect(await first.answer()).toMatchObject({ status: 202 });
  expect((await post(200)).status).toBe(202);
});

it.each([
  ['an email', '/v1/emails', (email: object) => email],
  ['a batch', '/v1/emails/batch', (email: object) => Array(2).fill(email)],
])('%s takes the room that its letters need once they are made of a template', async (_, path, bodyWith) => {
  const text = `{% for i in (1..100) %}${'x'.repeat(4_000)}{% endfor %}`;
  const { id } = (await postrider.api('POST', '/v1/templates', { name: 'long', subject: 'Hi', text })).body;
  const email = { from: 'a@example.com', to: 'b@example.org', template: { id } };
  using http = await openRawHttp(postrider.url);
  const post = () => http.send('POST', path, headers, JSON.stringify(bodyWith(email)));
  using first = await openUnended(900 * kb);
  await until('it to be in hand', async () => !(await isTaken(500 * kb)));
  const refused = await post();
  expect(refused).toMatchObject(tookNothing);
  expect(refused.body).toContain('API_BODY_BYTES');
  first.write('}');
  expect(await first.answer()).toMatchObject({ status: 202 });
  expect((await post()).status).toBe(202);
});

it('while one large body is in hand, another is refused unread, with Retry-After; a small one is accepted, and so is a large one after the first is done', async () => {
  using first = await openUnended(900 * kb);
  await until('it to be in hand', async () => !(await isTaken(500 * kb)));
  const before = await refusals();
  using unread = await openRawHttp(postrider.url);
  unread.write(head({ 'content-length': 500 * kb }));
  const answer = await unread.answer();
  expect(answer).toMatchObject(tookNothing);
  expect(answer.body).toContain('API_BODY_BYTES');
  expect(await refusals()).toBe(before + 1);
  expect(await isTaken(smallBodyBytes)).toBe(true);
  first.write('}');
  expect(await first.answer()).toMatchObject({ status: 202 });
  expect(await isTaken(500 * kb)).toBe(true);
});

it('a large body that was announced and does not come takes no room from others', async () => {
  using first = await openRawHttp(postrider.url);
  using second = await openRawHttp(postrider.url);
  for (const idle of [first, second]) {
    idle.write(`${head({ 'content-length': 41_000_000 })}{`);
    // Read by the time it is answered, as it is the same process.
    expect(await isTaken(1_500 * kb)).toBe(true);
  }
});

it('small bodies have a limit of their own, and large ones are accepted besides them', async () => {
  using _first = await openUnended(smallBodyBytes, await tokenOf(postrider.api, {}));
  using second = await openUnended(smallBodyBytes);
  await until('them to be in hand', async () => (await askFor(9 * kb, testApiKey, '/v1/emails')).status === 503);
  using unread = await openRawHttp(postrider.url);
  unread.write(head({ 'content-length': 9 * kb }));
  const answer = await unread.answer();
  expect(answer).toMatchObject(tookNothing);
  expect(answer.body).toContain('Too many requests are in hand');
  expect(await isTaken(500 * kb)).toBe(true);
  second.write('}');
  expect(await second.answer()).toMatchObject({ status: 202 });
  expect(await isTaken(9 * kb)).toBe(true);
});

describe.each([
  { size: 'small', bytes: 20 * kb, count: 19 },
  { size: 'large', bytes: 300 * kb, count: 2 },
])('$size bodies that never end', ({ bytes, count }) => {
  it.each([
    { scope: 'send', path: '/v1/emails' },
    { scope: 'read', path: '/v1/templates/none/render' },
  ])('of one key ($scope) and of keys that it made leave room for other keys', async ({ scope, path }) => {
    const maker = await tokenOf(postrider.api, { scopes: [scope, 'manage'] });
    const made = await tokenOf(apiClient(postrider.url, maker), { scopes: [scope] });
    await using held = new AsyncDisposableStack();
    for (let n = 0; n < count; n++) held.use(await openUnended(bytes, n % 2 ? maker : made, path));
    const refused = await until('no more of them to be taken', async () => {
      const answer = await askFor(bytes, made, path);
      return answer.status === 503 && answer;
    });
    expect(refused).toMatchObject(tookNothing);
    expect(refused.body).toMatch(/This key, with those it made and that made it, .*API_BODY_BYTES/);
    expect((await askFor(bytes, maker, path)).status).toBe(503);
    expect(await isTaken(bytes)).toBe(true);
  });
});

it('a body that stops being valid HTTP gives back its room although its client hangs', async () => {
  using first = await openRawHttp(postrider.url, { allowHalfOpen: true });
  first.write(head({ 'transfer-encoding': 'chunked' }));
  first.write(chunk('x'.repeat(900 * kb)));
  await until('it to be in hand', async () => !(await isTaken(500 * kb)));
  first.write('zz\r\n');
  expect(await first.answer()).toMatchObject({ status: 400 });
  await until('there to be room', () => isTaken(500 * kb));
});

it('a body whose client goes before it is whole gives back its room', async () => {
  {
    using _first = await openUnended(900 * kb);
    await until('it to be in hand', async () => !(await isTaken(500 * kb)));
  }
  await until('there to be room', () => isTaken(500 * kb));
});

it('a chunked or packed body is counted as it is read, and its connection can be used again', async () => {
  using first = await openUnended(900 * kb);
  await until('it to be in hand', async () => !(await isTaken(500 * kb)));
  using http = await openRawHttp(postrider.url);
  for (const small of [true, false]) {
    const body = emailOf(small ? 200 * kb : 500 * kb);
    http.write(head({ 'transfer-encoding': 'chunked' }));
    http.write(Buffer.concat([chunk(body.slice(0, 9)), chunk(body.slice(9)), chunk('')]));
    expect(await http.answer()).toMatchObject(small ? { status: 202 } : tookNothing);
    const packed = await http.send('POST', '/v1/emails', { ...headers, 'content-encoding': 'gzip' }, gzipSync(body));
    expect(packed).toMatchObject(small ? { status: 202 } : tookNothing);
  }
  first.write('}');
  expect(await first.answer()).toMatchObject({ status: 202 });
});

it('a body that outgrows the limit of its route holds no room after the 413, however much of it still comes', async () => {
  using http = await openRawHttp(postrider.url);
  const begun = head({ 'transfer-encoding': 'chunked' }).replace('/v1/emails', '/v1/webhooks');
  const write = (times: number) => {
    for (let n = 0; n < times; n += 1) http.write(chunk('x'.repeat(300 * kb)));
  };
  for (const isBeside of [false, true]) {
    using beside = isBeside ? await openUnended(700 * kb) : null;
    if (isBeside) await until('it to be in hand', async () => !(await isTaken(500 * kb)));
    http.write(begun);
    write(2);
    expect(await http.answer()).toMatchObject({ status: 413 });
    // More than there is room for.
    write(6);
    http.write(chunk(''));
    expect((await http.send('GET', '/livez', {})).status).toBe(200);
    beside?.write('}');
    if (beside !== null) expect(await beside.answer()).toMatchObject({ status: 202 });
    expect(await isTaken(1_000 * kb)).toBe(true);
  }
});

it('the largest request is taken when no other is in hand, however little room there is', async () => {
  const attachments = [{ filename: 'a.bin', content: Buffer.alloc(20_000_000, 7).toString('base64') }];
  const email = { from: 'a@example.com', to: 'b@example.org', subject: 'Hi', text: 'x', attachments };
  expect((await postrider.api('POST', '/v1/emails', email)).status).toBe(202);
});

it('in any order of bodies, each part holds at most its room and each key its share, except for one body besides small ones; in the end all is free', () => {
  const step = fc.record({ who: fc.nat(9), bytes: fc.nat(2 * roomBytes), leaves: fc.boolean() });
  const kind = fc.record({ isLarge: fc.boolean(), rootId: fc.constantFrom('ak_1', 'ak_2', 'ak_3') });
  fc.assert(
    fc.property(fc.array(step), fc.array(kind, { minLength: 10, maxLength: 10 }), (steps, kinds) => {
      const room = makeBodyRoom(roomBytes);
      const bodies = kinds.map(({ isLarge, rootId }) => {
        return { place: room.enter(isLarge, rootId), isLarge, rootId, bytes: 0, isGone: false };
      });
      const isInLarge = (body: { isLarge: boolean; bytes: number }) => body.isLarge || body.bytes > smallBodyBytes;
      const sumOf = (some: readonly { bytes: number }[]) => some.reduce((sum, each) => sum + each.bytes, 0);
      for (const { who, bytes, leaves } of steps) {
        const one = bodies[who] ?? expect.unreachable('there is one');
        if (leaves) {
          one.place.leave();
          Object.assign(one, { bytes: 0, isGone: true });
          continue;
        }
        const grown = { isLarge: one.isLarge, bytes };
        const beside = bodies.filter((body) => body !== one && isInLarge(body) === isInLarge(grown));
        const others = sumOf(beside);
        const ofKey = sumOf(beside.filter(({ rootId }) => rootId === one.rootId));
        const all = isInLarge(grown) ? roomBytes : roomBytes / 2;
        const hasRoom = others <= smallBodyBytes || others + bytes <= all;
        const hasShare = ofKey <= all / 4 || ofKey + bytes <= (all - (others - ofKey)) * 0.75;
        const usedUp = hasRoom ? (hasShare ? null : 'share') : 'room';
        expect(one.place.lacks(bytes)).toBe(usedUp);
        const counts = !one.isGone && bytes > one.bytes;
        expect(one.place.grow(bytes)).toBe(counts ? usedUp : null);
        if (counts && usedUp === null) one.bytes = bytes;
      }
      for (const { place } of bodies) place.leave();
      expect(room.enter(true, 'ak_1').grow(roomBytes)).toBe(null);
      const [first, second] = [room.enter(false, 'ak_1'), room.enter(false, 'ak_2')];
      expect([first.grow(smallBodyBytes), second.grow(smallBodyBytes)]).toEqual([null, null]);
    }),
  );
});

it('when three keys take all they can, another finds room', () => {
  const room = makeBodyRoom(64 * roomBytes);
  for (let key = 0; key < 3; key++) while (room.enter(false, `ak_${key}`).grow(kb) === null);
  expect(room.enter(false, 'ak_new').grow(kb)).toBe(null);
});
