/** /v1/transports: the state of each transport in the whole fleet, and what an operator can do: verify, pause, resume. */
import { z } from 'zod';
import type { TransportReport, Verification } from '../domain/transport-report.ts';
import { notFoundExamples } from './openapi/problem-examples.ts';
import { exampleName, transportExamples, verifyExamples } from './openapi/transport-examples.ts';
import { ProblemError, problemAnswers } from './problems.ts';
import type { App, Routes } from './server.ts';
import { type TransportView, transportList, transportView, verifyView } from './transport-schemas.ts';
import { transportViewOf, verificationViewOf } from './transport-view.ts';

/** Null or false means that no transport has this name. */
export type Transports = {
  /** @param only these; all transports when left out */
  reportTransports(only?: readonly string[]): Promise<readonly TransportReport[]>;
  verify(name: string): Promise<Verification | null>;
  /** @param by id of the key that pauses it */
  pause(name: string, by: string): Promise<boolean>;
  resume(name: string): Promise<boolean>;
};

type Deps = { transports: Transports };

const params = z.object({
  name: z.string().meta({ description: 'The name of the transport.', examples: [exampleName] }),
});
const missing = notFoundExamples('There is no transport sse', '/v1/transports/sse');
const tags = ['transports'];
/** A transport's state concerns all mail, so a limited key may not read it. */
const toRead = { scope: 'read', unrestricted: true } as const;
const toManage = { scope: 'manage', unrestricted: true } as const;

export function transportRoutes(deps: Deps): Routes {
  return (app) => {
    addList(app, deps);
    addReading(app, deps);
    addVerification(app, deps);
    addPausing(app, deps);
    addResuming(app, deps);
  };
}

function addList(app: App, { transports }: Deps): void {
  app.route({
    method: 'GET',
    url: '/transports',
    config: toRead,
    schema: {
      operationId: 'listTransports',
      summary: 'List transports',
      description:
        'Every transport by name, with its state, its connections, what is left of its rates, and the mail waiting for it.',
      tags,
      response: { 200: transportList, ...problemAnswers() },
      'x-examples': { 200: transportExamples.all },
    },
    handler: async () => ({
      object: 'list' as const,
      has_more: false as const,
      data: (await transports.reportTransports()).map(transportViewOf).toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    }),
  });
}

function addReading(app: App, { transports }: Deps): void {
  app.route({
    method: 'GET',
    url: '/transports/:name',
    config: toRead,
    schema: {
      operationId: 'getTransport',
      summary: 'Get a transport',
      description: 'Its state, its connections, what is left of its rates, and the mail waiting for it.',
      tags,
      params,
      response: { 200: transportView, ...problemAnswers(400, 404) },
      'x-examples': { 200: transportExamples.one, 404: missing },
    },
    handler: ({ params: { name } }) => find(transports, name),
  });
}

function addVerification(app: App, { transports }: Deps): void {
  app.route({
    method: 'POST',
    url: '/transports/:name/verify',
    config: toManage,
    schema: {
      operationId: 'verifyTransport',
      summary: 'Verify a transport',
      description: [
        'Connects and logs in now, without sending anything, and returns the result. The status is 200 even if it fails; `ok` is false then. It takes 20 seconds at most.',
        'If it succeeds while the breaker is open, the workers try at once, too. Takes no body.',
      ].join('\n\n'),
      tags,
      params,
      response: { 200: verifyView, ...problemAnswers(400, 404, 413, 415) },
      'x-examples': { 200: verifyExamples, 404: missing },
    },
    handler: async ({ params: { name } }) => {
      const verification = await transports.verify(name);
      return verification === null ? refuse(name) : verificationViewOf(name, verification);
    },
  });
}

function addPausing(app: App, { transports }: Deps): void {
  app.route({
    method: 'POST',
    url: '/transports/:name/pause',
    config: toManage,
    schema: {
      operationId: 'pauseTransport',
      summary: 'Pause a transport',
      description: [
        'Within a second, all workers stop giving mail to the transport, until it is resumed. Messages that are being sent are finished. Other mail is sent by another transport of its route, or waits; the wait does not count as an attempt.',
        'Pausing it twice changes nothing. Takes no body.',
      ].join('\n\n'),
      tags,
      params,
      response: { 200: transportView, ...problemAnswers(400, 404, 413, 415) },
      'x-examples': { 200: transportExamples.paused, 404: missing },
    },
    handler: async ({ params: { name }, apiKey }) =>
      (await transports.pause(name, apiKey.id)) ? find(transports, name) : refuse(name),
  });
}

function addResuming(app: App, { transports }: Deps): void {
  app.route({
    method: 'POST',
    url: '/transports/:name/resume',
    config: toManage,
    schema: {
      operationId: 'resumeTransport',
      summary: 'Resume a transport',
      description:
        'The transport takes mail again, and the mail waiting for it is sent. Resuming it twice changes nothing. Takes no body.',
      tags,
      params,
      response: { 200: transportView, ...problemAnswers(400, 404, 413, 415) },
      'x-examples': { 200: transportExamples.resumed, 404: missing },
    },
    handler: async ({ params: { name } }) => ((await transports.resume(name)) ? find(transports, name) : refuse(name)),
  });
}

/** @throws ProblemError 404 */
async function find(transports: Pick<Transports, 'reportTransports'>, name: string): Promise<TransportView> {
  const [found] = await transports.reportTransports([name]);
  return found === undefined ? refuse(name) : transportViewOf(found);
}

function refuse(name: string): never {
  throw new ProblemError('not_found', `There is no transport ${name}`);
}
