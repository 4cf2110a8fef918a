/** What the report says of a campaign. */
import type { CampaignCost } from './measure-campaign.ts';
import type { Naive } from './measure-naive.ts';
import { median, ratio } from './medians.ts';
import { table, whole } from './table.ts';

type Round = { readonly campaign: CampaignCost; readonly naive: Naive };

const rate = ({ campaign }: Round) => campaign.perSecond;
const byTwoRate = ({ campaign }: Round) => campaign.byTwo.perSecond;
const naiveRate = ({ naive }: Round) => naive.perSecond;

export function campaignTable(rounds: readonly Round[]): string {
  const bytes = [0, 1, 2].map((n) => whole(median(rounds, ({ campaign }) => campaign.bytes[n] ?? Number.NaN)));
  return table(
    ['campaign', 'ours is', 'messages/s', 'CPU s/1,000', 'bytes before, during, after'],
    [
      ['one worker and Redis', '', whole(median(rounds, rate)), cpu(rounds, oneCpu), bytes.join(', ')],
      ['the naive stack', ratio(rounds, rate, naiveRate), whole(median(rounds, naiveRate)), cpu(rounds, naiveCpu), ''],
      [
        'two workers, of the naive stack',
        ratio(rounds, byTwoRate, naiveRate),
        whole(median(rounds, byTwoRate)),
        cpu(rounds, byTwoCpu),
        '',
      ],
    ],
  );
}

export function campaignSummary(rounds: readonly Round[]): string {
  const most = Math.max(...rounds.flatMap(({ campaign }) => campaign.bytes));
  return `campaign ${ratio(rounds, rate, naiveRate)} of the naive stack, by two workers ${ratio(rounds, byTwoRate, naiveRate)}, CPU ${cpu(rounds, oneCpu)} s/1000, ${whole(most)} B/recipient`;
}

const oneCpu = ({ campaign }: Round) => campaign.cpu;
const byTwoCpu = ({ campaign }: Round) => campaign.byTwo.cpu;
const naiveCpu = ({ naive }: Round) => naive.cpu;

function cpu(rounds: readonly Round[], pick: (round: Round) => number | null): string {
  const known = rounds.flatMap((round) => pick(round) ?? []);
  return known.length === 0 ? 'n/a' : median(known, (seconds) => seconds).toFixed(2);
}
