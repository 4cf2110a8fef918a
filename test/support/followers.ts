/** Many messages at once over few connections, and what their server saw of it. */
import type { Lane } from '../../src/domain/lane.ts';
import type { Outcome } from '../../src/domain/outcome.ts';
import type { Transport } from '../../src/outbound/transport.ts';
import type { ScriptedSmtp } from './scripted-smtp.ts';
import { send } from './smtp-transport.ts';

export const kinds = (outcomes: readonly Outcome[]) => outcomes.map(({ kind }) => kind);

/** So many at once, to recipients that are numbered. */
export function flood(
  transport: Transport,
  count: number,
  lane: Lane = 'transactional',
  reserve = 0.25,
): Promise<Outcome[]> {
  return Promise.all(Array.from({ length: count }, (_, n) => send(transport, `r${n}@x.co`, lane, reserve)));
}

/** The end of a body, and an envelope along with it. */
export const along = /\r\n\.\r\nMAIL FROM/;

/** The envelopes that came along with a body. */
export function followed({ reads }: ScriptedSmtp): number {
  return reads.filter((read) => along.test(read)).length;
}

/** What each recipient was answered. */
export function codes(outcomes: readonly Outcome[]): (number | undefined)[] {
  return outcomes.map((outcome) => (outcome.kind === 'answered' ? outcome.replies[0]?.smtp.code : undefined));
}

/** Who was named in an envelope, each time. */
export function named({ lines }: ScriptedSmtp): string[] {
  return lines.flatMap((line) => /^RCPT TO:<(\w+)@/.exec(line)?.[1] ?? []);
}
