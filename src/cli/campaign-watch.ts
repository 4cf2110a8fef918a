/** `campaign watch`: follows a campaign until nothing of it is left to send, and reports the result. */
import { setTimeout as pause } from 'node:timers/promises';
import { ownNow } from '../chance.ts';
import type { Api } from './api.ts';
import { type CampaignSeen, hasReachedNobody, isOver, ledgerOf, progressOf } from './campaign-words.ts';
import type { Said } from './command.ts';
import { patiently } from './patience.ts';

const lookEveryMs = 1_000;
/** Failed recipients whose reasons are read, and reasons that are listed. */
const maxAsked = 100;
const maxReasons = 3;

export function look(api: Api, id: string): Promise<CampaignSeen> {
  return api('GET', `/campaigns/${id}`);
}

/** On a terminal one line that is redrawn, elsewhere a line for each change; at the end the result. */
export async function* watch(api: Api, id: string): AsyncGenerator<Said> {
  const isTerminal = process.stdout.isTTY;
  const end = isTerminal ? '\n' : '';
  let last: CampaignSeen | null = null;
  let told = '';
  for (; ; await pause(lookEveryMs)) {
    const seen: CampaignSeen = yield* patiently(() => look(api, id));
    if (seen.status === 'draft') return yield notSent(id);
    // Some terminals say that they have no columns.
    const columns = (isTerminal && process.stdout.columns) || undefined;
    const line = progressOf(seen, ownNow(), columns);
    if (isTerminal) yield { text: `\r\u001b[K${line}` };
    else if (line !== told) yield { text: `${line}\n` };
    told = line;
    if (seen.status === 'paused' && last?.status !== 'paused')
      yield { text: `${end}It is paused. To resume it: campaign resume ${id}\n` };
    last = seen;
    if (!isOver(seen)) continue;
    if (isTerminal) yield { text: end };
    return yield* tellEnd(api, seen);
  }
}

function notSent(id: string): Said {
  return { fault: `${id} is a draft. To send it: campaign send <list> --campaign ${id}`, exit: 1 };
}

/** Reports the counts of recipients, and why some failed. It is a fault when the campaign was canceled, or nobody got it. */
export async function* tellEnd(api: Api, seen: CampaignSeen): AsyncGenerator<Said> {
  const { id, status, counts } = seen;
  yield { text: ledgerOf(seen) };
  if (counts.failed > 0) yield { text: yield* reasonsOf(api, id) };
  if (status === 'canceled') yield { fault: `${id} was canceled`, exit: 1 };
  if (hasReachedNobody(seen)) yield { fault: `${id} has ended, and no recipient got it`, exit: 1 };
}

type RecipientList = {
  readonly data: readonly { readonly reason: string | null; readonly smtp: { readonly reply: string } | null }[];
};

async function* reasonsOf(api: Api, id: string): AsyncGenerator<Said, string> {
  const path = `/campaigns/${id}/recipients?status=failed&limit=${maxAsked}`;
  const { data } = yield* patiently(() => api<RecipientList>('GET', path));
  const found = Map.groupBy(data, ({ reason, smtp }) => reason ?? smtp?.reply ?? 'unknown reason');
  const commonest = [...found].toSorted(([, one], [, other]) => other.length - one.length).slice(0, maxReasons);
  const rows = commonest.map(([reason, those]) => `  ${those.length} of ${data.length} looked at: ${reason}\n`);
  return rows.length === 0 ? '' : `Failed\n${rows.join('')}`;
}
