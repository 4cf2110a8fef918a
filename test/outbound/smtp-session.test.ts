/** Opening a connection and what goes over it: TLS, certificates, logins, extensions, and what each failure is called. */

import { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { monotonicNow } from '../../src/chance.ts';
import type { TransportSettings } from '../../src/domain/transport-plan.ts';
import { makeVerify } from '../../src/outbound/smtp-verify.ts';
import { type Certificate, makeCertificate } from '../support/certificate.ts';
import { type Act, openScriptedSmtp, type ScriptedOptions, type Stage } from '../support/scripted-smtp.ts';
import { message, send, settingsTo, transportTo, turn } from '../support/smtp-transport.ts';
import { ownTokens } from '../support/tokens.ts';

let certificate: Certificate;
let client: Certificate;
let stranger: Certificate;
beforeAll(async () => {
  [certificate, client, stranger] = await Promise.all([makeCertificate(), makeCertificate(), makeCertificate()]);
});
afterAll(() => Promise.all([certificate, client, stranger].map((each) => each[Symbol.asyncDispose]())));

describe.each([true, false])('TLS (from the first byte: %s)', (isImplicit) => {
  const secure: Partial<TransportSettings> = { implicitTls: isImplicit, tls: 'require' };
  const open = (clientCa?: string) =>
    openScriptedSmtp(undefined, {
      tls: { certificate, isImplicit, ...(clientCa === undefined ? {} : { clientCa }) },
    });

  it('trusts a certificate from its own authority, and not one from others', async () => {
    await using server = await open();
    await using trusting = transportTo(server.port, { ...secure, ca: certificate.cert });
    expect(await send(trusting)).toMatchObject({ kind: 'answered', trace: { tls: 'TLSv1.3' } });
    for (const ca of [null, stranger.cert]) {
      await using wary = transportTo(server.port, { ...secure, ca });
      expect(await send(wary)).toMatchObject({ kind: 'transport_fault', cause: 'tls' });
    }
    await using careless = transportTo(server.port, { ...secure, verifyCertificate: false });
    expect(await send(careless)).toMatchObject({ kind: 'answered' });
    expect(server.bodies).toHaveLength(2);
  });

  it('shows its certificate to a server that demands one', async () => {
    await using server = await open(client.cert);
    const trusting = { ...secure, ca: certificate.cert };
    await using known = transportTo(server.port, { ...trusting, clientCertificate: client });
    expect(await send(known)).toMatchObject({ kind: 'answered' });
    expect(server.clients).toEqual(['localhost']);
    for (const clientCertificate of [null, stranger]) {
      await using unknown = transportTo(server.port, { ...trusting, clientCertificate });
      expect(await send(unknown)).toMatchObject({ kind: 'transport_fault' });
    }
    expect(server.bodies).toHaveLength(1);
  });

  it('is at fault with a client certificate that cannot be read, without showing its key', async () => {
    await using server = await open(client.cert);
    const clientCertificate = { cert: client.cert, key: 'S3cret' };
    await using transport = transportTo(server.port, { ...secure, ca: certificate.cert, clientCertificate });
    const fault = await send(transport);
    expect(fault).toMatchObject({ kind: 'transport_fault', cause: 'tls' });
    expect(JSON.stringify(fault)).not.toContain('S3cret');
  });
});

describe('a login', () => {
  const user = 'postmän';
  const pass = 'p@ss:w/rd';
  const methods = ['PLAIN', 'LOGIN', 'CRAM-MD5'] as const;

  it.each(methods)('uses %s when configured', async (method) => {
    await using server = await openScriptedSmtp(undefined, { login: { methods, user, pass } });
    await using transport = transportTo(server.port, { auth: { kind: 'password', user, pass, method } });
    expect(await send(transport)).toMatchObject({ kind: 'answered' });
    expect(server.lines.find((line) => line.startsWith('AUTH'))).toMatch(new RegExp(`^AUTH ${method}\\b`));

    await using wrong = transportTo(server.port, { auth: { kind: 'password', user, pass: 'S3cret', method } });
    const fault = await send(wrong);
    expect(fault).toMatchObject({
      kind: 'transport_fault',
      cause: 'login',
      detail: expect.stringContaining('535 5.7.8 Authentication credentials invalid'),
    });
    expect(JSON.stringify(fault)).not.toContain('S3cret');
    expect(server.bodies).toHaveLength(1);
  });

  it.each([
    [['LOGIN', 'CRAM-MD5', 'XOAUTH2'], 'LOGIN'],
    [['XOAUTH2', 'CRAM-MD5'], 'CRAM-MD5'],
    [['XOAUTH2', 'PLAIN'], 'PLAIN'],
  ] as const)('to a server with %j uses %s by default', async (offered, method) => {
    await using server = await openScriptedSmtp(undefined, { login: { methods: offered, user, pass } });
    await using transport = transportTo(server.port, { auth: { kind: 'password', user, pass, method: null } });
    expect(await send(transport)).toMatchObject({ kind: 'answered' });
    expect(server.lines.find((line) => line.startsWith('AUTH'))).toMatch(new RegExp(`^AUTH ${method}\\b`));
  });
});

describe('what fails before a message is under way', () => {
  const auth = { kind: 'password', user: 'u', pass: 'p', method: null } as const;
  const required: Partial<TransportSettings> = { tls: 'require', verifyCertificate: false };
  const failures: [Stage, Act, Partial<TransportSettings>, string][] = [
    ['connect', 'drop', {}, 'connect'],
    ['connect', 'reset', {}, 'connect'],
    ['EHLO', 'drop', {}, 'connect'],
    ['connect', '554 5.7.1 Not you', {}, 'protocol'],
    ['connect', '421 4.3.2 Later', {}, 'protocol'],
    ['connect', 'HTTP/1.1 400 Bad Request', {}, 'protocol'],
    ['EHLO', '421 4.3.2 Later', {}, 'protocol'],
    ['STARTTLS', '454 4.7.0 Not available', required, 'tls'],
    ['STARTTLS', 'drop', required, 'connect'],
    ['AUTH', '535 5.7.8 No', { auth }, 'login'],
    ['AUTH', '454 4.7.0 Temporary failure', { auth }, 'login'],
    ['AUTH', '421 4.3.2 Later', { auth }, 'protocol'],
    ['AUTH', 'drop', { auth }, 'connect'],
    ['MAIL', 'drop', {}, 'protocol'],
  ];
  it.each(failures)('at %s with %s and %j is called %s', async (at, act, settings, cause) => {
    await using server = await openScriptedSmtp((stage) => (stage === at ? act : undefined));
    await using transport = transportTo(server.port, settings);
    expect(await send(transport)).toMatchObject({ kind: 'transport_fault', cause });
  });

  it('is called dns for an unknown name, connect for a port without a server, tls for a server without TLS', async () => {
    await using server = await openScriptedSmtp();
    await using nowhere = transportTo(server.port, { host: 'no..such.host' });
    expect(await send(nowhere)).toMatchObject({ kind: 'transport_fault', cause: 'dns' });
    await using plain = transportTo(server.port, { implicitTls: true });
    expect(await send(plain)).toMatchObject({ kind: 'transport_fault', cause: 'tls' });
    await using deaf = transportTo(1);
    expect(await send(deaf)).toMatchObject({ kind: 'transport_fault', cause: 'connect' });
  });
});

describe('EHLO', () => {
  const named = { ehloName: 'mail.shop.example' };
  it.each([
    ['the name of its settings', { ehloName: 'out.shop.example' }, named, 'out.shop.example'],
    ['else that of the service', {}, named, 'mail.shop.example'],
  ])('says %s', async (_, settings, options, name) => {
    await using server = await openScriptedSmtp();
    await using transport = transportTo(server.port, settings, options);
    expect(await send(transport)).toMatchObject({ kind: 'answered' });
    expect(server.lines[0]).toBe(`EHLO ${name}`);
    const verify = makeVerify(new AbortController().signal, { ...options, tokensOf: ownTokens(), now: monotonicNow });
    expect(await verify(settingsTo(server.port, settings))).toMatchObject({ fault: null });
    expect(server.lines.filter((line) => line.startsWith('EHLO'))).toEqual(Array(2).fill(`EHLO ${name}`));
  });
});

describe('extensions', () => {
  const openWith = (...extensions: string[]) => openScriptedSmtp(undefined, { extensions } satisfies ScriptedOptions);
  const { length } = message().raw;

  it('SIZE: says how large a message is, and keeps back one that is too large', async () => {
    await using server = await openWith('PIPELINING', `SIZE ${length}`);
    await using transport = transportTo(server.port);
    expect(await send(transport)).toMatchObject({ kind: 'answered' });
    expect(server.lines).toContain(`MAIL FROM:<a@x.co> SIZE=${length}`);
    const raw = Buffer.concat([message().raw, Buffer.from('!')]);
    let wasClaimed = false;
    const claim = async () => {
      wasClaimed = true;
      return true;
    };
    expect(await transport.send({ ...message('b@x.co'), raw }, claim, turn)).toEqual({
      kind: 'obstacle',
      transport: 'default',
      recipients: ['b@x.co'],
      detail: `it has ${length + 1} bytes, and the server takes at most ${length} (SIZE)`,
    });
    expect(wasClaimed).toBe(false);
    expect(server.lines.filter((line) => line.startsWith('MAIL'))).toHaveLength(1);
    expect(await send(transport)).toMatchObject({ kind: 'answered' });
    expect(server.connections).toBe(1);
  });

  it.each([['SIZE'], ['SIZE 0']])('%s has no limit', async (extension) => {
    await using server = await openWith(extension);
    await using transport = transportTo(server.port);
    expect(await send(transport)).toMatchObject({ kind: 'answered' });
    expect(server.lines).toContain(`MAIL FROM:<a@x.co> SIZE=${length}`);
  });

  it('are not taken from the name of a server', async () => {
    await using server = await openScriptedSmtp((stage) =>
      stage === 'EHLO' ? '250-mx-size.example 250 SIZE 5\r\n250 8BITMIME' : undefined,
    );
    await using transport = transportTo(server.port);
    expect(await send(transport)).toMatchObject({ kind: 'answered' });
    expect(server.lines).toContain('MAIL FROM:<a@x.co>');
  });

  it('8BITMIME: nothing is declared, as nothing we compose has eight bits', async () => {
    await using server = await openWith('8BITMIME', 'SMTPUTF8');
    await using transport = transportTo(server.port);
    expect(await send(transport, 'ö@x.co')).toMatchObject({ kind: 'answered' });
    expect(server.lines).toContain('MAIL FROM:<a@x.co> SMTPUTF8');
  });

  it('PIPELINING: the whole envelope leaves in one write, the whole message in another', async () => {
    await using server = await openWith('PIPELINING');
    await using transport = transportTo(server.port);
    expect(await transport.probe()).toBeNull();
    const before = server.reads.length;
    // What is written in two may still be read in one.
    using writes = vi.spyOn(Socket.prototype, 'write');
    expect(await transport.send(message('b@x.co', 'c@x.co'), async () => true, turn)).toMatchObject({
      kind: 'answered',
    });
    expect(server.reads.slice(before)).toEqual([
      'MAIL FROM:<a@x.co>\r\nRCPT TO:<b@x.co>\r\nRCPT TO:<c@x.co>\r\nDATA\r\n',
      'Subject: s\r\n\r\n..dot\r\nlast line\r\n.\r\n',
    ]);
    const written = writes.mock.calls.map(([chunk]) => String(chunk));
    expect(written.filter((chunk) => /Subject|dot|last|^\.$/m.test(chunk))).toHaveLength(1);
  });

  it('without PIPELINING each command waits for the answer before it', async () => {
    await using server = await openWith();
    await using transport = transportTo(server.port);
    expect(await transport.probe()).toBeNull();
    const before = server.reads.length;
    expect(await send(transport)).toMatchObject({ kind: 'answered' });
    expect(server.reads.slice(before, -1)).toEqual(['MAIL FROM:<a@x.co>\r\n', 'RCPT TO:<b@x.co>\r\n', 'DATA\r\n']);
  });
});
