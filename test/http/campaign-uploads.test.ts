/** Recipients of a campaign in uploads: the same ones in whatever form, each address once, and an upload that broke goes on where it was. */
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CampaignRow } from '../../src/domain/campaign.ts';
import { recipientFields, recipientRecord } from '../../src/domain/campaign-recipient.ts';
import { maxPlaces } from '../../src/domain/id.ts';
import type { RecordType } from '../../src/http/records.ts';
import { readBatches } from '../../src/http/uploads.ts';
import { type Campaigns, openCampaigns } from '../../src/store/campaigns.ts';
import { keys } from '../../src/store/keys.ts';
import { type Postrider, startPostrider, testApiKey } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let redis: Redis;
let campaigns: Campaigns;
let postrider: Postrider;
let other: Postrider;
beforeAll(async () => {
  const server = opened.use(await openTestRedis());
  redis = server.connect();
  campaigns = openCampaigns(redis);
  const start = async () => opened.use(await startPostrider({ REDIS_URL: server.url, ROLES: 'api' }));
  [postrider, other] = await Promise.all([start(), start()]);
});
afterAll(() => opened.disposeAsync());

const ndjson = 'application/x-ndjson';
const csv = 'text/csv';
const json = 'application/json';

async function create(given: object = {}): Promise<string> {
  const letter = { from: 'news@example.com', subject: 'News', text: 'News', ...given };
  return (await postrider.api('POST', '/v1/campaigns', letter)).body.id;
}

type Upload = {
  readonly body: string | Uint8Array<ArrayBuffer>;
  readonly type?: string;
  readonly key?: string;
  readonly gzip?: boolean;
};

async function upload(id: string, { body, type = ndjson, key, gzip = false }: Upload, to: Postrider = postrider) {
  const answer = await fetch(`${to.url}/v1/campaigns/${id}/recipients`, {
    method: 'POST',
    headers: {
      ...{ authorization: `Bearer ${testApiKey}`, 'content-type': type },
      ...(key === undefined ? {} : { 'idempotency-key': key }),
      ...(gzip ? { 'content-encoding': 'gzip' } : {}),
    },
    body,
  });
  return {
    status: answer.status,
    isReplay: answer.headers.get('idempotent-replayed') === 'true',
    retryAfter: answer.headers.get('retry-after'),
    body: (await answer.json()) as Record<string, unknown>,
  };
}

/** Everybody who is in it, in their order; held to its counts and to where they stand. */
async function everybody(id: string): Promise<CampaignRow[]> {
  const [chunks, state] = [Number(await redis.hget(keys.campaign(id), 'chunks')), (await campaigns.get(id))?.state];
  const placed = (await Promise.all(Array.from({ length: chunks }, (_, n) => campaigns.chunk(id, n)))).flat();
  expect(state?.counts).toMatchObject({ recipients: placed.length, pending: placed.length });
  expect(placed.map(({ place, mark }) => [place, mark])).toEqual(placed.map((_, place) => [place, 'queued']));
  return placed.map(({ row }) => row);
}

const line = (n: number) => `${JSON.stringify({ email: `user${n}@example.org`, plan: n % 2 ? 'gold' : 'silver' })}\n`;
const lines = (count: number, from = 0) => Array.from({ length: count }, (_, n) => line(from + n)).join('');

describe('a record', () => {
  async function read(type: RecordType, text: string): Promise<unknown[]> {
    const rows: unknown[] = [];
    const form = { schema: recipientRecord, columns: recipientFields };
    const batching = { size: 3, isHashed: false, isKeyValid: async () => true };
    for await (const { items, faults } of readBatches(Readable.from([Buffer.from(text)]), type, form, batching))
      rows.push(...items, ...faults.map(({ message }) => message));
    return rows;
  }

  it('means the same as NDJSON, CSV and JSON', async () => {
    const text = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
      .filter((one) => one.isWellFormed() && one.trim() === one && !/\p{C}/u.test(one));
    const columns = fc.uniqueArray(fc.constantFrom('plan', 'First Name', 'städte', 'a.b', 'Plan'), { maxLength: 4 });
    const people = fc.array(fc.tuple(fc.nat(999), fc.option(text), fc.array(text, { minLength: 5, maxLength: 5 })));
    const quoted = (field: string) => `"${field.replaceAll('"', '""')}"`;
    await fc.assert(
      fc.asyncProperty(columns, people, async (names, list) => {
        const records = list.map(([n, name, values]) => ({
          email: `u${n}@example.org`,
          ...(name === null ? {} : { name }),
          ...Object.fromEntries(names.map((column, at) => [column, values[at] as string])),
        }));
        const header = ['EMAIL', 'Name', ...names];
        const rows = records.map((one) =>
          header.map((name, at) =>
            quoted(String((one as Record<string, unknown>)[at < 2 ? name.toLowerCase() : name] ?? '')),
          ),
        );
        const expected = await read(json, JSON.stringify(records));
        expect(expected).toHaveLength(records.length);
        expect(await read(ndjson, records.map((one) => JSON.stringify(one)).join('\n'))).toEqual(expected);
        expect(await read(csv, [header, ...rows].map((row) => row.join(',')).join('\r\n'))).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });

  it('has its address in one form, a name that is a variable as well, and variables in either place', async () => {
    const records = [
      { email: 'Ada Lovelace <Ada@EXAMPLE.org>', variables: { plan: { id: 1 } }, city: 'London' },
      { email: 'b@bücher.example', name: null, variables: null },
      { email: 'c@example.org', name: 'C', variables: { name: 'Chris' } },
    ];
    expect(await read(json, JSON.stringify(records))).toEqual([
      {
        address: 'Ada@example.org',
        name: 'Ada Lovelace',
        variables: { name: 'Ada Lovelace', city: 'London', plan: { id: 1 } },
      },
      { address: 'b@xn--bcher-kva.example', variables: {} },
      { address: 'c@example.org', name: 'C', variables: { name: 'Chris' } },
    ]);
  });

  it.each([
    [{ name: 'Ada' }, '/email: is required'],
    [{ email: 'nobody' }, '/email: is not an address: expected local-part@domain'],
    [{ email: 'a@b.co', name: 5 }, '/name: must be a string'],
    [{ email: 'a@b.co', name: 'a\nb' }, '/name: name has a control character or broken Unicode'],
    [{ email: 'a@b.co', variables: 'x' }, '/variables: must be an object'],
    [{ email: 'a@b.co', big: 'x'.repeat(17_000) }, '/variables: may be 16384 bytes as JSON'],
    [['a@b.co'], 'body: must be an object'],
  ])('that is at fault says so: %j', async (record, fault) => {
    expect(await read(ndjson, JSON.stringify(record))).toEqual([fault]);
  });
});

describe('an upload', () => {
  it('says what became of it, adds each address once, and fills chunks up', async () => {
    const id = await create({ variables: [{ key: 'n', type: 'number' }] });
    const rows = Array.from({ length: 1_200 }, (_, n) => `User ${n},user${n}@example.org,${n}`);
    const text = ['name,email,n', ...rows, 'x,nobody,1', 'y,USER7@Example.ORG,1'].join('\r\n');
    const errors = [{ line: 1_202, message: '/email: is not an address: expected local-part@domain' }];
    expect(await upload(id, { body: gzipSync(text), type: 'text/csv; charset=utf-8', gzip: true })).toMatchObject({
      status: 200,
      body: { object: 'campaign_recipients', received: 1_202, added: 1_200, duplicates: 1, invalid: 1, errors },
    });
    const list = JSON.stringify([{ email: 'user3@example.org' }, { email: 'new@example.org' }]);
    expect((await upload(id, { body: list, type: json })).body).toMatchObject({ added: 1, duplicates: 1 });
    expect((await upload(id, { body: lines(400, 1_150) })).body).toMatchObject({ added: 350, duplicates: 50 });
    const all = await everybody(id);
    expect(all.slice(1_199, 1_202)).toEqual([
      { address: 'user1199@example.org', name: 'User 1199', variables: { name: 'User 1199', n: 1_199 } },
      { address: 'new@example.org', variables: {} },
      { address: 'user1200@example.org', variables: { plan: 'silver' } },
    ]);
    expect([all.length, await redis.hget(keys.campaign(id), 'chunks')]).toEqual([1_551, '4']);
  });

  it('adds an address once, however its letters are composed', async () => {
    const id = await create();
    const body = 'email\njos\u00e9@example.org\njose\u0301@example.org\nJOSE\u0301@example.org';
    expect((await upload(id, { body, type: csv })).body).toMatchObject({ received: 3, added: 1, duplicates: 2 });
  });

  it.each([',', ';', '\t'])('of CSV whose every field is quoted is cut at %j', async (delimiter) => {
    const id = await create();
    const body = ['"email","plan"', '"ada@example.org","x; y"'].join('\n').replaceAll(',', delimiter);
    expect((await upload(id, { body, type: csv })).body).toMatchObject({ received: 1, added: 1, invalid: 0 });
    expect(await everybody(id)).toEqual([{ address: 'ada@example.org', variables: { plan: 'x; y' } }]);
  });

  it('of nothing adds no recipient; a wrong type or campaign is reported', async () => {
    const id = await create();
    for (const type of [ndjson, csv, json])
      expect((await upload(id, { body: '', type })).body).toMatchObject({ received: 0, added: 0 });
    expect(await upload(id, { body: 'email', type: 'text/plain' })).toMatchObject({ status: 415 });
    expect(await upload(`cm_${'0'.repeat(26)}`, { body: lines(2_000) })).toMatchObject({ status: 404 });
  });

  it('uploads over two processes at the same time add everybody once', async () => {
    const id = await create();
    const bodies = [0, 500, 1_000, 1_500].map((from) => lines(2_000, from));
    const answers = await Promise.all(bodies.map((body, n) => upload(id, { body }, n % 2 ? other : postrider)));
    const sum = (name: string) => answers.reduce((total, { body }) => total + Number(body[name]), 0);
    expect([sum('received'), sum('added'), sum('duplicates')]).toEqual([8_000, 3_500, 4_500]);
    const addresses = (await everybody(id)).map(({ address }) => address);
    expect(new Set(addresses).size).toBe(3_500);
    expect(addresses).toHaveLength(3_500);
  });
});

describe('an upload under an Idempotency-Key', () => {
  /** Begins to send it, and holds: the socket is the caller's to destroy. */
  function begin(id: string, key: string, text: string) {
    const { hostname, port } = new URL(postrider.url);
    const socket = connect(Number(port), hostname);
    socket.on('error', () => {});
    const headers = [`authorization: Bearer ${testApiKey}`, `content-type: ${ndjson}`, `idempotency-key: ${key}`];
    socket.write(`POST /v1/campaigns/${id}/recipients HTTP/1.1\r\nhost: a\r\n${headers.join('\r\n')}\r\n`);
    socket.write(`transfer-encoding: chunked\r\n\r\n${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`);
    return socket;
  }
  const count = async (id: string) => (await campaigns.get(id))?.state.counts.recipients ?? 0;

  it('that was cut off continues where it ended, and the answer covers all of it', async () => {
    const id = await create();
    const whole = `${lines(700)}{"email":"nobody"}\n${lines(700, 650)}`;
    const socket = begin(id, 'list', whole.slice(0, -2_000));
    await until('two batches', async () => (await count(id)) >= 900);
    const meanwhile = await upload(id, { body: whole, key: 'list' }, other);
    expect(meanwhile).toMatchObject({ status: 409, retryAfter: '5' });
    expect(meanwhile.body.detail).toMatch(/is still running/);
    socket.destroy();
    const taken = { received: 1_401, added: 1_350, duplicates: 50, invalid: 1, errors: [{ line: 701 }] };
    const again = () => upload(id, { body: whole, key: 'list' }, other);
    const resumed = await until('its turn', async () => {
      const answer = await again();
      return answer.status !== 409 && answer;
    });
    expect(resumed).toMatchObject({ status: 200, isReplay: false, body: taken });
    expect(await again()).toMatchObject({ status: 200, isReplay: true, body: taken });
    expect(await everybody(id)).toHaveLength(1_350);
    await postrider.api('POST', `/v1/campaigns/${id}/send`);
    expect(await again()).toMatchObject({ status: 200, isReplay: true });
    expect(await upload(id, { body: lines(1) })).toMatchObject({ status: 409, body: { campaign_status: 'running' } });
  });

  it.each([
    ['has another record', lines(499) + line(9_999) + lines(700, 500)],
    ['is shorter', lines(600)],
    ['is longer', lines(1_201)],
    ['is shorter by a batch', lines(500)],
  ])('is refused when it %s than the one before', async (_, another) => {
    const id = await create();
    expect(await upload(id, { body: lines(1_200), key: 'list' })).toMatchObject({ status: 200 });
    expect(await upload(id, { body: another, key: 'list' })).toMatchObject({
      status: 422,
      body: { name: 'invalid_idempotent_request' },
    });
    expect(await everybody(id)).toHaveLength(1_200);
    expect(await upload(id, { body: lines(1_200), key: 'list' })).toMatchObject({ isReplay: true });
  });

  it('whose process was killed is continued by another once its lease is over', async () => {
    const id = await create();
    const scope = Object.keys(await redis.hgetall(keys.campaignUploads(id)));
    expect(scope).toEqual([]);
    const socket = begin(id, 'list', lines(700));
    await until('a batch', async () => (await count(id)) >= 500);
    const [lease = ''] = Object.keys(await redis.hgetall(keys.campaignUploads(id))).filter((name) =>
      name.endsWith(':lease'),
    );
    // As it would stand once time has passed: who held it comes back and finds that it is another's.
    const [owner = ''] = (await redis.hget(keys.campaignUploads(id), lease))?.split(' ') ?? [];
    await redis.hset(keys.campaignUploads(id), lease, `${owner} 1`);
    expect(await upload(id, { body: lines(1_500), key: 'list' }, other)).toMatchObject({
      status: 200,
      body: { received: 1_500, added: 1_500, duplicates: 0 },
    });
    socket.write(`${Buffer.byteLength(lines(500, 700)).toString(16)}\r\n${lines(500, 700)}\r\n`);
    await new Promise<void>((resolve) =>
      socket.once('data', (answer) => {
        expect(answer.toString()).toMatch(/^HTTP\/1.1 409 /);
        resolve();
      }),
    );
    socket.destroy();
    expect(await everybody(id)).toHaveLength(1_500);
  });
});

it('a campaign that has as many recipients as it may is not added to', async () => {
  const id = await create();
  await redis.setrange(keys.campaignMarks(id), maxPlaces - 1, 'q');
  expect(await upload(id, { body: '{"email":"one.more@example.org"}' })).toMatchObject({
    status: 422,
    body: { errors: [{ message: 'a campaign has 16777216 recipients at most' }] },
  });
});

it('names the first hundred invalid records', async () => {
  const id = await create();
  const { body } = await upload(id, { body: '{"email":"nobody"}\n'.repeat(150) });
  expect(body).toMatchObject({ received: 150, added: 0, invalid: 150 });
  expect(body.errors).toMatchObject(Array.from({ length: 100 }, (_, n) => ({ line: n + 1 })));
});
