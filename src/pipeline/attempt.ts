/** attempt: one attempt at an email that is due, of those of its recipients that may be tried together. Gather its files, compose, send. */
import type { Semaphore } from '../concurrency/semaphore.ts';
import type { MissingFile } from '../domain/attachment.ts';
import {
  type Content,
  type EmailInHand,
  type EmailState,
  type Files,
  type HandOver,
  isHeavy,
  leastBytesOf,
  type StoredEmail,
  type Unreadable,
  unreadable,
} from '../domain/email.ts';
import { unmade } from '../domain/outcome.ts';
import { askedFor, isPending } from '../domain/recipient.ts';
import { nextGroup } from '../domain/sandbox.ts';
import type { Outline } from '../outbound/transport.ts';
import type { DeliverJob } from '../queue/deliver-queue.ts';
import type { Emails } from '../store/emails.ts';
import type { Dispatched, Outgoing } from './dispatch.ts';

type Deps = {
  emails: Pick<Emails, 'content' | 'claimHandOver'>;
  /** Ids of emails that were handed over and whose answer is not stored yet. */
  handedOver: Set<string>;
  /** Bytes of large emails in hand at a time, so that fifty of them do not fill the memory. */
  room: Pick<Semaphore, 'take'>;
  /** The first file that is still to be fetched; null when all are there. */
  missingFile(content: Content): MissingFile | null;
  gatherFiles(content: Content): Promise<Files>;
  compose(email: StoredEmail, content: Content, files: Files): Promise<Buffer>;
  dispatch(outgoing: Outgoing): Promise<Dispatched>;
  /** Why an expired email was not sent in time; null when that is not known. */
  explainExpiry(outline: Outline, missing: MissingFile | null): Promise<string | null>;
  now(): number;
};

export type Attempted = Dispatched | MissingFile;

/** A wait for room ends after this and starts again, so that an email that expires meanwhile is noticed. */
const roomWaitMs = 30_000;

/** Loads a heavy email only while there is room for it in memory. Until then only the weight of its content is known. */
export async function attempt(deps: Deps, job: DeliverJob, email: EmailInHand, attemptId: string): Promise<Attempted> {
  if (!isHeavy(email.content)) return tryNow(deps, job, email, attemptId);
  const release = await deps.room.take(AbortSignal.timeout(roomWaitMs), email.content.weight);
  if (release === null) return { kind: 'withheld' };
  try {
    return await tryNow(deps, job, email, attemptId);
  } finally {
    release();
  }
}

type Group = ReturnType<typeof nextGroup> & Pick<HandOver, 'to'>;

/** Whom the next attempt is for, with their addresses where others are pending as well. */
function groupOf({ recipients }: EmailState, now: number): Group {
  const pending = recipients.filter(({ status }) => isPending(status));
  const group = nextGroup(pending, now);
  return group.recipients.length === pending.length ? group : { ...group, to: askedFor(group.recipients).to };
}

async function tryNow(deps: Deps, job: DeliverJob, email: EmailInHand, attemptId: string): Promise<Attempted> {
  const { state } = email;
  const isOver = () => state.expiresAt !== null && state.expiresAt <= deps.now();
  const content = isHeavy(email.content) ? await deps.emails.content(email.facts.id) : email.content;
  // Before a transport is asked: an email that cannot be sent yet must not be ahead of others in the line for its rate.
  const missing = content === null || content === unreadable ? null : deps.missingFile(content);
  const group = groupOf(state, deps.now());
  const asked = askedFor(group.recipients);
  const leastBytes = content === null || content === unreadable ? 0 : leastBytesOf(content);
  const outline = { email, to: asked.to, leastBytes };
  if (isOver()) return { kind: 'expired', why: await deps.explainExpiry(outline, missing) };
  if (missing !== null) return missing;
  let made: ReturnType<Outgoing['message']> | undefined;
  const dispatched = await deps.dispatch({
    ...outline,
    isSandbox: group.isSandbox,
    message(transport) {
      made ??= makeMessage(deps, email, content, asked, transport);
      return made;
    },
    // The wait for a connection may have lasted past its end: then it is withheld, and expires at the next look.
    async claim(transport, to = group.to) {
      if (isOver()) return false;
      const handOver = { at: deps.now(), transport, attemptId, job: job.id, ...(to === undefined ? {} : { to }) };
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
