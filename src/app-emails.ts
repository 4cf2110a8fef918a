/** Composition of the stages that find and change emails, in a record of their own or at their place in a campaign. */
import type { Common } from './app.ts';
import { newId, now } from './chance.ts';
import { commitChange } from './pipeline/commit-change.ts';
import { findInCampaign } from './pipeline/find-in-campaign.ts';
import { lookUp, lookUpPlaces, lookUpTimeline, makeLetter } from './pipeline/look-up.ts';
import { retryFailed } from './pipeline/retry-failed.ts';
import { settleChange } from './pipeline/settle.ts';
import type { openStore } from './store/store.ts';
import type { openTemplating } from './templating/templating.ts';

/** Unlike the store's, which knows only emails with a record of their own, `emailsAnywhere` also finds those at their place in a campaign. */
export function bindEmails(
  { report }: Pick<Common, 'report'>,
  store: Awaited<ReturnType<typeof openStore>>,
  templating: ReturnType<typeof openTemplating>,
) {
  const lookUpDeps = { ...store, templating };
  const read = lookUp.bind(null, lookUpDeps);
  const committing = commitChange.bind(null, { ...store, lookUp: read, makeLetter: makeLetter.bind(null, lookUpDeps) });
  const changeDeps = { emails: { read, commitChange: committing }, report: report.settled, newId, now };
  const change = settleChange.bind(null, changeDeps);
  return {
    emailsAnywhere: { ...store.emails, load: read, read, timeline: lookUpTimeline.bind(null, lookUpDeps) },
    change,
    findInCampaign: findInCampaign.bind(null, { ...store, lookUpPlaces: lookUpPlaces.bind(null, lookUpDeps) }),
    retryFailed: retryFailed.bind(null, { ...store, read, change }),
  };
}
