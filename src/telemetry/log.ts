/** The log: one wide line per unit of work, JSON for machines and readable in a terminal. Never an address, a body or a secret. */
import { pino } from 'pino';
import { type Lines, openLines } from './lines.ts';

export type Log = {
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
};

const stdout = 1;

/**
 * To pino's own destination a full disk is an error that nobody handles, and at the exit it writes what is left until there is room.
 * @param onDropped told of each line that could not be written
 */
export async function openLog(options: { level: string; isReadable: boolean; onDropped(): void }): Promise<Log> {
  const lines = openLines(stdout, options.onDropped);
  const log: Log = pino({ level: options.level, base: null }, options.isReadable ? await readable(lines) : lines);
  return log;
}

/** Loaded only where somebody reads it. */
async function readable(lines: Lines): Promise<Lines> {
  const { prettyFactory } = await import('pino-pretty');
  const prettify = prettyFactory({
    colorize: process.stdout.isTTY,
    translateTime: 'SYS:HH:MM:ss',
    singleLine: true,
  });
  return { write: (line) => lines.write(prettify(line)) };
}
