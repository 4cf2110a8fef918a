/** Fields that many answers have, described once. */
import { z } from 'zod';
import { statusMeanings } from '../domain/explain.ts';
import { recipientStatuses } from '../domain/recipient.ts';

/** An instant as answers give it: ISO 8601 in UTC, to the millisecond. */
export const time = z.iso.datetime();

export function isoOf(at: number): string {
  return new Date(at).toISOString();
}

export function isoOrNull(at: number | null): string | null {
  return at === null ? null : isoOf(at);
}

/** Of a recipient, or of an email over all of its recipients. */
export const status = z.enum(recipientStatuses).meta({
  id: 'Status',
  description: `${recipientStatuses.map((name) => `\`${name}\` ${statusMeanings[name]}`).join('; ')}.`,
});

/** Says what an answer, or an item in it, is. */
export function objectField<Name extends string>(name: Name) {
  return z.literal(name).meta({ description: 'What this is.' });
}

/** All there is of something, in one answer. @param description of what is listed */
export function listOf<View extends z.ZodType>(view: View, description: string) {
  return z.object({ object: objectField('list'), data: z.array(view).meta({ description }) });
}

/** What removing something is answered with. */
export function deletedView<Name extends string>(name: Name) {
  return z.object({
    object: objectField(name),
    id: z.string().meta({ description: 'What was removed.' }),
    deleted: z.literal(true).meta({ description: 'It is gone.' }),
  });
}
