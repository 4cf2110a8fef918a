/** Reads and writes on an open SMTP connection: commands and data out, whole replies in (RFC 5321 section 4.2). */
import type { Socket } from 'node:net';
import type SMTPConnection from 'nodemailer/lib/smtp-connection';
import { makeReplyReader } from './reply-reader.ts';
import type { SmtpError } from './smtp-outcome.ts';

export type SmtpTalk = {
  write(data: string | Buffer): void;
  /** All writes from now until the end of this turn of the event loop leave in one write. */
  gather(): void;
  /**
   * The next reply without a waiter, its lines joined by LF, all with the code of the last line.
   * @param withinMs how long the complete reply may take from when it is its turn
   * @throws SmtpError when the connection ends before it
   */
  reply(withinMs: number): Promise<string>;
  /** An unsolicited reply; null for none. @throws SmtpError when the connection has ended */
  unsolicitedReply(): Promise<string | null>;
  /** No command is under way from now on: any reply, most often a goodbye, ends the connection. */
  becomeIdle(): void;
  readonly isOver: boolean;
  /** Closes the connection and drops replies that were not read. */
  close(): void;
  /** Closes the connection under a message that is not waited for any more. Its wait for a reply ends with `CutOff`. */
  cutOff(): void;
};

/** Postrider itself closed the connection, so the server is not at fault. */
export class CutOff extends Error {
  readonly code = 'ECONNECTION';
}

type Waiting = {
  /** When its turn came. */
  since: number;
  readonly withinMs: number;
  give(reply: string): void;
  fail(error: SmtpError): void;
};

/** Bytes of one reply that are read. */
const maxReplyBytes = 16 * 1_024 * 1_024;

type Times = {
  /** How long the connection may be silent while no command is under way. */
  readonly idleMs: number;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
};

/**
 * Reads the connection from now on instead of the library, which needs one turn of the event loop for each reply and three writes for each
 * envelope. The library still handles timeouts, errors and closing. The socket timeout is only for silence: the deadline of a server that sends
 * a little now and then is checked whenever something comes.
 */
export function takeOver(connection: SMTPConnection, { idleMs: restMs, now }: Times): SmtpTalk {
  const socket = connection._socket as Socket;
  const replies: string[] = [];
  let isIdle = true;
  const waiting: Waiting[] = [];
  const reader = makeReplyReader(take);
  let silenceMs: number | null = null;
  let ended: SmtpError | null = null;

  function take(reply: string): void {
    if (isIdle) {
      connection.close();
      return;
    }
    const first = waiting.shift();
    if (first === undefined) replies.push(reply);
    else first.give(reply);
    const [next] = waiting;
    if (next === undefined) return;
    next.since = now();
    allowSilence(next.withinMs);
  }

  function allowSilence(ms: number): void {
    if (ms === silenceMs) return;
    silenceMs = ms;
    socket.setTimeout(ms);
  }

  socket.removeAllListeners('data');
  socket.on('data', (chunk: Buffer) => {
    reader.read(chunk);
    if (reader.bytes > maxReplyBytes) end(smtpError('EPROTOCOL', `A reply has more than ${maxReplyBytes} bytes`));
    else if (waiting[0] !== undefined && now() - waiting[0].since > waiting[0].withinMs)
      end(smtpError('ETIMEDOUT', `No whole reply within ${waiting[0].withinMs / 1_000} s`));
  });

  let trouble: SmtpError | null = null;
  connection.on('error', (error: SmtpError) => {
    trouble = error;
  });
  connection.once('end', () => {
    // Some servers close in the middle of the line that gives the reason.
    const last = reader.lastWords();
    if (last !== null) take(last);
    end(trouble ?? smtpError('ECONNECTION', 'Connection closed unexpectedly'));
  });

  function end(error: SmtpError): void {
    ended ??= error;
    for (const { fail } of waiting.splice(0)) fail(ended);
    connection.close();
  }

  return {
    write(data) {
      isIdle = false;
      if (ended === null && !connection.destroyed) socket.write(data);
    },
    gather() {
      socket.cork();
      process.nextTick(() => socket.uncork());
    },
    reply(withinMs) {
      const next = replies.shift();
      if (next !== undefined) return Promise.resolve(next);
      if (ended !== null) return Promise.reject(ended);
      if (waiting.length === 0) allowSilence(withinMs);
      return new Promise((give, fail) => {
        waiting.push({ since: now(), withinMs, give, fail });
      });
    },
    async unsolicitedReply() {
      if (ended !== null) throw ended;
      return replies.shift() ?? null;
    },
    becomeIdle() {
      isIdle = true;
      allowSilence(restMs);
      if (replies.length > 0) connection.close();
    },
    get isOver() {
      return ended !== null || connection.destroyed;
    },
    close() {
      replies.length = 0;
      connection.close();
    },
    cutOff: () => end(new CutOff('Postrider closed the connection before the server answered')),
  };
}

export function smtpError(code: string, message: string): SmtpError {
  return Object.assign(new Error(message), { code });
}
