/** /v1/campaigns: create, read, change and delete. `campaign-moves.ts` has the changes of status, `campaign-recipients.ts` the recipients. */
import { type ApiKey, mayRead } from '../domain/api-key.ts';
import type { Campaign } from '../domain/campaign.ts';
import {
  type CampaignLimits,
  campaignChangesFor,
  campaignRequestFor,
  changeDraft,
  type Draft,
  type DraftTemplate,
  makeDraft,
  retypedBy,
} from '../domain/campaign-request.ts';
import { campaignIdForm, makeCampaignId } from '../domain/id.ts';
import type { TemplateFault } from '../domain/template.ts';
import type { HoldUp } from '../pipeline/find-hold-ups.ts';
import { findVersion, type RenderDeps } from '../pipeline/render.ts';
import type { Campaigns } from '../store/campaigns.ts';
import type { Templating } from '../templating/templating.ts';
import {
  campaignConflict,
  campaignMissing,
  campaignParams,
  findCampaign,
  maySee,
  refusalOfCampaign,
} from './campaign-access.ts';
import {
  campaignAnswer,
  campaignPage,
  campaignView,
  deletedCampaign,
  standingOf,
  standingOfNew,
  summaryOf,
  viewOf,
} from './campaign-view.ts';
import { type CreationDeps, createOnce, creationHeaders, type Made } from './creations.ts';
import { campaignExamples } from './openapi/campaign-examples.ts';
import { pageQueryOf } from './paging.ts';
import { ProblemError, problemAnswers } from './problems.ts';
import type { App, Routes } from './server.ts';
import { templateFaults } from './template-access.ts';

type Deps = Omit<CreationDeps<'cm'>, 'newId'> &
  RenderDeps & {
    campaigns: Pick<Campaigns, 'add' | 'get' | 'content' | 'page' | 'change' | 'remove'>;
    templating: Pick<Templating, 'checkSource'>;
    limits: CampaignLimits;
    findHoldUps(campaign: Campaign): Promise<readonly HoldUp[]>;
  };

const tags = ['campaigns'];
/** Bytes of a request with the content of a campaign: its html and its text, escaped in JSON. */
const maxCampaignBytes = 2 * 1024 * 1024;
const idBytes = 10;

export function campaignRoutes(deps: Deps): Routes {
  return (app) => {
    addCreation(app, deps);
    addList(app, deps);
    addReading(app, deps);
    addChange(app, deps);
    addRemoval(app, deps);
  };
}

function addCreation(app: App, deps: Deps): void {
  const { campaigns, templating, limits, entropy, now } = deps;
  const creating = { ...deps, newId: () => makeCampaignId(now(), entropy(idBytes)) };

  app.route({
    method: 'POST',
    url: '/campaigns',
    config: { scope: 'send' },
    bodyLimit: maxCampaignBytes,
    schema: {
      operationId: 'createCampaign',
      summary: 'Create a campaign',
      description: [
        'Creates a draft: add recipients to it, then send it. Its content is Liquid, or a copy of a template as it is now.',
        'A key without `read` gets only status and counts in the answer, here and from every request that changes a campaign.',
      ].join('\n\n'),
      tags,
      headers: creationHeaders,
      body: campaignRequestFor(limits, templating.checkSource),
      response: { 201: campaignAnswer, ...problemAnswers(400, 413, 415, 422) },
      'x-examples': { body: campaignExamples.requests, 201: campaignExamples.draft, 422: campaignExamples.faults },
    },
    /** The Idempotency-Key belongs to the body as sent. */
    preValidation: async (request) => {
      request.given = request.body;
    },
    handler: async (request, reply) => {
      const { apiKey, body, given } = request;
      const store = async ({ id, createdAt, mark }: Made) => {
        const template = await findTemplateFor(deps, body.template);
        const draft = draftOrThrow(makeDraft(body, template, { id, now: createdAt, keyId: apiKey.id }));
        const refusal = refusalOfCampaign(apiKey, draft.head);
        if (refusal !== null) throw ProblemError.of(refusal.problem, refusal.faults);
        await campaigns.add(draft, mark);
      };
      const made = await createOnce(creating, 'cm', { request, reply, given }, store);
      return reply.status(201).send(await answerToMaker(deps, apiKey, made.id));
    },
  });
}

function addList(app: App, { campaigns, now }: Deps): void {
  app.route({
    method: 'GET',
    url: '/campaigns',
    config: { scope: 'read' },
    schema: {
      operationId: 'listCampaigns',
      summary: 'List campaigns',
      description: [
        'Newest first, each with its status.',
        'A key limited to domains or lanes sees the campaigns it could have sent. For such a key, one page looks at 1,000 campaigns at most, so it may be short or empty although `has_more` is true; continue with `next`.',
      ].join('\n\n'),
      tags,
      querystring: pageQueryOf(campaignIdForm, 'a campaign'),
      response: { 200: campaignPage, ...problemAnswers(422) },
      'x-examples': { 200: campaignExamples.page },
    },
    handler: async ({ query, apiKey }) => {
      const { page, hasMore, next } = await campaigns.page(query, (head) => maySee(apiKey, head));
      const data = page.map((campaign) => summaryOf(campaign, now()));
      return { object: 'list' as const, has_more: hasMore, data, next };
    },
  });
}

function addReading(app: App, deps: Deps): void {
  app.route({
    method: 'GET',
    url: '/campaigns/:id',
    config: { scope: 'read' },
    schema: {
      operationId: 'getCampaign',
      summary: 'Get a campaign',
      description:
        'The campaign with its status and content, and the transports that its recipients wait for. Its counts are always exact.',
      tags,
      params: campaignParams,
      response: { 200: campaignView, ...problemAnswers(400, 404) },
      'x-examples': { 200: campaignExamples.one, 404: campaignExamples.missing },
    },
    handler: async ({ params, apiKey }) => viewNow(deps, await findCampaign(deps.campaigns, params.id, apiKey)),
  });
}

function addChange(app: App, deps: Deps): void {
  const { campaigns, templating, limits } = deps;

  app.route({
    method: 'PATCH',
    url: '/campaigns/:id',
    config: { scope: 'send' },
    bodyLimit: maxCampaignBytes,
    schema: {
      operationId: 'updateCampaign',
      summary: 'Change a draft',
      description: [
        'Changes a campaign that was neither sent nor scheduled yet. After that it cannot be changed. Another template replaces the content, and what was taken from the template before: a `subject`, `from`, `reply_to` or `name` that was given stays.',
        'Once it has recipients, no variable can get another type (409): they were read by the types declared then.',
      ].join('\n\n'),
      tags,
      params: campaignParams,
      body: campaignChangesFor(limits, templating.checkSource),
      response: { 200: campaignAnswer, ...problemAnswers(400, 404, 409, 413, 415, 422) },
      'x-examples': {
        body: campaignExamples.changes,
        200: campaignExamples.changed,
        404: campaignExamples.missing,
        409: campaignExamples.notDraft,
      },
    },
    handler: async ({ params: { id }, body, apiKey }) => {
      const { head, state } = await findCampaign(campaigns, id, apiKey);
      if (state.status !== 'draft') throw campaignConflict(id, 'changed: only a draft can be', state.status);
      const was = { head, content: await contentOf(deps, id), scheduledAt: state.scheduledAt };
      const draft = draftOrThrow(changeDraft(was, body, await findTemplateFor(deps, body.template), limits));
      const refusal = refusalOfCampaign(apiKey, draft.head);
      if (refusal !== null) throw ProblemError.of(refusal.problem, refusal.faults);
      const retyped = retypedBy(was, draft);
      const changed = await campaigns.change(head, draft, retyped.length > 0);
      if (changed === 'has_recipients') throw campaignConflict(id, retypedWords(retyped), state.status);
      if (changed === 'moved_on')
        throw new ProblemError('conflict', `Campaign ${id} was changed or sent at the same time. Look at it again.`);
      return answerFor(deps, apiKey, await findCampaign(campaigns, id, apiKey));
    },
  });
}

function addRemoval(app: App, { campaigns }: Deps): void {
  app.route({
    method: 'DELETE',
    url: '/campaigns/:id',
    config: { scope: 'send' },
    schema: {
      operationId: 'deleteCampaign',
      summary: 'Delete a campaign',
      description: 'Deletes a draft, or a campaign that has ended, with its recipients and their results.',
      tags,
      params: campaignParams,
      response: { 200: deletedCampaign, ...problemAnswers(400, 404, 409, 413, 415) },
      'x-examples': { 404: campaignExamples.missing, 409: campaignExamples.notOver },
    },
    handler: async ({ params: { id }, apiKey }) => {
      await findCampaign(campaigns, id, apiKey);
      const removed = await campaigns.remove(id);
      if (removed === 'gone') throw campaignMissing(id);
      if (removed !== 'removed') throw campaignConflict(id, 'removed while recipients of it are pending', removed);
      return { object: 'campaign' as const, id, deleted: true as const };
    },
  });
}

async function viewNow(deps: Deps, campaign: Campaign) {
  const [content, holdUps] = await Promise.all([contentOf(deps, campaign.head.id), deps.findHoldUps(campaign)]);
  return viewOf(campaign, content, holdUps, deps.now());
}

/** The answer to a key that changed the campaign. Without the scope to read, it shows only the state of the campaign. */
async function answerFor(deps: Deps, apiKey: ApiKey, campaign: Campaign) {
  return mayRead(apiKey) ? viewNow(deps, campaign) : standingOf(campaign);
}

/** The campaign may have been deleted, or put out of the key's sight, before the request is repeated. */
async function answerToMaker(deps: Deps, apiKey: ApiKey, id: string) {
  const [campaign, content] = await Promise.all([deps.campaigns.get(id), deps.campaigns.content(id)]);
  if (campaign === null || content === null || !maySee(apiKey, campaign.head)) return standingOfNew(id);
  return mayRead(apiKey)
    ? viewOf(campaign, content, await deps.findHoldUps(campaign), deps.now())
    : standingOf(campaign);
}

/** @throws ProblemError 404 when the campaign was deleted in the meantime */
async function contentOf({ campaigns }: Deps, id: string) {
  const content = await campaigns.content(id);
  if (content === null) throw campaignMissing(id);
  return content;
}

/** @throws ProblemError 422 when there is no such template, or it cannot be used */
async function findTemplateFor(
  deps: Deps,
  asked: { readonly id: string; readonly version?: number | undefined } | undefined,
): Promise<DraftTemplate | null> {
  if (asked === undefined) return null;
  const found = await findVersion(deps, { id: asked.id, version: asked.version });
  if (!('faults' in found)) return { use: found.use, content: found.compiled.content };
  const faults = found.faults.map((fault) => ({ ...fault, path: ['template', ...fault.path] }));
  throw ProblemError.of('validation_error', templateFaults(faults));
}

function retypedWords(names: readonly string[]): string {
  return `changed: its recipients were uploaded before ${names.join(', ')} had this type. Create another campaign, and upload them there`;
}

function draftOrThrow(draft: Draft | { readonly faults: readonly TemplateFault[] }): Draft {
  if ('faults' in draft) throw ProblemError.of('validation_error', templateFaults(draft.faults));
  return draft;
}
