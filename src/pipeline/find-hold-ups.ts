/** find-hold-ups: finds the transports that recipients of a campaign wait for at their places. */
import type { Campaign } from '../domain/campaign.ts';
import { explainParked, isTended, type ParkedReason } from '../domain/explain-parked.ts';
import type { TransportReport } from '../domain/transport-report.ts';
import type { CampaignSlices } from '../store/campaign-slices.ts';

type Deps = {
  slices: Pick<CampaignSlices, 'setAside'>;
  reportTransports(names: readonly string[]): Promise<readonly TransportReport[]>;
  now(): number;
};

export type HoldUp = {
  readonly transport: string;
  readonly reason: ParkedReason;
  /** When it can take the next message, milliseconds since the epoch; null when that is unknown, or as soon as possible. */
  readonly movesAt: number | null;
};

/** None when the campaign is not running. */
export async function findHoldUps(deps: Deps, { head, state }: Campaign): Promise<HoldUp[]> {
  if (state.status !== 'running') return [];
  const { all } = await deps.slices.setAside(head.id, null);
  const reports = all.length === 0 ? [] : await deps.reportTransports(all);
  const held = reports.map((report) => ({ ahead: null, report, others: [] })).filter(isTended);
  return held.map((where) => {
    const { reason, movesAt } = explainParked(where, 'bulk', deps.now());
    return { transport: where.report.name, reason, movesAt };
  });
}
