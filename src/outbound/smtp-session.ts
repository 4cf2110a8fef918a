/** One authenticated SMTP connection: opened, used for one message at a time, closed. */
import { isAscii } from 'node:buffer';
import { Readable, type Transform } from 'node:stream';
import { TLSSocket } from 'node:tls';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import type { AttemptTrace, Outcome } from '../domain/outcome.ts';
import type { Auth, TransportSettings } from '../domain/transport-plan.ts';
import { toData } from './dot-stuffing.ts';
import { announcesDsn, envelopeOf } from './smtp-envelope.ts';
import { outcomeOfError, outcomeOfSuccess, type SmtpError } from './smtp-outcome.ts';
import type { Message } from './transport.ts';

const connectTimeoutMs = 30_000;
const greetingTimeoutMs = 30_000;
/** RFC 5321 section 4.5.3.2.6: a server may take ten minutes to answer the final dot. */
const silenceTimeoutMs = 600_000;
const closeTimeoutMs = 1_000;

export type SmtpSession = {
  /** Messages sent over it. */
  readonly sent: number;
  readonly isUsable: boolean;
  send(message: Message, claim: () => Promise<boolean>): Promise<Outcome>;
  /** Says QUIT when nothing is under way and closes. */
  close(): void;
};

/**
 * Connects, secures and logs in.
 * @param onEnd called once when the connection is gone, whoever ended it
 * @throws SmtpError when any of it fails
 */
export async function openSmtpSession(settings: TransportSettings, onEnd: () => void): Promise<SmtpSession> {
  const connection = new SMTPConnection({
    host: settings.host,
    port: settings.port,
    secure: settings.implicitTls,
    requireTLS: !settings.implicitTls && settings.tls === 'require',
    ignoreTLS: settings.tls === 'none',
    opportunisticTLS: settings.tls === 'opportunistic',
    tls: { minVersion: 'TLSv1.2', rejectUnauthorized: settings.verifyCertificate },
    connectionTimeout: connectTimeoutMs,
    greetingTimeout: greetingTimeoutMs,
    socketTimeout: silenceTimeoutMs,
    socketCloseTimeout: closeTimeoutMs,
  });
  // Errors reach the call that was waiting; without this listener one on an idle connection would end the process.
  connection.on('error', () => {});
  connection.once('end', onEnd);
  const startedAt = performance.now();
  try {
    await connect(connection);
    // The answer to EHLO: what login says comes after it. The library takes any line that has the word for an extension, a host name too.
    const greeting = connection.lastServerResponse || '';
    const nextHop = {
      transport: settings.name,
      host: `${settings.host}:${settings.port}`,
      tls: tlsOf(connection),
      offersUtf8: /^250[ -]SMTPUTF8\b/im.test(greeting),
      offersDsn: announcesDsn(greeting),
    };
    if (settings.auth !== null) await login(connection, settings.auth);
    return sessionOver(connection, { ...nextHop, connectMs: Math.round(performance.now() - startedAt) });
  } catch (error) {
    connection.close();
    throw error;
  }
}

function tlsOf({ _socket: socket }: SMTPConnection): string | null {
  return socket instanceof TLSSocket ? socket.getProtocol() : null;
}

function connect(connection: SMTPConnection): Promise<void> {
  return new Promise((connected, failed) => {
    connection.once('error', failed);
    connection.connect((error) => {
      connection.removeListener('error', failed);
      if (error) failed(error);
      else connected();
    });
  });
}

function login(connection: SMTPConnection, auth: Auth): Promise<void> {
  if (auth.kind === 'oauth2') throw new Error('XOAUTH2 is not spoken yet');
  const { user, pass, method } = auth;
  return new Promise((loggedIn, failed) => {
    const fail = (error: Error = new Error('Connection closed during login')) => failed(error);
    connection.once('end', fail);
    connection.once('error', fail);
    connection.login({ user, pass, ...(method === null ? {} : { method }) }, (error) => {
      connection.removeListener('end', fail);
      connection.removeListener('error', fail);
      if (error) failed(error);
      else loggedIn();
    });
  });
}

type NextHop = {
  readonly transport: string;
  /** `host:port`. */
  readonly host: string;
  /** TLS version, null for plaintext. */
  readonly tls: string | null;
  readonly connectMs: number;
  readonly offersUtf8: boolean;
  readonly offersDsn: boolean;
};

function sessionOver(connection: SMTPConnection, nextHop: NextHop): SmtpSession {
  let sent = 0;
  let isBusy = false;

  async function send(message: Message, claim: () => Promise<boolean>): Promise<Outcome> {
    sent += 1;
    isBusy = true;
    try {
      return await transact(connection, nextHop, message, claim, sent === 1);
    } finally {
      isBusy = false;
    }
  }

  return {
    get sent() {
      return sent;
    },
    get isUsable() {
      return !connection.destroyed;
    },
    send,
    close() {
      if (isBusy || connection.destroyed) return connection.close();
      connection.quit();
      // Closing twice does nothing; a server that never answers QUIT would keep the connection for as long as it may stay silent.
      setTimeout(() => connection.close(), closeTimeoutMs).unref();
    },
  };
}

async function transact(
  connection: SMTPConnection,
  nextHop: NextHop,
  message: Message,
  claim: () => Promise<boolean>,
  isFirst: boolean,
): Promise<Outcome> {
  const { transport, offersUtf8, offersDsn } = nextHop;
  const startedAt = performance.now();
  // The library would send it all the same, and the next hop could do with it what it likes (RFC 6531 section 3.2).
  if (!offersUtf8 && needsUtf8(message)) return { kind: 'undeliverable', transport, detail: noUtf8 };
  // The library's books stand in it also after a failure.
  const envelope = envelopeOf(message, offersDsn);
  const body = new HandOver(message.raw, claim);
  const ended = new Promise<Outcome>((resolve) => {
    const progress = () => ({ transport, to: message.envelope.to, bodyBegun: body.begunAt !== null, envelope });
    const fail = (error: SmtpError) => resolve(outcomeOfError(progress(), error));
    // A connection that we close ourselves forgets its callback; one that breaks calls it right after `end`, and knows more.
    const onEnd = () => setImmediate(fail, new Error('The connection was closed'));
    connection.once('end', onEnd);
    connection.send(envelope, body, (error: SmtpError | null, info?: { response: string }) => {
      connection.removeListener('end', onEnd);
      if (error || info === undefined) fail(error ?? new Error('No answer'));
      else resolve(outcomeOfSuccess(progress(), info.response));
    });
  });
  const outcome = await Promise.race([ended, body.withheld]).catch((error) => {
    connection.close();
    throw error;
  });
  if (outcome.kind === 'withheld') connection.close();
  const isClean = outcome.kind === 'answered' && body.begunAt !== null;
  if (!isClean && !connection.destroyed) await reset(connection);
  return outcome.kind === 'withheld'
    ? outcome
    : { ...outcome, trace: traceOf(nextHop, isFirst, startedAt, body.begunAt) };
}

/** How it went, in whole milliseconds; the connection belongs to the first message that it carried. */
function traceOf(nextHop: NextHop, isFirst: boolean, startedAt: number, begunAt: number | null): AttemptTrace {
  const { host, tls, connectMs } = nextHop;
  const now = performance.now();
  return {
    host,
    tls,
    ms: {
      connect: isFirst ? connectMs : null,
      envelope: Math.round((begunAt ?? now) - startedAt),
      body: begunAt === null ? null : Math.round(now - begunAt),
    },
  };
}

const noUtf8 = 'it has an address beyond ASCII, and the server does not offer SMTPUTF8';

/** Whether an address of the envelope or the header is beyond ASCII; everything else is encoded. */
function needsUtf8({ envelope, raw }: Message): boolean {
  const header = raw.subarray(0, raw.indexOf('\r\n\r\n'));
  return !isAscii(header) || [envelope.from, ...envelope.to].some((address) => /[^\p{ASCII}]/u.test(address));
}

/** A refused transaction stays open at the server until RSET; a connection that will not take it is of no more use. */
function reset(connection: SMTPConnection): Promise<void> {
  return new Promise((resolve) => {
    connection.once('end', resolve);
    connection.reset((error) => {
      connection.removeListener('end', resolve);
      if (error) connection.close();
      resolve();
    });
  });
}

/**
 * The message as the library's stream. It is piped exactly when the server has said 354: there the claim is asked, and the whole
 * body then leaves in one write.
 */
class HandOver extends Readable {
  /** When the body began to leave (`performance.now()`); null before. */
  begunAt: number | null = null;
  /** Settles only when the claim is refused or fails. */
  readonly withheld: Promise<{ kind: 'withheld' }>;
  readonly #raw: Buffer;
  readonly #claim: () => Promise<boolean>;
  readonly #withhold: (reason: { kind: 'withheld' } | Promise<never>) => void;

  constructor(raw: Buffer, claim: () => Promise<boolean>) {
    super();
    this.#raw = raw;
    this.#claim = claim;
    const { promise, resolve } = Promise.withResolvers<{ kind: 'withheld' }>();
    this.withheld = promise;
    this.#withhold = resolve;
    // Nobody may be listening any more when a claim fails after the connection did.
    promise.catch(() => {});
  }

  override pipe<T extends NodeJS.WritableStream>(destination: T): T {
    this.#claim().then(
      (isOurs) => this.#go(isOurs, destination as unknown as Transform),
      (error) => this.#withhold(Promise.reject(error)),
    );
    return destination;
  }

  #go(isOurs: boolean, destination: Transform): void {
    if (!isOurs) {
      this.#withhold({ kind: 'withheld' });
    } else if (!this.destroyed) {
      this.begunAt = performance.now();
      // Past the library's own stuffing, which looks at each octet and makes two writes: the message and its end leave in one.
      destination.push(toData(this.#raw));
      destination.push(null);
    }
  }
}
