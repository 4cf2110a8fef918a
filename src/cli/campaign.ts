/** `campaign`: sends one to a list in a file, watches it, pauses, resumes and cancels it, over the API. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { ConfigError } from '../config.ts';
import { type Api, ApiFault, openApi } from './api.ts';
import { type CampaignSeen, isOver, ledgerOf, progressOf } from './campaign-words.ts';
import type { Said } from './command.ts';

const usage = [
  'Usage: campaign send <list.csv|.ndjson|.json[.gz]> --template <id or alias> [--from "Acme <a@b.c>"] [--subject …]',
  '         [--name …] [--rate 100/s] [--route …] [--at <time>] [--watch]',
  '       campaign send <list> --campaign <id> [--watch]     goes on with one that broke off',
  '       campaign status|watch|pause|resume|cancel <id>',
  '  --url and --key say which API; by default the one of this environment',
].join('\n');

const text = { type: 'string' } as const;
const flag = { type: 'boolean' } as const;
const options = {
  ...{ template: text, from: text, subject: text, name: text, rate: text, route: text, at: text, campaign: text },
  ...{ url: text, key: text, watch: flag },
} as const;

type Given = ReturnType<typeof parseArgs<{ options: typeof options; allowPositionals: true }>>['values'];

const types: Readonly<Record<string, string>> = {
  csv: 'text/csv',
  ndjson: 'application/x-ndjson',
  jsonl: 'application/x-ndjson',
  json: 'application/json',
};

const lookEveryMs = 1_000;
/** For so long an API that is away is asked again: a restart of it, and twice as long as it keeps an upload for a process that died. */
const patienceMs = 60_000;
/** sysexits.h EX_CONFIG. */
const exitConfig = 78;

export async function* runCampaign(args: readonly string[]): AsyncGenerator<Said> {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    const [verb = '', subject, ...more] = positionals;
    if (subject === undefined || more.length > 0) return yield { fault: usage };
    if (verb === 'send') yield* send(values, subject);
    else if (verb === 'watch') yield* watch(await openApi(values), subject);
    else if (verb === 'status') yield { text: ledgerOf(await (await openApi(values))('GET', `/campaigns/${subject}`)) };
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

/** What says how a campaign is made. */
const ofNewOnes = ['template', 'from', 'subject', 'name', 'rate', 'route', 'at'] as const;

async function* send(given: Given, list: string): AsyncGenerator<Said> {
  const headers = headersOf(list);
  if (headers === null)
    return yield {
      fault: `What ${list} is cannot be told by its name: end it in .csv, .ndjson or .json, or one of these and .gz`,
    };
  if (given.template === undefined && given.campaign === undefined) return yield { fault: usage };
  const ignored = given.campaign === undefined ? [] : ofNewOnes.filter((name) => given[name] !== undefined);
  if (ignored.length > 0)
    return yield { fault: `${given.campaign} stays as it is: leave out --${ignored.join(', --')}` };
  // A list that is not there makes no campaign.
  const file = await stat(list).catch(() => null);
  if (!file?.isFile()) return yield { fault: `${list} is not a file that can be read` };
  const api = await openApi(given);
  const { id } = await (given.campaign === undefined ? create(api, given) : look(api, given.campaign));
  yield { text: `${id}\nShould this break off: npm run cli -- campaign send ${list} --campaign ${id}\n` };
  // The same list goes on where it broke off; one that was mended is another upload.
  const uploadKey = `cli-${file.size}-${file.mtimeMs}`;
  const upload = { headers: { ...headers, 'idempotency-key': uploadKey } };
  const { errors, ...uploaded } = yield* patiently(() =>
    api<Uploaded>('POST', `/campaigns/${id}/recipients`, { ...upload, stream: createReadStream(list) }),
  );
  const { received, added, duplicates, invalid } = uploaded;
  yield { text: `${received} records: ${added} added, ${duplicates} duplicates, ${invalid} invalid\n` };
  for (const { line, message } of errors) yield { text: `  line ${line}: ${message}\n` };
  const before = await look(api, id);
  // Whoever goes on with one may have sent it before.
  const sent = before.status === 'draft' ? await api<CampaignSeen>('POST', `/campaigns/${id}/send`) : before;
  if (given.watch) yield* watch(api, id);
  else yield { text: ledgerOf(sent) };
}

type Uploaded = {
  readonly received: number;
  readonly added: number;
  readonly duplicates: number;
  readonly invalid: number;
  readonly errors: readonly { readonly line: number; readonly message: string }[];
};

function create(api: Api, { template, from, subject, name, rate, route, at }: Given): Promise<CampaignSeen> {
  const asked = { template: { id: template }, from, subject, name, rate, route, scheduled_at: at };
  return api('POST', '/campaigns', { body: asked });
}

function look(api: Api, id: string): Promise<CampaignSeen> {
  return api('GET', `/campaigns/${id}`);
}

/** Asks until there is an answer that another try would not change. */
async function* patiently<Answer>(ask: () => Promise<Answer>): AsyncGenerator<Said, Answer> {
  // Counted from when it was away first: an upload may take hours before.
  let giveUpAt: number | null = null;
  for (let told = ''; ; ) {
    try {
      return await ask();
    } catch (error) {
      giveUpAt ??= Date.now() + patienceMs;
      if (!(error instanceof ApiFault) || !error.isPassing || Date.now() >= giveUpAt) throw error;
      if (error.message !== told) yield { text: `${process.stdout.isTTY ? '\n' : ''}${error.message} Trying again.\n` };
      told = error.message;
      await pause(lookEveryMs);
    }
  }
}

function headersOf(list: string): Readonly<Record<string, string>> | null {
  const [, ending = '', packed] = /\.([a-z]+)(\.gz)?$/i.exec(list) ?? [];
  const type = types[ending.toLowerCase()];
  if (type === undefined) return null;
  return { 'content-type': type, ...(packed === undefined ? {} : { 'content-encoding': 'gzip' }) };
}

/** On a terminal one line that moves, elsewhere a line whenever something changed; the ledger once it is over. */
async function* watch(api: Api, id: string): AsyncGenerator<Said> {
  const isTerminal = process.stdout.isTTY;
  let last = '';
  for (let seen = await look(api, id); ; seen = yield* patiently(() => look(api, id))) {
    const line = progressOf(seen);
    if (isTerminal) yield { text: `\r\u001b[K${line}` };
    else if (line !== last) yield { text: `${line}\n` };
    last = line;
    if (isOver(seen)) {
      yield { text: `${isTerminal ? '\n' : ''}${ledgerOf(seen)}` };
      if (seen.status !== 'completed') yield { fault: `${id} was canceled`, exit: 1 };
      return;
    }
    await pause(lookEveryMs);
  }
}
