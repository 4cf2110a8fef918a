/** The sandbox as a transport: answers like an SMTP server, by the rows of `domain/sandbox.ts`. No byte leaves the process. */
import { sandboxAnswer, sandboxTransport, slowMs } from '../domain/sandbox.ts';
import { endlessPool, type Transport } from './transport.ts';

/** Does not wait here for a slow answer: the wait would hold a place that other mail needs. */
export function openSandboxTransport({ now }: { now(): number }): Transport {
  return {
    name: sandboxTransport,
    async send({ envelope, attempts = 0 }, claim) {
      const { answer, takesBody, isSlow } = sandboxAnswer(envelope.to, attempts);
      // No recipient is left for the body.
      if (!takesBody) return answer;
      if (!(await claim())) return { kind: 'withheld' };
      return isSlow ? { kind: 'awaited', transport: sandboxTransport, at: now() + slowMs } : answer;
    },
    foresee: () => null,
    /** There is no server that could fail. */
    probe: async () => null,
    pool: endlessPool,
    /** Needs no connections. */
    allow() {},
    async [Symbol.asyncDispose]() {},
  };
}
