/** Headers of a request that have a form of their own, which encoding would destroy. */
import { describe, expect, it } from 'vitest';
import { relayInstructions } from '../../src/domain/relay-instructions.ts';
import { faultsOf, good } from '../support/requests.ts';

describe('a request', () => {
  it.each(['no', 'https://x.co/out', '<http://>', '<https:>', '<ftp://x.co>', '<mailto:>'])(
    'with %s for a way to unsubscribe is refused',
    (value) => {
      const fault = 'must have a link in angle brackets: <https://…> or <mailto:…>';
      expect(faultsOf({ ...good, headers: { 'list-Unsubscribe': value } })).toEqual([
        `/headers/list-Unsubscribe ${fault}`,
      ]);
    },
  );

  it.each(['foo', 'One-Click', 'List-Unsubscribe=One-Click; x', '<https://x.co/out>'])(
    'with %s for how to unsubscribe, if there is no other way, is refused',
    (value) => {
      expect(faultsOf({ ...good, headers: { 'List-Unsubscribe-Post': value } })).toEqual([
        '/headers/List-Unsubscribe-Post must be List-Unsubscribe=One-Click',
      ]);
    },
  );

  it('may say itself how to unsubscribe', () => {
    const headers = { 'List-Unsubscribe': '<https://x.co/out>', 'list-unsubscribe-post': 'List-Unsubscribe=One-Click' };
    expect(faultsOf({ ...good, headers })).toEqual([]);
  });

  it.each([
    ['List-Unsubscribe', '<https://x.co/ü>'],
    ['List-Help', '<https://x.co/ü>'],
    ['List-ID', 'News <nëws.x.co>'],
    ['List-Owner', 'Jörg <mailto:j@x.co>'],
    ['Disposition-Notification-To', 'Jörg'],
    ['Errors-To', 'Jörg <j@x.co>, Zoë <z@x.co>'],
    ['Errors-To', 'Jörg" <j@x.co>'],
    ['Auto-Submitted', 'nö'],
  ])('with more than ASCII in %s, which no reader would understand, is refused', (name, value) => {
    expect(faultsOf({ ...good, headers: { [name]: value } })).toEqual([
      `/headers/${name} must be ASCII: it cannot be encoded`,
    ]);
  });

  it.each(['<mailto:out@x.co?subject=stop this>', '<https://x.co/out of here>'])(
    'with a space within its way to unsubscribe, %s, gets a fault that says so',
    (value) => {
      expect(faultsOf({ ...good, headers: { 'List-Unsubscribe': value } })).toEqual([
        '/headers/List-Unsubscribe must not have a space within its link: write %20 there',
      ]);
    },
  );

  it.each(['List-ID', 'return-receipt-to', 'Auto-Submitted'])(
    'with an encoded word in %s gets a fault that says so',
    (name) => {
      expect(faultsOf({ ...good, headers: { [name]: '=?utf-8?q?J=C3=B6rg?= <j@x.co>' } })).toEqual([
        `/headers/${name} must not be encoded already: give it as it reads`,
      ]);
    },
  );

  it.each(relayInstructions)('with $example in $header, by which a relay would send to others, is refused', (row) => {
    const { header, example, fields } = row;
    const fault = `/headers/${header} must not name recipients (${fields}): give them in to, cc and bcc of the email`;
    expect(faultsOf({ ...good, headers: { [header]: example } })).toEqual([fault]);
    expect(faultsOf({ ...good, headers: { [header]: example.toUpperCase() } })).toEqual([fault]);
    expect(faultsOf({ ...good, headers: { [header]: `{"a":[${example}],${example.slice(1)}` } })).toEqual([fault]);
  });

  it('is refused with text that only some mail clients would read as such an instruction', () => {
    for (const value of ['to', '["to"]', 'null', '{"to":', "{'to':['a@x.co']}", '{"a":1}{"to":["a@x.co"]}'])
      expect(faultsOf({ ...good, headers: { 'x-SmtpApi': value } })).toEqual([
        '/headers/x-SmtpApi must be a JSON object: a relay reads instructions in it',
      ]);
    for (const value of ['{"filters":{"bcc":{}},"filters":{}}', '{"a":"b","c":[{"\\"":1,"d":":","d":2}]}'])
      expect(faultsOf({ ...good, headers: { 'X-SMTPAPI': value } })).toEqual([
        '/headers/X-SMTPAPI must not have a field twice',
      ]);
    const headers = { 'X-SMTPAPI': '{"a":"=?utf-8?q?=22,=22to=22:=22a=40x.co?="}', 'X-MSYS-API': '{"a":"ö"}' };
    expect(faultsOf({ ...good, headers })).toEqual([
      '/headers/X-MSYS-API must be ASCII: it cannot be encoded',
      '/headers/X-SMTPAPI must not be encoded already: give it as it reads',
    ]);
  });

  it('may have instructions nested as deeply as fit, and no deeper', () => {
    const nested = (depth: number) => `{"a": ${'[ '.repeat(depth)}${']'.repeat(depth)}}`;
    expect(faultsOf({ ...good, headers: { 'X-SMTPAPI': nested(800) } })).toEqual([]);
    const fault = '/headers/X-SMTPAPI must be at most 4096 characters';
    expect(faultsOf({ ...good, headers: { 'X-SMTPAPI': nested(100_000) } })).toEqual([fault]);
  });

  it('of bulk mail has a way to unsubscribe in any link', () => {
    for (const link of ['<https://x.co/out>', '<http://x.co/out>', '<mailto:out@x.co>'])
      expect(faultsOf({ ...good, lane: 'bulk', headers: { 'List-Unsubscribe': link } })).toEqual([]);
  });

  it.each([
    ['List-Unsubscribe', '<http://x.co/out>'],
    ['List-ID', 'Müller <news.x.co>'],
    ['Disposition-Notification-To', 'Jörg <j@x.co>'],
    ['errors-to', '"Jörg, the \\"other\\"" <j@x.co>'],
    ['List-Unsubscribe', '<mailto:out@x.co?subject=stop>, <https://x.co/out?a=1&b=2>'],
    ['List-Unsubscribe', '(Use this) <HTTPS://x.co/out>'],
    ['List-ID', 'News <news.x.co>'],
    ['Disposition-Notification-To', 'Joerg <j@x.co>'],
    ['X-Campaign', 'Frühling'],
    ['X-SMTPAPI', '{"category":["to"],"unique_args":{"to":"a@x.co"},"filters":{"footer":{"settings":{"enable":1}}}}'],
    ['X-SMTPAPI', '{ "sub" : { "%to%" : ["\\"to\\":", "a", ":"] }, "":{}, "__proto__":{"to":1} }'],
    ['X-MSYS-API', '{"campaign_id":"bcc","metadata":{"cc":"a@x.co"}}'],
    ['X-MC-Tags', 'welcome'],
  ])('may have %s: %s', (name, value) => {
    expect(faultsOf({ ...good, headers: { [name]: value } })).toEqual([]);
  });
});
