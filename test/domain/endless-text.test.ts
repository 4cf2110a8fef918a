/** 5 MB of anything in any field of a request: one fault that names the field, and nothing that costs more than to see how long it is. */
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { campaignRequestFor } from '../../src/domain/campaign-request.ts';
import { askedEmailFor } from '../../src/domain/email-request.ts';
import { templateRequestFor } from '../../src/domain/template-request.ts';
import { testLimits } from '../support/requests.ts';

const length = 5 * 1024 * 1024 + 1;
const pieces = ['a', '"', ' ', '\\', '@', '<', 'ö', '\n', '\ud800', '{{', 'a=b; ', '/'];

/** Nobody has to parse as Liquid what is too long to be stored. */
const check = () => 'was parsed';
const schemas = {
  email: askedEmailFor(testLimits),
  template: templateRequestFor(check),
  campaign: campaignRequestFor(testLimits, check),
};

const good = {
  email: { from: 'a@x.co', to: 'b@x.co', subject: 'Hi', text: 'Hello' },
  template: { name: 'n' },
  campaign: { from: 'a@x.co' },
};

const file = { filename: 'a.txt', content: '' };

/** Only of lists is it asked how long they are. */
const lists = new Set(['attachments', 'tags', 'variables']);

/** What stands in a field that is no text itself. */
const within: Readonly<Record<string, readonly ((text: string) => unknown)[]>> = {
  from: [(text) => ({ email: text }), (text) => ({ email: 'a@x.co', name: text }), (text) => `"${text}" <a@x.co>`],
  to: [(text) => [`a@${text}`], (text) => [{ email: `${text}@x.co` }]],
  reply_to: [(text) => `${text} <a@x.co>`],
  headers: [(text) => ({ 'X-A': text }), (text) => ({ [text]: 'a' })],
  attachments: [
    (text) => [{ ...file, filename: text }],
    (text) => [{ ...file, content_type: `text/plain; ${text}` }],
    (text) => [{ ...file, content_type: `a/b${';a=b'.repeat(text.length / 4)}` }],
    (text) => [{ ...file, content_id: text }],
    (text) => [{ filename: 'a', path: `https://a.example/${text}` }],
  ],
  tags: [(text) => [{ name: text, value: '' }], (text) => [{ name: 'a', value: text }]],
  metadata: [(text) => ({ a: text }), (text) => ({ [text]: 1 }), (text) => ({ a: [{ b: text }] })],
  template: [(text) => ({ id: text }), (text) => ({ id: 't', variables: { a: text } })],
  dsn: [(text) => ({ notify: [text] })],
};

/** Also of one that is preceded by what reads null as left out. */
function shapeOf(schema: z.ZodType): object {
  if (schema instanceof z.ZodPipe) return shapeOf(schema.out as z.ZodType);
  return (schema as z.ZodObject).shape;
}

describe.each(Object.keys(schemas) as (keyof typeof schemas)[])('of any field of %s', (noun) => {
  const schema: z.ZodType = schemas[noun];
  const fields = Object.keys(shapeOf(schema));

  it.each(fields)('%s has one fault, however much there is in it', (field) => {
    for (const piece of pieces) {
      const text = piece.repeat(length / piece.length + 1);
      const given = [lists.has(field) ? [text] : text, ...(within[field] ?? []).map((put) => put(text))];
      for (const value of given) {
        const { error } = schema.safeParse({ ...good[noun], [field]: value });
        const faults = error?.issues.filter(({ path }) => path[0] === field) ?? [];
        expect(faults.map(({ message }) => message)).toEqual([expect.not.stringContaining('was parsed')]);
      }
    }
  });
});

it.each([
  ['headers', 'must have at most 50 headers'],
  ['metadata', 'may be 4096 bytes as JSON'],
])('reads none of half a million members in %s', (field, message) => {
  let reads = 0;
  const member = { enumerable: true, get: () => (reads += 1) };
  const many = Object.defineProperties({}, Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [n, member])));
  const { error } = schemas.email.safeParse({ ...good.email, [field]: many });
  expect(error?.issues.map((issue) => issue.message)).toEqual([message]);
  expect(reads).toBe(0);
});
