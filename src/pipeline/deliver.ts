/** deliver: one attempt at one email. Load, gather its files, compose, send, settle; the Answer tells the queue what to do with the job. */
import type { Content, Files, LoadedEmail, StoredEmail } from '../domain/email.ts';
import type { Lane } from '../domain/lane.ts';
import { type Answer, done, type Outcome, type SettledOutcome } from '../domain/outcome.ts';
import { isPending, nextDue } from '../domain/recipient.ts';
import type { Places } from '../outbound/places.ts';
import type { Transport } from '../outbound/transport.ts';
import type { Emails } from '../store/emails.ts';
import type { Gathered } from './gather.ts';

type Deps = {
  emails: Pick<Emails, 'load' | 'claimHandOver'>;
  transport: Pick<Transport, 'name' | 'send'>;
  /** Bytes of large emails in hand at a time, so that fifty of them do not fill the memory. */
  rooms: Readonly<Record<Lane, Pick<Places, 'take'>>>;
  gather(email: StoredEmail, content: Content): Promise<Gathered>;
  compose(email: StoredEmail, content: Content, files: Files): Promise<Buffer>;
  settle(email: StoredEmail, outcome: SettledOutcome): Promise<Answer>;
  newId(prefix: 'at'): string;
  now(): number;
};

export async function deliver(deps: Deps, emailId: string): Promise<Answer> {
  const email = await deps.emails.load(emailId);
  if (email === null) return done;
  const dueAt = nextDue(email.state);
  if (dueAt === null) return done;
  if (email.handOver === null && dueAt > deps.now()) return { again: dueAt };
  const outcome = await attempt(deps, email);
  // Somebody else moved the email while we were about to send: look again at what stands now.
  if (outcome.kind === 'withheld') return { again: deps.now() };
  return deps.settle(email, outcome);
}

/** An email up to this size waits for no room: what can be in hand of such is little. */
const smallBytes = 256 * 1_024;
/** What a file that is yet to be fetched counts as. */
const guessedBytes = 1024 * 1024;
/** A wait for room is given up and begun anew, so that what is over by then is found so. */
const roomWaitMs = 30_000;

async function attempt(deps: Deps, email: LoadedEmail): Promise<Outcome | SettledOutcome> {
  const { facts, content } = email;
  const bytes = content === null ? 0 : bytesOf(content);
  if (bytes <= smallBytes) return tryNow(deps, email);
  const leave = await deps.rooms[facts.lane].take(AbortSignal.timeout(roomWaitMs), bytes);
  if (leave === null) return { kind: 'withheld' };
  try {
    return await tryNow(deps, email);
  } finally {
    leave();
  }
}

function bytesOf({ html, text, attachments }: Content): number {
  const files = attachments.map(({ source }) => (source.kind === 'file' ? source.bytes : guessedBytes));
  return files.reduce((sum, bytes) => sum + bytes, (html?.length ?? 0) + (text?.length ?? 0));
}

async function tryNow(deps: Deps, email: LoadedEmail): Promise<Outcome | SettledOutcome> {
  const { facts, state, content, handOver } = email;
  const transport = deps.transport.name;
  if (handOver !== null) {
    const detail = `the worker stopped after the hand-over began at ${new Date(handOver.at).toISOString()}`;
    return { kind: 'unknown', transport: handOver.transport, detail, refused: [] };
  }
  const isOver = () => state.expiresAt !== null && state.expiresAt <= deps.now();
  if (isOver()) return { kind: 'expired' };
  if (content === null) return { kind: 'undeliverable', transport, detail: 'its content is gone' };
  const gathered = await deps.gather(email, content);
  if (gathered.kind !== 'gathered') return gathered;
  const raw = await deps.compose(email, gathered.content, gathered.files).catch((error: Error) => error);
  if (raw instanceof Error)
    return { kind: 'undeliverable', transport, detail: `it could not be composed: ${raw.message}` };
  const pending = state.recipients.filter(({ status }) => isPending(status));
  const attemptId = deps.newId('at');
  const to = [...new Set(pending.map(({ address }) => address))];
  const message = { emailId: facts.id, envelope: { from: facts.from.address, to }, raw, dsn: facts.dsn };
  // Files and a connection may have been waited for: what is over by now is withheld, and found expired when it is looked at again.
  const claim = async () => !isOver() && deps.emails.claimHandOver(email, { at: deps.now(), transport, attemptId });
  return deps.transport.send(message, claim);
}
