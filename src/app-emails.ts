/** Composition of the stages that find and change emails, in a record of their own or at their place in a campaign. */
import type { Ground } from './app.ts';
import { newId, now } from './chance.ts';
import { commitChange } from './pipeline/commit-change.ts';
import { findInCampaign } from './pipeline/find-in-campaign.ts';
import { lookUp, lookUpPlaces, lookUpTimeline, makeLetter } from './pipeline/look-up.ts';
import { retryFailed } from './pipeline/retry-failed.ts';
import { settleChange } from './pipeline/settle.ts';
import type { openStore } from './store/store.ts';
import type { openTemplating } from './templating/templating.ts';

/** Its `load`, `read` and `timeline` also find emails that stand in a campaign; those of the store, which they replace, know only emails with a record. */
export function bindEmails(
  { report }: Pick<Ground, 'report'>,
  store: Awaited<ReturnType<typeof openStore>>,
  templating: ReturnType<typeof openTemplating>,
) {
  const looking = { ...store, templating };
  const read = lookUp.bind(null, looking);
  const committing = commitChange.bind(null, { ...store, lookUp: read, makeLetter: makeLetter.bind(null, looking) });
  const changing = { emails: { read, commitChange: committing }, report: report.settled, newId, now };
  const change = settleChange.bind(null, changing);
  return {
    emails: { ...store.emails, load: read, read, timeline: lookUpTimeline.bind(null, looking) },
    change,
    findInCampaign: findInCampaign.bind(null, { ...store, lookUpPlaces: lookUpPlaces.bind(null, looking) }),
    retryFailed: retryFailed.bind(null, { ...store, read, change }),
  };
}
