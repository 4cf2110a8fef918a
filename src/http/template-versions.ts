/** /v1/templates/:id/…: the versions of a template, and the preview of one. */
import { z } from 'zod';
import { renderRequest } from '../domain/template-request.ts';
import { findVersion } from '../pipeline/render.ts';
import { templateExamples } from './openapi/template-examples.ts';
import { ProblemError, problemAnswers } from './problems.ts';
import type { App, Routes } from './server.ts';
import { findTemplate, templateFaults, templateParams, usesIn, writeConfig } from './template-access.ts';
import {
  letterOf,
  letterView,
  storedOf,
  storedTemplate,
  versionList,
  versionListOf,
  versionView,
  versionViewOf,
} from './template-view.ts';
import type { TemplateDeps } from './templates.ts';

type Deps = Pick<TemplateDeps, 'templates' | 'templating'>;

const tags = ['templates'];
/** Bytes of a request for a preview: variables alone may have 256 KB. */
const maxRenderBytes = 1024 * 1024;

const versionParams = templateParams.extend({
  version: z.coerce
    .number()
    .int()
    .min(1)
    .meta({ description: 'The number of the version, from 1.', examples: [2] }),
});

export function templateVersionRoutes(deps: Deps): Routes {
  return (app) => {
    addList(app, deps);
    addReading(app, deps);
    addPreview(app, deps);
    addPublishing(app, deps);
  };
}

function addList(app: App, { templates }: Deps): void {
  app.route({
    method: 'GET',
    url: '/templates/:id/versions',
    config: { scope: 'read' },
    schema: {
      operationId: 'listTemplateVersions',
      summary: 'List the versions of a template',
      description: 'Newest first, without their content. The last 1,000 are kept.',
      tags,
      params: templateParams,
      response: { 200: versionList, ...problemAnswers(400, 404) },
      'x-examples': { 200: templateExamples.versions, 404: templateExamples.missing },
    },
    handler: async ({ params }) => {
      const head = await findTemplate(templates, params.id);
      return versionListOf(head.id, await templates.versions(head));
    },
  });
}

function addReading(app: App, deps: Deps): void {
  app.route({
    method: 'GET',
    url: '/templates/:id/versions/:version',
    config: { scope: 'read' },
    schema: {
      operationId: 'getTemplateVersion',
      summary: 'Get a version of a template',
      description: 'The content of the version, and the variables that it uses.',
      tags,
      params: versionParams,
      response: { 200: versionView, ...problemAnswers(400, 404, 422) },
      'x-examples': { 200: templateExamples.version, 404: templateExamples.missing },
    },
    handler: async ({ params }) => {
      const { id } = await findTemplate(deps.templates, params.id);
      const use = { id, version: params.version };
      const content = await deps.templates.content(use);
      if (content === null) throw new ProblemError('not_found', `Template ${id} has no version ${params.version}`);
      return versionViewOf(id, params.version, content, await usesIn(deps, use, content));
    },
  });
}

function addPreview(app: App, deps: Deps): void {
  app.route({
    method: 'POST',
    url: '/templates/:id/render',
    config: { scope: 'read' },
    bodyLimit: maxRenderBytes,
    schema: {
      operationId: 'renderTemplate',
      summary: 'Render a template',
      description:
        'Returns the content of an email made from the template with these variables. Nothing is stored or sent.',
      tags,
      params: templateParams,
      body: renderRequest,
      response: { 200: letterView, ...problemAnswers(400, 404, 413, 415, 422) },
      'x-examples': { 200: templateExamples.letter, 404: templateExamples.missing, 422: templateExamples.lacking },
    },
    handler: async ({ params, body }) => {
      const { id } = await findTemplate(deps.templates, params.id);
      const found = await findVersion(deps, { id, ...(body.version === undefined ? {} : { version: body.version }) });
      if ('faults' in found) throw ProblemError.of('validation_error', templateFaults(found.faults));
      await deps.templating.yieldTurn();
      const letter = found.compiled.render(body.variables ?? {});
      if ('faults' in letter) throw ProblemError.of('validation_error', templateFaults(letter.faults));
      return letterOf(letter, found.use.version);
    },
  });
}

function addPublishing(app: App, { templates }: Deps): void {
  app.route({
    method: 'POST',
    url: '/templates/:id/publish',
    config: writeConfig,
    schema: {
      operationId: 'publishTemplate',
      summary: 'Publish a template',
      description:
        'Changes nothing: each version can be used as soon as it is stored. This route is for SDKs that publish the templates they create.',
      tags,
      params: templateParams,
      response: { 200: storedTemplate, ...problemAnswers(400, 404, 413, 415) },
      'x-examples': { 200: templateExamples.stored, 404: templateExamples.missing },
    },
    handler: async ({ params }) => storedOf(await findTemplate(templates, params.id)),
  });
}
