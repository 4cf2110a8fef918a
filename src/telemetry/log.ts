/** The log: one wide line per unit of work, JSON for machines and readable in a terminal. Never an address, a body or a secret. */
import { pino } from 'pino';
import pretty from 'pino-pretty';

export type Log = {
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
};

export function openLog(options: { level: string; isReadable: boolean }): Log {
  if (!options.isReadable) return pino({ level: options.level, base: null });
  return pino(
    { level: options.level, base: null },
    pretty({ colorize: process.stdout.isTTY, translateTime: 'SYS:HH:MM:ss', singleLine: true, sync: true }),
  );
}
