/** Refuses new mail while too much of its lane waits, Redis is nearly full or may lose data. */
import type { ApiKey } from '../domain/api-key.ts';
import { type Lane, lanes } from '../domain/lane.ts';
import type { Pressure } from '../pipeline/check-back-pressure.ts';
import { ProblemError } from './problems.ts';

type Asking = { readonly pressure: Readonly<Pressure>; readonly key: ApiKey };

/**
 * Why nothing is taken now that this key may send in `possible`; null when some of it is, or it may send nothing there. Known before a body is
 * read.
 */
export function refusalOfAll({ pressure, key }: Asking, possible: readonly Lane[]): ProblemError | null {
  const over = pressure.passed;
  const isOver = (lane: Lane) => over?.lanes.includes(lane) === true;
  const own = mayUse(key, possible);
  return over !== null && own.length > 0 && own.every(isOver) ? refusalFor(over) : null;
}

/** Why mail that uses all of these lanes is refused now; null when it is accepted. Lanes that the key may not use do not count. */
export function refusalOfAny({ pressure, key }: Asking, used: readonly Lane[]): ProblemError | null {
  const over = pressure.passed;
  return over !== null && mayUse(key, used).some((lane) => over.lanes.includes(lane)) ? refusalFor(over) : null;
}

function mayUse({ lanes: own }: ApiKey, asked: readonly Lane[]): readonly Lane[] {
  return asked.filter((lane) => own?.includes(lane) ?? true);
}

function refusalFor(over: NonNullable<Pressure['passed']>): ProblemError {
  const what = lanes.length === over.lanes.length ? 'mail' : `${over.lanes.join(', ')} mail`;
  return ProblemError.ofBackPressure(`New ${what} is refused for now: ${over.reason}`);
}
