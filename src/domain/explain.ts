/** Explains why an email is not out yet and when it will move, in plain words and in fields. Pure. */
import type { Campaign } from './campaign.ts';
import { endOf, type RetryPolicy } from './decide.ts';
import { type StoredEmail, shownRecipients, shownStatus } from './email.ts';
import { type CampaignReason, campaignReasons, explainCampaign } from './explain-campaign.ts';
import {
  explainParked,
  isTended,
  type ParkedAt,
  type ParkedReason,
  parkedReasons,
  parkedWaits,
} from './explain-parked.ts';
import { isoOf } from './iso-time.ts';
import { nextDue, type Recipient, type RecipientStatus } from './recipient.ts';

/** What an email may wait for, or why it waits for nothing. `docs/delivery.md` has what each means to the caller. */
export const explanationReasons = [
  'scheduled',
  'waiting_for_worker',
  'waiting_for_queue',
  'in_hand',
  'waiting_for_file',
  ...parkedReasons,
  ...campaignReasons,
  'sending',
  'transport_trouble',
  'deferred',
  'attachment_trouble',
  'held',
  'final',
] as const;

export type ExplanationReason = (typeof explanationReasons)[number];

/** Where the email's job is in the queue, how many wait there, and which transport it is parked for or holds up its campaign; null for none. */
export type Whereabouts = {
  readonly job: 'waiting' | 'active' | 'absent';
  readonly waiting: number;
  /** The host of the file that it waits for; null for none. */
  readonly fileHost: string | null;
  readonly parked: ParkedAt | null;
  /** The campaign of an email that waits at its place, or whose campaign is paused; null for any other email. */
  readonly campaign: Campaign | null;
};

export type Explanation = {
  readonly status: RecipientStatus;
  readonly reason: ExplanationReason;
  readonly summary: string;
  /** When it moves by itself, milliseconds since the epoch; null when it does not, or as soon as a worker is free. */
  readonly movesAt: number | null;
  /** When it is given up at the latest; null when nothing is pending. */
  readonly endsAt: number | null;
  readonly recipients: readonly { readonly address: string; readonly status: RecipientStatus; readonly why: string }[];
};

export function explain(email: StoredEmail, where: Whereabouts, policy: RetryPolicy, now: number): Explanation {
  const { state } = email;
  const dueAt = nextDue(state);
  const whole = whyNotOut(email, where, now);
  const isOfCampaign = campaignReasons.some((reason) => reason === whole.reason);
  const next = ({ status }: Recipient, at: number) => {
    if (status === 'sending') return statusMeanings.sending;
    if (at > now && !isOfCampaign) return `next attempt at ${time(at)}`;
    return email.handOver === null
      ? waitOf(whole.reason, where)
      : 'waits until the others of its email are handed over';
  };
  const recipients = shownRecipients(email).map((recipient) => ({
    address: recipient.address,
    status: recipient.status,
    why: whyOf(recipient, next),
  }));
  return {
    status: shownStatus(email),
    ...whole,
    endsAt: dueAt === null ? null : endOf(state, policy),
    recipients,
  };
}

function whyNotOut(
  email: StoredEmail,
  where: Whereabouts,
  now: number,
): Pick<Explanation, 'reason' | 'summary' | 'movesAt'> {
  const reason = reasonOf(email, where, now);
  const { parked, campaign } = where;
  if (campaign !== null && nextDue(email.state) !== null && email.handOver === null)
    return parked !== null && isTended(parked)
      ? explainParked(parked, email.facts.lane, now)
      : explainCampaign(campaign);
  if (reason === 'waiting_for_queue' && parked !== null && isTended(parked))
    return explainParked(parked, email.facts.lane, now);
  const dueAt = nextDue(email.state);
  const movesAt = dueAt !== null && dueAt > now && reason !== 'sending' ? dueAt : null;
  return { reason, summary: summaries[reason](email, where), movesAt };
}

type UnparkedReason = Exclude<ExplanationReason, ParkedReason | CampaignReason>;

function reasonOf({ state, handOver }: StoredEmail, { job, fileHost }: Whereabouts, now: number): UnparkedReason {
  if (handOver !== null) return 'sending';
  const dueAt = nextDue(state);
  if (dueAt === null) return state.recipients.some(({ status }) => status === 'outcome_unknown') ? 'held' : 'final';
  const next = nextRecipient(state.recipients);
  if (dueAt <= now) {
    if (fileHost !== null) return 'waiting_for_file';
    if (job === 'active') return 'in_hand';
    return job === 'absent' ? 'waiting_for_queue' : 'waiting_for_worker';
  }
  if (next?.status === 'scheduled') return 'scheduled';
  if (next?.transport === null && next.status === 'deferred') return 'attachment_trouble';
  return next !== undefined && hasMetTrouble(next) ? 'transport_trouble' : 'deferred';
}

/** Whether its last attempt was no attempt of the message: there was no reply, and the message cannot have been handed over either. */
function hasMetTrouble({ status, smtp, reason, unanswered }: Recipient): boolean {
  return status === 'queued' || (smtp === null && reason !== unanswered);
}

function nextRecipient(recipients: readonly Recipient[]): Recipient | undefined {
  return recipients
    .filter(({ nextAttemptAt }) => nextAttemptAt !== null)
    .toSorted((a, b) => (a.nextAttemptAt ?? 0) - (b.nextAttemptAt ?? 0))[0];
}

type Summary = (email: StoredEmail, where: Whereabouts) => string;

const summaries: Readonly<Record<UnparkedReason, Summary>> = {
  scheduled: ({ state }) => `It is scheduled for ${time(nextDue(state))} and waits for that time.`,
  waiting_for_worker: ({ facts }, { waiting }) =>
    `It is due and waits for a free worker, with ${waiting} ${waiting === 1 ? 'email' : 'emails'} in the ${facts.lane} queue. If this lasts, check that a worker is running.`,
  waiting_for_queue: () =>
    'It is safely stored and waits for a worker to take it into the queue. If this lasts, check that a worker is running.',
  in_hand: () =>
    'A worker is handling it: its message is being made or waits for a connection. If that worker died, another takes over within twice WORKER_LOCK. If this lasts, check that a worker is running.',
  waiting_for_file: (_, { fileHost }) =>
    `One of its files is being fetched from ${fileHost}, or waits for its turn: each host gets only a share of the fetches of a worker. Waiting for a turn counts as no attempt.`,
  sending: ({ handOver }) =>
    `It has been in hand-over to the next hop by transport ${handOver?.transport} since ${time(handOver?.at ?? null)}. If its worker died, another takes over within twice WORKER_LOCK.`,
  transport_trouble: ({ state }) =>
    `Transport ${nextRecipient(state.recipients)?.transport} is in trouble. This does not count as an attempt of the email. It is tried again at ${time(nextDue(state))}.`,
  deferred: ({ state }) =>
    `An attempt failed, but a later one may succeed. The next one is at ${time(nextDue(state))}.`,
  attachment_trouble: ({ state }) => `An attachment could not be fetched. The next try is at ${time(nextDue(state))}.`,
  held: () =>
    'It is unknown whether the next hop has it, so it is held, as on_unknown says. POST …/retry sends it again under the same Message-ID, POST …/cancel ends it.',
  final: ({ state }) => `Done: ${countByStatus(state.recipients)}. Nothing more will be tried.`,
};

/** What a recipient that is due waits for. */
function waitOf(reason: ExplanationReason, { parked }: Whereabouts): string {
  if (reason in parkedWaits) return `waits for transport ${parked?.report.name} ${parkedWaits[reason as ParkedReason]}`;
  if (campaignReasons.some((one) => one === reason)) return 'waits for its campaign';
  if (reason === 'waiting_for_file') return 'waits for a file';
  return reason === 'in_hand' ? 'is being handled by a worker' : 'is due and waits for a worker';
}

/** @param nextOf says what the recipient waits for, given a time in the past or in the future */
function whyOf(recipient: Recipient, nextOf: (recipient: Recipient, at: number) => string): string {
  const { status, smtp, transport, reason, attempts, nextAttemptAt } = recipient;
  const said = smtp === null ? '' : `${transport} answered: ${smtp.reply}`;
  const count = attempts === 0 ? '' : `after ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}`;
  const next = nextAttemptAt === null ? '' : nextOf(recipient, nextAttemptAt);
  return [reason ?? '', said, count, next].filter((part) => part !== '').join('; ') || statusMeanings[status];
}

export const statusMeanings: Readonly<Record<RecipientStatus, string>> = {
  scheduled: 'waits for its time',
  queued: 'waits for its first attempt',
  deferred: 'waits for its next attempt',
  sending: 'is being handed over',
  outcome_unknown: 'is held because its outcome is unknown',
  sent: 'was accepted by the next hop',
  delivered: 'was delivered to the final host',
  suppressed: 'is on the suppression list',
  canceled: 'was canceled',
  expired: 'was not delivered in time',
  failed: 'could not be sent',
  bounced: 'was permanently refused',
  complained: 'was reported as spam',
};

function countByStatus(recipients: readonly Recipient[]): string {
  const counts = new Map<RecipientStatus, number>();
  for (const { status } of recipients) counts.set(status, (counts.get(status) ?? 0) + 1);
  return [...counts].map(([status, count]) => `${count} ${status}`).join(', ');
}

function time(at: number | null): string {
  return at === null ? 'an unknown time' : isoOf(at);
}
