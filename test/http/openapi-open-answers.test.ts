/** Fields may be added to answers and events; a request has no others than those of the document. */
import { expect, it } from 'vitest';
import type { Schema } from '../../src/http/openapi/document.ts';
import { openAnswers } from '../../src/http/openapi/open-answers.ts';

const closed = { type: 'object', properties: {}, additionalProperties: false };
const open = { type: 'object', properties: {} };
const body = (schema: Schema) => ({ content: { 'application/json': { schema } } });
const to = (name: string) => ({ $ref: `#/components/schemas/${name}` });

it('answers and events are open, and requests are closed with all they are made of', () => {
  const responses = (schema: Schema) => ({ '200': { description: '', ...body(schema) } });
  const { paths, webhooks, components } = openAnswers({
    openapi: '3.1.0',
    info: {},
    paths: { '/': { post: { requestBody: body(to('NewCat')), responses: responses(closed) } } },
    webhooks: { event: { post: { requestBody: body(closed), responses: {} } } },
    components: { schemas: { NewCat: { ...closed, items: to('Tag') }, Tag: closed, Cat: { items: closed } } },
  });
  expect(paths['/']).toEqual({ post: { requestBody: body(to('NewCat')), responses: responses(open) } });
  expect(webhooks?.event).toEqual({ post: { requestBody: body(open), responses: {} } });
  expect(components.schemas).toEqual({ NewCat: { ...closed, items: to('Tag') }, Tag: closed, Cat: { items: open } });
});
