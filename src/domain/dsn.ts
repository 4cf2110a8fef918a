/** Which delivery status notifications (DSN, RFC 3461) a sender requests from the servers on the way. */
import { z } from 'zod';
import { nullLeavesOut } from './null-leaves-out.ts';

const occasions = ['success', 'failure', 'delay'] as const;

export type Dsn = {
  readonly notify: readonly (typeof occasions)[number][] | 'never';
  /** What a notification of failure returns of the message. */
  readonly return: 'headers' | 'full';
};

/** The `dsn` field of a request. */
export const dsnRequest = nullLeavesOut(
  z.strictObject({
    notify: z
      .array(z.enum([...occasions, 'never']), 'must be a list of success, failure and delay, or ["never"]')
      .min(1, 'must name at least one of success, failure and delay, or never')
      .refine((list) => new Set(list).size === list.length, 'must not name one twice')
      .refine((list) => !list.includes('never') || list.length === 1, 'must not name anything beside never')
      .meta({
        description:
          'When the servers on the way notify the sender: on `success`, `failure` or `delay`, or `["never"]`. Servers that do not support DSN may ignore this.',
        uniqueItems: true,
        examples: [['failure', 'delay'], ['never']],
      }),
    return: z.enum(['headers', 'full']).default('headers').meta({
      description:
        'How much of the message a failure notification contains: its `headers` (the default) or all of it (`full`).',
    }),
  }),
)
  .transform(({ notify, return: returned }): Dsn => {
    const named = notify.filter((occasion) => occasion !== 'never');
    return { notify: named.length === 0 ? 'never' : named, return: returned };
  })
  .meta({
    id: 'Dsn',
    description: 'The delivery status notifications (DSN, RFC 3461) to request from the servers on the way.',
  });
