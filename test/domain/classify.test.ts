/** Reply classification: what real servers say is read as a deliverability engineer would, and every row earns its place. */
import { describe, expect, it } from 'vitest';
import { classify, parseReply, wordsOf } from '../../src/domain/classify.ts';
import type { SmtpReply } from '../../src/domain/recipient.ts';
import type { ReplyRow } from '../../src/domain/reply-row.ts';
import { replyCategories } from '../../src/domain/reply-row.ts';
import { replyRows } from '../../src/domain/reply-rows.ts';
import { waitHint } from '../../src/domain/wait-hint.ts';
import { startCpuClock } from '../support/cpu.ts';
import { replies } from './replies.ts';

describe('what real servers say', () => {
  it.each(replies)('%s: %j', (_, reply, category, action, suppress) => {
    const { row, ...classified } = classify(parseReply(reply));
    expect(classified, `by row ${row.name}`).toMatchObject({ category, action, suppress });
  });

  it('comes in 125 ways at least', () => {
    expect(new Set(replies.map(([, reply]) => reply)).size).toBeGreaterThanOrEqual(125);
    expect(new Set(replies.map(([, reply]) => reply)).size).toBe(replies.length);
  });

  it('means the same with CR LF between its lines', () => {
    for (const [, reply, category, action, suppress] of replies)
      expect(classify(parseReply(reply.replaceAll('\n', '\r\n')))).toMatchObject({ category, action, suppress });
  });

  it('does not change its meaning when the address has words in it', () => {
    for (const local of ['mailbox.full', 'spam', 'user-unknown']) {
      const reply = parseReply(`554 5.0.0 <${local}@spamcop.spamhaus.example>: Something else`);
      expect(classify(reply).row.name).toBe('permanent');
    }
  });
});

describe('a refusal of the sender', () => {
  it.each([
    '550 5.1.1 Sender rejected: user unknown',
    '550 Sender rejected. User unknown in local table',
    '550 5.1.1 User unknown; rejected, see https://www.spamhaus.org/query/ip/192.0.2.1',
    '550 5.1.1 Recipient rejected: message blocked by Proofpoint',
    '550 5.7.1 Your sender address is not found',
    '550 5.2.0 Sender user account does not exist',
    '553 From address not found: a@example.com unknown',
    '550 5.1.1 Bad sender mailbox',
    '550 5.1.2 Bad sender domain',
    '554 5.4.4 Unable to look up sender domain',
    '550 5.1.1 Recipient rejected: SPF check failed',
    '550 5.1.1 Recipient rejected due to reputation of the sending domain',
    '550-Requested action not taken: mailbox unavailable\n550-Sender address has null MX\n550 For explanation visit https://postmaster.gmx.net/',
    '550 Client IP address not found in DNS',
    '550 IP address unknown',
    '550 5.7.1 Return-Path address does not exist',
    '550 Reply-To address does not exist',
    '550 HELO host unknown',
    '553 5.7.1 user unknown in sender table',
    '553 user unknown in sender table',
    '550 The account sending this message is not known',
    '550 Your account is not known',
    '550 Sending user does not exist',
    '554 mail address invalid',
  ])('never suppresses the recipient, whatever else it says: %s', (reply) => {
    expect(classify(parseReply(reply))).toMatchObject({ action: 'fail', suppress: false });
  });
});

describe('a refusal that does not say that the mailbox does not exist', () => {
  it.each([
    '551 5.7.1 Denied by policy',
    '551 auth error',
    '551 line parse error',
    '551 5.7.1 User not local; please try <u@example.net>',
    '556 remote ip check error',
    '550-Requested action not taken: mailbox unavailable\n550-Reject due to policy restrictions.\n550 For explanation visit https://postmaster.web.de/',
    '550 5.4.4 SMTPSEND.DNS.MxLoopback; DNS records for this domain are configured in a loop',
    '550 5.4.4 [internal] timeout',
    '550 5.7.1 Recipient address rejected: user unknown to this policy service',
    '550 5.7.1 Host unknown',
    '550 5.7.0 Mailbox unavailable',
    '550-Rejected.\n550 5.7.1 Recipient not found in your allow list',
    '550 Requested action not taken: mailbox unavailable for policy reasons',
    '550 5.1.1 <u@example.org>: Recipient address rejected: undeliverable address: host mx.example.org[192.0.2.1] refused to talk to me: 554 5.7.1 No',
    '550 5.1.1 <u@example.org>: Recipient address rejected: undeliverable address: host mx.example.org[192.0.2.1] said: 550 5.1.1 No (in reply to MAIL FROM command)',
    '550 5.1.1 <u@example.org>: Recipient address rejected: undeliverable address: mail for example.org loops back to myself',
    '550 5.1.1 <u@example.org>: Recipient address rejected: undeliverable address: connect to mx.example.org[192.0.2.1]:25: No route to host',
  ])('suppresses no address: %s', (reply) => {
    expect(classify(parseReply(reply))).toMatchObject({ action: 'fail', suppress: false });
  });
});

describe('every row', () => {
  it.each(replyRows)('$name fits its own example first', (row) => {
    expect(classify(parseReply(row.example)).row.name).toBe(row.name);
  });

  it('has a name of its own and is met in the field', () => {
    const names = replyRows.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    const met = new Set(replies.map(([, reply]) => classify(parseReply(reply)).row.name));
    expect(names.filter((name) => !met.has(name))).toEqual([]);
  });

  it('keeps to what its reply code allows, and suppresses only a mailbox that does not exist', () => {
    expect(replyRows.filter((row) => !isAllowed(row)).map(({ name }) => name)).toEqual([]);
    const suppressing = new Set(replyRows.filter(({ suppress }) => suppress).map(({ category }) => category));
    expect([...suppressing].sort()).toEqual(['moved', 'unknown_host', 'unknown_user']);
  });

  it('has a category, and every category a row', () => {
    const used = new Set(replyRows.map(({ category }) => category));
    expect(replyCategories.filter((category) => !used.has(category))).toEqual([]);
  });
});

/** A 4xx never fails anybody; a 5xx is tried again only where it says that commands came out of step, or waits for its transport. */
function isAllowed({ code, action, category, suppress }: ReplyRow): boolean {
  const first = Array.isArray(code) ? Math.floor((code[0] ?? 0) / 100) : Number(code[0]);
  if (first === 2) return action === 'accept';
  if (first === 4) return (action === 'retry' || action === 'slow_down') && !suppress;
  if (first === 5) return action === 'fail' || action === 'stop_transport' || category === 'bad_sequence';
  return action === 'retry' && !suppress;
}

describe('a reply code', () => {
  it('speaks before the enhanced code and the words', () => {
    const classes: [string, string][] = [
      ['450 5.1.1 User unknown', 'retry'],
      ['452 5.2.2 Mailbox full', 'retry'],
      ['550 4.7.1 Greylisted, please try again in 300 seconds', 'fail'],
      ['550 4.2.1 Rate limit exceeded', 'fail'],
      ['250 5.1.1 User unknown', 'accept'],
    ];
    for (const [reply, action] of classes) expect([reply, classify(parseReply(reply)).action]).toEqual([reply, action]);
  });

  it('alone is enough', () => {
    for (let code = 400; code < 600; code++) {
      const { action, suppress } = classify({ code, enhanced: null, reply: `${code}` });
      const isSaid: Record<number, string> = { 421: 'slow_down', 454: 'slow_down', 503: 'retry' };
      const stops = [530, 534, 535, 538].includes(code) ? 'stop_transport' : undefined;
      expect([code, action]).toEqual([code, isSaid[code] ?? stops ?? (code < 500 ? 'retry' : 'fail')]);
      expect([code, suppress]).toEqual([code, false]);
    }
  });
});

describe('hostile input', () => {
  const length = 100_000;
  const atMostMs = 2_000;
  const filled = (part: string) => part.repeat(Math.ceil(length / part.length)).slice(0, length);
  const parts = [
    ' ',
    'a',
    '1',
    '@',
    '.',
    '-',
    'a ',
    '1:',
    '\n550-5.1.1 ',
    'try again in 1 ',
    'wait 5 minutes ',
    ' again later (',
  ];
  /** What the pattern looks for, again and again: each place is a beginning that comes to nothing. */
  const ownParts = (text: RegExp) => (text.source.match(/[a-z]{2,}/gi) ?? []).flatMap((word) => [word, `${word} `]);
  const worded = replyRows.flatMap(({ name, text }) => (text === undefined ? [] : [{ name, text }]));

  it.each(worded)('takes no long time at $name', ({ text }) => {
    for (const part of [...parts, ...ownParts(text)]) {
      const input = filled(part);
      const cpuMs = startCpuClock();
      text.test(input);
      expect(cpuMs(), part).toBeLessThan(atMostMs);
    }
  });

  it.each(parts)('takes no long time to be made of %j', (part) => {
    const cpuMs = startCpuClock();
    const smtp: SmtpReply = { code: 451, enhanced: null, reply: `451 ${filled(part)}` };
    waitHint(wordsOf(smtp.reply));
    classify(smtp);
    parseReply(smtp.reply);
    expect(cpuMs()).toBeLessThan(4 * atMostMs);
  });
});

describe('a reply', () => {
  it.each([
    ['250 2.0.0 Ok', { code: 250, enhanced: '2.0.0' }],
    ['550 No such user', { code: 550, enhanced: null }],
    ['451-4.7.1 Greylisted\n451 4.7.1 come back', { code: 451, enhanced: '4.7.1' }],
    ['421', { code: 421, enhanced: null }],
    ['550 5.7.515', { code: 550, enhanced: '5.7.515' }],
    ['550 #5.1.0 Address rejected.', { code: 550, enhanced: '5.1.0' }],
    ['550 5.7.1: Refused', { code: 550, enhanced: '5.7.1' }],
    ['550 sorry, no mailbox here by that name. (#5.1.1)', { code: 550, enhanced: '5.1.1' }],
    ['250 10.0.0.1 said hello', { code: 250, enhanced: null }],
    ['550-5.1.1 gone\nfor good', { code: 550, enhanced: '5.1.1' }],
    ['550-5.1.1 gone\n550 5.7.1 really', { code: 550, enhanced: '5.1.1' }],
    ['550-No.\n550-5.7.1 Refused\n550 See https://example.org', { code: 550, enhanced: '5.7.1' }],
    ['550-No.\r\n550-5.7.0 Refused\r\n550 5.7.1 Really', { code: 550, enhanced: '5.7.1' }],
    ['nonsense', { code: 0, enhanced: null }],
    ['nonsense (#5.1.1)', { code: 0, enhanced: null }],
  ])('%j is read', (text, expected) => {
    expect(parseReply(text)).toMatchObject({ ...expected, reply: text });
  });

  it.each([
    ['250-2.0.0 ok\n550 5.7.1 no', { code: 550, enhanced: '5.7.1', reply: '550 5.7.1 no' }],
    ['550-5.1.1 no\n250-2.0.0 ok\n250 2.0.0 queued', { code: 250, reply: '250-2.0.0 ok\n250 2.0.0 queued' }],
    ['450-wait\n550', { code: 550, reply: '550' }],
  ])('with more than one code has the last one: %j', (text, expected) => {
    expect(parseReply(text)).toMatchObject(expected);
  });

  it('is kept to a bounded length', () => {
    expect(parseReply(`550 ${'x'.repeat(9_000)}`).reply).toHaveLength(1_024);
  });
});
