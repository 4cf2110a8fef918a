/** Lists in pages, newest first: `limit`, and an id for `after` or `before`. */
import { z } from 'zod';
import { objectField } from './answer-fields.ts';

const mostPerPage = 100;
const usualPerPage = 20;

export const limitField = z.coerce
  .number()
  .int()
  .min(1)
  .max(mostPerPage)
  .default(usualPerPage)
  .meta({ description: 'The maximum number to list.' });

/**
 * The form is checked because any other text would also mean some place in the list.
 * @param form of the ids of the listed items
 * @param item what is listed, such as `an email`
 */
export function pageFieldsOf(form: RegExp, item: string) {
  const cursor = z.string().regex(form, `is not the id of ${item}`).optional();
  return {
    limit: limitField,
    after: cursor.meta({ description: 'The last id of the page you have, to get older ones.' }),
    before: cursor.meta({
      description: 'The first id of the page you have, to get newer ones. Give this or `after`, not both.',
    }),
  };
}

export function pageQueryOf(form: RegExp, item: string) {
  return refuseBothEnds(z.strictObject(pageFieldsOf(form, item)));
}

export function refuseBothEnds<Query extends z.ZodType<{ after?: string | undefined; before?: string | undefined }>>(
  query: Query,
) {
  return query.refine(({ after, before }) => after === undefined || before === undefined, {
    path: ['before'],
    message: 'must not be given together with after',
  });
}

export function pageOf<View extends z.ZodType>(view: View) {
  return z.object({
    object: objectField('list'),
    has_more: z.boolean().meta({ description: 'Whether there are more beyond this page.' }),
    data: z.array(view).meta({ description: 'The items of this page, newest first.' }),
  });
}

/** A page of a list of which one answer reads only a limited part. */
export function partialPageOf<View extends z.ZodType>(view: View) {
  return pageOf(view).extend({
    next: z.string().nullable().meta({
      description: 'Where to continue: give it as `after`, or as `before` if you gave that; null at the end.',
    }),
  });
}

/** The page of a list that is completely in memory, newest first. */
export function pageIn<T extends { readonly id: string }>(
  all: readonly T[],
  { limit, after, before }: z.output<ReturnType<typeof pageQueryOf>>,
) {
  const onwards = all.filter(({ id }) => (after === undefined || id < after) && (before === undefined || id > before));
  const page = before === undefined ? onwards.slice(0, limit) : onwards.slice(-limit);
  return { page, hasMore: onwards.length > limit };
}
