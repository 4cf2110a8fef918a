/** Refusals of the sender or of what it sends: its authentication, reputation, address or content. They never suppress a recipient. */
import type { ReplyRow } from './reply-row.ts';

/** SPF, DKIM, DMARC, and a name for the sending address: RFC 7372, and what Gmail, Yahoo and Outlook.com made of it. */
export const unauthenticatedCodes = /\.7\.(?:2[0-7]|3\d|509|515)$/;
/** RFC 3463 section 3.2: bad sender's mailbox or system. */
const senderAddressCodes = /\.1\.[78]$/;

/** The same in words. */
const unauthenticated =
  /\b(?:spf|dkim|dmarc|ptr|rdns)\b|\bsender policy framework\b|\bsender is unauthenticated\b|\bunauthenticated (?:e-?mail|mail)\b|\banti-?spoofing\b|\breverse (?:dns|hostname|lookup|ip)\b|\bcannot find your hostname\b/i;

const lists =
  /\bspamhaus\b|\bspamcop\b|\bsorbs\b|\bbarracuda(?:central| ?networks| reputation)|\babusix\b|\buceprotect|\bblock(?:ed|ing|list)?\b.{0,60}\bproofpoint\b|\bproofpoint\b.{0,60}\b(?:blocked|listed|reputation|block ?list)\b|\b(?:ipcheck|support)\.proofpoint\.com\b|\bmailspike\b|\binvaluement\b|\bmail-abuse\.com\b|\bcloudmark\b/;

/** A list of bad senders by name, or words for one. */
export const listed = new RegExp(
  [
    lists.source,
    String.raw`\b(?:rbl|dnsbl|dnsbls)\b`,
    String.raw`\bblack-?\s?list`,
    String.raw`\bblock-?\s?list`,
    String.raw`\bblocked using\b`,
    String.raw`\bblock for spam\b`,
    String.raw`\b(?:ip|host|server|network)\b.{0,60}\b(?:blocked|banned)\b`,
    String.raw`\bbanned sending ip\b`,
    String.raw`\breputation\b`,
    String.raw`\btraffic not accepted from this ip\b`,
    String.raw`\(BL\)`,
  ].join('|'),
  'i',
);

const senderRefused = new RegExp(
  [
    String.raw`\bsender (?:e-?mail |address |domain |verify |verification )?(?:is |was )?(?:rejected|refused|denied|blocked|invalid|failed|unknown|not allowed|does not exist)`,
    String.raw`\b(?:domain of|null|invalid|banned|forged|unauthenticated) senders?\b`,
    String.raw`\bsender verify\b`,
    String.raw`\b(?:sender|from address)\b.{0,60}\b(?:unknown|not found|not exist|doesn't exist|invalid|not valid)\b`,
    // Other addresses, hosts and accounts of the sender's: what is said to be missing is not the recipient.
    String.raw`\b(?:return-?path|reply-?to|envelope[ -]from|helo|ehlo)\b.{0,60}\b(?:unknown|not (?:found|known|exist)|doesn't exist|invalid)\b`,
    String.raw`\b(?:your|client|sending|source) (?:ip|host|hostname|server|domain|address|account|user)\b.{0,60}\b(?:unknown|not (?:found|known|exist)|doesn't exist)\b`,
    String.raw`\bip address (?:is )?(?:unknown|not found)\b`,
    String.raw`\baccount (?:that is )?sending\b|\bsender (?:table|map|access)\b`,
    String.raw`\bsender\b.{0,40}\bnull mx\b`,
    String.raw`\bbad sender\b|\bsender domain\b|\bbad (?:helo|ehlo)\b`,
    String.raw`\bcallout verification\b`,
    String.raw`\bverification failed for\b`,
    String.raw`\bnot owned by\b`,
    String.raw`\bbadmailfrom\b`,
    String.raw`\b(?:identity|identities|from address|email address)\b.{0,60}\b(?:verified|verification|failed the check)`,
    String.raw`\b(?:allowed|permissions) to send as\b|\bsendasdenied\b`,
    String.raw`\bhelo command rejected\b|\binvalid (?:helo|ehlo)\b`,
    String.raw`\binvalid dns (?:mx|a)\b`,
    String.raw`\boutgoing blocked\b`,
    String.raw`\bsending (?:is |was |has been )?(?:paused|suspended|disabled)\b`,
  ].join('|'),
  'i',
);

const relayDenied =
  /\brelay(?:ing)?\b.{0,40}\b(?:denied|not permitted|prohibited|not allowed|disallowed|refused)|\b(?:unable|allowed|permitted|cannot|not|won't) (?:to )?relay\b|\brcpthosts\b/i;

const malware = /\bvirus\b|\bmalware\b|\binfected\b|\bphish|\bpotential security issue\b|\bblocked attachment\b/i;

const spam =
  /\b(?:spam|spammy|unsolicited|suspicious|junk ?mail)\b|\bDT:SPM\b|\bcontent (?:was )?(?:denied|rejected)|\bOFR_506\b|\bbounce attacks?\b|\bblocked by our filter/i;

export const senderRows: readonly ReplyRow[] = [
  {
    name: 'sender_authentication_by_enhanced',
    code: '5xx',
    enhanced: unauthenticatedCodes,
    action: 'fail',
    category: 'sender_authentication',
    suppress: false,
    example: '550 5.7.26 Unauthenticated mail is not accepted',
  },
  {
    name: 'sender_authentication',
    code: '5xx',
    text: unauthenticated,
    action: 'fail',
    category: 'sender_authentication',
    suppress: false,
    example: '550 5.7.1 Message rejected: SPF check failed',
  },
  {
    name: 'blocklisted',
    code: '5xx',
    text: listed,
    action: 'fail',
    category: 'blocklisted',
    suppress: false,
    example: '554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org',
  },
  {
    name: 'blocklisted_by_enhanced',
    code: '5xx',
    enhanced: /\.7\.(?:60[6-9]|6[1-4]\d)$/,
    action: 'fail',
    category: 'blocklisted',
    suppress: false,
    example: '550 5.7.606 Access denied, sending address refused',
  },
  {
    name: 'sender_refused_by_enhanced',
    code: '5xx',
    enhanced: senderAddressCodes,
    action: 'fail',
    category: 'sender_refused',
    suppress: false,
    example: '553 5.1.8 <a@example.com>... Domain does not exist',
  },
  {
    name: 'relay_denied',
    code: '5xx',
    text: relayDenied,
    action: 'fail',
    category: 'relay_denied',
    suppress: false,
    example: '554 5.7.1 <u@example.org>: Relay access denied',
  },
  {
    name: 'sender_refused',
    code: '5xx',
    text: senderRefused,
    action: 'fail',
    category: 'sender_refused',
    suppress: false,
    example: '553 5.7.1 <a@example.com>: Sender address rejected: not owned by user',
  },
  {
    name: 'malware',
    code: '5xx',
    text: malware,
    action: 'fail',
    category: 'malware',
    suppress: false,
    example: '554 5.7.1 Message rejected: virus found',
  },
  {
    name: 'spam',
    code: '5xx',
    text: spam,
    action: 'fail',
    category: 'spam',
    suppress: false,
    example: '550 5.7.1 Message rejected as spam',
  },
  {
    name: 'sender_authentication_by_enhanced_for_now',
    code: '4xx',
    enhanced: unauthenticatedCodes,
    action: 'retry',
    category: 'sender_authentication',
    suppress: false,
    example: '450 4.7.26 Unauthenticated mail is not accepted',
  },
  {
    name: 'sender_authentication_for_now',
    code: '4xx',
    text: unauthenticated,
    action: 'retry',
    category: 'sender_authentication',
    suppress: false,
    example: '451 4.7.1 DMARC policy could not be looked up',
  },
  {
    name: 'blocklisted_for_now',
    code: '4xx',
    text: listed,
    action: 'retry',
    category: 'blocklisted',
    suppress: false,
    example: '451 IP temporarily blacklisted',
  },
  {
    name: 'sender_refused_by_enhanced_for_now',
    code: '4xx',
    enhanced: senderAddressCodes,
    action: 'retry',
    category: 'sender_refused',
    suppress: false,
    example: '451 4.1.8 <a@example.com>... Domain does not resolve',
  },
  {
    name: 'relay_denied_for_now',
    code: '4xx',
    text: relayDenied,
    action: 'retry',
    category: 'relay_denied',
    suppress: false,
    example: '451 4.7.1 <u@example.org>: Relay access denied',
  },
  {
    name: 'sender_refused_for_now',
    code: '4xx',
    text: senderRefused,
    action: 'retry',
    category: 'sender_refused',
    suppress: false,
    example: '451 Could not complete sender verify callout',
  },
  {
    name: 'spam_for_now',
    code: '4xx',
    text: spam,
    action: 'retry',
    category: 'spam',
    suppress: false,
    example: '451 4.7.0 Message looks like spam, deferred',
  },
];
