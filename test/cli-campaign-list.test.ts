/** `campaign send` and its list: what must not be sent is held back with words that say what to do, and what nobody got is told. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openApi } from '../src/cli/api.ts';
import { openList, readList } from '../src/cli/campaign-list.ts';
import { ranCampaign } from './support/command.ts';
import { type Postrider, startPostrider, testApiKey } from './support/postrider.ts';
import { startProcess } from './support/processes.ts';
import { openTestRedis } from './support/redis.ts';

const opened = new AsyncDisposableStack();
const dir = mkdtempSync(join(tmpdir(), 'pr-cli-list-'));
const cli = fileURLToPath(new URL('../src/cli.ts', import.meta.url));
let postrider: Postrider;
beforeAll(async () => {
  const { url } = opened.use(await openTestRedis());
  postrider = opened.use(await startPostrider({ REDIS_URL: url }));
  const letter = { subject: 'News', from: 'a@example.com' };
  await postrider.api('POST', '/v1/templates', { ...letter, name: 't', alias: 't', text: 'Hi' });
  await postrider.api('POST', '/v1/templates', { ...letter, name: 'plan', alias: 'plan', text: 'On {{ plan }}' });
});
afterAll(async () => {
  await opened.disposeAsync();
  rmSync(dir, { recursive: true });
});

const env = { POSTRIDER_API_KEY: testApiKey, DATA_DIR: dir };

function run(...args: readonly string[]) {
  return startProcess(process.execPath, [cli, 'campaign', ...args, '--url', postrider.url], { env });
}

const ran = (...args: readonly string[]) => ranCampaign(...args, '--url', postrider.url, '--key', testApiKey);

/** As a process: the exit code, and what was said. */
async function typed(command: string): Promise<[number | string, string]> {
  await using running = startProcess('sh', ['-c', `exec ${process.execPath} ${cli} ${command}`], { env });
  return [await running.ended, running.output()];
}

function listOf(name: string, text: string): string {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
}

const ids = async () => (await postrider.api('GET', '/v1/campaigns?limit=100')).body.data.map(({ id }) => id);
const standing = async (id: string) => (await postrider.api('GET', `/v1/campaigns/${id}`)).body;
const makeDraft = async () => (await postrider.api('POST', '/v1/campaigns', { template: { id: 't' } })).body.id;

describe('a list with records at fault', () => {
  it('is not sent and leaves no draft: the faults are listed up to a limit, and the command it suggests sends the rest', async () => {
    const wrong = Array.from({ length: 60 }, (_, n) => `nobody${n}\n`).join('');
    const list = listOf("the editor's list.csv", `email\ndelivered@sandbox.invalid\n${wrong}`);
    const before = await ids();
    const [exit, said] = await ran('send', list, '--template', 't');
    expect(exit).toBe(1);
    expect(said).toContain('61 records: 1 added, 0 duplicate, 60 invalid\n  line 3: /email: is not an address');
    expect(said.match(/^ {2}line \d+: /gm)).toHaveLength(50);
    expect(said).toContain('\n  and 10 more\n');
    expect(said).toMatch(/^Not sent: 60 of 61 records are not valid\. cm_\w+ was removed\.$/m);
    expect(await ids()).toEqual(before);
    const [, told = ''] = /^Or send it without them: npm run cli -- (.*)$/m.exec(said) ?? [];
    expect(await typed(told)).toEqual([0, expect.stringContaining('60 invalid')]);
    expect(await ids()).toHaveLength(before.length + 1);
  });

  it('is sent once corrected, with its new values, and not to recipients that were taken out of it', async () => {
    const list = listOf('mended.csv', 'email,plan\nada@example.org,gold\ngrace@example.org,gold\nnobody,\n');
    const [exit, said] = await ran('send', list, '--template', 'plan');
    expect(exit).toBe(1);
    listOf('mended.csv', 'email,plan\ngrace@example.org,silver\n');
    const [, told = ''] = /^Correct .* and send it: npm run cli -- (.*)$/m.exec(said) ?? [];
    expect(await typed(`${told} --watch`)).toEqual([
      0,
      expect.stringMatching(/recipients {6}1\n {2}sent|delivered {7}1$/m),
    ]);
    const inbox = await fetch(`${postrider.url}/dev/inbox.json`);
    expect(await inbox.text()).not.toContain('gold');
  });

  it('is added to a draft that is continued, and the command says that the draft keeps its recipients', async () => {
    const id = await makeDraft();
    const list = listOf('added.csv', 'email\nada@example.org\nnobody\n');
    const [exit, said] = await ran('send', list, '--campaign', id);
    expect([exit, said]).toEqual([1, expect.stringContaining(`${id} is a draft with all other records.\nIt keeps`)]);
    const [, told = ''] = /^To cancel the draft: npm run cli -- (.*)$/m.exec(said) ?? [];
    expect(await typed(told)).toEqual([0, expect.stringContaining('canceled')]);
    expect(await ran('send', list, '--campaign', id)).toEqual([1, expect.stringContaining(`${id} was canceled`)]);
  });
});

it.each([
  [
    'broken.json',
    '[{"email":"ada@example.org"},{"email":"gr',
    'the list is faulty, line 2: the list is not closed with ]',
  ],
  ['nobody.csv', 'email\nnobody\n', 'the list has no valid recipient'],
  ['empty.ndjson', '', 'the list has no valid recipient'],
])('%s is not sent, whatever is asked for', async (name, text, words) => {
  const before = await ids();
  const [exit, said] = await ran('send', listOf(name, text), '--template', 't', '--skip-invalid');
  expect([exit, said]).toEqual([1, expect.stringContaining(`Not sent: ${words}`)]);
  expect(said).not.toContain('without them');
  expect(await ids()).toEqual(before);
});

it('the commands to type next skip invalid records if this one does', async () => {
  const list = listOf('skipped.csv', 'email\nada@example.org\nnobody\n');
  const [exit, said] = await ran('send', list, '--template', 't', '--skip-invalid');
  expect([exit, said]).toEqual([0, expect.stringContaining('1 invalid')]);
  expect(said).toMatch(/^If this breaks off, continue with: .* --campaign cm_\w+ .*--skip-invalid$/m);
  const [, faulty] = await ran('send', listOf('none.csv', 'email\nnobody\n'), '--template', 't', '--skip-invalid');
  expect(faulty).toMatch(/^Correct .* and send it: .* --template t .*--skip-invalid$/m);
});

it('a list that cannot be understood leaves no draft either', async () => {
  const before = await ids();
  const list = listOf('utf16.csv', '');
  writeFileSync(list, Buffer.from('\ufeffemail\nada@example.org\n', 'utf16le'));
  const [exit, said] = await ran('send', list, '--template', 't', '--skip-invalid');
  expect([exit, said]).toEqual([
    1,
    expect.stringMatching(/is not UTF-8: .* This request stored nothing\ncm_\w+ was removed/),
  ]);
  expect(await ids()).toEqual(before);
});

it('a list that cannot be read to its end is reported as such, with the place where it ended, and nothing is retried', async () => {
  const path = listOf('swapped.csv', 'email\nada@example.org\n');
  const [list, id] = [await openList(path), await makeDraft()];
  const api = await openApi({ url: postrider.url, key: testApiKey });
  if ('fault' in list) throw new Error(list.fault);
  rmSync(path);
  mkdirSync(path);
  await expect(list.upload(api, id)).rejects.toMatchObject({
    message: expect.stringMatching(/swapped\.csv cannot be read from byte 0 on: EISDIR/),
    ...{ passing: null, status: null },
  });
  async function* breaksOff() {
    yield Buffer.from('email\nada@example.org\n');
    throw new Error('EIO: i/o error, read');
  }
  const stream = Readable.from(readList('news.csv', breaksOff()), { objectMode: false });
  await expect(
    api('POST', `/campaigns/${id}/recipients`, { headers: { 'content-type': 'text/csv' }, stream }),
  ).rejects.toThrow('news.csv cannot be read from byte 22 on: EIO: i/o error, read');
});

it('a list without what the letters ask for is not sent', async () => {
  const list = listOf('unfit.csv', 'email,Plan\nada@example.org,gold\n');
  expect(await ran('send', list, '--template', 'plan', '--skip-invalid')).toEqual([
    1,
    expect.stringMatching(/^Not sent: the emails need plan, which no record has\. cm_\w+ was removed\.$/m),
  ]);
});

it('a campaign that some did not get ends with the reasons, and exits with 1 if nobody got it', async () => {
  const some = listOf('some.csv', 'email,plan\ndelivered@sandbox.invalid,gold\nada@example.org,\n');
  expect(await ran('send', some, '--template', 'plan', '--watch')).toEqual([
    0,
    expect.stringMatching(/Failed\n {2}1 of 1 looked at: its letter could not be made: variables\.plan is missing\n$/),
  ]);
  const none = listOf('none.csv', 'email\nbounced@sandbox.invalid\n');
  expect(await ran('send', none, '--template', 't', '--watch')).toEqual([
    1,
    expect.stringMatching(/^cm_\w+ has ended, and no recipient got it$/m),
  ]);
});

it('a campaign for later says when, and one that is not sent is not watched for ever', async () => {
  const list = listOf('later.csv', 'email\nada@example.org\n');
  expect(await ran('send', list, '--template', 't', '--at', 'in 3 days')).toEqual([
    0,
    expect.stringMatching(/^cm_\w+ {2}News: scheduled for \d{4}-\d\d-\d\dT[\d:.]+Z$/m),
  ]);
  const id = await makeDraft();
  expect(await ran('watch', id)).toEqual([1, expect.stringContaining(`campaign send <list> --campaign ${id}`)]);
  expect((await standing(id)).status).toBe('draft');
});

it('watching a paused campaign says how to resume it', async () => {
  const list = listOf('paused.csv', 'email\ndelivered@sandbox.invalid\nbounced@sandbox.invalid\n');
  // The second has to wait for an hour.
  const [, said] = await ran('send', list, '--template', 't', '--rate', '1/h');
  const [, id = ''] = /^(cm_\w+)$/m.exec(said) ?? [];
  await postrider.api('POST', `/v1/campaigns/${id}/pause`);
  expect((await standing(id)).status).toBe('paused');
  await using watching = run('watch', id);
  await watching.printed(new RegExp(`It is paused. To resume it: campaign resume ${id}`));
  await postrider.api('POST', `/v1/campaigns/${id}/cancel`);
  expect(await watching.ended).toBe(1);
});
