/** The stage `deliver` over the Redis of a test: emails as a feeder took them, and jobs of them that go nowhere but to the test. */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { makeSemaphore } from '../../src/concurrency/semaphore.ts';
import { acceptEmail, type Content, type StoredEmail } from '../../src/domain/email.ts';
import { type IdPrefix, makeId } from '../../src/domain/id.ts';
import { attempt } from '../../src/pipeline/attempt.ts';
import { deliver } from '../../src/pipeline/deliver.ts';
import type { Dispatched, Outgoing } from '../../src/pipeline/dispatch.ts';
import { openDue } from '../../src/store/due.ts';
import { openEmails } from '../../src/store/emails.ts';
import { keys } from '../../src/store/keys.ts';
import { emailRequest } from './requests.ts';

export const noPermits = async () => async () => {};
export const newId = <P extends IdPrefix>(prefix: P) => makeId(prefix, Date.now(), randomBytes(10));

/** Hands over whatever can be made a message of. */
export async function handOver({ message }: Outgoing): Promise<Dispatched> {
  const made = await message('t');
  return 'raw' in made ? { kind: 'answered', transport: 't', replies: [] } : made;
}

/** @param redis asked each time, as a test opens it after its file was read */
export function deliveringOver(redis: () => Redis) {
  async function accept(to: string | string[], text = 't', campaignId: string | null = null): Promise<string> {
    const request = emailRequest.parse({ from: 'a@x.co', to, subject: 's', text });
    const accepted = acceptEmail(request, { id: newId('em'), keyId: 'k', now: Date.now() });
    const email = { ...accepted, facts: { ...accepted.facts, campaignId } };
    await openEmails(redis()).create([{ email, claim: null }], { batchClaim: null, isStrict: true, now: Date.now() });
    // As a feeder does that took it.
    await redis().zrem(keys.due('transactional'), email.facts.id);
    return email.facts.id;
  }

  /** A job of these emails, sent by `dispatch`; what became of it is not written down, but told to `seen`. */
  function run(
    emails: readonly string[],
    dispatch: (parcel: Outgoing) => Promise<Dispatched>,
    seen: { settled: Map<string, unknown>; troubles: string[] } = { settled: new Map(), troubles: [] },
    more: Partial<Parameters<typeof deliver>[0] & Parameters<typeof attempt>[0]> = {},
  ) {
    const nothing = async () => null;
    const deps = {
      ...{ emails: openEmails(redis()), due: openDue(redis()), campaigns: { stopped: nothing }, dispatch },
      ...{
        queue: { isLive: async () => false },
        lane: 'transactional' as const,
        inHand: makeSemaphore(50),
        line: makeSemaphore(1),
        room: makeSemaphore(1_000),
      },
      ...{ handedOver: new Set<string>(), stopping: new AbortController().signal, newId },
      findPermits: noPermits,
      onTrouble: (_part: string, _error: unknown, { email }: { email: string }) => void seen.troubles.push(email),
      missingFile: () => null,
      gatherFiles: async () => new Map(),
      fetchFile: async () => {},
      suppress: async (all: readonly unknown[]) => all.map(() => null),
      compose: async (_: unknown, { text }: Content) => Buffer.from(text ?? ''),
      explainExpiry: nothing,
      settle: async ({ facts }: StoredEmail, outcome: unknown) => void seen.settled.set(facts.id, outcome),
      callOff: async () => true,
      now: Date.now,
      ...more,
    };
    return deliver({ ...deps, attempt: attempt.bind(null, deps) }, { id: 'jb_1', emails: [...emails] });
  }

  return { accept, run, marks: () => redis().zrange(keys.again('transactional'), '0', '-1') };
}
