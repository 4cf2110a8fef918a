/** Headers of a request that have a form of their own, which encoding would destroy. */
import { describe, expect, it } from 'vitest';
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
    'with a space within its way to unsubscribe, %s, is told of it',
    (value) => {
      expect(faultsOf({ ...good, headers: { 'List-Unsubscribe': value } })).toEqual([
        '/headers/List-Unsubscribe must not have a space within its link: write %20 there',
      ]);
    },
  );

  it.each(['List-ID', 'return-receipt-to', 'Auto-Submitted'])('with an encoded word in %s is told of it', (name) => {
    expect(faultsOf({ ...good, headers: { [name]: '=?utf-8?q?J=C3=B6rg?= <j@x.co>' } })).toEqual([
      `/headers/${name} must not be encoded already: give it as it reads`,
    ]);
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
  ])('may have %s: %s', (name, value) => {
    expect(faultsOf({ ...good, headers: { [name]: value } })).toEqual([]);
  });
});
