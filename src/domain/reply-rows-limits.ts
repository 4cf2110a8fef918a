/** Replies about how much may be sent, and over how many connections. */
import type { ReplyRow } from './reply-row.ts';

export const manyConnections =
  /\btoo many (?:concurrent |simultaneous |open )?(?:smtp )?(?:connections|sessions)|\b(?:concurrent|simultaneous) (?:smtp |server )?connections\b|\bconnection limit\b|\btrop de connexions\b/i;

export const tooFast = new RegExp(
  [
    String.raw`\brate[ -]?limit`,
    // Outlook.com's number for each of its rates.
    String.raw`\bRP-00\d\b`,
    String.raw`\bthrottl`,
    String.raw`\bslow(?:ing)? down\b`,
    String.raw`\b(?:frequency|rate|traffic) (?:is )?limited\b`,
    String.raw`\btoo (?:many|much) (?:mails?|messages|e-?mails|errors|requests|bad commands|unknown|invalid)\b`,
    String.raw`\btoo (?:fast|quickly|frequent|often)`,
    String.raw`\b(?:sending|message|recipient|connection|daily|hourly|mail) (?:rate|limit|quota)s? (?:limit )?(?:has been |is |was )?(?:exceeded|reached)`,
    String.raw`\bexceeded .{0,40}\b(?:rate|sending|daily|hourly|threshold|messages per)\b`,
    String.raw`\b(?:sending|connection|message|unusual) rate\b`,
    String.raw`\bunusual (?:sending activity|amount|volume)\b`,
    String.raw`\bunexpected volume\b`,
    String.raw`\bcredits exceeded\b`,
    String.raw`\b(?:this|per|an|last) hour\b`,
    String.raw`\bwe have limits\b`,
    String.raw`\bserver (?:is )?(?:too )?busy\b`,
    String.raw`\bthread limit\b`,
    String.raw`\bmail send limit\b`,
  ].join('|'),
  'i',
);

/** What a relay quotes another host to have said is about the relay's own account. */
const notQuoted = String.raw`(?<!\bsaid:.{0,300})`;

/**
 * What the account itself may send is used up: every message would be refused until the provider lets it send again. Words that may as well be
 * about what a recipient receives are none of these.
 */
const accountLimit = new RegExp(
  `(?:${[
    String.raw`\b(?:daily|hourly|monthly|user|account)\b.{0,20}\b(?:sending|relay) (?:limit|quota)s?\b.{0,20}\b(?:exceeded|reached)`,
    String.raw`\b(?:exceeded|reached) (?:your|its|the) (?:daily|hourly|monthly) (?:\w+ )?(?:sending|relay) (?:limit|quota)`,
    String.raw`\bsubmission[ _]?quota`,
    String.raw`\bdomain\b.{0,80}\bexceeded the max (?:e-?mails|defers and failures) per (?:hour|day)\b`,
    String.raw`\bper (?:hour|day) exceeded for this sender\b`,
  ].join('|')})${notQuoted}`,
  'i',
);

/** The same where it is not said of what: a mailbox has limits as well, for what it stores and receives. */
const someLimit = new RegExp(
  String.raw`\b(?:(?:exceeded|reached) your|your account (?:has )?(?:exceeded|reached) (?:its|the)) (?:daily|hourly|monthly)\b(?:(?!\b(?:receiv|storage|mailbox|incoming|inbound)).){0,20}\b(?:limit|quota)${notQuoted}`,
  'i',
);

/** The account itself may not send: somebody has to talk to the provider. Said to the sender, so it is not the mailbox that is suspended. */
const accountStopped = new RegExp(
  String.raw`(?:\b(?:sending (?:is |was |has been )?(?:paused|suspended|disabled) for this account|ability to send (?:e-?mail )?(?:is|was|has been) paused)\b|\byour account (?:is|was|has been) (?:temporarily )?(?:suspended|disabled|blocked|locked|deactivated)\b)${notQuoted}`,
  'i',
);

export const limitRows: readonly ReplyRow[] = [
  {
    name: 'connections',
    code: '4xx',
    text: manyConnections,
    action: 'slow_down',
    category: 'too_many_connections',
    suppress: false,
    example: '450 4.7.1 Too many concurrent connections from 192.0.2.1',
  },
  {
    name: 'rate',
    code: '4xx',
    text: tooFast,
    action: 'slow_down',
    category: 'rate_limited',
    suppress: false,
    example: '450 4.7.1 Error: too much mail from 192.0.2.1',
  },
  {
    name: 'account_limit',
    code: '5xx',
    text: accountLimit,
    action: 'stop_transport',
    category: 'rate_limited',
    suppress: false,
    example: '550 5.4.5 Daily user sending limit exceeded.',
  },
  {
    name: 'account_limit_of_some_kind',
    code: '5xx',
    // With x.2.z it is the mailbox that is full.
    enhanced: /^(?!\d\.2\.)/,
    text: someLimit,
    action: 'stop_transport',
    category: 'rate_limited',
    suppress: false,
    example: '550 You have reached your daily limit',
  },
  {
    name: 'account_limit_by_enhanced',
    code: '5xx',
    // Exchange Online: of all that a tenant sends. 5.7.703 is about single recipients that it has blocked itself.
    enhanced: /\.7\.(?:232|233|705)$/,
    action: 'stop_transport',
    category: 'rate_limited',
    suppress: false,
    example: '550 5.7.705 Access denied',
  },
  {
    name: 'account_stopped_by_enhanced',
    code: '5xx',
    enhanced: /\.7\.750$/,
    action: 'stop_transport',
    category: 'sender_refused',
    suppress: false,
    example: '550 5.7.750 Service unavailable. Client blocked from sending from unregistered domains',
  },
  {
    name: 'account_stopped',
    code: '5xx',
    text: accountStopped,
    action: 'stop_transport',
    category: 'sender_refused',
    suppress: false,
    example: '554 Your account has been suspended',
  },
  {
    name: 'connections_refused',
    code: '5xx',
    text: manyConnections,
    action: 'fail',
    category: 'too_many_connections',
    suppress: false,
    example: '554 Too many connections from your host',
  },
  {
    name: 'rate_refused_by_enhanced',
    code: '5xx',
    enhanced: /\.7\.28$/,
    action: 'fail',
    category: 'rate_limited',
    suppress: false,
    example: '550 5.7.28 Our system has detected that your mail comes in bursts',
  },
  {
    name: 'rate_refused',
    code: '5xx',
    text: tooFast,
    action: 'fail',
    category: 'rate_limited',
    suppress: false,
    example: '550 5.7.1 Too many messages from 192.0.2.1',
  },
];
