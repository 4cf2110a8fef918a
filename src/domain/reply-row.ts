/** What a row of the reply classification is made of: what it fits, what is done about it, and the names of what can be wrong. */

/** `slow_down` is a retry with which the next hop asks for less; `stop_transport` is the transport's own trouble and uses no attempt. */
export type ReplyAction = 'accept' | 'retry' | 'fail' | 'slow_down' | 'stop_transport';

/** What a reply is about, as a deliverability engineer sorts them. */
export const replyCategories = [
  'accepted',
  'unknown_user',
  'unknown_host',
  'moved',
  'mailbox_full',
  'mailbox_disabled',
  'greylisted',
  'rate_limited',
  'too_many_connections',
  'connection_used_up',
  'too_many_recipients',
  'system',
  'sender_authentication',
  'sender_refused',
  'blocklisted',
  'spam',
  'malware',
  'policy',
  'relay_denied',
  'login',
  'too_large',
  'syntax',
  'bad_sequence',
  'tls',
  'smtputf8',
  'routing_loop',
  'expired',
  'other',
] as const;

export type ReplyCategory = (typeof replyCategories)[number];

/** What is wrong with the recipient itself: trying again changes nothing, from any sender. */
export const recipientCategories: readonly ReplyCategory[] = [
  'unknown_user',
  'unknown_host',
  'moved',
  'mailbox_full',
  'mailbox_disabled',
];

export type ReplyRow = {
  readonly name: string;
  /** The reply codes it is about: a class, or each by itself. */
  readonly code: '2xx' | '4xx' | '5xx' | 'any' | readonly number[];
  /** Must fit the enhanced code ('' where there is none), its class aside: hosts answer `550 4.7.1`, and the reply code is what counts. */
  readonly enhanced?: RegExp;
  /** Must fit the words: lines joined by spaces, without their codes and without addresses. Gaps are bounded, so time stays linear. */
  readonly text?: RegExp;
  readonly action: ReplyAction;
  readonly category: ReplyCategory;
  /**
   * Whether the address itself is no good; only for an unknown user, an unknown host and one who moved. By words alone never with an enhanced
   * code x.7.z.
   */
  readonly suppress: boolean;
  readonly example: string;
};
