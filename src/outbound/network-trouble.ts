/** Says in one line what went wrong on a connection. */
import { inPlainWords } from '../domain/tls-trouble.ts';

const maxLength = 500;

/** The code of the error, if it has one, and its message: `ECONNREFUSED: connect ECONNREFUSED 192.0.2.1:443`. */
export function describeTrouble(error: unknown): string {
  if (!(error instanceof Error)) return 'failed';
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return [code, inPlainWords(error.message)]
    .filter((part) => part !== '')
    .join(': ')
    .slice(0, maxLength);
}
