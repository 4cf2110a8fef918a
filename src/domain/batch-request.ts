/** The parts of the body of `POST /v1/emails/batch`: a message by itself, a base, and how a message differs from that. */
import { z } from 'zod';
import {
  type AskedEmail,
  absentFields,
  askedFieldsFor,
  askedRulesFor,
  bytesRule,
  maxRecipients,
  type RequestLimits,
} from './email-request.ts';
import { nullLeavesOut, nullNote } from './null-leaves-out.ts';
import { lengthOf, type Rule, withRules } from './rule.ts';

const idempotencyKey = z
  .string()
  .regex(/^[\x20-\x7e]{1,256}$/, 'must be 1 to 256 printable ASCII characters')
  .optional()
  .meta({
    description: 'What the header Idempotency-Key is to `POST /v1/emails`, for this email alone.',
    examples: ['order-1234'],
  });

function messageFor(limits: RequestLimits) {
  return z.strictObject({ ...askedFieldsFor(limits), idempotency_key: idempotencyKey });
}

/** An email as one message of a batch, which may carry a key of its own. */
export function batchMessageFor(limits: RequestLimits) {
  const description = `One email of a batch. ${nullNote}`;
  return nullLeavesOut(withRules(messageFor(limits), askedRulesFor(limits)), absentFields).meta({
    id: 'BatchMessage',
    description,
  });
}

/** What one message of a batch gives where the rest of it is in the base. */
export function batchOverrideFor(limits: RequestLimits) {
  const description =
    'How one email of a batch differs from its base: any fields of an email, in full. Where one is null, that of the base stands.';
  return nullLeavesOut(messageFor(limits).partial(), absentFields).meta({ id: 'BatchOverride', description });
}

/** What the messages of a batch have in common: every field optional, and no rule that another message may still make good. */
export function batchBaseFor(limits: RequestLimits) {
  const description = `What the emails of a batch have in common: the fields of an email, none of them required. ${nullNote}`;
  const schema = withRules(z.strictObject(askedFieldsFor(limits)).partial(), [bytesRule(limits), ...listRules]);
  return nullLeavesOut(schema, absentFields).meta({ id: 'BatchBase', description });
}

/** A message and its base, each read by itself: what is left to look at is whether they make an email together. */
export function batchWholeFor(limits: RequestLimits) {
  return withRules(z.custom<AskedEmail>(), [toRule, ...askedRulesFor(limits)]);
}

/** In a base, which would be written out for each message: a list that is too long is so whatever a message says. */
const listRules = (['to', 'cc', 'bcc', 'reply_to'] as const).map(
  (path): Rule => ({
    path,
    message: `may have ${maxRecipients} addresses`,
    holds: (email) => lengthOf(email[path]) <= maxRecipients,
  }),
);

const toRule: Rule = { path: 'to', message: 'is required', holds: (email) => 'to' in email };
