/** Composition of the stages that send campaigns, in each worker: slices are taken in turn and use the same transports as all other mail. */
import type { Common } from './app.ts';
import type { Bound } from './app-dispatch.ts';
import { cpuMs, monotonicNow, newId, now, rand } from './chance.ts';
import { waitUntil } from './concurrency/deadline.ts';
import { insist } from './concurrency/insist.ts';
import { openLoop } from './concurrency/loop.ts';
import { makeNudge } from './concurrency/nudge.ts';
import { makeSemaphore } from './concurrency/semaphore.ts';
import { sliceSize } from './domain/campaign.ts';
import { unsubscribeUrlOf } from './domain/unsubscribe.ts';
import { makeComposer } from './outbound/compose.ts';
import type { callOff } from './pipeline/call-off.ts';
import type { dispatch } from './pipeline/dispatch.ts';
import { type Composer, prepareCampaign } from './pipeline/prepare-campaign.ts';
import { readSlice } from './pipeline/read-slice.ts';
import { keepHold, makeSlicesInHand, sendCampaigns } from './pipeline/send-campaigns.ts';
import { sendPlaces } from './pipeline/send-places.ts';
import { sendSlice } from './pipeline/send-slice.ts';
import type { settle } from './pipeline/settle.ts';
import { settlePlace } from './pipeline/settle-place.ts';
import type { suppress } from './pipeline/suppress.ts';
import { makeRound, sweepCampaigns } from './pipeline/sweep-campaigns.ts';
import { hearCampaigns } from './store/campaign-bell.ts';
import { isRedisTrouble } from './store/redis.ts';
import type { openStore } from './store/store.ts';
import { openTemplating } from './templating/templating.ts';

type Sending = {
  readonly store: Awaited<ReturnType<typeof openStore>>;
  readonly suppress: Bound<typeof suppress>;
  readonly dispatch: Bound<typeof dispatch>;
  readonly callOff: Bound<typeof callOff>;
  readonly settle: Bound<typeof settle>;
  /** Takes the end of all slices, which may come after the deadline. */
  outlasts(work: Promise<void>): void;
};

/** Slices taken beyond those whose recipients are in hand: the next is ready when one ends, also while its last answers are settled. */
const slicesAhead = 3;

export async function openCampaigning(
  common: Common,
  { store, suppress, dispatch, callOff, settle: settleLeft, outlasts }: Sending,
): Promise<void> {
  const { config, report, links, stopping, deadline, connect, opened, unsaved } = common;
  const { campaigns, slices, leave, emails, campaignRetention: retention } = store;
  const { policies, WORKER_CONCURRENCY: concurrency, WORKER_LOCK: lockMs } = config;
  const onTrouble = report.trouble;
  const { compile, yieldTurn } = openTemplating({ now: monotonicNow, cpuMs });
  const persist = { part: 'settle', isTrouble: isRedisTrouble, onTrouble };

  const composeFor = (): Composer => {
    const compose = makeComposer();
    return (email, content) => compose(email, content, new Map(), unsubscribeUrlOf(email, links));
  };
  const preparing = prepareCampaign.bind(null, { campaigns, compile, composeFor, kept: new Map() });
  const settling = insist(
    settlePlace.bind(null, { slices, leave, emails, settleLeft, policies, newId, now, rand }),
    persist,
  );
  const placesDeps = { inHand: makeSemaphore(concurrency), handedOver: unsaved.emails, yieldTurn, stopping };
  const sendingSlice = sendSlice.bind(null, {
    slices,
    prepareCampaign: preparing,
    readSlice: readSlice.bind(null, { slices, onTrouble, now }),
    sendPlaces: sendPlaces.bind(null, { slices, suppress, dispatch, ...placesDeps }),
    settle: settling,
    callOff,
    report: report.slice,
    onTrouble,
    now,
  });
  const slicesInHand = makeSlicesInHand();
  const room = makeSemaphore(Math.ceil(concurrency / sliceSize) + slicesAhead);
  const nudge = makeNudge();
  const takeDeps = {
    slices,
    sendSlice: sendingSlice,
    room,
    hands: slicesInHand,
    leaseMs: lockMs,
    nudge,
    newId,
    now: monotonicNow,
  };

  // Without the bell a campaign is found within a second.
  await hearCampaigns(await connect('wait'), nudge.nudge).catch(report.trouble.bind(null, 'campaigns bell'));
  const keeping = { retention, keepMs: config.emailRetentionMs.record, round: makeRound() };
  const sweepDeps = { ...keeping, report: report.forgotten, onTrouble, now };

  opened.use(
    openLoop('sweep campaigns', (stop) => sweepCampaigns(sweepDeps, stop), {
      everyMs: 1_000,
      onTrouble,
    }),
  );
  opened.use(openLoop('keep hold', () => keepHold(takeDeps), { everyMs: lockMs / 3, onTrouble }));
  opened.defer(() => {
    const slicesEnded = Promise.all(slicesInHand.slices.values()).then(() => {});
    outlasts(slicesEnded);
    return waitUntil(slicesEnded, deadline.begin());
  });
  const step = sendCampaigns.bind(null, { ...takeDeps, reportCampaign: report.campaign, onTrouble });
  opened.use(openLoop('send campaigns', step, { everyMs: 0, stopping, onTrouble }));
}
