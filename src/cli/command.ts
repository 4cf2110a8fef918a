/** What operator commands share: their output, and where the API of this environment is. */
import type { Config } from '../config.ts';
import { localUrl } from '../domain/local-url.ts';

/** A line of a command's output. A fault goes to stderr and makes the exit code `exit`, or 64. */
export type Said = { readonly text: string } | { readonly fault: string; readonly exit?: number };
export type Command = {
  readonly what: string;
  /** The arguments, as the usage shows them; null when the command shows its own usage. */
  readonly form: string | null;
  /** How many arguments it takes at most. */
  readonly most: number;
  run(args: readonly string[]): AsyncIterable<Said>;
};

/** The URL of the process with this configuration; null when it does not listen, or on a port that only it knows. */
export function addressOf({ ROLES, HOST, PORT, HEALTH_PORT }: Config): string | null {
  const port = ROLES.includes('api') ? PORT : HEALTH_PORT;
  return port ? localUrl(HOST, port) : null;
}
