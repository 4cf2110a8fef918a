/** Recipients at `sandbox.invalid`: one row for each with its answer, so that every outcome can be had without a network. */
import { domainOf } from './address.ts';
import { parseReply } from './classify.ts';
import type { Feedback, Outcome } from './outcome.ts';
import { nextDue, type Recipient } from './recipient.ts';

/** Nobody can own a name below `.invalid` (RFC 6761 section 6.4). */
export const sandboxDomain = 'sandbox.invalid';

/** Attempts at sandbox recipients are recorded under this name, so no other transport may have it. */
export const sandboxTransport = 'sandbox';

type SandboxRow = {
  /** The local part, without what follows a plus sign. */
  readonly local: string;
  /** The refusal, and in how many attempts it comes before the message is accepted; null when it is never refused. */
  readonly refusal: { readonly reply: string; readonly attempts: number } | null;
  /** Whether the answer to the body comes late, after `slowMs`. */
  readonly isSlow: boolean;
  /** The feedback after the message was accepted. */
  readonly feedback: Feedback['kind'] | null;
  /** What becomes of it, in words, as in docs/sending.md. */
  readonly becomes: string;
};

/** How long after the hand-over an email that `slow@` gets is answered, milliseconds. */
export const slowMs = 3_000;

const accepted = { refusal: null, isSlow: false, feedback: null } as const;

export const sandboxRows: readonly SandboxRow[] = [
  { ...accepted, local: 'delivered', feedback: 'delivered', becomes: '`sent`, then `delivered`' },
  {
    ...accepted,
    local: 'bounced',
    refusal: { reply: '550 5.1.1 The sandbox has no such user', attempts: Number.POSITIVE_INFINITY },
    becomes: '`bounced`, with a `550 5.1.1`',
  },
  {
    ...accepted,
    local: 'deferred',
    refusal: { reply: '450 4.2.0 The sandbox defers the first two attempts', attempts: 2 },
    becomes: '`deferred` twice, with a `450 4.2.0`, then `sent`',
  },
  { ...accepted, local: 'complained', feedback: 'complained', becomes: '`sent`, then `complained`' },
  { ...accepted, local: 'slow', isSlow: true, becomes: '`sending` for three seconds, then `sent`' },
];

/** A mistyped address is refused, as at any server. */
const unknownRow: Omit<SandboxRow, 'local' | 'becomes'> = {
  ...accepted,
  refusal: {
    reply: `550 5.1.1 The sandbox knows ${sandboxRows.map(({ local }) => local).join(', ')} and nobody else`,
    attempts: Number.POSITIVE_INFINITY,
  },
};

export function isSandbox(address: string): boolean {
  return domainOf(address).toLowerCase() === sandboxDomain;
}

/** The row for an address at `sandbox.invalid` in any case: `Bounced+order-17@` has the row of `bounced@`. */
export function sandboxRowOf(address: string): Omit<SandboxRow, 'local' | 'becomes'> {
  const name = address.slice(0, address.lastIndexOf('@')).split('+')[0]?.toLowerCase();
  return sandboxRows.find(({ local }) => local === name) ?? unknownRow;
}

type SandboxAnswer = Extract<Outcome, { kind: 'answered' }>;

const taken = parseReply('250 2.0.0 Ok: taken by the sandbox');

/** What the sandbox answers, always the same for the same attempt, and how it goes about it. */
export function sandboxAnswer(
  to: readonly string[],
  attempts: number,
): { readonly answer: SandboxAnswer; readonly takesBody: boolean; readonly isSlow: boolean } {
  const asked = to.map((address) => {
    const row = sandboxRowOf(address);
    const isRefused = row.refusal !== null && attempts < row.refusal.attempts;
    return { address, row, isRefused, smtp: isRefused ? parseReply(row.refusal.reply) : taken };
  });
  const accepted = asked.filter(({ isRefused }) => !isRefused);
  const feedback = accepted.flatMap(({ address, row }) =>
    row.feedback === null ? [] : [{ address, kind: row.feedback }],
  );
  const replies = asked.map(({ address, smtp }) => ({ address, smtp }));
  return {
    answer: { kind: 'answered', transport: sandboxTransport, replies, feedback },
    takesBody: accepted.length > 0,
    isSlow: accepted.some(({ row }) => row.isSlow),
  };
}

/**
 * Recipients who are due this soon go with those who are: a server that asks for waits may count the seconds of each by itself. A second, and the
 * tenth by which a wait is made longer.
 */
const togetherMs = 1_100;

/**
 * Whom the next attempt is for: those who are due, so that a wait that a server asked for is kept whatever others wait for. Sandbox recipients
 * and real ones are tried separately: first the group with the recipient that is due first. When both are due at the same time, the sandbox
 * comes first, as it keeps nobody waiting for a connection.
 * @returns at least one, as long as one is pending: a clock may have been set back since the email was found due
 */
export function nextGroup(
  pending: readonly Recipient[],
  now: number,
): { isSandbox: boolean; recipients: readonly Recipient[] } {
  const sandbox = pending.filter(({ address }) => isSandbox(address));
  const others = pending.filter(({ address }) => !isSandbox(address));
  const dueAt = (recipients: readonly Recipient[]) => nextDue({ recipients }) ?? Number.POSITIVE_INFINITY;
  const isForSandbox = dueAt(sandbox) <= dueAt(others);
  const group = isForSandbox ? sandbox : others;
  const dueBy = Math.max(now, dueAt(group)) + togetherMs;
  return { isSandbox: isForSandbox, recipients: group.filter(({ nextAttemptAt }) => (nextAttemptAt ?? now) <= dueBy) };
}
