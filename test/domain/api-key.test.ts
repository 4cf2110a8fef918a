/** API keys: what a request for one may say, what a key permits, and that none can grant more than it has. */
import { describe, expect, it } from 'vitest';
import {
  adminKey,
  apiKeyRequest,
  excessesOf,
  hashToken,
  isUnrestricted,
  type KeyLimits,
  makeApiKey,
  makeToken,
  permits,
  withinLimits,
} from '../../src/domain/api-key.ts';

function make(request: Record<string, unknown>) {
  return makeApiKey(apiKeyRequest.parse({ name: 'x', ...request }), { id: 'ak_1', now: 5, maker: adminKey });
}

describe('a request for a key', () => {
  it('with nothing but a name is for everything but a Message-ID', () => {
    expect(make({})).toEqual({
      id: 'ak_1',
      name: 'x',
      createdAt: 5,
      madeBy: null,
      ratesAbove: [],
      rootId: 'ak_1',
      scopes: ['send', 'read', 'manage'],
      fromDomains: null,
      lanes: null,
      rates: null,
      allowMessageId: false,
    });
  });

  it.each([
    [{ permission: 'full_access' }, { scopes: ['send', 'read', 'manage'] }],
    [{ permission: 'sending_access' }, { scopes: ['send'] }],
    [{ scopes: ['read', 'send', 'read'] }, { scopes: ['send', 'read'] }],
    [
      { from_domains: ['Shop.EXAMPLE', 'münchen.example', 'shop.example'] },
      { fromDomains: ['shop.example', 'xn--mnchen-3ya.example'] },
    ],
    [
      { lanes: ['bulk'], rate: '500/m,14/s' },
      { lanes: ['bulk'], rates: [{ count: 14 }, { count: 500 }] },
    ],
    [{ allow_message_id: true }, { allowMessageId: true }],
  ])('is read: %j', (request, key) => {
    expect(make(request)).toMatchObject(key);
  });

  it('has every fault reported at once', () => {
    const parsed = apiKeyRequest.safeParse({
      name: ' ',
      scopes: ['send', 'fly'],
      permission: 'sending_access',
      from_domains: ['ok.example', 'a@b.example', '127.0.0.1'],
      lanes: [],
      rate: '14/x',
      domain_id: 'd',
    });
    expect(parsed.error?.issues.map(({ path }) => path.join('/')).toSorted()).toEqual([
      '',
      'from_domains/1',
      'from_domains/2',
      'lanes',
      'name',
      'permission',
      'rate',
      'scopes/1',
    ]);
  });

  it.each(['a\nb', 'x'.repeat(101), '\ud800'])('has no such name: %j', (name) => {
    expect(apiKeyRequest.safeParse({ name }).success).toBe(false);
  });
});

it('a token is recognized only by its hash', () => {
  const token = makeToken(new Uint8Array(32).fill(255));
  expect(token).toBe(`pr_${'_'.repeat(42)}8`);
  expect(hashToken(token)).toMatch(/^[\w-]{43}$/);
  expect(hashToken(token)).not.toBe(hashToken(`${token}x`));
});

describe('a key', () => {
  const email = { domain: 'a.example', lane: 'transactional' } as const;

  it.each([
    [{}, true],
    [{ from_domains: ['a.example'] }, true],
    [{ from_domains: ['b.example'] }, false],
    [{ from_domains: ['x.a.example'] }, false],
    [{ lanes: ['transactional'] }, true],
    [{ lanes: ['bulk'] }, false],
    [{ from_domains: ['a.example'], lanes: ['bulk'] }, false],
  ])('with %j permits an email from a.example: %s', (limits, expected) => {
    expect(permits(make(limits), email)).toBe(expected);
  });

  it('is unrestricted without domains and lanes, whatever else it has', () => {
    expect(isUnrestricted(make({ scopes: ['read'], rate: '1/s' }))).toBe(true);
    expect(isUnrestricted(make({ lanes: ['bulk'] }))).toBe(false);
    expect(isUnrestricted(make({ from_domains: ['a.example'] }))).toBe(false);
  });
});

describe('a key that makes another', () => {
  const granter: KeyLimits = make({
    scopes: ['send', 'manage'],
    from_domains: ['a.example', 'b.example'],
    lanes: ['bulk'],
    rate: '10/s,100/m',
  });
  const within = { scopes: ['send'], from_domains: ['b.example'], lanes: ['bulk'], rate: '1/s' };

  it('may grant itself and less', () => {
    expect(withinLimits(granter, granter)).toBe(true);
    expect(withinLimits(granter, make(within))).toBe(true);
    expect(withinLimits(adminKey, make({ allow_message_id: true }))).toBe(true);
  });

  it('has each excess named', () => {
    expect(excessesOf(granter, make({ allow_message_id: true })).map(({ pointer }) => pointer)).toEqual([
      '/scopes',
      '/from_domains',
      '/lanes',
      '/rate',
      '/rate',
      '/allow_message_id',
    ]);
    expect(
      excessesOf(granter, make({ ...within, from_domains: ['b.example', 'c.example', 'd.example'], rate: '2/s' })),
    ).toEqual([
      {
        pointer: '/from_domains',
        code: 'exceeds_own_key',
        message: 'must not have c.example, d.example: your key has a.example, b.example',
      },
      { pointer: '/rate', code: 'exceeds_own_key', message: 'must keep to 100/m, as your key does' },
    ]);
  });
});
