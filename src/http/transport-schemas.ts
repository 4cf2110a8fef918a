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
    .meta({ description: `The kind of trouble; ${isNull}. ${causeList}.` });

const breaker = z
  .object({
    state: z.enum(['closed', 'open']).meta({ description: '`closed`: mail passes. `open`: no mail passes.' }),
    reason: z.string().nullable().meta({ description: 'Why it is open, in words; null while it is closed.' }),
    cause: causeOf('null if there is none'),
    since: time.nullable().meta({ description: 'When it opened; null while it is closed.' }),
    next_probe_at: time.nullable().meta({
      description:
        'When the transport is tried next; success closes the breaker. If it opened because of failed messages, one message must also succeed after the login: null once the next message may try.',
    }),
  })
  .meta({ description: 'Stops a transport that is in trouble, for all workers.' });

const pool = z
  .object({
    connections: count('The configured maximum of connections, for all workers together.'),
    granted_connections: z.int().min(0).nullable().meta({
      description: 'The maximum of connections for now, because the server refused more; null if it refuses none.',
    }),
    open: count('Connections that are open now.'),
    busy: count('Open connections that are sending a message now.'),
    waiting: count('Messages that wait for a connection.'),
    hanging: count('Busy connections whose server no longer seems to answer.'),
    workers: count('Worker processes that have these connections.'),
  })
  .meta({ description: 'Its connections, of all workers together.' });

const rate = z
  .object({
    limit: count('Messages in each window.'),
    window: z.string().meta({ description: 'How long a window is: a `second`, `minute`, `hour` or `day`.' }),
    remaining: z.int().min(0).nullable().meta({
      description:
        'How many messages are left in the window that ends now; null for a rate per second, which is spread evenly.',
    }),
    reset_at: time.nullable().meta({
      description:
        'When the full allowance is back if nothing more is sent; null if it is full now, and for a rate per second.',
    }),
  })
  .meta({ description: 'A rate or quota, for all workers together. Its window slides: it always ends now.' });

const parked = z
  .object({
    transactional: count('Emails in the lane `transactional`.'),
    bulk: count('Emails in the lane `bulk`.'),
  })
  .meta({
    description:
      'Emails that are due and wait until the transport can take them. The wait does not count as an attempt.',
  });

export const transportView = z
  .object({
    object: objectField('transport'),
    name,
    host: z.string().meta({ description: 'The server it connects to, as `host:port`.' }),
    state: z.enum(['ok', 'degraded', 'hanging', 'paused']).meta({
      description:
        '`degraded`: its breaker is open. `hanging`: the server accepts messages but does not answer; mail that has another route is sent there. `paused`: somebody paused it; shown whatever else is wrong.',
    }),
    paused_at: time.nullable().meta({ description: 'When it was paused; null if it is not.' }),
    breaker,
    brake: z
      .object({
        factor: z
          .number()
          .min(0)
          .max(1)
          .meta({ description: 'The share of its rates and connections that is used now.' }),
      })
      .meta({ description: 'Slows the transport down when its server asks for that. It is lifted gradually.' }),
    pool,
    rates: z.array(rate).meta({ description: 'Its rates and quotas, the shortest window first.' }),
    parked,
  })
  .meta({ id: 'Transport', description: 'The current state of a transport, for all workers together.' });

export type TransportView = z.output<typeof transportView>;

export const transportList = z
  .object({
    object: objectField('list'),
    has_more: z.literal(false).meta({ description: 'Always false: all are listed.' }),
    data: z.array(transportView).meta({ description: 'Every transport, by name.' }),
  })
  .meta({ description: 'The current state of every transport, for all workers together.' });

export const verifyView = z
  .object({
    object: objectField('transport_verification'),
    name,
    ok: z.boolean().meta({ description: 'Whether connecting and logging in succeeded.' }),
    ms: z.number().min(0).meta({ description: 'How long it took, in milliseconds.' }),
    tls: z
      .string()
      .nullable()
      .meta({ description: 'The TLS version; null without TLS, or if the connection failed earlier.' }),
    detail: z.string().nullable().meta({ description: 'What went wrong, in words; null if nothing did.' }),
    cause: causeOf('null if there is none, and if the server was reached but accepts no more connections'),
  })
  .meta({ id: 'TransportVerification', description: 'The result of connecting and logging in.' });

export type VerifyResult = z.output<typeof verifyView>;
