/** `campaign` in trouble: an API that is away, killed or busy is waited for and asked for nothing twice. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ApiFault, openApi } from '../../src/cli/api.ts';
import type { Said } from '../../src/cli/command.ts';
import { patiently } from '../../src/cli/patience.ts';
import { eventsIn } from '../support/campaigns.ts';
import { type Env, type Postrider, startPostrider, testApiKey } from '../support/postrider.ts';
import { startProcess } from '../support/processes.ts';
import { openTestRedis } from '../support/redis.ts';

const opened = new AsyncDisposableStack();
const dir = mkdtempSync(join(tmpdir(), 'pr-cli-trouble-'));
const cli = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));
const stopHere = ['--import', new URL('../support/stop-here.ts', import.meta.url).pathname];
let redis: Redis;
let env: Env;
let postrider: Postrider;
beforeAll(async () => {
  const server = opened.use(await openTestRedis());
  redis = opened.adopt(new Redis(server.url.replace('unix://', '')), (client) => client.disconnect());
  env = { REDIS_URL: server.url, ROLES: 'api' };
  postrider = opened.use(await startPostrider(env));
  await postrider.api('POST', '/v1/templates', {
    ...{ name: 't', alias: 't', subject: 'News', text: 'Hi', from: 'a@example.com' },
  });
});
afterAll(async () => {
  await opened.disposeAsync();
  rmSync(dir, { recursive: true });
});

const cliEnv = { POSTRIDER_API_KEY: testApiKey, DATA_DIR: dir };

function run(...args: readonly string[]) {
  return startProcess(process.execPath, [cli, 'campaign', ...args], { env: cliEnv });
}

/** The events of a campaign, by their types. */
async function toldOf(id = ''): Promise<string[]> {
  const events = (await eventsIn(redis)).filter((event) => id !== '' && JSON.stringify(event).includes(id));
  return events.map(({ type }) => type);
}

it('an API that is away, is killed once the campaign is made, and killed again once it is sent, makes and sends one', async () => {
  const list = join(dir, 'fine.csv');
  writeFileSync(list, 'email\nada@example.org\n');
  const ids = async () => (await postrider.api('GET', '/v1/campaigns?limit=100')).body.data.map(({ id }) => id);
  const before = await ids();
  const first = await startPostrider(env);
  const { port } = new URL(first.url);
  await first[Symbol.asyncDispose]();
  await using sending = run('send', list, '--template', 't', '--url', first.url);
  await sending.printed(/^No answer from .*ECONNREFUSED.*\. Trying again\.$/m);
  for (const gap of ['campaign made/answered', 'campaign moved/answered']) {
    await using victim = await startPostrider({ ...env, PORT: port, STOP_HERE: gap }, stopHere);
    await victim.printed(new RegExp(`stopped at ${gap}`));
    victim.kill('SIGKILL');
    await victim.ended;
  }
  await using _third = await startPostrider({ ...env, PORT: port });
  expect([await sending.ended, sending.output()]).toEqual([0, expect.stringMatching(/^cm_\w+ {2}News: running$/m)]);
  const made = (await ids()).filter((id) => !before.includes(id));
  expect(made).toHaveLength(1);
  expect(await toldOf(made[0])).toEqual(['campaign.started']);
});

it('a read also waits for an API that is away, and an API killed after it paused a campaign pauses it once', async () => {
  const list = join(dir, 'paused.csv');
  writeFileSync(list, 'email\nada@example.org\n');
  await using sent = run('send', list, '--template', 't', '--url', postrider.url);
  expect(await sent.ended).toBe(0);
  const [, id = ''] = /^(cm_\w+)$/m.exec(sent.output()) ?? [];
  const first = await startPostrider(env);
  const { port } = new URL(first.url);
  await first[Symbol.asyncDispose]();
  await using looking = run('status', id, '--url', first.url);
  await using pausing = run('pause', id, '--url', first.url);
  for (const waiting of [looking, pausing])
    await waiting.printed(/^No answer from .*ECONNREFUSED.*\. Trying again\.$/m);
  await using victim = await startPostrider({ ...env, PORT: port, STOP_HERE: 'campaign moved/answered' }, stopHere);
  await victim.printed(/stopped at campaign moved/);
  victim.kill('SIGKILL');
  await victim.ended;
  await using _second = await startPostrider({ ...env, PORT: port });
  expect([await pausing.ended, pausing.output()]).toEqual([0, expect.stringMatching(/^cm_\w+ {2}News: paused$/m)]);
  expect([await looking.ended, looking.output()]).toEqual([0, expect.stringMatching(/^cm_\w+ {2}News: /m)]);
  expect(await toldOf(id)).toEqual(['campaign.started', 'campaign.paused']);
});

describe('a call', () => {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) server.close().closeAllConnections();
  });

  async function answering(answer: (response: ServerResponse) => void): Promise<string> {
    const server = createServer((request, response) => {
      request.resume().on('end', () => answer(response));
    }).listen(0, '127.0.0.1');
    servers.push(server);
    await once(server, 'listening');
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }
  const stillMs = 3_600_000;
  const faultOf = (url: string, deadlineMs = 30_000) =>
    openApi({ url, key: 'pr_x' }, { deadlineMs, stillMs }).then((api) =>
      api('GET', '/campaigns/cm_x').catch((error) => error),
    );

  it.each([
    [429, '7', { afterMs: 7_000 }],
    [503, '2', { afterMs: 2_000 }],
    [409, '5', { afterMs: 5_000 }],
    [503, 'Thu, 01 Jan 2026 00:00:00 GMT', { afterMs: 0 }],
    [502, undefined, { afterMs: 0 }],
    [409, undefined, null],
    [500, undefined, null],
  ])('answered %i with Retry-After %s may go well after %j', async (status, retryAfter, passing) => {
    const headers = retryAfter === undefined ? {} : { 'retry-after': retryAfter };
    const url = await answering((response) => response.writeHead(status, headers).end('{"detail":"Not now."}'));
    expect(await faultOf(url)).toMatchObject({ message: 'Not now.', passing });
  });

  it('that is not answered by its deadline is repeated; an upload has no deadline', async () => {
    let isWaiting: (response: ServerResponse) => void = () => {};
    const waiting = new Promise<ServerResponse>((resolve) => {
      isWaiting = resolve;
    });
    // Those that are given up may have come as well.
    const url = await answering((response) => {
      if (response.req.method === 'POST') isWaiting(response);
    });
    expect(await faultOf(url, 1)).toMatchObject({ message: expect.stringContaining('No answer'), passing: {} });
    const uploaded = (await openApi({ url, key: 'pr_x' }, { deadlineMs: 1, stillMs }))('POST', '/x', {
      stream: Readable.from(['a']),
    });
    // Another that has the same deadline, and began later, is over: so would this be.
    const response = await waiting;
    expect(await faultOf(url, 1)).toBeInstanceOf(ApiFault);
    response.end('{"received":1}');
    expect(await uploaded).toEqual({ received: 1 });
  });

  it('that uploads is over once nothing moves any more, and is not made again: it would take as long', async () => {
    const url = await answering(() => {});
    const api = await openApi({ url, key: 'pr_x' }, { deadlineMs: 1, stillMs: 50 });
    const error = await api('POST', '/x', { stream: Readable.from(['a']) }).catch((thrown) => thrown);
    expect(error).toMatchObject({ message: expect.stringContaining('No data for'), passing: null, status: null });
  });

  it('that uploads and is answered before all was sent sends nothing more', async () => {
    let isClosed: () => void = () => {};
    const closed = new Promise<void>((resolve) => {
      isClosed = resolve;
    });
    const server = createServer((request, response) => {
      request.on('error', () => {}).socket.once('close', isClosed);
      response.writeHead(422).end('{"detail":"No."}');
    }).listen(0, '127.0.0.1');
    servers.push(server);
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const endless = Readable.from(
      (async function* () {
        for (;;) yield await setImmediate('x'.repeat(65_536));
      })(),
    );
    const api = await openApi({ url, key: 'pr_x' });
    expect(await api('POST', '/x', { stream: endless }).catch((error) => error)).toMatchObject({ message: 'No.' });
    await closed;
    expect(endless.destroyed).toBe(true);
  });
});

describe('patience', () => {
  /** What was asked when, in seconds from the start by a clock of its own, and what came of it. */
  async function asked(afterMs: (n: number) => number, answersAt = 1_000, takesMs: (n: number) => number = () => 0) {
    const times: number[] = [];
    const said: Said[] = [];
    let now = 0;
    const pause = async (ms: number) => {
      now += ms;
    };
    const asking = patiently(
      async () => {
        times.push(now / 1_000);
        now += takesMs(times.length);
        if (times.length >= answersAt) return 'answered';
        throw new ApiFault('Not now.', { afterMs: afterMs(times.length) });
      },
      { now: () => now, pause },
    );
    async function outcome(): Promise<string> {
      for (;;) {
        const next = await asking.next();
        if (next.done) return next.value;
        said.push(next.value);
      }
    }
    return { outcome: await outcome().catch((error: Error) => error.message), times, said };
  }

  it('retries no sooner than the server asked, and says once what it waits for', async () => {
    expect(await asked((n) => (n === 1 ? 20_000 : 0), 4)).toEqual({
      ...{ times: [0, 20, 21, 22], outcome: 'answered' },
      said: [{ text: 'Not now. Trying again.\n' }],
    });
  });

  it('ends a minute after the trouble began, and at once if the server asks for a longer wait', async () => {
    const { times, outcome } = await asked(() => 0);
    expect([times.at(-1), outcome]).toEqual([60, 'Not now.']);
    expect(await asked(() => 61_000)).toEqual({ times: [0], said: [], outcome: 'Not now.' });
  });

  it('starts again after a call that made progress for as long, such as an upload that is cut off a second time', async () => {
    const { times, outcome } = await asked(
      () => 0,
      4,
      (n) => (n === 2 ? 180_000 : 0),
    );
    expect([times, outcome]).toEqual([[0, 1, 182, 183], 'answered']);
  });
});
