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
          'When a server on the way is to write back to the sender: on `success`, `failure` or `delay`, or `["never"]`. A server that does not know DSN does as it likes.',
        uniqueItems: true,
        examples: [['failure', 'delay'], ['never']],
      }),
    return: z.enum(['headers', 'full']).default('headers').meta({
      description: 'What a notice of failure returns of the message: its `headers` (the default) or all of it.',
    }),
  }),
)
  .transform(({ notify, return: returned }): Dsn => {
    const named = notify.filter((occasion) => occasion !== 'never');
    return { notify: named.length === 0 ? 'never' : named, return: returned };
  })
  .meta({
    id: 'Dsn',
    description: 'Which delivery status notifications (DSN, RFC 3461) to ask the servers on the way for.',
  });
