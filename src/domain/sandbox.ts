/** Recipients at `sandbox.invalid`: rows that say what each of them is answered with, so that every outcome can be had without a network. */
import { domainOf } from './address.ts';
import type { Feedback } from './outcome.ts';
import { nextDue, type Recipient } from './recipient.ts';

/** Nobody can own a name below `.invalid` (RFC 6761 section 6.4). */
export const sandboxDomain = 'sandbox.invalid';

/** Under this name attempts at them are recorded, so no other transport may have it. */
export const sandboxTransport = 'sandbox';

export type SandboxRow = {
  /** The local part, without what follows a plus sign. */
  readonly local: string;
  /** What it is refused with, and in how many attempts before it is accepted; null where that is none. */
  readonly refusal: { readonly reply: string; readonly attempts: number } | null;
  /** Whether the answer to the body is a long time coming. */
  readonly isSlow: boolean;
  /** What is heard of it once it was accepted. */
  readonly feedback: Feedback['kind'] | null;
  /** What becomes of it, in words, as docs/sending.md has them. */
  readonly becomes: string;
};

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

/** A typing error shows, as it would at any server. */
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

/** The row for an address at `sandbox.invalid`, in whatever case: `Bounced+order-17@` has that of `bounced@`. */
export function sandboxRowOf(address: string): Omit<SandboxRow, 'local' | 'becomes'> {
  const name = address.slice(0, address.lastIndexOf('@')).split('+')[0]?.toLowerCase();
  return sandboxRows.find(({ local }) => local === name) ?? unknownRow;
}

/**
 * Whom the next attempt at an email is for: sandbox recipients and others are tried apart, first those of whom one is due first. When both are
 * due at the same time, the sandbox comes first, as it keeps nobody waiting for a connection.
 */
export function nextGroup(pending: readonly Recipient[]): { isSandbox: boolean; recipients: readonly Recipient[] } {
  const sandbox = pending.filter(({ address }) => isSandbox(address));
  const others = pending.filter(({ address }) => !isSandbox(address));
  const dueAt = (recipients: readonly Recipient[]) => nextDue({ recipients }) ?? Number.POSITIVE_INFINITY;
  return dueAt(sandbox) <= dueAt(others)
    ? { isSandbox: true, recipients: sandbox }
    : { isSandbox: false, recipients: others };
}
