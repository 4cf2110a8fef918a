/** What is made of a chaos run: each email's end and events against what the next hop was handed. */
import type { StoredEmail } from '../../src/domain/email.ts';
import type { EmailEvent } from '../../src/domain/event.ts';
import type { Recipient } from '../../src/domain/recipient.ts';
import type { FaultySmtp, HandedOver } from './faulty-smtp.ts';
import type { Moment } from './moment.ts';

export type Witness = {
  readonly smtp: Pick<FaultySmtp, 'handedOver' | 'refusalsOf'>;
  /** How often each email was in flight when a worker ended. */
  readonly caught: ReadonlyMap<string, number>;
  /** Emails that were asked to be canceled. */
  readonly canceled: ReadonlySet<string>;
};

export type Verdict = {
  readonly wrongs: readonly string[];
  /** Recipients that got a message once more than once, each time counted. */
  readonly repeats: number;
  readonly unknowns: number;
};

type Case = { readonly email: StoredEmail; readonly events: readonly EmailEvent[]; readonly attempts: HandedOver[] };

export function judge(moment: Moment, witness: Witness): Verdict {
  const wrongs: string[] = [];
  let repeats = 0;
  let unknowns = 0;
  for (const one of casesOf(moment, witness)) {
    const { email, events } = one;
    const found = [...wrongsOfEmail(one, witness)];
    for (const recipient of email.state.recipients) {
      found.push(...wrongsOfRecipient(one, recipient, witness));
      repeats += Math.max(0, takes(one, recipient).length - 1);
    }
    unknowns += events.filter(isUnknown).length;
    wrongs.push(...found.map((wrong) => `${email.facts.id}: ${wrong}`));
  }
  return { wrongs, repeats, unknowns };
}

function casesOf({ emails, events }: Moment, { smtp }: Witness): Case[] {
  const byAddress = new Map<string, Case>();
  const cases = [...emails].map(([id, email]): Case => ({ email, events: events.get(id) ?? [], attempts: [] }));
  for (const one of cases) for (const { address } of one.email.state.recipients) byAddress.set(address, one);
  for (const attempt of smtp.handedOver) byAddress.get(attempt.to[0] ?? '')?.attempts.push(attempt);
  return cases;
}

const isUnknown = ({ type }: EmailEvent) => type === 'email.outcome_unknown';
const finalEvents: Partial<Record<EmailEvent['type'], Recipient['status']>> = {
  'email.sent': 'sent',
  'email.bounced': 'bounced',
  'email.canceled': 'canceled',
};

/** The next hop has the message for this recipient, whether we heard so or not. */
function takes({ attempts }: Case, { address }: Recipient): HandedOver[] {
  return attempts.filter(
    ({ to, messageId, reply }) =>
      to.includes(address) && messageId !== null && (reply === null || reply.startsWith('250')),
  );
}

function* wrongsOfEmail({ email, events, attempts }: Case, { caught }: Witness): Generator<string> {
  const { id, messageId } = email.facts;
  const unknown = events.filter(isUnknown).length;
  const cut = attempts.filter(({ isCut }) => isCut).length;
  const unanswered = attempts.filter(({ isCut, messageId }) => isCut && messageId !== null).length;
  const times = caught.get(id) ?? 0;
  if (unknown > cut + times)
    yield `told ${unknown} times to be unknown, and was cut ${cut} times and in flight at ${times} ends of a worker`;
  if (unknown < unanswered) yield `the next hop kept silent ${unanswered} times, and unknown was told ${unknown} times`;
  const others = attempts.filter((attempt) => attempt.messageId !== null && attempt.messageId !== `<${messageId}>`);
  if (others.length > 0) yield `came under ${others[0]?.messageId}`;
}

function* wrongsOfRecipient(one: Case, recipient: Recipient, { smtp, canceled }: Witness): Generator<string> {
  const { email, events, attempts } = one;
  const { address, status } = recipient;
  const about = events.filter(({ to }) => to.includes(address));
  const taken = takes(one, recipient).length;
  const unknown = about.filter(isUnknown).length;
  if (taken > 1 + unknown) yield `${address} got it ${taken} times, and ${unknown} times it was told to be unknown`;
  const ends = about.filter(({ type }) => type in finalEvents);
  if (ends.length !== 1 || finalEvents[ends[0]?.type ?? 'email.queued'] !== status)
    yield `${address} is ${status}, and what was told of its end is ${ends.map(({ type }) => type).join() || 'nothing'}`;
  if (email.facts.onUnknown === 'hold')
    for (const [index, event] of about.entries())
      if (isUnknown(event) && !['email.queued', 'email.canceled'].includes(about[index + 1]?.type ?? ''))
        yield `${address} was held, and then came ${about[index + 1]?.type} without being let go`;
  if (status === 'sent' && !attempts.some(({ to, reply }) => to.includes(address) && reply?.startsWith('250')))
    yield `${address} is sent, and the next hop never said so`;
  if (status === 'bounced' && !smtp.refusalsOf(address).some((reply) => reply.startsWith('5')))
    yield `${address} is bounced, and was never refused for good`;
  if (status === 'canceled' && (!canceled.has(email.facts.id) || taken > unknown))
    yield `${address} is canceled, and came to the next hop ${taken} times`;
}
