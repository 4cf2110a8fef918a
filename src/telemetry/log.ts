/** The log: one wide line per unit of work, JSON for machines and readable in a terminal. Never an address, a body or a secret. */
import { pino } from 'pino';
import { prettyFactory } from 'pino-pretty';
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
export function openLog(options: { level: string; isReadable: boolean; onDropped(): void }): Log {
  const lines = openLines(stdout, options.onDropped);
  return pino({ level: options.level, base: null }, options.isReadable ? readable(lines) : lines);
}

function readable(lines: Lines): Lines {
  const prettify = prettyFactory({
    colorize: process.stdout.isTTY,
    translateTime: 'SYS:HH:MM:ss',
    singleLine: true,
  });
  return { write: (line) => lines.write(prettify(line)) };
}
