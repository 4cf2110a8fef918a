/** A TRANSPORTS_FILE's text, read into a plan. */
import { beforeAll, describe, expect, it } from 'vitest';
import { makeReader, type Reader, variables } from '../support/transports-yaml.ts';

let read: Reader['read'];
let faultsOf: Reader['faultsOf'];
let certificate: Reader['certificate'];
beforeAll(async () => {
  ({ read, faultsOf, certificate } = await makeReader());
});

describe('a file', () => {
  it('with transports, routes and rules is a plan', () => {
    const plan = read(`
transports:
  ses:    {url: "smtps://«SES_USER»:«SES_PASSWORD»@email-smtp.eu-west-1.amazonaws.com:465", connections: 20, rate: 14/s, quota: 50000/d}
  backup: {host: mail.example.com, port: 587, auth: {user: u, pass: "«file:/run/secrets/smtp»", method: login}, tls: {require: true, ca_file: /etc/ca.pem}}
  gmail:
    host: smtp.gmail.com
    port: 465
    connections: «LOTS»
    messages_per_connection: 50
    max_age: 2m
    ehlo_name: mail.shop.example
    auth: {oauth2: {user: u@gmail.com, client_id: id, client_secret: "0123", refresh_token: no, token_url: https://oauth2.googleapis.com/token}}
    tls: {verify: false, cert_file: /etc/ca.pem, key_file: /etc/key.pem}
routes:
  default:   {failover: [ses, backup]}
  marketing: {weighted: {ses: 1, backup: 3, gmail: 0}, reserve_for_transactional: 40%}
rules:
  - {when: {lane: bulk}, route: marketing}
  - {when: {from_domain: Bücher.example, tag: {kind: receipt, shop: 007}}, route: default}
`);
    expect(plan).toEqual({
      transports: {
        ses: expect.objectContaining({
          name: 'ses',
          host: 'email-smtp.eu-west-1.amazonaws.com',
          port: 465,
          implicitTls: true,
          auth: { kind: 'password', user: 'AKIA', pass: variables.SES_PASSWORD, method: null },
          connections: 20,
          rates: [
            { count: 14, windowMs: 1_000 },
            { count: 50_000, windowMs: 86_400_000 },
          ],
        }),
        backup: expect.objectContaining({
          implicitTls: false,
          tls: 'require',
          ca: certificate.cert,
          auth: { kind: 'password', user: 'u', pass: 'hunter2', method: 'LOGIN' },
        }),
        gmail: expect.objectContaining({
          implicitTls: true,
          verifyCertificate: false,
          clientCertificate: certificate,
          connections: 7,
          messagesPerConnection: 50,
          maxAgeMs: 120_000,
          ehloName: 'mail.shop.example',
          auth: {
            kind: 'oauth2',
            user: 'u@gmail.com',
            clientId: 'id',
            clientSecret: '0123',
            refreshToken: 'no',
            tokenUrl: 'https://oauth2.googleapis.com/token',
          },
        }),
      },
      routes: {
        default: { kind: 'failover', transports: ['ses', 'backup'], reserve: 0.25 },
        marketing: { kind: 'weighted', weights: { ses: 1, backup: 3, gmail: 0 }, reserve: 0.4 },
      },
      rules: [
        { when: { lane: 'bulk', tags: {} }, route: 'marketing' },
        { when: { fromDomain: 'xn--bcher-kva.example', tags: { kind: 'receipt', shop: '007' } }, route: 'default' },
      ],
    });
  });

  it('with one transport needs no route', () => {
    expect(read('transports: {mail: {host: h.example, tls: opportunistic}}')).toMatchObject({
      transports: { mail: { tls: 'opportunistic', port: 587 } },
      routes: { default: { kind: 'failover', transports: ['mail'], reserve: 0.25 } },
      rules: [],
    });
  });

  it('may set next to a url what the url does not', () => {
    expect(
      read(
        'transports: {m: {url: smtp://h.example?rate=1/s, quota: 9/d, auth: {user: u, pass: p}, tls: {verify: no}}}',
      ),
    ).toMatchObject({ faults: ['line 1, column 102: transports.m.tls.verify: expected true or false'] });
    expect(
      read('transports: {m: {url: "smtp://h.example?rate=1/s", quota: 9/d, auth: {user: u, pass: p}}}'),
    ).toMatchObject({
      transports: { m: { rates: [{ count: 1 }, { count: 9 }], auth: { user: 'u' } } },
    });
  });

  it('cannot be given more YAML by a value', () => {
    expect(faultsOf('transports:\n  m: {host: "«YAML»"}')).toEqual([
      'line 2, column 13: transports.m.host: expected a host name or an IP address',
    ]);
  });

  it('may repeat itself with an anchor', () => {
    const plan = read(
      'transports:\n  a: {host: h.example, auth: &login {user: u, pass: "«SES_USER»"}}\n  b: {host: i.example, auth: *login}\nroutes: {default: {failover: [a, b]}}',
    );
    expect(plan).toMatchObject({ transports: { a: { auth: { pass: 'AKIA' } }, b: { auth: { pass: 'AKIA' } } } });
  });
});
