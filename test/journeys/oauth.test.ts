/** OAuth over a fleet: one request is made for all processes that log in, and its refresh token is still good when one is killed in the middle. */
import type { ServerResponse } from 'node:http';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { keys } from '../../src/store/keys.ts';
import { type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { openScriptedSmtp, type ScriptedSmtp } from '../support/scripted-smtp.ts';
import { give, openTokenServer, type TokenServer } from '../support/token-server.ts';
import { makeTransportsFile } from '../support/transports-file.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
/** Answers that are held: the server is slow. */
const held: ServerResponse[] = [];
let tokens: TokenServer;
let smtp: ScriptedSmtp;
let redis: Redis;
let start: () => Promise<Postrider>;
beforeAll(async () => {
  const server = opened.use(await openTestRedis());
  redis = server.connect();
  tokens = opened.use(await openTokenServer((response) => held.push(response)));
  const login = { methods: ['XOAUTH2'], user: 'u', takesToken: (token: string) => token.startsWith('a') } as const;
  smtp = opened.use(await openScriptedSmtp(undefined, { login }));
  const oauth = `{user: u, client_id: id, client_secret: s, refresh_token: r0, token_url: "${tokens.url}"}`;
  const file = opened.use(
    await makeTransportsFile(
      `transports:\n  one: {host: 127.0.0.1, port: ${smtp.port}, tls: none, auth: {oauth2: ${oauth}}}\n`,
    ),
  );
  const env = { REDIS_URL: server.url, TRANSPORTS_FILE: file.path, ROLES: 'api', LOG_LEVEL: 'warn' };
  start = async () => opened.use(await startPostrider(env));
});
afterAll(() => opened.disposeAsync());

const used = () => tokens.forms.map(({ refresh_token }) => refresh_token);
const verify = async ({ api }: Postrider) => (await api('POST', '/v1/transports/one/verify')).body;
/** The next request is answered, with what takes the place of the token it came with. */
async function answerNext(): Promise<void> {
  const response = await until('a token to be asked for', () => held.shift());
  const n = tokens.forms.length;
  give(response, { access_token: `a${n}`, expires_in: 3_600, refresh_token: `r${n}` });
}

it('one of the processes that log in at once asks for all of them; another does when it is killed meanwhile, with a token that is still good', async () => {
  const [first, second, third] = await Promise.all([start(), start(), start()]);
  const one = verify(first);
  await until('the first to ask', () => held.length === 1);
  first.kill('SIGKILL');
  await one.catch(() => {});
  // Its server never heard of it: the token is good still.
  held.length = 0;
  const others = [verify(second), verify(third)];
  await until('the others to log in', () => smtp.connections === 3);
  expect(used()).toEqual(['r0']);
  const [turn = ''] = await redis.keys(keys.refreshTurn('*'));
  expect(await redis.pttl(turn)).toBeLessThanOrEqual(30_000);
  await redis.pexpire(turn, 1);
  await answerNext();
  expect(await Promise.all(others)).toEqual(Array(2).fill(expect.objectContaining({ ok: true })));
  expect(used()).toEqual(['r0', 'r0']);
  expect(await redis.keys(keys.refreshTurn('*'))).toEqual([]);
});
