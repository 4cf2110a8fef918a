/** /v1/templates: create, read, change and delete. `template-versions.ts` has the versions and the preview. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { templateIdForm } from '../domain/id.ts';
import {
  changeContent,
  hasBody,
  makeContent,
  type Template,
  type TemplateContent,
  type TemplateHead,
} from '../domain/template.ts';
import { templateChangesFor, templateRequestFor } from '../domain/template-request.ts';
import type { Changed, Templates } from '../store/templates.ts';
import type { Templating } from '../templating/templating.ts';
import { type CreationDeps, createOnce, creationHeaders, type Made } from './creations.ts';
import { templateExamples } from './openapi/template-examples.ts';
import { pageQueryOf } from './paging.ts';
import { ProblemError, problemAnswers } from './problems.ts';
import type { Routes } from './server.ts';
import { findTemplate, templateMissing, templateParams, usesIn } from './template-access.ts';
import { deletedTemplate, storedTemplate, summaryOf, templatePage, templateView, viewOf } from './template-view.ts';

export type TemplateDeps = CreationDeps<'tp'> & { templates: Templates; templating: Templating };

const tags = ['templates'];
/** Any email may be made from a template, so a limited key may not change one. */
const config = { scope: 'manage', unrestricted: true } as const;
const stored = ({ id, version }: Pick<TemplateHead, 'id' | 'version'>) => ({
  object: 'template' as const,
  id,
  version,
});

type Wanted = { readonly name: string; readonly alias: string | null; readonly content: TemplateContent };

export function templateRoutes(deps: TemplateDeps): Routes {
  const { templates, templating, now } = deps;

  async function load(name: string): Promise<Template> {
    const head = await findTemplate(templates, name);
    const content = await templates.content(head);
    if (content === null) throw templateMissing(name);
    return { head, content };
  }

  /**
   * Stores a new template, once for each Idempotency-Key.
   * @param given the body that the key belongs to
   */
  async function create(request: FastifyRequest, reply: FastifyReply, wanted: () => Promise<Wanted>, given: unknown) {
    const store = async ({ id, createdAt, mark }: Made) => {
      const { name, alias, content } = await wanted();
      const head = { id, name, alias, createdAt, updatedAt: createdAt, version: 1 };
      // `moved_on` means that an earlier request stored it. It may have been changed or deleted since.
      if ((await templates.add({ head, content }, mark)) === 'alias_taken') throw aliasTaken();
    };
    const { id } = await createOnce(deps, 'tp', request, reply, store, given);
    return stored({ id, version: 1 });
  }

  return (app) => {
    app.route({
      method: 'POST',
      url: '/templates',
      config,
      bodyLimit: maxTemplateBytes,
      schema: {
        operationId: 'createTemplate',
        summary: 'Store a template',
        description:
          'The parts of a template are in Liquid. Values of variables are escaped in the HTML; the filter `raw` prevents that. Every error in a part is reported with its line and column.',
        tags,
        headers: creationHeaders,
        body: templateRequestFor(templating.checkSource),
        response: { 201: storedTemplate, ...problemAnswers(400, 413, 415, 422) },
        'x-examples': { body: templateExamples.requests, 201: templateExamples.stored, 422: templateExamples.faults },
      },
      handler: async (request, reply) => {
        const { name, alias = null } = request.body;
        const wanted = async () => ({ name, alias, content: makeContent(request.body) });
        return reply.status(201).send(await create(request, reply, wanted, request.body));
      },
    });

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
        const { page, hasMore } = await templates.page(query);
        return { object: 'list' as const, has_more: hasMore, data: page.map(summaryOf) };
      },
    });

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
        const template = await load(params.id);
        return viewOf(template, await usesIn(deps, template.head, template.content));
      },
    });

    app.route({
      method: 'PATCH',
      url: '/templates/:id',
      config,
      bodyLimit: maxTemplateBytes,
      schema: {
        operationId: 'updateTemplate',
        summary: 'Change a template',
        description:
          'A change of the content creates a new version, from which emails are made from then on. Older versions are not changed, and an email can still name one.',
        tags,
        params: templateParams,
        body: templateChangesFor(templating.checkSource),
        response: { 200: storedTemplate, ...problemAnswers(400, 404, 409, 413, 415, 422) },
        'x-examples': {
          body: templateExamples.changes,
          200: templateExamples.changed,
          404: templateExamples.missing,
          409: templateExamples.conflict,
        },
      },
      handler: async ({ params, body }) => {
        const was = await load(params.id);
        const content = changeContent(was.content, body);
        if (!hasBody(content)) throw ProblemError.of('validation_error', [noBody]);
        const isNew = JSON.stringify(content) !== JSON.stringify(was.content);
        const { head } = was;
        const alias = body.alias === undefined ? head.alias : body.alias;
        const wanted = { ...head, name: body.name ?? head.name, alias, version: head.version + Number(isNew) };
        if (JSON.stringify(wanted) === JSON.stringify(head)) return stored(head);
        const changed = { ...wanted, updatedAt: now() };
        throwUnless('changed', await templates.change(head, changed, isNew ? content : null), head);
        return stored(changed);
      },
    });

    app.route({
      method: 'POST',
      url: '/templates/:id/duplicate',
      config,
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
          const { head, content } = await load(request.params.id);
          return { name: `${head.name} (copy)`, alias: null, content };
        };
        return reply.status(201).send(await create(request, reply, wanted, request.params));
      },
    });

    app.route({
      method: 'DELETE',
      url: '/templates/:id',
      config,
      schema: {
        operationId: 'deleteTemplate',
        summary: 'Delete a template',
        description:
          'Deletes the template with all its versions. Emails that were already made from it are not affected.',
        tags,
        params: templateParams,
        response: { 200: deletedTemplate, ...problemAnswers(400, 404, 413, 415) },
        'x-examples': { 200: templateExamples.deleted, 404: templateExamples.missing },
      },
      handler: async ({ params }) => {
        const { id } = await findTemplate(templates, params.id);
        if (!(await templates.remove(id))) throw templateMissing(params.id);
        return { object: 'template' as const, id, deleted: true as const };
      },
    });
  };
}

/** Bytes of a request with the content of a template: its html and its text, escaped in JSON. */
const maxTemplateBytes = 2 * 1024 * 1024;

const noBody = { pointer: '/html', code: 'custom', message: 'html or text is required' };

function aliasTaken(): ProblemError {
  return ProblemError.of('validation_error', [
    { pointer: '/alias', code: 'taken', message: 'is that of another template' },
  ]);
}

function throwUnless(wanted: Changed, came: Changed, { id }: TemplateHead): void {
  if (came === wanted) return;
  if (came === 'alias_taken') throw aliasTaken();
  throw new ProblemError('conflict', `Template ${id} was changed by another request at the same time. Try again.`);
}
