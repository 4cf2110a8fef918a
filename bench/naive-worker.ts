/** A process of its own: the worker everybody writes first. A BullMQ job holds a letter, and nodemailer's pool sends it. */
import { Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { createTransport } from 'nodemailer';
import { smtpConnections } from './counts.ts';
import { answerRequests } from './processes.ts';

export type NaiveWorkerRequest = { readonly redisSocket: string; readonly sinkPort: number };

/** More than there are connections, as ours has: none of them ever waits for a message. */
const concurrency = 50;

answerRequests<NaiveWorkerRequest, null>(async ({ redisSocket, sinkPort }) => {
  const transport = createTransport({
    pool: true,
    host: '127.0.0.1',
    port: sinkPort,
    ignoreTLS: true,
    maxConnections: smtpConnections,
    maxMessages: Number.POSITIVE_INFINITY,
  });
  const connection = new Redis(redisSocket, { maxRetriesPerRequest: null });
  const worker = new Worker('limit', async ({ data }) => void (await transport.sendMail(data)), {
    connection,
    concurrency,
  });
  await worker.waitUntilReady();
  return null;
});
