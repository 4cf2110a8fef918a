/** The sandbox as a transport: answers like an SMTP server, by the rows of `domain/sandbox.ts`. No byte leaves the process. */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseReply } from '../domain/classify.ts';
import type { Outcome, RecipientReply } from '../domain/outcome.ts';
import { sandboxRowOf, sandboxTransport } from '../domain/sandbox.ts';
import { endlessPool, type Message, type Transport } from './transport.ts';

const taken = parseReply('250 2.0.0 Ok: taken by the sandbox');

/** @param slowMs how long `slow@` delays the answer to the body, in milliseconds */
export function openSandboxTransport({ slowMs }: { slowMs: number }): Transport {
  const closing = new AbortController();
  let busy = 0;

  async function send(message: Message, claim: () => Promise<boolean>): Promise<Outcome> {
    busy += 1;
    try {
      return await answer(message, claim);
    } finally {
      busy -= 1;
    }
  }

  async function answer({ envelope, attempts = 0 }: Message, claim: () => Promise<boolean>): Promise<Outcome> {
    const asked = envelope.to.map((address) => {
      const row = sandboxRowOf(address);
      const isRefused = row.refusal !== null && attempts < row.refusal.attempts;
      return { address, row, isRefused, smtp: isRefused ? parseReply(row.refusal.reply) : taken };
    });
    const replies = asked.map(({ address, smtp }): RecipientReply => ({ address, smtp }));
    const accepted = asked.filter(({ isRefused }) => !isRefused);
    const answered = { kind: 'answered', transport: sandboxTransport, replies } as const;
    // No recipient is left for the body.
    if (accepted.length === 0) return answered;
    if (!(await claim())) return { kind: 'withheld' };
    if (accepted.some(({ row }) => row.isSlow) && !(await waited())) {
      const refused = replies.filter(({ smtp }) => smtp !== taken);
      return { kind: 'unknown', transport: sandboxTransport, detail: 'closed before the sandbox answered', refused };
    }
    const feedback = accepted.flatMap(({ address, row }) =>
      row.feedback === null ? [] : [{ address, kind: row.feedback }],
    );
    return { ...answered, feedback };
  }

  /** False when the transport was closed meanwhile. */
  function waited(): Promise<boolean> {
    return sleep(slowMs, true, { signal: closing.signal }).catch(() => false);
  }

  const transport = {
    name: sandboxTransport,
    send,
    /** There is no server that could fail. */
    probe: async () => null,
    get pool() {
      return { ...endlessPool, open: busy, busy };
    },
    /** Needs no connections. */
    allow: () => {},
    async [Symbol.asyncDispose]() {
      closing.abort();
    },
  };
  return transport;
}
