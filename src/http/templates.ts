/** /v1/templates: create, copy and read. `template-changes.ts` changes and deletes, `template-versions.ts` has the versions and the preview. */
import { templateIdForm } from '../domain/id.ts';
import { makeContent, type TemplateContent } from '../domain/template.ts';
import { templateRequestFor } from '../domain/template-request.ts';
import type { Templates } from '../store/templates.ts';
import type { Templating } from '../templating/templating.ts';
import { type CreationDeps, type CreationRequest, createOnce, creationHeaders, type Made } from './creations.ts';
import { templateExamples } from './openapi/template-examples.ts';
import { pageQueryOf } from './paging.ts';
import { problemAnswers } from './problems.ts';
import type { App, Routes } from './server.ts';
import { aliasTaken, loadTemplate, maxTemplateBytes, templateParams, usesIn, writeConfig } from './template-access.ts';
import { storedOf, storedTemplate, summaryOf, templatePage, templateView, viewOf } from './template-view.ts';

export type TemplateDeps = CreationDeps<'tp'> & { templates: Templates; templating: Templating };

const tags = ['templates'];

type Wanted = { readonly name: string; readonly alias: string | null; readonly content: TemplateContent };

export function templateRoutes(deps: TemplateDeps): Routes {
  return (app) => {
    addCreation(app, deps);
    addList(app, deps);
    addReading(app, deps);
    addCopying(app, deps);
  };
}

function addCreation(app: App, deps: TemplateDeps): void {
  app.route({
    method: 'POST',
    url: '/templates',
    config: writeConfig,
    bodyLimit: maxTemplateBytes,
    schema: {
      operationId: 'createTemplate',
      summary: 'Store a template',
      description:
        'The parts of a template are in Liquid. Values of variables are escaped in the HTML; the filter `raw` prevents that. Every part that has an error is reported, with the line and column of its first one.',
      tags,
      headers: creationHeaders,
      body: templateRequestFor(deps.templating.checkSource),
      response: { 201: storedTemplate, ...problemAnswers(400, 413, 415, 422) },
      'x-examples': { body: templateExamples.requests, 201: templateExamples.stored, 422: templateExamples.faults },
    },
    handler: async (request, reply) => {
      const { name, alias = null } = request.body;
      const wanted = async () => ({ name, alias, content: makeContent(request.body) });
      return reply.status(201).send(await create(deps, { request, reply }, wanted));
    },
  });
}

function addList(app: App, deps: TemplateDeps): void {
  app.route({
    method: 'GET',
    url: '/templates',
    config: { scope: 'read' },
    schema: {
      operationId: 'listTemplates',
      summary: 'List templates',
      description: 'Newest first, without their content.',
      tags,
      querystring: pageQueryOf(templateIdForm, 'a template'),
      response: { 200: templatePage, ...problemAnswers(422) },
      'x-examples': { 200: templateExamples.page },
    },
    handler: async ({ query }) => {
      const { page, hasMore } = await deps.templates.page(query);
      return { object: 'list' as const, has_more: hasMore, data: page.map(summaryOf) };
    },
  });
}

function addReading(app: App, deps: TemplateDeps): void {
  app.route({
    method: 'GET',
    url: '/templates/:id',
    config: { scope: 'read' },
    schema: {
      operationId: 'getTemplate',
      summary: 'Get a template',
      description: 'The template in its newest version, with the variables that it uses.',
      tags,
      params: templateParams,
      response: { 200: templateView, ...problemAnswers(400, 404) },
      'x-examples': { 200: templateExamples.one, 404: templateExamples.missing },
    },
    handler: async ({ params }) => {
      const template = await loadTemplate(deps.templates, params.id);
      return viewOf(template, await usesIn(deps, template.head, template.content));
    },
  });
}

function addCopying(app: App, deps: TemplateDeps): void {
  app.route({
    method: 'POST',
    url: '/templates/:id/duplicate',
    config: writeConfig,
    schema: {
      operationId: 'duplicateTemplate',
      summary: 'Copy a template',
      description: 'Creates another template with the same content, a name of its own and no alias.',
      tags,
      params: templateParams,
      headers: creationHeaders,
      response: { 201: storedTemplate, ...problemAnswers(400, 404, 413, 415, 422) },
      'x-examples': { 201: templateExamples.stored, 404: templateExamples.missing },
    },
    handler: async (request, reply) => {
      const wanted = async () => {
        const { head, content } = await loadTemplate(deps.templates, request.params.id);
        return { name: `${head.name} (copy)`, alias: null, content };
      };
      return reply.status(201).send(await create(deps, { request, reply, given: request.params }, wanted));
    },
  });
}

/** Stores a new template, once for each Idempotency-Key. */
async function create(deps: TemplateDeps, creation: CreationRequest, wanted: () => Promise<Wanted>) {
  const store = async ({ id, createdAt, mark }: Made) => {
    const { name, alias, content } = await wanted();
    const head = { id, name, alias, createdAt, updatedAt: createdAt, version: 1 };
    // `moved_on` means that an earlier request stored it. It may have been changed or deleted since.
    if ((await deps.templates.add({ head, content }, mark)) === 'alias_taken') throw aliasTaken();
  };
  const { id } = await createOnce(deps, 'tp', creation, store);
  return storedOf({ id, version: 1 });
}
