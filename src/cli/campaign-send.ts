/** `campaign send`: makes a campaign, uploads its list, and sends it once each line of that is valid, or may be left out. */
import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { type Api, ApiFault, openApi } from './api.ts';
import { move } from './campaign-move.ts';
import { type Given, usage } from './campaign-options.ts';
import { look, watch } from './campaign-watch.ts';
import { type CampaignSeen, ledgerOf } from './campaign-words.ts';
import type { Said } from './command.ts';
import { patiently } from './patience.ts';

type Uploaded = {
  readonly received: number;
  readonly added: number;
  readonly duplicates: number;
  readonly invalid: number;
  /** The first of those that are not valid. */
  readonly errors: readonly { readonly line: number; readonly message: string }[];
};

const types: Readonly<Record<string, string>> = {
  csv: 'text/csv',
  ndjson: 'application/x-ndjson',
  jsonl: 'application/x-ndjson',
  json: 'application/json',
};

/** What a list is added to; `seen` is null where the key may not look at it. */
type Found = { readonly id: string; readonly seen: CampaignSeen | null };

/** What says how a campaign is made. */
const ofNewOnes = ['template', 'from', 'subject', 'name', 'rate', 'route', 'at'] as const;

/** Lines at fault that are named; of the rest there is the number. */
const maxNamed = 50;

export async function* send(given: Given, list: string): AsyncGenerator<Said> {
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
  const { id, seen } = yield* find(api, given);
  const goingOn = againWith(given, list, id);
  yield { text: `${id}\nShould this break off: ${goingOn}\n` };
  // The same list goes on where it broke off; one that was mended is another upload.
  const uploadKey = `cli-${file.size}-${file.mtimeMs}`;
  const upload = { headers: { ...headers, 'idempotency-key': uploadKey } };
  const uploaded = yield* patiently(() =>
    api<Uploaded>('POST', `/campaigns/${id}/recipients`, { ...upload, stream: createReadStream(list) }),
  );
  yield { text: wordsOf(uploaded) };
  // Whoever goes on with one may have sent it before.
  const isSent = seen !== null && seen.status !== 'draft';
  if (!isSent && uploaded.invalid > 0 && given['skip-invalid'] !== true)
    return yield { fault: heldBack(uploaded, { list, id, goingOn }), exit: 1 };
  const sent = isSent ? seen : yield* move(api, id, 'send');
  if (given.watch) yield* watchSent(api, id);
  else yield { text: ledgerOf(sent) };
}

/** The one it goes on with, or a new one: made once, however often that has to be asked for. */
async function* find(api: Api, { campaign, ...given }: Given): AsyncGenerator<Said, Found> {
  if (campaign !== undefined) return { id: campaign, seen: yield* patiently(() => lookIfAllowed(api, campaign)) };
  const { template, from, subject, name, rate, route, at } = given;
  const body = { template: { id: template }, from, subject, name, rate, route, scheduled_at: at };
  const once = { body, headers: { 'idempotency-key': randomUUID() } };
  const seen = yield* patiently(() => api<CampaignSeen>('POST', '/campaigns', once));
  return { id: seen.id, seen };
}

async function lookIfAllowed(api: Api, id: string): Promise<CampaignSeen | null> {
  try {
    return await look(api, id);
  } catch (error) {
    if (error instanceof ApiFault && error.status === 403) return null;
    throw error;
  }
}

/** That it cannot be watched, as by a key that may only send, must not look as if it was not sent. */
async function* watchSent(api: Api, id: string): AsyncGenerator<Said> {
  try {
    yield* watch(api, id);
  } catch (error) {
    if (!(error instanceof ApiFault)) throw error;
    yield { fault: `${id} was sent, but cannot be watched: ${error.message}`, exit: 1 };
  }
}

function wordsOf({ received, added, duplicates, invalid, errors }: Uploaded): string {
  const named = errors.slice(0, maxNamed);
  const more = invalid - named.length;
  return [
    `${received} records: ${added} added, ${duplicates} duplicates, ${invalid} invalid`,
    ...named.map(({ line, message }) => `  line ${line}: ${message}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
    '',
  ].join('\n');
}

function heldBack({ received, invalid }: Uploaded, on: { list: string; id: string; goingOn: string }): string {
  return [
    `Not sent: ${invalid} of ${received} records are not valid. ${on.id} is a draft, and has all the others.`,
    `Mend them in ${on.list}, and go on: ${on.goingOn}`,
    `Or send it without them: ${on.goingOn} --skip-invalid`,
  ].join('\n');
}

/** The command that goes on with it, for a shell. A key is no more repeated than any other secret. */
function againWith({ url, watch }: Given, list: string, id: string): string {
  const words = ['send', list, '--campaign', id, ...(url === undefined ? [] : ['--url', url])];
  return ['npm run cli -- campaign', ...words.map(quoted), ...(watch ? ['--watch'] : [])].join(' ');
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

function headersOf(list: string): Readonly<Record<string, string>> | null {
  const [, ending = '', packed] = /\.([a-z]+)(\.gz)?$/i.exec(list) ?? [];
  const type = types[ending.toLowerCase()];
  if (type === undefined) return null;
  return { 'content-type': type, ...(packed === undefined ? {} : { 'content-encoding': 'gzip' }) };
}
