/** The dev inbox as a transport: mail is captured instead of sent. */
import { acceptedBy } from './smtp-outcome.ts';
import type { Message, Transport } from './transport.ts';

type Deps = {
  capture(mail: { id: string; at: number; emailId: string; envelope: Message['envelope']; raw: Buffer }): Promise<void>;
  newId(): string;
  now(): number;
};

export function openInboxTransport(deps: Deps): Transport {
  return {
    name: 'inbox',
    async send({ emailId, envelope, raw }, claim) {
      if (!(await claim())) return { kind: 'withheld' };
      const id = deps.newId();
      await deps.capture({ id, at: deps.now(), emailId, envelope, raw });
      return acceptedBy('inbox', envelope.to, `250 2.6.0 Captured as ${id}`);
    },
    async [Symbol.asyncDispose]() {},
  };
}
