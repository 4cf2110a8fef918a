/** Refusals of the recipient: nobody of that name, moved, full, disabled. */
import type { ReplyRow } from './reply-row.ts';

const mailboxFull =
  /\b(?:mailbox|inbox|mail box|account)\b.{0,40}\bfull\b|\bover ?-?quota\b|(?<!sending |message |daily |hourly )\bquota\b|\bexceeded storage\b|\bmailbox size\b|\bout of storage\b|\bnot enough storage space\b/i;

/** The size of a mailbox is another matter. */
const tooLarge =
  /\b(?:message|mail|e-?mail|size|data) (?:is )?(?:too (?:large|big|long)|exceeds)|\b(?:message|mail) size\b|\bmessage length\b|(?<!mailbox )\bsize limit\b|\bmaximum (?:message )?size\b/i;

const disabled =
  /\b(?:mailbox|account|user|recipient|address)\b.{0,40}\b(?:disabled|inactive|suspended|deactivated|locked|frozen|expired)\b/i;

/** Of the recipient: a sender's domain that is not there was caught before. */
const unknownHost =
  /\b(?:host unknown|unknown host|no such (?:domain|host)|null mx)\b|\bhost or domain name not found\b|\brecipient address rejected: domain not found\b|\b(?:dns|recipient) domain\b.{0,80}\b(?:does not exist|doesn't exist|not found)/i;

const unknownUser = new RegExp(
  [
    String.raw`(?:\b(?:user|mailbox|recipient|account|customer|alias|(?:recipient|destination|e-?mail) address)|^(?:<>:? ?)?(?:this |that |the )?address)\b.{0,60}\b(?:unknown|not found|not known|not listed|invalid|not exist|doesn't exist|not in our database)\b`,
    String.raw`\b(?:unknown|invalid|nonexistent|unrouteable|undeliverable) (?:local )?(?:user|recipient|mailbox|address|part|account|alias)`,
    String.raw`\bno such (?:user|recipient|mailbox|person|account|address|local)`,
    String.raw`\bno mailbox\b`,
    String.raw`\bnot a valid (?:user|recipient|mailbox|address)`,
    String.raw`\bdoesn't have an? .{0,40}\baccount\b`,
    String.raw`\bnot our customer\b`,
    String.raw`\bmailbox (?:is )?unavailable\b`,
  ].join('|'),
  'i',
);

/** Some servers say that the mailbox is unavailable before whatever else they have to say. */
const refusedByPolicy =
  /\bpolicy (?:restrictions?|reasons?)\b|\bmailbox unavailable or access denied\b|\breject(?:ed|ion)? (?:due to|by|because of|per|for) .{0,30}\bpolic/i;

/** Said by that host of the address, in its code or in words, and by no other command than the one that named the address. */
const unknownThere = String.raw`5\d\d\b(?!.{0,400}\bin reply to (?!rcpt))(?:[ -]5\.1\.(?:1|10)\b|(?![ -]5\.7\.).{0,200}?(?:${unknownUser.source}))`;

/**
 * What a relay got from another host, or why it did not reach it. With a code of the relay's own (Postfix: 5.1.1) it says nothing about the
 * address, unless that host answered that the address does not exist.
 */
const heardElsewhere = new RegExp(
  [
    String.raw`\bhost [^ ]{1,300} (?:said: (?!${unknownThere})|refused to talk to me\b)`,
    String.raw`\bmail for [^ ]{1,300} loops back to myself\b`,
    String.raw`\bconnect to [^ ]{1,300}: `,
    String.raw`\b(?:lost connection|conversation) with [^ ]{1,300} `,
  ].join('|'),
  'i',
);

export const recipientRows: readonly ReplyRow[] = [
  {
    name: 'policy_of_recipient',
    code: '5xx',
    text: refusedByPolicy,
    action: 'fail',
    category: 'policy',
    suppress: false,
    example: '550-Requested action not taken: mailbox unavailable\\n550 Reject due to policy restrictions.',
  },
  {
    name: 'too_large_by_enhanced',
    code: '5xx',
    enhanced: /\.(?:3\.4|2\.3)$/,
    action: 'fail',
    category: 'too_large',
    suppress: false,
    example: '552 5.3.4 Message size exceeds fixed limit',
  },
  {
    name: 'mailbox_full_by_enhanced',
    code: '5xx',
    enhanced: /\.2\.2$/,
    action: 'fail',
    category: 'mailbox_full',
    suppress: false,
    example: '552 5.2.2 Over limit',
  },
  {
    name: 'mailbox_full',
    code: '5xx',
    text: mailboxFull,
    action: 'fail',
    category: 'mailbox_full',
    suppress: false,
    example: '552 Requested mail action aborted: exceeded storage allocation',
  },
  {
    name: 'mailbox_full_by_enhanced_for_now',
    code: '4xx',
    enhanced: /\.2\.2$/,
    action: 'retry',
    category: 'mailbox_full',
    suppress: false,
    example: '452 4.2.2 Over limit',
  },
  {
    name: 'mailbox_full_for_now',
    code: '4xx',
    text: mailboxFull,
    action: 'retry',
    category: 'mailbox_full',
    suppress: false,
    example: '452 Mailbox full',
  },
  {
    name: 'too_large',
    code: '5xx',
    text: tooLarge,
    action: 'fail',
    category: 'too_large',
    suppress: false,
    example: '554 Message is too large',
  },
  {
    name: 'mailbox_disabled_by_enhanced',
    code: '5xx',
    enhanced: /\.2\.1$/,
    action: 'fail',
    category: 'mailbox_disabled',
    suppress: false,
    example: '550 5.2.1 Not accepting mail',
  },
  {
    name: 'mailbox_disabled',
    code: '5xx',
    text: disabled,
    action: 'fail',
    category: 'mailbox_disabled',
    suppress: false,
    example: '554 This mailbox is disabled',
  },
  {
    name: 'mailbox_disabled_for_now',
    code: '4xx',
    text: disabled,
    action: 'retry',
    category: 'mailbox_disabled',
    suppress: false,
    example: '450 Mailbox temporarily disabled',
  },
  {
    name: 'heard_elsewhere',
    code: '5xx',
    text: heardElsewhere,
    action: 'fail',
    category: 'system',
    suppress: false,
    example: '550 5.1.1 Undeliverable address: host mx.example.org[192.0.2.1] said: 550 Not now',
  },
  {
    name: 'moved',
    code: [551],
    text: /\bnot local\b|\bmoved\b|\btry\b.{0,12}</i,
    action: 'fail',
    category: 'moved',
    suppress: true,
    example: '551 User not local; please try <new@example.org>',
  },
  {
    name: 'moved_by_enhanced',
    code: '5xx',
    enhanced: /\.1\.6$/,
    action: 'fail',
    category: 'moved',
    suppress: true,
    example: '550 5.1.6 Recipient no longer on server',
  },
  {
    name: 'null_mx',
    code: [556],
    text: /\bnull ?mx\b|\b(?:does not|doesn't) accept (?:e-?)?mail\b/i,
    action: 'fail',
    category: 'unknown_host',
    suppress: true,
    example: '556 5.1.10 Recipient address has null MX',
  },
  {
    name: 'unknown_host_by_enhanced',
    code: '5xx',
    enhanced: /\.(?:1\.2|4\.310)$/,
    action: 'fail',
    category: 'unknown_host',
    suppress: true,
    example: '550 5.1.2 <u@gone.example>... Not known',
  },
  {
    name: 'unknown_host_unrouted',
    code: '5xx',
    // Which says no more than that it cannot be routed: a loop and a timeout have it as well.
    enhanced: /\.4\.4$/,
    text: /\bdomain\b.{0,60}\b(?:unknown|not found|not exist|doesn't exist)\b|\bnonexistent ?domain\b|\bnxdomain\b/i,
    action: 'fail',
    category: 'unknown_host',
    suppress: true,
    example: '550 5.4.4 Domain gone.example does not exist',
  },
  {
    name: 'unknown_host',
    code: '5xx',
    text: unknownHost,
    action: 'fail',
    category: 'unknown_host',
    suppress: true,
    example: '550 Host unknown',
  },
  {
    name: 'unknown_host_by_enhanced_for_now',
    code: '4xx',
    enhanced: /\.(?:1\.2|4\.4)$/,
    action: 'retry',
    category: 'unknown_host',
    suppress: false,
    example: '450 4.1.2 <u@gone.example>: Recipient address rejected: Domain not found',
  },
  {
    name: 'address_check',
    code: '4xx',
    text: /\bunverified address\b|\bverification in progress\b/i,
    action: 'retry',
    category: 'system',
    suppress: false,
    example:
      '450 4.1.1 <u@example.org>: Recipient address rejected: unverified address: Address verification in progress',
  },
  {
    name: 'unknown_user_by_enhanced',
    code: '5xx',
    enhanced: /\.1\.(?:1|10)$/,
    action: 'fail',
    category: 'unknown_user',
    suppress: true,
    example: '550 5.1.1 No',
  },
  {
    name: 'address_rejected',
    code: '5xx',
    enhanced: /\.1\.0$/,
    text: /\baddress rejected\b/i,
    action: 'fail',
    category: 'unknown_user',
    suppress: true,
    example: '550 #5.1.0 Address rejected.',
  },
  {
    name: 'unknown_at_the_edge',
    code: '5xx',
    enhanced: /\.4\.1$/,
    text: /\brecipient address rejected: access denied/i,
    action: 'fail',
    category: 'unknown_user',
    suppress: true,
    example: '550 5.4.1 Recipient address rejected: Access denied. AS(201806281)',
  },
  {
    name: 'unknown_user_as_policy',
    code: '5xx',
    enhanced: /\.7\.1$/,
    text: /^no such user!?$/i,
    action: 'fail',
    category: 'unknown_user',
    suppress: true,
    example: '550 5.7.1 No such user!',
  },
  {
    name: 'unknown_user',
    code: '5xx',
    text: unknownUser,
    action: 'fail',
    category: 'unknown_user',
    suppress: true,
    example: '550 No such user here',
  },
  {
    name: 'unknown_user_by_enhanced_for_now',
    code: '4xx',
    enhanced: /\.1\.1$/,
    action: 'retry',
    category: 'unknown_user',
    suppress: false,
    example: '450 4.1.1 No',
  },
  {
    name: 'unknown_user_for_now',
    code: '4xx',
    text: unknownUser,
    action: 'retry',
    category: 'unknown_user',
    suppress: false,
    example: '450 User unknown',
  },
];
