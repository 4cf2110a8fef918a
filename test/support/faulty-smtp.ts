/** An SMTP server at which everything goes wrong now and then, as a seed has it; it keeps a book of what it was handed. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Chance } from './chance.ts';
import { type Act, openScriptedSmtp, type Stage } from './scripted-smtp.ts';

/** One hand-over that was begun: the server had said 354. */
export type HandedOver = {
  /** Recipients it had accepted before. */
  readonly to: readonly string[];
  /** Known once the message came in whole. */
  messageId: string | null;
  /** What it answered; null when it gave no answer, or the message never came in whole. */
  reply: string | null;
  /** The server ended the connection in the middle of it. */
  isCut: boolean;
};

export type FaultySmtp = AsyncDisposable & {
  readonly port: number;
  readonly handedOver: readonly HandedOver[];
  /** Every refusal a recipient ever got, its message's included. */
  refusalsOf(address: string): readonly string[];
  /** Ends every connection at once, and takes none for so long. */
  breakDown(ms: number): Promise<void>;
  /** From here on nothing goes wrong but what is wrong for good. */
  recover(): void;
};

/** Rows of what may go wrong at a stage: its share, and what the server does then. */
type Faults = readonly (readonly [share: number, act: Act])[];

const faultsAt: Partial<Record<Stage, Faults>> = {
  connect: [
    [0.03, '421 4.3.2 Too busy'],
    [0.03, 'drop'],
  ],
  MAIL: [
    [0.008, '451 4.3.0 Later'],
    [0.003, 'reset'],
  ],
  RCPT: [
    [0.04, '450 4.2.0 Mailbox busy'],
    [0.01, '452 4.3.1 Out of space'],
  ],
  DATA: [
    [0.01, '451 4.3.0 Later'],
    [0.005, 'drop'],
  ],
  'body begins': [
    [0.008, 'drop'],
    [0.008, 'reset'],
    [0.004, 'half-close'],
  ],
  body: [
    [0.01, '451 4.3.0 Later'],
    [0.01, '554 5.6.0 Not like this'],
    [0.01, 'drop'],
    [0.01, 'reset'],
    [0.004, 'half-close'],
  ],
};

/** Addresses that are wrong for good. */
const unknownShare = 0.03;
/** Messages whose answer takes its time. */
const slowShare = 0.01;
const slowMs = [800, 3_000] as const;
const usualMs = [0, 40] as const;
/** An address that came so often meets no more faults, so that everything ends. */
const mostVisits = 4;

export async function openFaultySmtp(chance: Chance): Promise<FaultySmtp> {
  const handedOver: HandedOver[] = [];
  const refusals = new Map<string, string[]>();
  const visits = new Map<string, number>();
  /** What is under way on each connection; `begun` from the 354 to the answer. */
  const current = new Map<number, { to: string[]; begun: HandedOver | null }>();
  let mails = 0;
  let isWell = false;

  function refuse(address: string, reply: string): void {
    refusals.set(address, [...(refusals.get(address) ?? []), reply]);
  }

  function faultAt(stage: Stage, about: string, visit: number): Act | undefined {
    if (isWell || visit > mostVisits) return undefined;
    let left = chance.of('fault', stage, about, visit);
    for (const [share, act] of faultsAt[stage] ?? []) {
      if (left < share) return act;
      left -= share;
    }
    return undefined;
  }

  function recipient(address: string, to: string[]): Act | undefined {
    const visit = (visits.get(address) ?? 0) + 1;
    visits.set(address, visit);
    const isUnknown = chance.of('unknown', address) < unknownShare;
    const reply = isUnknown ? '550 5.1.1 User unknown' : faultAt('RCPT', address, visit);
    if (reply === undefined) to.push(address);
    else refuse(address, reply);
    return reply;
  }

  /** The message came in whole: its answer, and when. */
  async function answer(begun: HandedOver, visit: number): Promise<Act | undefined> {
    const [first = ''] = begun.to;
    const [least, most] = !isWell && chance.of('slow', first, visit) < slowShare ? slowMs : usualMs;
    await pause(chance.between(least, most, 'answer', first, visit));
    if (begun.isCut) return 'drop';
    const fault = faultAt('body', first, visit);
    if (fault === undefined) begun.reply = '250 2.0.0 Ok: queued';
    else if (/^\d/.test(fault)) begun.reply = fault;
    else begun.isCut = true;
    if (begun.reply !== null && !begun.reply.startsWith('250'))
      for (const address of begun.to) refuse(address, begun.reply);
    return fault;
  }

  function act(stage: Stage, line: string, connection: number): Act | undefined | Promise<Act | undefined> {
    if (stage === 'connect') return faultAt(stage, String(connection), 1);
    if (stage === 'MAIL') current.set(connection, { to: [], begun: null });
    const { to, begun } = current.get(connection) ?? { to: [], begun: null };
    if (stage === 'RCPT') return recipient(/<([^>]*)>/.exec(line)?.[1] ?? '', to);
    const [first = ''] = to;
    const visit = visits.get(first) ?? 0;
    switch (stage) {
      case 'MAIL':
        return faultAt(stage, String(mails++), 1);
      case 'DATA': {
        const fault = faultAt(stage, first, visit);
        if (fault !== undefined && /^\d/.test(fault)) for (const address of to) refuse(address, fault);
        if (fault !== undefined || to.length === 0) return fault;
        const entry = { to, messageId: null, reply: null, isCut: false };
        handedOver.push(entry);
        current.set(connection, { to, begun: entry });
        return undefined;
      }
      case 'body begins': {
        const fault = faultAt(stage, first, visit);
        if (begun !== null && fault !== undefined) begun.isCut = true;
        return fault;
      }
      case 'body': {
        if (begun === null) throw new Error('A body without a DATA');
        begun.messageId = /^Message-ID: (<[^>]*>)/m.exec(server.bodies.at(-1) ?? '')?.[1] ?? '';
        return answer(begun, visit).finally(() => current.set(connection, { to: [], begun: null }));
      }
      default:
        return undefined;
    }
  }

  const server = await openScriptedSmtp(act);
  return {
    port: server.port,
    handedOver,
    refusalsOf: (address) => refusals.get(address) ?? [],
    async breakDown(ms) {
      for (const { begun } of current.values()) if (begun !== null) begun.isCut = true;
      server.shut();
      server.interrupt('reset');
      await pause(ms);
      await server.reopen();
    },
    recover() {
      isWell = true;
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
