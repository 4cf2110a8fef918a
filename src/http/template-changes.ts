/** PATCH and DELETE /v1/templates/:id: a change of the content makes a new version. */
import { changeContent, hasBody, type TemplateHead } from '../domain/template.ts';
import { templateChangesFor } from '../domain/template-request.ts';
import type { Changed } from '../store/templates.ts';
import { templateExamples } from './openapi/template-examples.ts';
import { ProblemError, problemAnswers } from './problems.ts';
import type { App, Routes } from './server.ts';
import {
  aliasTaken,
  findTemplate,
  loadTemplate,
  maxTemplateBytes,
  templateMissing,
  templateParams,
  writeConfig,
} from './template-access.ts';
import { deletedTemplate, storedOf, storedTemplate } from './template-view.ts';
import type { TemplateDeps } from './templates.ts';

type Deps = Pick<TemplateDeps, 'templates' | 'templating' | 'now'>;

const tags = ['templates'];

const noBody = { pointer: '/html', code: 'custom', message: 'html or text is required' };

export function templateChangeRoutes(deps: Deps): Routes {
  return (app) => {
    addChange(app, deps);
    addRemoval(app, deps);
  };
}

function addChange(app: App, { templates, templating, now }: Deps): void {
  app.route({
    method: 'PATCH',
    url: '/templates/:id',
    config: writeConfig,
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
      const was = await loadTemplate(templates, params.id);
      const content = changeContent(was.content, body);
      if (!hasBody(content)) throw ProblemError.of('validation_error', [noBody]);
      const isNew = JSON.stringify(content) !== JSON.stringify(was.content);
      const { head } = was;
      const alias = body.alias === undefined ? head.alias : body.alias;
      const wanted = { ...head, name: body.name ?? head.name, alias, version: head.version + Number(isNew) };
      if (JSON.stringify(wanted) === JSON.stringify(head)) return storedOf(head);
      const changed = { ...wanted, updatedAt: now() };
      throwUnless('changed', await templates.change(head, changed, isNew ? content : null), head);
      return storedOf(changed);
    },
  });
}

function addRemoval(app: App, { templates }: Deps): void {
  app.route({
    method: 'DELETE',
    url: '/templates/:id',
    config: writeConfig,
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
}

function throwUnless(wanted: Changed, came: Changed, { id }: TemplateHead): void {
  if (came === wanted) return;
  if (came === 'alias_taken') throw aliasTaken();
  throw new ProblemError('conflict', `Template ${id} was changed by another request at the same time. Try again.`);
}
