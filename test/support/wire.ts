/** One request all the way: schema, accept, compose, the SMTP transport and a real server that keeps the bytes. */
import { acceptEmail } from '../../src/domain/email.ts';
import type { EmailRequest } from '../../src/domain/email-request.ts';
import type { Outcome } from '../../src/domain/outcome.ts';
import { parseSmtpUrl } from '../../src/domain/smtp-url.ts';
import { compose } from '../../src/outbound/compose.ts';
import type { Transport } from '../../src/outbound/transport.ts';
import { emailRequest } from './requests.ts';
import { openSmtpServer, type ReceivedMail, type TestSmtpServer } from './smtp-server.ts';
import { openTransport } from './smtp-transport.ts';

export type Wire = AsyncDisposable & { readonly server: TestSmtpServer; readonly transport: Transport };

/** What came of a request: the schema's faults, or what was asked for and what the server has. */
export type Sent =
  | { readonly faults: readonly string[] }
  | {
      readonly asked: EmailRequest;
      readonly messageId: string;
      readonly outcome: Outcome;
      readonly received: ReceivedMail | undefined;
    };

/** A server and one connection to it. */
export async function openWire(): Promise<Wire> {
  const server = await openSmtpServer();
  const settings = parseSmtpUrl(
    `smtp://127.0.0.1:${server.port}?tls=none&connections=1&messages_per_connection=100000`,
  );
  if ('faults' in settings) throw new Error(settings.faults.join());
  const transport = openTransport(settings);
  return {
    server,
    transport,
    async [Symbol.asyncDispose]() {
      await transport[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** Every test that looks at bytes on the wire comes this way. */
export async function sendOverTheWire(wire: Wire, body: unknown): Promise<Sent> {
  const read = emailRequest.safeParse(body);
  if (!read.success)
    return { faults: read.error.issues.map(({ path, message }) => `/${path.map(String).join('/')} ${message}`) };
  const { facts, state, content, files } = acceptEmail(read.data, {
    id: 'em_1',
    keyId: 'key_1',
    now: 1_700_000_000_000,
  });
  const raw = await compose({ facts, state }, content, files);
  const to = [...new Set(state.recipients.map(({ address }) => address))];
  const before = wire.server.mails.length;
  const message = { emailId: facts.id, envelope: { from: facts.from.address, to }, raw };
  const outcome = await wire.transport.send(message, async () => true, { line: 'transactional', reserve: 0.25 });
  return { asked: read.data, messageId: facts.messageId, outcome, received: wire.server.mails[before] };
}
