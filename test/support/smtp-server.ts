/** A real SMTP server that keeps what it is sent and answers as a test tells it to. */
import type { AddressInfo } from 'node:net';
import { type ParsedMail, simpleParser } from 'mailparser';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import type { Certificate } from './certificate.ts';

export type ReceivedMail = {
  readonly from: string;
  readonly to: readonly string[];
  readonly raw: Buffer;
  readonly parsed: ParsedMail;
  readonly isSecure: boolean;
  readonly user: string | undefined;
};

export type SmtpScript = {
  /** The reply to RCPT TO for this address; undefined accepts. */
  onRecipient?(address: string): string | undefined;
  /** The reply after the final dot; undefined accepts, `hold` never answers. What it waits for, the reply waits for. */
  onMessage?(mail: { to: readonly string[]; raw: Buffer }): Promise<string | undefined> | string | undefined;
};

export type TestSmtpServer = AsyncDisposable & {
  readonly port: number;
  readonly mails: readonly ReceivedMail[];
  /** Connections accepted so far. */
  readonly connections: number;
};

export const smtpUser = { user: 'postmän', pass: 'p@ss:w/rd' };

/** The reply is given as it should stand on the wire, such as `550 5.1.1 User unknown`. */
function refusal(reply: string): Error {
  return Object.assign(new Error(reply.slice(4)), { responseCode: Number(reply.slice(0, 3)) });
}

export async function openSmtpServer(
  script: SmtpScript = {},
  options: { tls?: Certificate; implicitTls?: boolean; methods?: string[] } = {},
): Promise<TestSmtpServer> {
  const mails: ReceivedMail[] = [];
  let connections = 0;
  const { tls } = options;
  const settings: SMTPServerOptions = {
    secure: options.implicitTls ?? false,
    ...(tls === undefined
      ? { disabledCommands: ['STARTTLS', 'AUTH'] }
      : { key: tls.key, cert: tls.cert, authMethods: options.methods ?? ['PLAIN'] }),
    authOptional: tls === undefined,
    onConnect(_session, done) {
      connections += 1;
      done();
    },
    onAuth({ username, password }, _session, done) {
      if (username === smtpUser.user && password === smtpUser.pass) done(null, { user: username });
      else done(refusal('535 5.7.8 Authentication credentials invalid'));
    },
    onRcptTo({ address }, _session, done) {
      const reply = script.onRecipient?.(address);
      done(reply === undefined ? null : refusal(reply));
    },
    onData(stream, session, done) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', async () => {
        const raw = Buffer.concat(chunks);
        const from = session.envelope.mailFrom === false ? '' : session.envelope.mailFrom.address;
        const to = session.envelope.rcptTo.map(({ address }) => address);
        const reply = await script.onMessage?.({ to, raw });
        if (reply === 'hold') return; // no answer, ever
        if (reply !== undefined) return done(refusal(reply));
        mails.push({ from, to, raw, parsed: await simpleParser(raw), isSecure: session.secure, user: session.user });
        done(null, '2.0.0 Ok: queued as TEST');
      });
    },
  };
  const server = new SMTPServer(settings);
  server.on('error', () => {}); // a client that is killed resets its connection
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    port: (server.server.address() as AddressInfo).port,
    mails,
    get connections() {
      return connections;
    },
    [Symbol.asyncDispose]: () => new Promise((closed) => server.close(() => closed())),
  };
}
