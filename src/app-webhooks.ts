/** Composition of the stages that bring events from the outbox to the endpoints that want them, and of the sweep of old events. */
import type { Common } from './app.ts';
import { monotonicNow, newId, now, ownNow, rand } from './chance.ts';
import { waitUntil } from './concurrency/deadline.ts';
import { openLoop } from './concurrency/loop.ts';
import { makeNudge } from './concurrency/nudge.ts';
import { openWebhookClient } from './outbound/webhook-client.ts';
import { buildPayloads } from './pipeline/build-payloads.ts';
import { notify } from './pipeline/notify.ts';
import { post } from './pipeline/post.ts';
import { postDue } from './pipeline/post-due.ts';
import { sweepEvents } from './pipeline/sweep-events.ts';
import { openOutbox } from './store/outbox.ts';

/** Within a minute only a few events pass their retention. */
const sweepEveryMs = 60_000;

type Shared = {
  readonly redis: Awaited<ReturnType<Common['connect']>>;
  readonly store: Awaited<ReturnType<Common['openStore']>>;
  /** Names this process among the workers. */
  readonly worker: string;
};

export async function openNotifying(
  { config, report, unsaved, stopping, deadline, connect, opened }: Common,
  { redis, store, worker }: Shared,
): Promise<void> {
  const { posting } = config;
  const onTrouble = report.trouble;
  const outbox = opened.use(await openOutbox(redis, await connect('wait'), worker, config.WORKER_LOCK));
  const client = openWebhookClient({ ...posting.client, now: monotonicNow });
  // A post that outlasts the stop is left to its lease. Ended here, it would count as a failed try.
  opened.defer(() => (unsaved.posts === 0 ? client[Symbol.asyncDispose]() : undefined));
  const nudge = makeNudge();
  const notifyDeps = { ...store, outbox, reportUnreadable: report.unreadable, wake: nudge.nudge, now };
  const postingOne = post.bind(null, {
    ...store,
    client,
    buildPayloads: buildPayloads.bind(null, store),
    policy: posting.policy,
    report: report.posted,
    newId,
    now,
    ownNow,
    rand,
  });
  const postDueDeps = {
    ...store,
    post: postingOne,
    rounds: new Map(),
    inHand: unsaved,
    asked: { posts: 0 },
    concurrency: config.WORKER_CONCURRENCY,
    leaseMs: posting.leaseMs,
    longestWaitMs: posting.longestWaitMs,
    nudge,
    onTrouble,
    now,
  };
  const sweepDeps = { ...store, keep: config.eventRetention, reportLost: report.lost, onTrouble, now };
  opened.use(
    openLoop('sweep events', (stop) => sweepEvents(sweepDeps, stop), {
      everyMs: sweepEveryMs,
      onTrouble,
    }),
  );
  opened.adopt(
    openLoop('post due', (stop) => postDue(postDueDeps, stop), { everyMs: 0, stopping, onTrouble }),
    (loop) => waitUntil(loop[Symbol.asyncDispose](), deadline.begin()),
  );
  opened.use(openLoop('notify', (stop) => notify(notifyDeps, stop), { everyMs: 0, onTrouble }));
}
