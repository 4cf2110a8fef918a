/** The official resend SDK looks at what it sent, walks through it, and schedules, moves and cancels it. */
import type { ListEmailsResponseSuccess, Resend } from 'resend';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { watchFetch } from '../support/conformance.ts';
import { startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { dataOf, errorOf, resendFor } from '../support/resend.ts';
import { openSmtpServer, type TestSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

watchFetch();

const opened = new AsyncDisposableStack();
let smtp: TestSmtpServer;
let resend: Resend;
beforeAll(async () => {
  const redis = opened.use(await openTestRedis());
  smtp = opened.use(await openSmtpServer());
  const url = `smtp://127.0.0.1:${smtp.port}?tls=none`;
  resend = resendFor(opened.use(await startPostrider({ REDIS_URL: redis.url, SMTP_URL: url })));
});
afterAll(() => opened.disposeAsync());

const letter = { from: 'Acme <acme@example.com>', to: 'ada@example.org', subject: 'Hello', text: 'Hello, Ada' };

const hoursAhead = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString();

async function schedule(): Promise<string> {
  return dataOf(await resend.emails.send({ ...letter, scheduledAt: hoursAhead(1) })).id;
}

function lastEvent(id: string, wanted: string) {
  return until(`${id} to be ${wanted}`, async () => dataOf(await resend.emails.get(id)).last_event === wanted);
}

describe('a scheduled email', () => {
  it('waits, is moved to another time, and is sent when that has come', async () => {
    const scheduledAt = hoursAhead(2);
    const id = await schedule();
    expect(dataOf(await resend.emails.get(id))).toMatchObject({ last_event: 'scheduled' });
    expect(dataOf(await resend.emails.update({ id, scheduledAt }))).toMatchObject({ object: 'email', id });
    expect(dataOf(await resend.emails.get(id)).scheduled_at).toBe(scheduledAt);

    expect(dataOf(await resend.emails.update({ id, scheduledAt: new Date().toISOString() }))).toMatchObject({ id });
    await lastEvent(id, 'sent');
    expect(errorOf(await resend.emails.update({ id, scheduledAt }))).toMatchObject({
      name: 'conflict',
      statusCode: 409,
      message: `Email ${id} cannot be rescheduled: it is no longer scheduled. Its status is sent.`,
    });
  });

  it('is canceled, once, and is never sent', async () => {
    const id = await schedule();
    expect(dataOf(await resend.emails.cancel(id))).toMatchObject({ object: 'email', id });
    expect(dataOf(await resend.emails.get(id)).last_event).toBe('canceled');
    expect(errorOf(await resend.emails.cancel(id)).statusCode).toBe(409);
    expect(errorOf(await resend.emails.update({ id, scheduledAt: new Date().toISOString() })).statusCode).toBe(409);
    expect(smtp.mails.map(({ parsed }) => parsed.messageId)).not.toContain(`<${id}@example.com>`);
  });

  it('comes with a batch as well', async () => {
    const { data } = dataOf(await resend.batch.send([letter, { ...letter, scheduledAt: hoursAhead(1) }]));
    const [now, later] = data;
    await lastEvent(now?.id ?? '', 'sent');
    expect(dataOf(await resend.emails.get(later?.id ?? '')).last_event).toBe('scheduled');
    expect(dataOf(await resend.emails.cancel(later?.id ?? '')).id).toBe(later?.id);
  });
});

it('sent mail can no longer be canceled', async () => {
  const { id } = dataOf(await resend.emails.send(letter));
  await lastEvent(id, 'sent');
  expect(errorOf(await resend.emails.cancel(id))).toMatchObject({
    name: 'conflict',
    statusCode: 409,
    message: `Email ${id} cannot be canceled: no recipient is waiting or held any more. Its status is sent.`,
  });
});

it('an email is shown with every field that the SDK knows', async () => {
  const { id } = dataOf(
    await resend.emails.send({
      ...letter,
      cc: ['Carl <carl@example.org>'],
      replyTo: 'help@example.com',
      html: '<p>Hello</p>',
      tags: [{ name: 'kind', value: 'greeting' }],
    }),
  );
  await lastEvent(id, 'sent');
  expect(dataOf(await resend.emails.get(id))).toMatchObject({
    object: 'email',
    id,
    message_id: `<${id}@example.com>`,
    from: 'Acme <acme@example.com>',
    to: ['ada@example.org'],
    cc: ['Carl <carl@example.org>'],
    bcc: [],
    reply_to: ['help@example.com'],
    subject: 'Hello',
    text: 'Hello, Ada',
    html: '<p>Hello</p>',
    tags: [{ name: 'kind', value: 'greeting' }],
    created_at: expect.stringMatching(/^\d{4}-.*Z$/),
    scheduled_at: null,
    last_event: 'sent',
  });
});

describe('emails.list', () => {
  type Cursor = { after: string } | { before: string } | undefined;

  /** Pages until there is no more; `next` tells the cursor from a page. */
  async function walk(
    next: (page: ListEmailsResponseSuccess) => Cursor,
    cursor?: Cursor,
  ): Promise<ListEmailsResponseSuccess[]> {
    const page = dataOf(await resend.emails.list({ limit: 3, ...cursor }));
    expect(page.object).toBe('list');
    return page.has_more ? [page, ...(await walk(next, next(page)))] : [page];
  }
  const idsOf = (pages: readonly ListEmailsResponseSuccess[]) => pages.map(({ data }) => data.map(({ id }) => id));

  it('is walked through to its end and back again, newest first', async () => {
    const batch = dataOf(await resend.batch.send(Array.from({ length: 8 }, () => letter)));
    const newest = batch.data.map(({ id }) => id);
    const all = dataOf(await resend.emails.list({ limit: 100 })).data.map(({ id }) => id);
    // Those of one millisecond have no order among themselves.
    expect(new Set(all.slice(0, 8))).toEqual(new Set(newest));
    expect(dataOf(await resend.emails.list()).data).toHaveLength(Math.min(all.length, 20));

    const down = idsOf(await walk(({ data }) => ({ after: data.at(-1)?.id ?? '' })));
    expect(down.flat()).toEqual(all);
    expect(down.slice(0, -1).every((page) => page.length === 3)).toBe(true);

    const oldest = all.at(-1) ?? '';
    const up = idsOf(await walk(({ data }) => ({ before: data[0]?.id ?? '' }), { before: oldest }));
    expect([...up.toReversed().flat(), oldest]).toEqual(all);
  });

  it('refuses invalid paging', async () => {
    expect(errorOf(await resend.emails.list({ limit: 101 }))).toMatchObject({
      name: 'validation_error',
      statusCode: 422,
      message: '#/query/limit: must be at most 100',
    });
    expect(errorOf(await resend.emails.list({ after: 'not-an-id' }))).toMatchObject({ statusCode: 422 });
  });
});
