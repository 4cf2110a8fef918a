/** Composition of what a worker tells of events: from the outbox to the endpoints that want them, and what is forgotten in the end. */
import type { Ground } from './app.ts';
import { newId, now, ownNow, rand } from './chance.ts';
import { openWebhookClient } from './outbound/webhook-client.ts';
import { forward } from './pipeline/forward.ts';
import { notify } from './pipeline/notify.ts';
import { post } from './pipeline/post.ts';
import { restate } from './pipeline/restate.ts';
import { sweep } from './pipeline/sweep.ts';
import { openLoop } from './queue/loop.ts';
import { makeNudge } from './queue/nudge.ts';
import { openOutbox } from './store/outbox.ts';

/** Little is past its retention within a minute. */
const sweepEveryMs = 60_000;

type Shared = {
  readonly redis: Awaited<ReturnType<Ground['connect']>>;
  readonly store: Awaited<ReturnType<Ground['openStore']>>;
  /** Names this process among the workers. */
  readonly worker: string;
};

export async function openNotifying(
  { config, report, hands, connect, opened }: Ground,
  { redis, store, worker }: Shared,
): Promise<void> {
  const { posting } = config;
  const outbox = opened.use(await openOutbox(redis, await connect('wait'), worker, config.WORKER_LOCK));
  const client = opened.use(openWebhookClient(posting.client));
  const nudge = makeNudge();
  const notifying = { ...store, outbox, wake: nudge.nudge, now };
  const restating = restate.bind(null, store);
  const posted = { restate: restating, report: report.posted };
  const trying = post.bind(null, {
    ...store,
    outbox,
    client,
    policy: posting.policy,
    ...posted,
    newId,
    now,
    ownNow,
    rand,
  });
  const forwarding = {
    ...{ ...store, post: trying, rounds: new Map(), inHand: hands, nudge, onTrouble: report.trouble, now },
    ...{ concurrency: config.WORKER_CONCURRENCY, leaseMs: posting.leaseMs },
  };
  const sweeping = { ...store, keep: config.keep, reportLost: report.lost, onTrouble: report.trouble, now };
  opened.use(openLoop('sweep', (stop) => sweep(sweeping, stop), { everyMs: sweepEveryMs, onTrouble: report.trouble }));
  opened.use(openLoop('forward', (stop) => forward(forwarding, stop), { everyMs: 0, onTrouble: report.trouble }));
  opened.use(openLoop('notify', (stop) => notify(notifying, stop), { everyMs: 0, onTrouble: report.trouble }));
}
