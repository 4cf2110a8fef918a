/** The log: one wide line per unit of work, JSON for machines and readable in a terminal. Never an address, a body or a secret. */
import { pino } from 'pino';
import { type Lines, openLines } from './lines.ts';

export type Log = {
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
};

/** Ids in one line: a batch has up to a thousand, and log collectors cut long lines. */
export const maxIds = 100;

const stdout = 1;

type Options = {
  readonly level: string;
  readonly isReadable: boolean;
  /** Called for each line that could not be written. */
  onDropped(): void;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
};

/** Pino's own destination does not handle the error of a full disk, and at exit it retries until there is room. */
export async function openLog(options: Options): Promise<Log> {
  const lines = openLines(stdout, options);
  const log: Log = pino({ level: options.level, base: null }, options.isReadable ? await readable(lines) : lines);
  return log;
}

/** Loaded only when a person reads the log. */
async function readable(lines: Lines): Promise<Lines> {
  const { prettyFactory } = await import('pino-pretty');
  const prettify = prettyFactory({
    colorize: process.stdout.isTTY,
    translateTime: 'SYS:HH:MM:ss',
    singleLine: true,
  });
  return { write: (line) => lines.write(prettify(line)) };
}
