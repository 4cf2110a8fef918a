/** The fleet's states of transports. A change is written only over the state it was decided on, so that of two racing workers only one acts. */
import type { Redis } from 'ioredis';
import {
  afterFault,
  afterProbeBegan,
  afterRefusal,
  afterSlowDown,
  afterSuccess,
  afterTrialBegan,
  afterTrialUnused,
  type Brake,
  type Breaker,
  breakerEvent,
  closedBreaker,
  type Fault,
  type Granted,
  hastened,
  type Success,
  type TransportState,
} from '../domain/transport-state.ts';
import { keys } from './keys.ts';
import { named } from './named.ts';
import { packPlainEvent } from './record.ts';
import { script } from './redis.ts';

export type TransportStates = ReturnType<typeof openTransportStates>;

const replaceArguments = named(
  'field',
  'was', // '' for no value
  'is',
  'change', // an id that recognizes a repeat; '' for none
  'event', // goes into the outbox in the same step; '' for none
);

/** KEYS transport outbox. Answers 1 when the field still had the value `was`. */
const replaceScript = script(`
${replaceArguments.read('ARGV')}
local transport, outbox = KEYS[1], KEYS[2]
local stored = redis.call('HMGET', transport, field, 'change')
if change ~= '' and stored[2] == change then return 1 end
if (stored[1] or '') ~= was then return 0 end
redis.call('HSET', transport, field, is)
if change ~= '' then redis.call('HSET', transport, 'change', change) end
if event ~= '' then redis.call('XADD', outbox, '*', 'event', event) end
return 1`);

/** In each lost round another worker wrote. After this many, their writes say as much as ours would have. */
const maxRounds = 20;

type Replacement = {
  readonly field: 'breaker' | 'brake' | 'granted';
  readonly was: string;
  readonly is: string;
  readonly change?: string;
  readonly event?: string;
};

/** An empty id for a change without an event. */
type Event = { readonly id: string; readonly at: number };

export function openTransportStates(redis: Redis) {
  /** False when the field has another value by now. */
  async function replace(name: string, { field, was, is, change = '', event = '' }: Replacement): Promise<boolean> {
    const args = replaceArguments.inOrder({ field, was, is, change, event });
    return (await replaceScript(redis, [keys.transport(name), keys.outbox], args)) === 1;
  }

  async function changeBreaker(name: string, event: Event, decide: (breaker: Breaker) => Breaker): Promise<void> {
    for (let round = 0; round < maxRounds; round++) {
      const was = (await redis.hget(keys.transport(name), 'breaker')) ?? '';
      const before = readBreaker(was);
      const after = decide(before);
      if (after === before) return;
      const told = breakerEvent(name, [before, after], event);
      const toldAs = told === null ? '' : packPlainEvent(told);
      const replacement = { was, is: JSON.stringify(after), change: event.id, event: toldAs };
      if (await replace(name, { field: 'breaker', ...replacement })) return;
    }
  }

  async function changeLimit<T>(
    name: string,
    field: 'brake' | 'granted',
    decide: (before: T | null) => T,
  ): Promise<void> {
    for (let round = 0; round < maxRounds; round++) {
      const was = (await redis.hget(keys.transport(name), field)) ?? '';
      const before = readJson<T>(was);
      const after = decide(before);
      if (after === before) return;
      if (await replace(name, { field, was, is: JSON.stringify(after) })) return;
    }
  }

  /** True for exactly one caller. `decide` returns null when no caller may have it now. */
  async function takeTurn(name: string, decide: (breaker: Breaker) => Breaker | null): Promise<boolean> {
    const was = (await redis.hget(keys.transport(name), 'breaker')) ?? '';
    const after = decide(readBreaker(was));
    return after !== null && replace(name, { field: 'breaker', was, is: JSON.stringify(after) });
  }

  return {
    /** One round trip for any number. A transport without a stored state has a closed breaker, no pause and no brake. */
    async read(names: readonly string[]): Promise<Map<string, TransportState>> {
      const states = names.map(async (name): Promise<[string, TransportState]> => {
        const fields = await redis.hmget(keys.transport(name), 'paused', 'breaker', 'brake', 'granted');
        const [paused, breaker, brake, granted] = fields;
        const state = {
          paused: readJson<TransportState['paused']>(paused),
          breaker: readBreaker(breaker),
          brake: readJson<Brake>(brake),
          granted: readJson<Granted>(granted),
        };
        return [name, state];
      });
      return new Map(await Promise.all(states));
    },

    /** Pauses a transport for the whole fleet until it is resumed; a second pause changes nothing. @param by id of the key that asks */
    async pause(name: string, by: string, now: number): Promise<void> {
      await redis.hsetnx(keys.transport(name), 'paused', JSON.stringify({ at: now, by }));
    },

    async resume(name: string): Promise<void> {
      await redis.hdel(keys.transport(name), 'paused');
    },

    /** Counts a fault, which may open the breaker. */
    fault: (name: string, fault: Fault, event: Event): Promise<void> =>
      changeBreaker(name, event, (breaker) => afterFault(breaker, fault, event.at)),

    /**
     * Ends the row of faults; of a probe or a trial, closes the breaker as well, or opens the trial. To be told only where the last known
     * breaker was not `closedBreaker`.
     */
    success: (name: string, of: Success, event: Event): Promise<void> =>
      changeBreaker(name, event, (breaker) => afterSuccess(breaker, of, event.at)),

    /**
     * A reply of this server asked to slow down: halves the pace of the fleet, at most once in five seconds.
     * @param messageMs usual time of a message on one connection, where it is known
     */
    brake: (name: string, of: Brake['of'], now: number, messageMs?: number): Promise<void> =>
      changeLimit<Brake>(name, 'brake', (before) => afterSlowDown(before, of, now, messageMs)),

    /** Its server refused one connection more than these, which the fleet has: it keeps to them for a while. */
    grant: (name: string, refused: Granted): Promise<void> =>
      changeLimit<Granted>(name, 'granted', (before) => afterRefusal(before, refused)),

    /** Has an open breaker probed as soon as a worker looks. */
    hasten: (name: string, now: number): Promise<void> =>
      changeBreaker(name, { id: '', at: now }, (breaker) => hastened(breaker, now)),

    /**
     * Whether it falls to the caller to probe: true for one worker at each time a probe is due. A turn whose answer is lost with the
     * connection passes unused.
     */
    takeProbe: (name: string, now: number): Promise<boolean> =>
      takeTurn(name, (breaker) => afterProbeBegan(breaker, now)),

    /** Whether the message of the caller is the trial of a transport in trouble: true for exactly one caller. */
    takeTrial: (name: string, now: number): Promise<boolean> =>
      takeTurn(name, (breaker) => afterTrialBegan(breaker, now)),

    /** Gives the trial back: the message of the caller was the trial and showed nothing. */
    giveTrialBack: (name: string, now: number): Promise<void> =>
      changeBreaker(name, { id: '', at: now }, (breaker) => afterTrialUnused(breaker, now)),
  };
}

function readJson<T>(json: string | null | undefined): T | null {
  return json ? JSON.parse(json) : null;
}

function readBreaker(json: string | null | undefined): Breaker {
  const breaker = readJson<Breaker>(json) ?? closedBreaker;
  // A state written by an earlier version has no trial.
  return breaker.kind === 'open' ? { ...breaker, trial: breaker.trial ?? 'unneeded' } : breaker;
}
