/** A schema stands in the document once, unless what is given and what is answered differ. */
import { expect, it } from 'vitest';
import type { ApiDocument, Schema } from '../../src/http/openapi/document.ts';
import { unifySchemas } from '../../src/http/openapi/schemas.ts';

const to = (name: string) => ({ $ref: `#/components/schemas/${name}` });

/** Refers to `names`, the way routes do. */
function unify(names: readonly string[], schemas: Record<string, Schema>): Record<string, Schema> {
  const media = Object.fromEntries(names.map((name) => [name, { schema: to(name) }]));
  const paths: ApiDocument['paths'] = { '/': { get: { responses: { '200': { description: '', content: media } } } } };
  const unified = unifySchemas({ openapi: '3.1.0', info: {}, paths, components: { schemas } });
  return { ...unified.components.schemas };
}

const text = { type: 'string' };
const number = { type: 'number' };

it('what is only given has the plain name and the form in which it is given', () => {
  expect(unify(['CatInput'], { CatInput: text, Cat: number })).toEqual({ Cat: text });
});

it('what is given and answered alike stands there once', () => {
  expect(unify(['CatInput', 'Cat'], { CatInput: text, Cat: text, DogInput: text, Dog: text })).toEqual({ Cat: text });
});

it('what is given in another form than it is answered stands there twice, and so does what refers to it', () => {
  const schemas = {
    CatInput: text,
    Cat: number,
    HouseInput: { items: to('CatInput') },
    House: { items: to('Cat') },
    StreetInput: { items: to('HouseInput') },
    Street: { items: to('House') },
  };
  expect(unify(['StreetInput', 'Street'], schemas)).toEqual(schemas);
});
