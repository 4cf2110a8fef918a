/** Schemas for the parts of `POST /v1/emails/batch`: a message alone, a base, and a message that overrides a base. */
import { z } from 'zod';
import {
  type AskedEmail,
  absentFields,
  askedFieldsFor,
  askedRulesFor,
  bytesRule,
  type RequestLimits,
} from './email-request.ts';
import { readIdempotencyKey } from './idempotency.ts';
import { nullLeavesOut, nullNote } from './null-leaves-out.ts';
import { type Rule, withRules } from './rule.ts';

const idempotencyKey = z
  .string()
  .refine((key) => readIdempotencyKey(key) !== null, 'must be 1 to 256 printable ASCII characters')
  .optional()
  .meta({
    description:
      'Like the header Idempotency-Key of `POST /v1/emails`, but for this email only: up to 256 characters, quoted or not.',
    examples: ['order-1234'],
    pattern: '^[\\x20-\\x7e]+$',
  });

function messageFor(limits: RequestLimits) {
  return z.strictObject({ ...askedFieldsFor(limits), idempotency_key: idempotencyKey });
}

/** An email as one message of a batch. It may have its own Idempotency-Key. */
export function batchMessageFor(limits: RequestLimits) {
  const description = `One email of a batch. ${nullNote}`;
  return nullLeavesOut(withRules(messageFor(limits), askedRulesFor(limits)), absentFields).meta({
    id: 'BatchMessage',
    description,
  });
}

/** The fields a message of a batch gives on top of the base. */
export function batchOverrideFor(limits: RequestLimits) {
  const description =
    "Fields of this email that replace those of the base. A field that is null keeps the base's value.";
  return nullLeavesOut(messageFor(limits).partial(), absentFields).meta({ id: 'BatchOverride', description });
}

/** The fields that the messages share. All are optional, and a rule that a message may still fulfil is not checked here. */
export function batchBaseFor(limits: RequestLimits) {
  const description = `Fields that the emails of a batch have in common. None is required. ${nullNote}`;
  const schema = withRules(z.strictObject(askedFieldsFor(limits)).partial(), [bytesRule(limits)]);
  return nullLeavesOut(schema, absentFields).meta({ id: 'BatchBase', description });
}

/** A message and its base together, after each was checked alone: only the rules over several fields are left to check. */
export function batchWholeFor(limits: RequestLimits) {
  return withRules(z.custom<AskedEmail>(), [toRule, ...askedRulesFor(limits)]);
}

const toRule: Rule = { path: 'to', message: 'is required', holds: (email) => 'to' in email };
