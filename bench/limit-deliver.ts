/** A process of its own: three ways to send the letter as fast as they go, with no queue and no books. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createTransport } from 'nodemailer';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import { rawConnections, smtpConnections } from './counts.ts';
import { composeLetter, recipient, sender, writeLetter } from './letter.ts';
import { answerRequests } from './processes.ts';

export type DeliverLimitKind = 'raw' | 'connection' | 'sendMail';
export type DeliverLimitRequest = {
  readonly kind: DeliverLimitKind;
  readonly port: number;
  readonly count: number;
};

const host = '127.0.0.1';
const to = recipient(0);

answerRequests<DeliverLimitRequest, null>(async ({ kind, port, count }) => {
  await senders[kind](port, count);
  return null;
});

const senders: Record<DeliverLimitKind, (port: number, count: number) => Promise<void>> = {
  raw: sendRaw,
  connection: sendOverConnections,
  sendMail: sendWithPool,
};

/** The next envelope leaves with the end of the last body: one write and one read per message, the least SMTP allows. */
async function sendRaw(port: number, count: number): Promise<void> {
  const body = Buffer.concat([await composeLetter(writeLetter(to)), Buffer.from('\r\n.\r\n')]);
  const envelope = Buffer.from(`MAIL FROM:<${sender}>\r\nRCPT TO:<${to}>\r\nDATA\r\n`);
  const both = Buffer.concat([body, envelope]);
  let left = count;

  async function drive(socket: Socket): Promise<void> {
    await converse(socket, 'EHLO bench\r\n', '250 SIZE');
    if (left-- <= 0) return;
    await converse(socket, envelope, '354');
    while (left-- > 0) await converse(socket, both, '354');
    await converse(socket, body, '250');
  }

  const sockets = await Promise.all(Array.from({ length: rawConnections }, () => connectTo(port)));
  await Promise.all(sockets.map(drive));
  for (const socket of sockets) socket.destroy();
}

async function connectTo(port: number): Promise<Socket> {
  const socket = connect({ host, port, noDelay: true });
  await once(socket, 'data');
  return socket;
}

/** Writes, and waits for the reply that begins with `last`. */
function converse(socket: Socket, bytes: string | Buffer, last: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = '';
    const fail = () => reject(new Error(`the sink closed the connection after: ${text}`));
    const take = (chunk: Buffer) => {
      text += chunk.toString('latin1');
      const lastLine = text.slice(text.lastIndexOf('\n', text.length - 2) + 1);
      if (!text.endsWith('\r\n') || !lastLine.startsWith(last)) return;
      socket.off('data', take).off('close', fail);
      resolve();
    };
    socket.on('data', take).once('close', fail);
    socket.write(bytes);
  });
}

/** A message that is ready, over the connections nodemailer's own pool is made of. */
async function sendOverConnections(port: number, count: number): Promise<void> {
  const raw = await composeLetter(writeLetter(to));
  let left = count;

  async function drive(): Promise<void> {
    const connection = new SMTPConnection({ host, port, ignoreTLS: true });
    await new Promise<void>((resolve, reject) => {
      connection.once('error', reject);
      connection.connect((error) => (error ? reject(error) : resolve()));
    });
    while (left-- > 0) {
      await new Promise<void>((resolve, reject) => {
        const envelope = { from: sender, to: [to], size: raw.length };
        connection.send(envelope, raw, (error) => (error ? reject(error) : resolve()));
      });
    }
    connection.quit();
  }

  await Promise.all(Array.from({ length: smtpConnections }, drive));
}

async function sendWithPool(port: number, count: number): Promise<void> {
  const letter = writeLetter(to);
  const pool = {
    pool: true,
    host,
    port,
    ignoreTLS: true,
    maxConnections: smtpConnections,
    maxMessages: count,
  } as const;
  const transport = createTransport(pool);
  let left = count;

  async function drive(): Promise<void> {
    while (left-- > 0) await transport.sendMail(letter);
  }

  // More callers than connections: none of them ever waits for a message.
  await Promise.all(Array.from({ length: smtpConnections * 5 }, drive));
  transport.close();
}
