/** API keys: what a key may do, how a request becomes a key, and the rule that no key can make another with more rights. */
import { hash } from 'node:crypto';
import { z } from 'zod';
import { parseDomain } from './address.ts';
import { type Lane, lanes } from './lane.ts';
import type { Fault } from './problem.ts';
import { formatRates, keepsTo, parseRates, type Rate } from './rate.ts';

export const scopes = ['send', 'read', 'manage'] as const;

export type Scope = (typeof scopes)[number];

export const scopesInWords = '`send` allows sending, `read` reading, and `manage` changing the setup, including keys.';

/** What a key may do. null means no limit. */
export type KeyLimits = {
  readonly scopes: readonly Scope[];
  /** Domains that the key's emails may come from, in lower-case A-labels. */
  readonly fromDomains: readonly string[] | null;
  readonly lanes: readonly Lane[] | null;
  /** Limits of requests, over all processes. */
  readonly rates: readonly Rate[] | null;
  /** Whether its emails may have a Message-ID chosen by the caller. */
  readonly allowMessageId: boolean;
};

export type ApiKey = KeyLimits & {
  readonly id: string;
  readonly name: string;
  readonly createdAt: number;
  /** The key that made this one; null for the key from the configuration. */
  readonly madeBy: string | null;
  /**
   * The rates of the key that made this one, and of all keys above that. Each request counts there too: otherwise a key could escape its rate by
   * making keys.
   */
  readonly ratesAbove: readonly KeyRates[];
  /**
   * The first of the keys that made each other and at last this one: the one that the admin key made, this key itself perhaps. What a process
   * limits for each key it counts there: otherwise a key could have more by making keys.
   */
  readonly rootId: string;
};

/** The rates of one key, which count its own requests and those of all keys below it. */
export type KeyRates = { readonly keyId: string; readonly rates: readonly Rate[] };

/** The key from the configuration, which is not in the store. */
export const adminKey: ApiKey = {
  id: 'admin',
  name: 'admin',
  createdAt: 0,
  madeBy: null,
  ratesAbove: [],
  rootId: 'admin',
  scopes,
  fromDomains: null,
  lanes: null,
  rates: null,
  allowMessageId: true,
};

/** One record in Redis holds all of them and is read with every request. */
const maxFromDomains = 100;

const keyName = z
  .string()
  .trim()
  .min(1)
  .max(100, { abort: true })
  .refine((text) => !/\p{Cc}/u.test(text), 'must not contain control characters')
  .refine((text) => text.isWellFormed(), 'must be well-formed Unicode')
  .meta({ description: 'Your name for it.', examples: ['shop backend'] });

const hostName = z.string().transform((text, context): string => {
  const domain = parseDomain(text.trim());
  if (typeof domain === 'string') return domain;
  context.addIssue({ code: 'custom', message: 'must be a host name such as example.com' });
  return z.NEVER;
});

const rate = z.string().transform((text, context): readonly Rate[] => {
  const rates = parseRates(text);
  if (!('faults' in rates)) return rates;
  for (const message of rates.faults) context.addIssue({ code: 'custom', message });
  return z.NEVER;
});

export const apiKeyRequest = z
  .strictObject({
    name: keyName,
    scopes: z
      .array(z.enum(scopes))
      .min(1)
      .optional()
      .meta({
        description: `What it may do. ${scopesInWords} The default is all of them, unless \`permission\` is given.`,
        examples: [['send', 'read']],
      }),
    permission: z.enum(['full_access', 'sending_access']).optional().meta({
      description: 'Another way to give `scopes`: `full_access` means all of them, `sending_access` only `send`.',
    }),
    from_domains: z
      .array(hostName)
      .min(1)
      .max(maxFromDomains)
      .optional()
      .meta({ description: 'The domains its emails may come from. The default is any.', examples: [['example.com']] }),
    lanes: z
      .array(z.enum(lanes))
      .min(1)
      .optional()
      .meta({ description: 'The lanes its emails may use. The default is any.', examples: [['transactional']] }),
    rate: rate.optional().meta({
      description:
        'How many requests it may make, counted over all processes: `14/s`, `500/m`, `5000/h`, `50000/d`, or several separated by commas. The default is no limit.',
      examples: ['14/s,5000/h'],
    }),
    allow_message_id: z
      .boolean()
      .optional()
      .meta({ description: 'Whether its emails may set their own `Message-ID`. The default is false.' }),
  })
  .refine((request) => request.scopes === undefined || request.permission === undefined, {
    path: ['permission'],
    message: 'must not be given together with scopes',
    when: ({ value }) => typeof value === 'object' && value !== null,
  })
  .meta({
    id: 'ApiKeyRequest',
    description: 'An API key to create.',
    examples: [{ name: 'shop backend', scopes: ['send', 'read'], from_domains: ['example.com'], rate: '14/s,5000/h' }],
  });

export type ApiKeyRequest = z.output<typeof apiKeyRequest>;

export const apiKeyChanges = z
  .strictObject({ name: keyName })
  .meta({ id: 'ApiKeyChanges', description: 'Its new name.', examples: [{ name: 'shop backend, blue' }] });

/**
 * Turns a valid request into the key to store.
 * @param given its id, the time, and the key that makes it
 */
export function makeApiKey(request: ApiKeyRequest, given: { id: string; now: number; maker: ApiKey }): ApiKey {
  const { name, permission, from_domains: fromDomains, lanes: ownLanes, rate: rates } = request;
  const wanted = request.scopes ?? (permission === 'sending_access' ? ['send'] : scopes);
  const isByAdmin = given.maker.id === adminKey.id;
  return {
    id: given.id,
    name,
    createdAt: given.now,
    madeBy: isByAdmin ? null : given.maker.id,
    ratesAbove: ratesOf(given.maker),
    rootId: isByAdmin ? given.id : given.maker.rootId,
    scopes: scopes.filter((scope) => wanted.includes(scope)),
    fromDomains: fromDomains === undefined ? null : [...new Set(fromDomains)],
    lanes: ownLanes === undefined ? null : lanes.filter((lane) => ownLanes.includes(lane)),
    rates: rates ?? null,
    allowMessageId: request.allow_message_id ?? false,
  };
}

/** The rates that count a request of this key, its own first. */
export function ratesOf({ id, rates, ratesAbove }: ApiKey): readonly KeyRates[] {
  return rates === null ? ratesAbove : [{ keyId: id, rates }, ...ratesAbove];
}

/** Limit of keys with rates in one chain: each costs a look at its counters with every request. */
const mostRatesAbove = 8;

/**
 * `pr_…`, shown only once, to the caller who made the key.
 * @param entropy 32 random bytes
 */
export function makeToken(entropy: Uint8Array): string {
  return `pr_${Buffer.from(entropy).toString('base64url')}`;
}

/** The only form in which a token is stored. A token has 256 random bits, so a fast hash without salt is enough. */
export function hashToken(token: string): string {
  return hash('sha256', token, 'base64url');
}

/** Whether an email from this domain (lower-case A-labels) in this lane is within the key's limits. */
export function permits(key: KeyLimits, email: { readonly domain: string; readonly lane: Lane }): boolean {
  return (key.fromDomains?.includes(email.domain) ?? true) && (key.lanes?.includes(email.lane) ?? true);
}

/** Whether a key has no limit of domains or lanes. Only such a key may see what concerns all mail. */
export function isUnrestricted(key: KeyLimits): boolean {
  return key.fromDomains === null && key.lanes === null;
}

/** Whether stored data may be shown to a key: a key that sends mail need not see what others sent. */
export function mayRead(key: Pick<KeyLimits, 'scopes'>): boolean {
  return key.scopes.includes('read');
}

/** Whether a key with these limits may do nothing that `granter` may not. */
export function withinLimits(granter: KeyLimits, wanted: KeyLimits): boolean {
  return excessesOf(granter, wanted).length === 0;
}

/** Everything that `wanted` allows and `granter` does not, each as a fault in the request for the key. */
export function excessesOf(granter: KeyLimits, wanted: KeyLimits): Fault[] {
  const excess = (pointer: string, message: string): Fault => ({ pointer, code: 'exceeds_own_key', message });
  return [
    ...beyond(granter.scopes, wanted.scopes).map((message) => excess('/scopes', message)),
    ...beyond(granter.fromDomains, wanted.fromDomains).map((message) => excess('/from_domains', message)),
    ...beyond(granter.lanes, wanted.lanes).map((message) => excess('/lanes', message)),
    ...(granter.rates ?? [])
      .filter((limit) => !keepsTo(wanted.rates, limit))
      .map((limit) => excess('/rate', `must keep to ${formatRates([limit])}, as your key does`)),
    ...(wanted.allowMessageId && !granter.allowMessageId
      ? [excess('/allow_message_id', 'must not be true, as it is not for your key')]
      : []),
  ];
}

/** Everything that forbids `maker` to make `wanted`. */
export function refusalsOf(maker: ApiKey, wanted: ApiKey): Fault[] {
  const excesses = excessesOf(maker, wanted);
  if (wanted.ratesAbove.length <= mostRatesAbove) return excesses;
  const message = `must not be given by a key with ${mostRatesAbove} others above it that made each other: use one of those`;
  return [...excesses, { pointer: '/rate', code: 'exceeds_own_key', message }];
}

function beyond(granted: readonly string[] | null, wanted: readonly string[] | null): string[] {
  if (granted === null) return [];
  if (wanted === null) return [`must be given: your key has ${granted.join(', ')}`];
  const more = wanted.filter((one) => !granted.includes(one));
  return more.length === 0 ? [] : [`must not have ${more.join(', ')}: your key has ${granted.join(', ')}`];
}
