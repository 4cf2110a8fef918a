/** An API key as callers see it: the schemas, and a view made of a stored key. */
import { z } from 'zod';
import { scopes, scopesInWords } from '../domain/api-key.ts';
import { isoOf, isoOrNull } from '../domain/iso-time.ts';
import { lanes } from '../domain/lane.ts';
import { formatRates } from '../domain/rate.ts';
import type { StoredApiKey } from '../store/api-keys.ts';
import { deletedView, objectField, time } from './answer-fields.ts';
import { pageOf } from './paging.ts';

export const apiKeyExample = {
  object: 'api_key',
  id: 'ak_01kb2m6c3e5g7j9m1p3r5t7v9x',
  name: 'shop backend',
  created_at: '2026-11-24T09:00:00.000Z',
  made_by: null,
  last_used_at: '2026-11-24T09:31:00.000Z',
  scopes: ['send', 'read'],
  from_domains: ['example.com'],
  lanes: null,
  rate: '14/s,5000/h',
  allow_message_id: false,
};

const id = z.string().meta({ description: 'Its id, `ak_…`. This is not the token and not secret.' });

export const apiKeyView = z
  .object({
    object: objectField('api_key'),
    id,
    name: z.string().meta({ description: 'Your name for it.' }),
    created_at: time.meta({ description: 'When it was created.' }),
    made_by: z.string().nullable().meta({
      description: 'The key that created it, which may be revoked now; null for the key from the configuration.',
    }),
    last_used_at: time.nullable().meta({ description: 'When it was last used, accurate to a minute; null if never.' }),
    scopes: z.array(z.enum(scopes)).meta({ description: `What it may do. ${scopesInWords}` }),
    from_domains: z
      .array(z.string())
      .nullable()
      .meta({ description: 'The domains its emails may come from; null for any.' }),
    lanes: z.array(z.enum(lanes)).nullable().meta({ description: 'The lanes its emails may use; null for any.' }),
    rate: z.string().nullable().meta({
      description: 'How many requests it may make, together with the keys it created; null for no limit of its own.',
    }),
    allow_message_id: z.boolean().meta({ description: 'Whether its emails may set their own `Message-ID`.' }),
  })
  .meta({ id: 'ApiKey', description: 'An API key, without its token.', examples: [apiKeyExample] });

export const createdApiKey = apiKeyView
  .extend({ token: z.string().meta({ description: 'The token to call the API with, `pr_…`. It is shown only once.' }) })
  .meta({
    id: 'CreatedApiKey',
    description: 'The key was created. Store its token now: it is not shown again.',
    examples: [{ ...apiKeyExample, last_used_at: null, token: 'pr_q8Zt3vXw5YbNc7Kd9Rf1Hg2Jm4Lp6Ts0Ua8Ve3Wx5Yz' }],
  });

export const apiKeyPage = pageOf(apiKeyView).meta({
  description: 'API keys, newest first.',
  examples: [{ object: 'list', has_more: false, data: [apiKeyExample] }],
});

export const renamedApiKey = z.object({ object: objectField('api_key'), id }).meta({
  description: 'The key has its new name.',
  examples: [{ object: 'api_key', id: apiKeyExample.id }],
});

export const revokedApiKey = deletedView('api_key').meta({
  description: 'The key was revoked.',
  examples: [{ object: 'api_key', id: apiKeyExample.id, deleted: true }],
});

export function viewOf(key: StoredApiKey): z.input<typeof apiKeyView> {
  return {
    object: 'api_key',
    id: key.id,
    name: key.name,
    created_at: isoOf(key.createdAt),
    made_by: key.madeBy,
    last_used_at: isoOrNull(key.lastUsedAt),
    scopes: [...key.scopes],
    from_domains: key.fromDomains && [...key.fromDomains],
    lanes: key.lanes && [...key.lanes],
    rate: key.rates && formatRates(key.rates),
    allow_message_id: key.allowMessageId,
  };
}
