/** `campaign watch`: looks at a campaign until nothing of it is to be sent any more. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Api } from './api.ts';
import { type CampaignSeen, isOver, ledgerOf, progressOf } from './campaign-words.ts';
import type { Said } from './command.ts';
import { patiently } from './patience.ts';

const lookEveryMs = 1_000;

export function look(api: Api, id: string): Promise<CampaignSeen> {
  return api('GET', `/campaigns/${id}`);
}

/** On a terminal one line that moves, elsewhere a line whenever something changed; the ledger once it is over. */
export async function* watch(api: Api, id: string): AsyncGenerator<Said> {
  const isTerminal = process.stdout.isTTY;
  for (let last = ''; ; await pause(lookEveryMs)) {
    const seen = yield* patiently(() => look(api, id));
    const line = progressOf(seen);
    if (isTerminal) yield { text: `\r\u001b[K${line}` };
    else if (line !== last) yield { text: `${line}\n` };
    last = line;
    if (!isOver(seen)) continue;
    yield { text: `${isTerminal ? '\n' : ''}${ledgerOf(seen)}` };
    if (seen.status !== 'completed') yield { fault: `${id} was canceled`, exit: 1 };
    return;
  }
}
