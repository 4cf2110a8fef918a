/** Each transport against the one suite for all of them. */
import { openInboxTransport } from '../../src/outbound/inbox-transport.ts';
import { openScriptedSmtp, type ScriptedOptions } from '../support/scripted-smtp.ts';
import { transportTo } from '../support/smtp-transport.ts';
import { describeTransport, type TransportWorld } from './transport-conformance.ts';

async function openSmtp(options: ScriptedOptions, connections: number): Promise<TransportWorld> {
  const server = await openScriptedSmtp(() => undefined, options);
  const transport = transportTo(server.port, { connections });
  return {
    transport,
    received: () => server.bodies.map((body) => `${body.replaceAll(/^\./gm, '')}\r\n`),
    async [Symbol.asyncDispose]() {
      await transport[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

async function openInbox(): Promise<TransportWorld> {
  const captured: string[] = [];
  const capture = async ({ raw }: { raw: Buffer }) => {
    captured.push(raw.toString());
  };
  const transport = openInboxTransport({ capture, newId: () => 'mi_1', now: () => 0 });
  return { transport, received: () => captured, [Symbol.asyncDispose]: () => transport[Symbol.asyncDispose]() };
}

describeTransport('SMTP', () => openSmtp({ extensions: ['PIPELINING', 'DSN', 'SIZE 100000'] }, 10));
describeTransport('SMTP to a plain server over one connection', () => openSmtp({ extensions: [] }, 1));
describeTransport('the dev inbox', openInbox);
