/** deliver: one attempt at one email. Load, gather its files, compose, send, settle; the Answer tells the queue what to do with the job. */
import type { Content, Files, LoadedEmail, StoredEmail } from '../domain/email.ts';
import { type Answer, done, type Outcome, type SettledOutcome } from '../domain/outcome.ts';
import { isPending, nextDue } from '../domain/recipient.ts';
import type { Transport } from '../outbound/transport.ts';
import type { Emails } from '../store/emails.ts';
import type { Gathered } from './gather.ts';

type Deps = {
  emails: Pick<Emails, 'load' | 'claimHandOver'>;
  transport: Pick<Transport, 'name' | 'send'>;
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

async function attempt(deps: Deps, email: LoadedEmail): Promise<Outcome | SettledOutcome> {
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
