/** deliver: the emails of a job. Load, attempt each, settle. Files that are missing are fetched elsewhere. */
import type { Semaphore } from '../concurrency/semaphore.ts';
import type { MissingFile } from '../domain/attachment.ts';
import { type EmailInHand, type EmailState, type HandOver, isHandedOver, type StoredEmail } from '../domain/email.ts';
import { isoOf } from '../domain/iso-time.ts';
import type { Lane } from '../domain/lane.ts';
import { type Answer, done, type SettledOutcome } from '../domain/outcome.ts';
import { askedFor, nextDue } from '../domain/recipient.ts';
import { isSandbox, sandboxAnswer, sandboxTransport, slowMs } from '../domain/sandbox.ts';
import type { DeliverJob, DeliverQueue } from '../queue/deliver-queue.ts';
import type { Campaigns } from '../store/campaigns.ts';
import type { Due } from '../store/due.ts';
import type { Emails } from '../store/emails.ts';
import type { Attempted } from './attempt.ts';

type Deps = {
  emails: Pick<Emails, 'loadAll'>;
  due: Pick<Due, 'mark'>;
  campaigns: Pick<Campaigns, 'stopped'>;
  queue: Pick<DeliverQueue, 'isLive'>;
  lane: Lane;
  /** Emails in hand at a time. */
  inHand: Pick<Semaphore, 'take'>;
  /** One job at a time takes places: those behind it must not take them one by one. */
  line: Pick<Semaphore, 'take'>;
  /** Ids of emails that were handed over and whose answer is not stored yet. */
  handedOver: Set<string>;
  attempt(job: DeliverJob, email: EmailInHand, attemptId: string): Promise<Attempted>;
  /** Has a file fetched outside the jobs: the email comes again by itself. */
  fetchFile(email: StoredEmail, missing: MissingFile): Promise<void>;
  /** Finds the permits of emails. @returns voids what an email has not used of them */
  findPermits(ids: readonly string[]): Promise<(id: string) => Promise<void>>;
  /** For each email its suppressed recipients, as an outcome; null when there are none. */
  suppress(emails: readonly (StoredEmail | null)[], lane: Lane): Promise<(SettledOutcome | null)[]>;
  settle(email: StoredEmail, outcome: SettledOutcome, attemptId: string): Promise<unknown>;
  /** Ends an email whose campaign is canceled. False when it is to be looked at again. */
  callOff(emailId: string): Promise<boolean>;
  /** Aborted when the process begins to stop. */
  stopping: AbortSignal;
  onTrouble(part: 'deliver', error: unknown, fields: { readonly email: string }): void;
  newId(prefix: 'at'): string;
  now(): number;
};

/** A job waits in line for this long, and for each place. Then it goes back to the queue, where another worker may take it. */
const placeWaitMs = 2_000;
/** At the head of the line, it begins after this with the places that are free: an email that hangs must not keep it from them. */
const togetherWaitMs = 100;
/** A job that found no place comes again after this long: at once, the worker that just gave it back would always be the first to take it. */
const passOnMs = 50;
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
  const leaveLine = await deps.line.take(deps.stopping, 1, placeWaitMs);
  if (leaveLine === null) return { again: deps.now() + passOnMs };
  const { count, works } = await begin(deps, job).finally(leaveLine);
  if (count === 0) return { again: deps.now() + passOnMs };
  await allEnded([...works, markAgain(deps, job.emails.slice(count), deps.now())]);
  return done;
}

/** Begins the first `count` emails of a job: all together, or as many as find places one by one. */
async function begin(deps: Deps, job: DeliverJob): Promise<{ count: number; works: Promise<void>[] }> {
  const { inHand, stopping } = deps;
  const places = await inHand.take(stopping, job.emails.length, togetherWaitMs);
  if (places !== null) return { count: job.emails.length, works: [dealWithAll(deps, job, job.emails, places)] };
  const works: Promise<void>[] = [];
  for (const id of job.emails) {
    const place = await inHand.take(stopping, 1, placeWaitMs);
    if (place === null) break;
    const work = dealWithAll(deps, job, [id], place);
    work.catch(() => {}); // `allEnded` throws its error, once the other emails have found their places
    works.push(work);
  }
  return { count: works.length, works };
}

/** Throws only after all have ended: a new run of the job would settle as unknown what is still being sent. */
async function allEnded(works: readonly Promise<void>[]): Promise<void> {
  for (const end of await Promise.allSettled(works)) if (end.status === 'rejected') throw end.reason;
}

/** Loads emails of a job and deals with each. @param release gives back their places */
async function dealWithAll(
  deps: Deps,
  job: DeliverJob,
  ids: readonly string[],
  release: (part?: number) => void,
): Promise<void> {
  try {
    const [loaded, voidPermits] = await Promise.all([loadAll(deps, ids), deps.findPermits(ids)]);
    const suppressed = await deps.suppress(loaded, deps.lane);
    const deal = async (id: string, place: number) => {
      await dealWith(deps, job, loaded[place] ?? null, suppressed[place] ?? null).finally(() => release(1));
      await voidPermits(id);
    };
    await allEnded(ids.map(deal));
  } finally {
    release();
  }
}

/** Records that cannot be read are marked to be looked at again later. The other emails of the job go on. */
async function loadAll(deps: Deps, ids: readonly string[]): Promise<(EmailInHand | null)[]> {
  const damaged: string[] = [];
  const loaded = await deps.emails.loadAll(ids, (email, error) => {
    deps.onTrouble('deliver', error, { email });
    damaged.push(email);
  });
  await markAgain(deps, damaged, deps.now() + damagedWaitMs);
  return loaded;
}

async function markAgain({ due, lane, now }: Deps, ids: readonly string[], at: number): Promise<void> {
  const marks = ids.map((id) => ({ id, at }));
  await due.mark(lane, marks, now());
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
  if (at !== null) await markAgain(deps, [id], at);
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
  return conclude(deps, email, suppressed ?? (await deps.attempt(job, email, attemptId)), attemptId);
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

/** The outcome of a hand-over that no worker has in hand. Only the sandbox still answers, as it needs no process. */
function outcomeOf(handOver: HandOver, state: EmailState): SettledOutcome {
  if (handOver.transport === sandboxTransport) {
    const asked = state.recipients.filter((one) => isSandbox(one.address) && isHandedOver(one, handOver));
    const { to, attempts } = askedFor(asked);
    return sandboxAnswer(to, attempts).answer;
  }
  const detail = `the worker stopped after the hand-over began at ${isoOf(handOver.at)}`;
  const { transport, to } = handOver;
  return { kind: 'unknown', transport, detail, refused: [], ...(to === undefined ? {} : { to }) };
}
