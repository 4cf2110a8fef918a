/** Addresses of names, from a real name server of this test: one that never answers for a name keeps no other name waiting. */
import { createSocket, type Socket } from 'node:dgram';
import { promises } from 'node:dns';
import { once } from 'node:events';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { type FindAddresses, lookUp, makeFindAddresses } from '../../src/outbound/name-lookup.ts';

let server: Socket;
let resolver: promises.Resolver;
let questions: string[] = [];
let asked: string[] = [];

/** The name in a question (RFC 1035 section 4.1.2). */
function nameIn(question: Buffer): string {
  const labels: string[] = [];
  for (let at = 12; question[at] !== 0; at += (question[at] ?? 0) + 1)
    labels.push(question.toString('latin1', at + 1, at + 1 + (question[at] ?? 0)));
  return labels.join('.');
}

/** Answers `good` with 192.0.2.7, does not know `unknown`, and says nothing to `silent`. */
function answer(question: Buffer): Buffer | null {
  const name = nameIn(question);
  questions.push(name);
  if (name.startsWith('silent')) return null;
  const reply = Buffer.from(question.subarray(0, 12 + name.length + 2 + 4));
  const isFound = name.startsWith('good') && reply.readUInt16BE(reply.length - 4) === 1;
  reply.writeUInt16BE(name.startsWith('unknown') ? 0x8183 : 0x8180, 2);
  for (const [at, count] of [
    [4, 1],
    [6, isFound ? 1 : 0],
    [8, 0],
    [10, 0],
  ] as const)
    reply.writeUInt16BE(count, at);
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
  return isFound ? Buffer.concat([reply, record]) : reply;
}

beforeAll(async () => {
  server = createSocket('udp4');
  server.on('message', (question, from) => {
    const reply = answer(question);
    if (reply !== null) server.send(reply, from.port, from.address);
  });
  server.bind(0, '127.0.0.1');
  await once(server, 'listening');
  resolver = new promises.Resolver({ timeout: 200, tries: 1 });
  resolver.setServers([`127.0.0.1:${server.address().port}`]);
});
afterAll(() => {
  resolver.cancel();
  server.close();
});
beforeEach(() => {
  questions = [];
  asked = [];
});

const ask: FindAddresses = async (hostname) => {
  asked.push(hostname);
  return [{ address: '198.51.100.1', family: 4 }];
};
const found = [{ address: '192.0.2.7', family: 4 }];

it('a lookup without an answer ends by itself, holds up no other name and never uses the thread pool', async () => {
  const find = makeFindAddresses(resolver, ask);
  const silent = Array.from({ length: 50 }, (_, n) => find(`silent${n % 3}.example`));
  const ended = Promise.allSettled(silent);
  const first = await Promise.race([find('good.example'), ended]);
  expect(first).toEqual(found);
  expect(new Set((await ended).map(({ status }) => status))).toEqual(new Set(['rejected']));
  await expect(silent[0]).rejects.toMatchObject({ code: 'ETIMEOUT' });
  expect(asked).toEqual([]);
});

it('lookups of the same name at the same time share one query; a later lookup makes a new one', async () => {
  const find = makeFindAddresses(resolver, ask);
  expect(await Promise.all([find('good.example'), find('good.example'), find('good.example')])).toEqual([
    found,
    found,
    found,
  ]);
  expect(questions).toEqual(['good.example', 'good.example']);
  await find('good.example');
  expect(questions).toHaveLength(4);
});

it('a name that the name server does not know is looked up by the system', async () => {
  const find = makeFindAddresses(resolver, ask);
  expect(await find('unknown.example')).toEqual([{ address: '198.51.100.1', family: 4 }]);
  expect(asked).toEqual(['unknown.example']);
});

it('sockets get one address or all of them, as they ask', async () => {
  const one = await new Promise((resolve) =>
    lookUp('localhost', {}, (_error, address, family) => resolve([address, family])),
  );
  expect(one).toEqual([expect.stringMatching(/^(?:127\.0\.0\.1|::1)$/), expect.any(Number)]);
  const all = await new Promise((resolve) =>
    lookUp('localhost', { all: true }, (_error, addresses) => resolve(addresses)),
  );
  expect(all).toContainEqual(expect.objectContaining({ address: expect.stringMatching(/^(?:127\.0\.0\.1|::1)$/) }));
});
