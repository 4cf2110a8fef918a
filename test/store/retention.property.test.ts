/** Whatever becomes of emails, and whenever it is looked: exactly what is due is gone, and no key is left over. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { fileHash } from '../../src/domain/file.ts';
import { keys } from '../../src/store/keys.ts';
import { type Keepsakes, openKeepsakes, type outcomes } from '../support/keepsakes.ts';
import { useTestRedis } from '../support/use-redis.ts';

let world: Keepsakes;
useTestRedis((server, opened) => {
  world = opened.use(openKeepsakes(server, { content: 10_000, record: 60_000 }));
});

/** What ought to be there of an email. */
type Model = {
  readonly id: string;
  /** The files its content refers to. */
  readonly files: readonly string[];
  status: Exclude<keyof typeof outcomes, 'unreachable'> | 'queued' | 'canceled';
  endedAt: number;
  hasContent: boolean;
};

const texts = ['a', 'b', 'c'];
const attached = fc.uniqueArray(fc.constantFrom(...texts), { maxLength: 3 });
const act = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('create' as const),
      batch: fc.array(attached, { minLength: 1, maxLength: 4 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('attempt' as const),
      which: fc.nat(),
      as: fc.constantFrom<keyof typeof outcomes>('sent', 'bounced', 'deferred', 'failed', 'unreachable', 'held'),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constantFrom('canceled' as const, 'retried' as const), which: fc.nat() }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('pass' as const),
      ms: fc.constantFrom(1, 900, 1_000, 9_000, 10_000, 51_000, 60_000),
    }),
  },
);

type Act = typeof act extends fc.Arbitrary<infer A> ? A : never;

const isPending = ({ status }: Model) => status === 'queued' || status === 'deferred';
const hasEnded = (model: Model) => !isPending(model) && model.status !== 'held';
/** Times are kept in seconds, rounded up. */
const isOver = (model: Model, keptMs: number) =>
  hasEnded(model) && Math.ceil(model.endedAt / 1_000) * 1_000 <= world.now() - keptMs;

async function doIt(given: Act, models: Model[]): Promise<void> {
  if (given.kind === 'pass') return world.pass(given.ms);
  if (given.kind === 'create') {
    const ids = await world.create(
      given.batch.map((files) => ({ on_unknown: 'hold', attachments: files.map(fileOf) })),
    );
    for (const [n, id] of ids.entries())
      models.push({ id, files: given.batch[n] ?? [], status: 'queued', endedAt: 0, hasContent: true });
    return;
  }
  const model = models[given.which % Math.max(1, models.length)];
  if (model === undefined) return;
  if (given.kind === 'attempt') {
    const { as } = given;
    // An email that is in two jobs may meet a transport at fault when it has ended.
    if (as !== 'unreachable' && !isPending(model)) return;
    await world.attempt(model.id, as);
    if (as !== 'unreachable') model.status = as;
  } else {
    const may =
      given.kind === 'canceled' ? !hasEnded(model) : ['failed', 'held'].includes(model.status) && model.hasContent;
    expect((await world.change(model.id, { kind: given.kind })).kind).toBe(may ? 'changed' : 'refused');
    if (!may) return;
    model.status = given.kind === 'canceled' ? 'canceled' : 'queued';
  }
  model.endedAt = world.now();
}

const fileOf = (text: string) => ({ filename: text, content: Buffer.from(text).toString('base64') });

async function forgetAndLook(models: Model[]): Promise<void> {
  await world.forget();
  for (const model of models) model.hasContent &&= !isOver(model, world.keepMs.content);
  const gone = models.filter((model) => isOver(model, world.keepMs.record));
  for (const model of gone) models.splice(models.indexOf(model), 1);

  const whole = models.filter(({ hasContent }) => hasContent);
  const uses = new Map<string, string>();
  for (const text of texts) {
    const count = whole.filter(({ files }) => files.includes(text)).length;
    if (count > 0) uses.set(fileHash(Buffer.from(text)), String(count));
  }
  expect(await world.keysOfEmails()).toEqual(
    [
      ...models.map(({ id }) => keys.email(id)),
      ...whole.map(({ id }) => keys.content(id)),
      ...[...uses.keys()].map(keys.file),
    ].sort(),
  );
  expect(await world.redis.hgetall(keys.fileUses)).toEqual(Object.fromEntries(uses));
  expect(await world.redis.zcard(keys.emailIndex)).toBe(4 * models.length);
}

it('exactly what is due is gone, and no key is left over', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(act, { minLength: 5, maxLength: 40 }), async (acts) => {
      await world.redis.flushall();
      const models: Model[] = [];
      for (const given of acts) {
        await doIt(given, models);
        if (given.kind === 'pass') await forgetAndLook(models);
      }
      // In the end everything ends, and nothing is left of it.
      for (const model of models.filter(({ status }) => status === 'held'))
        await world.change(model.id, { kind: 'retried' });
      for (const model of models) await world.change(model.id, { kind: 'canceled' });
      world.pass(120_000);
      await world.forget();
      const rest: string[] = [keys.outbox, keys.bell, keys.due('transactional'), keys.again('transactional')];
      expect((await world.redis.keys('*')).filter((key) => !rest.includes(key))).toEqual([]);
    }),
    { numRuns: 60 },
  );
});
