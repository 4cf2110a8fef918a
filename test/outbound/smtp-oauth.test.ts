/** XOAUTH2: tokens are got once for all connections, kept, got anew when refused, and no secret is in any fault. */
import { describe, expect, it } from 'vitest';
import type { Auth } from '../../src/domain/transport-plan.ts';
import type { SmtpTransport } from '../../src/outbound/smtp-transport.ts';
import type { ScriptedLogin } from '../support/scripted-login.ts';
import { openScriptedSmtp, type ScriptedSmtp } from '../support/scripted-smtp.ts';
import { send, type TransportOptions, transportTo } from '../support/smtp-transport.ts';
import { give, openTokenServer, type TokenServer } from '../support/token-server.ts';

const secrets = { clientSecret: 'client-S3cret', refreshToken: 'refresh-S3cret' };

/** A mail server that takes the tokens in `good` (at first `token-1`), beside one that gives `token-1`, `token-2` and so on. */
async function openWorld(
  answer: Parameters<typeof openTokenServer>[0] = giveNext,
  manner: Partial<ScriptedLogin> = {},
) {
  const good = new Set(['token-1']);
  const tokens = await openTokenServer(answer);
  const smtp = await openScriptedSmtp(undefined, {
    login: { methods: ['PLAIN', 'XOAUTH2'], user: 'ä@x.co', takesToken: (token) => good.has(token), ...manner },
  });
  return {
    good,
    tokens,
    smtp,
    async [Symbol.asyncDispose]() {
      await smtp[Symbol.asyncDispose]();
      await tokens[Symbol.asyncDispose]();
    },
  };
}

const giveNext: Parameters<typeof openTokenServer>[0] = (response, count) =>
  give(response, { access_token: `token-${count}`, expires_in: 3_600, token_type: 'Bearer' });

function open(
  { smtp, tokens }: { smtp: ScriptedSmtp; tokens: Pick<TokenServer, 'url'> },
  options: TransportOptions = {},
  more: Partial<Extract<Auth, { kind: 'oauth2' }>> = {},
): SmtpTransport {
  const auth: Auth = { kind: 'oauth2', user: 'ä@x.co', clientId: 'id', ...secrets, tokenUrl: tokens.url, ...more };
  return transportTo(smtp.port, { auth, messagesPerConnection: 1 }, options);
}

describe('XOAUTH2', () => {
  it('asks for one token for all connections, with the refresh token, and keeps it', async () => {
    await using world = await openWorld();
    await using transport = open(world);
    const outcomes = await Promise.all(Array.from({ length: 12 }, () => send(transport)));
    expect(outcomes.every(({ kind }) => kind === 'answered')).toBe(true);
    expect(world.smtp.connections).toBe(12);
    expect(world.tokens.forms).toEqual([
      { grant_type: 'refresh_token', client_id: 'id', client_secret: 'client-S3cret', refresh_token: 'refresh-S3cret' },
    ]);
    expect(world.smtp.lines.find((line) => line.startsWith('AUTH'))).toBe(
      `AUTH XOAUTH2 ${Buffer.from('user=ä@x.co\u0001auth=Bearer token-1\u0001\u0001').toString('base64')}`,
    );
  });

  it('has one request in flight when many connections want a new token at once', async () => {
    const gate = Promise.withResolvers<void>();
    await using world = await openWorld(async (response, count) => {
      if (count === 2) await gate.promise;
      give(response, { access_token: `token-${count}` });
    });
    await using transport = open(world);
    expect(await send(transport)).toMatchObject({ kind: 'answered' });
    world.good.clear();
    world.good.add('token-2');
    const sending = Promise.all(Array.from({ length: 10 }, () => send(transport)));
    gate.resolve();
    expect((await sending).every(({ kind }) => kind === 'answered')).toBe(true);
    expect(world.tokens.forms).toHaveLength(2);
  });

  it.each([{}, { isTerse: true }, { isWordy: true }, { isTerse: true, isWordy: true }])(
    'renews a kept token when it is refused, on the same connection: %j',
    async (manner) => {
      await using world = await openWorld(giveNext, manner);
      await using transport = open(world);
      expect(await send(transport)).toMatchObject({ kind: 'answered' });
      world.good.delete('token-1');
      world.good.add('token-2');
      expect(await send(transport)).toMatchObject({ kind: 'answered' });
      expect(world.smtp.connections).toBe(2);
      expect(world.tokens.forms).toHaveLength(2);
    },
  );

  it('does not ask again when a new token is refused', async () => {
    await using world = await openWorld();
    world.good.clear();
    await using transport = open(world);
    const fault = await send(transport);
    expect(fault).toMatchObject({
      kind: 'transport_fault',
      cause: 'login',
      detail: expect.stringContaining('535 5.7.8'),
    });
    expect(world.tokens.forms).toHaveLength(1);
    expect(JSON.stringify(fault)).not.toMatch(/S3cret|token-1/);
  });

  it('gets a new token shortly before the kept one ends, with the newest refresh token', async () => {
    let at = 0;
    await using world = await openWorld((response, count) =>
      give(response, { access_token: `token-${count}`, expires_in: '3600', refresh_token: `refresh-${count}` }),
    );
    world.good.add('token-2');
    await using transport = open(world, { now: () => at });
    expect(await send(transport)).toMatchObject({ kind: 'answered' });
    at = 3_539_000;
    expect(await send(transport)).toMatchObject({ kind: 'answered' });
    expect(world.tokens.forms).toHaveLength(1);
    at = 3_540_000;
    expect(await send(transport)).toMatchObject({ kind: 'answered' });
    expect(world.tokens.forms.map(({ refresh_token }) => refresh_token)).toEqual(['refresh-S3cret', 'refresh-1']);
  });

  it('sends no client secret where there is none', async () => {
    await using world = await openWorld();
    await using transport = open(world, {}, { clientSecret: '' });
    expect(await send(transport)).toMatchObject({ kind: 'answered' });
    expect(Object.keys(world.tokens.forms[0] ?? {})).not.toContain('client_secret');
  });

  it.each<[string, Parameters<typeof openTokenServer>[0], RegExp]>([
    ['refuses', (response) => give(response, { error: 'invalid_grant' }, 400), /it answered 400 invalid_grant$/],
    ['repeats a secret', (response) => give(response, { error: secrets.refreshToken }, 400), /it answered 400$/],
    ['answers without a token', (response) => give(response, { token_type: 'Bearer' }), /it answered 200$/],
    ['gives a token with line breaks', (response) => give(response, { access_token: 'a\r\nQUIT' }), /it answered 200$/],
    ['answers no JSON', (response) => response.end('<html>'), /it answered 200$/],
    ['answers without end', (response) => response.write('x'.repeat(100_000)), /its answer goes on after 65536 bytes$/],
    ['redirects', (response) => response.writeHead(307, { location: '/elsewhere' }).end(), /redirect/],
    ['drops the connection', (response) => response.destroy(), /No access token from 127\.0\.0\.1:\d+: /],
  ])('is at fault when the token server %s', async (_, answer, detail) => {
    await using world = await openWorld(answer);
    await using transport = open(world);
    const fault = await send(transport);
    expect(fault).toMatchObject({ kind: 'transport_fault', cause: 'login', detail: expect.stringMatching(detail) });
    expect(world.tokens.forms).toHaveLength(1);
    expect(JSON.stringify(fault)).not.toContain('S3cret');
    expect(world.smtp.lines.some((line) => line.startsWith('AUTH'))).toBe(false);
  });

  it('says in one line that the token server has no TLS', async () => {
    await using world = await openWorld();
    const tokenUrl = world.tokens.url.replace('http:', 'https:');
    await using transport = open(world, {}, { tokenUrl });
    expect(await send(transport)).toMatchObject({
      kind: 'transport_fault',
      detail: `EAUTH: No access token from ${new URL(tokenUrl).host}: SSL routines: wrong version number`,
    });
  });

  it('never sends secrets to a token URL that is not https', async () => {
    await using world = await openWorld();
    await using transport = open(world, {}, { tokenUrl: 'http://tokens.example/token' });
    expect(await send(transport)).toMatchObject({
      kind: 'transport_fault',
      cause: 'login',
      detail: 'EAUTH: The token URL must be https, or http to a loopback host',
    });
  });
});
