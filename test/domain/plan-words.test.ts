/** A plan in words: what is said of a transport, and that no secret is. */
import { expect, it } from 'vitest';
import { describePlan } from '../../src/domain/plan-words.ts';
import { planOf, type TransportSettings } from '../../src/domain/transport-plan.ts';

const settings: TransportSettings = {
  name: 'mail',
  host: '::1',
  port: 465,
  implicitTls: true,
  tls: 'require',
  verifyCertificate: true,
  ca: null,
  clientCertificate: null,
  auth: null,
  ehloName: null,
  connections: 1,
  messagesPerConnection: 1,
  maxAgeMs: 90_000,
  rates: [],
};

const oauth2 = { user: 'hunter2', clientId: 'hunter2', clientSecret: 'hunter2', refreshToken: 'hunter2' };

it.each([
  [{}, '[::1]:465, TLS from the first byte, no login, 1 connection, each closed after 1 message or 90s, no rate'],
  [{ ehloName: 'mail.shop.example' }, 'no login, EHLO mail.shop.example, 1 connection'],
  [{ implicitTls: false }, 'STARTTLS, no login'],
  [{ implicitTls: false, tls: 'opportunistic' }, 'STARTTLS where it is offered, no login'],
  [{ implicitTls: false, tls: 'none' }, 'no TLS, no login'],
  [
    { verifyCertificate: false, ca: 'hunter2', clientCertificate: { cert: 'hunter2', key: 'hunter2' } },
    'TLS from the first byte (certificate not verified, own CA, client certificate)',
  ],
  [{ auth: { kind: 'password', user: 'hunter2', pass: 'hunter2', method: 'LOGIN' } }, 'login with a password (LOGIN)'],
  [{ auth: { kind: 'oauth2', ...oauth2, tokenUrl: 'https://hunter2.example' } }, 'login with XOAUTH2'],
  [{ maxAgeMs: 3_600_000, rates: [{ count: 14, windowMs: 1_000 }] }, 'or 1h, 14/s'],
] satisfies [Partial<TransportSettings>, string][])('%j is described as %s', (over, words) => {
  const text = describePlan(planOf({ ...settings, ...over }));
  expect(text).toContain(words);
  expect(text).not.toContain('hunter2');
});
