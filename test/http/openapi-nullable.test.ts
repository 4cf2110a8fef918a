/** An optional field of a request may be null, in a form that generators of clients can read. */
import { expect, it } from 'vitest';
import { nullMark } from '../../src/domain/null-leaves-out.ts';
import { writeNullsOut } from '../../src/http/openapi/nullable.ts';

it.each([
  ['a text', { type: 'string', maxLength: 9 }, { type: ['string', 'null'], maxLength: 9 }],
  [
    'one of some words',
    { type: 'string', enum: ['a'] },
    { anyOf: [{ type: 'string', enum: ['a'] }, { type: 'null' }] },
  ],
  ['another schema', { $ref: '#/a' }, { anyOf: [{ $ref: '#/a' }, { type: 'null' }] }],
  ['one of two forms', { anyOf: [{ type: 'string' }] }, { anyOf: [{ type: 'string' }, { type: 'null' }] }],
  ['anything', { description: 'Any.' }, { description: 'Any.' }],
])('%s', (_, schema, nullable) => {
  expect(writeNullsOut({ [nullMark]: true, properties: { field: schema } })).toEqual({
    properties: { field: nullable },
  });
});

it('a required field may not be null, nor any field of a schema without the mark', () => {
  const properties = { field: { type: 'string' } };
  expect(writeNullsOut({ [nullMark]: true, required: ['field'], properties })).toEqual({
    required: ['field'],
    properties,
  });
  expect(writeNullsOut({ properties })).toEqual({ properties });
});
