/**
 * Loaded by a test before src/main.ts (`node --import`): the process stops between two steps of the line, so that the test can kill it right
 * there, or send it SIGUSR2, upon which it goes on. Production code has no such switch; the module that takes the step is wrapped as app.ts imports it.
 *
 * STOP_HERE names the gap, STOP_AT the call that stops (1 is the first).
 */
import { registerHooks } from 'node:module';

type Step = (...args: never[]) => unknown;
type Gap = { readonly module: string; readonly name: string; wrap(real: Step): Step };

const stopAt = Number(process.env.STOP_AT ?? '1');
const place = process.env.STOP_HERE ?? '';
let calls = 0;

/** Waits in the call that was asked for; lets the others pass. */
async function stopOrPass(): Promise<void> {
  calls += 1;
  if (calls !== stopAt) return;
  const alive = setInterval(() => {}, 60_000);
  const told = new Promise((goOn) => process.once('SIGUSR2', goOn));
  console.log(`stopped at ${place}`);
  await told;
  clearInterval(alive);
  console.log(`went on from ${place}`);
}

function stopBefore(step: Step): Step {
  return async (...args) => {
    await stopOrPass();
    return step(...args);
  };
}

function stopAfter(step: Step): Step {
  return async (...args) => {
    const result = await step(...args);
    await stopOrPass();
    return result;
  };
}

/** Wraps one method of what an `open…` function returns. */
function inside(method: string, wrapMethod: (step: Step) => Step): Gap['wrap'] {
  return (open) =>
    (...args) => {
      const opened = open(...args) as Record<string, Step>;
      const real = opened[method];
      if (real === undefined) throw new Error(`${place}: there is no ${method}`);
      opened[method] = wrapMethod(real.bind(opened));
      return opened;
    };
}

/** The same for the queue of transactional mail among the delivery queues. */
const insideQueue =
  (method: 'add', wrapMethod: (step: Step) => Step): Gap['wrap'] =>
  (open) =>
  (...args) => {
    const opened = open(...args) as { transactional: Record<typeof method, Step> };
    opened.transactional[method] = wrapMethod(opened.transactional[method]);
    return opened;
  };

const queues = { module: '/src/queue/deliver-queue.ts', name: 'openDeliverQueues' };

const slices = { module: '/src/store/campaign-slices.ts', name: 'openCampaignSlices' };
const leaving = { module: '/src/store/campaign-leave.ts', name: 'openCampaignLeave' };

const campaigns = { module: '/src/store/campaigns.ts', name: 'openCampaigns' };

const gaps: Record<string, Gap> = {
  'campaign made/answered': { ...campaigns, wrap: inside('add', stopAfter) },
  'campaign moved/answered': { ...campaigns, wrap: inside('move', stopAfter) },
  'slice taken/begun': { ...slices, wrap: inside('take', stopAfter) },
  'place claimed/sent': { ...slices, wrap: inside('claim', stopAfter) },
  'place sent/settled': { ...slices, wrap: inside('settle', stopBefore) },
  'place settled/released': { ...slices, wrap: inside('release', stopBefore) },
  'place deferred/left': { ...leaving, wrap: inside('leave', stopBefore) },
  'place left/released': { ...leaving, wrap: inside('leave', stopAfter) },
  'stored/taken': { module: '/src/store/due.ts', name: 'openDue', wrap: inside('take', stopBefore) },
  'queued/done': { ...queues, wrap: insideQueue('add', stopAfter) },
  'taken/queued': { ...queues, wrap: insideQueue('add', stopBefore) },
  'fetched/kept': { module: '/src/store/emails.ts', name: 'openEmails', wrap: inside('keepFiles', stopBefore) },
  'taken/sent': {
    module: '/src/outbound/smtp-transport.ts',
    name: 'openSmtpTransport',
    wrap: inside('send', stopBefore),
  },
  'sent/settled': {
    module: '/src/outbound/smtp-transport.ts',
    name: 'openSmtpTransport',
    wrap: inside('send', stopAfter),
  },
  'missed/settled': { module: '/src/pipeline/settle.ts', name: 'settle', wrap: stopBefore },
  'settled/finished': { module: '/src/pipeline/settle.ts', name: 'settle', wrap: stopAfter },
  'settled/notified': { module: '/src/pipeline/notify.ts', name: 'notify', wrap: stopBefore },
  'noticed/notified': { module: '/src/store/posts.ts', name: 'openPosts', wrap: inside('hand', stopBefore) },
  'notified/taken': { module: '/src/store/posts.ts', name: 'openPosts', wrap: inside('take', stopBefore) },
  'notified/posted': { module: '/src/pipeline/post.ts', name: 'post', wrap: stopBefore },
  'posted/recorded': {
    module: '/src/outbound/webhook-client.ts',
    name: 'openWebhookClient',
    wrap: inside('post', stopAfter),
  },
};

const gap = gaps[place];
if (gap === undefined) throw new Error(`STOP_HERE=${place}: expected one of ${Object.keys(gaps).join(', ')}`);

/** Called by the stand-in module below. */
export const wrap = gap.wrap;

registerHooks({
  load(url, context, next) {
    if (!url.endsWith(gap.module)) return next(url, context);
    const real = JSON.stringify(`${url}?real`);
    const source = `export * from ${real}; import { ${gap.name} as real } from ${real}; import { wrap } from ${JSON.stringify(import.meta.url)}; export const ${gap.name} = wrap(real);`;
    return { format: 'module', source, shortCircuit: true };
  },
});
