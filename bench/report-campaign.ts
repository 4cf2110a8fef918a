/** What the report says of a campaign. */
import type { CampaignCost } from './measure-campaign.ts';
import type { Naive } from './measure-naive.ts';
import { median, ratio } from './medians.ts';
import { table, whole } from './table.ts';

type Round = { readonly campaign: CampaignCost; readonly naive: Naive };

const rate = ({ campaign }: Round) => campaign.perSecond;
const naiveRate = ({ naive }: Round) => naive.perSecond;

export function campaignTable(rounds: readonly Round[]): string {
  const bytes = [0, 1, 2].map((n) => whole(median(rounds, ({ campaign }) => campaign.bytes[n] ?? Number.NaN)));
  return table(
    ['campaign', 'ours is', 'messages/s', 'CPU s/1,000', 'bytes before, during, after'],
    [
      ['one worker and Redis', '', whole(median(rounds, rate)), cpu(rounds), bytes.join(', ')],
      ['the naive stack', ratio(rounds, rate, naiveRate), whole(median(rounds, naiveRate)), naiveCpu(rounds), ''],
    ],
  );
}

export function campaignSummary(rounds: readonly Round[]): string {
  const most = Math.max(...rounds.flatMap(({ campaign }) => campaign.bytes));
  return `campaign ${ratio(rounds, rate, naiveRate)} of the naive stack, CPU ${cpu(rounds)} s/1000, ${whole(most)} B/recipient`;
}

function cpu(rounds: readonly Round[]): string {
  const known = rounds.filter(({ campaign }) => campaign.cpu !== null);
  return known.length === 0 ? 'n/a' : median(known, ({ campaign }) => campaign.cpu ?? Number.NaN).toFixed(2);
}

function naiveCpu(rounds: readonly Round[]): string {
  const known = rounds.filter(({ naive }) => naive.cpu !== null);
  return known.length === 0 ? 'n/a' : median(known, ({ naive }) => naive.cpu ?? Number.NaN).toFixed(2);
}
