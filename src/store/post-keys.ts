/** The keys of the posts of one endpoint, by the names that the scripts have for them. */
import { keys } from './keys.ts';

/** Those that belong to this endpoint alone: they go with it. */
export function ownKeysOf(id: string) {
  return {
    posts: keys.posts(id),
    posting: keys.posting(id),
    health: keys.health(id),
    deliveries: keys.deliveries(id),
    pending: keys.deliveriesBy(id, 'pending'),
    success: keys.deliveriesBy(id, 'success'),
    failed: keys.deliveriesBy(id, 'failed'),
    answers: keys.answers(id),
    answersByTime: keys.answersByTime(id),
    /** Of its batches. */
    limit: keys.batchLimit(id),
  };
}

export function postKeysOf(id: string) {
  return { ...ownKeysOf(id), postsDue: keys.postsDue, webhooks: keys.webhooks };
}
