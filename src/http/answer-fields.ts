/** Fields that many answers share, described once. */
import { z } from 'zod';
import { statusMeanings } from '../domain/explain.ts';
import { recipientStatuses } from '../domain/recipient.ts';

/** A time as answers give it: ISO 8601 in UTC, to the millisecond. */
export const time = z.iso.datetime();

/** The status of a recipient, or of an email over all of its recipients. */
export const status = z.enum(recipientStatuses).meta({
  id: 'Status',
  description: `${recipientStatuses.map((name) => `\`${name}\` ${statusMeanings[name]}`).join('; ')}.`,
});

/** The field `object`, which says what an answer or an item in it is. */
export function objectField<Name extends string>(name: Name) {
  return z.literal(name).meta({ description: 'The type of this object.' });
}

/**
 * A list that comes whole in one answer.
 * @param description of the listed items
 */
export function listOf<View extends z.ZodType>(view: View, description: string) {
  return z.object({ object: objectField('list'), data: z.array(view).meta({ description }) });
}

/** The answer to a deletion. */
export function deletedView<Name extends string>(name: Name) {
  return z.object({
    object: objectField(name),
    id: z.string().meta({ description: 'The id of what was deleted.' }),
    deleted: z.literal(true).meta({ description: 'Always true.' }),
  });
}
