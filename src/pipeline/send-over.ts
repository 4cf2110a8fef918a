/** send-over: one attempt over the transport that admitted the email. When nothing is handed over, gives back the tokens and the trial. */
import { lineOf } from '../domain/lane.ts';
import { notTaken, type Obstacle, type Outcome, type SettledOutcome, type Withheld } from '../domain/outcome.ts';
import { isOfTransport, verdictOf, withOwnRefusal } from '../domain/standing.ts';
import type { Budgets } from '../store/budgets.ts';
import type { TransportStates } from '../store/transport-states.ts';
import type { Admitted } from './admit.ts';
import type { Outgoing } from './dispatch.ts';

type Deps = {
  budgets: Pick<Budgets, 'giveBack'>;
  states: Pick<TransportStates, 'giveTrialBack'>;
  learn(name: string): Promise<void>;
  tellFleet(admitted: Admitted, outcome: Outcome): Promise<void>;
  /** Takes work that goes on outside the jobs, and that a stop waits for. The work never rejects. */
  inBackground(work: Promise<void>): void;
  onTrouble(part: 'dispatch', error: unknown): void;
  now(): number;
};

export type Attempt = {
  readonly outgoing: Outgoing;
  readonly admitted: Admitted;
  /** Share of the connections that bulk leaves to transactional, 0..1. */
  readonly reserve: number;
  /** When the email expires or reaches its age limit. */
  readonly endsAt: number;
};

export type Sent =
  /** No other transport is asked. */
  | { readonly kind: 'ended'; readonly outcome: SettledOutcome | Withheld }
  /** Nothing was handed over, and the trouble is the transport's own: another may do better. */
  | { readonly kind: 'fault'; readonly fault: SettledOutcome }
  /** The message cannot go over this hop: another may take it. */
  | { readonly kind: 'obstacle'; readonly obstacle: Obstacle };

/** After its end an email is still tried for this long when a free connection is the only thing missing. */
const lastChanceMs = 60_000;

export async function sendOver(deps: Deps, { outgoing, admitted, reserve, endsAt }: Attempt): Promise<Sent> {
  const { transport } = admitted;
  const { name } = transport;
  let isClaimed = false;
  const claim = () => {
    isClaimed = true;
    return outgoing.claim(name);
  };
  const backOut = async (error: unknown) => {
    if (!isClaimed) await giveBack(deps, admitted, null);
    throw error;
  };
  const message = await outgoing.message(name).catch(backOut);
  if ('kind' in message) {
    await giveBack(deps, admitted, null);
    return { kind: 'ended', outcome: message };
  }
  const turn = { line: lineOf(outgoing.email.facts.lane, outgoing.isOfCampaign), reserve };
  const end = await transport.send(message, claim, turn).catch(backOut);
  const outcome = withOwnRefusal(end, outgoing.email.state.recipients, admitted.as);
  if (!isClaimed) await giveBack(deps, admitted, outcome);
  if (outcome.kind === 'withheld' && !isClaimed && endsAt + lastChanceMs <= deps.now())
    return { kind: 'ended', outcome: notTaken(name, `transport ${name} had no free connection`) };
  const telling = deps.tellFleet(admitted, outcome).catch((error: unknown) => deps.onTrouble('dispatch', error));
  // The answer is stored without waiting until the fleet is told: a kill in between would make the outcome unknown.
  if (isClaimed) deps.inBackground(telling);
  else await telling;
  return sentOf(outcome, isClaimed);
}

function sentOf(outcome: Outcome, isClaimed: boolean): Sent {
  if (outcome.kind === 'obstacle') return { kind: 'obstacle', obstacle: outcome };
  if (outcome.kind === 'withheld' || isClaimed || !isOfTransport(outcome)) return { kind: 'ended', outcome };
  return { kind: 'fault', fault: outcome };
}

/**
 * Gives back the tokens, and also the trial if this message was the trial and its outcome says nothing about the transport.
 * @param outcome null when there was no attempt
 */
async function giveBack(deps: Deps, { transport, as, rates, at }: Admitted, outcome: Outcome | null): Promise<void> {
  const { name } = transport;
  await deps.budgets.giveBack(name, rates, { count: 1, since: at }, deps.now());
  const isTelling = outcome !== null && verdictOf(outcome).kind !== 'nothing';
  if (as === 'message' || isTelling) return;
  await deps.states.giveTrialBack(name, deps.now());
  await deps.learn(name);
}
