/** The dev inbox as a transport: mail is captured instead of sent. It never fails and has no connections. */
import { answeredBy } from './smtp-outcome.ts';
import { endlessPool, type Message, type Transport } from './transport.ts';

type Deps = {
  capture(mail: { id: string; at: number; emailId: string; envelope: Message['envelope']; raw: Buffer }): Promise<void>;
  newId(): string;
  now(): number;
};

export const inboxName = 'inbox';

export function openInboxTransport(deps: Deps): Transport {
  let isClosed = false;
  return {
    name: inboxName,
    async send({ emailId, envelope, raw }, claim) {
      if (isClosed || !(await claim())) return { kind: 'withheld' };
      const id = deps.newId();
      await deps.capture({ id, at: deps.now(), emailId, envelope, raw });
      return answeredBy('inbox', envelope.to, `250 2.6.0 Captured as ${id}`, { refused: [], stage: 'data' });
    },
    foresee: () => null,
    probe: async () => null,
    pool: endlessPool,
    allow() {},
    async [Symbol.asyncDispose]() {
      isClosed = true;
    },
  };
}
