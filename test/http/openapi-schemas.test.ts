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

it('a schema used only as input has the plain name and its input form', () => {
  expect(unify(['CatInput'], { CatInput: text, Cat: number })).toEqual({ Cat: text });
});

it('a schema with equal input and output is there once', () => {
  expect(unify(['CatInput', 'Cat'], { CatInput: text, Cat: text, DogInput: text, Dog: text })).toEqual({ Cat: text });
});

it('a schema whose input and output differ is there twice, and so is each schema that refers to it', () => {
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
