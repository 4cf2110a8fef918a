/** Two bodies are the same request when they mean the same, in whichever form and however long their files are. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { bodyHash, knownOf } from '../../src/domain/idempotency.ts';
import { readJson } from '../../src/http/json.ts';

/** As a request that is sent: what long lists of bytes come back as is for the reader to say. */
function hashOf(body: unknown): string {
  const reading = readJson(Buffer.from(JSON.stringify(body)));
  if ('fault' in reading) throw new Error(reading.fault);
  return bodyHash(reading.value);
}

const email = { from: 'a@example.com', to: 'b@example.org', subject: 'File' };
const file = (content: unknown) => ({ filename: 'a.bin', content });

const places: Readonly<Record<string, (content: unknown) => unknown>> = {
  'an email': (content) => ({ ...email, attachments: [file('AAAA'), file(content)] }),
  'a list': (content) => [email, { ...email, attachments: [file(content)] }],
  'a batch': (content) => ({ base: { attachments: [file(content)] }, messages: [email] }),
  'one of a batch': (content) => ({ base: email, messages: [{ attachments: [file(content)] }] }),
};

const formsOf = (bytes: Buffer) => [bytes.toString('base64'), [...bytes], bytes.toJSON()];

/** Where the reader of the body, and the hash, go another way. */
const lengths = [3_071, 3_072, 4_095, 4_096, 262_143, 262_144, 262_145];

it.each(Object.entries(places))('a file of any bytes is the same in all its forms, in %s', (_, bodyOf) => {
  const bytes = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ minLength: 3_000, maxLength: 4_200 }));
  fc.assert(
    fc.property(bytes, fc.nat(), (given, at) => {
      const hashes = new Set(formsOf(Buffer.from(given)).map((content) => hashOf(bodyOf(content))));
      expect(hashes.size).toBe(1);
      const other = Buffer.from(given);
      if (other.length === 0) return;
      other[at % other.length] = (other[at % other.length] ?? 0) ^ 1;
      for (const content of formsOf(other)) expect(hashes).not.toContain(hashOf(bodyOf(content)));
    }),
    { numRuns: 30 },
  );
});

it.each(lengths)('a file of %i bytes is the same in all its forms', (length) => {
  const hashes = formsOf(Buffer.alloc(length, 'postrider')).map((content) => hashOf(places['an email']?.(content)));
  expect(new Set(hashes).size).toBe(1);
});

it('a file that holds the base64 of another is not that other', () => {
  const text = Buffer.alloc(4_096, 'postrider').toString('base64');
  expect(hashOf(places['an email']?.(text))).not.toBe(hashOf(places['an email']?.([...Buffer.from(text)])));
});

it('a list that is no file is not what a file would be', () => {
  const hashes = [[1], 'AQ==', { type: 'Buffer', data: [1] }].map((content) => hashOf({ metadata: file(content) }));
  expect(new Set(hashes).size).toBe(3);
});

it('files that a batch has in common are found again, and keep apart', () => {
  const known = knownOf(null);
  const [one, other] = [formsOf(Buffer.alloc(5_000, 'one')), formsOf(Buffer.alloc(5_000, 'other'))];
  const hashes = [...one, ...other, ...one].map((content) => bodyHash({ attachments: [file(content)] }, known));
  expect(hashes.map((hash) => hashes.indexOf(hash))).toEqual([0, 0, 0, 3, 3, 3, 0, 0, 0]);
});

const full = {
  ...email,
  from: { email: 'a@example.com' },
  to: [{ email: 'b@example.org' }],
  attachments: [{ content: 'AAAA', filename: 'a.bin' }],
  template: { id: 'receipt', variables: { name: 'Ada' } },
  dsn: { notify: ['never'] },
};

it.each([
  ['an email', { ...full, cc: null, topic_id: null }],
  [
    'an address',
    { ...full, from: { email: 'a@example.com', name: null }, to: [{ email: 'b@example.org', name: null }] },
  ],
  ['a file', { ...full, attachments: [{ ...full.attachments[0], path: null, content_id: null }] }],
  ['a template', { ...full, template: { ...full.template, version: null } }],
  ['a request for notifications', { ...full, dsn: { ...full.dsn, return: null } }],
])('null in %s is the same as leaving it out', (_, withNulls) => {
  expect(hashOf(withNulls)).toBe(hashOf(full));
  expect(hashOf([withNulls])).toBe(hashOf([full]));
  expect(hashOf({ base: withNulls, messages: [withNulls] })).toBe(hashOf({ base: full, messages: [full] }));
});

it('null is a value where the caller gives the names', () => {
  const { template } = full;
  expect(hashOf({ metadata: { a: null } })).not.toBe(hashOf({ metadata: {} }));
  const variables = { ...template.variables, order: null };
  expect(hashOf({ template: { ...template, variables } })).not.toBe(hashOf({ template }));
});

it.each([
  ['an email', (given: object) => given, 'grfCUgoXkYn_nZ3FMhkgdms4vmsHmCRTfNJUeXaOTyk'],
  ['a list', (given: object) => [given, given], 'fTVf5Em89DMelvbw35dO_8c6DIic9FG0lcSb4CQegsI'],
  [
    'a batch over a base',
    (given: object) => ({ messages: [{ to: 'c@x.co' }], base: given }),
    'mbJ17VHTvS_P8y_ld6TVz1JcOWsrupr30YqOJoQcZpg',
  ],
  ['what is no email', () => ({ 2: 1, 10: 2, b: 1, a: 2 }), 'Q3NVCmNgGfJjXdZ-h1etsd3onV2P4Je5muCCpnFWbqk'],
])('the hash of %s is that of the release before, whose claims stand for a day more', (_, bodyOf, hash) => {
  const given = {
    ...{ to: [{ name: null, email: 'b@x.co' }], from: 'a@x.co', subject: 'Hi', html: 'h'.repeat(5_000), cc: null },
    ...{ metadata: { 10: 1, 9: null, b: [{ z: 1, a: 2 }], a: 'ü' }, headers: { 'X-B': '2', 'X-A': '1' } },
    attachments: [{ filename: 'f', content: [1, 2, 3], path: null }],
    template: { version: null, id: 't' },
  };
  expect(bodyHash(bodyOf(given))).toBe(hash);
});
