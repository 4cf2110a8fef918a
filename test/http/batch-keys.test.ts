/** The keys of a batch: of one of its emails, or of the whole. */
import { describe, expect, it } from 'vitest';
import { good, permissive, useBatches } from '../support/batches.ts';

const { api, post, countEmails } = useBatches();
const header = (key: string) => ({ 'idempotency-key': key });

describe('an idempotency_key in a batch', () => {
  it('is refused at the second of two emails, whether that has faults of its own or not', async () => {
    const keyed = { ...good, idempotency_key: 'twice' };
    const answer = await post([keyed, good, keyed, { ...keyed, to: 'x' }]);
    const repeated = { code: 'custom', message: 'stands at an earlier email of this batch' };
    expect(answer).toMatchObject({ status: 422, body: { name: 'validation_error' } });
    expect(answer.body.errors).toEqual([
      { pointer: '/2/idempotency_key', ...repeated },
      { pointer: '/3/to', code: 'custom', message: 'is not an address: expected local-part@domain' },
      { pointer: '/3/idempotency_key', ...repeated },
    ]);
  });

  it.each([
    ['has a fault', { to: 'x' }],
    ['names a template that is not there', { text: undefined, template: { id: 'no-such' } }],
  ])('is free for the next email when the one that had it %s', async (what, fault) => {
    const keyed = { ...good, idempotency_key: `free: ${what}` };
    const { body } = await post([{ ...keyed, ...fault }, keyed, keyed], permissive);
    expect(body.data).toHaveLength(1);
    expect(body.errors).toMatchObject([
      { index: 0 },
      { index: 2, message: expect.stringContaining('stands at an earlier email') },
    ]);
  });

  it('that occurs twice is refused at the second place again, also once the first email can no longer be sent', async () => {
    const template = { name: 'Fleeting', alias: 'fleeting', subject: 'Hi', text: 'Hello' };
    const made = await api('POST', '/v1/templates', template);
    const keyed = { ...good, subject: undefined, text: undefined, template: { id: 'fleeting' }, idempotency_key: '2x' };
    const batch = [keyed, keyed];
    const ways = [permissive, { ...permissive, 'idempotency-key': 'of both' }];
    const repeated = '/1/idempotency_key: stands at an earlier email of this batch';
    const answer = { data: [{ id: expect.any(String) }], errors: [{ index: 1, message: repeated }] };
    for (let times = 0; times < 2; times++) {
      for (const headers of ways) expect((await post(batch, headers)).body).toEqual(answer);
      expect((await post(batch)).status).toBe(422);
    }
    await api('DELETE', `/v1/templates/${made.body.id}`);
    for (const headers of ways)
      expect((await post(batch, headers)).body).toMatchObject({
        data: [{ id: expect.any(String) }],
        errors: [{ index: 1, message: expect.stringContaining(repeated) }],
      });
  });

  it('is the same as the header of POST /emails: the email is the same by either road', async () => {
    const alone = await api('POST', '/v1/emails', good, { 'idempotency-key': 'either' });
    const { subject, ...base } = good;
    const batch = await post({ base, messages: [{ subject, idempotency_key: 'either' }, { subject }] });
    expect(batch.status).toBe(202);
    expect(batch.body.data[0]?.id).toBe(alone.body.id);
    expect(batch.headers['idempotent-replayed']).toBeUndefined();

    const [first] = (await post([{ ...good, idempotency_key: 'or' }])).body.data;
    const again = await api('POST', '/v1/emails', good, { 'idempotency-key': 'or' });
    expect(again).toMatchObject({ body: { id: first?.id }, headers: { 'idempotent-replayed': 'true' } });
  });

  it('is read as the header is: quoted or not, of 256 characters without the quotes', async () => {
    const long = 'x'.repeat(256);
    for (const [bare, quoted] of [
      ['in quotes', '"in quotes"'],
      ['a "word"', '"a \\"word\\""'],
      [long, `"${long}"`],
    ] as const) {
      const [first] = (await post([{ ...good, idempotency_key: quoted }])).body.data;
      const [again] = (await post([{ ...good, idempotency_key: bare }])).body.data;
      const alone = await api('POST', '/v1/emails', good, header(quoted));
      expect([quoted, again?.id, alone.body.id]).toEqual([quoted, first?.id, first?.id]);
      const repeated = await post([bare, quoted].map((key) => ({ ...good, idempotency_key: key })));
      expect(repeated.body.errors).toMatchObject([{ pointer: '/1/idempotency_key', code: 'custom' }]);
    }
    for (const key of ['', '""', 'ключ', `${long}x`, `"${long}x"`]) {
      const { body } = await post([{ ...good, idempotency_key: key }]);
      expect(body.errors).toMatchObject([
        { pointer: '/0/idempotency_key', message: 'must be 1 to 256 printable ASCII characters' },
      ]);
    }
  });

  it('that was used with another body refuses a strict batch whole, and that email of a permissive one', async () => {
    await api('POST', '/v1/emails', good, { 'idempotency-key': 'used' });
    const before = await countEmails();
    const batch = [good, { ...good, subject: 'Other', idempotency_key: 'used' }];
    const strict = await post(batch, { 'idempotency-key': 'still-free' });
    expect(strict).toMatchObject({ status: 422, body: { name: 'invalid_idempotent_request' } });
    expect(strict.body.errors).toEqual([
      {
        pointer: '/1/idempotency_key',
        code: 'key_reused',
        message: 'this idempotency_key was used with another body in the last 24 hours',
      },
    ]);
    expect(await countEmails()).toBe(before);
    expect(await post([good], { 'idempotency-key': 'still-free' })).toMatchObject({ status: 202 });
    expect(await post(batch, permissive)).toMatchObject({
      status: 202,
      body: { data: [{ id: expect.any(String) }], errors: [{ index: 1 }] },
    });
    expect(await post(batch.slice(1), permissive)).toMatchObject({
      status: 202,
      body: { data: [], errors: [{ index: 0 }] },
    });
  });
});

describe('the key of a whole batch', () => {
  it('is answered with the same ids again, also where an email met a key of its own', async () => {
    const alone = await api('POST', '/v1/emails', good, header('own'));
    const batch = [good, { ...good, idempotency_key: 'own' }, { ...good, idempotency_key: 'new' }];
    const first = await post(batch, header('whole'));
    expect(first.body.data[1]?.id).toBe(alone.body.id);
    expect(first.headers['idempotent-replayed']).toBeUndefined();
    const before = await countEmails();
    const again = await post(JSON.stringify(batch, null, 2), header('"whole"'));
    expect(again).toMatchObject({ status: 202, body: first.body, headers: { 'idempotent-replayed': 'true' } });
    expect(await countEmails()).toBe(before);
  });

  it('is refused with another body, and says that it is the key of the batch', async () => {
    await post([good], header('taken'));
    const before = await countEmails();
    for (const headers of [header('taken'), { ...header('taken'), ...permissive }]) {
      const answer = await post([{ ...good, idempotency_key: 'k1' }, good], headers);
      expect(answer).toMatchObject({ status: 422, body: { name: 'invalid_idempotent_request' } });
      expect(answer.body.detail).toMatch(/^This Idempotency-Key was used for another request/);
    }
    expect(await countEmails()).toBe(before);
  });

  it('is not used up by a batch that is wrong', async () => {
    expect((await post([{ ...good, to: 'x' }], header('mended'))).status).toBe(422);
    expect(await post([good], header('mended'))).toMatchObject({ status: 202 });
  });

  it('says of each email that was not accepted whether that was for its own key, also when it could be sent by now', async () => {
    await post([{ ...good, subject: 'Other', idempotency_key: 'clashing' }]);
    const early = { ...good, text: undefined, template: { id: 'early' } };
    const batch = [{ ...early, idempotency_key: 'never used' }, { ...good, idempotency_key: 'clashing' }, good];
    const headers = { ...header('causes'), ...permissive };
    const first = await post(batch, headers);
    const clash = { index: 1, message: expect.stringMatching(/^\/1\/idempotency_key: .* was used with another body/) };
    expect(first.body.errors).toEqual([{ index: 0, message: '/0/template/id: is not a template here' }, clash]);
    expect((await post(batch, headers)).body).toEqual(first.body);
    await api('POST', '/v1/templates', { name: 'Early', alias: 'early', subject: 'Hi', text: 'Hello' });
    const late = await post(batch, headers);
    expect(late).toMatchObject({ body: { data: first.body.data }, headers: { 'idempotent-replayed': 'true' } });
    expect(late.body.errors).toEqual([
      { index: 0, message: '/0: was refused when this Idempotency-Key was first used' },
      clash,
    ]);
  });

  it('of a permissive batch gives each email its id again, also once another of them can no longer be sent', async () => {
    const soon = new Date(Date.now() + 700).toISOString();
    const batch = [{ ...good, expires_at: soon }, { ...good, to: 'x' }, good];
    const headers = { ...header('permissive'), ...permissive };
    const first = await post(batch, headers);
    expect(first.body.data).toHaveLength(2);
    await expect.poll(() => Date.now() > Date.parse(soon)).toBe(true);
    expect(await post(batch, headers)).toMatchObject({ body: first.body, headers: { 'idempotent-replayed': 'true' } });
  });
});
