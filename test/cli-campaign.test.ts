/** `campaign` as a real process against a real API: it sends a list, continues one that broke off, and watches until all is over. */
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openApi } from '../src/cli/api.ts';
import { runCampaign } from '../src/cli/campaign.ts';
import { ledgerOf, progressOf } from '../src/cli/campaign-words.ts';
import { campaignCounts } from '../src/domain/campaign.ts';
import { keys } from '../src/store/keys.ts';
import { ranCampaign } from './support/command.ts';
import { type Postrider, startPostrider, testApiKey } from './support/postrider.ts';
import { startProcess } from './support/processes.ts';
import { openTestRedis } from './support/redis.ts';

const opened = new AsyncDisposableStack();
let redis: Redis;
let redisUrl: string;
let postrider: Postrider;
const dir = mkdtempSync(join(tmpdir(), 'pr-cli-campaign-'));
const nowhere = `cm_${'0'.repeat(26)}`;
const cli = fileURLToPath(new URL('../src/cli.ts', import.meta.url));
beforeAll(async () => {
  const server = opened.use(await openTestRedis());
  redisUrl = server.url;
  redis = server.connect();
  postrider = opened.use(await startPostrider({ REDIS_URL: server.url, ROLES: 'api' }));
  const template = { name: 't', alias: 't', subject: 'News for {{ name }}', text: 'Hi', from: 'a@example.com' };
  await postrider.api('POST', '/v1/templates', template);
  writeFileSync(
    join(dir, 'list.csv'),
    'email,name\nada@example.org,Ada\nnobody,\nADA@example.org,\ngrace@example.org,Grace\n',
  );
  mkdirSync(join(dir, 'folder.csv'));
  writeFileSync(join(dir, 'list.ndjson.gz'), gzipSync('{"email":"ada@example.org","name":"Ada"}\n'));
});
afterAll(async () => {
  await opened.disposeAsync();
  rmSync(dir, { recursive: true });
});

function run(...args: readonly string[]) {
  const env = { POSTRIDER_API_KEY: testApiKey, PORT: new URL(postrider.url).port, DATA_DIR: dir };
  return startProcess(process.execPath, [cli, 'campaign', ...args], { env });
}

/** The same, but in this process. */
const ran = (...args: readonly string[]) => ranCampaign('--url', postrider.url, '--key', testApiKey, ...args);

/** As once the workers are done with it. */
async function settle(id: string, status: 'completed' | 'canceled'): Promise<void> {
  await redis.hset(keys.campaign(id), {
    status,
    endedAt: Date.now(),
    'n:pending': 0,
    [status === 'completed' ? 'n:sent' : 'n:canceled']: 2,
  });
}

it('makes a campaign, uploads the list, sends it, and says what became of each', async () => {
  await using sending = run(
    'send',
    join(dir, 'list.csv'),
    '--template',
    't',
    '--rate',
    '100/s',
    '--name',
    'December',
    '--skip-invalid',
    '--watch',
  );
  const [, id = ''] = await sending.printed(/^(cm_\w+)$/m);
  await sending.printed(/4 records: 2 added, 1 duplicate, 1 invalid\n {2}line 3: \/email: is not an address/);
  await sending.printed(/^running {3}\[ {30}\] {3}0% {2}0 of 2$/m);
  expect((await postrider.api('GET', `/v1/campaigns/${id}`)).body).toMatchObject({ name: 'December', rate: '100/s' });
  await settle(id, 'completed');
  expect(await sending.ended).toBe(0);
  expect(sending.output()).toMatch(
    /100% {2}2 of 2\ncm_\w+ {2}December: completed\n {2}recipients {6}2\n {2}sent {12}2\n$/,
  );

  const again = await ran('send', join(dir, 'list.csv'), '--campaign', id);
  expect(again).toEqual([0, expect.stringMatching(/4 records: 2 added[\s\S]*December: completed/)]);
  const other = await ran('send', join(dir, 'list.ndjson.gz'), '--campaign', id);
  expect(other).toEqual([1, expect.stringContaining('cannot be added to: only a draft or a scheduled one can be')]);
});

it('keeps watching while the API restarts, and uploads once another process has released the list', async () => {
  const env = { REDIS_URL: redisUrl, ROLES: 'api' };
  const first = await startPostrider(env);
  const { port } = new URL(first.url);
  const at = (...args: readonly string[]) => run(...args, '--url', first.url, '--key', testApiKey);
  await using sending = at('send', join(dir, 'list.csv'), '--template', 't', '--skip-invalid', '--watch');
  const [, id = ''] = await sending.printed(/^(cm_\w+)$/m);
  await sending.printed(/0 of 2$/m);
  await first[Symbol.asyncDispose]();
  await sending.printed(/^No answer from .*[^.]\. Trying again\.$/m);
  await using _second = await startPostrider({ ...env, PORT: port });
  await settle(id, 'completed');
  expect([await sending.ended, sending.output()]).toEqual([0, expect.stringContaining('completed')]);

  const uploads = keys.campaignUploads(id);
  const [scope] = await redis.hkeys(uploads);
  await redis.hset(uploads, `${scope}:lease`, `rq_dead ${Date.now() + 3_600_000}`);
  await using waiting = run('send', join(dir, 'list.csv'), '--campaign', id);
  await waiting.printed(/is still running\..*Trying again\.$/m);
  await redis.hdel(uploads, `${scope}:lease`);
  expect([await waiting.ended, waiting.output()]).toEqual([0, expect.stringContaining('2 added')]);
});

it('shows a campaign, pauses, resumes and cancels it, and exits with 1 if that is impossible or it was canceled', async () => {
  await using sent = run(
    'send',
    join(dir, 'list.ndjson.gz'),
    '--template',
    't',
    '--url',
    postrider.url,
    '--key',
    testApiKey,
  );
  expect(await sent.ended).toBe(0);
  const [, id = ''] = /^(cm_\w+)$/m.exec(sent.output()) ?? [];
  for (const [verb, status] of [
    ['pause', 'paused'],
    ['resume', 'running'],
    ['status', 'running'],
    ['cancel', 'canceled'],
  ] as const) {
    expect(await ran(verb, id)).toEqual([0, expect.stringContaining(`News for {{ name }}: ${status}\n`)]);
  }
  expect(await ran('pause', id)).toEqual([1, expect.stringContaining('Its status is canceled.')]);
  await settle(id, 'canceled');
  expect(await ran('watch', id)).toEqual([1, expect.stringContaining(`${id} was canceled`)]);
});

describe('a key that may only send', () => {
  let key: string;
  beforeAll(async () => {
    key = (await postrider.api('POST', '/v1/api-keys', { name: 'k', scopes: ['send'] })).body.token;
    writeFileSync(join(dir, 'one.csv'), 'email,name\nada@example.org,Ada\n');
    writeFileSync(join(dir, 'faulty.csv'), 'email,name\nada@example.org,Ada\nnobody,\n');
  });
  const list = join(dir, 'one.csv');
  const mine = (...args: readonly string[]) => ran(...args, '--key', key);
  const standing = (id: string, status: string) =>
    new RegExp(`^${id} {2}${status}\n {2}recipients {6}1\n {2}${status === 'canceled' ? '' : 'pending {9}1\n$'}`, 'm');

  it('sends a campaign and changes its status, and sees its state but not its content', async () => {
    const [exit, said] = await mine('send', list, '--template', 't');
    const [, id = ''] = /^(cm_\w+)$/m.exec(said) ?? [];
    expect([exit, said]).toEqual([0, expect.stringMatching(standing(id, 'running'))]);
    for (const [verb, status] of [
      ['pause', 'paused'],
      ['resume', 'running'],
    ] as const) {
      const done = await mine(verb, id);
      expect(done).toEqual([0, expect.stringMatching(standing(id, status))]);
      expect(done[1]).not.toContain('News');
    }
    expect(await mine('status', id)).toEqual([1, expect.stringContaining('read')]);
    expect(said).not.toMatch(/News|example\.com/);
  });

  it('continues one whose list had faults, and refuses one that was sent before', async () => {
    const { id } = (await postrider.api('POST', '/v1/campaigns', { template: { id: 't' } })).body;
    const held = await mine('send', join(dir, 'faulty.csv'), '--campaign', id);
    expect(held).toEqual([1, expect.stringContaining('is a draft with all other records')]);
    const goOn = () => mine('send', join(dir, 'faulty.csv'), '--campaign', id, '--skip-invalid');
    expect(await goOn()).toEqual([0, expect.stringMatching(standing(id, 'running'))]);
    expect(await goOn()).toEqual([1, expect.stringContaining('Its status is running.')]);
  });

  it('is told that a campaign it cannot watch was sent', async () => {
    expect(await mine('send', list, '--template', 't', '--watch')).toEqual([
      1,
      expect.stringMatching(/^cm_\w+ was sent, but cannot be watched: /m),
    ]);
  });
});

it.each([[['--help']], [['send', '--help']], [['-h', 'send', 'list.csv']]])(
  'says how it is used when asked: %j',
  async (args) => {
    expect(await Array.fromAsync(runCampaign(args))).toEqual([
      { text: expect.stringContaining('Usage: campaign send') },
    ]);
  },
);

it.each(['foo', 'localhost:8080', 'ftp://a.example'])(
  'rejects a value that is not the URL of an API: %s',
  async (url) => {
    const said = await Array.fromAsync(runCampaign(['status', nowhere, '--url', url, '--key', 'pr_x']));
    expect(said).toEqual([{ fault: expect.stringContaining(`--url ${url} is not the address of an API`), exit: 1 }]);
  },
);

it.each([
  [[], 'Usage: campaign send'],
  [['fly', 'x'], 'Usage: campaign send'],
  [['send', 'list.txt', '--template', 't'], 'is not clear from its name'],
  [['send', 'nowhere.csv', '--template', 't'], 'nowhere.csv cannot be read: ENOENT: no such file or directory'],
  [['send', join(dir, 'folder.csv'), '--template', 't'], 'folder.csv is not a file'],
  [['send', 'list.csv', '--colour', 'red'], '--colour'],
  [['send', 'list.csv', '--campaign', nowhere, '--rate', '1/s', '--at', 'x'], 'leave out --rate, --at'],
  [['send', 'list.csv', '--campaign', '../templates'], '../templates is not the id of a campaign'],
  [['status', '../templates'], '../templates is not the id of a campaign'],
  [['send', 'list.csv', '--template', 't', '--at', '2020-01-01T00:00:00Z'], '--at 2020-01-01T00:00:00Z has passed'],
  [['send', 'list.csv', '--template', 't', '--at', 'tomorrow'], '--at tomorrow '],
])('says how it is used: %j', async (args, fault) => {
  const said = await Array.fromAsync(runCampaign(args));
  // Without an exit code of its own a fault is one of usage.
  expect(said).toEqual([{ fault: expect.stringContaining(fault) }]);
});

it.each([
  [['fly', 'x'], 64, 'Unknown command: campaign fly\nUsage: campaign send'],
  [['status', nowhere], 1, `There is no campaign ${nowhere}`],
  [['pause', nowhere], 1, `There is no campaign ${nowhere}`],
])('ends with its exit code: %j', async (args, exit, fault) => {
  await using wrong = run(...args);
  expect([await wrong.ended, wrong.output()]).toEqual([exit, expect.stringContaining(fault)]);
});

it('asks below the path of a URL that has one', async () => {
  const asked: (string | undefined)[] = [];
  const server = createServer(({ url }, answer) => {
    asked.push(url);
    answer.end('{}');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  for (const end of ['/mail', '/mail/', '']) {
    const api = await openApi({ url: `http://127.0.0.1:${port}${end}`, key: 'pr_x' });
    await api('GET', '/campaigns/cm_x');
  }
  server.close();
  expect(asked).toEqual(['/mail/v1/campaigns/cm_x', '/mail/v1/campaigns/cm_x', '/v1/campaigns/cm_x']);
});

it('says in plain words that a server speaks no TLS', async () => {
  const url = postrider.url.replace('http:', 'https:');
  const api = await openApi({ url, key: 'pr_x' });
  await expect(api('GET', '/campaigns/cm_x')).rejects.toThrow(
    /^No answer from https:\/\/[\d.:]+: (?:\w+ )*SSL routines: [\w ]+$/,
  );
});

describe('in words', () => {
  const nobody = Object.fromEntries(['recipients', ...campaignCounts].map((name) => [name, 0]));
  const seen = { id: 'cm_1', name: 'n', status: 'running' as const, pace: 98.5, eta: '2026-12-07T09:08:35.000Z' };

  it('a campaign that runs has a bar, its pace and when it is done', () => {
    const counts = { ...nobody, recipients: 1_000, pending: 501, sent: 499 } as Parameters<
      typeof progressOf
    >[0]['counts'];
    const [today, before] = [Date.UTC(2026, 11, 7), Date.UTC(2026, 11, 6)];
    expect(progressOf({ ...seen, counts }, today)).toBe(
      `running   [${'#'.repeat(14)}${' '.repeat(16)}]  49%  499 of 1000, 99/s, done about 09:08:35Z`,
    );
    expect(progressOf({ ...seen, pace: 0.0278, counts }, today)).toContain(' 0.028/s,');
    expect(progressOf({ ...seen, counts }, before)).toMatch(/, done about 2026-12-07 09:08Z$/);
    const words = '49%  499 of 1000, 99/s, done about 09:08:35Z';
    expect(progressOf({ ...seen, counts }, today, 80)).toBe(`running   [${'#'.repeat(10)}${' '.repeat(11)}]  ${words}`);
    expect(progressOf({ ...seen, counts }, today, 60)).toBe(`running    ${words}`);
    expect(progressOf({ ...seen, counts }, today, 40)).toBe(`running    ${words}`.slice(0, 39));
    expect(ledgerOf({ ...seen, counts })).toBe(
      'cm_1  n: running\n  recipients      1000\n  pending         501\n  sent            499\n',
    );
  });
});
