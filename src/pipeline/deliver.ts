/** deliver: one attempt at each email of a job. Load, gather its files, compose, send, settle. Files that are missing are fetched elsewhere. */
import type { Semaphore } from '../concurrency/semaphore.ts';
import type { MissingFile } from '../domain/attachment.ts';
import {
  type Content,
  type EmailInHand,
  type EmailState,
  type Files,
  type HandOver,
  isHandedOver,
  isHeavy,
  leastBytesOf,
  type StoredEmail,
  type Unreadable,
  unreadable,
} from '../domain/email.ts';
import type { Lane } from '../domain/lane.ts';
import { type Answer, done, type SettledOutcome, unmade } from '../domain/outcome.ts';
import { isPending, nextDue, type Recipient } from '../domain/recipient.ts';
import { isSandbox, nextGroup, sandboxAnswer, sandboxTransport, slowMs } from '../domain/sandbox.ts';
import type { DeliverJob, DeliverQueue } from '../queue/deliver-queue.ts';
import type { Campaigns } from '../store/campaigns.ts';
import type { Due } from '../store/due.ts';
import type { Emails } from '../store/emails.ts';
import type { Dispatched, Outgoing } from './dispatch.ts';

type Deps = {
  emails: Pick<Emails, 'loadAll' | 'content' | 'claimHandOver'>;
  due: Pick<Due, 'mark'>;
  campaigns: Pick<Campaigns, 'stopped'>;
  queue: Pick<DeliverQueue, 'isLive'>;
  lane: Lane;
  /** Emails in hand at a time. */
  inHand: Pick<Semaphore, 'take'>;
  /** Ids of emails that were handed over and whose answer is not stored yet. */
  handedOver: Set<string>;
  /** Bytes of large emails in hand at a time, so that fifty of them do not fill the memory. */
  room: Pick<Semaphore, 'take'>;
  /** The first file that is still to be fetched; null when all are there. */
  missingFile(content: Content): MissingFile | null;
  gatherFiles(content: Content): Promise<Files>;
  /** Has a file fetched outside the jobs: the email comes again by itself. */
  fetchFile(email: StoredEmail, missing: MissingFile): Promise<void>;
  /** Finds the permits of emails. @returns voids what an email has not used of them */
  findPermits(ids: readonly string[]): Promise<(id: string) => Promise<void>>;
  /** For each email its suppressed recipients, as an outcome; null when there are none. */
  suppress(emails: readonly (StoredEmail | null)[], lane: Lane): Promise<(SettledOutcome | null)[]>;
  compose(email: StoredEmail, content: Content, files: Files): Promise<Buffer>;
  dispatch(outgoing: Outgoing): Promise<Dispatched>;
  /** Why an expired email was not sent in time; null when that is not known. */
  explainExpiry(email: StoredEmail, missing: MissingFile | null): Promise<string | null>;
  settle(email: StoredEmail, outcome: SettledOutcome, attemptId: string): Promise<unknown>;
  /** Ends an email whose campaign is canceled. False when it is to be looked at again. */
  callOff(emailId: string): Promise<boolean>;
  /** Aborted when the process begins to stop. */
  stopping: AbortSignal;
  onTrouble(part: 'deliver', error: unknown, fields: { readonly email: string }): void;
  newId(prefix: 'at'): string;
  now(): number;
};

/** A job that waits this long for places in hand goes back to the queue, where another worker may take it. */
const placeWaitMs = 2_000;
/** An email that another job is working on is looked at again after this long, in case that job fails. */
const leaveAloneMs = 5_000;
/**
 * An email of a paused campaign is looked at again after as long as the pause has lasted so far, within these bounds: each look costs
 * something, and many emails may wait.
 */
const leastPausedWaitMs = 5_000;
const mostPausedWaitMs = 60_000;

/** Wait after an error with an email: a bug, or Redis is away. A quick retry helps with neither. */
const troubleWaitMs = 5_000;
/** Wait after a record could not be read: perhaps a worker of another version can read it, and each look writes a log line. */
const damagedWaitMs = 60_000;

export async function deliver(deps: Deps, job: DeliverJob): Promise<Answer> {
  const signal = AbortSignal.any([deps.stopping, AbortSignal.timeout(placeWaitMs)]);
  const release = await deps.inHand.take(signal, job.emails.length);
  if (release === null) return { again: deps.now() };
  try {
    const [loaded, voidPermits] = await Promise.all([loadAll(deps, job), deps.findPermits(job.emails)]);
    const suppressed = await deps.suppress(loaded, deps.lane);
    const deal = async (id: string, place: number) => {
      await dealWith(deps, job, loaded[place] ?? null, suppressed[place] ?? null).finally(() => release(1));
      await voidPermits(id);
    };
    const dealt = await Promise.allSettled(job.emails.map(deal));
    // Thrown only after all have ended: a new run of this job would settle as unknown what is still being sent.
    for (const one of dealt) if (one.status === 'rejected') throw one.reason;
    return done;
  } finally {
    release();
  }
}

/** Records that cannot be read are marked to be looked at again later. The other emails of the job go on. */
async function loadAll(deps: Deps, job: DeliverJob): Promise<(EmailInHand | null)[]> {
  const damaged: string[] = [];
  const loaded = await deps.emails.loadAll(job.emails, (email, error) => {
    deps.onTrouble('deliver', error, { email });
    damaged.push(email);
  });
  const at = deps.now() + damagedWaitMs;
  await deps.due.mark(
    deps.lane,
    damaged.map((id) => ({ id, at })),
    deps.now(),
  );
  return loaded;
}

/** Sends one email. When nothing was settled, marks at once when it comes again: other emails of the job may take minutes. */
async function dealWith(
  deps: Deps,
  job: DeliverJob,
  email: EmailInHand | null,
  suppressed: SettledOutcome | null,
): Promise<void> {
  if (email === null) return;
  const { id } = email.facts;
  const trouble = (error: unknown) => {
    deps.onTrouble('deliver', error, { email: id });
    return deps.now() + troubleWaitMs;
  };
  const at = await deliverOne(deps, job, email, suppressed).catch(trouble);
  deps.handedOver.delete(id);
  if (at !== null) await deps.due.mark(deps.lane, [{ id, at }], deps.now());
}

function lookAgainAt(pausedAt: number, now: number): number {
  return now + Math.min(mostPausedWaitMs, Math.max(leastPausedWaitMs, now - pausedAt));
}

/** @returns when the email comes again, if nothing was settled; null when there is nothing more to do here */
async function deliverOne(
  deps: Deps,
  job: DeliverJob,
  email: EmailInHand,
  suppressed: SettledOutcome | null,
): Promise<number | null> {
  const dueAt = nextDue(email.state);
  if (dueAt === null) return null;
  if (email.handOver !== null) return settleFound(deps, job, email, email.handOver);
  if (dueAt > deps.now()) return dueAt;
  const { id, campaignId } = email.facts;
  const stop = campaignId === null ? null : await deps.campaigns.stopped(campaignId);
  if (stop?.kind === 'paused') return lookAgainAt(stop.at, deps.now());
  if (stop?.kind === 'canceled') return (await deps.callOff(id)) ? null : deps.now() + leaveAloneMs;
  const attemptId = deps.newId('at');
  // Its other recipients stay due: settling the suppressed ones brings the email again for them.
  return conclude(deps, email, suppressed ?? (await attempt(deps, job, email, attemptId)), attemptId);
}

/** A hand-over stands: another job works on the email, or nobody knows what came of it. */
async function settleFound(
  deps: Deps,
  job: DeliverJob,
  email: EmailInHand,
  handOver: HandOver,
): Promise<number | null> {
  const untilAt = await inOtherHandsUntil(deps, job, handOver);
  return untilAt ?? conclude(deps, email, outcomeOf(handOver, email.state), handOver.attemptId);
}

/** Settles the outcome, unless there is nothing to settle yet. @returns as `deliverOne` does */
async function conclude(deps: Deps, email: EmailInHand, outcome: Attempted, attemptId: string): Promise<number | null> {
  // The email changed before the hand-over, or no connection was free: read it again at once.
  if (outcome.kind === 'withheld') return deps.now();
  if (outcome.kind === 'parked' || outcome.kind === 'kept') return null;
  if (outcome.kind === 'awaited') return outcome.at;
  if (outcome.kind === 'missing_file') await deps.fetchFile(email, outcome);
  else await deps.settle(email, outcome, attemptId);
  return null;
}

/** When an open hand-over is looked at again; null when nobody works on it any more. */
async function inOtherHandsUntil({ queue, now }: Deps, job: DeliverJob, handOver: HandOver): Promise<number | null> {
  if (handOver.transport === sandboxTransport) return handOver.at + slowMs > now() ? handOver.at + slowMs : null;
  // A hand-over by this same job: its worker died. By another job that is still in the queue: that job is still working on it.
  const isOurs = handOver.job === job.id;
  return isOurs || !(await queue.isLive(handOver.job)) ? null : now() + leaveAloneMs;
}

type Attempted = Dispatched | MissingFile;

/** A wait for room ends after this and starts again, so that an email that expires meanwhile is noticed. */
const roomWaitMs = 30_000;

/** Loads a heavy email only while there is room for it in memory. Until then only the weight of its content is known. */
async function attempt(deps: Deps, job: DeliverJob, email: EmailInHand, attemptId: string): Promise<Attempted> {
  if (!isHeavy(email.content)) return tryNow(deps, job, email, attemptId);
  const release = await deps.room.take(AbortSignal.timeout(roomWaitMs), email.content.weight);
  if (release === null) return { kind: 'withheld' };
  try {
    return await tryNow(deps, job, email, attemptId);
  } finally {
    release();
  }
}

/** The outcome of a hand-over that no worker has in hand. Only the sandbox still answers, as it needs no process. */
function outcomeOf(handOver: HandOver, state: EmailState): SettledOutcome {
  if (handOver.transport === sandboxTransport) {
    const asked = state.recipients.filter((one) => isSandbox(one.address) && isHandedOver(one, handOver));
    const { to, attempts } = askedFor(asked);
    return sandboxAnswer(to, attempts).answer;
  }
  const detail = `the worker stopped after the hand-over began at ${new Date(handOver.at).toISOString()}`;
  return { kind: 'unknown', transport: handOver.transport, detail, refused: [], ...forSome(handOver) };
}

type Group = ReturnType<typeof nextGroup> & Pick<HandOver, 'to'>;

/** Whom the next attempt is for, with their addresses where others are pending as well. */
function groupOf({ recipients }: EmailState, now: number): Group {
  const pending = recipients.filter(({ status }) => isPending(status));
  const group = nextGroup(pending, now);
  return group.recipients.length === pending.length ? group : { ...group, to: askedFor(group.recipients).to };
}

function forSome({ to }: { readonly to?: HandOver['to'] | undefined }): Pick<HandOver, 'to'> {
  return to === undefined ? {} : { to };
}

function askedFor(recipients: readonly Recipient[]): { to: string[]; attempts: number } {
  const to = [...new Set(recipients.map(({ address }) => address))];
  return { to, attempts: Math.min(...recipients.map((recipient) => recipient.attempts)) };
}

async function tryNow(deps: Deps, job: DeliverJob, email: EmailInHand, attemptId: string): Promise<Attempted> {
  const { state } = email;
  const isOver = () => state.expiresAt !== null && state.expiresAt <= deps.now();
  const content = isHeavy(email.content) ? await deps.emails.content(email.facts.id) : email.content;
  // Before a transport is asked: an email that cannot be sent yet must not be ahead of others in the line for its rate.
  const missing = content === null || content === unreadable ? null : deps.missingFile(content);
  if (isOver()) return { kind: 'expired', why: await deps.explainExpiry(email, missing) };
  if (missing !== null) return missing;
  const group = groupOf(state, deps.now());
  const asked = askedFor(group.recipients);
  let made: ReturnType<Outgoing['message']> | undefined;
  const dispatched = await deps.dispatch({
    email,
    isSandbox: group.isSandbox,
    to: asked.to,
    leastBytes: content === null || content === unreadable ? 0 : leastBytesOf(content),
    message(transport) {
      made ??= makeMessage(deps, email, content, asked, transport);
      return made;
    },
    // The wait for a connection may have lasted past its end: then it is withheld, and expires at the next look.
    async claim(transport, to = group.to) {
      if (isOver()) return false;
      const handOver = { at: deps.now(), transport, attemptId, job: job.id, ...forSome({ to }) };
      const isOurs = await deps.emails.claimHandOver(email, handOver);
      if (isOurs) deps.handedOver.add(email.facts.id);
      return isOurs;
    },
  });
  const { kind } = dispatched;
  if (group.to === undefined || kind === 'withheld' || kind === 'parked' || kind === 'kept') return dispatched;
  return { to: group.to, ...dispatched };
}

async function makeMessage(
  deps: Deps,
  email: StoredEmail,
  content: Content | Unreadable | null,
  { to, attempts }: ReturnType<typeof askedFor>,
  transport: string,
): ReturnType<Outgoing['message']> {
  const { facts } = email;
  if (content === null) return unmade(transport, 'its content is gone');
  if (content === unreadable) return unmade(transport, 'its content cannot be read');
  const files = await deps.gatherFiles(content);
  const raw = await deps.compose(email, content, files).catch((error: Error) => error);
  if (raw instanceof Error) return unmade(transport, `it could not be composed: ${raw.message}`);
  return { emailId: facts.id, envelope: { from: facts.from.address, to }, raw, dsn: facts.dsn, attempts };
}
