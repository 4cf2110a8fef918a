/** `campaign`: sends a campaign to a list in a file, watches it, pauses, resumes and cancels it, over the API. */
import { parseArgs } from 'node:util';
import { ConfigError, exitConfig } from '../config.ts';
import { campaignIdForm } from '../domain/id.ts';
import { ApiFault, openApi } from './api.ts';
import { move, verbs } from './campaign-move.ts';
import { type Given, options, usage } from './campaign-options.ts';
import { send } from './campaign-send.ts';
import { look, watch } from './campaign-watch.ts';
import { ledgerOf } from './campaign-words.ts';
import type { Said } from './command.ts';
import { patiently } from './patience.ts';

export async function* runCampaign(args: readonly string[]): AsyncGenerator<Said> {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    const [verb = '', subject, ...more] = positionals;
    if (values.help) return yield { text: `${usage}\n` };
    if (subject === undefined || more.length > 0) return yield { fault: usage };
    const id = verb === 'send' ? values.campaign : verbOfOne(verb) ? subject : undefined;
    if (id !== undefined && !campaignIdForm.test(id)) return yield { fault: `${id} is not the id of a campaign, cm_…` };
    if (verb === 'send') yield* send(values, subject);
    else if (verb === 'watch') yield* watch(await openApi(values), subject);
    else if (verb === 'status') yield* status(values, subject);
    else if (isMove(verb)) yield { text: ledgerOf(yield* move(await openApi(values), subject, verb)) };
    else yield { fault: `Unknown command: campaign ${verb}\n${usage}` };
  } catch (error) {
    if (error instanceof ConfigError) yield { fault: error.message, exit: exitConfig };
    else if (error instanceof ApiFault) yield { fault: error.message, exit: 1 };
    else if (error instanceof TypeError) yield { fault: `${error.message}\n${usage}` };
    else throw error;
  }
}

async function* status(given: Given, id: string): AsyncGenerator<Said> {
  const api = await openApi(given);
  yield { text: ledgerOf(yield* patiently(() => look(api, id))) };
}

function verbOfOne(verb: string): boolean {
  return verb === 'status' || verb === 'watch' || isMove(verb);
}

function isMove(verb: string): verb is (typeof verbs)[number] {
  return (verbs as readonly string[]).includes(verb);
}
