/** What is wrong with a TRANSPORTS_FILE's text: all of it at once, with lines and columns and without a value. */
import { beforeAll, describe, expect, it } from 'vitest';
import { makeReader, type Reader } from '../support/transports-yaml.ts';

let faultsOf: Reader['faultsOf'];
beforeAll(async () => {
  ({ faultsOf } = await makeReader());
});

describe('every fault is named at once, with its place:', () => {
  it('in transports', () => {
    expect(
      faultsOf(`transports:
  ses:
    url: "smtps://«SES_USER»:«NOPE»@mail.example?connections=4"
    connections: 1001
    rate: hunter2
    conections: 4
    tls: {ca_file: /etc/none.pem, require: hunter2}
  Big Name: {host: "hunter2!", port: 0, pass:hunter2: 1, "hunter2?": x}
  a: {host: h.example, tls: none, auth: {user:hunter2, pass: "«file:/run/x»"}, quota: "«NOPE»"}
  b: {port: 25, max_age: 1w, connections: [hunter2], auth: hunter2}
  c: {host: h.example, tls: {none: true, require: true, cert_file: /etc/ca.pem}, auth: {oauth2: {user: u, token_url: "http://h.example/hunter2"}, pass: hunter2}}
  d: {url: smtp://h.example, host: h.example, implicit_tls: yes}
  e: {host: h.example, tls: {cert_file: /etc/ca.pem, key_file: /etc/other.pem, ca_file: /etc/key.pem}}
  f: {host: h.example, tls: {ca_file: /etc/broken.pem}, rate: 14/s, quota: 1/s}
  g: {url: "smtp://user:hunter2@h.example?name=g&rate=2/s&tls=require", rate: 1/s, tls: require, auth: {user: u, pass: ''}}
  h: hunter2
  h: {host: h.example, port: 465, tls: opportunistic, auth: {user: u, pass: p}}
routes:
  default: {failover: [ses]}
`),
    ).toEqual([
      'line 3, column 10: transports.ses.url: the variable NOPE is not set',
      'line 4, column 18: transports.ses.connections: expected a whole number from 1 to 1000',
      'line 5, column 11: transports.ses.rate: expected rates such as 14/s or 14/s,5000/h with s, m, h or d, each window once',
      'line 6, column 5: transports.ses: has an unknown key conections: expected url, host, port, implicit_tls, auth, tls, ehlo_name, connections, messages_per_connection, max_age, rate, quota',
      'line 7, column 20: transports.ses.tls.ca_file: cannot be read (ENOENT)',
      'line 7, column 44: transports.ses.tls.require: expected true or false',
      'line 8, column 3: transports: has a bad name: expected up to 64 lower-case letters, digits, _ and -, the first a letter or digit; sandbox is taken',
      'line 8, column 20: transports.?.host: expected a host name or an IP address',
      'line 8, column 38: transports.?.port: expected a whole number from 1 to 65535',
      'line 8, column 41: transports.?: has an unknown key: expected url, host, port, implicit_tls, auth, tls, ehlo_name, connections, messages_per_connection, max_age, rate, quota',
      'line 8, column 58: transports.?: has an unknown key: expected url, host, port, implicit_tls, auth, tls, ehlo_name, connections, messages_per_connection, max_age, rate, quota',
      'line 9, column 29: transports.a.tls: would send the password with tls=none: only allowed to a loopback host',
      'line 9, column 35: transports.a.auth: has no user',
      'line 9, column 42: transports.a.auth: lacks a space after user:',
      'line 9, column 62: transports.a.auth.pass: the file /run/x cannot be read (ENOENT)',
      'line 9, column 88: transports.a.quota: the variable NOPE is not set',
      'line 10, column 3: transports.b: has neither url nor host',
      'line 10, column 26: transports.b.max_age: expected a duration such as 5m, from 1s to 24h',
      'line 10, column 30: transports.b.connections: expected a whole number from 1 to 1000',
      'line 10, column 60: transports.b.auth: expected a map with user, pass, method, oauth2',
      'line 11, column 24: transports.c.tls: expected one of require, opportunistic, none; it has require and none',
      'line 11, column 24: transports.c.tls: expected cert_file and key_file together',
      'line 11, column 89: transports.c.auth.oauth2: has no client_id',
      'line 11, column 89: transports.c.auth.oauth2: has no client_secret',
      'line 11, column 89: transports.c.auth.oauth2: has no refresh_token',
      'line 11, column 118: transports.c.auth.oauth2.token_url: expected an https:// URL without user and password',
      'line 11, column 153: transports.c.auth.pass: does not go together with oauth2',
      'line 12, column 36: transports.d.host: is said by the url',
      'line 12, column 61: transports.d.implicit_tls: expected true or false',
      'line 12, column 61: transports.d.implicit_tls: is said by the url',
      'line 13, column 64: transports.e.tls.key_file: does not belong to the certificate',
      'line 13, column 89: transports.e.tls.ca_file: holds no certificate in PEM form',
      'line 14, column 39: transports.f.tls.ca_file: holds a certificate that cannot be read (number 1)',
      'line 14, column 76: transports.f.quota: has rate and quota both say how many per second',
      'line 15, column 12: transports.g.url: has a name: here it is the key',
      'line 15, column 79: transports.g.rate: is said by the url as well',
      'line 15, column 89: transports.g.tls: is said by the url as well',
      'line 15, column 98: transports.g.auth: is said by the url as well',
      'line 15, column 114: transports.g.auth.pass: expected a text that is not empty and has no control characters',
      'line 17, column 3: transports.h: is given twice',
      'line 17, column 40: transports.h.tls: asks for tls=opportunistic, but smtps:// (implicit_tls, port 465) is TLS from the first byte',
    ]);
  });

  it('in routes and rules', () => {
    expect(
      faultsOf(`transports:
  a: {host: h.example}
  b: {host: i.example, port: wrong}
routes:
  one: {failover: [a, hunter2, c]}
  two: {failover: [a, a], reserve_for_transactional: 95%}
  three: {failover: []}
  four: {failover: a, weighted: {a: 1}}
  five: {}
  six: {weighted: {a: 0, b: 0}}
  seven: {weighted: {a: -1, c: 1}}
  eight: a
  nine: {failover: [a, {b: 1}], reserve_for_transactional: 0.25}
rules:
  - {when: {lane: bulky, from_domain: hunter2, tag: {}}, route: one}
  - {when: {}, route: ten}
  - {route: one, then: two}
  - when: {tag: {kind: [hunter2]}}
  - one
`),
    ).toEqual([
      'line 3, column 30: transports.b.port: expected a whole number from 1 to 65535',
      'line 4, column 1: routes: has no route default, which is needed with more than one transport',
      'line 5, column 23: routes.one.failover.1: names no transport of this file: expected a, b',
      'line 5, column 32: routes.one.failover.2: names no transport of this file: expected a, b',
      'line 6, column 9: routes.two.failover: has a transport more than once',
      'line 6, column 54: routes.two.reserve_for_transactional: expected a share from 0% to 90%',
      'line 7, column 11: routes.three.failover: expected a list of transports',
      'line 8, column 3: routes.four: expected one of failover, weighted',
      'line 9, column 3: routes.five: expected one of failover, weighted',
      'line 10, column 9: routes.six.weighted: expected a map of transports with their weights, one above 0',
      'line 11, column 25: routes.seven.weighted.a: expected a whole number from 0 to 1000000',
      'line 11, column 29: routes.seven.weighted: names no transport of this file: expected a, b',
      'line 12, column 10: routes.eight: expected a map with failover, weighted, reserve_for_transactional',
      'line 13, column 24: routes.nine.failover.1: names no transport of this file: expected a, b',
      'line 13, column 60: routes.nine.reserve_for_transactional: expected a share from 0% to 90%',
      'line 15, column 19: rules.0.when.lane: expected transactional or bulk',
      'line 15, column 39: rules.0.when.from_domain: expected a host name such as shop.example',
      'line 15, column 48: rules.0.when.tag: expected a map of tags with their values',
      'line 16, column 6: rules.1.when: expected one or more of lane, from_domain, tag',
      'line 16, column 23: rules.1.route: names no route of this file: expected one, two, three, four, five, six, seven, eight, nine',
      'line 17, column 5: rules.2: has no when',
      'line 17, column 18: rules.2: has an unknown key then: expected when, route',
      'line 18, column 5: rules.3: has no route',
      'line 18, column 18: rules.3.when.tag.kind: expected the value of the tag',
      'line 19, column 5: rules.4: expected a map with when, route',
    ]);
  });

  it('in the outline', () => {
    expect(faultsOf('')).toEqual(['line 1, column 1: the file is empty: expected transports, routes, rules']);
    expect(faultsOf('# nothing\n---\n')).toEqual([
      'line 1, column 1: the file is empty: expected transports, routes, rules',
    ]);
    expect(faultsOf('- a')).toEqual(['line 1, column 1: the file: expected a map with transports, routes, rules']);
    expect(faultsOf('rules: []\ntransport: {}\nhunter2!: x\n')).toEqual([
      'line 1, column 1: the file: has no transports',
      'line 2, column 1: the file: has an unknown key transport: expected transports, routes, rules',
      'line 3, column 1: the file: has an unknown key: expected transports, routes, rules',
    ]);
    expect(faultsOf('transports:\nroutes: {}\nrules: {}')).toEqual([
      'line 1, column 1: transports: expected a map of transports by their names',
      'line 2, column 1: routes: expected a map of routes by their names',
      'line 3, column 1: rules: expected a list of rules',
    ]);
  });

  it.each([
    ['transports:\n\tses: {}', ['line 2, column 1: is indented with a tab, expected spaces']],
    [
      'transports:\n  a: {host: "hunter2}\n',
      ['line 3, column 1: lacks a comma, a colon, a space, a bracket or a closing quote'],
    ],
    [
      'transports:\n  a: {host: h, auth: {user: «SES_USER», pass: hunter2}}\n  b: "\\q"\n',
      ['line 2, column 30: has a value with $ and braces that needs quotes'],
    ],
    ['a: hunter2: c', ['line 1, column 4: has a second colon in one line: put quotes around the text']],
    ['a: !hunter2 x', ['line 1, column 4: has a tag, expected none']],
    ['a: 1\n---\nb: hunter2', ['line 2, column 1: is a second document (---), expected one']],
    ['? [hunter2]\n: b', ['line 1, column 3: has a key that is no text']],
    ['a: `hunter2`', ['line 1, column 4: begins with a character that needs quotes']],
    ['a: *hunter2', ['line 1, column 4: is an alias of nothing before it']],
    ['transports: &a {a: *a}', [expect.stringMatching(/unknown key a/), expect.stringMatching(/neither url/)]],
    ['['.repeat(20_000), [expect.stringMatching(/^line 1, column \d+: is nested too deeply$/)]],
  ])('in what is not YAML: %j', (text, faults) => {
    expect(faultsOf(text)).toEqual(faults);
  });

  it('in too many aliases, and in those that unfold to too much', () => {
    expect(faultsOf(`a: &a x\nb: [${'*a, '.repeat(101)}]`)).toEqual(['line 2, column 405: is one alias more than 100']);
    const bomb = `a: &a [x, x]\nb: &b [${'*a, '.repeat(9)}]\nc: &c [${'*b, '.repeat(9)}]\nd: [${'*c, '.repeat(9)}]`;
    expect(faultsOf(bomb)).toEqual(['line 4, column 37: has aliases that unfold to too much']);
  });
});
