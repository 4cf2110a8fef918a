/** send-slice: a slice whose worker cannot do it at this moment is another's at once, and nobody turns round it in a hurry. */

import { beforeEach, describe, expect, it } from 'vitest';
import { cpuMs, monotonicNow } from '../../src/chance.ts';
import { type CampaignRow, type PlaceMark, placeMarks } from '../../src/domain/campaign.ts';
import { placeId } from '../../src/domain/id.ts';
import { prepareCampaign } from '../../src/pipeline/prepare-campaign.ts';
import { readSlice } from '../../src/pipeline/read-slice.ts';
import { makeSlicesInHand, sendCampaigns } from '../../src/pipeline/send-campaigns.ts';
import { sendPlaces } from '../../src/pipeline/send-places.ts';
import { sendSlice } from '../../src/pipeline/send-slice.ts';
import type { PlaceReport } from '../../src/pipeline/settle-place.ts';
import type { Take } from '../../src/store/campaign-slices.ts';
import { keys } from '../../src/store/keys.ts';
import { openTemplating } from '../../src/templating/templating.ts';
import { addCampaign, moveCampaign, rowOf } from '../support/campaigns.ts';
import { newId, storeOver, type TestStore } from '../support/store.ts';
import { until } from '../support/until.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: TestStore['redis'];
let store: TestStore['store'];
useTestRedis(async (server) => {
  redis = server.connect();
  store = await storeOver(redis);
});

function unused(): never {
  throw new Error('Nothing is sent here');
}

type Of = Partial<
  Pick<Parameters<typeof sendPlaces>[0], 'suppress'> &
    Pick<Parameters<typeof sendSlice>[0], 'settle' | 'callOff'> & {
      onTrouble(part: string, error: unknown, fields: object): void;
    }
>;

/** A worker: what it knows of campaigns is its own. @param of what becomes of recipients; else there are none */
function startWorker({ suppress = unused, settle = unused, callOff = unused, onTrouble = unused }: Of = {}) {
  const { slices, campaigns } = store;
  const { compile } = openTemplating({ now: monotonicNow, cpuMs });
  const preparing = { campaigns, compile, composeFor: () => unused, kept: new Map() };
  const sending = {
    ...{ slices, inHand: { take: unused }, suppress, dispatch: unused, handedOver: new Set<string>() },
    ...{ yieldTurn: unused, stopping: new AbortController().signal },
  };
  const deps = {
    slices,
    prepareCampaign: prepareCampaign.bind(null, preparing),
    readSlice: readSlice.bind(null, { slices, onTrouble, now: () => 0 }),
    sendPlaces: sendPlaces.bind(null, sending),
    ...{ settle, callOff, report() {}, onTrouble, now: () => 0 },
  };
  const take = async (id: string) => (await slices.take(id, { id: newId('jb'), leaseMs: 60_000, inHand: [] })) as Take;
  return { take, sendSlice: (one: Take, onSent = (_: string) => {}) => sendSlice(deps, one, onSent) };
}

const none = { address: null, variables: {} } as unknown as CampaignRow;
const allSuppressed = async (emails: readonly unknown[]) =>
  emails.map(() => ({ kind: 'suppressed', recipients: [] }) as const);

/** Recipients with these marks. */
async function addMarked(
  marks: readonly PlaceMark[],
  status: 'running' | 'canceled',
  recipients: number | CampaignRow[] = marks.length,
): Promise<string> {
  const id = await addCampaign(redis, { recipients });
  await redis.set(keys.campaignMarks(id), marks.map((mark) => placeMarks[mark]).join(''));
  if (status === 'canceled') await moveCampaign(redis, id, status);
  return id;
}

/** What stands there cannot be asked for. */
const spoil = (key: string) => redis.multi().del(key).lpush(key, 'spoilt').exec();
const spoilContent = (id: string) => redis.hset(keys.campaign(id), 'content', 'spoilt');

describe('a slice is released for other workers', () => {
  it('when its campaign cannot be prepared', async () => {
    const id = await addCampaign(redis, { recipients: 3, head: { rate: { count: 3, windowMs: 1_000 } } });
    await spoilContent(id);
    const [one, other] = [startWorker(), startWorker()];
    const taken = await one.take(id);
    await expect(one.sendSlice(taken)).rejects.toThrow();
    expect(await other.take(id)).toMatchObject({ slice: taken.slice, allowed: 3 });
  });

  it.each(['running', 'canceled'] as const)('when the recipients of a %s campaign cannot be read', async (status) => {
    const id = await addCampaign(redis, { recipients: 3 });
    await redis.set(keys.campaignMarks(id), placeMarks[status === 'running' ? 'queued' : 'left'].repeat(3));
    if (status === 'canceled') await moveCampaign(redis, id, status);
    await spoil(keys.campaignChunk(id, 0));
    const [one, other] = [startWorker(), startWorker()];
    const taken = await one.take(id);
    await expect(one.sendSlice(taken)).rejects.toThrow();
    expect(await other.take(id)).toMatchObject({ slice: taken.slice, status });
  });

  it('a slice of a campaign that is gone needs no release', async () => {
    const id = await addCampaign(redis, { recipients: 3 });
    const worker = startWorker();
    const taken = await worker.take(id);
    await redis.del(keys.campaign(id));
    expect(await worker.sendSlice(taken)).toMatchObject({ settled: [], isHeldUp: true });
  });
});

describe('a recipient that cannot be read is reported and looked at again later', () => {
  const troubles: unknown[] = [];
  beforeEach(() => troubles.splice(0));
  const onTrouble = (_part: string, _error: unknown, fields: object) => void troubles.push(fields);

  it.each([
    ['damaged', 'spoilt'],
    ['gone', null],
  ])('and the slices after a chunk that is %s have their turns', async (_, bytes) => {
    const id = await addCampaign(redis, { recipients: 60 });
    if (bytes === null) await redis.del(keys.campaignChunk(id, 0));
    else await redis.set(keys.campaignChunk(id, 0), bytes);
    const worker = startWorker({ onTrouble, suppress: async () => [] });
    for (const slice of [0, 1]) {
      const taken = await worker.take(id);
      expect(taken.slice).toBe(slice);
      expect(await worker.sendSlice(taken)).toMatchObject({ settled: [], isHeldUp: false });
    }
    expect(await worker.take(id)).toEqual({ waitMs: expect.any(Number) });
    expect(troubles).toEqual([{ campaign: id }, { campaign: id }]);
  });

  it('recipients next to one that cannot be read get their mail', async () => {
    const id = await addCampaign(redis, { recipients: [rowOf(0), none, rowOf(2)] });
    const settled: number[] = [];
    const worker = startWorker({
      onTrouble,
      suppress: allSuppressed,
      settle: async ({ place }) => {
        settled.push(place);
        return null;
      },
    });
    expect(await worker.sendSlice(await worker.take(id))).toMatchObject({ isHeldUp: false });
    expect(settled).toEqual([0, 2]);
    expect(await worker.take(id)).toEqual({ waitMs: expect.any(Number) });
    expect(troubles).toEqual([{ campaign: id }]);
  });

  it.each([
    ['running', 0],
    ['canceled', 1],
  ] as const)('and in a %s campaign %d of those that left their place are', async (status, count) => {
    const id = await addMarked(['left', 'queued'], status, [none, rowOf(1)]);
    const worker = startWorker({ onTrouble, suppress: allSuppressed, settle: async () => null });
    await worker.sendSlice(await worker.take(id));
    expect(troubles).toHaveLength(count);
  });
});

describe('in a canceled campaign', () => {
  it('emails that left their place are canceled, and looked at again where one is being handed over', async () => {
    for (const isCalledOff of [true, false]) {
      const id = await addMarked(['left'], 'canceled');
      const calledOff: string[] = [];
      const worker = startWorker({
        async callOff(email) {
          calledOff.push(email);
          return isCalledOff;
        },
      });
      await worker.sendSlice(await worker.take(id));
      expect(calledOff).toEqual([placeId(id, 0)]);
      expect(await worker.take(id)).toEqual({ waitMs: isCalledOff ? null : expect.any(Number) });
    }
  });

  it('the slice is looked at again at once when a lost recipient was settled, as it may have left its place', async () => {
    const id = await addMarked(['handing'], 'canceled');
    const worker = startWorker({
      async settle() {
        await redis.set(keys.campaignMarks(id), placeMarks.left);
        return null;
      },
    });
    const taken = await worker.take(id);
    await worker.sendSlice(taken);
    expect(await worker.take(id)).toMatchObject({ slice: taken.slice, marks: ['left'] });
  });
});

it('tells at once which transport a recipient was sent over, and nothing of those that none was asked for', async () => {
  const id = await addMarked(['handing', 'queued'], 'running');
  const worker = startWorker({
    suppress: allSuppressed,
    settle: async ({ email }, { kind }) => {
      const what = kind === 'suppressed' ? { kind, recipients: [] } : { kind: 'answered', transport: 't', replies: [] };
      return { email, what, decision: {} } as unknown as PlaceReport;
    },
  });
  const sent: string[] = [];
  await worker.sendSlice(await worker.take(id), (transport) => void sent.push(transport));
  expect(sent).toEqual(['t']);
});

it('a worker leaves a campaign with errors alone for a while, twice as long each time', async () => {
  const id = await addCampaign(redis, { recipients: 3 });
  await spoilContent(id);
  const troubles: unknown[] = [];
  const hands = makeSlicesInHand();
  let now = 0;
  const deps = {
    ...{ slices: store.slices, sendSlice: startWorker().sendSlice, room: { take: async () => () => {} }, hands },
    ...{ leaseMs: 60_000, nudge: { nudge() {}, wait: async () => {} }, newId, now: () => now },
    reportCampaign: unused,
    onTrouble: (_part: string, _error: unknown, { campaign }: { campaign: string }) => troubles.push(campaign),
  };
  const turn = async () => {
    await sendCampaigns(deps, new AbortController().signal);
    await until('what it took to be given back', () => hands.slices.size === 0);
    return now + hands.rests.of(id, now).leastMs;
  };
  expect([await turn(), await turn(), troubles]).toEqual([50, 50, [id]]);
  now = 50;
  expect([await turn(), await turn(), troubles]).toEqual([150, 150, [id, id]]);
});

it('a slice counts as progress of its campaign when a recipient was settled, and not when all were given back', async () => {
  const id = await addCampaign(redis, { recipients: 60 });
  const movedAt = () => redis.hget(keys.campaign(id), 'movedAt');
  const idle = startWorker({ suppress: allSuppressed, settle: async () => null });
  await idle.sendSlice(await idle.take(id));
  expect(await movedAt()).toBeNull();
  const settled = { what: { kind: 'suppressed', recipients: [] } } as unknown as PlaceReport;
  const worker = startWorker({ suppress: allSuppressed, settle: async () => settled });
  await worker.sendSlice(await worker.take(id));
  expect(Number(await movedAt())).toBeGreaterThan(0);
});
