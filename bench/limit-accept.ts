/** A process of its own: the service everybody writes first. Fastify and zod, and with a Redis one BullMQ job per letter. */
import { Queue } from 'bullmq';
import fastify from 'fastify';
import { validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod';
import { Redis } from 'ioredis';
import { z } from 'zod';
import { answerRequests } from './processes.ts';

/** @property redisSocket null: accept without keeping anything */
export type AcceptLimitRequest = { readonly redisSocket: string | null };
export type AcceptLimitAnswer = { readonly url: string };

const letter = z.strictObject({
  from: z.string().min(3),
  to: z.union([z.string().min(3), z.array(z.string().min(3)).max(50)]),
  subject: z.string().max(998),
  text: z.string().optional(),
  html: z.string().optional(),
});

answerRequests<AcceptLimitRequest, AcceptLimitAnswer>(async ({ redisSocket }) => {
  const queue = redisSocket === null ? null : new Queue('limit', { connection: new Redis(redisSocket) });
  await queue?.waitUntilReady();
  const app = fastify().withTypeProvider<ZodTypeProvider>();
  app.setValidatorCompiler(validatorCompiler);
  let accepted = 0;
  app.post('/v1/emails', { schema: { body: letter } }, async (request, reply) => {
    const job = await queue?.add('send', request.body, {
      removeOnComplete: true,
    });
    accepted += 1;
    return reply.status(202).send({
      id: job?.id ?? String(accepted),
      object: 'email',
      status: 'queued',
    });
  });
  return {
    url: `${await app.listen({ host: '127.0.0.1', port: 0 })}/v1/emails`,
  };
});
