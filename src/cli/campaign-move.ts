/** `campaign pause`, `resume` and `cancel`, and the start in `send`: moves the campaign once, however often the request is repeated. */
import { newUuid } from '../chance.ts';
import type { Api } from './api.ts';
import type { CampaignSeen } from './campaign-words.ts';
import type { Said } from './command.ts';
import { patiently } from './patience.ts';

export const verbs = ['pause', 'resume', 'cancel'] as const;

export function move(api: Api, id: string, verb: (typeof verbs)[number] | 'send'): AsyncGenerator<Said, CampaignSeen> {
  const once = { headers: { 'idempotency-key': newUuid() } };
  return patiently(() => api('POST', `/campaigns/${id}/${verb}`, once));
}
