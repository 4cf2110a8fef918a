/** `campaign`: sends one to a list in a file, watches it, pauses, resumes and cancels it, over the API. */
import { parseArgs } from 'node:util';
import { ConfigError } from '../config.ts';
import { ApiFault, openApi } from './api.ts';
import { options, usage } from './campaign-options.ts';
import { send } from './campaign-send.ts';
import { look, watch } from './campaign-watch.ts';
import { ledgerOf } from './campaign-words.ts';
import type { Said } from './command.ts';

/** sysexits.h EX_CONFIG. */
const exitConfig = 78;

export async function* runCampaign(args: readonly string[]): AsyncGenerator<Said> {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    const [verb = '', subject, ...more] = positionals;
    if (subject === undefined || more.length > 0) return yield { fault: usage };
    if (verb === 'send') yield* send(values, subject);
    else if (verb === 'watch') yield* watch(await openApi(values), subject);
    else if (verb === 'status') yield { text: ledgerOf(await look(await openApi(values), subject)) };
    else if (verb === 'pause' || verb === 'resume' || verb === 'cancel')
      yield { text: ledgerOf(await (await openApi(values))('POST', `/campaigns/${subject}/${verb}`)) };
    else yield { fault: usage };
  } catch (error) {
    if (error instanceof ConfigError) yield { fault: error.message, exit: exitConfig };
    else if (error instanceof ApiFault) yield { fault: error.message, exit: 1 };
    else if (error instanceof TypeError) yield { fault: `${error.message}\n${usage}` };
    else throw error;
  }
}
