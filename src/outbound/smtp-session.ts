/** One authenticated SMTP connection: opened, used for one message after another, closed. */
import { TLSSocket } from 'node:tls';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import type { Outcome } from '../domain/outcome.ts';
import type { TransportSettings } from '../domain/transport-plan.ts';
import { NoTurnError } from './oauth-asking.ts';
import type { Tokens } from './oauth-tokens.ts';
import { isGoodbye, isOutOfTurn } from './reply-kinds.ts';
import { type Extensions, extensionsOf } from './smtp-envelope.ts';
import { type Logins, login, loginsOf, withoutSecrets } from './smtp-login.ts';
import { openingFault, type SmtpError, transportFault } from './smtp-outcome.ts';
import { type SmtpTalk, takeOver } from './smtp-talk.ts';
import { type MessageContext, type NextHop, type PassedOver, type Patience, transact } from './smtp-transaction.ts';
import type { Delay, Message, TransportFault } from './transport.ts';

const connectTimeoutMs = 30_000;
const greetingTimeoutMs = 30_000;
/** From the first packet to the end of the login, whatever the server does meanwhile. */
const openTimeoutMs = 60_000;
export const usualPatience: Patience = {
  // RFC 5321 section 4.5.3.2 allows up to ten minutes, but for so long nobody would learn that the server is in trouble.
  envelope: 60_000,
  // RFC 5321 section 4.5.3.2.6: a server may take ten minutes to answer the final dot.
  body: 600_000,
  reset: 5_000,
};
const closeTimeoutMs = 1_000;

export type SmtpSession = {
  /** Number of messages it was given, whatever their outcome. */
  readonly given: number;
  readonly isUsable: boolean;
  /** TLS version; null for plaintext. */
  readonly tls: string | null;
  /** What the server offered to it. */
  readonly extensions: Extensions;
  /** Called while the body of another message is on its way, it sends the envelope along, and ends after that message. */
  send(message: Message, context: Pick<MessageContext, 'claim' | 'follow'>): Promise<Outcome | PassedOver>;
  /** A message that follows another is passed over at once, and the connection is closed after the other one. */
  giveUp(): void;
  /** Closes, with QUIT when no message is under way. */
  close(): void;
};

type Options = {
  /** The tokens for XOAUTH2. */
  readonly tokens: Tokens | null;
  /** Ends the opening. */
  readonly signal: AbortSignal;
  readonly patience: Patience;
  /** EHLO name when the settings have none; null for the name that the library finds. */
  readonly ehloName: string | null;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  /** Called once when the connection is gone, whichever side ended it. */
  onEnd(): void;
};

/** Connects, secures and logs in. */
export async function openSmtpSession(
  settings: TransportSettings,
  { tokens, signal, patience, ehloName, now, onEnd }: Options,
): Promise<SmtpSession | TransportFault | Delay> {
  const logins = loginsOf(settings.auth, tokens);
  const connection = makeConnection(settings, logins, ehloName);
  // Errors reach the call that was waiting; without this listener one on an idle connection would end the process.
  connection.on('error', () => {});
  connection.once('end', onEnd);
  let isOverdue = false;
  const stop = () => connection.close();
  const deadline = setTimeout(() => {
    isOverdue = true;
    stop();
  }, openTimeoutMs);
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await establish(connection, settings, patience, now);
  } catch (error) {
    // A refused login leaves a server that waits for the next command.
    const { code, responseCode } = error as SmtpError;
    if (code === 'EAUTH' && responseCode !== 421 && !isOverdue && isWritable(connection)) sayGoodbye(connection);
    else connection.close();
    // It asked for nothing yet: what the server makes of a client that waits, and how long that took, says nothing of it.
    const awaits = error instanceof NoTurnError ? error.why : logins.awaits;
    if (awaits !== null) return { kind: 'delayed', detail: awaits };
    if (isOverdue) return transportFault(settings.name, overdue, 'connect');
    const fault = openingFault(settings.name, error as SmtpError);
    return { ...fault, detail: withoutSecrets(fault.detail, settings.auth) };
  } finally {
    clearTimeout(deadline);
    signal.removeEventListener('abort', stop);
  }
}

const overdue = Object.assign(new Error(`Not logged in within ${openTimeoutMs / 1_000} s`), { code: 'ETIMEDOUT' });

function makeConnection(settings: TransportSettings, logins: Logins, usualName: string | null): SMTPConnection {
  const { ca, clientCertificate } = settings;
  const name = settings.ehloName ?? usualName;
  return new SMTPConnection({
    // Without a name the library says [127.0.0.1] when the host name has no dot, as in a container: some servers refuse that.
    ...(name === null ? {} : { name }),
    host: settings.host,
    port: settings.port,
    secure: settings.implicitTls,
    requireTLS: !settings.implicitTls && settings.tls === 'require',
    ignoreTLS: settings.tls === 'none',
    opportunisticTLS: settings.tls === 'opportunistic',
    tls: {
      minVersion: 'TLSv1.2',
      rejectUnauthorized: settings.verifyCertificate,
      ...(ca === null ? {} : { ca }),
      ...clientCertificate,
    },
    customAuth: logins.custom,
    connectionTimeout: connectTimeoutMs,
    greetingTimeout: greetingTimeoutMs,
    socketCloseTimeout: closeTimeoutMs,
  });
}

/** @throws SmtpError */
async function establish(
  connection: SMTPConnection,
  settings: TransportSettings,
  patience: Patience,
  now: () => number,
): Promise<SmtpSession> {
  const startedAt = now();
  await connect(connection);
  // The last reply is that to EHLO: the login comes after it.
  const extensions = extensionsOf(connection.lastServerResponse || '');
  if (settings.auth !== null) await login(connection, settings.auth);
  const talk = takeOver(connection, { idleMs: patience.body, now });
  return sessionOver(connection, talk, {
    transport: settings.name,
    host: `${settings.host}:${settings.port}`,
    tls: tlsOf(connection),
    connectMs: Math.round(now() - startedAt),
    extensions,
    patience,
    now,
  });
}

function tlsOf({ _socket: socket }: SMTPConnection): string | null {
  return socket instanceof TLSSocket ? socket.getProtocol() : null;
}

function connect(connection: SMTPConnection): Promise<void> {
  return new Promise((connected, failed) => {
    const fail = (error: Error = new Error('The connection was closed')) => failed(error);
    connection.once('error', fail);
    connection.once('end', fail);
    connection.connect((error) => {
      connection.removeListener('error', fail);
      connection.removeListener('end', fail);
      if (error) failed(error);
      else connected();
    });
  });
}

function sessionOver(connection: SMTPConnection, talk: SmtpTalk, nextHop: NextHop): SmtpSession {
  let given = 0;
  /** The message given last, until it has ended. */
  let last: InHand | null = null;
  let isGivenUp = false;
  // A server that has said goodbye takes nothing more, though the connection is not gone yet.
  const isUsable = () => !isGivenUp && isWritable(connection);

  async function send(message: Message, { claim, follow }: Parameters<SmtpSession['send']>[1]) {
    given += 1;
    const before = last;
    const mine: InHand = { answeredAt: 0, reply: null, over: Promise.withResolvers(), skip: Promise.withResolvers() };
    last = mine;
    const isFirst = given === 1;
    const context = {
      claim: async () => !isGivenUp && claim(),
      follow: () => nextHop.extensions.pipelining && follow(),
      isFirst,
      before,
    };
    const ending = answered(mine, transact(talk, nextHop, message, context));
    try {
      return await (before === null ? ending : Promise.race([mine.skip.promise, afterwards(before, ending)]));
    } finally {
      if (last === mine) rest();
      mine.over.resolve();
    }
  }

  function rest(): void {
    last = null;
    // After a give-up the message before is still in hand.
    if (!isGivenUp) talk.becomeIdle();
  }

  async function answered(mine: InHand, ending: ReturnType<typeof transact>) {
    const end = await ending;
    mine.answeredAt = nextHop.now();
    mine.reply = end.kind === 'answered' ? (end.replies.at(-1)?.smtp.reply ?? null) : null;
    return end;
  }

  return {
    get given() {
      return given;
    },
    get isUsable() {
      return isUsable();
    },
    tls: nextHop.tls,
    extensions: nextHop.extensions,
    send,
    giveUp() {
      isGivenUp = true;
      last?.skip.resolve({ kind: 'passed_over', isOutOfStep: false });
    },
    close() {
      if (last !== null) talk.cutOff();
      else if (isUsable()) sayGoodbye(connection);
      else connection.close();
    },
  };
}

function isWritable({ destroyed, _socket: socket }: SMTPConnection): boolean {
  return !destroyed && socket !== false && !!socket?.writable;
}

function sayGoodbye(connection: SMTPConnection): void {
  connection.quit();
  // Closing twice does nothing; a server that never answers QUIT would keep the connection for as long as it may stay silent.
  setTimeout(() => connection.close(), closeTimeoutMs).unref();
}

type InHand = {
  /** By `now` of the next hop. */
  answeredAt: number;
  /** The reply to its body; null when there was none. */
  reply: string | null;
  readonly over: PromiseWithResolvers<void>;
  readonly skip: PromiseWithResolvers<PassedOver>;
};

/** The outcome of a message that followed another; it is known after the outcome of that one. */
async function afterwards(before: InHand, ending: ReturnType<typeof transact>): Promise<Outcome | PassedOver> {
  const end = await ending.finally(() => before.over.promise);
  if (end.kind !== 'passed_over') return end;
  const { reply } = before;
  const isOutOfStep = reply !== null && (isOutOfTurn(reply) || (end.isOutOfStep && !isGoodbye(reply)));
  return { kind: 'passed_over', isOutOfStep };
}
