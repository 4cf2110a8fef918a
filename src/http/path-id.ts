/** Ids that SDKs write into a body as well as into the path. */
import { ProblemError } from './problems.ts';

/** @param given by the name of its field @throws ProblemError 422 where one is another than that of the path */
export function refuseOtherIds(id: string, given: Readonly<Record<string, string | undefined>>): void {
  const others = Object.keys(given).filter((name) => given[name] !== undefined && given[name] !== id);
  const faults = others.map((name) => ({
    pointer: `/${name}`,
    code: 'other_id',
    message: 'must be the id of the path, or left out',
  }));
  if (faults.length > 0) throw ProblemError.of('validation_error', faults);
}
