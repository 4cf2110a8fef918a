/** POST /v1/suppressions/batch/…: adds or removes up to 1,000 addresses in one request, as the Resend SDKs do it. */
import { z } from 'zod';
import { withRules } from '../domain/rule.ts';
import { makeSuppression, type Suppression, suppressionFields } from '../domain/suppression.ts';
import type { Suppressions } from '../store/suppressions.ts';
import { listOf, objectField } from './answer-fields.ts';
import { problemAnswers } from './problems.ts';
import type { App, Routes } from './server.ts';
import { type RemovalDeps, seekSuppressions, unsuppress } from './suppression-access.ts';
import { suppressionExample } from './suppression-view.ts';

type Deps = RemovalDeps & {
  suppressions: Pick<Suppressions, 'add' | 'get' | 'byId'>;
  newId(prefix: 'sp'): string;
};

const most = 1_000;

const { email, ...others } = suppressionFields;
const additions = z
  .strictObject({
    emails: z
      .array(email)
      .min(1)
      .max(most)
      .meta({ description: 'The addresses, without names. Upper and lower case are the same.' }),
    ...others,
  })
  .meta({
    id: 'SuppressionBatch',
    description: `Up to ${most} addresses to suppress.`,
    examples: [{ emails: ['ada@example.com', 'eve@example.org'] }],
  });

const added = listOf(
  z.object({
    object: objectField('suppression'),
    id: z.string().meta({ description: 'The id of the suppression, new or existing.' }),
    email: z.string().meta({ description: 'The address, in lower case.' }),
  }),
  'One for each address, in the given order.',
).meta({
  description: 'The addresses are on the list.',
  examples: [
    { object: 'list', data: [{ object: 'suppression', id: suppressionExample.id, email: 'ada@example.com' }] },
  ],
});

const named = z.array(z.string()).min(1).max(most).optional();
const removals = withRules(
  z.strictObject({
    emails: named.meta({ description: 'Addresses, in upper or lower case.' }),
    ids: named.meta({ description: 'Ids of suppressions.' }),
  }),
  [
    {
      path: 'emails',
      message: 'must be given, or ids, but not both',
      holds: ({ emails, ids }) => (emails === undefined) !== (ids === undefined),
    },
  ],
).meta({
  id: 'SuppressionBatchRemoval',
  description: `Up to ${most} addresses, or ids of suppressions.`,
  examples: [{ emails: ['ada@example.com', 'eve@example.org'] }],
});

const removed = listOf(
  z.object({
    object: objectField('suppression'),
    id: z.string().nullable().meta({
      description: 'The id of the removed suppression; the first if there were several, null if there was none.',
    }),
    deleted: z.boolean().meta({ description: 'Whether it was on the list.' }),
  }),
  'One for each address or id, in the given order.',
).meta({
  description: 'The suppressions were removed.',
  examples: [{ object: 'list', data: [{ object: 'suppression', id: suppressionExample.id, deleted: true }] }],
});

const tags = ['suppressions'];
/** Suppressions concern all mail, so a limited key may not change them. */
const config = { scope: 'manage', unrestricted: true } as const;

export function suppressionBatchRoutes(deps: Deps): Routes {
  return (app) => {
    addAddition(app, deps);
    addRemoval(app, deps);
  };
}

function addAddition(app: App, { suppressions, newId }: Deps): void {
  app.route({
    method: 'POST',
    url: '/suppressions/batch/add',
    config,
    schema: {
      operationId: 'addSuppressions',
      summary: 'Suppress several addresses',
      description:
        'Adds up to 1,000 addresses with the same scope and reason, each like a single one. Use the import for more.',
      tags,
      body: additions,
      response: { 201: added, ...problemAnswers(400, 413, 415, 422) },
    },
    handler: async ({ body: { emails, ...given } }, reply) => {
      const made = emails.map((address) => makeSuppression({ ...given, email: address }, newId('sp')));
      await suppressions.add(made);
      const data = made.map(async (own) => {
        const { id, address } = (await standing(suppressions, own)) ?? own;
        return { object: 'suppression' as const, id, email: address };
      });
      return reply.status(201).send({ object: 'list', data: await Promise.all(data) });
    },
  });
}

/** The suppression of this address and scope that is on the list. */
async function standing(
  suppressions: Pick<Suppressions, 'get'>,
  { address, scope }: Suppression,
): Promise<Suppression | undefined> {
  return (await suppressions.get(address)).find((one) => one.scope === scope);
}

function addRemoval(app: App, deps: Deps): void {
  app.route({
    method: 'POST',
    url: '/suppressions/batch/remove',
    config,
    schema: {
      operationId: 'removeSuppressions',
      summary: 'Remove several addresses from the list',
      description:
        'Removes the suppressions; the addresses get mail again. Addresses and ids that are not on the list are skipped. The removal is logged with the API key.',
      tags,
      body: removals,
      response: { 200: removed, ...problemAnswers(400, 413, 415, 422) },
    },
    handler: async ({ body: { emails, ids = emails ?? [] }, apiKey }) => {
      const data = [];
      for (const sought of ids) data.push(await remove(deps, sought, apiKey.id));
      return { object: 'list' as const, data };
    },
  });
}

async function remove(deps: Deps, sought: string, keyId: string): Promise<z.input<typeof removed>['data'][number]> {
  const found = await seekSuppressions(deps.suppressions, sought);
  const deleted = await unsuppress(deps, found, keyId);
  return { object: 'suppression', id: found[0]?.id ?? null, deleted };
}
