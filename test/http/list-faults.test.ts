/** Uploads whose list is at fault as a whole, not one of its records: refused where nothing of it can be understood, and told where it breaks off. */
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { isListFault, type Line, readRecords } from '../../src/http/records.ts';
import { type Postrider, testApiKey } from '../support/postrider.ts';
import { usePostrider } from '../support/use-postrider.ts';

let postrider: Postrider;
usePostrider((own) => {
  postrider = own;
});

const ndjson = 'application/x-ndjson';
const csv = 'text/csv';
const json = 'application/json';
const ada = '{"email":"ada@example.org"}';

async function create(): Promise<string> {
  const letter = { from: 'news@example.com', subject: 'News', text: 'News' };
  return (await postrider.api('POST', '/v1/campaigns', letter)).body.id;
}

type Answer = { readonly errors: readonly { readonly line: number; readonly message: string }[] };

async function upload(path: string, type: string, body: string | Buffer, key?: string, isPacked = false) {
  const answer = await fetch(`${postrider.url}/v1/${path}`, {
    method: 'POST',
    headers: {
      ...{ authorization: `Bearer ${testApiKey}`, 'content-type': type },
      ...(key === undefined ? {} : { 'idempotency-key': key }),
      ...(isPacked ? { 'content-encoding': 'gzip' } : {}),
    },
    body: new Uint8Array(Buffer.from(body)),
  });
  return { status: answer.status, body: (await answer.json()) as Answer };
}

it.each([
  [json, `[${ada},{"email":`, 2],
  [json, `[{"email":},${ada}]`, null],
  [csv, 'mail\nada@example.org', 1],
  [csv, '"email\nada@example.org', 1],
  [csv, 'email\n"ada@example.org\nb@example.org', null],
  [ndjson, Buffer.from(`\ufeff${ada}`, 'utf16le'), 1],
  [ndjson, Buffer.from(`\ufeff${ada}`, 'utf16le').swap16(), 1],
  [ndjson, `{"email":\n${ada}`, null],
] as const)(
  '%s: a fault of the list is distinguished from one of a record, and is the last: %j',
  async (type, body, at) => {
    for (const size of [1, 1_000]) {
      async function* cut() {
        const bytes = Buffer.from(body);
        for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size);
      }
      const lines: Line[] = [];
      for await (const some of readRecords(cut(), type, ['email'])) lines.push(...some);
      const place = lines.findIndex(isListFault);
      expect([place, lines[place]?.line ?? null]).toEqual(at === null ? [-1, null] : [lines.length - 1, at]);
    }
  },
);

describe('a list that cannot be understood from its beginning', () => {
  const lists: readonly [string, string | Buffer, string][] = [
    [csv, 'mail\nada@example.org', 'line 1: the first line must be a header'],
    [csv, Buffer.from('email\nada@example.org', 'utf16le'), 'line 1: the first line must be a header'],
    [csv, Buffer.from('\ufeffemail\nada@example.org', 'utf16le'), 'line 1: is not UTF-8'],
    [ndjson, Buffer.from(`\ufeff${ada}`, 'utf16le'), 'line 1: is not UTF-8'],
  ];
  const refused = (words: string) => {
    const detail = expect.stringMatching(new RegExp(`^body: ${words}.*\\. This request stored nothing$`));
    return { status: 422, body: { name: 'validation_error', detail } };
  };

  it.each([...lists, [json, '{}', 'line 1: the body must be a list'] as const])(
    'adds no recipient to a campaign, and another upload may replace it: %s, %j',
    async (type, body, words) => {
      const path = `campaigns/${await create()}/recipients`;
      expect(await upload(path, type, body, 'list')).toMatchObject(refused(words));
      expect(await upload(path, ndjson, ada, 'list')).toMatchObject({ status: 200, body: { added: 1 } });
    },
  );

  it.each(lists)('suppresses no address, and does not look as if it did: %s, %j', async (type, body, words) => {
    expect(await upload('suppressions/import', type, body)).toMatchObject(refused(words));
  });
});

it('a list that breaks off reports that and the place, however many other faults it has, also in a repeat', async () => {
  const path = `campaigns/${await create()}/recipients`;
  const body = `[${'"nobody",'.repeat(150)}${ada},{"email":`;
  const once = await upload(path, json, body, 'list');
  expect(once).toMatchObject({ status: 200, body: { received: 152, added: 1, invalid: 151, complete: false } });
  expect(once.body.errors.slice(99)).toEqual([
    { line: 100, message: 'body: must be an object' },
    { line: 152, message: 'the list is not closed with ]' },
  ]);
  expect(await upload(path, json, body, 'list')).toEqual(once);
  expect((await upload(path, json, '["nobody"]')).body).toMatchObject({ invalid: 1, complete: true });
});

describe('an upload whose gzip breaks off', () => {
  const packed = gzipSync(Array.from({ length: 20_000 }, (_, n) => `{"email":"user${n}@example.org"}\n`).join(''));
  const half = packed.subarray(0, packed.length / 2);

  it('says that what was stored before stays, and continues under the same key', async () => {
    const id = await create();
    const refused = {
      status: 400,
      body: {
        detail: expect.stringMatching(
          /^The body cannot be unpacked with gzip: .*\. What was stored before that stays; the rest was not read$/,
        ),
      },
    };
    expect(await upload(`campaigns/${id}/recipients`, ndjson, half, 'k', true)).toMatchObject(refused);
    const tooShort = packed.subarray(0, 100);
    expect(await upload(`campaigns/${id}/recipients`, ndjson, tooShort, 'k', true)).toMatchObject({
      status: 400,
      body: { detail: expect.stringMatching(/\. This request stored nothing$/) },
    });
    const isPart = (recipients: number) => recipients > 0 && recipients < 20_000;
    expect((await postrider.api('GET', `/v1/campaigns/${id}`)).body).toMatchObject({
      counts: { recipients: expect.toSatisfy(isPart) },
    });
    expect(await upload(`campaigns/${id}/recipients`, ndjson, packed, 'k', true)).toMatchObject({
      status: 200,
      body: { added: 20_000, duplicates: 0 },
    });
    expect(await upload('suppressions/import', ndjson, half, undefined, true)).toMatchObject(refused);
  });

  it('says that it stored nothing if it did not', async () => {
    expect(await upload(`campaigns/${await create()}/recipients`, csv, 'email\n', undefined, true)).toMatchObject({
      status: 400,
      body: { detail: 'The body cannot be unpacked with gzip: incorrect header check. This request stored nothing' },
    });
  });
});
