/** SMTP_URL: what it says, what it leaves out, and that its faults never show a part of it. */
import { describe, expect, it } from 'vitest';
import { parseSmtpUrl } from '../../src/domain/smtp-url.ts';
import { publicNameOf } from '../../src/domain/transport-fields.ts';

const second = 1_000;
const hour = 3_600_000;
const day = 86_400_000;

it('has defaults for all that it leaves out', () => {
  expect(parseSmtpUrl('smtp://h.example')).toEqual({
    name: 'default',
    host: 'h.example',
    port: 587,
    implicitTls: false,
    tls: 'require',
    verifyCertificate: true,
    ca: null,
    clientCertificate: null,
    auth: null,
    ehloName: null,
    connections: 10,
    messagesPerConnection: 1_000,
    maxAgeMs: 300_000,
    rates: [],
  });
});

describe('SMTP_URL', () => {
  it.each([
    ['smtps://u:p@h.example', { port: 465, implicitTls: true, auth: { kind: 'password', user: 'u', method: null } }],
    ['smtp://u:p@h.example:465?auth=login', { port: 465, implicitTls: false, auth: { method: 'LOGIN' } }],
    ['smtp://u:p@h.example?auth=cram-md5', { auth: { kind: 'password', pass: 'p', method: 'CRAM-MD5' } }],
    ['smtp://u:p@h.example?auth=plain', { auth: { method: 'PLAIN' } }],
    [
      'smtp://us%40er:p%3A%2F@h.example:2525?connections=3&messages_per_connection=7&tls_verify=false&name=ses',
      { port: 2525, auth: { user: 'us@er', pass: 'p:/' }, connections: 3, messagesPerConnection: 7, name: 'ses' },
    ],
    [
      'smtp://h.example?rate=5000/h,14/s&quota=50000/d&max_age=90s',
      {
        maxAgeMs: 90_000,
        rates: [
          { count: 14, windowMs: second },
          { count: 5_000, windowMs: hour },
          { count: 50_000, windowMs: day },
        ],
      },
    ],
    ['smtp://localhost:25?tls=none', { auth: null, tls: 'none' }],
    ['smtp://u:p@127.0.0.1?tls=none', { auth: { user: 'u', pass: 'p' } }],
    ['smtp://u:p@LocalHost?tls=none', { host: 'localhost' }],
    ['smtp://[::1]:2525?tls=opportunistic', { host: '::1', tls: 'opportunistic' }],
    ['smtp://bücher.example', { host: 'xn--bcher-kva.example' }],
    ['smtp://h.example?ehlo=Mail.Bücher.example', { ehloName: 'mail.xn--bcher-kva.example' }],
    ['smtp://h.example?ehlo=192.0.2.1', { ehloName: '[192.0.2.1]' }],
    ['smtp://h.example?ehlo=[2001:db8::1]', { ehloName: '[IPv6:2001:db8::1]' }],
    ['smtp://postfix', { host: 'postfix' }],
  ])('%s is read', (url, settings) => {
    expect(parseSmtpUrl(url)).toMatchObject(settings);
  });

  it.each([
    ['http://h', ['does not start with smtp:// or smtps://']],
    ['smtp://', ['has no host']],
    ['smtp://user@h', ['has only one of user and password']],
    ['smtp://u:p%zz@h', ['has a % in user or password that is not an escape: write it as %25']],
    ['smtp://u:p%00@h', ['has a control character in user or password']],
    ['smtp://h%2Fx', ['has a bad host: expected a host name or an IP address']],
    [
      'smtp://h/path?tls=maybe&connections=0&foo=1&name=A&foo=2',
      [
        expect.stringMatching(/^has an unknown parameter foo: expected tls, /),
        'has a path, expected none',
        'has a bad tls: expected require, opportunistic or none',
        'has a bad connections: expected a whole number from 1 to 1000',
        expect.stringMatching(/^has a bad name: /),
      ],
    ],
    ['smtp://h?tls=none&tls=require', ['has tls more than once']],
    ['smtps://h?tls=none', [expect.stringMatching(/^asks for tls=none, but .* TLS from the first byte$/)]],
    ['smtp://u:p@h?tls=opportunistic', [expect.stringMatching(/^would send the password with tls=opportunistic/)]],
    ['smtp://h?auth=login', ['has auth, but no user and password']],
    ['smtp://u:p@h?auth=ntlm', ['has a bad auth: expected plain, login or cram-md5']],
    ['smtp://u:p@h?auth=toString', ['has a bad auth: expected plain, login or cram-md5']],
    ['smtp://h?rate=14/s&quota=100/h,10/s', ['has rate and quota both say how many per second']],
    ['smtp://h?rate=14/s,15/s', [expect.stringMatching(/^has a bad rate: expected rates such as 14\/s/)]],
    ['smtp://h?quota=many', [expect.stringMatching(/^has a bad quota: /)]],
    ['smtp://h?max_age=0s', ['has a bad max_age: expected a duration such as 5m, from 1s to 24h']],
    ['smtp://h?max_age=25h', ['has a bad max_age: expected a duration such as 5m, from 1s to 24h']],
    [
      'smtp://u:p@h?tls=none&connections=0',
      [expect.stringMatching(/^has a bad conn/), expect.stringMatching(/^would/)],
    ],
  ])('%s has all its faults named', (url, faults) => {
    expect(parseSmtpUrl(url)).toEqual({ faults });
  });

  it.each([
    'smtp://user:12?hunter=@h.example',
    'smtp://user:hunter2',
    'smtp://user:12/hunter2@h.example',
    'smtp://user:12?hunter2@h.example',
    'smtp://user:12?hunter2=@h.example',
    'smtp://user:12#hunter2@h.example',
    'smtp://user:hunter2%@h.example?rate=hunter2&auth=hunter2&name=hunter2!&max_age=hunter2&tls=hunter2',
    'hunter2://h.example',
    'smtp://hunter2^/',
  ])('%s shows nothing of a password that was written without its escapes', (url) => {
    const read = parseSmtpUrl(url);
    expect(read).toHaveProperty('faults');
    expect(JSON.stringify(read)).not.toContain('hunter');
  });
});

it.each([
  ['https://mail.shop.example', 'mail.shop.example'],
  ['https://Bücher.example:8443/mail', 'xn--bcher-kva.example'],
  ['https://192.0.2.1', null],
  ['https://[2001:db8::1]', null],
  ['http://localhost:8080', null],
  ['http://postrider', null],
  ['http://postrider.mail.svc.cluster.local', null],
  [null, null],
])('the public name of %s is %s', (url, name) => {
  expect(publicNameOf(url)).toBe(name);
});
