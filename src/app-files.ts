/** Composition of the stage that fetches files given by URL, in each worker. */
import type { Common } from './app.ts';
import type { Bound } from './app-dispatch.ts';
import { newId, now } from './chance.ts';
import { makeBackground } from './concurrency/background.ts';
import { waitUntil } from './concurrency/deadline.ts';
import { openLoop } from './concurrency/loop.ts';
import { makeShares } from './concurrency/shares.ts';
import type { Lane } from './domain/lane.ts';
import { openAttachmentClient } from './outbound/attachment-client.ts';
import { fetchFile, keepFetching } from './pipeline/fetch-file.ts';
import type { settle } from './pipeline/settle.ts';
import type { openStore } from './store/store.ts';

type Given = {
  readonly store: Pick<Awaited<ReturnType<typeof openStore>>, 'emails' | 'due'>;
  readonly settle: Bound<typeof settle>;
};

/** Emails of a lane whose file is being fetched or waits for that: so many that a host which answers is never without work. */
const mostInHand = 64;

/** @returns the stage of each lane */
export function openFetching(
  { config, report, stopping, deadline, cut, opened }: Common,
  { store, settle }: Given,
): Readonly<Record<Lane, Bound<typeof fetchFile>>> {
  const { emails, due } = store;
  const onTrouble = report.trouble;
  const { ATTACHMENT_ALLOW_PRIVATE_NETWORKS: allowPrivateNetworks, WORKER_LOCK: leaseMs } = config;
  const roomBytes = config.WORKER_MAIL_BYTES;
  const client = opened.use(openAttachmentClient({ allowPrivateNetworks, roomBytes }));
  const background = makeBackground();
  opened.defer(() => waitUntil(background.ended(), deadline.begin(), cut.signal));
  const openLane = (lane: Lane): Bound<typeof fetchFile> => {
    const inHand = new Set<string>();
    const fetching = { emails, due, client, lane, inHand, places: makeShares(mostInHand) };
    const deps = {
      ...fetching,
      settle,
      report: report.fetched,
      inBackground: background.run,
      stopping,
      leaseMs,
      onTrouble,
      newId,
      now,
    };
    opened.use(openLoop('keep fetching', () => keepFetching(deps), { everyMs: leaseMs / 3, onTrouble }));
    return fetchFile.bind(null, deps);
  };
  return { transactional: openLane('transactional'), bulk: openLane('bulk') };
}
