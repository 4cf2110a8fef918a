/** Suppressions in answers: one, a page, and whole lists as NDJSON or CSV. */
import { z } from 'zod';
import { timeOfId } from '../domain/id.ts';
import { isoOf } from '../domain/iso-time.ts';
import {
  type Suppression,
  type SuppressionReason,
  suppressionReasons,
  suppressionScopes,
} from '../domain/suppression.ts';
import { objectField, time } from './answer-fields.ts';
import { csvHeader, csvLine } from './csv.ts';
import { partialPageOf } from './paging.ts';

/** The origins that the Resend SDKs know. */
export const suppressionOrigins = ['bounce', 'complaint', 'manual'] as const;

type Origin = (typeof suppressionOrigins)[number];

function originOf(reason: SuppressionReason): Origin {
  return reason === 'unsubscribe' ? 'manual' : reason;
}

/** The reasons that a list request selects. */
export function reasonsFor(reason: SuppressionReason | undefined, origin: Origin | undefined): SuppressionReason[] {
  const all = Object.keys(suppressionReasons) as SuppressionReason[];
  return all.filter((one) => (reason ?? one) === one && (origin ?? originOf(one)) === originOf(one));
}

export const suppressionReason = z.enum(Object.keys(suppressionReasons) as SuppressionReason[]);
export const suppressionScope = z.enum(suppressionScopes);

export const suppressionExample = {
  object: 'suppression',
  id: 'sp_01kb2m8z5q7r9t1v3x5y7z9a1b',
  email: 'ada@example.com',
  scope: 'all',
  reason: 'bounce',
  origin: 'bounce',
  created_at: '2026-11-24T09:30:00.000Z',
  email_id: 'em_01kb2m7x4p6q8s0t2v4w6x8y0z',
  source_id: 'em_01kb2m7x4p6q8s0t2v4w6x8y0z',
  note: null,
};

export const suppressionView = z
  .object({
    object: objectField('suppression'),
    id: z.string().meta({ description: 'Its id, `sp_…`.' }),
    email: z.string().meta({ description: 'The address, in lower case.' }),
    scope: suppressionScope.meta({ description: 'Which mail it no longer gets.' }),
    reason: suppressionReason.meta({ description: 'The reason.' }),
    origin: z.enum(suppressionOrigins).meta({
      description: 'The reason, as the Resend SDKs name it; they call an unsubscribe `manual`.',
    }),
    created_at: time.meta({ description: 'When it was added.' }),
    email_id: z.string().nullable().meta({ description: 'The email that caused it; null if somebody added it.' }),
    source_id: z.string().nullable().meta({ description: 'The same as `email_id`, as the Resend SDKs name it.' }),
    note: z.string().nullable().meta({ description: 'The note given with it.' }),
  })
  .meta({ id: 'Suppression', description: 'An address that gets no more mail.', examples: [suppressionExample] });

export const suppressionPage = partialPageOf(suppressionView).meta({
  description: 'Suppressions, newest first.',
  examples: [{ object: 'list', has_more: false, data: [suppressionExample], next: null }],
});

export function viewOf(suppression: Suppression): z.input<typeof suppressionView> {
  const { id, address, scope, reason, emailId, note } = suppression;
  return {
    object: 'suppression',
    id,
    email: address,
    scope,
    reason,
    origin: originOf(reason),
    created_at: isoOf(timeOfId(id)),
    email_id: emailId,
    source_id: emailId,
    note,
  };
}

/** The suppressions of an address: the fields of the first one, and all of them in `data`. */
export const suppressionsOfAddress = suppressionView
  .extend({
    data: z.array(suppressionView).meta({ description: 'One suppression for each scope, `all` first.' }),
  })
  .meta({
    id: 'SuppressedAddress',
    description:
      'The suppressions of the address: the first in the fields that the Resend SDKs read, and all of them in `data`.',
    examples: [{ ...suppressionExample, data: [suppressionExample] }],
  });

export function viewOfAll(found: readonly [Suppression, ...Suppression[]]): z.input<typeof suppressionsOfAddress> {
  return { ...viewOf(found[0]), data: found.map(viewOf) };
}

const columns = ['email', 'scope', 'reason', 'created_at', 'email_id', 'note'] as const;

export async function* asNdjson(suppressions: AsyncIterable<Suppression>): AsyncGenerator<string> {
  for await (const one of suppressions) yield `${JSON.stringify(viewOf(one))}\n`;
}

/** RFC 4180. */
export async function* asCsv(suppressions: AsyncIterable<Suppression>): AsyncGenerator<string> {
  yield csvHeader(columns);
  for await (const one of suppressions) {
    const view = viewOf(one);
    const fields = columns.map((column) => view[column] ?? '');
    yield csvLine(columns, fields);
  }
}
