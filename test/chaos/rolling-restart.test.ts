/** Every process of a fleet is replaced while mail comes in: each email that was answered 202 arrives exactly once. */
import { Agent, request } from 'undici';
import { expect, it } from 'vitest';
import { startPostrider, testApiKey } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { openSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const clients = 3;
const email = { from: 'a@example.com', to: 'b@example.org', subject: 'Hi', text: 'Hello' };

type Said = { readonly status: number; readonly id: string; readonly isReplay: boolean };

async function say(url: string, key: string, dispatcher: Agent): Promise<Said> {
  const answer = await request(`${url}/v1/emails`, {
    method: 'POST',
    headers: { authorization: `Bearer ${testApiKey}`, 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify(email),
    dispatcher,
  });
  const { id = '' } = (await answer.body.json()) as { id?: string };
  return { status: answer.statusCode, id, isReplay: answer.headers['idempotent-replayed'] === 'true' };
}

/** Clients behind what would be a load balancer: one that is refused, or finds nobody, asks again elsewhere under the same key. */
function startLoad(urls: () => readonly string[]) {
  const accepted: string[] = [];
  const wrongs: string[] = [];
  let isOver = false;

  async function sendOne(key: string, dispatcher: Agent): Promise<void> {
    let wasCut = false;
    for (let tries = 0; !isOver || tries > 0; tries++) {
      const all = urls();
      const said = await say(all[tries % all.length] ?? '', key, dispatcher).catch((error: Error) => error);
      if (said instanceof Error) {
        wasCut = true;
        continue;
      }
      if (said.status === 503) continue;
      if (said.status !== 202) wrongs.push(`${key} was answered ${said.status}`);
      // It was taken by whoever broke off.
      if (wasCut && said.isReplay) wrongs.push(`${key} was taken and not answered`);
      return void accepted.push(said.id);
    }
  }

  async function client(name: number): Promise<void> {
    const dispatcher = new Agent({ connections: 1 });
    for (let n = 0; !isOver; n++) await sendOne(`${name}-${n}`, dispatcher);
    await dispatcher.close();
  }

  const ended = Promise.all(Array.from({ length: clients }, (_, name) => client(name)));
  return {
    accepted,
    wrongs,
    async stop() {
      isOver = true;
      await ended;
    },
  };
}

it('two APIs and two workers are replaced under load, one of each at a time: nothing is lost, repeated or answered with an error', async () => {
  await using stack = new AsyncDisposableStack();
  const redis = stack.use(await openTestRedis());
  const smtp = stack.use(await openSmtpServer());
  const common = { REDIS_URL: redis.url, SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none&connections=4` };
  const start = async (role: string) => stack.use(await startPostrider({ ...common, ROLES: role }));
  const pairs = await Promise.all([1, 2].map(() => Promise.all([start('api'), start('worker')])));
  let apis = pairs.map(([api]) => api);
  const load = startLoad(() => apis.map(({ url }) => url));

  for (const [api, worker] of pairs) {
    const [fresh] = await Promise.all([start('api'), start('worker')]);
    const before = load.accepted.length;
    // It is still asked while it stops, as by a load balancer that has not heard of it.
    apis = [...apis, fresh];
    for (const old of [api, worker]) old.kill('SIGTERM');
    expect(await Promise.all([api.ended, worker.ended])).toEqual([0, 0]);
    apis = apis.filter((other) => other !== api);
    await until('more to be accepted', () => load.accepted.length >= before + 20);
  }
  await load.stop();

  expect(load.wrongs).toEqual([]);
  const arrived = () => smtp.mails.map(({ parsed }) => parsed.messageId ?? '');
  const wanted = new Set(load.accepted.map((id) => `<${id}@example.com>`));
  await until('all to arrive', () => new Set(arrived()).size >= wanted.size);
  expect(new Set(arrived())).toEqual(wanted);
  expect(arrived()).toHaveLength(wanted.size);
});
