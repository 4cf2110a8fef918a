/** What operator commands have in common: what they say, and where the API of this environment is. */
import type { Config } from '../config.ts';
import { localUrl } from '../domain/local-url.ts';

/** What a command says as it goes; a fault goes to stderr and makes the exit code `exit`, or 64. */
export type Said = { readonly text: string } | { readonly fault: string; readonly exit?: number };
export type Command = {
  readonly what: string;
  /** Its arguments, as its usage shows them; null where the command shows that itself. */
  readonly form: string | null;
  run(args: readonly string[]): AsyncIterable<Said>;
};

/** Where the process that has this configuration listens; null where it does not, or on a port that only it knows. */
export function addressOf({ ROLES, HOST, PORT, HEALTH_PORT }: Config): string | null {
  const port = ROLES.includes('api') ? PORT : HEALTH_PORT;
  return port ? localUrl(HOST, port) : null;
}
