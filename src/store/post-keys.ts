/** The keys of the posts of one endpoint, by the names that the scripts have for them. */
import { keys } from './keys.ts';

export function postKeysOf(id: string) {
  return {
    posts: keys.posts(id),
    posting: keys.posting(id),
    health: keys.health(id),
    postsDue: keys.postsDue,
    deliveries: keys.deliveries(id),
    pending: keys.deliveriesBy(id, 'pending'),
    success: keys.deliveriesBy(id, 'success'),
    failed: keys.deliveriesBy(id, 'failed'),
    answers: keys.answers(id),
    answersByTime: keys.answersByTime(id),
    webhooks: keys.webhooks,
    /** Of its batches. */
    limit: keys.batchLimit(id),
  };
}
