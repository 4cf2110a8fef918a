/** `dsn` from the POST to the wire: the server is asked, with each attempt, for what the request asked for. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { openScriptedSmtp, type ScriptedSmtp } from '../support/scripted-smtp.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let smtp: ScriptedSmtp;
let deferrals: number;
let postrider: Postrider;
beforeAll(async () => {
  const redis = opened.use(await openTestRedis());
  smtp = opened.use(
    await openScriptedSmtp((stage) => {
      if (stage === 'EHLO') return '250-scripted\r\n250-PIPELINING\r\n250-SMTPUTF8\r\n250 DSN';
      return stage === 'RCPT' && deferrals-- > 0 ? '451 4.3.0 Not now' : undefined;
    }),
  );
  const SMTP_URL = `smtp://127.0.0.1:${smtp.port}?tls=none&connections=1`;
  postrider = opened.use(await startPostrider({ REDIS_URL: redis.url, SMTP_URL }));
});
afterAll(() => opened.disposeAsync());

const email = { from: 'a@example.com', to: 'b+tag@example.org', subject: 'Hi', text: 'Hello' };

/** The envelope commands up to where the emails are sent. */
async function commandsUntilSent(ids: readonly string[], from: number): Promise<string[]> {
  for (const id of ids) {
    const look = async () => (await postrider.api('GET', `/v1/emails/${id}`)).body;
    await until(`${id} to be sent`, async () => (await look()).status === 'sent', look);
  }
  return smtp.lines.slice(from).filter((line) => /^(?:MAIL|RCPT)/.test(line));
}

it.each([
  { dsn: { notify: ['failure', 'delay'] }, ret: 'HDRS', notify: 'FAILURE,DELAY', tries: 1 },
  { dsn: { notify: ['success', 'failure'], return: 'full' }, ret: 'FULL', notify: 'SUCCESS,FAILURE', tries: 3 },
  { dsn: { notify: ['never'], return: 'headers' }, ret: 'HDRS', notify: 'NEVER', tries: 2 },
])('$dsn is asked for with every recipient, in each of $tries tries', async ({ dsn, ret, notify, tries }) => {
  const from = smtp.lines.length;
  // One for each recipient of each try but the last.
  deferrals = 3 * (tries - 1);
  const request = { ...email, cc: ['c@example.org'], bcc: 'd@example.org', dsn };
  const { status, body } = await postrider.api('POST', '/v1/emails', request);
  expect(status).toBe(202);
  const once = [
    `MAIL FROM:<a@example.com> RET=${ret} ENVID=${body.id}`,
    `RCPT TO:<b+tag@example.org> NOTIFY=${notify} ORCPT=rfc822;b+2Btag@example.org`,
    `RCPT TO:<c@example.org> NOTIFY=${notify} ORCPT=rfc822;c@example.org`,
    `RCPT TO:<d@example.org> NOTIFY=${notify} ORCPT=rfc822;d@example.org`,
  ];
  expect(await commandsUntilSent([body.id], from)).toEqual(Array(tries).fill(once).flat());
});

it('a recipient is named in the composed form of its address', async () => {
  const from = smtp.lines.length;
  deferrals = 0;
  const request = { ...email, to: 'jose\u0301@example.org', dsn: { notify: ['failure'] } };
  const { body } = await postrider.api('POST', '/v1/emails', request);
  expect(await commandsUntilSent([body.id], from)).toEqual([
    `MAIL FROM:<a@example.com> SMTPUTF8 RET=HDRS ENVID=${body.id}`,
    'RCPT TO:<jos\u00e9@example.org> NOTIFY=FAILURE ORCPT=utf-8;jos\\x{E9}@example.org',
  ]);
});

it('an email without it asks for nothing, and in a batch each asks for its own', async () => {
  const from = smtp.lines.length;
  deferrals = 0;
  const dsn = { notify: ['failure'] };
  const batch = { base: { ...email, dsn }, messages: [{}, { dsn: { notify: ['never'], return: 'full' } }] };
  const ids = [
    (await postrider.api('POST', '/v1/emails', email)).body.id,
    ...(await postrider.api('POST', '/v1/emails/batch', batch)).body.data.map(({ id }) => id),
  ];
  const commands = await commandsUntilSent(ids, from);
  const to = 'RCPT TO:<b+tag@example.org>';
  const original = 'ORCPT=rfc822;b+2Btag@example.org';
  expect(commands.toSorted()).toEqual(
    [
      'MAIL FROM:<a@example.com>',
      `MAIL FROM:<a@example.com> RET=HDRS ENVID=${ids[1]}`,
      `MAIL FROM:<a@example.com> RET=FULL ENVID=${ids[2]}`,
      to,
      `${to} NOTIFY=FAILURE ${original}`,
      `${to} NOTIFY=NEVER ${original}`,
    ].toSorted(),
  );
});
