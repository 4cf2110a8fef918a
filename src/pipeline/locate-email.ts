/** locate-email: finds where an email waits: its job, how many emails wait in its lane, and the transport it is parked for. */
import { hostOf, missingFileOf } from '../domain/attachment.ts';
import { sliceSize } from '../domain/campaign.ts';
import { isAtPlace } from '../domain/campaign-email.ts';
import { type StoredEmail, unreadable } from '../domain/email.ts';
import type { Whereabouts } from '../domain/explain.ts';
import type { ParkedAt } from '../domain/explain-parked.ts';
import { placeIn } from '../domain/id.ts';
import type { Lane } from '../domain/lane.ts';
import { nextDue } from '../domain/recipient.ts';
import { routeFor } from '../domain/transport-plan.ts';
import { isServing, type TransportReport } from '../domain/transport-report.ts';
import type { Plans } from '../outbound/plans.ts';
import type { DeliverQueue } from '../queue/deliver-queue.ts';
import type { Budgets } from '../store/budgets.ts';
import type { CampaignSlices } from '../store/campaign-slices.ts';
import type { Campaigns } from '../store/campaigns.ts';
import type { Due } from '../store/due.ts';
import type { Emails } from '../store/emails.ts';

type Deps = {
  plans: Pick<Plans, 'plan'>;
  due: Pick<Due, 'waiting' | 'isForFile'>;
  emails: Pick<Emails, 'content'>;
  deliverQueues: Readonly<Record<Lane, Pick<DeliverQueue, 'whereabouts'>>>;
  budgets: Pick<Budgets, 'parkedFor' | 'whereParked'>;
  campaigns: Pick<Campaigns, 'get'>;
  slices: Pick<CampaignSlices, 'setAside'>;
  reportTransports(names: readonly string[]): Promise<readonly TransportReport[]>;
  now(): number;
};

export async function locateEmail(deps: Deps, email: StoredEmail): Promise<Whereabouts> {
  const { id, lane, campaignId } = email.facts;
  const now = deps.now();
  const campaign = campaignId === null ? null : await deps.campaigns.get(campaignId);
  // An email that left its place is delivered like any other, except while its campaign is paused.
  if (campaign !== null && (isAtPlace(email) || campaign.state.status === 'paused')) {
    const parked = campaign.state.status === 'running' ? await findHoldUp(deps, email) : null;
    return { job: 'absent', waiting: 0, fileHost: null, parked, campaign };
  }
  const [{ job, waiting }, stored] = await Promise.all([
    deps.deliverQueues[lane].whereabouts(id),
    deps.due.waiting(lane, now),
  ]);
  // An email that was changed after it was parked stays in the parked set until its release: only a due email can be parked.
  const mayBeParked = job === 'absent' && email.handOver === null && (nextDue(email.state) ?? now + 1) <= now;
  const fileHost = await findFileHost(deps, email);
  const parked = mayBeParked && fileHost === null ? await findParked(deps, email) : null;
  return { job, waiting: waiting + stored, fileHost, parked, campaign: null };
}

/** The host of the file that an email waits for; null when it waits for none. */
async function findFileHost({ due, emails, now }: Deps, email: StoredEmail): Promise<string | null> {
  const { id, lane } = email.facts;
  if (email.handOver !== null || !(await due.isForFile(lane, id, now()))) return null;
  const content = await emails.content(id);
  const missing = content === null || content === unreadable ? null : missingFileOf(content, 0);
  return missing && hostOf(missing.url);
}

/**
 * A recipient at its place is never parked. It is held up when no transport of its route is in service, when the first that is could not take
 * others of its campaign, or when its slice was set aside for another: then that is the one that can take this recipient.
 */
async function findHoldUp(deps: Deps, { facts }: StoredEmail): Promise<ParkedAt | null> {
  const { campaignId, place } = placeIn(facts.id);
  const [reports, { all, ofSlice }] = await Promise.all([
    deps.reportTransports(routeFor(deps.plans.plan, facts).transports),
    deps.slices.setAside(campaignId, Math.floor(place / sliceSize)),
  ]);
  const first = reports.find(isServing);
  const waitsFor = first !== undefined && all.includes(first.name) ? [first.name] : ofSlice;
  const report = first === undefined ? reports[0] : reports.find(({ name }) => waitsFor.includes(name));
  if (report === undefined) return null;
  return { ahead: null, report, others: reports.filter((each) => each !== report) };
}

/** Looks at the transports of its route first, then at all that mail is parked for: the plan may have changed since. */
async function findParked(deps: Deps, email: StoredEmail): Promise<ParkedAt | null> {
  const { id, lane } = email.facts;
  const transports = routeFor(deps.plans.plan, email.facts).transports;
  const names = [...new Set([...transports, ...(await deps.budgets.parkedFor())])];
  const places = await Promise.all(
    names.map(async (name) => ({ name, place: await deps.budgets.whereParked(name, id, lane) })),
  );
  for (const { name, place } of places) {
    if (place === null) continue;
    const reports = await deps.reportTransports([...new Set([name, ...transports])]);
    const report = reports.find((each) => each.name === name);
    // The transport left the plan: a worker is about to release its mail.
    if (report === undefined) continue;
    return { ahead: place.ahead, report, others: reports.filter((each) => each !== report) };
  }
  return null;
}
