/** settle: the only door through which a recipient's state changes. Decides purely, then commits state and events in one transaction. */
import { type Decision, decide, type RetryPolicy } from '../domain/decide.ts';
import type { StoredEmail } from '../domain/email.ts';
import { type Answer, done, type SettledOutcome } from '../domain/outcome.ts';
import type { Emails } from '../store/emails.ts';

type Deps = {
  emails: Pick<Emails, 'read' | 'commit'>;
  policy: RetryPolicy;
  report(settled: { email: StoredEmail; outcome: SettledOutcome; decision: Decision }): void;
  now(): number;
  rand(): number;
};

/** Each loss means that another writer won; so many in a row means something is broken, and the queue tries later. */
const maxRounds = 20;

export async function settle(deps: Deps, email: StoredEmail, outcome: SettledOutcome): Promise<Answer> {
  let current: StoredEmail | null = email;
  for (let round = 0; round < maxRounds && current !== null; round++) {
    const decision = decide(current, outcome, deps.policy, deps.now(), deps.rand());
    if (await deps.emails.commit(current, decision.state, decision.events)) {
      deps.report({ email: current, outcome, decision });
      return decision.again === null ? done : { again: decision.again };
    }
    current = await deps.emails.read(email.facts.id);
  }
  if (current === null) return done;
  throw new Error(`email ${email.facts.id} changed ${maxRounds} times while it was being settled`);
}
