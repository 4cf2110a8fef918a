/** Campaigns for tests that need no request for them. */
import type { CampaignContent, CampaignHead } from '../../src/domain/campaign.ts';
import type { Draft } from '../../src/domain/campaign-request.ts';

export function draft(
  head: Partial<CampaignHead> & Pick<CampaignHead, 'id'>,
  content: Partial<CampaignContent> = {},
): Draft {
  return {
    head: {
      ...{ createdAt: 1_000, keyId: 'admin', name: 'News', from: { address: 'news@example.com' }, replyTo: [] },
      ...{ headers: {}, tags: [], metadata: null, route: null, onUnknown: 'retry', rate: null, template: null },
      subject: 'News',
      ...head,
    },
    content: {
      ...{ subject: 'News', html: null, text: 'News', preheader: null, from: null, replyTo: [] },
      ...{ missing: 'strict', variables: [] },
      ...content,
    },
    scheduledAt: null,
  };
}
