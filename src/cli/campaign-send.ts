/** `campaign send`: makes a campaign, uploads its list, and sends it when every record is valid or invalid ones may be skipped. */
import { newUuid, ownNow } from '../chance.ts';
import { sendTime } from '../domain/send-time.ts';
import { type Api, ApiFault, openApi } from './api.ts';
import { cancelCommand, continueCommand, newCampaignOptions, repeatCommand } from './campaign-command.ts';
import { heldBack, reasonAgainst, wordsOf } from './campaign-held.ts';
import { type List, openList } from './campaign-list.ts';
import { move } from './campaign-move.ts';
import { type Given, usage } from './campaign-options.ts';
import { look, tellEnd, watch } from './campaign-watch.ts';
import { type CampaignSeen, isOver, ledgerOf } from './campaign-words.ts';
import type { Said } from './command.ts';
import { patiently } from './patience.ts';

/** The campaign that the list is added to. `seen` is null when the key may not read it. */
type Found = { readonly id: string; readonly seen: CampaignSeen | null };

export async function* send(given: Given, path: string): AsyncGenerator<Said> {
  const wrong = faultIn(given);
  if (wrong !== null) return yield { fault: wrong };
  // Without a readable list no campaign is made.
  const list = await openList(path);
  if ('fault' in list) return yield list;
  const api = await openApi(given);
  const found = yield* find(api, given);
  const { id, seen } = found;
  if (seen?.status === 'canceled') return yield* tellEnd(api, seen);
  yield { text: `${id}\nIf this breaks off, continue with: ${continueCommand(given, path, id)}\n` };
  // A user who continues with a campaign may have sent it before.
  const isSent = seen !== null && seen.status !== 'draft';
  const sent = yield* isSent ? repeat(api, list, seen) : sendDraft({ api, given, list }, found);
  if (sent === null) return;
  if (given.watch) yield* watchSent(api, id);
  else if (isOver(sent)) yield* tellEnd(api, sent);
  else yield { text: ledgerOf(sent) };
}

function faultIn(given: Given): string | null {
  if (given.template === undefined && given.campaign === undefined) return usage;
  const ignored = given.campaign === undefined ? [] : newCampaignOptions.filter((name) => given[name] !== undefined);
  if (ignored.length > 0) return `${given.campaign} cannot be changed: leave out --${ignored.join(', --')}`;
  if (given.at === undefined) return null;
  const at = sendTime({ now: ownNow }).safeParse(given.at);
  if (!at.success) return `--at ${given.at} ${at.error.issues[0]?.message}`;
  return at.data < ownNow() ? `--at ${given.at} has passed: leave it out to send at once` : null;
}

/** The campaign to continue with, or a new one, made once however often the request is repeated. */
async function* find(api: Api, { campaign, ...given }: Given): AsyncGenerator<Said, Found> {
  if (campaign !== undefined) return { id: campaign, seen: yield* patiently(() => lookIfAllowed(api, campaign)) };
  const { template, from, subject, name, rate, route, at } = given;
  const body = { template: { id: template }, from, subject, name, rate, route, scheduled_at: at };
  const once = { body, headers: { 'idempotency-key': newUuid() } };
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

/** The same list gets its earlier answer; another list is refused. */
async function* repeat(api: Api, list: List, seen: CampaignSeen): AsyncGenerator<Said, CampaignSeen> {
  yield { text: wordsOf(yield* patiently(() => list.upload(api, seen.id))) };
  return seen;
}

type Sending = { readonly api: Api; readonly given: Given; readonly list: List };

/** @returns null when it was not sent */
async function* sendDraft({ api, given, list }: Sending, { id }: Found): AsyncGenerator<Said, CampaignSeen | null> {
  const isOurs = given.campaign === undefined;
  try {
    const uploaded = yield* patiently(() => list.upload(api, id));
    yield { text: wordsOf(uploaded) };
    const reason = reasonAgainst(uploaded, given['skip-invalid'] === true);
    if (reason === null) return yield* move(api, id, 'send');
    const isRemoved = isOurs && (yield* remove(api, id));
    const again = isRemoved ? repeatCommand(given, list.path) : continueCommand(given, list.path, id);
    const left = isRemoved ? null : cancelCommand(given, id);
    yield { fault: heldBack(reason, { list: list.path, id, left, again }), exit: 1 };
  } catch (error) {
    if (!(error instanceof ApiFault)) throw error;
    if (!isOurs) throw error;
    // What was refused would be refused again.
    const isRefused = error.passing === null && error.status !== null && error.status < 500;
    const isRemoved = isRefused && (yield* remove(api, id));
    const standing = isRemoved
      ? `${id} was removed. After correcting that: ${repeatCommand(given, list.path)}`
      : `${id} was kept. To cancel it: ${cancelCommand(given, id)}`;
    yield { fault: `${error.message}\n${standing}`, exit: 1 };
  }
  return null;
}

/** Removes the draft, so that a corrected list makes a new campaign and none is left behind. @returns whether it is gone */
async function* remove(api: Api, id: string): AsyncGenerator<Said, boolean> {
  try {
    yield* patiently(() => api('DELETE', `/campaigns/${id}`));
    return true;
  } catch (error) {
    if (error instanceof ApiFault) return error.status === 404;
    throw error;
  }
}

/** A failure to watch, as with a key that may only send, must not look as if the campaign was not sent. */
async function* watchSent(api: Api, id: string): AsyncGenerator<Said> {
  try {
    yield* watch(api, id);
  } catch (error) {
    if (!(error instanceof ApiFault)) throw error;
    yield { fault: `${id} was sent, but cannot be watched: ${error.message}`, exit: 1 };
  }
}
