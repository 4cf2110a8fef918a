/** Headers of a request that have a form of their own, which encoding would destroy. */
import { describe, expect, it } from 'vitest';
import { emailRequest } from '../support/requests.ts';

const good = { from: 'a@x.co', to: 'b@x.co', subject: 'Hi', text: 'Hello' };

function faultsOf(body: unknown): string[] {
  return (emailRequest.safeParse(body).error?.issues ?? [])
    .map(({ path, message }) => `/${path.join('/')} ${message}`)
    .toSorted();
}

describe('a request', () => {
  it.each(['no', 'https://x.co/out', '<http://x.co/out>', '<https:>', '<ftp://x.co>', '<mailto:>'])(
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
    ['List-ID', 'Müller <news.x.co>'],
    ['Disposition-Notification-To', 'Jörg <j@x.co>'],
    ['return-receipt-to', '=?utf-8?q?J=C3=B6rg?= <j@x.co>'],
    ['Auto-Submitted', 'nö'],
  ])('with more than ASCII in %s, which no reader would understand, is refused', (name, value) => {
    expect(faultsOf({ ...good, headers: { [name]: value } })).toEqual([
      `/headers/${name} must be ASCII: it cannot be encoded`,
    ]);
  });

  it.each([
    ['List-Unsubscribe', '<mailto:out@x.co?subject=stop>, <https://x.co/out?a=1&b=2>'],
    ['List-Unsubscribe', '(Use this) <HTTPS://x.co/out>'],
    ['List-ID', 'News <news.x.co>'],
    ['Disposition-Notification-To', 'Joerg <j@x.co>'],
    ['X-Campaign', 'Frühling'],
  ])('may have %s: %s', (name, value) => {
    expect(faultsOf({ ...good, headers: { [name]: value } })).toEqual([]);
  });
});
