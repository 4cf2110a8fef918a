/** Composition of the worker role: each stage with what it uses, and the queues and loops that run the stages. */
import type { Common } from './app.ts';
import { openCampaigning } from './app-campaigns.ts';
import { bindDispatch, bindIsConnected } from './app-dispatch.ts';
import { openFetching } from './app-files.ts';
import { openFleet } from './app-fleet.ts';
import { openNotifying } from './app-webhooks.ts';
import { newId, now, ownNow, rand } from './chance.ts';
import { makeBackground } from './concurrency/background.ts';
import { waitUntil } from './concurrency/deadline.ts';
import { insist } from './concurrency/insist.ts';
import { openLoop } from './concurrency/loop.ts';
import { pause } from './concurrency/nudge.ts';
import { makeSemaphore } from './concurrency/semaphore.ts';
import { missingFileOf } from './domain/attachment.ts';
import type { Content } from './domain/email.ts';
import { lanes } from './domain/lane.ts';
import { unsubscribeUrlOf } from './domain/unsubscribe.ts';
import { makeComposer } from './outbound/compose.ts';
import { attempt } from './pipeline/attempt.ts';
import { callOff } from './pipeline/call-off.ts';
import { deliver } from './pipeline/deliver.ts';
import { enqueueDue } from './pipeline/enqueue-due.ts';
import { explainExpiry } from './pipeline/explain-expiry.ts';
import { findPermits } from './pipeline/find-permits.ts';
import { gatherFiles } from './pipeline/gather-files.ts';
import { maintainTransports, makeMemory } from './pipeline/maintain-transports.ts';
import { probeTransport } from './pipeline/probe-transport.ts';
import { settle, settleChange } from './pipeline/settle.ts';
import { suppress } from './pipeline/suppress.ts';
import { sweepEmails } from './pipeline/sweep-emails.ts';
import { deliverQueueNames, type JobData, openDeliverQueues } from './queue/deliver-queue.ts';
import { type JobIn, openWorker } from './queue/jobs.ts';
import { openBell } from './store/bell.ts';
import { queuePrefix } from './store/keys.ts';
import { isRedisTrouble } from './store/redis.ts';
import { workerName } from './worker-name.ts';

/** Time to store the outcomes of messages that the end of their connections cut off. */
const lastOutcomesMs = 1_000;

export async function openWorkers(common: Common): Promise<void> {
  const { config, report, links, unsaved, opened } = common;
  const { stopping, deadline, cut, connect, openStore } = common;
  const { policies } = config;
  const onTrouble = report.trouble;
  const redis = await connect('wait');
  const store = await openStore(redis);
  const { emails, due, retention } = store;
  const worker = workerName(newId('rq'));
  const queues = { redis: await connect('wait', 'queue'), prefix: queuePrefix };
  const deliverQueues = opened.use(openDeliverQueues(queues));
  const { run: outlasts, ended: allEnded } = makeBackground();
  opened.defer(() => waitUntil(allEnded(), AbortSignal.timeout(lastOutcomesMs), cut.signal));
  const { fleet, nudge } = await openFleet(common, { store, worker });
  const settleDeps = { emails, policies, report: report.settled, newId, now, rand };
  const settling = insist(settle.bind(null, settleDeps), { part: 'settle', isTrouble: isRedisTrouble, onTrouble });
  const fetching = openFetching(common, { store, settle: settling });
  const { run: inBackground, ended } = makeBackground();
  opened.defer(ended);
  const dispatching = bindDispatch(fleet, { policies, inBackground, wake: nudge.nudge, onTrouble, newId, now });
  const suppressing = suppress.bind(null, store);
  const compose = makeComposer();
  const composing: typeof compose = (email, content, files) =>
    compose(email, content, files, unsubscribeUrlOf(email, links));
  const sendDeps = {
    suppress: suppressing,
    compose: composing,
    dispatch: dispatching,
    settle: settling,
    callOff: callOff.bind(null, { emails, change: settleChange.bind(null, settleDeps) }),
  };
  const handedOver = unsaved.emails;
  const attemptDeps = {
    emails,
    missingFile: (content: Content) => missingFileOf(content, config.MAX_ATTACHMENT_BYTES),
    gatherFiles: gatherFiles.bind(null, { emails }),
    compose: composing,
    dispatch: dispatching,
    explainExpiry: explainExpiry.bind(null, { ...fleet, now }),
    handedOver,
    now,
  };
  const own = { due, campaigns: store.campaigns, findPermits: findPermits.bind(null, { ...fleet, now }) };
  const deliverDeps = { emails, ...own, ...sendDeps, handedOver, stopping, onTrouble, newId, now };
  const isConnected = bindIsConnected(fleet, now);
  const probeDeps = { ...fleet, isConnected, wake: nudge.nudge, report: report.probed, onTrouble, newId, now };
  const probe = probeTransport.bind(null, probeDeps);
  const maintainDeps = { ...fleet, memory: makeMemory(), worker, probe, nudge, now };
  const bell = opened.use(openBell(await connect('wait')));
  const enqueueDeps = { due, bell, deliverQueues, ...config.feeding, wait: pause, newId, now };

  const sweepDeps = { emails, retention, keepMs: config.emailRetentionMs, report: report.forgotten, now };

  const workers = { ...config.workers, stopping, deadline, outlasts, cut: cut.signal, onTrouble, now, ownNow };
  for (const lane of lanes) {
    const [inHand, line] = [makeSemaphore(config.WORKER_CONCURRENCY), makeSemaphore(1)];
    const room = makeSemaphore(config.WORKER_MAIL_BYTES);
    const queue = deliverQueues[lane];
    const attempting = attempt.bind(null, { ...attemptDeps, room });
    const ofLane = { attempt: attempting, fetchFile: fetching[lane], lane, inHand, line, queue };
    const stage = deliver.bind(null, { ...deliverDeps, ...ofLane });
    const run = ({ id, data }: JobIn<JobData>) => stage({ id, emails: data.emails });
    opened.use(await openWorker(deliverQueueNames[lane], run, queues, workers));
  }
  await openCampaigning(common, { store, outlasts, ...sendDeps });
  await openNotifying(common, { redis, store, worker });
  opened.use(openLoop('maintain transports', maintainTransports.bind(null, maintainDeps), { everyMs: 0, onTrouble }));
  opened.use(openLoop('sweep emails', (stop) => sweepEmails(sweepDeps, stop), { everyMs: 1_000, onTrouble }));
  opened.use(openLoop('enqueue due', (stop) => enqueueDue(enqueueDeps, stop), { everyMs: 0, onTrouble }));
}
