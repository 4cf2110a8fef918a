/** Verifying a transport: what is said of how it went, that it takes one connection and no message, and never long. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { monotonicNow } from '../../src/chance.ts';
import type { Auth } from '../../src/domain/transport-plan.ts';
import { makeVerify } from '../../src/outbound/smtp-verify.ts';
import { type Certificate, makeCertificate } from '../support/certificate.ts';
import { openCrowdedSmtp, tooMany } from '../support/crowded-smtp.ts';
import { openScriptedSmtp } from '../support/scripted-smtp.ts';
import { settingsTo } from '../support/smtp-transport.ts';
import { give, openTokenServer } from '../support/token-server.ts';
import { ownTokens } from '../support/tokens.ts';
import { until } from '../support/until.ts';

let certificate: Certificate;
beforeAll(async () => {
  certificate = await makeCertificate();
});
afterAll(() => certificate[Symbol.asyncDispose]());

const never = new AbortController().signal;
const terms = { tokensOf: ownTokens(), now: monotonicNow };
const verify = makeVerify(never, terms);
const auth: Auth = { kind: 'password', user: 'ada', pass: 'S3cret', method: null };
const methods = ['PLAIN', 'LOGIN'] as const;
const taken = { login: { methods, user: 'ada', pass: 'S3cret' } };

describe('verify', () => {
  it('logs in, sends nothing and says goodbye', async () => {
    await using smtp = await openScriptedSmtp(undefined, taken);
    const verification = await verify(settingsTo(smtp.port, { auth }));
    expect(verification).toEqual({ ms: expect.any(Number), tls: null, fault: null });
    await until('the connection to be closed', () => smtp.open === 0);
    expect(smtp.lines.map((line) => line.split(' ', 1)[0])).toEqual(['EHLO', 'AUTH', 'QUIT']);
  });

  it('says goodbye after a login that was refused as well', async () => {
    await using smtp = await openScriptedSmtp(undefined, taken);
    expect(await verify(settingsTo(smtp.port, { auth: { ...auth, pass: 'wr0ng', method: 'PLAIN' } }))).toMatchObject({
      fault: { cause: 'login' },
    });
    await until('the connection to be closed', () => smtp.open === 0);
    expect(smtp.lines.map((line) => line.split(' ', 1)[0])).toEqual(['EHLO', 'AUTH', 'QUIT']);
  });

  it('says once what a server greeted with', async () => {
    await using smtp = await openScriptedSmtp(() => '554 5.3.2 No service');
    const reason = 'EPROTOCOL: Invalid greeting: 554 5.3.2 No service';
    expect(await verify(settingsTo(smtp.port))).toMatchObject({ fault: { cause: 'protocol', reason } });
  });

  it('says of a server that has no connection left that it was reached, which is no fault of protocol', async () => {
    await using smtp = await openCrowdedSmtp(() => 0);
    const { fault } = await verify(settingsTo(smtp.port));
    expect(fault).toEqual({
      cause: null,
      reason: `The server was reached; it takes no more connections at the moment (EPROTOCOL: Invalid greeting: ${tooMany})`,
    });
  });

  it('says which TLS it was', async () => {
    await using smtp = await openScriptedSmtp(undefined, { ...taken, tls: { certificate } });
    const settings = settingsTo(smtp.port, { auth, tls: 'require', ca: certificate.cert });
    expect(await verify(settings)).toMatchObject({ tls: 'TLSv1.3', fault: null });
  });

  it('says what was wrong, by its cause', async () => {
    await using smtp = await openScriptedSmtp(undefined, { ...taken, tls: { certificate } });
    const wrong = settingsTo(smtp.port, { auth: { ...auth, pass: 'wr0ng' } });
    const faultOf = async (settings: typeof wrong) => (await verify(settings)).fault;
    expect(await faultOf(wrong)).toEqual({ cause: 'login', reason: expect.stringContaining('535 5.7.8') });
    expect(await faultOf(settingsTo(1))).toEqual({ cause: 'connect', reason: expect.stringContaining('ECONNREFUSED') });
    expect(await faultOf({ ...wrong, tls: 'require' })).toMatchObject({ cause: 'tls' });
    expect(await faultOf({ ...wrong, implicitTls: true })).toEqual({
      cause: 'tls',
      reason: expect.stringMatching(/^\w+: [\w ]*SSL routines: wrong version number$/),
    });
    expect(await faultOf({ ...wrong, host: 'nowhere.invalid' })).toMatchObject({ cause: 'dns' });
  });

  it('keeps a secret that the server repeats to itself', async () => {
    const repeating = (stage: string, line: string) =>
      stage === 'AUTH' ? `500 5.5.2 What is ${line}? And S3cret?` : undefined;
    await using smtp = await openScriptedSmtp(repeating, taken);
    const { fault } = await verify(settingsTo(smtp.port, { auth }));
    expect(fault?.reason).toMatch(/500 5\.5\.2 What is AUTH PLAIN \*\*\*\? And \*\*\*\?/);
    expect(fault?.reason).not.toContain('S3cret');
    expect(fault?.reason).not.toContain(Buffer.from('\0ada\0S3cret').toString('base64'));
    await using tokens = await openTokenServer((response) => give(response, { access_token: 'T0ken' }));
    const oauth: Auth = {
      ...{ kind: 'oauth2', user: 'ada', clientId: 'id', clientSecret: 'cl', refreshToken: 're' },
      tokenUrl: tokens.url,
    };
    const answer = await verify(settingsTo(smtp.port, { auth: oauth }));
    expect(smtp.lines.at(-1)).toBe(
      `AUTH XOAUTH2 ${Buffer.from('user=ada\x01auth=Bearer T0ken\x01\x01').toString('base64')}`,
    );
    expect(answer.fault?.cause).toBe('login');
    expect(answer.fault?.reason).not.toContain(smtp.lines.at(-1)?.split(' ')[2]);
  });

  it('is given up after a while, and when we stop', async () => {
    await using smtp = await openScriptedSmtp(() => 'stall');
    const hasty = makeVerify(never, { ...terms, timeoutMs: 100 });
    expect((await hasty(settingsTo(smtp.port))).fault).toEqual({
      cause: 'connect',
      reason: 'ETIMEDOUT: Not logged in within 0.1 s',
    });
    const stopping = new AbortController();
    const stopped = makeVerify(stopping.signal, terms)(settingsTo(smtp.port));
    stopping.abort();
    expect((await stopped).fault).toMatchObject({ cause: 'connect' });
    await until('the connections to be closed', () => smtp.open === 0);
    // Sooner than a greeting is waited for.
  }, 15_000);

  it('makes one connection for all callers at one time, and another for a later caller', async () => {
    await using smtp = await openScriptedSmtp();
    const settings = settingsTo(smtp.port);
    const all = await Promise.all(Array.from({ length: 5 }, () => verify(settings)));
    expect(new Set(all).size).toBe(1);
    expect(smtp.connections).toBe(1);
    await verify(settings);
    expect(smtp.connections).toBe(2);
  });
});
