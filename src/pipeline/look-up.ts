/** look-up: finds an email by its id, in a record of its own or at its place in a campaign. */
import { type Campaign, chunkSize } from '../domain/campaign.ts';
import {
  handOverAt,
  type Placed,
  placeContent,
  placeEmail,
  placeSteps,
  placeVariables,
} from '../domain/campaign-email.ts';
import type { Content, LoadedEmail, StoredEmail } from '../domain/email.ts';
import { placeId, placeIn } from '../domain/id.ts';
import { type CompiledTemplate, unmadeBecause, type Variables, type WovenLetter } from '../domain/template.ts';
import type { Timeline, TimelineStep } from '../domain/timeline.ts';
import { wholeContent } from '../domain/woven.ts';
import type { Campaigns } from '../store/campaigns.ts';
import type { Emails } from '../store/emails.ts';
import type { Templating } from '../templating/templating.ts';

type Deps = {
  emails: Pick<Emails, 'load' | 'read' | 'timeline'>;
  campaigns: Pick<Campaigns, 'get' | 'content' | 'at' | 'chunk'>;
  templating: Pick<Templating, 'compiled' | 'yieldTurn'>;
};

export type Found = LoadedEmail & {
  /** Why the letter could not be made; there is no content then. */
  readonly fault?: string;
  /** What became of it at its place in a campaign. */
  readonly step?: TimelineStep | undefined;
};
type Unmade = { readonly fault: string };
/** The content of an email of a campaign, or why it cannot be made. */
export type Made = { readonly content: Content } | Unmade;

/** Null when there is no such email. The emails of a campaign exist only once it is sent. */
export async function lookUp(deps: Deps, id: string): Promise<Found | null> {
  return (await deps.emails.load(id)) ?? (await lookUpPlaced(deps, id));
}

/** The timeline of an email. Faults are not counted while a recipient is at its place. */
export async function lookUpTimeline(deps: Deps, id: string): Promise<Timeline> {
  const timeline = await deps.emails.timeline(id);
  if (timeline.steps.length > 0 || timeline.faults > 0) return timeline;
  const { campaignId, place } = placeIn(id);
  const placed = await deps.campaigns.at(campaignId, place);
  return placed === null || placed.mark === 'left' ? timeline : { steps: placeSteps(placed), dropped: 0, faults: 0 };
}

async function lookUpPlaced(deps: Deps, id: string): Promise<Found | null> {
  const { campaignId, place } = placeIn(id);
  const [campaign, placed] = await Promise.all([deps.campaigns.get(campaignId), deps.campaigns.at(campaignId, place)]);
  if (campaign === null || campaign.state.status === 'draft' || placed === null || placed.mark === 'left') return null;
  const [step] = placeSteps(placed);
  const letter = await letterOf(deps, campaign, placed);
  if (letter === null) return { ...emailAt(campaign, placed, null), content: null, step };
  if ('fault' in letter) return { ...emailAt(campaign, placed, null), content: null, fault: letter.fault, step };
  return { ...emailAt(campaign, placed, letter), step, content: wholeContent(placeContent(campaign.head, letter)) };
}

/** The content of an email of a campaign as it was first made, also once it has left its place; null when nothing is left to make it of. */
export async function makeLetter(deps: Omit<Deps, 'emails'>, id: string): Promise<Made | null> {
  const { campaignId, place } = placeIn(id);
  const [campaign, placed] = await Promise.all([deps.campaigns.get(campaignId), deps.campaigns.at(campaignId, place)]);
  const letter = campaign && placed && (await letterOf(deps, campaign, placed));
  if (campaign === null || letter === null) return null;
  return 'fault' in letter ? letter : { content: wholeContent(placeContent(campaign.head, letter)) };
}

function emailAt(campaign: Campaign, placed: Placed, letter: Pick<WovenLetter, 'subject'> | null): StoredEmail {
  const { head, state } = campaign;
  const since = state.startedAt ?? state.scheduledAt ?? head.createdAt;
  const email = placeEmail(campaign, placed, letter?.subject ?? head.subject, since);
  // An email that may be at the next hop at this moment must not look like a waiting one, and cannot be changed.
  return { ...email, handOver: handOverAt(placed, since) };
}

/** The emails at these places of a campaign, in the same order and without content: only the subjects of their letters are rendered. */
export async function lookUpPlaces(
  deps: Pick<Deps, 'campaigns' | 'templating'> & { emails: Pick<Emails, 'read'> },
  campaign: Campaign,
  places: readonly number[],
): Promise<StoredEmail[]> {
  const { id } = campaign.head;
  const records = await Promise.all(places.map((place) => deps.emails.read(placeId(id, place))));
  const rest = places.filter((_, n) => records[n] === null);
  const chunks = new Set(rest.map((place) => Math.floor(place / chunkSize)));
  const placed = (await Promise.all([...chunks].map((chunk) => deps.campaigns.chunk(id, chunk)))).flat();
  const standing = new Map(placed.map((one) => [one.place, one]));
  const compiled = rest.length === 0 ? null : await subjectsOf(deps, id);
  const found: StoredEmail[] = [];
  for (const [n, place] of places.entries()) {
    const [record, one] = [records[n], standing.get(place)];
    if (record) found.push(record);
    if (record || one === undefined || one.mark === 'left') continue;
    const letter = compiled && (await rendered(deps, compiled, placeVariables(one.row)));
    found.push(emailAt(campaign, one, letter === null || 'fault' in letter ? null : letter));
  }
  return found;
}

/** The compiled content of a campaign without its bodies, which take long to render. */
async function subjectsOf({ campaigns, templating }: Pick<Deps, 'campaigns' | 'templating'>, id: string) {
  const compiled = await templating.compiled({ id: `${id}:subject`, version: 0 }, async () => {
    const content = await campaigns.content(id);
    return content && { ...content, html: null, text: null, preheader: null };
  });
  return compiled === null || 'faults' in compiled ? null : compiled;
}

/** The letter as it was or will be sent; null when the content of the campaign is gone. */
async function letterOf(
  deps: Omit<Deps, 'emails'>,
  { head }: Campaign,
  { row }: Placed,
): Promise<WovenLetter | Unmade | null> {
  const compiled = await deps.templating.compiled({ id: head.id, version: 0 }, () => deps.campaigns.content(head.id));
  if (compiled === null) return null;
  return 'faults' in compiled
    ? { fault: unmadeBecause(compiled.faults) }
    : rendered(deps, compiled, placeVariables(row));
}

async function rendered(
  { templating }: Pick<Deps, 'templating'>,
  compiled: CompiledTemplate,
  variables: Variables,
): Promise<WovenLetter | Unmade> {
  await templating.yieldTurn();
  const letter = compiled.weave(variables);
  return 'faults' in letter ? { fault: unmadeBecause(letter.faults) } : letter;
}
