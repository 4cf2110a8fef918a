/** prepare-campaign: a campaign made ready to be sent: its content compiled once, and a letter for each recipient from then on. */
import type { CampaignContent, CampaignHead, CampaignRow } from '../domain/campaign.ts';
import { placeVariables } from '../domain/campaign-email.ts';
import type { StoredEmail } from '../domain/email.ts';
import { type CompiledTemplate, type TemplateFault, unmadeBecause, type WovenLetter } from '../domain/template.ts';
import type { WovenContent } from '../domain/woven.ts';
import type { Campaigns } from '../store/campaigns.ts';

type Deps = {
  campaigns: Pick<Campaigns, 'get' | 'content'>;
  compile(content: CampaignContent): CompiledTemplate | { readonly faults: readonly TemplateFault[] };
  /** Prepared once for a campaign: the message to one of its recipients. */
  composeFor(head: CampaignHead): Composer;
  kept: KeptCampaigns;
};

/** @param content what is sent of the letter to this recipient */
export type Composer = (email: StoredEmail, content: WovenContent) => Buffer | Promise<Buffer>;

export type PreparedCampaign = {
  readonly head: CampaignHead;
  /** The letter to one recipient; why there can be none. */
  render(row: CampaignRow): WovenLetter | { readonly fault: string };
  readonly compose: Composer;
};

/** The least recently used first. */
export type KeptCampaigns = Map<string, Promise<PreparedCampaign | null>>;

/** As many as a worker sends by turns; compiled they take some twenty times as much as their sources. */
const maxKept = 16;

/** Ready as it was sent off: neither head nor content changes from then on. Null when it is gone. */
export async function prepareCampaign(deps: Deps, id: string): Promise<PreparedCampaign | null> {
  const { kept } = deps;
  const prepared = kept.get(id) ?? prepareAnew(deps, id);
  kept.delete(id);
  kept.set(id, prepared);
  for (const oldest of kept.keys()) if (kept.size > maxKept) kept.delete(oldest);
  const found = await prepared.catch((error: unknown) => {
    kept.delete(id);
    throw error;
  });
  if (found === null) kept.delete(id);
  return found;
}

async function prepareAnew(deps: Deps, id: string): Promise<PreparedCampaign | null> {
  const [campaign, content] = await Promise.all([deps.campaigns.get(id), deps.campaigns.content(id)]);
  if (campaign === null || content === null) return null;
  const { head } = campaign;
  const compiled = deps.compile(content);
  const render = (row: CampaignRow) => {
    if ('faults' in compiled) return { fault: unmadeBecause(compiled.faults) };
    const letter = compiled.weave(placeVariables(row));
    return 'faults' in letter ? { fault: unmadeBecause(letter.faults) } : letter;
  };
  return { head, render, compose: deps.composeFor(head) };
}
