/** Checks ids that SDKs send in the body as well as in the path. */
import { ProblemError } from './problems.ts';

/**
 * @param given the ids in the body, by field
 * @throws ProblemError 422 when one differs from the id in the path
 */
export function refuseOtherIds(id: string, given: Readonly<Record<string, string | undefined>>): void {
  const others = Object.keys(given).filter((name) => given[name] !== undefined && given[name] !== id);
  const faults = others.map((name) => ({
    pointer: `/${name}`,
    code: 'other_id',
    message: 'must be the id of the path, or left out',
  }));
  if (faults.length > 0) throw ProblemError.of('validation_error', faults);
}
