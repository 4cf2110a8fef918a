/** What an email may carry beside its letter: metadata, its caller's id, a lane, a route, a time, a Message-ID; and what may be changed later. */
import { Resend } from 'resend';
import { describe, expect, it } from 'vitest';
import { type Postrider, testApiKey } from '../support/postrider.ts';
import { usePostrider } from '../support/use-postrider.ts';

let postrider: Postrider;
usePostrider((own) => {
  postrider = own;
});

const good = { from: 'a@example.com', to: 'b@example.org', subject: 'Hi', text: 'Hello' };
const hour = 3_600_000;
const inMs = (ms: number) => new Date(Date.now() + ms).toISOString();

function post(more: object | string) {
  return postrider.api('POST', '/v1/emails', typeof more === 'string' ? more : { ...good, ...more });
}

async function faultsOf(more: object): Promise<[number, string[]]> {
  const { status, body } = await post(more);
  return [status, (body.errors ?? []).map(({ pointer, message }) => `${pointer} ${message}`)];
}

describe('metadata', () => {
  it('comes back as it was given, up to 4,096 bytes, nested and with any names', async () => {
    const deep = JSON.parse(`${'{"a":'.repeat(20)}1${'}'.repeat(20)}`);
    const metadata = { deep, constructor: 'c', toString: [null, 1.5, true], 'ü ~/': '😀', '': '' };
    const bytes = Buffer.byteLength(JSON.stringify({ ...metadata, fill: '' }));
    const full = { ...metadata, fill: 'x'.repeat(4_096 - bytes) };
    const { status, body } = await post({ metadata: full });
    expect(status).toBe(202);
    expect((await postrider.api('GET', `/v1/emails/${body.id}`)).body.metadata).toEqual(full);
    expect(await faultsOf({ metadata: { ...full, fill: `${full.fill}x` } })).toEqual([
      422,
      ['/metadata may be 4096 bytes as JSON'],
    ]);
    expect((await faultsOf({ metadata: 'text' }))[0]).toBe(422);
    expect((await faultsOf({ metadata: ['list'] }))[0]).toBe(422);
    expect(await faultsOf({ metadata: { a: '\ud800' } })).toEqual([422, ['/metadata must be well-formed Unicode']]);
  });

  it.each(['1e400', '-1e400', '12345678901234567890', '{"deep":[9007199254740993]}'])(
    'with a number that reading JSON changes is refused: %s',
    async (number) => {
      const { status, body } = await post(`${JSON.stringify(good).slice(0, -1)},"metadata":{"a":${number}}}`);
      expect([status, body.errors]).toEqual([
        422,
        [{ pointer: '/metadata', code: 'custom', message: expect.stringContaining('give them as strings') }],
      ]);
    },
  );

  it.each(['"metadata":{"__proto__":{"a":1}}', '"metadata":{"a":{"constructor":{"prototype":1}}}'])(
    'that would change an object it is copied into is refused: %s',
    async (member) => {
      const { status, body } = await post(`${JSON.stringify(good).slice(0, -1)},${member}}`);
      expect([status, body]).toMatchObject([400, { name: 'unreadable_request' }]);
    },
  );
});

describe('an email', () => {
  it('keeps the id its caller gave it, and its lane and route', async () => {
    const { body } = await post({ external_id: 'order-1', lane: 'bulk', route: 'default' });
    expect((await postrider.api('GET', `/v1/emails/${body.id}`)).body).toMatchObject({
      external_id: 'order-1',
      lane: 'bulk',
      route: 'default',
    });
    expect((await faultsOf({ external_id: '' }))[0]).toBe(422);
    expect((await faultsOf({ external_id: 'x'.repeat(257) }))[0]).toBe(422);
    expect((await faultsOf({ lane: 'express' }))[0]).toBe(422);
  });

  it('by an unknown route is refused, and the fault lists the routes that exist', async () => {
    expect(await faultsOf({ route: 'marketing' })).toEqual([422, ['/route is not a route here: expected default']]);
  });

  it('is scheduled up to a year ahead; a time that has passed means now', async () => {
    expect(await post({ scheduled_at: inMs(365 * 24 * hour) })).toMatchObject({
      status: 202,
      body: { status: 'scheduled' },
    });
    expect(await post({ scheduled_at: inMs(-hour) })).toMatchObject({ status: 202, body: { status: 'queued' } });
    expect(await faultsOf({ scheduled_at: inMs(367 * 24 * hour) })).toEqual([
      422,
      ['/scheduled_at may be a year ahead at most'],
    ]);
    expect((await faultsOf({ scheduled_at: '2030-01-31 09:00' }))[0]).toBe(422);
  });

  it('expires after its ttl, from accept or from its schedule, or at a time; not both', async () => {
    const view = async (more: object) => {
      const { body } = await post(more);
      return (await postrider.api('GET', `/v1/emails/${body.id}`)).body as unknown as Record<string, string>;
    };
    const now = await view({ ttl: 60 });
    expect(Date.parse(now.expires_at ?? '') - Date.parse(now.created_at ?? '')).toBe(60_000);
    const later = await view({ ttl: 60, scheduled_at: inMs(hour) });
    expect(Date.parse(later.expires_at ?? '') - Date.parse(later.scheduled_at ?? '')).toBe(60_000);
    const at = inMs(hour);
    expect(await view({ expires_at: at })).toMatchObject({ expires_at: at });
    expect((await faultsOf({ ttl: 60, expires_at: at }))[1]).toEqual([
      '/expires_at says the same as ttl: give one of them',
    ]);
    const tooEarly = ['/expires_at must be in the future and after scheduled_at'];
    expect((await faultsOf({ expires_at: inMs(-1_000) }))[1]).toEqual(tooEarly);
    expect((await faultsOf({ expires_at: at, scheduled_at: inMs(2 * hour) }))[1]).toEqual(tooEarly);
    const tooLate = ['/expires_at may be a year at most from now, or from scheduled_at'];
    expect((await faultsOf({ expires_at: '9999-12-31T23:59:59Z' }))[1]).toEqual(tooLate);
    const [inAYear, afterAYear] = [inMs(365 * 24 * hour), inMs(367 * 24 * hour)];
    expect((await faultsOf({ expires_at: afterAYear }))[1]).toEqual(tooLate);
    expect(await view({ expires_at: inAYear })).toMatchObject({ expires_at: inAYear });
    expect(await view({ expires_at: afterAYear, scheduled_at: inMs(48 * hour) })).toMatchObject({
      expires_at: afterAYear,
    });
  });

  it('has the Message-ID it was given, which is one or none', async () => {
    const { body } = await post({ headers: { 'message-id': '<own.1@example.com>', 'X-A': 'b' } });
    expect((await postrider.api('GET', `/v1/emails/${body.id}`)).body).toMatchObject({
      message_id: '<own.1@example.com>',
      headers: { 'X-A': 'b' },
    });
    expect(await faultsOf({ headers: { 'Message-ID': 'own' } })).toEqual([
      422,
      ['/headers/Message-ID must be <left@right>'],
    ]);
    expect(await faultsOf({ headers: { 'Message-ID': '<a@b>', 'message-id': '<c@d>' } })).toEqual([
      422,
      ['/headers/message-id is given twice'],
    ]);
  });
});

describe('a change', () => {
  const change = (id: string, what: 'cancel' | 'retry') => postrider.api('POST', `/v1/emails/${id}/${what}`);
  const move = (id: string, to: unknown) => postrider.api('PATCH', `/v1/emails/${id}`, { scheduled_at: to });

  it('that comes too late is a conflict that says the status of the email', async () => {
    const { id } = (await post({})).body;
    const late = await move(id, inMs(hour));
    expect(late).toMatchObject({ status: 409, headers: { 'content-type': 'application/problem+json' } });
    expect(late.body).toMatchObject({
      name: 'conflict',
      email_status: 'queued',
      detail: `Email ${id} cannot be rescheduled: it is no longer scheduled. Its status is queued.`,
    });
    expect(await change(id, 'retry')).toMatchObject({
      status: 409,
      body: { name: 'conflict', email_status: 'queued' },
    });
    expect(await change(id, 'cancel')).toMatchObject({
      status: 200,
      body: { id, object: 'email', status: 'canceled' },
    });
    expect(await change(id, 'cancel')).toMatchObject({
      status: 409,
      body: { name: 'conflict', email_status: 'canceled' },
    });
    expect(await change(id, 'retry')).toMatchObject({ status: 409, body: { email_status: 'canceled' } });
  });

  it('of a missing email, or to a wrong time, is refused as such', async () => {
    const none = 'em_00000000000000000000000000';
    expect(
      [await change(none, 'cancel'), await change('x', 'retry'), await move(none, inMs(hour))].map(
        ({ status }) => status,
      ),
    ).toEqual([404, 404, 404]);
    const { id } = (await post({ scheduled_at: inMs(hour) })).body;
    expect((await move(id, 'soon')).body.errors).toMatchObject([{ pointer: '/scheduled_at' }]);
    expect((await move(id, inMs(367 * 24 * hour))).status).toBe(422);
    expect((await postrider.api('PATCH', `/v1/emails/${id}`, { scheduled_at: inMs(hour), subject: 's' })).status).toBe(
      422,
    );
  });

  it('may name its email once more in the body, as SDKs do, and no other', async () => {
    const { id } = (await post({ scheduled_at: inMs(hour) })).body;
    const move = (ids: object) => postrider.api('PATCH', `/v1/emails/${id}`, { scheduled_at: inMs(hour), ...ids });
    expect((await move({ id })).status).toBe(200);
    expect((await move({ email_id: id })).status).toBe(200);
    const other = await move({ id: 'em_00000000000000000000000000', email_id: id });
    expect([other.status, other.body.errors]).toMatchObject([
      422,
      [{ pointer: '/id', message: 'must be the id of the path, or left out' }],
    ]);
  });

  it('of the schedule moves the end of a ttl along, and is refused beyond a fixed end', async () => {
    const look = async (id: string) =>
      (await postrider.api('GET', `/v1/emails/${id}`)).body as unknown as Record<string, string>;
    const { id } = (await post({ scheduled_at: inMs(hour), ttl: 60 })).body;
    const to = inMs(48 * hour);
    expect(await move(id, to)).toMatchObject({ status: 200, body: { status: 'scheduled' } });
    expect(await look(id)).toMatchObject({
      scheduled_at: to,
      expires_at: new Date(Date.parse(to) + 60_000).toISOString(),
    });
    const fixed = (await post({ scheduled_at: inMs(hour), expires_at: inMs(2 * hour) })).body;
    const refused = await move(fixed.id, inMs(3 * hour));
    expect(refused).toMatchObject({ status: 409, body: { name: 'conflict', email_status: 'scheduled' } });
    expect(refused.body.detail).toContain('it would have expired by then');
  });

  it('asked of two processes or twice at once has one winner each time', async () => {
    for (let round = 0; round < 20; round++) {
      const { id } = (await post({ scheduled_at: inMs(hour) })).body;
      const answers = await Promise.all([change(id, 'cancel'), change(id, 'cancel'), change(id, 'cancel')]);
      expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 409, 409]);
    }
  });

  it('is understood from the Resend SDK as well', async () => {
    const resend = new Resend(testApiKey, { baseUrl: `${postrider.url}/v1` });
    const sent = await resend.emails.send({ ...good, scheduledAt: inMs(hour) });
    const id = sent.data?.id ?? '';
    expect(await resend.emails.update({ id, scheduledAt: inMs(2 * hour) })).toMatchObject({
      error: null,
      data: { id, object: 'email' },
    });
    expect(await resend.emails.cancel(id)).toMatchObject({ error: null, data: { id, object: 'email' } });
    expect(await resend.emails.cancel(id)).toMatchObject({ error: { name: 'conflict', statusCode: 409 } });
    const batch = await resend.batch.send([good, { ...good, to: 'x' }], { batchValidation: 'permissive' });
    expect(batch).toMatchObject({ error: null, data: { data: [{ id: expect.any(String) }], errors: [{ index: 1 }] } });
  });
});

it('an email for `in 1 hour` is answered as scheduled, and its repeat gets the same answer', async () => {
  const body = { ...good, scheduled_at: 'in 1 hour' };
  const send = () => postrider.api('POST', '/v1/emails', body, { 'idempotency-key': 'in-1-hour' });
  const first = await send();
  expect([first.status, first.body]).toMatchObject([202, { status: 'scheduled' }]);
  expect((await send()).body).toEqual(first.body);
  const { scheduled_at, created_at } = (await postrider.api('GET', `/v1/emails/${first.body.id}`)).body as unknown as {
    [name: string]: string;
  };
  expect(Math.round((Date.parse(scheduled_at ?? '') - Date.parse(created_at ?? '')) / 60_000)).toBe(60);
});

it('a topic_id is refused: it would exclude no recipient', async () => {
  expect(await faultsOf({ topic_id: 'b6d24b8e' })).toEqual([422, [expect.stringContaining('there are no topics')]]);
});
