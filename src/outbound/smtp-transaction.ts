/** One message over an open connection: the envelope, the claim, the body in one write, and what came of it. */
import { isAscii } from 'node:buffer';
import { Readable, type Transform } from 'node:stream';
import type SMTPConnection from 'nodemailer/lib/smtp-connection';
import type { AttemptTrace, Outcome } from '../domain/outcome.ts';
import { toData } from './dot-stuffing.ts';
import { type Extensions, envelopeOf } from './smtp-envelope.ts';
import { outcomeOfError, outcomeOfSuccess, type SmtpError } from './smtp-outcome.ts';
import type { Message } from './transport.ts';

export type NextHop = {
  readonly transport: string;
  /** `host:port`. */
  readonly host: string;
  /** TLS version, null for plaintext. */
  readonly tls: string | null;
  /** What opening the connection took, login included. */
  readonly connectMs: number;
  readonly extensions: Extensions;
};

/**
 * @param isFirst whether the connection was opened for it
 * @throws only what `claim` throws
 */
export async function transact(
  connection: SMTPConnection,
  nextHop: NextHop,
  message: Message,
  claim: () => Promise<boolean>,
  isFirst: boolean,
): Promise<Outcome> {
  const { transport, extensions } = nextHop;
  const startedAt = performance.now();
  const obstacle = obstacleTo(message, extensions);
  if (obstacle !== null) return { kind: 'undeliverable', transport, detail: obstacle };
  // The library's books stand in it also after a failure.
  const envelope = envelopeOf(message, extensions);
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

/** Why this server cannot take it, known without asking. */
function obstacleTo(message: Message, { utf8, maxBytes }: Extensions): string | null {
  const bytes = message.raw.length;
  if (maxBytes !== null && maxBytes > 0 && bytes > maxBytes)
    return `it has ${bytes} bytes, and the server takes at most ${maxBytes} (SIZE)`;
  // The library would send it all the same, and the next hop could do with it what it likes (RFC 6531 section 3.2).
  if (!utf8 && needsUtf8(message)) return 'it has an address beyond ASCII, and the server does not offer SMTPUTF8';
  return null;
}

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
