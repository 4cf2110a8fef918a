/** What every transport holds to, whatever it sends over. */
import { describe, expect, it } from 'vitest';
import type { Message, Transport, Turn } from '../../src/outbound/transport.ts';
import { until } from '../support/until.ts';

/** A transport with what has come out of it at the other end. */
export type TransportWorld = AsyncDisposable & {
  readonly transport: Transport;
  /** Messages that arrived whole, with the dots they were sent with. */
  received(): readonly string[];
};

const turns: readonly Turn[] = [
  { line: 'transactional', reserve: 0.25 },
  { line: 'bulk', reserve: 1 },
];

function message(text: string, ...to: string[]): Message {
  const raw = Buffer.from(`Subject: ${text}\r\n\r\n.${text}\r\n`);
  return { emailId: 'em_1', envelope: { from: 'a@x.co', to }, raw, dsn: { notify: 'never', return: 'full' } };
}

/** A claim that answers as told and counts how often it was asked, and what had arrived by then. */
function makeClaim(world: TransportWorld, answer: () => boolean | Promise<boolean> = () => true) {
  const arrivedBefore: number[] = [];
  const claim = async () => {
    arrivedBefore.push(world.received().length);
    return answer();
  };
  return { claim, arrivedBefore };
}

/** @param open a new world; it is disposed of after each test, the transport perhaps a second time */
export function describeTransport(name: string, open: () => Promise<TransportWorld>): void {
  describe.each(turns)(`${name}, for $lane,`, (turn) => {
    it('sends a message and names every recipient once', async () => {
      await using world = await open();
      const { claim, arrivedBefore } = makeClaim(world);
      const to = ['b@x.co', 'c@x.co', 'd@y.co'];
      const outcome = await world.transport.send(message('one', ...to), claim, turn);
      expect(outcome).toMatchObject({ kind: 'answered', transport: world.transport.name });
      expect(outcome.kind === 'answered' && outcome.replies.map(({ address }) => address).toSorted()).toEqual(to);
      expect(outcome.kind === 'answered' && outcome.replies.every(({ smtp }) => smtp.code === 250)).toBe(true);
      expect(world.received()).toEqual(['Subject: one\r\n\r\n.one\r\n']);
      expect(arrivedBefore).toEqual([0]);
    });

    it('sends nothing when the claim is refused', async () => {
      await using world = await open();
      const { claim, arrivedBefore } = makeClaim(world, () => false);
      expect(await world.transport.send(message('one', 'b@x.co'), claim, turn)).toEqual({ kind: 'withheld' });
      expect(arrivedBefore).toHaveLength(1);
      const next = await world.transport.send(message('two', 'b@x.co'), async () => true, turn);
      expect(next).toMatchObject({ kind: 'answered' });
      expect(world.received()).toEqual(['Subject: two\r\n\r\n.two\r\n']);
    });

    it('throws what the claim throws and sends nothing', async () => {
      await using world = await open();
      const trouble = new Error('Redis is away');
      const { claim, arrivedBefore } = makeClaim(world, () => Promise.reject(trouble));
      await expect(world.transport.send(message('one', 'b@x.co'), claim, turn)).rejects.toBe(trouble);
      expect(arrivedBefore).toHaveLength(1);
      const next = await world.transport.send(message('two', 'b@x.co'), async () => true, turn);
      expect(next).toMatchObject({ kind: 'answered' });
      expect(world.received()).toEqual(['Subject: two\r\n\r\n.two\r\n']);
    });

    it('sends many at once, each once, and is at rest afterwards', async () => {
      await using world = await open();
      const claims = Array.from({ length: 50 }, () => makeClaim(world));
      const sent = claims.map(({ claim }, at) => world.transport.send(message(`${at}`, 'b@x.co'), claim, turn));
      expect((await Promise.all(sent)).map(({ kind }) => kind)).toEqual(claims.map(() => 'answered'));
      expect(claims.map(({ arrivedBefore }) => arrivedBefore.length)).toEqual(claims.map(() => 1));
      expect(new Set(world.received()).size).toBe(50);
      expect(world.received()).toHaveLength(50);
      expect(world.transport.pool).toMatchObject({ busy: 0, waiting: 0, isStuck: false });
    });

    it('keeps to fewer connections when required, and still sends everything', async () => {
      await using world = await open();
      const all = Array.from({ length: 20 }, (_, at) => {
        if (at === 10) world.transport.allow(1);
        return world.transport.send(message(`${at}`, 'b@x.co'), async () => true, turn);
      });
      expect((await Promise.all(all)).map(({ kind }) => kind)).toEqual(all.map(() => 'answered'));
      await until('it to have one connection at most', () => world.transport.pool.open <= 1);
      expect(world.received()).toHaveLength(20);
    });

    it('closes: what is in hand finishes, what comes later is withheld without being claimed', async () => {
      await using world = await open();
      const reached = Promise.withResolvers<void>();
      const isOurs = Promise.withResolvers<boolean>();
      const { claim } = makeClaim(world, () => {
        reached.resolve();
        return isOurs.promise;
      });
      const sending = world.transport.send(message('one', 'b@x.co'), claim, turn);
      await reached.promise;
      const closing = world.transport[Symbol.asyncDispose]();
      const late = makeClaim(world);
      expect(await world.transport.send(message('two', 'b@x.co'), late.claim, turn)).toEqual({ kind: 'withheld' });
      isOurs.resolve(true);
      expect(await sending).toMatchObject({ kind: 'answered' });
      await closing;
      expect(await world.transport.send(message('three', 'b@x.co'), late.claim, turn)).toEqual({ kind: 'withheld' });
      expect(late.arrivedBefore).toEqual([]);
      expect(world.received()).toEqual(['Subject: one\r\n\r\n.one\r\n']);
    });
  });

  describe(name, () => {
    it('is well, and says so', async () => {
      await using world = await open();
      expect(await world.transport.probe()).toBeNull();
      expect(world.transport.pool).toMatchObject({ busy: 0, waiting: 0, isStuck: false });
      expect(world.received()).toEqual([]);
    });

    it('closes without ever having sent, and more than once', async () => {
      await using world = await open();
      await world.transport[Symbol.asyncDispose]();
      await world.transport[Symbol.asyncDispose]();
    });
  });
}
