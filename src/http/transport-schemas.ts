/** The schemas of transports in answers. */
import { z } from 'zod';
import { causeMeanings, faultCauses } from '../domain/fault-cause.ts';
import { objectField, time } from './answer-fields.ts';

const count = (description: string) => z.int().min(0).meta({ description });
const name = z.string().meta({ description: 'Its name, as configured.' });
const causeList = faultCauses.map((kind) => `\`${kind}\`: ${causeMeanings[kind]}`).join('; ');
const causeOf = (isNull: string) =>
  z
    .enum(faultCauses)
    .nullable()
    .meta({ description: `What kind of trouble, ${isNull}. ${causeList}.` });

const breaker = z
  .object({
    state: z.enum(['closed', 'open']).meta({ description: '`closed` lets mail through, `open` lets none.' }),
    reason: z.string().nullable().meta({ description: 'Why it is open, in words.' }),
    cause: causeOf('null where there is none'),
    since: time.nullable().meta({ description: 'Since when it is open.' }),
    next_probe_at: time.nullable().meta({
      description:
        'When the transport is tried next; it closes when that goes well. Where messages met the trouble, one of them must go through after a login that went well: null once the next one may try.',
    }),
  })
  .meta({ description: 'Stops a transport that is in trouble, for the whole fleet.' });

const pool = z
  .object({
    connections: count('Connections that the whole fleet may have to it, as configured.'),
    granted_connections: z.int().min(0).nullable().meta({
      description:
        'Connections that the fleet opens at most for now, because its server refused one more; null while it refuses none.',
    }),
    open: count('Connections there are now.'),
    busy: count('Those of them that carry a message at this moment.'),
    waiting: count('Messages that wait for one.'),
    hanging: count('Those of the busy ones whose server seems to answer nothing any more.'),
    workers: count('Worker processes that these are of.'),
  })
  .meta({ description: 'Its connections, over all workers.' });

const rate = z
  .object({
    limit: count('Messages in each window.'),
    window: z.string().meta({ description: 'How long a window is: a `second`, `minute`, `hour` or `day`.' }),
    remaining: z.int().min(0).nullable().meta({
      description: 'What is left of the window that ends now; null for a rate per second, which is kept as a pace.',
    }),
    reset_at: time.nullable().meta({
      description:
        'When all of it is there again, should nothing more be sent; null while it is, and for a rate per second.',
    }),
  })
  .meta({ description: 'A rate or quota, counted over all workers. Its window moves on all the time.' });

const parked = z
  .object({
    transactional: count('Those of the lane `transactional`.'),
    bulk: count('Those of the lane `bulk`.'),
  })
  .meta({ description: 'Emails that are due and wait until it may take them. That costs them no attempt.' });

export const transportView = z
  .object({
    object: objectField('transport'),
    name,
    host: z.string().meta({ description: 'Where it connects to, as `host:port`.' }),
    state: z.enum(['ok', 'degraded', 'hanging', 'paused']).meta({
      description:
        '`degraded` while its breaker is open; `hanging` while its server takes messages and answers none, and mail that has another way goes that way; `paused` as long as it was asked to be, whatever else is the matter.',
    }),
    paused_at: time.nullable().meta({ description: 'Since when it is paused.' }),
    breaker,
    brake: z
      .object({
        factor: z
          .number()
          .min(0)
          .max(1)
          .meta({ description: 'The share of its rates and connections that is used now.' }),
      })
      .meta({ description: 'Slows it down when its server asks for that, and lets go by and by.' }),
    pool,
    rates: z.array(rate).meta({ description: 'Its rates and quotas, the shortest window first.' }),
    parked,
  })
  .meta({ id: 'Transport', description: 'A transport, as it stands now in the whole fleet.' });

export type TransportView = z.output<typeof transportView>;

export const transportList = z
  .object({
    object: objectField('list'),
    has_more: z.literal(false).meta({ description: 'All of them are listed.' }),
    data: z.array(transportView).meta({ description: 'Every transport, by name.' }),
  })
  .meta({ description: 'Every transport, as it stands now in the whole fleet.' });

export const verifyView = z
  .object({
    object: objectField('transport_verification'),
    name,
    ok: z.boolean().meta({ description: 'Whether the connection came about and the login was taken.' }),
    ms: z.number().min(0).meta({ description: 'How long it took, in milliseconds.' }),
    tls: z
      .string()
      .nullable()
      .meta({ description: 'The TLS version; null without TLS, or where it did not come to that.' }),
    detail: z.string().nullable().meta({ description: 'What went wrong, in words; null if nothing did.' }),
    cause: causeOf('null where there is none, and where the server was reached but takes no more connections'),
  })
  .meta({ id: 'TransportVerification', description: 'How connecting and logging in went.' });

export type VerifyResult = z.output<typeof verifyView>;
