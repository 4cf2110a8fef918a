/** prepare-campaign: compiles the content of a campaign once and makes the letter to each recipient of it. */

import type { CampaignContent, CampaignHead, CampaignRow } from '../domain/campaign.ts';
import { placeContent, placeVariables } from '../domain/campaign-email.ts';
import type { StoredEmail } from '../domain/email.ts';
import { type Kept, keptOr } from '../domain/kept.ts';
import { type CompiledTemplate, type TemplateFault, unmadeBecause, type WovenLetter } from '../domain/template.ts';
import type { WovenContent } from '../domain/woven.ts';
import type { Campaigns } from '../store/campaigns.ts';
import type { Filled } from './settle-place.ts';

type Deps = {
  campaigns: Pick<Campaigns, 'get' | 'content'>;
  compile(content: CampaignContent): CompiledTemplate | { readonly faults: readonly TemplateFault[] };
  /** Makes, once for a campaign, the function that composes the message to each recipient. */
  composeFor(head: CampaignHead): Composer;
  kept: KeptCampaigns;
};

/** @param content the letter to this recipient */
export type Composer = (email: StoredEmail, content: WovenContent) => Buffer | Promise<Buffer>;

export type PreparedCampaign = {
  readonly head: CampaignHead;
  letterTo(row: CampaignRow, email: StoredEmail): Letter;
};

/** The letter to one recipient, made once, at its first use. */
export type Letter = {
  fill(): Filled;
  /** Null until it is made. */
  subject(): string | null;
  /** Composes the message, once. */
  write(): Promise<Written>;
};

/** `fault` says why there is no message. */
export type Written = { readonly raw: Buffer } | { readonly fault: string };

type KeptCampaigns = Kept<PreparedCampaign | null>;

/** As many campaigns as a worker sends in turn. Compiled content takes about twenty times the memory of its source. */
const maxKept = 16;

/** Null when the campaign is gone. A kept one is never out of date: neither head nor content changes once a campaign is sent. */
export async function prepareCampaign(deps: Deps, id: string): Promise<PreparedCampaign | null> {
  const { kept } = deps;
  const found = await keptOr(kept, id, maxKept, () => prepareAnew(deps, id));
  if (found === null) kept.delete(id);
  return found;
}

async function prepareAnew(deps: Deps, id: string): Promise<PreparedCampaign | null> {
  const [campaign, content] = await Promise.all([deps.campaigns.get(id), deps.campaigns.content(id)]);
  if (campaign === null || content === null) return null;
  const { head } = campaign;
  const compiled = deps.compile(content);
  const compose = deps.composeFor(head);
  const letterTo = (row: CampaignRow, email: StoredEmail): Letter => {
    let filled: Filled | undefined;
    let written: Promise<Written> | undefined;
    const fillOnce = () => {
      filled ??= fill(head, weave(compiled, row), email);
      return filled;
    };
    return {
      fill: fillOnce,
      subject: () => (filled === undefined || 'fault' in filled ? null : filled.email.facts.subject),
      write() {
        written ??= write(compose, fillOnce());
        return written;
      },
    };
  };
  return { head, letterTo };
}

type Compiled = ReturnType<Deps['compile']>;

function weave(compiled: Compiled, row: CampaignRow): WovenLetter | { readonly fault: string } {
  if ('faults' in compiled) return { fault: unmadeBecause(compiled.faults) };
  const letter = compiled.weave(placeVariables(row));
  return 'faults' in letter ? { fault: unmadeBecause(letter.faults) } : letter;
}

function fill(head: CampaignHead, letter: ReturnType<typeof weave>, email: StoredEmail): Filled {
  if ('fault' in letter) return letter;
  const facts = { ...email.facts, subject: letter.subject ?? head.subject };
  return { email: { ...email, facts }, content: placeContent(head, letter) };
}

async function write(compose: Composer, filled: Filled): Promise<Written> {
  if ('fault' in filled) return filled;
  return Promise.try(compose, filled.email, filled.content).then(
    (raw) => ({ raw }),
    (error: Error) => ({ fault: `it could not be composed: ${error.message}` }),
  );
}
